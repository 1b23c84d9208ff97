"""A partner's package in a case: kept as it came, logged, read with its foreign provenance, acknowledged."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyrage
import pytest
from click.testing import CliRunner
from cryptography import x509

sys.path.insert(0, str(Path(__file__).parent))
import packages
from packages import World, build, canonical, identity_of, officer, root, sha256, trust

from forensics import custody
from forensics.case import Case, create
from forensics.cli import cli
from forensics.errors import PackageInvalid, SignatureInvalid, UsageError
from forensics.exchange import kept, receipt, receive
from forensics.model import CaseInfo
from forensics.signing import Identity

WORLD = World()
VIET_NAM = root("VN")
RECEIVER = identity_of(officer(VIET_NAM, "Receiver", "VN"), WORLD.age)
TRUST = trust(("TH", WORLD.root), ("VN", VIET_NAM), crls=[packages.crl(WORLD.root), packages.crl(VIET_NAM)])


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return create(tmp_path / "case", CaseInfo(case_id="VN-9"), by="Receiver")


def taken(case: Case, package: Path, identity: Identity = RECEIVER) -> receive.Received:
    with case.lock():
        return receive.receive(case, package, identity=identity, trust=TRUST, at=now())


def test_a_good_package_is_kept_as_it_was_verified_and_logged(case: Case, tmp_path: Path) -> None:
    made = build(WORLD, disclosed=2)
    package = made.encrypted(tmp_path / "p.tar.age")
    found = taken(case, package)
    kept = case.folder / "received" / "A-1-D1"
    assert {path.relative_to(kept).as_posix(): path.read_bytes() for path in kept.rglob("*") if path.is_file()} == made.files
    line = list(custody.read(case.folder))[-1]
    assert (line.event, line.object, line.by) == ("received", "A-1-D1", "Receiver")
    assert line.body is not None
    said = line.body["package"]
    assert said["package_sha256"] == sha256(package.read_bytes())
    assert said["tag_manifest_sha256"] == sha256(made.files["tagmanifest-sha256.txt"])
    assert said["custody"] == made.disclosure["custody"]
    assert {each["fingerprint"] for each in said["signers"]} == {WORLD.author.fingerprint, WORLD.approver.fingerprint}
    assert custody.verify(case.folder) == []
    assert list(receive.received(case)) == [found]
    assert [path.name for path in (case.folder / "received").iterdir()] == ["A-1-D1"]


def test_records_keep_their_foreign_provenance(case: Case, tmp_path: Path) -> None:
    made = build(WORLD, disclosed=2)
    found = taken(case, made.encrypted(tmp_path / "p.tar.age"))
    records = list(receive.records(case, found))
    assert [each.name for each in records] == made.disclosure["records"]
    assert {(each.state, each.agency, each.officer, each.disclosure, each.case) for each in records} == {
        ("TH", "Immigration", "Author", "A-1-D1", "A-1")
    }
    assert {each.seal for each in records} == {f"S-1, SHA-256 {sha256(made.files['data/seal.sha256'])}"}
    for each in records:
        stored = json.loads(made.files[f"data/records/{each.name}.json"])
        assert each.record.salt == stored["salt"]
        if stored["type"] == "finding":
            assert (each.record.location, each.record.plugin, each.record.state) == (stored["location"], "photo", "allocated")  # type: ignore[union-attr]


def test_foreign_records_are_not_in_the_index_so_they_cannot_be_sealed(case: Case, tmp_path: Path) -> None:
    taken(case, build(WORLD).encrypted(tmp_path / "p.tar.age"))
    assert case.exhibits() == ()
    assert case.runs() == ()


def test_the_same_package_twice_is_refused_even_if_it_is_encrypted_anew(case: Case, tmp_path: Path) -> None:
    made = build(WORLD)
    taken(case, made.encrypted(tmp_path / "p.tar.age"))
    before = custody.head(case.folder)
    for name in ("p.tar.age", "again.tar.age"):
        with pytest.raises(PackageInvalid, match="has this package already: A-1-D1"):
            taken(case, tmp_path / name if name == "p.tar.age" else made.encrypted(tmp_path / name))
    assert custody.head(case.folder) == before
    assert [path.name for path in (case.folder / "received").iterdir()] == ["A-1-D1"]


def test_two_disclosures_of_one_name_are_kept_apart(case: Case, tmp_path: Path) -> None:
    first = taken(case, build(WORLD, seed=1).encrypted(tmp_path / "1.tar.age"))
    second = taken(case, build(WORLD, seed=2).encrypted(tmp_path / "2.tar.age"))
    assert first.name == "A-1-D1"
    assert second.name == f"A-1-D1-{second.tag_manifest_sha256[:16]}"
    assert receive.find(case, "A-1-D1") == first


def test_a_bad_package_leaves_nothing_in_the_case(case: Case, tmp_path: Path) -> None:
    made = build(WORLD)
    made.files["data/report.html"] += b"<script>"
    before = custody.head(case.folder)
    with pytest.raises(PackageInvalid, match=r"refused: bag: data/report.html: .* \[digest\]"):
        taken(case, made.encrypted(tmp_path / "p.tar.age"))
    assert custody.head(case.folder) == before
    assert list((case.folder / "received").iterdir()) == []


def test_a_package_for_somebody_else_leaves_nothing_in_the_case(case: Case, tmp_path: Path) -> None:
    stranger = identity_of(officer(VIET_NAM, "Stranger", "VN"), pyrage.x25519.Identity.generate())
    with pytest.raises(PackageInvalid, match="refused: encryption"):
        taken(case, build(WORLD).encrypted(tmp_path / "p.tar.age"), stranger)
    assert list((case.folder / "received").iterdir()) == []


def test_what_was_changed_in_the_case_since_is_named(case: Case, tmp_path: Path) -> None:
    found = taken(case, build(WORLD).encrypted(tmp_path / "p.tar.age"))
    assert receive.problems(case, found) == []
    assert list(kept.problems(case)) == []
    report = found.folder(case) / "data" / "report.html"
    report.write_bytes(b"another")
    assert "data/report.html" in receive.problems(case, found)[0]
    assert [problem for problem in kept.problems(case) if "data/report.html" in problem]
    with pytest.raises(PackageInvalid):
        list(receive.records(case, found))
    with pytest.raises(PackageInvalid):
        receipt.write(case, found.name, RECEIVER, at=now())
    shutil.rmtree(found.folder(case))
    assert len(receive.problems(case, found)) == 1


# --- receipts ---------------------------------------------------------------------------------------------------------------


def sender(tmp_path: Path, made: packages.Made, package: Path) -> Case:
    """The sender's case: its log up to the disclosure is that of the package; then it logs what it sent."""
    sent = create(tmp_path / "sender", CaseInfo(case_id="A-1"), by="Author")
    packages.write({name: data for name, data in made.files.items() if name.startswith("data/custody")}, tmp_path / "log")
    shutil.rmtree(sent.folder / "custody")
    shutil.copytree(tmp_path / "log" / "data" / "custody", sent.folder / "custody")
    shutil.copyfile(tmp_path / "log" / "data" / "custody.jsonl", sent.folder / "custody.jsonl")
    body = {
        "purpose": "prosecution", "package": package.name, "package_sha256": sha256(package.read_bytes()),
        "tag_manifest_sha256": sha256(made.files["tagmanifest-sha256.txt"]), "disclosure": made.disclosure,
    }  # fmt: skip
    custody.append(sent.folder, "disclosed", object=made.id, body=body, by="Approver")
    return sent


@pytest.fixture
def exchanged(case: Case, tmp_path: Path) -> tuple[Case, Case, Path]:
    """Sender's case, receiver's case, receipt."""
    made = build(WORLD)
    package = made.encrypted(tmp_path / "p.tar.age")
    found = taken(case, package)
    with case.lock():
        path = receipt.write(case, found.name, RECEIVER, at=now())
    return sender(tmp_path, made, package), case, path


def test_a_receipt_verifies_with_openssl_and_so_does_the_countersigned_manifest(exchanged: tuple[Case, Case, Path], tmp_path: Path) -> None:
    _, case, path = exchanged
    (tmp_path / "roots").write_bytes(VIET_NAM.pem + WORLD.root.pem)
    manifest = case.folder / "received" / "A-1-D1" / "tagmanifest-sha256.txt"
    signature = path.with_name("A-1-D1.tagmanifest-sha256.txt.p7s")
    for signed, content in ((f"{path}.p7s", path), (signature, manifest)):
        command = [
            "openssl",
            "cms",
            "-verify",
            "-cades",
            "-binary",
            "-inform",
            "DER",
            "-CAfile",
            str(tmp_path / "roots"),
            "-out",
            "/dev/null",
        ]
        subprocess.run([*command, "-in", str(signed), "-content", str(content)], check=True, capture_output=True)


def test_a_receipt_states_what_was_received_and_both_heads(exchanged: tuple[Case, Case, Path]) -> None:
    sent, case, path = exchanged
    said = json.loads(path.read_bytes())
    lines = (case.folder / "custody.jsonl").read_bytes().splitlines(keepends=True)
    assert said["own"] == {"seq": 2, "head": sha256(lines[1])}
    log = (sent.folder / "custody.jsonl").read_bytes().splitlines(keepends=True)
    assert said["custody"] == {"seq": 4, "head": sha256(log[3])}
    assert said["by"] == {"name": "Receiver", "state": "VN", "fingerprint": RECEIVER.fingerprint}
    assert list(custody.read(case.folder))[-1].event == "receipted"


def test_the_sender_checks_the_receipt_logs_it_and_then_notices_a_cut_log(exchanged: tuple[Case, Case, Path]) -> None:
    sent, _, path = exchanged
    with sent.lock():
        found = receipt.check(sent, path, trust=TRUST, at=now())
    assert found.by.name == "Receiver"
    line = list(custody.read(sent.folder))[-1]
    assert (line.event, line.object) == ("receipted", "A-1-D1")
    heads = receipt.heads_from_receipts(sent, TRUST)
    assert heads == {4: found.custody.head}
    assert custody.verify(sent.folder, heads=heads) == []
    log = sent.folder / "custody.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:3]))
    assert any("line 4: is not there" in problem for problem in custody.verify(sent.folder, heads=heads))


def test_a_receipt_is_taken_once(exchanged: tuple[Case, Case, Path]) -> None:
    sent, _, path = exchanged
    receipt.check(sent, path, trust=TRUST, at=now())
    with pytest.raises(UsageError, match="was checked and kept before"):
        receipt.check(sent, path, trust=TRUST, at=now())


def _signed(path: Path, change: dict[str, object], identity: Identity = RECEIVER) -> None:
    """The receipt with other fields, signed anew."""
    from forensics import signing

    data = canonical(json.loads(path.read_bytes()) | change)
    path.write_bytes(data)
    path.with_name(f"{path.name}.p7s").write_bytes(signing.sign(data, identity, at=now()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"package_sha256": "0" * 64}, "the package that was received"),
        ({"tag_manifest_sha256": "0" * 64}, "the tag manifest that was received"),
        ({"tag_manifest": "x"}, "tag manifest's text"),
        ({"custody": {"seq": 3, "head": "0" * 64}}, "head of our custody log"),
        ({"countersigned": "!"}, "not base64"),
        ({"by": {"name": "R", "state": "VN", "fingerprint": "0" * 64}}, "is signed by Receiver of VN"),
        ({"at": "2020-01-01T00:00:00Z"}, "says to be of 2020-01-01T00:00:00Z, and was signed at"),
    ],
)
def test_a_receipt_that_does_not_fit_what_was_sent_is_refused(
    exchanged: tuple[Case, Case, Path], change: dict[str, object], message: str
) -> None:
    sent, _, path = exchanged
    before = custody.head(sent.folder)
    _signed(path, change)
    with pytest.raises(PackageInvalid, match=message):
        receipt.check(sent, path, trust=TRUST, at=now())
    assert custody.head(sent.folder) == before
    assert receipt.heads_from_receipts(sent) == {}


def test_a_changed_receipt_or_one_by_a_stranger_is_refused(exchanged: tuple[Case, Case, Path]) -> None:
    sent, _, path = exchanged
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"at":"2', b'"at":"3'))
    with pytest.raises(SignatureInvalid):
        receipt.check(sent, path, trust=TRUST, at=now())
    path.write_bytes(whole)
    _signed(path, {}, identity_of(officer(root("VN"), "Receiver", "VN"), WORLD.age))
    with pytest.raises(SignatureInvalid):
        receipt.check(sent, path, trust=TRUST, at=now())


def test_the_receipt_of_another_state_is_refused(exchanged: tuple[Case, Case, Path]) -> None:
    sent, _, path = exchanged
    thai = identity_of(WORLD.approver, WORLD.age)
    _signed(path, {"by": {"name": "Approver", "state": "TH", "fingerprint": WORLD.approver.fingerprint}}, thai)
    with pytest.raises(PackageInvalid, match="for VN, and is signed by Approver of TH"):
        receipt.check(sent, path, trust=TRUST, at=now())


def test_what_was_never_sent_or_is_no_receipt_is_refused(exchanged: tuple[Case, Case, Path], tmp_path: Path) -> None:
    sent, _, path = exchanged
    _signed(path, {"disclosure": "A-1-D2"})
    with pytest.raises(UsageError, match="has sent no such disclosure"):
        receipt.check(sent, path, trust=TRUST, at=now())
    path.write_bytes(b"{}")
    with pytest.raises(UsageError, match="is not a receipt"):
        receipt.check(sent, path, trust=TRUST, at=now())


@pytest.mark.parametrize(
    "change",
    [
        {"at": "yesterday"},
        {"at": "2026-3-1T08:00:00Z"},
        {"at": "2026-02-30T08:00:00Z"},
        {"own": {"seq": 2, "head": "x"}},
        {"own": {"seq": 0, "head": "0" * 64}},
    ],
)
def test_a_receipt_whose_values_are_of_no_such_form_is_refused(exchanged: tuple[Case, Case, Path], change: dict[str, object]) -> None:
    sent, _, path = exchanged
    _signed(path, change)
    with pytest.raises(UsageError, match="is not a receipt"):
        receipt.check(sent, path, trust=TRUST, at=now())
    assert list(sent.packages.iterdir()) == []


def test_a_kept_receipt_that_is_missing_or_changed_is_a_problem(exchanged: tuple[Case, Case, Path]) -> None:
    sent, _, path = exchanged
    receipt.check(sent, path, trust=TRUST, at=now())
    assert list(receipt.problems(sent, TRUST)) == list(receipt.problems(sent)) == []
    held = sent.packages / "A-1-D1.receipt.json"
    beside = held.with_name(f"{held.name}.p7s")
    whole, signature = held.read_bytes(), beside.read_bytes()

    held.write_bytes(whole.replace(b'"at":"2026', b'"at":"2027'))
    first, second = receipt.problems(sent, TRUST)
    assert "packages/A-1-D1.receipt.json: its signature does not hold: The content is not what was signed" in first
    assert second == ("packages/A-1-D1.receipt.json: was changed: it does not have the SHA-256 that was logged; restore it from a copy")
    held.write_bytes(b'{"at":"yesterday"}')
    assert "was changed since it was kept" in next(receipt.problems(sent, TRUST))
    assert receipt.heads_from_receipts(sent, TRUST) == {}

    held.write_bytes(whole)
    beside.write_bytes(signature[:-1] + bytes((signature[-1] ^ 1,)))
    assert "its signature does not hold" in next(receipt.problems(sent))
    beside.unlink()
    assert "its signature cannot (No such file or directory)" in next(receipt.problems(sent, TRUST))
    held.unlink()
    (problem,) = receipt.problems(sent, TRUST)
    assert problem.startswith("packages/A-1-D1.receipt.json: is missing, though the log says that it was kept")


def test_custody_verify_names_a_kept_receipt_that_was_changed(exchanged: tuple[Case, Case, Path]) -> None:
    sent, _, path = exchanged
    receipt.check(sent, path, trust=TRUST, at=now())
    command = ["custody", "verify", "--case", str(sent.folder)]
    assert "receipt" not in CliRunner().invoke(cli, command).output
    (sent.packages / "A-1-D1.receipt.json").write_bytes(b"x")
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 1
    assert "packages/A-1-D1.receipt.json: was changed since it was kept" in f"{done.output}{done.exception}"


def test_a_line_of_the_log_that_does_not_read_hides_no_other_problem(exchanged: tuple[Case, Case, Path]) -> None:
    sent, came, path = exchanged
    receipt.check(sent, path, trust=TRUST, at=now())
    (sent.packages / "A-1-D1.receipt.json").unlink()
    (came.folder / "received" / "A-1-D1" / "bagit.txt").unlink()
    for case, found in (
        (sent, "packages/A-1-D1.receipt.json: is missing"),
        (came, "received/A-1-D1: bagit.txt: not there"),
    ):
        log = case.folder / custody.LOG
        lines = log.read_bytes().splitlines(keepends=True)
        for at in (1, len(lines)):  # in the middle, and as the last
            log.write_bytes(b"".join((*lines[:at], b"junk\n", *lines[at:])))
            command = ["custody", "verify", "--case", str(case.folder)]
            told = json.loads(CliRunner().invoke(cli, [*command, "--json"]).stdout)["problems"]
            for problem in (f"custody.jsonl, line {at + 1}: is not a custody line", found):
                assert any(each.startswith(problem) for each in told), (problem, told)
            assert str(CliRunner().invoke(cli, command).exception).splitlines() == told


def test_a_kept_receipt_by_another_than_it_says_is_a_problem(exchanged: tuple[Case, Case, Path]) -> None:
    from forensics import signing

    sent, _, path = exchanged
    receipt.check(sent, path, trust=TRUST, at=now())
    held = sent.packages / "A-1-D1.receipt.json"
    author = identity_of(WORLD.author, WORLD.age)
    held.with_name(f"{held.name}.p7s").write_bytes(signing.sign(held.read_bytes(), author, at=now()))
    assert list(receipt.problems(sent, TRUST)) == [
        "packages/A-1-D1.receipt.json: its signature is not by Receiver of VN, who it says has received"
    ]
    assert receipt.heads_from_receipts(sent, TRUST) == {}


def test_a_receipt_outlives_the_revocation_of_who_signed_it(exchanged: tuple[Case, Case, Path]) -> None:
    sent, _, path = exchanged
    receipt.check(sent, path, trust=TRUST, at=now())
    receiver = packages.Holder(WORLD.author.key, x509.load_der_x509_certificate(RECEIVER.certificate))
    for since, number in ((now() + timedelta(minutes=1), 0), (now() - timedelta(days=2), 1)):
        revoked = trust(("VN", VIET_NAM), crls=[packages.crl(VIET_NAM, [receiver], since)])
        found = list(receipt.problems(sent, revoked))
        assert len(found) == number
        assert all("A certificate was revoked" in problem for problem in found)


def _cut(case: Case) -> None:
    """The log without its last line, as after a crash before that was written."""
    log = case.folder / "custody.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))


def test_a_receipt_that_a_crash_kept_from_the_log_is_logged_by_the_next_try(exchanged: tuple[Case, Case, Path]) -> None:
    sent, case, path = exchanged
    receipt.check(sent, path, trust=TRUST, at=now())
    kept_there = (sent.packages / "A-1-D1.receipt.json").read_bytes()
    written = path.read_bytes()
    _cut(sent)
    _cut(case)
    assert [problem.partition(";")[0] for problem in (*receipt.problems(sent), *receipt.problems(case))] == [
        "packages/A-1-D1.receipt.json: the custody log does not say that there is this receipt",
        "received/A-1-D1.receipt.json: the custody log does not say that there is this receipt",
    ]
    receipt.check(sent, path, trust=TRUST, at=now())
    assert receipt.write(case, "A-1-D1", RECEIVER, at=now()) == path
    assert ((sent.packages / "A-1-D1.receipt.json").read_bytes(), path.read_bytes()) == (kept_there, written)
    for held, direction in ((sent, "taken"), (case, "given")):
        line = list(custody.read(held.folder))[-1]
        assert line.body is not None
        assert (line.event, line.body["direction"], line.body["receipt_sha256"]) == ("receipted", direction, sha256(written))
        assert list(receipt.problems(held)) == []
    with pytest.raises(UsageError, match="was checked and kept before"):
        receipt.check(sent, path, trust=TRUST, at=now())
    with pytest.raises(UsageError, match="exists already; send that one"):
        receipt.write(case, "A-1-D1", RECEIVER, at=now())


def test_what_lies_in_a_receipts_place_and_is_not_ours_is_not_logged(exchanged: tuple[Case, Case, Path]) -> None:
    sent, case, path = exchanged
    _cut(case)
    before = custody.head(case.folder)
    with pytest.raises(UsageError, match="is no receipt by Author that fits"):
        receipt.write(case, "A-1-D1", identity_of(WORLD.author, WORLD.age), at=now())
    _signed(path, {"package_sha256": "0" * 64})
    with pytest.raises(UsageError, match="is no receipt by Receiver that fits"):
        receipt.write(case, "A-1-D1", RECEIVER, at=now())
    path.write_bytes(b"{}")
    with pytest.raises(UsageError, match="cannot be logged"):
        receipt.write(case, "A-1-D1", RECEIVER, at=now())
    assert custody.head(case.folder) == before
    (sent.packages / path.name).write_bytes(b"{}")
    with pytest.raises(UsageError, match="is not a receipt"):
        receipt.check(sent, path, trust=TRUST, at=now())


@pytest.mark.parametrize("other_first", [True, False])
def test_a_receipt_fits_the_package_it_names_of_those_that_were_logged(
    exchanged: tuple[Case, Case, Path], tmp_path: Path, other_first: bool
) -> None:
    """An approval that is interrupted and made again logs another package of the same disclosure."""
    sent, _, path = exchanged
    line = list(custody.read(sent.folder))[-1]
    assert line.body is not None
    other = line.body | {"package_sha256": "1" * 64}
    if other_first:
        _cut(sent)
    for body in (other, line.body) if other_first else (other,):
        custody.append(sent.folder, "disclosed", object="A-1-D1", body=body, by="Approver")
    assert receipt.check(sent, path, trust=TRUST, at=now()).package_sha256 == line.body["package_sha256"]


# --- command line -----------------------------------------------------------------------------------------------------------


def test_received_packages_are_listed_shown_and_read_as_json_lines(case: Case, tmp_path: Path) -> None:
    made = build(WORLD, disclosed=2)
    taken(case, made.encrypted(tmp_path / "p.tar.age"))
    run = CliRunner().invoke
    place = ["--case", str(case.folder), "--json"]
    (listed,) = [json.loads(line) for line in run(cli, ["received", "list", *place]).output.splitlines()]
    assert (listed["name"], listed["disclosure"]["withheld"]) == ("A-1-D1", 6)
    shown = json.loads(run(cli, ["received", "show", "A-1-D1", *place]).output)
    assert shown["problems"] == []
    records = [json.loads(line) for line in run(cli, ["received", "records", *place]).output.splitlines()]
    assert [each["name"] for each in records] == made.disclosure["records"]
    assert {each["record"]["type"] for each in records} == {"case", "exhibit", "method", "finding"}
    for command in (["list"], ["show", "A-1-D1"], ["records"]):
        answer = run(cli, ["received", *command, "--case", str(case.folder)])
        assert (answer.exit_code == 0 and "A-1-D1" in answer.output) or "TLP:AMBER+STRICT" in answer.output
