"""From the segments of a run to the tables of the index, in one transaction each."""

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from forensics import segment
from forensics.digest import canonical_record, digest_of_sorted, identity, sha256
from forensics.errors import CaseError
from forensics.evidence.space import KIND
from forensics.index import words
from forensics.index.schema import INDEXES, LEVELS, SCHEMA, VERSION
from forensics.index.trouble import is_damage, trouble
from forensics.location import escape
from forensics.model import Derived, Examined, Fault, LayerInfo, Line, Measured, PluginInfo, Record, Result, RunInfo, StoredFinding

_LOT = 4096  # rows held before they are written
_RESULT = b'"type":"result"'
_RESULT_ENDS = _RESULT + b"}"  # the members of a line are sorted: no other than a result can end so
_LARGEST = 2**63 - 1  # that SQLite holds as an integer
_INSERT = {
    "entries": "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "records": "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "faults": "INSERT INTO faults VALUES (?, ?, ?, ?, ?)",
    "times": "INSERT INTO times VALUES (?, ?, ?, ?, ?, ?)",
    "ids": "INSERT INTO ids VALUES (?, ?, ?, ?)",
}
# Of each exhibit the latest run that is complete: runs are numbered as they begin, whenever the index came to hold them.
_SHOW_THE_LATEST = """
UPDATE parts SET current = run IS (
    SELECT later.run FROM parts AS later JOIN runs ON runs.run = later.run
    WHERE later.exhibit = parts.exhibit AND runs.digest IS NOT NULL ORDER BY length(later.run) DESC, later.run DESC LIMIT 1)
"""
_encode = msgspec.json.Encoder(order="sorted").encode
_decode: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
_findings = msgspec.json.Decoder(tuple[StoredFinding, ...]).decode


def start(path: Path) -> None:
    """Make an empty index at `path` where there is none, or in place of one that is damaged or of another version.

    The case is locked by the caller. Raises CaseError (disk full, the index in use).
    """
    if is_current(path):
        return
    for old in (path, words.path_of(path)):
        for ending in ("", "-wal", "-shm", "-journal"):
            old.with_name(old.name + ending).unlink(missing_ok=True)
    try:
        words.make(words.path_of(path))
        with contextlib.closing(sqlite3.connect(path)) as made, made:
            made.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")  # else each statement waits for the disk
    except sqlite3.DatabaseError as error:
        raise trouble(path, error) from error


def is_current(path: Path) -> bool:
    """Whether there is an index of this version at `path`, with its words; what is no database is none. Raises CaseError (in use)."""
    return all(_is_current(each) for each in (path, words.path_of(path)))


def _is_current(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with contextlib.closing(sqlite3.connect(path)) as found:
            return bool(found.execute("PRAGMA user_version").fetchone()[0] == VERSION)
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return False
        raise trouble(path, error) from error


def runs_in(path: Path) -> set[str]:
    """The runs that the index at `path` holds whole, with their words. Raises CaseError (the index in use, damaged)."""
    try:
        searched = words.parts(words.path_of(path))
        with contextlib.closing(sqlite3.connect(path)) as index:
            wordless = {run for part, run in index.execute("SELECT part, run FROM parts") if (part, run) not in searched}
            return {run for (run,) in index.execute("SELECT run FROM runs WHERE digest IS NOT NULL")} - wordless
    except sqlite3.DatabaseError as error:
        raise trouble(path, error) from error


def add_run(path: Path, run: RunInfo, segments: Iterable[Path]) -> None:
    """Read a run's segments into the index, in place of what it had of that run. Raises CaseError (disk full)."""
    _write(path, run, _in_order(segments), anew=True)


def extend_run(path: Path, run: RunInfo, segments: Iterable[Path]) -> None:
    """Add segments to a run that the index has: what was measured last, what analysers found. Raises CaseError (disk full)."""
    _write(path, run, _in_order(segments), anew=False)


def _in_order(segments: Iterable[Path]) -> list[Path]:
    """What analysers found last: it stands where the records stand that it derives from."""
    return sorted(segments, key=lambda path: (path.name.startswith("analysis-"), path))


def _write(path: Path, run: RunInfo, segments: list[Path], *, anew: bool) -> None:
    try:
        with words.Writer(words.path_of(path)) as found:
            with contextlib.closing(sqlite3.connect(path)) as index, index:
                index.execute("PRAGMA synchronous = OFF")  # derived: a crash costs a rebuild, nothing else
                index.execute("PRAGMA temp_store = FILE")
                index.execute("PRAGMA cache_size = -65536")
                _Builder(index, found, run).build(segments, anew=anew)
            with contextlib.closing(sqlite3.connect(path)) as index, index:
                index.executescript(f"BEGIN; {INDEXES} COMMIT;")
    except sqlite3.DatabaseError as error:
        raise trouble(path, error) from error


def conclude_run(path: Path, run: str) -> None:
    """Work out the digest of a run that the index has whole, and let it be what is shown of its exhibits where none is later.

    Raises CaseError (disk full).
    """
    try:
        with contextlib.closing(sqlite3.connect(path)) as index, index:
            index.execute("UPDATE runs SET digest = ? WHERE run = ?", (_run_digest(index, run), run))
            index.execute(_SHOW_THE_LATEST)
    except sqlite3.DatabaseError as error:
        raise trouble(path, error) from error


def _run_digest(index: sqlite3.Connection, run: str) -> str:
    return digest_of_sorted(id for (id,) in index.execute("SELECT DISTINCT id FROM ids WHERE run = ? ORDER BY id", (run,)))


class _Builder:
    """Reads one run's segments into open tables; rows are held and written in lots."""

    def __init__(self, index: sqlite3.Connection, found: words.Writer, run: RunInfo) -> None:
        self._index, self._words, self._run = index, found, run
        self._plugins: dict[str, PluginInfo] = {plugin.name: plugin for plugin in run.plugins}
        self._parts: dict[str, int] = {}
        self._coverage: dict[tuple[int, str, str, str | None], list[int]] = {}
        self._limited = False
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _INSERT}

    def build(self, segments: list[Path], *, anew: bool) -> None:
        run = self._run.run
        if anew:
            self._forget(run)
            self._index.execute("INSERT INTO runs VALUES (?, ?, NULL, 0)", (run, _encode(self._run)))
            for exhibit in self._run.exhibits:
                self._index.execute("INSERT INTO parts (run, exhibit, current) VALUES (?, ?, 0)", (run, exhibit))
        for exhibit, part in self._index.execute("SELECT exhibit, part FROM parts WHERE run = ? ORDER BY part", (run,)):
            self._parts[escape(exhibit, separators=True)] = part
        if anew:
            self._words.replace(run, self._parts.values())
        parts = ", ".join(map(str, self._parts.values())) or "-1"
        self._source = f"SELECT location FROM records WHERE id = ? AND part IN ({parts})"  # noqa: S608 - numbers of ours
        self._index.execute("CREATE TEMP TABLE results (plugin TEXT, content TEXT, context TEXT, findings BLOB)")
        for path in segments:
            self._index.executemany(
                "INSERT INTO results VALUES (?, ?, ?, ?)",
                (
                    (line.plugin, line.content, line.context or "", _encode(line.findings))
                    for raw in segment.raw_lines(path)
                    if _RESULT in raw and isinstance(line := segment.decoded(raw, path), Result)
                ),
            )
        self._index.execute("CREATE INDEX temp.results_key ON results (content, plugin, context)")
        for path in segments:
            for raw in segment.raw_lines(path):
                if not raw.endswith(_RESULT_ENDS):
                    self._line(segment.decoded(raw, path), raw)
            self._measurement(path)
        self._flush()
        self._index.execute("DROP TABLE results")
        self._index.executemany(
            "INSERT INTO coverage VALUES (?, ?, ?, ?, ?, ?)",
            [(part, plugin, outcome, reason, *numbers) for (part, plugin, outcome, reason), numbers in self._coverage.items()],
        )
        self._index.execute("UPDATE runs SET limited = limited OR ? WHERE run = ?", (self._limited, run))

    def _row(self, table: str, *values: Any) -> None:
        rows = self._rows[table]
        rows.append(values)
        if len(rows) >= _LOT:
            self._index.executemany(_INSERT[table], rows)
            rows.clear()

    def _flush(self) -> None:
        for table, rows in self._rows.items():
            self._index.executemany(_INSERT[table], rows)
            rows.clear()

    def _forget(self, run: str) -> None:
        parts = [part for (part,) in self._index.execute("SELECT part FROM parts WHERE run = ?", (run,))]
        for part in parts:
            for table in ("entries", "records", "faults", "layers", "measured", "unmeasured", "coverage", "times"):
                self._index.execute(f"DELETE FROM {table} WHERE part = ?", (part,))  # noqa: S608 - names of ours
        self._index.execute("DELETE FROM parts WHERE run = ?", (run,))
        self._index.execute("DELETE FROM ids WHERE run = ?", (run,))
        self._index.execute("DELETE FROM runs WHERE run = ?", (run,))

    def _part(self, location: str) -> int:
        exhibit = location.partition(":")[0]
        if exhibit in self._parts:
            return self._parts[exhibit]
        return self._parts.setdefault(exhibit, next(iter(self._parts.values()), 0))

    def _id(self, id: str, location: str, what: str) -> None:
        self._row("ids", self._run.run, id, location, what)

    def _line(self, line: Line, raw: bytes) -> None:
        if isinstance(line, Examined):
            self._entry(line, raw)
        elif isinstance(line, Fault):
            part = self._part(line.location)
            self._limited = self._limited or line.limit
            self._row("faults", part, line.location, line.plugin, line.kind, raw)
            self._id(
                identity(["fault", line.location, line.plugin, line.kind]), line.location, f"fault {line.kind} {line.plugin or ''}".strip()
            )
        elif isinstance(line, LayerInfo):
            self._index.execute("INSERT INTO layers VALUES (?, ?, ?)", (self._part(line.location), line.location, _encode(line)))
            if line.kind != KIND:  # what is in unallocated space has lines of its own where it was examined
                self._id(identity(line), line.location, "layer")
        elif isinstance(line, Measured):
            place = escape(line.exhibit, separators=True)
            self._index.execute("INSERT INTO measured VALUES (?, ?, ?)", (self._part(place), line.phase, _encode(line)))
            if line.phase == "before":
                self._id(identity(["image", line.exhibit, line.image.size, line.image.sha256]), f"{place}:", "digest of the exhibit")
        elif isinstance(line, Derived):
            for finding in line.findings:
                self._derived(line.plugin, finding)

    def _measurement(self, path: Path) -> None:
        """Note why an exhibit has no digest, where `path` is the segment of a measurement that failed: its last fault says so."""
        phase = path.name.partition("-")[0]
        if phase not in ("before", "after"):
            return
        lines = list(segment.read(path))
        faults = [line for line in lines if isinstance(line, Fault)]
        if faults and not any(isinstance(line, Measured) for line in lines):
            self._index.execute("INSERT INTO unmeasured VALUES (?, ?, ?)", (self._part(faults[-1].location), phase, faults[-1].message))

    def _entry(self, line: Examined, raw: bytes) -> None:
        entry = line.entry
        part = self._part(entry.location)
        digest = line.digests.sha256 if line.digests else None
        size = min(entry.size, _LARGEST)  # what a damaged entry states may be more; `raw` has it as it stands
        self._row("entries", part, entry.location, entry.kind, entry.state, line.outcome, line.reason, size, digest, raw)
        self._id(sha256(raw), entry.location, "entry")
        letters: dict[str, str] = {}
        times = entry.times
        for letter, time in (("m", times.modified), ("a", times.accessed), ("c", times.changed), ("b", times.born)):
            if time:
                letters[time] = letters.get(time, "") + letter
        for time, what in letters.items():
            self._time(part, time, "".join(letter if letter in what else "." for letter in "macb"), entry.location, "")
        for outcome in line.plugins:
            key = (part, outcome.plugin, outcome.outcome, outcome.reason)
            numbers = self._coverage.setdefault(key, [0, 0])
            numbers[0] += 1
            numbers[1] += outcome.findings
            if not outcome.findings or digest is None:
                continue
            row = self._index.execute(
                "SELECT findings FROM results WHERE content = ? AND plugin = ? AND context = ?",
                (digest, outcome.plugin, outcome.context or ""),
            ).fetchone()
            if row is None:
                raise CaseError(
                    f"run {self._run.run}: {entry.location} has findings of {outcome.plugin} that no segment holds; examine again"
                )
            for finding in _findings(row[0]):
                self._record(part, line, outcome.plugin, finding, digest)

    def _record(self, part: int, line: Examined, plugin: str, finding: StoredFinding, digest: str) -> None:
        info = self._plugins[plugin]
        record = Record(
            id="",
            location=line.entry.location,
            state=line.entry.state,
            content=line.entry.content,
            sha256=digest,
            plugin=plugin,
            plugin_version=info.version,
            plugin_digest=info.digest,
            finding=finding,
        )
        self._store(part, msgspec.structs.replace(record, id=sha256(canonical_record(record))))

    def _derived(self, plugin: str, finding: StoredFinding) -> None:
        """An analyser's record stands where the first record stands that it derives from."""
        info = self._plugins[plugin]
        first = finding.derived_from[:1]
        self._flush()
        row = self._index.execute(self._source, first).fetchone() if first else None
        location = row[0] if row else f"{self._run.exhibits[0]}:records:"
        record = Record(
            id="",
            location=location,
            state="allocated",
            sha256=None,
            plugin=plugin,
            plugin_version=info.version,
            plugin_digest=info.digest,
            finding=finding,
        )
        part = self._part(location)
        numbers = self._coverage.setdefault((part, plugin, "read", None), [0, 0])
        numbers[1] += 1
        self._store(part, msgspec.structs.replace(record, id=identity(record)))

    def _store(self, part: int, record: Record) -> None:
        finding = record.finding
        at = finding.when.removesuffix("Z") if finding.when else None
        naive = None if finding.when is None else not finding.when.endswith("Z")
        level = LEVELS[finding.level]
        self._row("records", record.id, part, finding.kind, level, record.plugin, at, naive, record.location, _encode(record))
        self._id(record.id, record.location, f"record {finding.kind} {record.plugin}")
        values = " ".join(str(value) for value in finding.data.values() if value is not None)
        self._words.put(f"{finding.summary}\n{values}\n{finding.text}", record.location, finding.summary, part)
        if finding.when:
            self._time(part, finding.when, finding.kind, record.location, finding.summary)

    def _time(self, part: int, time: str, what: str, location: str, summary: str) -> None:
        self._row("times", part, time.removesuffix("Z"), not time.endswith("Z"), what, location, summary)
