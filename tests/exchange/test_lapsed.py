"""Nothing leaves while protection stands on records that the latest runs did not find: a newer plugin found the same under other ids."""

import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from parties import Office, Person, record, without_pdf

from forensics.digest import identity
from forensics.errors import NotDisclosable
from forensics.model import Record


@pytest.fixture(autouse=True)
def plain_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pdf(monkeypatch)


def upgraded(each: Record) -> Record:
    """The same finding by the next version of its plugin: its id is another."""
    made = msgspec.structs.replace(each, plugin_version="1.1", plugin_digest="f" * 64, id="")
    return msgspec.structs.replace(made, id=identity(made))


def upgrade(office: Office) -> None:
    """Examine again with newer plugins, and confirm all that they found."""
    office.records = [upgraded(each) for each in office.records]
    for each in office.records:
        office.decide(each)
    office.seal()


@pytest.mark.parametrize("role", ["minor", "victim"])
def test_a_protected_person_whose_record_is_gone_keeps_everything_in_the_house(tmp_path: Path, role: str) -> None:
    about, other = record(1), record(2)
    office = Office(tmp_path, [about, other])
    office.add(Person(id="P-1", name="Ani", role=role, records=(about.id,)))
    upgrade(office)
    planned = office.plan("VN")
    (refusal,) = planned.refusals
    assert refusal.startswith(f"P-1 (Ani), who is protected, is linked to 1 record that the latest runs did not find ({about.id})")
    assert "forensics review stale" in refusal
    with pytest.raises(NotDisclosable, match=r"P-1 \(Ani\)"):
        office.draft(planned)
    assert office.plan("VN", overrides=[f"{role}:the court ordered it"]).refusals == planned.refusals


def test_what_was_found_anew_is_protected_once_it_is_linked(tmp_path: Path) -> None:
    about, other = record(1), record(2)
    office = Office(tmp_path, [about, other])
    office.add(Person(id="P-1", role="minor", records=(about.id,)))
    upgrade(office)
    new = office.records[0]
    office.add(Person(id="P-1", role="minor", records=(new.id,)))
    office.seal()
    planned = office.plan("VN")
    assert not planned.refusals
    assert {held.record: held.reasons for held in planned.held} == {new.id: ("minor",), "P-1": ("minor",)}


@pytest.mark.parametrize("label", ["minor", "victim", "legal-privilege", "protection-claim"])
def test_a_protecting_label_on_a_record_that_is_gone_does_so_too(tmp_path: Path, label: str) -> None:
    about, other = record(1), record(2)
    office = Office(tmp_path, [about, other])
    office.decide(about, labels=(label,))
    upgrade(office)
    (refusal,) = office.plan("VN").refusals
    assert refusal.startswith(f"the label {label} stands on 1 record that the latest runs did not find ({about.id})")
    office.decide(about)
    assert not office.plan("VN").refusals


def test_a_link_that_protects_nobody_from_that_state_refuses_nothing(tmp_path: Path) -> None:
    about, other = record(1), record(2)
    office = Office(tmp_path, [about, other])
    office.add(Person(id="P-1", role="suspect", records=(other.id,)))
    office.decide(about, labels=("protection-claim", "health"))
    office.add(Person(id="P-2", role="smuggled-person", states_of_origin=("MM",), protection_claim=True, records=(about.id,)))
    upgrade(office)
    assert not office.plan("VN").refusals
    (refusal,) = office.plan("MM").refusals
    assert refusal.startswith("P-2 (without a name), who is protected,")


def test_a_draft_from_before_is_not_approved(tmp_path: Path) -> None:
    about, other = record(1), record(2)
    office = Office(tmp_path, [about, other])
    office.add(Person(id="P-1", role="minor", records=(about.id,)))
    office.seal()
    made = office.draft(office.plan("VN"))
    office.records = [upgraded(about), other]
    with pytest.raises(NotDisclosable, match="not approved: P-1"):
        office.approve(made.id)
