"""What runs inside a Dask worker: it starts the reading process of a run, and passes units to it. It reads no evidence itself."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from forensics.engine import wire

_hosted: dict[str, "_Process"] = {}
_lock = threading.Lock()


class _Process:
    """One reading process, and the private folder in which it may write."""

    def __init__(self, told: bytes, scratch: str | None) -> None:
        self.spool = Path(tempfile.mkdtemp(prefix="forensics-", dir=scratch))
        self._errors = self.spool / "errors.log"
        with open(self._errors, "wb") as errors:
            # -P: the working folder may hold evidence, and must never be a place to import from
            self._process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
                [sys.executable, "-P", "-m", "forensics.engine.remote", str(self.spool)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        assert self._process.stdin and self._process.stdout
        self._in, self._out = self._process.stdin, self._process.stdout
        self._busy = threading.Lock()
        self._told = told
        self._greeted = False

    def ask(self, letter: bytes, body: bytes) -> bytes:
        """One request and its answer, a letter and a body: DIED and its last words where the process ends meanwhile, GONE where it had."""
        with self._busy:
            if self._process.poll() is not None and self._greeted:
                return wire.GONE
            try:
                if not self._greeted:
                    wire.send(self._in, wire.TOLD, self._told)
                    self._greeted = True
                wire.send(self._in, letter, body)
            except OSError:
                return wire.DIED + self._last_words()
            answer = wire.receive(self._out)
            return wire.DIED + self._last_words() if answer is None else b"".join(answer)

    def _last_words(self) -> bytes:
        """The end of what the process wrote of an error of its own."""
        try:
            lines = self._errors.read_bytes()[-4096:].strip().splitlines()
        except OSError:
            return b""
        return lines[-1] if lines else b""

    def close(self) -> None:
        """End the process and remove its folder."""
        with contextlib.suppress(OSError):  # what was not yet written is for nobody now
            self._in.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._out.close()  # last: another thread may wait in it for an answer until the process has ended
        shutil.rmtree(self.spool, ignore_errors=True)


def check(run: str, told: bytes) -> bytes:
    """What this machine has: LIKENESS and its JSON, or REFUSED and why it cannot say. Starts the run's reading process anew."""
    end(run)
    try:
        process = _Process(told, _scratch())
    except OSError as error:
        return wire.REFUSED + f"its reading process cannot be started ({error.strerror or error})".encode()
    with _lock:
        _hosted[run] = process
    return _answer(run, process, wire.CHECK, b"")


def examine(run: str, task: bytes) -> bytes:
    """One unit: ANSWER and what came of it; GONE, DIED; REFUSED and why this machine cannot go on."""
    with _lock:
        process = _hosted.get(run)
    return _answer(run, process, wire.UNIT, task) if process else wire.GONE


def _answer(run: str, process: _Process, letter: bytes, body: bytes) -> bytes:
    answer = process.ask(letter, body)
    if answer[:1] in (wire.REFUSED, wire.GONE, wire.DIED):
        end(run)
    return answer


def end(run: str) -> None:
    """End the run's reading process, if there is one."""
    with _lock:
        process = _hosted.pop(run, None)
    if process:
        process.close()


def dask_setup(worker: object) -> None:
    """For a worker on the examiner's own terminal (Dask's ``preload``): Ctrl-C is the coordinator's to answer, and what Dask prints of its
    own end is nobody's to read."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _scratch() -> str | None:
    """The worker's own folder for passing data, where its owner chose one; else the system's."""
    from distributed import get_worker

    try:
        return str(get_worker().local_directory)
    except ValueError:
        return None
