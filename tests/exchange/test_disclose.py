"""From a seal to an encrypted package: two persons, the package's form, and that other tools open and verify it."""

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

sys.path.insert(0, str(Path(__file__).parent))
from parties import AT, Office, Person, State, all_bytes, encrypt, record, without_pdf

from forensics import custody
from forensics.errors import NotDisclosable, NotReviewed, PackageInvalid, SignatureInvalid, UsageError
from forensics.exchange import approve, bag, kept
from forensics.exchange.disclosure import Terms, check
from forensics.signing import cms


@pytest.fixture(autouse=True)
def plain_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pdf(monkeypatch)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path, [record(number) for number in range(20)])
    made.seal()
    return made


def test_sealed_records_and_packages_that_changed_since_are_named(office: Office) -> None:
    package = office.send(office.plan(records=office.records[:3]))
    assert list(kept.problems(office.case)) == []
    first, second, *_ = sorted((office.case.seals / "S-1" / "records").iterdir())
    first.write_bytes(second.read_bytes())
    second.unlink()
    second.with_name(f"{'0' * 32}.json").write_bytes(b"{}")
    package.write_bytes(package.read_bytes()[:-1])
    told = list(kept.problems(office.case))
    for name, what in (
        (first.name, "was changed"),
        (second.name, "is missing"),
        ("0" * 32, "not under the seal"),
        (package.name, "was changed"),
    ):
        assert [problem for problem in told if name in problem and what in problem], name
    assert len(told) == 4
    log = office.case.folder / custody.LOG
    first_line, *others = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join((first_line, b"junk\n", *others)))
    assert list(kept.problems(office.case)) == told  # the verification of the log names that line
    log.write_bytes(b"".join((first_line, *others)))
    package.unlink()  # sent, and not kept: nothing is wrong with that
    assert len(list(kept.problems(office.case))) == 3
    (office.case.seals / "S-1" / "seal.sha256").write_bytes(b"")
    (problem,) = kept.problems(office.case)
    assert "S-1/seal.sha256" in problem
    shutil.rmtree(office.case.seals / "S-1")
    (problem,) = kept.problems(office.case)
    assert problem.startswith("seals/S-1: is missing")


def test_a_package_holds_what_was_chosen_and_nothing_else(office: Office, tmp_path: Path) -> None:
    top = office.opened(office.send(office.plan(records=office.records[:3])), tmp_path / "vn")
    assert top.name == "A-2026-0123-D1"
    files = {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}
    records = {name for name in files if name.startswith("data/records/")}
    assert files - records == {
        "bagit.txt", "bag-info.txt", "manifest-sha256.txt", "manifest-sha512.txt", "tagmanifest-sha256.txt", "tagmanifest-sha256.txt.p7s",
        "data/seal.sha256", "data/seal.sha256.p7s", "data/custody.jsonl", "data/disclosure.json", "data/report.html", "data/verify.txt",
    } | {name for name in files if name in ("data/report.pdf", "data/case.jsonld")}  # fmt: skip
    said = json.loads((top / "data/disclosure.json").read_bytes())
    assert {f"data/records/{name}.json" for name in said["records"]} == records
    types = [json.loads((top / name).read_bytes())["type"] for name in records]
    assert sorted(types) == sorted(["case", "exhibit", "method"] + ["finding", "content"] * 3)
    assert said["withheld"] == 20 * 2 + 3 - len(records)
    assert (said["from"], said["to"]["state"], said["use"]) == (
        {"state": "ID", "agency": "Imigrasi", "officer": "Sari"},
        "VN",
        "intelligence",
    )
    assert said["to"]["recipients"] == [hashlib.sha256(office.recipient.encode()).hexdigest()]


def test_age_openssl_and_sha256sum_verify_a_package(office: Office, tmp_path: Path) -> None:
    top = office.opened(office.send(office.plan(records=office.records[:3])), tmp_path / "vn")
    (tmp_path / "root.pem").write_bytes(office.state.root.public_bytes(Encoding.PEM))

    def openssl(name: str, folder: Path) -> str:
        given = ["-binary", "-inform", "DER", "-in", f"{name}.p7s", "-content", name, "-CAfile", str(tmp_path / "root.pem")]
        command = ["openssl", "cms", "-verify", "-cades", *given, "-out", "/dev/null", "-signer", "/dev/stdout"]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout

    signers = openssl("tagmanifest-sha256.txt", top)
    assert signers.count("BEGIN CERTIFICATE") == 2
    for manifest in ("tagmanifest-sha256.txt", "manifest-sha256.txt"):
        subprocess.run(["sha256sum", "--strict", "-c", "--quiet", manifest], cwd=top, check=True)
    subprocess.run(["sha512sum", "--strict", "-c", "--quiet", "manifest-sha512.txt"], cwd=top, check=True)
    openssl("seal.sha256", top / "data")
    subprocess.run(["sha256sum", "--strict", "-c", "--quiet", "--ignore-missing", "seal.sha256"], cwd=top / "data", check=True)
    chain = """p=$(printf '0%.0s' $(seq 64)); while IFS= read -r l; do case "$l" in *"\\"prev\\":\\"$p\\""*) ;; *) exit 1;; esac
    p=$(printf '%s\\n' "$l" | sha256sum | cut -c1-64); done < custody.jsonl; echo $p"""
    head = subprocess.run(["bash", "-c", chain], cwd=top / "data", check=True, capture_output=True, text=True).stdout.strip()
    assert head == json.loads((top / "data/disclosure.json").read_bytes())["custody"]["head"]


def test_the_wrong_key_opens_nothing(office: Office, tmp_path: Path) -> None:
    package = office.send(office.plan(records=office.records[:1]))
    other = subprocess.run(["age-keygen"], capture_output=True, check=True, text=True).stdout
    (tmp_path / "other.key").write_text(other)
    assert subprocess.run(["age", "-d", "-i", str(tmp_path / "other.key"), str(package)], capture_output=True).returncode == 1


def test_bag_info_names_the_software_the_package_and_its_size(office: Office, tmp_path: Path) -> None:
    top = office.opened(office.send(office.plan(records=office.records[:2])), tmp_path / "vn")
    info = dict(line.split(": ", 1) for line in (top / "bag-info.txt").read_text().splitlines())
    payload = [path for path in (top / "data").rglob("*") if path.is_file()]
    assert info["Payload-Oxum"] == f"{sum(path.stat().st_size for path in payload)}.{len(payload)}"
    assert info["External-Identifier"] == "A-2026-0123-D1"
    assert info["Bag-Software-Agent"].startswith("forensics ")


def test_a_bag_makes_the_same_tar_each_time(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "data").mkdir(parents=True)
        for file in ("b", "a", "c") if name == "one" else ("c", "b", "a"):
            (folder / "data" / file).write_text(file)
        (folder / "data" / "a").chmod(0o640 if name == "one" else 0o777)
        tags = bag.write(folder, {"External-Identifier": "X"})
        tar = io.BytesIO()
        bag.pack(folder, "X", tar, {"tagmanifest-sha256.txt": tags})
        made.append(tar.getvalue())
    assert made[0] == made[1]
    with tarfile.open(fileobj=io.BytesIO(made[0])) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(member.mtime, member.uid, member.gid, member.mode, member.uname, member.isreg()) for member in members} == {
        (0, 0, 0, 0o644, "", True)
    }


def test_a_bag_with_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to("/etc/passwd")
    with pytest.raises(PackageInvalid, match="link"):
        bag.write(tmp_path, {})


def test_one_person_cannot_approve_alone(office: Office, tmp_path: Path) -> None:
    made = office.draft(office.plan())
    with pytest.raises(NotDisclosable, match="second person"):
        office.approve(made.id, office.author)
    with pytest.raises(NotDisclosable, match="second person"):
        office.approve(made.id, office.state.officer("Sari's second certificate", key_of=office.author))
    with pytest.raises(NotDisclosable, match="MY"):
        office.approve(made.id, State("MY").officer("Aminah"))
    assert not list(office.case.packages.glob("*.age"))
    assert office.approve(made.id).exists()


def test_the_plain_draft_is_gone_after_approval_and_the_log_says_who_did_what(office: Office) -> None:
    made = office.draft(office.plan(records=office.records[:2]))
    package = office.approve(made.id)
    assert [path.name for path in office.case.packages.iterdir()] == ["A-2026-0123-D1.tar.age"]
    *_, line = custody.read(office.case.folder)
    assert (line.event, line.by) == ("disclosed", "Wayan")
    assert line.body
    assert line.body["package_sha256"] == hashlib.sha256(package.read_bytes()).hexdigest()
    assert line.body["author"]["certificate"] == office.author.fingerprint
    assert line.body["protection_check"] == {
        "asked": "asylum, refugee, victim, minor", "result": "nobody asked for asylum", "by": "Sari"
    }  # fmt: skip
    assert office.approver.checkpoints[-1][2] == "disclosure"
    assert custody.verify(office.case.folder) == []
    with pytest.raises(UsageError, match="no draft"):
        office.approve(made.id)


def test_the_same_seal_is_disclosed_to_another_state(office: Office, tmp_path: Path) -> None:
    first = office.opened(office.send(office.plan("VN", office.records[:3])), tmp_path / "vn")
    second = office.opened(office.send(office.plan("MY", office.records[2:6])), tmp_path / "my")
    assert (first / "data/seal.sha256").read_bytes() == (second / "data/seal.sha256").read_bytes()
    assert second.name == "A-2026-0123-D2"
    text = (second / "data/disclosure.json").read_text()
    assert '"state":"MY"' in text
    assert b"department of immigration (vn)" not in all_bytes(second)
    assert first.name.encode().lower() not in all_bytes(second)


def test_a_draft_that_was_changed_is_not_approved(office: Office) -> None:
    made = office.draft(office.plan(records=office.records[:2]))
    root = office.case.packages / made.id / "bag"
    for name in ("data/report.html", "data/seal.sha256", "data/custody.jsonl", "bag-info.txt", "tagmanifest-sha256.txt"):
        before = (root / name).read_bytes()
        (root / name).write_bytes(before[:-2] + b"x\n")
        with pytest.raises((PackageInvalid, SignatureInvalid), match=re.escape(name)):
            office.approve(made.id)
        (root / name).write_bytes(before)
    (root / "data/extra.txt").write_text("more")
    with pytest.raises(PackageInvalid, match=r"'data/extra.txt': a package does not hold such a file"):
        office.approve(made.id)
    (root / "data/extra.txt").unlink()
    assert office.approve(made.id)


def test_what_an_author_puts_in_and_signs_is_not_approved(office: Office) -> None:
    """The author's own signature does not make a file one that the tool put there."""
    never, other = "a package does not hold such a file", "is not what the disclosed records give"
    for name, content, why in (
        ("data/extra.txt", b"more", never),
        ("data/report.html", b"<p>made up</p>", other),
        ("data/verify.txt", b"trust me", other),
    ):
        made = office.draft(office.plan(records=office.records[:2]))
        root = office.case.packages / made.id / "bag"
        (root / name).write_bytes(content)
        tags = bag.write(root, {"External-Identifier": made.id})
        (root / "tagmanifest-sha256.txt.p7s").write_bytes(office.author.sign(tags, AT))
        with pytest.raises(PackageInvalid, match=why):
            office.approve(made.id)


def test_an_interrupted_approval_is_made_again_and_no_package_is_there_before_the_log_says_so(office: Office, tmp_path: Path) -> None:
    made = office.draft(office.plan(records=office.records[:2]))
    package = office.case.packages / f"{made.id}.tar.age"
    lines = custody.head(office.case.folder)

    def full(source: BinaryIO, target: BinaryIO, recipients: Iterable[str]) -> None:
        target.write(source.read(100))
        raise OSError(28, "No space left on device")

    def unplugged(*given: object, **more: object) -> None:
        assert not package.exists()
        raise OSError(5, "Input/output error")

    for encrypting, logging in ((full, custody.append), (encrypt, unplugged)):
        other = office.state.officer("Ketut")
        checked = approve.examine(office.case, office.index, office.review, made.id, at=AT)
        with pytest.MonkeyPatch.context() as patched, pytest.raises(OSError):
            patched.setattr(custody, "append", logging)
            approve.approve(office.case, checked, other, [office.recipient], encrypting, overrides={}, at=AT)
        assert not package.exists() and not list(office.case.packages.glob(".*"))
        assert custody.head(office.case.folder) == lines
    assert office.approve(made.id) == package
    folder = office.opened(package, tmp_path / "vn")
    parts = cms.decode((folder / "tagmanifest-sha256.txt.p7s").read_bytes()).parts
    assert {part.certificate for part in parts} == {office.author.certificate, office.approver.certificate}
    last = [line.body for line in custody.read(office.case.folder) if line.event == "disclosed" and line.body][-1]
    assert last["package_sha256"] == hashlib.sha256(package.read_bytes()).hexdigest()


def test_a_person_protected_since_the_draft_stops_it(office: Office) -> None:
    made = office.draft(office.plan(records=office.records[:2]))
    office.add(Person(id="P-1", role="minor", records=(office.records[0].id,)))
    with pytest.raises(NotDisclosable, match="has changed"):
        office.approve(made.id)


def test_keys_that_were_changed_since_the_draft_stop_it(office: Office) -> None:
    made = office.draft(office.plan(records=office.records[:2]))
    checked = approve.examine(office.case, office.index, office.review, made.id, at=AT)
    for keys in ([], ["age1other"], [office.recipient, "age1other"]):
        with pytest.raises(NotDisclosable, match="keys"):
            approve.approve(office.case, checked, office.approver, keys, lambda *_: None, overrides={}, at=AT)


def test_a_state_without_keys_gets_nothing(office: Office) -> None:
    office.__class__ = type("Bare", (Office,), {"recipient": property(lambda self: "")})
    from forensics.exchange import draft, seal

    planned = office.plan()
    terms = Terms(
        to_state="VN", authority="A", channel="mlat", purpose="p", use="evidence", onward="none", expires="2027-01-01", request_ref="R-1",
        checked="none", checked_by="Sari",
    )  # fmt: skip
    with pytest.raises(NotDisclosable, match="no key of VN"):
        draft.write(office.case, office.review, seal.open_seal(office.case), planned, terms, [], office.author, at=AT)


def test_unreviewed_and_rejected_records_do_not_leave(office: Office, tmp_path: Path) -> None:
    unreviewed, rejected, good = office.records[:3]
    office.review.decisions.pop(unreviewed.id)
    office.decide(rejected, status="rejected")
    planned = office.plan(records=[unreviewed, rejected, good])
    assert {held.record: held.reasons for held in planned.held} == {unreviewed.id: ("unreviewed",), rejected.id: ("rejected",)}
    assert sum(item.type == "finding" for item in planned.shown) == 1
    with pytest.raises(NotReviewed):
        office.plan(records=[unreviewed])
    with pytest.raises(NotDisclosable, match="rejected"):
        office.plan(records=[rejected])


def test_what_was_confirmed_after_the_seal_waits_for_the_next(office: Office) -> None:
    late = record(99)
    office.records.append(late)
    office.decide(late)
    with pytest.raises(NotDisclosable, match="seal again"):
        office.plan(records=[late])
    office.seal()
    assert office.plan(records=[late]).shown


def test_what_was_decided_anew_after_the_seal_waits_for_the_next(office: Office) -> None:
    office.decide(office.records[0], seq=9, category="SOM-ROUTE")
    with pytest.raises(NotDisclosable, match="seal again"):
        office.plan(records=office.records[:1])


def test_attachments_go_with_their_finding_and_notes_only_if_asked_for(tmp_path: Path) -> None:
    office = Office(tmp_path, [])
    picture, other = (
        office.attach("thumbnail.jpg", "image/jpeg", b"\xff\xd8\xffone"),
        office.attach("x.jpg", "image/jpeg", b"\xff\xd8\xfftwo"),
    )
    office.records += [record(1, attachments=(picture,)), record(2, attachments=(other,))]
    for each in office.records:
        office.decide(each, note=f"seen with {each.location}")
    office.seal()
    first = office.plan(records=office.records[:1])
    assert [item.type for item in first.shown].count("attachment") == 1
    assert "note" not in {item.type for item in first.shown}
    everything = all_bytes(office.opened(office.send(first), tmp_path / "vn"))
    assert b"/9j_b25l".replace(b"_", b"/").lower() in everything or b"thumbnail.jpg" in everything
    assert b"x.jpg" not in everything
    assert hashlib.sha256(b"\xff\xd8\xfftwo").hexdigest().encode() not in everything
    assert b"seen with" not in everything
    assert "note" in {item.type for item in office.plan(records=office.records[:1], notes=True).shown}


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"authority": ""}, "authority"),
        ({"purpose": " "}, "purpose"),
        ({"onward": ""}, "onward"),
        ({"expires": ""}, "expires"),
        ({"checked": ""}, "protection-check"),
        ({"checked_by": ""}, "protection-checked-by"),
        ({"use": "evidence", "channel": "mlat"}, "request-ref"),
        ({"use": "evidence", "request_ref": "R-1"}, "intelligence"),
        ({"expires": "2026-11-20"}, "future"),
    ],
)
def test_a_disclosure_whose_terms_are_not_whole_is_refused_naming_what(change: dict[str, str], wanted: str) -> None:
    said = {
        "to_state": "VN", "authority": "A", "channel": "police-to-police", "purpose": "p", "use": "intelligence", "onward": "none",
        "expires": "2027-01-01", "checked": "none", "checked_by": "Sari",
    }  # fmt: skip
    check(Terms(**said), AT)
    with pytest.raises(NotDisclosable, match=wanted):
        check(Terms(**said | change), AT)


@pytest.mark.parametrize(
    "change", [{"to_state": "vn"}, {"to_state": "VNM"}, {"use": "both"}, {"channel": "post"}, {"tlp": "TLP:BLUE"}, {"expires": "soon"}]
)
def test_a_word_that_is_none_is_refused(change: dict[str, str]) -> None:
    said = {
        "to_state": "VN", "authority": "A", "channel": "police-to-police", "purpose": "p", "use": "intelligence", "onward": "none",
        "expires": "2027-01-01", "checked": "none", "checked_by": "Sari",
    }  # fmt: skip
    with pytest.raises(UsageError):
        check(Terms(**said | change), AT)


def test_the_text_inside_says_that_it_is_not_to_be_trusted(office: Office, tmp_path: Path) -> None:
    top = office.opened(office.send(office.plan(records=office.records[:1])), tmp_path / "vn")
    text = (top / "data/verify.txt").read_text()
    assert "do not trust it for verification" in text
    assert "out of band" in text


def test_the_report_shows_terms_and_disclosed_findings(office: Office, tmp_path: Path) -> None:
    top = office.opened(office.send(office.plan(records=office.records[:2]), caveats=("for the desk officer alone",)), tmp_path / "vn")
    page = (top / "data/report.html").read_text()
    for text in ("Contact number 0", "Contact number 1", "for the desk officer alone", "to find the route", "TLP:AMBER+STRICT"):
        assert text in page
    assert "Contact number 2" not in page
    assert "default-src 'none'" in page
