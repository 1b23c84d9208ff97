"""The same exhibit named in two ways is one exhibit; a case does not lie inside its exhibit; errors do not rewrite the terminal."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import forensics.cli
from forensics import case as cases
from forensics.cli import cli
from forensics.cli import examine as examining
from forensics.errors import Corrupt, EvidenceError, UsageError


class Enough(Exception):
    """The exhibits are received."""


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The exhibits that were to be examined, each time."""
    held: list[str] = []

    def examine(case: object, exhibits: tuple[cases.Exhibit, ...], *rest: object) -> None:
        held.extend(exhibit.exhibit_id for exhibit in exhibits)
        raise Enough

    monkeypatch.setattr(examining, "_examine", examine)
    return held


def process(image: Path, folder: Path) -> object:
    return CliRunner().invoke(cli, ["process", str(image), "--case", str(folder), "--no-input"]).exception


def test_an_image_given_by_another_way_is_the_same_exhibit(tmp_path: Path, received: list[str]) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "phone.bin").write_bytes(b"x")
    for image in (tmp_path / "below/../phone.bin", tmp_path / "below/../phone.bin", tmp_path / "phone.bin"):
        assert isinstance(process(image, tmp_path / "case"), Enough)
    [exhibit] = cases.exhibits(tmp_path / "case")
    assert exhibit.image == str(tmp_path / "phone.bin")
    assert received == [exhibit.exhibit_id] * 3


@pytest.mark.parametrize("folder", ["evidence/case", "evidence/below/../case", "other/../evidence/case", "link/case", "evidence"])
@pytest.mark.parametrize("image", ["evidence", "other/../evidence", "link"])
def test_a_case_inside_the_exhibit_is_refused_however_they_are_written(
    folder: str, image: str, tmp_path: Path, received: list[str]
) -> None:
    for name in ("evidence/below", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "evidence")
    refusal = process(tmp_path / image, tmp_path / folder)
    assert isinstance(refusal, UsageError) and "would lie inside the exhibit" in str(refusal)
    assert not received
    assert sorted(path.name for path in (tmp_path / "evidence").iterdir()) == ["below"]


HOSTILE = "urn:\x1b]0;owned\x07\x1b[2J\r\u202e\x9b1m: \udcff C:\\dir\nand a second line\x7f"
HARMLESS = "urn:\\x1b]0;owned\\x07\\x1b[2J\\x0d\\u202e\\u009b1m: \\xff C:\\dir\nand a second line\\x7f"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError(HOSTILE), 2, HARMLESS),
        (EvidenceError(HOSTILE), 1, HARMLESS),
        (Corrupt("1:folder:/a\\x1b.txt: no"), 1, "1:folder:/a\\x1b.txt: no"),
        (OSError(2, "not there", HOSTILE), 1, f"{HARMLESS}: not there"),
    ],
)
def test_what_an_error_quotes_of_the_evidence_is_harmless_on_a_terminal(
    error: Exception, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(**options: object) -> None:
        raise error

    monkeypatch.setattr(forensics.cli.cli, "main", refused)
    with pytest.raises(SystemExit) as ended:
        forensics.cli.main()
    assert ended.value.code == code
    assert capsys.readouterr().err == f"forensics: {said}\n"
