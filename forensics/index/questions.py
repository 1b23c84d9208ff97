"""What can be asked of the index."""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from forensics.errors import CaseError
from forensics.index import coverage, words
from forensics.index.schema import LEVELS, SHORTEST
from forensics.index.trouble import trouble
from forensics.model import Coverage, Examined, Fault, ImageDigest, LayerInfo, Measured, Record, RunInfo

# byte ranges that are no file: what was carved out of them is one
_SPACE = "kind IN ('virtual', 'other') AND state IN ('unallocated', 'slack')"
_FILES = f" AND NOT ({_SPACE})"


class Counts(Struct, frozen=True, kw_only=True):
    """How many of what the current runs found. Unallocated space and slack are no entries: `space` are the bytes read of them, by state."""

    records_by_kind: dict[str, int]
    records_by_level: dict[str, int]
    entries_by_state: dict[str, int]
    entries_by_outcome: dict[str, int]
    reasons: dict[str, int]
    bytes_total: int
    distinct_contents: int
    space: dict[str, int] = {}


class Difference(Struct, frozen=True):
    """One thing that is in one run and not in the other."""

    side: str
    what: str
    location: str


class Index:
    """Questions to the index: over each exhibit's latest complete run, unless a run is named."""

    def __init__(self, connection: sqlite3.Connection, search: Path, run: str | None) -> None:
        self._sql, self._words = connection, search
        where, values = ("run = ?", (run,)) if run else ("current = 1", ())
        rows = list(connection.execute(f"SELECT part, run, exhibit FROM parts WHERE {where} ORDER BY part", values))  # noqa: S608
        self._exhibits = {part: exhibit for part, _, exhibit in rows}
        self._run_of = {part: name for part, name, _ in rows}
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
        where, values = self._where(kind=kind, plugin=plugin, level=None if level is None else LEVELS[level], location=location)
        parts = self._parts if exhibit is None else ", ".join(str(p) for p, e in self._exhibits.items() if e == exhibit) or "-1"
        sql = f"SELECT line FROM records WHERE part IN ({parts}){where} ORDER BY level, kind, at IS NULL, naive, at, id"  # noqa: S608
        decode = msgspec.json.Decoder(Record).decode
        return (decode(line) for line in self._lines(sql, values, limit))

    def ids(self, prefix: str) -> list[str]:
        """The ids of records that begin with `prefix` (hexadecimal digits), sorted, each once."""
        sql = f"SELECT DISTINCT id FROM records WHERE part IN ({self._parts}) AND id >= ? AND id < ? ORDER BY id"  # noqa: S608
        return [str(id) for (id,) in self._sql.execute(sql, (prefix, prefix + "g"))]

    def choose(
        self,
        *,
        kinds: Iterable[str] | None = None,
        plugins: Iterable[str] | None = None,
        levels: Iterable[str] | None = None,
        exhibits: Iterable[str] | None = None,
        ids: Iterable[str] | None = None,
    ) -> Iterator[Record]:
        """Records that have any of the values given of each kind, in the order of `records`; `None` leaves a question open."""
        numbers = None if levels is None else [LEVELS[level] for level in levels]
        given = {"kind": kinds, "plugin": plugins, "level": numbers, "id": ids}
        asked = {name: msgspec.json.encode(list(values)).decode() for name, values in given.items() if values is not None}
        where = "".join(f" AND {name} IN (SELECT value FROM json_each(?))" for name in asked)  # noqa: S608 - names of ours
        wanted = None if exhibits is None else set(exhibits)
        parts = ", ".join(str(part) for part, exhibit in self._exhibits.items() if wanted is None or exhibit in wanted) or "-1"
        sql = f"SELECT line FROM records WHERE part IN ({parts}){where} ORDER BY level, kind, at IS NULL, naive, at, id"  # noqa: S608
        decode = msgspec.json.Decoder(Record).decode
        return (decode(line) for line in self._lines(sql, asked.values()))

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

    def entry_lines(self) -> Iterator[bytes]:
        """Entries in order of location, each as the canonical JSON that its segment holds."""
        return self._lines(f"SELECT line FROM entries WHERE part IN ({self._parts}) ORDER BY location")  # noqa: S608

    def entries_at(self, place: str) -> list[Examined]:
        """The entries that a person means by `place`: a whole location, one without its suffixes, or the path alone."""
        found = list(self.entries(location=place))
        if not found:
            pattern = _anywhere(place)[1:-1]
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

    def entry_count(self) -> int:
        return int(self._sql.execute(f"SELECT COUNT(*) FROM entries WHERE part IN ({self._parts})").fetchone()[0])  # noqa: S608

    def fault_count(self) -> int:
        return int(self._sql.execute(f"SELECT COUNT(*) FROM faults WHERE part IN ({self._parts})").fetchone()[0])  # noqa: S608

    def layers(self) -> tuple[LayerInfo, ...]:
        decode = msgspec.json.Decoder(LayerInfo).decode
        sql = f"SELECT line FROM layers WHERE part IN ({self._parts}) ORDER BY part, rowid"  # noqa: S608
        return tuple(decode(line) for line in self._lines(sql))

    def coverage(self) -> tuple[Coverage, ...]:
        """A row for every plugin on every exhibit, of the run from which that exhibit is shown, also where nothing was offered to it."""
        runs = {run.run: run for run in self.runs()}
        shown = sorted((exhibit, part) for part, exhibit in self._exhibits.items())
        return tuple(row for exhibit, part in shown for row in coverage.rows(self._sql, part, runs[self._run_of[part]], exhibit))

    def run_at(self, location: str) -> RunInfo:
        """The run from which the entry at `location` is shown. Raises CaseError where there is no such entry."""
        sql = f"SELECT part FROM entries WHERE location = ? AND part IN ({self._parts})"  # noqa: S608
        row = self._sql.execute(sql, (location,)).fetchone()
        if row is None:
            raise CaseError(f"{location}: no entry stands there; `forensics search` finds locations by a part of their name")
        return next(run for run in self.runs() if run.run == self._run_of[row[0]])

    def counts(self) -> Counts:
        def grouped(column: str, table: str, more: str = "") -> dict[str, int]:
            sql = f"SELECT {column}, COUNT(*) FROM {table} WHERE part IN ({self._parts}){more} GROUP BY 1 ORDER BY 1"  # noqa: S608
            return {str(name): number for name, number in self._sql.execute(sql)}

        names = {str(number): name for name, number in LEVELS.items()}
        levels = grouped("level", "records")
        sql = (
            f"SELECT COALESCE(SUM(size), 0), COUNT(DISTINCT sha256) FROM entries WHERE part IN ({self._parts}) AND outcome = 'read'{_FILES}"  # noqa: S608
        )
        size, distinct = self._sql.execute(sql).fetchone()
        space = (
            f"SELECT state, SUM(size) FROM entries WHERE part IN ({self._parts}) AND outcome = 'read' AND {_SPACE} GROUP BY 1 ORDER BY 1"  # noqa: S608
        )
        return Counts(
            records_by_kind=grouped("kind", "records"),
            records_by_level={names[level]: number for level, number in levels.items()},
            entries_by_state=grouped("state", "entries", _FILES),
            entries_by_outcome=grouped("outcome", "entries", f" AND outcome IS NOT NULL{_FILES}"),
            reasons=grouped("reason", "entries", " AND reason IS NOT NULL"),
            bytes_total=size,
            distinct_contents=distinct,
            space=dict(self._sql.execute(space)),
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

    def unmeasured(self, phase: str) -> dict[str, str]:
        """The exhibits that could not be measured `before` or `after` the examination, each with why."""
        sql = f"SELECT part, why FROM unmeasured WHERE part IN ({self._parts}) AND phase = ? ORDER BY part"  # noqa: S608
        return {self._exhibits[part]: why for part, why in self._sql.execute(sql, (phase,))}

    def _measured(self, phase: str) -> Iterator[Measured]:
        decode = msgspec.json.Decoder(Measured).decode
        sql = f"SELECT line FROM measured WHERE part IN ({self._parts}) AND phase = ? ORDER BY part, rowid"  # noqa: S608
        return (decode(line) for line in self._lines(sql, (phase,)))

    def search(self, text: str, limit: int = 100) -> Iterator[tuple[str, str]]:
        """Location and summary of the findings that hold `text`, then the locations that do; in any script, whatever the case."""
        if len(text) >= SHORTEST:
            where, value = "words MATCH ?", '"' + text.replace('"', '""') + '"'
        else:
            where, value = "text LIKE ? ESCAPE '!'", _anywhere(text)
        sql = f"SELECT DISTINCT location, summary FROM words WHERE {where} AND part IN ({self._parts}) ORDER BY location, summary LIMIT ?"  # noqa: S608
        number = 0
        with contextlib.closing(sqlite3.connect(_read_only(self._words), uri=True)) as found:
            for row in found.execute(sql, (value, limit)):
                number += 1
                yield row
        self._sql.create_function("folded", 1, str.casefold, deterministic=True)
        # LIKE folds the case of ASCII letters alone, and much faster
        column, wanted = ("location", text) if text.isascii() else ("folded(location)", text.casefold())
        sql = f"SELECT location FROM entries WHERE {column} LIKE ? ESCAPE '!' AND part IN ({self._parts}) ORDER BY location LIMIT ?"  # noqa: S608
        for (location,) in self._sql.execute(sql, (_anywhere(wanted), limit - number)):
            yield location, location


def _anywhere(text: str) -> str:
    return "%" + text.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"


@contextlib.contextmanager
def open_index(path: Path, run: str | None = None) -> Iterator[Index]:
    """The index at `path`, read-only. Raises CaseError where there is none, where it is in use or damaged, or where there is no space."""
    if not path.exists():
        raise CaseError(f"{path}: nothing has been examined in this case yet; run `forensics examine`")
    try:
        with contextlib.closing(sqlite3.connect(_read_only(path), uri=True)) as connection:
            yield Index(connection, words.path_of(path), run)
    except sqlite3.DatabaseError as error:
        raise trouble(path, error) from error


def _read_only(path: Path) -> str:
    return f"{path.absolute().as_uri()}?mode=ro"


def compare(left: Path, left_run: str, right: Path, right_run: str) -> Iterator[Difference]:
    """What is in one run and not in the other, by id, in order of location; nothing where both say the same. Raises CaseError."""
    query = """
        SELECT DISTINCT ?, what, location FROM {a}.ids AS a WHERE run = ? AND NOT EXISTS
        (SELECT 1 FROM {b}.ids AS b WHERE b.run = ? AND b.id = a.id)"""
    both = f"{query.format(a='main', b='other')} UNION {query.format(a='other', b='main')} ORDER BY 3, 2, 1"
    try:
        with contextlib.closing(sqlite3.connect(_read_only(left), uri=True)) as sql:
            sql.execute("ATTACH ? AS other", (_read_only(right),))
            for side, what, location in sql.execute(both, ("first", left_run, right_run, "second", right_run, left_run)):
                yield Difference(side, what, location)
    except sqlite3.DatabaseError as error:
        raise trouble(left, error) from error
