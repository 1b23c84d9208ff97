"""A child's plugins: loaded, given their options, prepared once; and which of them a file is offered to."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from forensics import discovery
from forensics.digest import identity
from forensics.errors import ForensicsError, UsageError
from forensics.glob import matches, mime_matches
from forensics.model import Entry, Fault, PluginInfo, State, Value
from forensics.plugin import Plugin, Prepared

SPACE = ("unallocated", "slack")
EVERY = "*"  # in place of a plugin's name: options for all plugins that have them, and were not given their own
NOTHING_TO_DO = "it was given nothing that it could look for"


class Tool(Struct, frozen=True):
    """One plugin ready for work: its number in the run, its options filled, what `prepare` made."""

    number: int
    plugin: Plugin
    options: dict[str, Any]
    prepared: Prepared | None
    info: PluginInfo

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What the function takes after its first argument."""
        return (self.prepared.value,) if self.prepared else ()

    def fits(self, mime: str, path: str, head: bytes) -> bool:
        """Whether a file of this type, path and beginning is offered to the plugin."""
        select = self.plugin.select
        if not (select.mime or select.names or select.magic):
            return True
        return (
            (bool(select.mime) and mime_matches(mime, select.mime))
            or (bool(select.names) and matches(path, select.names))
            or head.startswith(select.magic or (b"\0\0impossible",))
        )


def offered_as(entry: Entry) -> State:
    """The state by which plugins are chosen for an entry: a file that was carved out of unallocated space is offered as a deleted one."""
    return "deleted" if entry.state in SPACE and entry.kind != "virtual" else entry.state


class Tools:
    """The tools that files are offered to, in order; which of them take a file of a type, is worked out once a type."""

    def __init__(self, tools: Sequence[Tool], *, carve: bool = False) -> None:
        self._tools = [tool for tool in tools if tool.plugin.kind != "analyser" and tool.info.idle is None]
        self._carve = carve
        self._by_type: dict[tuple[str, State], list[tuple[Tool, bool]]] = {}

    def offered(self, mime: str, path: str, head: bytes, state: State = "allocated") -> Iterator[Tool]:
        """The tools that a file of this type, path, beginning and state (see `offered_as`) is offered to."""
        for tool, certain in self._of(mime, state):
            if certain or tool.fits(mime, path, head):
                yield tool

    def unspoken(self, mime: str, path: str, kept: frozenset[str], state: State = "allocated") -> bool:
        """Whether a file of this type, path and state may be offered to a tool other than `kept`; its beginning is not known."""
        return any(
            certain or tool.plugin.select.magic or tool.fits(mime, path, b"")
            for tool, certain in self._of(mime, state)
            if tool.plugin.name not in kept
        )

    def _of(self, mime: str, state: State) -> list[tuple[Tool, bool]]:
        candidates = self._by_type.get((mime, state))
        if candidates is None:
            candidates = self._by_type[mime, state] = list(self._candidates(mime, state))
        return candidates

    def _candidates(self, mime: str, state: State) -> Iterator[tuple[Tool, bool]]:
        """The tools that may take a file of a type, and whether they do whatever its path and beginning.

        What is in unallocated space is carved out of it only where that was asked for.
        """
        for tool in self._tools:
            select = tool.plugin.select
            if state not in select.states or (state in SPACE and tool.plugin.kind == "container" and not self._carve):
                continue
            if state in SPACE:
                yield tool, True
                continue
            certain = not (select.mime or select.names or select.magic) or mime_matches(mime, select.mime)
            if certain or select.names or select.magic:
                yield tool, certain


def equip(
    folders: Sequence[str], names: tuple[str, ...] | None, options: dict[str, dict[str, Value]], cache: str = ""
) -> tuple[tuple[Tool, ...], tuple[Fault, ...]]:
    """The tools of a run, in order of their names, and the plugins that could not be made ready, as faults.

    `names` restricts them (`None`: all); `cache` is for plugins that have an option of that name and were not given it.
    Raises UsageError for a name that is no plugin or an option that does not fit.
    """
    found = discovery.load(discovery.folders(folders))
    unknown = set(names or ()) - {loaded.plugin.name for loaded in found.plugins}
    if unknown:
        known = ", ".join(loaded.plugin.name for loaded in found.plugins)
        raise UsageError(f"no plugin is named {', '.join(sorted(unknown))}; there are: {known}")
    faults = list(found.faults)
    tools: list[Tool] = []
    for loaded in found.plugins:
        if names is not None and loaded.plugin.name not in names:
            continue
        plugin = loaded.plugin
        shared = {option.name: options[EVERY][option.name] for option in plugin.options if option.name in options.get(EVERY, {})}
        filled = plugin.filled(shared | options.get(plugin.name, {}))
        prepared = None
        if plugin.prepare:
            try:
                kept = {"cache": cache} if cache and filled.get("cache") == "" else {}
                prepared = plugin.prepare(**filled | kept)
            except ForensicsError as error:
                faults.append(Fault(location=loaded.source, kind="invalid-plugin", plugin=plugin.name, message=str(error)))
                continue
        info = PluginInfo(
            name=plugin.name,
            kind=plugin.kind,
            version=plugin.version,
            description=plugin.description,
            digest=loaded.digest,
            source=loaded.source,
            selection=str(plugin.select),
            needs=plugin.needs,
            options={name: list(value) if isinstance(value, tuple) else value for name, value in filled.items()},
            inputs=dict(sorted(prepared.inputs.items())) if prepared else {},
            notes=prepared.notes if prepared else (),
            idle=NOTHING_TO_DO if prepared and prepared.value is None else None,
        )
        info = msgspec.structs.replace(info, fingerprint=_fingerprint(info))
        tools.append(Tool(len(tools), plugin, filled, prepared, info))
    return tuple(tools), tuple(faults)


def _fingerprint(info: PluginInfo) -> str:
    """What a result depends on beside the content: the plugin's code, its options' values, what `prepare` read.

    Options that name files (rules, hash sets, passwords) count by what `inputs` holds of their content, and not by their path.
    """
    inputs = sorted(info.inputs.values())
    options = {} if info.inputs else dict(info.options)
    return identity([info.name, info.version, info.digest, options, inputs, list(sys.version_info[:2])])
