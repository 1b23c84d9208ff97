r"""Where exactly something stands: exhibit, layers, path, meta address, stream, offset; one text form, parsed back.

The text form is ``EXHIBIT:LAYER:...:PATH;meta=ADDRESS;stream=NAME;offset=BYTES``, for example
``2026-1:volume@1048576:ntfs:/Users/dana/a.jpg;meta=65-128-1``. A layer is ``KIND`` or ``KIND@WHERE``, where WHERE says
where in the layer below it lies: a byte offset, or the path (with its suffixes) of the file that contains it.

Names on disk are bytes. In memory they are ``str`` with undecodable bytes as surrogate escapes (PEP 383), so that no byte
is lost; in the text form such a byte is ``\xff``, a literal backslash ``\\``, and control, bidirectional and separating
characters are ``\x0a`` or ``\u202e``, so that a location is one harmless line and two names never read the same.
"""

import re
import unicodedata
from functools import lru_cache

from msgspec import Struct

_SEPARATORS = {":", ";", "@"}
_ESCAPE = re.compile(r"\\(?:\\|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")
# What may have to be escaped, without and with the separators: whatever is not printable ASCII, and the backslash.
_SUSPECT = re.compile(r"[^ -\[\]-~]")
_SUSPECT_OR_SEPARATOR = re.compile(r"[^ -9<-?A-\[\]-~]")


@lru_cache(maxsize=4096)  # characters of a script come again and again
def _escape_char(char: str) -> str:
    code = ord(char)
    if char == "\\":
        return "\\\\"
    if 0xDC80 <= code <= 0xDCFF:  # an undecodable byte
        return f"\\x{code - 0xDC00:02x}"
    if char in _SEPARATORS or code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if code >= 0x80 and unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
    return char


def escape(text: str, *, separators: bool = False) -> str:
    r"""`text` on one harmless line: what would break a terminal, a log or a location stands as ``\x..`` or ``\u....``.

    With `separators`, also the characters that structure a location (``:``, ``;``, ``@``).
    """
    return (_SUSPECT_OR_SEPARATOR if separators else _SUSPECT).sub(lambda found: _escape_char(found[0]), text)


def unescape(text: str) -> str:
    """The reverse of `escape`. Raises ValueError for a backslash that `escape` would not have written."""

    def char(match: re.Match[str]) -> str:
        if match[1]:
            code = int(match[1], 16)
            return chr(code if code < 0x80 else 0xDC00 + code)
        if match[2] or match[3]:
            return chr(int(match[2] or match[3], 16))
        return "\\"

    if "\\" not in text:
        return text
    if "\\" in _ESCAPE.sub("", text):
        raise ValueError(f"{text!r}: a backslash is written \\\\ in a location")
    return _ESCAPE.sub(char, text)


def decode(name: bytes) -> str:
    """A name as it stands on disk, as text from which the bytes can be had back with `encode`."""
    return name.decode("utf-8", "surrogateescape")


def encode(name: str) -> bytes:
    """The bytes on disk of a name that `decode` returned."""
    return name.encode("utf-8", "surrogateescape")


class Layer(Struct, frozen=True, order=True):
    """One layer of an exhibit: its kind (``volume``, ``ntfs``, ``zip``) and where in the layer below it lies.

    `at` is a byte offset in decimal, or the inner text form of a location (path and suffixes), or empty.
    """

    kind: str
    at: str = ""

    def __str__(self) -> str:
        kind = escape(self.kind, separators=True)
        return f"{kind}@{escape(self.at, separators=True)}" if self.at else kind


class Location(Struct, frozen=True, order=True):
    """A place in an exhibit. `str()` gives its text form, `Location.parse` reads it."""

    exhibit: str
    layers: tuple[Layer, ...] = ()
    path: str = ""
    meta: str | None = None
    stream: str = ""
    offset: int | None = None

    @property
    def name(self) -> str:
        """The last component of the path, as text that can be encoded (undecodable bytes as ``\\xff``)."""
        return printable(self.path.rpartition("/")[2])

    @property
    def inner(self) -> str:
        """Path and suffixes alone: what a contained layer's `at` holds."""
        text = escape(self.path, separators=True)
        if self.meta is not None:
            text += f";meta={escape(self.meta, separators=True)}"
        if self.stream:
            text += f";stream={escape(self.stream, separators=True)}"
        if self.offset is not None:
            text += f";offset={self.offset}"
        return text

    def __str__(self) -> str:
        head = ":".join([escape(self.exhibit, separators=True), *map(str, self.layers)])
        return f"{head}:{self.inner}"

    @classmethod
    def parse(cls, text: str) -> "Location":
        """Read a text form. Raises ValueError that says what is wrong with it."""
        parts = text.split(":")
        if len(parts) < 2:
            raise ValueError(f"{text!r} is not a location: it reads EXHIBIT:LAYER:...:PATH")
        exhibit, *layers, inner = parts
        path, *suffixes = inner.split(";")
        meta, stream, offset = None, "", None
        for suffix in suffixes:
            key, _, value = suffix.partition("=")
            if key == "meta":
                meta = unescape(value)
            elif key == "stream":
                stream = unescape(value)
            elif key == "offset" and value.isascii() and value.isdecimal():
                offset = int(value)
            else:
                raise ValueError(f"{text!r}: {suffix!r} is none of meta=, stream= and offset=BYTES")
        return cls(unescape(exhibit), tuple(map(_layer, layers)), unescape(path), meta, stream, offset)


def _layer(text: str) -> Layer:
    kind, _, at = text.partition("@")
    return Layer(unescape(kind), unescape(at))


def printable(text: str) -> str:
    """`text` with undecodable bytes as ``\\xff``, so that it can be encoded; ambiguous, for display and matching only."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
