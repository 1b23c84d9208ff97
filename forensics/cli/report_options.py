"""What a report is to be, as it is asked for on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from forensics.case import Case
from forensics.cli.identity_options import opened, passphrase_option

if TYPE_CHECKING:
    from forensics.signing.identity import Identity


class Wanted(Struct, frozen=True):
    """What the report is to be: its templates, its language, thumbnails, and who signs the PDF."""

    templates: tuple[str, ...]
    language: str | None
    pictures: int
    signer: "Identity | None"

    def language_of(self, case: Case) -> str:
        """The report's language, which is the case's first where none was chosen."""
        return self.language or case.languages[0]


def report_options(command: Any) -> Any:
    """The options of a command that writes a report."""
    for option in (
        click.option(
            "--template",
            "templates",
            multiple=True,
            help="report.html, summary.md, report.pdf, or a path of your own; any number of times (default: report.html and summary.md).",
        ),
        click.option(
            "--identity", "identity_folder", type=click.Path(path_type=Path), help="Sign the custody log up to the report, and report.pdf."
        ),
        passphrase_option,
        click.option("--lang", "language", help="Language of the report (default: the case's first)."),
        click.option("--pictures", type=click.IntRange(0), default=0, show_default=True, help="At most so many thumbnails in the page."),
    ):
        command = option(command)
    return command


def taken(given: dict[str, Any]) -> Wanted:
    """The options of the report, taken out of all that were given; the identity is opened before the work begins."""
    templates, folder, passphrase_file = given.pop("templates"), given.pop("identity_folder"), given.pop("passphrase_file")
    signer = None if folder is None else opened(folder.expanduser(), passphrase_file)
    return Wanted(templates, given.pop("language"), given.pop("pictures"), signer)
