"""Records chosen by a query for something to be said of them: counted, shown, asked for on a terminal, then said."""

import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from forensics import index, review
from forensics.case import Case, open_case
from forensics.cli.console import by_option, case_option, table
from forensics.custody import CustodyLine
from forensics.errors import UsageError
from forensics.location import escape
from forensics.model import Record
from forensics.review.query import HELP

SHORT = 16  # digits of an id that a table shows
_SHOWN = 20  # records that a dry run shows

query_argument = click.argument("query", nargs=-1, metavar="QUERY...")


def changing(command: Any) -> Any:
    """The options of a command that says something of the records that a query chooses."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Show which records fit, and change nothing."),
        click.option("--yes", is_flag=True, help="Do not ask whether the number of records is right."),
        by_option,
        case_option,
        query_argument,
    ):
        command = option(command)
    return command


class Chosen(Struct, frozen=True):
    """Records for something to be said of: the open case, who says it, the ids, the query that chose them (`None` where ids did)."""

    case: Case
    by: str
    records: tuple[str, ...]
    query: str | None


def opened(folder: Path) -> Case:
    """The case in `folder`, its index in order. Raises CaseError."""
    case = open_case(folder)
    index.look(case)
    return case


def who(case: Case, by: str | None) -> str:
    """Who says it: ``--by``, else the examiner of case.toml. Raises UsageError where neither is there."""
    name = by or case.info.examiner
    if not name:
        raise UsageError("nobody is named who says this: give --by, set FORENSICS_BY, or write case.examiner into case.toml")
    return name


def summary_row(record: Record, said: review.Review) -> tuple[object, ...]:
    """A record as a line of a table (`ROW` names the columns)."""
    finding = record.finding
    return record.id[:SHORT], said.status(record.id), said.category(record), finding.level, finding.kind, finding.summary, record.location


ROW = ("id", "status", "category", "level", "kind", "finding", "location")


def choose(
    folder: Path, words: tuple[str, ...], by: str | None, *, what: str, yes: bool, dry_run: bool, only: Callable[[str], bool] | None = None
) -> Chosen | None:
    """The records that fit, after a person said yes to their number; `None` where nothing is to be done (a dry run, a no).

    `what` is what would be done, as "confirm"; `only` keeps some of the ids. Ids named one by one need no yes. Raises UsageError where
    nothing was asked for, nothing fits, nobody is named, or nobody can be asked.
    """
    case = opened(folder)
    query = review.parse(words)
    if not query.text:
        raise UsageError("say which records: ids, a query such as kind=photo unreviewed, or all")
    name = who(case, by)
    said = review.state(case)
    with index.open_index(case.index_path) as found:
        ids = [record for record in review.chosen(found, query, said) if only is None or only(record)]
        if dry_run:
            table(ROW, (summary_row(record, said) for record in islice(found.choose(ids=ids[:_SHOWN]), _SHOWN)))
    if not ids:
        raise UsageError(f"no record fits {query.text!r}; `forensics review list` shows what there is")
    number = f"{len(ids)} record{'' if len(ids) == 1 else 's'}"
    if dry_run:
        more = f"; the first {_SHOWN} are shown" if len(ids) > _SHOWN else ""
        click.echo(f"would {what} {number}{more}; nothing was changed")
        return None
    if not yes and not query.ids_alone:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError(f"{number} fit: say --yes to {what} them, or --dry-run to see them")
        if not click.confirm(f"{what} {number}?"):
            click.echo("nothing was changed")
            return None
    return Chosen(case, name, tuple(ids), None if query.ids_alone else query.text)


def done(what: str, line: CustodyLine, number: int) -> None:
    """Say what was done, and where it stands."""
    click.echo(f"{escape(what)}: {number} record{'' if number == 1 else 's'} (line {line.seq} of the custody log)")


def known_record(found: index.Index, said: review.Review, prefix: str) -> str:
    """The one id that begins with `prefix`: of the latest runs' records, or of those that something was said of. Raises UsageError."""
    wanted = prefix.lower()
    if len(wanted) < 4 or set(wanted) - set("0123456789abcdef"):
        raise UsageError(f"{prefix!r} is not the id of a record: hexadecimal digits, at least four")
    ids = {*found.ids(wanted), *(each for known in (said.decisions, said.linked) for each in known if each.startswith(wanted))}
    if len(ids) != 1:
        raise UsageError(f"{prefix!r}: " + (f"{len(ids)} records have ids that begin so; give more digits" if ids else "no such record"))
    return ids.pop()


QUERY_HELP = HELP
