"""Which characters the report's own fonts can show: their character maps, read from the files (OpenType 1.9, `cmap`).

A PDF for the archive may hold no character without a glyph; what no font has stands in it as its code.
"""

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from forensics.errors import UsageError
from forensics.report.language import templates_folder

NAMES = (
    "NotoSans-Regular.ttf", "NotoSans-Bold.ttf", "NotoSansMono-Regular.ttf", "NotoSansThai-Regular.ttf", "NotoSerifLao-Regular.ttf",
    "NotoSansLao-Regular.ttf", "Mondulkiri-R.ttf", "NotoSansKhmer-Regular.ttf", "NotoSansMyanmar-Regular.ttf",
    "NotoSansTamil-Regular.ttf", "NotoSansCJKsc-Regular.otf", "NotoSansArabic-Regular.ttf", "NotoSansBengali-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf", "NotoSansSinhala-Regular.ttf",
)  # fmt: skip
_SCRIPTS = frozenset(NAMES) - {"NotoSans-Bold.ttf", "NotoSansMono-Regular.ttf"}  # those that stand in for each other


def folder() -> Path:
    """The folder of the fonts. Raises UsageError where one of them is missing, naming it."""
    found = templates_folder() / "fonts"
    missing = [name for name in NAMES if not (found / name).is_file()]
    if missing:
        raise UsageError(f"{found}: no font {', '.join(missing)}, which the PDF needs; install forensics anew, or leave out report.pdf")
    return found


@cache
def coverage() -> tuple[frozenset[str], ...]:
    """The characters of each font of one script. Raises UsageError for a font that is missing or is none."""
    place = folder()
    return tuple(_characters(place / name) for name in NAMES if name in _SCRIPTS)


def _characters(path: Path) -> frozenset[str]:
    content = path.read_bytes()
    try:
        return frozenset(map(chr, _codes(content, _cmap(content))))
    except (struct.error, KeyError, ValueError, OverflowError) as error:
        raise UsageError(f"{path}: not a font that can be read ({error}); install forensics anew, or leave out report.pdf") from error


def _cmap(content: bytes) -> int:
    """Where the character map of Unicode begins: the full one (format 12) where there is one, else that of the first plane."""
    (tables,) = struct.unpack_from(">H", content, 4)
    start = {tag: offset for tag, _, offset, _ in struct.iter_unpack(">4sLLL", content[12 : 12 + 16 * tables])}[b"cmap"]
    (maps,) = struct.unpack_from(">H", content, start + 2)
    found: dict[int, int] = {}
    for index in range(maps):
        platform, encoding, offset = struct.unpack_from(">HHL", content, start + 4 + 8 * index)
        if platform == 0 or (platform == 3 and encoding in (1, 10)):
            found[struct.unpack_from(">H", content, start + offset)[0]] = start + offset
    return found[12] if 12 in found else found[4]


def _codes(content: bytes, start: int) -> Iterator[int]:
    (form,) = struct.unpack_from(">H", content, start)
    if form == 12:
        (groups,) = struct.unpack_from(">L", content, start + 12)
        for index in range(groups):
            first, last, glyph = struct.unpack_from(">LLL", content, start + 16 + 12 * index)
            yield from range(first + (glyph == 0), last + 1)
        return
    (doubled,) = struct.unpack_from(">H", content, start + 6)
    ends = start + 14
    starts, deltas, offsets = (ends + doubled + 2 + doubled * number for number in range(3))
    for at in range(0, doubled, 2):
        (last,) = struct.unpack_from(">H", content, ends + at)
        (first,) = struct.unpack_from(">H", content, starts + at)
        (delta,) = struct.unpack_from(">H", content, deltas + at)
        (offset,) = struct.unpack_from(">H", content, offsets + at)
        for code in range(first, min(last, 0xFFFE) + 1):
            glyph = code
            if offset:
                (glyph,) = struct.unpack_from(">H", content, offsets + at + offset + 2 * (code - first))
                if not glyph:
                    continue
            if (glyph + delta) & 0xFFFF:
                yield code
