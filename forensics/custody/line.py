"""One line of the custody log and its salted body: their form, to bytes and back.

A line says nothing that could be guessed of the matter: number, time, kind of event, and two digests. What it happened to, who did it and
all else stand in the body, a file of its own under ``custody/bodies/<body_sha256>.json``, salted with 128 bits: a line whose body is
withheld tells no more than that something of that kind happened then.
"""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from forensics.digest import canonical
from forensics.errors import CustodyBroken

LOG = "custody.jsonl"
BODIES = Path("custody", "bodies")
ORIGIN = "0" * 64  # what the first line carries as the digest of the line before
LINE_LIMIT = 1 << 20
BODY_LIMIT = 256 << 20
SHA256 = re.compile(r"[0-9a-f]{64}")


class CustodyLine(Struct, frozen=True, kw_only=True):
    """One event. `at` is ISO 8601 in UTC by `clock`; `clock_back` the seconds by which that clock had stepped back since the line before.

    `object`, `by` and `body` come from the body file: ``""``, `None` and `None` where that is withheld.
    """

    seq: int
    at: str
    event: str
    object: str = ""
    prev: str
    body_sha256: str
    by: str | None = None
    clock: str = "system clock"
    clock_back: float | None = None
    body: dict[str, Any] | None = None


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a body file holds: `object` is what it happened to, `by` the person."""

    salt: str
    object: str
    by: str | None
    body: dict[str, Any]


class _Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a line of the log holds, and nothing else."""

    seq: int
    at: str
    clock: str
    event: str
    prev: str
    body_sha256: str
    clock_back: float | None = None


_line = msgspec.json.Decoder(_Line)
_body = msgspec.json.Decoder(Body)


def encode(line: CustodyLine) -> bytes:
    """The line as the log holds it, with its newline."""
    return (
        canonical(
            _Line(
                seq=line.seq,
                at=line.at,
                clock=line.clock,
                event=line.event,
                prev=line.prev,
                body_sha256=line.body_sha256,
                clock_back=line.clock_back,
            )
        )
        + b"\n"
    )


def try_decode(raw: bytes) -> CustodyLine | None:
    """The line of these bytes, without its body; `None` where they are none."""
    try:
        line = _line.decode(raw)
    except (ValueError, RecursionError):
        return None
    return CustodyLine(**msgspec.structs.asdict(line))


def decode(raw: bytes, what: str) -> CustodyLine:
    """The line of these bytes, without its body. Raises CustodyBroken that names `what`."""
    line = try_decode(raw)
    if line is None:
        raise CustodyBroken(f"{LOG}: {what} is not a custody line; run the verification, and restore the log from a copy")
    return line


def encode_body(salt: bytes, object: str, by: str | None, body: dict[str, Any]) -> bytes:
    """The body file's bytes."""
    return canonical(Body(salt=salt.hex(), object=object, by=by, body=body))


def decode_body(content: bytes) -> Body:
    """The body of a file's bytes. Raises ValueError or RecursionError."""
    return _body.decode(content)


def with_body(line: CustodyLine, body: Body | None) -> CustodyLine:
    """The line with what its body file says; without one, as it is."""
    return msgspec.structs.replace(line, object=body.object, by=body.by, body=body.body) if body else line


def seconds_back(before: str, after: str) -> float:
    """Seconds from `after` back to `before`, both ISO 8601 in UTC; negative where time went on. Raises ValueError."""
    first, second = datetime.fromisoformat(before), datetime.fromisoformat(after)
    if first.tzinfo is None or second.tzinfo is None:
        raise ValueError(f"{before} or {after} says no zone")
    return round((first - second).total_seconds(), 3)
