"""A child's side of an analyser: the case's records in, from the index opened read-only; findings out."""

from collections.abc import Iterator
from pathlib import Path

from forensics import index
from forensics.engine.keep import Keeper
from forensics.engine.workshop import Tool
from forensics.model import Derived, Fault, Record, StoredFinding


def analyse(tool: Tool, path: Path, keeper: Keeper) -> Iterator[Derived | Fault]:
    """What one analyser finds in the records. What it found before it failed is kept."""
    findings: list[StoredFinding] = []
    with index.open_index(path) as records:

        def ordered(*, kind: str | None = None, plugin: str | None = None) -> Iterator[Record]:
            return records.by_time(kind=kind, plugin=plugin)

        try:
            for item in tool.plugin(ordered, *tool.arguments, **tool.options):
                findings.append(keeper.store(item, len(findings)))
        except Exception as error:  # noqa: BLE001 - the same rule as around a plugin on a file
            yield Fault(location="case:records:", kind="error", plugin=tool.plugin.name, message=f"{type(error).__name__}: {error}"[:2000])
    if findings:
        yield Derived(plugin=tool.plugin.name, findings=tuple(findings))
