"""The forms of a sealed record: one fact a file, salted, in canonical JSON; and the commitments that bind what is not sent.

A record file is ``{"format": "forensics-record/1", "salt": 32 hex, "type": ..., ...}``; its SHA-256 stands in the seal, its name is
random. So whoever holds the seal and not the record can neither guess the record nor learn anything from its name. A finding carries a
commitment to its content's SHA-256 under a salt **of its own, which is not the record's** (that one is read with the record); the salts
stand in the content record, which leaves only together with every finding of that content.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from forensics.custody.canonical_text import is_canonical
from forensics.digest import canonical
from forensics.errors import PackageInvalid
from forensics.model import AttachmentRef, CaseInfo, ContentState, Exhibit, Level, Locator, State, Value

FORMAT = "forensics-record/1"
NAME = re.compile(r"[0-9a-f]{32}")
LARGEST = 64 << 20  # bytes of one record file; attachments are the only large ones
SMALLEST_MEDIUM = 1024  # bytes: the content of a smaller medium could be found by trying, so its digest does not leave the house
PERSON_LABELS = frozenset({"protection-claim", "minor", "victim"})  # they say who somebody is, so no record carries them


class _Record(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type"):
    format: str
    salt: str


class CaseRecord(_Record, tag="case", frozen=True, kw_only=True):
    """The matter, without what is the house's own: client, related references, questions, retention."""

    case: CaseInfo


class Medium(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The decoded image: format, bytes, SHA-256 (absent for a medium so small that its content could be tried out), same afterwards."""

    format: str
    size: int
    sha256: str | None = None
    unchanged: bool | None = None


class ExhibitRecord(_Record, tag="exhibit", frozen=True, kw_only=True):
    """An item received, without the path of its image, and the image's digest."""

    exhibit: Exhibit
    medium: Medium | None = None


class MethodRecord(_Record, tag="method", frozen=True, kw_only=True):
    """A plugin as it was used: the tool and its digest, the plugin's name, version and digest, and the names of the options set."""

    tool: str
    tool_digest: str
    plugin: str
    version: str
    digest: str
    description: str
    options: tuple[str, ...] = ()


class FindingRecord(_Record, tag="finding", frozen=True, kw_only=True):
    """What was found and confirmed. `content` is the commitment to the SHA-256 of the content; `method` names the method's record."""

    exhibit: str
    location: str
    state: State
    content_state: ContentState | None = None
    plugin: str
    plugin_version: str
    method: str
    kind: str
    summary: str
    when: str | None = None
    level: Level = "info"
    data: dict[str, Value] = {}
    locator: Locator | None = None
    content: str | None = None
    status: str
    category: str | None = None
    reliability: str | None = None
    credibility: int | None = None
    likelihood: str | None = None
    labels: tuple[str, ...] = ()


class ContentRecord(_Record, tag="content", frozen=True, kw_only=True):
    """The SHA-256 of a content, and for each of its findings (by record name) the salt that opens that finding's commitment."""

    sha256: str
    openings: dict[str, str]


class AttachmentRecord(_Record, tag="attachment", frozen=True, kw_only=True):
    """What a plugin made for the reader of the finding `of` (a thumbnail), in base64."""

    of: str
    name: str
    mime: str
    content: str

    def reference(self) -> AttachmentRef:
        """The attachment by digest, as a report names it."""
        data = self.bytes()
        return AttachmentRef(self.name, self.mime, hashlib.sha256(data).hexdigest(), len(data))

    def bytes(self) -> bytes:
        """The attachment itself. Raises PackageInvalid."""
        try:
            return base64.b64decode(self.content, validate=True)
        except binascii.Error as error:
            raise PackageInvalid(f"an attachment of record {self.of} is not base64: {error}") from error


class NoteRecord(_Record, tag="note", frozen=True, kw_only=True):
    """The examiner's note on the finding `of`."""

    of: str
    text: str


class PersonRecord(_Record, tag="person", frozen=True, kw_only=True):
    """Somebody to whom findings were linked. No number of the house: a running one would tell how many there are."""

    role: str
    name: str | None = None


class LinkRecord(_Record, tag="link", frozen=True, kw_only=True):
    """That a finding belongs to a person; both by record name."""

    person: str
    finding: str


SealedRecord = (
    CaseRecord | ExhibitRecord | MethodRecord | FindingRecord | ContentRecord | AttachmentRecord | NoteRecord | PersonRecord | LinkRecord
)
_decoder: msgspec.json.Decoder[SealedRecord] = msgspec.json.Decoder(SealedRecord)


def encode(record: SealedRecord) -> bytes:
    """The bytes of a record's file. Raises PackageInvalid where they would be too many."""
    data = canonical(record)
    if len(data) > LARGEST:
        raise PackageInvalid(f"a record of {len(data)} bytes is larger than {LARGEST}; take its attachment out of the finding")
    return data


def decode(data: bytes, name: str, *, canonical_form: bool = False) -> SealedRecord:
    """The record of a file named `name`, which must be the one file that says it. Raises PackageInvalid.

    canonical_form: that `data` is in canonical form was proved already.
    """
    if len(data) > LARGEST:
        raise PackageInvalid(f"record {name}: {len(data)} bytes are more than {LARGEST}")
    try:
        record = _decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise PackageInvalid(f"record {name}: not a sealed record: {error}") from error
    if record.format != FORMAT:
        raise PackageInvalid(f"record {name}: its format is {record.format[:40]!r}, not {FORMAT}")
    if not NAME.fullmatch(record.salt):
        raise PackageInvalid(f"record {name}: it is not salted with 128 bits")
    if not (canonical_form or is_canonical(data)):
        raise PackageInvalid(f"record {name}: not in canonical form (RFC 8785)")
    return record


def kind_of(record: SealedRecord) -> str:
    """The word under `type`: ``finding``, ``person``, ..."""
    return str(type(record).__struct_config__.tag)


def digest(data: bytes) -> str:
    """What the seal says of a record's file: its SHA-256."""
    return hashlib.sha256(data).hexdigest()


def strings(record: SealedRecord) -> Iterator[str]:
    """Every text of a record, names of fields included, except its salt."""
    stack: list[object] = [msgspec.structs.replace(record, salt="")]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            stack += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple):
            stack += value
        elif isinstance(value, Struct):
            stack += [getattr(value, name) for name in value.__struct_fields__]


def commitment(salt: str, sha256: str) -> str:
    """What a finding says of its content: SHA-256 over the canonical JSON of salt and SHA-256."""
    return hashlib.sha256(canonical({"salt": salt, "sha256": sha256})).hexdigest()


def outgoing_case(info: CaseInfo) -> CaseInfo:
    """The matter as it may leave: questions and references may name what is withheld, client and retention are the house's own."""
    return msgspec.structs.replace(info, client=None, related_refs=(), requested_questions=(), retention_until=None, phase=None)


def outgoing_exhibit(exhibit: Exhibit, medium: Medium | None) -> tuple[Exhibit, Medium | None]:
    """An exhibit as it may leave: without the path of the image, without what its owner is (a victim, a smuggled person), and without
    digests of a medium that could be found by trying."""
    small = medium is None or medium.size < SMALLEST_MEDIUM
    exhibit = msgspec.structs.replace(exhibit, image="", owner_role=None, stated_sha256=None if small else exhibit.stated_sha256)
    return exhibit, msgspec.structs.replace(medium, sha256=None) if medium and small else medium
