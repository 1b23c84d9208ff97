"""The full listings beside a report, and those of them that processes of their own may write."""

from collections.abc import Callable, Iterator
from pathlib import Path

from forensics.export import csv, jsonl, listing
from forensics.export.listing import Listing
from forensics.index import open_index
from forensics.model import ImageDamage, Segment
from forensics.report.building import Index

LARGE = ("files.csv", "timeline.csv")


def large_listing(name: str, index: Path, folder: Path) -> Listing:
    """One of the listings that take longest (`LARGE`), of the index at a path, so that a process of its own can write it.

    Raises CaseError, OSError.
    """
    with open_index(index) as opened:
        path = folder / name
        return csv.entries(path, opened.entries()) if name == "files.csv" else csv.timeline(path, opened.timeline())


def write_listings(index: Index, folder: Path, large: Callable[[], tuple[Listing, ...]] = tuple) -> tuple[Listing, ...]:
    """The full listings, in the order in which the report names them; those that `large` gives are there already."""
    images = sorted(index.images().items())
    segments: Iterator[tuple[str, Segment]] = ((exhibit, part) for exhibit, image in images for part in image.segments)
    damage: Iterator[tuple[str, ImageDamage]] = ((exhibit, part) for exhibit, image in images for part in image.damage)
    makers: dict[str, Callable[[Path], Listing]] = {
        "findings.csv": lambda path: csv.findings(path, index.records()),
        "findings.jsonl": lambda path: jsonl.write(path, index.records()),
        "files.csv": lambda path: csv.entries(path, index.entries()),
        "files.jsonl": lambda path: listing.write(path, (line + b"\n" for line in index.entry_lines())),
        "timeline.csv": lambda path: csv.timeline(path, index.timeline()),
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
