"""Runs a command and measures its whole process tree: wall time, CPU time, peak memory. Linux.

CPU is user and system time of every process of the tree, orphans included: the measuring process becomes the tree's subreaper
(prctl(2), PR_SET_CHILD_SUBREAPER) and waits for all of it. Memory is sampled every 100 ms: anonymous resident memory (RssAnon of proc(5)),
which a page cache does not blow up, and every fifth time also PSS, which shares mapped files out among those who map them.
"""

import contextlib
import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PERIOD = 0.1
EVERY = 5
_SUBREAPER = 36


class Usage(NamedTuple):
    """What a command took: seconds, bytes, its exit code.

    `tree` is the peak of the sum over the processes alive at one time, `parent` the command's own process, `child` the largest other one,
    all of anonymous memory; `pss` is the peak of the tree's PSS.
    """

    wall: float
    cpu: float
    tree: int
    parent: int
    child: int
    pss: int
    code: int


def run(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    stdout: Path | None = None,
    limit: float = float("inf"),
) -> Usage:
    """Run `command` to its end, and to the end of everything that it started. Its messages go to `log`, its output too unless `stdout`.

    After `limit` seconds the whole tree is killed; the exit code is then that of the signal, -9.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl: cannot wait for orphans, so their time would be lost")
    before = _children_time()
    tree = parent = child = pss = number = 0
    with contextlib.ExitStack() as files:
        messages = files.enter_context(open(log, "ab"))
        output = files.enter_context(open(stdout, "wb")) if stdout else messages
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=messages, env=dict(env) if env is not None else None
        )
        handle = os.pidfd_open(process.pid)
        files.callback(os.close, handle)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        while not poll.poll(PERIOD * 1000):
            alive = list(descendants(os.getpid()))
            sizes = {pid: _memory(pid, "status", "RssAnon:") for pid in alive}
            tree = max(tree, sum(sizes.values()))
            parent = max(parent, sizes.pop(process.pid, 0))
            child = max([child, *sizes.values()])
            if number % EVERY == 0:
                pss = max(pss, sum(_memory(pid, "smaps_rollup", "Pss:") for pid in alive))
            number += 1
            if time.perf_counter() - begun > limit:
                for pid in alive:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        code = process.wait()
        wall = time.perf_counter() - begun
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
    return Usage(wall, _children_time() - before, tree, parent, child, pss, code)


def _children_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def descendants(pid: int) -> Iterator[int]:
    """The processes below `pid`, each once, without `pid` itself."""
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                for child in file.read().split():
                    yield int(child)
                    yield from descendants(int(child))


def _memory(pid: int, name: str, field: str) -> int:
    """Bytes of one field of a process's memory; 0 where the process has ended, is a kernel's or is not ours to look at."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(field):
                return int(line.split()[1]) << 10
    return 0


def warm(*paths: Path) -> None:
    """Write out what others left, and read `paths` into the page cache, so that every side begins alike."""
    os.sync()
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


if __name__ == "__main__":
    print(run(sys.argv[1:], log=Path(os.devnull)))
