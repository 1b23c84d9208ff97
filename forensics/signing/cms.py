"""The one form of signature file that is written and accepted: detached CMS SignedData with CAdES-B attributes, in DER.

Sources: RFC 5652 (CMS), RFC 5035 (signing-certificate-v2), ETSI EN 319 122-1 (CAdES baseline B); keys: `signing.schemes`.

A reader of CMS that takes what it understands and skips the rest accepts many files for one signature. Here the few values that may
differ (the certificates, and for each signer the time, the digest and the signature) are read out, the whole file is **built again**
from them, and both must be the same bytes: so there is exactly one file for these values, and each value is checked by itself.
OpenSSL writes the same form with ``cms -sign -cades -binary -nosmimecap -outform DER``, except that half of its ECDSA signatures have the
larger of the two possible values of s: (r, s) and (r, n - s) both verify, and only the smaller s is accepted here.
"""

import hashlib
import re
from datetime import UTC, datetime

from cryptography import x509
from msgspec import Struct

from forensics.errors import SignatureInvalid, SigningError
from forensics.signing import certificates, der, schemes
from forensics.signing.reasons import Reason, invalid
from forensics.signing.schemes import Scheme

LARGEST = 256 * 1024  # bytes of a signature file; two signers with their chains have about four thousand
SIGNERS = 8


_INTEGER, _OCTETS, _SEQUENCE, _SET, _UTC_TIME, _LONG_TIME = 0x02, 0x04, 0x30, 0x31, 0x17, 0x18
_FIRST, _DIRECTORY = 0xA0, 0xA4  # context-specific, constructed, numbers 0 and 4
_ONE = b"\x02\x01\x01"  # the version of SignedData and SignerInfo, of this form
_DATA, _SIGNED_DATA = (bytes.fromhex(f"06092a864886f70d0107{number}") for number in ("01", "02"))
_CONTENT_TYPE, _DIGEST, _TIME = (bytes.fromhex(f"06092a864886f70d0109{number}") for number in ("03", "04", "05"))
_BINDING = bytes.fromhex("060b2a864886f70d010910022f")  # signing-certificate-v2


class Part(Struct, frozen=True):
    """What one signer put in: the signer's certificate (DER), the claimed time, the digest of the content, the signature (ECDSA: DER)."""

    certificate: bytes
    signed_at: datetime
    digest: bytes
    signature: bytes


class Signed(Struct, frozen=True):
    """A signature file: its signers' parts, and all certificates in it (DER, sorted as DER sorts a SET OF)."""

    parts: tuple[Part, ...]
    certificates: tuple[bytes, ...]


def digest_of(data: bytes, certificate: bytes) -> bytes:
    """The digest of `data` that goes with the certificate's key."""
    return schemes.digest(data, schemes.of(_load(certificate)))


def to_be_signed(certificate: bytes, digest: bytes, signed_at: datetime) -> bytes:
    """The signed attributes as they are signed: DER with the tag of a SET (RFC 5652, section 5.4).

    Exactly four: content-type, message-digest, signing-time, signing-certificate-v2.
    """
    names = _issuer_serial(certificate)
    issuer_serial = der.make(_SEQUENCE, der.make(_SEQUENCE, der.make(_DIRECTORY, names[0])), names[1])
    # SHA-256 is the default algorithm of the certificate's digest, so DER leaves it out
    binding = der.make(_SEQUENCE, der.make(_OCTETS, hashlib.sha256(certificate).digest()), issuer_serial)
    attributes = (
        (_CONTENT_TYPE, _DATA),
        (_DIGEST, der.make(_OCTETS, digest)),
        (_TIME, _time(signed_at)),
        (_BINDING, der.make(_SEQUENCE, der.make(_SEQUENCE, binding))),
    )
    return der.make(_SET, *sorted(der.make(_SEQUENCE, kind, der.make(_SET, value)) for kind, value in attributes))


def encode(signed: Signed) -> bytes:
    """The signature file of these values. Raises SignatureInvalid, SigningError."""
    infos = [_signer_info(part) for part in signed.parts]
    digests = sorted({_digest_algorithm(schemes.of(_load(part.certificate))) for part in signed.parts})
    content = der.make(
        _SEQUENCE,
        _ONE,
        der.make(_SET, *digests),
        der.make(_SEQUENCE, _DATA),
        der.make(_FIRST, *sorted(set(signed.certificates))),
        der.make(_SET, *sorted(infos)),
    )
    return der.make(_SEQUENCE, _SIGNED_DATA, der.make(_FIRST, content))


def decode(signature: bytes) -> Signed:
    """The values of a signature file, which must be the one file that says them. Raises SignatureInvalid.

    Whether the signatures verify is asked of `check`, whether the signers are trusted of `signing.chain`.
    """
    if len(signature) > LARGEST:
        raise invalid(Reason.STRUCTURE, f"{len(signature)} bytes are more than {LARGEST}")
    try:
        read = _read(signature)
        again = encode(read)
    except (ValueError, LookupError) as error:  # LookupError: a value has fewer parts than its form
        raise invalid(Reason.STRUCTURE, f"not CMS SignedData of this form: {_short(error)}") from error
    except SignatureInvalid:
        raise
    except SigningError as error:
        raise invalid(Reason.STRUCTURE, str(error)) from error
    if again != signature:
        raise invalid(Reason.STRUCTURE, f"first difference at byte {_difference(again, signature)}")
    return read


def check(data: bytes, part: Part) -> None:
    """That this part is a signature over exactly `data` by the holder of its certificate. Raises SignatureInvalid."""
    key, scheme = schemes.key_of(_load(part.certificate))
    if (found := schemes.digest(data, scheme)) != part.digest:
        raise invalid(Reason.CHANGED, f"signed: {part.digest.hex()}, found: {found.hex()}")
    signed = to_be_signed(part.certificate, part.digest, part.signed_at)
    schemes.check(key, scheme, part.signature, signed, f"certificate {certificates.fingerprint(part.certificate)}")


def _load(certificate: bytes) -> x509.Certificate:
    return certificates.load(certificate)


def _digest_algorithm(scheme: Scheme) -> bytes:
    return der.make(_SEQUENCE, scheme.digest_oid)  # without NULL (RFC 5754, section 2)


def _issuer_serial(certificate: bytes) -> tuple[bytes, bytes]:
    """Issuer and serial number, as they stand in the certificate (RFC 5280, section 4.1)."""
    body = der.children(der.children(certificate)[0])
    if body and body[0][0] == _FIRST:  # the version, absent in the first
        body = body[1:]
    if len(body) < 3:
        raise ValueError("a certificate without an issuer")
    return body[2], body[0]


def _time(moment: datetime) -> bytes:
    """UTCTime up to 2049, GeneralizedTime after it (RFC 5652, section 11.3)."""
    moment = moment.astimezone(UTC)
    short = 1950 <= moment.year < 2050
    text = f"{moment.year % 100:02}" if short else f"{moment.year:04}"
    return der.make(_UTC_TIME if short else _LONG_TIME, f"{text}{moment:%m%d%H%M%S}Z".encode())


def _moment(value: bytes) -> datetime:
    match = re.fullmatch(r"([0-9]{2}|[0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})Z", der.content(value).decode("ascii"))
    if match is None or len(match[1]) != {_UTC_TIME: 2, _LONG_TIME: 4}.get(value[0]):
        raise ValueError("signing-time is not a time in UTC")
    century = "" if value[0] == _LONG_TIME else "19" if match[1] >= "50" else "20"
    return datetime.strptime(f"{century}{match[0]}", "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _signer_info(part: Part) -> bytes:
    scheme = schemes.of(_load(part.certificate))
    attributes = to_be_signed(part.certificate, part.digest, part.signed_at)
    return der.make(
        _SEQUENCE,
        _ONE,
        der.make(_SEQUENCE, *_issuer_serial(part.certificate)),
        _digest_algorithm(scheme),
        bytes((_FIRST,)) + attributes[1:],  # IMPLICIT: another tag than when they are signed
        der.make(_SEQUENCE, scheme.algorithm),
        der.make(_OCTETS, part.signature),
    )


def _read(signature: bytes) -> Signed:
    kind, explicit = _parts(signature, 2, "not a ContentInfo")
    if kind != _SIGNED_DATA:
        raise ValueError("the content type is not signed-data")
    signed = _parts(_parts(explicit, 1, "not SignedData")[0], 5, "not the five parts of SignedData")
    held, infos = tuple(sorted(der.children(signed[3]))), der.children(signed[4])
    if len(held) > certificates.MANY or not 1 <= len(infos) <= SIGNERS:
        raise ValueError(f"{len(held)} certificates, {len(infos)} signers")
    by_name = {der.make(_SEQUENCE, *_issuer_serial(each)): each for each in held}
    return Signed(tuple(_part(info, by_name) for info in infos), held)


def _part(info: bytes, by_name: dict[bytes, bytes]) -> Part:
    fields = _parts(info, 6, "not the six parts of a SignerInfo")
    certificate = by_name.get(fields[1])
    if certificate is None:
        raise invalid(Reason.CERTIFICATES, "the certificate of a signer is not among them")
    values = dict(_parts(each, 2, "not an attribute") for each in der.children(fields[3]))
    if not {_TIME, _DIGEST} <= values.keys():
        raise ValueError("no signing-time or no message-digest")
    moment, digest = (_parts(values[kind], 1, "not one value of an attribute")[0] for kind in (_TIME, _DIGEST))
    return Part(certificate, _moment(moment), der.content(digest), der.content(fields[5]))


def _parts(value: bytes, count: int, otherwise: str) -> list[bytes]:
    found = der.children(value)
    if len(found) != count:
        raise ValueError(otherwise)
    return found


def _difference(one: bytes, other: bytes) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
