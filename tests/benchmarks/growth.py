"""How time and memory of `forensics process` grow with the evidence.

    make growth [SIZES=512,2048,6144]

Examines images of several sizes and four things that tempt a program to hold them in memory, and writes the table into docs/benchmarks.md.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import bench
import growth_material as material
import measure
import sides
import table

TITLES = ("evidence", "GB", "wall s", "s a GB", "CPU s", "parent MB", "largest child MB", "tree MB", "case MB")
GIGA = 10**9


def main(work: Path, sizes: Sequence[int], entries: int, records: int, cores: int, limit: int, page: Path | None) -> int:
    work.mkdir(parents=True, exist_ok=True)
    log = work / "growth.log"
    log.unlink(missing_ok=True)
    rows: list[list[str]] = []
    failed: list[str] = []
    for name, size, command, code in examinations(work, sizes, entries, records, cores, log):
        print(f"growth: {name}", file=sys.stderr)
        used = measure.run(command, log=log, limit=limit)
        case = work / "growth-case"
        stored = sum(path.stat().st_size for path in case.rglob("*") if path.is_file())
        rows.append(
            [
                *(name, f"{size / GIGA:.2f}" if size else "", f"{used.wall:.1f}", f"{used.wall / size * GIGA:.1f}" if size else ""),
                *(f"{used.cpu:.1f}", *(f"{each / 1e6:.0f}" for each in (used.parent, used.child, used.tree, stored))),
            ]
        )
        print("  ".join(rows[-1]), file=sys.stderr)
        if used.code not in code:
            stopped = used.wall > limit
            failed.append(f"{name}: {f'stopped after the limit of {limit} s' if stopped else f'ended with {used.code}; see {log}'}")
        shutil.rmtree(case)
    given = f"SIZES={','.join(map(str, sizes))}"
    lines = [f"{datetime.now(UTC):%Y-%m-%d}. Made by `make growth {given}`.\n", *(f"- {line}" for line in table.machine()[:2]), ""]
    lines += [table.markdown(TITLES, rows), "", *(f"- failed: {line}" for line in failed)]
    text = "\n".join(lines) + "\n"
    print(text)
    if page:
        table.between(page, "growth", text)
    return 1 if failed else 0


Examination = tuple[str, int, list[str], tuple[int, ...]]


def examinations(work: Path, sizes: Sequence[int], entries: int, records: int, cores: int, log: Path) -> Iterator[Examination]:
    """What is examined: its name, bytes (0 where they say nothing), command, exit codes that are good.

    Each is made when it is asked for, and removed when the next one is.
    """
    case = work / "growth-case"
    done = (0, bench.FAULTS)

    def examined(image: Path) -> list[str]:
        shutil.rmtree(case, ignore_errors=True)
        measure.warm(image)
        return sides.ours(image, case, cores, sides.MINIMAL)

    for megabytes in sizes:
        folder = work / f"growth-{megabytes}"
        with open(log, "ab") as file:
            command = ["bash", str(sides.HERE / "make_image.sh"), str(folder), str(megabytes)]
            subprocess.run(command, check=True, stdout=file, stderr=file, env={**material.PATH, "WITH_E01": "0"})
        image = folder / "bench.raw"
        with open(folder / "truth.jsonl", "rb") as truth:
            files = sum(1 for _ in truth)
        yield f"image of {megabytes} MB, {files} files", image.stat().st_size, examined(image), done
        shutil.rmtree(folder)
    image = work / "growth.raw"
    made: list[tuple[str, int, Callable[[], None]]] = [
        ("sparse file of 20 GB in ext4", 20 * GIGA, lambda: material.sparse_file(image, "huge.bin", 20 * GIGA, b"at the start")),
        ("sparse database of 5 GB in ext4", 5 * GIGA, lambda: material.sparse_file(image, "huge.db", 5 * GIGA, material.SQLITE)),
        (f"directory of {entries:,} entries in ext2", 0, lambda: material.huge_directory(image, entries)),
    ]
    for name, size, make in made:
        make()
        yield name, size, examined(image), done
        image.unlink()
    shutil.rmtree(case, ignore_errors=True)
    material.case_of_records(case, records)
    program = Path(sys.executable).with_name("forensics")
    yield f"index and report over {records:,} records", 0, [str(program), "report", "--case", str(case), "--json"], (0,)
    case.with_suffix(".raw").unlink()


def parse(words: Sequence[str] | None = None) -> tuple[Path, list[int], int, int, int, int, Path | None]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("build/bench"), help="folder for everything that is made")
    parser.add_argument("--sizes", default="512,2048,6144", help="MB of the images; empty for none")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the huge directory")
    parser.add_argument("--records", type=int, default=1_000_000, help="of the report")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)), help="children")
    parser.add_argument("--limit", type=int, default=3600, help="seconds after which an examination is stopped, and the row says so")
    parser.add_argument("--no-page", action="store_true", help="print only, and leave docs/benchmarks.md as it is")
    given = parser.parse_args(words)
    sizes = [int(size) for size in given.sizes.split(",") if size]
    page = None if given.no_page else bench.PAGE
    return given.work.absolute(), sizes, given.entries, given.records, given.cores, given.limit, page


if __name__ == "__main__":
    sys.exit(main(*parse()))
