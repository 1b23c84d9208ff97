"""The examiner's seal: what its header says, and that every record in the package is one of those that were sealed."""

from __future__ import annotations

import hashlib
import operator
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from . import canonical, files
from .refusal import Refused

FORMAT = "forensics-record/1"
_HEADER = re.compile(
    r"# forensics seal 1\n# case: (?P<case>[^\n]{1,1000})\n# seal: (?P<seal>S-[1-9][0-9]{0,5})\n"
    r"# sealed: (?P<sealed>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)\n"
    r"# custody: (?P<seq>[1-9][0-9]{0,8}) (?P<head>[0-9a-f]{64})\n# run: (?P<run>[0-9a-f]{64})\n# records: (?P<records>[1-9][0-9]{0,8})\n"
)
_LINE = re.compile(r"([0-9a-f]{64})  records/([0-9a-f]{32})\.json")
_LINES = re.compile(_LINE.pattern + r"\n")
_LENGTH = 64 + len("  records/") + 32 + len(".json\n")  # characters of a line; matches that are as long as the text are all of it
_SALT = re.compile(r"[0-9a-f]{32}")
_TYPES = frozenset({"case", "exhibit", "method", "finding", "content", "attachment", "note", "person", "link"})

# Fields that name another record, and the type of that one.
_REFERENCES = {
    "finding": (("method", "method"),),
    "attachment": (("of", "finding"),),
    "note": (("of", "finding"),),
    "link": (("person", "person"), ("finding", "finding")),
}


class Seal(NamedTuple):
    """What a seal says: case, name, time, the custody line at its head then, and the SHA-256 of each record by name."""

    case: str
    name: str
    sealed: str
    seq: int
    head: str
    digests: dict[str, str]


def read(folder: Path) -> Seal:
    """The seal of an unpacked package. Raises Refused."""
    try:
        text = files.read(folder, files.SEAL).decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("seal-form", f"{files.SEAL}: not text") from None
    match = _HEADER.match(text)
    if match is None or not match["case"].isprintable():
        raise Refused("seal-form", f"{files.SEAL}: its header is not of the form of a seal's")
    digests = _digests(text, match.end())
    if not text.endswith("\n") or len(digests) != int(match["records"]):
        raise Refused("seal-form", f"{files.SEAL}: says {match['records']} records, and lists {len(digests)}")
    return Seal(match["case"], match["seal"], match["sealed"], int(match["seq"]), match["head"], digests)


def _digests(text: str, start: int) -> dict[str, str]:
    """Digest by name of the lines from `start`, a last one that is not whole left out. Raises Refused, naming the line."""
    found = _LINES.findall(text, start)
    names = [name for _, name in found]
    if len(found) * _LENGTH == len(text) - start and all(map(operator.lt, names, names[1:])):  # asked of all lines at once
        return {name: digest for digest, name in found}
    digests: dict[str, str] = {}
    last = ""
    for line in text[start:].split("\n")[:-1]:
        record = _LINE.fullmatch(line)
        if record is None or record[2] <= last:
            raise Refused("seal-form", f"{files.SEAL}: {line[:200]!r} is not a line of it, stands there twice, or out of order")
        last = record[2]
        digests[last] = record[1]
    return digests


def records(
    folder: Path, seal: Seal, found: list[str], loads: Callable[[bytes, str, str], Any] = canonical.loads
) -> Iterator[tuple[str, dict[str, Any], bytes]]:
    """Name, value and bytes of each record in the package, in order of names, each as it was sealed. Raises Refused.

    found: the names of its files, sorted. loads: what reads canonical JSON, as `canonical.loads` does.
    """
    for path in found:
        match = files.RECORD.fullmatch(path)
        if match is None:
            continue
        name, data = match[1], files.read(folder, path)
        if name not in seal.digests:
            raise Refused("not-sealed", f"record {name}: not among the {len(seal.digests)} records that were sealed")
        if hashlib.sha256(data).hexdigest() != seal.digests[name]:
            raise Refused("record-changed", f"record {name}: not what was sealed")
        value = loads(data, "record-form", f"record {name}")
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in _TYPES or value.get("format") != FORMAT:
            raise Refused("record-form", f"record {name}: not a sealed record of this version")
        if not isinstance(value.get("salt"), str) or not _SALT.fullmatch(value["salt"]):
            raise Refused("record-form", f"record {name}: not salted with 128 bits")
        yield name, value, data


class Relations:
    """What the records of a package say of one another, gathered one by one: types, references, and commitments to contents."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._references: list[tuple[str, str, str]] = []
        self._salts: dict[str, str] = {}
        self._commitments: dict[str, str] = {}
        self._openings: list[tuple[str, str, dict[str, str]]] = []

    def add(self, name: str, value: dict[str, Any]) -> None:
        """Raises Refused where a field that others rest on is not of its form, or a salt was used before."""
        kind = value["type"]
        other = self._salts.setdefault(value["salt"], name)
        if other != name:
            raise Refused("record-form", f"records {other} and {name} have the same salt")
        self.names[name] = kind
        for field, wanted in _REFERENCES.get(kind, ()):
            self._references.append((name, _text(value, field, name), wanted))
        if kind == "finding" and value.get("content") is not None:
            self._commitments[name] = _text(value, "content", name)
        if kind == "content":
            openings = value.get("openings")
            if not isinstance(openings, dict) or not all(isinstance(salt, str) and _SALT.fullmatch(salt) for salt in openings.values()):
                raise Refused("record-form", f"record {name}: its openings are not salts by record name")
            self._openings.append((name, _text(value, "sha256", name), openings))

    def check(self) -> None:
        """That all which is referred to is there, and every opening opens its commitment. Raises Refused."""
        for name, other, kind in self._references:
            if self.names.get(other) != kind:
                raise Refused("record-reference", f"record {name}: refers to {other[:40]!r}, and no {kind} of that name is in the package")
        for name, digest, openings in self._openings:
            for finding, salt in openings.items():
                if finding not in self.names:
                    raise Refused("record-reference", f"record {name}: tells the digest of a content of which a finding is withheld")
                opened = hashlib.sha256(canonical.dumps({"salt": salt, "sha256": digest})).hexdigest()
                if self._commitments.get(finding) != opened:
                    raise Refused("record-reference", f"record {name}: is not the content to which finding {finding} is bound")

    def counts(self) -> str:
        """How many of each type, in words."""
        kinds = sorted(set(self.names.values()))
        return ", ".join(f"{sum(kind == each for each in self.names.values())} {kind}" for kind in kinds) or "none"


def _text(value: dict[str, Any], field: str, name: str) -> str:
    found = value.get(field)
    if not isinstance(found, str):
        raise Refused("record-form", f"record {name}: its {field} is not text")
    return found
