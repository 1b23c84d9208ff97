"""Images damaged at random places, and what must hold of examining one: it ends, in words, and whatever is read is not changed."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

LIMIT = 300  # seconds: small images take one or two on an idle machine
FLIPS = 20  # at most, in one image


def damaged(image: Path, folder: Path, source: random.Random, *, cut: bool) -> tuple[Path, str]:
    """A copy of the image in `folder`, cut at a random place or with some random bits turned, and in words what was done to it.

    Bits are turned in the first 64 KiB as often as anywhere: there lie the headers, the tables and most of the metadata.
    """
    content = bytearray(image.read_bytes())
    if cut:
        content = content[: source.randrange(1, len(content))]
        words = f"{image.name} cut to {len(content)} bytes"
    else:
        places = []
        for _ in range(source.randint(1, FLIPS)):
            place = source.randrange(min(len(content), 1 << 16) if source.random() < 0.5 else len(content))
            bit = source.randrange(8)
            content[place] ^= 1 << bit
            places.append(f"{place}.{bit}")
        words = f"{image.name} with the bits {', '.join(places)} turned"
    for sibling in image.parent.glob(f"{image.stem}.*"):  # the other segments, where there are some
        if sibling.suffix[:2].lower() in (".e", ".0") and sibling != image:
            shutil.copyfile(sibling, folder / sibling.name)
    path = folder / image.name
    path.write_bytes(content)
    return path, words


def ends_in_words(image: Path, case: Path, *options: str) -> None:
    """Examining the image ends within the limit, with exit code 0, 1 or 3 and no traceback. The case is removed afterwards."""
    command = [sys.executable, "-m", "forensics", "process", str(image), "--case", str(case), *options]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=LIMIT)
    assert done.returncode in (0, 1, 3), (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    assert "CHANGED" not in done.stdout, done.stdout
    assert done.returncode == 0 or done.stderr or "faults" in done.stdout
    shutil.rmtree(case)
