"""`case` and `exhibit`: the matter and the items received."""

from pathlib import Path

import click

from forensics.case import check, create, missing_fields, open_case
from forensics.cli.console import by_option, case_option, json_option, say, table
from forensics.engine import run
from forensics.errors import CaseError
from forensics.model import CaseInfo, Exhibit


@click.group()
def case() -> None:
    """The case: make one, show it, check it."""


@case.command()
@case_option
@by_option
@click.option("--case-id", help="The case's number.")
@click.option("--agency", help="The agency.")
@click.option("--examiner", help="The examiner.")
def new(folder: Path, by: str | None, case_id: str | None, agency: str | None, examiner: str | None) -> None:
    """Make an empty case."""
    made = create(folder, CaseInfo(case_id=case_id, agency=agency, examiner=examiner), by=by)
    click.echo(f"{made.folder}: made; fill in {made.folder / 'case.toml'}")


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
    problems = check(opened)
    if as_json:
        say({"problems": problems})
    if problems:
        raise CaseError("\n".join(problems))
    with opened.lock():
        run.ensure_index(opened)
    if not as_json:
        click.echo("the custody log holds, and so does everything that it vouches for")


@click.group()
def exhibit() -> None:
    """The items received."""


@exhibit.command()
@click.argument("image", type=click.Path(exists=True))
@case_option
@by_option
@click.option("--id", "name", default="", help="The exhibit's number (default: the year's next).")
@click.option("--description", help="What it is.")
@click.option("--kind", help="phone, SIM, storage, computer, cloud export or paper.")
@click.option("--serial", help="Its serial number.")
@click.option("--parent", "parent_exhibit", help="The exhibit that it is part of.")
def add(
    image: str,
    folder: Path,
    by: str | None,
    name: str,
    description: str | None,
    kind: str | None,
    serial: str | None,
    parent_exhibit: str | None,
) -> None:
    """Receive an exhibit: the image made of it."""
    opened = open_case(folder)
    with opened.lock():
        received = Exhibit(
            exhibit_id=name,
            image=image,
            image_format="as found",
            description=description,
            kind=kind,
            serial=serial,
            parent_exhibit=parent_exhibit,
        )
        stored = opened.add_exhibit(received, by)
    click.echo(f"exhibit {stored.exhibit_id}: {stored.image}")


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
