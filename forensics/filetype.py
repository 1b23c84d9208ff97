"""What a content is by its first bytes: MIME type and description, as libmagic says them.

The library and its database come from the package `pylibmagic`, so that every machine with the same packages says the same. Its
folder is found without importing it: importing it patches ctypes and the environment for the whole process.
"""

import ctypes
import importlib.util
import os
import weakref
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from forensics.errors import EngineError
from forensics.magic_subset import Database, Subsets, is_binary, is_text, subsets

HEAD = 64 << 10  # bytes looked at; 8 KiB agree with 1 MiB in 99.9 %, and the tar and ISO 9660 magics lie within 64 KiB
UNKNOWN = "application/octet-stream"
PLAIN = "text/plain"
EMPTY = "inode/x-empty"
_KEPT = 64  # subsets kept loaded, of half a megabyte each
_NO_TEXT, _NO_ENCODING = 0x020000, 0x200000  # MAGIC_NO_CHECK_TEXT, MAGIC_NO_CHECK_ENCODING
_LIBRARIES = ("libmagic.so.1", "libmagic.1.dylib", "libmagic.dylib")


def mime_of(head: bytes) -> str:
    """The MIME type of a content that begins with `head`; ``inode/x-empty`` for no bytes at all, ``application/octet-stream`` when unknown.

    Raises EngineError where libmagic is not installed.
    """
    if not head:
        return EMPTY  # as file(1) says; asked about a buffer, libmagic would say application/x-empty
    head = bytes(head[:HEAD])
    return _ask_subset(head) or UNKNOWN


def describe(head: bytes) -> str:
    """libmagic's one-line description of a content that begins with `head`; ``data`` when unknown. Raises EngineError as `mime_of`."""
    return _ask(head, mime=False) or "data"


def libmagic_version() -> str:
    """The version of libmagic, such as ``5.45``. Raises EngineError where it is not installed."""
    number = int(_library().version())
    return f"{number // 100}.{number % 100:02}"


def _ask(head: bytes, *, mime: bool) -> str:
    try:
        return str(_cookie(os.getpid(), mime).from_buffer(head[:HEAD]))
    except _library().MagicException:  # libmagic gave up on these bytes: they are what nobody knows
        return ""


def _ask_subset(head: bytes) -> str:
    """As `_ask`, of the smallest database that holds every test which these bytes may pass."""
    known = _subsets()
    text = is_text(head)
    if known is None or not (text or is_binary(head)):
        return _ask(head, mime=True)
    wanted = known.wanted(head, text=text)
    if wanted is None:
        return _ask(head, mime=True)
    loaded = _loaded(os.getpid(), text, wanted)
    quiet = False
    if text:
        signs = known.signs(head)
        loaded.database.fit(signs)
        quiet = len(head) > 1 and known.plain(wanted, signs)
    loaded.look_at_text(text and not quiet)
    try:
        said = str(_library().maybe_decode(_library().magic_buffer(loaded.cookie, head)))
    except _library().MagicException:
        return ""
    return PLAIN if quiet and said == UNKNOWN else said


@cache
def _subsets() -> Subsets | None:
    """The subsets of libmagic's database; `None` where its layout is not known, or libmagic cannot be given one."""
    folder = _folder()
    return subsets((folder / "magic.mgc").read_bytes()) if folder and hasattr(_library().libmagic, "magic_load_buffers") else None


@lru_cache(_KEPT)
def _loaded(pid: int, text: bool, wanted: frozenset[int]) -> "_Loaded":
    known = _subsets()
    assert known is not None
    return _Loaded(known.database(wanted, text=text), text=text)


class _Loaded:
    """One subset, loaded into a libmagic of this process."""

    def __init__(self, database: Database, *, text: bool) -> None:
        magic = _library()
        load = magic.libmagic.magic_load_buffers
        load.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_size_t), ctypes.c_size_t]
        self.database = database
        self._flags = magic.MAGIC_MIME_TYPE | (0 if text else _NO_ENCODING)
        self.cookie = magic.magic_open(self._flags)
        self._looks = True
        weakref.finalize(self, magic.magic_close, self.cookie)
        buffers, sizes = (ctypes.c_void_p * 1)(ctypes.addressof(database.buffer)), (ctypes.c_size_t * 1)(database.size)
        if load(self.cookie, buffers, sizes, 1):
            raise EngineError("libmagic refuses a part of its own database; reinstall pylibmagic")

    def look_at_text(self, wanted: bool) -> None:
        """Whether the tests for texts are made, after a conversion of the text."""
        if wanted != self._looks:
            _library().magic_setflags(self.cookie, self._flags | (0 if wanted else _NO_TEXT))
            self._looks = wanted


@cache
def _cookie(pid: int, mime: bool) -> Any:
    """A loaded libmagic of this process: one is not shared across a fork, where its lock may have been held."""
    magic, folder = _library(), _folder()
    database = folder / "magic.mgc" if folder else None
    try:
        return magic.Magic(mime=mime, magic_file=str(database) if database else None)
    except magic.MagicException as error:
        raise EngineError(f"libmagic cannot load its database {database or '(of the system)'}: {error}; reinstall pylibmagic") from error


@cache
def _library() -> Any:
    """The module `magic`, bound to the wheel's libmagic: once that is loaded, the loader resolves its soname to it."""
    folder = _folder()
    try:
        if folder:
            ctypes.CDLL(str(next(folder / name for name in _LIBRARIES if (folder / name).is_file())))
        import magic
    except (ImportError, OSError) as error:
        raise EngineError(
            f"libmagic cannot be loaded ({error}); install the packages python-magic and pylibmagic, or the system's libmagic1"
        ) from error
    return magic


@cache
def _folder() -> Path | None:
    """The folder of the package `pylibmagic`, or `None` where it is not installed or holds no library for this system."""
    spec = importlib.util.find_spec("pylibmagic")
    folders = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    whole = (folder for folder in folders if (folder / "magic.mgc").is_file() and any((folder / name).is_file() for name in _LIBRARIES))
    return next(whole, None)
