"""A partner's package taken into a case: verified first, kept as it came, its records readable with their foreign provenance.

``received/<name>/`` holds the bag as it was verified; the custody log says with which digests, who signed, and at which line of the
sender's log the chain goes on. Foreign records are not in the index, so nothing of them can be sealed or disclosed as our own.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from forensics import custody
from forensics.case import Case
from forensics.custody import CustodyLine
from forensics.digest import sha256_file
from forensics.errors import CaseError, PackageInvalid, UsageError
from forensics.exchange import sealed
from forensics.exchange.disclosure import Disclosure
from forensics.exchange.standalone import bag, files
from forensics.exchange.standalone.refusal import Refused
from forensics.exchange.verify import Verdict, verify
from forensics.segment import sync_folder
from forensics.signing import Identity, Reader, Trust

FOLDER = "received"


class SignedBy(Struct, frozen=True):
    """Who signed a package, for the log."""

    name: str
    organisation: str
    state: str
    fingerprint: str
    signed_at: str


class Received(Struct, frozen=True, kw_only=True):
    """A package as the custody log says that it was received. `custody` is the last line of the sender's log in it."""

    name: str
    package_sha256: str
    tag_manifest_sha256: str
    seal_sha256: str
    custody: tuple[int, str]
    signers: tuple[SignedBy, ...]
    examiner: tuple[SignedBy, ...]
    disclosure: Disclosure
    warnings: tuple[str, ...] = ()
    at: str = ""

    def folder(self, case: Case) -> Path:
        """Where its bag lies in the case."""
        return case.folder / FOLDER / self.name


class ForeignRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record from a partner, with where it comes from: state, agency and officer, disclosure and seal, use and handling, record name."""

    state: str
    agency: str
    officer: str
    disclosure: str
    case: str
    seal: str
    use: str
    tlp: str
    expires: str
    received: str
    name: str
    record: sealed.SealedRecord


def receive(case: Case, package: Path, *, identity: Identity | Reader, trust: Trust, at: datetime, by: str | None = None) -> Received:
    """Verify a package and, only if it is good, keep it in the case and log that. The case is locked by the caller.

    Raises PackageInvalid that says why it is refused, also where the case has it already; SigningError, CaseError, OSError.
    """
    root = case.folder / FOLDER
    root.mkdir(mode=0o700, exist_ok=True)
    for left in root.glob(".part-*"):  # by a crash
        shutil.rmtree(left, ignore_errors=True)
    work = root / f".part-{secrets.token_hex(8)}"
    work.mkdir(mode=0o700)
    try:
        digest = sha256_file(package)
        verdict = verify(package, work, identity=identity, trust=trust, at=at)
        if sha256_file(package) != digest:
            raise PackageInvalid(f"{package}: changed while it was verified; copy it to a disk of your own first")
        return _keep(case, verdict, digest, by or identity.name, at)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _keep(case: Case, verdict: Verdict, digest: str, by: str, at: datetime) -> Received:
    said = verdict.disclosure
    if (refusal := verdict.refusal) or said is None or verdict.head is None:
        raise PackageInvalid(
            f"refused: {refusal.name}: {refusal.detail} [{refusal.reason}]" if refusal else "refused: it says nothing of itself"
        )
    tags, seal = (sha256_file(verdict.folder / name) for name in (files.TAG_MANIFEST, files.SEAL))
    for other in received(case):
        if tags == other.tag_manifest_sha256 or digest == other.package_sha256:
            raise PackageInvalid(f"refused: the case has this package already: {other.name}, received {other.at}")
    made = Received(
        name=_free(case, said.id, tags),
        package_sha256=digest,
        tag_manifest_sha256=tags,
        seal_sha256=seal,
        custody=verdict.head,
        signers=_signed_by(verdict.signers),
        examiner=_signed_by(verdict.examiner),
        disclosure=said,
        warnings=verdict.warnings,
    )
    target = made.folder(case)
    os.sync()  # one for all its files: a log that vouches for what is not there is worth nothing
    verdict.folder.rename(target)
    sync_folder(target.parent)
    try:
        line = custody.append(case.folder, "received", object=made.name, body=_body(made), by=by, at=at)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return msgspec.structs.replace(made, at=line.at)


def _free(case: Case, name: str, tags: str) -> str:
    """The name under which it is kept: its id, with a digest where another state's package has the same."""
    return name if not (case.folder / FOLDER / name).exists() else f"{name}-{tags[:16]}"


def _signed_by(signers: tuple[Any, ...]) -> tuple[SignedBy, ...]:
    return tuple(SignedBy(each.name, each.organisation, each.state, each.fingerprint, each.signed_at) for each in signers)


def _body(made: Received) -> dict[str, Any]:
    body = msgspec.to_builtins(made)
    del body["at"]
    seq, head = made.custody
    return {"package": body | {"custody": {"seq": seq, "head": head}}}


def received(case: Case) -> Iterator[Received]:
    """The packages that the case received, in order, as its custody log says. Raises CustodyBroken."""
    for line in custody.read(case.folder):
        if line.event == "received" and line.body and isinstance(line.body.get("package"), dict):
            yield of(line, line.body["package"])


def of(line: CustodyLine, body: dict[str, Any]) -> Received:
    """The package that a line of the log says was received. Raises CaseError where it does not read."""
    try:
        head = body["custody"]
        return msgspec.convert(body | {"custody": (head["seq"], head["head"]), "at": line.at}, Received)
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise CaseError(f"{custody.LOG}, line {line.seq}: the package that it says was received does not read ({error})") from error


def find(case: Case, name: str) -> Received:
    """The package that was received under `name`, or whose disclosure has that id. Raises UsageError where it is none, or several."""
    found = [each for each in received(case) if name in (each.name, each.disclosure.id)]
    exact = [each for each in found if each.name == name]
    if len(exact or found) != 1:
        known = ", ".join(each.name for each in received(case)) or "none"
        raise UsageError(f"{name!r} is not one package that was received; there are: {known}")
    return (exact or found)[0]


def problems(case: Case, package: Received) -> list[str]:
    """What is wrong with a received package as it lies in the case now; empty where it is as it was verified."""
    folder = package.folder(case)
    try:
        bag.check(folder)
        for name, stated in ((files.TAG_MANIFEST, package.tag_manifest_sha256), (files.SEAL, package.seal_sha256)):
            if sha256_file(folder / name) != stated:
                return [f"{FOLDER}/{package.name}/{name}: was changed: it does not have the SHA-256 that was logged"]
    except Refused as refusal:
        return [f"{FOLDER}/{package.name}: {refusal}"]
    except OSError as error:
        return [f"{FOLDER}/{package.name}: cannot be read ({error.strerror})"]
    return []


def records(case: Case, package: Received) -> Iterator[ForeignRecord]:
    """The records of a received package, by name. Raises PackageInvalid where they are not as they were verified."""
    said, folder = package.disclosure, package.folder(case)
    if wrong := problems(case, package):
        raise PackageInvalid(f"{wrong[0]}; receive the package again, into a copy of the case")
    for name in said.records:
        data = (folder / "data" / "records" / f"{name}.json").read_bytes()
        yield ForeignRecord(
            state=said.from_.state,
            agency=said.from_.agency,
            officer=said.from_.officer,
            disclosure=said.id,
            case=said.case,
            seal=f"{said.seal}, SHA-256 {package.seal_sha256}",
            use=said.use,
            tlp=said.tlp,
            expires=said.expires,
            received=package.name,
            name=name,
            record=sealed.decode(data, name),
        )
