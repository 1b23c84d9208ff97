"""A child process's main loop: it confines itself, opens what it is told to, performs one task after another, and may die of any.

Tasks come and frames go over one inherited pipe. A task is JSON; a frame is one letter and a body:
``L`` lines of a segment (with entries and bytes done), ``U`` a unit of the plan, ``P`` progress in bytes, ``J`` a JSON answer,
``X`` an error that ends the run, ``D`` done.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from forensics import segment
from forensics.engine import analysis, extraction, measure, plan, sandbox
from forensics.engine.guard import kind_of
from forensics.engine.keep import Keeper
from forensics.engine.mortal import end_with_parent
from forensics.engine.setup import NO_ENTRY, PREPARING, READING, Setup, Status
from forensics.engine.setup import decode as decode_setup
from forensics.engine.task import DONE, Described, OpenedInfo, Task, Wanted
from forensics.engine.worker import Examiner
from forensics.engine.workshop import Tool, Tools, equip
from forensics.errors import EvidenceError, ForensicsError, TimedOut
from forensics.evidence.layers import FileSystem, Opened, open_exhibit
from forensics.evidence.unallocated import stated
from forensics.filetype import mime_of
from forensics.model import Digests, Entry, Fault

FLUSH_BYTES = 256 << 10
FLUSH_SECONDS = 0.5
SIGN = 256  # entries of a walk between two signs of life
FEW = 64  # entries that are kept back while a walk is done again that ended its child


class Gone(EvidenceError):
    """The exhibit's image is not there any more, or is another one than was opened: the run ends, and can go on when it is back."""


_task = msgspec.json.Decoder(Task).decode


def main(connection: Connection, setup: bytes, status_path: str, number: int) -> None:
    """Serve tasks until the pipe closes."""
    told = decode_setup(setup)
    confine(Path(told.output))
    folder = Path(told.spool) / f"child-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    attachments = folder / "attachments"
    try:
        folder.mkdir()
        attachments.mkdir()
    except FileNotFoundError:  # who asked for this child has ended, and has taken the spool along: it is not made again
        return
    put_aside(folder)
    pipe = connection.fileno()
    status = Status(Path(status_path), intact=partial(_intact, pipe, os.fstat(pipe).st_ino, attachments))
    served = _Service(told, folder, status, lambda size: connection.send_bytes(b"P" + DONE.pack(0, 0, size)))
    with contextlib.suppress(ForensicsError, OSError):  # it comes again as the answer to the first task
        served.confined()  # without waiting for one
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            task = _task(connection.recv_bytes())
            try:
                for letter, body in served.perform(task):
                    connection.send_bytes(letter + body)
            except ForensicsError as error:
                connection.send_bytes(b"X" + f"{type(error).__name__}\n{error}".encode("utf-8", "backslashreplace"))
            except OSError as error:
                message = f"{error.strerror or error} ({error.filename or 'no file named'})"
                connection.send_bytes(b"X" + f"OSError\n{message}".encode("utf-8", "backslashreplace"))
            else:
                connection.send_bytes(b"D")


def _intact(pipe: int, inode: int, folder: Path) -> bool:
    """Whether the pipe to the parent and the folder of attachments are there: without them nothing that is found can be kept."""
    try:
        return os.fstat(pipe).st_ino == inode and stat.S_ISDIR(os.stat(folder).st_mode)
    except OSError:
        return False


def confine(output: Path) -> None:
    """What every child does first: die with its parent, lead a group of its own, know no time zone, print nowhere, hear no terminal."""
    end_with_parent()
    os.setsid()  # so that what a plugin forks can be ended with it
    os.environ["TZ"] = "UTC"  # The Sleuth Kit converts FAT times by the process's zone
    time.tzset()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(nothing)
    os.close(descriptor)


def put_aside(folder: Path) -> None:
    """Have everything that is put aside for a while be put into `folder`, the only one that may be written to. Raises OSError.

    SQLite has read the variable when it was loaded, which was in the server of child processes: it is told by its pragma.
    """
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    quoted = str(folder.absolute()).replace("'", "''")
    with contextlib.closing(sqlite3.connect(":memory:")) as anywhere:  # for all connections of the process
        anywhere.execute(f"PRAGMA temp_store_directory = '{quoted}'")


class _Service:
    """What a child keeps between tasks: opened exhibits, prepared tools."""

    def __init__(self, setup: Setup, folder: Path, status: Status, progress: Callable[[int], None]) -> None:
        self._setup, self._folder, self._status, self._progress = setup, folder, status, progress
        self._opened: dict[str, Opened] = {}
        self._tools: tuple[tuple[Tool, ...], tuple[Fault, ...]] | None = None
        self._examiner: Examiner | None = None
        self._held: sandbox.Held | None = None

    def perform(self, task: Task) -> Iterator[tuple[bytes, bytes]]:
        """The frames of one task. Raises ForensicsError or OSError for what ends the run."""
        held = self.confined()
        if task.what == "describe":
            tools, faults = self._equip()
            yield b"J", msgspec.json.encode(Described(tuple(tool.info for tool in tools), faults, str(held)))
        elif task.what == "analyse":
            tools, _ = self._equip()
            index = Path(self._setup.index)
            self._status.publish(NO_ENTRY, READING, _size(index))
            for line in analysis.analyse(tools[task.start], index, task.run, Keeper(self._folder / "attachments")):
                yield b"L", DONE.pack(0, 0, 0) + segment.encode(line)
        else:
            unit = plan.decode(bytes(task.unit)) if task.what == "examine" else None
            exhibit = unit.exhibit if unit else task.exhibit
            try:
                self._sign(exhibit)
                yield from self._examine(task, unit) if unit else self._look(task)
            except EvidenceError:
                self._still_there(exhibit, task)
                raise
            self._still_there(exhibit, task)

    def _look(self, task: Task) -> Iterator[tuple[bytes, bytes]]:
        """Open, measure or walk an exhibit."""
        if task.what == "open":
            yield from self._open(task.exhibit)
        elif task.wanted is not None:
            yield b"J", msgspec.json.encode(self._extracted(task.exhibit, task.wanted))
        elif task.what == "measure":
            if task.phase == "after":
                self._opened.pop(task.exhibit, None)  # what lies there now is measured, and not what this child holds open

            def progress(size: int) -> None:
                self._sign(task.exhibit)
                self._progress(size)

            measured = measure.exhibit(self._exhibit(task.exhibit), task.exhibit, task.phase, progress)
            found = measure.faults(measured) if task.phase == "before" else ()
            yield b"L", DONE.pack(0, 0, 0) + b"".join([segment.encode(measured), *map(segment.encode, found)])
        elif task.what == "plan":
            walk = self._walk(task.exhibit, self._exhibit(task.exhibit).file_systems[task.file_system])
            for item in plan.units(task.exhibit, task.file_system, walk, FEW if task.start else plan.WINDOW):
                yield (b"L", DONE.pack(0, 0, 0) + segment.encode(item)) if isinstance(item, Fault) else (b"U", plan.encode(item))

    def _extracted(self, exhibit: str, wanted: Wanted) -> tuple[str, int]:
        """Put a file's content among the attachments, under its digest."""
        held = self._folder / "attachments" / ".extracted"
        tools, _ = self._equip()
        digest, size = extraction.extract(self._exhibit(exhibit), tools, wanted, self._folder, held)
        held.rename(held.with_name(digest))
        return digest, size

    def _sign(self, exhibit: str) -> None:
        """A sign of life from where no file is in hand: from now on the limits count anew."""
        self._status.publish(NO_ENTRY, READING, _size(Path(self._setup.exhibits[exhibit])))

    def _walk(self, exhibit: str, system: FileSystem) -> Iterator[Entry | Fault]:
        """The entries of a file system. What ends its walk is its last fault, so that all that came before it is planned."""
        try:
            for number, item in enumerate(system.walk()):
                if number % SIGN == 0:
                    self._sign(exhibit)
                yield item
        except EvidenceError as error:
            message = f"{plan.CUT}: {error}"
            yield Fault(location=system.info.location, kind=kind_of(error), message=message, limit=isinstance(error, TimedOut))

    def _still_there(self, exhibit: str, task: Task) -> None:
        """Raise Gone where a file of the image is missing, or has another size than when it was first opened."""
        path = Path(self._setup.exhibits[exhibit])
        again = "put it back and run the same command to go on"
        if not path.exists():
            raise Gone(f"{path}: the image is gone; {again}")
        opened = self._opened.get(exhibit)
        if exhibit not in task.sizes or opened is None or opened.image is None:
            return
        if tuple(map(_size, opened.image.files)) != task.sizes[exhibit]:
            raise Gone(f"{path}: a file of the image is gone, or has another size than when it was opened; {again}")

    def _equip(self) -> tuple[tuple[Tool, ...], tuple[Fault, ...]]:
        if self._tools is None:
            self._status.publish(NO_ENTRY, PREPARING, 0)
            self._tools = equip(self._setup.plugin_folders, self._setup.plugins, self._setup.options, self._setup.cache)
        return self._tools

    def confined(self) -> sandbox.Held:
        """Enter the sandbox, once: after the plugins are loaded and their caches written, before any byte of evidence is read."""
        if self._held is None:
            self._equip()
            mime_of(b"\0")  # loads libmagic, which may ask another program where it lies
            self._held = sandbox.enter(sandbox.readable(self._setup), (self._folder,), sandbox.listed(self._setup))
        return self._held

    def _exhibit(self, exhibit: str) -> Opened:
        if exhibit not in self._opened:
            path = Path(self._setup.exhibits[exhibit])
            self._opened[exhibit] = open_exhibit(exhibit, path, keys=self._setup.keys, space=self._setup.space)
        return self._opened[exhibit]

    def _open(self, exhibit: str) -> Iterator[tuple[bytes, bytes]]:
        opened = self._exhibit(exhibit)
        spaces = [stated(each, examined=self._setup.space.unallocated) for each in opened.spaces]
        free = [said for space, said in zip(opened.spaces, spaces, strict=True) if not space.stated]
        lines = b"".join([*map(segment.encode, (*opened.layers, *free)), *map(segment.encode, opened.faults)])
        if lines:
            yield b"L", DONE.pack(0, 0, 0) + lines
        image = opened.image
        info = OpenedInfo(len(opened.file_systems), False, "folder")
        if image is not None:
            info = OpenedInfo(len(opened.file_systems), True, image.format, tuple(map(_size, image.files)), image.size)
        info = msgspec.structs.replace(info, unallocated=sum(said.size for said in spaces))
        yield b"J", msgspec.json.encode(info)

    def _examine(self, task: Task, unit: plan.Unit) -> Iterator[tuple[bytes, bytes]]:
        opened = self._exhibit(unit.exhibit)
        if self._examiner is None:
            tools, _ = self._equip()
            known = _known_good(tools) if self._setup.skip_known else None
            self._examiner = Examiner(
                Tools(tools, carve=self._setup.space.carve),
                self._setup.scope,
                self._folder,
                Keeper(self._folder / "attachments"),
                self._status,
                known,
            )
        deaths = {(death.entry, death.plugin): death for death in task.deaths}
        self._status.strict = task.again
        waiting: list[bytes] = []
        size = read = 0
        last = time.monotonic()
        done = DONE.pack(task.start, task.skip, 0)
        for piece in self._examiner.examine(unit, opened.file_systems[unit.file_system], task.start, task.skip, deaths, task.before):
            waiting.append(piece.lines)
            size, read = size + len(piece.lines), read + piece.size
            done = DONE.pack(piece.entries, piece.members, read)
            now = time.monotonic()
            if size >= FLUSH_BYTES or now - last > FLUSH_SECONDS or task.again:
                yield b"L", done + b"".join(waiting)
                waiting, size, read, last = [], 0, 0, now
        if waiting:
            yield b"L", done + b"".join(waiting)


def _size(path: Path) -> int:
    """Bytes of a file as its folder has it; -1 where it is not there."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _known_good(tools: tuple[Tool, ...]) -> Callable[[Digests], bool] | None:
    """Whether content is in a known-good set by SHA-256, and in no known-bad set by any digest; `None` where no good set was given."""
    sets = next((tool.prepared.value for tool in tools if tool.plugin.name == "known-hash" and tool.prepared), None) or ()
    good = [known for listing, known in sets if listing == "known-good"]
    bad = [known for listing, known in sets if listing == "known-bad"]
    if not good:
        return None

    def known(digests: Digests) -> bool:
        return any(each.find("sha256", digests.sha256) for each in good) and not any(each.lookup(digests) for each in bad)

    return known
