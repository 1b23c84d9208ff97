"""Files carved out of unallocated space, each bounded by its own structure."""

import re
from collections.abc import Iterator
from contextlib import ExitStack

from forensics.carving.carve import Carved, carve
from forensics.carving.content import WINDOW, Content
from forensics.plugin import ByteRange, File, Finding, LimitExceeded, Member, Value, container, stream_of

CONTINUED = "-continued"  # what follows the space without a break, where it is offered in pieces
_RANGE = re.compile(r"/(\d{1,19})-\d{1,19}")  # the path of unallocated space: its first and last byte in the layer
_NAMES = {
    "JPEG": "JPEG picture",
    "PNG": "PNG picture",
    "GIF": "GIF picture",
    "ISO media": "picture or film in ISO media boxes",
    "PDF": "PDF document",
    "ZIP": "ZIP archive or Office document",
    "SQLite": "SQLite database",
    "EVTX": "Windows event log",
    "registry hive": "registry hive",
    "PE": "Windows program",
}


@container(version="1.0", states=("unallocated",), needs=("content", "location", "companions"), companions=(CONTINUED,))
def carved_files(file: File, *, limit: int = 20_000) -> Iterator[Member | Finding]:
    """Pictures, films, documents, archives, databases, logs, hives and programs in unallocated space, by signature and structure.

    Formats: JPEG, PNG, GIF, HEIC, MP4, MOV, PDF, ZIP with OOXML, SQLite, EVTX, registry hive, PE. The size comes from walking the
    structure, never from a footer alone. Fragments are not joined: a JPEG, PNG, GIF, film, archive, database, log, hive or program that
    breaks is carved as far as it is valid, and marked as broken; a PDF without a cross-reference that holds, and anything whose head does
    not hold, is refused. At most `limit` files of a piece of space.
    """
    with ExitStack() as stack:
        streams = [(stack.enter_context(file.open()), file.size)]
        beyond = file.companion(CONTINUED)
        if beyond is not None:
            streams.append((stack.enter_context(beyond.open()), beyond.size))
        content = Content(*streams)
        named = _RANGE.fullmatch(file.location.path)
        base = int(named[1]) if named else 0
        for number, found in enumerate(carve(content, file.size)):
            if number >= limit:
                raise LimitExceeded(f"more than {limit} files in this space; those from byte {found.start} on were not carved")
            first, size = found.start, found.extent.size
            yield _finding(found, base)
            yield Member(
                path=f"/{first}-{first + size - 1}.{found.extent.suffix}",
                open=lambda first=first, size=size: stream_of(_pieces(content, first, size)),  # type: ignore[misc]
                size=size,
            )


def _pieces(content: Content, start: int, size: int) -> Iterator[bytes]:
    for at in range(start, start + size, WINDOW):
        yield content.read(at, min(WINDOW, start + size - at))


def _finding(found: Carved, base: int) -> Finding:
    extent = found.extent
    data: dict[str, Value] = {
        "format": found.format,
        "offset": base + found.start,
        "size": extent.size,
        "method": "signature and structure",
        "checked": extent.checked,
        "whole": extent.broken is None,
    }
    if extent.broken:
        data["broken"] = extent.broken
    if extent.opaque:
        data["caution"] = "its structure does not tell whether all of its bytes are its own; another file's may be among them"
    how = "carved" if extent.broken is None else "carved in part"
    return Finding(
        kind="carved-file",
        summary=f"{_NAMES[found.format]} of {extent.size} bytes, {how} at byte {base + found.start} ({extent.checked})",
        level="info",
        data=data,
        locator=ByteRange(found.start, extent.size),
    )
