"""What the benchmark measured and noticed, as the Markdown of docs/benchmarks.md."""

import shlex
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

import check
import table
from measure import Usage

SHOWN = 60  # lines of a list that stand on the page; the whole list lies in the work folder
TITLES = ("side", "image", "rounds", "wall s", "CPU s", "MB/s", "x lean", "x ideal", "tree MB", "parent MB", "largest child MB", "PSS MB")
FOUND = ("side", "image", "live files", "deleted files", "rule matches as ours", "EXIF values as ours", "dated events")


class Results:
    """What was measured and what was noticed, as it comes."""

    def __init__(self) -> None:
        self.used: defaultdict[tuple[str, str], list[Usage]] = defaultdict(list)
        self.ideals: list[dict[str, dict[str, float]]] = []
        self.counts: dict[tuple[str, str], check.Checked] = {}
        self.compared: dict[tuple[str, str], tuple[int, int | None]] = {}
        self.dated: dict[tuple[str, str], int] = {}
        self.missing: list[str] = []  # what we lack: the benchmark fails
        self.named: dict[str, None] = {}  # differences that are explained, each once
        self.notes: dict[str, None] = {}


class Arguments(NamedTuple):
    """What was asked for."""

    work: Path
    image: Path
    size: int
    rounds: int
    others: bool
    cores: int
    formats: tuple[str, ...]
    page: Path | None

    def path(self, name: str) -> Path:
        """The image of that format."""
        return self.image / f"bench.{name}"


def text(arguments: Arguments, results: Results) -> str:
    """The results in Markdown."""
    size = arguments.path("raw").stat().st_size
    parts = [f"{datetime.now(UTC):%Y-%m-%d}. Made by `{command(arguments)}` on an image of {size / 1e6:.0f} MB.\n"]
    parts += [f"- {line}" for line in table.machine()]
    parts += ["", table.markdown(TITLES, rows(results, size)), ""]
    if results.ideals:
        parts += [*components(results.ideals, arguments), ""]
    parts += ["What each side found:", "", table.markdown(FOUND, findings(results)), ""]
    parts += [f"- {line}" for line in results.notes]
    parts += ["", *listed("Missing here, so the benchmark failed", results.missing), *listed("Differences", list(results.named))]
    if not results.missing:
        parts.append("Nothing is missing here that was put into the image or found by hand, but for the differences listed above.")
    return "\n".join(parts) + "\n"


def command(arguments: Arguments) -> str:
    """What to type to have the same again."""
    given = f"IMAGE={shlex.quote(arguments.image.name)}" if arguments.image != arguments.work / "image" else f"SIZE={arguments.size}"
    return f"make bench {given} ROUNDS={arguments.rounds}" + ("" if arguments.others else " OTHERS=0")


def rows(results: Results, size: int) -> Iterator[list[str]]:
    for key, used in sorted(results.used.items(), key=lambda item: item[0][1] != "raw"):
        name, image = key
        lean = results.used.get(("hand.sh lean", image))
        floor = [answer["ideal"][image] for answer in results.ideals if image in answer["ideal"]]
        other = (median(usage.wall for usage in lean) if lean else None, median(floor) if floor else None)
        yield table.row(name, image, used, size, other)


def components(ideals: list[dict[str, dict[str, float]]], arguments: Arguments) -> Iterator[str]:
    """What the ideal consists of."""
    for image in arguments.formats:
        yield f"Ideal, {image}: {table.spread([answer['ideal'][image] for answer in ideals])} s on {arguments.cores} cores."
    seconds = ideals[-1]["seconds"]
    yield "CPU seconds of its components (last round): " + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()) + "."


def findings(results: Results) -> Iterator[list[str]]:
    for key, counted in sorted(results.counts.items(), key=lambda item: item[0][1] != "raw"):
        same, tags = results.compared.get(key, (None, None))
        yield [
            *(*key, f"{counted.live} of {counted.live_total}", f"{counted.deleted} of {counted.deleted_total}"),
            *("" if number is None else str(number) for number in (same, tags, results.dated.get(key))),
        ]


def listed(title: str, lines: list[str]) -> Iterator[str]:
    """Up to SHOWN lines of a list under its title and whole number."""
    if lines:
        yield f"{title} ({len(lines)}{f', the first {SHOWN} of them' if len(lines) > SHOWN else ''}):\n"
        for line in lines[:SHOWN]:
            safe = line.encode("utf-8", "backslashreplace").decode().replace("`", "'")
            yield f"- `{safe}`"
        yield ""
