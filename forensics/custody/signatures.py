"""Who signed a piece of the custody log: proved with a trust list; without one, only that the signature is whole."""

import base64
import binascii
from datetime import UTC, datetime

from msgspec import Struct

from forensics import signing
from forensics.errors import SignatureInvalid
from forensics.signing import certificates, cms
from forensics.signing.reasons import Reason, invalid
from forensics.signing.trust import Trust


class SignedBy(Struct, frozen=True):
    """A signer. `state` is that of the pinned root, `None` where nothing was asked for: then `name` is what the certificate says of itself.

    `signed_at` is the time that the signature claims, ISO 8601 in UTC.
    """

    name: str
    fingerprint: str
    state: str | None
    signed_at: str


def signers(data: bytes, signature: bytes, trust: Trust | None, *, at: datetime | None = None) -> tuple[SignedBy, ...]:
    """Who signed exactly `data`; with `trust`, every certificate is followed to a pinned root and looked up in its revocation lists.

    at: a time at which the signature is known to have existed. Without one they must be valid now as well as at the claimed time, and every
    revocation counts. Raises SignatureInvalid.
    """
    return _signers(data, signature, trust, at=at)


def signers_expired(
    data: bytes, signature: bytes, trust: Trust | None, *, at: datetime | None = None
) -> tuple[tuple[SignedBy, ...], str | None]:
    """As `signers`, but that the certificate of a lone signer has expired since is no refusal: it is said, as what is not proved.

    The certificate must have been valid at the time that the signature claims, and must not be revoked, whenever that was. Raises
    SignatureInvalid for all else.
    """
    try:
        return _signers(data, signature, trust, at=at), None
    except SignatureInvalid as error:
        if error.reason != Reason.EXPIRED:
            raise
        parts = cms.decode(signature).parts
        if len(parts) != 1:  # of several, one may claim a time to come
            raise
        (found,) = _signers(data, signature, trust, now=parts[0].signed_at.astimezone(UTC))
    known = f"the first time stamp over it is of {at:%Y-%m-%dT%H:%M:%SZ}" if at else "no time stamp covers it"
    return (found,), (
        f"the certificate of {found.name} has expired since, and {known}: that it was signed at {found.signed_at} could not be proved"
    )


def _signers(
    data: bytes, signature: bytes, trust: Trust | None, *, at: datetime | None = None, now: datetime | None = None
) -> tuple[SignedBy, ...]:
    if trust is not None:
        verified = signing.verify(data, signature, trust, at=at, now=now)
        return tuple(SignedBy(each.name, each.fingerprint, each.state, each.signed_at) for each in verified)
    found = []
    for part in cms.decode(signature).parts:
        cms.check(data, part)
        name = certificates.common_name(certificates.load(part.certificate))
        found.append(SignedBy(name, certificates.fingerprint(part.certificate), None, part.signed_at.strftime("%Y-%m-%dT%H:%M:%SZ")))
    if len({each.fingerprint for each in found}) < len(found):
        raise invalid(Reason.SAME_SIGNER, f"{len(found)} signatures")
    return tuple(found)


def as_text(signature: bytes) -> str:
    """A signature as JSON holds it."""
    return base64.b64encode(signature).decode("ascii")


def from_text(text: str) -> bytes:
    """The signature of such a text. Raises SignatureInvalid."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureInvalid("the signature is not base64") from error
    if as_text(data) != text:
        raise SignatureInvalid("the signature is not in the one base64 form")
    return data
