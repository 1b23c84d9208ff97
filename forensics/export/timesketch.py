"""Timelines for Timesketch, as JSON lines or CSV: ``message``, ``datetime`` and ``timestamp_desc``, and fields of ours.

(https://timesketch.org, "Create timeline from JSON/JSONL/CSV file".) ``datetime`` is ISO 8601 with its zone. Timesketch takes a time
without a zone as UTC, so times of an unknown zone (FAT, EXIF) never go into its file: they stand in a second file of the same form with
``datetime_without_zone`` in place of ``datetime``, which Timesketch refuses to import until somebody has stated the zone.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from forensics.digest import canonical
from forensics.export import csv, listing
from forensics.export.csv import Made, aware, lines
from forensics.export.listing import Listing
from forensics.location import Location
from forensics.model import Record

Event = dict[str, Any]
COLUMNS = ("message", "datetime", "timestamp_desc", "location", "exhibit", "data_type", "level", "plugin", "record", "sha256", "state")
_MACB = re.compile(r"[m.][a.][c.][b.]")
_LETTERS = {"m": "Modified", "a": "Accessed", "c": "Metadata changed", "b": "Born"}
_DIGITS = re.compile(r"(\.\d{6})\d+")


def file_events(timeline: Iterable[tuple[str, str, str, str]]) -> Iterator[Event]:
    """The times of files out of the case's timeline: one event for each time of an entry."""
    for when, what, location, _ in timeline:
        if _MACB.fullmatch(what):
            words = ", ".join(_LETTERS[letter] for letter in what if letter != ".")
            yield {
                **_dated(when),
                "data_type": "forensics:file",
                "exhibit": Location.parse(location).exhibit,
                "location": location,
                "message": location,
                "timestamp_desc": words,
            }


def finding_events(records: Iterable[Record]) -> Iterator[Event]:
    """The dated ones of `records`."""
    for record in records:
        finding = record.finding
        if finding.when is None:
            continue
        yield {
            **_dated(finding.when),
            "data_type": f"forensics:{finding.kind}",
            "exhibit": Location.parse(record.location).exhibit,
            "level": finding.level,
            "location": record.location,
            "message": finding.summary,
            "plugin": record.plugin,
            "record": record.id,
            "sha256": record.sha256,
            "state": record.state,
            "timestamp_desc": f"Found by {record.plugin}",
        }


def _dated(when: str) -> Event:
    """`datetime` to the microsecond, which is what Timesketch keeps; where that cuts digits, the time as found beside it."""
    cut = _DIGITS.sub(r"\1", when)
    more = {"time_found": when} if cut != when else {}
    if not aware(when):
        return {"datetime_without_zone": cut, **more}
    return {"datetime": f"{cut[:-1]}+00:00" if cut.endswith(("Z", "z")) else cut, **more}


def write(path: Path, events: Callable[[], Iterable[Event]]) -> tuple[Listing, Listing]:
    """Write events whose zone is known to `path` (CSV where it ends so, else JSON lines), the others to ``...-unknown-zone`` beside it.

    `events` is called twice, since neither is held in memory. Raises OSError.
    """
    beside = unknown_zone(path)
    form = _csv if path.suffix.lower() == ".csv" else _jsonl
    known = form(path, "datetime", (event for event in events() if "datetime" in event))
    unknown = form(beside, "datetime_without_zone", (event for event in events() if "datetime" not in event))
    return known, unknown


def unknown_zone(path: Path) -> Path:
    """The file for times of an unknown zone that belongs to `path`."""
    return path.with_name(f"{path.stem}-unknown-zone{path.suffix}")


def _jsonl(path: Path, _: str, events: Iterable[Event]) -> Listing:
    return listing.write(path, (canonical({key: value for key, value in event.items() if value is not None}) + b"\n" for event in events))


def _csv(path: Path, time: str, events: Iterable[Event]) -> Listing:
    columns = [time if column == "datetime" else column for column in COLUMNS]
    rows = ([_cell(column, event.get(column)) for column in columns] for event in events)
    return listing.write(path, lines(rows), head=b"".join(csv.lines([columns])))


def _cell(column: str, value: Any) -> Any:
    return Made(value) if column == "location" and isinstance(value, str) else value
