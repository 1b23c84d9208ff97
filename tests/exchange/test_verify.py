"""A package is what a partner sealed, approved and sent, or it is refused with the reason; no good one is refused."""

import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

sys.path.insert(0, str(Path(__file__).parent))
import packages
from packages import NOW, Holder, Made, World, build, canonical, identity_of, officer, root, sha256, sign, stamp, trust

from forensics.exchange import checks
from forensics.exchange.standalone import custody
from forensics.exchange.standalone.refusal import Refused
from forensics.exchange.verify import Verdict, verify, verify_folder
from forensics.signing import Revocation, Trust

SEED = int(os.environ.get("FORENSICS_SEED", "1"))
FLIPS = int(os.environ.get("FORENSICS_FLIPS", "50"))  # `make soak` asks for all
ELSEWHERE = max(200, FLIPS)
WORLD = World()
AUTHORITY = officer(WORLD.root, "Stamps", purpose=ExtendedKeyUsageOID.TIME_STAMPING)
TRUST = trust(("TH", WORLD.root), stamping=[WORLD.root], crls=[packages.crl(WORLD.root)])


def now() -> datetime:
    """The clock of whoever verifies: the tests may take longer than clocks may differ."""
    return datetime.now(UTC)


def verdict(made: Made, folder: Path, trusted: Trust = TRUST, **more: Any) -> Verdict:
    shutil.rmtree(folder, ignore_errors=True)
    return verify_folder(made.write(folder), made.id, trust=trusted, at=now(), recipient=WORLD.recipient, **more)


def refusal(made: Made, folder: Path, trusted: Trust = TRUST, **more: Any) -> tuple[str, str]:
    """The check that failed, and the reason."""
    found = verdict(made, folder, trusted, **more)
    assert not found.good
    assert found.refusal is not None
    return found.refusal.name, found.refusal.reason


# --- good packages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"disclosed": 0},
        {"disclosed": 2},
        {"findings": 0},
        {"lines": 1, "checkpoint": False},
        {"lines": 1},
        {"lines": 40},
        {"reports": False},
        {"stamping": AUTHORITY},
        {"case": "Крым/2026 № 7"},
        {"caveats": ["ห้ามเผยแพร่", 'a "quoted" caveat', ""]},
        {"use": "intelligence", "request_ref": "", "channel": "police-to-police"},
        {"recipients": [str(pyrage.x25519.Identity.generate().to_public())]},
        {"id": "A-2026_0123.4-D17"},
        {"id": "x" * 80},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_a_good_package_verifies(tmp_path: Path, options: dict[str, Any]) -> None:
    made = build(WORLD, **options)
    package = made.encrypted(tmp_path / "p.tar.age", options.get("recipients", ()))
    found = verify(package, tmp_path, identity=identity_of(officer(None, "Receiver", "VN"), WORLD.age), trust=TRUST, at=now())
    assert [(check.name, check.detail) for check in found.checks if not check.passed] == []
    assert found.disclosure is not None
    assert found.disclosure.withheld == made.disclosure["withheld"]
    assert {each.name for each in found.signers} == {"Author", "Approver"}
    assert [each.name for each in found.examiner] == ["Examiner"]
    assert found.head == (made.disclosure["custody"]["seq"], made.disclosure["custody"]["head"])
    assert not (tmp_path / "package.tar").exists()


def test_packages_of_many_seeds_verify(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    for seed in range(max(6, min(FLIPS, 1000) // 25)):
        findings = rng.randrange(6)
        disclosed = rng.choice([None, rng.randrange(findings + 1)])
        made = build(WORLD, seed=seed, findings=findings, disclosed=disclosed, lines=rng.randrange(1, 9), checkpoint=rng.random() < 0.5)
        found = verdict(made, tmp_path / "p")
        assert found.good, found.refusal


def test_the_checks_are_these_in_this_order(tmp_path: Path) -> None:
    package = build(WORLD).encrypted(tmp_path / "p.tar.age")
    found = verify(package, tmp_path, identity=identity_of(officer(None, "Receiver", "VN"), WORLD.age), trust=TRUST, at=now())
    names = ["encryption", "archive", "bag", "signatures", "seal", "records", "custody", "disclosure"]
    assert [check.name for check in found.checks] == names


def test_after_a_refusal_nothing_further_is_read(tmp_path: Path) -> None:
    made = build(WORLD)
    made.files["data/seal.sha256.p7s"] = sign(made.files["data/seal.sha256"], officer(None, "Stranger"))
    found = verdict(made.finish(), tmp_path / "p")
    assert [check.reason for check in found.checks] == ["", "", "self-signed", "not-checked", "not-checked", "not-checked"]
    assert found.disclosure is None


def test_an_expired_disclosure_is_a_warning(tmp_path: Path) -> None:
    found = verdict(build(WORLD, expires="2026-01-31"), tmp_path / "p")
    assert found.good
    assert found.warnings == ("expired on 2026-01-31: to destroy",)


def test_without_a_revocation_list_a_package_is_good_with_a_warning_and_refused_where_one_is_required(tmp_path: Path) -> None:
    made, trusted = build(WORLD), trust(("TH", WORLD.root))
    found = verdict(made, tmp_path / "p", trusted)
    assert found.good
    assert any("no revocation list" in warning for warning in found.warnings)
    assert refusal(made, tmp_path / "p", trusted, revocation=Revocation.REQUIRE) == ("signatures", "revocation-unknown")


# --- every byte -------------------------------------------------------------------------------------------------------------

SMALL = build(WORLD, findings=1, disclosed=1, lines=3, reports=False)
FLIPPED_WHOLE = [
    "tagmanifest-sha256.txt", "tagmanifest-sha256.txt.p7s", "manifest-sha256.txt", "manifest-sha512.txt", "bagit.txt", "bag-info.txt",
    "data/seal.sha256", "data/seal.sha256.p7s", "data/custody.jsonl", "data/custody/checkpoints/2.json.p7s",
]  # fmt: skip


def flipped(data: bytes, at: int, rng: random.Random) -> bytes:
    return data[:at] + bytes((data[at] ^ rng.randrange(1, 256),)) + data[at + 1 :]


@pytest.mark.parametrize("name", FLIPPED_WHOLE)
def test_every_changed_byte_of_what_holds_the_package_together_is_refused(tmp_path: Path, name: str) -> None:
    rng = random.Random(f"{SEED} {name}")
    folder = SMALL.write(tmp_path)
    data = SMALL.files[name]
    reasons = set()
    for at in range(len(data)):
        (folder / name).write_bytes(flipped(data, at, rng))
        found = verify_folder(folder, SMALL.id, trust=TRUST, at=now())
        assert not found.good, f"seed {SEED}: {name}, byte {at}"
        assert found.refusal is not None
        reasons.add((found.refusal.name, found.refusal.reason))
    (folder / name).write_bytes(data)
    assert verify_folder(folder, SMALL.id, trust=TRUST, at=now()).good
    if name.endswith(".p7s") and not name.startswith("data/"):
        assert {check for check, _ in reasons} == {"signatures"}
        assert {reason for _, reason in reasons} <= {
            "structure", "signature", "changed", "certificates", "algorithm", "unpinned", "time", "self-signed", "purpose", "constraint",
            "country", "expired", "not-yet-valid", "path",
        }  # fmt: skip
    else:
        assert {check for check, _ in reasons} == {"bag"} or name == "tagmanifest-sha256.txt"
        assert {reason for _, reason in reasons} <= {"digest", "manifest", "missing", "unlisted", "changed"}


@pytest.mark.parametrize("name", ["data/seal.sha256", "data/seal.sha256.p7s"])
def test_a_changed_byte_of_the_seal_breaks_its_signature_whatever_the_manifests_say(tmp_path: Path, name: str) -> None:
    rng = random.Random(f"{SEED} {name}")
    folder, how = SMALL.write(tmp_path), checks.how(TRUST, at=now())
    how.signed(folder, "data/seal.sha256")
    for at in rng.sample(range(len(SMALL.files[name])), min(FLIPS, len(SMALL.files[name]))):
        (folder / name).write_bytes(flipped(SMALL.files[name], at, rng))
        with pytest.raises(Refused):
            how.signed(folder, "data/seal.sha256")


def test_every_changed_byte_of_the_custody_log_breaks_its_chain_whatever_the_manifests_say(tmp_path: Path) -> None:
    rng, name = random.Random(SEED), "data/custody.jsonl"
    folder = SMALL.write(tmp_path)
    head = (SMALL.disclosure["custody"]["seq"], SMALL.disclosure["custody"]["head"])
    for at in range(len(SMALL.files[name])):
        (folder / name).write_bytes(flipped(SMALL.files[name], at, rng))
        with pytest.raises(Refused) as caught:
            custody.check_heads(custody.read(folder), {"the disclosure": head})
        assert caught.value.reason in ("custody-form", "custody-chain", "custody-head")


def test_changed_bytes_anywhere_else_are_refused(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    made = build(WORLD, stamping=AUTHORITY)
    folder = made.write(tmp_path)
    places = [(name, at) for name, data in made.files.items() if name not in FLIPPED_WHOLE for at in range(len(data))]
    for name, at in rng.sample(places, min(ELSEWHERE, len(places))):
        (folder / name).write_bytes(flipped(made.files[name], at, rng))
        assert not verify_folder(folder, made.id, trust=TRUST, at=now()).good, f"seed {SEED}: {name}, byte {at}"
        (folder / name).write_bytes(made.files[name])


def test_a_changed_byte_of_the_encrypted_file_is_refused(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    package = SMALL.encrypted(tmp_path / "p.tar.age")
    data, receiver = package.read_bytes(), identity_of(officer(None, "Receiver", "VN"), WORLD.age)
    for number, at in enumerate(rng.sample(range(len(data)), min(FLIPS, len(data)))):
        package.write_bytes(flipped(data, at, rng))
        work = tmp_path / str(number)
        work.mkdir()
        found = verify(package, work, identity=receiver, trust=TRUST, at=now())
        assert found.refusal is not None and found.refusal.reason == "encryption", f"seed {SEED}: byte {at}"
        assert list(work.iterdir()) == []


# --- every file -------------------------------------------------------------------------------------------------------------


def test_every_file_that_is_taken_out_is_missed(tmp_path: Path) -> None:
    whole = build(WORLD, disclosed=2, stamping=AUTHORITY)
    for name in whole.files:
        folder = whole.write(tmp_path / "p")
        (folder / name).unlink()
        found = verify_folder(folder, whole.id, trust=TRUST, at=now())
        if name == "tagmanifest-sha256.txt.p7s.tsr":  # nobody signs that there is a stamp over the last signature
            assert found.good
        else:
            assert found.refusal is not None and (found.refusal.name, found.refusal.reason) == ("bag", "missing"), name
        (folder / name).write_bytes(whole.files[name])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"data/records/{'a' * 32}.json", "unlisted"),
        (f"data/custody/bodies/{'a' * 64}.json", "unlisted"),
        ("data/seal.sha256.p7s.tsr", "unlisted"),
        ("data/readme.txt", "name"),
        ("data/records/x.json", "name"),
        ("fetch.txt", "name"),
        ("tagmanifest-sha512.txt", "name"),
        ("data/Report.html", "name"),
        (".hidden", "name"),
        ("data/more/a.json", "name"),
    ],
)
def test_a_file_that_is_added_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    made = build(WORLD)
    made.files[name] = b"{}"
    assert refusal(made, tmp_path / "p") == ("bag", reason)


def test_a_file_that_a_package_does_not_hold_is_refused_even_if_it_is_signed(tmp_path: Path) -> None:
    made = build(WORLD)
    made.files["data/readme.txt"] = b"more"
    assert refusal(made.finish(), tmp_path / "p") == ("bag", "name")


def test_a_link_in_an_unpacked_package_is_refused(tmp_path: Path) -> None:
    folder = build(WORLD).write(tmp_path / "p")
    (tmp_path / "elsewhere").write_bytes((folder / "data/report.html").read_bytes())
    (folder / "data/report.html").unlink()
    (folder / "data/report.html").symlink_to(tmp_path / "elsewhere")
    found = verify_folder(folder, trust=TRUST, at=now())
    assert found.refusal is not None and found.refusal.reason == "name"


def test_every_file_swapped_with_another_package_of_the_same_officers_is_refused(tmp_path: Path) -> None:
    one, other = build(WORLD, seed=1, case="A-1"), build(WORLD, seed=2, case="A-2", findings=4)
    common = [name for name in one.files if name in other.files and one.files[name] != other.files[name]]
    assert {"tagmanifest-sha256.txt.p7s", "data/seal.sha256", "data/custody.jsonl", "data/disclosure.json"} <= set(common)
    folder = one.write(tmp_path / "p")
    for name in common:
        (folder / name).write_bytes(other.files[name])
        assert not verify_folder(folder, one.id, trust=TRUST, at=now()).good, name
        (folder / name).write_bytes(one.files[name])


# --- signed anew by the same officers: only what the seal binds catches it --------------------------------------------------


def test_a_record_of_another_case_is_caught_by_the_seal(tmp_path: Path) -> None:
    made, other = build(WORLD, seed=1), build(WORLD, seed=2)
    name = next(name for name in other.files if name.startswith("data/records/"))
    made.files[name] = other.files[name]
    made.disclosure["records"] = sorted([*made.disclosure["records"], name[13:45]])
    assert refusal(made.finish(), tmp_path / "p") == ("records", "not-sealed")


def test_a_record_that_was_changed_is_caught_by_the_seal(tmp_path: Path) -> None:
    made = build(WORLD)
    name = next(name for name, data in made.files.items() if b'"photograph 1"' in data)
    made.files[name] = made.files[name].replace(b"photograph 1", b"photograph 9")
    assert refusal(made.finish(), tmp_path / "p") == ("records", "record-changed")


def test_a_record_under_the_name_of_another_is_caught_by_the_seal(tmp_path: Path) -> None:
    made = build(WORLD)
    one, other = [name for name, data in made.files.items() if b'"type":"finding"' in data][:2]
    made.files[one], made.files[other] = made.files[other], made.files[one]
    assert refusal(made.finish(), tmp_path / "p") == ("records", "record-changed")


def test_the_seal_of_another_case_is_refused(tmp_path: Path) -> None:
    made, other = build(WORLD, seed=1), build(WORLD, seed=2, case="A-2")
    for name in ("data/seal.sha256", "data/seal.sha256.p7s"):
        made.files[name] = other.files[name]
    assert refusal(made.finish(), tmp_path / "p") == ("records", "not-sealed")


def _resealed(made: Made, change: Callable[[dict[str, Any]], object], kind: str = "finding") -> Made:
    """One record of that type changed, and sealed again by the examiner."""
    name = next(name for name, data in made.files.items() if f'"type":"{kind}"'.encode() in data and name.startswith("data/records/"))
    value = json.loads(made.files[name])
    change(value)
    made.files[name] = canonical(value)
    made.sealed[name[13:45]] = made.files[name]
    return _sealed_again(made)


def _sealed_again(made: Made) -> Made:
    header = made.files["data/seal.sha256"].decode().split("\n")
    seq, head = header[4].removeprefix("# custody: ").split()
    made.files["data/seal.sha256"] = packages.seal_text(made.sealed, made.disclosure["case"], int(seq), head, "0" * 64)
    return made.sign_seal().finish()


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        (lambda value: value.pop("salt"), "finding", "record-form"),
        (lambda value: value.update(salt="00"), "finding", "record-form"),
        (lambda value: value.update(format="forensics-record/2"), "finding", "record-form"),
        (lambda value: value.update(type="rumour"), "finding", "record-form"),
        (lambda value: value.update(colour="red"), "finding", "record-form"),
        (lambda value: value.pop("summary"), "finding", "record-form"),
        (lambda value: value.update(level="loud"), "finding", "record-form"),
        (lambda value: value.update(method="0" * 32), "finding", "record-reference"),
        (lambda value: value.update(of="0" * 32), "note", "record-reference"),
        (lambda value: value.update(of="0" * 32), "attachment", "record-reference"),
        (lambda value: value.update(content="!"), "attachment", "record-form"),
        (lambda value: value.update(person="0" * 32), "link", "record-reference"),
        (lambda value: value.update(sha256="0" * 64), "content", "record-reference"),
        (lambda value: value["openings"].update({"0" * 32: "0" * 32}), "content", "record-reference"),
        (lambda value: value.update(openings=[]), "content", "record-form"),
        (lambda value: value.update(content="0" * 64), "finding", "record-reference"),
    ],
)
def test_a_record_of_the_wrong_form_is_refused_even_if_it_is_sealed(tmp_path: Path, change: Any, kind: str, reason: str) -> None:
    assert refusal(_resealed(build(WORLD), change, kind), tmp_path / "p") == ("records", reason)


def test_a_record_out_of_canonical_form_is_refused_even_if_it_is_sealed(tmp_path: Path) -> None:
    made = build(WORLD)
    name = next(name for name in made.files if name.startswith("data/records/"))
    made.files[name] = made.sealed[name[13:45]] = made.files[name].replace(b":", b": ", 1)
    assert refusal(_sealed_again(made), tmp_path / "p") == ("records", "record-form")


def test_two_records_with_one_salt_are_refused(tmp_path: Path) -> None:
    made = build(WORLD)
    salts = [json.loads(data)["salt"] for name, data in made.files.items() if name.startswith("data/records/")]
    assert refusal(_resealed(made, lambda value: value.update(salt=salts[-1]), "case"), tmp_path / "p") == ("records", "record-form")


def test_the_digest_of_a_content_of_which_a_finding_is_withheld_is_refused(tmp_path: Path) -> None:
    made = build(WORLD)
    name = [name for name, data in made.files.items() if b'"type":"finding"' in data][1]
    del made.files[name]
    made.disclosure["records"].remove(name[13:45])
    made.disclosure["withheld"] += 1
    assert refusal(made.finish(), tmp_path / "p") == ("records", "record-reference")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("# forensics seal 1", "# forensics seal 2"),
        lambda text: text.replace("# records: 11", "# records: 12"),
        lambda text: text.replace("# run: ", "# walk: "),
        lambda text: "\n".join([*text.split("\n")[:7], *reversed(text.split("\n")[7:-1]), ""]),
        lambda text: text + text.split("\n")[7] + "\n",
        lambda text: text.replace("  records/", "  ../records/"),
        lambda text: text[:-1],
    ],
)
def test_a_seal_of_another_form_is_refused_even_if_it_is_signed(tmp_path: Path, change: Callable[[str], str]) -> None:
    made = build(WORLD)
    made.files["data/seal.sha256"] = change(made.files["data/seal.sha256"].decode()).encode()
    assert refusal(made.sign_seal().finish(), tmp_path / "p") == ("seal", "seal-form")


# --- the custody log --------------------------------------------------------------------------------------------------------


def _log(made: Made, change: Callable[[list[bytes]], list[bytes]]) -> Made:
    lines = made.files["data/custody.jsonl"].splitlines(keepends=True)
    made.files["data/custody.jsonl"] = b"".join(change(lines))
    return made.finish()


def _chained(lines: list[bytes]) -> list[bytes]:
    """The lines as a new chain, numbered anew."""
    before, out = "0" * 64, []
    for number, line in enumerate(lines, 1):
        out.append(canonical(json.loads(line) | {"prev": before, "seq": number}) + b"\n")
        before = sha256(out[-1])
    return out


def _restated(made: Made) -> Made:
    """The disclosure states the log's head as it is."""
    lines = made.files["data/custody.jsonl"].splitlines(keepends=True)
    made.disclosure["custody"] = {"seq": len(lines), "head": sha256(lines[-1])}
    return made.finish()


def _without_checkpoints(made: Made) -> Made:
    for name in [name for name in made.files if "checkpoints" in name]:
        del made.files[name]
    return made.finish()


CHAIN, HEAD = ("custody", "custody-chain"), ("custody", "custody-head")


def test_a_cut_log_is_refused(tmp_path: Path) -> None:
    assert refusal(_log(build(WORLD, lines=4), lambda lines: lines[:-1]), tmp_path / "p") == ("disclosure", "custody-head")
    assert refusal(_log(build(WORLD, lines=4, checkpoint=False), lambda lines: lines[:2]), tmp_path / "p")[1] in (
        "custody-head",
        "custody-form",
    )


def test_a_log_cut_before_the_seal_is_refused_whatever_the_disclosure_says(tmp_path: Path) -> None:
    made = _without_checkpoints(build(WORLD, lines=4))
    for name in [name for name in made.files if "bodies" in name]:
        del made.files[name]
    assert refusal(_restated(_log(made, lambda lines: lines[:2])), tmp_path / "p") == HEAD


def test_a_log_whose_lines_changed_places_is_refused(tmp_path: Path) -> None:
    assert refusal(_log(build(WORLD), lambda lines: [lines[0], lines[2], lines[1], *lines[3:]]), tmp_path / "p") == CHAIN


def test_a_log_with_a_line_taken_out_is_refused(tmp_path: Path) -> None:
    assert refusal(_log(build(WORLD), lambda lines: [lines[0], *lines[2:]]), tmp_path / "p") == CHAIN


@pytest.mark.parametrize("checkpoint", [True, False])
def test_a_log_that_was_chained_anew_is_refused_by_what_the_seal_states(tmp_path: Path, checkpoint: bool) -> None:
    made = build(WORLD, lines=5, checkpoint=checkpoint)
    changed = lambda lines: _chained([lines[0].replace(b"08:01", b"07:01"), *lines[1:]])  # noqa: E731
    assert refusal(_restated(_log(made, changed)), tmp_path / "p") == HEAD


def test_a_body_of_no_line_is_refused(tmp_path: Path) -> None:
    made = build(WORLD)
    body = canonical({"salt": "0" * 32, "object": "x", "by": None, "body": {}})
    made.files[f"data/custody/bodies/{sha256(body)}.json"] = body
    assert refusal(made.finish(), tmp_path / "p") == ("custody", "custody-form")


def test_a_changed_body_is_refused(tmp_path: Path) -> None:
    made = build(WORLD)
    name = next(name for name in made.files if "bodies" in name)
    made.files[name] = made.files[name].replace(b"Officer", b"officer")
    assert refusal(made.finish(), tmp_path / "p") == ("custody", "custody-form")


def test_a_checkpoint_of_another_line_is_refused(tmp_path: Path) -> None:
    made = build(WORLD)
    name = next(name for name in made.files if "checkpoints" in name and name.endswith(".json"))
    made.files[name] = canonical(json.loads(made.files[name]) | {"head": "0" * 64})
    made.files[f"{name}.p7s"] = sign(made.files[name], WORLD.examiner)
    assert refusal(made.finish(), tmp_path / "p") == HEAD


def test_a_checkpoint_whose_signature_is_of_something_else_is_refused(tmp_path: Path) -> None:
    made = build(WORLD)
    name = next(name for name in made.files if "checkpoints" in name and name.endswith(".json"))
    made.files[f"{name}.p7s"] = sign(b"something else", WORLD.examiner)
    assert refusal(made.finish(), tmp_path / "p") == ("custody", "changed")


def test_a_checkpoint_by_a_third_state_is_a_warning(tmp_path: Path) -> None:
    made = build(WORLD)
    name = next(name for name in made.files if "checkpoints" in name and name.endswith(".json"))
    made.files[f"{name}.p7s"] = sign(made.files[name], officer(root("MY"), "Giver", "MY"))
    found = verdict(made.finish(), tmp_path / "p")
    assert found.good
    assert any(warning.startswith(f"{name}: ") and "Giver" in warning for warning in found.warnings)


# --- who signed -------------------------------------------------------------------------------------------------------------

REVOKED = officer(WORLD.root, "Revoked")
OTHER_ROOT = root("TH")
OTHER_STATE = root("MY")
BOTH = trust(("TH", WORLD.root), ("MY", OTHER_STATE), crls=[packages.crl(WORLD.root, [REVOKED]), packages.crl(OTHER_STATE)])
SIGNERS = [
    ("expired", officer(WORLD.root, "Expired", days=(-300, -1)), "expired"),
    ("not valid yet", officer(WORLD.root, "Early", days=(1, 300)), "not-yet-valid"),
    ("revoked", REVOKED, "revoked"),
    ("for servers", officer(WORLD.root, "Server", purpose=ExtendedKeyUsageOID.SERVER_AUTH), "purpose"),
    ("for time stamps", AUTHORITY, "purpose"),
    ("self-signed", officer(None, "Alone"), "self-signed"),
    ("of a root that is not pinned", officer(OTHER_ROOT, "Stranger"), "unpinned"),
    ("of a root for another state", officer(WORLD.root, "Foreigner", "MY"), "country"),
]


@pytest.mark.parametrize(("signer", "reason"), [each[1:] for each in SIGNERS], ids=[each[0] for each in SIGNERS])
@pytest.mark.parametrize("where", ["signatures", "seal"])
def test_a_signer_who_may_not_sign_is_refused(tmp_path: Path, signer: Holder, reason: str, where: str) -> None:
    made = build(WORLD)
    if where == "seal":
        made.sign_seal(signer).finish()
    else:
        made.disclosure["author"] = signer.fingerprint
        made.finish(signer, WORLD.approver)
    assert refusal(made, tmp_path / "p", BOTH) == (where, reason)


def test_one_signature_alone_is_refused(tmp_path: Path) -> None:
    assert refusal(build(WORLD).finish(WORLD.author), tmp_path / "p") == ("signatures", "signers")


def test_two_certificates_for_one_key_are_one_officer(tmp_path: Path) -> None:
    again = officer(WORLD.root, "Author as well", key=WORLD.author.key)
    assert refusal(build(WORLD).finish(WORLD.author, again), tmp_path / "p") == ("signatures", "signers")


def test_the_officer_named_as_author_must_have_signed(tmp_path: Path) -> None:
    made = build(WORLD).finish(officer(WORLD.root, "Third"), WORLD.approver)
    assert refusal(made, tmp_path / "p") == ("disclosure", "signers")


@pytest.mark.parametrize("who", ["approver", "examiner"])
def test_a_signer_of_another_pinned_state_is_refused(tmp_path: Path, who: str) -> None:
    foreign = officer(OTHER_STATE, "Foreign officer", "MY")
    made = build(WORLD)
    made = made.finish(WORLD.author, foreign) if who == "approver" else made.sign_seal(foreign).finish()
    assert refusal(made, tmp_path / "p", BOTH) == ("disclosure", "state")


def test_a_state_that_is_not_the_signers_is_refused(tmp_path: Path) -> None:
    made = build(WORLD)
    made.disclosure["from"]["state"] = "MY"
    assert refusal(made.finish(), tmp_path / "p", BOTH) == ("disclosure", "state")


# --- time stamps ------------------------------------------------------------------------------------------------------------


def test_the_time_stamp_of_an_older_signature_is_refused(tmp_path: Path) -> None:
    made = build(WORLD, stamping=AUTHORITY)
    made.files["data/seal.sha256.p7s.tsr"] = stamp(sign(made.files["data/seal.sha256"], WORLD.author), AUTHORITY)
    assert refusal(made.finish(), tmp_path / "p") == ("seal", "stamp")


@pytest.mark.parametrize("content", [b"", b"\x30\x00", b"no time stamp", b"\x30\x80" * 1000])
def test_what_is_no_time_stamp_is_refused(tmp_path: Path, content: bytes) -> None:
    made = build(WORLD)
    made.files["tagmanifest-sha256.txt.p7s.tsr"] = content
    assert refusal(made, tmp_path / "p") == ("signatures", "stamp")


def test_a_time_stamp_by_an_authority_that_is_not_pinned_counts_for_nothing(tmp_path: Path) -> None:
    made = build(WORLD, stamping=AUTHORITY)
    found = verdict(made, tmp_path / "p", trust(("TH", WORLD.root), stamping=[OTHER_ROOT], crls=[packages.crl(WORLD.root)]))
    assert found.good
    assert any("counts for nothing" in warning for warning in found.warnings)


def test_a_signature_that_claims_to_be_younger_than_its_time_stamp_is_refused(tmp_path: Path) -> None:
    folder = build(WORLD, stamping=AUTHORITY).write(tmp_path)
    found = verify_folder(folder, trust=TRUST, at=NOW - timedelta(days=1))
    assert found.refusal is not None and found.refusal.reason in ("stamp", "time")


# --- for whom, and what it says of itself -----------------------------------------------------------------------------------


def test_who_is_no_recipient_cannot_open_it(tmp_path: Path) -> None:
    package = build(WORLD).encrypted(tmp_path / "p.tar.age")
    stranger = identity_of(officer(None, "Stranger", "MY"), pyrage.x25519.Identity.generate())
    found = verify(package, tmp_path, identity=stranger, trust=TRUST, at=now())
    assert found.refusal is not None
    assert (found.refusal.name, found.refusal.reason) == ("encryption", "encryption")
    assert stranger.recipient in found.refusal.detail


def test_a_package_encrypted_anew_to_somebody_else_is_refused(tmp_path: Path) -> None:
    other = pyrage.x25519.Identity.generate()
    package = build(WORLD).encrypted(tmp_path / "p.tar.age", [str(other.to_public())])
    found = verify(package, tmp_path, identity=identity_of(officer(None, "Other", "MY"), other), trust=TRUST, at=now())
    assert found.refusal is not None
    assert (found.refusal.name, found.refusal.reason) == ("disclosure", "recipient")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda said: said.update(withheld=said["withheld"] + 1), "disclosure-inconsistent"),
        (lambda said: said.update(withheld=True), "disclosure-form"),
        (lambda said: said["records"].pop(), "disclosure-inconsistent"),
        (lambda said: said["records"].reverse(), "disclosure-inconsistent"),
        (lambda said: said["records"].append("0" * 32), "disclosure-inconsistent"),
        (lambda said: said.update(case="A-2"), "disclosure-inconsistent"),
        (lambda said: said.update(seal="S-2"), "disclosure-inconsistent"),
        (lambda said: said.update(id="A-1-D2"), "disclosure-inconsistent"),
        (lambda said: said["custody"].update(seq=3), "custody-head"),
        (lambda said: said["custody"].update(head="0" * 64), "custody-head"),
        (lambda said: said["to"].update(recipients=["0" * 64]), "recipient"),
        (lambda said: said.update(use="gossip"), "disclosure-form"),
        (lambda said: said.update(tlp="TLP:PINK"), "disclosure-form"),
        (lambda said: said.update(expires="soon"), "disclosure-form"),
        (lambda said: said.update(format="forensics-disclosure/2"), "disclosure-form"),
        (lambda said: said.update(more="x"), "disclosure-form"),
        (lambda said: said.pop("purpose"), "disclosure-form"),
        (lambda said: said.update(records="all"), "disclosure-form"),
        (lambda said: said["from"].update(rank="major"), "disclosure-form"),
    ],
)
def test_a_disclosure_that_does_not_say_what_is_there_is_refused_even_if_it_is_signed(tmp_path: Path, change: Any, reason: str) -> None:
    made = build(WORLD, disclosed=2)
    change(made.disclosure)
    assert refusal(made.finish(), tmp_path / "p") == ("disclosure", reason)
