"""The long form of `tests/test_interruption.py`: a hundred moments in each round, on an NTFS image in E01 and on a FAT one that is raw.

`make soak`; SOAK_ROUNDS and FORENSICS_SEED say how many rounds and which.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import interruption as breaking

SEED = int(os.environ.get("FORENSICS_SEED", "1"))
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "1"))
MOMENTS = 100
OPTIONS = ("--template", "summary.md")


@pytest.fixture(scope="module", params=["winbox-a.E01", "usb-a.raw"])
def whole(request: pytest.FixtureRequest, evidence: Path, tmp_path_factory: pytest.TempPathFactory) -> breaking.Whole:
    return breaking.Whole(evidence / "cases" / request.param, tmp_path_factory.mktemp("interruption"), *OPTIONS)


@pytest.mark.parametrize("number", range(MOMENTS // 2 * ROUNDS))
def test_a_run_killed_at_any_moment_goes_on_to_the_same_result(number: int, whole: breaking.Whole, tmp_path: Path) -> None:
    moment = breaking.moments(whole.steps, SEED, MOMENTS // 2 * ROUNDS)[number]
    print(f"FORENSICS_SEED={SEED}: {moment}")
    breaking.killed_at(moment, whole.image, whole.work, tmp_path / "case", *OPTIONS)
    breaking.resumed(whole.image, tmp_path / "case", whole.held, *OPTIONS)


@pytest.mark.parametrize("number", range(10 * ROUNDS))
def test_a_run_killed_again_and_again_goes_on_to_the_same_result(number: int, whole: breaking.Whole, tmp_path: Path) -> None:
    for moment in breaking.moments(whole.steps, SEED + number, 4):
        print(f"FORENSICS_SEED={SEED}: {moment}")
        breaking.killed_at(moment, whole.image, whole.work, tmp_path / "case", *OPTIONS)
    breaking.resumed(whole.image, tmp_path / "case", whole.held, *OPTIONS)
