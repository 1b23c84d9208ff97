"""The custody log in a package: the chain of its lines, its bodies, its checkpoints, and the heads to which it is bound."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import canonical, files
from .refusal import Refused

ORIGIN = "0" * 64
_LINE_LIMIT = 1 << 20
_FIELDS = frozenset({"seq", "at", "clock", "event", "prev", "body_sha256"})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_EVENT = re.compile(r"[a-z_]{1,40}")


class Log:
    """A custody log that holds together: the digest of each line by number, and the digests of bodies that its lines name."""

    def __init__(self) -> None:
        self.digests: dict[int, str] = {}
        self.bodies: set[str] = set()

    @property
    def head(self) -> tuple[int, str]:
        return (len(self.digests), self.digests[len(self.digests)]) if self.digests else (0, ORIGIN)


def read(folder: Path) -> Log:
    """The log of an unpacked package, every line following the one before. Raises Refused."""
    log, before, last = Log(), ORIGIN, ""
    for number, raw in enumerate(_lines(folder), 1):
        where = f"{files.CUSTODY}, line {number}"
        line = canonical.loads(raw[:-1], "custody-form", where)
        if not isinstance(line, dict) or not _FIELDS <= line.keys() <= _FIELDS | {"clock_back"}:
            raise Refused("custody-form", f"{where}: has not the fields of a custody line")
        texts = [line[name] for name in ("at", "clock", "event", "prev", "body_sha256")]
        if not all(isinstance(text, str) for text in texts) or not _SHA256.fullmatch(line["body_sha256"]):
            raise Refused("custody-form", f"{where}: its fields are not of a custody line's form")
        if not _TIME.fullmatch(line["at"]) or not _EVENT.fullmatch(line["event"]):
            raise Refused("custody-form", f"{where}: its time or its event is not of a custody line's form")
        if line["seq"] != number or isinstance(line["seq"], bool):
            raise Refused("custody-chain", f"{where}: carries number {str(line['seq'])[:20]}: lines were dropped, inserted or moved")
        if line["prev"] != before:
            raise Refused("custody-chain", f"{where}: does not carry the digest of the line before: that one or this one was changed")
        if _comparable(line["at"]) < last and "clock_back" not in line:
            raise Refused("custody-chain", f"{where}: its clock stepped back, and it does not say so")
        before, last = hashlib.sha256(raw).hexdigest(), _comparable(line["at"])
        log.digests[number] = before
        log.bodies.add(line["body_sha256"])
    if not log.digests:
        raise Refused("custody-form", f"{files.CUSTODY}: is empty")
    return log


def check_bodies(folder: Path, log: Log, found: list[str]) -> int:
    """That every body in the package, whose files are `found`, belongs to a line, has its digest, and is salted. Returns how many.

    Raises Refused.
    """
    number = 0
    for name in found:
        match = files.BODY.fullmatch(name)
        if match is None:
            continue
        data = files.read(folder, name)
        if match[1] not in log.bodies:
            raise Refused("custody-form", f"{name}: the body of no line")
        if hashlib.sha256(data).hexdigest() != match[1]:
            raise Refused("custody-form", f"{name}: was changed: it does not have the digest that is its name")
        body = canonical.loads(data, "custody-form", name)
        if (
            not isinstance(body, dict)
            or body.keys() != {"salt", "object", "by", "body"}
            or not re.fullmatch(r"[0-9a-f]{32}", str(body["salt"]))
        ):
            raise Refused("custody-form", f"{name}: not a salted body")
        number += 1
    return number


def check_heads(log: Log, stated: Mapping[str, tuple[int, str]]) -> None:
    """That the log holds the lines that others state (who states it -> number and digest). Raises Refused."""
    for who, (seq, head) in stated.items():
        if seq not in log.digests:
            raise Refused("custody-head", f"{who} states line {seq} of the custody log, which has {log.head[0]}: it was cut")
        if log.digests[seq] != head:
            raise Refused(
                "custody-head", f"line {seq} of the custody log is not the one that {who} states: it or a line before it was rewritten"
            )


def checkpoints(folder: Path, names: list[str]) -> dict[str, tuple[int, str]]:
    """Number and digest of the line that each checkpoint in the package, whose files are `names`, states; by the checkpoint's name.

    Raises Refused.
    """
    found: dict[str, tuple[int, str]] = {}
    there = set(names)
    for name in sorted(there):
        if name.startswith("data/custody/checkpoints/") and not name.endswith(".json"):
            if re.sub(r"\.(p7s\.tsr|p7s)$", "", name) not in there:
                raise Refused("checkpoint", f"{name}: the signature of nothing")
            continue
        match = files.CHECKPOINT.fullmatch(name)
        if match is None:
            continue
        value = canonical.loads(files.read(folder, name), "checkpoint", name)
        if not isinstance(value, dict) or not isinstance(value.get("head"), str) or value.get("seq") != int(match[1]):
            raise Refused("checkpoint", f"{name}: not a checkpoint of line {match[1]}")
        if f"{name}.p7s" not in there:
            raise Refused("checkpoint", f"{name}: not signed")
        found[name] = (value["seq"], value["head"])
    return found


def _lines(folder: Path) -> Iterator[bytes]:
    try:
        with open(folder / files.CUSTODY, "rb") as file:
            while True:
                raw = file.readline(_LINE_LIMIT + 1)
                if not raw:
                    return
                if not raw.endswith(b"\n"):
                    raise Refused("custody-form", f"{files.CUSTODY}: a line that is not whole, or longer than {_LINE_LIMIT} bytes")
                yield raw
    except FileNotFoundError:
        raise Refused("missing", f"{files.CUSTODY}: not there") from None


def _comparable(at: str) -> str:
    """A time as text that sorts as the time does, whatever the number of its decimals."""
    whole, _, fraction = at[:-1].partition(".")
    return f"{whole}.{fraction:0<6}"
