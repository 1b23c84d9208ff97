"""Compares `forensics process` with the field's own tools piped together by hand, with an ideal, with plaso and with Dissect.

    make bench [SIZE=2048] [ROUNDS=3] [IMAGE=FOLDER] [OTHERS=0]

Builds an image (or takes a folder that make_image.sh has filled), runs the sides alternately, measures each one's whole process
tree, checks that all found the same, and writes the table into docs/benchmarks.md. Ends with 1 where anything is missing, and says what.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import check
import environments
import found
import measure
import page
import sides
import table
from found import Found, Truth
from measure import Usage
from page import Arguments, Results

OURS, ALL = "forensics", "forensics, all plugins"
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
NOTHING = hashlib.sha256(b"").hexdigest()
FAULTS = 3  # `forensics`: completed, with faults


def main(arguments: Arguments) -> int:
    arguments.work.mkdir(parents=True, exist_ok=True)
    log = arguments.work / "bench.log"
    log.unlink(missing_ok=True)
    build(arguments, log)
    compiled = arguments.work / "rules.yac"
    sides.compile_rules(compiled)
    truth = found.truth(arguments.image / "truth.jsonl")
    results = Results()
    for number in range(1, arguments.rounds + 1):
        for name in arguments.formats:
            print(f"round {number} of {arguments.rounds}, {name}", file=sys.stderr)
            mine = one_round(arguments, name, truth, compiled, log, results, last=number == arguments.rounds)
            if arguments.others and name == "raw" and number == arguments.rounds:
                others(arguments, truth, mine, log, results)
    text = page.text(arguments, results)
    print(text)
    for name, lines in (("missing", results.missing), ("differences", list(results.named))):
        (arguments.work / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="backslashreplace")
    if arguments.page:
        table.between(arguments.page, "bench", text)
    for line in results.missing:
        print(f"missing: {line}", file=sys.stderr)
    return 1 if results.missing else 0


def build(arguments: Arguments, log: Path) -> None:
    """The image, where it is not there yet."""
    if (arguments.image / "truth.jsonl").exists() and all(arguments.path(name).exists() for name in arguments.formats):
        return
    print(f"building an image of {arguments.size} MB", file=sys.stderr)
    with open(log, "ab") as file:
        command = ["bash", str(sides.HERE / "make_image.sh"), str(arguments.image), str(arguments.size)]
        subprocess.run(command, check=True, stdout=file, stderr=file)


# --- a round ----------------------------------------------------------------------------------------------------------------


def one_round(arguments: Arguments, name: str, truth: list[Truth], compiled: Path, log: Path, results: Results, last: bool) -> Found:
    """Every side once on one image, each checked; the ideal after the raw image, and all plugins at the end of the last round.

    Returns what ours found."""
    image = arguments.path(name)
    case = arguments.work / "case"
    mine = examined(arguments, image, case, sides.MINIMAL, (OURS, name), truth, log, results)
    outputs = []
    for mode in sides.MODES:
        out = arguments.work / mode
        shutil.rmtree(out, ignore_errors=True)
        measure.warm(image)
        used = measure.run(sides.hand(mode, image, out), log=log, env=sides.hand_environment(compiled))
        results.used[f"hand.sh {mode}", name].append(used)
        outputs.append(out)
        if used.code:
            results.notes[f"hand.sh {mode}, {name}: its last command ended with {used.code}"] = None
        by_hand(mode, name, out, mine, truth, results)
    if name == "raw":
        results.ideals.append(ideal(arguments, outputs[-1] / "files", log))
    for out in outputs:
        shutil.rmtree(out)
    if last:
        examined(arguments, image, case, (), (ALL, name), truth, log, results)
    shutil.rmtree(case)
    return mine


def examined(
    arguments: Arguments,
    image: Path,
    case: Path,
    plugins: Sequence[str],
    key: tuple[str, str],
    truth: list[Truth],
    log: Path,
    results: Results,
) -> Found:
    """Our side once: measured, and against the truth."""
    shutil.rmtree(case, ignore_errors=True)
    measure.warm(image)
    used = measure.run(sides.ours(image, case, arguments.cores, plugins), log=log)
    results.used[key].append(used)
    if used.code not in (0, FAULTS):
        raise SystemExit(f"forensics ended with {used.code}; see {log}")
    mine = found.of_case(case)
    results.counts[key] = checked = check.against_truth(mine, truth)
    results.dated[key] = mine.dated
    results.missing += [f"{', '.join(key)}: {line}" for line in (*checked.missing, *mine.problems)]
    return mine


def by_hand(mode: str, name: str, out: Path, mine: Found, truth: list[Truth], results: Results) -> None:
    """What hand.sh found, against the truth and against ours."""
    who, key = f"hand.sh {mode}", (f"hand.sh {mode}", name)
    theirs = found.of_hand(out)
    results.counts[key] = checked = check.against_truth(theirs, truth)
    results.dated[key] = theirs.dated
    empty = sum(item.size == 0 and not item.deleted for item in truth)
    lacking = checked.live_total - checked.live
    if lacking:
        none = lacking == empty and all(NOTHING in line for line in checked.missing)
        why = "all of them empty: tsk_recover writes no empty file" if none else "listed under the differences"
        results.notes[f"{who}, {name}: {lacking} live files not recovered, {why}"] = None
        results.named |= {} if none else dict.fromkeys(f"{who}, {name}: {line}" for line in checked.missing)
    results.notes |= dict.fromkeys(f"{who}, {name}: {line}" for line in theirs.problems)
    rules = check.matches(mine, theirs, "hand.sh")
    tags = check.exif(mine, theirs, "hand.sh", check.exiftool_groups)
    results.compared[key] = (rules.same, tags.same)
    for compared in (rules, tags):
        results.missing += [f"{name}: {line}" for line in compared.missing]
        results.named |= dict.fromkeys(compared.named)


def ideal(arguments: Arguments, files: Path, log: Path) -> dict[str, dict[str, float]]:
    """The floor, measured now."""
    made = environments.make(arguments.work / "env-ideal", ["python-magic", "yara-python", "yara-x", "exifread", "deflate"])
    if made.failure:
        raise SystemExit(f"the ideal's environment {made.failure}")
    ewf = [str(arguments.path("E01"))] if "E01" in arguments.formats else []
    command = [
        *(str(made.programs / "python"), str(sides.HERE / "ideal.py"), str(files), str(sides.RULES)),
        *(str(arguments.cores), str(arguments.path("raw")), *ewf),
    ]
    with open(log, "ab") as messages:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=messages)
    answer: dict[str, dict[str, float]] = json.loads(done.stdout)
    return answer


# --- other tools ------------------------------------------------------------------------------------------------------------


def others(arguments: Arguments, truth: list[Truth], mine: Found, log: Path, results: Results) -> None:
    """Plaso and Dissect once each on the raw image, against what ours found there; what cannot be installed or run is noted."""
    image = arguments.path("raw")
    for name, packages, work in OTHERS:
        made = environments.make(arguments.work / f"env-{name.lower()}", packages)
        if made.failure:
            results.notes[f"{name}: {made.failure}"] = None
            continue
        out = arguments.work / name.lower()
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        measure.warm(image)
        print(f"{name}: {made.versions}", file=sys.stderr)
        results.notes[f"{name}: {made.versions}"] = None
        try:
            used, theirs = work(made, image, out, log)
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            results.notes[f"{name}: cannot do it: {error}"] = None
            continue
        results.used[name, "raw"].append(used)
        results.counts[name, "raw"] = check.against_truth(theirs, truth)
        rules = check.matches(mine, theirs, name)
        results.compared[name, "raw"] = (rules.same, None)
        results.missing += [f"raw: {line}" for line in rules.missing]
        results.named |= dict.fromkeys(rules.named)
        if used.code:
            results.notes[f"{name}: ended with {used.code}"] = None
        shutil.rmtree(out)


def plaso(made: environments.Environment, image: Path, out: Path, log: Path) -> tuple[Usage, Found]:
    """log2timeline measured; psort, which is not, for what it found."""
    rules = out / "rules.yara"
    sides.one_file(rules)
    used = measure.run(sides.plaso(made, image, out, rules), log=log)
    subprocess.run(sides.psort(made, out), check=True, capture_output=True)
    with open(out / "events.jsonl", encoding="utf-8", errors="surrogateescape") as file:
        return used, found.of_lines(found.of_plaso(file))


def dissect(made: environments.Environment, image: Path, out: Path, log: Path) -> tuple[Usage, Found]:
    used = measure.run(sides.dissect(made, image), log=log, stdout=out / "files.jsonl")
    with open(out / "files.jsonl", encoding="utf-8", errors="surrogateescape") as file:
        return used, found.of_lines(file)


OTHERS = (
    ("plaso", ("plaso", "yara-python"), plaso),
    ("Dissect", ("dissect.target", "dissect.extfs", "dissect.fat", "yara-python"), dissect),
)


# --- what was asked for ----------------------------------------------------------------------------------------------------


def parse(words: Sequence[str] | None = None) -> Arguments:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("build/bench"), help="folder for everything that is made")
    parser.add_argument("--image", type=Path, help="a folder that make_image.sh has filled (default: one is built in the work folder)")
    parser.add_argument("--size", type=int, default=2048, help="MB of the image that is built")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", default="raw,E01", help="images to run on")
    parser.add_argument("--no-others", action="store_true", help="without plaso and Dissect")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--cores", type=int, default=cores, help="children of ours, and what the ideal is divided by")
    parser.add_argument("--no-page", action="store_true", help="print only, and leave docs/benchmarks.md as it is")
    given = parser.parse_args(words)
    work = given.work.absolute()
    image = given.image.absolute() if given.image else work / "image"
    formats = tuple(given.formats.split(","))
    return Arguments(work, image, given.size, given.rounds, not given.no_others, given.cores, formats, None if given.no_page else PAGE)


if __name__ == "__main__":
    sys.exit(main(parse()))
