"""The part of the custody log that a partner gets: every line, and the bodies of what happened to the exhibits disclosed.

A line tells no more than number, time and kind of event. A body leaves only if its event is on the list, it is about an exhibit that is
disclosed, every field of it is on the list, and it names nobody who is protected, nor anybody who may be the item's holder or a witness. So
what was examined, reviewed, reported or disclosed to others stays, and so does the path of an image.
"""

import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from forensics import custody
from forensics.custody import CustodyLine
from forensics.custody.forms import FORMS, Signature
from forensics.errors import CustodyBroken
from forensics.exchange.names import mentions

EVENTS = frozenset({"seized", "sealed", "received", "checked_in", "checked_out", "transferred", "acquired", "copied", "returned"})
FIELDS = frozenset(
    {
        "purpose", "from", "to", "place", "at", "started", "ended", "condition", "seal_no", "seal_before", "seal_after", "carrier",
        "waybill", "hash_before", "hash_after", "sha256", "sha512", "md5", "size", "authority", "legal_authority_ref", "receipt_no",
        "witness", "tool", "tool_version", "tool_sha256", "write_blocker", "no_write_blocker_reason", "type", "operator",
        "changes_made_to_original", "clock", "power_state", "lock_state", "isolation", "device_clock_offset",
    }
)  # fmt: skip
_PEOPLE = frozenset({"from", "to", "witness"})  # whom a form does not say to be an officer: it may be the holder, a victim, a neighbour
# Events whose form the giver signs and the receiver countersigns: an officer's identity is needed for both.
_BY_OFFICERS = frozenset(event for event, form in FORMS.items() if "signature" in form.__struct_fields__)
_COUNTERSIGNED = frozenset({"transfer", "statement_sha256", "signature"})
CHECKPOINTS = Path("custody", "checkpoints")
_DIGEST = re.compile(r"\b(?:[0-9a-fA-F]{128}|[0-9a-fA-F]{64}|[0-9a-fA-F]{40}|[0-9a-fA-F]{32})\b")
_LOCAL = re.compile(r"(?:^|\s)(?:/|[A-Za-z]:\\)")  # the beginning of a path of this machine


def lines(
    folder: Path, exhibits: Collection[str], small: Collection[str], protected: Collection[str]
) -> Iterator[tuple[CustodyLine, bool]]:
    """Every line of the log with whether its body may leave. `small` are exhibits whose digests do not; `protected` are names.

    A countersignature leaves with the transfer that it is over, and stays with it: it holds an unsalted digest of what that says.
    """
    gone: set[int] = set()
    for line in custody.read(folder):
        leaves = _with_transfer(line, gone, protected) if line.event == "countersigned" else may_leave(line, exhibits, small, protected)
        if leaves and line.event == "transferred":
            gone.add(line.seq)
        yield line, leaves


def may_leave(line: CustodyLine, exhibits: Collection[str], small: Collection[str], protected: Iterable[str]) -> bool:
    """Whether the body of a line may be given to a partner."""
    known = FIELDS | {"signature"} if line.event in _BY_OFFICERS else FIELDS
    if line.event not in EVENTS or line.object not in exhibits or line.body is None or not line.body.keys() <= known:
        return False
    if not line.body.keys().isdisjoint(_PEOPLE - {"from", "to"} if line.event in _BY_OFFICERS else _PEOPLE):
        return False
    said = {name: value for name, value in line.body.items() if name != "signature"}  # the signature is over these
    texts = [line.object, line.by or "", *_texts(said)]
    signer = _signer(line.body)
    if signer is None or any(_LOCAL.search(text) for text in texts) or mentions([*texts, signer], protected):
        return False
    return line.object not in small or not any(_DIGEST.search(text) for text in texts)


def _with_transfer(line: CustodyLine, gone: Collection[int], protected: Iterable[str]) -> bool:
    if line.body is None or line.body.keys() != _COUNTERSIGNED or line.body["transfer"] not in gone:
        return False
    signer = _signer(line.body)
    return signer is not None and not mentions([line.object, line.by or "", signer], protected)


def _signer(body: Mapping[str, Any]) -> str | None:
    """Who signed, "" where nobody did; `None` where what stands there is no signature."""
    if "signature" not in body:
        return ""
    held = body["signature"]
    return str(held["name"]) if isinstance(held, Mapping) and held.keys() == set(Signature.__struct_fields__) else None


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)


def copy(folder: Path, data: Path, exhibits: Collection[str], small: Collection[str], protected: Collection[str]) -> tuple[int, str]:
    """Copy log, bodies that may leave, and checkpoints from the case's `folder` into the bag's `data`. Returns the head of the copy.

    Raises CustodyBroken where the log does not read.
    """
    seq, head = custody.head(folder)
    if not seq:
        raise CustodyBroken(f"{folder / custody.LOG}: is empty; restore it from a copy")
    bodies = data / custody.BODIES
    bodies.mkdir(parents=True)
    content = (folder / custody.LOG).read_bytes()
    (data / custody.LOG).write_bytes(content[: content.rfind(b"\n") + 1])  # without what a crash left of a line
    for line, leaves in lines(folder, exhibits, small, protected):
        if leaves:
            shutil.copyfile(folder / custody.BODIES / f"{line.body_sha256}.json", bodies / f"{line.body_sha256}.json")
    if (folder / CHECKPOINTS).is_dir():
        (data / CHECKPOINTS).mkdir(parents=True)
        for path in sorted((folder / CHECKPOINTS).iterdir()):
            stem, ours, _ = path.name.partition(".json")
            if ours and stem and (folder / CHECKPOINTS / f"{stem}.json").exists():
                shutil.copyfile(path, data / CHECKPOINTS / path.name)
    return seq, head
