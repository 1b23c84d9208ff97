"""Gaps in what an exhibit's dated findings show, and dates that no camera or computer of the matter can have had."""

import heapq
import itertools
from collections.abc import Iterator
from datetime import date, datetime
from typing import NamedTuple

from forensics.plugin import Finding, Record, Records, analyser

MAX_DERIVED = 20  # records named by one finding
# Days that clocks show which were never set, or that stand for "no time".
EPOCHS = {
    date(1601, 1, 1): "the zero of Windows' FILETIME",
    date(1899, 12, 30): "the zero of OLE dates",
    date(1904, 1, 1): "the zero of HFS+ and QuickTime",
    date(1970, 1, 1): "the zero of Unix time",
    date(1980, 1, 1): "the zero of FAT and ZIP",
    date(1980, 1, 6): "the zero of GPS time",
}


class _Moment(NamedTuple):
    """When a record is dated: `day` in UTC, or local where the zone is unknown (so that two days may be off by one)."""

    when: datetime
    id: str

    @property
    def key(self) -> tuple[datetime, str]:
        return self.when.replace(tzinfo=None), self.id


@analyser(version="1.0")
def timeline_gaps(records: Records, *, days: int = 14, most: int = 20, earliest: int = 1990) -> Iterator[Finding]:
    """Long gaps between dated findings of an exhibit, and dates that are implausibly early.

    `days` is the shortest gap named, `most` how many of an exhibit's longest gaps are, `earliest` the first year that is plausible.
    A gap says only that no examined file carries a date in it: a lead to deletion, a changed clock or a device out of use, and no proof.
    """
    spans: dict[str, dict[date, tuple[_Moment, _Moment]]] = {}
    early: dict[tuple[str, date], tuple[int, list[str]]] = {}
    for record in records():
        if record.finding.when is None or record.finding.kind in ("activity-gap", "implausible-time") or record.content == "reallocated":
            continue
        moment = _Moment(datetime.fromisoformat(record.finding.when), record.id)
        exhibit, day = _exhibit(record), moment.when.date()
        if day.year < earliest:
            count, ids = early.get((exhibit, day), (0, []))
            early[exhibit, day] = count + 1, ids if count >= MAX_DERIVED else [*ids, record.id]
            continue
        seen = spans.setdefault(exhibit, {})
        first, last = seen.get(day, (moment, moment))
        seen[day] = min(first, moment, key=lambda each: each.key), max(last, moment, key=lambda each: each.key)
    for exhibit in sorted(spans):
        yield from _gaps(exhibit, spans[exhibit], days, most)
    for (exhibit, day), (count, ids) in sorted(early.items()):
        yield _implausible(exhibit, day, count, ids, earliest)


def _exhibit(record: Record) -> str:
    return record.location.partition(":")[0]


def _gaps(exhibit: str, spans: dict[date, tuple[_Moment, _Moment]], days: int, most: int) -> Iterator[Finding]:
    order = sorted(spans)
    gaps = []
    for before, after in itertools.pairwise(order):
        start, end = spans[before][1], spans[after][0]
        length = (end.when.replace(tzinfo=None) - start.when.replace(tzinfo=None)).days
        if length >= days:
            gaps.append((length, start, end))
    for length, start, end in sorted(heapq.nlargest(most, gaps, key=lambda gap: (gap[0], gap[1].key)), key=lambda gap: gap[1].key):
        yield Finding(
            kind="activity-gap",
            summary=f"No dated finding on {exhibit} for {length} days, from {start.when:%Y-%m-%d} to {end.when:%Y-%m-%d}",
            when=start.when,
            data={
                "exhibit": exhibit,
                "start": _text(start.when),
                "end": _text(end.when),
                "days": length,
                "zone_unknown": start.when.tzinfo is None or end.when.tzinfo is None,
                "gaps_of_exhibit": len(gaps),
            },
            derived_from=(start.id, end.id),
        )


def _implausible(exhibit: str, day: date, count: int, ids: list[str], earliest: int) -> Finding:
    reason = EPOCHS.get(day)
    findings = "1 finding" if count == 1 else f"{count} findings"
    note = f": {reason}, as clocks show that were never set" if reason else ""
    return Finding(
        kind="implausible-time",
        summary=f"{findings} on {exhibit} dated {day}, before {earliest}{note}",
        data={"exhibit": exhibit, "date": day.isoformat(), "records": count, **({"epoch": reason} if reason else {})},
        derived_from=tuple(sorted(ids)),
    )


def _text(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")
