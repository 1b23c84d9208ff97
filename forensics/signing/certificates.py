"""What a certificate says of itself: names, fingerprint, PEM in and out. Nothing here is trusted yet."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from forensics.errors import SigningError
from forensics.signing import private
from forensics.signing.schemes import PublicKey

LARGEST = 64 * 1024  # bytes of one certificate; real ones have one or two thousand
MANY = 32  # certificates in one file


@lru_cache(maxsize=64)
def load(der: bytes) -> x509.Certificate:
    """The certificate of exactly these DER bytes. Raises SigningError."""
    if len(der) > LARGEST:
        raise SigningError(f"a certificate of {len(der)} bytes is larger than {LARGEST}")
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion) as error:
        raise SigningError(f"not a certificate in DER: {error}") from error


def from_file(data: bytes, name: str) -> tuple[bytes, ...]:
    """The certificates (DER) of a PEM or DER file, in its order. Raises SigningError with `name`."""
    if len(data) > LARGEST * MANY:
        raise SigningError(f"{name}: {len(data)} bytes are too many for a file of certificates")
    try:
        if b"-----BEGIN" not in data:
            return (load(data).public_bytes(Encoding.DER),)
        found = x509.load_pem_x509_certificates(data)
    except (ValueError, x509.InvalidVersion, SigningError) as error:
        raise SigningError(f"{name}: not a certificate in PEM or DER: {error}") from error
    if len(found) > MANY:
        raise SigningError(f"{name}: {len(found)} certificates are more than {MANY}")
    return tuple(each.public_bytes(Encoding.DER) for each in found)


def held(path: Path) -> tuple[bytes, ...]:
    """The certificates in a private file, none where it is not there. Raises SigningError."""
    return from_file(private.read(path), str(path)) if path.exists() else ()


def of_identity(folder: Path) -> bytes:
    """The certificate (DER) of the identity in `folder`, for which no passphrase is needed. Raises SigningError."""
    found = held(folder / "certificate.pem")
    if not found:
        raise SigningError(
            f"{folder}: no certificate yet; have request.pem signed by your authority, then `forensics identity install CERTIFICATE CHAIN`"
        )
    return found[0]


def pem(ders: Iterable[bytes]) -> bytes:
    """The certificates as one PEM text."""
    return b"".join(load(der).public_bytes(Encoding.PEM) for der in ders)


def fingerprint(der: bytes) -> str:
    """SHA-256 of the DER bytes in lower-case hexadecimal: what two people compare over the telephone."""
    return hashlib.sha256(der).hexdigest()


def spoken(digest: str) -> str:
    """A fingerprint in groups of four, for reading aloud."""
    return " ".join(digest[at : at + 4] for at in range(0, len(digest), 4))


def text_of(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    """The first value of one attribute of a name, "" where it is absent."""
    found = name.get_attributes_for_oid(oid)
    value = found[0].value if found else ""
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")


def common_name(certificate: x509.Certificate) -> str:
    return text_of(certificate.subject, NameOID.COMMON_NAME)


def country(certificate: x509.Certificate) -> str:
    return text_of(certificate.subject, NameOID.COUNTRY_NAME).upper()


def organisation(certificate: x509.Certificate) -> str:
    return text_of(certificate.subject, NameOID.ORGANIZATION_NAME)


def is_self_signed(certificate: x509.Certificate) -> bool:
    return certificate.subject == certificate.issuer


def same_key(certificate: x509.Certificate, key: PublicKey) -> bool:
    """Whether the certificate is for this public key."""
    try:
        held = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningError(f"the certificate's key cannot be read: {error}") from error
    return held == key


def is_root(certificate: x509.Certificate) -> bool:
    """Whether it is signed by its own key and says that it issues certificates."""
    try:
        certificate.verify_directly_issued_by(certificate)
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return False
