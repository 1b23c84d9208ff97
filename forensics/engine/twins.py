"""Files of shadow copies that lie in the same blocks as the live volume's: what was read of those is said of these, without reading again.

The live volume is examined first. A file of a shadow copy whose entry says `same_blocks` has a twin there: the same path, address and
stream. What was said of the twin holds for it where it follows from content and name alone; where a plugin looked at more (where a file
lies, what lies beside it, what is inside of it), or something went wrong, the file is read again as any other.
"""

from collections import OrderedDict
from pathlib import Path

import zstandard

from forensics import segment
from forensics.engine import plan
from forensics.engine.scope import outside
from forensics.engine.task import Before
from forensics.location import Location
from forensics.model import Entry, Examined, PluginInfo, PluginOutcome, Result, Scope

_MARK = b'"same_blocks":true'  # in a text of JSON the quotes would be escaped
_SHADOW = "vss@"
_PARSED = 16  # units of the live volume whose lines are kept at hand


def has_twins(unit: bytes) -> bool:
    """Whether a unit of the plan, as encoded, holds files that have twins."""
    return _MARK in unit


def live_location(location: str) -> str:
    """The location on the live volume of a file in a shadow copy."""
    parts = location.split(":")
    store = max(number for number, part in enumerate(parts[:-1]) if part.startswith(_SHADOW))
    return ":".join((*parts[:store], parts[-1]))


class Twins:
    """What a run has said of the files of its live volumes. `plans` and `segments` are its folders, `plugins` those that it uses."""

    def __init__(self, plans: Path, segments: Path, plugins: tuple[PluginInfo, ...], scope: Scope) -> None:
        self._plans, self._segments, self._scope = plans, segments, scope
        self._plugins = {plugin.name: plugin for plugin in plugins if plugin.kind != "analyser"}
        self._places: dict[str, dict[int, int]] = {}
        self._systems: dict[str, str] = {}
        self._parsed: OrderedDict[str, dict[str, Examined]] = OrderedDict()

    def before(self, name: str, unit: plan.Unit) -> Before:
        """What is known of the files of a unit (`name` is unit-EXHIBIT-SYSTEM-NUMBER) before one of them is read."""
        lines = []
        for entry in unit.entries:
            twin = self._twin(name.split("-")[1], entry) if entry.same_blocks else None
            if twin is not None:
                said = Examined(entry=entry, outcome="read", digests=twin.digests, mime=twin.mime, plugins=twin.plugins)
                lines.append(segment.encode(said))
        return Before(tuple(self._plugins), zstandard.compress(b"".join(lines)))

    def _twin(self, exhibit: str, entry: Entry) -> Examined | None:
        if outside(self._scope, Location.parse(entry.location).path, entry.times) is not None:
            return None
        location = live_location(entry.location)
        prefix = location.rpartition(":")[0]
        if prefix not in self._places:
            self._places = {prefix: self._index(exhibit, prefix)}  # one volume at a time
        number = self._places[prefix].get(hash(location))
        if number is None:
            return None
        twin = self._said(f"unit-{exhibit}-{self._systems[prefix]}-{number:06d}", prefix).get(location)
        return twin if twin and twin.entry.size == entry.size and twin.entry.state == entry.state == "allocated" else None

    def _index(self, exhibit: str, prefix: str) -> dict[int, int]:
        """In which unit each file of the live volume is whose content has a place on the medium."""
        found: dict[int, int] = {}
        self._systems.pop(prefix, None)
        for path in sorted(self._plans.glob(f"{exhibit}-*.jsonl.zst")):
            for number, raw in enumerate(segment.raw_lines(path)):
                entries = plan.decode(raw).entries
                if entries[0].location.rpartition(":")[0] != prefix:
                    break
                self._systems[prefix] = path.name.removesuffix(".jsonl.zst").partition("-")[2]
                found.update((hash(entry.location), number) for entry in entries if entry.start >= 0 and entry.kind == "file")
            if prefix in self._systems:
                break
        return found

    def _said(self, name: str, prefix: str) -> dict[str, Examined]:
        """What was said of the files of one unit of the live volume, where it holds for their twins."""
        held = self._parsed.pop(name, None)
        if held is None:
            held = self._read(self._segments / f"{name}.jsonl.zst", prefix)
            if len(self._parsed) >= _PARSED:
                self._parsed.popitem(last=False)
        self._parsed[name] = held
        return held

    def _read(self, path: Path, prefix: str) -> dict[str, Examined]:
        """A file's own line comes last, after the faults and after the files inside of it."""
        held: dict[str, Examined] = {}
        seen: set[str] = set()
        alone = True
        for line in segment.read(path):
            if isinstance(line, Result):
                continue
            if not isinstance(line, Examined) or line.entry.location.rpartition(":")[0] != prefix:
                alone = False
                continue
            location = line.entry.location
            if alone and line.outcome == "read" and location not in seen and all(map(self._holds, line.plugins)):
                held[location] = line
            else:
                held.pop(location, None)
            seen.add(location)
            alone = True
        return held

    def _holds(self, outcome: PluginOutcome) -> bool:
        """Whether what a plugin said of a file holds for another of the same content and name."""
        plugin = self._plugins[outcome.plugin]
        return set(plugin.needs) <= {"content", "name"} and (
            outcome.outcome == "skipped" or (outcome.outcome == "read" and plugin.kind == "extractor")
        )
