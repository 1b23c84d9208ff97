"""Gaps in the dated findings of an exhibit, and dates that cannot be."""

import importlib.util
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forensics.model import StoredFinding
from forensics.plugin import Finding, Record

_spec = importlib.util.spec_from_file_location("timeline_gaps", Path(__file__).parents[2] / "plugins" / "timeline_gaps.py")
assert _spec and _spec.loader
module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(module)


def record(name: str, when: str | None, *, exhibit: str = "2026-1", kind: str = "photo", content: Any = None) -> Record:
    return Record(
        id=name,
        location=f"{exhibit}:folder:/{name}.jpg",
        state="allocated",
        content=content,
        sha256="0" * 64,
        plugin="photo-exif",
        plugin_version="1.0",
        plugin_digest="0" * 64,
        finding=StoredFinding(kind=kind, summary="Photograph", when=when),
    )


def found(*given: Record, **options: Any) -> list[Finding]:
    def records(*, kind: str | None = None, plugin: str | None = None) -> Iterator[Record]:
        return iter(given)

    return list(module.timeline_gaps(records, **module.timeline_gaps.filled(options)))


def test_gap_is_named_with_the_records_around_it() -> None:
    [gap] = found(
        record("a", "2024-01-01T10:00:00Z"),
        record("b", "2024-01-01T12:00:00Z"),
        record("c", "2024-03-01T12:00:00Z"),
        record("d", "2024-03-02T12:00:00Z"),
    )
    assert (gap.kind, gap.level, gap.derived_from) == ("activity-gap", "info", ("b", "c"))
    assert gap.summary == "No dated finding on 2026-1 for 60 days, from 2024-01-01 to 2024-03-01"
    assert gap.when == datetime(2024, 1, 1, 12, tzinfo=UTC)
    assert (gap.data["start"], gap.data["end"], gap.data["days"]) == ("2024-01-01T12:00:00Z", "2024-03-01T12:00:00Z", 60)
    assert gap.data["zone_unknown"] is False


def test_shortest_gap_is_an_option() -> None:
    pair = (record("a", "2024-01-01T00:00:00Z"), record("b", "2024-01-08T00:00:00Z"))
    assert found(*pair) == []
    assert [gap.data["days"] for gap in found(*pair, days=7)] == [7]


def test_exhibits_have_gaps_of_their_own() -> None:
    assert found(record("a", "2024-01-01T00:00:00Z"), record("b", "2024-06-01T00:00:00Z", exhibit="2026-2")) == []


def test_local_times_of_unknown_zone_fill_gaps_though_they_come_after_the_others() -> None:
    gaps = found(
        record("a", "2024-01-01T00:00:00Z"),
        record("c", "2024-01-21T00:00:00Z"),
        record("b", "2024-01-10T00:00:00.123456789"),
        record("d", "2024-02-20T00:00:00"),
    )
    assert [(gap.derived_from, gap.data["zone_unknown"]) for gap in gaps] == [(("c", "d"), True)]


def test_only_the_longest_gaps_are_named_in_order_of_time() -> None:
    days = ("2024-01-01", "2024-02-01", "2024-05-01", "2024-06-01", "2024-12-01")
    gaps = found(*(record(name, f"{day}T00:00:00Z") for name, day in zip("abcde", days, strict=True)), most=2)
    assert [gap.derived_from for gap in gaps] == [("b", "c"), ("d", "e")]
    assert [gap.data["gaps_of_exhibit"] for gap in gaps] == [4, 4]


def test_dates_before_digital_cameras_are_implausible_and_make_no_gap() -> None:
    [finding] = found(record("b", "1980-01-01T00:00:00"), record("a", "1980-01-01T02:00:00"), record("c", "2024-01-01T00:00:00Z"))
    assert (finding.kind, finding.derived_from, finding.data["records"]) == ("implausible-time", ("a", "b"), 2)
    assert "the zero of FAT" in finding.summary


def test_undated_and_derived_records_count_for_nothing() -> None:
    assert found(record("a", "2024-01-01T00:00:00Z"), record("b", None), record("c", "2024-06-01T00:00:00Z", kind="activity-gap")) == []


def test_what_stands_in_reallocated_content_fills_no_gap() -> None:
    gaps = found(
        record("a", "2024-01-01T00:00:00Z"),
        record("b", "2024-01-10T00:00:00Z", content="reallocated"),
        record("c", "2024-01-20T00:00:00Z"),
    )
    assert [gap.derived_from for gap in gaps] == [("a", "c")]


def test_an_empty_case_has_no_gap() -> None:
    assert found() == []
