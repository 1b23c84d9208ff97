"""What may not leave: minors, victims, privilege, and protection claims against states of origin."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from parties import OTHER_PHONE, PHONE, Office, Person, all_bytes, record, without_pdf

from forensics.custody import read
from forensics.errors import NotDisclosable, UsageError
from forensics.exchange import policy
from forensics.model import Record


@pytest.fixture(autouse=True)
def plain_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pdf(monkeypatch)


def sealed_office(folder: Path, records: list[Record], *persons: Person) -> Office:
    office = Office(folder, records)
    for person in persons:
        office.add(person)
    office.seal()
    return office


def reasons(office: Office, to: str, **more: object) -> dict[str, tuple[str, ...]]:
    return {held.record: held.reasons for held in office.plan(to, **more).held}


@pytest.mark.parametrize("role", ["minor", "victim"])
def test_records_about_minors_and_victims_stay(tmp_path: Path, role: str) -> None:
    about, other = record(1), record(2)
    office = sealed_office(tmp_path, [about, other], Person(id="P-1", name="Ani Wijaya", role=role, records=(about.id,)))
    assert reasons(office, "VN") == {about.id: (role,), "P-1": (role,)}
    everything = all_bytes(office.opened(office.send(office.plan()), tmp_path / "vn"))
    assert b"contact number 2" in everything
    for word in (b"contact number 1", b"ani wijaya", role.encode(), b"contact-1"):
        assert word not in everything.replace(b"victim, minor", b"")  # what the protection check always asks


@pytest.mark.parametrize("label", ["minor", "victim", "legal-privilege", "protection-claim"])
def test_labelled_records_stay_without_any_person(tmp_path: Path, label: str) -> None:
    about, other = record(1), record(2)
    office = Office(tmp_path, [about, other])
    office.decide(about, labels=(label,))
    office.seal()
    assert reasons(office, "VN") == {about.id: (label,)}


@pytest.mark.parametrize(
    ("origin", "to", "stays"),
    [(("MM",), "MM", True), (("mm",), "MM", True), (("MM",), "VN", False), ((), "VN", True), ((), "SG", True), (("MM", "TH"), "TH", True)],
)
def test_nothing_about_a_claimant_goes_to_a_state_of_origin(tmp_path: Path, origin: tuple[str, ...], to: str, stays: bool) -> None:
    about, other = record(1), record(2)
    claimant = Person(
        id="P-1", name="Aye Chan", role="smuggled-person", states_of_origin=origin, protection_claim=True, records=(about.id,)
    )
    office = sealed_office(tmp_path, [about, other], claimant)
    held = reasons(office, to)
    assert held == ({about.id: ("protection-claim",), "P-1": ("protection-claim",)} if stays else {})
    names = {item.what for item in office.plan(to).shown if item.type == "person"}
    assert not names  # a smuggled person is named to nobody unless that is asked for
    if stays:
        everything = all_bytes(office.opened(office.send(office.plan(to)), tmp_path / "partner"))
        for word in (b"contact number 1", b"aye chan", b"protection-claim", about.sha256.encode(), about.id.encode()):
            assert word not in everything


def test_the_label_of_a_claim_is_answered_by_the_states_of_the_person_linked(tmp_path: Path) -> None:
    about, other = record(1), record(2)
    office = Office(tmp_path, [about, other])
    office.decide(about, labels=("protection-claim",))
    office.add(Person(id="P-1", states_of_origin=("MM",), protection_claim=True, role="smuggled-person", records=(about.id,)))
    office.seal()
    assert reasons(office, "VN") == {}
    assert about.id in reasons(office, "MM")


def test_records_of_the_same_content_inside_it_or_derived_from_it_stay(tmp_path: Path) -> None:
    about = record(1, content="the archive", path="/data/papers.zip")
    same = record(2, content="the archive", path="/copy/papers.zip")
    inside = record(3, inside="/data/papers.zip", path="passport.jpg")
    derived = record(4, derived_from=(about.id,))
    again = record(5, derived_from=(derived.id,))
    free = record(6)
    office = sealed_office(
        tmp_path, [about, same, inside, derived, again, free],
        Person(id="P-1", protection_claim=True, role="smuggled-person", records=(about.id,)),
    )  # fmt: skip
    held = reasons(office, "VN")
    assert held.keys() == {about.id, same.id, inside.id, derived.id, again.id, "P-1"}
    assert [item.what for item in office.plan("VN").shown if item.type == "finding"] == [f"contact: Contact number 6, {free.location}"]


def test_records_that_state_a_claimants_number_or_address_stay_however_it_is_written(tmp_path: Path) -> None:
    about = record(1, data={"number": PHONE, "mail": "Aye.Chan@example.org", "passport": "MC 1234567", "taken": "20260102123456"})
    others = [
        record(2, data={"text": "ring 0812-3456-7890 tonight"}),
        record(3, summary="Message to aye.chan@EXAMPLE.org"),
        record(4, path="/wa/6281234567890@s.whatsapp.net.db"),
        record(5, data={"document": "MC1234567"}),
    ]
    free = [record(6, data={"number": OTHER_PHONE}), record(7, data={"taken": "20260102123456"})]
    office = sealed_office(
        tmp_path, [about, *others, *free], Person(id="P-1", protection_claim=True, role="smuggled-person", records=(about.id,))
    )
    held = reasons(office, "VN")
    assert held.keys() == {about.id, "P-1", *(other.id for other in others)}


def test_records_that_name_a_protected_person_stay(tmp_path: Path) -> None:
    about, naming, free = record(1), record(2, data={"text": "ask AYE  Chan for it"}), record(3)
    office = sealed_office(
        tmp_path, [about, naming, free],
        Person(id="P-1", name="Aye Chan", protection_claim=True, role="smuggled-person", records=(about.id,)),
    )  # fmt: skip
    assert reasons(office, "VN")[naming.id] == ("names",)
    assert b"aye" not in all_bytes(office.opened(office.send(office.plan("VN")), tmp_path / "vn"))
    with pytest.raises(NotDisclosable, match="names a person who is protected"):
        office.draft(office.plan("VN"), purpose="to find Aye Chan")


def test_suspects_are_named_and_others_only_when_asked_for(tmp_path: Path) -> None:
    one, two = record(1), record(2)
    office = sealed_office(
        tmp_path,
        [one, two],
        Person(id="P-1", name="Joko", records=(one.id,)),
        Person(id="P-2", name="Rini", role="witness", records=(two.id,)),
    )
    named = {item.what for item in office.plan("VN").shown if item.type == "person"}
    assert named == {"suspect: Joko"}
    assert {item.what for item in office.plan("VN", persons=("P-2",)).shown if item.type == "person"} == {"suspect: Joko", "witness: Rini"}
    assert not [item for item in office.plan("VN", [two]).shown if item.type in ("person", "link")]


def test_a_link_that_was_taken_back_does_not_leave(tmp_path: Path) -> None:
    one, two = record(1), record(2)
    office = sealed_office(tmp_path, [one, two], Person(id="P-1", name="Joko", records=(one.id, two.id)))
    assert [item.type for item in office.plan("VN").shown].count("link") == 2
    office.add(Person(id="P-1", name="Joko", records=(one.id,)))
    assert [item.type for item in office.plan("VN").shown].count("link") == 1


# --- overrides --------------------------------------------------------------------------------------------------------------


def test_an_override_needs_a_reason_and_its_repetition_and_is_logged(tmp_path: Path) -> None:
    about, other = record(1), record(2)
    office = sealed_office(tmp_path, [about, other], Person(id="P-1", role="minor", records=(about.id,)))
    with pytest.raises(NotDisclosable, match="say why"):
        office.draft(office.plan("VN", overrides=["minor"]))
    made = office.draft(office.plan("VN", overrides=["minor:the child is to be found"]))
    with pytest.raises(NotDisclosable, match="repeat it: --override minor"):
        office.approve(made.id)
    with pytest.raises(UsageError, match="no such thing"):
        office.approve(made.id, overrides=["minor", "victim"])
    top = office.opened(office.approve(made.id, overrides=["minor"]), tmp_path / "vn")
    assert b"contact number 1" in all_bytes(top)
    assert b'"overrides":["protected-person"]' in all_bytes(top)
    *_, line = read(office.case.folder)
    assert line.body
    assert line.body["overrides"] == {"minor": {"author": "the child is to be found", "approver": ""}}
    assert b"to be found" not in all_bytes(top)


def test_a_claim_towards_a_state_of_origin_needs_the_reasons_of_both(tmp_path: Path) -> None:
    about = record(1)
    office = sealed_office(
        tmp_path, [about, record(2)], Person(id="P-1", role="smuggled-person", protection_claim=True, records=(about.id,))
    )
    made = office.draft(office.plan("MM", overrides=["protection-claim:the court ordered it"]))
    with pytest.raises(NotDisclosable, match="say why you decide so"):
        office.approve(made.id, overrides=["protection-claim"])
    with pytest.raises(NotDisclosable, match="second person"):
        office.approve(made.id, office.author, overrides=["protection-claim:I say so"])
    office.approve(made.id, overrides=["protection-claim:I have read the order"])
    *_, line = read(office.case.folder)
    assert line.body
    assert line.body["overrides"] == {"protection-claim": {"author": "the court ordered it", "approver": "I have read the order"}}


def test_an_override_lifts_its_own_reason_alone(tmp_path: Path) -> None:
    about = record(1)
    office = Office(tmp_path, [about, record(2)])
    office.decide(about, labels=("legal-privilege", "minor"))
    office.seal()
    assert reasons(office, "VN", overrides=["minor:x"]) == {about.id: ("legal-privilege",)}
    assert office.plan("VN", overrides=["minor:x"]).overrides == {}
    assert office.plan("VN", overrides=["minor:x", "legal-privilege:y"]).overrides == {"minor": "x", "legal-privilege": "y"}


@pytest.mark.parametrize("text", ["unreviewed:x", "names:x", "all:x", ""])
def test_only_these_can_be_overridden(text: str) -> None:
    with pytest.raises(UsageError, match="only these"):
        policy.parse_overrides([text])
