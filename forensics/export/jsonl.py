"""JSON lines: every value of the examination exactly as it is held, one canonical JSON object (RFC 8785) a line."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from forensics.digest import canonical, canonical_record
from forensics.export import listing
from forensics.export.listing import Listing
from forensics.model import Examined, Fault, Record


def lines(values: Iterable[Struct]) -> Iterator[bytes]:
    """`values` as canonical JSON, each with its newline; a value at its default is left out where its struct says so."""
    for value in values:
        yield (canonical_record(value) if isinstance(value, Record) else canonical(value)) + b"\n"


def write(path: Path, values: Iterable[Record] | Iterable[Examined] | Iterable[Fault]) -> Listing:
    """Write records, entries or faults to `path`. Raises OSError."""
    return listing.write(path, lines(values))
