"""`custody`: the log of who did what, shown, added to, verified."""

from pathlib import Path

import click

from forensics import custody as log
from forensics.case import check, open_case
from forensics.cli.console import by_option, case_option, json_option, say, table
from forensics.errors import CustodyBroken, UsageError


@click.group()
def custody() -> None:
    """The custody log: show, add, verify."""


@custody.command()
@case_option
@json_option
def show(folder: Path, as_json: bool) -> None:
    """The log, line by line, and the digest of its head."""
    opened = open_case(folder)
    lines = log.read(opened.folder)
    if as_json:
        for line in lines:
            say(line)
        return
    table(("no.", "at", "event", "object", "by"), [(line.seq, line.at, line.event, line.object, line.by) for line in lines])
    number, digest = log.head(opened.folder)
    click.echo(f"head: line {number}, SHA-256 {digest} (unsigned)")


@custody.command()
@click.argument("event")
@click.argument("object_")
@case_option
@by_option
@click.option("--field", "fields", multiple=True, help="NAME=VALUE, such as purpose=..., place=..., from=..., to=...; any number of times.")
def add(event: str, object_: str, folder: Path, by: str | None, fields: tuple[str, ...]) -> None:
    """Add an EVENT (seized, transferred, returned, ...) that happened to OBJECT (an exhibit)."""
    body = {}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals or not name:
            raise UsageError(f"--field {field!r}: say NAME=VALUE")
        body[name] = value
    opened = open_case(folder)
    with opened.lock():
        line = log.append(opened.folder, event, object=object_, body=body, by=by)
    click.echo(f"line {line.seq}: {line.event} {line.object}")


@custody.command()
@case_option
@json_option
def verify(folder: Path, as_json: bool) -> None:
    """Prove that no line, body, segment or kept file was changed, dropped, inserted or moved."""
    opened = open_case(folder)
    problems = check(opened)
    if as_json:
        say({"problems": problems, "head": log.head(opened.folder)})
    if problems:
        raise CustodyBroken("\n".join(problems))
    if not as_json:
        click.echo(f"the chain holds: {log.head(opened.folder)[0]} lines, and everything that they vouch for")
