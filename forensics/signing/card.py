"""The public card of an identity: what a partner gives to `trust add`. One JSON file, signed by the identity that it is of.

The signature ties the age key to the certificate: who confirms the certificate's fingerprint has confirmed the age key with it.
"""

import re
from datetime import datetime

import msgspec
from msgspec import Struct

from forensics.digest import canonical
from forensics.errors import SigningError
from forensics.signing import certificates, cms
from forensics.signing.identity import Identity
from forensics.signing.signature import sign

FORMAT = "forensics-card/1"
LARGEST = 256 * 1024
_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")  # Bech32 of an X25519 key


class Card(Struct, frozen=True, forbid_unknown_fields=True):
    """Name, country and organisation as the certificate has them; certificates as PEM, from the officer's to the root."""

    format: str
    name: str
    country: str
    organisation: str
    fingerprint: str
    recipient: str
    certificates: str


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    card: Card
    signature: bytes  # CMS over the canonical JSON of the card


def make(identity: Identity, *, at: datetime) -> bytes:
    """The card of an opened identity. Raises SigningError."""
    chain = [identity.certificate, *identity.chain, *((identity.root,) if identity.root else ())]
    card = Card(
        FORMAT, identity.name, identity.country, identity.organisation, identity.fingerprint, identity.recipient,
        certificates.pem(chain).decode("ascii"),
    )  # fmt: skip
    return msgspec.json.format(canonical(_File(card, sign(canonical(card), identity, at=at)))) + b"\n"


def read(data: bytes) -> tuple[Card, tuple[bytes, ...], bytes]:
    """A card whose signature holds, its certificates (DER), and the signature, to be judged by `verify`. Raises SigningError."""
    if len(data) > LARGEST:
        raise SigningError(f"a card of {len(data)} bytes is larger than {LARGEST}")
    try:
        file = msgspec.json.decode(data, type=_File)
    except msgspec.DecodeError as error:
        raise SigningError(f"not a card of `forensics identity export`: {error}") from error
    card = file.card
    if card.format != FORMAT or not _RECIPIENT.fullmatch(card.recipient):
        raise SigningError(f"not a card of this version: format {card.format[:40]!r}, recipient {card.recipient[:80]!r}")
    ders = certificates.from_file(card.certificates.encode(), "the card")
    signed = cms.decode(file.signature)
    for part in signed.parts:
        cms.check(canonical(card), part)
    if [part.certificate for part in signed.parts] != [ders[0]] or certificates.fingerprint(ders[0]) != card.fingerprint:
        raise SigningError("the card is not signed by the certificate that it shows")
    return card, ders, file.signature
