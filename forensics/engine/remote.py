"""The reading process of a cluster's worker: our supervisor with one child, told what to do over standard input.

A Dask worker is daemonic and may have no children of multiprocessing, so it starts this by ``python -m forensics.engine.remote SPOOL`` and
speaks `wire` frames with it. The process lives as long as units of its run come; it ends, and takes its child and its spool along, when
the pipe closes (the worker ended or died) or when nothing has come for a while (the coordinator died). The pipe and not PR_SET_PDEATHSIG
tells it so, because that signal comes when the *thread* ends that started the process, and a worker's threads come and go.
"""

import contextlib
import multiprocessing
import os
import queue
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from forensics.discovery import VARIABLE
from forensics.engine import alike, tool, wire
from forensics.engine.alone import plugins_of
from forensics.engine.crew import Crew, Job
from forensics.engine.delivery import store
from forensics.engine.task import Task
from forensics.errors import ForensicsError

IDLE = 900.0  # seconds without a unit after which the run is taken to be over
_TRIES, _PAUSE = 1000, 0.01  # to remove the spool; seconds between two
_task = msgspec.json.Decoder(Task).decode


def main(spool: Path) -> None:
    """Serve one run over standard input and output until there is no more to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the coordinator's to answer
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    devnull = os.open(os.devnull, os.O_RDWR)
    os.dup2(devnull, 0)
    os.dup2(devnull, 1)  # what anything prints must not get between the frames
    requests: queue.SimpleQueue[tuple[bytes, bytes]] = queue.SimpleQueue()
    with contextlib.suppress(BrokenPipeError), contextlib.ExitStack() as leaving:
        leaving.callback(shutil.rmtree, spool, ignore_errors=True)
        first = wire.receive(source)
        if first is None:  # the worker died before it had told what to do
            return
        threading.Thread(target=_listen, args=(source, requests, spool), daemon=True).start()
        try:
            serve(wire.decode_told(first[1]), spool, requests, sink)
        except ForensicsError as error:
            wire.send(sink, wire.REFUSED, str(error).encode("utf-8", "backslashreplace"))
        except OSError as error:
            message = f"{error.filename or spool}: {error.strerror or error}"
            wire.send(sink, wire.REFUSED, message.encode("utf-8", "backslashreplace"))


def _listen(source: BinaryIO, requests: "queue.SimpleQueue[tuple[bytes, bytes]]", spool: Path) -> None:
    """Pass on what comes; end everything at once, in the middle of a unit too, when the other side has gone."""
    while (request := wire.receive(source)) is not None:
        requests.put(request)
    for process in multiprocessing.active_children():
        process.kill()
        process.join(1)
    serving = os.getpid()
    if os.fork() == 0:  # of a fork this thread alone goes on, to remove the spool when nobody is left to put something into it again
        for _ in range(_TRIES):
            if os.getppid() != serving:
                shutil.rmtree(spool, ignore_errors=True)
                if not spool.exists():  # a child that was being started finds it gone, and ends
                    break
            time.sleep(_PAUSE)
    os._exit(0)


def serve(told: wire.Told, spool: Path, requests: "queue.SimpleQueue[tuple[bytes, bytes]]", sink: BinaryIO) -> None:
    """Answer requests with a crew of one. Raises ForensicsError or OSError where this worker cannot go on."""
    with contextlib.suppress(OSError):
        os.chdir(told.folder)  # so that relative paths of plugins and hash sets mean what they mean to the coordinator
    os.environ[VARIABLE] = told.plugins
    setup = msgspec.structs.replace(told.setup, spool=str(spool), output=str(spool / "output.log"))
    kept = spool / "kept"
    kept.mkdir(parents=True)
    with Crew(setup, told.limits, 1, kept) as crew:
        while True:
            try:
                letter, body = requests.get(timeout=IDLE)
            except queue.Empty:
                return
            if letter == wire.CHECK:
                wire.send(sink, wire.LIKENESS, msgspec.json.encode(_likeness(crew, told)))
            elif letter == wire.UNIT:
                wire.send(sink, wire.ANSWER, wire.encode_answer(_unit(crew, _task(zstandard.decompress(body)), told, spool, kept)))


def _likeness(crew: Crew, told: wire.Told) -> alike.Likeness:
    return alike.likeness(plugins_of(crew), told.setup.exhibits, tool.tool_digest(), tool.libraries())


def _unit(crew: Crew, task: Task, told: wire.Told, spool: Path, kept: Path) -> wire.Answer:
    """Examine one unit, with every retry that a local run would make of it."""
    counted = [0, 0, 0]

    def moved(*more: int) -> None:
        counted[:] = map(sum, zip(counted, more, strict=True))

    path = spool / "unit.jsonl.zst"
    job = Job(task, path)
    try:
        crew.work([job], moved)
    finally:
        job.abandon()
    segment = path.read_bytes()
    path.unlink()
    entries, size, faults = counted
    return wire.Answer(
        segment=segment,
        digest=job.digest or "",
        attachments=_attachments(kept, told),
        entries=entries,
        bytes=size,
        faults=faults,
    )


def _attachments(kept: Path, told: wire.Told) -> dict[str, bytes]:
    """The attachments that were made: none, and put in their place, where the case folder is the coordinator's; else their content."""
    shared = _shared(told)
    found: dict[str, bytes] = {}
    for path in sorted(kept.glob("??/*")):
        if shared:
            store(path.read_bytes(), path.name, Path(told.extracted), Path(told.setup.spool))
        else:
            found[path.name] = path.read_bytes()
        path.unlink()
    return found


def _shared(told: wire.Told) -> bool:
    try:
        return Path(told.probe).read_text(encoding="ascii") == told.secret and os.access(told.extracted, os.W_OK)
    except (OSError, UnicodeDecodeError):
        return False


if __name__ == "__main__":
    main(Path(sys.argv[1]))
