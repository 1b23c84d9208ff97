"""The full listings beside a report, and those of them that processes of their own may write."""

from collections.abc import Callable, Iterator
from pathlib import Path

from forensics.export import csv, jsonl, listing
from forensics.export.listing import Listing
from forensics.index import open_index
from forensics.model import ImageDamage, Segment
from forensics.report.building import Index

_LARGE: dict[str, Callable[[Path, Index], Listing]] = {
    "findings.csv": lambda path, index: csv.findings(path, index.records()),
    "files.csv": lambda path, index: csv.entries(path, index.entries()),
    "timeline.csv": lambda path, index: csv.timeline(path, index.timeline()),
}
LARGE = tuple(_LARGE)  # the one that takes longest first


def large_listing(name: str, index: Path, folder: Path) -> Listing:
    """One of the listings that take longest (`LARGE`), of the index at a path, so that a process of its own can write it.

    Raises CaseError, OSError.
    """
    with open_index(index) as opened:
        return _LARGE[name](folder / name, opened)


def write_listings(index: Index, folder: Path, large: Callable[[], tuple[Listing, ...]] = tuple) -> tuple[Listing, ...]:
    """The full listings, in the order in which the report names them; those that `large` gives are there already."""
    images = sorted(index.images().items())
    segments: Iterator[tuple[str, Segment]] = ((exhibit, part) for exhibit, image in images for part in image.segments)
    damage: Iterator[tuple[str, ImageDamage]] = ((exhibit, part) for exhibit, image in images for part in image.damage)
    makers: dict[str, Callable[[Path], Listing]] = {
        "findings.csv": lambda path: _LARGE["findings.csv"](path, index),
        "findings.jsonl": lambda path: jsonl.write(path, index.records()),
        "files.csv": lambda path: _LARGE["files.csv"](path, index),
        "files.jsonl": lambda path: listing.write(path, (line + b"\n" for line in index.entry_lines())),
        "timeline.csv": lambda path: _LARGE["timeline.csv"](path, index),
        "coverage.csv": lambda path: csv.coverage(path, index.coverage()),
        "layers.csv": lambda path: csv.layers(path, index.layers()),
        "faults.csv": lambda path: csv.faults(path, index.faults()),
        "segments.csv": lambda path: csv.write(path, csv.SEGMENTS, segments),
        "damage.csv": lambda path: csv.write(path, csv.DAMAGE, damage),
    }
    elsewhere = LARGE if large is not tuple else ()
    made = {name: make(folder / name) for name, make in makers.items() if name not in elsewhere}
    made |= {found.name: found for found in large()}
    return tuple(made[name] for name in makers)
