"""Who did what with which tool, in a CASE/UCO graph: investigative actions, each informed by the one before it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from forensics.export.uco_terms import Naming, Node, moment, without_none
from forensics.export.xml_text import text
from forensics.model import CaseInfo, Exhibit, ImageDigest, PluginInfo, RunInfo

# What happened to an exhibit, as the log names it; what people decided of records (`reviewed`) is no step of an investigation here.
_EVENTS = (
    *("received", "seized", "sealed", "checked_in", "checked_out", "transferred", "acquired", "copied", "verified", "returned"),
    *("disclosed", "destroyed"),
)
_TOLD = ("purpose", "place", "from", "to")


class Event(Protocol):
    """What is read of a line of the custody log: nothing that is a digest."""

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
    def body(self) -> dict[str, Any] | None: ...


def concerns(line: Event, exhibits: set[str], runs: set[str]) -> bool:
    if line.body is None:
        return False
    if line.event == "reported":
        return True
    return line.object in (runs if line.event == "examined" else exhibits) and line.event in (*_EVENTS, "examined")


# --- tools ------------------------------------------------------------------------------------------------------------------


def tool_key(run: RunInfo) -> tuple[str, str, str]:
    return "tool", run.tool, run.tool_digest


def plugin_key(plugin: PluginInfo) -> tuple[str, str, str, str]:
    return "plugin", plugin.name, plugin.version, plugin.digest


def tools(naming: Naming, run: RunInfo) -> Iterator[Node]:
    name, _, version = run.tool.rpartition(" ")
    yield {
        "@id": naming.iri("tool", *tool_key(run)),
        "@type": "tool:Tool",
        "core:name": text(name or "forensics"),
        "forensics:sha256": {"@type": "xsd:hexBinary", "@value": run.tool_digest.upper()},
        "tool:toolType": "examination",
        "tool:version": text(version),
    }
    for plugin in run.plugins:
        yield {
            "@id": naming.iri("tool", *plugin_key(plugin)),
            "@type": "tool:Tool",
            "core:description": text(plugin.description),
            "core:name": text(plugin.name),
            "forensics:sha256": {"@type": "xsd:hexBinary", "@value": plugin.digest.upper()},
            "tool:toolType": f"plugin ({plugin.kind})",
            "tool:version": text(plugin.version),
        }


# --- who did what -----------------------------------------------------------------------------------------------------------


class Chain:
    """Investigative actions, each informed by the one before it on the same exhibit."""

    def __init__(self, naming: Naming, case: CaseInfo) -> None:
        self._naming, self._case = naming, case
        self._last: dict[str, str] = {}  # action by exhibit
        self.examined: dict[str, str] = {}  # examination by exhibit

    def _action(self, key: tuple[str, ...], name: str, before: Iterable[str | None], **more: object) -> Node:
        informed = [{"@id": each} for each in dict.fromkeys(before) if each]
        return without_none(
            {
                "@id": self._naming.iri("action", *key),
                "@type": "investigation:InvestigativeAction",
                "core:name": name,
                "investigation:wasInformedBy": informed,
                **{field.replace("_", ":", 1): value for field, value in more.items()},
            }
        )

    def exhibits(self, held: Iterable[Exhibit], images: Mapping[str, ImageDigest], lines: Iterable[Event]) -> Iterator[Node]:
        """For each exhibit: seized, received, acquired and what the log says else, in order of time."""
        lines = list(lines)
        for exhibit in held:
            key = exhibit.exhibit_id
            steps: list[tuple[str, Node]] = [
                (line.at, self._event(line)) for line in lines if line.object == key and line.event not in ("examined", "reported")
            ]
            if not any(node["core:name"] == "received" for _, node in steps):
                steps.insert(0, ("", self._action(("received", key), "received", (), action_object=self._exhibit(key))))
            acquired = self._acquire(exhibit, images.get(key))
            if acquired is not None:
                at = exhibit.acquired_at or ""
                if at.endswith("Z"):
                    place = sum(1 for when, _ in steps if when < at)
                else:  # a time of unknown zone has no place among the others: behind the reception
                    place = 1 + next(number for number, (_, node) in enumerate(steps) if node["core:name"] == "received")
                steps.insert(place, (at, acquired))
            for _, node in steps:
                if before := self._last.get(key):
                    node["investigation:wasInformedBy"] = [{"@id": before}]
                self._last[key] = node["@id"]
                yield node

    def _exhibit(self, key: str) -> list[Node]:
        return [self._naming.ref("exhibit", key), self._naming.ref("provenance", "exhibit", key)]

    def _event(self, line: Event) -> Node:
        body = line.body or {}
        told = [f"{name}: {body[name]}" for name in _TOLD if isinstance(body.get(name), str) and body[name]]
        return self._action(
            ("custody", str(line.seq)),
            line.event,
            (),
            core_description=[text(each) for each in told],
            action_startTime=moment(line.at),
            action_endTime=moment(line.at),
            action_performer=self._naming.ref("identity", line.by) if line.by else None,
            action_object=self._exhibit(line.object),
        )

    def _acquire(self, exhibit: Exhibit, image: ImageDigest | None) -> Node | None:
        naming, key = self._naming, exhibit.exhibit_id
        instruments: list[Node] = []
        if exhibit.acquisition_tool:
            tool = {
                "@id": naming.iri("tool", "acquisition", key),
                "@type": "tool:Tool",
                "core:name": text(exhibit.acquisition_tool),
                "forensics:sha256": text(exhibit.acquisition_tool_sha256) if exhibit.acquisition_tool_sha256 else None,
                "tool:toolType": "acquisition",
                "tool:version": text(exhibit.acquisition_tool_version) if exhibit.acquisition_tool_version else None,
            }
            instruments.append(without_none(tool))
        if exhibit.write_blocker:
            blocker = naming.iri("write-blocker", key)
            instruments.append({"@id": blocker, "@type": "observable:WriteBlocker", "core:name": text(exhibit.write_blocker)})
        told = [
            f"{name}: {value}"
            for name, value in (
                ("type", exhibit.acquisition_type),
                ("no write blocker", exhibit.no_write_blocker_reason),
                ("changes made to the original", exhibit.changes_made_to_original),
            )
            if value
        ]
        stated = (exhibit.acquired_at, exhibit.acquisition_ended_at, exhibit.acquired_by, image)
        if not instruments and not told and not any(stated):
            return None
        return self._action(
            ("acquired", key),
            "acquired",
            (),
            core_description=[text(each) for each in told],
            action_startTime=moment(exhibit.acquired_at),
            action_endTime=moment(exhibit.acquisition_ended_at),
            action_instrument=instruments,
            action_object=[naming.ref("exhibit", key)],
            action_performer=naming.ref("identity", exhibit.acquired_by) if exhibit.acquired_by else None,
            action_result=[naming.ref("image", key), naming.ref("provenance", "image", key)],
        )

    def examinations(self, runs: Iterable[RunInfo], lines: Iterable[Event], ids: set[str]) -> Iterator[Node]:
        """Each run as an analysis of the images of its exhibits. Its findings name it as what they result from."""
        naming = self._naming
        said_of = [line for line in lines if line.event == "examined"]
        for run in runs:
            of_it = [line for line in said_of if line.object == run.run]
            ended = [line for line in of_it if line.body and line.body.get("phase") == "completed"]
            who = next((line.by for line in of_it if line.by), None) or self._case.examiner
            exhibits = [exhibit for exhibit in run.exhibits if exhibit in ids]
            node = self._action(
                ("examined", run.run, run.tool, run.tool_digest),
                "examined",
                [self._last.get(exhibit) for exhibit in exhibits],
                core_description=text(run.run),
                action_startTime=moment(run.started),
                action_endTime=moment(ended[-1].at) if ended else None,
                action_instrument=[
                    naming.ref("tool", *tool_key(run)),
                    *(naming.ref("tool", *plugin_key(plugin)) for plugin in run.plugins),
                ],
                action_object=[naming.ref("image", exhibit) for exhibit in exhibits],
                action_performer=naming.ref("identity", who) if who else None,
            )
            node["@type"] = ["analysis:Analysis", "investigation:InvestigativeAction"]
            for exhibit in exhibits:
                self.examined[exhibit] = node["@id"]
            yield node

    def reports(self, lines: Iterable[Event]) -> Iterator[Node]:
        """Each report that the log names, informed by the examinations before it."""
        for line in lines:
            if line.event == "reported":
                yield self._action(
                    ("custody", str(line.seq)),
                    "reported",
                    [self.examined.get(exhibit) for exhibit in sorted(self.examined)],
                    core_description=text(line.object) if line.object else None,
                    action_startTime=moment(line.at),
                    action_endTime=moment(line.at),
                    action_object=[self._naming.ref("image", exhibit) for exhibit in sorted(self.examined)],
                    action_performer=self._naming.ref("identity", line.by) if line.by else None,
                )
