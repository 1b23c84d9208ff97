"""The commands of each side: `forensics process`, hand.sh in its three modes, plaso and Dissect."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from environments import Environment

HERE = Path(__file__).parent
RULES = HERE / "rules"
MINIMAL = ("photo-exif", "rule-match")  # with the timeline, which is always made: what hand.sh does
RULE = re.compile(r"^\s*(?:(?:private|global)\s+)*rule\s+(\w+)", re.MULTILINE)
MODES = ("seq", "par", "lean")


def ours(image: Path, case: Path, cores: int, plugins: Sequence[str], rules: Path = RULES) -> list[str]:
    """`forensics process` with these plugins alone, or with all where none is named."""
    program = Path(sys.executable).with_name("forensics")
    chosen = [part for name in plugins for part in ("--plugin", name)]
    command = [str(program), "process", str(image), "--case", str(case), "--case-id", "BENCH", "--rules", str(rules)]
    return [*command, *chosen, "--children", str(cores), "--json"]


def hand(mode: str, image: Path, out: Path) -> list[str]:
    """hand.sh in one of its modes."""
    return ["bash", str(HERE / "hand.sh"), mode, str(image), str(out)]


def hand_environment(compiled: Path) -> Mapping[str, str]:
    """hand.sh is given its rules compiled, so that compiling them costs it nothing; ours are compiled in the measured time."""
    return {**os.environ, "RULES": str(compiled), "PATH": f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin"}


def compile_rules(target: Path) -> None:
    """The rules as hand.sh takes them. Raises CalledProcessError where one does not compile."""
    sources = [f"r{number}:{path}" for number, path in enumerate(sorted((RULES / "yara").rglob("*.yara")), 1)]
    subprocess.run(["yarac", "-w", *sources, str(target)], check=True)


def one_file(target: Path) -> None:
    """All rules in one text, as plaso takes them, imports at the top. Raises ValueError where two rules have one name."""
    seen: set[str] = set()
    parts: list[str] = []
    imports: set[str] = set()
    for path in sorted((RULES / "yara").rglob("*.yara")):
        lines = path.read_text(encoding="utf-8").splitlines()
        imports.update(line.strip() for line in lines if line.startswith("import "))
        parts += [line for line in lines if not line.startswith("import ")]
        names = set(RULE.findall("\n".join(lines)))
        if again := names & seen:
            raise ValueError(f"{path}: rules {', '.join(sorted(again))} are there twice, so they cannot stand in one file")
        seen |= names
    target.write_text("\n".join([*sorted(imports), *parts]) + "\n", encoding="utf-8")


def plaso(environment: Environment, image: Path, out: Path, rules: Path) -> list[str]:
    """log2timeline with file times, three digests and the rules; live files alone, since dfVFS lists no deleted ones."""
    program = next((path for name in ("log2timeline", "log2timeline.py") if (path := environment.programs / name).exists()), "log2timeline")
    return [
        *(str(program), "--unattended", "--quiet", "--status_view", "none", "--logfile", str(out / "log.gz")),
        *("--parsers", "filestat", "--hashers", "md5,sha1,sha256", "--yara_rules", str(rules), "--partitions", "all"),
        *("--storage_file", str(out / "bench.plaso"), str(image)),
    ]


def psort(environment: Environment, out: Path) -> list[str]:
    """Plaso's results as JSON lines, for the check."""
    program = next((path for name in ("psort", "psort.py") if (path := environment.programs / name).exists()), "psort")
    options = ["--unattended", "--quiet", "--status_view", "none", "--logfile", str(out / "psort.log.gz")]
    return [str(program), *options, "-o", "json_line", "-w", str(out / "events.jsonl"), str(out / "bench.plaso")]


def dissect(environment: Environment, image: Path) -> list[str]:
    """dissect_side.py in Dissect's environment; its results go to standard output."""
    return [str(environment.programs / "python"), str(HERE / "dissect_side.py"), str(image), str(RULES)]
