"""Throughput of our EWF reader against libewf's (pyewf), on a compressed E01 made for the purpose.

    python tests/benchmarks/ewf.py [MIB] [LEVEL]

Needs `ewfacquire` (ewf-tools) and the package `libewf-python`. Of the medium half compresses, a quarter is noise, a quarter zeros.
Prints MB/s (10**6 bytes of the medium a second, best of three passes); the two must give the same SHA-256.
"""

import hashlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyewf

from forensics.evidence.image import measure, open_image

_STEP = 1 << 20


def _medium(path: Path, mebibytes: int) -> None:
    source = random.Random(7)
    words = [source.randbytes(source.randrange(3, 9)) for _ in range(3000)]
    with open(path, "wb") as out:
        for number in range(mebibytes):
            if number % 4 == 3:
                out.write(bytes(_STEP))
            elif number % 4 == 2:
                out.write(source.randbytes(_STEP))
            else:
                out.write(b"".join(source.choices(words, k=_STEP // 4))[:_STEP])


def _timed(name: str, size: int, work: Callable[[], str]) -> None:
    best, digest = 1e9, ""
    for _ in range(3):
        begun = time.perf_counter()
        digest = work()
        best = min(best, time.perf_counter() - begun)
    print(f"{name:44} {size / best / 1e6:8.0f} MB/s  {digest[:16]}")


def main(mebibytes: int, level: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw, base = Path(folder, "medium.raw"), Path(folder, "image")
        _medium(raw, mebibytes)
        command = ["ewfacquire", "-u", "-q", "-f", "encase6", "-c", level, "-S", "1073741824", "-t", str(base), str(raw)]
        subprocess.run(command, check=True, capture_output=True)
        size = raw.stat().st_size
        print(f"{size / 1e6:.0f} MB, -c {level}: E01 of {sum(item.stat().st_size for item in Path(folder).glob('image.E*')) / 1e6:.0f} MB")
        first = base.with_suffix(".E01")

        def read_only() -> str:
            image = open_image(first)
            for offset in range(0, size, _STEP):
                image.read(offset, _STEP)
            image.close()
            return ""

        def ours() -> str:
            image, digest = open_image(first), hashlib.sha256()
            for offset in range(0, size, _STEP):
                digest.update(image.read(offset, _STEP))
            image.close()
            return digest.hexdigest()

        def theirs() -> str:
            handle, digest = pyewf.handle(), hashlib.sha256()
            handle.open(pyewf.glob(str(first)))
            while piece := handle.read(_STEP):
                digest.update(piece)
            handle.close()
            return digest.hexdigest()

        def measured() -> str:
            image = open_image(first)
            digest = measure(image).sha256
            image.close()
            return digest

        def small() -> str:
            image, source = open_image(first), random.Random(1)
            for _ in range(size // 65536):
                image.read(source.randrange(size - 4096), 4096)
            image.close()
            return ""

        _timed("read, 1 MiB in order", size, read_only)
        _timed("read, 1 MiB in order, and SHA-256", size, ours)
        _timed("pyewf, 1 MiB in order, and SHA-256", size, theirs)
        _timed("measure: three digests, and the segments'", size, measured)
        _timed("read, 4 KiB at random (MB/s of those read)", size // 65536 * 4096, small)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 512, sys.argv[2] if len(sys.argv) > 2 else "fast")
