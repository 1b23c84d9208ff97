"""How far each plugin of a run got on one exhibit, also where nothing was offered to it: then the row says which nothing it is."""

import sqlite3
from collections import Counter
from collections.abc import Iterator

import msgspec

from forensics.model import Coverage, LayerInfo, PluginInfo, Remark, RunInfo

_AT_WORK = "kind != 'invalid-plugin'"  # a plugin that did not load stands with the first exhibit of the run, and says nothing of it
_SPACE = {"unallocated space": "unallocated", "slack": "slack"}  # as a selection names it, and the option of a run that asks for it
_LOOKS_FOR = {
    "rule-match": "rules are given with --rules",
    "rule-match-named": "rules are given with --rules",
    "known-hash": "known digests are given with --hash-set",
}
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
            added[each.name].reasons[_why_idle(each)] += read
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
            remark=_analysis(plugin, row, failed) if plugin and plugin.kind == "analyser" else otherwise or _not_asked(plugin, run),
        )


def _why_idle(plugin: PluginInfo) -> str:
    """Why a plugin was offered nothing: what it looks for was not asked for, or what it was given holds nothing to look for."""
    asked = _LOOKS_FOR.get(plugin.name)
    return (plugin.idle or "") if asked is None or plugin.inputs else f"not asked for: {asked}"


def _not_asked(plugin: PluginInfo | None, run: RunInfo) -> Remark | None:
    """Of a plugin that reads nothing but space that no file has: whether that was not asked for."""
    wanted = set(plugin.selection.split(" and ")) if plugin else set()
    if plugin is None or not wanted <= _SPACE.keys():
        return None
    if plugin.kind == "container":  # files come out of space by carving alone
        return None if run.options.get("carve") else "not-asked-carve"
    if any(run.options.get(_SPACE[each]) for each in wanted):
        return None
    return "not-asked-space" if len(wanted) > 1 else "not-asked-slack" if "slack" in wanted else "not-asked-unallocated"


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
