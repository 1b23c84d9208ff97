"""The derived index of a case: one SQLite file, the only SQL over the case. Delete it and it is built again from the segments."""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from forensics import segment
from forensics.digest import digest_of_sorted, identity, sha256
from forensics.errors import CaseError
from forensics.location import escape
from forensics.model import (
    Coverage,
    Derived,
    Examined,
    Fault,
    ImageDigest,
    LayerInfo,
    Line,
    Measured,
    PluginInfo,
    Record,
    Result,
    RunInfo,
    StoredFinding,
)

VERSION = 1
SHORTEST = 3  # characters that the trigram tokenizer needs; shorter queries use LIKE

_SCHEMA = """
CREATE TABLE runs (run TEXT PRIMARY KEY, line BLOB, digest TEXT, limited INTEGER);
CREATE TABLE parts (part INTEGER PRIMARY KEY, run TEXT, exhibit TEXT, current INTEGER, UNIQUE (run, exhibit));
CREATE TABLE entries (part INTEGER, location TEXT, kind TEXT, state TEXT, outcome TEXT, reason TEXT, size INTEGER, sha256 TEXT, line BLOB);
CREATE TABLE records (id TEXT, part INTEGER, kind TEXT, level INTEGER, plugin TEXT, at TEXT, naive INTEGER, location TEXT, line BLOB);
CREATE TABLE faults (part INTEGER, location TEXT, plugin TEXT, kind TEXT, line BLOB);
CREATE TABLE layers (part INTEGER, location TEXT, line BLOB);
CREATE TABLE measured (part INTEGER, phase TEXT, line BLOB);
CREATE TABLE coverage (part INTEGER, plugin TEXT, outcome TEXT, reason TEXT, number INTEGER, findings INTEGER);
CREATE TABLE times (part INTEGER, at TEXT, naive INTEGER, what TEXT, location TEXT, summary TEXT);
CREATE TABLE ids (run TEXT, id TEXT, location TEXT, what TEXT);
CREATE VIRTUAL TABLE words USING fts5 (text, location UNINDEXED, summary UNINDEXED, part UNINDEXED, tokenize = 'trigram');
"""
_INDEXES = """
CREATE INDEX IF NOT EXISTS entries_location ON entries (location);
CREATE INDEX IF NOT EXISTS records_order ON records (part, level, kind, at, id);
CREATE INDEX IF NOT EXISTS records_id ON records (id);
CREATE INDEX IF NOT EXISTS records_location ON records (location);
CREATE INDEX IF NOT EXISTS times_order ON times (part, naive, at, location, what);
CREATE INDEX IF NOT EXISTS ids_order ON ids (run, id);
"""
_LEVELS = {"alert": 0, "notable": 1, "info": 2}
_encode = msgspec.json.Encoder(order="sorted").encode
_findings = msgspec.json.Decoder(tuple[StoredFinding, ...]).decode


class Counts(Struct, frozen=True, kw_only=True):
    """How many of what the current runs found."""

    records_by_kind: dict[str, int]
    records_by_level: dict[str, int]
    entries_by_state: dict[str, int]
    entries_by_outcome: dict[str, int]
    reasons: dict[str, int]
    bytes_total: int
    distinct_contents: int


class Difference(Struct, frozen=True):
    """One thing that is in one run and not in the other."""

    side: str
    what: str
    location: str


def start(path: Path) -> None:
    """Make an empty index at `path` where there is none, or where another version wrote the one there is. Raises CaseError (disk full)."""
    if path.exists():
        try:
            with contextlib.closing(sqlite3.connect(path)) as found:
                if found.execute("PRAGMA user_version").fetchone()[0] == VERSION:
                    return
        except sqlite3.DatabaseError:
            pass  # damaged: it is derived, so it is made anew
        for each in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm"), path.with_name(path.name + "-journal")):
            each.unlink(missing_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(path)) as made, made:
            made.executescript(_SCHEMA)
            made.execute(f"PRAGMA user_version = {VERSION}")
    except sqlite3.OperationalError as error:
        raise CaseError(f"{path}: the index cannot be made ({error}); free some space and run the same command") from error


def runs_in(path: Path) -> set[str]:
    """The runs that the index at `path` holds."""
    with contextlib.closing(sqlite3.connect(path)) as index:
        return {run for (run,) in index.execute("SELECT run FROM runs")}


def add_run(path: Path, run: RunInfo, segments: Iterable[Path]) -> None:
    """Read a run's segments into the index, in one transaction, in place of what it had of that run. Raises CaseError (disk full)."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as index, index:
            index.execute("PRAGMA synchronous = OFF")  # derived: a crash costs a rebuild, nothing else
            index.execute("PRAGMA temp_store = FILE")
            # what analysers found last: it stands where the records stand that it derives from
            _Builder(index, run).build(sorted(segments, key=lambda path: (path.name.startswith("analysis-"), path)))
        with contextlib.closing(sqlite3.connect(path)) as index, index:
            index.executescript(_INDEXES)
            index.execute("UPDATE runs SET digest = ? WHERE run = ?", (_run_digest(index, run.run), run.run))
    except sqlite3.OperationalError as error:
        raise CaseError(
            f"{path}: the index cannot be written ({error}); free some space and run `forensics case check` to rebuild it"
        ) from error


def _run_digest(index: sqlite3.Connection, run: str) -> str:
    return digest_of_sorted(id for (id,) in index.execute("SELECT DISTINCT id FROM ids WHERE run = ? ORDER BY id", (run,)))


class _Builder:
    """Reads one run's segments into open tables."""

    def __init__(self, index: sqlite3.Connection, run: RunInfo) -> None:
        self._index, self._run = index, run
        self._plugins: dict[str, PluginInfo] = {plugin.name: plugin for plugin in run.plugins}
        self._parts: dict[str, int] = {}
        self._coverage: dict[tuple[int, str, str, str | None], list[int]] = {}
        self._limited = False

    def build(self, segments: list[Path]) -> None:
        run = self._run.run
        self._forget(run)
        self._index.execute("INSERT INTO runs VALUES (?, ?, NULL, 0)", (run, _encode(self._run)))
        for exhibit in self._run.exhibits:
            self._index.execute("UPDATE parts SET current = 0 WHERE exhibit = ?", (exhibit,))
            cursor = self._index.execute("INSERT INTO parts (run, exhibit, current) VALUES (?, ?, 1)", (run, exhibit))
            self._parts[escape(exhibit, separators=True)] = int(cursor.lastrowid or 0)
        self._index.execute("CREATE TEMP TABLE results (plugin TEXT, content TEXT, context TEXT, findings BLOB)")
        for path in segments:
            self._index.executemany(
                "INSERT INTO results VALUES (?, ?, ?, ?)",
                (
                    (line.plugin, line.content, line.context or "", _encode(line.findings))
                    for line in segment.read(path)
                    if isinstance(line, Result)
                ),
            )
        self._index.execute("CREATE INDEX temp.results_key ON results (content, plugin, context)")
        for path in segments:
            for line in segment.read(path):
                self._line(line)
        self._index.execute("DROP TABLE results")
        self._index.executemany(
            "INSERT INTO coverage VALUES (?, ?, ?, ?, ?, ?)",
            [(part, plugin, outcome, reason, *numbers) for (part, plugin, outcome, reason), numbers in self._coverage.items()],
        )
        self._index.execute("UPDATE runs SET limited = ? WHERE run = ?", (self._limited, run))

    def _forget(self, run: str) -> None:
        parts = [part for (part,) in self._index.execute("SELECT part FROM parts WHERE run = ?", (run,))]
        for part in parts:
            for table in ("entries", "records", "faults", "layers", "measured", "coverage", "times", "words"):
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
        self._index.execute("INSERT INTO ids VALUES (?, ?, ?, ?)", (self._run.run, id, location, what))

    def _line(self, line: Line) -> None:
        if isinstance(line, Examined):
            self._entry(line)
        elif isinstance(line, Fault):
            part = self._part(line.location)
            self._limited = self._limited or line.limit
            self._index.execute("INSERT INTO faults VALUES (?, ?, ?, ?, ?)", (part, line.location, line.plugin, line.kind, _encode(line)))
            self._id(
                identity(["fault", line.location, line.plugin, line.kind]), line.location, f"fault {line.kind} {line.plugin or ''}".strip()
            )
        elif isinstance(line, LayerInfo):
            self._index.execute("INSERT INTO layers VALUES (?, ?, ?)", (self._part(line.location), line.location, _encode(line)))
            self._id(identity(line), line.location, "layer")
        elif isinstance(line, Measured):
            place = escape(line.exhibit, separators=True)
            self._index.execute("INSERT INTO measured VALUES (?, ?, ?)", (self._part(place), line.phase, _encode(line)))
            if line.phase == "before":
                self._id(identity(["image", line.exhibit, line.image.size, line.image.sha256]), f"{place}:", "digest of the exhibit")
        elif isinstance(line, Derived):
            for finding in line.findings:
                self._derived(line.plugin, finding)

    def _entry(self, line: Examined) -> None:
        entry, raw = line.entry, _encode(line)
        part = self._part(entry.location)
        digest = line.digests.sha256 if line.digests else None
        self._index.execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (part, entry.location, entry.kind, entry.state, line.outcome, line.reason, entry.size, digest, raw),
        )
        self._id(sha256(raw), entry.location, "entry")
        self._word(part, entry.location, entry.location, entry.location)
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
        self._store(part, msgspec.structs.replace(record, id=identity(record)))

    def _derived(self, plugin: str, finding: StoredFinding) -> None:
        """An analyser's record stands where the first record stands that it derives from."""
        info = self._plugins[plugin]
        first = finding.derived_from[:1]
        row = self._index.execute("SELECT location FROM records WHERE id = ?", first).fetchone() if first else None
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
        self._index.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (record.id, part, finding.kind, _LEVELS[finding.level], record.plugin, at, naive, record.location, _encode(record)),
        )
        self._id(record.id, record.location, f"record {finding.kind} {record.plugin}")
        values = " ".join(str(value) for value in finding.data.values() if value is not None)
        self._word(part, f"{finding.summary}\n{values}\n{finding.text}", record.location, finding.summary)
        if finding.when:
            self._time(part, finding.when, finding.kind, record.location, finding.summary)

    def _time(self, part: int, time: str, what: str, location: str, summary: str) -> None:
        self._index.execute(
            "INSERT INTO times VALUES (?, ?, ?, ?, ?, ?)", (part, time.removesuffix("Z"), not time.endswith("Z"), what, location, summary)
        )

    def _word(self, part: int, text: str, location: str, summary: str) -> None:
        self._index.execute("INSERT INTO words VALUES (?, ?, ?, ?)", (text, location, summary, part))


class Index:
    """Questions to the index: over each exhibit's latest complete run, unless a run is named."""

    def __init__(self, connection: sqlite3.Connection, run: str | None) -> None:
        self._sql = connection
        where, values = ("run = ?", (run,)) if run else ("current = 1", ())
        rows = list(connection.execute(f"SELECT part, run, exhibit FROM parts WHERE {where} ORDER BY part", values))  # noqa: S608
        self._exhibits = {part: exhibit for part, _, exhibit in rows}
        self._runs = tuple(dict.fromkeys(name for _, name, _ in rows))
        self._parts = ", ".join(str(part) for part in self._exhibits) or "-1"

    def _where(self, **conditions: object) -> tuple[str, list[object]]:
        given = {name: value for name, value in conditions.items() if value is not None}
        return "".join(f" AND {name} = ?" for name in given), list(given.values())

    def _lines(self, sql: str, values: Iterable[object] = (), limit: int | None = None) -> Iterator[bytes]:
        cut = f" LIMIT {int(limit)}" if limit is not None else ""
        for (line,) in self._sql.execute(sql + cut, list(values)):
            yield line

    def records(
        self,
        kind: str | None = None,
        plugin: str | None = None,
        level: str | None = None,
        exhibit: str | None = None,
        limit: int | None = None,
        location: str | None = None,
    ) -> Iterator[Record]:
        """Records in order of level (alert first), kind, time, id."""
        where, values = self._where(kind=kind, plugin=plugin, level=None if level is None else _LEVELS[level], location=location)
        parts = self._parts if exhibit is None else ", ".join(str(p) for p, e in self._exhibits.items() if e == exhibit) or "-1"
        sql = f"SELECT line FROM records WHERE part IN ({parts}){where} ORDER BY level, kind, at IS NULL, naive, at, id"  # noqa: S608
        decode = msgspec.json.Decoder(Record).decode
        return (decode(line) for line in self._lines(sql, values, limit))

    def by_time(self, kind: str | None = None, plugin: str | None = None) -> Iterator[Record]:
        """Records in order of time, those without one last, then of id: what an analyser sees."""
        where, values = self._where(kind=kind, plugin=plugin)
        sql = f"SELECT line FROM records WHERE part IN ({self._parts}){where} ORDER BY at IS NULL, naive, at, id"  # noqa: S608
        decode = msgspec.json.Decoder(Record).decode
        return (decode(line) for line in self._lines(sql, values))

    def timeline(self, limit: int | None = None) -> Iterator[tuple[str, str, str, str]]:
        """Time, what (MACB letters or a finding's kind), location, summary; naive times in a band of their own after the others."""
        cut = f" LIMIT {int(limit)}" if limit is not None else ""
        sql = f"SELECT at, naive, what, location, summary FROM times WHERE part IN ({self._parts}) "  # noqa: S608
        for at, naive, what, location, summary in self._sql.execute(f"{sql} ORDER BY naive, at, location, what, summary{cut}"):
            yield at if naive else f"{at}Z", what, location, summary

    def entries(
        self, outcome: str | None = None, state: str | None = None, limit: int | None = None, location: str | None = None
    ) -> Iterator[Examined]:
        """Entries in order of location."""
        where, values = self._where(outcome=outcome, state=state, location=location)
        decode = msgspec.json.Decoder(Examined).decode
        sql = f"SELECT line FROM entries WHERE part IN ({self._parts}){where} ORDER BY location"  # noqa: S608
        return (decode(line) for line in self._lines(sql, values, limit))

    def entries_at(self, place: str) -> list[Examined]:
        """The entries that a person means by `place`: a whole location, one without its suffixes, or the path alone."""
        found = list(self.entries(location=place))
        if not found:
            pattern = place.replace("!", "!!").replace("%", "!%").replace("_", "!_")
            decode = msgspec.json.Decoder(Examined).decode
            sql = (
                f"SELECT line FROM entries WHERE part IN ({self._parts}) AND (location LIKE ? ESCAPE '!' OR location LIKE ? ESCAPE '!') "  # noqa: S608
                "ORDER BY location LIMIT 1000"
            )
            found = [decode(line) for line in self._lines(sql, (f"{pattern};%", f"%:{pattern};%"))]
            found += [decode(line) for line in self._lines(sql, (pattern, f"%:{pattern}"))]
        return found

    def faults(self, limit: int | None = None, location: str | None = None) -> Iterator[Fault]:
        """Faults in order of location."""
        where, values = self._where(location=location)
        decode = msgspec.json.Decoder(Fault).decode
        sql = f"SELECT line FROM faults WHERE part IN ({self._parts}){where} ORDER BY location, plugin, kind, line"  # noqa: S608
        return (decode(line) for line in self._lines(sql, values, limit))

    def fault_count(self) -> int:
        return int(self._sql.execute(f"SELECT COUNT(*) FROM faults WHERE part IN ({self._parts})").fetchone()[0])  # noqa: S608

    def layers(self) -> tuple[LayerInfo, ...]:
        decode = msgspec.json.Decoder(LayerInfo).decode
        sql = f"SELECT line FROM layers WHERE part IN ({self._parts}) ORDER BY part, rowid"  # noqa: S608
        return tuple(decode(line) for line in self._lines(sql))

    def coverage(self) -> tuple[Coverage, ...]:
        """A row for every plugin of the run on every exhibit, also where nothing was offered to it."""
        rows: dict[tuple[str, str], dict[str, Counter[str]]] = {}
        for run in self.runs():
            for exhibit in self._exhibits.values():
                if exhibit in run.exhibits:
                    for plugin in run.plugins:
                        rows.setdefault((exhibit, plugin.name), {"number": Counter(), "reasons": Counter(), "findings": Counter()})
        sql = f"SELECT part, plugin, outcome, reason, number, findings FROM coverage WHERE part IN ({self._parts})"  # noqa: S608
        for part, plugin, outcome, reason, number, findings in self._sql.execute(sql):
            row = rows.setdefault((self._exhibits[part], plugin), {"number": Counter(), "reasons": Counter(), "findings": Counter()})
            row["number"][outcome] += number
            row["findings"][""] += findings
            if reason:
                row["reasons"][reason] += number
        for run in self.runs():
            for part, exhibit in self._exhibits.items():
                for plugin in run.plugins:
                    if plugin.idle and exhibit in run.exhibits:
                        sql = "SELECT COUNT(*) FROM entries WHERE part = ? AND outcome = 'read'"
                        number = int(self._sql.execute(sql, (part,)).fetchone()[0])
                        rows[exhibit, plugin.name]["number"]["not-run"] += number
                        rows[exhibit, plugin.name]["reasons"][plugin.idle] += number
        return tuple(
            Coverage(
                exhibit=exhibit,
                plugin=plugin,
                offered=sum(row["number"].values()),
                read=row["number"]["read"],
                skipped=row["number"]["skipped"],
                failed=row["number"]["failed"],
                not_run=row["number"]["not-run"],
                findings=row["findings"][""],
                reasons=dict(sorted(row["reasons"].items())),
            )
            for (exhibit, plugin), row in sorted(rows.items())
        )

    def counts(self) -> Counts:
        def grouped(column: str, table: str, more: str = "") -> dict[str, int]:
            sql = f"SELECT {column}, COUNT(*) FROM {table} WHERE part IN ({self._parts}){more} GROUP BY 1 ORDER BY 1"  # noqa: S608
            return {str(name): number for name, number in self._sql.execute(sql)}

        names = {str(number): name for name, number in _LEVELS.items()}
        levels = grouped("level", "records")
        sql = f"SELECT COALESCE(SUM(size), 0), COUNT(DISTINCT sha256) FROM entries WHERE part IN ({self._parts}) AND outcome = 'read'"  # noqa: S608
        size, distinct = self._sql.execute(sql).fetchone()
        return Counts(
            records_by_kind=grouped("kind", "records"),
            records_by_level={names[level]: number for level, number in levels.items()},
            entries_by_state=grouped("state", "entries"),
            entries_by_outcome=grouped("outcome", "entries", " AND outcome IS NOT NULL"),
            reasons=grouped("reason", "entries", " AND reason IS NOT NULL"),
            bytes_total=size,
            distinct_contents=distinct,
        )

    def runs(self) -> tuple[RunInfo, ...]:
        decode = msgspec.json.Decoder(RunInfo).decode
        marks = ", ".join("?" * len(self._runs))
        return tuple(decode(line) for line in self._lines(f"SELECT line FROM runs WHERE run IN ({marks}) ORDER BY run", self._runs))  # noqa: S608

    def run_digest(self, run: str) -> str:
        """The digest of a run: over the sorted ids of its entries, records, faults, layers and images."""
        row = self._sql.execute("SELECT digest FROM runs WHERE run = ?", (run,)).fetchone()
        if row is None or row[0] is None:
            raise CaseError(f"run {run!r} is not in the index; `forensics case show` names the complete runs")
        return str(row[0])

    def limited(self, run: str) -> bool:
        """Whether a limit of time or memory struck in the run, so that it is not comparable."""
        row = self._sql.execute("SELECT limited FROM runs WHERE run = ?", (run,)).fetchone()
        return bool(row and row[0])

    def images(self) -> dict[str, ImageDigest]:
        """The digests of each exhibit before it was examined."""
        return {line.exhibit: line.image for line in self._measured("before")}

    def checks(self) -> dict[str, bool]:
        """Whether each exhibit had the same digest after as before; exhibits not measured again are absent."""
        before = self.images()
        return {
            line.exhibit: line.image.sha256 == before[line.exhibit].sha256 for line in self._measured("after") if line.exhibit in before
        }

    def _measured(self, phase: str) -> Iterator[Measured]:
        decode = msgspec.json.Decoder(Measured).decode
        sql = f"SELECT line FROM measured WHERE part IN ({self._parts}) AND phase = ? ORDER BY part, rowid"  # noqa: S608
        return (decode(line) for line in self._lines(sql, (phase,)))

    def search(self, text: str, limit: int = 100) -> Iterator[tuple[str, str]]:
        """Location and summary of what holds `text`, in any script; under three characters by comparing, slowly."""
        if len(text) >= SHORTEST:
            quoted = '"' + text.replace('"', '""') + '"'
            where, value = "words MATCH ?", quoted
        else:
            where, value = "text LIKE ? ESCAPE '!'", "%" + text.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"
        sql = f"SELECT DISTINCT location, summary FROM words WHERE {where} AND part IN ({self._parts}) ORDER BY location, summary LIMIT ?"  # noqa: S608
        yield from self._sql.execute(sql, (value, limit))


@contextlib.contextmanager
def open_index(path: Path, run: str | None = None) -> Iterator[Index]:
    """The index at `path`, read-only. Raises CaseError where there is none."""
    if not path.exists():
        raise CaseError(f"{path}: nothing has been examined in this case yet; run `forensics examine`")
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            yield Index(connection, run)
        except sqlite3.DatabaseError as error:
            raise CaseError(f"{path}: the index is damaged ({error}); delete it and run `forensics case check`") from error


def compare(left: Path, left_run: str, right: Path, right_run: str) -> Iterator[Difference]:
    """What is in one run and not in the other, by id, in order of location; nothing where both say the same."""
    with contextlib.closing(sqlite3.connect(f"{left.absolute().as_uri()}?mode=ro", uri=True)) as sql:
        sql.execute("ATTACH ? AS other", (f"{right.absolute().as_uri()}?mode=ro",))
        query = """
            SELECT DISTINCT ?, what, location FROM {a}.ids AS a WHERE run = ? AND NOT EXISTS
            (SELECT 1 FROM {b}.ids AS b WHERE b.run = ? AND b.id = a.id)"""
        both = f"{query.format(a='main', b='other')} UNION {query.format(a='other', b='main')} ORDER BY 3, 2, 1"
        for side, what, location in sql.execute(both, ("first", left_run, right_run, "second", right_run, left_run)):
            yield Difference(side, what, location)
