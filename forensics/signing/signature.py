"""Sign, sign beside another, verify: detached CMS/CAdES signatures over bytes."""

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from forensics.signing import certificates, cms, schemes
from forensics.signing.chain import Chain, Purpose, validate
from forensics.signing.identity import Identity
from forensics.signing.reasons import Reason, invalid
from forensics.signing.revocation import Revocation
from forensics.signing.trust import Trust

CLOCKS = timedelta(minutes=5)  # by which the clocks of two states may differ


class Signer(Struct, frozen=True):
    """Who signed, as the certificate and the pinned root say it; when, as the signer claims; and what could not be known."""

    name: str
    country: str
    organisation: str
    fingerprint: str
    state: str
    signed_at: str
    certificate: bytes
    warnings: tuple[str, ...] = ()


def sign(data: bytes, identity: Identity, *, at: datetime) -> bytes:
    """A detached signature over `data` (CAdES-B, DER), claiming to be made `at`. Raises SigningError."""
    return cms.encode(cms.Signed((_part(data, identity, at),), (identity.certificate, *identity.chain)))


def countersign(data: bytes, signature: bytes, identity: Identity, *, at: datetime) -> bytes:
    """The signature file with a second signature over the same `data`. Raises SignatureInvalid where the first does not hold, SigningError.

    Whether the first signer is trusted is asked of `verify`.
    """
    signed = cms.decode(signature)
    for part in signed.parts:
        cms.check(data, part)
        if part.certificate == identity.certificate:
            raise invalid(Reason.SAME_SIGNER, identity.name)
    held = (*signed.certificates, identity.certificate, *identity.chain)
    return cms.encode(cms.Signed((*signed.parts, _part(data, identity, at)), held))


def verify(
    data: bytes,
    signature: bytes,
    trust: Trust,
    *,
    at: datetime | None = None,
    now: datetime | None = None,
    revocation: Revocation = Revocation.WARN,
) -> tuple[Signer, ...]:
    """Everyone who signed `data`, by claimed time; every signature must hold. Raises SignatureInvalid with its `reason`.

    at: a time at which the signature is known to have existed (`verify_stamp`); certificates are then judged as they stood at that time.
    now: by which clock certificates are judged where `at` is not given; the machine's unless told otherwise.
    """
    signed = cms.decode(signature)
    clock = now or datetime.now(UTC)
    signers, used = [], set()
    for part in sorted(signed.parts, key=lambda part: (part.signed_at, part.certificate)):
        cms.check(data, part)
        if part.signed_at > (at or clock) + CLOCKS:
            raise invalid(Reason.TIME, f"signed at {_text(part.signed_at)}, {'stamped' if at else 'now'} {_text(at or clock)}")
        chain = validate(
            part.certificate, signed.certificates, trust.for_use("signing"), Purpose.SIGN,
            claimed=part.signed_at, at=at, now=clock, revoked=revocation,
        )  # fmt: skip
        used |= set(chain.certificates)
        signers.append(_signer(part, chain))
    if used != set(signed.certificates):
        raise invalid(Reason.CERTIFICATES, f"{len(set(signed.certificates) - used)} belong to no signer")
    if len({each.fingerprint for each in signers}) != len(signers):
        raise invalid(Reason.SAME_SIGNER, signers[0].name)
    return tuple(signers)


def _part(data: bytes, identity: Identity, at: datetime) -> cms.Part:
    moment = at.astimezone(UTC).replace(microsecond=0)
    scheme = schemes.of(certificates.load(identity.certificate))
    digest = cms.digest_of(data, identity.certificate)
    raw = identity.key.sign(cms.to_be_signed(identity.certificate, digest, moment), scheme.digest)
    part = cms.Part(identity.certificate, moment, digest, schemes.single(raw, scheme))
    cms.check(data, part)  # a token may hold another key than the certificate says
    return part


def _signer(part: cms.Part, chain: Chain) -> Signer:
    parsed = certificates.load(part.certificate)
    return Signer(
        certificates.common_name(parsed), certificates.country(parsed), certificates.organisation(parsed),
        certificates.fingerprint(part.certificate), chain.root.state, _text(part.signed_at), part.certificate, chain.warnings,
    )  # fmt: skip


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
