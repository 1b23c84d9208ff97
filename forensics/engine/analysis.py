"""A child's side of an analyser: the records of its run in, from the index opened read-only; findings out."""

from collections.abc import Iterator
from pathlib import Path

from forensics import index
from forensics.engine.guard import Failure, guarded
from forensics.engine.keep import Keeper, keep
from forensics.engine.workshop import Tool
from forensics.model import Derived, Fault, Record, StoredFinding


def analyse(tool: Tool, path: Path, run: str, keeper: Keeper) -> Iterator[Derived | Fault]:
    """What one analyser finds in the records of a run, and of no other, so that it finds the same whatever else the case holds.

    What it found before it failed is kept.
    """
    findings: list[StoredFinding] = []
    with index.open_index(path, run) as records:

        def ordered(*, kind: str | None = None, plugin: str | None = None) -> Iterator[Record]:
            return records.by_time(kind=kind, plugin=plugin)

        for item in guarded(lambda: tool.plugin(ordered, *tool.arguments, **tool.options)):
            failure = item if isinstance(item, Failure) else keep(keeper, item, findings)
            if failure:
                yield Fault(
                    location="case:records:", kind=failure.kind, plugin=tool.plugin.name, message=failure.message, limit=failure.limit
                )
                break
    if findings:
        yield Derived(plugin=tool.plugin.name, findings=tuple(findings))
