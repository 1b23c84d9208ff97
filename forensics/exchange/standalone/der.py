"""The one form of signature file, read and **built again** without a library: what `openssl cms -verify` takes, and should not.

OpenSSL 3.0 accepts changed bytes in parts of a CMS file that nobody signed (versions, lists of algorithms). Here the few values that may
differ are taken out, the file is written anew from them in DER, and both must be the same bytes. Whether the signatures verify, and who is
trusted, is asked of `openssl`. Sources: X.690 (DER), RFC 5652 (CMS), RFC 5035 (signing-certificate-v2), RFC 5480, RFC 5758.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from typing import NamedTuple

from .refusal import Refused

LARGEST = 256 * 1024
_SIGNERS, CERTIFICATES = 8, 32
_INTEGER, _OCTETS, _SEQUENCE, _SET, _UTC_TIME, _LONG_TIME = 0x02, 0x04, 0x30, 0x31, 0x17, 0x18
UTC = datetime.timezone.utc  # noqa: UP017 - Python 3.9 has no `datetime.UTC`
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_DATA = bytes.fromhex("06092a864886f70d010701")
_CONTENT_TYPE = bytes.fromhex("06092a864886f70d010903")
_DIGEST = bytes.fromhex("06092a864886f70d010904")
_TIME = bytes.fromhex("06092a864886f70d010905")
_BINDING = bytes.fromhex("060b2a864886f70d010910022f")
_COUNTRY, _COMMON_NAME = bytes.fromhex("0603550406"), bytes.fromhex("0603550403")
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")
_SMALLEST_RSA = 3072  # bits
_P256, _P384 = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06052b81040022")


class _Scheme(NamedTuple):
    """How a kind of key signs: name and OID of its digest, the content of the signature's AlgorithmIdentifier, a curve's order (SEC 2)."""

    digest: str
    digest_oid: bytes
    algorithm: bytes
    order: int = 0


_CURVES = {
    _P256: _Scheme(
        "sha256",
        bytes.fromhex("0609608648016503040201"),
        bytes.fromhex("06082a8648ce3d040302"),
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    ),
    _P384: _Scheme(
        "sha384",
        bytes.fromhex("0609608648016503040202"),
        bytes.fromhex("06082a8648ce3d040303"),
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
}
_RSA = _Scheme("sha256", bytes.fromhex("0609608648016503040201"), _RSA_ENCRYPTION + b"\x05\x00")


class Certificate(NamedTuple):
    """What a certificate says of its holder. Whether anybody vouches for it is not asked here."""

    der: bytes
    serial: bytes
    issuer: bytes
    name: str
    country: str
    key: bytes

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.der).hexdigest()


class Part(NamedTuple):
    """What one signer put in: certificate, claimed time (``2026-03-01T08:00:00Z``), digest of the content."""

    certificate: Certificate
    signed_at: str
    digest: bytes

    def is_over(self, data: bytes) -> bool:
        """Whether the digest that was signed is that of `data`."""
        return hashlib.new(_scheme(self.certificate).digest, data).digest() == self.digest


def read(signature: bytes, name: str) -> tuple[Part, ...]:
    """The signers' parts of a signature file, which must be the one file that says them. Raises Refused ("structure", "certificates")."""
    if len(signature) > LARGEST:
        raise Refused("structure", f"{name}: {len(signature)} bytes are more than {LARGEST}")
    try:
        parts, again = _read(signature)
    except (ValueError, IndexError, OverflowError) as error:
        raise Refused("structure", f"{name}: not a signature file of the one form that is accepted: {error}") from None
    if again != signature:
        raise Refused("structure", f"{name}: not in the one form that is accepted: it was changed, or made by another tool")
    return parts


def held(signature: bytes) -> tuple[Certificate, ...]:
    """All certificates in a signature file of which `read` gave the parts. Raises ValueError."""
    signed = children(one(children(one(signature, _SEQUENCE))[1][1], _SEQUENCE))
    return tuple(certificate(make(*each)) for each in children(signed[3][1]))


def certificate(der: bytes) -> Certificate:
    """What the certificate of these DER bytes says. Raises ValueError."""
    body = children(children(one(der, _SEQUENCE))[0][1])
    if body and body[0][0] == 0xA0:  # the version, absent in the first
        body = body[1:]
    subject, key = body[4], body[5]
    return Certificate(
        der, make(*body[0]), make(*body[2]), _named(subject[1], _COMMON_NAME), _named(subject[1], _COUNTRY).upper(), make(*key)
    )


def _read(signature: bytes) -> tuple[tuple[Part, ...], bytes]:
    kind, explicit = children(one(signature, _SEQUENCE))
    if make(*kind) != _SIGNED_DATA or explicit[0] != 0xA0:
        raise ValueError("not signed data")
    signed = children(one(explicit[1], _SEQUENCE))
    if [tag for tag, _ in signed] != [_INTEGER, _SET, _SEQUENCE, 0xA0, _SET]:
        raise ValueError("not the five parts of signed data")
    held = [certificate(make(*each)) for each in children(signed[3][1])]
    infos = [content for tag, content in children(signed[4][1])]
    if not 1 <= len(infos) <= _SIGNERS or len(held) > CERTIFICATES:
        raise ValueError(f"{len(infos)} signers, {len(held)} certificates")
    by_issuer = {each.issuer + each.serial: each for each in held}
    parts, again = zip(*(_signer(info, by_issuer) for info in infos))  # noqa: B905 - Python 3.9 has no `strict`
    digests = sorted({_sequence(_scheme(part.certificate).digest_oid) for part in parts})
    data = _sequence(
        b"\x02\x01\x01",
        make(_SET, b"".join(digests)),
        _sequence(_DATA),
        make(0xA0, b"".join(sorted({each.der for each in held}))),
        make(_SET, b"".join(sorted(again))),
    )
    return tuple(parts), _sequence(_SIGNED_DATA, make(0xA0, data))


def _signer(info: bytes, by_issuer: dict[bytes, Certificate]) -> tuple[Part, bytes]:
    """A signer's part, and its SignerInfo built from that."""
    fields = children(info)
    found = by_issuer.get(fields[1][1])
    if found is None:
        raise Refused("certificates", "the certificate of a signer is not in the signature file")
    scheme = _scheme(found)
    values = {make(*each[0]): children(each[1][1])[0] for each in (children(content) for _, content in children(fields[3][1]))}
    moment, digest = values.get(_TIME, (0, b"")), values.get(_DIGEST, (0, b""))
    names = make(_SEQUENCE, make(0xA4, found.issuer)) + found.serial
    binding = _sequence(_sequence(_sequence(make(_OCTETS, hashlib.sha256(found.der).digest()), make(_SEQUENCE, names))))
    attributes = (
        _sequence(_CONTENT_TYPE, make(_SET, _DATA)),
        _sequence(_DIGEST, make(_SET, make(_OCTETS, digest[1]))),
        _sequence(_TIME, make(_SET, make(*moment))),
        _sequence(_BINDING, make(_SET, binding)),
    )
    again = _sequence(
        b"\x02\x01\x01",
        _sequence(found.issuer, found.serial),
        _sequence(scheme.digest_oid),
        make(0xA0, b"".join(sorted(attributes))),
        _sequence(scheme.algorithm),
        make(_OCTETS, _single(fields[5][1], scheme, found)),
    )
    return Part(found, _time(*moment), digest[1]), again


def _single(signature: bytes, scheme: _Scheme, held: Certificate) -> bytes:
    """The one value of a signature that is accepted. Raises ValueError."""
    if not scheme.order:
        modulus = _modulus(held)
        if len(signature) != (modulus.bit_length() + 7) // 8 or int.from_bytes(signature, "big") >= modulus:
            raise ValueError("the signature is not as long as the key, or not smaller than its modulus")
        return signature
    r, s = (int.from_bytes(content, "big", signed=True) for _, content in children(one(signature, _SEQUENCE)))
    if not (0 < r < scheme.order and 0 < s <= scheme.order // 2):
        raise ValueError("r or s is out of range, or s is the larger of its two values")
    return _sequence(_number(r), _number(s))


def _scheme(held: Certificate) -> _Scheme:
    for oid, scheme in _CURVES.items():
        if oid in held.key[:40]:
            return scheme
    if _RSA_ENCRYPTION in held.key[:40] and _modulus(held).bit_length() >= _SMALLEST_RSA:
        return _RSA
    raise ValueError("the signer's key is not ECDSA on P-256 or P-384, or RSA of 3072 bits or more")


def _modulus(held: Certificate) -> int:
    """The modulus of an RSA key (RFC 8017, appendix A.1.1, in a BIT STRING: RFC 3279, section 2.3.1)."""
    bits = children(one(held.key, _SEQUENCE))[1][1]
    return int.from_bytes(children(one(bits[1:], _SEQUENCE))[0][1], "big")


def _time(tag: int, content: bytes) -> str:
    found = moment(tag, content)
    if (tag == _LONG_TIME) == (1950 <= found.year < 2050):
        raise ValueError("signing-time is not of the form that its year has")
    return f"{found.isoformat()[:19]}Z"


def moment(tag: int, content: bytes) -> datetime.datetime:
    """The time that a UTCTime or a GeneralizedTime in UTC says, without its fraction. Raises ValueError where there is no such time."""
    text = content.decode("ascii")
    match = re.fullmatch(r"([0-9]{2}|[0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})Z", text)
    if match is None or {_UTC_TIME: 13, _LONG_TIME: 15}.get(tag) != len(text):
        raise ValueError("not a time in UTC")
    year = match[1] if tag == _LONG_TIME else f"{'19' if match[1] >= '50' else '20'}{match[1]}"
    month, day, hour, minute, second = (int(match[at]) for at in range(2, 7))
    return datetime.datetime(int(year), month, day, hour, minute, second, tzinfo=UTC)


def _named(name: bytes, oid: bytes) -> str:
    for _, relative in children(name):
        for _, pair in children(relative):
            kind, value = children(pair)
            if make(*kind) == oid:
                return value[1].decode("utf-8", "backslashreplace")
    return ""


def one(data: bytes, tag: int) -> bytes:
    """The content of the one value that `data` is. Raises ValueError."""
    found = children(data)
    if len(found) != 1 or found[0][0] != tag:
        raise ValueError(f"not one value of tag {tag:#x}")
    return found[0][1]


def children(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each value in `data`: one-byte tags, lengths definite and as short as can be. Raises ValueError, IndexError."""
    found, at = [], 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if tag & 0x1F == 0x1F:
            raise ValueError("a tag of several bytes")
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[at : at + count], "big")
            if not 1 <= count <= 4 or length < 0x80 or length < 1 << 8 * (count - 1):
                raise ValueError("a length that is not the shortest")
            at += count
        if at + length > len(data):
            raise ValueError("a value that ends behind what holds it")
        found.append((tag, data[at : at + length]))
        at += length
    return found


def make(tag: int, content: bytes) -> bytes:
    """The value of this tag and content."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes(-(-size.bit_length() // 8), "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _sequence(*parts: bytes) -> bytes:
    return make(_SEQUENCE, b"".join(parts))


def _number(value: int) -> bytes:
    return make(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))
