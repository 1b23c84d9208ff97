"""What the commands print and write: listings for programs and spreadsheets, own templates, a new plugin, the demonstration."""

import csv
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from forensics.cli import cli
from forensics.errors import UsageError

ROOT = Path(__file__).parents[1]
CARD = ROOT / "test_images" / "card.E01"


def run(*arguments: str) -> Result:
    """Arguments to the command line, without a terminal. What it raises is raised here."""
    return CliRunner().invoke(cli, list(arguments), standalone_mode=False, catch_exceptions=False)


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The folder of a case: the card, examined as `make demo` does, from the recipe of the Makefile itself."""
    folder = tmp_path_factory.mktemp("demo") / "case"
    recipe = (ROOT / "Makefile").read_text().partition("demo: install\n")[2].partition("\n\n")[0].replace("\\\n", " ")
    line = next(line for line in recipe.splitlines() if "forensics process" in line)
    arguments = shlex.split(line.replace("$(DEMO)", str(folder)))[1:]
    done = subprocess.run([sys.executable, "-m", "forensics", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"report: {folder}/reports/" in done.stdout
    yield str(folder)


def rows(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"), newline="")))


# --- the demonstration ------------------------------------------------------------------------------------------------------


def test_the_demonstration_finds_what_was_put_on_the_card(examined: str) -> None:
    found = [json.loads(line) for line in run("records", "--case", examined, "--json").output.splitlines()]
    told = {
        (record["finding"]["kind"], record["location"].partition(":fat12:")[2].partition(";")[0], record["state"]) for record in found
    } - {("activity-gap", "", "allocated")}
    assert told >= {
        ("photo", "/DCIM/100FUJI/DSCF0001.JPG", "allocated"),
        ("photo", "/DCIM/100MEDIA/_MAG0012.jpg", "deleted"),
        ("boarding-pass", "/Download/boarding.png", "allocated"),
        ("travel-document", "/Notes/chat.txt", "allocated"),
        ("rule-match", "/Notes/chat.txt", "allocated"),
        ("known-file", "/Download/plan.docx", "allocated"),
        ("type-mismatch", "/Download/readme.txt", "allocated"),
    }
    deleted = next(record for record in found if record["location"].partition(";")[0].endswith("_MAG0012.jpg"))
    assert deleted["sha256"] == "faa46d3f4551ecd028b2a2a0a82bcc464fef73d0b4704af1094ab211812bf123"  # of `HTC Desire.jpg`, by sha256sum
    gps = {k: v for r in found for k, v in r["finding"].get("data", {}).items() if "DSCF0002" in r["location"] and k.startswith("gps_l")}
    assert gps["gps_latitude"] == pytest.approx(48 + 51 / 60 + 28.20 / 3600, abs=1e-5)  # by exiftool


def test_the_report_of_the_demonstration_shows_the_pictures(examined: str) -> None:
    (page,) = Path(examined, "reports").glob("*/report.html")
    assert page.read_text(encoding="utf-8").count("data:image/") >= 5


# --- records ----------------------------------------------------------------------------------------------------------------


def test_records_as_csv_are_those_as_json(examined: str) -> None:
    written = rows(run("records", "--case", examined, "--csv").stdout_bytes)
    found = [json.loads(line) for line in run("records", "--case", examined, "--json").output.splitlines()]
    assert [(row["record"], row["kind"], row["sha256"]) for row in written] == [
        (record["id"], record["finding"]["kind"], record["sha256"] or "") for record in found
    ]


def test_a_spreadsheet_calculates_nothing_of_the_records(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.py").write_text("")
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "hostile.py").write_text(
        "from forensics.plugin import Finding, extractor\n\n\n@extractor(version='1')\ndef hostile(file):\n"
        "    '''Says a formula.'''\n    yield Finding(kind='note', summary='=cmd|\\' /C calc\\'!A0')\n"
    )
    run("process", str(folder), "--case", str(tmp_path / "case"), "--plugins", str(plugins), "--plugin", "hostile")
    (row,) = rows(run("records", "--case", str(tmp_path / "case"), "--csv").stdout_bytes)
    assert row["summary"] == "'=cmd|' /C calc'!A0"


@pytest.mark.parametrize(
    ("given", "files"),
    [
        (("--kind", "photo", "--location", "DCIM/**"), {"DSCF0001.JPG", "DSCF0002.JPG", "DSC00152.JPG", "_MAG0012.jpg"}),
        (("--kind", "photo", "--location", "/dcim/*/*.jpg", "--limit", "2"), {"DSCF0001.JPG", "DSCF0002.JPG"}),
        (("--kind", "photo", "--since", "2010-01-01", "--until", "2010-12-31"), {"DSC00152.JPG"}),
        (("--kind", "photo", "--since", "2011-05-06"), {"_MAG0012.jpg", "readme.txt"}),
        (("--kind", "photo", "--until", "2002-07-13"), {"DSCF0001.JPG"}),
        (("--kind", "boarding-pass", "--since", "1900-01-01"), set()),
        (("--kind", "photo", "--exhibit", "none"), set()),
    ],
)
def test_records_are_chosen_by_path_and_period(given: tuple[str, ...], files: set[str], examined: str) -> None:
    found = [json.loads(line) for line in run("records", "--case", examined, "--json", *given).output.splitlines()]
    assert {record["location"].partition(";")[0].rpartition("/")[2] for record in found} == files


def test_a_day_that_is_none_and_two_forms_at_once_are_refused(examined: str) -> None:
    with pytest.raises(click.BadParameter, match="does not match the format"):
        run("records", "--case", examined, "--since", "soon")
    with pytest.raises(UsageError, match="not both"):
        run("records", "--case", examined, "--csv", "--json")


def test_a_reader_that_has_seen_enough_ends_the_listing_quietly(examined: str) -> None:
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m forensics records --case {shlex.quote(examined)} --csv | true",
        shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""


# --- templates --------------------------------------------------------------------------------------------------------------


def report(examined: str, *given: str) -> Path:
    """The folder of a new report."""
    said = run("report", "--case", examined, "--json", *given).output
    return Path(json.loads(said.splitlines()[-1])["report"]["folder"])


@pytest.mark.parametrize("name", ["mine.html", "mine.html.j2", "mine.HTM", "mine.md", "mine.xml.jinja", "mine.txt"])
def test_an_own_template_is_escaped_whatever_its_name_ends_in(name: str, examined: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("{% set hostile = '<script>' ~ document.case.case_id %}{{ hostile }}\n")
    folder = report(examined, "--template", str(path))
    (page,) = [each for each in folder.iterdir() if each.suffix not in (".csv", ".jsonl")]
    assert page.name == name.removesuffix(".j2").removesuffix(".jinja")
    assert page.read_text() == "&lt;script&gt;DEMO-1\n"


def test_a_folder_of_templates_is_one_page_each_and_finds_its_own_parts_and_the_shipped(examined: str, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "name.html").write_text("{{ document.case.case_id }}")
    (tmp_path / "cover.html").write_text("{% include 'parts/name.html' %} {% include 'summary.md' %}")
    (tmp_path / "report.html").write_text("{% extends 'shipped/report.html' %}")
    (tmp_path / "_part.html").write_text("no page")
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")
    folder = report(examined, "--template", str(tmp_path))
    assert {each.name for each in folder.iterdir() if each.suffix not in (".csv", ".jsonl")} == {"cover.html", "report.html"}
    assert (folder / "cover.html").read_text().startswith("DEMO-1 # Digital forensic examination report")
    assert "Chain of custody" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("mine.html", "{% if %}", r"mine\.html, line 1: TemplateSyntaxError"),
        ("mine.html", "\n{{ document.no_such_thing }}", r"mine\.html, line 2: UndefinedError"),
        ("mine.html", "{{ document.__class__.__mro__ }}", "SecurityError"),
        ("mine.html", "{{ 1 / 0 }}", r"mine\.html, line 1: ZeroDivisionError"),
        ("mine.html", "{% include '../../etc/passwd' %}", "TemplateNotFound"),
        ("mine.html", "{% include 'mine.html' %}", "RecursionError"),
        ("mine.csv", "x", r"ends in \.html"),
    ],
)
def test_a_template_that_does_not_work_is_named_with_its_line(name: str, text: str, said: str, examined: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        report(examined, "--template", str(tmp_path / name))


def test_an_unknown_template_is_refused_before_the_work_and_the_shipped_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"choose from: report\.html, summary\.md, report\.pdf; or give the path"):
        run("process", str(CARD), "--case", str(tmp_path / "case"), "--template", "raport.html")
    assert not (tmp_path / "case").exists()


def test_two_templates_do_not_write_the_same_page(examined: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("x")
    with pytest.raises(UsageError, match=r"two report templates make the page report\.html"):
        report(examined, "--template", str(tmp_path), "--template", "report.html")


# --- a new plugin -----------------------------------------------------------------------------------------------------------


def test_a_new_plugin_and_its_test_work_as_they_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "my plugins"
    said = run("plugins", "new", "travel-tickets", "--folder", str(folder)).output
    assert sorted(path.name for path in folder.iterdir()) == ["test_travel_tickets.py", "travel_tickets.py"]
    code = [line for path in folder.iterdir() for line in path.read_text().splitlines() if line.strip()]
    assert len(code) < 25
    process, pytest_line = (shlex.split(line) for line in said.splitlines()[-2:])
    assert pytest_line == ["pytest", str(folder)]
    done = subprocess.run([sys.executable, "-m", *pytest_line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "note.txt").write_text("bring your passport\n")
    given = [str(tmp_path / "files") if part == "IMAGE" else part for part in process[1:]]
    run(*given, "--case", str(tmp_path / "case"))
    (found,) = run("records", "--case", str(tmp_path / "case"), "--plugin", "travel-tickets", "--json").output.splitlines()
    assert json.loads(found)["finding"]["locator"] == {"type": "bytes", "offset": 11, "size": 8}


def test_a_plugin_that_was_broken_by_its_author_fails_its_test_with_the_reason(tmp_path: Path) -> None:
    run("plugins", "new", "tickets", "--folder", str(tmp_path))
    (tmp_path / "tickets.py").write_text("import no_such_module\n")
    done = subprocess.run([sys.executable, "-m", "pytest", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "No module named 'no_such_module'" in done.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [("Tickets", "lower-case words"), ("class", "lower-case words"), ("../x", "lower-case words"), ("test-x", "lower-case words"),
     ("photo-exif", "there is a plugin 'photo-exif' already")],
)  # fmt: skip
def test_a_name_that_cannot_be_a_new_plugins_is_refused(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        run("plugins", "new", name, "--folder", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_by_a_new_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_tickets.py").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        run("plugins", "new", "tickets", "--folder", str(tmp_path))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


# --- README -----------------------------------------------------------------------------------------------------------------

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_the_readme_names_every_command() -> None:
    named = set()
    for cell in re.findall(r"^\| (`.*?`) \|", README, re.MULTILINE):
        words = [code.split() for code in re.findall(r"`([^`]+)`", cell)]
        first = words[0][0]
        group = cli.commands[first]
        if isinstance(group, click.Group):
            named |= {(first, words[0][1])} | {(first, each[0]) for each in words[1:]}
        else:
            named |= {(each[0],) for each in words}
    there = set()
    for name, command in cli.commands.items():
        there |= {(name, each) for each in command.commands} if isinstance(command, click.Group) else {(name,)}
    assert named == there - {("process",)}  # it has its own paragraph


def test_the_commands_of_the_readme_work_in_their_order(tmp_path: Path) -> None:
    shutil.copy(CARD, tmp_path / "phone.E01")
    (tmp_path / "rules").mkdir()
    shutil.copy(ROOT / "test_images" / "demo.yar", tmp_path / "rules")
    shutil.copy(ROOT / "test_images" / "demo-known.txt", tmp_path / "known.txt")
    lines = [line.partition("     #")[0] for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith(("forensics", "pytest"))]
    assert len(commands) == 4
    for command in commands:
        done = subprocess.run([sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)


def test_rules_that_do_not_compile_are_named_before_the_work_begins(tmp_path: Path) -> None:
    (tmp_path / "bad.yar").write_text("rule broken { condition: nothing_known }")
    (tmp_path / "good.yar").write_text('rule good { strings: $a = "hello" condition: $a }')
    (tmp_path / "exhibit.txt").write_text("hello")
    done = CliRunner().invoke(
        cli, ["process", str(tmp_path / "exhibit.txt"), "--case", str(tmp_path / "case"), "--rules", str(tmp_path), "--no-input"]
    )
    assert "rule-match: not compiled: bad.yar" in done.stderr
    assert "nothing_known" in done.stderr
    found = [
        json.loads(line) for line in run("records", "--case", str(tmp_path / "case"), "--kind", "rule-match", "--json").output.splitlines()
    ]
    assert [record["finding"]["data"]["rule"] for record in found] == ["good"]
