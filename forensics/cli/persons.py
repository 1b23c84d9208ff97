"""`person`: whom the records are about."""

from pathlib import Path
from typing import Any

import click

from forensics import review
from forensics.case import open_case
from forensics.cli.choosing import QUERY_HELP, changing, choose, done, who
from forensics.cli.console import by_option, case_option, json_option, say, table
from forensics.location import escape
from forensics.review.decide import known_person

_ROLES = "suspect, smuggled-person, victim, minor, witness or unknown"


def _origin(states: tuple[str, ...]) -> str:
    return " ".join(states) or "unknown (every state)"


@click.group()
def person() -> None:
    """Persons whom records are about: their role, their states of origin, whether they claim protection."""


@person.command()
@case_option
@by_option
@click.option("--name", help="The name, where it is known and needed.")
@click.option("--role", default="unknown", show_default=True, help=f"{_ROLES}.")
@click.option("--origin", "origins", multiple=True, help="A state of origin, as ID or MM; any number. None: unknown, so every state.")
@click.option("--protection-claim", is_flag=True, help="The person claims asylum or other protection.")
def add(folder: Path, by: str | None, name: str | None, role: str, origins: tuple[str, ...], protection_claim: bool) -> None:
    """Add somebody whom records are about."""
    case = open_case(folder)
    with case.lock():
        made = review.add_person(case, name=name, role=role, states_of_origin=origins, protection_claim=protection_claim, by=who(case, by))
    click.echo(f"{made.id}: {made.role}, states of origin: {_origin(made.states_of_origin)}")


@person.command(name="list")
@case_option
@json_option
def list_command(folder: Path, as_json: bool) -> None:
    """The persons of the case."""
    persons = review.state(open_case(folder)).persons.values()
    if as_json:
        for each in persons:
            say(each)
        return
    table(
        ("id", "name", "role", "states of origin", "claims protection", "records"),
        [(p.id, p.name, p.role, _origin(p.states_of_origin), "yes" if p.protection_claim else "no", len(p.records)) for p in persons],
    )


@person.command()
@click.argument("id_", metavar="PERSON")
@case_option
@json_option
def show(id_: str, folder: Path, as_json: bool) -> None:
    """A person, and the ids of the records about them."""
    found = known_person(review.state(open_case(folder)), id_)
    if as_json:
        say(found)
        return
    rows = [("id", found.id), ("name", found.name), ("role", found.role), ("states of origin", _origin(found.states_of_origin))]
    rows += [("claims protection", "yes" if found.protection_claim else "no"), ("records", str(len(found.records)))]
    table(("field", "value"), rows)
    for record in found.records:
        click.echo(record)


@person.command()
@click.argument("id_", metavar="PERSON")
@case_option
@by_option
@click.option("--name", help="The name; empty takes it away.")
@click.option("--role", help=f"{_ROLES}.")
@click.option("--origin", "origins", multiple=True, help="A state of origin, as ID or MM, in place of those before; any number.")
@click.option("--origin-unknown", is_flag=True, help="The states of origin are unknown after all: every state.")
@click.option("--protection-claim/--no-protection-claim", default=None, help="Whether the person claims asylum or other protection.")
def change(id_: str, folder: Path, by: str | None, origins: tuple[str, ...], origin_unknown: bool, **given: Any) -> None:
    """Say anew what is said of a person; the custody log keeps what was said before."""
    if origins and origin_unknown:
        raise click.UsageError("say --origin or --origin-unknown, not both")
    case = open_case(folder)
    states = () if origin_unknown else origins or None
    with case.lock():
        changed = review.change_person(case, id_, states_of_origin=states, by=who(case, by), **given)
    click.echo(f"{changed.id}: {changed.role}, states of origin: {_origin(changed.states_of_origin)}")


@person.command(epilog=QUERY_HELP)
@click.argument("id_", metavar="PERSON")
@changing
def link(id_: str, folder: Path, query: tuple[str, ...], by: str | None, yes: bool, dry_run: bool) -> None:
    """Say that the records that fit are about PERSON."""
    known = known_person(review.state(open_case(folder)), id_)
    chosen = choose(folder, query, by, what=f"link to {known.id}", yes=yes, dry_run=dry_run)
    if chosen is not None:
        with chosen.case.lock():
            line = review.link(chosen.case, known.id, chosen.records, by=chosen.by, query=chosen.query)
        done(f"about {escape(known.id)}", line, len(chosen.records))


@person.command(epilog=QUERY_HELP)
@click.argument("id_", metavar="PERSON")
@changing
def unlink(id_: str, folder: Path, query: tuple[str, ...], by: str | None, yes: bool, dry_run: bool) -> None:
    """Say that those of PERSON's records that fit are not about them after all."""
    known = known_person(review.state(open_case(folder)), id_)
    held = frozenset(known.records)
    chosen = choose(folder, query, by, what=f"unlink from {known.id}", yes=yes, dry_run=dry_run, only=held.__contains__)
    if chosen is not None:
        with chosen.case.lock():
            line = review.unlink(chosen.case, known.id, chosen.records, by=chosen.by, query=chosen.query)
        done(f"no longer about {known.id}", line, len(chosen.records))
