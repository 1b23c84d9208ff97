"""From a signer's certificate to a pinned root, or the reason why not. RFC 5280, section 6, for what state PKIs use of it.

What is not understood is refused, not skipped: name constraints, policy constraints, any other critical extension.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from itertools import count, pairwise
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, SignatureAlgorithmOID
from msgspec import Struct

from forensics.errors import SignatureInvalid, SigningError
from forensics.signing import certificates, der, revocation
from forensics.signing.reasons import Reason, invalid
from forensics.signing.revocation import Issued, Revocation
from forensics.signing.trust import Root

_E = TypeVar("_E", bound=x509.ExtensionType)
_DER = Encoding.DER
DEEPEST = 6  # certificates between the signer's and the root
CHECKS = 200  # signatures of issuers that are verified in search of one path; real ones need fewer than ten
_DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336
_UNDERSTOOD = {
    ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
}  # fmt: skip
_CONSTRAINTS = {
    ExtensionOID.NAME_CONSTRAINTS, ExtensionOID.POLICY_CONSTRAINTS, ExtensionOID.INHIBIT_ANY_POLICY, ExtensionOID.POLICY_MAPPINGS,
}  # fmt: skip
_ALGORITHMS = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA256, SignatureAlgorithmOID.ECDSA_WITH_SHA384, SignatureAlgorithmOID.ECDSA_WITH_SHA512,
    SignatureAlgorithmOID.RSA_WITH_SHA256, SignatureAlgorithmOID.RSA_WITH_SHA384, SignatureAlgorithmOID.RSA_WITH_SHA512,
    SignatureAlgorithmOID.RSASSA_PSS,
}  # fmt: skip
_CURVES = {"secp256r1", "secp384r1", "secp521r1"}
_SMALLEST_RSA = 2048
_VERSION = 0xA0  # its tag in a certificate, absent in the first version


class Purpose(StrEnum):
    """What the certificate at the end of the chain is used for."""

    SIGN = "sign"
    STAMP = "stamp"


class Chain(Struct, frozen=True):
    """A chain that holds: the pinned root, the certificates from the signer's upwards without the root (DER), and what is not known."""

    root: Root
    certificates: tuple[bytes, ...]
    warnings: tuple[str, ...]


def validate(
    leaf: bytes,
    pool: Iterable[bytes],
    roots: Iterable[Root],
    purpose: Purpose,
    *,
    claimed: datetime,
    at: datetime | None,
    now: datetime,
    revoked: Revocation = Revocation.WARN,
) -> Chain:
    """The chain from `leaf` through certificates of `pool` to one of `roots`. Raises SignatureInvalid with its reason.

    claimed: when the signature says that it was made. at: when a time stamp shows that it existed; None where nothing does, and then
    all certificates must be valid `now` as well.
    """
    try:
        path, root = _path(certificates.load(leaf), [certificates.load(each) for each in pool], tuple(roots))
        chain = [*path, certificates.load(root.certificate)]
        warnings = _judge(chain, root, purpose, claimed=claimed, at=at, now=now, revoked=revoked)
    except SignatureInvalid:
        raise
    except (
        ValueError,
        TypeError,
        SigningError,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        UnsupportedAlgorithm,
        x509.UnsupportedGeneralNameType,
    ) as error:
        # cryptography reads extensions and keys only when they are asked for
        raise invalid(Reason.STRUCTURE, f"a certificate cannot be read: {error}") from error
    return Chain(root, tuple(each.public_bytes(_DER) for each in path), warnings)


def _judge(
    chain: list[x509.Certificate],
    root: Root,
    purpose: Purpose,
    *,
    claimed: datetime,
    at: datetime | None,
    now: datetime,
    revoked: Revocation,
) -> tuple[str, ...]:
    _check_leaf(chain[0], purpose, root)
    for below, certificate in enumerate(chain):
        _check_form(certificate, pinned=certificate is chain[-1])
        if below:
            _check_issuer(certificate, chain[:below], purpose)
        for moment in (claimed, at or now):
            _check_validity(certificate, moment)
    lists = [revocation.load(der) for der in root.crls]
    issued = [Issued(*pair) for pair in pairwise(chain)]
    excused = revocation.KEY_UNHARMED if purpose is Purpose.STAMP else None
    said = (revocation.check(each, lists, at=at, now=now, mode=revoked, excused=excused) for each in reversed(issued))
    return tuple(warning for warning in said if warning)


def _path(leaf: x509.Certificate, pool: list[x509.Certificate], roots: tuple[Root, ...]) -> tuple[list[x509.Certificate], Root]:
    """The shortest path by name and signature alone. Each certificate is reached once, so no arrangement of them makes the search long."""
    pinned = [(certificates.load(root.certificate), root) for root in roots]
    if certificates.is_self_signed(leaf):
        raise invalid(Reason.SELF_SIGNED, _named(leaf))
    left = [each for each in pool if each != leaf and not certificates.is_self_signed(each)]
    checks, paths = count(1), deque([[leaf]])
    while paths:
        path = paths.popleft()
        for certificate, root in pinned:
            if _issued(path[-1], certificate, checks):
                return path, root
        if len(path) > DEEPEST:
            continue
        found = [each for each in left if _issued(path[-1], each, checks)]
        left = [each for each in left if each not in found]
        paths += [[*path, each] for each in found]
    raise invalid(Reason.UNPINNED, f"{_named(leaf)}, issued by {leaf.issuer.rfc4514_string()}")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, checks: Iterator[int]) -> bool:
    if certificate.issuer != issuer.subject or certificate.signature_algorithm_oid not in _ALGORITHMS:
        return False
    if next(checks) > CHECKS:
        raise invalid(Reason.CERTIFICATES, f"after {CHECKS} signatures of issuers no path to a root was found")
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _check_leaf(leaf: x509.Certificate, purpose: Purpose, root: Root) -> None:
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise invalid(Reason.PURPOSE, f"{_named(leaf)} is an issuer of certificates, and may not sign anything else")
    usage, extended = _extension(leaf, x509.KeyUsage), _extension(leaf, x509.ExtendedKeyUsage)
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise invalid(Reason.PURPOSE, f"{_named(leaf)}: its keyUsage has neither digitalSignature nor contentCommitment")
    if purpose is Purpose.STAMP:
        critical = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).critical if extended is not None else False
        if extended is None or not critical or set(extended) != {ExtendedKeyUsageOID.TIME_STAMPING}:  # RFC 3161, section 2.3
            raise invalid(Reason.PURPOSE, f"{_named(leaf)} is not a certificate for time stamps alone")
    elif usage is None:
        raise invalid(Reason.PURPOSE, f"{_named(leaf)} has no keyUsage")
    elif extended is None and not usage.content_commitment:
        raise invalid(Reason.PURPOSE, f"{_named(leaf)} has neither extendedKeyUsage nor contentCommitment")
    elif extended is not None and not {ExtendedKeyUsageOID.EMAIL_PROTECTION, _DOCUMENT_SIGNING} & set(extended):
        names = ", ".join(each.dotted_string for each in extended)
        raise invalid(Reason.PURPOSE, f"{_named(leaf)}: extendedKeyUsage {names} has neither emailProtection nor documentSigning")
    if purpose is Purpose.SIGN and certificates.country(leaf) not in ("", root.state):
        raise invalid(Reason.COUNTRY, f"{_named(leaf)} says {certificates.country(leaf)}, its root is trusted for {root.state}")


def _check_form(certificate: x509.Certificate, *, pinned: bool) -> None:
    if certificate.version is not x509.Version.v3 and not pinned:
        raise invalid(Reason.STRUCTURE, f"{_named(certificate)} is not of version 3")
    for each in certificate.extensions:
        if each.oid in _CONSTRAINTS or (each.critical and each.oid not in _UNDERSTOOD):
            raise invalid(Reason.CONSTRAINT, f"{_named(certificate)}: {each.oid.dotted_string}")
    body, algorithm, signature = der.children(certificate.public_bytes(_DER))
    inner = der.children(body)
    if inner[1 + (inner[0][0] == _VERSION)] != algorithm or der.content(signature)[:1] != b"\0":
        # what its issuer's signature does not cover: another name of the algorithm, unused bits (which readers skip)
        raise invalid(Reason.STRUCTURE, f"{_named(certificate)}: its signature is not in its one form")
    key = certificate.public_key()
    good = (
        key.curve.name in _CURVES
        if isinstance(key, ec.EllipticCurvePublicKey)
        else isinstance(key, rsa.RSAPublicKey) and key.key_size >= _SMALLEST_RSA
    )
    if not good:
        raise invalid(Reason.ALGORITHM, f"{_named(certificate)}: its key")
    digest = certificate.signature_hash_algorithm
    if not pinned and (digest is None or digest.digest_size < 32):
        raise invalid(Reason.ALGORITHM, f"{_named(certificate)}: its digest")


def _check_issuer(issuer: x509.Certificate, below: list[x509.Certificate], purpose: Purpose) -> None:
    constraints, usage = _extension(issuer, x509.BasicConstraints), _extension(issuer, x509.KeyUsage)
    if constraints is None or not constraints.ca:
        raise invalid(Reason.PATH, f"{_named(issuer)} is not an issuer of certificates")
    if usage is not None and not usage.key_cert_sign:
        raise invalid(Reason.PATH, f"{_named(issuer)}: its keyUsage has no keyCertSign")
    between = sum(not certificates.is_self_signed(each) for each in below[1:])
    if constraints.path_length is not None and between > constraints.path_length:
        raise invalid(Reason.PATH, f"{_named(issuer)} may have {constraints.path_length} issuers below it, and has {between}")
    extended = _extension(issuer, x509.ExtendedKeyUsage)
    wanted = {ExtendedKeyUsageOID.TIME_STAMPING} if purpose is Purpose.STAMP else {ExtendedKeyUsageOID.EMAIL_PROTECTION, _DOCUMENT_SIGNING}
    if extended is not None and not ({*wanted, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(extended)):
        raise invalid(Reason.PURPOSE, f"{_named(issuer)} may not issue certificates for this purpose")


def _check_validity(certificate: x509.Certificate, moment: datetime) -> None:
    if moment < certificate.not_valid_before_utc:
        raise invalid(Reason.NOT_YET_VALID, f"{_named(certificate)}: from {certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}")
    if moment > certificate.not_valid_after_utc:
        raise invalid(Reason.EXPIRED, f"{_named(certificate)}: until {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}")


def _extension(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _named(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a name"
