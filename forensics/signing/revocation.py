"""Whether a certificate was revoked, by the revocation lists that are at hand: nothing is fetched. RFC 5280, section 5."""

from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Struct

from forensics.errors import SigningError
from forensics.signing.certificates import common_name
from forensics.signing.reasons import Reason, invalid

# What a revocation list may mark critical and still be a complete list of one issuer.
_UNDERSTOOD = {x509.CRLNumber.oid, x509.AuthorityKeyIdentifier.oid}
_HOLD = x509.ReasonFlags.certificate_hold
# Reasons that say nothing against what was signed before (RFC 3161, section 4). It also names `unspecified`, which a list says by saying
# nothing (RFC 5280, section 5.3.1), and nothing said voids every time stamp.
KEY_UNHARMED = frozenset({x509.ReasonFlags.affiliation_changed, x509.ReasonFlags.superseded, x509.ReasonFlags.cessation_of_operation})


class Revocation(StrEnum):
    """What to do where no current list of the issuer is at hand: say so in the signer's `warnings`, or refuse."""

    WARN = "warn"
    REQUIRE = "require"


class Issued(Struct, frozen=True):
    """A certificate with the one that issued it."""

    certificate: x509.Certificate
    issuer: x509.Certificate


def load(der: bytes) -> x509.CertificateRevocationList:
    """Raises ValueError where these bytes are not a revocation list."""
    return x509.load_der_x509_crl(der)


def read(data: bytes) -> tuple[bytes, x509.CertificateRevocationList]:
    """A revocation list in PEM or DER, as DER and parsed. Raises SigningError."""
    try:
        crl = x509.load_pem_x509_crl(data) if data.startswith(b"-----BEGIN") else load(data)
    except ValueError as error:
        raise SigningError(f"not a revocation list in PEM or DER: {error}") from error
    return crl.public_bytes(Encoding.DER), crl


def leads_to(certificate: x509.Certificate, root: x509.Certificate, below: list[x509.Certificate]) -> bool:
    """Whether `certificate` was issued by `root`, or by one of `below` that was."""
    above, left = certificate, list(below)
    while not _issued(above, root):
        found = next((each for each in left if each != above and _issued(above, each)), None)
        if found is None:
            return False
        left.remove(found)
        above = found
    return True


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def signed_by(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    """Whether this is a complete list of `issuer`, signed with its key, which its keyUsage lets it sign."""
    key = issuer.public_key()
    if crl.issuer != issuer.subject or not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return False
    if any(each.critical and each.oid not in _UNDERSTOOD for each in crl.extensions) or not _may_sign(issuer):
        return False  # a delta, an indirect or a partial list: its silence proves nothing
    return crl.is_signature_valid(key)


def check(
    issued: Issued,
    lists: Iterable[x509.CertificateRevocationList],
    *,
    at: datetime | None,
    now: datetime,
    mode: Revocation,
    excused: Collection[x509.ReasonFlags] | None = None,
) -> str | None:
    """Refuse a revoked certificate; give back the warning where that is not known. Raises SignatureInvalid.

    With `at` (a time that a time stamp shows) a later revocation does not count. Without it every revocation counts: the time in a
    signature is a claim by whoever holds the key, and the key may be why the certificate was revoked.

    excused: the reasons of a later revocation that does not count; `None`: all. A stamping authority states `at` by itself, so whoever
    stole its key states what he likes: there only `KEY_UNHARMED` do.
    """
    name = common_name(issued.certificate)
    found = sorted((crl for crl in lists if signed_by(crl, issued.issuer)), key=lambda crl: crl.last_update_utc, reverse=True)
    for age, crl in enumerate(found):
        entry = crl.get_revoked_certificate_by_serial_number(issued.certificate.serial_number)
        if entry is None or (age and _reason(entry) is _HOLD):  # a hold of an older list may have been lifted
            continue
        since = _since(entry)
        if at is None or since <= at or (excused is not None and _reason(entry) not in excused):
            raise invalid(Reason.REVOKED, f"{name}, since {since:%Y-%m-%dT%H:%M:%SZ}")
    until = found[0].next_update_utc if found else None
    if found and until is not None and until >= now:
        return None
    what = (
        f"the revocation list of {common_name(issued.issuer)} is of {found[0].last_update_utc:%Y-%m-%d}"
        if found
        else (f"no revocation list of {common_name(issued.issuer)} is at hand")
    )
    if mode is Revocation.REQUIRE:
        raise invalid(Reason.REVOCATION_UNKNOWN, f"{name}: {what}")
    return f"{what}: whether {name} was revoked since is not known"


def _may_sign(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return None


def _since(entry: x509.RevokedCertificate) -> datetime:
    """When it was revoked, or since when the key is known to be lost, if that is earlier (RFC 5280, section 5.3.2)."""
    try:
        lost = entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc
    except x509.ExtensionNotFound:
        return entry.revocation_date_utc
    return min(lost, entry.revocation_date_utc)
