"""Exhibits, records, a custody log and an index that exist only here, with everything in them that a CASE/UCO graph can say."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from forensics.custody import CustodyLine
from forensics.export import case_uco
from forensics.export.listing import Listing
from forensics.model import (
    Authority,
    CaseInfo,
    Digests,
    Entry,
    Examined,
    Exhibit,
    ImageDigest,
    PluginInfo,
    Record,
    RecordNumber,
    RunInfo,
    StoredFinding,
    Times,
)

BODY = hashlib.sha256(b"a body").hexdigest()
RUN_DIGEST = hashlib.sha256(b"the digest of the run").hexdigest()
CASE = CaseInfo(
    case_id="TH-2026-17",
    agency="Immigration Bureau",
    officer_in_charge="A. Officer",
    examiner="E. Examiner",
    offence_or_purpose="migrant smuggling",
    phase="investigative",
    opened_at="2026-11-01",
    requested_questions=("Which routes are named?",),
    authority=Authority(type="warrant", id="W-12", issuer="Court", issued="2026-11-01", expires="2026-12-01", scope_text="the phone"),
)
PHONE = Exhibit(
    exhibit_id="2026-1",
    image="/elsewhere/phone.E01",
    image_format="EWF-E01",
    kind="phone",
    make="Maker",
    model="Model 1",
    serial="S1",
    description="a telephone",
    acquisition_type="physical",
    acquisition_tool="ewfacquire",
    acquisition_tool_version="20140813",
    write_blocker="Blocker T8",
    acquired_at="2026-11-02T09:00:00Z",
    acquisition_ended_at="2026-11-02T10:00:00Z",
    acquired_by="A. Cquirer",
)
SIM = Exhibit(exhibit_id="2026-1-1", image="/elsewhere/sim.raw", image_format="raw", kind="SIM", parent_exhibit="2026-1")
IMAGES = {"2026-1": ImageDigest(format="EWF-E01", size=4096, sha256=hashlib.sha256(b"medium").hexdigest())}
PLUGIN = PluginInfo(
    name="photo-exif",
    kind="extractor",
    version="1.0",
    description="Photographs.",
    digest="12" * 32,
    source="photo_exif.py",
    selection="all",
)
RUN = RunInfo(
    run="run-0001",
    exhibits=("2026-1", "2026-1-1"),
    tool="0.1.0",
    tool_digest="34" * 32,
    started="2026-11-03T08:00:00Z",
    libraries={},
    plugins=(PLUGIN,),
)


def line(seq: int, event: str, object: str, **body: object) -> CustodyLine:
    return CustodyLine(
        seq=seq,
        at=f"2026-11-0{seq}T12:00:00.000Z",
        event=event,
        object=object,
        prev="0" * 64,
        body_sha256=BODY,
        by="E. Examiner",
        body=body,
    )


CUSTODY = (
    line(1, "received", "2026-1", exhibit={"stated_sha256": RUN_DIGEST}, purpose="examination"),
    line(2, "received", "2026-1-1", purpose="examination"),
    line(4, "examined", "run-0001", phase="completed", run_digest=RUN_DIGEST),
    line(5, "reviewed", "12 records", decisions=[RUN_DIGEST]),
    line(6, "reported", "20261106T120000Z", files={"report.html": RUN_DIGEST}),
)


def record(number: int, kind: str = "photo", summary: str = "Photograph by Maker", path: str = "", **finding: object) -> Record:
    return Record(
        id=hashlib.sha256(f"record {number} {kind}".encode()).hexdigest(),
        location=f"2026-1:ext4:{path or f'/DCIM/{number:05}.jpg'};meta={number}",
        state="deleted" if number % 7 == 0 else "allocated",
        content="intact" if number % 7 == 0 else None,
        sha256=hashlib.sha256(f"content {number}".encode()).hexdigest(),
        plugin="photo-exif",
        plugin_version="1.0",
        plugin_digest="12" * 32,
        finding=StoredFinding(kind=kind, summary=summary, **finding),  # type: ignore[arg-type]
    )


def photo(number: int) -> Record:
    """A photograph with a place, as the plugin for them tells it."""
    data = {
        "camera_make": "Maker",
        "camera_model": "Model 1",
        "time_original": "2026:10:01 12:00:00",
        "width": 4000,
        "height": 3000,
        "format": "JPEG",
        "gps_latitude": 13.7563 - number / 1000,
        "gps_longitude": 1e-07,
        "gps_altitude": -2.5,
    }
    return record(number, when="2026-10-01T12:00:00", data=data, level="notable", locator=RecordNumber(1))


def passport(number: int) -> Record:
    data = {"document_number": "L898902C3", "mrz": ["P<UTOERIKSSON<<ANNA", "L898902C36UTO"], "checks_failed": [], "an odd name": "x"}
    return record(number, "travel-document", "TD3 L898902C3 of UTO", data=data, category="SOM-IDENTITY")  # type: ignore[arg-type]


def rule(number: int) -> Record:
    return record(number, "rule-match", "Fee: a price", data={"rule": "Fee", "string_count": 3, "share": 0.5, "weak": False})


def mixed(number: int) -> Iterator[Record]:
    """So many files: photographs, documents, rule matches in turn, and one finding made of others."""
    for each in range(number):
        yield (photo, passport, rule)[each % 3](each)
    if number:
        yield record(number, "activity-gap", "No dated finding", derived_from=(photo(0).id,))


def examined(location: str) -> Examined:
    times = Times(modified="2026-10-01T12:00:00.123456789Z", accessed="2026-10-01T12:00:00", changed="not a time", born=None)
    return Examined(
        entry=Entry(location=location, kind="file", size=1234, times=times),
        outcome="read",
        digests=Digests(hashlib.sha256(location.encode()).hexdigest(), "ab" * 20, "cd" * 16),
        mime="image/jpeg",
    )


def graph(
    path: Path,
    records: Iterable[Record],
    *,
    case: CaseInfo = CASE,
    exhibits: tuple[Exhibit, ...] = (PHONE, SIM),
    names: Callable[[str, str], str] = case_uco.names_from("TH-2026-17"),
    methods: tuple[RunInfo, ...] = (RUN,),
    custody: Iterable[CustodyLine] = CUSTODY,
    **more: object,
) -> Listing:
    given: dict[str, object] = {
        "images": IMAGES,
        "files": examined,
        "inventory": Listing("files.jsonl", 1000, 123456, "ef" * 32),
        "markings": case_uco.Markings(statements=("TLP:AMBER",), release_to=("Ministry (MY)",), terms_of_use="intelligence only"),
    }
    given |= more
    return case_uco.write(path, case=case, exhibits=exhibits, records=records, methods=methods, custody=custody, names=names, **given)  # type: ignore[arg-type]
