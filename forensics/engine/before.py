"""What an earlier run said of one unit, by location, for the child that examines it again: what holds is kept, without reading a file."""

from collections import Counter
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from forensics import segment
from forensics.engine.plan import Unit as Planned
from forensics.engine.task import Before
from forensics.location import Layer, Location
from forensics.model import Examined, Fault, Line, PluginOutcome, Result

_decode: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class Said(Struct, frozen=True):
    """What was said of one entry of a unit: of the files inside it, of itself, and what went wrong there."""

    entry: Examined
    members: tuple[Examined, ...]
    faults: tuple[Fault, ...]

    def lines(self, kept: frozenset[str]) -> Iterator[Examined | Fault]:
        """All of it that is kept: without what other plugins said, and without the files that came out of other containers."""
        for fault in self.faults:
            if (fault.plugin is None or fault.plugin in kept) and _from(fault.location, self.entry) <= kept:
                yield fault
        for line in (*self.members, self.entry):
            if _from(line.entry.location, self.entry) <= kept:
                yield msgspec.structs.replace(line, plugins=tuple(outcome for outcome in line.plugins if outcome.plugin in kept))

    def inside(self, container: str, location: Location, kept: frozenset[str]) -> list[Examined | Fault]:
        """What is kept of the files that came out of the file at `location` by one container plugin."""
        inside = (*location.layers, Layer(container, location.inner))
        return [line for line in self.lines(kept) if Location.parse(_place(line)).layers[: len(inside)] == inside]


class Unit:
    """An earlier run's word on one unit, by location."""

    def __init__(self, before: Before, unit: Planned) -> None:
        self.kept = frozenset(before.kept)
        self.results: list[bytes] = []
        self.said: dict[str, Said] = {}
        self._outcomes: dict[str, Examined] = {}
        self._faults: dict[tuple[str, str], list[Fault]] = {}
        own = Counter(entry.location for entry in unit.entries)
        members: list[Examined] = []
        faults: list[Fault] = []
        for raw in segment.lines_of(before.segment):
            line = _decode.decode(raw)
            if isinstance(line, Result) and line.plugin in self.kept:
                self.results.append(raw + b"\n")
            elif isinstance(line, Fault):
                faults.append(line)
                if line.plugin:
                    self._faults.setdefault((line.location, line.plugin), []).append(line)
            elif isinstance(line, Examined):
                self._outcomes[line.entry.location] = line
                if line.entry.location in own:
                    if own[line.entry.location] == 1:  # of two entries at one place nothing is kept
                        self.said[line.entry.location] = Said(line, tuple(members), tuple(faults))
                    members, faults = [], []
                else:
                    members.append(line)

    def outcome(self, location: str, sha256: str, plugin: str) -> tuple[PluginOutcome, list[Fault]] | None:
        """What a plugin whose word is kept said of a file with this content, and its faults there."""
        line = self._outcomes.get(location)
        if plugin not in self.kept or line is None or line.digests is None or line.digests.sha256 != sha256:
            return None
        found = next((outcome for outcome in line.plugins if outcome.plugin == plugin), None)
        return None if found is None else (found, self._faults.get((location, plugin), []))


def _place(line: Examined | Fault) -> str:
    return line.location if isinstance(line, Fault) else line.entry.location


def _from(location: str, entry: Examined) -> frozenset[str]:
    """The container plugins that a file inside `entry` came out of."""
    if location == entry.entry.location:
        return frozenset()
    own = len(Location.parse(entry.entry.location).layers)
    return frozenset(layer.kind for layer in Location.parse(location).layers[own:])
