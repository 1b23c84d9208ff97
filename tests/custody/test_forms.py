"""What a person records of an event is held to its form: known fields, zones, digests, check digits, closed lists."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics import custody
from forensics.cli import cli
from forensics.custody.forms import FORMS
from forensics.errors import UsageError

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
SEIZED = ("at=2026-03-01T14:05+07:00", "place=Aranyaprathet", "purpose=evidence", "legal_authority_ref=W-7")
ACQUIRED = (
    "purpose=evidence",
    "type=physical",
    "tool.name=dd",
    "tool.version=9.4",
    f"tool.sha256={'A' * 64}",
    "started=2026-03-01T14:05+07:00",
    "ended=2026-03-01T15:05+07:00",
    "image.format=raw",
    f"image.sha256={'b' * 64}",
    f'verification={{"by":"Tan","at":"2026-03-01T16:00Z","hash":"{"b" * 64}","result":"match"}}',
    "changes_made_to_original=none known",
    "operator=Tan",
)


def test_typed_fields_become_values_of_their_kind() -> None:
    body = custody.typed(
        "seized",
        [*SEIZED, "imei=49-015420-323751-8", "passwords_obtained=no", "lock_state=LOCKED", "device_clock_offset=-90", "latitude=13.7"],
    )
    assert body == {
        "at": "2026-03-01T14:05+07:00",
        "place": "Aranyaprathet",
        "purpose": "evidence",
        "legal_authority_ref": "W-7",
        "imei": ["490154203237518"],  # the example of 3GPP TS 23.003's check digit
        "passwords_obtained": False,
        "lock_state": "locked",
        "device_clock_offset": -90,
        "latitude": 13.7,
    }


def test_acquisition_takes_nested_fields_and_lists() -> None:
    body = custody.typed(
        "acquired", [*ACQUIRED, "no_write_blocker_reason=phone", 'sector_errors={"first":63,"count":8}', "source_size=4096"]
    )
    assert body["tool"] == {"name": "dd", "version": "9.4", "sha256": "a" * 64}
    assert (body["sector_errors"], body["source_size"], body["verification"]["result"]) == ([{"first": 63, "count": 8}], 4096, "match")


def test_acquisition_says_its_write_blocker_or_why_there_was_none() -> None:
    with pytest.raises(UsageError, match="say write_blocker, or no_write_blocker_reason, and not both"):
        custody.typed("acquired", ACQUIRED)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("at=2026-03-01T14:05", "given twice"),
        ("colour=red", "has no field colour; its fields are: purpose, at, place, from, to"),
        ("imei=490154203237517", "imei: IMEI 490154203237517: the check digit 7 does not fit"),
        ("imei=49015420323751", "is not an IMEI"),
        ("iccid=12345", "is not an ICCID"),
        (f"hash_before={'g' * 64}", "hash_before: .* is not a SHA-256"),
        ("photos=abc", "photos: 'abc' is not a SHA-256"),
        ("lock_state=bolted", "lock_state: invalid enum value 'bolted'"),
        ("passwords_obtained=perhaps", "say yes or no"),
        ("device_clock_offset=soon", "is not a number"),
        ("latitude=91", "latitude: expected `float` <= 90.0"),
        ("unavoidable_change.what=booted", r"lacks: unavoidable_change\.who, unavoidable_change\.why"),
        ("unavoidable_change.when=now", r"has no field unavoidable_change\.when"),
        ("place.name=x", "place has no fields below it"),
        ("note", "say NAME=VALUE"),
        ("signature=x", "a signature is made and not typed"),
    ],
)
def test_field_that_does_not_fit_is_refused_by_name(given: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        custody.typed("seized", [*SEIZED, given])


def test_time_without_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="at: '2026-03-01T14:05' says no time zone"):
        custody.typed("seized", ["at=2026-03-01T14:05", *SEIZED[1:]])


def test_signature_is_never_typed() -> None:
    given = ["from=A", "to=B", "place=C", "purpose=x", 'signature={"name":"x","fingerprint":"x","cms":"x"}']
    with pytest.raises(UsageError, match="a signature is made and not typed"):
        custody.typed("transferred", given)


def test_form_is_held_to_where_it_is_appended_too(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no field colour"):
        custody.append(tmp_path, "returned", object="2026-1", body={"purpose": "end", "to": "owner", "colour": "red"}, by="Tan", at=AT)
    with pytest.raises(UsageError, match="is not a SHA-256"):
        custody.append(tmp_path, "copied", object="2026-1", body={"purpose": "work", "hash_after": "A" * 64}, by="Tan", at=AT)


@pytest.mark.parametrize("event", FORMS)
def test_every_form_lists_its_fields_and_refuses_nothing_given(event: str) -> None:
    listed = custody.fields_of(event)
    required = [each.name for each in listed if each.required and "." not in each.name]
    assert "purpose" in required and listed[0].required
    with pytest.raises(UsageError, match=f"lacks: .*{required[-1]}"):
        custody.typed(event, [])


def test_event_of_the_tool_has_no_form() -> None:
    with pytest.raises(UsageError, match="is none that a person records; those are: seized, sealed"):
        custody.fields_of("created")


def said(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    return done.output


def test_forms_are_shown_and_events_added_and_told_on_the_command_line(tmp_path: Path) -> None:
    case = str(tmp_path / "case")
    said("case", "new", "--case", case, "--no-input")
    assert "legal_authority_ref" in said("custody", "forms", "seized")
    assert "destroyed" in said("custody", "forms")
    fields = [part for field in SEIZED for part in ("--field", field)]
    assert "line 2: seized 2026-1" in said(
        "custody", "add", "seized", "2026-1", "--case", case, "--by", "Tan", *fields, "--field", "note=\x1b[2J"
    )
    told = said("custody", "show", "--case", case)
    assert "2026-1 was seized" in told and "place: Aranyaprathet" in told and "(unsigned)" in told
    assert "\x1b" not in told
    assert "the chain holds: 2 lines" in said("custody", "verify", "--case", case)
