"""`seal`: all confirmed records of a case signed once."""

from pathlib import Path

import click

from forensics import index
from forensics.case import Case, open_case
from forensics.cli.console import case_option, json_option, say
from forensics.cli.identity_options import clock, identity_option, opened, passphrase_option
from forensics.exchange import seal as sealing
from forensics.exchange.signer import Signer
from forensics.review import state


@click.command()
@case_option
@identity_option
@passphrase_option
@json_option
def seal(folder: Path, identity_folder: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Sign all confirmed records once, so that any part of them can be disclosed later."""
    case = opened_case(folder)
    signer = Signer(opened(identity_folder, passphrase_file))
    with case.lock(), index.open_index(case.index_path) as found:
        made = sealing.seal(case, found, state(case), signer, at=clock())
    if as_json:
        say({"seal": made.name, "records": made.records, "sha256": made.digest, "folder": str(made.folder)})
    else:
        click.echo(f"{made.name}: {made.records} records sealed by {signer.name}, SHA-256 {made.digest}")


def opened_case(folder: Path) -> Case:
    """The case, with an index of all that its runs found. Raises CaseError."""
    case = open_case(folder)
    index.look(case)
    return case
