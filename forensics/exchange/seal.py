"""The examiner's seal: one signature over all confirmed records of a case, made once, of which any part can be given to anybody.

``seals/S-n/`` holds `seal.sha256` with its signature, a file for each record, and `private.jsonl`: which record bears which random name.
That one never leaves. Written in one pass over the index, in flat memory.
"""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from forensics import custody
from forensics.case import Case, missing_fields
from forensics.digest import canonical, identity, sha256, sha256_file
from forensics.errors import CaseError, NotDisclosable, NotReviewed
from forensics.exchange import sealed
from forensics.exchange.buckets import Buckets
from forensics.location import Location
from forensics.model import AttachmentRef, ImageDigest, Record, RunInfo
from forensics.segment import sync_folder, write_whole

SEAL = "seal.sha256"
SIGNATURE = "seal.sha256.p7s"
STAMP = "seal.sha256.p7s.tsr"
PRIVATE = "private.jsonl"
_NAME = re.compile(r"S-([0-9]{1,6})")
_ZERO = bytes(16)
_LONGEST = 1000  # characters of a case's number, of which readers take no more (`standalone.seal`)


class Decision(Protocol):
    """What a seal needs of a decision of the review."""

    @property
    def status(self) -> str: ...
    @property
    def category(self) -> str | None: ...
    @property
    def reliability(self) -> str | None: ...
    @property
    def credibility(self) -> int | None: ...
    @property
    def likelihood(self) -> str | None: ...
    @property
    def note(self) -> str | None: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def seq(self) -> int: ...


class Person(Protocol):
    """What a seal and a disclosure need of a person of the review."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def role(self) -> str: ...
    @property
    def states_of_origin(self) -> tuple[str, ...]: ...
    @property
    def protection_claim(self) -> bool: ...
    @property
    def records(self) -> tuple[str, ...]: ...


class Review(Protocol):
    """What a seal and a disclosure need of the review."""

    @property
    def decisions(self) -> Mapping[str, Decision]: ...
    @property
    def persons(self) -> Mapping[str, Person]: ...


class Index(Protocol):
    """What a seal needs of the index."""

    def records(self) -> Iterator[Record]: ...
    def runs(self) -> tuple[RunInfo, ...]: ...
    def run_digest(self, run: str) -> str: ...
    def images(self) -> Mapping[str, ImageDigest]: ...
    def checks(self) -> Mapping[str, bool]: ...


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of `private.jsonl`: the random `name` of a sealed record and what it is of.

    `record` is the record's id of a finding, the exhibit's of an exhibit, the person's of a person and a link; `of` the name of the finding
    that an attachment, a note or a link belongs to; `seq` the custody line of the decision that was sealed.
    """

    name: str
    type: str
    record: str = ""
    sha256: str | None = None
    of: str = ""
    method: str = ""
    exhibit: str = ""
    seq: int = 0


class Seal(Struct, frozen=True):
    """A seal of a case: its name, folder, the SHA-256 of `seal.sha256`, and the number of records under it."""

    name: str
    folder: Path
    digest: str
    records: int

    def entries(self) -> Iterator[Entry]:
        """All lines of `private.jsonl`, in the order of sealing. Raises CaseError."""
        decode = msgspec.json.Decoder(Entry).decode
        path = self.folder / PRIVATE
        try:
            with open(path, "rb") as file:
                next(file, b"")  # the seal's own salt
                for line in file:
                    yield decode(line)
        except (OSError, msgspec.DecodeError) as error:
            raise CaseError(f"{path}: cannot be read ({error}); restore it from a copy, or seal again") from error

    def read(self, name: str) -> bytes:
        """The bytes of one sealed record. Raises CaseError."""
        path = self.folder / "records" / f"{name}.json"
        try:
            return path.read_bytes()
        except OSError as error:
            raise CaseError(f"{path}: cannot be read ({error.strerror}); restore it from a copy, or seal again") from error

    def digests(self) -> dict[str, str]:
        """What `seal.sha256` says of each record, by name. Raises CaseError where that file is not what was signed."""
        lines = _checked(self).decode("utf-8").split("\n")[:-1]  # not `splitlines`, which ends a line at more than the writer does
        return {line[74:106]: line[:64] for line in lines if not line.startswith("#")}


def seal(
    case: Case,
    index: Index,
    review: Review,
    signer: "Signing",
    *,
    at: datetime,
) -> Seal:
    """Seal every confirmed record of the case. The case is locked by the caller.

    Raises NotDisclosable that names each required field that is missing, NotReviewed where nothing is confirmed, SigningError, CaseError.
    """
    if missing := missing_fields(case.info, case.exhibits()):
        raise NotDisclosable("not sealed, because these required fields are missing: " + ", ".join(missing))
    if not (case.info.case_id or "").isprintable():
        raise NotDisclosable(f"not sealed: the case's number {case.info.case_id!r} does not fit on one line")
    if len(case.info.case_id or "") > _LONGEST:
        raise NotDisclosable(
            f"not sealed: the case's number has {len(case.info.case_id or '')} characters, more than {_LONGEST}; shorten it"
        )
    if not any(decision.status == "confirmed" for decision in review.decisions.values()):
        raise NotReviewed("not sealed: no record is confirmed yet; `forensics review` confirms and rejects findings")
    name = f"S-{max((number for number, _ in _numbered(case)), default=0) + 1}"
    made = case.seals / f".{name}.part"
    shutil.rmtree(made, ignore_errors=True)  # what a crash left
    made.mkdir(mode=0o700)
    (made / "records").mkdir(mode=0o700)
    try:
        number = _write(made, case, index, review, name, at)
        content = (made / SEAL).read_bytes()
        signature = signer.sign(content, at)
        write_whole(made / SIGNATURE, signature)
        if (stamp := signer.stamp(signature)) is not None:
            write_whole(made / STAMP, stamp)
        os.sync()  # one for all records: a signed seal whose records are not there is worth nothing
        made.rename(case.seals / name)
        sync_folder(case.seals)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    found = Seal(name, case.seals / name, sha256(content), number)
    files = {path: sha256_file(found.folder / path) for path in (SEAL, SIGNATURE, STAMP, PRIVATE) if (found.folder / path).exists()}
    body = {"seal": name, "seal_sha256": found.digest, "records": number, "files": files, "certificate": signer.fingerprint}
    custody.append(case.folder, "sealed_records", object=name, body=body, by=signer.name, at=at)
    signer.checkpoint(case.folder, "seal", at)
    return found


class Signing(Protocol):
    """Who seals: an opened identity with what it signs, stamps and checkpoints by (`exchange.signer`)."""

    @property
    def name(self) -> str: ...
    @property
    def country(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def certificate(self) -> bytes: ...
    def sign(self, data: bytes, at: datetime) -> bytes: ...
    def countersign(self, data: bytes, signature: bytes, at: datetime) -> bytes: ...
    def sign_pdf(self, path: Path, at: datetime) -> None: ...
    def stamp(self, signature: bytes) -> bytes | None: ...
    def checkpoint(self, folder: Path, why: str, at: datetime) -> None: ...


def open_seal(case: Case, name: str | None = None, lines: Iterable[custody.CustodyLine] | None = None) -> Seal:
    """A seal by name, or the latest, as `lines` of the custody log vouch for it (default: all of them, each of which must be readable).

    Raises NotDisclosable where there is none, CaseError where its files are not what was signed, CustodyBroken.
    """
    found = {folder.name: folder for _, folder in sorted(_numbered(case))}
    if not found:
        raise NotDisclosable("nothing is sealed in this case yet; run `forensics seal`")
    chosen = name or list(found)[-1]
    if chosen not in found:
        raise NotDisclosable(f"there is no seal {chosen!r}; there are: {', '.join(found)}")
    known = custody.read(case.folder) if lines is None else lines
    stated = [line for line in known if line.event == "sealed_records" and line.body and line.body["seal"] == chosen]
    if not stated or not stated[-1].body:
        raise CaseError(f"seals/{chosen}: the custody log does not know of this seal; restore the log from a copy, or seal again")
    body = stated[-1].body
    for path, digest in sorted(body["files"].items()):
        if not (found[chosen] / path).exists() or sha256_file(found[chosen] / path) != digest:
            raise CaseError(f"seals/{chosen}/{path}: is missing or was changed since it was sealed; restore it from a copy, or seal again")
    return Seal(chosen, found[chosen], body["seal_sha256"], body["records"])


def _checked(seal: Seal) -> bytes:
    content = (seal.folder / SEAL).read_bytes()
    if sha256(content) != seal.digest:
        raise CaseError(f"{seal.folder / SEAL}: was changed since it was signed; restore it from a copy, or seal again")
    return content


def _numbered(case: Case) -> Iterator[tuple[int, Path]]:
    with contextlib.suppress(FileNotFoundError):
        for path in case.seals.iterdir():
            if match := _NAME.fullmatch(path.name):
                yield int(match[1]), path


# --- writing ----------------------------------------------------------------------------------------------------------------


class _Writer:
    """Puts down records under random names, their digests for the seal, and what each is of."""

    def __init__(self, folder: Path, lines: Buckets, header: Mapping[str, object]) -> None:
        self._folder, self._lines = folder, lines
        self._private = open(os.open(folder / PRIVATE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")  # noqa: SIM115 - see `close`
        self._private.write(canonical(header) + b"\n")
        self.number = 0

    def add(self, record: sealed.SealedRecord, /, **of: object) -> str:
        """Write one record. Returns its name."""
        name = secrets.token_bytes(16)
        data = sealed.encode(record)
        with open(os.open(self._folder / "records" / f"{name.hex()}.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        self._lines.add(name + hashlib.sha256(data).digest())
        entry = msgspec.convert({"name": name.hex(), "type": sealed.kind_of(record), **of}, Entry)
        self._private.write(msgspec.json.encode(entry) + b"\n")
        self.number += 1
        return name.hex()

    def close(self) -> None:
        self._private.close()


def _salts() -> dict[str, str]:
    return {"format": sealed.FORMAT, "salt": secrets.token_hex(16)}


def _write(made: Path, case: Case, index: Index, review: Review, name: str, at: datetime) -> int:
    seq, head = custody.head(case.folder)
    salt = secrets.token_hex(16)
    runs = {run.run: index.run_digest(run.run) for run in index.runs()}
    run = identity({"salt": salt, "runs": runs})
    with Buckets(made / "lines", 48) as lines, Buckets(made / "contents", 65) as contents:
        writer = _Writer(made, lines, {"run_salt": salt, "runs": runs})
        with contextlib.closing(writer):
            writer.add(sealed.CaseRecord(**_salts(), case=sealed.outgoing_case(case.info)))
            _exhibits(writer, case, index)
            linked = _findings(writer, case, index, review, contents)
            _contents(writer, contents)
            _persons(writer, review, linked)
        header = (
            "# forensics seal 1",
            f"# case: {case.info.case_id}",
            f"# seal: {name}",
            f"# sealed: {at.isoformat(timespec='seconds').replace('+00:00', 'Z')}",
            f"# custody: {seq} {head}",
            f"# run: {run}",
            f"# records: {writer.number}",
        )
        with open(made / SEAL, "wb") as file:
            file.writelines(f"{line}\n".encode() for line in header)
            file.writelines(f"{item[16:].hex()}  records/{item[:16].hex()}.json\n".encode() for item in lines.sorted())
    return writer.number


def _exhibits(writer: _Writer, case: Case, index: Index) -> None:
    images, checks = index.images(), index.checks()
    for exhibit in case.exhibits():
        image = images.get(exhibit.exhibit_id)
        whole = (
            sealed.Medium(format=image.format, size=image.size, sha256=image.sha256, unchanged=checks.get(exhibit.exhibit_id))
            if image
            else None
        )
        facts, medium = sealed.outgoing_exhibit(exhibit, whole)
        writer.add(sealed.ExhibitRecord(**_salts(), exhibit=facts, medium=medium), record=exhibit.exhibit_id)


def _findings(writer: _Writer, case: Case, index: Index, review: Review, contents: Buckets) -> dict[str, list[str]]:
    """Seal the confirmed findings, what is attached to them, and the methods by which they were found.

    Every content of the case goes to `contents`, confirmed or not. Returns the names of findings that persons are linked to, by record id.
    """
    wanted = {record for person in review.persons.values() for record in person.records}
    linked: dict[str, list[str]] = {}
    method = _methods(writer, index)
    for record in index.records():
        decision = review.decisions.get(record.id)
        confirmed = decision is not None and decision.status == "confirmed"
        name, opening = _ZERO, secrets.token_bytes(16)
        if decision is not None and confirmed:
            found = _finding(record, decision, opening.hex(), method(record))
            of = {"record": record.id, "sha256": record.sha256, "method": found.method, "exhibit": found.exhibit, "seq": decision.seq}
            text = writer.add(found, **of)
            name = bytes.fromhex(text)
            if record.id in wanted:
                linked.setdefault(record.id, []).append(text)
            for reference in record.finding.attachments:
                content = b64encode(_attachment(case, reference)).decode()
                attached = sealed.AttachmentRecord(**_salts(), of=text, name=reference.name, mime=reference.mime, content=content)
                writer.add(attached, of=text)
            if decision.note:
                writer.add(sealed.NoteRecord(**_salts(), of=text, text=decision.note), of=text)
        if record.sha256:
            contents.add(bytes.fromhex(record.sha256) + bytes([confirmed]) + name + opening)
    return linked


def _finding(record: Record, decision: Decision, opening: str, method: str) -> sealed.FindingRecord:
    finding = record.finding
    return sealed.FindingRecord(
        **_salts(),
        exhibit=Location.parse(record.location).exhibit,
        location=record.location,
        state=record.state,
        content_state=record.content,
        plugin=record.plugin,
        plugin_version=record.plugin_version,
        method=method,
        kind=finding.kind,
        summary=finding.summary,
        when=finding.when,
        level=finding.level,
        data=finding.data,
        locator=finding.locator,
        content=sealed.commitment(opening, record.sha256) if record.sha256 else None,
        status=decision.status,
        category=decision.category or None,
        reliability=decision.reliability or None,
        credibility=decision.credibility or None,
        likelihood=decision.likelihood or None,
        labels=tuple(label for label in decision.labels if label not in sealed.PERSON_LABELS),
    )


def _methods(writer: _Writer, index: Index) -> Callable[[Record], str]:
    """Gives the name of the method's record for a finding; each is sealed when it is first asked for."""
    plugins = {(plugin.name, plugin.version, plugin.digest): (run, plugin) for run in index.runs() for plugin in run.plugins}
    names: dict[tuple[str, str, str], str] = {}

    def method(record: Record) -> str:
        key = record.plugin, record.plugin_version, record.plugin_digest
        if key not in names:
            run, plugin = plugins.get(key, (None, None))
            made = sealed.MethodRecord(
                **_salts(),
                tool=run.tool if run else "",
                tool_digest=run.tool_digest if run else "",
                plugin=record.plugin,
                version=record.plugin_version,
                digest=record.plugin_digest,
                description=plugin.description if plugin else "",
                options=tuple(sorted(plugin.options)) if plugin else (),
            )
            names[key] = writer.add(made)
        return names[key]

    return method


def _attachment(case: Case, reference: AttachmentRef) -> bytes:
    path = case.extracted / reference.sha256[:2] / reference.sha256
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CaseError(f"{path}: an attachment cannot be read ({error.strerror}); run `forensics examine` again") from error
    if sha256(data) != reference.sha256:
        raise CaseError(f"{path}: an attachment was changed; restore it from a copy, or delete it and examine again")
    return data


def _contents(writer: _Writer, contents: Buckets) -> None:
    """A content's own SHA-256, for contents of which every finding is sealed: it opens the commitments of them all."""
    for digest, group in groupby(contents.sorted(), key=lambda item: item[:32]):
        items = list(group)
        if all(item[32] for item in items):
            openings = {item[33:49].hex(): item[49:].hex() for item in items}
            writer.add(sealed.ContentRecord(**_salts(), sha256=digest.hex(), openings=openings), sha256=digest.hex())


def _persons(writer: _Writer, review: Review, linked: Mapping[str, Iterable[str]]) -> None:
    for person in review.persons.values():
        findings = [name for record in person.records for name in linked.get(record, ())]
        if findings:
            name = writer.add(sealed.PersonRecord(**_salts(), role=person.role, name=person.name or None), record=person.id)
            for finding in findings:
                writer.add(sealed.LinkRecord(**_salts(), person=name, finding=finding), record=person.id, of=finding)
