"""What the components cost by themselves over the distinct files of an image, and over the image: the floor for one machine.

usage: ideal.py FOLDER RULES_DIR CORES RAW [E01]      FOLDER: files as hand.sh recovered them (OUTDIR/files)
Measures CPU seconds of: reading, three digests (all files); libmagic on 64 KiB, YARA by yara-python and by YARA-X, exifread on
pictures (distinct content only); of the image: SHA-256, SHA-1 and MD5 once (before) and SHA-256 once more (after); of an E01: inflating
it twice, for those two digests (what the files need of it is taken to be at hand then). The ideal wall time = sum / cores, with
the cheaper scanner. Prints one JSON object. Needs: python-magic, yara-python, yara-x, exifread, deflate.
Single process, so nothing waits for anything; rule compilation and start-up are left out.
"""

import hashlib
import io
import json
import logging
import os
import sys
import time
from collections import Counter
from pathlib import Path

import deflate
import exifread
import magic
import yara
import yara_x
from ewf_chunks import chunks

logging.disable(logging.CRITICAL)
PICTURES = {"image/jpeg", "image/tiff", "image/heic"}
STEP = 1 << 20


class Clock:
    """CPU seconds by component."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self._last = time.process_time()

    def start(self) -> None:
        self._last = time.process_time()

    def stop(self, name: str) -> None:
        """What was spent since the last call counts for `name`."""
        now = time.process_time()
        self.spent[name] += now - self._last  # type: ignore[assignment]
        self._last = now


def files(folder: str, rules_dir: str, clock: Clock) -> tuple[int, int, int, int]:
    """Number of files, of distinct contents, bytes, and contents on which the scanners differ."""
    sources = sorted(str(path) for path in Path(rules_dir).rglob("*.yar*"))
    rules = yara.compile(filepaths={f"r{number}": path for number, path in enumerate(sources)})
    compiler = yara_x.Compiler(relaxed_re_syntax=True)
    for number, path in enumerate(sources):
        compiler.new_namespace(f"r{number}")
        compiler.add_source(Path(path).read_text(encoding="utf-8", errors="replace"))
    scanner = yara_x.Scanner(compiler.build())
    typer = magic.Magic(mime=True)
    seen: set[bytes] = set()
    count = size = differing = 0
    for where, _, names in os.walk(os.fsencode(folder)):
        for name in names:
            path = os.path.join(where, name)
            if os.path.islink(path):
                continue
            clock.start()
            with open(path, "rb") as stream:
                data = stream.read()
            clock.stop("reading")
            digest = hashlib.sha256(data).digest()
            hashlib.sha1(data).digest()
            hashlib.md5(data).digest()
            clock.stop("three digests")
            count, size = count + 1, size + len(data)
            if digest in seen:
                continue
            seen.add(digest)
            clock.start()
            mime = typer.from_buffer(data[:65536])
            clock.stop("libmagic")
            by_yara = {match.rule for match in rules.match(data=data)}
            clock.stop("yara-python")
            by_x = {match.identifier for match in scanner.scan(data).matching_rules}
            clock.stop("yara-x")
            differing += by_yara != by_x
            if mime in PICTURES:
                clock.start()
                try:
                    exifread.process_file(io.BytesIO(data), details=True)
                except Exception as error:  # noqa: BLE001 - a malformed picture costs what it costs
                    print(f"exifread: {os.fsdecode(path)}: {error!r}", file=sys.stderr)
                clock.stop("exifread")
    return count, len(seen), size, differing


def image(path: str, clock: Clock) -> None:
    """Digest a raw image as before and as after an examination."""
    for phase, names in (("before", ("sha256", "sha1", "md5")), ("after", ("sha256",))):
        totals = [hashlib.new(name) for name in names]
        clock.start()
        with open(path, "rb", buffering=0) as stream:
            while data := stream.read(STEP):
                for total in totals:
                    total.update(data)
        clock.stop(f"digest of the image, {phase}")


def inflate(first: str, clock: Clock) -> int:
    """Inflate every compressed chunk of an E01 once. Returns the bytes that came out of it."""
    done = 0
    for path in sorted(Path(first).parent.glob(f"{Path(first).stem}.E[0-9][0-9]")):
        for stored, size in chunks(path):
            clock.start()
            done += len(deflate.zlib_decompress(stored, size))
            clock.stop("inflating")
    return done


def main(folder: str, rules_dir: str, cores: int, raw: str, ewf: str = "") -> None:
    clock = Clock()
    count, distinct, size, differing = files(folder, rules_dir, clock)
    image(raw, clock)
    total = sum(clock.spent.values()) - max(clock.spent["yara-python"], clock.spent["yara-x"])
    ideal = {"raw": total / cores}
    if ewf:
        inflate(ewf, clock)
        inflate(ewf, clock)
        ideal["E01"] = (total + clock.spent["inflating"]) / cores
    print(
        json.dumps(
            {"files": count, "distinct": distinct, "bytes": size, "scanners_differ": differing, "seconds": clock.spent, "ideal": ideal}
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:6])
