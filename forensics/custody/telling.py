"""The custody log told as a document: one block an event, in words. English only, as the log is; values stand as they were recorded."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from forensics.custody.checkpoints import Judged
from forensics.custody.hands import GIVER
from forensics.custody.line import CustodyLine
from forensics.custody.signatures import SignedBy

# What happened, about the object; events that are not here stand by their own name.
_SAID = {
    "created": "was begun",
    "received": "was received",
    "seized": "was seized",
    "sealed": "was sealed",
    "checked_in": "was taken into the store",
    "checked_out": "was taken out of the store",
    "transferred": "was handed over",
    "countersigned": "was received, and its transfer countersigned",
    "acquired": "was copied",
    "copied": "a working copy was made",
    "examined": "was examined",
    "verified": "was measured",
    "reported": "a report was written",
    "exported": "was exported",
    "reviewed": "were reviewed",
    "returned": "was returned",
    "disclosed": "was disclosed",
    "destroyed": "was destroyed",
    "corrected": "what was said of it was corrected",
    "interrupted": "was interrupted",
    "checkpointed": "the log was signed up to here",
    "sealed_records": "records were sealed",
    "receipted": "a receipt was given",
    "trusted": "was trusted",
    "withdrawn": "was withdrawn",
}
_FIRST = ("at", "from", "to", "place", "purpose", "authority")
_HIDDEN = frozenset({"signature", "image_relative"})
_ITEMS = 8
_LONGEST = 300


class Block(Struct, frozen=True):
    """One event: its heading, and its particulars as names and values, in order."""

    heading: str
    particulars: tuple[tuple[str, str], ...]


def blocks(lines: Iterable[CustodyLine], checkpoints: Mapping[int, Judged]) -> Iterator[Block]:
    """The events in the order of the log, each with who did it, its particulars, who signed it, and the checkpoint of its line.

    `checkpoints` are those of the log by the number of the line that they sign.
    """
    for line in lines:
        heading = f"{line.seq}. {line.at}  {_happened(line)}  [{line.event}]"
        told: list[tuple[str, str]] = []
        if line.clock != "system clock" or line.clock_back is not None:
            back = f", which had stepped back by {line.clock_back:g} s since the line before" if line.clock_back is not None else ""
            told.append(("clock", f"{line.clock}{back}"))
        if line.body is None:
            told.append(("withheld", f"what it says is not here; its digest is {line.body_sha256}"))
        else:
            told += [("by", line.by)] if line.by else []
            told += _body(line.body)
            told += _signature(line.event, line.body)
        if (found := checkpoints.get(line.seq)) is not None:
            told.append(("checkpoint", _checkpoint(found)))
        yield Block(heading, tuple(told))


def _happened(line: CustodyLine) -> str:
    """What happened to what; some events are no more than named by their object."""
    said = _SAID.get(line.event, line.event)
    stands_alone = not said.startswith(("was ", "were "))
    return f"{line.object or '(withheld)'}{':' if stands_alone else ''} {said}"


def signed_by(signers: Iterable[SignedBy]) -> str:
    """Signers in words; without a trust list the name is only what the certificate says."""
    return " and ".join(
        f"{each.name} ({each.state}, certificate {each.fingerprint}), {each.signed_at}"
        if each.state
        else f"the holder of certificate {each.fingerprint}, which says {each.name!r}; {each.signed_at}"
        for each in signers
    )


def _checkpoint(found: Judged) -> str:
    if found.problem or found.checkpoint is None:
        return f"DOES NOT HOLD: {found.problem}"
    stamped = f"; stamped {found.stamped.isoformat()}" if found.stamped else ""
    return f"signed ({found.checkpoint.why}) by {signed_by(found.signers)}{stamped}"


def _signature(event: str, body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    signature = body.get("signature")
    if isinstance(signature, Mapping):
        yield "signed by", f"{signature.get('name')} (certificate {signature.get('fingerprint')})"
    elif event == "transferred" and GIVER not in body:
        yield "signed by", "nobody"


def _body(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    rest = [name for name in body if name not in _FIRST and name not in _HIDDEN]
    for name in (*(each for each in _FIRST if each in body), *rest):
        yield from _told(name, body[name])


def _told(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """A field in words: nested fields by dotted names, long lists by their number."""
    label = "happened at" if name == "at" else name.replace("_", " ")
    if value in (None, "", [], {}):
        return
    if isinstance(value, Mapping) and len(value) <= 40 and not any(isinstance(item, Mapping | list) and item for item in value.values()):
        for key, item in value.items():
            yield from _told(f"{name}.{key}", item)
    elif isinstance(value, list) and len(value) <= _ITEMS and not any(isinstance(item, Mapping | list) for item in value):
        yield label, ", ".join(map(str, value))
    elif isinstance(value, Mapping | list):
        yield label, f"{len(value)} (in full with --json)"
    else:
        text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
        yield label, text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... (in full with --json)"
