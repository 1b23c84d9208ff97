"""The custody log: who did what to which object, when and why, as lines that each carry the digest of the line before.

``custody.jsonl`` holds one canonical JSON object a line (RFC 8785). `prev` is the SHA-256 of the line before with its newline (64 zeros
on the first), `body_sha256` that of ``custody/bodies/<body_sha256>.json``, which holds ``{"body": {...}, "salt": "128 bits"}``. The chain
verifies with a body withheld, and the salt keeps a withheld body from being guessed. A chain alone shows neither a cut tail nor a
rewriting of everything: signed checkpoints do, and `verify` takes the heads that they state.

Whoever appends holds the case's lock; the log is locked besides, for the moment of writing.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from forensics.digest import canonical, sha256
from forensics.errors import CustodyBroken, UsageError
from forensics.segment import sync_folder

LOG = "custody.jsonl"
BODIES = Path("custody", "bodies")
ORIGIN = "0" * 64
PERSON_EVENTS = frozenset(
    {
        "seized",
        "sealed",
        "checked_in",
        "checked_out",
        "transferred",
        "acquired",
        "copied",
        "examined",
        "returned",
        "disclosed",
        "destroyed",
        "corrected",
    }
)
TOOL_EVENTS = frozenset({"created", "verified", "reported", "reviewed", "interrupted", "received", "acquired", "examined"})
EVENTS = PERSON_EVENTS | TOOL_EVENTS
_LINE_LIMIT = 1 << 20
_BODY_LIMIT = 256 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class CustodyLine(Struct, frozen=True, kw_only=True):
    """One line of the log. `at` is ISO 8601 in UTC by `clock`; `clock_back` the seconds by which that clock had stepped back since the line
    before; `body` is what the body file holds, `None` where it is withheld."""

    seq: int
    at: str
    event: str
    object: str
    prev: str
    body_sha256: str
    by: str | None = None
    clock: str = "system clock"
    clock_back: float | None = None
    body: dict[str, Any] | None = None


class _Body(Struct, frozen=True, forbid_unknown_fields=True):
    salt: str
    body: dict[str, Any]


_line = msgspec.json.Decoder(CustodyLine)
_body = msgspec.json.Decoder(_Body)


# --- writing ----------------------------------------------------------------------------------------------------------------


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
    Raises UsageError that names every field that the event needs and lacks, CustodyBroken where the last line cannot be followed, OSError.
    """
    if at and at.tzinfo is None:
        raise UsageError(f"custody event {event!r} of {object!r}: the time {at.isoformat()} says no time zone")
    missing = _missing(event, body)
    missing = ([] if object else ["object"]) + ([] if by or _by_tool(event, body) else ["by"]) + missing
    if missing:
        raise UsageError(f"custody event {event!r} of {object or 'nothing'!r} lacks: {', '.join(missing)}")
    (folder / BODIES).mkdir(parents=True, exist_ok=True)
    with open(folder / LOG, "a+b") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        moment = at or datetime.now(UTC)
        for torn, about in _set_aside(folder, log):
            _write(folder, log, "interrupted", torn, about, None, moment, None, clock)
        return _write(folder, log, event, object, body, by, moment, salt, clock)


def check_event(event: str, body: Mapping[str, Any]) -> None:
    """Whether `body` holds what an event of this kind needs. Raises UsageError for an unknown event, or naming each missing field."""
    if missing := _missing(event, body):
        raise UsageError(f"custody event {event!r} lacks: {', '.join(missing)}")


def _by_tool(event: str, body: Mapping[str, Any]) -> bool:
    return event in TOOL_EVENTS and (event not in PERSON_EVENTS or "run" in body or "tool" in body)


def _missing(event: str, body: Mapping[str, Any]) -> list[str]:
    """Required fields after ISO/IEC 27037, chain-of-custody record: from, to and place are required of transfers only."""
    if event not in EVENTS:
        raise UsageError(f"custody event {event!r} is none of: {', '.join(sorted(EVENTS))}")
    needed = [] if _by_tool(event, body) else ["purpose"]
    if event == "transferred":
        needed += ["from", "to", "place"]
    missing = [field for field in needed if body.get(field) in (None, "")]
    change = body.get("unavoidable_change")
    if change is not None:
        fields = change if isinstance(change, Mapping) else {}
        missing += [f"unavoidable_change.{field}" for field in ("what", "who", "why") if not fields.get(field)]
    return missing


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
    raw = _last(log)
    last = _decode(raw, "the last line") if raw else None
    content = canonical({"salt": (salt or secrets.token_bytes(16)).hex(), "body": dict(body)})
    name = sha256(content)
    line = {
        "seq": last.seq + 1 if last else 1,
        "at": at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "clock": clock,
        "event": event,
        "object": object,
        "by": by,
        "prev": sha256(raw) if raw else ORIGIN,
        "body_sha256": name,
    }
    try:
        back = _seconds_back(last.at, str(line["at"])) if last else 0.0
    except ValueError as error:
        raise CustodyBroken(
            f"{LOG}: the last line's time {last and last.at!r} is not ISO 8601 in UTC; restore the log from a copy"
        ) from error
    if back > 0:
        line["clock_back"] = back
    encoded = canonical(line)
    if len(encoded) >= _LINE_LIMIT:
        raise UsageError(f"custody event {event!r}: object and person take {len(encoded)} bytes, more than a line holds; shorten them")
    _write_body(folder / BODIES / f"{name}.json", content)
    log.write(encoded + b"\n")
    log.flush()
    os.fsync(log.fileno())
    sync_folder(folder)
    return msgspec.structs.replace(_line.decode(encoded), body=_body.decode(content).body)


def _write_body(path: Path, content: bytes) -> None:
    """The body is durable before the line that vouches for it."""
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    sync_folder(path.parent)
    sync_folder(path.parent.parent)


def _set_aside(folder: Path, log: BinaryIO) -> list[tuple[str, dict[str, Any]]]:
    """Move an incomplete last line out of the log. Returns every such piece that the log does not record yet, with what to say of it."""
    size = log.seek(0, os.SEEK_END)
    whole = size - len(_tail(log))
    pieces = sorted((folder / BODIES.parent).glob("torn-*"))
    if whole < size:
        log.seek(whole)
        numbers = (folder / BODIES.parent / f"torn-{number}" for number in range(1, len(pieces) + 2))
        piece = next(path for path in numbers if not path.exists())
        _write_body(piece, log.read())
        pieces.append(piece)
        log.truncate(whole)
        os.fsync(log.fileno())
    if not pieces:
        return []
    log.seek(0)
    recorded = {line.object for line in map(_try_decode, log) if line and line.event == "interrupted"}
    return [
        (name, {"sha256": sha256(piece.read_bytes()), "size": piece.stat().st_size, "what": "an incomplete last line of the custody log"})
        for piece in pieces
        if (name := f"custody/{piece.name}") not in recorded
    ]


def _tail(log: BinaryIO) -> bytes:
    """What stands after the last newline. Raises CustodyBroken where that is longer than a line can be."""
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _LINE_LIMIT))
    data = log.read()
    at = data.rfind(b"\n")
    if at < 0 and size > _LINE_LIMIT:
        raise CustodyBroken(f"{LOG}: the last line is longer than {_LINE_LIMIT} bytes; restore the log from a copy")
    return data[at + 1 :]


def _last(log: BinaryIO) -> bytes:
    """The last whole line with its newline, empty where there is none. Raises CustodyBroken where it is too long to be a line."""
    size = log.seek(0, os.SEEK_END) - len(_tail(log))
    start = max(0, size - _LINE_LIMIT)
    log.seek(start)
    data = log.read(size - start)
    at = data[:-1].rfind(b"\n")
    if at < 0 and start > 0:
        raise CustodyBroken(f"{LOG}: the last line is longer than {_LINE_LIMIT} bytes; restore the log from a copy")
    return data[at + 1 :]


# --- reading ----------------------------------------------------------------------------------------------------------------


def read(folder: Path) -> Iterator[CustodyLine]:
    """The whole lines of the log in order, each with its body where that is there; an incomplete last line is left to `verify`.

    Raises CustodyBroken where a line is none or a body was changed. The chain is not checked here: that is `verify`.
    """
    for number, raw in _lines(folder):
        if not raw.endswith(b"\n") and len(raw) <= _LINE_LIMIT:
            return
        line = _decode(raw, f"line {number}")
        body, problem = _read_body(folder, line)
        if problem:
            raise CustodyBroken(f"{folder / LOG}, line {number}: {problem}")
        yield msgspec.structs.replace(line, body=body)


def head(folder: Path) -> tuple[int, str]:
    """Number and SHA-256 of the last whole line: what a checkpoint or a report states. ``(0, 64 zeros)`` of an empty log."""
    try:
        with open(folder / LOG, "rb") as log:
            raw = _last(log)
    except FileNotFoundError:
        raw = b""
    return (_decode(raw, "the last line").seq, sha256(raw)) if raw else (0, ORIGIN)


def withheld(folder: Path) -> list[int]:
    """Numbers of the lines whose body is not there. Raises CustodyBroken as `read`."""
    return [line.seq for line in read(folder) if line.body is None]


def verify(
    folder: Path, checks: Callable[[CustodyLine], Iterable[str]] | None = None, *, heads: Mapping[int, str] | None = None
) -> list[str]:
    """Everything that is wrong with the log, each with the number of the line; empty where it verifies.

    Named are changed, dropped, inserted and moved lines, changed bodies, an incomplete last line, a clock that stepped back unsaid. A
    withheld body is none of these (see `withheld`). `checks` is asked for problems of what a line's body vouches for; `heads` are
    digests of lines by number, as signed checkpoints, reports or a partner's copy state them: they show a cut or rewritten log.
    """
    problems: list[str] = []
    digests: dict[int, str] = {}
    seq, before, at = 0, ORIGIN, ""
    if not (folder / LOG).exists():
        return [f"{LOG}: there is no custody log"]
    for number, raw in _lines(folder):
        where = f"{LOG}, line {number}"
        if len(raw) > _LINE_LIMIT:
            problems.append(f"{where}: is longer than {_LINE_LIMIT} bytes, so it is not a custody line; nothing after it was read")
            break
        if not raw.endswith(b"\n"):
            problems.append(f"{where}: is incomplete, as after a crash while it was written; the next entry moves it aside and says so")
            break
        line = _try_decode(raw)
        if line is None:
            problems.append(f"{where}: is not a custody line (changed or inserted)")
            seq, before = seq + 1, sha256(raw)
            continue
        problems += (f"{where}: {problem}" for problem in _follows(line, raw, seq, before, at))
        body, problem = _read_body(folder, line)
        if problem:
            problems.append(f"{where}: {problem}")
        elif checks is not None:
            problems += (f"{where}: {said}" for said in checks(msgspec.structs.replace(line, body=body)))
        seq, before, at = line.seq, sha256(raw), line.at
        digests[seq] = before
    for stated, digest in sorted((heads or {}).items()):
        if stated not in digests:
            problems.append(f"{LOG}, line {stated}: is not there, though a checkpoint or report states it: the log was cut")
        elif digests[stated] != digest:
            problems.append(
                f"{LOG}, line {stated}: is not the one that a checkpoint or report states: it or a line before it was rewritten"
            )
    return problems


def _follows(line: CustodyLine, raw: bytes, seq: int, before: str, at: str) -> Iterator[str]:
    """What keeps `line` from being the one after line `seq`, whose digest is `before` and whose time is `at`."""
    if not _is_canonical(raw[:-1]):
        yield "is not in canonical form (RFC 8785): it was changed"
    if line.seq > seq + 1:
        yield (
            f"carries number {line.seq}: "
            + (f"line {seq + 1} was" if line.seq == seq + 2 else f"lines {seq + 1}-{line.seq - 1} were")
            + (" dropped, or lines were moved")
        )
    elif line.seq <= seq:
        yield f"carries number {line.seq} after number {seq}: it was inserted or moved"
    elif line.prev != before:
        yield (
            f"does not carry the digest of line {seq}: that line was changed, or this one was"
            if seq
            else ("does not begin the chain: it was changed, or lines before it were dropped")
        )
    if line.event not in EVENTS:
        yield f"event {line.event!r} is none of the closed list"
    try:
        back = _seconds_back(at, line.at) if at else 0.0
    except ValueError:
        yield f"time {line.at!r} is not ISO 8601 in UTC"
        return
    if back > 0 and line.clock_back is None:
        yield f"its clock stepped back by {back:g} s, and it does not say so"


def _is_canonical(raw: bytes) -> bool:
    try:
        return raw == canonical(msgspec.json.decode(raw))
    except (ValueError, RecursionError):  # what no canonical JSON can hold
        return False


def _read_body(folder: Path, line: CustodyLine) -> tuple[dict[str, Any] | None, str | None]:
    """The body of a line, and what is wrong with it; neither where it is withheld."""
    if not _SHA256.fullmatch(line.body_sha256):
        return None, f"body_sha256 {line.body_sha256[:80]!r} is not a SHA-256"
    path = folder / BODIES / f"{line.body_sha256}.json"
    try:
        with open(path, "rb") as file:
            content = file.read(_BODY_LIMIT + 1)
    except FileNotFoundError:
        return None, None
    if len(content) > _BODY_LIMIT or sha256(content) != line.body_sha256:
        return None, f"its body {path.name} was changed: it does not have the digest that is its name"
    try:
        return _body.decode(content).body, None
    except (ValueError, RecursionError) as error:
        return None, f"its body {path.name} is not a salted body ({error})"


def _lines(folder: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with open(folder / LOG, "rb") as log:
            number = 0
            while raw := log.readline(_LINE_LIMIT + 1):
                number += 1
                yield number, raw
    except FileNotFoundError:
        return


def _try_decode(raw: bytes) -> CustodyLine | None:
    try:
        return _line.decode(raw)
    except (ValueError, RecursionError):
        return None


def _decode(raw: bytes, what: str) -> CustodyLine:
    line = _try_decode(raw)
    if line is None:
        raise CustodyBroken(f"{LOG}: {what} is not a custody line; run the verification, and restore the log from a copy")
    return line


def _seconds_back(before: str, after: str) -> float:
    """Seconds from `after` back to `before`, both ISO 8601 in UTC; negative where time went on. Raises ValueError."""
    first, second = datetime.fromisoformat(before), datetime.fromisoformat(after)
    if first.tzinfo is None or second.tzinfo is None:
        raise ValueError(f"{before} or {after} says no zone")
    return round((first - second).total_seconds(), 3)
