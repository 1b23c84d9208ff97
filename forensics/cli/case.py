"""`case` and `exhibit`: the matter and the items received."""

from pathlib import Path
from typing import Any

import click

from forensics import index
from forensics.case import Case, check, missing_fields, open_case
from forensics.cli import fields, interview
from forensics.cli.console import by_option, case_option, json_option, say, table
from forensics.errors import CaseError, UsageError
from forensics.exchange import kept
from forensics.model import Exhibit


@click.group()
def case() -> None:
    """The case: make one, show it, check it."""


@case.command(cls=fields.Grouped)
@case_option
@by_option
@interview.no_input_option
@fields.options("case", "authority")
def new(folder: Path, by: str | None, no_input: bool, **given: Any) -> None:
    """Make an empty case; on a terminal, ask for what is required."""
    made = interview.new_case(folder, given, by, interview.possible(no_input))
    click.echo(f"{made.folder}: made; {_to_fill_in(made)}")


@case.command(cls=fields.Grouped)
@case_option
@interview.no_input_option
@fields.options("case", "authority")
def fill(folder: Path, no_input: bool, **given: Any) -> None:
    """Set fields of the case; on a terminal, ask for all that are required and empty."""
    opened = open_case(folder)
    with opened.lock():
        opened = interview.update_case(opened, given, interview.possible(no_input), again=True)
    click.echo(f"{opened.folder}: {_to_fill_in(opened)}")


def _to_fill_in(opened: Case) -> str:
    number = len([name for name in missing_fields(opened.info, opened.exhibits()) if name.startswith("case.")])
    if not number:
        return "every required field of the case is filled in"
    return f"{number} required fields are empty: answer `forensics case fill`, or write them into {opened.folder / 'case.toml'}"


@case.command()
@case_option
@json_option
def show(folder: Path, as_json: bool) -> None:
    """What the case is, its exhibits and runs, and which required fields are missing."""
    opened = open_case(folder)
    exhibits = opened.exhibits()
    missing = missing_fields(opened.info, exhibits)
    if as_json:
        say({"info": opened.info, "exhibits": exhibits, "runs": opened.runs(), "missing": missing})
        return
    table(("field", "value"), [(name, getattr(opened.info, name)) for name in ("case_id", "agency", "examiner", "opened_at")])
    table(("exhibit", "image"), [(exhibit.exhibit_id, exhibit.image) for exhibit in exhibits])
    runs = [(name, "complete" if (opened.run_folder(name) / "complete").exists() else "interrupted") for name in opened.runs()]
    table(("run", "state"), runs)
    table(("required, and missing",), [(name,) for name in missing])


@case.command(name="check")
@case_option
@json_option
def check_command(folder: Path, as_json: bool) -> None:
    """Verify the custody log and everything that it vouches for; rebuild the index where it is missing."""
    opened = open_case(folder)
    problems = [*check(opened), *kept.problems(opened)]
    if as_json:
        say({"problems": problems})
    if problems:
        raise CaseError("\n".join(problems))
    with opened.lock():
        index.ensure(opened)
    if not as_json:
        click.echo("the custody log holds, and so does everything that it vouches for")


@click.group()
def exhibit() -> None:
    """The items received."""


@exhibit.command(cls=fields.Grouped)
@click.argument("image", type=click.Path(exists=True))
@case_option
@by_option
@interview.no_input_option
@click.option("--id", "name", default="", help="The exhibit's number (default: the year's next).")
@fields.options("exhibit", short=True)
def add(image: str, folder: Path, by: str | None, no_input: bool, name: str, **given: Any) -> None:
    """Receive an exhibit, the image made of it; on a terminal, ask for what is required."""
    opened = open_case(folder)
    with opened.lock():
        received = Exhibit(exhibit_id=name, image=image, image_format="as found", **fields.taken(given, "exhibit"))
        stored = interview.receive(opened, received, by, interview.possible(no_input))
    click.echo(f"exhibit {stored.exhibit_id}: {stored.image}")


@exhibit.command(cls=fields.Grouped)
@click.argument("exhibit_id")
@case_option
@by_option
@interview.no_input_option
@click.option("--purpose", required=True, help="Why it is corrected, for the custody log.")
@fields.options("exhibit", short=True)
def correct(exhibit_id: str, folder: Path, by: str | None, no_input: bool, purpose: str, **given: Any) -> None:
    """Fill in or correct what is said of an exhibit; the custody log keeps what was said before."""
    opened = open_case(folder)
    with opened.lock():
        held = {each.exhibit_id: each for each in opened.exhibits()}
        if exhibit_id not in held:
            raise UsageError(f"no exhibit {exhibit_id!r}; there are: {', '.join(held)}")
        values = fields.taken(given, "exhibit")
        interview.correct(opened, held[exhibit_id], values, purpose, by, interview.possible(no_input))
    click.echo(f"exhibit {exhibit_id}: as the custody log now says")


@exhibit.command(name="list")
@case_option
@json_option
def list_command(folder: Path, as_json: bool) -> None:
    """The exhibits of the case."""
    exhibits = open_case(folder).exhibits()
    if as_json:
        for each in exhibits:
            say(each)
    else:
        table(("exhibit", "kind", "description", "image"), [(e.exhibit_id, e.kind, e.description, e.image) for e in exhibits])
