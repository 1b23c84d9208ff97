"""`seal`, `disclose` and `approve` as people use them, with identities and trust lists of the tool's own; the PDF in the package."""

import hashlib
import json
import re
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics.cli import cli
from forensics.errors import ForensicsError

FACTS = (
    "--kind phone --description phone --condition-text whole --seal-no 7 --owner-role holder --power-state-on-receipt off "
    "--seized-at 2026-11-02T10:00+07:00 --seized-place Batam --seized-by Dewi --seizure-authority W-9 --acquisition-type physical "
    "--acquisition-tool dd --acquisition-tool-version 9 --acquired-at 2026-11-02T12:00+07:00 --acquired-by Budi --write-blocker T8u "
    f"--acquisition-ended-at 2026-11-02T13:00+07:00 --changes-made-to-original unknown --acquisition-tool-sha256 {'a' * 64}"
).split()  # fmt: skip
CASE = [
    *("--case-id", "A-1", "--agency", "Imigrasi", "--officer-in-charge", "Dewi", "--offence-or-purpose", "smuggling"),
    *("--retention-until", "2036-01-01", "--requested-questions", "route"),
    *("--authority-type", "warrant", "--authority-id", "W-9", "--authority-scope-text", "phone"),
]
TERMS = [
    *("--to", "VN", "--to-authority", "Immigration", "--purpose", "route", "--onward", "none"),
    *("--expires", "2090-11-01", "--protection-checked-by", "Sari"),
]


class Desk:
    """A folder with passphrase, state authorities and officers; commands are run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.case = folder / "case"
        (folder / "pass").write_text("correct horse battery\n")
        (folder / "pass").chmod(0o600)

    def run(self, *arguments: object) -> str:
        result = CliRunner().invoke(cli, [str(each) for each in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    def sign(self, *arguments: object, by: str) -> str:
        named = ["--identity", self.folder / by, "--passphrase-file", self.folder / "pass"]
        return self.run(*arguments, *named)

    def officer(self, name: str, state: str) -> str:
        authority = self.folder / f"authority-{state}"
        secret = ["--passphrase-file", self.folder / "pass"]
        if not authority.exists():
            self.run("identity", "new", "--authority", authority, "--name", f"{state} root", "--country", state, *secret)
        self.sign("identity", "new", "--name", name, "--country", state, "--organisation", "Imigrasi", by=name)
        made = self.folder / f"{name}.pem"
        self.run("identity", "issue", self.folder / name / "request.pem", "--authority", authority, "--output", made, "--yes", *secret)
        self.sign("identity", "install", made, by=name)
        return name

    def trusts(self, name: str, partner: str, state: str) -> None:
        card = self.folder / f"{partner}.card"
        if not card.exists():
            self.sign("identity", "export", "--output", card, by=partner)
        for file, source in ((self.folder / f"authority-{state}" / "root.pem", None), (card, self.folder / partner / "certificate.pem")):
            der = subprocess.run(["openssl", "x509", "-in", source or file, "-outform", "DER"], capture_output=True, check=True).stdout
            given = ["--state", state, "--fingerprint", hashlib.sha256(der).hexdigest(), "--trust", self.folder / f"trust-{name}"]
            self.sign("trust", "add", file, *given, by=name)

    def disclose(self, *more: str) -> str:
        given = ["--case", self.case, "--records", "path=**/note1.txt path=**/note2.txt", *TERMS, "--trust", self.folder / "trust-sari"]
        return self.sign("disclose", *given, *more, by="sari")

    def approve(self, by: str, *more: str) -> str:
        return self.sign("approve", "A-1-D1", "--case", self.case, "--trust", self.folder / f"trust-{by}", *more, by=by)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    made = Desk(tmp_path_factory.mktemp("desk"))
    phone = made.folder / "phone"
    phone.mkdir()
    for number in range(1, 5):
        (phone / f"note{number}.txt").write_text(f"Write to aye{number}@example.org or ring +62 812 3456 789{number} {number}\n")
    for name, state in (("budi", "ID"), ("sari", "ID"), ("wayan", "ID"), ("lan", "VN")):
        made.officer(name, state)
    for name in ("sari", "wayan"):
        made.trusts(name, "lan", "VN")
    made.run("case", "new", "--case", made.case, "--by", "Budi", "--no-input", *CASE)
    made.run("exhibit", "add", phone, "--case", made.case, "--by", "Budi", "--no-input", *FACTS)
    made.run("examine", "--case", made.case, "--by", "Budi")
    made.run("review", "confirm", "path=**/note*.txt", "--case", made.case, "--by", "Budi", "--yes")
    return made


def test_seal_dry_run_disclose_approve(desk: Desk) -> None:
    assert desk.sign("seal", "--case", desk.case, by="budi").startswith("S-1: 15 records sealed by budi")
    shown = desk.disclose("--dry-run")
    assert "aye1@example.org" in shown
    assert "aye3@example.org" not in shown
    assert "leaves: 9 of 15 sealed records; withheld: 6" in shown
    assert not list((desk.case / "packages").iterdir())
    with pytest.raises(ForensicsError, match="asylum"):
        desk.disclose()
    assert "A-1-D1: drafted" in desk.disclose("--protection-check", "nobody", "--caveat", "eyes only", "--lang", "en", "--lang", "id")
    with pytest.raises(ForensicsError, match="second person"):
        desk.approve("sari")
    shown = desk.approve("wayan", "--dry-run")
    assert "aye1@example.org" in shown
    for name, value in (
        *(("purpose", "route"), ("onward", "none"), ("use", "intelligence"), ("expires", "2090-11-01"), ("tlp", "TLP:AMBER+STRICT")),
        *(("to", "Immigration (VN)"), ("from", "Imigrasi (ID), sari"), ("caveat", "eyes only"), ("on-expiry", "destroy")),
        *(("protection-checked-by", "Sari"), ("protection-check (for the house alone)", "nobody"), ("report in", "en, id")),
    ):
        assert re.search(rf"(?m)^. {re.escape(name)} +. {re.escape(value)} +.$", shown), name
    told = json.loads(desk.approve("wayan", "--dry-run", "--json"))
    assert (told["disclosure"]["purpose"], told["terms"]["checked"]) == ("route", "nobody")
    assert "signed by two officers" in desk.approve("wayan")
    assert [path.name for path in (desk.case / "packages").iterdir()] == ["A-1-D1.tar.age"]
    assert "the chain holds" in desk.run("custody", "verify", "--case", desk.case)

    desk.sign("identity", "export", "--age-key", desk.folder / "lan.key", "--output", desk.folder / "again.card", by="lan")
    package = desk.case / "packages" / "A-1-D1.tar.age"
    tar = subprocess.run(["age", "-d", "-i", desk.folder / "lan.key", package], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(tar)) as opened:
        opened.extractall(desk.folder / "vn", filter="data")
    top = desk.folder / "vn" / "A-1-D1"
    root = desk.folder / "authority-ID" / "root.pem"
    for name, folder, signers in (("tagmanifest-sha256.txt", top, 2), ("seal.sha256", top / "data", 1)):
        given = ["-binary", "-inform", "DER", "-in", f"{name}.p7s", "-content", name, "-CAfile", root, "-signer", "/dev/stdout"]
        command = ["openssl", "cms", "-verify", "-cades", *given, "-out", "/dev/null"]
        found = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
        assert found.count("BEGIN CERTIFICATE") == signers
    assert (top / "data/custody/checkpoints").is_dir()

    signed = subprocess.run(["pdfsig", "-nocert", top / "data/report.pdf"], capture_output=True, text=True, check=True).stdout
    assert "Signature is Valid" in signed
    assert "Total document signed" in signed
    assert "CN=sari" in signed
    text = subprocess.run(["pdftotext", top / "data/report.pdf", "-"], capture_output=True, text=True, check=True).stdout
    for word in ("aye1@example.org", "+6281234567892", "intelligence only", "TLP:AMBER+STRICT"):
        assert word in text
    assert re.search(r"Withheld\s+6\b", text)
    signed = subprocess.run(["pdfsig", "-nocert", top / "data/report.id.pdf"], capture_output=True, text=True, check=True).stdout
    assert "Signature is Valid" in signed
    theirs = (top / "data/report.id.html").read_text()
    assert '<html lang="id">' in theirs
    assert "hanya sebagai informasi intelijen" in theirs
    assert "aye1@example.org" in theirs
    for word in ("aye3@example.org", "+6281234567893", "note4"):
        assert word not in text
        assert word not in "".join(path.read_text(errors="replace") for path in top.rglob("*") if path.is_file() and path.suffix != ".pdf")
    said = json.loads((top / "data/disclosure.json").read_bytes())
    assert said["from"] == {"state": "ID", "agency": "Imigrasi", "officer": "sari"}


def test_a_file_of_ids_chooses_and_an_unknown_id_is_named(desk: Desk, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted"
    wanted.write_text("f" * 64)
    with pytest.raises(ForensicsError, match="ffff"):
        desk.sign("disclose", "--case", desk.case, "--records", wanted, "--to", "VN", "--dry-run", by="sari")
