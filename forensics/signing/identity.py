"""One officer's identity: a signing key with its certificate, and an age key with which partners' packages are opened.

Its folder (mode 0700, each file 0600):

    identity.json     what the rest is: who, where the key is, which stamping authority
    identity.p12      the private key with its certificates, under the passphrase (not there where a token holds the key)
    identity.age      the age identity, encrypted in age's form under the same passphrase (`signing.passphrase`)
    request.pem       what the state's certification authority is asked to sign
    certificate.pem   what it gave back; chain.pem: the authorities between it and the root; root.pem: the root, if it was given

With a token, the passphrase has two lines: the passphrase of the age key, then the token's PIN.
"""

from collections.abc import Callable
from pathlib import Path

import pyrage
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from forensics.digest import canonical
from forensics.errors import SigningError
from forensics.signing import certificates, keys, private
from forensics.signing import passphrase as age_file
from forensics.signing.facts import FORMAT, Facts, Token, read_facts
from forensics.signing.keys import FileKey, Key
from forensics.signing.reader import age_secret, given, utf8
from forensics.signing.stamping import StampingAuthority
from forensics.signing.token import TokenKey, request_by_token

_SHORTEST = 8  # characters of a new passphrase


class Identity(Struct, frozen=True):
    """An opened private key with its certificate."""

    name: str
    country: str
    organisation: str
    fingerprint: str
    certificate: bytes
    chain: tuple[bytes, ...]
    recipient: str
    stamping: StampingAuthority | None
    key: Key
    age_secret: Callable[[], str]
    root: bytes | None = None

    def __repr__(self) -> str:
        return f"Identity({self.name!r}, {self.fingerprint})"


def new(
    folder: Path,
    passphrase: bytes,
    *,
    name: str,
    country: str,
    organisation: str,
    token: Token | None = None,
) -> Facts:
    """Make the keys and the request for a certificate in a folder that has none. Raises SigningError, OSError."""
    check_words(name, country)
    if (folder / "identity.json").exists():
        raise SigningError(f"{folder}: there is an identity already; a new one needs a folder of its own (--identity)")
    secret, pin = _split(passphrase, token is not None)
    if len(secret) < _SHORTEST:
        raise SigningError(f"the passphrase has {len(secret)} characters; take {_SHORTEST} or more, best several words")
    key: Key = TokenKey(token, pin) if token else keys.new_key()
    age = pyrage.x25519.Identity.generate()
    facts = Facts(FORMAT, name, country, organisation, str(age.to_public()), token)
    request = _request(facts, key)
    private.folder(folder)
    if isinstance(key, FileKey):
        private.write(folder / "identity.p12", key.pkcs12(name, secret, None, []))
    private.write(folder / "identity.age", age_file.encrypt(str(age).encode(), utf8(secret)))
    private.write(folder / "request.pem", request)
    private.write(folder / "identity.json", canonical(facts))
    return facts


def install(folder: Path, passphrase: bytes, given: tuple[bytes, ...]) -> str:
    """Put in the certificate that the authority gave back, with its chain, in any order; gives its fingerprint. Raises SigningError.

    The files under the passphrase are written anew, in this version's form.
    """
    facts = read_facts(folder)
    secret, pin = _split(passphrase, facts.token is not None)
    key = _key(folder, facts, secret, pin)
    mine = [der for der in given if certificates.same_key(certificates.load(der), key.public())]
    if not mine:
        raise SigningError(
            f"{folder}: none of the {len(given)} certificates is for the key of this identity; was it made from its request.pem?"
        )
    leaf = certificates.load(mine[0])
    if facts.country != certificates.country(leaf):
        raise SigningError(f"{folder}: the certificate is for country {certificates.country(leaf)!r}, the identity for {facts.country!r}")
    others = [certificates.load(der) for der in given if der != mine[0]]
    chain, root = _ordered(leaf, others)
    if isinstance(key, FileKey):
        private.write(folder / "identity.p12", key.pkcs12(facts.name, secret, leaf, chain))
    if not age_file.is_current(held := private.read(path := folder / "identity.age")):
        private.write(path, age_file.encrypt(age_secret(path, held, secret).encode(), utf8(secret)))
    _put(folder / "chain.pem", [each.public_bytes(Encoding.DER) for each in chain])
    _put(folder / "root.pem", [root.public_bytes(Encoding.DER)] if root else [])
    private.write(folder / "certificate.pem", certificates.pem([mine[0]]))
    return certificates.fingerprint(mine[0])


def open_identity(folder: Path, passphrase: bytes | None) -> Identity:
    """The identity of a folder, ready to sign.

    Raises SigningError where a file may be read by others, or the passphrase does not open it.
    """
    facts = read_facts(folder)
    secret, pin = _split(given(folder, passphrase), facts.token is not None)
    certificate = certificates.of_identity(folder)
    parsed = certificates.load(certificate)
    key = _key(folder, facts, secret, pin)
    if not certificates.same_key(parsed, key.public()):
        raise SigningError(f"{folder}: certificate.pem is not for the key of this identity; `forensics identity install` the right one")

    root = certificates.held(folder / "root.pem")
    path = folder / "identity.age"
    return Identity(
        certificates.common_name(parsed), certificates.country(parsed), certificates.organisation(parsed),
        certificates.fingerprint(certificate), certificate, certificates.held(folder / "chain.pem"), facts.recipient, facts.stamping,
        key, lambda: age_secret(path, private.read(path), secret), root[0] if root else None,
    )  # fmt: skip


def write_facts(folder: Path, facts: Facts) -> None:
    """Change `identity.json`. Raises OSError."""
    private.write(folder / "identity.json", canonical(facts))


def usage() -> list[tuple[x509.ExtensionType, bool]]:
    """What an officer's certificate may be used for: signing contents, nothing else."""
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.KeyUsage(
            digital_signature=True, content_commitment=True, key_encipherment=False, data_encipherment=False, key_agreement=False,
            key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
        ), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False),
    ]  # fmt: skip


def subject(name: str, country: str, organisation: str) -> x509.Name:
    """C, O and CN, in that order."""
    parts = [x509.NameAttribute(NameOID.COUNTRY_NAME, country)]
    if organisation:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def check_words(name: str, country: str) -> None:
    """Refuse a name or a country that cannot stand in a certificate. Raises SigningError."""
    if len(country) != 2 or not country.isascii() or not country.isalpha() or country != country.upper():
        raise SigningError(f"country {country!r}: two capital letters (ISO 3166-1), such as TH")
    if not name.strip() or len(name) > 64:  # RFC 5280, appendix A: ub-common-name
        raise SigningError(f"name {name!r}: between 1 and 64 characters")


def _request(facts: Facts, key: Key) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(facts.name, facts.country, facts.organisation))
    for extension, critical in usage():
        builder = builder.add_extension(extension, critical=critical)
    if isinstance(key, FileKey):
        return builder.sign(key.builder_key(), hashes.SHA256()).public_bytes(Encoding.PEM)
    return request_by_token(subject(facts.name, facts.country, facts.organisation), key)


def _key(folder: Path, facts: Facts, secret: bytes, pin: bytes) -> Key:
    if facts.token is not None:
        return TokenKey(facts.token, pin)
    path = folder / "identity.p12"
    return keys.from_pkcs12(private.read(path), secret, path)


def _ordered(leaf: x509.Certificate, others: list[x509.Certificate]) -> tuple[list[x509.Certificate], x509.Certificate | None]:
    """The authorities from the leaf upwards, and the root if it is among them. What does not belong to the chain is refused."""
    chain: list[x509.Certificate] = []
    left, last = list(others), leaf
    while above := next((each for each in left if each.subject == last.issuer), None):
        left.remove(above)
        try:
            last.verify_directly_issued_by(above)
        except (InvalidSignature, ValueError, TypeError) as error:
            raise SigningError(f"{last.subject.rfc4514_string()} was not signed by {above.subject.rfc4514_string()}") from error
        if certificates.is_self_signed(above):
            if left:
                break
            return chain, above
        chain.append(above)
        last = above
    if left:
        raise SigningError(f"{left[0].subject.rfc4514_string()} does not belong to the chain of {leaf.subject.rfc4514_string()}")
    return chain, None


def _split(passphrase: bytes, token: bool) -> tuple[bytes, bytes]:
    if not token:
        return passphrase, b""
    secret, newline, pin = passphrase.partition(b"\n")
    if not newline or not pin:
        raise SigningError("with a token the passphrase has two lines: the passphrase of the age key, then the token's PIN")
    return secret, pin


def _put(path: Path, ders: list[bytes]) -> None:
    if ders:
        private.write(path, certificates.pem(ders))
    else:
        path.unlink(missing_ok=True)
