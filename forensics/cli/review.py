"""`review`: what people say of the records, by query or by id."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from forensics import index, review
from forensics.cli import one_by_one
from forensics.cli.choosing import (
    QUERY_HELP,
    ROW,
    changing,
    choose,
    done,
    known_record,
    opened,
    query_argument,
    summary_row,
    who,
)
from forensics.cli.console import by_option, case_option, json_option, say, table
from forensics.model import Record
from forensics.review import vocabulary
from forensics.review.model import Event, PersonSaid, Status


def _checked(check: Callable[[str], object]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A term of a closed list, or several; empty text stays, it takes back."""

    def callback(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(check(each) for each in value)
        return check(value) if value else value

    return callback


def _confidence(command: Any) -> Any:
    for name, check, text in (
        ("--likelihood", vocabulary.likelihood, "almost-no-chance ... almost-certain; empty takes it back."),
        ("--credibility", vocabulary.credibility, "Of the information, 1 (confirmed) to 5, or 6 (cannot be judged); empty takes it back."),
        ("--reliability", vocabulary.reliability, "Of the source, A (completely) to E, or F (cannot be judged); empty takes it back."),
    ):
        command = click.option(name, callback=_checked(check), help=text)(command)
    return command


def _remarks(command: Any) -> Any:
    command = click.option("--label", "labels", multiple=True, callback=_checked(vocabulary.label), help="A handling label; any number.")(
        command
    )
    command = click.option("--note", help="A note, in place of the one before.")(command)
    command = _confidence(command)
    return click.option("--category", callback=_checked(vocabulary.category), help="As SOM-PAYMENT; `review terms` lists them.")(command)


def _say(folder: Path, query: tuple[str, ...], by: str | None, yes: bool, dry_run: bool, what: str, told: str, **change: Any) -> None:
    chosen = choose(folder, query, by, what=what, yes=yes, dry_run=dry_run)
    if chosen is not None:
        with chosen.case.lock():
            line = review.decide(chosen.case, chosen.records, by=chosen.by, query=chosen.query, **change)
        done(told, line, len(chosen.records))


@click.group(name="review", epilog=QUERY_HELP)
def review_group() -> None:
    """Decide about the records: confirm, reject, note, label, categorise."""


@review_group.command(name="list", epilog=QUERY_HELP)
@query_argument
@case_option
@json_option
@click.option("--limit", type=click.IntRange(1), help="At most so many (default: 200 in a table, all as JSON).")
def list_command(query: tuple[str, ...], folder: Path, as_json: bool, limit: int | None) -> None:
    """The records that fit, and what was said of them."""
    case = opened(folder)
    said = review.state(case)
    number = 0
    rows: list[tuple[object, ...]] = []
    with index.open_index(case.index_path) as found:
        for record in review.select(found, review.parse(query), said):
            number += 1
            if as_json:
                if limit is not None and number > limit:
                    break
                say(_whole(record, said))
            elif number <= (limit or 200):
                rows.append(summary_row(record, said))
    if not as_json:
        table(ROW, rows)
        click.echo(f"{number} fit" + (f"; {len(rows)} are shown, --limit shows more" if number > len(rows) else ""))


def _whole(record: Record, said: review.Review) -> dict[str, object]:
    return {
        "record": record,
        "status": said.status(record.id),
        "category": said.category(record),
        "decision": said.decisions.get(record.id),
        "persons": said.linked.get(record.id, ()),
    }


@review_group.command()
@click.argument("id_", metavar="ID")
@case_option
@json_option
def show(id_: str, folder: Path, as_json: bool) -> None:
    """A record whole, what was said of it, and by whom."""
    case = opened(folder)
    said = review.state(case)
    with index.open_index(case.index_path) as found:
        name = known_record(found, said, id_)
        record = next(found.choose(ids=[name]), None)
    events = list(review.history(case.folder, [name]))
    if as_json:
        about = _whole(record, said) if record else {"record": None, "status": said.status(name), "decision": said.decisions.get(name)}
        say({**about, "id": name, "history": events})
        return
    if record is None:
        click.echo("the latest runs did not find this record; what was said of it is kept")
    table(("field", "value"), one_by_one.shown(name, record, said))
    _history(events)


def _history(events: list[Event]) -> None:
    rows = []
    for event in events:
        number = "" if isinstance(event.said, PersonSaid) else len(event.said.records)
        rows.append((event.seq, event.at, event.by, number, review.told(event.said)))
    table(("line", "at", "by", "records", "said"), rows)


@review_group.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@case_option
@json_option
def history(ids: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Everything that was ever said, or all that was said of some records; oldest first."""
    case = opened(folder)
    names = None
    if ids:
        said = review.state(case)
        with index.open_index(case.index_path) as found:
            names = {known_record(found, said, each) for each in ids}
    events = review.history(case.folder, names)
    if as_json:
        for event in events:
            say(event)
        return
    _history(list(events))


@review_group.command()
@case_option
@json_option
def summary(folder: Path, as_json: bool) -> None:
    """How far review has come: records by status, category and label."""
    case = opened(folder)
    with index.open_index(case.index_path) as found:
        counted = review.summary(review.state(case), found)
    if as_json:
        say(counted)
        return
    rows = [(f"records, {name}", number) for name, number in counted.by_status.items()]
    rows += [(f"confirmed, {name}", number) for name, number in counted.by_category.items()]
    rows += [(f"unreviewed, proposed {name}", number) for name, number in counted.proposed.items()]
    rows += [(f"label {name}", number) for name, number in counted.by_label.items()]
    rows += [("persons", counted.persons), ("records about persons", counted.linked)]
    rows += [("stale: decided, labelled or linked, but not found by the latest runs", counted.stale)]
    table(("what", "number"), rows)


@review_group.command()
@case_option
@json_option
def stale(folder: Path, as_json: bool) -> None:
    """What was said of records that the latest runs did not find; it is kept, and holds again where they are found again."""
    case = opened(folder)
    with index.open_index(case.index_path) as found:
        gone = review.stale(review.state(case), found)
    if as_json:
        for each in gone:
            say(each)
        return
    rows = [
        (each.record, each.status, each.category or "", " ".join(each.labels), " ".join(each.persons), each.by, each.at, each.note or "")
        for each in gone
    ]
    table(("record", "status", "category", "labels", "persons", "by", "at", "note"), rows)


@review_group.command(name="terms")
@json_option
def terms_command(as_json: bool) -> None:
    """The closed lists: categories, labels, confidence, roles; in English and Indonesian, with their sources."""
    others = review.terms()
    lists = {
        "category": review.categories(),
        "label": others.labels,
        "reliability": others.reliability,
        "credibility": others.credibility,
        "likelihood": others.likelihood,
        "role": others.roles,
    }
    if as_json:
        say({"categories_version": review.categories_version(), "terms_version": others.version, **lists})
        return
    table(
        ("list", "term", "English", "Indonesian", "source"),
        [(what, term.id, term.name["en"], term.name["id"], term.source) for what, held in lists.items() for term in held],
    )


# --- saying something -------------------------------------------------------------------------------------------------------


def _decision(status: Status, name: str, told: str, text: str) -> None:
    @changing
    @_remarks
    def command(folder: Path, query: tuple[str, ...], by: str | None, yes: bool, dry_run: bool, **change: Any) -> None:
        _say(folder, query, by, yes, dry_run, name, told, status=status, **change)

    review_group.command(name=name, help=text, epilog=QUERY_HELP)(command)


_decision("confirmed", "confirm", "confirmed", "Confirm the records that fit: a person has seen that they are so.")
_decision("rejected", "reject", "rejected", "Reject the records that fit: a person has seen that they are not so, or of no use.")
_decision("unreviewed", "reopen", "unreviewed again", "Take decisions back: the records that fit are unreviewed again.")


@review_group.command(epilog=QUERY_HELP)
@click.argument("text")
@changing
def note(text: str, folder: Path, query: tuple[str, ...], by: str | None, yes: bool, dry_run: bool) -> None:
    """Write the note TEXT to the records that fit, in place of the one before; empty text takes it back."""
    _say(folder, query, by, yes, dry_run, "note", "noted", note=text)


@review_group.command(epilog=QUERY_HELP)
@click.argument("label_", metavar="LABEL", callback=_checked(vocabulary.label))
@changing
@click.option("--remove", is_flag=True, help="Take the label away.")
def label(label_: str, folder: Path, query: tuple[str, ...], by: str | None, yes: bool, dry_run: bool, remove: bool) -> None:
    """Give the handling label LABEL to the records that fit (legal-privilege, protection-claim, minor, victim, ...)."""
    change = {"without_labels" if remove else "labels": (label_,)}
    _say(folder, query, by, yes, dry_run, f"{'remove label' if remove else 'label'} {label_} of", f"label {label_}", **change)


@review_group.command(epilog=QUERY_HELP)
@click.argument("category_", metavar="CATEGORY", callback=_checked(vocabulary.category))
@changing
def category(category_: str, folder: Path, query: tuple[str, ...], by: str | None, yes: bool, dry_run: bool) -> None:
    """Give CATEGORY (as SOM-PAYMENT) to the records that fit."""
    _say(folder, query, by, yes, dry_run, f"give {category_} to", category_, category=category_)


@review_group.command(epilog=QUERY_HELP)
@changing
@_confidence
def confidence(folder: Path, query: tuple[str, ...], by: str | None, yes: bool, dry_run: bool, **change: Any) -> None:
    """Say how reliable the source, how credible the information and how likely it is, of the records that fit."""
    _say(folder, query, by, yes, dry_run, "say confidence of", "confidence", **change)


@review_group.command(name="next", epilog=QUERY_HELP)
@query_argument
@case_option
@by_option
def next_command(query: tuple[str, ...], folder: Path, by: str | None) -> None:
    """One record after another, on a terminal: y confirms, n rejects, s skips, q quits. The same command goes on from there."""
    case = opened(folder)
    one_by_one.go(case, review.parse(query), who(case, by))
