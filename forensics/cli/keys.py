"""What opens what is locked, as it is given on the command line: keys of layers, which may be asked for, and a file of passwords."""

from collections.abc import Iterable
from pathlib import Path

import click

from forensics.engine.workshop import EVERY
from forensics.evidence.keys import Keys, parse
from forensics.model import Value
from forensics.plugin import passwords

key_option = click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="[LAYER=]KIND:[SECRET]",
    help="What opens a locked layer: password:SECRET, recovery:SECRET or file:PATH; without SECRET it is asked for, and stands in no list "
    "of processes. With LAYER=, for that layer only. Any number of times.",
)

passwords_option = click.option(
    "--passwords",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A text file of passwords, one a line, that are tried on locked files: zip, 7z, RAR, backups. Its path is recorded, its content "
    "nowhere.",
)


def with_passwords(options: dict[str, dict[str, Value]], file: Path | None) -> dict[str, dict[str, Value]]:
    """Plugins' options, and for each plugin that takes passwords, this file of them. Raises UsageError where it cannot be read."""
    if file is None:
        return options
    path = str(file.absolute())
    passwords(path)
    return {**options, EVERY: {**options.get(EVERY, {}), "passwords_file": path}}


def keys_of(given: Iterable[str]) -> Keys:
    """The keys that are given; a secret that is left out is asked for. Raises UsageError."""
    return Keys(tuple(parse(_whole(text)) for text in given))


def _whole(text: str) -> str:
    if not text.endswith(("password:", "recovery:")):
        return text
    secret: str = click.prompt(f"Secret for {text.removesuffix(':')}", hide_input=True, err=True)
    return text + secret
