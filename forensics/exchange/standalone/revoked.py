"""When and why certificates were revoked, as revocation lists say it. `openssl` says only that they were, and verifies the lists.

Source: RFC 5280, section 5.
"""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from . import der

_PEM = re.compile(rb"-----BEGIN X509 CRL-----\s*([A-Za-z0-9+/=\s]+?)-----END X509 CRL-----")
_INTEGER, _OCTETS, _SEQUENCE, _TIMES = 0x02, 0x04, 0x30, (0x17, 0x18)
_REASON, _LOST = bytes.fromhex("551d15"), bytes.fromhex("551d18")  # reasonCode, invalidityDate
# affiliationChanged, superseded, cessationOfOperation: what was signed before stays good (RFC 3161, section 4)
KEY_UNHARMED = frozenset({3, 4, 5})
HOLD = 6  # certificateHold


class RevocationList(NamedTuple):
    """A list: its issuer's name (DER), when it was made, until when it is current (None: it does not say), its entries (DER contents)."""

    der: bytes
    issuer: bytes
    since: datetime.datetime
    until: datetime.datetime | None
    entries: tuple[bytes, ...]


class Entry(NamedTuple):
    """Since when a certificate counts as revoked, and the number of the reason; None where none is given."""

    since: datetime.datetime
    reason: int | None


def lists(paths: Iterable[Path]) -> tuple[RevocationList, ...]:
    """The revocation lists in PEM or DER files. Raises ValueError, naming the file."""
    found = []
    for path in paths:
        data = path.read_bytes()
        held = [base64.b64decode(text) for text in _PEM.findall(data)] if b"-----BEGIN" in data else [data]
        try:
            if not held:
                raise ValueError("no list in it")
            found += [_read(each) for each in held]
        except (ValueError, IndexError) as error:
            raise ValueError(f"{path.name}: not a revocation list in PEM or DER: {error}") from None
    return tuple(found)


def entries(found: Iterable[RevocationList], serials: Collection[bytes]) -> Iterator[Entry]:
    """What the lists say of these serial numbers (DER), whoever issued them. Raises ValueError where an entry is not of its form."""
    for each in found:
        for entry in each.entries:
            fields = der.children(entry)
            if der.make(*fields[0]) in serials:
                yield _entry(fields)


def newest(found: Iterable[RevocationList], issuers: Collection[bytes]) -> list[RevocationList]:
    """The list that was made last of each of these issuers (names in DER) that has one."""
    last: dict[bytes, RevocationList] = {}
    for each in sorted(found, key=lambda each: each.since):
        last[each.issuer] = each
    return [last[issuer] for issuer in sorted(issuers) if issuer in last]


def _read(data: bytes) -> RevocationList:
    body = der.children(der.children(der.one(data, _SEQUENCE))[0][1])
    if body[0][0] == _INTEGER:  # the version, absent in the first
        body = body[1:]
    since = der.moment(*body[2])
    rest = body[3:]
    until = der.moment(*rest.pop(0)) if rest and rest[0][0] in _TIMES else None
    held = der.children(rest[0][1]) if rest and rest[0][0] == _SEQUENCE else []
    return RevocationList(data, der.make(*body[1]), since, until, tuple(content for _, content in held))


def _entry(fields: list[tuple[int, bytes]]) -> Entry:
    since, reason = der.moment(*fields[1]), None
    for _, extension in der.children(fields[2][1]) if len(fields) > 2 else ():
        parts = der.children(extension)
        kind, value = parts[0][1], der.children(parts[-1][1])[0]
        if kind == _REASON:
            reason = int.from_bytes(value[1], "big")
        elif kind == _LOST:  # since when the key is known to be lost, if that is earlier
            since = min(since, der.moment(*value))
    return Entry(since, reason)
