"""The confinement of a child that reads hostile bytes: what it may still do once it is ready for evidence, and which bounds held.

A child loads its plugins and what they prepare, enters, and opens evidence only then. From there on it reads the exhibits, the case,
its plugins' inputs and the libraries, writes to its own folder, starts threads, and nothing else: no network, no other program or process.
"""

import contextlib
import ctypes
import os
import resource
import stat
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

import forensics
from forensics import discovery
from forensics.engine import landlock, seccomp
from forensics.engine.setup import Setup
from forensics.errors import EngineError
from forensics.model import Value

FILE_SIZE = 16 << 40  # bytes of one file in the spool: ext4's own bound; evidence holds sparse files of any size
FILES_OPEN = 1024
_PR_SET_NO_NEW_PRIVS = 38
# What libraries read at any time: shared objects, zones, types; the process itself; randomness; the kernel's word on the processors.
_SYSTEM = (
    "/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/share", "/usr/local/share",
    "/nix/store", "/etc/ld.so.cache", "/etc/localtime", "/etc/magic", "/etc/mime.types", "/etc/os-release", "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/openssl.cnf", "/etc/crypto-policies", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/proc/self",
    "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu",
)  # fmt: skip


class Held(Struct, frozen=True, kw_only=True):
    """Which bounds held. `landlock` is its ABI, 0 where it did not hold; `network` whether some of them shut every way into the network;
    `missing` says of each that did not hold why."""

    rlimits: bool
    landlock: int
    seccomp: bool
    network: bool
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for the report, such as ``rlimits, Landlock (ABI 7), seccomp, no network``."""
        held = [
            *(["rlimits"] if self.rlimits else []),
            *([f"Landlock (ABI {self.landlock})"] if self.landlock else []),
            *(["seccomp"] if self.seccomp else []),
            *(["no network"] if self.network else []),
        ]
        text = ", ".join(held) or "none"
        return text + (f"; did not hold: {'; '.join(self.missing)}" if self.missing else "")


def enter(read: Iterable[Path], write: Iterable[Path], names: Iterable[Path] = ()) -> Held:
    """Confine this process for good: to read below `read` and what Python needs, to write below `write`, to list folders below `names`.

    Never raises where a bound does not hold: says so.
    """
    missing: list[str] = []
    abi = 0
    limited = filtered = False
    try:
        _limit()
        limited = True
    except (OSError, ValueError) as error:
        missing.append(f"rlimits: {error}")
    try:
        _renounce()
        places = [*read, *_libraries(), *map(Path, _SYSTEM)]
    except EngineError as error:
        missing += [f"{name}: {error}" for name in ("Landlock", "seccomp")]
    else:
        try:
            abi, loose = landlock.restrict(places, [*write, Path("/dev/null")], names)
            if loose:
                missing.append(f"Landlock for {loose} threads that a plugin had started before (ABI {abi} holds no others)")
        except EngineError as error:
            missing.append(f"Landlock: {error}")
        try:
            seccomp.restrict()
            filtered = True
        except EngineError as error:
            missing.append(f"seccomp: {error}")
    return Held(rlimits=limited, landlock=abi, seccomp=filtered, network=filtered or abi >= 10, missing=tuple(missing))


def readable(setup: Setup) -> Iterator[Path]:
    """What a child reads by its orders: each exhibit, the case, the plugins, the files and folders that their options name."""
    for image in setup.exhibits.values():
        yield from _exhibit(Path(image))
    if setup.index:
        yield Path(setup.index).parent  # the index is made only later, and SQLite looks for its journal beside it
    yield from discovery.folders(setup.plugin_folders)
    for options in setup.options.values():
        for value in options.values():
            yield from _named(value)


def listed(setup: Setup) -> Iterator[Path]:
    """The folders of which a child sees the names alone: those of images that lie in a home folder or above it."""
    for image in setup.exhibits.values():
        yield from filter(_private, _beside(Path(image)))


def _exhibit(path: Path) -> Iterator[Path]:
    """A folder is itself; an image is all that lies beside it, since the other segments do; a device is that alone.

    In a home folder or above it lie keys and other people's affairs: there it is the files beside the image, and no folder.
    """
    yield path
    for folder in _beside(path):
        if not _private(folder):
            yield folder
            continue
        with contextlib.suppress(OSError):
            yield from sorted(item for item in folder.iterdir() if not item.name.startswith(".") and item.is_file())


def _beside(path: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        if stat.S_ISREG(path.stat().st_mode):
            yield from sorted({path.absolute().parent, path.resolve().parent})


def _private(folder: Path) -> bool:
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    return Path(home).is_relative_to(folder)


def _named(value: Value) -> Iterator[Path]:
    """The paths that an option's value may mean, ``good:PATH`` and ``bad:PATH`` of hash sets among them; those that exist."""
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and "\0" not in text:
            for part in filter(None, (text, text.partition(":")[2])):
                with contextlib.suppress(RuntimeError):  # ``~`` of nobody
                    path = Path(part).expanduser().absolute()
                    if os.path.lexists(path):
                        yield path


def _libraries() -> Iterator[Path]:
    """Where Python and the packages lie, those imported already wherever they are: many import the rest of themselves when first used.

    The working folder and the home folder, which Python puts on its path too, are not among them: they may hold anything.
    """
    here = Path.cwd()
    found = {str(Path(forensics.__file__).parent), f"{sys.base_prefix}/lib", *sysconfig.get_paths().values()}
    found |= {entry for entry in sys.path if entry and Path(entry) != here and not _private(Path(entry))}
    roots = tuple(f"{entry.rstrip('/')}/" for entry in found)
    for name, module in list(sys.modules.items()):
        if "." in name or name in ("__main__", "__mp_main__"):
            continue
        places = list(getattr(module, "__path__", ())) or [getattr(module, "__file__", None)]
        found |= {place for place in places if isinstance(place, str) and not place.startswith(roots)}
    found |= set(filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")))
    return map(Path, sorted(found))


def _limit() -> None:
    """No core dump, which would hold evidence; few files open; files of a bounded size. Not the address space (mapped files are large), nor
    the number of processes (the user's others count, and threads)."""
    for which, wanted in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, FILES_OPEN), (resource.RLIMIT_FSIZE, FILE_SIZE)):
        most = resource.getrlimit(which)[1]
        bound = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(which, (bound, bound))


def _renounce() -> None:
    """Never gain privileges again: what both kernel bounds ask for first (prctl(2)). Raises EngineError."""
    if sys.platform != "linux":
        raise EngineError(f"{sys.platform} has none")
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise EngineError(f"privileges cannot be given up ({os.strerror(ctypes.get_errno())})")
