"""The case as one SQLite database, for those who ask in SQL. `SCHEMA` is the documentation; it stands in the file's own `sqlite_master`.

Times are ISO 8601 text as found; `utc` is 1 where the zone is known and 0 where it is not. `data`, `attachments`, `derived_from`,
`plugins`, `reasons`, `holes` and what ends in `_json` are JSON text. Locations are the text form of locations. What nobody knows is
NULL. It is a copy for questions: the case itself is not read from it.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from forensics.digest import canonical
from forensics.export.choice import Choice
from forensics.export.csv import aware
from forensics.export.listing import Listing
from forensics.export.whole import listed, whole
from forensics.location import Location, printable
from forensics.model import CaseInfo, Coverage, Examined, Exhibit, Fault, Record

VERSION = 2
SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT);  -- schema, tool, case, query, exported_at
CREATE TABLE exhibits (
    exhibit TEXT PRIMARY KEY, parent TEXT, kind TEXT, description TEXT, make TEXT, model TEXT, serial TEXT,
    image_format TEXT, image_size INTEGER, image_sha256 TEXT, -- of the decoded medium
    unchanged INTEGER, -- 1: the same digest after the examination as before it
    exhibit_json TEXT);
CREATE TABLE runs (run TEXT PRIMARY KEY, tool TEXT, tool_sha256 TEXT, started TEXT, digest TEXT, limited INTEGER, run_json TEXT);
CREATE TABLE records (
    record TEXT, exhibit TEXT, location TEXT, state TEXT, content TEXT, sha256 TEXT,
    plugin TEXT, plugin_version TEXT, plugin_sha256 TEXT,
    level TEXT, kind TEXT, summary TEXT, time TEXT, utc INTEGER, locator TEXT,
    status TEXT, category TEXT, -- what people said of it: confirmed, rejected, unreviewed
    data TEXT, attachments TEXT, derived_from TEXT);
CREATE TABLE entries (
    exhibit TEXT, location TEXT, kind TEXT, size INTEGER, state TEXT, content TEXT, holes TEXT, reallocated_to TEXT,
    modified TEXT, accessed TEXT, changed TEXT, born TEXT, mode INTEGER, uid INTEGER, gid INTEGER, target TEXT,
    mime TEXT, outcome TEXT, reason TEXT, sha256 TEXT, sha1 TEXT, md5 TEXT, plugins TEXT, note TEXT);
CREATE TABLE timeline (time TEXT, utc INTEGER, what TEXT, exhibit TEXT, location TEXT, summary TEXT); -- what: MACB letters, or a kind
CREATE TABLE faults (exhibit TEXT, location TEXT, kind TEXT, plugin TEXT, limited INTEGER, message TEXT);
CREATE TABLE coverage (
    exhibit TEXT, plugin TEXT, offered INTEGER, read INTEGER, skipped INTEGER, failed INTEGER, not_run INTEGER, findings INTEGER,
    reasons TEXT, remark TEXT);
"""
_INDEXES = """
CREATE INDEX records_kind ON records (kind, level);
CREATE INDEX records_location ON records (location);
CREATE INDEX entries_location ON entries (location);
CREATE INDEX entries_sha256 ON entries (sha256);
CREATE INDEX timeline_time ON timeline (utc, time);
"""
_LARGEST = 2**63


def write(path: Path, choice: Choice, *, case: CaseInfo, exhibits: Iterable[Exhibit], meta: dict[str, str]) -> Listing:
    """Write what was chosen to the database `path`; memory stays flat. `rows` counts records, entries, events, faults and coverage.

    Raises OSError.
    """
    with whole(path) as temporary:
        temporary.touch()
        with closing(sqlite3.connect(temporary, isolation_level=None)) as sql:
            sql.execute("PRAGMA journal_mode = OFF")  # what fails is thrown away
            sql.execute("PRAGMA synchronous = OFF")  # `whole` writes it through
            sql.executescript(SCHEMA)
            sql.execute("BEGIN")
            facts = {"schema": str(VERSION), "case": case.case_id or "", **meta}
            _insert(sql, "meta", sorted(facts.items()))
            _insert(sql, "exhibits", _exhibits(choice, exhibits))
            _insert(sql, "runs", _runs(choice))
            count = (
                _insert(sql, "records", (_record(choice, record) for record in choice.records()))
                + _insert(sql, "entries", map(_entry, choice.entries()))
                + _insert(sql, "timeline", map(_event, choice.timeline()))
                + _insert(sql, "faults", map(_fault, choice.faults()))
                + _insert(sql, "coverage", map(_coverage, choice.coverage()))
            )
            sql.execute("COMMIT")
            sql.executescript(_INDEXES)
    return listed(path, count)


def _insert(sql: sqlite3.Connection, table: str, rows: Iterable[tuple[object, ...]]) -> int:
    count = 0
    for row in rows:
        marks = ", ".join("?" * len(row))
        sql.execute(f"INSERT INTO {table} VALUES ({marks})", tuple(map(_value, row)))  # noqa: S608 - names of our own
        count += 1
    return count


def _value(value: object) -> object:
    """As SQLite holds it: text that can be encoded, integers of 64 bits; a larger one (a size that a damaged entry states) is rounded."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        return float(value)
    return value


def _json(value: Any) -> str | None:
    return canonical(value).decode() if value else None


def _exhibit_of(location: str) -> str:
    return Location.parse(location).exhibit


def _exhibits(choice: Choice, exhibits: Iterable[Exhibit]) -> Iterable[tuple[object, ...]]:
    images, checks = choice.index.images(), choice.index.checks()
    for exhibit in exhibits:
        image = images.get(exhibit.exhibit_id)
        yield (
            *(exhibit.exhibit_id, exhibit.parent_exhibit, exhibit.kind, exhibit.description, exhibit.make, exhibit.model, exhibit.serial),
            *((image.format, image.size, image.sha256) if image else (None, None, None)),
            checks.get(exhibit.exhibit_id),
            _json(exhibit),
        )


def _runs(choice: Choice) -> Iterable[tuple[object, ...]]:
    for run in choice.index.runs():
        digest, limited = choice.index.run_digest(run.run), choice.index.limited(run.run)
        yield run.run, run.tool, run.tool_digest, run.started, digest, limited, _json(run)


def _record(choice: Choice, record: Record) -> tuple[object, ...]:
    finding = record.finding
    return (
        *(record.id, _exhibit_of(record.location), record.location, record.state, record.content, record.sha256),
        *(record.plugin, record.plugin_version, record.plugin_digest, finding.level, finding.kind, finding.summary),
        *(finding.when, None if finding.when is None else aware(finding.when)),
        None if finding.locator is None else str(finding.locator),
        *(choice.review.status(record.id), choice.review.category(record)),
        *(_json(finding.data), _json(finding.attachments), _json(finding.derived_from)),
    )


def _entry(line: Examined) -> tuple[object, ...]:
    entry, digests, times = line.entry, line.digests, line.entry.times
    return (
        *(_exhibit_of(entry.location), entry.location, entry.kind, entry.size, entry.state, entry.content, _json(entry.holes)),
        *(entry.reallocated_to, times.modified, times.accessed, times.changed, times.born, entry.mode, entry.uid, entry.gid, entry.target),
        *(line.mime, line.outcome, line.reason),
        *((digests.sha256, digests.sha1, digests.md5) if digests else (None, None, None)),
        *(_json(line.plugins), entry.note),
    )


def _event(event: tuple[str, str, str, str]) -> tuple[object, ...]:
    when, what, location, summary = event
    return when, aware(when), what, _exhibit_of(location), location, summary


def _fault(fault: Fault) -> tuple[object, ...]:
    return _exhibit_of(fault.location), fault.location, fault.kind, fault.plugin, fault.limit, fault.message


def _coverage(line: Coverage) -> tuple[object, ...]:
    counts = (line.offered, line.read, line.skipped, line.failed, line.not_run, line.findings)
    return line.exhibit, line.plugin, *counts, _json(line.reasons), line.remark
