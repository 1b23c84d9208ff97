"""What sealing, disclosing and verifying cost.

    make exchange-costs [RECORDS=100000] [SENT=1000]

Makes a case of so many records (addresses in text files), confirms all of them, seals, discloses some, approves, verifies with the command
and with verify.pyz, each a process of its own, and writes the table into docs/benchmarks.md.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import measure
import table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
TITLES = ("step", "wall s", "CPU s", "largest process MB", "made MB")
IN_A_FILE = 100
PARTIES = (("TH", "ana"), ("TH", "ben"), ("VN", "van"))


def forensics(*words: str) -> list[str]:
    return [sys.executable, "-m", "forensics", *words]


def quietly(*words: str, codes: Sequence[int] = (0,)) -> str:
    done = subprocess.run(forensics(*words), capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise SystemExit(f"exchange: {' '.join(words)}: {done.stderr}")
    return done.stdout


def parties() -> None:
    """Two states, three officers, and what each trusts; in the current folder."""
    descriptor = os.open("pass", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, b"a passphrase of the benchmark\n")
    os.close(descriptor)
    secret = ("--passphrase-file", "pass")
    for state in ("TH", "VN"):
        quietly(
            "identity", "new", "--authority", f"{state}-root", "--name", f"{state} Root", "--country", state, "--organisation", "I", *secret
        )
    for state, name in PARTIES:
        quietly("identity", "new", "--identity", name, "--name", name.title(), "--country", state, "--organisation", "I", *secret)
        issue = ("identity", "issue", f"{name}/request.pem", "--authority", f"{state}-root", "--yes", "--output", f"{name}.crt", *secret)
        quietly(*issue)
        quietly("identity", "install", f"{name}.crt", "--identity", name, *secret)
        quietly("identity", "export", "--identity", name, "--output", f"{name}.card", "--age-key", f"{name}.agekey", *secret)
    for _, name in PARTIES:
        mine = ("--trust", f"{name}-trust", "--identity", name, *secret)
        for state in ("TH", "VN"):
            der = subprocess.run(["openssl", "x509", "-in", f"{state}-root/root.pem", "-outform", "DER"], capture_output=True, check=True)
            digest = subprocess.run(["sha256sum"], input=der.stdout, capture_output=True, check=True).stdout.split()[0].decode()
            quietly("trust", "add", f"{state}-root/root.pem", "--state", state, "--fingerprint", digest, *mine)
        card = json.loads(Path("van.card").read_bytes())["card"]["fingerprint"]
        quietly("trust", "add", "van.card", "--state", "VN", "--fingerprint", card, *mine)


def case_of(records: int) -> None:
    """A case that holds so many records, each an address in a file."""
    exhibit = Path("exhibit")
    exhibit.mkdir()
    for number in range(0, records, IN_A_FILE):
        lines = (f"write to person{each}@host{each % 977}.example.org" for each in range(number, min(number + IN_A_FILE, records)))
        (exhibit / f"{number:08d}.txt").write_text("\n".join(lines))
    given = [
        *("--case-id", "B-1", "--agency", "A", "--officer-in-charge", "O", "--offence-or-purpose", "P", "--retention-until", "2099-01-01"),
        *("--requested-questions", "Q", "--authority-type", "warrant", "--authority-id", "W", "--authority-scope-text", "all"),
    ]
    for name, value in {
        "kind": "storage", "description": "d", "condition-text": "c", "seal-no": "s", "owner-role": "unknown",
        "power-state-on-receipt": "off", "seized-at": "2026-01-01T00:00:00Z", "seized-place": "p", "seized-by": "b",
        "seizure-authority": "W", "acquisition-type": "logical",
        "acquisition-tool": "t", "acquisition-tool-version": "1", "acquisition-tool-sha256": "ab" * 32,
        "acquired-at": "2026-01-01T00:00:00Z",
        "acquisition-ended-at": "2026-01-01T01:00:00Z", "acquired-by": "b", "changes-made-to-original": "none", "write-blocker": "w",
    }.items():  # fmt: skip
        given += [f"--exhibit-{name}", value]
    quietly("process", "exhibit", "--case", "case", "--no-input", "--by", "Ana", "--plugin", "features", *given)


def steps(sent: int) -> Iterator[tuple[str, list[str], Path]]:
    """Each step: its name, its command, what it makes."""
    secret = ("--passphrase-file", "pass")
    ana, ben, van = ((*("--identity", name, "--trust", f"{name}-trust"), *secret) for _, name in PARTIES)
    yield "confirm all", forensics("review", "confirm", "all", "--case", "case", "--by", "Ana", "--yes"), Path("case/custody")
    yield "seal", forensics("seal", "--case", "case", "--identity", "ana", *secret), Path("case/seals")
    found = quietly("review", "list", "all", "--case", "case", "--json")
    ids = [json.loads(line).get("id") or json.loads(line)["record"]["id"] for line in found.splitlines()[:sent]]
    Path("ids").write_text("\n".join(ids))
    terms = ("--to", "VN", "--to-authority", "I", "--records", "ids", "--purpose", "P", "--onward", "none", "--expires", "2099-01-01")
    checked = ("--protection-check", "none", "--protection-checked-by", "B")
    yield f"disclose {sent:,}", forensics("disclose", "--case", "case", *terms, *checked, *ana), Path("case/packages")
    yield "approve", forensics("approve", "B-1-D1", "--case", "case", *ben), Path("case/packages")
    package = "case/packages/B-1-D1.tar.age"
    yield "verify", forensics("verify", package, *van), Path(package)
    subprocess.run(["make", "-s", "-C", str(ROOT), "verify.pyz"], check=True, capture_output=True)
    program = str(ROOT / "dist" / "verify.pyz")
    yield "verify.pyz", [sys.executable, "-I", program, package, "--age-key", "van.agekey", "--root", "TH-root/root.pem"], Path(package)


def size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def main(work: Path, records: int, sent: int, page: Path | None) -> int:
    work.mkdir(parents=True)
    os.chdir(work)
    parties()
    case_of(records)
    rows: list[list[str]] = []
    for name, command, made in steps(sent):
        before = size_of(made) if made.exists() else 0
        used = measure.run(command, log=Path("log"))
        if used.code:
            raise SystemExit(f"exchange: {name} ended with {used.code}; see {work / 'log'}")
        grown = size_of(made) - (0 if made.is_file() else before)
        largest = max(used.parent, used.child) / 1e6
        rows.append([name, f"{used.wall:.2f}", f"{used.cpu:.2f}", f"{largest:.0f}", f"{grown / 1e6:.1f}"])
        print("  ".join(rows[-1]), file=sys.stderr)
    said = f"{datetime.now(UTC):%Y-%m-%d}. Made by `make exchange-costs RECORDS={records} SENT={sent}`.\n"
    text = "\n".join([said, *(f"- {line}" for line in table.machine()[:2]), "", table.markdown(TITLES, rows)]) + "\n"
    print(text)
    if page:
        table.between(page, "exchange", text)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="a new folder for everything that is made")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--sent", type=int, default=1_000)
    parser.add_argument("--no-page", action="store_true", help="print only, and leave docs/benchmarks.md as it is")
    given = parser.parse_args()
    sys.exit(main(given.work.absolute(), given.records, given.sent, None if given.no_page else PAGE))
