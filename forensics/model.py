"""The nouns: what an examination is made of, as frozen values that serialise.

Segments, custody bodies, the index and the report document are made of these and of nothing else. Times are text in ISO 8601:
with ``Z`` where they are known to be UTC, without a zone where the source gave local time of an unknown zone (FAT, EXIF); as
many digits of a second as the source gave, up to nine. Locations are the text form of `forensics.location.Location`.
"""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

Scalar = str | int | float | bool | None
Value = Scalar | list[str | int]
State = Literal["allocated", "deleted", "orphan", "unallocated", "slack"]
ContentState = Literal["intact", "partly-reallocated", "reallocated", "unknown"]
EntryKind = Literal["file", "directory", "link", "virtual", "other"]
Level = Literal["info", "notable", "alert"]
FaultKind = Literal["unsupported", "corrupt", "locked", "limit", "error", "died", "damaged", "changed", "invalid-plugin"]
Outcome = Literal["read", "skipped", "failed", "not-run"]
Remark = Literal[
    "not-examined", "analysed", "analysis-failed", "analysis-not-run", "not-asked-unallocated", "not-asked-slack", "not-asked-space",
    "not-asked-carve",
]  # fmt: skip


class Times(Struct, frozen=True, omit_defaults=True):
    """MACB times of an entry: modified, accessed, changed (metadata), born; ISO 8601 text, `None` where the source has none."""

    modified: str | None = None
    accessed: str | None = None
    changed: str | None = None
    born: str | None = None


# --- what is in the image ---------------------------------------------------------------------------------------------------


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One stream of one name in a file system, before its content is read.

    `size` and `start` are bytes; `start` is where on the medium the content begins (-1: nowhere or unknown) and serves to read
    in disk order. `content` is the state of a deleted entry's content against the allocation map (`None` when allocated);
    `holes` are the byte ranges of the stream that now belong to other files: they are read as zeros. `reallocated_to` is
    the location of a file that owns them now. `same_blocks` says of a file of a shadow copy that the live volume has the same content in
    the same blocks, at the same address.
    """

    location: str
    kind: EntryKind
    size: int
    state: State = "allocated"
    content: ContentState | None = None
    holes: tuple[tuple[int, int], ...] = ()
    reallocated_to: str | None = None
    times: Times = Times()
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    target: str | None = None
    start: int = -1
    note: str | None = None
    same_blocks: bool = False


class Digests(Struct, frozen=True, omit_defaults=True):
    """Digests of one content, lower-case hexadecimal."""

    sha256: str
    sha1: str | None = None
    md5: str | None = None


# --- what a plugin says -----------------------------------------------------------------------------------------------------


class ByteRange(Struct, frozen=True, tag="bytes", tag_field="type"):
    """`size` bytes from `offset`, counted from the start of the content."""

    offset: int
    size: int

    def __str__(self) -> str:
        return f"bytes {self.offset}-{self.offset + max(self.size, 1) - 1}"


class TableRow(Struct, frozen=True, tag="row", tag_field="type"):
    """A row of a database's table."""

    table: str
    rowid: int

    def __str__(self) -> str:
        return f"table {self.table}, row {self.rowid}"


class RegistryKey(Struct, frozen=True, tag="registry", tag_field="type"):
    """A key of a registry hive and, where it is one, the value's name."""

    key: str
    value: str | None = None

    def __str__(self) -> str:
        return self.key if self.value is None else f"{self.key}, value {self.value}"


class RecordNumber(Struct, frozen=True, tag="record", tag_field="type"):
    """The number of a record, page, line or member, as the format itself counts them."""

    number: int
    of: str = "record"

    def __str__(self) -> str:
        return f"{self.of} {self.number}"


Locator = ByteRange | TableRow | RegistryKey | RecordNumber


class Attachment(Struct, frozen=True):
    """Bytes that a plugin made for the reader (a thumbnail, a decoded picture)."""

    name: str
    mime: str
    content: bytes


class AttachmentRef(Struct, frozen=True):
    """An attachment that lies in the case's `extracted/` under its digest."""

    name: str
    mime: str
    sha256: str
    size: int


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a plugin says of a file.

    `kind` is a kebab-case noun (``photo``, ``rule-match``); `summary` one line for a person; `when` an aware time in UTC, or a naive
    one where the source does not say its zone; `data` flat values as found; `text` goes to the search index only.
    `derived_from` names the records that an analyser's finding rests on. `category` proposes one of review's categories (SOM-PAYMENT);
    a person's word goes before it.
    """

    kind: str
    summary: str
    when: datetime | None = None
    data: dict[str, Value] = {}
    level: Level = "info"
    locator: Locator | None = None
    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    derived_from: tuple[str, ...] = ()
    category: str | None = None


class StoredFinding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finding as a segment holds it: `when` as ISO 8601 text, attachments by digest."""

    kind: str
    summary: str
    when: str | None = None
    data: dict[str, Value] = {}
    level: Level = "info"
    locator: Locator | None = None
    text: str = ""
    attachments: tuple[AttachmentRef, ...] = ()
    derived_from: tuple[str, ...] = ()
    category: str | None = None


# --- what a segment holds ---------------------------------------------------------------------------------------------------


class PluginOutcome(Struct, frozen=True, omit_defaults=True):
    """What became of one plugin on one entry, and how many findings it made there.

    `context` is the digest of what beside the content the result depends on; `reason` is out of a closed list, its wording ours.
    """

    plugin: str
    outcome: Outcome
    reason: str | None = None
    context: str | None = None
    findings: int = 0


class Examined(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="entry", tag_field="type"):
    """A segment's line for an entry: as walked, and what was read of it.

    `outcome` is that of reading the content itself, `None` where there is none (a directory); `reason` says why it was not read.
    `plugins` has a line for every plugin that the entry was offered to.
    """

    entry: Entry
    outcome: Outcome | None = None
    reason: str | None = None
    digests: Digests | None = None
    mime: str | None = None
    plugins: tuple[PluginOutcome, ...] = ()


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="result", tag_field="type"):
    """A segment's line for what one plugin found in one content, free of location: the key is (plugin, content, context).

    A content in which a plugin found nothing has no line: the entry's `plugins` says that it was read.
    """

    plugin: str
    content: str
    context: str | None = None
    findings: tuple[StoredFinding, ...]


class Fault(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="fault", tag_field="type"):
    """A segment's line for a plugin, a layer or a reader that failed at a place.

    `kind` is what happened, in a closed list; `message` is wording, and takes no part in ids. `plugin` is ``None`` where it was the engine
    or a reader. `limit` is true where a limit of time or memory of this machine struck: such a run is not comparable.
    """

    location: str
    kind: FaultKind
    message: str
    plugin: str | None = None
    limit: bool = False


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finding with its provenance: the join of a result and an entry. `id` is the digest of the canonical JSON of the other
    fields, which hold neither run nor clock nor host."""

    id: str
    location: str
    state: State
    content: ContentState | None = None
    sha256: str | None
    plugin: str
    plugin_version: str
    plugin_digest: str
    finding: StoredFinding


class Coverage(Struct, frozen=True, kw_only=True):
    """How far one plugin got on one exhibit: entries offered to it, read, skipped, failed, not run; `reasons` counts the last three's.

    `remark` says why nothing was offered: the exhibit could not be opened; the plugin reads space that no file has, which was not asked
    for; or it is an analyser, which takes the records of the whole run once instead of files, and what became of that. Where it is
    ``None``, no file fitted the plugin's selection.
    """

    exhibit: str
    plugin: str
    offered: int
    read: int
    skipped: int
    failed: int
    not_run: int
    findings: int
    reasons: dict[str, int] = {}
    remark: Remark | None = None


# --- the matter, the exhibits and who did what ------------------------------------------------------------------------------


class Authority(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The legal authority for the examination. Fields after EXCHANGE section 1; `scope_*` is what the engine enforces."""

    type: str | None = None
    id: str | None = None
    issuer: str | None = None
    issued: str | None = None
    expires: str | None = None
    scope_text: str | None = None


class Scope(Struct, frozen=True, omit_defaults=True):
    """What the authority allows: path patterns, MIME patterns, a period (ISO dates, both inclusive). Empty means no bound."""

    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None

    @property
    def bounded(self) -> bool:
        return bool(self.paths or self.kinds or self.since or self.until)


class CaseInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The matter, as `case.toml` says it; `None` is a field that nobody has filled in."""

    case_id: str | None = None
    agency: str | None = None
    agency_unit: str | None = None
    officer_in_charge: str | None = None
    examiner: str | None = None
    examiner_qualification: str | None = None
    laboratory: str | None = None
    client: str | None = None
    offence_or_purpose: str | None = None
    phase: str | None = None
    opened_at: str | None = None
    classification: str | None = None
    retention_until: str | None = None
    requested_questions: tuple[str, ...] = ()
    related_refs: tuple[str, ...] = ()
    authority: Authority = Authority()


class Segment(Struct, frozen=True):
    """One file of an image: name without folder, bytes, SHA-256."""

    name: str
    size: int
    sha256: str


class ImageDamage(Struct, frozen=True):
    """A range of the decoded medium (bytes) that could not be read as acquired and is read as zeros; or a general defect (size 0)."""

    offset: int
    size: int
    message: str


class ImageDigest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The image's bytes: format, decoded size, SHA-256 of the decoded medium, its files, digests stored at acquisition, damage."""

    format: str
    size: int
    sha256: str
    md5: str | None = None
    sha1: str | None = None
    segments: tuple[Segment, ...] = ()
    stored: dict[str, str] = {}
    stored_match: dict[str, bool] = {}
    metadata: dict[str, str] = {}
    damage: tuple[ImageDamage, ...] = ()


class Exhibit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item received, and the image made of it. Fields after EXCHANGE section 1; `None` is a field that nobody has filled in."""

    exhibit_id: str
    image: str
    image_format: str
    description: str | None = None
    kind: str | None = None
    parent_exhibit: str | None = None
    make: str | None = None
    model: str | None = None
    serial: str | None = None
    owner_role: str | None = None
    power_state_on_receipt: str | None = None
    condition_text: str | None = None
    seal_no: str | None = None
    seized_at: str | None = None
    seized_place: str | None = None
    seized_by: str | None = None
    seizure_authority: str | None = None
    acquisition_type: str | None = None
    acquisition_tool: str | None = None
    acquisition_tool_version: str | None = None
    acquisition_tool_sha256: str | None = None
    write_blocker: str | None = None
    no_write_blocker_reason: str | None = None
    acquired_at: str | None = None
    acquisition_ended_at: str | None = None
    acquired_by: str | None = None
    changes_made_to_original: str | None = None
    stated_sha256: str | None = None


class Measured(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="measured", tag_field="type"):
    """A segment's line for the digests of an exhibit, taken before or after it was examined."""

    exhibit: str
    phase: Literal["before", "after"]
    image: ImageDigest


class Derived(Struct, frozen=True, kw_only=True, tag="derived", tag_field="type"):
    """A segment's line for what an analyser found in the case's records."""

    plugin: str
    findings: tuple[StoredFinding, ...]


class LayerInfo(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="layer", tag_field="type"):
    """A layer found in an exhibit, for the report: where, what, and whether it was examined or why not."""

    location: str
    kind: str
    offset: int
    size: int
    label: str | None = None
    description: str | None = None
    examined: bool = False
    reason: str | None = None
    timezone: Literal["utc", "local"] | None = None


Line = Examined | Result | Fault | LayerInfo | Measured | Derived


class PluginInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A plugin as a run used it: declaration, SHA-256 of its source file, options, and digests of what `prepare` read.

    `idle` is why it was offered nothing: its `prepare` found nothing to do.
    """

    name: str
    kind: Literal["extractor", "container", "analyser"]
    version: str
    description: str
    digest: str
    source: str
    selection: str
    needs: tuple[str, ...] = ("content",)
    options: dict[str, Value] = {}
    inputs: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    idle: str | None = None


class RunInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One examination: exhibits, tool, libraries, plugins, options, environment (ISO/IEC 27042). `run.json` of the run's folder.

    `built_on` names, by exhibit, the earlier run whose results are kept where nothing changed that they depend on.
    """

    run: str
    exhibits: tuple[str, ...]
    tool: str
    tool_digest: str
    started: str
    libraries: dict[str, str]
    plugins: tuple[PluginInfo, ...]
    scope: Scope = Scope()
    options: dict[str, Value] = {}
    environment: dict[str, str] = {}
    built_on: dict[str, str] = {}


def to_builtins(value: object) -> object:
    """`value` as dicts, lists and scalars, for templates and JSON."""
    return msgspec.to_builtins(value)
