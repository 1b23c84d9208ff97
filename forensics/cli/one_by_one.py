"""`review next`: one record after another, for an examiner who has little time. Each answer is durable before the next record is shown."""

import sys
from collections.abc import Callable
from typing import Any

import click
import msgspec

from forensics import index, review
from forensics.case import Case
from forensics.cli.console import table
from forensics.errors import UsageError
from forensics.location import escape
from forensics.model import Record
from forensics.review import Query, vocabulary
from forensics.review.decide import checked_note

_QUESTION = "y confirm, n reject, c category, o note, l label, s skip, q quit: "
_WORDS = {"y": "yes", "n": "no", "c": "category", "o": "note", "l": "label", "s": "skip", "q": "quit"}
_DATA = 40  # fields of a finding that are shown


def go(case: Case, query: Query, by: str) -> None:
    """Ask about each unreviewed record that fits, or about those with another status where the query names one.

    Raises UsageError where this is no terminal, CaseLocked where another process is writing to the case at that moment.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("`review next` asks on a terminal; elsewhere use `review confirm` and `review reject` with a query")
    if "status" not in query.wanted:
        query = msgspec.structs.replace(query, wanted={**query.wanted, "status": ("unreviewed",)})
    said = review.state(case)
    with index.open_index(case.index_path) as found:  # only ids are held, and the index is closed while a person thinks
        ids = [record.id for record in review.select(found, query, said)]
    counts = {"confirmed": 0, "rejected": 0, "skipped": 0}
    for number, name in enumerate(ids, 1):
        with index.open_index(case.index_path) as found:
            record = next(found.choose(ids=[name]))
        click.echo(f"\nrecord {number} of {len(ids)}")
        table(("field", "value"), shown(name, record, said))
        change = _ask()
        if change is None:
            break
        if change:
            with case.lock():
                review.decide(case, [name], by=by, **change)
        counts[change.get("status", "skipped")] += 1
    click.echo(", ".join(f"{number} {what}" for what, number in counts.items()) + f"; {len(ids) - sum(counts.values())} not shown")


def _ask() -> dict[str, Any] | None:
    """What is said of the record on the screen; empty where it is skipped, `None` where the person stops."""
    change: dict[str, Any] = {}
    while True:
        answer = _line(_QUESTION)
        word = "q" if answer is None else answer.strip().lower()
        key = next((key for key, whole in _WORDS.items() if word in (key, whole)), "")
        if key == "q":
            return None
        if key in ("y", "n"):
            return {**change, "status": "confirmed" if key == "y" else "rejected"}
        if key == "s":
            return change
        if key == "c":
            _term("  category: ", vocabulary.category, lambda value: change.update(category=value))
        elif key == "l":
            _term("  label: ", vocabulary.label, lambda value: change.update(labels=(*change.get("labels", ()), value)))
        elif key == "o":
            _term("  note: ", checked_note, lambda value: change.update(note=value))
        else:
            click.echo(f"  {escape(word)!r} is none of these")


def _term(question: str, check: Callable[[str], str], keep: Callable[[str], object]) -> None:
    """Ask for a term until it is one; an empty answer goes back."""
    while answer := _line(question):
        try:
            keep(check(answer))
            return
        except UsageError as error:
            click.echo(f"  {escape(str(error))}")


def _line(question: str) -> str | None:
    """A line as a person types it; `None` where the terminal was closed (Ctrl-D)."""
    while True:
        try:
            return input(question)
        except EOFError:
            click.echo()
            return None
        except UnicodeDecodeError:
            click.echo("  that is not text in this terminal's encoding; type it again")


def shown(name: str, record: Record | None, said: review.Review) -> list[tuple[str, object]]:
    """A record as fields and values, what was said of it last."""
    rows: list[tuple[str, object]] = [("id", name)]
    if record is not None:
        finding = record.finding
        rows += [
            ("finding", finding.summary),
            ("kind", f"{finding.kind} ({finding.level})"),
            ("when", finding.when),
            ("location", record.location),
            ("state", record.state if record.content is None else f"{record.state}, content {record.content}"),
            ("where in it", finding.locator),
            ("plugin", f"{record.plugin} {record.plugin_version}"),
            ("SHA-256", record.sha256),
        ]
        rows += [(f"  {field}", value) for field, value in list(finding.data.items())[:_DATA]]
        if len(finding.data) > _DATA:
            rows.append(("  more fields", len(finding.data) - _DATA))
        decision = said.decisions.get(name)
        proposed = "" if decision and decision.category else " (proposed by the plugin)" if said.category(record) != "NONE" else ""
        rows += [("category", f"{said.category(record)}{proposed}")]
    rows += [("status", said.status(name))]
    if decision := said.decisions.get(name):
        rows += [
            ("reliability", decision.reliability),
            ("credibility", decision.credibility),
            ("likelihood", decision.likelihood),
            ("note", decision.note),
            ("labels", " ".join(decision.labels)),
            ("said last", f"{decision.at} by {decision.by}, line {decision.seq} of the custody log"),
        ]
    rows += [("about", ", ".join(f"{person.id} ({person.name or person.role})" for person in said.about(name)))]
    return [(field, value) for field, value in rows if value not in (None, "")]
