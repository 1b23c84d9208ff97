"""What of a case is exported: the records that a query chooses, and what belongs to the exhibits named."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

from msgspec import Struct

from forensics.export.csv import aware
from forensics.index import Index
from forensics.location import escape, printable
from forensics.model import Coverage, Examined, Fault, LayerInfo, Record
from forensics.review.query import Query, select
from forensics.review.state import Review


class Choice(Struct, frozen=True):
    """A case's index, and what was asked for. `query` chooses records alone; `exhibits` (empty: all) everything else."""

    index: Index
    query: Query
    review: Review
    exhibits: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether records are taken whatever they say."""
        return not {*self.query.wanted, *self.query.unwanted} - {"exhibit"} and "exhibit" not in self.query.unwanted

    def records(self) -> Iterator[Record]:
        """In order of level, kind, time and id. Raises UsageError as `review.select`."""
        return select(self.index, self.query, self.review)

    def entries(self) -> Iterator[Examined]:
        """In order of location."""
        return (line for line in self.index.entries() if self._of(line.entry.location))

    def faults(self) -> Iterator[Fault]:
        """In order of location."""
        return (fault for fault in self.index.faults() if self._of(fault.location))

    def coverage(self) -> tuple[Coverage, ...]:
        return tuple(line for line in self.index.coverage() if not self.exhibits or line.exhibit in self.exhibits)

    def layers(self) -> tuple[LayerInfo, ...]:
        return tuple(layer for layer in self.index.layers() if self._of(layer.location))

    def timeline(self) -> Iterator[tuple[str, str, str, str]]:
        """Time, what, location and summary, naive times after the others: of files and findings, or of the chosen findings alone."""
        if self.whole:
            return (event for event in self.index.timeline() if self._of(event[2]))
        return _in_order(self.records())

    def file_at(self, location: str) -> Examined | None:
        """What was examined at a location."""
        return next(self.index.entries(location=location, limit=1), None)

    def _of(self, location: str) -> bool:
        return not self.exhibits or location.startswith(tuple(f"{escape(name, separators=True)}:" for name in self.exhibits))


def _in_order(records: Iterable[Record]) -> Iterator[tuple[str, str, str, str]]:
    """The dated ones of `records` as events in order of time, sorted on disk (an unnamed SQLite file)."""
    with closing(sqlite3.connect("", isolation_level=None)) as sql:
        sql.execute("CREATE TABLE events (at TEXT, naive INTEGER, what TEXT, location TEXT, summary TEXT)")
        sql.execute("BEGIN")
        for record in records:
            if (when := record.finding.when) is not None:
                row = (when, not aware(when), record.finding.kind, record.location, printable(record.finding.summary))
                sql.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?)", row)
        # without the Z, so that 12:00:00 comes before 12:00:00.5
        order = "naive, rtrim(at, 'Z'), location, what, summary"
        yield from sql.execute(f"SELECT at, what, location, summary FROM events ORDER BY {order}")  # noqa: S608
