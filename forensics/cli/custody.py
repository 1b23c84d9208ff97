"""`custody`: the log of who did what, shown, added to, signed, verified."""

from pathlib import Path

import click
from click.core import ParameterSource

from forensics import custody as log
from forensics.case import open_case, prove
from forensics.cli.console import by_option, case_option, json_option, say, table
from forensics.cli.identity_options import clock, identity_option, opened, opened_trust, passphrase_option, trust_option
from forensics.custody.telling import blocks
from forensics.errors import CustodyBroken
from forensics.exchange import kept, receipt
from forensics.location import escape
from forensics.signing import Trust


@click.group()
def custody() -> None:
    """The custody log: show, add, sign, verify."""


@custody.command()
@case_option
@trust_option
@identity_option
@json_option
def show(folder: Path, trust_folder: Path, identity_folder: Path, as_json: bool) -> None:
    """The log as a document, event by event, and whether its head is signed."""
    case = open_case(folder)
    if as_json:
        for line in log.read(case.folder):
            say(line)
        return
    signed = {
        int(each.path.stem): each for each in log.judged(case.folder, _trusted(trust_folder, identity_folder)) if each.path.stem.isdigit()
    }
    for block in blocks(log.with_hands(case.folder), signed):
        click.echo(escape(block.heading))
        for name, value in block.particulars:
            click.echo(f"    {escape(name)}: {escape(value)}")
        click.echo()
    number, digest = log.head(case.folder)
    last = max((seq for seq, each in signed.items() if each.checkpoint), default=0)
    click.echo(f"head: line {number}, SHA-256 {digest} ({f'signed up to line {last}' if last else 'unsigned'})")


@custody.command()
@click.argument("event")
@click.argument("object_", metavar="OBJECT")
@case_option
@by_option
@identity_option
@passphrase_option
@click.option("--field", "fields", multiple=True, help="NAME=VALUE, any number of times; `custody forms EVENT` lists the names.")
def add(
    event: str, object_: str, folder: Path, by: str | None, identity_folder: Path, passphrase_file: Path | None, fields: tuple[str, ...]
) -> None:
    """Add an EVENT (seized, transferred, returned, ...) that happened to OBJECT (an exhibit).

    With --identity, a transfer is signed by its giver, and the log up to it.
    """
    case = open_case(folder)
    body = log.typed(event, fields)
    signer = opened(identity_folder, passphrase_file) if _named(event) else None
    at = clock()
    with case.lock():
        if signer and event == "transferred":
            line = log.transfer(case.folder, object_, body, signer, by=by, at=at)
        else:
            line = log.append(case.folder, event, object=object_, body=body, by=by or (signer.name if signer else None), at=at)
        if signer:
            why = "transfer" if event == "transferred" else event.replace("_", " ")
            log.checkpoint(case.folder, why, signer, at=at, by=by, stamping=signer.stamping)
    click.echo(f"line {line.seq}: {line.event} {escape(line.object)}")
    if event == "transferred":
        click.echo(f"the receiver signs with: forensics custody countersign {line.seq} --identity FOLDER")


@custody.command()
@click.argument("event", required=False)
def forms(event: str | None) -> None:
    """The fields of an EVENT's form, or the events that have one."""
    if event is None:
        table(("event", "what it records"), [(name, (form.__doc__ or "").partition("\n")[0]) for name, form in log.FORMS.items()])
        return
    rows = [("*" if each.required else "", each.name, each.takes, each.what) for each in log.fields_of(event)]
    table(("", "field", "takes", "what it is"), rows)
    click.echo("* required; of a field below another only where that is given. --by says who records it.")


@custody.command()
@click.argument("seq", type=click.IntRange(min=1))
@case_option
@by_option
@identity_option
@passphrase_option
def countersign(seq: int, folder: Path, by: str | None, identity_folder: Path, passphrase_file: Path | None) -> None:
    """Sign the transfer of line SEQ as its receiver, and the log up to there."""
    case = open_case(folder)
    signer = opened(identity_folder, passphrase_file)
    at = clock()
    with case.lock():
        line = log.countersign(case.folder, seq, signer, by=by, at=at)
        log.checkpoint(case.folder, "transfer", signer, at=at, by=by, stamping=signer.stamping)
    click.echo(f"line {line.seq}: countersigned line {seq}, {escape(line.object)}")


@custody.command()
@case_option
@by_option
@identity_option
@passphrase_option
@click.option("--why", default="request", show_default=True, help="A word or two; they leave the house with the log.")
def checkpoint(folder: Path, by: str | None, identity_folder: Path, passphrase_file: Path | None, why: str) -> None:
    """Sign the log as it stands."""
    case = open_case(folder)
    signer = opened(identity_folder, passphrase_file)
    with case.lock():
        made = log.checkpoint(case.folder, why, signer, at=clock(), by=by, stamping=signer.stamping)
    click.echo(f"line {made.seq} is signed: {made.head}")


@custody.command()
@case_option
@trust_option
@identity_option
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="What a partner holds of the log: a receipt, a package's custody.jsonl or a checkpoint; any number of times.",
)
@json_option
def verify(folder: Path, trust_folder: Path, identity_folder: Path, against: tuple[Path, ...], as_json: bool) -> None:
    """Prove that no line, body, segment, sealed record or package was changed, dropped, inserted or moved; and all signatures."""
    case = open_case(folder)
    trusted = _trusted(trust_folder, identity_folder)
    heads = receipt.heads_from_receipts(case, trusted)
    problems, notices = [], []
    for path in against:
        stated = log.read_counterpart(path, trusted)
        problems += [stated.problem] if stated.problem else []
        notices += [stated.notice] if stated.notice else []
        problems += log.differences(case.folder, stated, path.name)
    proof = prove(case, heads=heads, trust=trusted)
    problems += proof.problems
    problems += kept.problems(case)
    problems += receipt.problems(case, trusted)
    notices += proof.notices
    if as_json:
        say({"problems": problems, "notices": notices, "head": _head(case.folder), "signed": proof.signed})
    else:
        for notice in notices:
            click.echo(f"note: {escape(notice)}")
    if problems:
        raise CustodyBroken("\n".join(problems))
    if not as_json:
        click.echo(f"the chain holds: {log.head(case.folder)[0]} lines, and everything that they vouch for")


def _head(folder: Path) -> tuple[int, str] | None:
    """Number and digest of the log's last line; `None` where that line cannot be read, which is one of the problems."""
    try:
        return log.head(folder)
    except CustodyBroken:
        return None


def _named(event: str) -> bool:
    """Whether an identity was named to sign with: on the command line for any event, in the environment for a transfer."""
    source = click.get_current_context().get_parameter_source("identity_folder")
    return source is ParameterSource.COMMANDLINE or (source is ParameterSource.ENVIRONMENT and event == "transferred")


def _trusted(folder: Path, identity_folder: Path) -> Trust | None:
    """The trust list; `None` where none was named and none is at its usual place."""
    named = click.get_current_context().get_parameter_source("trust_folder") is not ParameterSource.DEFAULT
    return opened_trust(folder, identity_folder) if named or (folder / "current.json").exists() else None
