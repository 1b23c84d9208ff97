"""Changing what one trusts: each change is a new list, numbered, signed, and only of what a person has confirmed by fingerprint."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from forensics.digest import canonical
from forensics.errors import SigningError
from forensics.signing import card, certificates, revocation, trust
from forensics.signing.identity import Identity
from forensics.signing.signature import sign, verify
from forensics.signing.trust import Recipient, Root, Trust

Confirm = Callable[[str, str], None]  # (what it is, its fingerprint): returns if a person has compared it, else raises SigningError


def opened_or_new(folder: Path, identity: Identity) -> Trust:
    """The list in force, or an empty one where there is none yet. Raises SigningError."""
    if (folder / "current.json").exists():
        return trust.open_trust(folder, signer=identity.fingerprint)
    return Trust()


def change(
    folder: Path, old: Trust, identity: Identity, *, at: datetime, roots: tuple[Root, ...], recipients: tuple[Recipient, ...]
) -> Trust:
    """Put a new list in force, signed by `identity`. Raises SigningError, OSError."""
    made = Trust(roots, recipients, old.serial + 1, identity.fingerprint)
    data = trust.encode(made, at=at)
    trust.write(folder, made, data, sign(data, identity, at=at))
    return made


def add_root(old: Trust, state: str, data: bytes, name: str, confirm: Confirm, *, use: str = "signing") -> tuple[Root, ...]:
    """The roots with the one of a certificate file, once its fingerprint is confirmed. Raises SigningError."""
    check_state(state)
    ders = certificates.from_file(data, name)
    if len(ders) != 1:
        raise SigningError(f"{name}: {len(ders)} certificates; give the root's alone")
    return _with_root(old, state, ders[0], confirm, use)


def add_card(old: Trust, state: str, data: bytes, confirm: Confirm, *, now: datetime) -> tuple[tuple[Root, ...], tuple[Recipient, ...]]:
    """The roots and recipients with those of a partner's card. Raises SigningError, SignatureInvalid.

    A root that is new, and the officer's certificate, are each confirmed by fingerprint: a root may vouch for many people, and packages
    are encrypted to one.
    """
    check_state(state)
    shown, ders, signature = card.read(data)
    roots = old.roots
    if len(ders) > 1 and certificates.is_self_signed(certificates.load(ders[-1])):
        roots = _with_root(old, state, ders[-1], confirm, "signing")
    (signer,) = verify(canonical(shown), signature, Trust(roots), now=now)
    if signer.state != state:
        raise SigningError(f"the card of {signer.name} leads to a root of {signer.state}, not of {state}")
    confirm(f"certificate of {signer.name}, {signer.organisation}, {state}", signer.fingerprint)
    new = Recipient(state, signer.name, signer.fingerprint, shown.recipient)
    kept = tuple(each for each in old.recipients if each.fingerprint != new.fingerprint and each.recipient != new.recipient)
    return roots, (*kept, new)


def add_crl(old: Trust, data: bytes, chain: tuple[bytes, ...] = ()) -> tuple[Root, ...]:
    """The roots with a revocation list (PEM or DER) of one of them, or of an authority below it in `chain`. Raises SigningError."""
    if len(data) > trust.LARGEST_CRL:
        raise SigningError(f"a revocation list of {len(data)} bytes is larger than {trust.LARGEST_CRL}")
    der, crl = revocation.read(data)
    below = [certificates.load(each) for each in chain]
    found = []
    for root in old.roots:
        top = certificates.load(root.certificate)
        issuers = [top, *(each for each in below if revocation.leads_to(each, top, below))]
        if any(revocation.signed_by(crl, issuer) for issuer in issuers):
            found.append(msgspec.structs.replace(root, crls=(*(each for each in root.crls if each != der), der)))
        else:
            found.append(root)
    if tuple(found) == old.roots and not any(der in root.crls for root in old.roots):
        raise SigningError(
            f"a revocation list of {crl.issuer.rfc4514_string()}, which no trusted root (nor --chain) signed: nothing was added"
        )
    return tuple(found)


def adopt(old: Trust, theirs: Trust) -> tuple[tuple[Root, ...], tuple[Recipient, ...]]:
    """The roots and recipients of both lists; revocation lists of a root that both have are put together.

    Raises SigningError where the two trust one root for different states or uses.
    """
    roots = {root.fingerprint: root for root in old.roots}
    for root in theirs.roots:
        ours = roots.get(root.fingerprint, root)
        if (ours.state, ours.use) != (root.state, root.use):
            raise SigningError(
                f"root {root.fingerprint} is trusted for {ours.state} ({ours.use}) already, not {root.state} ({root.use}): remove it first"
            )
        roots[root.fingerprint] = msgspec.structs.replace(root, crls=tuple(dict.fromkeys((*ours.crls, *root.crls))))
    new = {each.recipient for each in theirs.recipients} | {each.fingerprint for each in theirs.recipients}
    kept = tuple(each for each in old.recipients if each.recipient not in new and each.fingerprint not in new)
    return tuple(roots.values()), (*kept, *theirs.recipients)


def remove(old: Trust, fingerprint: str) -> tuple[tuple[Root, ...], tuple[Recipient, ...]]:
    """The list without one root or recipient, named by its whole fingerprint. Raises SigningError."""
    wanted = plain(fingerprint)
    roots = tuple(each for each in old.roots if each.fingerprint != wanted)
    recipients = tuple(each for each in old.recipients if each.fingerprint != wanted)
    if len(roots) == len(old.roots) and len(recipients) == len(old.recipients):
        raise SigningError(f"nothing in the trust list has the fingerprint {wanted}")
    return roots, recipients


def plain(fingerprint: str) -> str:
    """A fingerprint as people write it (colons, spaces, capitals) in the one form. Raises SigningError."""
    digits = "".join(each for each in fingerprint.lower() if each not in ": \t\n-")
    if len(digits) != hashlib.sha256().digest_size * 2 or not set(digits) <= set("0123456789abcdef"):
        raise SigningError(f"{fingerprint!r} is not a whole SHA-256 fingerprint (64 hexadecimal digits)")
    return digits


def check_state(state: str) -> None:
    """Raises SigningError."""
    if len(state) != 2 or not state.isascii() or not state.isalpha() or state != state.upper():
        raise SigningError(f"state {state!r}: two capital letters (ISO 3166-1), such as TH")


def _with_root(old: Trust, state: str, der: bytes, confirm: Confirm, use: str) -> tuple[Root, ...]:
    parsed, digest = certificates.load(der), certificates.fingerprint(der)
    known = next((root for root in old.roots if root.fingerprint == digest), None)
    if known is not None:
        if (known.state, known.use) != (state, use):
            raise SigningError(f"root {digest} is trusted for {known.state} ({known.use}) already, not for {state} ({use})")
        return old.roots
    if not certificates.is_root(parsed):
        raise SigningError(f"{parsed.subject.rfc4514_string()} is not a root: not signed by itself, or not an issuer of certificates")
    if certificates.country(parsed) not in ("", state):
        raise SigningError(f"{parsed.subject.rfc4514_string()} is a root of {certificates.country(parsed)}, not of {state}")
    confirm(f"root of {state} ({use}): {parsed.subject.rfc4514_string()}", digest)
    return (*old.roots, Root(state, digest, der, (), use))
