"""The roots that one trusts: one or more a state, each pinned by its fingerprint, in a list that the local identity signs.

The folder: `current.json` names the list in force and the certificate that must have signed it; `lists/<serial>.json` and `.p7s`, each
list ever in force; `crls/<SHA-256>.crl`. Older lists are kept: they show when which root was trusted, and by whose decision.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from forensics.digest import canonical
from forensics.errors import SigningError
from forensics.signing import certificates, cms, private

FORMAT = "forensics-trust/1"
LARGEST_CRL = 64 << 20  # bytes
USES = ("signing", "stamping")
_T = TypeVar("_T", bound=Struct)


class Root(Struct, frozen=True):
    """A root certificate (DER) that is trusted for one state, for its signers or for its time stamps, with the revocation lists at hand.

    `crls` are DER lists of this root and of the authorities below it, as last added; whether they are current is said when they are used.
    """

    state: str
    fingerprint: str
    certificate: bytes
    crls: tuple[bytes, ...] = ()
    use: str = "signing"


class Recipient(Struct, frozen=True):
    """To whom a package may be encrypted: an age key that a certified officer of the state vouched for with a signature."""

    state: str
    name: str
    fingerprint: str  # of the officer's certificate
    recipient: str  # "age1..."


class Trust(Struct, frozen=True):
    """All that is trusted, as it stood in the verified list."""

    roots: tuple[Root, ...] = ()
    recipients: tuple[Recipient, ...] = ()
    serial: int = 0
    signer: str = ""  # fingerprint of the certificate that signed the list

    def for_use(self, use: str) -> tuple[Root, ...]:
        return tuple(root for root in self.roots if root.use == use)


class _Listed(Struct, frozen=True, forbid_unknown_fields=True):
    state: str
    use: str
    fingerprint: str
    certificate: bytes
    crls: tuple[str, ...] = ()


class _List(Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    serial: int
    made_at: str
    roots: tuple[_Listed, ...]
    recipients: tuple[Recipient, ...]


class _Current(Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    serial: int
    signer: str


def open_trust(folder: Path, *, signer: str | None = None) -> Trust:
    """The trusted roots and recipients, once the list's signature has been verified. Raises SigningError, SignatureInvalid.

    `signer` is the SHA-256 fingerprint of one's own certificate: given, the list must be signed by it; else by the certificate that
    `current.json` has pinned since the list was first made.
    """
    private.check_folder(folder)
    current = _decode(private.read(folder / "current.json"), _Current, folder / "current.json")
    if signer is not None and current.signer != signer:
        raise SigningError(
            f"{folder}: the trust list is signed by {current.signer}, not by {signer}, which is yours: `forensics trust renew`"
        )
    path = folder / "lists" / f"{current.serial}.json"
    data, signature = private.read(path), private.read(path.with_suffix(".json.p7s"))
    signed = cms.decode(signature)
    if len(signed.parts) != 1 or certificates.fingerprint(signed.parts[0].certificate) != current.signer:
        raise SigningError(f"{path}: not signed by certificate {current.signer}, and by it alone")
    cms.check(data, signed.parts[0])
    listed = _decode(data, _List, path)
    if not current.format == listed.format == FORMAT:
        raise SigningError(f"{folder}: format {current.format!r} is not {FORMAT!r}; a newer version wrote it, or it was changed")
    if listed.serial != current.serial:
        raise SigningError(f"{path}: says that it is number {listed.serial}")
    return Trust(tuple(_root(folder, root) for root in listed.roots), listed.recipients, listed.serial, current.signer)


def encode(trust: Trust, *, at: datetime) -> bytes:
    """The list that is signed, as canonical JSON."""
    roots = tuple(
        _Listed(
            root.state, root.use, root.fingerprint, root.certificate, tuple(sorted(hashlib.sha256(crl).hexdigest() for crl in root.crls))
        )
        for root in sorted(trust.roots, key=lambda root: (root.state, root.use, root.fingerprint))
    )
    made_at = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    recipients = tuple(sorted(trust.recipients, key=lambda each: (each.state, each.name, each.recipient)))
    return canonical(_List(FORMAT, trust.serial, made_at, roots, recipients))


def write(folder: Path, trust: Trust, data: bytes, signature: bytes) -> None:
    """Put a signed list in force; `current.json` changes last, so that a list is never half in force. Raises OSError."""
    for made in (folder, folder / "lists", folder / "crls"):
        private.folder(made)
    for root in trust.roots:
        for crl in root.crls:
            path = folder / "crls" / f"{hashlib.sha256(crl).hexdigest()}.crl"
            if not path.exists():
                private.write(path, crl)
    path = folder / "lists" / f"{trust.serial}.json"
    private.write(path, data)
    private.write(path.with_suffix(".json.p7s"), signature)
    private.write(folder / "current.json", canonical(_Current(FORMAT, trust.serial, trust.signer)))


def _root(folder: Path, listed: _Listed) -> Root:
    if certificates.fingerprint(listed.certificate) != listed.fingerprint or listed.use not in USES:
        raise SigningError(f"{folder}: the trust list does not fit together at root {listed.fingerprint}")
    crls = []
    for digest in listed.crls:
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise SigningError(f"{folder}: the trust list names a revocation list {digest!r}")
        crl = private.read(folder / "crls" / f"{digest}.crl", largest=LARGEST_CRL)
        if hashlib.sha256(crl).hexdigest() != digest:
            raise SigningError(
                f"{folder / 'crls' / digest}.crl: changed since it was added; add the issuer's list again with `forensics trust crl`"
            )
        crls.append(crl)
    return Root(listed.state, listed.fingerprint, listed.certificate, tuple(crls), listed.use)


def _decode(data: bytes, kind: type[_T], path: Path) -> _T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise SigningError(f"{path}: not what this version writes: {error}") from error
