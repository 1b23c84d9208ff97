"""Names from evidence do no harm, in the report, the listings, the terminal and the log; and bad input is refused in words."""

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from unprivileged import prefix

from forensics import case as cases
from forensics import index

NAMES = [
    b'"><script>alert(1)</script>.jpg'.replace(b"/", b"\xe2\x88\x95"),
    b"two\nlines.txt",
    b"not utf-8 \xff\xfe.txt",
    ("a" + "\u0301" * 100).encode(),
    "\u202egpj.exe".encode(),
    b"=cmd|' !A0",
    b"\x1b[31mred\x1b[0m.txt",
]


def forensics(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "forensics", *arguments], capture_output=True, check=False, timeout=120)


def test_hostile_names_stand_harmlessly_everywhere(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "exhibit")
    os.mkdir(folder)
    for name in NAMES:
        Path(os.fsdecode(os.path.join(folder, name))).write_bytes(b"content of " + name)
    case = tmp_path / "case"
    done = forensics("process", str(tmp_path / "exhibit"), "--case", str(case))
    assert done.returncode == 0, done.stderr
    shown = forensics("search", "txt", "--case", str(case))
    (report,) = (case / "reports").iterdir()
    page = (report / "report.html").read_text(encoding="utf-8")
    listing = (report / "files.csv").read_bytes()
    assert "<script" not in page
    assert b"\x1b" not in shown.stdout + listing + page.encode() + (case / "custody.jsonl").read_bytes()
    assert "\u202e" not in listing.decode("utf-8-sig")
    assert listing.count(b"\r\n") == len(NAMES) + 1  # a header, and a line for every name
    assert rb"not utf-8 \xff\xfe.txt" in listing
    assert b",=cmd" not in listing


def test_a_folder_without_permission_is_a_fault_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "exhibit" / "closed").mkdir(parents=True, mode=0)
    (tmp_path / "exhibit" / "open.txt").write_text("someone@example.org")
    command = [*prefix(), sys.executable, "-m", "forensics", "process", str(tmp_path / "exhibit"), "--case", str(tmp_path / "case")]
    done = subprocess.run(command, capture_output=True, check=False, timeout=240)
    assert done.returncode == 3, done.stderr
    with index.open_index(tmp_path / "case" / "index.db") as found:
        (fault,) = found.faults()
        (record,) = found.records(kind="email")
    assert fault.message == "the folder cannot be read: Permission denied; check the permissions"
    assert record.finding.data["value"] == "someone@example.org"


def test_a_case_in_use_is_refused_naming_its_holder(tmp_path: Path) -> None:
    case = cases.create(tmp_path / "case")
    (tmp_path / "exhibit.txt").write_text("x")
    with case.lock():
        done = forensics("process", str(tmp_path / "exhibit.txt"), "--case", str(tmp_path / "case"))
    assert done.returncode == 1
    assert str(os.getpid()).encode() in done.stderr


def test_a_case_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    case = cases.create(tmp_path / "case")
    settings = case.folder / "case.toml"
    settings.write_text(settings.read_text().replace("format = 2", "format = 99"))
    done = forensics("case", "show", "--case", str(case.folder))
    assert (done.returncode, b"99" in done.stderr) == (1, True)


def test_a_plugin_that_raises_costs_neither_the_file_nor_the_others(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "bad.py").write_text(
        "from forensics.plugin import Finding, extractor\n\n\n"
        "@extractor(version='1')\ndef bad(file):\n    'Raises.'\n"
        "    yield Finding(kind='seen', summary='before')\n    raise RuntimeError('no')\n"
    )
    (tmp_path / "plugins" / "broken.py").write_text("def (")
    (tmp_path / "exhibit.txt").write_text("someone@example.org")
    case = ["--case", str(tmp_path / "case")]
    done = forensics("process", str(tmp_path / "exhibit.txt"), "--plugins", str(tmp_path / "plugins"), *case)
    assert done.returncode == 3
    found = forensics("records", "--json", *case).stdout
    assert b'"kind":"seen"' in found
    assert b"someone@example.org" in found
    why = forensics("why", "--json", "/exhibit.txt", *case).stdout
    assert b"RuntimeError: no" in why


def test_a_plugin_that_kills_its_process_is_named_and_nothing_else_is_lost(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "killer.py").write_text(
        "import ctypes\n\nfrom forensics.plugin import extractor\n\n\n"
        "@extractor(version='1', names=('bad.txt',))\ndef killer(file):\n    'Dies.'\n    yield from ()\n    ctypes.string_at(0)\n"
    )
    (tmp_path / "exhibit").mkdir()
    for name in ("a.txt", "bad.txt", "c.txt"):
        (tmp_path / "exhibit" / name).write_text(f"{name}@example.org")
    case = ["--case", str(tmp_path / "case")]
    done = forensics("process", str(tmp_path / "exhibit"), "--plugins", str(tmp_path / "plugins"), *case)
    assert done.returncode == 3, done.stderr
    why = forensics("why", "--json", "/bad.txt", *case).stdout
    assert b"killed by SIGSEGV" in why
    assert b'"plugin":"killer"' in why
    found = forensics("records", "--kind", "email", "--json", *case).stdout
    assert all(f"{name}@example.org".encode() in found for name in ("a.txt", "bad.txt", "c.txt"))


def test_rules_with_a_syntax_error_are_named_and_the_others_match(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "good.yar").write_text('rule found { strings: $a = "needle" condition: $a }')
    (tmp_path / "rules" / "wrong.yar").write_text("rule wrong { condition: }")
    (tmp_path / "exhibit.txt").write_text("a needle")
    case = ["--case", str(tmp_path / "case")]
    done = forensics("process", str(tmp_path / "exhibit.txt"), "--rules", str(tmp_path / "rules"), *case)
    assert done.returncode == 0, done.stderr
    assert b'"rule":"found"' in forensics("records", "--kind", "rule-match", "--json", *case).stdout
    (report,) = (tmp_path / "case" / "reports").iterdir()
    assert "wrong.yar" in (report / "report.html").read_text(encoding="utf-8")


def test_a_new_plugin_works_as_it_is_written(tmp_path: Path) -> None:
    assert forensics("plugins", "new", "travel-tickets", "--folder", str(tmp_path / "mine")).returncode == 0
    written = (tmp_path / "mine" / "travel_tickets.py").read_text()
    assert len(written.splitlines()) < 25
    (tmp_path / "exhibit.txt").write_text("my passport")
    case = ["--case", str(tmp_path / "case")]
    assert forensics("process", str(tmp_path / "exhibit.txt"), "--plugins", str(tmp_path / "mine"), *case).returncode == 0
    assert b'"kind":"travel-tickets"' in forensics("records", "--json", *case).stdout


def test_thai_words_are_found(tmp_path: Path) -> None:
    (tmp_path / "exhibit").mkdir()
    (tmp_path / "exhibit" / "หนังสือเดินทาง.txt").write_text("x")
    case = ["--case", str(tmp_path / "case")]
    assert forensics("process", str(tmp_path / "exhibit"), *case).returncode == 0
    for word in ("เดินทาง", "สือ", "สื"):
        assert "หนังสือเดินทาง".encode() in forensics("search", word, "--json", *case).stdout


def test_known_good_content_is_skipped_when_asked_for_and_counted(tmp_path: Path) -> None:
    (tmp_path / "exhibit").mkdir()
    (tmp_path / "exhibit" / "known.txt").write_text("known@example.org")
    (tmp_path / "exhibit" / "other.txt").write_text("other@example.org")
    done = subprocess.run(["sha256sum", str(tmp_path / "exhibit" / "known.txt")], capture_output=True, check=True)
    (tmp_path / "good.txt").write_bytes(done.stdout)
    case = ["--case", str(tmp_path / "case")]
    options = ["--hash-set", f"good:{tmp_path / 'good.txt'}", "--skip-known"]
    assert forensics("process", str(tmp_path / "exhibit"), *options, *case).returncode == 0
    found = forensics("records", "--json", *case).stdout
    assert b'"kind":"known-file"' in found
    assert b"other@example.org" in found
    assert b"known@example.org" not in found
    assert (
        b'"outcome":"skipped","plugin":"features","reason":"known-good content"' in forensics("why", "--json", "/known.txt", *case).stdout
    )


def test_what_lies_outside_the_scope_is_not_read_and_said_so(tmp_path: Path) -> None:
    (tmp_path / "exhibit" / "private").mkdir(parents=True)
    (tmp_path / "exhibit" / "private" / "a.txt").write_text("a@example.org")
    (tmp_path / "exhibit" / "b.txt").write_text("b@example.org")
    case = ["--case", str(tmp_path / "case")]
    assert forensics("process", str(tmp_path / "exhibit"), "--scope", "path=/b.txt", *case).returncode == 0
    assert b"a@example.org" not in forensics("records", "--json", *case).stdout
    why = forensics("why", "--json", "/private/a.txt", *case).stdout
    assert b'"reason":"outside the scope: path"' in why
    assert b"sha256" not in why
