"""The parent's side of a child: it watches time and memory, ends what passes a limit, and says of what a child died."""

import contextlib
import os
import signal
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from forensics.engine import child
from forensics.engine.setup import IDLE, Limits, Setup, Status, encode

_TICKS = os.sysconf("SC_CLK_TCK")


class Child:
    """One child process. `busy` is the caller's: what it was given to do."""

    def __init__(self, number: int, setup: Setup, limits: Limits) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(["forensics.engine.child", "forensics.cli"])
        self.number, self._limits = number, limits
        path = Path(setup.spool) / f"status-{number}"
        self.status = Status(path, create=True)
        ours, theirs = context.Pipe()
        self.connection: Connection = ours
        self._process = context.Process(target=child.main, args=(theirs, encode(setup), str(path), number), daemon=True)
        self._process.start()
        theirs.close()
        self._ended: str | None = None
        self._by_limit = False

    def give(self, task: child.Task) -> None:
        """Hand over a task. A child that is dead already is found so at the next `receive`."""
        with contextlib.suppress(OSError):
            self.connection.send_bytes(msgspec.json.encode(task))

    def receive(self) -> bytes | None:
        """The next frame, or `None` where the child died."""
        try:
            return self.connection.recv_bytes()
        except (EOFError, OSError):
            self._process.join(10)
            return None

    def watch(self) -> None:
        """End the child where the pair it works on has passed a limit of time or memory."""
        _, plugin, size, cpu_then, wall_then = self.status.read()
        usage = self._usage()
        if usage is None:
            return
        cpu, anonymous = usage
        if anonymous > self._limits.memory:
            self._end(f"used {anonymous >> 20} MiB of memory (limit {self._limits.memory >> 20} MiB)")
        elif plugin != IDLE:
            allowed = self._limits.cpu(size)
            waited = time.monotonic() - wall_then
            if cpu - cpu_then > allowed:
                self._end(f"used {cpu - cpu_then:.0f} s of processor time (limit {allowed:.0f} s for {size} bytes)")
            elif waited > allowed * self._limits.wall_factor:
                self._end(f"gave no sign for {waited:.0f} s (limit {allowed * self._limits.wall_factor:.0f} s for {size} bytes)")

    def _usage(self) -> tuple[float, int] | None:
        """CPU seconds and bytes of anonymous memory, or `None` where the process is gone (proc(5))."""
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_bytes().rpartition(b")")[2].split()
            memory = Path(f"/proc/{self._process.pid}/status").read_bytes()
        except OSError:
            return None
        anonymous = next((int(line.split()[1]) << 10 for line in memory.splitlines() if line.startswith(b"RssAnon:")), 0)
        return (int(stat[11]) + int(stat[12])) / _TICKS, anonymous

    def _end(self, reason: str) -> None:
        self._ended, self._by_limit = reason, True
        self._process.kill()

    def death(self) -> tuple[str, bool]:
        """Of what the child died, in words, and whether that was a limit of ours."""
        if self._ended:
            return f"ended by the supervisor: it {self._ended}", True
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}", -code == signal.SIGKILL
        return f"ended by itself with exit code {code}", False

    def close(self) -> None:
        """End the child, whatever it is doing."""
        self.connection.close()
        self._process.join(0.5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()
        self.status.close()
