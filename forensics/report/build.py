"""Case and index to report document: reads every record, event and fault once, keeps a bounded part and counts the whole."""

import binascii
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby, islice
from pathlib import PurePath
from typing import Any, Protocol

import msgspec

from forensics.digest import identity, sha256
from forensics.export.csv import aware
from forensics.location import printable
from forensics.model import (
    AttachmentRef,
    ByteRange,
    CaseInfo,
    Coverage,
    Examined,
    Exhibit,
    Fault,
    ImageDigest,
    LayerInfo,
    Locator,
    Record,
    RecordNumber,
    RegistryKey,
    RunInfo,
    TableRow,
)
from forensics.report.document import (
    Custody,
    CustodyView,
    Day,
    Document,
    ExhibitView,
    FindingView,
    KindView,
    Missing,
    Picture,
    Place,
    ReasonView,
    RunView,
    Summary,
    Text,
    TimelineView,
    Validation,
)
from forensics.report.markup import plain_text

PER_KIND = 200
_PER_REPORT = 2_000  # findings in one page: beyond this browsers become slow
_LEAST_PER_KIND = 5
_KINDS = 100
_FIELDS = 40
_CHARACTERS = 1_000  # of one value
_CHARACTERS_A_FINDING = 4_000
_LINES = 200  # of segments, damage, layers, faults, custody events
_LISTED = 12  # items of a list in the custody log
_REASONS = 50
_EXAMPLES = 3
_EXAMPLES_WITHIN = 20_000  # entries looked through for examples
_EVENTS = 10
_PICTURE_BYTES = 64 << 10
_PICTURES_BYTES = 3 << 20
_PICTURES = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n", "image/gif": b"GIF8", "image/webp": b"RIFF"}
_LEVELS = {"alert": 0, "notable": 1, "info": 2}


class Case(Protocol):
    """What a report needs of a case."""

    @property
    def info(self) -> CaseInfo: ...
    def exhibits(self) -> Iterable[Exhibit]: ...


class Counts(Protocol):
    """What a report needs of the index's counts."""

    @property
    def records_by_kind(self) -> Mapping[str, int]: ...
    @property
    def records_by_level(self) -> Mapping[str, int]: ...
    @property
    def entries_by_state(self) -> Mapping[str, int]: ...
    @property
    def entries_by_outcome(self) -> Mapping[str, int]: ...
    @property
    def reasons(self) -> Mapping[str, int]: ...
    @property
    def bytes_total(self) -> int: ...
    @property
    def distinct_contents(self) -> int: ...


class Index(Protocol):
    """What a report needs of the index: everything ordered, everything streaming."""

    def records(self) -> Iterator[Record]: ...
    def timeline(self) -> Iterator[tuple[str, str, str, str]]: ...
    def entries(self, *, outcome: str | None = None, limit: int | None = None) -> Iterator[Examined]: ...
    def faults(self) -> Iterator[Fault]: ...
    def coverage(self) -> tuple[Coverage, ...]: ...
    def layers(self) -> tuple[LayerInfo, ...]: ...
    def counts(self) -> Counts: ...
    def runs(self) -> tuple[RunInfo, ...]: ...
    def images(self) -> Mapping[str, ImageDigest]: ...
    def checks(self) -> Mapping[str, bool]: ...
    def run_digest(self, run: str) -> str: ...


class CustodyLine(Protocol):
    """What a report needs of a line of the custody log. `body` is any value that serialises, or ``None`` where it is withheld."""

    @property
    def seq(self) -> int: ...
    @property
    def at(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def object(self) -> str: ...
    @property
    def by(self) -> str | None: ...
    @property
    def clock_back(self) -> float | None: ...
    @property
    def body_sha256(self) -> str: ...
    @property
    def body(self) -> Any: ...


def build(
    case: Case,
    index: Index,
    *,
    at: str,
    custody: Iterable[CustodyLine],
    head: tuple[int, str],
    missing: Iterable[str],
    tool: str,
    language: str = "en",
    validation: Validation | None = None,
    per_kind: int = PER_KIND,
    pictures: int = 0,
    attachment: Callable[[AttachmentRef], bytes | None] = lambda reference: None,
) -> Document:
    """The report document of a case as the index shows it.

    `at` is the time of issue (ISO 8601, UTC); `custody` the lines of the log and `head` its last line's number and SHA-256; `missing` the
    required fields that nobody has filled in; `tool` name and version of this tool. At most `per_kind` findings of a kind are in the
    page, fewer where there are many kinds. With `pictures`, at most so many attached pictures are embedded, whose bytes `attachment`
    gives.
    """
    missing = tuple(missing)
    runs = tuple(RunView(run, index.run_digest(run.run)) for run in index.runs())
    exhibits = _exhibits(case, index)
    counts = index.counts()
    layers = index.layers()
    not_opened = tuple(layer for layer in layers if not layer.examined)
    faults, faults_by_kind, limited = _faults(index.faults())
    gallery = _Gallery(pictures, attachment)
    per_kind = max(1, min(per_kind, max(_LEAST_PER_KIND, _PER_REPORT // max(1, min(_KINDS, len(counts.records_by_kind))))))
    kinds, kinds_cut, records_of_kinds_cut = _kinds(index.records(), counts.records_by_kind, per_kind, gallery)
    reasons = sorted(counts.reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    document = Document(
        id="",
        language=language,
        issued=at,
        tool=tool,
        case=case.info,
        missing=_missing(missing, exhibits),
        missing_total=len(missing),
        exhibits=exhibits,
        custody=_custody(custody, head),
        runs=runs,
        validation=validation,
        summary=Summary(
            exhibits=len(exhibits),
            image_bytes=sum(view.image.size for view in exhibits if view.image),
            entries=sum(counts.entries_by_state.values()),
            contents=sum(counts.entries_by_outcome.values()),
            entries_by_state=dict(sorted(counts.entries_by_state.items())),
            entries_by_outcome=dict(sorted(counts.entries_by_outcome.items())),
            bytes_total=counts.bytes_total,
            distinct_contents=counts.distinct_contents,
            records=sum(counts.records_by_kind.values()),
            records_by_level={level: counts.records_by_level.get(level, 0) for level in _LEVELS},
            layers=len(layers),
            layers_not_opened=len(not_opened),
            faults=faults_by_kind.total(),
            faults_by_kind=dict(sorted(faults_by_kind.items())),
            limited=limited,
            plugins=len({plugin.name for view in runs for plugin in view.run.plugins}),
        ),
        per_kind=per_kind,
        kinds=kinds,
        kinds_cut=kinds_cut,
        records_of_kinds_cut=records_of_kinds_cut,
        pictures_asked=pictures > 0,
        pictures_shown=gallery.shown,
        pictures_left=gallery.left,
        timeline=_timeline(index.timeline()),
        coverage=index.coverage(),
        not_opened=not_opened[:_LINES],
        not_opened_total=len(not_opened),
        layers=layers[:_LINES],
        layers_total=len(layers),
        reasons=_reasons(index, reasons[:_REASONS]),
        reasons_cut=len(reasons[_REASONS:]),
        entries_of_reasons_cut=sum(count for _, count in reasons[_REASONS:]),
        faults=faults,
    )
    return msgspec.structs.replace(document, id=identity(document)[:20])


# --- exhibits and custody ---------------------------------------------------------------------------------------------------


def _exhibits(case: Case, index: Index) -> tuple[ExhibitView, ...]:
    images, checks = index.images(), index.checks()
    views = []
    for exhibit in sorted(case.exhibits(), key=lambda item: item.exhibit_id):
        image = images.get(exhibit.exhibit_id)
        segments = image.segments if image else ()
        damage = image.damage if image else ()
        stated = exhibit.stated_sha256
        views.append(
            ExhibitView(
                exhibit=msgspec.structs.replace(exhibit, image=PurePath(exhibit.image).name),  # no paths of this machine
                image=msgspec.structs.replace(image, segments=(), damage=()) if image else None,
                unchanged=checks.get(exhibit.exhibit_id),
                stated=stated.strip().lower() == image.sha256 if image and stated else None,
                segments=segments[:_LINES],
                segments_total=len(segments),
                damage=damage[:_LINES],
                damage_total=len(damage),
                damage_bytes=sum(item.size for item in damage),
            )
        )
    return tuple(views)


def _custody(lines: Iterable[CustodyLine], head: tuple[int, str]) -> Custody:
    first: list[CustodyView] = []
    last: list[CustodyView] = []
    total = 0
    for line in lines:
        total += 1
        view = CustodyView(
            seq=line.seq,
            at=line.at,
            event=line.event,
            object=line.object,
            by=line.by,
            clock_back=line.clock_back,
            sha256=line.body_sha256,
            body=None if line.body is None else _body(line.body),
        )
        if len(first) < _LINES:
            first.append(view)
        else:
            last = [*last[-(_LINES // 2 - 1) :], view]
    return Custody(head_seq=head[0], head_sha256=head[1], first=tuple(first), last=tuple(last), total=total)


def _missing(names: Iterable[str], exhibits: Iterable[ExhibitView]) -> tuple[Missing, ...]:
    """``case.agency`` and ``exhibit.2026-1.seizure.place``, by what they belong to; the case first."""
    prefixes = {f"exhibit.{view.exhibit.exhibit_id}.": view.exhibit.exhibit_id for view in exhibits}
    held: dict[str | None, list[str]] = {}
    for name in names:
        owners = [prefix for prefix in prefixes if name.startswith(prefix)]
        prefix = max(owners, key=len) if owners else "case."
        held.setdefault(prefixes.get(prefix), []).append(name.removeprefix(prefix))
    return tuple(Missing(exhibit, tuple(fields)) for exhibit, fields in held.items())


def _body(body: Any) -> tuple[tuple[str, Text], ...]:
    """The particulars of an event: an exhibit's fields laid flat, of other nested things their number, without paths of this machine."""
    plain = msgspec.to_builtins(body)
    fields: list[tuple[str, Any]] = []
    for name, value in plain.items() if isinstance(plain, dict) else [("body", plain)]:
        if name == "exhibit" and isinstance(value, dict):
            fields += [(f"exhibit.{key}", PurePath(str(item)).name if key == "image" else item) for key, item in value.items()]
        elif name != "image_relative":
            fields.append((str(name), value))
    held = [(name, _particular(value)) for name, value in fields if value not in (None, "", [], {})]
    further = [("further", Text("", items=len(held) - _FIELDS))] if len(held) > _FIELDS else []
    return (*held[:_FIELDS], *further)


def _particular(value: Any) -> Text:
    nested = isinstance(value, dict) or (
        isinstance(value, list) and (len(value) > _LISTED or any(isinstance(item, list | dict) for item in value))
    )
    return Text("", items=len(value)) if nested else clip(plain_text(value))


# --- findings ---------------------------------------------------------------------------------------------------------------


class _Gallery:
    """The pictures that a page may still embed."""

    def __init__(self, most: int, attachment: Callable[[AttachmentRef], bytes | None]) -> None:
        self._most, self._attachment = most, attachment
        self._bytes = 0
        self.shown = self.left = 0

    def pictures(self, references: Iterable[AttachmentRef]) -> tuple[Picture, ...]:
        """Those of `references` that are pictures, within bounds, and whose bytes are what their digest says."""
        if not self._most:
            return ()
        pictures = []
        for reference in references:
            magic = _PICTURES.get(reference.mime)
            if magic is None:
                continue
            fits = self.shown < self._most and reference.size <= min(_PICTURE_BYTES, _PICTURES_BYTES - self._bytes)
            content = self._attachment(reference) if fits else None
            if content is None or len(content) != reference.size or not content.startswith(magic) or sha256(content) != reference.sha256:
                self.left += 1
                continue
            self.shown += 1
            self._bytes += len(content)
            uri = f"data:{reference.mime};base64,{binascii.b2a_base64(content, newline=False).decode()}"
            pictures.append(Picture(reference.name, reference.sha256, uri))
        return tuple(pictures)


def _kinds(
    records: Iterable[Record], by_kind: Mapping[str, int], per_kind: int, gallery: _Gallery
) -> tuple[tuple[KindView, ...], int, int]:
    """The kinds with their first findings, alerts first; how many kinds have no section, and how many records those hold."""
    wanted = {kind for kind, _ in sorted(by_kind.items(), key=lambda pair: (-pair[1], pair[0]))[:_KINDS]}
    levels: dict[str, Counter[str]] = {}
    shown: dict[str, list[FindingView]] = {}
    cut_kinds: set[str] = set()
    cut = 0
    for record in records:
        kind = record.finding.kind
        if kind not in wanted:
            cut += 1
            if len(cut_kinds) < 100_000:
                cut_kinds.add(kind)
            continue
        levels.setdefault(kind, Counter())[record.finding.level] += 1
        views = shown.setdefault(kind, [])
        if len(views) < per_kind:
            views.append(_finding(record, len(views) + 1, gallery))
    kinds = [
        KindView(kind=kind, alert=count["alert"], notable=count["notable"], info=count["info"], shown=tuple(shown[kind]))
        for kind, count in levels.items()
    ]
    kinds.sort(key=lambda view: (not view.alert, not view.notable, view.kind))
    return tuple(kinds), len(cut_kinds), cut


def _finding(record: Record, number: int, gallery: _Gallery) -> FindingView:
    finding = record.finding
    left = _CHARACTERS_A_FINDING
    data = []
    for name in sorted(finding.data)[:_FIELDS]:
        text = clip(plain_text(finding.data[name]), max(80, min(_CHARACTERS, left)))
        left -= len(text.text)
        data.append((clip(name, 80).text, text))
    return FindingView(
        number=number,
        id=record.id,
        level=finding.level,
        summary=clip(finding.summary),
        when=finding.when,
        location=record.location,
        state=record.state,
        content=record.content,
        sha256=record.sha256,
        place=None if finding.locator is None else _place(finding.locator),
        plugin=record.plugin,
        plugin_version=record.plugin_version,
        plugin_digest=record.plugin_digest,
        data=tuple(data),
        fields_cut=max(0, len(finding.data) - _FIELDS),
        derived_from=finding.derived_from[:5],
        derived_cut=len(finding.derived_from[5:]),
        attachments=tuple((item.name, item.sha256) for item in finding.attachments[:5]),
        attachments_cut=len(finding.attachments[5:]),
        pictures=gallery.pictures(finding.attachments),
    )


def _place(locator: Locator) -> Place:
    match locator:
        case ByteRange(offset, size):
            return Place("bytes", str(offset), str(offset + max(size, 1) - 1))
        case TableRow(table, rowid):
            return Place("row", clip(table, 200).text, str(rowid))
        case RegistryKey(key, value):
            return Place("registry", clip(key).text, None if value is None else clip(value, 200).text)
        case RecordNumber(number, of):
            return Place("record", str(number), clip(of, 80).text)


def clip(text: str, most: int = _CHARACTERS) -> Text:
    """`text` without undecodable bytes, its end left out where it is longer than `most` characters."""
    text = printable(text)
    return Text(text) if len(text) <= most else Text(text[:most], len(text) - most)


# --- timeline, faults, reasons ----------------------------------------------------------------------------------------------

_Event = tuple[str, str, str, Text]


def _timeline(events: Iterable[tuple[str, str, str, str]]) -> TimelineView:
    """One pass over the ordered events; days come in runs, so only the busiest are held."""
    first: list[_Event] = []
    last: list[_Event] = []
    naive: list[_Event] = []
    counts = {True: 0, False: 0}
    busiest: list[tuple[int, str]] = []

    def counted() -> Iterator[str]:
        for when, what, location, summary in events:
            with_zone = aware(when)
            counts[with_zone] += 1
            event = (when, what, location, clip(summary, 300))
            if not with_zone:
                naive[1 if naive else 0 :] = [event]
                continue
            if len(first) < _EVENTS:
                first.append(event)
            else:
                last[:] = [*last[-(_EVENTS - 1) :], event]
            yield when[:10]

    for day, run in groupby(counted()):
        # ties go to the earlier day, so that the choice does not depend on anything else
        item = (sum(1 for _ in run), "".join(chr(0x10FFFF - ord(char)) for char in day))
        if len(busiest) < _EVENTS:
            heapq.heappush(busiest, item)
        else:
            heapq.heappushpop(busiest, item)
    return TimelineView(
        total=counts[True] + counts[False],
        aware=counts[True],
        naive=counts[False],
        first=tuple(first),
        last=tuple(last),
        naive_first=naive[0] if naive else None,
        naive_last=naive[-1] if naive else None,
        busiest=tuple(Day("".join(chr(0x10FFFF - ord(char)) for char in day), count) for count, day in sorted(busiest, reverse=True)),
    )


def _faults(faults: Iterable[Fault]) -> tuple[tuple[Fault, ...], Counter[str], int]:
    shown: list[Fault] = []
    kinds: Counter[str] = Counter()
    limited = 0
    for fault in faults:
        kinds[fault.kind] += 1
        limited += fault.limit
        if len(shown) < _LINES:
            shown.append(msgspec.structs.replace(fault, message=clip(fault.message).text))
    return tuple(shown), kinds, limited


def _reasons(index: Index, reasons: Iterable[tuple[str, int]]) -> tuple[ReasonView, ...]:
    reasons = list(reasons)
    examples: dict[str, list[str]] = {reason: [] for reason, _ in reasons}
    for outcome in ("failed", "not-run", "skipped") if examples else ():
        for line in islice(index.entries(outcome=outcome, limit=_EXAMPLES_WITHIN), _EXAMPLES_WITHIN):
            found = examples.get(line.reason or "")
            if found is not None and len(found) < _EXAMPLES:
                found.append(line.entry.location)
    return tuple(ReasonView(clip(reason, 300).text, count, tuple(examples[reason])) for reason, count in reasons)


__all__ = ["PER_KIND", "Case", "Counts", "CustodyLine", "Index", "build", "clip"]
