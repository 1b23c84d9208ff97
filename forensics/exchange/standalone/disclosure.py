"""What a package says of itself, against what it holds: sender, recipient, records given and withheld, the heads it is bound to."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import canonical, files
from .refusal import Refused
from .seal import Seal

FORMAT = "forensics-disclosure/1"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_STATE = re.compile(r"[A-Z]{2}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOSED = {
    "use": ("evidence", "intelligence"),
    "on_expiry": ("return", "destroy"),
    "tlp": ("TLP:RED", "TLP:AMBER+STRICT", "TLP:AMBER", "TLP:GREEN", "TLP:CLEAR"),
    "pap": ("PAP:RED", "PAP:AMBER", "PAP:GREEN", "PAP:CLEAR"),
}
_FIELDS: dict[str, Any] = {
    "format": str, "id": str, "from": dict, "to": dict, "channel": str, "request_ref": str, "purpose": str, "use": str, "onward": str,
    "caveats": list, "tlp": str, "pap": str, "expires": str, "on_expiry": str, "made_at": str, "seal": str, "case": str, "records": list,
    "withheld": int, "protection_check": dict, "overrides": list, "author": str, "custody": dict,
}  # fmt: skip
_INNER: dict[str, dict[str, Any]] = {
    "from": {"state": str, "agency": str, "officer": str},
    "to": {"state": str, "authority": str, "recipients": list},
    "protection_check": {"asked": str, "result": str, "by": str},
    "custody": {"seq": int, "head": str},
}


def read(folder: Path) -> dict[str, Any]:
    """`disclosure.json` with every field of its form. Raises Refused."""
    value = canonical.loads(files.read(folder, files.DISCLOSURE), "disclosure-form", files.DISCLOSURE)
    _typed(value, _FIELDS, "disclosure.json")
    for name, fields in _INNER.items():
        _typed(value[name], fields, f"disclosure.json, {name}")
    for name, words in _CLOSED.items():
        if value[name] not in words:
            raise Refused("disclosure-form", f"disclosure.json: {name} is {value[name][:80]!r}, none of: {', '.join(words)}")
    lists = value["caveats"], value["records"], value["overrides"], value["to"]["recipients"]
    if not all(isinstance(item, str) for each in lists for item in each):
        raise Refused("disclosure-form", "disclosure.json: a list holds something else than text")
    good = (
        value["format"] == FORMAT and files.TOP.fullmatch(value["id"])
        and _TIME.fullmatch(value["made_at"]) and _DAY.fullmatch(value["expires"])
        and _SHA256.fullmatch(value["author"]) and _SHA256.fullmatch(value["custody"]["head"])
        and _STATE.fullmatch(value["from"]["state"]) and _STATE.fullmatch(value["to"]["state"])
    )  # fmt: skip
    if not good:
        raise Refused("disclosure-form", "disclosure.json: format, id, a time, a state or a digest in it is not of its form")
    return dict(value)


def check(value: dict[str, Any], top: str | None, seal: Seal, names: Iterable[str], head: tuple[int, str]) -> str:
    """That the disclosure says what the package holds. Returns how much was given and withheld. Raises Refused.

    `top` is the package's top folder (None: it is not known), `names` those of the records in it, `head` number and digest of the last
    line of its custody log.
    """
    present = sorted(names)
    if top is not None and value["id"] != top:
        raise Refused("disclosure-inconsistent", f"it is disclosure {value['id']}, in a package named {top}")
    for name, stated, found in (("seal", value["seal"], seal.name), ("case", value["case"], seal.case)):
        if stated != found:
            raise Refused("disclosure-inconsistent", f"it is of {name} {stated[:80]!r}, and the seal is of {found!r}")
    if value["records"] != present:
        raise Refused(
            "disclosure-inconsistent", f"it names {len(value['records'])} records, and the package holds {len(present)}, not the same"
        )
    if isinstance(value["withheld"], bool) or value["withheld"] != len(seal.digests) - len(present):
        raise Refused(
            "disclosure-inconsistent", f"it says that {value['withheld']} are withheld of {len(seal.digests)}, with {len(present)} given"
        )
    if (value["custody"]["seq"], value["custody"]["head"]) != head:
        raise Refused(
            "custody-head",
            f"the disclosure states line {value['custody']['seq']} as the last of the custody log, not {head[0]}: it was cut",
        )
    return f"{len(present)} of {len(seal.digests)} sealed records, {value['withheld']} withheld; for {value['use']}"


def check_recipient(value: dict[str, Any], recipients: Iterable[str]) -> None:
    """That it was made for one of these age keys ("age1..."). Raises Refused."""
    if not {hashlib.sha256(each.encode()).hexdigest() for each in recipients} & set(value["to"]["recipients"]):
        raise Refused("recipient", f"disclosure {value['id']} was made for other keys than {', '.join(recipients)}")


def warnings(value: dict[str, Any], at: datetime.datetime) -> tuple[str, ...]:
    """What does not make the package bad, and has to be known: that it expired."""
    if value["expires"] < at.strftime("%Y-%m-%d"):
        return (f"expired on {value['expires']}: to {value['on_expiry']}",)
    return ()


def _typed(value: Any, fields: dict[str, Any], where: str) -> None:
    if not isinstance(value, dict) or value.keys() != fields.keys():
        raise Refused("disclosure-form", f"{where}: has not the fields of a disclosure")
    for name, kind in fields.items():
        if not isinstance(value[name], kind) or (kind is int and isinstance(value[name], bool)):
            raise Refused("disclosure-form", f"{where}: {name} is not of its form")
