"""Case and index to report document: reads every record, event and fault once, keeps a bounded part and counts the whole."""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby, islice
from typing import Protocol

import msgspec

from forensics.digest import identity
from forensics.evidence.space import KIND
from forensics.export.csv import aware
from forensics.model import (
    AttachmentRef,
    CaseInfo,
    Coverage,
    Examined,
    Exhibit,
    Fault,
    ImageDigest,
    LayerInfo,
    Record,
    RunInfo,
)
from forensics.report import matter
from forensics.report.document import (
    Day,
    Document,
    ReasonView,
    RunView,
    Summary,
    Text,
    TimelineView,
    Validation,
)
from forensics.report.findings import PER_KIND, Gallery, kinds, share
from forensics.report.matter import LINES, CustodyLine
from forensics.report.text import clip

_REASONS = 50
_EXAMPLES = 3
_EXAMPLES_WITHIN = 20_000  # entries looked through for examples
_EVENTS = 10
_LEVELS = ("alert", "notable", "info")


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
    @property
    def space(self) -> Mapping[str, int]: ...


class Index(Protocol):
    """What a report needs of the index: everything ordered, everything streaming."""

    def records(self) -> Iterator[Record]: ...
    def timeline(self) -> Iterator[tuple[str, str, str, str]]: ...
    def entries(self, *, outcome: str | None = None, limit: int | None = None) -> Iterator[Examined]: ...
    def entry_lines(self) -> Iterator[bytes]: ...
    def faults(self) -> Iterator[Fault]: ...
    def coverage(self) -> tuple[Coverage, ...]: ...
    def layers(self) -> tuple[LayerInfo, ...]: ...
    def counts(self) -> Counts: ...
    def runs(self) -> tuple[RunInfo, ...]: ...
    def images(self) -> Mapping[str, ImageDigest]: ...
    def checks(self) -> Mapping[str, bool]: ...
    def unmeasured(self, phase: str) -> Mapping[str, str]: ...
    def run_digest(self, run: str) -> str: ...


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
    exhibits = matter.exhibits(case.exhibits(), index.images(), index.checks(), index.unmeasured("before"), index.unmeasured("after"))
    counts = index.counts()
    layers = index.layers()
    coverage = index.coverage()
    not_opened = tuple(layer for layer in layers if not layer.examined)
    faults, faults_by_kind, limited = _faults(index.faults())
    gallery = Gallery(pictures, attachment)
    per_kind = share(per_kind, len(counts.records_by_kind))
    views, kinds_cut, records_of_kinds_cut = kinds(index.records(), counts.records_by_kind, per_kind, gallery)
    reasons = sorted(counts.reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    document = Document(
        id="",
        language=language,
        issued=at,
        tool=tool,
        case=case.info,
        missing=matter.missing(missing, exhibits),
        missing_total=len(missing),
        exhibits=exhibits,
        custody=matter.custody(custody, head),
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
            space=dict(counts.space),
            records=sum(counts.records_by_kind.values()),
            records_by_level={level: counts.records_by_level.get(level, 0) for level in _LEVELS},
            layers=sum(layer.kind != KIND for layer in layers),
            layers_not_opened=sum(layer.kind != KIND for layer in not_opened),
            faults=faults_by_kind.total(),
            faults_by_kind=dict(sorted(faults_by_kind.items())),
            limited=limited,
            plugins=len({plugin.name for view in runs for plugin in view.run.plugins}),
        ),
        per_kind=per_kind,
        kinds=views,
        kinds_cut=kinds_cut,
        records_of_kinds_cut=records_of_kinds_cut,
        pictures_asked=pictures > 0,
        pictures_shown=gallery.shown,
        pictures_left=gallery.left,
        timeline=_timeline(index.timeline()),
        coverage=coverage,
        unopened=tuple(sorted({line.exhibit for line in coverage if line.remark == "not-examined"})),
        not_opened=not_opened[:LINES],
        not_opened_total=len(not_opened),
        layers=layers[:LINES],
        layers_total=len(layers),
        reasons=_reasons(index, reasons[:_REASONS]),
        reasons_cut=len(reasons[_REASONS:]),
        entries_of_reasons_cut=sum(count for _, count in reasons[_REASONS:]),
        faults=faults,
    )
    return msgspec.structs.replace(document, id=identity(document)[:20])


# --- timeline, faults, reasons ----------------------------------------------------------------------------------------------

_Found = tuple[str, str, str, str]


def _timeline(events: Iterable[_Found]) -> TimelineView:
    """One pass over the ordered events; days come in runs, so only the busiest are held."""
    first: list[_Found] = []
    last: deque[_Found] = deque(maxlen=_EVENTS)
    naive: list[_Found] = []
    counts = {True: 0, False: 0}
    busiest: list[tuple[int, str]] = []

    def counted() -> Iterator[str]:
        for event in events:
            with_zone = aware(event[0])
            counts[with_zone] += 1
            if not with_zone:
                naive[1 if naive else 0 :] = [event]
                continue
            if len(first) < _EVENTS:
                first.append(event)
            else:
                last.append(event)
            yield event[0][:10]

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
        first=tuple(map(_shown, first)),
        last=tuple(map(_shown, last)),
        naive_first=_shown(naive[0]) if naive else None,
        naive_last=_shown(naive[-1]) if naive else None,
        busiest=tuple(Day("".join(chr(0x10FFFF - ord(char)) for char in day), count) for count, day in sorted(busiest, reverse=True)),
    )


def _shown(event: _Found) -> tuple[str, str, str, Text]:
    return *event[:3], clip(event[3], 300)


def _faults(faults: Iterable[Fault]) -> tuple[tuple[Fault, ...], Counter[str], int]:
    shown: list[Fault] = []
    kinds: Counter[str] = Counter()
    limited = 0
    for fault in faults:
        kinds[fault.kind] += 1
        limited += fault.limit
        if len(shown) < LINES:
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


__all__ = ["PER_KIND", "Case", "Counts", "CustodyLine", "Index", "build"]
