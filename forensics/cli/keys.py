"""Keys of locked layers, as they are given on the command line or asked for without echo."""

from collections.abc import Iterable

import click

from forensics.evidence.keys import Keys, parse

key_option = click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="[LAYER=]KIND:[SECRET]",
    help="What opens a locked layer: password:SECRET, recovery:SECRET or file:PATH; without SECRET it is asked for, and stands in no list "
    "of processes. With LAYER=, for that layer only. Any number of times.",
)


def keys_of(given: Iterable[str]) -> Keys:
    """The keys that are given; a secret that is left out is asked for. Raises UsageError."""
    return Keys(tuple(parse(_whole(text)) for text in given))


def _whole(text: str) -> str:
    if not text.endswith(("password:", "recovery:")):
        return text
    secret: str = click.prompt(f"Secret for {text.removesuffix(':')}", hide_input=True, err=True)
    return text + secret
