"""What is withheld cannot be read in a package, nor found by trying every value that it could have."""

import base64
import hashlib
import itertools
import json
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from parties import AT, FACTS, PHONE, RUN_DIGEST, Decision, Office, Person, all_bytes, md5_of, record, sha1_of, without_pdf

from forensics import custody
from forensics.digest import canonical
from forensics.model import Record

DIGESTS: tuple[Callable[[bytes], str], ...] = tuple(
    (lambda data, name=name: hashlib.new(name, data).hexdigest())
    for name in ("sha256", "sha1", "md5", "sha512", "sha384", "sha224", "blake2b")
)


@pytest.fixture(autouse=True)
def pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real PDF where withheld values are looked for by trying them out; a stand-in elsewhere, since Typst takes seconds."""
    if "tried_out" not in request.node.name:
        without_pdf(monkeypatch)


def forms(number: str) -> Iterator[bytes]:
    """The ways in which a telephone number is written."""
    digits = number.lstrip("+")
    national = "0" + digits[2:]
    for text in (number, digits, national, f"00{digits}", f"tel:{number}", f"{number}\n", f"{digits}@s.whatsapp.net"):
        yield text.encode()
        yield text.encode("utf-16-le")


def records_of(withheld: Record, number: str) -> Iterator[bytes]:
    """Everything that the tool could have made a digest of, had the withheld finding this number, by someone who knows all else."""
    text = canonical(withheld).decode().replace(PHONE, number)
    known = json.loads(text)
    yield text.encode()
    without = {key: value for key, value in known.items() if key != "id"}
    yield canonical(without)
    for part in ("finding", "location", "sha256"):
        yield canonical(without[part])
    yield canonical(without["finding"]["data"])
    yield vcard(number)


def guesses(withheld: Record, number: str, salts: list[str]) -> Iterator[str]:
    """What would stand in a package that gave the number away: itself, and digests of every form, with every salt in it."""
    values = [*forms(number), *records_of(withheld, number)]
    for value in values:
        for digest in DIGESTS:
            yield digest(value)
        yield str(uuid.uuid5(uuid.NAMESPACE_URL, value.decode("utf-8", "replace")))
        yield str(uuid.uuid5(uuid.NAMESPACE_OID, value.decode("utf-8", "replace")))
    contents = [hashlib.sha256(value).hexdigest() for value in values]
    for salt in salts:
        for content in contents:
            yield hashlib.sha256(canonical({"salt": salt, "sha256": content})).hexdigest()
        for value in values[:14]:
            for joined in (salt.encode() + value, value + salt.encode(), bytes.fromhex(salt) + value, value + bytes.fromhex(salt)):
                yield hashlib.sha256(joined).hexdigest()


def vcard(number: str) -> bytes:
    """The content of the file that the withheld finding is of: everything but the number is known."""
    return f"BEGIN:VCARD\nFN:Someone\nTEL:{number}\nEND:VCARD\n".encode()


def contact(**more: object) -> Record:
    made = record(1, data={"number": PHONE, "name": "Someone"}, summary=f"Contact Someone, {PHONE}", content=vcard(PHONE).decode(), **more)
    assert made.sha256 == hashlib.sha256(vcard(PHONE)).hexdigest()
    return made


def salts_in(everything: bytes) -> list[str]:
    """Every 128 bits that stand in a package and could be a salt."""
    return sorted({found.decode() for found in re.findall(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", everything)})


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """Twelve records; the first states a number and is withheld, the second is of the same content and leaves."""
    withheld = contact()
    same = record(
        2, content=vcard(PHONE).decode(), kind="type-mismatch", summary="Named .jpg, and is text/vcard", path="/data/a.jpg", data={}
    )
    made = Office(tmp_path, [withheld, same, *(record(number) for number in range(3, 13))])
    custody.append(
        made.case.folder, "examined", object="run-0001", body={"run": "run-0001", "run_digest": RUN_DIGEST, "phones": [PHONE]}, at=AT
    )
    return made


def test_a_withheld_number_stands_nowhere_and_cannot_be_tried_out(office: Office, tmp_path: Path) -> None:
    office.seal()
    withheld, *others = office.records
    everything = all_bytes(office.opened(office.send(office.plan(records=others)), tmp_path / "vn"))
    assert b"named .jpg" in everything
    for plain in (*forms(PHONE), *(base64.b64encode(form) for form in forms(PHONE))):
        assert plain.lower() not in everything
    salts = salts_in(everything)
    assert len(salts) > len(others)
    # the one number that is right is as unrecognisable as all others: nothing in the package agrees with it
    for guess in guesses(withheld, PHONE, salts):
        assert guess.encode() not in everything


def test_the_same_search_finds_the_number_where_it_does_leave(office: Office, tmp_path: Path) -> None:
    """So the search above is one that finds something."""
    office.seal()
    withheld, *_ = office.records
    everything = all_bytes(office.opened(office.send(office.plan()), tmp_path / "vn"))
    assert PHONE.encode() in everything
    assert any(guess.encode() in everything for guess in guesses(withheld, PHONE, salts_in(everything)))


def test_with_all_records_but_one_the_last_cannot_be_tried_out_either(office: Office, tmp_path: Path) -> None:
    """The partner has every other record of the case, the ids of them all, the salts that can be read, and all that the tool does."""
    made = office.seal()
    withheld = office.records[0]
    (own,) = [entry for entry in made.entries() if entry.record == withheld.id]
    hidden = {own.name} | {entry.name for entry in made.entries() if entry.type == "content" and entry.sha256 == withheld.sha256}
    everything = all_bytes(office.opened(office.send(office.plan(records=office.records[1:])), tmp_path / "vn"))
    for entry in made.entries():
        if entry.name not in hidden:
            everything += made.read(entry.name).lower()
    assert own.name.encode() in everything  # its line in the seal, which is no use
    sealed_record = json.loads(made.read(own.name))
    salts = salts_in(everything)
    assert sealed_record["salt"] not in salts
    for guess in guesses(withheld, PHONE, salts):
        assert guess.encode() not in everything
    # even who knows the record but for its salt cannot tell that the number is right
    for salt in [*salts, "", "0" * 32]:
        assert hashlib.sha256(canonical({**sealed_record, "salt": salt})).hexdigest().encode() not in everything


def test_the_content_of_a_withheld_finding_is_not_opened(office: Office, tmp_path: Path) -> None:
    office.seal()
    withheld, same, *_ = office.records
    top = office.opened(office.send(office.plan(records=office.records[1:])), tmp_path / "vn")
    opened = [json.loads(path.read_bytes()) for path in (top / "data/records").iterdir()]
    assert withheld.sha256 not in {each.get("sha256") for each in opened}
    assert {each.sha256 for each in office.records[2:]} <= {each.get("sha256") for each in opened}
    everything = all_bytes(top)
    for digest in (withheld.sha256, sha1_of(withheld.sha256), md5_of(withheld.sha256), same.sha256):
        assert digest.encode() not in everything


def test_a_finding_that_states_the_digest_of_a_withheld_content_stays(tmp_path: Path) -> None:
    withheld = contact()
    naming = [
        record(2, data={"sha256": withheld.sha256}),
        record(3, summary=f"Listed with MD5 {md5_of(withheld.sha256).upper()}"),
        record(4, data={"members": ["a", sha1_of(withheld.sha256)]}),
    ]
    free = record(5, data={"sha256": record(5).sha256})
    office = Office(tmp_path, [withheld, *naming, free])
    office.seal()
    planned = office.plan(records=[*naming, free])
    assert {held.record: held.reasons for held in planned.held} == {each.id: ("digest",) for each in naming}
    assert sum(item.type == "finding" for item in planned.shown) == 1
    assert not office.plan().held


def test_ids_and_digests_of_the_house_are_in_no_package(office: Office, tmp_path: Path) -> None:
    office.add(Person(id="P-1", name="Joko", records=(office.records[3].id,)))
    office.seal()
    everything = all_bytes(office.opened(office.send(office.plan(records=office.records[2:6])), tmp_path / "vn"))
    for own in (*(each.id for each in office.records), RUN_DIGEST, "run-0001", "P-1", str(tmp_path), "telephone.dd", "prosecutor of batam"):
        assert own.lower().encode() not in everything
    for each in office.records[6:]:
        assert each.location.lower().encode() not in everything


def test_two_packages_differ_in_nothing_but_what_they_hold_where_other_things_are_withheld(tmp_path: Path) -> None:
    """Kinds of withheld records do not show: only their number does."""
    texts = []
    for name, kind in (("one", "contact"), ("two", "passport-page")):
        folder = tmp_path / name
        folder.mkdir()
        office = Office(folder, [record(1), *(record(number, kind=kind) for number in range(2, 8))])
        office.seal()
        top = office.opened(office.send(office.plan(records=office.records[:1])), folder / "vn")
        page = (top / "data/report.html").read_text()
        texts.append(re.sub(r"[0-9a-f]{32,}", "x", page))
        assert json.loads((top / "data/disclosure.json").read_bytes())["withheld"] == 12
        assert "passport-page" not in all_bytes(top).decode(errors="replace")
    assert texts[0] == texts[1]


# --- the custody log --------------------------------------------------------------------------------------------------------


def bodies(top: Path) -> list[dict[str, object]]:
    folder = top / "data/custody/bodies"
    return [json.loads(path.read_bytes()) for path in folder.iterdir()] if folder.is_dir() else []


def test_every_line_leaves_and_only_bodies_about_disclosed_exhibits(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(1), record(2)])
    purpose = {"purpose": "to the laboratory", "from": "Dewi", "to": "Budi", "place": "Batam"}
    custody.append(office.case.folder, "transferred", object="2026-1", body=purpose, by="Dewi", at=AT)
    custody.append(office.case.folder, "transferred", object="2026-2", body=purpose | {"place": "elsewhere"}, by="Dewi", at=AT)
    custody.append(office.case.folder, "transferred", object="2026-1", body=purpose | {"note": "he wept"}, by="Dewi", at=AT)
    custody.append(office.case.folder, "reviewed", object="records", body={"said": PHONE}, by="Budi", at=AT)
    office.seal()
    top = office.opened(office.send(office.plan(records=office.records[:1])), tmp_path / "vn")
    lines = (top / "data/custody.jsonl").read_bytes()
    assert (office.case.folder / "custody.jsonl").read_bytes().startswith(lines)
    assert lines.count(b"\n") == json.loads((top / "data/disclosure.json").read_bytes())["custody"]["seq"]
    assert [(each["object"], each["body"]) for each in bodies(top)] == [("2026-1", purpose)]
    for own in (b"elsewhere", b"wept", PHONE.encode()):
        assert own not in all_bytes(top)


def test_a_body_that_names_a_protected_person_or_a_path_stays(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(1), record(2)])
    for more in ({"to": "Aye Chan"}, {"condition": "image at /srv/cases/a.dd"}, {"place": "Batam"}):
        body = {"purpose": "return", "from": "Budi", "to": "Dewi", "place": "Medan", **more}
        custody.append(office.case.folder, "transferred", object="2026-1", body=body, by="Dewi", at=AT)
    office.add(Person(id="P-1", name="Aye Chan", role="victim", records=(office.records[1].id,)))
    office.seal()
    top = office.opened(office.send(office.plan(records=office.records[:1])), tmp_path / "vn")
    assert [each["body"]["place"] for each in bodies(top)] == ["Batam"]


def test_digests_of_a_medium_small_enough_to_try_out_stay(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"medium").hexdigest()
    for size, there in ((1000, False), (4096, True)):
        folder = tmp_path / str(size)
        folder.mkdir()
        office = Office(folder, [record(1)], size=size, facts=FACTS | {"stated_sha256": digest})
        body = {"purpose": "to the vault", "hash_before": digest, "from": "Dewi", "to": "Budi", "place": "Batam"}
        custody.append(office.case.folder, "transferred", object="2026-1", body=body, by="Dewi", at=AT)
        office.seal()
        top = office.opened(office.send(office.plan()), folder / "vn")
        assert (digest.encode() in all_bytes(top)) is there


def test_a_record_of_a_rejected_finding_closes_its_content(tmp_path: Path) -> None:
    withheld, same = contact(), record(2, content=vcard(PHONE).decode())
    office = Office(tmp_path, [withheld, same])
    office.review.decisions[withheld.id] = Decision(status="rejected")
    office.seal()
    everything = all_bytes(office.opened(office.send(office.plan(records=[same])), tmp_path / "vn"))
    assert withheld.sha256.encode() not in everything
    for near in itertools.islice((f"+628123456{number:04d}" for number in range(7880, 7900)), 20):
        assert hashlib.sha256(vcard(near)).hexdigest().encode() not in everything
