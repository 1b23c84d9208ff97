"""How a package is checked where this tool is installed: signatures against the trust list, every record against the struct of its type.

The order of the checks, and all that needs no library, is in `standalone.pipeline`; ``verify.pyz`` runs the same with `openssl`.
"""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from forensics import custody, signing
from forensics.custody.canonical_text import plain
from forensics.errors import PackageInvalid, SignatureInvalid
from forensics.exchange import sealed
from forensics.exchange.standalone import canonical, files
from forensics.exchange.standalone.pipeline import How, Signed, Signer
from forensics.exchange.standalone.refusal import Refused
from forensics.signing import Revocation, Trust, certificates


def how(trust: Trust, *, at: datetime, recipient: str | None = None, revocation: Revocation = Revocation.WARN) -> How:
    """By what means a package is checked at the time `at`; `recipient` is the age key for which it must have been made."""

    def signed(folder: Path, name: str) -> Signed:
        return _signed(folder, name, trust, at, revocation)

    return How(signed, at, (recipient,) if recipient else (), _record, _log, _loads)


def _signed(folder: Path, name: str, trust: Trust, at: datetime, revocation: Revocation) -> Signed:
    data, signature = files.read(folder, name), files.read(folder, f"{name}.p7s")
    stamped, warnings = _stamp(folder, name, signature, trust, at, revocation)
    try:
        found = signing.verify(data, signature, trust, at=stamped, now=at, revocation=revocation)
    except SignatureInvalid as error:
        raise Refused(error.reason, f"{name}: {error}") from error
    signers = tuple(
        Signer(each.name, each.organisation, each.state, each.fingerprint, _key(each.certificate), each.signed_at) for each in found
    )
    said = (f"{name}: {warning}" for each in found for warning in each.warnings)
    return Signed(signers, f"{stamped:%Y-%m-%dT%H:%M:%SZ}" if stamped else None, (*warnings, *dict.fromkeys(said)))


def _stamp(
    folder: Path, name: str, signature: bytes, trust: Trust, now: datetime, revocation: Revocation
) -> tuple[datetime | None, tuple[str, ...]]:
    """The time that the stamp over a signature shows. One by an authority that is not pinned counts for nothing, and that is said."""
    if not (folder / f"{name}.p7s.tsr").exists():
        return None, ()
    try:
        stamped = signing.verify_stamp(signature, files.read(folder, f"{name}.p7s.tsr"), trust, now=now, revocation=revocation)
    except SignatureInvalid as error:
        if error.reason == "unpinned":
            return None, (f"{name}: its time stamp counts for nothing, since its authority is not in the trust list",)
        # what is not known of an authority is no more than for a signer; the pipeline judges both alike
        word = error.reason if error.reason == "revocation-unknown" else "stamp"
        raise Refused(word, f"{name}: its time stamp does not hold: {error}") from error
    return stamped.at, tuple(f"{name}: its time stamp: {warning}" for warning in stamped.warnings)


def _key(certificate: bytes) -> str:
    """SHA-256 of the public key: two certificates for one key are one officer."""
    key = certificates.load(certificate).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _record(name: str, data: bytes) -> None:
    try:
        record = sealed.decode(data, name, canonical_form=True)  # the pipeline read it by `_loads`
        if isinstance(record, sealed.AttachmentRecord):
            record.bytes()
    except PackageInvalid as error:
        raise Refused("record-form", str(error)) from error


def _loads(data: bytes, reason: str, name: str) -> Any:
    """As `canonical.loads`, which is asked where a text is not plain."""
    value = plain(data)
    return canonical.loads(data, reason, name) if value is None else value


def _log(data: Path) -> None:
    """The log as `custody verify` reads it: the same chain by other code, and the closed lists of its events and checkpoints."""
    problems = custody.verify(data)
    if problems:
        raise Refused("custody-chain", problems[0])
