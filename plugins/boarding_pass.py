"""Boarding passes and other two-dimensional barcodes: in pictures, and boarding passes' texts in other content."""

import re
import struct
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import cache
from typing import Any, BinaryIO, NamedTuple

import re2
from PIL import Image

from forensics.plugin import ByteRange, Corrupt, File, Finding, LimitExceeded, Prepared, Value, extractor

_WINDOW = 256 << 10  # bytes whose passes a window owns; even, so that UTF-16 stays aligned
_MARGIN = 8 << 10  # bytes read on both sides: the longest pass in UTF-16 with escapes is shorter
_LIMIT = 10_000  # passes reported of one file
_TEXT_LIMIT = 4096  # characters of a barcode that are kept
_READ_PIXELS = 12_000_000  # what the barcode reader is given at most: it finds nearly all at this size, in 0.3 s

# Which readers of Pillow may open a picture of this type: no other, for several start programs or have no bounds
_FORMATS = {
    "image/jpeg": ("JPEG", "MPO"),
    "image/png": ("PNG",),
    "image/webp": ("WEBP",),
    "image/gif": ("GIF",),
    "image/bmp": ("BMP",),
    "image/x-ms-bmp": ("BMP",),
    "image/tiff": ("TIFF",),
    "image/heic": ("HEIF",),
    "image/heif": ("HEIF",),
    "image/avif": ("AVIF",),
}
_BARCODES = ("PDF417", "Aztec", "QRCode", "MicroQRCode", "DataMatrix")

_FIRST = r"(M)([1-4])([A-Za-z][A-Za-z0-9 /.'\-]{19})([A-Z ])"
_LEG = (
    r"([A-Z0-9 ]{7})([A-Z]{3})([A-Z]{3})([A-Z0-9]{2}[A-Z0-9 ])([0-9 ]{4}[A-Z ])([0-9]{3}|   )([A-Z ])([A-Z0-9 ]{4})([A-Z0-9 ]{5})"
    r"([A-Z0-9 ])([0-9A-Fa-f]{2})"
)
_HEAD = re.compile(_FIRST)
_EACH = re.compile(_LEG)
_START = (
    rb"M[1-4][A-Z][A-Z0-9 /.'\-]{19}[A-Z ][A-Z0-9 ]{7}[A-Z]{6}[A-Z0-9]{2}[A-Z0-9 ][0-9 ]{4}[A-Z ][0-9]{3}[A-Z ][A-Z0-9 ]{4}[A-Z0-9 ]{5}"
    rb"[A-Z0-9 ][0-9A-Fa-f]{2}"
)
_UTF16_RUN = rb"(?:[\x20-\x7e]\x00){60,}"
_ESCAPED = re.compile(rb"&gt;|\\u003[eE]")

# Conditional items and their sizes (Resolution 792, attachment B): those of the pass, those of each leg
_UNIQUE = (
    ("passenger_description", 1),
    ("check_in_source", 1),
    ("issuance_source", 1),
    ("issue_date", 4),
    ("document_type", 1),
    ("issuer", 3),
    ("baggage_tag", 13),
    ("baggage_tag_2", 13),
    ("baggage_tag_3", 13),
)
_REPEATED = (
    ("airline_numeric_code", 3),
    ("document_number", 10),
    ("selectee", 1),
    ("document_verification", 1),
    ("marketing_carrier", 3),
    ("frequent_flyer_airline", 3),
    ("frequent_flyer_number", 16),
    ("id_ad_indicator", 1),
    ("free_baggage", 3),
    ("fast_track", 1),
)


class Pass(NamedTuple):
    """A boarding pass as its text says: fields of the pass, fields of each leg, characters read, and what did not fit."""

    fields: dict[str, str]
    legs: list[dict[str, str]]
    size: int
    notes: list[str]


class Stretch(NamedTuple):
    """Content as ASCII to look in, and how its offsets become offsets in the window."""

    data: bytes
    step: int
    place: Callable[[int], int]


def prepare(*, megapixels: int = 40) -> Prepared:
    """Compile what the content is searched for."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = 32 << 20
    either = re2.Set.SearchSet(options)
    either.Add(_START)
    either.Add(_UTF16_RUN)
    either.Compile()
    return Prepared((re2.compile(_START, options), re2.compile(_UTF16_RUN, options), either))


@extractor(version="1.1", mime=(*_FORMATS, "text/*", "application/*", "message/*"), prepare=prepare)
def boarding_pass(file: File, patterns: tuple[Any, Any, Any], *, megapixels: int = 40) -> Iterator[Finding]:
    """Boarding passes (IATA Resolution 792) in pictures and in other content, and the other two-dimensional barcodes of pictures.

    In pictures PDF417, Aztec, QR, Micro QR and Data Matrix codes are read, of the first frame alone, downscaled to 12 million pixels;
    pictures of more than `megapixels` million pixels are not decoded. In other content the text of a pass is looked for, in ASCII and
    UTF-16LE. One finding a leg. The pass states the day of the year of a flight and no year; what it reads as is an interpretation.
    """
    if file.mime in _FORMATS:
        yield from _picture(file, megapixels * 1_000_000)
    else:
        yield from _content(file, patterns)


# --- pictures ---------------------------------------------------------------------------------------------------------------


def _picture(file: File, limit: int) -> Iterator[Finding]:
    import zxingcpp  # only where there is a picture

    with file.open() as stream:
        picture, scale = _decoded(stream, file.mime, limit)
    formats: Any = [getattr(zxingcpp.BarcodeFormat, name) for name in _BARCODES]
    for code in zxingcpp.read_barcodes(picture, formats=formats, text_mode=zxingcpp.TextMode.Plain):
        corners = (code.position.top_left, code.position.top_right, code.position.bottom_right, code.position.bottom_left)
        where: dict[str, Value] = {
            "barcode": str(code.format),
            "position": [round(value * scale) for corner in corners for value in (corner.x, corner.y)],
        }
        found = read_pass(code.text)
        if found:
            yield from _findings(found, code.text[: found.size], where, None)
            continue
        text = code.text[:_TEXT_LIMIT]
        data = {**where, "text": text}
        if len(code.text) > len(text):
            data["truncated"] = True
        shown = text if len(text) <= 120 else f"{text[:120]}…"
        yield Finding(kind="barcode", summary=f"{code.format} barcode: {' '.join(shown.split())}", data=data, text=text)


def _decoded(stream: BinaryIO, mime: str, limit: int) -> tuple[Image.Image, float]:
    """The picture in grey, and what a pixel of it measures in pixels of the picture as stored. Raises LimitExceeded, Corrupt."""
    if "HEIF" in _FORMATS[mime]:
        _register_heif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large and of odd pictures; our own bounds follow
            picture: Image.Image = Image.open(stream, formats=_FORMATS[mime])
            width, height = picture.size
            if width * height > _READ_PIXELS and picture.format in ("JPEG", "MPO"):
                share = (_READ_PIXELS / (width * height)) ** 0.5
                picture.draft("L", (int(width * share), int(height * share)))  # decoded at a half, a quarter or an eighth
            if picture.width * picture.height > limit:
                raise LimitExceeded(f"a picture of {width} x {height} pixels is not decoded (limit {limit // 1_000_000} million)")
            grey = _grey(picture)
    except Image.DecompressionBombError as error:
        raise LimitExceeded(f"the picture is not decoded ({error})") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError, TypeError, OverflowError) as error:
        raise Corrupt(f"the picture cannot be decoded as {mime} ({error})") from error
    if grey.width * grey.height > _READ_PIXELS:
        share = (_READ_PIXELS / (grey.width * grey.height)) ** 0.5
        grey = grey.resize((max(1, int(grey.width * share)), max(1, int(grey.height * share))), Image.Resampling.BOX)
    return grey, width / grey.width


def _grey(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        if picture.mode != "F":
            picture = picture.point(lambda value: value * (1 / 256))  # 16 bits a pixel; convert() alone would clip them
        return picture.convert("L")
    if "A" in picture.getbands() or "transparency" in picture.info:
        coloured = picture.convert("RGBA")  # dark bars on a transparent ground are black on black without a white one
        return Image.composite(coloured.convert("L"), Image.new("L", coloured.size, 255), coloured.getchannel("A"))
    return picture.convert("L")


@cache
def _register_heif() -> None:
    import pillow_heif  # only where there is such a picture: it loads libheif

    pillow_heif.register_heif_opener()


# --- other content ----------------------------------------------------------------------------------------------------------


def _content(file: File, patterns: tuple[Any, Any, Any]) -> Iterator[Finding]:
    count = 0
    with file.open() as stream:
        for base, low, high, window in _windows(stream):
            passes = sorted(
                (item for stretch in _stretches(patterns, window) for item in _passes(patterns, stretch) if low <= item[0] < high),
                key=lambda item: item[0],
            )
            for offset, end, text, found in passes:
                count += 1
                if count > _LIMIT:
                    yield Finding(
                        kind="boarding-pass-limit",
                        summary=f"More than {_LIMIT} boarding passes: the rest of this file was not read for them",
                        level="notable",
                        data={"limit": _LIMIT, "offset": base + offset},
                    )
                    return
                yield from _findings(found, text, {}, ByteRange(base + offset, end - offset))


def _windows(stream: BinaryIO) -> Iterator[tuple[int, int, int, bytes]]:
    """Windows of the content: offset of the first byte, the range in it whose passes it owns, its bytes."""
    base, window, more = 0, b"", True
    while more:
        chunk = stream.read(_WINDOW)
        while 0 < len(chunk) < _WINDOW and (rest := stream.read(_WINDOW - len(chunk))):
            chunk += rest
        more = len(chunk) == _WINDOW
        kept = window[-2 * _MARGIN :]
        base += len(window) - len(kept)
        window = kept + chunk
        yield base, min(len(kept), _MARGIN) if base else 0, len(window) - (_MARGIN if more else 0), window


def _stretches(patterns: tuple[Any, Any, Any], window: bytes) -> Iterator[Stretch]:
    _, utf16, either = patterns
    present = either.Match(window) or ()
    if 0 in present:
        yield Stretch(window, 1, lambda offset: offset)
    if 1 not in present:
        return
    lines: list[int] = []
    places: list[int] = []
    pieces, total = [], 0
    for match in utf16.finditer(window):
        start, end = match.span()
        lines.append(total)
        places.append(start)
        pieces.append(window[start:end:2])
        total += (end - start) // 2 + 1

    def place(offset: int) -> int:
        index = bisect_right(lines, offset) - 1
        return places[index] + 2 * (offset - lines[index])

    yield Stretch(b"\0".join(pieces), 2, place)


def _passes(patterns: tuple[Any, Any, Any], stretch: Stretch) -> Iterator[tuple[int, int, str, Pass]]:
    """Passes in a stretch: offset and end in the window, text, what it says."""
    for match in patterns[0].finditer(stretch.data):
        start = match.start()
        raw = stretch.data[start : start + _MARGIN // 4]
        end = re.search(rb"[\0\r\n]", raw)
        raw = raw[: end.start()] if end else raw
        text = _ESCAPED.sub(b">", raw).decode("latin-1")
        found = read_pass(text)
        if found is None:
            continue
        size = found.size
        for escape in _ESCAPED.finditer(raw):  # each stands for one character of the text
            if escape.start() < size:
                size += len(escape[0]) - 1
        yield stretch.place(start), stretch.place(start + size - 1) + stretch.step, text[: found.size], found


# --- reading a pass ---------------------------------------------------------------------------------------------------------


def read_pass(text: str) -> Pass | None:
    """The boarding pass (Resolution 792, format M) that `text` begins with, or `None` where its mandatory items do not fit."""
    head = _HEAD.match(text)
    if not head:
        return None
    fields = {"passenger_name": head[3].strip(), "electronic_ticket": head[4].strip()}
    legs: list[dict[str, str]] = []
    notes: list[str] = []
    position = head.end()
    for number in range(1, int(head[2]) + 1):
        match = _EACH.match(text, position)
        if not match or not any(char.isdigit() for char in match[5]) or int(match[6].strip() or 0) > 366:
            if number == 1:
                return None
            notes.append(f"leg {number} of {head[2]} does not fit the format")
            break
        names = ("pnr", "from", "to", "carrier", "flight_number", "julian_day", "compartment", "seat", "sequence", "status")
        leg = {name: value.strip() for name, value in zip(names, match.groups(), strict=False)}
        position = match.end()
        size = int(match[11], 16)
        variable = text[position : position + size]
        if len(variable) < size:
            notes.append(f"the conditional items of leg {number} are cut: {len(variable)} of {size} characters")
        if number == 1 and variable.startswith(">"):
            fields["version"] = variable[1:2]
            variable = _sized(variable[2:], _UNIQUE, fields, notes, "the pass")
        leg["airline_use"] = _sized(variable, _REPEATED, leg, notes, f"leg {number}")
        legs.append(leg)
        position += min(size, len(text) - position)
    if text[position : position + 1] == "^":
        stated = _hex(text[position + 2 : position + 4])
        if stated is None:
            notes.append("the security data state no size")
        else:
            fields["security_type"] = text[position + 1]
            left = len(text) - position - 4
            if left < stated:
                notes.append(f"the security data are cut: {left} of {stated} characters")
            position += 4 + min(stated, left)
    return Pass(fields, legs, position, notes)


def _sized(text: str, items: tuple[tuple[str, int], ...], into: dict[str, str], notes: list[str], of: str) -> str:
    """Read items behind two hexadecimal digits of their size into `into`. Returns what follows them."""
    if not text:
        return ""
    size = _hex(text[:2])
    if size is None or size > len(text) - 2:
        notes.append(f"the conditional items of {of} state a size of {text[:2]!r}, {len(text) - 2} characters follow")
        size = len(text) - 2 if size is not None else 0
        if not size:
            return text
    part, position = text[2 : 2 + size], 0
    for name, width in items:
        if value := part[position : position + width].strip():
            into[name] = value
        position += width
    return text[2 + size :]


def _hex(text: str) -> int | None:
    return int(text, 16) if re.fullmatch("[0-9A-Fa-f]{2}", text) else None


def _findings(found: Pass, text: str, where: dict[str, Value], locator: ByteRange | None) -> Iterator[Finding]:
    """One finding a leg."""
    for number, leg in enumerate(found.legs, 1):
        data: dict[str, Value] = {**found.fields, **{name: value for name, value in leg.items() if value}}
        data |= {name: leg[name] for name in ("from", "to", "carrier", "flight_number", "julian_day")}
        data |= {
            "julian_day_interpretation": _day(leg["julian_day"]),
            "leg": number,
            "legs": len(found.legs),
            "text": text[:_TEXT_LIMIT],
            **where,
        }
        if found.notes:
            data["note"] = "; ".join(found.notes)
        flight = f"{leg['carrier']} {leg['flight_number']}".strip()
        details = [found.fields["passenger_name"], flight, f"{leg['from']}-{leg['to']}", f"day {leg['julian_day'] or '?'} of the year"]
        details += [f"{label} {leg[name]}" for label, name in (("seat", "seat"), ("booking", "pnr")) if leg[name]]
        yield Finding(
            kind="boarding-pass",
            summary=f"Boarding pass: {', '.join(details)}",
            level="notable",
            category="SOM-TRAVEL-HISTORY",
            data=data,
            locator=locator,
        )


def _day(julian: str) -> str | None:
    """Month and day of a day of the year; the pass states no year, and after February leap years differ."""
    if not julian or not 1 <= (day := int(julian)) <= 366:
        return None
    leap, common = (date(year, 1, 1) + timedelta(days=day - 1) for year in (2024, 2023))
    if day == 366:
        return f"{leap:%m-%d} of a leap year; the year is not stated"
    if leap.day == common.day:
        return f"{common:%m-%d}; the year is not stated"
    return f"{common:%m-%d}, in a leap year {leap:%m-%d}; the year is not stated"
