"""What the second person approves is what leaves: terms, copies and pages made again; nothing changed meanwhile, nothing sent twice."""

import hashlib
import json
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from parties import AT, INFO, Office, Officer, encrypt, record, without_pdf

from forensics import custody
from forensics.digest import canonical
from forensics.errors import ForensicsError, NotDisclosable, PackageInvalid, SigningError, UsageError
from forensics.exchange import approve, bag, draft, kept
from forensics.exchange.draft import Draft
from forensics.exchange.standalone import bag as standalone_bag
from forensics.exchange.standalone import disclosure as standalone_disclosure
from forensics.exchange.standalone import seal as standalone_seal

TAGS = "tagmanifest-sha256.txt"


@pytest.fixture(autouse=True)
def plain_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pdf(monkeypatch)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path, [record(number) for number in range(3)])
    made.seal()
    return made


def forge(office: Office, made: Draft, files: dict[str, bytes | None], info: dict[str, str] | None = None, **house: object) -> None:
    """What an author can do alone: other files in the bag (None: gone), signed with their own key, and `draft.json` made to fit."""
    folder = office.case.packages / made.id
    for name, content in files.items():
        if content is None:
            (folder / "bag" / name).unlink()
        else:
            (folder / "bag" / name).write_bytes(content)
    about = dict(line.split(": ", 1) for line in (folder / "bag/bag-info.txt").read_text().splitlines())
    about.pop("Payload-Oxum")
    tags = bag.write(folder / "bag", {**about, **(info or {})})
    (folder / "bag" / f"{TAGS}.p7s").write_bytes(office.author.sign(tags, AT))
    said = json.loads((folder / "draft.json").read_bytes()) | {"tag_manifest": hashlib.sha256(tags).hexdigest()} | house
    (folder / "draft.json").write_bytes(canonical(said))


def said_by(office: Office, made: Draft) -> dict[str, Any]:
    return json.loads((office.case.packages / made.id / "bag/data/disclosure.json").read_bytes())


def test_a_package_that_says_another_than_was_drafted_is_not_approved(office: Office) -> None:
    made = office.draft(office.plan())
    for change in (
        *({"purpose": "to find the family"}, {"use": "evidence"}, {"channel": "mlat"}, {"onward": "with anybody"}, {"request_ref": "R-9"}),
        *({"caveats": ["do as you like"]}, {"tlp": "TLP:CLEAR"}, {"pap": "PAP:CLEAR"}, {"expires": "2090-01-01"}, {"on_expiry": "return"}),
        *({"made_at": "2026-11-19T09:30:00Z"}, {"case": "A-1"}, {"to": {"authority": "Somebody else"}}, {"from": {"agency": "Polisi"}}),
        {"protection_check": {"by": "nobody"}},
    ):
        said = said_by(office, made)
        before = canonical(said)
        for field, value in change.items():
            said[field] = {**said[field], **value} if isinstance(value, dict) else value
        forge(office, made, {"data/disclosure.json": canonical(said)})
        with pytest.raises(NotDisclosable, match=f"another {field} "):
            office.approve(made.id)
        forge(office, made, {"data/disclosure.json": before})
    assert office.approve(made.id)


def test_terms_that_the_author_changes_in_the_house_alone_are_not_approved(office: Office) -> None:
    """The approver would be shown a check that nobody made, and the log would keep another author."""
    made = office.draft(office.plan())
    terms = msgspec.to_builtins(made.terms)
    for house in ({"terms": terms | {"purpose": "p"}}, {"author": "Budi"}, {"tag_manifest": "0" * 64}, {"fingerprint": "0" * 64}):
        forge(office, made, {}, **{"terms": terms, "author": made.author, "fingerprint": made.fingerprint, **house})
        with pytest.raises(NotDisclosable):
            office.approve(made.id)


def test_bag_info_that_says_more_is_not_approved(office: Office) -> None:
    made = office.draft(office.plan())
    for info in ({"Contact-Name": "+62812345"}, {"Bagging-Date": "2026-01-01"}, {"Source-Organization": "Polisi"}):
        forge(office, made, {}, info={"Bagging-Date": "2026-11-20", "Source-Organization": "Imigrasi", **info})
        with pytest.raises(PackageInvalid, match="bag-info"):
            office.approve(made.id)


def test_a_tool_that_is_none_is_not_approved(office: Office) -> None:
    """Name and version of the tool stand in report and bag-info.txt, so they would carry any text."""
    made = office.draft(office.plan())
    tool = "forensics 1.0, ring +62 812 3456 7890"
    forge(office, made, {}, info={"Bag-Software-Agent": tool}, tool=tool)
    with pytest.raises(ForensicsError):
        office.approve(made.id)


def test_the_seals_signature_and_stamp_are_the_cases_own(office: Office) -> None:
    for name, content in (("seal.sha256.p7s", office.author.sign(b"anything", AT)), ("seal.sha256.p7s.tsr", b"a telephone number")):
        made = office.draft(office.plan())
        forge(office, made, {f"data/{name}": content})
        with pytest.raises(PackageInvalid, match=f"{name}: is not what the disclosed records give"):
            office.approve(made.id)


def test_a_stamp_that_the_seal_has_may_not_be_left_out(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(1)])
    office.examiner.__class__ = type("Stamped", (Officer,), {"stamp": lambda self, signature: b"stamp over " + signature[:20]})
    office.seal()
    made = office.draft(office.plan())
    forge(office, made, {"data/seal.sha256.p7s.tsr": None})
    with pytest.raises(PackageInvalid, match=r"seal.sha256.p7s.tsr: is not there"):
        office.approve(made.id)


def test_a_body_of_the_custody_log_is_the_cases_own(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(1)])
    custody.append(office.case.folder, "copied", object="2026-1", body={"purpose": "to work on", "place": "Batam"}, by="Budi", at=AT)
    office.seal()
    made = office.draft(office.plan())
    bodies = office.case.packages / made.id / "bag/data/custody/bodies"
    path = next(each for each in sorted(bodies.iterdir()) if b"to work on" in each.read_bytes())
    forge(office, made, {f"data/custody/bodies/{path.name}": path.read_bytes().replace(b"Batam", b"Bogor")})
    with pytest.raises(ForensicsError, match=path.name[:12]):
        office.approve(made.id)


def test_texts_have_a_bound(office: Office) -> None:
    for terms in ({"checked": "x" * 4001}, {"purpose": "x" * 4001}, {"caveats": ("x",) * 51}):
        with pytest.raises(UsageError, match=r"4000 characters|more than 50"):
            office.draft(office.plan(), **terms)


# --- while it is approved ---------------------------------------------------------------------------------------------------


def test_a_bag_that_is_exchanged_after_it_was_shown_is_not_signed(office: Office) -> None:
    made = office.draft(office.plan())
    checked = approve.examine(office.case, office.index, office.review, made.id, at=AT)
    forge(office, made, {"data/verify.txt": b"trust me"})
    with pytest.raises(PackageInvalid, match="was changed while it was approved"):
        approve.approve(office.case, checked, office.approver, [office.recipient], encrypt, overrides={}, at=AT)
    assert not list(office.case.packages.glob("*.age"))


@pytest.mark.parametrize("name", ["data/verify.txt", "bag-info.txt", "manifest-sha512.txt", "manifest-sha256.txt", "data/more.txt"])
def test_a_file_that_is_exchanged_after_it_was_shown_is_not_packed(office: Office, name: str) -> None:
    made = office.draft(office.plan())
    checked = approve.examine(office.case, office.index, office.review, made.id, at=AT)
    path = office.case.packages / made.id / "bag" / name
    path.write_bytes(path.read_bytes().replace(b"a", b"b") if path.exists() else b"more")
    before = custody.head(office.case.folder)
    with pytest.raises(PackageInvalid, match=f"{path.name}: was changed while it was approved"):
        approve.approve(office.case, checked, office.approver, [office.recipient], encrypt, overrides={}, at=AT)
    assert custody.head(office.case.folder) == before
    assert [each.name for each in office.case.packages.iterdir()] == [made.id]


# --- what was interrupted ---------------------------------------------------------------------------------------------------


class Unreachable(Officer):
    """An officer whose stamping authority is not there when the checkpoint is made."""

    def checkpoint(self, folder: Path, why: str, at: object) -> None:
        raise SigningError("http://tsa.example: no answer")


def test_an_approval_whose_checkpoint_failed_goes_on_with_the_package_that_was_logged(office: Office) -> None:
    made = office.draft(office.plan())
    office.approver.__class__ = Unreachable
    with pytest.raises(SigningError, match="no answer"):
        office.approve(made.id)
    package = office.case.packages / f"{made.id}.tar.age"
    sent = package.read_bytes()
    office.approver.__class__ = Officer
    assert office.approve(made.id) == package
    assert package.read_bytes() == sent
    logged = [line.body for line in custody.read(office.case.folder) if line.event == "disclosed"]
    assert [body and body["package_sha256"] for body in logged] == [hashlib.sha256(sent).hexdigest()]
    assert [why for _, _, why in office.approver.checkpoints] == ["disclosure"]
    assert [each.name for each in office.case.packages.iterdir()] == [package.name]
    assert list(kept.problems(office.case)) == []


def test_a_package_that_was_logged_and_is_not_there_is_not_made_again(office: Office) -> None:
    made = office.draft(office.plan())
    office.approver.__class__ = Unreachable
    with pytest.raises(SigningError, match="no answer"):
        office.approve(made.id)
    office.approver.__class__ = Officer
    package = office.case.packages / f"{made.id}.tar.age"
    sent = package.read_bytes()
    package.unlink()
    lines = custody.head(office.case.folder)
    with pytest.raises(NotDisclosable, match=rf"by line {lines[0]} of the custody log, .* {made.id} was encrypted, .*: it may have left"):
        office.approve(made.id)
    assert custody.head(office.case.folder) == lines
    package.write_bytes(sent)
    assert office.approve(made.id) == package


def test_a_package_that_was_logged_and_not_put_in_its_place_by_a_crash_is_put_there(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = office.draft(office.plan())

    def crash(*given: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched, pytest.raises(OSError):
        patched.setattr(approve, "_put", crash)
        office.approve(made.id)
    package = office.case.packages / f"{made.id}.tar.age"
    assert not package.exists()
    lines = custody.head(office.case.folder)
    assert office.approve(made.id) == package
    assert custody.head(office.case.folder) == lines  # not logged again; these officers' checkpoints are in memory
    (body,) = [line.body for line in custody.read(office.case.folder) if line.event == "disclosed"]
    assert body and body["package_sha256"] == hashlib.sha256(package.read_bytes()).hexdigest()
    assert [each.name for each in office.case.packages.iterdir()] == [package.name]


def test_a_package_that_the_log_does_not_know_is_not_written_over(office: Office) -> None:
    made = office.draft(office.plan())
    package = office.case.packages / f"{made.id}.tar.age"
    package.write_bytes(b"sent by hand")
    with pytest.raises(PackageInvalid, match="is not what the custody log says"):
        office.approve(made.id)
    assert package.read_bytes() == b"sent by hand"


def test_a_stamp_over_the_signature_of_an_interrupted_approval_does_not_leave(office: Office, tmp_path: Path) -> None:
    made = office.draft(office.plan())
    root = office.case.packages / made.id / "bag"
    other = office.state.officer("Ketut")
    other.__class__ = type("Stamped", (Officer,), {"stamp": lambda self, signature: b"a stamp over another signature"})

    def full(source: BinaryIO, target: BinaryIO, recipients: Iterable[str]) -> None:
        raise OSError(28, "No space left on device")

    checked = approve.examine(office.case, office.index, office.review, made.id, at=AT)
    with pytest.raises(OSError, match="No space"):
        approve.approve(office.case, checked, other, [office.recipient], full, overrides={}, at=AT)
    assert (root / f"{TAGS}.p7s.tsr").exists()
    for name in (f".{TAGS}.p7s.part", f".{TAGS}.p7s.tsr.part"):
        (root / name).write_bytes(b"half")
    top = office.opened(office.approve(made.id), tmp_path / "vn")
    assert not [path.name for path in top.iterdir() if "tsr" in path.name or "part" in path.name]


def test_a_number_is_not_given_again_when_its_package_was_taken_away(office: Office) -> None:
    first = office.send(office.plan())
    first.unlink()
    assert office.draft(office.plan()).id == "A-2026-0123-D2"
    assert draft.next_id(office.case) == "A-2026-0123-D3"


def test_a_case_whose_number_is_thai_is_sealed_sent_and_read(tmp_path: Path) -> None:
    number = "คดี 17/2569"
    office = Office(tmp_path, [record(1)], info=msgspec.structs.replace(INFO, case_id=number))
    office.seal()
    top = office.opened(office.send(office.plan()), tmp_path / "vn")
    assert top.name == "17-2569-D1"
    standalone_bag.check(top)
    seal = standalone_seal.read(top)
    names = [path.stem for path in (top / "data/records").iterdir()]
    said = standalone_disclosure.read(top)
    standalone_disclosure.check(said, top.name, seal, names, (said["custody"]["seq"], said["custody"]["head"]))
    assert seal.case == number


def test_a_draft_whose_day_has_passed_is_not_approved(office: Office) -> None:
    made = office.draft(office.plan())
    with pytest.raises(NotDisclosable, match="not in the future"):
        approve.examine(office.case, office.index, office.review, made.id, at=AT + timedelta(days=400))
