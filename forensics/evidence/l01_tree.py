"""The list of files of EnCase's logical evidence: lines of UTF-16 text in categories, each entry two lines, the tree by counts of children.

Sources: "Expert Witness Compression Format specification", "Ltree section", and "... version 2 specification", "Single files data"
(J. Metz), cited by the names of their sections. The categories are rec, perm, srce, sub and entry; which columns a category has, and in
which order, differs between versions of EnCase and stands in a line of its own.
"""

import codecs
import hashlib
import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from forensics.errors import Corrupt
from forensics.evidence.damage import DamageNotes
from forensics.evidence.ewf_sections import Section, walk_v1, walk_v2
from forensics.evidence.files import Files
from forensics.location import decode, printable

SINGLE_FILES = 0x20  # version 2, "Section types"
_HEADER = 48
_PIECE = 1 << 20
_LINE = 4 << 20  # characters: extended attributes stand in a line; EnCase limits a text to 3,000
_COLUMNS = 256
_PROBLEMS = 100
_SOURCES = 1000
_SAID = 200  # characters of a source in words
_COUNTS = re.compile(r"[0-9]{1,19}\t[0-9]{1,19}")
_CATEGORIES = {"perm", "srce", "sub", "entry"}


class Record(NamedTuple):
    """An entry of a category: how deep (0 is the category's root), its values by the names of their columns, and what is odd about it."""

    category: str
    depth: int
    values: dict[str, str]
    problem: str | None = None


class Problem(NamedTuple):
    """What is wrong with the list at a place in it."""

    message: str


class Tree(Struct, frozen=True):
    """Where the text of the list lies in a segment file, the MD5 that is stored of it, and what is wrong with its frame."""

    segment: int
    start: int
    size: int
    md5: bytes
    problem: str | None = None


class Head(Struct, frozen=True):
    """What stands before the entries: bytes of content in all (`None` where unsaid), and sources and subjects by their identifiers."""

    total: int | None
    sources: dict[str, str]
    subjects: dict[str, str]


def find(files: Files, version_2: bool) -> Tree | None:
    """The list, in the last segment file that has one; `None` where there is none, or it is encrypted."""
    for index in reversed(range(len(files.names))):
        walk = walk_v2 if version_2 else walk_v1
        sections = [section for section in walk(files, index, DamageNotes()) if section.kind in ("ltree", SINGLE_FILES)]
        if sections and not sections[-1].encrypted:
            return _version_2(index, sections[-1]) if version_2 else _version_1(files, index, sections[-1])
    return None


def _version_1(files: Files, index: int, section: Section) -> Tree:
    """MD5, size and Adler-32 stand before the text ("Ltree header"); the checksum counts as zeros in itself."""
    room = max(0, section.end - section.start - _HEADER)
    start = section.start + _HEADER
    head = files.read(index, section.start, min(_HEADER, section.end - section.start))
    where = f"{files.names[index]}: the list of files at byte {section.at}"
    if len(head) < _HEADER or zlib.adler32(head[:24] + bytes(4) + head[28:]) != int.from_bytes(head[24:28], "little"):
        return Tree(index, start, room, b"", f"{where} has a damaged header: whether the list is whole is not known")
    size = int.from_bytes(head[16:24], "little")
    if size > room:
        return Tree(index, start, room, b"", f"{where} is cut short: {room} of its {size} bytes are there")
    return Tree(index, start, size, head[:16])


def _version_2(index: int, section: Section) -> Tree:
    return Tree(index, section.start, section.end - section.start, section.md5)


def head(files: Files, tree: Tree) -> Head:
    """Read what stands before the entries. Raises Corrupt, EvidenceError where the storage fails."""
    total: int | None = None
    found: dict[str, dict[str, str]] = {"srce": {}, "sub": {}}
    for record in records(files, tree):
        if isinstance(record, Problem):
            continue
        if record.category == "entry":
            break
        if record.category == "rec":
            total = number(record.values.get("tb", ""))
        elif record.category in found and record.depth and len(found[record.category]) < _SOURCES:
            found[record.category].setdefault(record.values.get("id", ""), _named(record.values))
    return Head(total, found["srce"], found["sub"])


def _named(values: dict[str, str]) -> str:
    """A source or subject in words, out of those columns that have a value ("Source type indicators", "Subject type indicators")."""
    words = [values[key] for key in ("n", "mfr", "mo", "loc", "co") if values.get(key)]
    words += [f"{name} {values[key]}" for key, name in (("ev", "evidence number"), ("se", "serial number")) if values.get(key)]
    return printable(", ".join(words) or f"number {values.get('id', '?')}")[:_SAID]


def records(files: Files, tree: Tree) -> Iterator[Record | Problem]:
    """Every entry of every category in order of the list; what is wrong with the list stands where it was found.

    Lines that cannot be understood are passed over. Raises Corrupt for a line without end, EvidenceError where the storage fails.
    """
    if tree.problem:
        yield Problem(tree.problem)
    digest = hashlib.md5(usedforsecurity=False)
    lines = enumerate(_lines(files, tree, digest), 1)
    problems, listed = 0, False
    for _, line in lines:
        if line == "rec":
            names = next(lines, (0, ""))[1].split("\t", _COLUMNS)
            yield Record("rec", 0, dict(zip(names, next(lines, (0, ""))[1].split("\t", _COLUMNS), strict=False)))
        elif line in _CATEGORIES and not (line == "entry" and listed):
            listed = listed or line == "entry"
            for record in _category(line, lines):
                problems += isinstance(record, Problem)
                if isinstance(record, Record) or problems <= _PROBLEMS:
                    yield record
    if problems > _PROBLEMS:
        yield Problem(f"{problems - _PROBLEMS} more places of the list of files are damaged")
    if not listed:
        yield Problem("the list of files has no category of entries")
    if any(tree.md5) and digest.digest() != tree.md5:
        yield Problem("the list of files does not match the MD5 that is stored of it: what it says of names, times and places may be wrong")


def _category(category: str, lines: Iterator[tuple[int, str]]) -> Iterator[Record | Problem]:
    """The entries of one category. Children follow their parent, which says in a line before its values how many they are."""
    next(lines, None)  # how many entries there are, which the root says again
    names = next(lines, (0, ""))[1].split("\t", _COLUMNS)
    above: list[list[int]] = []  # of each entry that is open: children to come, the line that counts them
    passed, first, surplus, begun = 0, 0, 0, False
    for place, line in lines:
        if not line:
            if category != "entry" or not any(left for left, _ in above):
                break
            continue
        counted = _COUNTS.fullmatch(line) is not None
        values = next(lines, (place, ""))[1] if counted else line
        if not counted and (not begun or line.count("\t") != len(names) - 1):
            passed, first = passed + 1, first or place
            continue
        if not values:
            yield Problem(f"the entry in line {place} of the list of files has no values")
            continue
        while above and not above[-1][0]:
            above.pop()
        if above:
            above[-1][0] -= 1
        elif begun:
            surplus += 1
            above.append([0, place])  # the root's, as far as anything tells
        yield _record(category, len(above), names, values, counted)
        above.append([int(line.partition("\t")[2]) if counted else 0, place])
        begun = True
    if passed:
        yield Problem(f"{passed} lines of the list of files, from line {first} on, cannot be understood; they are passed over")
    if surplus:
        yield Problem(f"{surplus} entries follow after all that are counted; they are shown at the top")
    for left, place in above:
        if left:
            yield Problem(f"line {place} of the list of files counts {left} entries more than follow it")


def _record(category: str, depth: int, names: list[str], line: str, counted: bool) -> Record:
    values = line.split("\t", _COLUMNS)
    problem = None if counted else "the count of its children is damaged: where it stands in the tree is uncertain"
    if len(values) != len(names):
        problem = f"its line in the list of files has {len(values)} values for {len(names)} columns"
    return Record(category, depth, dict(zip(names, values, strict=False)), problem)


def _lines(files: Files, tree: Tree, digest: "hashlib._Hash") -> Iterator[str]:
    """The lines of the text, without what ends them.

    Names need not be UTF-16: an unpaired surrogate, which is a letter to Windows, stands as the bytes that it would be in UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-16-le")("surrogatepass")
    rest = ""
    for offset in range(0, tree.size, _PIECE):
        data = files.read(tree.segment, tree.start + offset, min(_PIECE, tree.size - offset))
        digest.update(data)
        text = rest + decode(decoder.decode(data).encode("utf-8", "surrogatepass"))
        if not offset:
            text = text.removeprefix("\ufeff")
        *whole, rest = text.split("\n")
        for line in whole:
            yield line.removesuffix("\r")
        if len(rest) > _LINE:
            raise Corrupt(f"{files.names[tree.segment]}: the list of files has a line of more than {_LINE} characters")
    if rest := rest.rstrip("\0\r"):  # version 2 pads with zeros
        yield rest


def number(text: str, base: int = 10) -> int | None:
    """A whole number that is not negative; `None` for anything else."""
    digits = r"[0-9]{1,19}" if base == 10 else r"[0-9A-Fa-f]{1,15}"
    return int(text, base) if re.fullmatch(digits, text) else None
