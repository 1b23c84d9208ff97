"""The custody log: who did what to which object, when and why, as lines that each carry the digest of the line before.

``custody.jsonl`` holds one canonical JSON object a line (RFC 8785): number, time, kind of event, `prev` (the SHA-256 of the line before
with its newline, 64 zeros on the first) and `body_sha256`, that of ``custody/bodies/<body_sha256>.json``, which holds ``{"salt": 128 bits,
"object": ..., "by": ..., "body": {...}}``. The chain verifies with a body withheld, and the line alone says nothing that could be guessed.
A chain alone shows neither a cut tail nor a rewriting of everything: signed checkpoints do, and `verify` takes the heads that they state.

Whoever appends holds the case's lock; the log is locked besides, for the moment of writing.

What signs and verifies is loaded when it is first used: an examination, which appends, does not wait for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from forensics.custody.events import EVENTS, PERSON_EVENTS, TOOL_EVENTS, check_event
from forensics.custody.filling import fields_of, typed
from forensics.custody.forms import FORMS
from forensics.custody.hands import with_hands
from forensics.custody.line import BODIES, LOG, ORIGIN, CustodyLine
from forensics.custody.reading import head, legible, read, withheld
from forensics.custody.writing import append

if TYPE_CHECKING:
    from forensics.custody.checkpoints import CHECKPOINTS, Checkpoint, checkpoint, heads_of, judged
    from forensics.custody.counterpart import Counterpart, differences, read_counterpart
    from forensics.custody.transfers import countersign, transfer
    from forensics.custody.verifying import Proof, proved, verify

__all__ = [
    "BODIES",
    "CHECKPOINTS",
    "EVENTS",
    "FORMS",
    "LOG",
    "ORIGIN",
    "PERSON_EVENTS",
    "TOOL_EVENTS",
    "Checkpoint",
    "Counterpart",
    "CustodyLine",
    "Proof",
    "append",
    "check_event",
    "checkpoint",
    "countersign",
    "differences",
    "fields_of",
    "head",
    "heads_of",
    "judged",
    "legible",
    "proved",
    "read",
    "read_counterpart",
    "transfer",
    "typed",
    "verify",
    "with_hands",
    "withheld",
]

_LATER = {
    "checkpoints": ("CHECKPOINTS", "Checkpoint", "checkpoint", "heads_of", "judged"),
    "counterpart": ("Counterpart", "differences", "read_counterpart"),
    "transfers": ("countersign", "transfer"),
    "verifying": ("Proof", "proved", "verify"),
}


def __getattr__(name: str) -> object:
    """A name that is loaded when it is first used (PEP 562). Raises AttributeError for what is none of this room's."""
    for module, names in _LATER.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
