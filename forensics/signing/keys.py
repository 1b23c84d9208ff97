"""Where the private key is: in a file of one's own, or in a token that does not give it away."""

from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12
from cryptography.x509 import Certificate

from forensics.errors import SigningError
from forensics.signing import der
from forensics.signing.schemes import HASHES, KINDS, PublicKey, of_key

ROUNDS = 600_000  # PBKDF2-HMAC-SHA-256, as OWASP's password storage guide has it since 2023
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Key(Protocol):
    """A private key: it signs, and it names its public key."""

    def sign(self, data: bytes, digest: str) -> bytes:
        """A signature over the digest ("sha256", "sha384") of `data`: ECDSA in DER, RSA as PKCS #1 v1.5 has it. Raises SigningError."""

    def public(self) -> PublicKey:
        """The public key. Raises SigningError."""


class FileKey:
    """A private key out of a PKCS#12 file."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    def sign(self, data: bytes, digest: str) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, padding.PKCS1v15(), HASHES[digest])
        return self._key.sign(data, ec.ECDSA(HASHES[digest]))

    def public(self) -> PublicKey:
        return self._key.public_key()

    def pkcs12(self, name: str, passphrase: bytes, certificate: Certificate | None, chain: list[Certificate]) -> bytes:
        """The key and its certificates as PKCS#12 (RFC 7292) with PBES2: PBKDF2-HMAC-SHA-256, AES-256-CBC; without the optional MAC.

        That MAC's key comes of 2,048 rounds of a digest, whatever the rounds of the rest: who has the file would try passphrases
        against it, hundreds of times faster. What it would tell is told by the certificate, which must be for the key, whenever the
        identity is opened.
        """
        if not passphrase:
            raise SigningError("an empty passphrase protects nothing; choose several words")
        encryption = (
            PrivateFormat.PKCS12.encryption_builder()
            .kdf_rounds(ROUNDS)
            .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
            .build(passphrase)
        )
        made = pkcs12.serialize_key_and_certificates(name.encode(), self._key, certificate, chain, encryption)
        version, contents, _ = der.children(made)
        return der.make(made[0], version, contents)

    def builder_key(self) -> PrivateKey:
        """The key itself, for what signs certificates and requests."""
        return self._key


def new_key() -> FileKey:
    """A new P-256 key, from the system's random numbers."""
    return FileKey(ec.generate_private_key(ec.SECP256R1()))


def from_pkcs12(data: bytes, passphrase: bytes, path: Path) -> FileKey:
    """The key of a PKCS#12 file. Raises SigningError where the passphrase does not open it or the key is of another kind."""
    try:
        key = pkcs12.load_pkcs12(data, passphrase).key
    except ValueError as error:
        raise SigningError(f"{path}: the passphrase does not open it, or it is not PKCS#12") from error
    if not isinstance(key, PrivateKey) or of_key(key.public_key()) is None:
        raise SigningError(f"{path}: its key is not {KINDS}")
    return FileKey(key)
