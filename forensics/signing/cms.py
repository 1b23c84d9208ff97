"""The one form of signature file that is written and accepted: detached CMS SignedData with CAdES-B attributes, in DER.

Sources: RFC 5652 (CMS), RFC 5035 (signing-certificate-v2), ETSI EN 319 122-1 (CAdES baseline B), RFC 5480/5758 (ECDSA).

A reader of CMS that takes what it understands and skips the rest accepts many files for one signature. Here the few values that may
differ (the certificates, and for each signer the time, the digest and the signature) are read out, the whole file is **built again**
from them, and both must be the same bytes: so there is exactly one file for these values, and each value is checked by itself.
OpenSSL writes the same form with ``cms -sign -cades -binary -nosmimecap -outform DER``, except that half of its signatures have the
larger of the two possible values of s: (r, s) and (r, n - s) both verify, and only the smaller s is accepted here.
"""

import hashlib
from datetime import UTC, datetime

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from msgspec import Struct

from forensics.errors import SignatureInvalid, SigningError
from forensics.signing import certificates
from forensics.signing.reasons import Reason, invalid

LARGEST = 256 * 1024  # bytes of a signature file; two signers with their chains have about four thousand
SIGNERS = 8

# What asn1crypto raises on bytes that are not what they should be.
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


class Curve(Struct, frozen=True):
    """One curve with the digest that goes with it, and the order of its group (SEC 2 version 2.0, sections 2.4.2 and 2.5.1)."""

    digest: str
    algorithm: str  # asn1crypto's name of the signature algorithm
    order: int


CURVES = {
    "secp256r1": Curve("sha256", "sha256_ecdsa", 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
    "secp384r1": Curve(
        "sha384", "sha384_ecdsa", 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
    ),
}
_HASHES: dict[str, hashes.HashAlgorithm] = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}


_SEQUENCE, _SET, _FIRST = 0x30, 0x31, 0xA0  # the last: context-specific, constructed, number 0
_ONE = bytes(core.Integer(1).dump())  # the version of SignedData and SignerInfo, of this form
_DATA, _SIGNED_DATA = (bytes(cms.ContentType(name).dump()) for name in ("data", "signed_data"))


class Part(Struct, frozen=True):
    """What one signer put in: the signer's certificate (DER), the claimed time, the digest of the content, the signature (DER)."""

    certificate: bytes
    signed_at: datetime
    digest: bytes
    signature: bytes


class Signed(Struct, frozen=True):
    """A signature file: its signers' parts, and all certificates in it (DER, sorted as DER sorts a SET OF)."""

    parts: tuple[Part, ...]
    certificates: tuple[bytes, ...]


def curve_of(certificate: x509.Certificate) -> Curve:
    """The curve of the certificate's key. Raises SignatureInvalid for any key that is not ECDSA on P-256 or P-384."""
    return _key_of(certificate)[1]


def digest_of(data: bytes, certificate: bytes) -> bytes:
    """The digest of `data` that goes with the certificate's curve."""
    return hashlib.new(curve_of(_load(certificate)).digest, data).digest()


def to_be_signed(certificate: bytes, digest: bytes, signed_at: datetime) -> bytes:
    """The signed attributes as they are signed: DER with the tag of a SET (RFC 5652, section 5.4)."""
    return bytes(_attributes(certificate, digest, signed_at).dump())


def lower(signature: bytes, curve: Curve) -> bytes:
    """The same ECDSA signature with the smaller of the two values of s."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, curve.order - s))


def encode(signed: Signed) -> bytes:
    """The signature file of these values. Raises SignatureInvalid, SigningError."""
    infos = [_signer_info(part) for part in signed.parts]
    names = sorted({curve_of(_load(part.certificate)).digest for part in signed.parts})
    content = _tagged(
        _SEQUENCE,
        _ONE,
        _tagged(_SET, *sorted(bytes(_digest_algorithm(name).dump()) for name in names)),
        _tagged(_SEQUENCE, _DATA),
        _tagged(_FIRST, *sorted(set(signed.certificates))),
        _tagged(_SET, *sorted(infos)),
    )
    return _tagged(_SEQUENCE, _SIGNED_DATA, _tagged(_FIRST, content))


def _tagged(tag: int, *parts: bytes) -> bytes:
    """DER of parts that are whole already, under a tag (X.690, sections 8.1 and 10.1): asn1crypto takes them apart to nest them."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def decode(signature: bytes) -> Signed:
    """The values of a signature file, which must be the one file that says them. Raises SignatureInvalid.

    Whether the signatures verify is asked of `check`, whether the signers are trusted of `signing.chain`.
    """
    if len(signature) > LARGEST:
        raise invalid(Reason.STRUCTURE, f"{len(signature)} bytes are more than {LARGEST}")
    try:
        read = _read(signature)
        again = encode(read)
    except MALFORMED as error:
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
    key, curve = _key_of(_load(part.certificate))
    if hashlib.new(curve.digest, data).digest() != part.digest:
        raise invalid(Reason.CHANGED, f"signed: {part.digest.hex()}, found: {hashlib.new(curve.digest, data).hexdigest()}")
    try:
        r, s = decode_dss_signature(part.signature)
    except ValueError as error:
        raise invalid(Reason.SIGNATURE, "not two integers in DER") from error
    if encode_dss_signature(r, s) != part.signature or not (0 < r < curve.order and 0 < s <= curve.order // 2):
        raise invalid(Reason.SIGNATURE, "r or s is out of range, or s is the larger of its two values")
    try:
        key.verify(part.signature, to_be_signed(part.certificate, part.digest, part.signed_at), ec.ECDSA(_HASHES[curve.digest]))
    except InvalidSignature as error:
        raise invalid(Reason.SIGNATURE, f"certificate {certificates.fingerprint(part.certificate)}") from error


def _load(der: bytes) -> x509.Certificate:
    return certificates.load(der)


def _key_of(certificate: x509.Certificate) -> tuple[ec.EllipticCurvePublicKey, Curve]:
    try:
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise invalid(Reason.ALGORITHM, f"the certificate's key cannot be read: {_short(error)}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise invalid(Reason.ALGORITHM, "the signer's key is not ECDSA on P-256 or P-384")
    return key, CURVES[key.curve.name]


def _digest_algorithm(name: str) -> algos.DigestAlgorithm:
    oid = algos.DigestAlgorithmId(name).dump()
    return algos.DigestAlgorithm.load(bytes((0x30, len(oid))) + oid)  # without NULL (RFC 5754, section 2), which a dict would get


def _issuer_serial(der: bytes) -> cms.IssuerAndSerialNumber:
    body = asn1_x509.Certificate.load(der, strict=True)["tbs_certificate"]
    return cms.IssuerAndSerialNumber({"issuer": body["issuer"], "serial_number": body["serial_number"]})


def _attributes(certificate: bytes, digest: bytes, signed_at: datetime) -> cms.CMSAttributes:
    """Exactly four: content-type, message-digest, signing-time, signing-certificate-v2."""
    body = asn1_x509.Certificate.load(certificate, strict=True)["tbs_certificate"]
    binding = tsp.ESSCertIDv2(
        {
            "cert_hash": hashlib.sha256(certificate).digest(),  # SHA-256 is the default algorithm, so DER leaves it out
            "issuer_serial": {
                "issuer": [asn1_x509.GeneralName({"directory_name": body["issuer"]})],
                "serial_number": body["serial_number"],
            },
        }
    )
    moment = core.UTCTime(signed_at) if 1950 <= signed_at.year < 2050 else core.GeneralizedTime(signed_at)
    name = "utc_time" if isinstance(moment, core.UTCTime) else "generalized_time"
    return cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["data"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [digest]}),
            cms.CMSAttribute({"type": "signing_time", "values": [cms.Time(name=name, value=moment)]}),
            cms.CMSAttribute({"type": "signing_certificate_v2", "values": [tsp.SigningCertificateV2({"certs": [binding]})]}),
        ]
    )


def _signer_info(part: Part) -> bytes:
    curve = curve_of(_load(part.certificate))
    attributes = to_be_signed(part.certificate, part.digest, part.signed_at)
    return _tagged(
        _SEQUENCE,
        _ONE,
        bytes(_issuer_serial(part.certificate).dump()),
        bytes(_digest_algorithm(curve.digest).dump()),
        bytes((_FIRST,)) + attributes[1:],  # IMPLICIT: another tag than when they are signed
        bytes(algos.SignedDigestAlgorithm({"algorithm": curve.algorithm}).dump()),
        bytes(core.OctetString(part.signature).dump()),
    )


def _read(signature: bytes) -> Signed:
    content = cms.ContentInfo.load(signature, strict=True)
    if content["content_type"].native != "signed_data":
        raise ValueError("the content type is not signed-data")
    data = content["content"]
    held = tuple(sorted(each.chosen.dump() for each in data["certificates"]))
    if len(held) > certificates.MANY or not 1 <= len(data["signer_infos"]) <= SIGNERS:
        raise ValueError(f"{len(held)} certificates, {len(data['signer_infos'])} signers")
    by_name = {_issuer_serial(der).dump(): der for der in held}
    return Signed(tuple(_part(info, by_name) for info in data["signer_infos"]), held)


def _part(info: cms.SignerInfo, by_name: dict[bytes, bytes]) -> Part:
    certificate = by_name.get(info["sid"].chosen.dump())
    if certificate is None:
        raise invalid(Reason.CERTIFICATES, "the certificate of a signer is not among them")
    values = {each["type"].native: each["values"] for each in info["signed_attrs"]}
    signed_at = values["signing_time"][0].native
    digest = values["message_digest"][0].native
    if not isinstance(signed_at, datetime) or signed_at.tzinfo is None:
        raise ValueError("signing-time is not a time in UTC")
    return Part(certificate, signed_at.astimezone(UTC), bytes(digest), bytes(info["signature"].native))


def _difference(one: bytes, other: bytes) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
