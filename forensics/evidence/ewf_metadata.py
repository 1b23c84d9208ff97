"""What was written of an acquisition into an EWF image: case, examiner, dates, digests."""

import bz2
import re
import zlib
from datetime import UTC, datetime

from forensics.errors import Corrupt

_MOST = 4 << 20  # EnCase limits a value to 3,000 characters, libewf writes up to a MiB
_V1 = {
    "a": "description",
    "c": "case_number",
    "n": "evidence_number",
    "e": "examiner",
    "t": "notes",
    "av": "software_version",
    "ov": "operating_system",
    "m": "acquired_at",
    "u": "system_date",
    "md": "model",
    "sn": "serial",
    "l": "label",
    "pid": "process_id",
}
_V2 = {
    "nm": "description",
    "cn": "case_number",
    "en": "evidence_number",
    "ex": "examiner",
    "nt": "notes",
    "av": "software_version",
    "os": "operating_system",
    "tt": "acquired_at",
    "at": "system_date",
    "md": "model",
    "sn": "serial",
    "lb": "label",
    "pid": "process_id",
}
_ESCAPES = str.maketrans({"\x01": "\n", "\x02": "\r", "\x03": "\t"})
_XHASH = re.compile(rb"<(md5|sha1|sha256)>\s*([0-9a-f]{32,64})\s*</", re.IGNORECASE)


def inflate(data: bytes) -> bytes:
    """A zlib stream of at most 4 MiB. Raises Corrupt where it is damaged, cut or larger."""
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(data, _MOST)
    except zlib.error as error:
        raise Corrupt(f"the compressed text is damaged ({error})") from error
    if not stream.eof:
        raise Corrupt(f"the compressed text is cut short or larger than {_MOST} bytes")
    return text


def fields(text: str) -> dict[str, str]:
    """Tag -> value of the `main` category: its third line names the tags, its fourth has the values. Raises Corrupt."""
    lines = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) < 4 or lines[1] != "main":
        raise Corrupt("the text has no 'main' category")
    return {tag: value.rstrip("\0") for tag, value in zip(lines[2].split("\t"), lines[3].split("\t"), strict=False) if tag}


def header(data: bytes, unicode: bool) -> dict[str, str]:
    """The metadata of a `header` (bytes of an unknown code page, mostly ASCII) or `header2` (UTF-16) section. Raises Corrupt.

    Dates of a `header` are local time of an unknown zone, those of a `header2` are UTC (EWF specification, "Header2 values").
    """
    raw = inflate(data)
    if unicode:
        text = raw.decode("utf-16-be" if raw.startswith(b"\xfe\xff") else "utf-16-le", "backslashreplace")
    else:
        text = raw.decode("utf-8", "backslashreplace")
    return _named(fields(text), _V1)


def named_v2(tags: dict[str, str]) -> dict[str, str]:
    """The metadata out of the fields of an Ex01's device information and case data."""
    found = _named({tag: value.translate(_ESCAPES) for tag, value in tags.items()}, _V2)
    if blocker := {"1": "FastBloc", "2": "Tableau"}.get(tags.get("wb", "")):
        found["write_blocker"] = blocker
    media = {"a": "RAM disk", "c": "optical", "f": "fixed", "l": "logical", "m": "memory", "p": "PALM", "r": "removable"}
    if kind := media.get(tags.get("dt", "")):
        found["media_type"] = kind
    return found


def _named(tags: dict[str, str], names: dict[str, str]) -> dict[str, str]:
    found = {}
    for tag, name in names.items():
        value = tags.get(tag, "").strip()
        if value:
            found[name] = _date(value) if name in ("acquired_at", "system_date") else value
    return found


def _date(value: str) -> str:
    """ISO 8601 of `1142163845` (UTC) or of `2006 3 12 11 44 5` (local time of an unknown zone); anything else as found."""
    try:
        if re.fullmatch(r"[0-9]{1,11}", value):
            return datetime.fromtimestamp(int(value), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if re.fullmatch(r"[0-9]{4}( [0-9]{1,2}){5}", value):
            year, month, day, hour, minute, second = map(int, value.split())
            return datetime(year, month, day, hour, minute, second).isoformat()  # noqa: DTZ001 - knowingly naive
    except (ValueError, OverflowError, OSError):
        return value
    return value


def xhash(data: bytes) -> dict[str, str]:
    """The digests of EWF-X's `xhash` section. Raises Corrupt."""
    return {match[1].decode().lower(): match[2].decode().lower() for match in _XHASH.finditer(inflate(data))}


def bunzip(data: bytes) -> bytes:
    """A bzip2 stream of at most 4 MiB. Raises Corrupt where it is damaged, cut or larger."""
    stream = bz2.BZ2Decompressor()
    try:
        text = stream.decompress(data, _MOST)
    except OSError as error:
        raise Corrupt(f"the compressed text is damaged ({error})") from error
    if not stream.eof:
        raise Corrupt(f"the compressed text is cut short or larger than {_MOST} bytes")
    return text
