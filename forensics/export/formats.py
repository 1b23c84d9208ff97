"""The formats by name: what each writes, and where."""

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from forensics.custody import CustodyLine
from forensics.export import bodyfile, case_uco, csv, jsonl, kml, listing, sqlite, timesketch, xlsx
from forensics.export.choice import Choice
from forensics.export.listing import Listing
from forensics.export.timesketch import unknown_zone
from forensics.model import CaseInfo, Exhibit


class Matter(Struct, frozen=True, kw_only=True):
    """What an export says beside what was found: case, exhibits, the custody log, the tool, the time of export (aware)."""

    case: CaseInfo
    exhibits: tuple[Exhibit, ...]
    custody: Callable[[], Iterable[CustodyLine]]
    tool: str
    at: datetime


class Format(Struct, frozen=True, kw_only=True):
    """One format: what it is, the ending of its file (none: it writes a folder of files), whether a query chooses anything in it."""

    description: str
    ending: str | None
    write: Callable[[Path, Choice, Matter], tuple[Listing, ...]]
    queried: bool = True
    beside: Callable[[Path], Path] | None = None  # a second file of the format, by the name of the first


def _csv(folder: Path, choice: Choice, matter: Matter) -> tuple[Listing, ...]:
    return (
        csv.findings(folder / "findings.csv", choice.records()),
        csv.entries(folder / "files.csv", choice.entries()),
        csv.timeline(folder / "timeline.csv", choice.timeline()),
        csv.faults(folder / "faults.csv", choice.faults()),
        csv.coverage(folder / "coverage.csv", choice.coverage()),
        csv.layers(folder / "layers.csv", choice.layers()),
    )


def _jsonl(folder: Path, choice: Choice, matter: Matter) -> tuple[Listing, ...]:
    return (
        jsonl.write(folder / "findings.jsonl", choice.records()),
        jsonl.write(folder / "files.jsonl", choice.entries()),
        jsonl.write(folder / "faults.jsonl", choice.faults()),
        listing.write(folder / "coverage.jsonl", jsonl.lines(choice.coverage())),
        listing.write(folder / "layers.jsonl", jsonl.lines(choice.layers())),
    )


def _case_uco(path: Path, choice: Choice, matter: Matter) -> tuple[Listing, ...]:
    inventory = jsonl.write(_inventory(path), choice.entries())
    classification = matter.case.classification
    exhibits = tuple(exhibit for exhibit in matter.exhibits if not choice.exhibits or exhibit.exhibit_id in choice.exhibits)
    graph = case_uco.write(
        path,
        case=matter.case,
        exhibits=exhibits,
        records=choice.records(),
        methods=choice.index.runs(),
        custody=matter.custody(),
        names=case_uco.names_from(matter.case.case_id or ""),
        markings=case_uco.Markings(statements=(classification,) if classification else ()),
        images=choice.index.images(),
        files=choice.file_at,
        inventory=inventory,
    )
    return graph, inventory


def _sqlite(path: Path, choice: Choice, matter: Matter) -> tuple[Listing, ...]:
    meta = {"tool": matter.tool, "query": choice.query.text, "exported_at": matter.at.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return (sqlite.write(path, choice, case=matter.case, exhibits=matter.exhibits, meta=meta),)


def _timesketch(path: Path, choice: Choice, matter: Matter) -> tuple[Listing, ...]:
    def events() -> Iterable[timesketch.Event]:
        if choice.whole:
            yield from timesketch.file_events(choice.timeline())
        yield from timesketch.finding_events(choice.records())

    return timesketch.write(path, events)


def _kml(path: Path, choice: Choice, matter: Matter) -> tuple[Listing, ...]:
    return (kml.write(path, choice.records(), matter.case.case_id or "findings"),)


def _xlsx(path: Path, choice: Choice, matter: Matter) -> tuple[Listing, ...]:
    return (xlsx.write(path, choice, at=matter.at),)


def _bodyfile(path: Path, choice: Choice, matter: Matter) -> tuple[Listing, ...]:
    return bodyfile.write(path, choice.entries()), bodyfile.write_local(unknown_zone(path), choice.entries())


def _inventory(path: Path) -> Path:
    return path.with_name(f"{path.stem}-files.jsonl")


FORMATS = {
    "case-uco": Format(
        description="CASE/UCO 1.5 JSON-LD: findings, their files, exhibits, who did what; beside it the inventory of all files",
        ending=".jsonld",
        write=_case_uco,
        beside=_inventory,
    ),
    "csv": Format(description="CSV listings for a spreadsheet, in a folder", ending=None, write=_csv),
    "jsonl": Format(description="the exact values as JSON lines, in a folder", ending=None, write=_jsonl),
    "sqlite": Format(description="one SQLite database", ending=".sqlite", write=_sqlite),
    "timesketch": Format(
        description="Timesketch JSON lines (--out NAME.csv: CSV); times of an unknown zone in a file of their own",
        ending=".jsonl",
        write=_timesketch,
        beside=unknown_zone,
    ),
    "kml": Format(description="findings with coordinates, for a map", ending=".kml", write=_kml),
    "xlsx": Format(description="an Excel workbook, a sheet for each listing", ending=".xlsx", write=_xlsx),
    "bodyfile": Format(
        description="The Sleuth Kit's bodyfile, for mactime; times of an unknown zone in a file of their own",
        ending=".bodyfile",
        write=_bodyfile,
        queried=False,
        beside=unknown_zone,
    ),
}
