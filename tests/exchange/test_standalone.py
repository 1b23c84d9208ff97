"""``verify.pyz`` is the standard library, `openssl` and `age` alone, and refuses what the installed `verify` refuses, and why."""

import ast
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

sys.path.insert(0, str(Path(__file__).parent))
import packages
from packages import Made, World, build, officer, root, sign, stamp
from parties import Office, record

from forensics.exchange.standalone import der, seal
from forensics.exchange.standalone.refusal import Refused

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("FORENSICS_SEED", "1"))
WORLD = World()
AUTHORITY = officer(WORLD.root, "Stamps", purpose=ExtendedKeyUsageOID.TIME_STAMPING)
REVOKED = officer(WORLD.root, "Revoked")
SERVER = officer(WORLD.root, "Server", purpose=ExtendedKeyUsageOID.SERVER_AUTH)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``verify.pyz`` as `make` builds it, elsewhere than the checkout."""
    folder = tmp_path_factory.mktemp("pyz")
    subprocess.run(["make", "-s", "verify.pyz", f"VERIFY={folder}"], cwd=ROOT, check=True, capture_output=True)
    return folder / "verify.pyz"


def run(program: Path, package: Path, folder: Path, *more: str, world: World = WORLD) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and lines, with nothing of Python's but the standard library (-I: no user site, no variables; -S: no site-packages)."""
    (folder / "root.pem").write_bytes(world.root.pem)
    (folder / "list.crl").write_bytes(packages.crl(world.root, [REVOKED]))
    command = [sys.executable, "-I", "-S", str(program), str(package), "--age-key", str(packages.key_file(world, folder / "key"))]
    command += ["--root", str(folder / "root.pem"), "--crl", str(folder / "list.crl"), "--json", *more]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_it_imports_the_standard_library_alone() -> None:
    for path in sorted((ROOT / "forensics/exchange/standalone").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names.append(node.module or "")
            assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names, path.name


# What Python 3.9 has not, of what the newer ones brought: names in modules, methods, keywords of functions.
NEWER = {
    "UTC",
    "file_digest",
    "bit_count",
    "pairwise",
    "batched",
    "StrEnum",
    "tomllib",
    "Self",
    "TypeAlias",
    "TypeGuard",
    "add_note",
    "anext",
}
NEWER_KEYWORDS = {("zip", "strict"), ("dataclass", "slots"), ("dataclass", "kw_only"), ("glob", "root_dir"), ("bisect", "key")}


def _newer(text: str) -> list[str]:
    """What this source uses that Python 3.9 has not."""
    try:
        tree = ast.parse(text, feature_version=(3, 9))
    except SyntaxError as error:
        return [str(error)]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in NEWER and not (isinstance(node.value, ast.Name) and node.value.id == "der"):
            found.append(node.attr)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found += [alias.name for alias in node.names if not getattr(node, "level", 0) and alias.name in NEWER]
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            found += [f"{name}({each.arg}=)" for each in node.keywords if (name, each.arg) in NEWER_KEYWORDS]
            types = node.args[1] if name in ("isinstance", "issubclass") else None
            found += [f"{name}(X | Y)"] if isinstance(types, ast.BinOp) else []
    annotated = any(
        isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant) and node.right.value is None for node in ast.walk(tree)
    )
    if annotated and "from __future__ import annotations\n" not in text:
        found.append("X | None, evaluated")
    return found


def test_it_uses_nothing_that_python_3_9_has_not() -> None:
    for path in sorted((ROOT / "forensics/exchange/standalone").glob("*.py")):
        assert _newer(path.read_text()) == [], path.name


@pytest.mark.parametrize(
    "text",
    [
        "datetime.datetime.now(datetime.UTC)",
        "from datetime import UTC",
        "zip(a, b, strict=True)",
        "hashlib.file_digest(file, 'sha256')",
        "isinstance(a, int | str)",
        "def f(a: int | None): ...",
        "match a:\n    case 1:\n        pass",
    ],
)
def test_that_check_knows_what_is_newer(text: str) -> None:
    assert _newer(text) != []


def test_a_damaged_revocation_list_is_wrong_use_and_is_named_before_anything_is_decrypted(program: Path, tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(WORLD.root.pem)
    whole = packages.crl(WORLD.root, [REVOKED])
    for number, content in enumerate((b"", whole[:-1], b"-----BEGIN X509 CRL-----\n", b"\x30\x00", bytes((0x30, len(whole)))), 1):
        (tmp_path / f"{number}.crl").write_bytes(content)
        command = [sys.executable, "-I", "-S", str(program), str(program), "--age-key", str(program)]
        command += ["--root", str(tmp_path / "root.pem"), "--crl", str(tmp_path / f"{number}.crl")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{number}.crl: not a revocation list in PEM or DER" in done.stderr


@pytest.mark.parametrize("kind", [[], {}, None, 1, "else"])
def test_a_sealed_record_whose_type_is_no_word_of_the_list_is_refused(tmp_path: Path, kind: object) -> None:
    name, data = "0" * 32, packages.canonical({"format": "forensics-record/1", "salt": "0" * 32, "type": kind})
    packages.write({f"data/records/{name}.json": data}, tmp_path)
    with pytest.raises(Refused) as caught:
        list(seal.records(tmp_path, seal.Seal("A-1", "S-1", "", 1, "", {name: packages.sha256(data)}), [f"data/records/{name}.json"]))
    assert caught.value.reason == "record-form"


@pytest.mark.parametrize(
    "options",
    [{}, {"disclosed": 2}, {"stamping": AUTHORITY}, {"lines": 1, "checkpoint": False}, {"reports": False, "case": "Крым 7"}],
    ids=lambda options: "-".join(options) or "plain",
)
def test_a_good_package_verifies(program: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    made = build(WORLD, **options)
    (tmp_path / "tsa.pem").write_bytes(WORLD.root.pem)
    code, lines = run(
        program, made.encrypted(tmp_path / "p.tar.age"), tmp_path, "--stamp-root", str(tmp_path / "tsa.pem"), "--keep", "kept"
    )
    assert [line for line in lines if not line["passed"] or line["warnings"]] == []
    assert code == 0
    assert [line["name"] for line in lines] == ["encryption", "archive", "bag", "signatures", "seal", "records", "custody", "disclosure"]
    kept = tmp_path / "kept"
    assert {path.relative_to(kept).as_posix(): path.read_bytes() for path in kept.rglob("*") if path.is_file()} == made.files


def _changed(name: str, old: bytes, new: bytes) -> Callable[[Made], object]:
    def change(made: Made) -> None:
        path = next(path for path in sorted(made.files) if path.startswith(name) and old in made.files[path])
        made.files[path] = made.files[path].replace(old, new)

    return change


def _said(**fields: object) -> Callable[[Made], object]:
    def change(made: Made) -> None:
        made.disclosure.update(fields)
        made.finish()

    return change


BAD: dict[str, tuple[Callable[[Made], object], str, str]] = {
    "report changed": (_changed("data/report.html", b"report", b"rumour"), "bag", "digest"),
    "file taken out": (lambda made: made.files.pop("data/report.html"), "bag", "missing"),
    "file added": (lambda made: made.files.update({f"data/records/{'0' * 32}.json": b"{}"}), "bag", "unlisted"),
    "tag manifest changed": (_changed("tagmanifest-sha256.txt", b"\n", b"\n\n"), "bag", "manifest"),
    "record changed and signed": (
        lambda made: (_changed("data/records", b"photograph 1", b"photograph 2")(made), made.finish()), "records", "record-changed"
    ),
    "log changed and signed": (
        lambda made: (_changed("data/custody.jsonl", b"08:01", b"07:01")(made), made.finish()), "custody", "custody-chain"
    ),
    "one signature": (lambda made: made.finish(WORLD.author), "signatures", "signers"),
    "one key": (lambda made: made.finish(WORLD.author, officer(WORLD.root, "Same", key=WORLD.author.key)), "signatures", "signers"),
    "expired": (lambda made: made.finish(officer(WORLD.root, "Old", days=(-300, -1)), WORLD.approver), "signatures", "expired"),
    "not valid yet": (lambda made: made.finish(officer(WORLD.root, "New", days=(1, 9)), WORLD.approver), "signatures", "not-yet-valid"),
    "revoked": (lambda made: made.finish(REVOKED, WORLD.approver), "signatures", "revoked"),
    "purpose": (lambda made: made.finish(SERVER, WORLD.approver), "signatures", "purpose"),
    "self-signed": (lambda made: made.finish(officer(None, "Alone"), WORLD.approver), "signatures", "self-signed"),
    "not pinned": (lambda made: made.finish(officer(root("TH"), "Other"), WORLD.approver), "signatures", "unpinned"),
    "seal by a stranger": (lambda made: made.sign_seal(officer(root("TH"), "Other")).finish(), "seal", "unpinned"),
    "state": (lambda made: (made.disclosure["from"].update(state="MY"), made.finish()), "disclosure", "state"),
    "author": (_said(author="0" * 64), "disclosure", "signers"),
    "recipient": (lambda made: (made.disclosure["to"].update(recipients=["0" * 64]), made.finish()), "disclosure", "recipient"),
    "withheld": (_said(withheld=3), "disclosure", "disclosure-inconsistent"),
    "signature of something else": (
        lambda made: made.files.update({"tagmanifest-sha256.txt.p7s": sign(b"else", WORLD.author, WORLD.approver)}), "signatures", "changed"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "check", "reason"), BAD.values(), ids=list(BAD))
def test_a_bad_package_is_refused_with_its_reason(
    program: Path, tmp_path: Path, change: Callable[[Made], object], check: str, reason: str
) -> None:
    made = build(WORLD)
    change(made)
    code, lines = run(program, made.encrypted(tmp_path / "p.tar.age"), tmp_path, "--keep", "kept")
    failed = next(line for line in lines if not line["passed"])
    assert (code, failed["name"], failed["reason"]) == (1, check, reason), failed["detail"]
    assert not (tmp_path / "kept").exists()


def test_an_old_time_stamp_is_refused_and_one_that_cannot_be_checked_is_a_warning(program: Path, tmp_path: Path) -> None:
    made = build(WORLD, stamping=AUTHORITY)
    made.files["data/seal.sha256.p7s.tsr"] = stamp(b"an older signature", AUTHORITY)
    package = made.finish().encrypted(tmp_path / "p.tar.age")
    (tmp_path / "tsa.pem").write_bytes(WORLD.root.pem)
    code, lines = run(program, package, tmp_path, "--stamp-root", str(tmp_path / "tsa.pem"))
    assert (code, next(line for line in lines if not line["passed"])["reason"]) == (1, "stamp")
    code, lines = run(program, package, tmp_path)
    assert (code, next(line for line in lines if not line["passed"])["reason"]) == (1, "stamp")
    code, lines = run(program, build(WORLD, stamping=AUTHORITY).encrypted(tmp_path / "q.tar.age"), tmp_path)
    assert code == 0
    assert any("time stamp was not checked" in warning for line in lines for warning in line["warnings"])


def test_a_key_that_does_not_open_it_is_refused(program: Path, tmp_path: Path) -> None:
    package = build(WORLD).encrypted(tmp_path / "p.tar.age")
    code, lines = run(program, package, tmp_path, world=World(root=WORLD.root))
    assert (code, lines[0]["reason"], lines[1]["reason"]) == (1, "encryption", "not-checked")


def test_wrong_use_is_exit_code_two(program: Path, tmp_path: Path) -> None:
    for arguments in ([], ["x"], [str(program), "--age-key", str(program), "--root", str(program)]):
        done = subprocess.run([sys.executable, "-I", "-S", str(program), *arguments], capture_output=True, cwd=tmp_path, check=False)
        assert done.returncode == 2


def test_the_same_sources_give_the_same_program(program: Path, tmp_path: Path) -> None:
    subprocess.run(["make", "-s", "verify.pyz", f"VERIFY={tmp_path}"], cwd=ROOT, check=True, capture_output=True, umask=0o077)
    assert (tmp_path / "verify.pyz").read_bytes() == program.read_bytes()


def test_every_changed_byte_of_a_signature_file_is_refused_by_its_form_or_by_openssl(tmp_path: Path) -> None:
    """OpenSSL 3.0 alone accepts changes of what nobody signed; the form is checked before it is asked."""
    signature = sign(b"content", WORLD.author, WORLD.approver)
    (tmp_path / "content").write_bytes(b"content")
    (tmp_path / "root.pem").write_bytes(WORLD.root.pem)
    rng = random.Random(SEED)
    passed = []
    for at in range(len(signature)):
        data = signature[:at] + bytes((signature[at] ^ rng.randrange(1, 256),)) + signature[at + 1 :]
        try:
            parts = der.read(data, "it")
        except Refused:
            continue
        if all(part.is_over(b"content") for part in parts):
            passed.append((at, data))
    assert passed  # what is inside a certificate or a signature's number is for openssl to refuse
    for at, data in rng.sample(passed, min(len(passed), 60)):
        (tmp_path / "p7s").write_bytes(data)
        command = [
            "openssl",
            "cms",
            "-verify",
            "-cades",
            "-binary",
            "-inform",
            "DER",
            "-in",
            "p7s",
            "-content",
            "content",
            "-CAfile",
            "root.pem",
        ]
        done = subprocess.run([*command, "-out", "/dev/null"], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode, f"seed {SEED}: byte {at}"


def test_a_package_of_the_tool_itself_verifies(program: Path, tmp_path: Path) -> None:
    office = Office(tmp_path, [record(1), record(2), record(3)])
    office.seal()
    package = office.send(office.plan(records=office.records[:2]))
    (tmp_path / "age.key").write_text(f"{office.partner}\n")
    (tmp_path / "root.pem").write_bytes(office.state.root.public_bytes(packages.Encoding.PEM))
    command = [
        sys.executable,
        "-I",
        "-S",
        str(program),
        str(package),
        "--age-key",
        str(tmp_path / "age.key"),
        "--root",
        str(tmp_path / "root.pem"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "good: every check passed", done.stdout
    assert done.returncode == 0
