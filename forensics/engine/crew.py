"""A crew of children and the jobs that they do: who is idle gets the next job, who dies is replaced, what killed twice is named."""

import os
import re
from collections.abc import Callable, Iterable
from multiprocessing.connection import wait
from pathlib import Path

import msgspec

from forensics import segment
from forensics.digest import sha256_file
from forensics.engine import plan
from forensics.engine.keep import settle
from forensics.engine.setup import IDLE, NO_ENTRY, Limits, Setup
from forensics.engine.supervisor import LOOK, Child
from forensics.engine.task import DONE, Death, Task
from forensics.errors import EngineError, EvidenceError
from forensics.location import escape
from forensics.model import Entry, Examined, Fault, FaultKind

DEATHS = 4  # more than two for each child: deaths in a row outside any file, with nothing done in between, before the run is given up
OUTPUT = 16 << 20  # bytes of what plugins print that are kept while the run lasts
NOT_REACHED = "the process that was to read it ended before"
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_FAULT = b'"type":"fault"'
_KINDS: dict[str, FaultKind] = {
    "Unsupported": "unsupported",
    "Corrupt": "corrupt",
    "Locked": "locked",
    "LimitExceeded": "limit",
    "TimedOut": "limit",
}


class Refused(EvidenceError):
    """A child answered that a task cannot be done at all: its message says why."""


class Job:
    """One task and where its lines go. `place` is the location of a fault of the task as a whole, `plugin` whose task it is, if one's.

    `answer` is what a child said in JSON; `failure` why it was given up.
    """

    def __init__(
        self, task: Task, lines: Path | None = None, units: Path | None = None, *, place: str = "", plugin: str | None = None
    ) -> None:
        self.task, self._lines_path, self._units_path, self.place, self.plugin = task, lines, units, place, plugin
        self.answer: bytes | None = None
        self.failure: str | None = None
        self.digest: str | None = None
        self.done, self.members = task.start, task.skip
        self._suspects: set[tuple[int, int]] = set()
        self._deaths = 0
        self._writers: list[segment.Writer] = []
        self._open()

    def _open(self) -> None:
        self._lines = segment.Writer(self._lines_path) if self._lines_path else None
        self._units = segment.Writer(self._units_path) if self._units_path else None

    def abandon(self) -> None:
        """Leave nothing behind of a job that was not completed."""
        for writer in (self._lines, self._units):
            if writer:
                writer.__exit__(None, None, None)

    def take(self, letter: bytes, body: bytes) -> tuple[int, int, int]:
        """A frame of the child's. Returns entries, bytes and faults that it adds."""
        if letter == b"J":
            self.answer = body
        elif letter == b"U" and self._units:
            self._units.write(body + b"\n")
        elif letter == b"P":
            return 0, DONE.unpack(body)[2], 0
        elif letter == b"L":
            done, members, size = DONE.unpack_from(body)
            before = self.done
            if (done, members) > (self.done, self.members):
                self.done, self.members, self._deaths = done, members, 0
            if self._lines:
                self._lines.write(body[DONE.size :])
            return self.done - before, size, body.count(_FAULT)
        return 0, 0, 0

    def commit(self) -> None:
        """Make what came of the job durable: lines first, then units."""
        if self._lines:
            self.digest = self._lines.commit()
        if self._units:
            self._units.commit()

    def died(self, message: str, limit: bool, entry: int, plugin: int) -> bool:
        """Note a death. Returns whether the job is to be tried again."""
        if self.task.what == "examine" and entry != NO_ENTRY and plugin != IDLE:
            pair = (entry, plugin)
            deaths = self.task.deaths
            if pair in self._suspects:
                deaths = (*deaths, Death(entry, plugin, message, limit))
            self._suspects.add(pair)
            self.task = msgspec.structs.replace(self.task, start=self.done, skip=self.members, again=True, deaths=deaths)
            return True
        self._deaths += 1
        if self._deaths > 1:
            self._give_up(message, limit)
            return False
        if self.task.what == "examine":
            self.task = msgspec.structs.replace(self.task, start=self.done, skip=self.members, again=True)
            return True
        self.abandon()
        self.answer = None
        if self.task.what == "plan":
            self.task = msgspec.structs.replace(self.task, start=1)
        self._open()
        return True

    def _give_up(self, message: str, limit: bool) -> None:
        """Twice the child died of opening, walking or measuring: that is the fault, and what came before it is kept.

        The entries of a unit that were not reached are named, each with its reason.
        """
        self.failure = message
        if not self._lines:
            return
        place = self.place
        rest: tuple[Entry, ...] = ()
        if self.task.what == "examine":
            entries = plan.decode(bytes(self.task.unit)).entries
            rest = entries[self.done :]
            place = (rest or entries[-1:])[0].location
        fault = Fault(location=place, kind="died", message=f"{self.task.what}: {message}", plugin=self.plugin, limit=limit)
        self._lines.write(segment.encode(fault))
        for entry in rest:
            self._lines.write(segment.encode(Examined(entry=entry, outcome="failed", reason=NOT_REACHED)))

    def refuse(self, kind: str, message: str) -> None:
        """The child said that the exhibit cannot be opened, read or walked: a fault of the exhibit, not the end of the run.

        What came before it is kept: of a walk, the units that were written down.
        """
        self.failure = message
        if self._lines:
            said = f"a file system {plan.CUT}: {message}" if self.task.what == "plan" else message
            fault = Fault(location=self.place, kind=_KINDS.get(kind, "error"), message=said, plugin=self.plugin, limit=kind == "TimedOut")
            self._lines.write(segment.encode(fault))


class Crew:
    """Children that work side by side. Use as a context manager: leaving ends them all."""

    def __init__(self, setup: Setup, limits: Limits, number: int, extracted: Path) -> None:
        self._setup, self._limits, self._number, self._extracted = setup, limits, number, extracted
        self._children: list[Child] = []
        self._jobs: dict[Child, Job] = {}
        self._made = 0
        self._deaths = 0

    def __enter__(self) -> "Crew":
        Path(self._setup.spool).mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for job in self._jobs.values():
            job.abandon()
        for child in self._children:
            child.close()
        self._children.clear()

    def _hire(self) -> Child:
        Path(self._setup.spool).mkdir(parents=True, exist_ok=True)  # a plugin may have removed it
        child = Child(self._made, self._setup, self._limits)
        self._made += 1
        self._children.append(child)
        return child

    def hire(self, number: int) -> None:
        """Have so many children begin to load what they need, though there is no job for them yet."""
        while len(self._children) < min(number, self._number):
            self._hire()

    def busy(self) -> list[tuple[Job, int, int]]:
        """The jobs in hand, with the entry and the plugin that each child is on."""
        return [(job, *child.status.read()[:2]) for child, job in self._jobs.items()]

    def work(self, jobs: Iterable[Job], moved: Callable[[int, int, int], None]) -> None:
        """Do all `jobs`, in order as children become idle; `moved` hears of entries, bytes and faults as they come.

        Raises Refused where a child cannot go on (the image is gone, the disk is full), EngineError where children do not start.
        """
        queue = iter(jobs)
        more = True
        idle = [child for child in self._children if child not in self._jobs]
        while more or self._jobs:
            while more and (idle or len(self._children) < self._number):
                job = next(queue, None)
                if job is None:
                    more = False
                    break
                child = idle.pop(0) if idle else self._hire()
                self._give(child, job)
            if not self._jobs:
                break
            ready = wait([each for child in self._jobs for each in (child.connection, child.ended)], LOOK)
            for child in list(self._jobs):
                if child.connection in ready:  # before the end is noticed, what a child said until then is taken
                    if self._frame(child, moved):
                        idle.append(child)
                elif child.ended in ready or child.lost():
                    self._replace(child, self._jobs[child])
                if child in self._jobs:
                    child.watch()
            self._trim()
            moved(0, 0, 0)

    def _give(self, child: Child, job: Job) -> None:
        self._jobs[child] = job
        child.give(job.task)

    def _frame(self, child: Child, moved: Callable[[int, int, int], None]) -> bool:
        """Take one frame of a child. Returns whether the child is idle now."""
        job = self._jobs[child]
        frame = child.receive()
        if frame is None:
            self._replace(child, job)
            return False
        letter, body = frame[:1], frame[1:]
        if letter == b"X":
            kind, _, message = body.decode("utf-8", "replace").partition("\n")
            if job.task.what not in ("open", "measure", "plan") or kind in ("OSError", "Gone"):
                raise Refused(message)
            job.refuse(kind, message)
        if letter in (b"D", b"X"):
            self._collect(child)
            job.commit()
            del self._jobs[child]
            self._deaths = 0
            return True
        more = job.take(letter, body)
        if more[0]:
            self._deaths = 0
        moved(*more)
        return False

    def _replace(self, child: Child, job: Job) -> None:
        """A child died: name it, and give its job to a new one unless the job is what kills."""
        entry, plugin, *_ = child.status.read()
        message, limit = child.death()
        self._collect(child)
        del self._jobs[child]
        self._children.remove(child)
        child.close()
        if job.task.what in ("describe", "examine") and (entry == NO_ENTRY or plugin == IDLE):
            self._deaths += 1
        if self._deaths > DEATHS + 2 * self._number:
            job.abandon()
            raise EngineError(
                f"{self._deaths} processes in a row ended before they read a file ({message}){self._last_words()}; what was done is kept: "
                "mend the machine (memory, disk) or leave out the plugin added last, and run the same command"
            )
        if job.died(message, limit, entry, plugin):
            self._give(self._hire(), job)
        elif job.task.what == "describe":
            raise EngineError(
                f"a plugin ended the process that loads plugins ({message}){self._last_words()}; remove the plugin added last, or name "
                "others with --plugin"
            )
        else:
            job.commit()

    def _last_words(self) -> str:
        """The last line that a child printed, which may be an error of its own."""
        try:
            with open(self._setup.output, "rb") as output:
                output.seek(max(0, os.fstat(output.fileno()).st_size - 4096))
                lines = output.read().split(b"\n")
        except OSError:
            return ""
        last = next((line for line in reversed(lines) if line.strip()), b"")
        return f"; it said: {escape(last.decode('utf-8', 'backslashreplace')[:500])}" if last else ""

    def _trim(self) -> None:
        """Keep what plugins print from filling the disk: the children append, so the file may be cut under them."""
        try:
            if os.stat(self._setup.output).st_size > OUTPUT:
                os.truncate(self._setup.output, 0)
        except FileNotFoundError:
            pass

    def _collect(self, child: Child) -> None:
        """Move the attachments that a child made to where they are kept, under their digests, before a segment names them."""
        folder = Path(self._setup.spool) / f"child-{child.number}" / "attachments"
        if folder.is_dir():
            settle(((path, path.name) for path in list(folder.iterdir()) if _is_attachment(path)), self._extracted)


def _is_attachment(path: Path) -> bool:
    """Whether a file is what its name says, and so the engine's own writing."""
    return _DIGEST.match(path.name) is not None and not path.is_symlink() and path.is_file() and sha256_file(path) == path.name
