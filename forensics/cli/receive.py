"""`receive`, `receipt`, `received`: a partner's package taken into a case, acknowledged, read."""

from pathlib import Path

import click
import msgspec

from forensics.case import open_case
from forensics.cli.console import by_option, case_option, json_option, say, table
from forensics.cli.identity_options import (
    clock,
    identity_option,
    opened,
    opened_reader,
    opened_trust,
    passphrase_option,
    trust_option,
)
from forensics.cli.verify import handling, package_argument
from forensics.errors import CaseError, UsageError
from forensics.exchange import receipt as receipts
from forensics.exchange import receive as receiving
from forensics.exchange.sealed import kind_of
from forensics.location import escape


@click.command()
@package_argument
@case_option
@identity_option
@trust_option
@passphrase_option
@by_option
@json_option
def receive(
    package: Path,
    folder: Path,
    identity_folder: Path,
    trust_folder: Path,
    passphrase_file: Path | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Verify PACKAGE and take it into a case; the custody log goes on where the sender's ends."""
    case = open_case(folder)
    identity = opened_reader(identity_folder, passphrase_file)
    trust = opened_trust(trust_folder, identity_folder)
    with case.lock():
        made = receiving.receive(case, package, identity=identity, trust=trust, at=clock(), by=by)
    if as_json:
        say(made)
        return
    said = made.disclosure
    click.echo(
        f"{made.name}: received {len(said.records)} records from {said.from_.state}, {escape(said.from_.agency)}; {said.withheld} withheld"
    )
    click.echo(f"the sender's custody log: line {made.custody[0]}, SHA-256 {made.custody[1]}")
    handling(said.use, said.tlp, said.pap, said.onward, said.expires, said.on_expiry, said.caveats)
    for warning in made.warnings:
        click.echo(f"warning: {escape(warning)}")
    click.echo(f"acknowledge it with `forensics receipt {made.name}`")


@click.command()
@click.argument("name", metavar="ID", required=False)
@click.option("--check", "checked", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A partner's receipt to verify.")
@click.option(
    "--output", type=click.Path(file_okay=False, exists=True, path_type=Path), help="Folder for the receipt (default: received/)."
)
@case_option
@identity_option
@trust_option
@passphrase_option
@by_option
@json_option
def receipt(
    name: str | None,
    checked: Path | None,
    output: Path | None,
    folder: Path,
    identity_folder: Path,
    trust_folder: Path,
    passphrase_file: Path | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Acknowledge the received package ID with a signed receipt; or, with --check, verify the receipt of what this case sent."""
    if (name is None) == (checked is None):
        raise UsageError("name either the package to acknowledge or, with --check, the receipt to verify")
    case = open_case(folder)
    if checked is not None:
        trust = opened_trust(trust_folder, identity_folder)
        with case.lock():
            taken = receipts.check(case, checked, trust=trust, at=clock(), by=by)
        if as_json:
            say(taken)
        else:
            click.echo(f"{taken.disclosure}: received by {escape(taken.by.name)} of {taken.by.state} at {taken.at}")
            click.echo(f"they hold line {taken.custody.seq} of our custody log, SHA-256 {taken.custody.head}")
        return
    identity = opened(identity_folder, passphrase_file)
    with case.lock():
        path = receipts.write(case, name or "", identity, at=clock(), folder=output)
    if as_json:
        say({"receipt": str(path), "signature": f"{path}.p7s"})
    else:
        click.echo(f"{escape(str(path))}: send it back with {path.name}.p7s")


@click.group()
def received() -> None:
    """Packages from partners: list, show, read their records."""


@received.command(name="list")
@case_option
@json_option
def list_command(folder: Path, as_json: bool) -> None:
    """The packages that the case received."""
    found = receiving.received(open_case(folder))
    if as_json:
        for each in found:
            say(each)
        return
    rows = (
        (
            each.name,
            each.at,
            each.disclosure.from_.state,
            len(each.disclosure.records),
            each.disclosure.use,
            each.disclosure.tlp,
            each.disclosure.expires,
        )
        for each in found
    )
    table(("package", "received", "from", "records", "use", "TLP", "until"), rows)


@received.command()
@click.argument("name", metavar="ID")
@case_option
@json_option
def show(name: str, folder: Path, as_json: bool) -> None:
    """What a received package is, who signed it, how it may be used, and whether it is still as it was verified."""
    case = open_case(folder)
    found = receiving.find(case, name)
    wrong = receiving.problems(case, found)
    if as_json:
        say({"package": found, "problems": wrong})
    else:
        said = found.disclosure
        signers = [f"{each.name} ({each.organisation}, {each.state}) at {each.signed_at}" for each in (*found.examiner, *found.signers)]
        rows = [
            ("from", f"{said.from_.state}, {said.from_.agency}, {said.from_.officer}"),
            ("case and seal", f"{said.case}, {said.seal}"),
            ("records", f"{len(said.records)} given, {said.withheld} withheld"),
            ("purpose", said.purpose),
            ("request", said.request_ref),
            ("received", found.at),
            ("package SHA-256", found.package_sha256),
            ("their custody log", f"line {found.custody[0]}, SHA-256 {found.custody[1]}"),
            *(("signed by", each) for each in signers),
            *(("warning", each) for each in found.warnings),
        ]
        table(("what", "value"), rows)
        handling(said.use, said.tlp, said.pap, said.onward, said.expires, said.on_expiry, said.caveats)
    if wrong:
        raise CaseError("\n".join(wrong))
    if not as_json:
        click.echo("as it was verified")


@received.command()
@click.argument("name", metavar="ID", required=False)
@case_option
@json_option
def records(name: str | None, folder: Path, as_json: bool) -> None:
    """The records of one received package, or of all, with where they come from."""
    case = open_case(folder)
    chosen = [receiving.find(case, name)] if name else list(receiving.received(case))
    found = (record for each in chosen for record in receiving.records(case, each))
    if as_json:
        for each in found:
            say(each)
        return
    table(
        ("from", "package", "record", "type", "says"),
        ((each.state, each.received, each.name, kind_of(each.record), _says(msgspec.to_builtins(each.record))) for each in found),
    )


def _says(record: dict[str, object]) -> str:
    """The line that tells most about a record."""
    for field in ("summary", "text", "sha256", "role", "description", "name", "location"):
        if isinstance(value := record.get(field), str):
            return value
    return ""
