"""CASE/UCO 1.5.0 as JSON-LD: findings, the files that they touch, exhibits, and who did what with which tool, as other systems read it.

The context stands at the head, then one node a line (https://caseontology.org; JSON-LD 1.1). Every identifier ends in a UUIDv5 of a name
that `names` gives, so that the same case gives the same bytes. **Nothing is in the graph but what is passed**: no digest of ours over other
things. For a disclosure `names` starts from a random record name, since a UUIDv5 of what can be guessed is as good as the thing itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from forensics.digest import canonical
from forensics.export import listing
from forensics.export.listing import Listing
from forensics.export.uco_actions import Event
from forensics.export.uco_findings import Files, findings
from forensics.export.uco_matter import Markings, matter
from forensics.export.uco_terms import CONTEXT, Naming
from forensics.model import CaseInfo, Exhibit, ImageDigest, Record, RunInfo

__all__ = ["Markings", "lines", "names_from", "write"]


def names_from(secret: str) -> Callable[[str, str], str]:
    """Names that all start with `secret`: a case's own number in house, the random name of a sealed record for a disclosure."""
    return lambda what, key: f"{secret}\n{what}\n{key}"


def lines(
    *,
    case: CaseInfo,
    exhibits: Iterable[Exhibit],
    records: Iterable[Record],
    methods: Iterable[RunInfo],
    custody: Iterable[Event],
    names: Callable[[str, str], str],
    markings: Markings = Markings(),
    images: Mapping[str, ImageDigest] = {},
    files: Files = lambda location: None,
    inventory: Listing | None = None,
) -> Iterator[bytes]:
    """The graph, one node at a time; memory stays flat whatever the number of records.

    `methods` are the runs and the plugins that they used, `custody` the lines of the log (those whose body is withheld say nothing here),
    `images` the digests of the media by exhibit, `files` gives what was examined at a location (size, times, digests), `inventory` the
    listing of all files that lies beside the graph. `names` is called with what a thing is and its own key (a record's id, a location).
    """
    naming = Naming(names)
    whole = matter(naming, case, exhibits, images, methods, custody, markings, inventory)
    yield b'{"@context":' + canonical(CONTEXT) + b',"@graph":['
    before = b"\n"
    for node in whole.nodes:
        yield before + canonical(node)
        before = b",\n"
    for node in findings(naming, records, whole, files):
        yield before + canonical(node)
    yield b"\n]}\n"


def write(
    path: Path,
    *,
    case: CaseInfo,
    exhibits: Iterable[Exhibit],
    records: Iterable[Record],
    methods: Iterable[RunInfo],
    custody: Iterable[Event],
    names: Callable[[str, str], str],
    markings: Markings = Markings(),
    images: Mapping[str, ImageDigest] = {},
    files: Files = lambda location: None,
    inventory: Listing | None = None,
) -> Listing:
    """Write the graph to `path`, whole or not at all; see `lines`. `rows` counts its nodes. Raises OSError."""
    written = listing.write(
        path,
        lines(
            case=case,
            exhibits=exhibits,
            records=records,
            methods=methods,
            custody=custody,
            names=names,
            markings=markings,
            images=images,
            files=files,
            inventory=inventory,
        ),
    )
    return Listing(written.name, written.rows - 2, written.size, written.sha256)  # without the line at each end
