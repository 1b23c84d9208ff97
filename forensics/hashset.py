r"""Known digests on disk: hash sets of millions of entries, converted once, looked up without loading them.

A source is a plain list (one digest a line, `sha256sum`/`md5sum` lines, BSD ``SHA256 (name) = ...``), a hashdeep file
(``%%%% HASHDEEP-1.0``), a CSV file with a header (NSRL RDSv2 ``NSRLFile.txt``) or an NSRL RDSv3 SQLite database. Of an entry with
several digests the strongest is kept: a weaker one could only add collisions to what it matches.

A converted set is one file: per algorithm a section of sorted records (digest, 6 bytes of offset of the entry's name), the
names, and a JSON footer. It is mapped, not read; a look-up is a guess by interpolation (digests are uniform) and a short bisection.
"""

import csv
import fcntl
import hashlib
import heapq
import itertools
import mmap
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec
from msgspec import Struct

from forensics.digest import sha256_file
from forensics.errors import UsageError
from forensics.location import escape
from forensics.model import Digests

Listing = Literal["known-good", "known-bad"]
SIZES = {"sha256": 32, "sha1": 20, "md5": 16}  # strongest first
_ALGORITHMS = {size * 2: name for name, size in SIZES.items()}
_MAGIC = b"hashset1"
_POINTER = 6  # bytes of a name's offset
_NO_NAME = (1 << (8 * _POINTER)) - 1
_NAME_LIMIT = 512  # bytes of a name that are kept
_CHUNK = 300_000  # entries sorted in memory at a time: about 150 MB
_FAN_IN = 256  # sorted runs that are open at a time
_LINE_LIMIT = 1 << 16
_REJECTED_SHOWN = 10

_SHA256 = re.compile("[0-9a-f]{64}")
_HEX = rb"(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{40}|[0-9a-fA-F]{32})"
_PLAIN = re.compile(rb"\\?(" + _HEX + rb")(?:$|(?: [ *]|[\s,;:|]+)(.*)$)", re.DOTALL)
_BSD = re.compile(rb"\\?(?:SHA2?-?256|SHA-?1|MD5) ?\((.*)\) ?= ?(" + _HEX + rb")$", re.DOTALL)

Row = tuple[str, bytes, bytes]  # algorithm, digest, name


class Hit(Struct, frozen=True):
    """An entry of a set that a file matches: by which algorithm, the digest, the name in the set (empty if it has none)."""

    algorithm: str
    digest: str
    name: str = ""

    @property
    def weak(self) -> bool:
        """Whether the match rests on MD5 or SHA-1, for which colliding contents can be made at will."""
        return self.algorithm != "sha256"


class _Footer(Struct, frozen=True):
    """Counts and offsets of a converted set; offsets and sizes in bytes."""

    source: str
    format: str
    sections: dict[str, tuple[int, int]]
    names: int
    notes: tuple[str, ...]


class HashSet:
    """A converted set, mapped into memory. `counts` is entries by algorithm, `source` the SHA-256 of the file it was made of."""

    def __init__(self, path: Path, name: str = "") -> None:
        """Open a converted set. Raises UsageError where the file is none, or is not whole."""
        self.name = name or path.name
        try:
            with open(path, "rb") as stream:
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}: the converted hash set cannot be opened ({error})") from error
        self._footer = self._read_footer(path)
        self.source, self.format, self.notes = self._footer.source, self._footer.format, self._footer.notes
        self.counts = {algorithm: count for algorithm, (_, count) in self._footer.sections.items()}

    def _read_footer(self, path: Path) -> _Footer:
        data = self._map
        damaged = UsageError(f"{path}: not a whole converted hash set; delete it, it will be made again from its source")
        if len(data) < 24 or data[:8] != _MAGIC or data[-8:] != _MAGIC:
            raise damaged
        start = int.from_bytes(data[-16:-8], "big")
        try:
            footer = msgspec.json.decode(data[start:-16], type=_Footer)
        except msgspec.DecodeError as error:
            raise damaged from error
        ends = [offset + count * (SIZES[name] + _POINTER) for name, (offset, count) in footer.sections.items() if name in SIZES]
        if not ends or max(ends) > footer.names or footer.names > start:
            raise damaged
        return footer

    def __len__(self) -> int:
        return sum(self.counts.values())

    @property
    def weak_algorithms(self) -> tuple[str, ...]:
        """The algorithms beside SHA-256 that must be computed of a file to look it up in this set."""
        return tuple(name for name in self.counts if name != "sha256")

    def find(self, algorithm: str, digest: str) -> Hit | None:
        """The entry with this digest (hexadecimal), or `None`. Raises ValueError for a digest of another length."""
        wanted = bytes.fromhex(digest)
        if len(wanted) != SIZES[algorithm]:
            raise ValueError(f"{digest!r} is not a {algorithm} digest")
        start, count = self._footer.sections.get(algorithm, (0, 0))
        step = len(wanted) + _POINTER
        index = self._bisect(start, count, step, wanted)
        place = start + index * step
        if index >= count or self._map[place : place + len(wanted)] != wanted:
            return None
        return Hit(algorithm, wanted.hex(), self._name(int.from_bytes(self._map[place + len(wanted) : place + step], "big")))

    def lookup(self, digests: Digests) -> Hit | None:
        """The entry that a content matches, the strongest algorithm first, or `None`."""
        for algorithm, digest in (("sha256", digests.sha256), ("sha1", digests.sha1), ("md5", digests.md5)):
            if digest and algorithm in self.counts and (hit := self.find(algorithm, digest)):
                return hit
        return None

    def _bisect(self, start: int, count: int, step: int, wanted: bytes) -> int:
        """The index of the first record not below `wanted`."""

        def below(index: int) -> bool:
            place = start + index * step
            return self._map[place : place + len(wanted)] < wanted

        # Digests are uniform: the rank of one is known to about the square root of their number, so a window of a few of
        # those around the guess nearly always holds it and touches one or two pages instead of log2(count).
        guess = int.from_bytes(wanted[:8], "big") * count >> 64
        width = 4 * int(count**0.5) + 16
        low, high = max(0, guess - width), min(count, guess + width)
        if low and not below(low - 1):
            low = 0
        if high < count and below(high):
            high = count
        while low < high:
            middle = (low + high) // 2
            if below(middle):
                low = middle + 1
            else:
                high = middle
        return low

    def _name(self, offset: int) -> str:
        if offset == _NO_NAME:
            return ""
        place = self._footer.names + offset
        size = int.from_bytes(self._map[place : place + 2], "big")
        return self._map[place + 2 : place + 2 + size].decode("utf-8", "backslashreplace")


def open_set(path: Path, name: str = "") -> HashSet:
    """A converted set, opened. `name` is what findings call it. Raises UsageError where the file is none, or is not whole."""
    return HashSet(path, name)


def load(entry: str, cache: str = "") -> tuple[Listing, HashSet]:
    """The set that an option names as ``good:PATH`` or ``bad:PATH``, converted if it is not yet.

    With a `cache` folder the conversion is kept there under the digest of its source, without one it lives as long as the set is open.
    Raises UsageError for another prefix, a path that cannot be read or a source that is no hash set.
    """
    prefix, _, path = entry.partition(":")
    if prefix not in ("good", "bad") or not path:
        raise UsageError(f"hash set {entry!r} reads good:PATH or bad:PATH")
    source = Path(path)
    if not source.is_file():
        raise UsageError(f"hash set {entry!r}: there is no such file")
    listing: Listing = "known-good" if prefix == "good" else "known-bad"
    if cache:
        target = converted(source, Path(cache))
        try:
            return listing, open_set(target, source.name)
        except UsageError:  # what is no whole set is made again
            return listing, open_set(converted(source, Path(cache), damaged=True), source.name)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "set")
        build(source, target)
        return listing, open_set(target, source.name)  # the mapping outlives the name


def converted(source: Path, cache: Path, *, damaged: bool = False) -> Path:
    """The path of `source` converted, in `cache`; converts it if it is not there, or `damaged`. Raises UsageError, OSError.

    The source is digested again only when its path, size or time of modification is another than when it was digested last. Of several
    processes that ask at once, one digests and converts, the others wait for it.
    """
    cache.mkdir(parents=True, exist_ok=True)
    state = source.stat()
    key = hashlib.sha256(f"{source.resolve()}\0{state.st_size}\0{state.st_mtime_ns}".encode("utf-8", "surrogateescape")).hexdigest()
    seen = cache / f"{key}.source"
    if not damaged and (digest := _noted(seen)) and (target := cache / f"{digest}.hashset").is_file():
        return target  # a cache that may only be read is enough here
    with open(cache / f"{key}.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (digest := _noted(seen)):
            digest = sha256_file(source)
            _publish(seen, f"{digest}\n".encode())
        target = cache / f"{digest}.hashset"
        if not target.is_file() or (damaged and not _whole(target)):
            build(source, target, digest)
    return target


def _noted(path: Path) -> str:
    """The digest of a source that was noted; empty where none was, or what stands there is none."""
    text = path.read_text(errors="replace").strip() if path.is_file() else ""
    return text if _SHA256.fullmatch(text) else ""


def _whole(path: Path) -> bool:
    try:
        HashSet(path)
    except UsageError:
        return False
    return True


def _publish(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all; several processes may do so at once."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as stream:
        stream.write(content)
    Path(stream.name).replace(path)


# --- converting -------------------------------------------------------------------------------------------------------------


def build(source: Path, target: Path, digest: str = "", *, chunk: int = _CHUNK) -> None:
    """Convert `source` into a set at `target`, written whole or not at all, sorting `chunk` entries in memory at a time.

    `digest` is the SHA-256 of the source if it is known. Raises UsageError where the source holds no digest, or a plain list
    mixes algorithms; OSError.
    """
    reader = _Reader(source)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".hashset-") as folder, ExitStack() as files:
        runs: dict[str, list[Path]] = {}
        rows = reader.rows()
        while part := list(itertools.islice(rows, chunk)):
            for algorithm in SIZES:
                if records := sorted({found + name for kind, found, name in part if kind == algorithm}):
                    run = Path(folder, f"{algorithm}-{len(runs.setdefault(algorithm, []))}")
                    _spill(run, records)
                    runs[algorithm].append(run)
        if not runs:
            raise UsageError(f"{source}: no digest in it ({reader.format}); {'; '.join(reader.notes()) or 'it is empty'}")
        body = files.enter_context(open(Path(folder, "body"), "w+b"))
        names = files.enter_context(open(Path(folder, "names"), "w+b"))
        body.write(_MAGIC)
        sections = {name: _section(body, names, SIZES[name], runs[name]) for name in SIZES if name in runs}
        offset = body.tell()
        names.seek(0)
        shutil.copyfileobj(names, body, 1 << 20)
        footer = _Footer(digest or sha256_file(source), reader.format, sections, offset, tuple(reader.notes()))
        end = body.tell()
        body.write(msgspec.json.encode(footer, order="sorted") + end.to_bytes(8, "big") + _MAGIC)
        body.flush()
        os.fsync(body.fileno())
        Path(folder, "body").replace(target)


def _spill(path: Path, records: Iterable[bytes]) -> None:
    with open(path, "wb", buffering=1 << 20) as stream:
        for record in records:
            stream.write(len(record).to_bytes(2, "big") + record)


def _records(path: Path) -> Iterator[bytes]:
    with open(path, "rb", buffering=1 << 16) as stream:
        while size := stream.read(2):
            yield stream.read(int.from_bytes(size, "big"))


def _few(runs: list[Path]) -> list[Path]:
    """Sorted runs, merged until they are few enough to be open at once."""
    while len(runs) > _FAN_IN:
        merged = runs[0].with_name(f"{runs[0].name}+")
        _spill(merged, heapq.merge(*map(_records, runs[:_FAN_IN])))
        for run in runs[:_FAN_IN]:
            run.unlink()
        runs = [*runs[_FAN_IN:], merged]
    return runs


def _section(body: BinaryIO, names: BinaryIO, size: int, runs: list[Path]) -> tuple[int, int]:
    """Merge sorted runs into a section of distinct digests; of several names of one digest the first is kept."""
    start, count, last = body.tell(), 0, b""
    for record in heapq.merge(*map(_records, _few(runs))):
        digest, name = record[:size], record[size:]
        if digest == last:
            continue
        last, place = digest, _NO_NAME
        if name:
            place = names.tell()
            names.write(len(name).to_bytes(2, "big") + name)
        body.write(digest + place.to_bytes(_POINTER, "big"))
        count += 1
    return start, count


class _Reader:
    """The entries of a source, whatever its format, and what in it is no entry."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.rejected = 0
        self._shown: list[str] = []
        with open(source, "rb") as stream:
            head = stream.read(_LINE_LIMIT)
        first = head.lstrip(b"\xef\xbb\xbf \t\r\n").partition(b"\n")[0].strip()
        self.header: list[str] = []
        if head.startswith(b"SQLite format 3\0"):
            self.format = "NSRL RDSv3 SQLite"
        elif first.startswith(b"%%%% "):
            self.format = "hashdeep"
        elif (header := _columns(first)) is not None:
            self.format, self.header = "CSV", header
        else:
            self.format = "plain list"

    def rows(self) -> Iterator[Row]:
        """The entries. Raises UsageError."""
        readers = {"NSRL RDSv3 SQLite": self._sqlite, "hashdeep": self._hashdeep, "CSV": self._csv, "plain list": self._plain}
        return readers[self.format]()

    def notes(self) -> Iterator[str]:
        """What of the source could not be read, for the report."""
        if self.rejected:
            more = "" if self.rejected <= len(self._shown) else ", ..."
            plural = "line is" if self.rejected == 1 else "lines are"
            yield f"{self.rejected} {plural} no digest and left out: {', '.join(self._shown)}{more}"

    def _reject(self, number: int, line: bytes | str) -> None:
        self.rejected += 1
        if len(self._shown) < _REJECTED_SHOWN:
            text = line if isinstance(line, str) else line.decode("utf-8", "backslashreplace")
            self._shown.append(f"line {number} {escape(text[:60])!r}")

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        with open(self.source, "rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(_LINE_LIMIT), b""), 1):
                stripped = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
                if stripped:
                    yield number, stripped

    def _plain(self) -> Iterator[Row]:
        first: tuple[str, int] | None = None
        for number, line in self._lines():
            if line.startswith((b"#", b";", b"//")):
                continue
            if match := _PLAIN.match(line):
                digest, name = match[1], match[2] or b""
            elif match := _BSD.match(line):
                digest, name = match[2], match[1]
            else:
                self._reject(number, line)
                continue
            algorithm = _ALGORITHMS[len(digest)]
            if first is None:
                first = algorithm, number
            elif algorithm != first[0]:
                raise UsageError(
                    f"{self.source}: line {number} is {algorithm}, line {first[1]} is {first[0]}; "
                    "a list holds digests of one algorithm: split it"
                )
            yield algorithm, bytes.fromhex(digest.decode()), name[:_NAME_LIMIT]

    def _hashdeep(self) -> Iterator[Row]:
        columns: list[str] = []
        for number, line in self._lines():
            if line.startswith(b"%%%% "):
                if b"," in line:
                    columns = line[5:].decode("ascii", "replace").lower().split(",")
                continue
            if line.startswith(b"#"):
                continue
            yield from self._entry(number, columns, line.decode("utf-8", "backslashreplace").split(",", max(len(columns) - 1, 0)))

    def _csv(self) -> Iterator[Row]:
        with open(self.source, encoding="utf-8-sig", errors="backslashreplace", newline="") as stream:
            lines = csv.reader(iter(lambda: stream.readline(_LINE_LIMIT), ""))
            while True:
                try:
                    values = next(lines, None)
                except csv.Error as error:
                    self._reject(lines.line_num, str(error))
                    continue
                if values is None:
                    return
                if [_plain_name(value) for value in values] != self.header and values:
                    yield from self._entry(lines.line_num, self.header, values)

    def _entry(self, number: int, columns: list[str], values: list[str]) -> Iterator[Row]:
        """The strongest digest of a line with columns."""
        fields = dict(zip(columns, values, strict=False))
        for algorithm, size in SIZES.items():
            text = fields.get(algorithm, "").strip()
            if len(text) == 2 * size and _is_hex(text):
                name = fields.get("filename") or fields.get("name") or ""
                yield algorithm, bytes.fromhex(text), name.encode("utf-8", "backslashreplace")[:_NAME_LIMIT]
                return
        self._reject(number, ",".join(values))

    def _sqlite(self) -> Iterator[Row]:
        """RDSv3: the minimal sets hold a table FILE, the full ones a table METADATA; both have views FILE or DISTINCT_HASH over them."""
        uri = f"{self.source.resolve().as_uri()}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(uri, uri=True)) as database:
                database.text_factory = bytes
                yield from self._database_rows(database)
        except sqlite3.Error as error:
            raise UsageError(f"{self.source}: the SQLite database cannot be read ({error})") from error

    def _database_rows(self, database: sqlite3.Connection) -> Iterator[Row]:
        kinds = {
            (name.decode("utf-8", "replace").upper(), kind.decode()): name.decode("utf-8", "replace")
            for name, kind in database.execute("SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')")
        }
        wanted = (("FILE", "table"), ("METADATA", "table"), ("DISTINCT_HASH", "view"), ("DISTINCT_HASH", "table"), ("FILE", "view"))
        for table in (kinds[key] for key in wanted if key in kinds):
            columns = {row[1].decode("utf-8", "replace").lower() for row in database.execute(f'PRAGMA table_info("{table}")')}
            digests = [algorithm for algorithm in SIZES if algorithm in columns]
            if digests:
                break
        else:
            raise UsageError(
                f"{self.source}: no FILE, METADATA or DISTINCT_HASH with sha256, sha1 or md5; it is not an NSRL RDSv3 database "
                "(a delta publication must be applied to its full set first)"
            )
        name = "file_name" if "file_name" in columns else "''"
        select = f'SELECT {", ".join([*digests, name])} FROM "{table}"'  # noqa: S608 - names out of two fixed lists and the schema
        for number, values in enumerate(database.execute(select), 1):
            fields = [value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value or "") for value in values]
            yield from self._entry(number, [*digests, "name"], fields)


def _is_hex(text: str) -> bool:
    return re.fullmatch("[0-9a-fA-F]+", text) is not None


def _plain_name(column: str) -> str:
    """A column's name as NSRL RDSv2 and others write it (``"SHA-1"``, ``FileName``), in lower case without punctuation."""
    return re.sub(r"[^a-z0-9]", "", column.lower())


def _columns(line: bytes) -> list[str] | None:
    """The columns of a CSV header that names a digest, or `None`."""
    values: Iterable[str] = next(csv.reader([line.decode("utf-8", "replace")]), [])
    columns = [_plain_name(value) for value in values]
    return columns if any(name in SIZES for name in columns) else None
