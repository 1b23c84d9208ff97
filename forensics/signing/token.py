"""Private keys in a smart card or another PKCS#11 token, by way of pyHanko (`pip install 'forensics[token]'`). The PIN is kept nowhere."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from forensics.errors import SigningError
from forensics.signing.facts import Token
from forensics.signing.keys import Key
from forensics.signing.schemes import KINDS, PublicKey, of_key

# What PKCS #1 version 1.5 puts before a digest (RFC 8017, section 9.2, note 1): the token pads and signs, as every token can.
_DIGEST_INFO = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
}


class TokenKey:
    """An ECDSA or RSA key in a token; a session is opened for each use, and closed."""

    def __init__(self, token: Token, pin: bytes) -> None:
        self._token = token
        self._pin = pin

    def sign(self, data: bytes, digest: str) -> bytes:
        with self._session() as (session, pkcs11):
            key = self._find(session, pkcs11.ObjectClass.PRIVATE_KEY, pkcs11)
            hashed = hashlib.new(digest, data).digest()
            if key.key_type == pkcs11.KeyType.RSA:
                return bytes(key.sign(_DIGEST_INFO[digest] + hashed, mechanism=pkcs11.Mechanism.RSA_PKCS))
            raw = key.sign(hashed, mechanism=pkcs11.Mechanism.ECDSA)
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    def public(self) -> PublicKey:
        with self._session() as (session, pkcs11):
            found = self._find(session, pkcs11.ObjectClass.PUBLIC_KEY, pkcs11)
            from pkcs11.util.ec import encode_ec_public_key
            from pkcs11.util.rsa import encode_rsa_public_key

            der = encode_rsa_public_key(found) if found.key_type == pkcs11.KeyType.RSA else encode_ec_public_key(found)
        key = load_der_public_key(der)
        if of_key(key) is None or not isinstance(key, PublicKey):
            raise SigningError(f"token {self._token.label}: key {self._token.key} is not {KINDS}")
        return key

    @contextmanager
    def _session(self) -> Iterator[tuple[Any, Any]]:
        try:
            import pkcs11
            from pyhanko.config.pkcs11 import TokenCriteria
            from pyhanko.sign.pkcs11 import open_pkcs11_session
        except ImportError as error:
            raise SigningError("tokens need pip install 'forensics[token]'") from error
        criteria = TokenCriteria(label=self._token.label)
        try:
            with open_pkcs11_session(self._token.module, token_criteria=criteria, user_pin=self._pin.decode()) as session:
                yield session, pkcs11
        except (pkcs11.PKCS11Error, RuntimeError, UnicodeDecodeError) as error:
            raise SigningError(f"token {self._token.label} ({self._token.module}): {type(error).__name__} {error}") from error

    def _find(self, session: Any, kind: Any, pkcs11: Any) -> Any:
        try:
            return session.get_key(object_class=kind, label=self._token.key)
        except (pkcs11.NoSuchKey, pkcs11.MultipleObjectsReturned) as error:
            raise SigningError(f"token {self._token.label}: not exactly one {kind.name} with the label {self._token.key!r}") from error


def request_by_token(subject: x509.Name, key: Key) -> bytes:
    """A certificate request (PKCS#10, PEM) signed in the token. Raises SigningError."""
    from asn1crypto import csr, keys, pem  # here, because few have a token, and everybody opens an identity
    from asn1crypto import x509 as asn1_x509

    public = key.public()
    info = csr.CertificationRequestInfo(
        {
            "version": "v1",
            "subject": asn1_x509.Name.load(subject.public_bytes()),
            "subject_pk_info": keys.PublicKeyInfo.load(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
            "attributes": [],
        }
    )
    request = csr.CertificationRequest(
        {
            "certification_request_info": info,
            "signature_algorithm": {"algorithm": "sha256_rsa" if isinstance(public, rsa.RSAPublicKey) else "sha256_ecdsa"},
            "signature": key.sign(info.dump(), "sha256"),
        }
    )
    return bytes(pem.armor("CERTIFICATE REQUEST", request.dump()))
