"""What a person says of a case and of an exhibit: by options, and on a terminal by answering a question for each required field.

An answer that does not fit is refused and asked for again. What is left empty stays missing; of a case it is noted in case.toml, so that
a later `process` does not ask again.
"""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct

from forensics import settings
from forensics.case import Case, change, correct_exhibit, create
from forensics.cli import fields
from forensics.errors import UsageError
from forensics.location import escape
from forensics.model import Authority, CaseInfo, Exhibit

_AUTHORITY = "case.legal_authority"

no_input_option = click.option("--no-input", is_flag=True, help="Ask nothing, though this is a terminal.")


def possible(no_input: bool, as_json: bool = False) -> bool:
    """Whether somebody can be asked: input and output are terminals, and neither ``--no-input`` nor ``--json`` was given."""
    return not no_input and not as_json and sys.stdin.isatty() and sys.stdout.isatty()


class Answers(Struct, frozen=True):
    """Answers by name, such as ``case.agency``, and the names of the fields that were left empty."""

    given: dict[str, Any]
    left: tuple[str, ...]


def ask(names: Iterable[str], of: str) -> Answers:
    """Ask for each of these fields `of` a case or an exhibit, once. Raises KeyboardInterrupt."""
    wanted = tuple(names)
    given: dict[str, Any] = {}
    if not wanted:
        return Answers(given, ())
    click.echo(f"Required fields of {escape(of)} that are empty: {len(wanted)}. Enter leaves one empty, Ctrl-D all that follow.")
    for name in wanted:
        table, _, field = name.rpartition(".")
        if f"{table}.{settings.INSTEAD.get(field)}" in given:
            continue
        try:
            answer = _answer(name, f"  {field} ({settings.TABLES[table][field][1]}): ")
        except EOFError:
            click.echo()
            break
        if answer:
            given[name] = answer
    return Answers(given, tuple(name for name in wanted if name not in given))


def _answer(name: str, question: str) -> str | tuple[str, ...]:
    """Raises EOFError."""
    if settings.is_list(name):
        question = question.replace("): ", "; several: with ; between them): ")
    while True:
        try:
            text = input(question)
            if settings.is_list(name):
                return tuple(part for each in text.split(";") if (part := settings.checked(name, each)))
            return settings.checked(name, text)
        except UnicodeDecodeError:
            click.echo("  that is not text in this terminal's encoding; type it again")
        except UsageError as error:
            click.echo(f"  {escape(str(error))}")


def missing(table: str, held: CaseInfo | Authority | Exhibit) -> tuple[str, ...]:
    """The required fields of a table that `held` does not have, such as ``exhibit.kind``."""
    return tuple(
        f"{table}.{name}"
        for name, (required, _) in settings.TABLES[table].items()
        if required and not getattr(held, name) and not getattr(held, settings.INSTEAD.get(name, name))
    )


def _missing(info: CaseInfo) -> tuple[str, ...]:
    return missing("case", info) + missing(_AUTHORITY, info.authority)


def _case_values(given: dict[str, Any]) -> dict[str, Any]:
    values = {f"case.{name}": value for name, value in fields.taken(given, "case").items()}
    return values | {f"{_AUTHORITY}.{name}": value for name, value in fields.taken(given, "authority").items()}


def _with(info: CaseInfo, values: dict[str, Any]) -> CaseInfo:
    authority = {name.rpartition(".")[2]: value or None for name, value in values.items() if name.startswith(f"{_AUTHORITY}.")}
    own = {name.rpartition(".")[2]: value for name, value in values.items() if name.rpartition(".")[0] == "case"}
    own = {name: value or (() if settings.is_list(f"case.{name}") else None) for name, value in own.items()}
    return msgspec.structs.replace(info, **own, authority=msgspec.structs.replace(info.authority, **authority))


def new_case(folder: Path, given: dict[str, Any], by: str | None, asking: bool) -> Case:
    """Make a case of the options `given` (theirs are taken out) and of the answers. Raises UsageError, CaseError."""
    info = _with(CaseInfo(opened_at=datetime.now(UTC).date().isoformat()), _case_values(given))
    left: tuple[str, ...] = ()
    if asking and not (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):  # else it is refused, so nobody is asked
        answers = ask(_missing(info), "the case")
        info, left = _with(info, answers.given), answers.left
    case = create(folder, info, by=by)
    if not left:
        return case
    with case.lock():
        return change(case, {"asked": left})


def update_case(case: Case, given: dict[str, Any], asking: bool, *, again: bool = False) -> Case:
    """Write what was `given` by options into case.toml, and ask for what is still missing: `again`, or what nobody was asked for yet.

    The case is locked by the caller. Raises UsageError, CaseError.
    """
    values = _case_values(given)
    info = _with(case.info, values)
    if asking:
        answers = ask((name for name in _missing(info) if again or name not in case.settings.asked), "the case")
        info, values = _with(info, answers.given), values | answers.given
        left = tuple(name for name in dict.fromkeys((*case.settings.asked, *answers.left)) if name in _missing(info))
        if left != case.settings.asked:
            values["asked"] = left
    return change(case, values) if info != case.info or "asked" in values else case


def receive(case: Case, exhibit: Exhibit, by: str | None, asking: bool) -> Exhibit:
    """Add `exhibit`, having asked for what is missing of it. The case is locked by the caller. Raises UsageError, CaseError."""
    if asking and exhibit.exhibit_id not in {held.exhibit_id for held in case.exhibits()}:  # else it is refused, so nobody is asked
        exhibit = _replaced(exhibit, ask(missing("exhibit", exhibit), f"exhibit {exhibit.exhibit_id or exhibit.image}").given)
    return case.add_exhibit(exhibit, by)


def correct(case: Case, exhibit: Exhibit, values: dict[str, Any], purpose: str, by: str | None, asking: bool = False) -> Exhibit:
    """Say anew what an exhibit is, where that is another thing than was said; the log keeps both. The case is locked by the caller.

    Raises UsageError, CaseError.
    """
    new = _replaced(exhibit, values)
    if (asking or new != exhibit) and not by:
        raise UsageError(f"exhibit {exhibit.exhibit_id}: something else was said of it; to correct that, name yourself with --by")
    if asking:
        new = _replaced(new, ask(missing("exhibit", new), f"exhibit {exhibit.exhibit_id}").given)
    return exhibit if new == exhibit else correct_exhibit(case, new, purpose, by)


def _replaced(exhibit: Exhibit, values: dict[str, Any]) -> Exhibit:
    return msgspec.structs.replace(exhibit, **{name.removeprefix("exhibit."): value or None for name, value in values.items()})
