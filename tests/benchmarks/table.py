"""The benchmark's results as Markdown, written between markers of a page, and the machine that they were measured on."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from measure import Usage

TOOLS = (
    ("fls", "-V"), ("ewfverify", "-V"), ("hashdeep", "-V"), ("file", "--version"), ("exiftool", "-ver"), ("yara", "--version"),
)  # fmt: skip
LIBRARIES = ("forensics", "pytsk3", "yara-python", "yara-x", "deflate", "python-magic", "ExifRead", "pillow")


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are one line each, and a bar in them does not split them."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines)


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The median, and where there are several values their smallest and largest."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def megabytes(values: Iterable[int]) -> str:
    """The largest of sizes in bytes, as MB (10**6 bytes)."""
    return f"{max(values) / 1e6:.0f}"


def ratio(value: float, other: float | None) -> str:
    """How many times `other` the value is; a dash where there is nothing to compare with."""
    return f"{value / other:.2f}" if other else "-"


def row(name: str, image: str, used: Sequence[Usage], size: int, compared: Sequence[float | None]) -> list[str]:
    """One side's line: rounds, wall and CPU seconds, MB of medium a second, times each of `compared`, memory in MB."""
    wall = median(usage.wall for usage in used)
    return [
        *(name, image, str(len(used)), spread([usage.wall for usage in used]), spread([usage.cpu for usage in used])),
        *(f"{size / wall / 1e6:.0f}", *(ratio(wall, other) for other in compared)),
        *(megabytes(getattr(usage, field) for usage in used) for field in ("tree", "parent", "child", "pss")),
    ]


def machine() -> list[str]:
    """Processor, cores, memory, system, and the versions of what took part, one line each."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    cores = len(os.sched_getaffinity(0))
    held = f"{int(memory[1]) * 1024 / 1e9:.0f} GB of memory" if memory else "memory unknown"
    return [
        f"Machine: {model[1] if model else platform.machine()}, {cores} cores, {held}; {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}; {', '.join(_libraries())}{_commit()}",
        f"By hand: {', '.join(_tool(*tool) for tool in TOOLS)}",
    ]


def _libraries() -> Iterable[str]:
    for name in LIBRARIES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} not installed"


def _commit() -> str:
    git = ["git", "-C", str(Path(__file__).parent)]
    done = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", "../../forensics", "../../plugins"], capture_output=True, text=True, check=False
    )
    return f"; commit {done.stdout.strip()}{', with changes' if changed.stdout.strip() else ''}" if done.returncode == 0 else ""


def _tool(name: str, option: str) -> str:
    if not shutil.which(name):
        return f"{name} not installed"
    done = subprocess.run([name, option], capture_output=True, text=True, check=False)
    found = re.search(r"\d+(?:\.\d+)*", done.stdout + done.stderr)
    return f"{name} {found[0] if found else 'of unknown version'}"


def between(page: Path, marker: str, text: str) -> None:
    """Put `text` between ``<!-- marker -->`` and ``<!-- /marker -->`` of a page. Raises ValueError where the page has not both."""
    begin, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    old = page.read_text(encoding="utf-8")
    head, found, rest = old.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page}: has no {begin} ... {end} to write between")
    page.write_text(f"{head}{begin}\n{text.strip()}\n{end}{tail}", encoding="utf-8")
