"""libarchive (BSD licence) as a decompressor: an archive goes in as bytes, the contents of its members come out in their order.

The wheel `archi` bundles a current one, of which the shared library alone is used; else the system's is. It reads untrusted bytes in C:
only children that may die call it.
"""

import ctypes
import ctypes.util
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

CHUNK = 1 << 16
MISSING = "libarchive is not installed: `pip install archi`, or Debian's libarchive13"
_EOF, _OK, _WARN = 1, 0, -20  # archive.h
_FATAL = -30
_READ = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p))
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "archive_read_new": (ctypes.c_void_p, ()),
    "archive_read_free": (ctypes.c_int, (ctypes.c_void_p,)),
    "archive_read_support_format_rar": (ctypes.c_int, (ctypes.c_void_p,)),
    "archive_read_support_format_rar5": (ctypes.c_int, (ctypes.c_void_p,)),
    "archive_read_support_format_zip_streamable": (ctypes.c_int, (ctypes.c_void_p,)),
    "archive_read_set_option": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p)),
    "archive_read_add_passphrase": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_char_p)),
    "archive_read_open": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, _READ, ctypes.c_void_p)),
    "archive_read_next_header": (ctypes.c_int, (ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p))),
    "archive_read_data": (ctypes.c_ssize_t, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)),
    "archive_error_string": (ctypes.c_char_p, (ctypes.c_void_p,)),
}


@cache
def _library() -> ctypes.CDLL | None:
    """The library, the bundled one first; `None` where there is none."""
    for path in (*_bundled(), "libarchive.so.13", "libarchive.13.dylib"):
        try:
            library = ctypes.CDLL(str(path))
            for name, (result, arguments) in _SIGNATURES.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError):  # not there, cannot be loaded here, or too old
            continue
        return library
    return None


def _bundled() -> Iterator[Path]:
    """The shared library in the wheel `archi`."""
    try:
        files = metadata.files("archi") or ()
    except metadata.PackageNotFoundError:
        return
    for file in files:
        if file.name.startswith("libarchive") and {".so", ".dylib"} & set(Path(file.name).suffixes):
            yield Path(str(file.locate()))


def there() -> bool:
    """Whether there is a library to read with."""
    return _library() is not None


class Archive:
    """One archive being read. `form` is its format; `pieces` are its bytes, asked for as they are needed.

    Raises ValueError with the library's word where it cannot be read, OSError and EOFError where `pieces` cannot.
    """

    def __init__(self, form: Literal["rar", "zip"], pieces: Iterator[bytes], password: bytes | None = None) -> None:
        library = _library()
        if library is None:
            raise ValueError(MISSING)
        self._library = library
        self._pieces = pieces
        self._held = ctypes.create_string_buffer(0)
        self._trouble: Exception | None = None
        self._callback = _READ(self._read)
        self._archive = library.archive_read_new()
        self._entry = ctypes.c_void_p()
        self._buffer = ctypes.create_string_buffer(CHUNK)
        if form == "rar":
            library.archive_read_support_format_rar(self._archive)
            library.archive_read_support_format_rar5(self._archive)
        else:
            library.archive_read_support_format_zip_streamable(self._archive)
            library.archive_read_set_option(self._archive, b"zip", b"ignorecrc32", b"1")
        if password is not None:
            library.archive_read_add_passphrase(self._archive, password)
        self._opened = False

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._archive is not None:
            self._library.archive_read_free(self._archive)
            self._archive = None

    def _read(self, archive: int, data: int, out: Any) -> int:
        try:
            piece = next(self._pieces, b"")
        except (OSError, EOFError, ValueError) as error:  # no exception passes through C
            self._trouble = error
            return _FATAL
        self._held = ctypes.create_string_buffer(piece, len(piece))
        out[0] = ctypes.addressof(self._held)
        return len(piece)

    def next(self) -> bool:
        """Go to the next member; `False` where there is none."""
        if not self._opened:
            self._opened = True
            self._good(self._library.archive_read_open(self._archive, None, None, self._callback, None))
        return self._good(self._library.archive_read_next_header(self._archive, ctypes.byref(self._entry))) != _EOF

    def content(self) -> Iterator[bytes]:
        """The content of the member, in pieces of at most `CHUNK` bytes."""
        while self._archive is not None:
            count = self._library.archive_read_data(self._archive, self._buffer, CHUNK)
            if count < 0:
                self._good(count)
            if count <= 0:
                return
            yield self._buffer.raw[:count]

    def _good(self, code: int) -> int:
        if self._trouble is not None:
            raise self._trouble
        if code < _WARN:
            said = self._library.archive_error_string(self._archive)
            raise ValueError((said or b"it cannot be read").decode("utf-8", "backslashreplace"))
        return code
