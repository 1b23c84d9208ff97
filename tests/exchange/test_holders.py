"""Who held an exhibit, and who saw it taken, stays in the house: names of persons whom no form says to be officers."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import packages
from parties import AT, FACTS, Office, all_bytes, record, without_pdf

from forensics import custody
from forensics.custody import CustodyLine
from forensics.exchange import sealed
from forensics.exchange.custody_part import may_leave
from forensics.model import Exhibit


@pytest.fixture(autouse=True)
def plain_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pdf(monkeypatch)


SEIZED = {"purpose": "evidence", "at": "2026-11-02T10:00:00+07:00", "place": "Batam", "legal_authority_ref": "W-9"}
RETURNED = {"purpose": "the case is closed", "receipt_no": "R-4"}


@pytest.mark.parametrize(
    ("event", "more"),
    [
        ("seized", {"from": "Ani Wijaya"}),
        ("seized", {"to": "Ani Wijaya"}),
        ("seized", {"witness": "Ani Wijaya"}),
        ("returned", {"to": "Ani Wijaya"}),
        ("received", {"from": "Ani Wijaya"}),
        ("checked_in", {"from": "Ani Wijaya"}),
        ("checked_out", {"to": "Ani Wijaya"}),
        ("sealed", {"witness": "Ani Wijaya"}),
        ("acquired", {"from": "Ani Wijaya"}),
        ("copied", {"to": "Ani Wijaya"}),
        ("transferred", {"from": "Dewi", "to": "Budi", "place": "Batam", "witness": "Ani Wijaya"}),
    ],
)
def test_a_body_with_somebody_who_may_be_the_holder_stays(event: str, more: dict[str, str]) -> None:
    base = {"purpose": "evidence"}
    assert not may_leave(line(event, {**base, **more}), ["2026-1"], (), ())
    officers = {name: text for name, text in more.items() if text != "Ani Wijaya"}
    assert may_leave(line(event, {**base, **officers}), ["2026-1"], (), ())


def line(event: str, body: dict[str, object]) -> CustodyLine:
    return CustodyLine(seq=1, at="2026-11-20T09:30:00Z", prev="", event=event, object="2026-1", by="Dewi", body=body, body_sha256="")


def test_an_exhibit_as_it_was_received_stays() -> None:
    facts = {"exhibit_id": "2026-1", "image": "a.dd", "image_format": "raw", "owner_role": "victim"}
    assert not may_leave(line("received", {"exhibit": facts}), ["2026-1"], (), ())


def test_a_transfer_between_officers_leaves(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(1)])
    passed = {"purpose": "to the laboratory", "from": "Dewi", "to": "Budi", "place": "Batam"}
    custody.append(office.case.folder, "seized", object="2026-1", body=SEIZED | {"witness": "Ani Wijaya"}, by="Dewi", at=AT)
    custody.append(office.case.folder, "transferred", object="2026-1", body=passed, by="Dewi", at=AT)
    custody.append(office.case.folder, "returned", object="2026-1", body=RETURNED | {"to": "Ani Wijaya"}, by="Dewi", at=AT)
    office.seal()
    top = office.opened(office.send(office.plan()), tmp_path / "vn")
    assert [json.loads(path.read_bytes())["body"] for path in (top / "data/custody/bodies").iterdir()] == [passed]
    assert b"wijaya" not in all_bytes(top)


def test_signatures_of_a_transfer_leave_with_it_and_show_the_partner_who_signed(tmp_path: Path) -> None:
    world = packages.World()
    giver, receiver = (packages.identity_of(packages.officer(world.root, name), world.age) for name in ("Dewi", "Budi"))
    office = Office(tmp_path, [record(1)])
    passed = {"purpose": "to the laboratory", "from": "Dewi", "to": "Budi", "place": "Batam"}
    for note in ({}, {"note": "he wept"}):
        given = custody.transfer(office.case.folder, "2026-1", passed | note, giver, at=AT)
        custody.countersign(office.case.folder, given.seq, receiver, at=AT)
    custody.append(office.case.folder, "transferred", object="2026-1", body=passed, by="Dewi", at=AT)
    office.seal()
    data = office.opened(office.send(office.plan()), tmp_path / "vn") / "data"
    held = [(line.event, line.body["signature"]["name"] if "signature" in line.body else "") for line in custody.read(data) if line.body]
    assert held == [("transferred", "Dewi"), ("countersigned", "Budi"), ("transferred", "")]
    assert custody.verify(data) == []
    page = (data / "report.html").read_text()
    assert f"Dewi (certificate {giver.fingerprint})" in page
    assert f"Budi (certificate {receiver.fingerprint})" in page
    assert page.count("signed by the giver") == 2 and page.count("nobody") == 2
    told = [line.body or {} for line in custody.with_hands(data) if line.event == "transferred" and line.body]
    assert [each["signed by the giver"] for each in told] == [f"Dewi (certificate {giver.fingerprint})", "nobody"]


@pytest.mark.parametrize("role", ["victim", "smuggled person"])
def test_what_the_owner_of_an_exhibit_is_stays(tmp_path: Path, role: str) -> None:
    office = Office(tmp_path, [record(1)], facts=FACTS | {"owner_role": role})
    office.seal()
    everything = all_bytes(office.opened(office.send(office.plan()), tmp_path / "vn"))
    for word in (b"owner_role", b"role of the owner", role.encode()):
        assert word not in everything.replace(b"victim, minor", b"")  # what the protection check always asks


def test_a_seal_from_before_that_says_what_the_owner_is_does_not_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def as_before(exhibit: Exhibit, medium: sealed.Medium | None) -> tuple[Exhibit, sealed.Medium | None]:
        return exhibit, medium

    office = Office(tmp_path, [record(1)], facts=FACTS | {"owner_role": "victim"})
    with monkeypatch.context() as patched:
        patched.setattr(sealed, "outgoing_exhibit", as_before)
        office.seal()
    (refusal,) = office.plan().refusals
    assert refusal == "the record of exhibit 2026-1 says the role of its owner, which stays in the house; seal again"
    office.seal()
    assert not office.plan().refusals
