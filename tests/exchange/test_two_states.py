"""Two states from identity to receipt, through the command line alone and as the pages of the documentation tell it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from forensics import index
from forensics.case import open_case

ROOT = Path(__file__).parents[2]
COMMAND = f'forensics() {{ "{sys.executable}" -m forensics "$@"; }}\n'
CASE = (
    '--case-id TH-2026-17 --agency "Immigration Bureau" --officer-in-charge "Col. Somchai" --offence-or-purpose "Smuggling of migrants" '
    '--retention-until 2031-12-31 --requested-questions "Who organised the travel?" --authority-type warrant --authority-id W-77/2026 '
    '--authority-scope-text "All data on the laptop"'
)
EXHIBIT = (
    '--exhibit-kind computer --exhibit-description "laptop disk" --exhibit-condition-text good --exhibit-seal-no S-1 '
    '--exhibit-owner-role "suspected facilitator" --exhibit-power-state-on-receipt off --exhibit-seized-at 2026-11-20T10:00:00+07:00 '
    '--exhibit-seized-place "BKK checkpoint 3" --exhibit-seized-by "Sgt. Nok" --exhibit-seizure-authority W-77/2026 '
    "--exhibit-acquisition-type physical --exhibit-acquisition-tool ewfacquire --exhibit-acquisition-tool-version 20140807 "
    f"--exhibit-acquisition-tool-sha256 {'ab' * 32} --exhibit-acquired-at 2026-11-20T12:00:00+07:00 "
    '--exhibit-acquisition-ended-at 2026-11-20T13:00:00+07:00 --exhibit-acquired-by "Ana Examiner" '
    '--exhibit-changes-made-to-original "none known" --exhibit-write-blocker "Tableau T8u"'
)
PARTNER = """
forensics identity new --authority vn-root --name "VN Immigration Root" --country VN --organisation Immigration --passphrase-file root.pass
forensics identity new --identity van --name "Van Officer" --country VN --organisation Immigration --passphrase-file van.pass
forensics identity issue van/request.pem --authority vn-root --passphrase-file root.pass --yes --output van.crt
forensics identity install van.crt --identity van --passphrase-file van.pass
forensics identity export --identity van --passphrase-file van.pass --output van.card
forensics identity export --identity van --passphrase-file van.pass --age-key my.agekey
as_van="--trust van-trust --identity van --passphrase-file van.pass"
forensics trust add vn-root/root.pem --state VN --fingerprint "$(fingerprint vn-root/root.pem)" $as_van
forensics trust add th-root/root.pem --state TH --fingerprint "$(fingerprint th-root/root.pem)" $as_van
forensics trust crl th.crl $as_van
cp vn-root/root.pem vn-root.pem; cp th-root/root.pem sender-root.pem; cp th.crl sender.crl
"""
FINGERPRINT = 'fingerprint() { openssl x509 -in "$1" -outform DER | sha256sum | cut -c1-64; }\n'


def blocks(page: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


class World(NamedTuple):
    """A folder with two states in it, and how to run a shell there."""

    folder: Path

    def run(self, script: str, *, path: str | None = None, code: int = 0) -> str:
        environment = {**os.environ, "HOME": str(self.folder), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        environment |= {"PATH": path} if path else {}
        environment.pop("PYTHONWARNINGS", None)
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", script], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def forensics(self, script: str, code: int = 0) -> str:
        return self.run(COMMAND + FINGERPRINT + script, code=code)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """After every command of exchange.md, in its order."""
    evidence = Path(os.environ.get("FORENSICS_EVIDENCE") or ROOT.parent / "shared" / "evidence")
    if not evidence.is_dir():
        pytest.skip(f"no test evidence at {evidence}: set FORENSICS_EVIDENCE")
    made = World(tmp_path_factory.mktemp("world"))
    for name in ("root", "ana", "ben", "van"):
        (made.folder / f"{name}.pass").write_text(f"the passphrase of {name}\n")
        (made.folder / f"{name}.pass").chmod(0o600)
    identities, trust, sealing, preview, disclosing, receiving, receipt = blocks("exchange.md")
    made.forensics(identities)
    made.forensics(PARTNER)
    (made.folder / "fingerprints").write_text(
        'TH_ROOT="$(fingerprint th-root/root.pem)"; VN_ROOT="$(fingerprint vn-root/root.pem)"; ANA="$(fingerprint ana/certificate.pem)"\n'
        f"VAN_CARD={json.loads((made.folder / 'van.card').read_text())['card']['fingerprint']}\n"
    )
    made.forensics(f". ./fingerprints\n{trust}")
    image = evidence / "cases" / "winbox-a.E01"
    made.forensics(f'forensics process "{image}" --case th-case --no-input --by "Ana Examiner" {CASE} {EXHIBIT}', code=3)
    # more than the page confirms, so that most is withheld
    made.forensics('forensics review confirm kind=url kind=e-mail --case th-case --by "Ana Examiner" --yes')
    made.forensics(sealing)
    assert "leaves:" in made.forensics(preview)
    assert not list((made.folder / "th-case" / "packages").iterdir())
    made.forensics(disclosing)
    shutil.copy(made.folder / "th-case" / "packages" / "TH-2026-17-D1.tar.age", made.folder)
    made.forensics('forensics case new --case vn-case --no-input --case-id VN-9 --by "Van Officer"')
    (made.folder / "vn-case.before").write_text(made.forensics(receiving))
    made.forensics(receipt)
    yield made


def test_the_pages_commands_work_in_their_order(world: World) -> None:
    assert "good: every check passed" in (world.folder / "vn-case.before").read_text()
    said = [json.loads(line) for line in (world.folder / "th-case" / "custody.jsonl").read_text().splitlines()]
    assert [line["event"] for line in said if line["event"] in ("disclosed", "receipted")] == ["disclosed", "receipted"]
    assert [json.loads(line)["event"] for line in (world.folder / "vn-case" / "custody.jsonl").read_text().splitlines()][:2] == [
        "created",
        "received",
    ]


def test_the_receivers_records_are_what_the_sender_confirmed(world: World) -> None:
    """Every photo, with its summary and place, and nothing of the addresses that were sealed beside them."""
    case = open_case(world.folder / "th-case")
    with index.open_index(case.index_path) as found:
        photos = sorted((record.location, record.finding.summary) for record in found.records(kind="photo"))
        others = [record.finding.summary for kind in ("url", "e-mail") for record in found.records(kind=kind)]
    received = [json.loads(line) for line in world.forensics("forensics received records TH-2026-17-D1 --case vn-case --json").splitlines()]
    text = json.dumps(received)
    assert len(photos) == 6 and len(others) > 20
    for location, summary in photos:
        assert json.dumps(location)[1:-1] in text and json.dumps(summary)[1:-1] in text
    assert not any(json.dumps(summary)[1:-1] in text for summary in others if "://" in summary)


def tools(world: World, *more: str) -> str:
    """A path with the programs of the receiving officer's page, and no Python."""
    folder = world.folder / "programs"
    folder.mkdir(exist_ok=True)
    names = (
        "age",
        "openssl",
        "tar",
        "sha256sum",
        "grep",
        "ls",
        "wc",
        "seq",
        "cut",
        "head",
        "mkdir",
        "cp",
        "gzip",
        "cat",
        "sort",
        "pdfsig",
        *more,
    )
    for name in names:
        found = shutil.which(name)
        assert found, f"{name} is not installed"
        if not (folder / name).exists():
            (folder / name).symlink_to(found)
    return str(folder)


def test_the_receiving_officer_proves_it_with_age_openssl_and_sha256sum_alone(world: World) -> None:
    fingerprint, one_command, decrypt, pinned, manifests, seal, count, chain, answer = blocks("receiving.md")
    (world.folder / "hand").mkdir()
    copied = "cd hand; cp ../sender-root.pem ../sender.crl ../my.agekey .; cp ../TH-2026-17-D1.tar.age PACKAGE.tar.age\n"
    steps = [fingerprint, decrypt, "cd TH-2026-17-D1\n", pinned, manifests, "cd data\n", seal, count, chain]
    said = world.run(copied + "".join(steps) + "pdfsig report.pdf\ncd ../..\n" + answer, path=tools(world))
    disclosure = json.loads((world.folder / "hand" / "TH-2026-17-D1" / "data" / "disclosure.json").read_text())
    assert f"chain holds, head {disclosure['custody']['head']}" in said
    assert "Signature is Valid" in said
    assert all(name in said for name in ("CN = Ana Examiner", "CN = Ben"))
    total = int(re.search(r"# records: (\d+)", said)[1])  # type: ignore[index]
    assert (total - disclosure["withheld"], disclosure["withheld"] > 20) == (len(disclosure["records"]), True)
    assert "python" not in one_command.replace("python3 verify.pyz", "")


def test_one_command_without_our_package_says_the_same(world: World) -> None:
    subprocess.run(["make", "-s", "-C", str(ROOT), "verify.pyz"], check=True, capture_output=True)
    shutil.copy(ROOT / "dist" / "verify.pyz", world.folder)
    _, one_command, *_ = blocks("receiving.md")
    shutil.copy(world.folder / "TH-2026-17-D1.tar.age", world.folder / "PACKAGE.tar.age")
    said = world.run(f'python3() {{ "{sys.executable}" -I "$@"; }}\n{one_command}')
    assert said.rstrip().endswith("good: every check passed")
    assert (world.folder / "package" / "data" / "seal.sha256").is_file()
    changed = bytearray((world.folder / "PACKAGE.tar.age").read_bytes())
    changed[len(changed) // 2] ^= 1
    (world.folder / "PACKAGE.tar.age").write_bytes(changed)
    shutil.rmtree(world.folder / "package")
    said = world.run(f'python3() {{ "{sys.executable}" -I "$@"; }}\n{one_command}', code=1)
    assert said.rstrip().endswith("REFUSED: do not use this package")
    assert not (world.folder / "package").exists()


def test_the_security_reviewers_commands_work(world: World) -> None:
    [looking] = blocks("security.md")
    world.run("mkdir -p look; cd look; age -d -i ../my.agekey ../TH-2026-17-D1.tar.age | tar -x; cd ..; cp -r look/TH-2026-17-D1 .")
    said = world.forensics(looking.replace("| head -40", "| cat").replace("| head -60", "| cat"))
    assert "id-smime-aa-signingCertificateV2" in said and '"good":true' in said


def test_the_disclosure_states_twenty_of_all_by_a_list_of_ids(world: World) -> None:
    case = open_case(world.folder / "th-case")
    with index.open_index(case.index_path) as found:
        ids = [record.id for kind in ("photo", "url", "e-mail") for record in found.records(kind=kind)][:20]
    (world.folder / "ids").write_text("\n".join(ids))
    world.forensics(
        "forensics disclose --case th-case --to VN --to-authority Immigration --records ids --purpose leads --onward none "
        "--expires 2031-06-30 --protection-check none --protection-checked-by Ploy "
        "--identity ana --trust ana-trust --passphrase-file ana.pass\n"
        "forensics approve TH-2026-17-D2 --case th-case --identity ben --trust ben-trust --passphrase-file ben.pass\n"
        "forensics verify th-case/packages/TH-2026-17-D2.tar.age --identity van --trust van-trust --passphrase-file van.pass --json "
        "> verdict\n"
    )
    last = json.loads((world.folder / "verdict").read_text().splitlines()[-1])
    assert last["good"]
    world.run("mkdir two; cd two; age -d -i ../my.agekey ../th-case/packages/TH-2026-17-D2.tar.age | tar -x")
    records = [json.loads(path.read_bytes()) for path in (world.folder / "two" / "TH-2026-17-D2" / "data" / "records").iterdir()]
    assert sum(1 for record in records if record["type"] == "finding") == 20


def test_a_log_that_was_cut_is_found_by_what_the_partner_holds(world: World) -> None:
    cut = world.folder / "cut"
    shutil.copytree(world.folder / "th-case", cut)
    lines = (cut / "custody.jsonl").read_bytes().splitlines(keepends=True)
    for each in (cut / "custody" / "checkpoints").iterdir():
        each.unlink()
    (cut / "custody.jsonl").write_bytes(b"".join(lines[:5]))
    world.run("mkdir -p held; cd held; age -d -i ../my.agekey ../TH-2026-17-D1.tar.age | tar -x")
    held = world.folder / "held" / "TH-2026-17-D1" / "data" / "custody.jsonl"
    world.forensics(f"forensics custody verify --case cut --trust ana-trust --identity ana --against {held}", code=1)
