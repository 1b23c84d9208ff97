"""What a time stamp says, read without a library: when, over what, with which certificates. Whether it verifies is asked of `openssl`.

The time is taken out of the token that its authority signed. The status before it is signed by nobody, so it must be `granted` and nothing
else: `openssl ts -reply -text` prints what stands there, and that may look like a time. Sources: RFC 3161, sections 2.4.2; RFC 5652.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from typing import NamedTuple

from . import der
from .refusal import Refused

_INTEGER, _OCTETS, _SEQUENCE, _SET, _LONG_TIME, _FIRST = 0x02, 0x04, 0x30, 0x31, 0x18, 0xA0
_GRANTED = bytes.fromhex("020100")  # PKIStatusInfo: status granted, no text, no failure
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_TST_INFO = bytes.fromhex("2a864886f70d0109100104")
_HASHES = {bytes.fromhex(f"60864801650304020{at}"): name for at, name in ((1, "sha256"), (2, "sha384"), (3, "sha512"))}


class Stamp(NamedTuple):
    """When the authority says that it stamped, without the fraction of a second, and the certificates in the stamp."""

    at: datetime.datetime
    certificates: tuple[der.Certificate, ...]


def read(answer: bytes, data: bytes, name: str) -> Stamp:
    """The stamp in a `.tsr` file, which must be over `data`. Raises Refused ("stamp")."""
    try:
        imprint, at, held = _read(answer)
        if not 1 <= len(held) <= der.CERTIFICATES:
            raise ValueError(f"{len(held)} certificates")
        found = Stamp(at, tuple(der.certificate(each) for each in held))
    except (ValueError, IndexError) as error:
        raise Refused("stamp", f"{name}: its time stamp is not of the one form that is accepted: {error}") from None
    algorithm, digest = imprint
    if algorithm not in _HASHES or hashlib.new(_HASHES[algorithm], data).digest() != digest:
        raise Refused("stamp", f"{name}: its time stamp is over something else, or over a digest that is not accepted")
    return found


def _read(answer: bytes) -> tuple[tuple[bytes, bytes], datetime.datetime, list[bytes]]:
    status, token = _parts(der.one(answer, _SEQUENCE), (_SEQUENCE, _SEQUENCE), "an answer with a token")
    if status != _GRANTED:
        raise ValueError("its status is not `granted` and nothing else")
    kind, explicit = _parts(token, (0x06, _FIRST), "a token")
    signed = _parts(der.one(explicit, _SEQUENCE), (_INTEGER, _SET, _SEQUENCE, _FIRST, _SET), "signed data with certificates, and no more")
    what, content = _parts(signed[2], (0x06, _FIRST), "content")
    if kind != _SIGNED_DATA or what != _TST_INFO:
        raise ValueError("what is signed is not a time stamp")
    info = der.children(der.one(der.one(content, _OCTETS), _SEQUENCE))
    if [tag for tag, _ in info[:5]] != [_INTEGER, 0x06, _SEQUENCE, _INTEGER, _LONG_TIME]:
        raise ValueError("not the parts of a time stamp")
    algorithm, digest = _parts(info[2][1], (_SEQUENCE, _OCTETS), "a digest")
    whole = re.fullmatch(rb"([0-9]{14})(\.[0-9]*[1-9])?Z", info[4][1])  # X.690, section 11.7
    if whole is None:
        raise ValueError("its time is not one in UTC")
    held = [der.make(*each) for each in der.children(signed[3])]
    return (der.children(algorithm)[0][1], digest), der.moment(_LONG_TIME, whole[1] + b"Z"), held


def _parts(data: bytes, tags: tuple[int, ...], what: str) -> list[bytes]:
    """The contents of the values in `data`, which must have these tags."""
    found = der.children(data)
    if tuple(tag for tag, _ in found) != tags:
        raise ValueError(f"not {what}")
    return [content for _, content in found]
