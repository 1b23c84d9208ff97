"""The case folder: created, opened, locked for one writer, its exhibits, and whether it still is what its log vouches for.

What people edit stands in `case.toml` (`forensics.settings`), who did what in the custody log, and an exhibit is what the log's last
`received` or `corrected` event says of it. All else in the folder is derived, or has its digest in the log.
"""

import contextlib
import errno
import fcntl
import json
import os
import pwd
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from forensics import __version__, custody, segment, settings
from forensics.custody import CustodyLine
from forensics.digest import sha256_file
from forensics.errors import CaseError, CaseLocked, CustodyBroken, UsageError
from forensics.location import escape
from forensics.model import CaseInfo, Exhibit, Scope, Value
from forensics.settings import Settings

if TYPE_CHECKING:
    from forensics.signing.trust import Trust

SETTINGS = "case.toml"
FOLDERS = ("runs", "seals", "extracted", "reports", "packages")
_RUN = re.compile(r"run-([0-9]{1,9})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SETTINGS_LIMIT = 4 << 20
# Fields that a seal requires (ISO/IEC 27037, seizure and acquisition records) by the names under which people know them.
_EXHIBIT_REQUIRED = {
    "kind": "kind",
    "description": "description",
    "condition_text": "condition_text",
    "seal_no": "seal_no",
    "owner_role": "owner_role",
    "power_state_on_receipt": "power_state_on_receipt",
    "seizure.at": "seized_at",
    "seizure.place": "seized_place",
    "seizure.by": "seized_by",
    "seizure.legal_authority_ref": "seizure_authority",
    "acquisition.type": "acquisition_type",
    "acquisition.tool.name": "acquisition_tool",
    "acquisition.tool.version": "acquisition_tool_version",
    "acquisition.tool.sha256": "acquisition_tool_sha256",
    "acquisition.started": "acquired_at",
    "acquisition.ended": "acquisition_ended_at",
    "acquisition.operator": "acquired_by",
    "acquisition.changes_made_to_original": "changes_made_to_original",
}


class Case(Struct, frozen=True):
    """An open case: its folder, and what its `case.toml` said when it was opened."""

    folder: Path
    settings: Settings

    @property
    def info(self) -> CaseInfo:
        return self.settings.info

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of reports, the leading one first; English is among them."""
        return tuple(dict.fromkeys([*self.settings.languages, "en"]))

    @property
    def scope(self) -> Scope:
        return self.settings.scope

    @property
    def plugin_options(self) -> dict[str, dict[str, Value]]:
        """Options by plugin, as written; each plugin's declaration checks them."""
        return self.settings.plugins

    @property
    def extracted(self) -> Path:
        """Attachments and exported files, each at ``<first two digits>/<SHA-256>``."""
        return self.folder / "extracted"

    @property
    def index_path(self) -> Path:
        return self.folder / "index.db"

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    @property
    def packages(self) -> Path:
        return self.folder / "packages"

    @property
    def seals(self) -> Path:
        return self.folder / "seals"

    def runs(self) -> tuple[str, ...]:
        """Names of the runs, oldest first, complete or not."""
        found = [path.name for path in _listed(self.folder / "runs") if _RUN.fullmatch(path.name)]
        return tuple(sorted(found, key=lambda name: int(name.removeprefix("run-"))))

    def run_folder(self, run: str) -> Path:
        """Where a run's files lie. Raises UsageError for what is not the name of a run."""
        if not _RUN.fullmatch(run):
            raise UsageError(f"{run!r} is not a run: their names read like run-0001")
        return self.folder / "runs" / run

    def exhibits(self) -> tuple[Exhibit, ...]:
        """The exhibits in the order in which they were received, each as the log last says it. Raises CustodyBroken."""
        return exhibits(self.folder)

    def add_exhibit(self, exhibit: Exhibit, by: str | None, at: datetime | None = None) -> Exhibit:
        """Receive an exhibit. See `add_exhibit`."""
        return add_exhibit(self, exhibit, by, at)

    def lock(self) -> "contextlib.AbstractContextManager[None]":
        """Hold the case for writing. See `locked`."""
        return locked(self.folder)


# --- create, open, change ---------------------------------------------------------------------------------------------------


def create(
    folder: Path, info: CaseInfo = CaseInfo(), by: str | None = None, at: datetime | None = None, *, languages: tuple[str, ...] = ("en",)
) -> Case:
    """A new case in `folder`, which must be empty or not there yet. `opened_at` is the day of `at` unless `info` says it.

    Raises CaseError where there is something already, or where it cannot be written.
    """
    moment = at or datetime.now(UTC)
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - lexical, so that links in the path stay as the examiner wrote them
    text = settings.template(msgspec.structs.replace(info, opened_at=info.opened_at or moment.date().isoformat()), languages)
    try:
        parsed = settings.parse(text)
    except CaseError as error:
        raise UsageError(str(error)) from error
    with _writing(folder):
        if folder.exists() and not (folder.is_dir() and _half_made(folder)):
            raise CaseError(f"{folder}: is not an empty folder; name one that does not exist yet, or open the case that it holds")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in FOLDERS:
            (folder / name).mkdir(mode=0o700, exist_ok=True)
        body = {"case_id": info.case_id, "tool": __version__, "format": settings.FORMAT}
        name = info.case_id or folder.name
        if custody.head(folder)[0]:
            custody.append(folder, "interrupted", object=name, body={"what": "the making of the case"}, by=by, at=moment)
        else:
            custody.append(folder, "created", object=name, body=body, by=by, at=moment)
        _write(folder / SETTINGS, text)  # last: what has no case.toml is no case
    return Case(folder, parsed)


def _half_made(folder: Path) -> bool:
    """Whether a folder is empty, or holds what `create` makes before it writes `case.toml`: then it was ended in between."""
    ours = {*FOLDERS, custody.BODIES.parts[0], custody.LOG, f".{SETTINGS}.part"}
    return all(path.name in ours for path in folder.iterdir()) and not any(any(folder.glob(f"{name}/*")) for name in FOLDERS)


def open_case(folder: Path) -> Case:
    """The case in `folder`. Raises CaseError where there is none or its `case.toml` is damaged, CaseTooNew."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - as in `create`
    return Case(folder, settings.parse(_text(folder), str(folder / SETTINGS)))


def change(case: Case, values: Mapping[str, Value | tuple[str, ...]]) -> Case:
    """Set fields of `case.toml` by names such as ``case.agency``, and keep all else that people wrote there.

    The case is locked by the caller. Raises UsageError for a name or a value that does not fit, CaseError.
    """
    text = settings.changed(_text(case.folder), values, str(case.folder / SETTINGS))
    with _writing(case.folder):
        _write(case.folder / SETTINGS, text)
    return open_case(case.folder)


def _text(folder: Path) -> str:
    path = folder / SETTINGS
    try:
        with open(path, "rb") as file:
            data = file.read(_SETTINGS_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CaseError(f"{folder}: is not a case (it has no {SETTINGS}); make one with `forensics case new`") from error
    except OSError as error:
        raise CaseError(f"{path}: cannot be read ({error.strerror}); check the folder's permissions and its medium") from error
    if len(data) > _SETTINGS_LIMIT:
        raise CaseError(f"{path}: is larger than {_SETTINGS_LIMIT} bytes, so it is not what people wrote; restore it from a copy")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise CaseError(f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8 text") from error


def _write(path: Path, text: str) -> None:
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(f"{text[error.start - 20 : error.end + 20]!r} is not text that UTF-8 can hold; type it again") from error
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    segment.sync_folder(path.parent)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """What the system says against writing, as a CaseError that says what to do."""
    try:
        yield
    except OSError as error:
        todo = "check its medium"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            todo = "free some space there, and do the same again"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            todo = "give yourself the right to write there, or work on a copy that can be written"
        raise CaseError(f"{error.filename or folder}: cannot be written ({error.strerror}); {todo}") from error


# --- one writer at a time ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the case in `folder` for writing; the lock ends with the process. Raises CaseLocked that names who holds it, CaseError."""
    with _writing(folder):
        file = open(folder / "lock", "a+b")  # noqa: SIM115 - closed below
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CaseLocked(f"{folder}: {_holder(file.fileno())}; wait until that ends, or work on a copy of the case") from error
        except OSError as error:  # a file system without locks
            raise CaseError(f"{folder}: cannot be locked ({error.strerror}); keep the case on a file system that has file locks") from error
        with _writing(folder):
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "user": _user(), "since": _now()}).encode())
            file.flush()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # the lock itself ends when the file is closed
                file.truncate(0)


def _holder(descriptor: int) -> str:
    try:
        held = json.loads(os.pread(descriptor, 4096, 0))
        text = "process {pid} of {user} on {host} has been writing to it since {since}".format(**held)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OSError):
        return "another process is writing to it"
    return escape(text)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- exhibits ---------------------------------------------------------------------------------------------------------------


def exhibits(folder: Path) -> tuple[Exhibit, ...]:
    """The exhibits of the case in `folder`, in order of receipt: the last `received` or `corrected` event of each wins.

    An image that is no more at its absolute path is taken from its path relative to the case, if it is there: so a case and its images
    may move together. Raises CustodyBroken where the log cannot be read.
    """
    found: dict[str, Exhibit] = {}
    for line in custody.read(folder):
        if line.event not in ("received", "corrected") or not line.body or "exhibit" not in line.body:
            continue
        if line.event == "corrected" and line.object not in found:
            continue
        try:
            exhibit = msgspec.convert(line.body["exhibit"], Exhibit)
        except msgspec.ValidationError as error:
            raise CustodyBroken(f"{folder / custody.LOG}, line {line.seq}: its exhibit {line.object!r} does not read ({error})") from error
        beside = line.body.get("image_relative")
        if isinstance(beside, str) and not Path(exhibit.image).exists():
            moved = os.path.normpath(folder / beside)
            if Path(moved).exists():
                exhibit = msgspec.structs.replace(exhibit, image=moved)
        found[line.object] = exhibit
    return tuple(found.values())


def add_exhibit(case: Case, exhibit: Exhibit, by: str | None, at: datetime | None = None) -> Exhibit:
    """Receive an exhibit; the event is durable when this returns. An empty `exhibit_id` gets the year's next number. The case is locked by
    the caller.

    Returns it as stored, its image by absolute path. Raises UsageError where its id is taken or its image is not there, CaseError.
    """
    moment = at or datetime.now(UTC)
    held = case.exhibits()
    stored = msgspec.structs.replace(
        exhibit, exhibit_id=exhibit.exhibit_id or next_exhibit_id(held, moment.year), image=_image(exhibit.image)
    )
    name = stored.exhibit_id
    if name != name.strip() or len(name) > 100 or not name.isprintable():
        raise UsageError(f"{name!r} cannot be an exhibit's id: it is at most 100 printable characters, without spaces around")
    for other in held:
        if other.exhibit_id == name:
            raise UsageError(f"exhibit {name!r} is in the case already ({other.image}); give another id, or correct that one")
    with _writing(case.folder):
        custody.append(case.folder, "received", object=name, body=_exhibit_body(case, stored), by=by, at=moment)
    return stored


def correct_exhibit(case: Case, exhibit: Exhibit, purpose: str, by: str | None, at: datetime | None = None) -> Exhibit:
    """Say anew what an exhibit is; the log keeps what was said before. `purpose` is the reason. The case is locked by the caller.

    Raises UsageError where there is no such exhibit, or where `purpose` or `by` is empty, CaseError.
    """
    if exhibit.exhibit_id not in {other.exhibit_id for other in case.exhibits()}:
        raise UsageError(f"exhibit {exhibit.exhibit_id!r} is not in the case; add it first")
    stored = msgspec.structs.replace(exhibit, image=_image(exhibit.image))
    with _writing(case.folder):
        body = {"purpose": purpose, **_exhibit_body(case, stored)}
        custody.append(case.folder, "corrected", object=stored.exhibit_id, body=body, by=by, at=at)
    return stored


def next_exhibit_id(held: Iterable[Exhibit], year: int) -> str:
    """``<year>-<n>``, one above the highest of that form."""
    numbers = [int(match[1]) for exhibit in held if (match := re.fullmatch(rf"{year}-([0-9]{{1,9}})", exhibit.exhibit_id))]
    return f"{year}-{max(numbers, default=0) + 1}"


def _exhibit_body(case: Case, exhibit: Exhibit) -> dict[str, object]:
    return {"exhibit": msgspec.to_builtins(exhibit), "image_relative": os.path.relpath(exhibit.image, case.folder)}


def _image(image: str) -> str:
    path = os.path.abspath(image)  # noqa: PTH100 - lexical: the parts of a split image lie beside the name that was given
    if not Path(path).exists():
        raise UsageError(f"{escape(image)}: there is no such image; name the file or folder that holds the exhibit's bytes")
    if not (Path(image).exists() and os.path.samefile(path, image)):  # noqa: PTH121 - `..` behind a link leads elsewhere
        raise UsageError(f"{escape(image)}: `..` follows a link in it, so it may mean two images; name it without `..`")
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{escape(path)}: the path is not UTF-8, so the log cannot hold it; name the image by a link with a plain name"
        ) from error
    return path


def missing_fields(info: CaseInfo, exhibits: Iterable[Exhibit]) -> tuple[str, ...]:
    """What has yet to be filled in before anything can be sealed: ``case.legal_authority.id``, ``exhibit.2026-1.seizure.place``, in order.

    ``exhibit`` alone: there is none.
    """
    missing = [f"case.{name}" for name, (required, _) in settings.CASE_FIELDS.items() if required and not getattr(info, name)]
    missing += [
        f"case.legal_authority.{name}"
        for name, (required, _) in settings.AUTHORITY_FIELDS.items()
        if required and not getattr(info.authority, name)
    ]
    held = tuple(exhibits)
    for exhibit in held:
        missing += [f"exhibit.{exhibit.exhibit_id}.{name}" for name, field in _EXHIBIT_REQUIRED.items() if not getattr(exhibit, field)]
        if not exhibit.write_blocker and not exhibit.no_write_blocker_reason:
            missing.append(f"exhibit.{exhibit.exhibit_id}.acquisition.write_blocker")
    return tuple(missing if held else [*missing, "exhibit"])


# --- check ------------------------------------------------------------------------------------------------------------------


def check(case: Case, *, heads: Mapping[int, str] | None = None) -> list[str]:
    """Everything in the case that is not what its custody log vouches for; empty where all is. See `prove`."""
    return list(prove(case, heads=heads).problems)


def prove(case: Case, *, heads: Mapping[int, str] | None = None, trust: "Trust | None" = None) -> "custody.Proof":
    """What in the case is not what its custody log vouches for, and what could not be proved of the log.

    Compared are the log (with `heads` and `trust`, see `custody.proved`) and its bodies, none of which is withheld from one's own case;
    every run's `run.json`, plans and segments, and every report's files, with their digests. Named are also segments, runs and extracted
    files that nothing vouches for, and reports that are no longer there.
    """
    listed: dict[str, set[str]] = {}
    started: set[str] = set()

    def vouched(line: CustodyLine) -> Iterator[str]:
        if line.body is None:
            yield f"the body of its event {line.event!r} ({line.body_sha256}) is not in custody/bodies"
            return
        if line.event == "reported":
            yield from _reported(case.reports, line.body, case.folder)
        run = line.body.get("run")
        if line.event != "examined" or not isinstance(run, str):
            return
        if not _RUN.fullmatch(run):
            yield f"run {run!r} is not the name of a run"
            return
        folder = case.run_folder(run)
        if isinstance(stated := line.body.get("run_sha256"), str):
            started.add(run)
            yield from _compared(folder / "run.json", stated, case.folder)
        if isinstance(digest := line.body.get("run_digest"), str):
            yield from _completed(folder / "complete", digest, case.folder)
        segments = line.body.get("segments")
        if isinstance(segments, dict):
            names = listed.setdefault(run, set())
            for name, stated in sorted(segments.items()):
                names.add(name)
                yield from _segment(folder / "segments", name, stated, case.folder)
        plans = line.body.get("plans")
        for name, stated in sorted(plans.items()) if isinstance(plans, dict) else ():
            yield from _segment(folder / "plan", name, stated, case.folder)

    proof = custody.proved(case.folder, vouched, heads=heads, trust=trust)
    problems = list(proof.problems)
    for run in case.runs():
        folder = case.run_folder(run)
        if run not in started:
            problems.append(f"runs/{run}: the custody log does not say that this run was started")
        if run in listed:
            on_disk = (path.name for path in _listed(folder / "segments") if path.name.endswith(".jsonl.zst"))
            problems += (
                f"runs/{run}/segments/{escape(name)}: the custody log does not list it" for name in on_disk if name not in listed[run]
            )
        elif (folder / "complete").exists():
            problems.append(f"runs/{run}: says that it is complete, but the custody log does not list its segments")
    return msgspec.structs.replace(proof, problems=(*problems, *_extracted(case)))


def _compared(path: Path, stated: str, folder: Path) -> Iterator[str]:
    """What is wrong with a plain file of ours whose SHA-256 the log states."""
    name = escape(str(path.relative_to(folder)))
    try:
        if sha256_file(path) != stated:
            yield f"{name}: was changed: it does not have the SHA-256 that was logged"
    except FileNotFoundError:
        yield f"{name}: is missing"
    except OSError as error:
        yield f"{name}: cannot be read ({error.strerror})"


def _completed(path: Path, digest: str, folder: Path) -> Iterator[str]:
    """A run whose completion was logged a moment before a crash has no such file yet; one that has it says the same digest."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() != f"{digest}\n".encode():
            yield f"{path.relative_to(folder)}: was changed: it does not hold the run digest that was logged"


def _segment(folder: Path, name: str, stated: object, root: Path) -> Iterator[str]:
    where = f"{folder.relative_to(root)}/{escape(name)}"
    if not _NAME.fullmatch(name):
        yield f"{where}: is not the name of a segment"
        return
    try:
        if segment.digest(folder / name) != stated:
            yield f"{where}: was changed: it does not have the digest that was logged"
    except FileNotFoundError:
        yield f"{where}: is missing"
    except OSError as error:
        yield f"{where}: cannot be read ({error.strerror})"
    except CustodyBroken as error:
        yield str(error)


def _reported(reports: Path, body: Mapping[str, object], root: Path) -> Iterator[str]:
    """What is wrong with the files of a report. One that was removed as a whole is named once."""
    name, files = body.get("report"), body.get("files")
    if not isinstance(name, str) or not isinstance(files, dict):
        return
    if not _is_plain(name):
        yield f"reports/{escape(name)}: is not the name of a report"
        return
    folder = reports / name
    try:
        folder.stat()
    except FileNotFoundError:
        yield f"{escape(str(folder.relative_to(root)))}: this report is missing"
        return
    except OSError as error:
        yield f"{escape(str(folder.relative_to(root)))}: cannot be read ({error.strerror})"
        return
    for file, stated in sorted(files.items()):
        if _is_plain(file):
            yield from _compared(folder / file, stated, root)
        else:
            yield f"{escape(str(folder.relative_to(root)))}/{escape(file)}: is not the name of a report's file"


def _is_plain(name: str) -> bool:
    """Whether a name leads to nothing but what lies in its own folder."""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _extracted(case: Case) -> Iterator[str]:
    for folder in _listed(case.extracted):
        for path in _listed(folder) if folder.is_dir() and not folder.is_symlink() else [folder]:
            name = escape(str(path.relative_to(case.folder)))
            if path.is_symlink() or not path.is_file() or path.parent.name != path.name[:2] or not _SHA256.fullmatch(path.name):
                yield f"{name}: does not belong there: files there are named by their SHA-256"
                continue
            try:
                if sha256_file(path) != path.name:
                    yield f"{name}: was changed: it does not have the SHA-256 that is its name"
            except OSError as error:
                yield f"{name}: cannot be read ({error.strerror})"


def _listed(folder: Path) -> list[Path]:
    """What is in a folder, sorted; nothing where the folder is not there. Raises CaseError where it cannot be listed."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CaseError(f"{folder}: cannot be listed ({error.strerror}); check the folder's permissions and its medium") from error
