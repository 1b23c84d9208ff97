"""Which files a process may open from now on, held by the kernel: Landlock, for itself and for good.

Landlock (Linux 5.13 and later, landlock(7)) takes rights away from a process that asks for it and cannot give them back. Its versions
(ABI) know more rights each: 2 links between folders, 3 truncation, 4 TCP, 5 device controls, 6 abstract sockets and signals, 8 all
threads at once, 9 sockets in the file system, 10 UDP. All that a kernel offers are taken, and reading and the spool given back.

Its rules do not reach owners, modes, times and attributes of files; `forensics.engine.seccomp` does. The bindings on PyPI (`landlock`,
`py-landlock`, `landlockpy`) are alpha or weeks old, and longer than the three system calls that are made here.
"""

import ctypes
import os
import stat
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from forensics.errors import EngineError

# linux/landlock.h; the numbers are the same on every architecture
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION = 1 << 0  # a flag of the first call
_PATH_BENEATH = 1  # a type of rule
_ALL_THREADS = 1 << 3  # a flag of the third call, from ABI 8
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_FILES = ((1, (1 << 13) - 1), (2, _REFER), (3, _TRUNCATE), (5, 1 << 15), (9, 1 << 16))  # from which ABI on, which rights
_NETWORK = ((4, 0b11), (10, 0b1100))  # bind and connect: TCP, UDP
_SCOPES = ((6, 0b11),)  # abstract sockets, signals
_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
_OF_A_FILE = _READ_FILE | _WRITE_FILE | _TRUNCATE  # the others are of folders, and refused for a file


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """The version of Landlock that this kernel offers; 0 for none."""
    return max(_call(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION)), 0)


def restrict(read: Iterable[Path], write: Iterable[Path], names: Iterable[Path] = ()) -> tuple[int, int]:
    """Leave this process nothing but to read below `read`, to read and write below `write`, and to list folders below `names`.

    Returns the ABI that holds it, and how many threads of it are not held: before ABI 8, those that ran already beside the caller's own.
    A path that is not there is passed over. Where the ABI knows them, TCP, UDP, abstract sockets and signals to others are refused too.
    Raises EngineError where the kernel has no Landlock, or refuses it.
    """
    version = abi()
    if not version:
        raise EngineError(f"the kernel offers none ({os.strerror(ctypes.get_errno())})")
    try:
        threads = sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError as error:
        raise EngineError(f"/proc does not say how many threads run ({error.strerror})") from error
    handled = _known(_FILES, version)
    ruleset = _Ruleset(handled, _known(_NETWORK, version), _known(_SCOPES, version))
    descriptor = _call(_CREATE, ctypes.byref(ruleset), ctypes.c_size_t(ctypes.sizeof(ruleset)), ctypes.c_uint32(0))
    if descriptor < 0:
        raise EngineError(f"no set of rules can be made ({os.strerror(ctypes.get_errno())})")
    try:
        for paths, rights in ((read, _READ), (write, _WRITE & handled), (names, _READ_DIR)):
            for path in paths:
                _allow(descriptor, path, rights)
        if _call(_RESTRICT, ctypes.c_int(descriptor), ctypes.c_uint32(_ALL_THREADS if version >= 8 else 0)):
            raise EngineError(f"the kernel refuses it ({os.strerror(ctypes.get_errno())})")
    finally:
        os.close(descriptor)
    return version, threads - 1 if version < 8 else 0


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no rule
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            rights &= _OF_A_FILE
        if not rights:
            return
        rule = _PathBeneath(rights, beneath)
        if _call(_ADD, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0)):
            raise EngineError(f"no rule can be made for {path} ({os.strerror(ctypes.get_errno())})")
    finally:
        os.close(beneath)


def _known(rights: tuple[tuple[int, int], ...], version: int) -> int:
    return sum(right for since, right in rights if version >= since)


def _call(number: int, *arguments: object) -> int:
    return int(_libc().syscall(ctypes.c_long(number), *arguments))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
