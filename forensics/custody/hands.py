"""The log with who signed each transfer, giver and receiver: for those who read it, in a report or on a terminal.

Names are those that the events state; `custody.proved` checks the signatures.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from forensics.custody.line import CustodyLine
from forensics.custody.reading import read

GIVER, RECEIVER = "signed by the giver", "countersigned by the receiver"
NOBODY = "nobody"


def with_hands(folder: Path) -> Iterator[CustodyLine]:
    """The lines as `read` gives them; a transfer says under `GIVER` and `RECEIVER` who signed it, or that nobody did.

    Where the body of a countersignature is withheld, whose it is, and of which transfer, is not known. Raises CustodyBroken.
    """
    taken: dict[int, str] = {}
    hidden = 0  # the last countersignature whose body is withheld
    for line in read(folder):
        if line.event == "countersigned" and line.body is None:
            hidden = line.seq
        elif line.event == "countersigned" and line.body is not None and isinstance(seq := line.body.get("transfer"), int):
            taken.setdefault(seq, f"{_name(line.body)}, line {line.seq}")
    for line in read(folder):
        if line.event == "transferred" and line.body is not None:
            said = {name: value for name, value in line.body.items() if name != "signature"}
            absent = "not known: what a later countersignature says is withheld" if hidden > line.seq else NOBODY
            said |= {GIVER: _name(line.body), RECEIVER: taken.get(line.seq, absent)}
            line = msgspec.structs.replace(line, body=said)
        yield line


def _name(body: dict[str, Any]) -> str:
    held = body.get("signature")
    return f"{held.get('name')} (certificate {held.get('fingerprint')})" if isinstance(held, dict) else NOBODY
