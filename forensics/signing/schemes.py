"""How each kind of key signs, and the one value that is accepted of it.

ECDSA on P-256 with SHA-256 and on P-384 with SHA-384 (RFC 5480, RFC 5758); RSA from 3072 bits with SHA-256, padded as PKCS #1 version 1.5
(RFC 8017, section 8.2), which tokens of states have and OpenSSL's ``cms -sign`` writes.
"""

import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from msgspec import Struct

from forensics.signing.reasons import Reason, invalid

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
SMALLEST_RSA = 3072  # bits: as strong as P-256 (NIST SP 800-57 part 1, table 2)
KINDS = "ECDSA on P-256 or P-384, or RSA of 3072 bits or more"  # for messages
HASHES: dict[str, hashes.HashAlgorithm] = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}


class Scheme(Struct, frozen=True):
    """The digest that goes with a kind of key, and for a curve the order of its group (SEC 2 version 2.0, sections 2.4.2 and 2.5.1).

    `digest_oid` is the object identifier of the digest in DER; `algorithm` is the content of the signature's AlgorithmIdentifier.
    """

    digest: str
    digest_oid: bytes
    algorithm: bytes
    order: int = 0


_SHA256, _SHA384 = bytes.fromhex("0609608648016503040201"), bytes.fromhex("0609608648016503040202")
CURVES = {
    "secp256r1": Scheme(
        "sha256",
        _SHA256,
        bytes.fromhex("06082a8648ce3d040302"),
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    ),
    "secp384r1": Scheme(
        "sha384",
        _SHA384,
        bytes.fromhex("06082a8648ce3d040303"),
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
}
RSA = Scheme("sha256", _SHA256, bytes.fromhex("06092a864886f70d0101010500"))  # rsaEncryption with NULL (RFC 3370, section 3.2)


def of_key(key: object) -> Scheme | None:
    """The scheme of a public key; `None` for a key with which nothing is signed here."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return CURVES.get(key.curve.name)
    return RSA if isinstance(key, rsa.RSAPublicKey) and key.key_size >= SMALLEST_RSA else None


def of(certificate: x509.Certificate) -> Scheme:
    """The scheme of the certificate's key. Raises SignatureInvalid for any other kind of key."""
    return key_of(certificate)[1]


def key_of(certificate: x509.Certificate) -> tuple[PublicKey, Scheme]:
    """The certificate's key with its scheme. Raises SignatureInvalid for any other kind of key."""
    try:
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise invalid(Reason.ALGORITHM, f"the certificate's key cannot be read: {' '.join(str(error).split())[:120]}") from error
    scheme = of_key(key)
    if scheme is None or not isinstance(key, PublicKey):
        raise invalid(Reason.ALGORITHM, f"the signer's key is not {KINDS}")
    return key, scheme


def digest(data: bytes, scheme: Scheme) -> bytes:
    """The digest of `data` that goes with the scheme."""
    return hashlib.new(scheme.digest, data).digest()


def single(signature: bytes, scheme: Scheme) -> bytes:
    """The same signature in the one value that is accepted: of ECDSA's two, which both verify, the one with the smaller s."""
    if not scheme.order:
        return signature
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, scheme.order - s))


def check(key: PublicKey, scheme: Scheme, signature: bytes, data: bytes, whose: str) -> None:
    """That `signature` is the key's over `data`, in its one value. Raises SignatureInvalid; `whose` is said where it does not verify."""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            if len(signature) != (key.key_size + 7) // 8 or int.from_bytes(signature, "big") >= key.public_numbers().n:
                raise invalid(Reason.SIGNATURE, "not as long as the key, or not smaller than its modulus")
            key.verify(signature, data, padding.PKCS1v15(), HASHES[scheme.digest])
            return
        try:
            r, s = decode_dss_signature(signature)
        except ValueError as error:
            raise invalid(Reason.SIGNATURE, "not two integers in DER") from error
        if encode_dss_signature(r, s) != signature or not (0 < r < scheme.order and 0 < s <= scheme.order // 2):
            raise invalid(Reason.SIGNATURE, "r or s is out of range, or s is the larger of its two values")
        key.verify(signature, data, ec.ECDSA(HASHES[scheme.digest]))
    except InvalidSignature as error:
        raise invalid(Reason.SIGNATURE, whose) from error
