"""The command line: parses, calls, prints. Exit codes: 0 done, 1 error, 2 usage, 3 done with faults."""

import os
import sys
from collections.abc import Iterator, MutableMapping
from importlib import import_module

import click

from forensics import __version__
from forensics.errors import ForensicsError, UsageError
from forensics.location import escape

# Each command, the module that it is in, and its name there.
COMMANDS = {
    "approve": ("disclose", "approve"),
    "case": ("case", "case"),
    "compare": ("records", "compare"),
    "custody": ("custody", "custody"),
    "disclose": ("disclose", "disclose"),
    "examine": ("examine", "examine"),
    "exhibit": ("case", "exhibit"),
    "export": ("export", "export"),
    "extract": ("records", "extract"),
    "identity": ("identity", "identity"),
    "inspect": ("inspect", "inspect"),
    "person": ("persons", "person"),
    "plugins": ("plugins", "plugins"),
    "process": ("examine", "process"),
    "receipt": ("receive", "receipt"),
    "receive": ("receive", "receive"),
    "received": ("receive", "received"),
    "records": ("records", "records"),
    "report": ("examine", "report_command"),
    "review": ("review", "review_group"),
    "seal": ("seal", "seal"),
    "search": ("records", "search"),
    "trust": ("trust", "trust"),
    "validate": ("examine", "validate"),
    "verify": ("verify", "verify"),
    "verify-image": ("inspect", "verify_image"),
    "why": ("records", "why"),
}


class _Commands(MutableMapping[str, click.Command]):
    """The commands, each loaded when it is asked for: who examines does not wait for what signs."""

    def __init__(self) -> None:
        self._added: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._added:
            module, attribute = COMMANDS[name]
            self._added[name] = getattr(import_module(f"forensics.cli.{module}"), attribute)
        return self._added[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._added[name] = command

    def __delitem__(self, name: str) -> None:
        del self._added[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*COMMANDS, *self._added}))

    def __len__(self) -> int:
        return len({*COMMANDS, *self._added})


@click.group(commands=_Commands(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="forensics")
def cli() -> None:
    """Take a device image to a hashed, chain-of-custody report."""


def harmless(message: object) -> str:
    r"""A message as a terminal may show it: names out of evidence may hold sequences that rewrite what stands there.

    Its lines stay lines, and a backslash one backslash: locations in it are escaped already.
    """
    return "\n".join("\\".join(map(escape, line.split("\\"))) for line in str(message).split("\n"))


def main() -> None:
    """Run the command line; every refusal is one sentence."""
    try:
        code = cli.main(standalone_mode=False)
    except UsageError as error:
        click.echo(f"forensics: {harmless(error)}", err=True)
        sys.exit(2)
    except ForensicsError as error:
        click.echo(f"forensics: {harmless(error)}", err=True)
        sys.exit(1)
    except click.Abort:
        click.echo("forensics: interrupted; what was done is kept, the same command goes on from there", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        click.echo(f"forensics: {harmless(error.filename or 'the system')}: {harmless(error.strerror or error)}", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
