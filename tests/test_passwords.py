"""A file of passwords opens what is locked; a list that was written anew is tried anew; what it holds is recorded nowhere."""

import json
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner, Result

from forensics.cli import cli
from forensics.errors import UsageError
from forensics.plugin import passwords

BACKUP = Path(__file__).parent / "plugins" / "data" / "android" / "enc5.ab"
PASSWORD = "päss wörd"
FIRST, SECOND = "a first password that fits nothing", "another password that fits nothing"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), standalone_mode=False, catch_exceptions=False)


def test_a_list_is_read_line_by_line_without_marks_and_ends_of_lines(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"\xef\xbb\xbfone\r\n two \n\n\none\n\xff\xfe")
    assert passwords(str(tmp_path / "list")).value == (b"one", b" two ", b"\xff\xfe")
    assert passwords().value == ()


def test_changed_list_is_tried_anew_and_recorded_nowhere(tmp_path: Path) -> None:
    exhibit, listed, case = tmp_path / "exhibit", tmp_path / "passwords.txt", tmp_path / "case"
    exhibit.mkdir()
    (exhibit / "phone.ab").write_bytes(BACKUP.read_bytes())
    only = ("--plugin", "android-backup", "--plugin", "features", "--passwords", str(listed), "--case", str(case), "--no-input")
    listed.write_text(f"{FIRST}\n")
    run("process", str(exhibit), "--template", "summary.md", *only)
    assert opened(case) == {False}
    listed.write_text(f"{FIRST}\n{SECOND}\n{PASSWORD}\n", encoding="utf-8")
    said = run("process", str(exhibit), "--template", "summary.md", *only).output
    assert opened(case) == {True}
    assert "what run-0001 found and nothing has changed was kept" in said
    plugins = {each["name"]: each for each in json.loads((case / "runs" / "run-0002" / "run.json").read_text())["plugins"]}
    assert plugins["android-backup"]["options"] == {"passwords_file": str(listed)}
    assert plugins["features"]["options"].keys().isdisjoint({"passwords_file"})
    for path in filter(Path.is_file, case.rglob("*")):
        content = path.read_bytes()
        if path.suffix == ".zst":
            content = zstandard.ZstdDecompressor().stream_reader(content).read()
        assert not any(secret.encode() in content for secret in (FIRST, SECOND, PASSWORD)), path


def opened(case: Path) -> set[object]:
    records = [json.loads(line) for line in run("records", "--case", str(case), "--kind", "phone-backup", "--json").output.splitlines()]
    return {record["finding"]["data"]["opened"] for record in records}


def test_list_that_cannot_be_read_ends_the_command_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "exhibit").mkdir()
    with pytest.raises(UsageError, match="one password a line"):
        run(
            "process", str(tmp_path / "exhibit"), "--case", str(tmp_path / "case"), "--passwords", str(tmp_path / "none"), "--no-input"
        )  # fmt: skip
