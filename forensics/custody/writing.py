"""The custody log written: one event is one line, durable when `append` returns, after its body."""

import fcntl
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from forensics import segment
from forensics.custody.events import by_tool, has_form, missing_of
from forensics.custody.filling import checked
from forensics.custody.line import (
    BODIES,
    BODY_LIMIT,
    LINE_LIMIT,
    LOG,
    ORIGIN,
    CustodyLine,
    decode,
    decode_body,
    encode,
    encode_body,
    seconds_back,
    try_decode,
    with_body,
)
from forensics.custody.reading import last, read_body, tail
from forensics.digest import sha256
from forensics.errors import CustodyBroken, UsageError
from forensics.segment import sync_folder


def append(
    folder: Path,
    event: str,
    *,
    object: str,
    body: Mapping[str, Any],
    by: str | None = None,
    at: datetime | None = None,
    salt: bytes | None = None,
    clock: str = "system clock",
) -> CustodyLine:
    """Add one event to the log of the case in `folder`; it is durable when this returns.

    `object` is what it happened to (an exhibit, a run, a report), `by` the person, `at` an aware time (default: now), `salt` 16 bytes
    (default: random). A line that a crash left incomplete is first moved to ``custody/torn-<n>`` and recorded as `interrupted`.
    What a person records must be its form filled in (`forms`). Raises UsageError that names every field that the event needs and lacks,
    or that its form does not have, or a value that is not of its kind; CustodyBroken where the last line cannot be followed, OSError.
    """
    if at and at.tzinfo is None:
        raise UsageError(f"custody event {event!r} of {object!r}: the time {at.isoformat()} says no time zone")
    missing = missing_of(event, body)
    missing = ([] if object else ["object"]) + ([] if by or by_tool(event, body) else ["by"]) + missing
    if missing:
        raise UsageError(f"custody event {event!r} of {object or 'nothing'!r} lacks: {', '.join(missing)}")
    if has_form(event, body):
        body = checked(event, body)
    (folder / BODIES).mkdir(parents=True, exist_ok=True)
    with open(folder / LOG, "a+b") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        moment = at or datetime.now(UTC)
        for torn, about in _set_aside(folder, log):
            _write(folder, log, "interrupted", torn, about, None, moment, None, clock)
        return _write(folder, log, event, object, body, by, moment, salt, clock)


def _write(
    folder: Path,
    log: BinaryIO,
    event: str,
    object: str,
    body: Mapping[str, Any],
    by: str | None,
    at: datetime,
    salt: bytes | None,
    clock: str,
) -> CustodyLine:
    raw = last(log)
    before = decode(raw, "the last line") if raw else None
    content = encode_body(salt or secrets.token_bytes(16), object, by, dict(body))
    if len(content) > BODY_LIMIT:
        raise UsageError(f"custody event {event!r} of {object!r}: its body takes {len(content)} bytes, more than {BODY_LIMIT}")
    now = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    try:
        back = seconds_back(before.at, now) if before else 0.0
    except ValueError as error:
        raise CustodyBroken(
            f"{LOG}: the last line's time {before and before.at!r} is not ISO 8601 in UTC; restore the log from a copy"
        ) from error
    line = CustodyLine(
        seq=before.seq + 1 if before else 1,
        at=now,
        clock=clock,
        clock_back=back if back > 0 else None,
        event=event,
        prev=sha256(raw) if raw else ORIGIN,
        body_sha256=sha256(content),
    )
    encoded = encode(line)
    if len(encoded) > LINE_LIMIT:
        raise UsageError(f"custody event {event!r}: its clock's name makes a line of {len(encoded)} bytes; shorten it")
    write_whole(folder / BODIES / f"{line.body_sha256}.json", content)
    log.write(encoded)
    log.flush()
    os.fsync(log.fileno())
    sync_folder(folder)
    return with_body(line, decode_body(content))


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file under ``custody/`` whole and durable, before the line that vouches for it."""
    segment.write_whole(path, content)
    sync_folder(path.parent.parent)


def _set_aside(folder: Path, log: BinaryIO) -> list[tuple[str, dict[str, Any]]]:
    """Move an incomplete last line out of the log. Returns every such piece that the log does not record yet, with what to say of it."""
    size = log.seek(0, os.SEEK_END)
    whole = size - len(tail(log))
    pieces = sorted((folder / BODIES.parent).glob("torn-*"))
    if whole < size:
        log.seek(whole)
        numbers = (folder / BODIES.parent / f"torn-{number}" for number in range(1, len(pieces) + 2))
        piece = next(path for path in numbers if not path.exists())
        write_whole(piece, log.read())
        pieces.append(piece)
        log.truncate(whole)
        os.fsync(log.fileno())
    if not pieces:
        return []
    log.seek(0)
    interrupted = (line for line in map(try_decode, log) if line and line.event == "interrupted")
    recorded = {body.object for line in interrupted if (body := read_body(folder, line)[0])}
    return [
        (name, {"sha256": sha256(piece.read_bytes()), "size": piece.stat().st_size, "what": "an incomplete last line of the custody log"})
        for piece in pieces
        if (name := f"custody/{piece.name}") not in recorded
    ]
