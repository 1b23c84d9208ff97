"""The words of a CASE/UCO graph: its context, identifiers that end in a UUID, typed literals.

CASE 1.5.0 on UCO (https://caseontology.org). A node is a ``dict`` as JSON-LD writes it. Text is that of `xml_text`, as
``xsd:string`` wants it.
"""

import re
import uuid
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from forensics.export.xml_text import text

Node = dict[str, Any]
Names = Callable[[str, str], str]

CONTEXT: Node = {
    "action": "https://ontology.unifiedcyberontology.org/uco/action/",
    "analysis": "https://ontology.unifiedcyberontology.org/uco/analysis/",
    "core": "https://ontology.unifiedcyberontology.org/uco/core/",
    "forensics": "urn:forensics:ontology:",
    "found": "urn:forensics:found:",
    "identity": "https://ontology.unifiedcyberontology.org/uco/identity/",
    "investigation": "https://ontology.caseontology.org/case/investigation/",
    "kb": "urn:forensics:kb:",
    "location": "https://ontology.unifiedcyberontology.org/uco/location/",
    "marking": "https://ontology.unifiedcyberontology.org/uco/marking/",
    "observable": "https://ontology.unifiedcyberontology.org/uco/observable/",
    "tool": "https://ontology.unifiedcyberontology.org/uco/tool/",
    "types": "https://ontology.unifiedcyberontology.org/uco/types/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, CONTEXT["kb"])
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?")
_HEX = re.compile(r"([0-9a-fA-F]{2})+")
_METHODS = {"sha256": "SHA256", "sha1": "SHA1", "md5": "MD5"}


class Naming(Struct, frozen=True):
    """Identifiers. `names` gives for what a thing is and what is its own the name that its UUIDv5 is made of."""

    names: Names

    def iri(self, what: str, *key: str) -> str:
        """The identifier of a thing: ``kb:finding-<UUID>``; the same for the same names."""
        # a name from evidence may hold undecodable bytes as lone surrogates
        name = self.names(what, "\n".join(key)).encode("utf-8", "backslashreplace").decode()
        return f"kb:{what}-{uuid.uuid5(_NAMESPACE, f'{what} {name}')}"

    def ref(self, what: str, *key: str) -> Node:
        return {"@id": self.iri(what, *key)}

    def hashes(self, digests: dict[str, str | None], *owner: str) -> list[Node]:
        """The digests of `owner` (by ``sha256``, ``sha1``, ``md5``) as nodes; what is no digest is left out."""
        return [
            {
                "@id": self.iri("hash", *owner, name),
                "@type": "types:Hash",
                "types:hashMethod": _METHODS[name],
                "types:hashValue": {"@type": "xsd:hexBinary", "@value": value.upper()},
            }
            for name, value in digests.items()
            if value and _HEX.fullmatch(value)
        ]

    def identity(self, name: str, kind: str = "Identity") -> Node:
        """A person, an office or a company by name."""
        return {"@id": self.iri("identity", name), "@type": f"identity:{kind}", "core:name": text(name)}


def integer(value: int) -> Node:
    return {"@type": "xsd:integer", "@value": str(value)}


def boolean(value: bool) -> Node:
    return {"@type": "xsd:boolean", "@value": "true" if value else "false"}


def decimal(value: float) -> Node:
    """A number in decimal digits, without an exponent, as ``xsd:decimal`` wants it."""
    return {"@type": "xsd:decimal", "@value": format(Decimal(repr(value)), "f")}


def moment(value: str | None) -> Node | None:
    """A time as ``xsd:dateTime``; without a zone where it has none. `None` for what is no time."""
    if value is None or not _TIME.fullmatch(value):
        return None
    try:
        datetime.fromisoformat(value[:19])
    except ValueError:
        return None
    return {"@type": "xsd:dateTime", "@value": value}


def said(value: str) -> Node | str:
    """What somebody stated as a time: a time, a day, or text."""
    if (found := moment(value)) is not None:
        return found
    if _DATE.fullmatch(value):
        try:
            date.fromisoformat(value)
        except ValueError:
            return text(value)
        return {"@type": "xsd:date", "@value": value}
    return text(value)


def without_none(node: Node) -> Node:
    """`node` without what is absent."""
    return {key: value for key, value in node.items() if value is not None and value != []}
