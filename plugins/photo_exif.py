"""Photographs: camera, time, place and traces of editing in EXIF tags, with small pictures for the report.

Tags after Exif 2.32 (CIPA DC-008-2019). EXIF times are local time of the camera and stay naive unless an OffsetTime tag gives the zone.
"""

import io
import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any, BinaryIO, cast

from PIL import Image, UnidentifiedImageError

from forensics.plugin import Attachment, Corrupt, File, Finding, LimitExceeded, Unsupported, Value, extractor

MAX_PIXELS = 60_000_000  # larger pictures are described but not decoded
THUMBNAIL = 256  # pixels of the longer side of what is attached
MAX_TEXT = 4096  # characters of a tag that are kept
MAX_EXIF = 64 << 20  # bytes of EXIF, and of thumbnail in it
MAX_READS = 50_000  # IFDs may point into each other without end; a real photograph takes under 5,000 reads
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF")  # of Pillow's others, EPS starts a program
HEIF = re.compile(rb"....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL)  # ISO/IEC 23008-12, annex B
STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"GIF8", b"BM")
EXIF_HEADER = re.compile(rb"Exif\0\0(?=II\*\0|MM\0\*)")
# What Pillow, its codecs, libheif and exifread are known to raise on hostile bytes.
DAMAGE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,  # also NotImplementedError and RecursionError
    struct.error,
    zlib.error,
    LimitExceeded,
)
# Exif 2.32, table 4 "Orientation": how to turn the stored picture upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TEXTS = {
    "camera_make": "Image Make",
    "camera_model": "Image Model",
    "camera_owner": "EXIF CameraOwnerName",
    "camera_serial": "EXIF BodySerialNumber",
    "lens_make": "EXIF LensMake",
    "lens_model": "EXIF LensModel",
    "lens_serial": "EXIF LensSerialNumber",
    "image_id": "EXIF ImageUniqueID",
    "software": "Image Software",
    "host_computer": "Image HostComputer",
    "description": "Image ImageDescription",
    "artist": "Image Artist",
    "copyright": "Image Copyright",
    "time_original": "EXIF DateTimeOriginal",
    "time_digitized": "EXIF DateTimeDigitized",
    "time_modified": "Image DateTime",
    "offset_original": "EXIF OffsetTimeOriginal",
    "offset_digitized": "EXIF OffsetTimeDigitized",
    "offset_modified": "EXIF OffsetTime",
    "subsecond_original": "EXIF SubSecTimeOriginal",
}
SEARCHED = ("description", "artist", "copyright", "user_comment", "camera_owner")
EDITORS = re.compile(
    r"photoshop|lightroom|adobe (camera raw|bridge|express)|gimp|paint\.?net|paint ?shop|affinity|snapseed|picsart|pixlr|corel|facetune"
    r"|faceapp|acdsee|acd systems|canva|picasa|imagemagick|graphicsmagick|irfanview|xnview|pixelmator|acorn|luminar|capture one|darktable"
    r"|rawtherapee|digikam|meitu|beautyplus|vsco|polarr|photoscape|photo ?impact|photofiltre|fotor|befunky|aviary|instagram|inkscape|krita"
    r"|(windows live|microsoft) photo gallery|microsoft windows photo|photo ?editor|exiftool|nero photo",
    re.IGNORECASE,
)


@extractor(
    version="1.1",
    mime=(
        "image/jpeg",
        "image/tiff",
        "image/png",
        "image/webp",
        "image/gif",
        "image/bmp",
        "image/x-ms-bmp",
        "image/avif",
        "image/heic",
        "image/heif",
        "image/heic-sequence",
        "image/heif-sequence",
        "image/x-canon-cr2",
    ),
)
def photo_exif(file: File) -> Iterator[Finding]:
    """Camera, time and place of photographs, and traces of editing software, from EXIF tags.

    Raises Unsupported where the content is no picture, Corrupt where it is a damaged one (after what could be read of it).
    """
    with file.open() as stream, _quiet():
        head = stream.read(64)
        picture, problem = _opened(stream, head)
        problems: list[Corrupt | LimitExceeded | Unsupported | None] = [problem]
        exif = _exif_block(stream, head, picture)
        tags: dict[str, Any] = {}
        if exif:
            import exifread  # only where there are tags

            try:
                tags = exifread.process_file(cast(BinaryIO, _Metered(exif)), details=False, extract_thumbnail=False)
            except DAMAGE as error:
                problems.append(Corrupt(f"its EXIF tags cannot be read ({_why(error)})"))
        if picture is None and not tags:
            if problem and (head.startswith(STARTS) or HEIF.match(head)):
                raise problem
            raise Unsupported(f"content of type {file.mime} is not a picture that is read here")
        if picture is None and head.startswith((b"II", b"MM")):
            problems[0] = Unsupported("TIFF of a variant whose pixels are not decoded, such as a camera's raw format")
        data = _described(tags, exif, picture)
        embedded = _decoded(io.BytesIO(_embedded(tags, exif)), 1)
        full, problem = _picture_thumbnail(picture, data, stream)
        problems.append(problem)
        attachments = [("embedded-thumbnail.jpg", embedded), ("picture-thumbnail.jpg", full)]
        files = tuple(Attachment(name, "image/jpeg", _jpeg(image)) for name, image in attachments if image)
        if picture is not None and embedded is not None:
            data["thumbnail_differs"] = _differs(embedded, picture.size)
    yield _finding(data, files)
    software = str(data.get("software", ""))
    if EDITORS.search(software):
        yield _edited(software, data)
    if first := next(filter(None, problems), None):
        raise first


# --- reading ----------------------------------------------------------------------------------------------------------------


class _Metered:
    """A stream that ends a reader which asks for too much."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._reads = stream, 0
        self.tell, self.seek = stream.tell, stream.seek

    def read(self, size: int) -> bytes:
        self._reads += 1
        if self._reads > MAX_READS:
            raise LimitExceeded(f"more than {MAX_READS} reads for the EXIF tags of one picture")
        return self._stream.read(min(size, 1 << 20))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep libraries from logging and warning about evidence; what was set before holds again afterwards."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _opened(stream: BinaryIO, head: bytes) -> tuple[Image.Image | None, Corrupt | LimitExceeded | None]:
    """The picture, not decoded yet, or what is wrong with it."""
    stream.seek(0)
    try:
        if HEIF.match(head):
            import pillow_heif  # some 20 ms to load, for one kind of picture

            return _Heif(pillow_heif.open_heif(stream)), None
        return Image.open(stream, formats=FORMATS), None
    except Image.DecompressionBombError:
        return None, LimitExceeded(f"picture of more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels, which is not opened")
    except DAMAGE as error:
        return None, Corrupt(f"picture that cannot be opened ({_why(error)})")


def _why(error: Exception) -> str:
    """What a library said, without the address in memory that Pillow puts into one message."""
    return "of no known structure" if isinstance(error, UnidentifiedImageError) else f"{type(error).__name__}: {error}"


class _Heif(Image.Image):
    """A HEIF picture that is decoded on `load` only; pillow-heif's own opener would have to be registered for the whole process."""

    def __init__(self, heif: Any) -> None:
        super().__init__()
        self._heif, self._size, self._mode, self.info, self.format = heif, tuple(heif.size), heif.mode, dict(heif.info), "HEIF"

    def load(self) -> Any:
        if self._heif is not None:
            decoded = self._heif.to_pillow()
            self._heif, self.im, self._mode = None, decoded.im, decoded.mode
        return super().load()


def _exif_block(stream: BinaryIO, head: bytes, picture: Image.Image | None) -> BinaryIO | None:
    """The TIFF structure that holds the tags: the content itself, the picture's EXIF block, or one left in a damaged picture."""
    if head.startswith((b"II", b"MM")):
        return stream
    block = picture.info.get("exif") if picture is not None else None
    if isinstance(block, bytes):
        block = block.removeprefix(b"Exif\0\0")
    elif picture is None:
        stream.seek(0)
        start = stream.read(256 << 10)
        found = EXIF_HEADER.search(start)
        block = start[found.end() :] if found else None
    return io.BytesIO(block[:MAX_EXIF]) if isinstance(block, bytes) and block[:2] in (b"II", b"MM") else None


def _embedded(tags: dict[str, Any], exif: BinaryIO | None) -> bytes:
    """The JPEG thumbnail inside the EXIF block (Exif 2.32, section 4.5.5), or nothing."""
    offset, size = _number(tags, "Thumbnail JPEGInterchangeFormat"), _number(tags, "Thumbnail JPEGInterchangeFormatLength")
    if exif is None or offset is None or size is None or not 0 < size <= MAX_EXIF:
        return b""
    exif.seek(offset)
    return exif.read(size)


def _decoded(stream: BinaryIO, orientation: int) -> Image.Image | None:
    """The embedded thumbnail decoded, or `None` where there is none or it is damaged."""
    try:
        image = Image.open(stream, formats=("JPEG",))
        return _small(image, orientation) if image.width * image.height <= MAX_PIXELS else None
    except (*DAMAGE, Image.DecompressionBombError):
        return None


def _picture_thumbnail(picture: Image.Image | None, data: dict[str, Value], stream: BinaryIO) -> tuple[Image.Image | None, Corrupt | None]:
    """A small version of the picture, upright, and what is wrong with it; where there is none or not all of it, `data` says so."""
    if picture is None:
        data["thumbnail_note"] = "no thumbnail: the picture cannot be opened"
        return None, None
    if picture.width * picture.height > MAX_PIXELS:
        data["thumbnail_note"] = f"no thumbnail: the picture has more than {MAX_PIXELS} pixels"
        return None, None
    orientation = data.get("orientation")
    # libheif has turned the picture already (ISO/IEC 23008-12, 6.5.10: the EXIF orientation is not to be applied)
    turn = orientation if isinstance(orientation, int) and picture.format != "HEIF" else 1
    try:
        return _small(picture, turn), None
    except DAMAGE as error:
        damage = Corrupt(f"picture that cannot be decoded to its end ({_why(error)})")
    if picture.format == "JPEG" and (part := _cut_jpeg(stream, turn)):
        data["thumbnail_note"] = "the picture is damaged: its thumbnail shows what could be decoded"
        return part, damage
    data["thumbnail_note"] = "no thumbnail: the picture cannot be decoded"
    return None, damage


def _cut_jpeg(stream: BinaryIO, orientation: int) -> Image.Image | None:
    """What can be seen of a JPEG that breaks off: with an end marker behind it, libjpeg fills the rest with grey."""
    stream.seek(0)
    cut = stream.read(MAX_EXIF) + b"\xff\xd9"
    return _decoded(io.BytesIO(cut), orientation)


def _small(image: Image.Image, orientation: int) -> Image.Image:
    image.thumbnail((THUMBNAIL, THUMBNAIL))  # has a JPEG decoded at a fraction of its size
    small = image.convert("RGB")
    return small.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else small


def _jpeg(image: Image.Image) -> bytes:
    """A new JPEG of these pixels and of nothing else: neither comment nor profile nor tag of the evidence."""
    image.info = {}
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80, subsampling=2, optimize=False, progressive=False)
    return out.getvalue()


def _differs(thumbnail: Image.Image, size: tuple[int, int]) -> bool:
    """Whether an embedded thumbnail clearly has another shape than its picture, turned or not, with or without black bars."""
    bright = thumbnail.convert("L").point([0] * 24 + [255] * 232).getbbox()
    shapes = [thumbnail.size, *([(bright[2] - bright[0], bright[3] - bright[1])] if bright else [])]
    wanted = max(size) / max(min(size), 1)
    return all(abs(max(shape) / min(shape) / wanted - 1) > 0.1 for shape in shapes)


# --- what the tags say ------------------------------------------------------------------------------------------------------


def _described(tags: dict[str, Any], exif: BinaryIO | None, picture: Image.Image | None) -> dict[str, Value]:
    data: dict[str, Value] = {}
    for field, tag in TEXTS.items():
        if text := _text(tags[tag].values) if tag in tags else "":
            data[field] = text
    if picture is not None:
        if "software" not in data and (text := _text(picture.info.get("Software"))):  # PNG keeps it in a tEXt chunk
            data["software"] = text
        data["width"], data["height"] = picture.size
        data["format"] = str(picture.format)
    if (orientation := _number(tags, "Image Orientation")) is not None:
        data["orientation"] = orientation
    if comment := _user_comment(tags, exif):
        data["user_comment"] = comment
    data |= _position(tags)
    if (gps := _moment(data.get("gps_time"), "+00:00")) and (camera := _moment(data.get("time_original"), None)):
        # The zone of the camera's clock, if the fix was fresh and the clock right: a lead, not a fact.
        data["camera_minus_gps_seconds"] = round((camera - gps.replace(tzinfo=None)).total_seconds())
    return data


def _text(value: object) -> str:
    """A tag's text without the NULs and blanks around it; undecodable bytes as ``\\xff``."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if not isinstance(value, str):
        return ""
    return value[:MAX_TEXT].strip("\0 \t\r\n")


def _number(tags: dict[str, Any], tag: str) -> int | None:
    values = tags[tag].values if tag in tags else None
    return values[0] if isinstance(values, list) and values and isinstance(values[0], int) else None


def _user_comment(tags: dict[str, Any], exif: BinaryIO | None) -> str:
    """UserComment (Exif 2.32, section 4.6.6): eight bytes that name the character code, then the text."""
    raw = _tag_bytes(exif, _number(tags, "Image ExifOffset"), 0x9286) if exif else b""
    code, body = raw[:8], raw[8:]
    if code == b"UNICODE\0":
        order = "utf-16-le" if _order(exif) == "<" else "utf-16-be"
        if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
            order = "utf-16"
        return _text(body[: len(body) & ~1].decode(order, "backslashreplace"))
    if code == b"JIS\0\0\0\0\0":
        return _text(body.decode("iso2022_jp", "backslashreplace"))
    return _text(body if code in (b"ASCII\0\0\0", bytes(8)) else raw)


def _order(exif: BinaryIO | None) -> str:
    if exif is None:
        return "<"
    exif.seek(0)
    return "<" if exif.read(1) == b"I" else ">"


def _tag_bytes(exif: BinaryIO, directory: int | None, wanted: int) -> bytes:
    """The bytes of one tag in the directory at this offset; exifread reads it only together with maker notes, byte by byte."""
    if directory is None:
        return b""
    order = _order(exif)
    exif.seek(directory)
    raw = exif.read(2)
    entries = exif.read(12 * min(struct.unpack(f"{order}H", raw)[0], 1000)) if len(raw) == 2 else b""
    for start in range(0, len(entries) - 11, 12):
        tag, _, count, offset = struct.unpack_from(f"{order}HHII", entries, start)
        if tag == wanted:
            exif.seek(offset)
            return exif.read(min(count, 8 + 4 * MAX_TEXT)) if count > 4 else entries[start + 8 : start + 8 + count]
    return b""


def _position(tags: dict[str, Any]) -> dict[str, Value]:
    """Position, altitude (metres) and time (UTC) of the GPS receiver (Exif 2.32, section 4.6.6.3), as found and as decimal degrees."""
    data: dict[str, Value] = {}
    for field, tag, bound in (("gps_latitude", "GPSLatitude", 90), ("gps_longitude", "GPSLongitude", 180)):
        values = tags[f"GPS {tag}"].values if f"GPS {tag}" in tags else None
        if not isinstance(values, list) or not values:
            continue
        sign = _text(tags[f"GPS {tag}Ref"].values)[:1].upper() if f"GPS {tag}Ref" in tags else ""
        data[f"{field}_found"] = " ".join([*(str(value) for value in values[:3]), sign]).strip()
        parts = [_decimal(value) for value in values[:3]]
        if parts[0] is None:
            continue
        degrees = sum((part or 0.0) / 60**power for power, part in enumerate(parts))
        if abs(degrees) <= bound:
            data[field] = round(-degrees if sign in ("S", "W") else degrees, 7)
    if data.get("gps_latitude") == data.get("gps_longitude") == 0.0:  # what receivers write that have no fix
        del data["gps_latitude"], data["gps_longitude"]
    altitude = tags["GPS GPSAltitude"].values if "GPS GPSAltitude" in tags else None
    if isinstance(altitude, list) and altitude and (metres := _decimal(altitude[0])) is not None:
        data["gps_altitude"] = round(-metres if _number(tags, "GPS GPSAltitudeRef") == 1 else metres, 3)
    if clock := _gps_clock(tags):
        data["gps_time"] = clock
    return data


def _decimal(value: Any) -> float | None:
    try:
        return float(value)
    except (ArithmeticError, TypeError, ValueError):  # n/0 stands for "unknown"
        return None


def _gps_clock(tags: dict[str, Any]) -> str:
    stamp = tags["GPS GPSTimeStamp"].values if "GPS GPSTimeStamp" in tags else None
    parts = [_decimal(value) for value in stamp[:3]] if isinstance(stamp, list) else []
    numbers = [part for part in parts if part is not None]
    if len(numbers) < 3 or not (0 <= numbers[0] < 24 and 0 <= numbers[1] < 60 and 0 <= numbers[2] < 61):
        return ""
    seconds = f"{numbers[2]:06.3f}".removesuffix(".000")
    clock = f"{int(numbers[0]):02}:{int(numbers[1]):02}:{seconds}"
    day = _text(tags["GPS GPSDate"].values) if "GPS GPSDate" in tags else ""
    return f"{day} {clock}".strip()


def _moment(text: object, offset: object) -> datetime | None:
    """An EXIF time (``2011:01:13 14:33:39``), aware in UTC where `offset` (``-04:00``) is known, else naive."""
    found = re.fullmatch(r"(\d{4})[:\-/](\d\d?)[:\-/](\d\d?)[ T](\d\d?):(\d\d):(\d\d)(?:\.(\d{1,6})\d*)?", str(text))
    zone = re.fullmatch(r"([+-])(\d\d):(\d\d)", str(offset))
    if not found:
        return None
    try:
        year, month, day, hour, minute, second = map(int, found.groups()[:6])
        moment = datetime(year, month, day, hour, minute, second, int((found[7] or "0").ljust(6, "0")))  # noqa: DTZ001
        if zone:
            minutes = int(f"{zone[1]}1") * (60 * int(zone[2]) + int(zone[3]))
            moment = moment.replace(tzinfo=timezone(timedelta(minutes=minutes))).astimezone(timezone.utc)  # noqa: UP017
        return moment
    except (ValueError, OverflowError):
        return None


# --- saying it --------------------------------------------------------------------------------------------------------------


def _line(*parts: object) -> str:
    """The parts as one line without control characters, each no longer than a line is wide."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(part)[:100]).strip() for part in parts if part)


def _finding(data: dict[str, Value], files: tuple[Attachment, ...]) -> Finding:
    when: datetime | None = None
    clock = ""
    for name, words in (("original", ""), ("digitized", "digitized "), ("modified", "modified ")):
        offset = data.get(f"offset_{name}")
        text = data.get(f"time_{name}")
        subsecond = data.get("subsecond_original") if name == "original" else None
        if when := _moment(f"{text}.{subsecond}", offset) or _moment(text, offset):
            data["when_from"] = f"time_{name}"
            shown = str(text).replace(":", "-", 2)
            clock = f"{words}{shown} {offset}" if when.tzinfo else f"{words}{shown} (camera time, zone unknown)"
            break
    located = "gps_latitude" in data and "gps_longitude" in data
    place = f"GPS {data['gps_latitude']:.6f}, {data['gps_longitude']:.6f}" if located else ""
    make, model = data.get("camera_make", ""), data.get("camera_model", "")
    camera = _line(model) if str(model).casefold().startswith(str(make).casefold() or "\0") else _line(make, model)
    size = f"{data['width']} x {data['height']} pixels" if "width" in data else "of unknown size"
    photo = bool(camera or located or "time_original" in data or "time_digitized" in data)
    what = f"Photograph by {camera}" if camera else "Photograph by an unnamed camera" if photo else f"Picture, {size}"
    return Finding(
        kind="photo" if photo else "picture",
        summary=", ".join(part for part in (what, clock, place) if part),
        when=when,
        data=data,
        level="notable" if located else "info",
        category="SOM-TRAVEL-HISTORY" if located else None,
        text="\n".join(
            str(data[field]) for field in ("description", "artist", "copyright", "user_comment", "camera_owner") if field in data
        ),
        attachments=files,
    )


def _edited(software: str, data: dict[str, Value]) -> Finding:
    evidence = ["the Software tag names it"]
    original, modified = _moment(data.get("time_original"), None), _moment(data.get("time_modified"), None)
    kept: dict[str, Value] = {
        field: data[field] for field in ("software", "time_original", "time_modified", "offset_modified") if field in data
    }
    if original and modified and original != modified:
        kept["modified_minus_original_seconds"] = round((modified - original).total_seconds())
        evidence.append(f"modified {_line(data['time_modified'])}, taken {_line(data['time_original'])}")
    return Finding(
        kind="edited-picture",
        summary=f"Picture may have been edited or exported with {_line(software)}: {'; '.join(evidence)}",
        when=_moment(data.get("time_modified"), data.get("offset_modified")),
        data=kept | {"evidence": "; ".join(evidence)},
        level="notable",
    )
