"""The words of an index: a database of its own beside it, for full-text search, written by a thread while the rest of the index is made.

SQLite does the work of a lot of rows in one statement, during which Python does something else, on another core where there is one.
"""

import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from forensics.index.schema import VERSION, WORDS

_ROWS = 1024  # of one statement
_CHARACTERS = 1 << 20  # of one statement's text
_WAITING = 8  # statements that wait for the thread
_COLUMNS = 4

Row = tuple[str, str, str, int]


def path_of(index: Path) -> Path:
    """Where the words of the index at a path are."""
    return index.with_name(f"{index.stem}-search.db")


def parts(path: Path) -> set[tuple[int, str]]:
    """The parts that the words at `path` are of, each with its run. Raises sqlite3.DatabaseError."""
    with contextlib.closing(sqlite3.connect(path)) as held:
        return set(held.execute("SELECT part, run FROM parts"))


def make(path: Path) -> None:
    """An empty database of words where there is none. Raises sqlite3.DatabaseError."""
    with contextlib.closing(sqlite3.connect(path)) as made, made:
        made.execute("PRAGMA synchronous = OFF")  # nothing is in it that could be lost
        made.executescript(f"BEGIN; {WORDS} PRAGMA user_version = {VERSION}; COMMIT;")


class Writer:
    """Takes rows, and writes them in one transaction: kept where the block ends well, and else as if it had not begun.

    Entering is cheap: the thread begins with the first statement. What it cannot write is raised by the next call, or at the end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.Queue[tuple[str, list[Any]] | None] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None
        self._error: sqlite3.Error | OSError | None = None
        self._keep = self._ended = False
        self._rows: list[Row] = []
        self._characters = 0

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Write what is held, and make it durable. Raises sqlite3.Error, OSError."""
        try:
            if kind is None:
                self._flush()
        finally:
            self._keep = kind is None
            if self._thread:
                self._queue.put(None)
                self._thread.join()
        if kind is None and self._error:
            raise self._error

    def replace(self, run: str, parts: Iterable[int]) -> None:
        """Forget what is held of a run, or of another under the same numbers: from now on they are the numbers of its parts."""
        numbers = ", ".join(map(str, parts)) or "-1"
        old = f"SELECT part FROM parts WHERE run = ? OR part IN ({numbers})"  # noqa: S608 - numbers of ours
        # looking through all words takes long, and is seldom needed: a condition that does not name a row is asked once
        self._do(f"DELETE FROM words WHERE EXISTS ({old}) AND part IN ({old})", [run, run])  # noqa: S608
        self._do(f"DELETE FROM parts WHERE part IN ({old})", [run])  # noqa: S608
        for number in parts:
            self._do("INSERT INTO parts VALUES (?, ?)", [number, run])

    def put(self, *row: Any) -> None:
        """Add a row: text, location, summary, part. Raises what came of an earlier one: sqlite3.Error, OSError."""
        self._rows.append(row)
        self._characters += len(row[0])
        if len(self._rows) == _ROWS or self._characters > _CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            marks = ", ".join([f"({', '.join('?' * _COLUMNS)})"] * len(self._rows))
            self._do(f"INSERT INTO words VALUES {marks}", [value for row in self._rows for value in row])  # noqa: S608 - marks alone
            self._rows, self._characters = [], 0

    def _do(self, sql: str, values: list[Any]) -> None:
        if self._error:
            raise self._error
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="words", daemon=True)
            self._thread.start()
        self._queue.put((sql, values))

    def _write(self) -> None:
        """The thread: everything in one transaction. After an error it takes what comes and does nothing, so that nobody waits for it."""
        try:
            with contextlib.closing(sqlite3.connect(self._path)) as held:
                held.execute("PRAGMA synchronous = OFF")  # what is committed is made durable below, before the index says that it has it
                held.execute("PRAGMA cache_size = -65536")
                while (item := self._queue.get()) is not None:
                    held.execute(*item)
                self._ended = True
                if self._keep:
                    held.commit()
            if self._keep:
                with open(self._path, "rb") as written:
                    os.fsync(written.fileno())
        except (sqlite3.Error, OSError) as error:
            self._error = error
            while not self._ended:
                self._ended = self._queue.get() is None
