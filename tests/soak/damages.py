"""The long form of damaged images: ten cuts and fifty lots of turned bits of every small image, in each round.

Every run ends within its limit, with exit code 0, 1 or 3, and never with a traceback. `make soak`; SOAK_ROUNDS and FORENSICS_SEED say how
many rounds and which.
"""

import os
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from damage import damaged, ends_in_words

ROOT = Path(__file__).parents[2]
EVIDENCE = Path(os.environ.get("FORENSICS_EVIDENCE", ROOT / ".." / "shared" / "evidence")).resolve()
SEED = int(os.environ.get("FORENSICS_SEED", "1"))
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "1"))
CUTS, TURNED = 10, 50
SMALL = 8 << 20  # bytes
NO_IMAGE = {".json", ".md", ".py", ".pyc"}


def small_images() -> list[Path]:
    found = [path for folder in (ROOT / "test_images", EVIDENCE / "images") if folder.is_dir() for path in sorted(folder.iterdir())]
    return [path for path in found if path.is_file() and path.suffix not in NO_IMAGE and path.stat().st_size <= SMALL]


@pytest.mark.parametrize("number", range((CUTS + TURNED) * ROUNDS))
@pytest.mark.parametrize("image", small_images(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_damaged_image_ends_in_words(image: Path, number: int, tmp_path: Path) -> None:
    source = random.Random(f"{SEED} {image.name} {number}")
    copy, words = damaged(image, tmp_path, source, cut=number % (CUTS + TURNED) < CUTS)
    print(f"FORENSICS_SEED={SEED}: {words}")
    ends_in_words(copy, tmp_path / "case", "--template", "summary.md")
