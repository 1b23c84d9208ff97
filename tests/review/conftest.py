"""A case with the shipped card examined in it, and a copy of it for each test that writes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CARD = Path(__file__).parents[2] / "test_images" / "card.E01"


@pytest.fixture(scope="session")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an examined case that nobody may write to."""
    folder = tmp_path_factory.mktemp("review") / "case"
    command = ["process", str(CARD), "--case", str(folder), "--no-input", "--lang", "en", "--examiner", "Dewi"]
    done = subprocess.run([sys.executable, "-m", "forensics", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(card: Path, tmp_path: Path) -> Path:
    """A copy of the examined case."""
    shutil.copytree(card, tmp_path / "case")
    return tmp_path / "case"
