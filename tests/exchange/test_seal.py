"""The examiner's seal: what it needs, what it holds, and that its signature verifies with OpenSSL."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

sys.path.insert(0, str(Path(__file__).parent))
from parties import FACTS, INFO, PHONE, RUN_DIGEST, Decision, Index, Office, Person, record

from forensics import custody
from forensics.errors import CaseError, NotDisclosable, NotReviewed, PackageInvalid
from forensics.exchange import kept, seal, sealed
from forensics.exchange.standalone import seal as standalone_seal
from forensics.model import CaseInfo, Record


def test_a_seal_is_refused_naming_each_required_field_that_is_missing(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(1)], info=CaseInfo(case_id="A-1", agency="Imigrasi"), facts={"kind": "phone"})
    with pytest.raises(NotDisclosable) as caught:
        office.seal()
    for field in ("case.officer_in_charge", "case.legal_authority.id", "exhibit.2026-1.seizure.place", "exhibit.2026-1.seal_no"):
        assert field in str(caught.value)
    assert "case.agency" not in str(caught.value)
    assert not list(office.case.seals.iterdir())


@pytest.mark.parametrize("number", ["คดี 17/2569", "Đ-17", "案件-17", "x" * 1000])
def test_a_case_number_in_any_script_is_read_back_by_us_and_by_the_program_that_stands_alone(tmp_path: Path, number: str) -> None:
    office = Office(tmp_path, [record(1)], info=msgspec.structs.replace(INFO, case_id=number))
    made = office.seal()
    names = {path.stem for path in (made.folder / "records").iterdir()}
    assert made.digests().keys() == names
    assert list(kept.problems(office.case)) == []
    (tmp_path / "bag" / "data").mkdir(parents=True)
    (tmp_path / "bag" / "data" / "seal.sha256").write_bytes((made.folder / "seal.sha256").read_bytes())
    read = standalone_seal.read(tmp_path / "bag")
    assert (read.case, read.digests) == (number, made.digests())


@pytest.mark.parametrize(("number", "why"), [("x" * 1001, "1001 characters"), ("A\x85 1", "one line"), ("A\u2028 1", "one line")])
def test_a_case_number_that_no_reader_takes_is_not_sealed(tmp_path: Path, number: str, why: str) -> None:
    office = Office(tmp_path, [record(1)], info=msgspec.structs.replace(INFO, case_id=number))
    with pytest.raises(NotDisclosable, match=why):
        office.seal()
    assert not list(office.case.seals.iterdir())


def test_a_seal_is_refused_where_nothing_is_confirmed(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(1), record(2)])
    office.decide(office.records[0], status="rejected")
    office.decide(office.records[1], status="unreviewed")
    with pytest.raises(NotReviewed):
        office.seal()


def test_a_seal_holds_confirmed_records_alone(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(number) for number in range(4)])
    office.decide(office.records[1], status="rejected")
    office.review.decisions.pop(office.records[2].id)
    made = office.seal()
    found = [entry for entry in made.entries() if entry.type == "finding"]
    assert {entry.record for entry in found} == {office.records[0].id, office.records[3].id}


def test_openssl_and_sha256sum_verify_a_seal(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(number) for number in range(5)])
    made = office.seal()
    (tmp_path / "root.pem").write_bytes(office.state.root.public_bytes(Encoding.PEM))
    given = ["-binary", "-inform", "DER", "-in", "seal.sha256.p7s", "-content", "seal.sha256", "-CAfile", str(tmp_path / "root.pem")]
    subprocess.run(["openssl", "cms", "-verify", "-cades", *given, "-out", "/dev/null"], cwd=made.folder, check=True, capture_output=True)
    subprocess.run(["sha256sum", "--strict", "-c", "--quiet", "seal.sha256"], cwd=made.folder, check=True, capture_output=True)
    some = next((made.folder / "records").iterdir())
    some.write_bytes(some.read_bytes().replace(b'"type"', b'"Type"'))
    again = subprocess.run(["sha256sum", "-c", "--quiet", "--ignore-missing", "seal.sha256"], cwd=made.folder, capture_output=True)
    assert again.returncode != 0


def test_the_header_binds_case_custody_and_run_without_their_plain_digests(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(1)])
    seq, head = custody.head(office.case.folder)
    made = office.seal()
    lines = (made.folder / "seal.sha256").read_text().splitlines()
    assert lines[:5] == [
        "# forensics seal 1", "# case: A-2026/0123", "# seal: S-1", "# sealed: 2026-11-20T09:30:00Z", f"# custody: {seq} {head}"
    ]  # fmt: skip
    assert re.fullmatch(r"# run: [0-9a-f]{64}", lines[5])
    assert lines[6] == f"# records: {len(lines) - 7}"
    guesses = {hashlib.sha256(guess).hexdigest() for guess in (RUN_DIGEST.encode(), bytes.fromhex(RUN_DIGEST), f"{RUN_DIGEST}\n".encode())}
    assert lines[5][7:] not in guesses | {RUN_DIGEST}
    private = json.loads((made.folder / "private.jsonl").read_bytes().splitlines()[0])
    opened = json.dumps({"runs": private["runs"], "salt": private["run_salt"]}, separators=(",", ":"), sort_keys=True)
    assert lines[5][7:] == hashlib.sha256(opened.encode()).hexdigest()


def test_the_lines_of_a_seal_are_in_order_of_random_names_and_no_other(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(number) for number in range(60)])
    first, second = office.seal(), office.seal()
    orders = []
    for made in (first, second):
        names = [line.split("/")[1][:32] for line in (made.folder / "seal.sha256").read_text().splitlines() if line[0] != "#"]
        assert names == sorted(names)
        assert len(set(names)) == made.records
        of = {entry.name: entry.record for entry in made.entries() if entry.type == "finding"}
        orders.append([of[name] for name in names if name in of])
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]


def test_salts_and_names_are_for_the_owner_alone(tmp_path: Path) -> None:
    made = Office(tmp_path, [record(1)]).seal()
    assert (made.folder / "private.jsonl").stat().st_mode & 0o777 == 0o600
    assert made.folder.stat().st_mode & 0o077 == 0


def test_what_is_the_houses_own_is_not_in_the_record_of_the_case(tmp_path: Path) -> None:
    made = Office(tmp_path, [record(1)]).seal()
    (entry,) = [entry for entry in made.entries() if entry.type == "case"]
    content = made.read(entry.name)
    assert PHONE.encode() not in content
    for own in (b"prosecutor", b"B-77", b"2036-11-01"):
        assert own not in content
    assert b"Imigrasi" in content
    assert INFO.requested_questions


def test_an_exhibit_has_no_path_and_a_small_one_no_digest(tmp_path: Path) -> None:
    for size, there in ((1024, True), (1023, False)):
        folder = tmp_path / str(size)
        folder.mkdir()
        office = Office(folder, [record(1)], size=size, facts=FACTS | {"stated_sha256": hashlib.sha256(b"medium").hexdigest()})
        made = office.seal()
        (entry,) = [entry for entry in made.entries() if entry.type == "exhibit"]
        content = made.read(entry.name)
        assert str(tmp_path).encode() not in content
        assert b"telephone.dd" not in content
        assert (hashlib.sha256(b"medium").hexdigest().encode() in content) is there


def test_a_commitment_opens_with_its_own_salt_and_not_with_that_of_the_record(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(1)])
    made = office.seal()
    by_type = {entry.type: made.read(entry.name) for entry in made.entries()}
    names = {entry.type: entry.name for entry in made.entries()}
    finding, content = json.loads(by_type["finding"]), json.loads(by_type["content"])
    digest = office.records[0].sha256
    assert content["sha256"] == digest

    def committed(salt: str) -> str:
        return hashlib.sha256(f'{{"salt":"{salt}","sha256":"{digest}"}}'.encode()).hexdigest()

    assert committed(content["openings"][names["finding"]]) == finding["content"]
    assert committed(finding["salt"]) != finding["content"]
    assert digest.encode() not in by_type["finding"]


def test_a_content_is_sealed_only_where_every_finding_of_it_is_confirmed(tmp_path: Path) -> None:
    both = [record(1, content="same"), record(2, content="same"), record(3)]
    office = Office(tmp_path, both)
    office.decide(both[1], status="rejected")
    contents = {entry.sha256 for entry in office.seal().entries() if entry.type == "content"}
    assert contents == {both[2].sha256}


def test_labels_that_say_who_somebody_is_are_not_written(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(1)])
    office.decide(office.records[0], labels=("minor", "protection-claim", "victim", "legal-privilege"))
    made = office.seal()
    (entry,) = [entry for entry in made.entries() if entry.type == "finding"]
    assert json.loads(made.read(entry.name))["labels"] == ["legal-privilege"]


def test_ids_of_records_and_numbers_of_persons_are_in_no_sealed_record(tmp_path: Path) -> None:
    first = record(1)
    derived = record(2, derived_from=(first.id,))
    office = Office(tmp_path, [first, derived])
    office.add(Person(id="P-7", name="Slamet", records=(first.id, derived.id)))
    made = office.seal()
    everything = b"".join(path.read_bytes() for path in (made.folder / "records").iterdir())
    assert b"Slamet" in everything
    for own in (first.id, derived.id, "P-7", RUN_DIGEST):
        assert own.encode() not in everything


def test_sealing_is_logged_and_the_next_seal_has_the_next_number(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(1)])
    first, second = office.seal(), office.seal()
    assert (first.name, second.name) == ("S-1", "S-2")
    logged = [line for line in custody.read(office.case.folder) if line.event == "sealed_records"]
    assert [line.object for line in logged] == ["S-1", "S-2"]
    assert logged[0].by == "Budi"
    assert logged[0].body and logged[0].body["seal_sha256"] == hashlib.sha256((first.folder / "seal.sha256").read_bytes()).hexdigest()
    assert [why for _, _, why in office.examiner.checkpoints] == ["seal", "seal"]


def test_a_seal_that_was_changed_afterwards_is_not_opened(tmp_path: Path) -> None:
    office = Office(tmp_path, [record(1)])
    made = office.seal()
    for name in ("seal.sha256", "private.jsonl", "seal.sha256.p7s"):
        before = (made.folder / name).read_bytes()
        (made.folder / name).write_bytes(before + b"\n")
        with pytest.raises(CaseError, match=name):
            seal.open_seal(office.case)
        (made.folder / name).write_bytes(before)
    assert seal.open_seal(office.case) == made


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{}", b"[]", b"null", b"\xff", b'{"type":"finding"}', b"[" * 5000,
        b'{"format":"forensics-record/1","of":"x","salt":"00","text":"t","type":"note"}',
        b'{"format":"forensics-record/2","of":"x","salt":"' + b"0" * 32 + b'","text":"t","type":"note"}',
        b'{"format":"forensics-record/1","of":"x","salt":"' + b"0" * 32 + b'","text":"t", "type":"note"}',
        b'{"extra":1,"format":"forensics-record/1","of":"x","salt":"' + b"0" * 32 + b'","text":"t","type":"note"}',
        b'{"format":"forensics-record/1","of":"x","salt":"' + b"0" * 32 + b'","salt":"' + b"0" * 32 + b'","text":"t","type":"note"}',
    ],
)  # fmt: skip
def test_what_is_no_sealed_record_is_refused(data: bytes) -> None:
    with pytest.raises(PackageInvalid):
        sealed.decode(data, "x")


def test_a_sealed_record_reads_back_as_it_was_written() -> None:
    note = sealed.NoteRecord(format=sealed.FORMAT, salt="0" * 32, of="x", text="คำ \\udcff")
    assert sealed.decode(sealed.encode(note), "x") == note


class Everyone(dict[str, Decision]):
    """A review in which every record is confirmed, however many there are."""

    def get(self, key: str, default: object = None) -> Decision:  # type: ignore[override]
        return Decision()

    def values(self) -> list[Decision]:  # type: ignore[override]
        return [Decision()]


def test_twenty_thousand_records_are_sealed_in_flat_memory(tmp_path: Path) -> None:
    pattern = record(0)

    def many() -> Iterator[Record]:
        for number in range(20_000):
            digest = hashlib.sha256(str(number).encode()).hexdigest()
            yield msgspec.structs.replace(pattern, id=digest, sha256=digest, location=f"2026-1:ext4:/data/{number}")

    office = Office(tmp_path, [])
    office.index, office.review = Index(many), msgspec.structs.replace(office.review, decisions=Everyone())
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here (proc(5))
    before = resident("VmHWM")
    made = office.seal()
    most = resident("VmHWM") - before
    assert made.records == 2 * 20_000 + 3  # a finding and its content each; the case, the exhibit, the method
    assert most < 32 << 20  # of it, the seal itself, read whole to be signed, is 4.5 MB


def resident(field: str) -> int:
    """Bytes of this process's memory, as the kernel counts them."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024
