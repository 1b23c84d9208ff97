"""libarchive (BSD licence) as a decompressor: an archive goes in as bytes, the contents of its members come out in their order.

The wheel `archi` bundles a current one, of which the shared library alone is used; else the system's is. It reads untrusted bytes in C:
only children that may die call it.
"""

import ctypes
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any, Literal

CHUNK = 1 << 16
MISSING = "libarchive is not installed: `pip install archi`, or Debian's libarchive13"
_EOF, _OK, _WARN = 1, 0, -20  # archive.h
_FATAL = -30
_SEEK = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int)
_READ = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p))
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "archive_read_new": (ctypes.c_void_p, ()),
    "archive_read_free": (ctypes.c_int, (ctypes.c_void_p,)),
    "archive_read_support_format_rar": (ctypes.c_int, (ctypes.c_void_p,)),
    "archive_read_support_format_rar5": (ctypes.c_int, (ctypes.c_void_p,)),
    "archive_read_support_format_zip_streamable": (ctypes.c_int, (ctypes.c_void_p,)),
    "archive_read_support_format_7zip": (ctypes.c_int, (ctypes.c_void_p,)),
    "archive_read_set_seek_callback": (ctypes.c_int, (ctypes.c_void_p, _SEEK)),
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

    A 7z archive has its header at its end: it is `tail`, behind `length` bytes of pieces, the first of which is the 32 bytes of its start.
    Raises ValueError with the library's word where it cannot be read, OSError and EOFError where `pieces` cannot.
    """

    def __init__(
        self,
        form: Literal["rar", "zip", "7z"],
        pieces: Iterator[bytes],
        password: bytes | None = None,
        *,
        length: int = 0,
        tail: bytes = b"",
    ) -> None:
        library = _library()
        if library is None:
            raise ValueError(MISSING)
        self._library = library
        self._pieces, self._length, self._tail = pieces, length, tail
        self._given = self._position = 0
        self._held = ctypes.create_string_buffer(0)
        self._trouble: Exception | None = None
        self._callback, self._seeking = _READ(self._read), _SEEK(self._seek)
        self._archive = library.archive_read_new()
        self._entry = ctypes.c_void_p()
        self._buffer = ctypes.create_string_buffer(CHUNK)
        if form == "rar":
            library.archive_read_support_format_rar(self._archive)
            library.archive_read_support_format_rar5(self._archive)
        elif form == "zip":
            library.archive_read_support_format_zip_streamable(self._archive)
            library.archive_read_set_option(self._archive, b"zip", b"ignorecrc32", b"1")
        else:
            library.archive_read_support_format_7zip(self._archive)
            library.archive_read_set_seek_callback(self._archive, self._seeking)
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
            if self._tail and self._position >= self._length:
                piece = self._tail[self._position - self._length :]
            else:
                piece = next(self._pieces, b"")
                self._given += len(piece)
        except (OSError, EOFError, ValueError) as error:  # no exception passes through C
            self._trouble = error
            return _FATAL
        self._held = ctypes.create_string_buffer(piece, len(piece))
        out[0] = ctypes.addressof(self._held)
        self._position += len(piece)
        return len(piece)

    def _seek(self, archive: int, data: int, offset: int, whence: int) -> int:
        """To the header at the end, or to where the pieces stand: they come once."""
        place = offset + {0: 0, 1: self._position, 2: self._length + len(self._tail)}.get(whence, 0)
        if place != self._given and not self._length <= place <= self._length + len(self._tail):
            return _FATAL
        self._position = place
        return place

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


def zip_member(
    pieces: Iterator[bytes], length: int, size: int, method: int, *, password: bytes | None = None, crc: int = 0
) -> Iterator[bytes]:
    """`length` stored bytes of a zip member as libarchive unpacks and decrypts them: a local header is made for them here."""
    form, fields = struct.Struct("<4sHHHIIIIHHs"), struct.pack("<HHQQ", 1, 16, size, length)
    own = form.pack(b"PK\x03\x04", 45, int(password is not None), method, 0, crc, 0xFFFFFFFF, 0xFFFFFFFF, 1, len(fields), b"x") + fields
    with Archive("zip", chain((own,), pieces), password) as archive:
        if archive.next():
            yield from archive.content()


def ppmd_of_7z(pieces: Iterator[bytes], length: int, size: int, properties: bytes) -> Iterator[bytes]:
    """PPMd variant H as libarchive unpacks it: a 7z archive is made around its `length` bytes, of which `size` come out (7zFormat.txt)."""

    def number(value: int) -> bytes:
        return b"\xff" + value.to_bytes(8, "little")

    packed = b"\x06" + number(0) + b"\x01\x09" + number(length) + b"\0"
    folder = b"\x07\x0b\x01\0" + b"\x01\x23\x03\x04\x01\x05" + properties[:5] + b"\x0c" + number(size) + b"\0"
    header = b"\x01\x04" + packed + folder + b"\x08\0" + b"\0" + b"\x05\x01\x11\x05\0x\0\0\0" + b"\0" + b"\0"
    after = struct.pack("<QQI", length, len(header), zlib.crc32(header))
    start = b"7z\xbc\xaf\x27\x1c\0\x04" + struct.pack("<I", zlib.crc32(after)) + after
    with Archive("7z", chain((start,), pieces), length=32 + length, tail=header) as archive:
        if archive.next():
            yield from archive.content()
