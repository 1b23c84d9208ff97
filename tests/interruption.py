"""A run that is interrupted at a stated moment, and what must hold when the same command is given again. Used by tests and soak alike.

A moment is the number of a step that the tool's main process takes on the case folder (a file opened for writing, a name changed, a folder
made, a database opened), and so many calls of functions after it. Both come from Python's own audit events and profile hook, which
`sitecustomize` sets in the process under test: the tool itself knows nothing of it.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from forensics import case as cases
from forensics import custody, index

PHASES = {  # the functions in which they are: a file, a name
    "beginning.py:begin": "beginning",
    "run.py:_open": "opening",
    "run.py:_measure": "measuring",
    "run.py:_plan": "planning",
    "run.py:_examine": "examining",
    "run.py:_complete": "completing",
    "reporting.py:write": "reporting",
}
_HOOK = """
import os, signal, sys

FOLDER, AT, AFTER, LOG, DO = (os.environ.get("INTERRUPT_" + name, "") for name in ("FOLDER", "AT", "AFTER", "LOG", "DO"))
PHASE = os.environ.get("INTERRUPT_PHASE", "")
PHASES = {phases!r}
seen = 0


def phase():
    frame = sys._getframe(2)
    while frame:
        name = os.path.basename(frame.f_code.co_filename) + ":" + frame.f_code.co_name
        if name in PHASES:
            return "measuring again" if "_measure" in name and frame.f_locals.get("phase") == "after" else PHASES[name]
        frame = frame.f_back
    return "starting"


def step(event, arguments):
    global seen
    if event == "open":
        if not isinstance(arguments[1], str) or not set(arguments[1]) & set("wax+"):
            return
    elif event not in ("os.rename", "os.mkdir", "os.remove", "os.truncate", "sqlite3.connect"):
        return
    if FOLDER not in str(arguments[0]) or (PHASE and phase() != PHASE):
        return
    seen += 1
    if LOG:
        os.write(log, phase().encode() + b"\\n")
    if str(seen) == AT and DO:
        exec(DO)
    elif str(seen) == AT:
        left = int(AFTER)

        def count(frame, what, argument):
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(count)


if FOLDER and len(sys.argv) and os.environ.get("INTERRUPT_PARENT") == str(os.getppid()):
    if LOG:
        log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.addaudithook(step)
"""


class Moment(NamedTuple):
    """The step at which the process kills itself, how many calls later, and the phase that it is in."""

    step: int
    calls: int
    phase: str


class Held(NamedTuple):
    """What a finished case holds: the run's digest, the ids of all records and the locations of all entries, in order."""

    digest: str
    records: list[str]
    entries: list[str]


class Whole:
    """An uninterrupted run: its image, the folder to work in, the phases of its steps, what it found."""

    def __init__(self, image: Path, work: Path, *options: str) -> None:
        self.image, self.work = image, work
        self.steps = phases(image, work, *options)
        self.held = held(work / "whole")


def command(image: Path, case: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "forensics", "process", str(image), "--case", str(case), "--children", "2", "--json", *options]


def run(arguments: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """The command to its end, however that comes. It is never longer than ten minutes."""
    done = subprocess.run(
        arguments, capture_output=True, text=True, check=False, timeout=600, env={**os.environ, **environment}, errors="replace"
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def hooked(arguments: Sequence[str], folder: Path, case: Path, **values: str) -> subprocess.CompletedProcess[str]:
    """The command with the hook in its main process; `values` are what the hook is told."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_HOOK.replace("{phases!r}", repr(PHASES)))
    told = {f"INTERRUPT_{name.upper()}": value for name, value in values.items()}
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return run(arguments, PYTHONPATH=path, INTERRUPT_FOLDER=f"{case}/", INTERRUPT_PARENT=str(os.getpid()), **told)


def phases(image: Path, work: Path, *options: str) -> list[str]:
    """The phase of every step of an uninterrupted run, in order. The case is left in ``work/whole``."""
    log = work / "steps"
    log.unlink(missing_ok=True)
    done = hooked(command(image, work / "whole", *options), work / "hook", work / "whole", log=str(log))
    assert done.returncode in (0, 3), done.stderr
    return log.read_text().splitlines()


def moments(steps: list[str], seed: int, number: int) -> list[Moment]:
    """`number` moments, as many in each phase as in the others."""
    source = random.Random(seed)
    names = list(dict.fromkeys(steps))
    chosen = []
    for count in range(number):
        phase = names[count % len(names)]
        step = source.choice([place for place, name in enumerate(steps, 1) if name == phase])
        chosen.append(Moment(step, source.choice((0, 1, 2, 3, 5, 10, 30, 100, 1000)), phase))
    return chosen


def killed_at(moment: Moment, image: Path, work: Path, case: Path, *options: str) -> None:
    """Run until the moment, and no longer. A moment that lies after the end of the run is none: then it ends by itself."""
    done = hooked(command(image, case, *options), work / "hook", case, at=str(moment.step), after=str(moment.calls))
    assert done.returncode in (-signal.SIGKILL, 0, 3), done.stderr


def done_at(phase: str, step: int, code: str, image: Path, work: Path, case: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run, with `code` executed at a step of a phase, from 1: those before it may be more or fewer, as children happen to start."""
    return hooked(command(image, case, *options), work / "hook", case, at=str(step), phase=phase, do=code)


def held(case: Path) -> Held:
    """What the case's last run found."""
    opened = cases.open_case(case)
    last = opened.runs()[-1]
    with index.open_index(opened.index_path, last) as found:
        entries = sorted(entry.entry.location for entry in found.entries())
        return Held(found.run_digest(last), sorted(record.id for record in found.records()), entries)


def resumed(image: Path, case: Path, whole: Held, *options: str) -> None:
    """Give the same command again: it completes, with the same result, nothing twice, nothing lost, and the case holds."""
    opened = cases.open_case(case) if (case / "case.toml").exists() else None
    begun = opened.runs() if opened else ()
    interrupted = [name for name in begun if not (case / "runs" / name / "complete").exists()]
    done = run(command(image, case, *options))
    assert done.returncode in (0, 3), done.stderr
    said = [json.loads(line)["run"] for line in done.stdout.splitlines() if line.startswith('{"run"')]
    assert said[0]["digest"] == whole.digest
    assert held(case) == whole
    assert len(set(whole.records)) == len(whole.records)
    holds(case)
    log = list(custody.read(case))
    for name in interrupted:
        assert said[0]["resumed"]
        assert "interrupted" in [line.event for line in log if line.object == name]
    assert not (case / "spool").exists()
    assert not list((case / "runs").rglob(".*"))


def holds(case: Path) -> None:
    """What `custody verify` and `case check` look at is as the log says."""
    assert custody.verify(case) == []
    assert cases.check(cases.open_case(case)) == []
    bodies = [(line.event, line.body or {}) for line in custody.read(case)]
    events = [(event, body.get("run"), body.get("phase")) for event, body in bodies]
    for name in cases.open_case(case).runs():
        if (case / "runs" / name / "complete").exists():
            assert {phase for event, run_name, phase in events if event == "verified" and run_name == name} == {"before", "after"}
            phases = [phase for event, run_name, phase in events if event == "examined" and run_name == name]
            assert (phases[0], phases[-1]) == ("started", "completed")


def started(arguments: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)


def until(condition: Callable[[], Any], process: "subprocess.Popen[str]") -> bool:
    """Wait until the condition holds, or the process has ended. Returns whether it held."""
    while process.poll() is None:
        if condition():
            return True
        time.sleep(0.005)
    return bool(condition())


def family(pid: int) -> list[int]:
    """The processes that a process started, directly and indirectly, the nearest first."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = parents.get(waiting.pop(0), [])
        found += below
        waiting += below
    return found
