"""Disclosed records as a case and an index of their own: what a report and a graph for the partner are made of, and of nothing else.

Ids are the random names; there are neither files nor faults nor coverage, since nothing that was not disclosed is counted.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from forensics import index
from forensics.exchange import sealed
from forensics.model import (
    AttachmentRef,
    CaseInfo,
    Coverage,
    Examined,
    Exhibit,
    Fault,
    ImageDigest,
    LayerInfo,
    PluginInfo,
    Record,
    RunInfo,
    StoredFinding,
)

_LEVELS = {"alert": 0, "notable": 1, "info": 2}


class Disclosed:
    """The records named, as `report.build` wants a case and an index; findings are read anew each time they are asked for."""

    def __init__(self, names: Iterable[str], read: Callable[[str], sealed.SealedRecord], seal: str) -> None:
        self._read, self._seal = read, seal
        self.info = CaseInfo()
        self._exhibits: list[sealed.ExhibitRecord] = []
        self.methods: dict[str, sealed.MethodRecord] = {}
        self.opened: dict[str, str] = {}  # SHA-256 of the content, by name of the finding
        self._attached: dict[str, list[tuple[AttachmentRef, str]]] = {}
        self._order: list[tuple[int, str, str, str]] = []
        self.names: dict[object, str] = {}  # of exhibits and methods, for identifiers
        for name in names:
            record = read(name)
            if isinstance(record, sealed.CaseRecord):
                self.info = record.case
                self.names["case"] = name
            elif isinstance(record, sealed.ExhibitRecord):
                self._exhibits.append(record)
                self.names[record.exhibit.exhibit_id] = name
            elif isinstance(record, sealed.MethodRecord):
                self.methods[name] = record
            elif isinstance(record, sealed.ContentRecord):
                self.opened |= dict.fromkeys(record.openings, record.sha256)
            elif isinstance(record, sealed.AttachmentRecord):
                self._attached.setdefault(record.of, []).append((record.reference(), name))
            elif isinstance(record, sealed.FindingRecord):
                self._order.append((_LEVELS[record.level], record.kind, record.when or "~", name))
        self._order.sort()
        self._exhibits.sort(key=lambda item: item.exhibit.exhibit_id)

    def exhibits(self) -> tuple[Exhibit, ...]:
        return tuple(item.exhibit for item in self._exhibits)

    def records(self) -> Iterator[Record]:
        """The findings in order of level, kind, time and name. The SHA-256 of a content is there where it was opened."""
        for _, _, _, name in self._order:
            if (record := self.record(name)) is not None:
                yield record

    def record(self, name: str) -> Record | None:
        """The finding of that name as a record, `None` where it is none."""
        found = self._read(name)
        if not isinstance(found, sealed.FindingRecord):
            return None
        method = self.methods.get(found.method)
        return Record(
            id=name,
            location=found.location,
            state=found.state,
            content=found.content_state,
            sha256=self.opened.get(name),
            plugin=found.plugin,
            plugin_version=found.plugin_version,
            plugin_digest=method.digest if method else "",
            finding=StoredFinding(
                kind=found.kind,
                summary=found.summary,
                when=found.when,
                data=found.data,
                level=found.level,
                locator=found.locator,
                attachments=tuple(reference for reference, _ in self._attached.get(name, ())),
            ),
        )

    def attachment(self, reference: AttachmentRef) -> bytes | None:
        """The bytes of an attachment that was disclosed."""
        for held in self._attached.values():
            for other, name in held:
                if other == reference and isinstance(record := self._read(name), sealed.AttachmentRecord):
                    return record.bytes()
        return None

    def timeline(self) -> Iterator[tuple[str, str, str, str]]:
        dated = [(not record.finding.when.endswith("Z"), record.finding.when, record) for record in self.records() if record.finding.when]
        for _, when, record in sorted(dated, key=lambda item: item[:2]):
            yield when, record.finding.kind, record.location, record.finding.summary

    def counts(self) -> index.Counts:
        kinds: Counter[str] = Counter()
        levels: Counter[str] = Counter()
        words = list(_LEVELS)
        for level, kind, _, _ in self._order:
            kinds[kind] += 1
            levels[words[level]] += 1
        return index.Counts(
            records_by_kind=dict(kinds),
            records_by_level=dict(levels),
            entries_by_state={},
            entries_by_outcome={},
            reasons={},
            bytes_total=0,
            distinct_contents=len(set(self.opened.values())),
        )

    def runs(self) -> tuple[RunInfo, ...]:
        """The methods of the disclosed findings, by tool; options by name only."""
        tools: dict[tuple[str, str], list[PluginInfo]] = {}
        for method in self.methods.values():
            plugin = PluginInfo(
                name=method.plugin,
                kind="extractor",
                version=method.version,
                description=method.description,
                digest=method.digest,
                source="",
                selection="",
                options=dict.fromkeys(method.options),
            )
            tools.setdefault((method.tool, method.tool_digest), []).append(plugin)
        exhibits = tuple(exhibit.exhibit_id for exhibit in self.exhibits())
        return tuple(
            RunInfo(
                run=self._seal,
                exhibits=exhibits,
                tool=tool,
                tool_digest=digest,
                started="",
                libraries={},
                plugins=tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.version))),
            )
            for (tool, digest), plugins in sorted(tools.items())
        )

    def run_digest(self, run: str) -> str:
        """None: the digest of a run covers what is withheld."""
        return ""

    def images(self) -> Mapping[str, ImageDigest]:
        return {
            item.exhibit.exhibit_id: ImageDigest(format=item.medium.format, size=item.medium.size, sha256=item.medium.sha256 or "")
            for item in self._exhibits
            if item.medium
        }

    def checks(self) -> Mapping[str, bool]:
        return {
            item.exhibit.exhibit_id: item.medium.unchanged for item in self._exhibits if item.medium and item.medium.unchanged is not None
        }

    def unmeasured(self, phase: str) -> Mapping[str, str]:
        """None: a fault's text is no record, and nobody has looked whether it may leave."""
        return {}

    def entries(self, *, outcome: str | None = None, limit: int | None = None) -> Iterator[Examined]:
        return iter(())

    def entry_lines(self) -> Iterator[bytes]:
        return iter(())

    def faults(self) -> Iterator[Fault]:
        return iter(())

    def coverage(self) -> tuple[Coverage, ...]:
        return ()

    def layers(self) -> tuple[LayerInfo, ...]:
        return ()
