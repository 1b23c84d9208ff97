"""How far each plugin of a run got on one exhibit, also where nothing was offered to it: then the row says which nothing it is."""

import sqlite3
from collections import Counter
from collections.abc import Iterator

import msgspec

from forensics.model import Coverage, LayerInfo, PluginInfo, Remark, RunInfo

_AT_WORK = "kind != 'invalid-plugin'"  # a plugin that did not load stands with the first exhibit of the run, and says nothing of it
_layer = msgspec.json.Decoder(LayerInfo).decode


class _Row:
    """The counts of one plugin while they are added up."""

    def __init__(self) -> None:
        self.numbers: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.findings = 0


def rows(index: sqlite3.Connection, part: int, run: RunInfo, exhibit: str) -> Iterator[Coverage]:
    """A row for every plugin of `run` on the exhibit that it examined as `part`, in order of the plugins' names."""
    added: dict[str, _Row] = {plugin.name: _Row() for plugin in run.plugins}
    counted = index.execute("SELECT plugin, outcome, reason, number, findings FROM coverage WHERE part = ?", (part,))
    for name, outcome, reason, number, findings in counted:
        row = added.setdefault(name, _Row())
        row.numbers[outcome] += number
        row.findings += findings
        if reason:
            row.reasons[reason] += number
    known = {plugin.name: plugin for plugin in run.plugins}
    failed = _failed_analysers(index, run)
    idle = [plugin for plugin in run.plugins if plugin.idle and plugin.kind != "analyser"]
    if idle:
        read = int(index.execute("SELECT COUNT(*) FROM entries WHERE part = ? AND outcome = 'read'", (part,)).fetchone()[0])
        for each in idle:
            added[each.name].numbers["not-run"] += read
            added[each.name].reasons[each.idle or ""] += read
    otherwise: Remark | None = "not-examined" if _unopened(index, part) else None
    for name, row in sorted(added.items()):
        plugin = known.get(name)
        yield Coverage(
            exhibit=exhibit,
            plugin=name,
            offered=row.numbers.total(),
            read=row.numbers["read"],
            skipped=row.numbers["skipped"],
            failed=row.numbers["failed"],
            not_run=row.numbers["not-run"],
            findings=row.findings,
            reasons=dict(sorted((reason, number) for reason, number in row.reasons.items() if number)),
            remark=_analysis(plugin, row, failed) if plugin and plugin.kind == "analyser" else otherwise,
        )


def _analysis(plugin: PluginInfo, row: _Row, failed: set[str]) -> Remark:
    """An analyser takes the records of the whole run once, and no files: what became of that is said beside each exhibit."""
    if plugin.name in failed:
        return "analysis-failed"
    return "analysis-not-run" if plugin.idle and not row.findings else "analysed"


def _failed_analysers(index: sqlite3.Connection, run: RunInfo) -> set[str]:
    """The analysers of `run` that have a fault; it stands with one of the run's exhibits, whichever is shown now."""
    analysers = {plugin.name for plugin in run.plugins if plugin.kind == "analyser"}
    here = "part IN (SELECT part FROM parts WHERE run = ?)"
    faults = index.execute(f"SELECT DISTINCT plugin FROM faults WHERE plugin IS NOT NULL AND {_AT_WORK} AND {here}", (run.run,))  # noqa: S608
    return analysers.intersection(name for (name,) in faults)


def _unopened(index: sqlite3.Connection, part: int) -> bool:
    """Whether nothing of an exhibit could be opened: it has no entry and no layer that was examined, and something says that it failed."""
    if index.execute("SELECT 1 FROM entries WHERE part = ? LIMIT 1", (part,)).fetchone():
        return False
    layers = [_layer(line) for (line,) in index.execute("SELECT line FROM layers WHERE part = ?", (part,))]
    if layers:
        return not any(layer.examined for layer in layers)
    return bool(index.execute(f"SELECT 1 FROM faults WHERE part = ? AND plugin IS NULL AND {_AT_WORK} LIMIT 1", (part,)).fetchone())  # noqa: S608
