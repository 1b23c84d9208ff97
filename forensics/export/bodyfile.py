r"""The bodyfile of The Sleuth Kit 3.x, for `mactime` and the tools that read it.

A line is ``MD5|name|inode|mode_as_string|UID|GID|size|atime|mtime|ctime|crtime`` (https://wiki.sleuthkit.org, "Body file"), with seconds
since 1970 in UTC, and 0 for what is unknown. The name is the location without its suffixes, in which nothing can break a line; ``|``
stands as ``\x7c``. As in `fls -m`, a stream follows its file's name behind a colon, a link names its target, and a deleted entry says so.

Times of an unknown zone (FAT) cannot be counted from 1970 in UTC: `local` lines hold these alone, as the clock showed them; in the others
they are 0.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from forensics.export import listing
from forensics.export.csv import aware
from forensics.export.listing import Listing
from forensics.location import Location, escape
from forensics.model import Entry, EntryKind, Examined

_TYPES: dict[EntryKind, str] = {"file": "r/r", "directory": "d/d", "link": "l/l", "virtual": "v/v", "other": "-/-"}


def write(path: Path, values: Iterable[Examined]) -> Listing:
    """Write every entry to `path`, its times of an unknown zone as 0. Raises OSError."""
    return listing.write(path, (line(value, local=False) for value in values))


def write_local(path: Path, values: Iterable[Examined]) -> Listing:
    """Write the entries that have times of an unknown zone to `path`, with these times alone. Raises OSError."""
    return listing.write(path, (line(value, local=True) for value in values if any(_of(value.entry, local=True))))


def line(value: Examined, *, local: bool) -> bytes:
    """An entry as a line of the bodyfile, with its times of an unknown zone (`local`) or with the others."""
    entry = value.entry
    place = Location.parse(entry.location)
    accessed, modified, changed, born = _of(entry, local=local)
    fields = (
        (value.digests.md5 if value.digests else None) or 0,
        name(entry, place),
        escape(place.meta or "0").replace("|", r"\x7c"),
        f"{_TYPES[entry.kind]}{_permissions(entry.mode)}",
        entry.uid or 0,
        entry.gid or 0,
        entry.size,
        accessed,
        modified,
        changed,
        born,
    )
    return "|".join(map(str, fields)).encode() + b"\n"


def name(entry: Entry, place: Location) -> str:
    """The location without its suffixes, and what `fls` says behind a name."""
    text = str(replace(place, meta=None, offset=None, stream=""))
    if place.stream:
        text += f":{escape(place.stream, separators=True)}"
    if entry.kind == "link" and entry.target:
        text += f" -> {escape(entry.target)}"
    if entry.state in ("deleted", "orphan"):
        text += " (deleted-realloc)" if entry.content == "reallocated" else " (deleted)"
    return text.encode("utf-8", "backslashreplace").decode().replace("|", r"\x7c")


def _permissions(mode: int | None) -> str:
    """The nine letters of `ls`, with set-id and sticky bits; dashes where the file system has no mode."""
    if mode is None:
        return "-" * 9
    letters = ["rwx"[bit % 3] if mode >> (8 - bit) & 1 else "-" for bit in range(9)]
    for place, bit, letter in ((2, 0o4000, "s"), (5, 0o2000, "s"), (8, 0o1000, "t")):
        if mode & bit:
            letters[place] = letter if letters[place] == "x" else letter.upper()
    return "".join(letters)


def _of(entry: Entry, *, local: bool) -> tuple[int, int, int, int]:
    """Accessed, modified, changed, born; those of an unknown zone where `local`, else those in UTC."""
    times = entry.times
    accessed, modified, changed, born = (
        _seconds(when) if when is not None and aware(when) != local else 0
        for when in (times.accessed, times.modified, times.changed, times.born)
    )
    return accessed, modified, changed, born


def _seconds(when: str) -> int:
    """Whole seconds since 1970. A time that cannot be one is 0, as an unknown one."""
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        return 0
    return int((moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp() // 1)
