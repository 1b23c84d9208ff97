"""A crew whose children work on other machines: workers of a Dask cluster, checked before they get a unit, one unit in flight each.

The coordinator hands out the units itself, to one named worker each, and lets Dask carry them: so no worker gets one that was not
checked, a unit is taken back the moment its worker is lost, and never more than one result a worker is held anywhere.
"""

import contextlib
import itertools
import queue
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from forensics.engine import alike, host, wire
from forensics.engine.crew import Job
from forensics.engine.delivery import accept
from forensics.engine.reach import Where, connected, open_air
from forensics.errors import EngineError

LOOK = 1.0  # seconds between looks at who is there
CHECKED = 300.0  # seconds in which a worker must have said what it has
ENDED = 15.0  # seconds in which workers must have ended their reading processes
LOSSES = 4  # workers lost over one unit before the run is given up


class _Worker:
    """One worker as the coordinator sees it: to be checked, fit for work, at work, or refused."""

    def __init__(self, address: str, name: str) -> None:
        self.address, self.name = address, name
        self.fit = False
        self.refused: str | None = None
        self.future: Any = None
        self.job: Job | None = None
        self.since = time.monotonic()


class Cluster:
    """Workers of a Dask cluster as a crew. Use as a context manager: entering connects and checks who is there, leaving ends the run there.

    Raises UsageError, EngineError.
    """

    def __init__(self, place: Where, told: wire.Told, ours: alike.Likeness, notice: Callable[[str], None]) -> None:
        self._place, self._ours, self._notice = place, ours, notice
        self._told, self._encoded = told, wire.encode_told(told)
        self._run = secrets.token_hex(16)
        self._extracted, self._spool = Path(told.extracted), Path(told.setup.spool)
        self._workers: dict[str, _Worker] = {}
        self._waiting: Iterator[Job] = iter(())
        self._again: deque[Job] = deque()
        self._losses: dict[Job, int] = {}
        self._events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._looked, self._alone_since = 0.0, time.monotonic()
        self._scheduler: str | None = None
        self._leaving = contextlib.ExitStack()
        self.took_part: set[str] = set()
        """Names and addresses of the workers that have done a unit."""

    def __enter__(self) -> "Cluster":
        Path(self._told.probe).write_text(self._told.secret, encoding="ascii")
        with contextlib.ExitStack() as failing:
            self._client = failing.enter_context(connected(self._place))
            failing.callback(self._end)
            if open_air(self._place):
                self._notice(f"{self._place.address} is not encrypted: what is found crosses the network in the clear (see --cluster-tls)")
            self._first()
            self._leaving = failing.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            if worker.job:
                worker.job.abandon()
        for job in self._again:
            job.abandon()
        self._leaving.close()

    def _end(self) -> None:
        """End the reading processes of this run; those that cannot be reached end by themselves (see `remote`)."""
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            if self._client.status == "running" and self._workers:
                self._client.run(host.end, self._run, workers=list(self._workers), on_error="ignore", callback_timeout=ENDED)

    def current(self) -> tuple[str, ...]:
        """What is going on, for the examiner."""
        busy = sum(worker.job is not None for worker in self._workers.values())
        return (f"{busy} of {sum(worker.fit for worker in self._workers.values())} workers at work",)

    # --- who is there ---------------------------------------------------------------------------------------------------------

    def _first(self) -> None:
        """Wait until every worker that is there has been checked and one is fit. Raises EngineError where none is."""
        self._look()
        if not self._workers:
            self._notice(f"no worker has joined {self._place.address} yet; waiting up to {self._place.patience:.0f} s for the first")
        while True:
            if self._workers and all(worker.fit or worker.refused for worker in self._workers.values()):
                if any(worker.fit for worker in self._workers.values()):
                    return
                raise EngineError(f"no worker of {self._place.address} can examine this case: {self._reasons()}")
            self._wait(lambda *moved: None)

    def _reasons(self) -> str:
        return "; ".join(f"{worker.name}: {worker.refused}" for worker in self._workers.values() if worker.refused)

    def _look(self) -> None:
        """Notice who came and who went, once a second. Raises EngineError where the scheduler is gone, or nobody works for too long."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        there = self._there()
        for address in [address for address in self._workers if address not in there]:
            self._lost(self._workers.pop(address))
        for address, name in there.items():
            if address not in self._workers:
                self._workers[address] = _Worker(address, name)
                self._check(self._workers[address])
        for worker in self._workers.values():
            if worker.future is not None and not worker.fit and now - worker.since > CHECKED:
                self._refuse(worker, f"it has not said in {CHECKED:.0f} s what it has; is its image on a medium that does not answer?")
        if any(worker.fit for worker in self._workers.values()):
            self._alone_since = now
        if now - self._alone_since > self._place.patience:
            reasons = f" ({self._reasons()})" if self._reasons() else ""
            raise EngineError(
                f"no worker of {self._place.address} has been there for {self._place.patience:.0f} s{reasons}; "
                "what was done is kept: start workers, and the same command goes on from there"
            )

    def _there(self) -> dict[str, str]:
        """Address and name of every worker."""
        try:
            if self._client.status == "running":
                found = self._client.scheduler_info(n_workers=-1)
                scheduler = found["id"]
                self._scheduler = self._scheduler or scheduler
                if self._scheduler == scheduler:
                    names = {address: str(each.get("name") or address) for address, each in found["workers"].items()}
                    return {address: name if name == address else f"{name} ({address})" for address, name in names.items()}
        except (OSError, TimeoutError, RuntimeError, KeyError):
            pass  # said below, in the same words
        raise EngineError(
            f"the scheduler at {self._place.address} is gone; what was done is kept: start it again, "
            "and the same command goes on from there"
        )

    def _check(self, worker: _Worker) -> None:
        worker.fit, worker.since = False, time.monotonic()
        self._submit(worker, host.check, self._run, self._encoded)

    def _refuse(self, worker: _Worker, why: str) -> None:
        worker.fit, worker.refused = False, why
        self._drop(worker)
        self._notice(f"worker {worker.name} is refused: {why}")
        self._take_back(worker, why)

    def _lost(self, worker: _Worker) -> None:
        self._drop(worker)
        if worker.fit:
            self._notice(f"worker {worker.name} is lost" + ("; its unit goes to another" if worker.job else ""))
        self._take_back(worker, "its worker was lost")

    def _take_back(self, worker: _Worker, why: str, *, at_a_loss: bool = True) -> None:
        """The unit that a worker did not finish goes first to the next. Raises EngineError where it has cost too many workers."""
        job, worker.job = worker.job, None
        if job is None:
            return
        self._again.append(job)
        self._losses[job] = self._losses.get(job, 0) + at_a_loss
        if self._losses[job] >= LOSSES:
            raise EngineError(f"one unit has failed on {LOSSES} workers ({why}); what was done is kept; go on without --cluster")

    # --- work -----------------------------------------------------------------------------------------------------------------

    def work(self, jobs: Iterable[Job], moved: Callable[[int, int, int], None]) -> None:
        """Do all `jobs`, in order as workers become idle; `moved` hears of entries, bytes and faults as units are done.

        Raises EngineError where the scheduler or all workers are gone, OSError where the case's disk is full.
        """
        self._waiting, self._alone_since = iter(jobs), time.monotonic()
        while True:
            for worker in list(self._workers.values()):
                self._give(worker)
            if not self._again and not any(worker.job for worker in self._workers.values()) and self._next() is None:
                return
            self._look()
            self._wait(moved)
            moved(0, 0, 0)

    def _next(self) -> Job | None:
        """The next unit to be given out, left in its place."""
        if not self._again and (job := next(self._waiting, None)) is not None:
            self._again.append(job)
        return self._again[0] if self._again else None

    def _give(self, worker: _Worker) -> None:
        if worker.fit and worker.future is None and (job := self._next()) is not None:
            self._again.popleft()
            worker.job = job
            self._submit(worker, host.examine, self._run, zstandard.compress(msgspec.json.encode(job.task)))

    def _submit(self, worker: _Worker, function: Callable[..., bytes], *arguments: Any) -> None:
        key = f"forensics-{self._run}-{next(self._numbers)}"
        future = self._client.submit(function, *arguments, key=key, workers=[worker.address], allow_other_workers=False, pure=False)
        worker.future = future
        address = worker.address
        future.add_done_callback(lambda done: self._events.put((address, done)))

    def _drop(self, worker: _Worker) -> None:
        if worker.future is not None:
            with contextlib.suppress(OSError, RuntimeError):
                worker.future.cancel()
            worker.future = None

    def _wait(self, moved: Callable[[int, int, int], None]) -> None:
        """Take one answer, or let a while pass."""
        try:
            address, future = self._events.get(timeout=LOOK)
        except queue.Empty:
            self._look()
            return
        worker = self._workers.get(address)
        if worker is None or worker.future is None or worker.future.key != future.key:
            return  # of a worker that was lost or refused meanwhile
        answer = self._answer(worker, future)
        if self._workers.get(address) is not worker:
            return  # it was lost, and its unit taken back
        worker.future = None
        letter, body = answer[:1], answer[1:]
        if letter == wire.ANSWER and worker.job:
            job, worker.job = worker.job, None
            self._give(worker)  # before the writing, so that no worker waits for a disk of ours
            self._losses.pop(job, None)
            self.took_part.add(worker.name)
            moved(*accept(job, wire.decode_answer(body), self._extracted, self._spool))
        elif letter == wire.LIKENESS:
            self._compare(worker, body)
        elif letter == wire.GONE or (letter == wire.DIED and worker.job):
            self._take_back(worker, f"its reading process ended: {_text(body)}", at_a_loss=letter == wire.DIED)
            self._check(worker)
        else:
            self._refuse(worker, _text(body) or "its reading process ended")

    def _answer(self, worker: _Worker, future: Any) -> bytes:
        """What came, or a word of our own for what did not."""
        try:
            if future.status == "finished":
                return self._result(future)
            if future.status == "error":
                error = future.exception(timeout=CHECKED)
                if type(error).__name__ != "KilledWorker":
                    why = f"forensics does not run there ({type(error).__name__}: {error})"
                    return wire.REFUSED + why.encode("utf-8", "backslashreplace")
        except (OSError, TimeoutError, RuntimeError, CancelledError):
            pass  # it was lost between the two
        self._looked = 0.0
        self._look()
        return wire.GONE

    def _result(self, future: Any) -> bytes:
        """The answer itself. A worker that is lost just now would have us wait for ever: so look who is there in between."""
        for patience in (15, 30, 60, 120, 240):
            with contextlib.suppress(TimeoutError):
                answer: bytes = future.result(timeout=patience)
                return answer
            if not any(worker.future is future for worker in self._workers.values() if worker.address in self._there()):
                break
        raise TimeoutError

    def _compare(self, worker: _Worker, body: bytes) -> None:
        try:
            theirs = alike.decode(body)
        except msgspec.DecodeError:
            self._refuse(worker, "its forensics is another, and answers otherwise")
            return
        found = list(alike.differences(self._ours, theirs))
        if found:
            self._refuse(worker, ", ".join(found[:3]) + (f", and {len(found) - 3} more" if len(found) > 3 else ""))
        else:
            worker.fit = True
            if theirs.sandbox != self._ours.sandbox:
                self._notice(f"worker {worker.name} confines what reads evidence otherwise: {theirs.sandbox}")


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
