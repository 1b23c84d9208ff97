"""`records`, `search`, `why`, `extract`, `compare`: questions to a case that has been examined."""

import shutil
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

import click
import msgspec

from forensics import index, review
from forensics.case import Case, open_case
from forensics.cli.console import case_option, json_option, say, table
from forensics.cli.keys import key_option, keys_of, passwords_option, with_passwords
from forensics.engine import alone, extraction
from forensics.engine.options import Options
from forensics.engine.task import Wanted
from forensics.errors import CaseError, UsageError
from forensics.export import csv
from forensics.export.whole import whole
from forensics.glob import matches
from forensics.location import Location, escape, printable
from forensics.model import Examined, Record

SHOWN = 200  # rows of a table on the terminal
_DAY = click.DateTime(["%Y-%m-%d"])


def _open(folder: Path) -> Case:
    case = open_case(folder)
    index.look(case)
    return case


@click.command()
@case_option
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for a spreadsheet.")
@click.option("--kind", help="Only records of this kind.")
@click.option("--plugin", help="Only records of this plugin.")
@click.option("--level", type=click.Choice(["alert", "notable", "info"]), help="Only records of this level.")
@click.option("--exhibit", help="Only records of this exhibit.")
@click.option("--location", "paths", multiple=True, metavar="GLOB", help="Only of files with such a path, as **/DCIM/*.jpg.")
@click.option("--since", type=_DAY, help="Only what is dated that day or later.")
@click.option("--until", type=_DAY, help="Only what is dated that day or earlier.")
@click.option("--query", help="Only what fits, such as 'status=confirmed category=SOM-PAYMENT'; `review list --help` explains the terms.")
@click.option("--limit", type=click.IntRange(1), help="At most so many (default: 200 in a table, all as CSV and JSON).")
def records(
    folder: Path,
    as_json: bool,
    as_csv: bool,
    kind: str | None,
    plugin: str | None,
    level: str | None,
    exhibit: str | None,
    paths: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    query: str | None,
    limit: int | None,
) -> None:
    """What was found."""
    if as_json and as_csv:
        raise UsageError("say --json or --csv, not both")
    if query is not None and (kind or plugin or level or exhibit):
        raise UsageError("say it all in --query (kind=, plugin=, level=, exhibit=), or leave --query away")
    days = since.date().isoformat() if since else "", until.date().isoformat() if until else ""
    case = _open(folder)
    with index.open_index(case.index_path) as found:
        if query is None:
            every = found.records(kind=kind, plugin=plugin, level=level, exhibit=exhibit)
        else:
            every = review.select(found, query, review.state(case))
        rows = islice((record for record in every if _wanted(record, paths, *days)), limit)
        if as_json:
            for record in rows:
                say(record)
        elif as_csv:
            sys.stdout.buffer.writelines(csv.stream(csv.FINDINGS, rows))
        else:
            shown = ((r.finding.level, r.finding.kind, r.finding.summary, r.location) for r in rows)
            _table(("level", "kind", "finding", "location"), shown, limit or SHOWN, "--limit shows more, --csv and --json print all")


def _table(titles: tuple[str, ...], rows: Iterator[tuple[object, ...]], limit: int, others: str) -> None:
    """A table of the first `limit` rows, since a table is held whole; then how many more there are, and that `others` print them."""
    table(titles, islice(rows, limit))
    if more := sum(1 for _ in rows):
        click.echo(f"{more} more; {others}")


def _wanted(record: Record, paths: tuple[str, ...], since: str, until: str) -> bool:
    """Whether a record's path fits one of `paths`, and its time lies within the days given; without a time it lies in no period."""
    if (since or until) and not (record.finding.when and since <= record.finding.when[:10] <= (until or "9999")):
        return False
    return not paths or matches(printable(Location.parse(record.location).path), paths)


@click.command()
@click.argument("text")
@case_option
@json_option
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
def search(text: str, folder: Path, as_json: bool, limit: int) -> None:
    """Names and findings that hold TEXT, in any script."""
    with index.open_index(_open(folder).index_path) as found:
        rows = found.search(text, limit)
        if as_json:
            for location, summary in rows:
                say({"location": location, "summary": summary})
        else:
            table(("finding or name", "location"), ((summary, location) for location, summary in rows))


def _one(found: index.Index, place: str) -> Examined:
    entries = found.entries_at(place)
    if not entries:
        raise UsageError(f"{place!r}: nothing stands there; `forensics search` finds locations by a part of their name")
    if len(entries) > 1:
        raise UsageError("several stand there; say which:\n" + "\n".join(entry.entry.location for entry in entries[:20]))
    return entries[0]


@click.command()
@click.argument("location")
@case_option
@json_option
def why(location: str, folder: Path, as_json: bool) -> None:
    """What was done to the file at LOCATION, plugin by plugin, and why not."""
    with index.open_index(_open(folder).index_path) as found:
        entry = _one(found, location)
        faults = list(found.faults(location=entry.entry.location))
        if as_json:
            say({"entry": entry, "faults": faults})
            return
        digests = entry.digests or None
        table(
            ("what", "value"),
            [
                ("location", entry.entry.location),
                ("state", entry.entry.state),
                ("content", entry.entry.content),
                ("read", entry.outcome or "it has no content"),
                ("because", entry.reason),
                ("type", entry.mime),
                ("SHA-256", digests.sha256 if digests else None),
            ],
        )
        done = {outcome.plugin: outcome for outcome in entry.plugins}
        rows = []
        run = found.run_at(entry.entry.location)
        for each in (plugin for plugin in run.plugins if plugin.kind != "analyser"):
            outcome = done.get(each.name)
            if outcome is None and each.idle:
                rows.append((each.name, "not run", each.idle))
            elif outcome is None:
                rows.append((each.name, "not offered", f"it takes {each.selection}"))
            else:
                rows.append((each.name, outcome.outcome, outcome.reason or f"{outcome.findings} findings"))
        table(("plugin", "outcome", "why"), rows)
        table(("fault", "of", "message"), [(fault.kind, fault.plugin or "the reader", fault.message) for fault in faults])


@click.command()
@click.argument("location")
@case_option
@key_option
@passwords_option
@click.option("--output", type=click.Path(path_type=Path), help="Where to write it (default: the case's extracted folder).")
def extract(location: str, folder: Path, keys: tuple[str, ...], passwords: Path | None, output: Path | None) -> None:
    """Write the content at LOCATION to a file, and check it against its digest; also of a file inside another."""
    case = _open(folder)
    with index.open_index(case.index_path) as found:
        entry = _one(found, location)
        if entry.digests is None:
            raise CaseError(f"{location}: was not read ({entry.reason or 'it has no content'}), so there is nothing to extract")
        containers = frozenset(plugin.name for one in found.runs() for plugin in one.plugins if plugin.kind == "container")
        base, through = extraction.path_to(Location.parse(entry.entry.location), containers)
        outermost = _one(found, str(base))
    if output is not None and output.exists():
        raise UsageError(f"{output} exists already; name another file")
    options = Options(plugin_options=with_passwords(case.plugin_options, passwords), keys=keys_of(keys))
    digest, size = alone.extract(case, Wanted(outermost.entry, through), options)
    if digest != entry.digests.sha256:
        raise CaseError(
            f"{location}: reads differently now ({digest}) than when it was examined ({entry.digests.sha256}); "
            "if a password opened it then, give the same --passwords"
        )
    target = case.extracted / digest[:2] / digest
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        with whole(output) as temporary:
            shutil.copyfile(target, temporary)
    click.echo(f"{escape(str(output or target))}: {size} bytes, SHA-256 {digest}, as examined")


def _run_at(folder: Path, text: str) -> tuple[Case, str]:
    if "/" in text:
        path = Path(text)
        return _open(path.parents[1]), path.name
    return _open(folder), text


@click.command()
@click.argument("first")
@click.argument("second")
@case_option
@json_option
def compare(first: str, second: str, folder: Path, as_json: bool) -> int:
    """Whether two runs found the same; else what differs. A run of another case is named by its folder, CASE/runs/RUN."""
    (left, left_run), (right, right_run) = _run_at(folder, first), _run_at(folder, second)
    with index.open_index(left.index_path, left_run) as one, index.open_index(right.index_path, right_run) as other:
        digests = one.run_digest(left_run), other.run_digest(right_run)
        limited = one.limited(left_run) or other.limited(right_run)
    same = digests[0] == digests[1]
    if as_json:
        say({"same": same, "digests": digests, "comparable": not limited})
    else:
        click.echo(f"{'the same' if same else 'different'}: {digests[0]} {digests[1]}")
        if limited:
            click.echo("a limit of time or memory struck in one of them: they are not comparable")
    if not same:
        differences = index.compare(left.index_path, left_run, right.index_path, right_run)
        if as_json:
            for difference in differences:
                say(msgspec.structs.asdict(difference))
        else:
            _table(("only in", "what", "location"), ((d.side, d.what, d.location) for d in differences), SHOWN, "--json prints all")
    return 0 if same else 1
