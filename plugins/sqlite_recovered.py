"""Deleted rows of SQLite databases: what is left of them in free pages, in the free space of pages, and in the two kinds of journal.

After "Database File Format" (sqlite.org/fileformat2.html; 3 is the rollback journal, 4 the write-ahead log). SQLite leaves the bytes of a
deleted row where they were, unless it was told to overwrite them (`secure_delete`) or has written others there since. Freeing a row inside
a page overwrites its first four bytes, so such a row is put together again from what follows, and its number is lost.
"""

import re
import sqlite3
import struct
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO, Literal

from msgspec import Struct

from forensics.plugin import ByteRange, Corrupt, File, Finding, LimitExceeded, RecordNumber, Unsupported, Value, extractor, shown

MAGIC = b"SQLite format 3\0"
JOURNAL = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
MAX_ROWS = 100_000  # recovered of one database
MAX_PAGES = 1 << 22
MAX_FRAMES = 1 << 20  # of a write-ahead log
MAX_TABLES = 2000
MAX_COLUMNS = 2000  # as SQLite itself
MAX_DEPTH = 40  # of a b-tree
MAX_OVERFLOW = 1 << 20  # bytes of a row that lie on further pages and are kept
MAX_TEXT = 4096  # characters of a value that are kept
MAX_SQL = 100_000
LEAF, INTERIOR = 0x0D, 0x05
Found = Literal["free-page", "freeblock", "unallocated", "wal", "journal", "superseded-page"]
Cell = float | int | str | bytes | None
DAMAGE = (IndexError, struct.error, ValueError)
_SIZES = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)  # of serial types 0 to 9
_SOME = re.compile(rb"[^\0]")
_WITHOUT = re.compile(r"\bWITHOUT\s+ROWID\b[^)]*$", re.IGNORECASE)  # its b-tree is that of an index
_CREATE = re.compile(r"\s*CREATE\s+TABLE\s", re.IGNORECASE)


class _Table(Struct, frozen=True):
    """A table of the schema: its name, the first page of its b-tree, names and affinities of its columns, which is the row's number."""

    name: str
    root: int
    columns: tuple[str, ...]
    affinities: tuple[str, ...]
    key: int | None


class _Row(Struct, frozen=True):
    """A row as it was read: its number (`None` where lost), its values, how many bytes its cell takes; whether it was put together."""

    rowid: int | None
    values: tuple[Cell, ...]
    length: int
    reconstructed: bool = False
    overflow: bool = False


@extractor(version="1.0", mime=("application/vnd.sqlite3", "application/x-sqlite3"), magic=(MAGIC,), companions=("-wal", "-journal"))
def sqlite_recovered(file: File) -> Iterator[Finding]:
    """Deleted and earlier rows in SQLite databases: from free pages, free space within pages, write-ahead log and rollback journal.

    Rows that are still there as they are, are not given. Raises Unsupported where the content is no SQLite database, Corrupt after what
    could be read of a damaged one, LimitExceeded past 100,000 rows.
    """
    with file.open() as stream:
        database = _Database(stream, file.size)
        with ExitStack() as opened:
            if log := file.companion("-wal"):
                database.apply(opened.enter_context(log.open()), log.size)
            if journal := file.companion("-journal"):
                database.roll_back(opened.enter_context(journal.open()), journal.size)
            yield from _recovered(database)


def _recovered(database: "_Database") -> Iterator[Finding]:
    seen: set[int] = set()
    for found, table, page, where, at, row in _rows(database):
        state = _state(database, table, row)
        mark = hash((table.name, row.rowid, row.values))
        if state is None or mark in seen:
            continue
        seen.add(mark)
        yield _finding(database, found, table, page, where, at, row, state)
        if len(seen) >= MAX_ROWS:
            raise LimitExceeded(f"more than {MAX_ROWS} recovered rows; the first were given")
    if database.damage:
        raise Corrupt(f"SQLite database that is damaged in {len(database.damage)} places or more: {'; '.join(database.damage[:5])}")


def _state(database: "_Database", table: _Table, row: _Row) -> str | None:
    """Whether a row with this number is still there otherwise (`earlier-version`) or not (`deleted`); `None` where it is there as it is."""
    if row.rowid is None:
        return "deleted"
    now = database.row(table, row.rowid)
    if now is None:
        return "deleted"
    if row.overflow and now.values[: len(row.values) - 1] == row.values[:-1]:
        return None  # a copy that was left when the row moved; its further pages have been written since
    return None if now.values == row.values else "earlier-version"


def _finding(database: "_Database", found: Found, table: _Table, page: int, where: int, at: int, row: _Row, state: str) -> Finding:
    pairs = [
        (name, value)
        for place, (name, value) in enumerate(zip(table.columns, row.values, strict=False))
        if value is not None and place != table.key
    ]
    data: dict[str, Value] = {
        "table": shown(table.name),
        "row_state": state,
        "found_in": found,
        "page": page,
        "page_offset": at,
        "columns": [shown(name) for name, _ in pairs],
        "values": [_value(value) for _, value in pairs],
        "reconstructed": row.reconstructed,
    }
    if row.rowid is not None:
        data |= {"rowid": row.rowid} if abs(row.rowid) < 1 << 53 else {"rowid_text": str(row.rowid)}
    if row.overflow:
        data["note"] = "a part of the row lies on further pages, which may have been written since: values may be cut or wrong there"
    texts = [value for _, value in pairs if isinstance(value, str)]
    counted = {"wal": "frame of the write-ahead log", "journal": "page of the rollback journal"}.get(found)
    words = {"deleted": "Deleted row", "earlier-version": "Earlier version of a row"}[state]
    return Finding(
        kind="recovered-row",
        summary=shown(f"{words} of table {table.name}: " + ", ".join(str(_value(value))[:60] for _, value in pairs[:6])),
        data=data,
        locator=RecordNumber(where, counted) if counted else ByteRange(where + at, row.length),
        text="\n".join(text[:MAX_TEXT] for text in texts),
    )


def _value(value: Cell) -> str | int:
    if isinstance(value, int):
        return value if abs(value) < 1 << 53 else str(value)
    if isinstance(value, bytes):
        return f"x'{value[:64].hex()}'" + (f" and {len(value) - 64} bytes more" if len(value) > 64 else "")
    return shown(value[:MAX_TEXT]) if isinstance(value, str) and len(value) <= 300 else str(value)[:MAX_TEXT]


# --- where rows may be left -------------------------------------------------------------------------------------------------


Place = tuple[Found, _Table, int, int, int, _Row]


def _rows(database: "_Database") -> Iterator[Place]:
    """Rows that are no longer part of a table, with where they were found: page, its place in the file (or frame), offset in the page."""
    owners = array("H", bytes(2 * (database.pages + 1)))
    for number, table in enumerate(database.tables):
        for page, content in database.leaves(table.root):
            owners[page] = number + 1
            start = 100 if page == 1 else 0
            live = {row.values for _, row in database.cells(content, start)}
            for found, at, row in _free_space(database, table, content, start):
                if row.rowid is not None or row.values not in live:
                    yield found, table, page, database.place(page), at, row
    for page in database.free_pages():
        for table, at, row in _whole_page(database, database.tables, database.page(page), 0):
            yield "free-page", table, page, database.place(page), at, row
    for found, page, where, content in database.superseded():
        owner = owners[page] if page <= database.pages else 0
        tables = database.tables[owner - 1 : owner] if owner else database.tables
        for table, at, row in _whole_page(database, tables, content, 100 if page == 1 else 0):
            yield found, table, page, where, at, row


def _whole_page(database: "_Database", tables: tuple[_Table, ...], content: bytes, start: int) -> Iterator[tuple[_Table, int, _Row]]:
    """Every row of a page that is not in use: by its pointers where they hold, and what is left between them.

    A trunk page of the list of free pages has lost its header: there, all of it is looked through.
    """
    kind = content[start] if len(content) > start + 8 else 0
    if kind == LEAF:
        rows = list(database.cells(content, start))
        scores = [sum(_is_of(table, row) for _, row in rows) for table in tables]
        best = max(scores, default=0)
        if best or len(tables) == 1:
            table = tables[scores.index(best)]  # all rows of a page are of one table
            for at, row in rows:
                if _is_of(table, row):
                    yield table, at, row
            for _, at, row in _free_space(database, table, content, start):
                yield table, at, row
    elif kind not in (INTERIOR, 2, 10):  # no rows of tables stand on those
        yield from _scan(database, tables, content, start, database.usable)


def _free_space(database: "_Database", table: _Table, content: bytes, start: int) -> Iterator[tuple[Found, int, _Row]]:
    """What is left of rows in a leaf page's free blocks, and between its pointers and its cells (1.6, "B-tree Pages")."""
    try:
        first, count, top = struct.unpack_from(">HHH", content, start + 1)
    except struct.error:
        return
    for _, at, row in _scan(database, (table,), content, start + 8 + 2 * count, min(top or 65536, database.usable)):
        yield "unallocated", at, row
    block, before = first, 0
    while before < block <= database.usable - 4:
        following, size = struct.unpack_from(">HH", content, block)
        end = min(block + size, database.usable)
        resume = block + 4
        if together := _put_together(database, table, content, block, end):
            yield "freeblock", block, together
            resume = block + together.length
        for _, at, row in _scan(database, (table,), content, resume, end):
            yield "freeblock", at, row
        before, block = block, following


def _scan(database: "_Database", tables: tuple[_Table, ...], content: bytes, begin: int, end: int) -> Iterator[tuple[_Table, int, _Row]]:
    """Whole cells anywhere between `begin` and `end`."""
    most = max((len(table.columns) for table in tables), default=0)
    at = begin
    while at < end - 4:
        if content[at : at + 4] == b"\0\0\0\0":
            after = _SOME.search(content, at, end)
            if not after:
                return
            at = after.start() - 3
        row = database.cell(content, at, end, most) if content[at] else None
        table = next((table for table in tables if _is_of(table, row)), None) if row else None
        if (row is None or table is None) and len(tables) == 1:
            row, table = _of_old_block(database, tables[0], content, at, end), tables[0]
        if row and table:
            yield table, at, row
        at += row.length if row and table else 1


def _of_old_block(database: "_Database", table: _Table, content: bytes, at: int, end: int) -> _Row | None:
    """A row that was a free block of its own once, and is part of a larger free space now: the block's size must be the row's."""
    following, size = struct.unpack_from(">HH", content, at)
    if size < 8 or at + size > end or not (following == 0 or at + size < following < database.usable):
        return None
    row = _put_together(database, table, content, at, at + size)
    return row if row and row.length == size else None


def _is_of(table: _Table, row: _Row) -> bool:
    """Whether a row can be one of this table. Columns that were added later are missing in older rows, but never most of them."""
    enough = len(row.values) <= len(table.columns) <= 2 * len(row.values)
    return enough and any(value is not None for value in row.values) and _fits(table, row.values)


def _fits(table: _Table, values: tuple[Cell, ...]) -> bool:
    """Whether values are what the columns' affinities make of them (datatype3.html, 3): the check against what only looks like a row."""
    for place, (affinity, value) in enumerate(zip(table.affinities, values, strict=False)):
        if place == table.key:
            if value is not None:
                return False
        elif value is None:
            continue
        elif affinity == "TEXT":
            if not isinstance(value, str | bytes) or (isinstance(value, str) and value.startswith("\0")):  # zeros are no text
                return False
        elif affinity in ("INTEGER", "REAL") and not isinstance(value, int | float):
            return False
    return True


def _put_together(database: "_Database", table: _Table, content: bytes, begin: int, end: int) -> _Row | None:
    """A row whose first four bytes are the free block's own: length, number, and what follows them up to four bytes.

    `lost` is where the record's header stood: at 2 its length and the first serial type are lost, at 3 its length, from 4 on nothing of it.
    """
    best: _Row | None = None
    for lost in (2, 3, 4, 5, 6, 7):
        try:
            row = _tried(database, table, content, begin, end, lost)
        except DAMAGE:
            continue
        if row is None or not _fits(table, row.values) or all(value is None for value in row.values):
            continue
        if begin + row.length == end:
            return row
        best = best or row
    return best


def _tried(database: "_Database", table: _Table, content: bytes, begin: int, end: int, lost: int) -> _Row | None:
    columns = len(table.columns)
    types: list[int] = []
    if lost >= 4:
        header, at = _varint(content, begin + lost)
        body = begin + lost + header
        while at < body and len(types) <= columns:
            one, at = _varint(content, at)
            types.append(one)
        if at != body:
            return None
    else:
        at = begin + 4
        for _ in range(columns - (lost == 2)):
            one, at = _varint(content, at)
            types.append(one)
        body = at
        if lost == 2:
            left = end - body - sum(map(_size, types))
            first = 0 if table.key == 0 else _type_of(table.affinities[0], left)
            if first is None:
                return None
            types.insert(0, first)
    if len(types) != columns or any(one in (10, 11) for one in types):
        return None
    length = body - begin + sum(map(_size, types))
    payload = length - lost
    own = 1 if payload < 128 else 2 if payload < 16384 else 3
    if lost - own < 1:
        return None
    overflow = payload > database.local
    if overflow:
        length = lost + database.kept(payload) + 4
    if begin + length > end:
        return None
    if overflow:
        data = database.with_overflow(content, begin + lost, payload)
        values = database.values(data, body - begin - lost, types, cut=True)
        return _Row(None, values, length, reconstructed=True, overflow=True)
    return _Row(None, database.values(content, body, types), length, reconstructed=True)


def _type_of(affinity: str, size: int) -> int | None:
    """The serial type of a value of which only the size is known: of an integer, a text or a blob; `None` where none is of that size."""
    if size < 0:
        return None
    if affinity in ("INTEGER", "NUMERIC"):
        return {1: 1, 2: 2, 3: 3, 4: 4, 6: 5, 8: 6}.get(size)
    if affinity == "REAL":
        return 7 if size == 8 else None
    return 2 * size + (13 if affinity == "TEXT" else 12) if size else None


def _size(one: int) -> int:
    """Bytes of a value by its serial type (2.1, "Record Format")."""
    return _SIZES[one] if one < 10 else (one - 12) // 2 if one >= 12 else 0


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the highest first, nine bytes at most; and where it ends."""
    value = 0
    for place in range(8):
        byte = data[at + place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + place + 1
    return value << 8 | data[at + 8], at + 9


# --- the database -----------------------------------------------------------------------------------------------------------


class _Database:
    """An open database with its write-ahead log: pages as they are now, and as they were."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        header = stream.read(100)
        if len(header) < 100 or not header.startswith(MAGIC):
            raise Unsupported("content that is no SQLite database")
        (said,) = struct.unpack_from(">H", header, 16)
        self.size = 65536 if said == 1 else said
        if self.size < 512 or self.size & (self.size - 1):
            raise Corrupt(f"SQLite database that states pages of {said} bytes")
        self.usable = self.size - header[20]
        self.local = self.usable - 35  # bytes of a row that may stand in a leaf of a table
        self.encoding = {2: "utf-16-le", 3: "utf-16-be"}.get(header[59], "utf-8")
        self.damage: list[str] = []
        self._stream = stream
        self._in_file = min(-(-size // self.size), MAX_PAGES)
        self._frames: BinaryIO | None = None
        self._journal: BinaryIO | None = None
        self._journalled: list[tuple[int, int]] = []  # (page, byte of the journal) that hold it as it was
        self._now: dict[int, int] = {}  # page -> frame that holds it as it is now
        self._before: list[tuple[int, int]] = []  # (page, frame) that hold it as it was
        self.pages = self._in_file
        self.tables: tuple[_Table, ...] = self._schema()

    def apply(self, frames: BinaryIO, size: int) -> None:
        """Read the log's frames: those of its last commits are the database, all others are what it was."""
        frames.seek(0)
        header = frames.read(32)
        if len(header) < 32 or header[:3] != b"\x37\x7f\x06" or struct.unpack_from(">I", header, 8)[0] != self.size:
            return
        self._frames = frames
        pending: dict[int, int] = {}
        current = True
        for frame in range(min((size - 32) // (24 + self.size), MAX_FRAMES)):
            frames.seek(32 + frame * (24 + self.size))
            page, commit = struct.unpack(">II", frames.read(24)[:8])
            frames.seek(32 + frame * (24 + self.size) + 8)
            current = current and frames.read(8) == header[16:24]  # the salts of frames left from before a reset differ
            if not 0 < page <= MAX_PAGES:
                continue
            if not current:
                self._before.append((page, frame))
                continue
            if page in pending:
                self._before.append((page, pending[page]))
            pending[page] = frame
            if commit:
                self._before += [(one, self._now[one]) for one in pending if one in self._now]
                self._now |= pending
                pending = {}
                self.pages = max(self.pages, min(commit, MAX_PAGES))
        self._before += pending.items()  # written, and never committed
        self.tables = self._schema()

    def roll_back(self, journal: BinaryIO, size: int) -> None:
        """Find the pages that a rollback journal holds as they were. Its header is zeros after a commit where it is kept (PERSIST)."""
        journal.seek(0)
        header = journal.read(28)
        if len(header) < 28 or not (header.startswith(JOURNAL) or not header.strip(b"\0")):
            return
        sector, page_size = struct.unpack_from(">II", header, 20)
        if not header.strip(b"\0"):
            sector, page_size = 512, self.size
        if page_size != self.size or not 32 <= sector <= 65536:
            return
        self._journal = journal
        at = sector
        while at + self.size + 8 <= size and len(self._journalled) < MAX_FRAMES:
            journal.seek(at)
            (page,) = struct.unpack(">I", journal.read(4))
            if not 0 < page <= MAX_PAGES:
                return
            self._journalled.append((page, at + 4))
            at += self.size + 8

    def _at(self, page: int) -> int:
        return (page - 1) * self.size

    def place(self, page: int) -> int:
        """Where a page as it is now lies: a byte of the file, or the number of its frame."""
        return self._now.get(page, self._at(page))

    def _frame(self, frame: int) -> bytes:
        assert self._frames
        self._frames.seek(32 + frame * (24 + self.size) + 24)
        return self._frames.read(self.size)

    def page(self, number: int) -> bytes:
        """A page as it is now; fewer bytes or none where the file ends before."""
        if number in self._now:
            return self._frame(self._now[number])
        self._stream.seek(self._at(number))
        return self._stream.read(self.size)

    def superseded(self) -> Iterator[tuple[Found, int, int, bytes]]:
        """Pages as they were: in the file, where a frame of the log holds them anew, and in frames that others followed."""
        for page in sorted(self._now):
            if page <= self._in_file:
                self._stream.seek(self._at(page))
                yield "superseded-page", page, self._at(page), self._stream.read(self.size)
        for page, frame in sorted(self._before, key=lambda pair: pair[1]):
            yield "wal", page, frame, self._frame(frame)
        for number, (page, at) in enumerate(self._journalled):
            assert self._journal
            self._journal.seek(at)
            yield "journal", page, number, self._journal.read(self.size)

    def free_pages(self) -> Iterator[int]:
        """The pages on the list of free ones: its trunks and their leaves (1.5, "The Freelist")."""
        (trunk,) = struct.unpack_from(">I", self.page(1).ljust(100, b"\0"), 32)
        seen: set[int] = set()
        while 0 < trunk <= self.pages and trunk not in seen:
            seen.add(trunk)
            content = self.page(trunk)
            if len(content) < 8:
                self.damage.append(f"free page {trunk} is not there")
                return
            following, count = struct.unpack_from(">II", content)
            if count > (self.usable - 8) // 4:
                self.damage.append(f"free page {trunk} lists {count} others")
                return
            yield trunk
            for leaf in struct.unpack_from(f">{count}I", content.ljust(self.size, b"\0"), 8):
                if 0 < leaf <= self.pages and leaf not in seen:
                    seen.add(leaf)
                    yield leaf
            trunk = following

    def leaves(self, root: int) -> Iterator[tuple[int, bytes]]:
        """The leaf pages of a table's b-tree, from left to right; what cannot be read is noted."""
        waiting, seen = [root], bytearray(self.pages // 8 + 1)
        while waiting:
            number = waiting.pop()
            if not 0 < number <= self.pages or seen[number >> 3] >> (number & 7) & 1:
                self._note(f"page {number} of the tree of page {root} is not there or is met twice")
                continue
            seen[number >> 3] |= 1 << (number & 7)
            content = self.page(number)
            start = 100 if number == 1 else 0
            if len(content) < self.size:
                self._note(f"page {number} is cut short")
            elif content[start] == LEAF:
                yield number, content
            elif content[start] == INTERIOR:
                waiting += reversed([child for child, _ in self._children(content, start)])
            else:
                self._note(f"page {number} is no page of a table")

    def _note(self, what: str) -> None:
        if len(self.damage) < 100:
            self.damage.append(what)

    def _children(self, content: bytes, start: int) -> list[tuple[int, int]]:
        """The pages below an interior page and the highest row number in each; the last has none."""
        count, right = struct.unpack_from(">H", content, start + 3)[0], struct.unpack_from(">I", content, start + 8)[0]
        found = []
        for place in range(count):
            try:
                (at,) = struct.unpack_from(">H", content, start + 12 + 2 * place)
                found.append((int(struct.unpack_from(">I", content, at)[0]), _signed(_varint(content, at + 4)[0])))
            except DAMAGE:
                self._note("an interior page whose pointers do not hold")
                break
        return [*found, (int(right), 1 << 63)]

    def cells(self, content: bytes, start: int) -> Iterator[tuple[int, _Row]]:
        """The rows that a leaf page's pointers lead to, with their offsets; those that cannot be read are left out."""
        try:
            (count,) = struct.unpack_from(">H", content, start + 3)
            pointers = struct.unpack_from(f">{count}H", content, start + 8)
        except struct.error:
            return
        for at in pointers:
            if row := self.cell(content, at, self.usable):
                yield at, row

    def row(self, table: _Table, rowid: int) -> _Row | None:
        """The row of this number as it is now, or `None`."""
        number = table.root
        for _ in range(MAX_DEPTH):
            if not 0 < number <= self.pages:
                return None
            content = self.page(number)
            start = 100 if number == 1 else 0
            if len(content) < self.size or content[start] not in (LEAF, INTERIOR):
                return None
            if content[start] == LEAF:
                return next((row for _, row in self.cells(content, start) if row.rowid == rowid), None)
            number = next(child for child, highest in self._children(content, start) if rowid <= highest)
        return None

    def cell(self, content: bytes, at: int, end: int, most: int = MAX_COLUMNS) -> _Row | None:
        """A whole cell of a table's leaf at this offset, of `most` columns: length, number, record (1.6); `None` where none can be."""
        try:
            payload, after = _varint(content, at)
            rowid, begin = _varint(content, after)
            header, place = _varint(content, begin)
            if not 2 <= header <= payload or header > 9 * (most + 1):
                return None
            types: list[int] = []
            while place < begin + header and len(types) <= most:
                one, place = _varint(content, place)
                if one in (10, 11):
                    return None
                types.append(one)
            if place != begin + header or not 0 < len(types) <= most or header + sum(map(_size, types)) != payload:
                return None
            data, overflow, length = content, False, begin - at + payload
            if payload > self.local:
                data, length = self.with_overflow(content, begin, payload), begin - at + self.kept(payload) + 4
                overflow, place = True, header
            if at + length > end:
                return None
            return _Row(_signed(rowid), self.values(data, place, types, cut=overflow), length, overflow=overflow)
        except DAMAGE:
            return None

    def kept(self, payload: int) -> int:
        """How many bytes of a row that is too long stay in its leaf (1.6)."""
        least = (self.usable - 12) * 32 // 255 - 23
        kept = least + (payload - least) % (self.usable - 4)
        return kept if kept <= self.local else least

    def with_overflow(self, content: bytes, begin: int, payload: int) -> bytes:
        """A row's payload: what stands in its leaf, and what its chain of further pages holds as far as it leads."""
        kept = self.kept(payload)
        data = content[begin : begin + kept]
        (page,) = struct.unpack_from(">I", content, begin + kept)
        while len(data) < min(payload, MAX_OVERFLOW) and 0 < page <= self.pages:
            more = self.page(page)
            (page,) = struct.unpack_from(">I", more)
            data += more[4 : self.usable]
        return data[:payload]

    def values(self, data: bytes, at: int, types: list[int], *, cut: bool = False) -> tuple[Cell, ...]:
        """The values of a record's body; with `cut`, those that are not there whole are cut or `None`.

        Raises ValueError where they run past its end or a text is not valid.
        """
        found: list[Cell] = []
        for one in types:
            size = _size(one)
            raw = data[at : at + size]
            if len(raw) < size and not cut:
                raise ValueError("a value that runs past the end")
            if len(raw) < size and one < 12:
                one = 0
            at += size
            if one == 0:
                found.append(None)
            elif one in (8, 9):
                found.append(one - 8)
            elif one == 7:
                found.append(struct.unpack(">d", raw)[0])
            elif one < 7:
                found.append(int.from_bytes(raw, "big", signed=True))
            else:
                found.append(raw.decode(self.encoding, "ignore" if cut else "strict") if one & 1 else raw)
        return tuple(found)

    def _schema(self) -> tuple[_Table, ...]:
        """The tables with row numbers, by the schema's own table on page 1; their columns as SQLite itself reads their statements."""
        columns = ("type", "name", "tbl_name", "rootpage", "sql")
        schema = _Table("sqlite_schema", 1, columns, ("TEXT", "TEXT", "TEXT", "INTEGER", "TEXT"), None)
        found: list[_Table] = []
        for page, content in self.leaves(1):
            for _, row in self.cells(content, 100 if page == 1 else 0):
                kind, name, _, root, statement = (*row.values, None, None, None, None, None)[:5]
                if kind != "table" or not isinstance(name, str) or not isinstance(root, int) or not isinstance(statement, str):
                    continue
                if root > 1 and len(found) < MAX_TABLES and (table := _described(name, root, statement)):
                    found.append(table)
        return (schema, *found)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _described(name: str, root: int, statement: str) -> _Table | None:
    """A table's columns, by letting SQLite read the statement in an empty database in memory that may do nothing else."""
    if not _CREATE.match(statement) or len(statement) > MAX_SQL or _WITHOUT.search(statement):
        return None
    allowed = {sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_READ}
    connection = sqlite3.connect(":memory:")
    try:
        connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY)
        connection.execute(statement)
        connection.set_authorizer(None)
        (made,) = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' LIMIT 1").fetchone()
        columns = connection.execute(f"PRAGMA table_xinfo({_quoted(made)})").fetchall()
    except (sqlite3.Error, ValueError, TypeError, UnicodeError):
        return None
    finally:
        connection.close()
    columns = [column for column in columns if column[6] != 2][:MAX_COLUMNS]  # virtual generated columns are not stored
    keys = [place for place, column in enumerate(columns) if column[5]]
    key = keys[0] if len(keys) == 1 and str(columns[keys[0]][2]).upper() == "INTEGER" else None
    return _Table(name, root, tuple(str(column[1]) for column in columns), tuple(_affinity(str(column[2])) for column in columns), key)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _affinity(declared: str) -> str:
    """A column's affinity by its declared type (datatype3.html, 3.1)."""
    text = declared.upper()
    if "INT" in text:
        return "INTEGER"
    if any(word in text for word in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if not text or "BLOB" in text:
        return "BLOB"
    return "REAL" if any(word in text for word in ("REAL", "FLOA", "DOUB")) else "NUMERIC"
