"""A small certification authority for a state that has none: one root key in a folder of its own, officers' certificates, revocations.

The folder: `authority.p12` (the root key, under the passphrase), `root.pem`, `issued/<serial>.pem`, `revoked.json`.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Struct

from forensics.digest import canonical
from forensics.errors import SigningError
from forensics.signing import certificates, identity, keys, private, schemes

ROOT_YEARS, OFFICER_DAYS, LIST_DAYS = 15, 730, 90
_WRONG_REQUEST = 64 * 1024


class Revoked(Struct, frozen=True, forbid_unknown_fields=True):
    """One revoked certificate: serial number (hexadecimal), when, why ("keyCompromise", ... of RFC 5280)."""

    serial: str
    at: datetime
    reason: str


def new(folder: Path, passphrase: bytes, *, name: str, country: str, organisation: str, at: datetime) -> bytes:
    """Make the root; gives its certificate (DER). Raises SigningError, OSError."""
    identity.check_words(name, country)
    if (folder / "root.pem").exists():
        raise SigningError(f"{folder}: there is an authority already; a new one needs a folder of its own")
    key = keys.new_key()
    subject = identity.subject(name, country, organisation)
    public = key.public()
    root = (
        _builder(subject, subject, public, at, at + timedelta(days=365 * ROOT_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_CA_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key.builder_key(), hashes.SHA256())
    )
    private.folder(folder)
    private.folder(folder / "issued")
    private.write(folder / "authority.p12", key.pkcs12(name, passphrase, root, []))
    private.write(folder / "revoked.json", canonical([]))
    der = root.public_bytes(Encoding.DER)
    private.write(folder / "root.pem", certificates.pem([der]))
    return der


def issue(folder: Path, passphrase: bytes, request: bytes, *, at: datetime, days: int = OFFICER_DAYS) -> tuple[bytes, bytes]:
    """An officer's certificate for a request (PEM), whose name the person has looked at; gives it and the root (DER). Raises SigningError.

    Of the request only the name and the key are taken: what the certificate may be used for is decided here.
    """
    root, key = _open(folder, passphrase)
    asked = read_request(request)
    public = asked.public_key()
    if schemes.of_key(public) is None or not isinstance(public, schemes.PublicKey):
        raise SigningError(f"the request's key is not {schemes.KINDS}")
    if certificates.text_of(asked.subject, x509.NameOID.COUNTRY_NAME) != certificates.country(root):
        raise SigningError(f"the request {asked.subject.rfc4514_string()} is not of the authority's country {certificates.country(root)}")
    builder = _builder(asked.subject, root.subject, public, at, min(at + timedelta(days=days), root.not_valid_after_utc))
    for extension, critical in identity.usage():
        builder = builder.add_extension(extension, critical=critical)
    made = (
        builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_key_identifier(root), critical=False)
        .sign(key.builder_key(), hashes.SHA256())
    )
    der = made.public_bytes(Encoding.DER)
    private.write(folder / "issued" / f"{made.serial_number:x}.pem", certificates.pem([der]))
    return der, root.public_bytes(Encoding.DER)


def revoke(
    folder: Path, passphrase: bytes, serials: tuple[str, ...], *, at: datetime, reason: str = "unspecified", days: int = LIST_DAYS
) -> bytes:
    """Revoke issued certificates by serial number (hexadecimal; none: only a fresh list); gives the list (DER).

    Raises SigningError.
    """
    root, key = _open(folder, passphrase)
    path = folder / "revoked.json"
    known = {each.serial: each for each in msgspec.json.decode(private.read(path), type=list[Revoked])}
    try:
        flag = x509.ReasonFlags(reason)
    except ValueError as error:
        raise SigningError(f"reason {reason!r}: one of {', '.join(sorted(each.value for each in x509.ReasonFlags))}") from error
    for serial in serials:
        number = serial.lower().removeprefix("0x").lstrip("0")
        if not number.isalnum() or not (folder / "issued" / f"{number}.pem").exists():
            raise SigningError(f"{folder}: no certificate with the serial number {serial!r} was issued here")
        known.setdefault(number, Revoked(number, at.astimezone(UTC).replace(microsecond=0), flag.value))
    builder = x509.CertificateRevocationListBuilder().issuer_name(root.subject).last_update(at).next_update(at + timedelta(days=days))
    builder = builder.add_extension(_key_identifier(root), critical=False)
    builder = builder.add_extension(x509.CRLNumber(int(at.timestamp())), critical=False)
    for each in sorted(known.values(), key=lambda each: each.serial):
        entry = x509.RevokedCertificateBuilder().serial_number(int(each.serial, 16)).revocation_date(each.at)
        if each.reason != "unspecified":  # RFC 5280, section 5.3.1: leave it out rather
            entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags(each.reason)), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    made = builder.sign(key.builder_key(), hashes.SHA256())
    private.write(path, canonical([known[serial] for serial in sorted(known)]))
    return made.public_bytes(Encoding.DER)


def read_request(request: bytes) -> x509.CertificateSigningRequest:
    """A request (PEM) whose own signature holds. Raises SigningError."""
    if len(request) > _WRONG_REQUEST:
        raise SigningError(f"a request of {len(request)} bytes is too large")
    try:
        asked = x509.load_pem_x509_csr(request)
    except ValueError as error:
        raise SigningError(f"not a certificate request in PEM: {error}") from error
    if not asked.is_signature_valid:
        raise SigningError("the request's own signature does not hold: it was changed")
    return asked


_CA_USAGE = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
    key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)  # fmt: skip


def _open(folder: Path, passphrase: bytes) -> tuple[x509.Certificate, keys.FileKey]:
    private.check_folder(folder)
    path = folder / "authority.p12"
    key = keys.from_pkcs12(private.read(path), passphrase, path)
    root = certificates.load(certificates.from_file(private.read(folder / "root.pem"), str(folder / "root.pem"))[0])
    if not certificates.same_key(root, key.public()):
        raise SigningError(f"{folder}: root.pem is not for the key of authority.p12; put back the one that belongs to it")
    return root, key


def _key_identifier(root: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    found = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def _builder(subject: x509.Name, issuer: x509.Name, key: schemes.PublicKey, since: datetime, until: datetime) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(since).not_valid_after(until)
