"""The report document: all that a report says, frozen before any template reads it.

It holds plain values and is bounded whatever the size of the case: where it shows a part only, the whole is counted beside it and stands in
a listing file. Text from evidence is as found; the templates escape it.
"""

from typing import Literal

from msgspec import Struct

from forensics.model import CaseInfo, Coverage, Exhibit, Fault, ImageDamage, ImageDigest, LayerInfo, Level, RunInfo, Segment

FORMAT = "forensics-report/1"


class Text(Struct, frozen=True):
    """A value as text for the reader; `cut` is the number of characters that are left out at its end.

    `items` instead of text: a list of so many things, too long to show.
    """

    text: str
    cut: int = 0
    items: int = 0


class Place(Struct, frozen=True):
    """A locator, taken apart so that its words can be translated: its type and its two parts."""

    type: Literal["bytes", "row", "registry", "record"]
    first: str
    second: str | None = None


class Picture(Struct, frozen=True):
    """An attached picture that the page embeds, as a ``data:`` URI; bytes checked against `sha256`."""

    name: str
    sha256: str
    uri: str


class FindingView(Struct, frozen=True, kw_only=True):
    """One finding as the page shows it. `number` counts within its kind; `fields_cut` are data fields left out."""

    number: int
    id: str
    level: Level
    summary: Text
    when: str | None
    location: str
    state: str
    content: str | None
    sha256: str | None
    place: Place | None
    plugin: str
    plugin_version: str
    plugin_digest: str
    data: tuple[tuple[str, Text], ...]
    fields_cut: int
    derived_from: tuple[str, ...]
    derived_cut: int
    attachments: tuple[tuple[str, str], ...]
    attachments_cut: int
    pictures: tuple[Picture, ...]

    @property
    def short(self) -> bool:
        """Whether all its data are so short that two fields stand side by side."""
        return not self.fields_cut and all(len(name) <= 18 and len(value.text) <= 32 for name, value in self.data)


class KindView(Struct, frozen=True, kw_only=True):
    """All findings of one kind: how many at each level, and those that the page shows, alerts first."""

    kind: str
    alert: int
    notable: int
    info: int
    shown: tuple[FindingView, ...]

    @property
    def total(self) -> int:
        return self.alert + self.notable + self.info


class ExhibitView(Struct, frozen=True, kw_only=True):
    """An exhibit, its image as digested before the examination, and whether it was the same afterwards (`None`: not verified).

    `stated` tells whether the SHA-256 that came with the exhibit is the image's (`None`: none was stated, or there is no image digest).
    `not_measured` and `not_verified` say why there is no digest of before or after, where it was tried (`None`: it was not).
    """

    exhibit: Exhibit
    image: ImageDigest | None
    not_measured: str | None
    unchanged: bool | None
    not_verified: str | None
    stated: bool | None
    segments: tuple[Segment, ...]
    segments_total: int
    damage: tuple[ImageDamage, ...]
    damage_total: int
    damage_bytes: int


class Missing(Struct, frozen=True):
    """Required fields of the case (`exhibit` is ``None``) or of one exhibit that nobody has filled in, by the names of the fields."""

    exhibit: str | None
    fields: tuple[str, ...]


class CustodyView(Struct, frozen=True, kw_only=True):
    """One line of the custody log; `body` is ``None`` where it was withheld."""

    seq: int
    at: str
    event: str
    object: str
    by: str | None
    clock_back: float | None
    sha256: str
    body: tuple[tuple[str, Text], ...] | None


class Custody(Struct, frozen=True, kw_only=True):
    """The custody log: its head, and its lines or the first and last of them."""

    head_seq: int
    head_sha256: str
    first: tuple[CustodyView, ...]
    last: tuple[CustodyView, ...]
    total: int


class RunView(Struct, frozen=True):
    """A run and the digest over the sorted ids of its records."""

    run: RunInfo
    digest: str


class Validation(Struct, frozen=True, kw_only=True):
    """How this installation did on test material with known answers (ISO/IEC 27041): checks made, passed, and what failed."""

    at: str
    tool: str
    material: str
    checks: int
    passed: int
    failures: tuple[str, ...] = ()


class Day(Struct, frozen=True):
    """A day (ISO date) and the number of events on it."""

    day: str
    events: int


class TimelineView(Struct, frozen=True, kw_only=True):
    """The timeline in brief: events whose time is UTC, and events whose time is of an unknown zone, never in one order."""

    total: int
    aware: int
    naive: int
    first: tuple[tuple[str, str, str, Text], ...]
    last: tuple[tuple[str, str, str, Text], ...]
    naive_first: tuple[str, str, str, Text] | None
    naive_last: tuple[str, str, str, Text] | None
    busiest: tuple[Day, ...]


class ReasonView(Struct, frozen=True):
    """Why entries were not read, how many of them, and some of their locations."""

    reason: str
    entries: int
    examples: tuple[str, ...] = ()


class Summary(Struct, frozen=True, kw_only=True):
    """The counts that the plain sentences are made of. `contents` are entries that have content (directories have none).

    `space` are the bytes of unallocated space and of slack that were read; they are no entries, and `layers` does not count them.
    """

    exhibits: int
    image_bytes: int
    entries: int
    contents: int
    entries_by_state: dict[str, int]
    entries_by_outcome: dict[str, int]
    bytes_total: int
    distinct_contents: int
    space: dict[str, int]
    records: int
    records_by_level: dict[str, int]
    layers: int
    layers_not_opened: int
    faults: int
    faults_by_kind: dict[str, int]
    limited: int
    plugins: int


class Document(Struct, frozen=True, kw_only=True):
    """All that a report says. `id` is made of everything else in it; `kinds_cut` and `records_of_kinds_cut` count what has no section."""

    format: str = FORMAT
    id: str
    language: str
    issued: str
    tool: str
    case: CaseInfo
    missing: tuple[Missing, ...]
    missing_total: int
    exhibits: tuple[ExhibitView, ...]
    custody: Custody
    runs: tuple[RunView, ...]
    validation: Validation | None
    summary: Summary
    per_kind: int
    kinds: tuple[KindView, ...]
    kinds_cut: int
    records_of_kinds_cut: int
    pictures_asked: bool
    pictures_shown: int
    pictures_left: int
    timeline: TimelineView
    coverage: tuple[Coverage, ...]
    unopened: tuple[str, ...]  # exhibits in which nothing could be opened
    not_opened: tuple[LayerInfo, ...]
    not_opened_total: int
    layers: tuple[LayerInfo, ...]
    layers_total: int
    reasons: tuple[ReasonView, ...]
    reasons_cut: int
    entries_of_reasons_cut: int
    faults: tuple[Fault, ...]
