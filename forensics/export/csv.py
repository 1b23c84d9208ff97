r"""CSV listings for a spreadsheet, in which no cell becomes a formula.

RFC 4180 (comma, CRLF, quotes doubled), in UTF-8 with a byte order mark, without which Excel does not read UTF-8. Text that a
spreadsheet would calculate (``=``, ``+``, ``-``, ``@`` first, behind blanks or quotes, in full width) gets an apostrophe before it,
and a semicolon before such a character stands as ``\x3b``, because Excel splits at semicolons where the locale's decimal mark is a comma
(OWASP, "CSV Injection"). A cell is always one harmless line: control and bidirectional characters stand as
`forensics.location.escape` writes them, and a backslash is doubled, so that the text can be had back. Locations are in that form
already. The exact values are in the JSON lines.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from forensics.digest import canonical
from forensics.export import listing
from forensics.export.listing import Listing
from forensics.location import escape, printable
from forensics.model import Coverage, Examined, Fault, ImageDamage, LayerInfo, PluginOutcome, Record, Segment

Cell = str | int | float | None
BOM = "\ufeff".encode()

_CALCULATED = "=+\\-@＝＋－＠﹢﹣﬩−"
_FORMULA = re.compile(rf"[\s\"'`\u2018\u2019\u201c\u201d]*[{_CALCULATED}]")
# Most cells: printable ASCII without quote or backslash, that begins neither a formula nor one behind a semicolon; or nothing at all.
_PLAIN = re.compile(r"(?:[A-Za-z0-9/.][ !#-:<-\[\]-~]*(?:;(?= ?[A-Za-z0-9])[ !#-:<-\[\]-~]*)*)?")
_SPLIT = re.compile(rf";(?=[\s\"']*[{_CALCULATED}])")


class Made(str):
    """Text in the text form of a location, or made by us: it is escaped already."""

    __slots__ = ()


def cell(value: object) -> str | int | float:
    """`value` as one cell. `None` is the empty cell; truth values are ``yes`` and ``no``.

    `Made` text keeps its backslashes, but for nothing else is it believed to be escaped already.
    """
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return value
    text = str(value)
    if not (text.isascii() and text.isprintable()):
        text = printable(escape(text).replace("\\\\", "\\") if isinstance(value, Made) else escape(text))
    elif "\\" in text and not isinstance(value, Made):
        text = text.replace("\\", "\\\\")
    if ";" in text:
        text = _SPLIT.sub(r"\\x3b", text)
    return f"'{text}" if _FORMULA.match(text) else text


class _Given:
    """Gives back the line that it is told to write: `csv.writer.writerow` returns what `write` does."""

    def write(self, line: str) -> str:
        return line


def lines(rows: Iterable[Iterable[object]]) -> Iterator[bytes]:
    """`rows` as lines of CSV, text quoted and numbers bare, each with CRLF."""
    writer: Any = csv.writer(_Given(), quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    for row in rows:
        yield writer.writerow([cell(value) for value in row]).encode()


class Table(Struct, frozen=True):
    """The columns of one listing, and how a value becomes its row."""

    columns: tuple[str, ...]
    row: Callable[[Any], Iterable[object]]


def stream(table: Table, values: Iterable[Any]) -> Iterator[bytes]:
    """`values` as a whole listing, piece by piece: the byte order mark, the names of the columns, the rows."""
    yield _head(table)
    yield from lines(map(table.row, values))


def _head(table: Table) -> bytes:
    return BOM + b"".join(lines([table.columns]))


def write(path: Path, table: Table, values: Iterable[Any]) -> Listing:
    """Write `values` as rows of `table` to `path`. Returns rows, bytes and SHA-256. Raises OSError."""
    return listing.write(path, lines(map(table.row, values)), head=_head(table))


# --- the listings -----------------------------------------------------------------------------------------------------------


def _file(line: Examined) -> Iterable[object]:
    entry, digests = line.entry, line.digests
    return (
        Made(entry.location),
        entry.kind,
        entry.size,
        entry.state,
        entry.content,
        ranges(entry.holes),
        Made(entry.reallocated_to) if entry.reallocated_to is not None else None,
        entry.times.modified,
        entry.times.accessed,
        entry.times.changed,
        entry.times.born,
        None if entry.mode is None else f"{entry.mode:04o}",
        entry.uid,
        entry.gid,
        entry.target,
        line.mime,
        line.outcome,
        line.reason,
        digests.sha256 if digests else None,
        digests.sha1 if digests else None,
        digests.md5 if digests else None,
        "; ".join(map(_outcome, line.plugins)),
        entry.note,
    )


def _outcome(line: PluginOutcome) -> str:
    return f"{line.plugin} {line.outcome}" + (f" ({line.reason})" if line.reason else "")


def ranges(holes: Iterable[tuple[int, int]]) -> str:
    """Byte ranges as ``offset+size``, separated by blanks."""
    return " ".join(f"{offset}+{size}" for offset, size in holes)


def _finding(record: Record) -> Iterable[object]:
    finding = record.finding
    return (
        record.id,
        finding.level,
        finding.kind,
        finding.summary,
        finding.when,
        Made(record.location),
        record.state,
        record.content,
        record.sha256,
        None if finding.locator is None else str(finding.locator),
        record.plugin,
        record.plugin_version,
        record.plugin_digest,
        canonical(finding.data).decode() if finding.data else None,
        " ".join(item.sha256 for item in finding.attachments),
        " ".join(finding.derived_from),
    )


def _event(event: tuple[str, str, str, str]) -> Iterable[object]:
    when, what, location, summary = event
    return when, "UTC" if aware(when) else "unknown zone", what, Made(location), summary


def aware(when: str) -> bool:
    """Whether ISO 8601 text names its zone."""
    return when.endswith(("Z", "z")) or bool(re.search(r"[+-]\d\d:?\d\d$", when[10:]))


def _coverage(line: Coverage) -> Iterable[object]:
    reasons = "; ".join(f"{reason}: {count}" for reason, count in sorted(line.reasons.items()))
    counts = (line.offered, line.read, line.skipped, line.failed, line.not_run, line.findings)
    return line.exhibit, line.plugin, *counts, reasons, line.remark


FILES = Table(
    (
        *("location", "kind", "size", "state", "content", "holes", "reallocated_to"),
        *("modified", "accessed", "changed", "born", "mode", "uid", "gid", "target"),
        *("mime", "outcome", "reason", "sha256", "sha1", "md5", "plugins", "note"),
    ),
    _file,
)
FINDINGS = Table(
    (
        *("record", "level", "kind", "summary", "when", "location", "state", "content", "sha256", "locator"),
        *("plugin", "plugin_version", "plugin_digest", "data", "attachments", "derived_from"),
    ),
    _finding,
)
TIMELINE = Table(("when", "zone", "what", "location", "summary"), _event)
FAULTS = Table(
    ("location", "kind", "plugin", "limit", "message"),
    lambda fault: (Made(fault.location), fault.kind, fault.plugin, fault.limit, fault.message),
)
COVERAGE = Table(("exhibit", "plugin", "offered", "read", "skipped", "failed", "not_run", "findings", "reasons", "remark"), _coverage)
LAYERS = Table(
    ("location", "kind", "offset", "size", "label", "description", "examined", "reason", "timezone"),
    lambda layer: (
        *(Made(layer.location), layer.kind, layer.offset, layer.size, layer.label, layer.description),
        *(layer.examined, layer.reason, layer.timezone),
    ),
)
SEGMENTS = Table(("exhibit", "name", "size", "sha256"), lambda pair: _segment(*pair))
DAMAGE = Table(("exhibit", "offset", "size", "message"), lambda pair: _damage(*pair))


def _segment(exhibit: str, segment: Segment) -> Iterable[object]:
    return exhibit, segment.name, segment.size, segment.sha256


def _damage(exhibit: str, damage: ImageDamage) -> Iterable[object]:
    return exhibit, damage.offset, damage.size, damage.message


def entries(path: Path, values: Iterable[Examined]) -> Listing:
    """Every entry with its state, times, digests and what became of it."""
    return write(path, FILES, values)


def findings(path: Path, values: Iterable[Record]) -> Listing:
    """Every record with its provenance."""
    return write(path, FINDINGS, values)


def timeline(path: Path, values: Iterable[tuple[str, str, str, str]]) -> Listing:
    """Every dated event in the order given; times of an unknown zone say so."""
    return write(path, TIMELINE, values)


def faults(path: Path, values: Iterable[Fault]) -> Listing:
    """Every fault with its place."""
    return write(path, FAULTS, values)


def coverage(path: Path, values: Iterable[Coverage]) -> Listing:
    """What became of every plugin on every exhibit."""
    return write(path, COVERAGE, values)


def layers(path: Path, values: Iterable[LayerInfo]) -> Listing:
    """Every layer found, examined or not."""
    return write(path, LAYERS, values)
