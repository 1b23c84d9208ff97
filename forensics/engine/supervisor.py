"""The parent's side of a child: it watches time and memory, ends what passes a limit, and says of what a child died."""

import contextlib
import os
import signal
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from forensics.engine import PRELOADED, door
from forensics.engine.setup import BROKEN, IDLE, PREPARING, Limits, Setup, Status, encode
from forensics.engine.task import Task

LOOK = 0.1  # seconds between looks at a child's time and memory
GRACE = 5.0  # seconds in which a child that is ended, or closed its pipe, must be gone
FRAME = 1 << 30  # bytes; a unit's lines come in parts of some 256 KiB, or one file's lines at once
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Child:
    """One child process, and whatever it forked."""

    def __init__(self, number: int, setup: Setup, limits: Limits) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.number, self._limits = number, limits
        self._path = Path(setup.spool) / f"status-{number}"
        self.status = Status(self._path, create=True)
        ours, theirs = context.Pipe()
        self.connection: Connection = ours
        self._process = context.Process(target=door.enter, args=(theirs, encode(setup), str(self._path), number), daemon=True)
        self._process.start()
        theirs.close()
        self.ended = self._process.sentinel  # ready when the process is gone, though something that it forked holds its pipe open
        assert self._process.pid  # started
        self._pid = self._process.pid
        self._stat, self._memory = (_opened(f"/proc/{self._pid}/{name}") for name in ("stat", "statm"))
        self._looked = 0.0
        self._on: tuple[int, int, int, float] | None = None
        self._cpu_then = 0.0
        self._reason: str | None = None
        self._by_limit = False
        self._killed: float | None = None

    def give(self, task: Task) -> None:
        """Hand over a task. A child that is dead already is found so at the next `receive`."""
        with contextlib.suppress(OSError):
            self.connection.send_bytes(msgspec.json.encode(task))

    def receive(self) -> bytes | None:
        """The next frame, or `None` where the child died, or said what is no frame."""
        try:
            return self.connection.recv_bytes(FRAME)
        except (EOFError, OSError) as error:
            if not isinstance(error, EOFError) and error.errno is None:  # a length that no frame has
                self._end("wrote what is no frame into its pipe", limit=False)
            self._process.join(GRACE)
            if self._process.exitcode is None and self._killed is None:
                self._end("closed its pipe and went on", limit=False)
                self._process.join(GRACE)
            return None

    def watch(self) -> None:
        """End the child where what it works on has passed a limit of time or memory."""
        now = time.monotonic()
        if now - self._looked < LOOK or self._killed is not None:
            return
        self._looked = now
        now_on = self.status.read()
        _, plugin, size, wall_then = now_on
        usage = self._usage()
        if usage is None:
            return
        if now_on != self._on:
            self._on, self._cpu_then = now_on, usage[0]  # seen now, begun a moment before
        cpu, anonymous = usage[0] - self._cpu_then, usage[1]
        if anonymous > self._limits.memory:
            self._end(f"used {anonymous >> 20} MiB of memory (limit {self._limits.memory >> 20} MiB)")
        elif plugin != IDLE:
            allowed, for_what = (self._limits.prepare, "plugins") if plugin == PREPARING else (self._limits.cpu(size), f"{size} bytes")
            patience = allowed * self._limits.wall_factor
            if cpu > allowed:
                self._end(f"used {cpu:.0f} s of processor time (limit {allowed:.0f} s for {for_what})")
            elif now - wall_then > patience:
                self._end(f"gave no sign for {now - wall_then:.0f} s (limit {patience:.0f} s for {for_what})")

    def lost(self) -> bool:
        """Whether the child was ended a while ago and the kernel does not let go of it (a medium that does not answer)."""
        return self._killed is not None and time.monotonic() - self._killed > GRACE

    def _usage(self) -> tuple[float, int] | None:
        """CPU seconds and bytes of anonymous memory, or `None` where the process is gone (proc(5): stat, statm)."""
        try:
            stat = os.pread(self._stat, 1024, 0).rpartition(b")")[2].split()
            memory = os.pread(self._memory, 256, 0).split()
        except OSError:
            return None
        # resident pages less those of files: a large content, which is mapped from the spool, does not count
        return (int(stat[11]) + int(stat[12])) / _TICKS, (int(memory[1]) - int(memory[2])) * _PAGE

    def _end(self, reason: str, *, limit: bool = True) -> None:
        self._reason, self._by_limit, self._killed = reason, limit, time.monotonic()
        self._process.kill()

    def death(self) -> tuple[str, bool]:
        """Of what the child died, in words, and whether that was a limit of ours or of the machine's."""
        if self._reason:
            return f"ended by the supervisor: it {self._reason}", self._by_limit
        code = self._process.exitcode
        if code == BROKEN:
            return "ended by itself: a plugin had taken away its pipe or its folder", False
        if code is None or code >= 0:
            return f"ended by itself with exit code {code}", False
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        if name == "SIGKILL":
            return "killed by SIGKILL, as the kernel does where memory runs out", True
        return f"killed by {name}", False

    def close(self) -> None:
        """End the child, whatever it is doing, and what it forked."""
        self.connection.close()
        self._process.join(0 if self._killed else 0.5)
        if self._process.exitcode is None:
            self._process.kill()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)  # it leads a group of its own
        self._process.join(GRACE)
        if self._process.exitcode is not None:
            self._process.close()
        for descriptor in (self._stat, self._memory):
            if descriptor >= 0:
                os.close(descriptor)
        self.status.close()
        self._path.unlink(missing_ok=True)


def _opened(path: str) -> int:
    """A descriptor of a file of proc(5), which stays that process's even where its number is given anew; -1 where the process is gone."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
