"""The command line: parses, calls, prints. Exit codes: 0 done, 1 error, 2 usage, 3 done with faults."""

import os
import sys

import click

from forensics import __version__
from forensics.cli import case, custody, disclose, examine, export, identity, inspect, persons, plugins, receive, records, review, trust
from forensics.errors import ForensicsError, UsageError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="forensics")
def cli() -> None:
    """Take a device image to a hashed, chain-of-custody report."""


for _command in (*examine.COMMANDS, *inspect.COMMANDS, case.case, case.exhibit, custody.custody, plugins.plugins, *records.COMMANDS):
    cli.add_command(_command)
for _group in (review.review_group, persons.person):
    cli.add_command(_group)

for _own in (identity.identity, trust.trust, *disclose.COMMANDS, *receive.COMMANDS, *export.COMMANDS):
    cli.add_command(_own)


def main() -> None:
    """Run the command line; every refusal is one sentence."""
    try:
        code = cli.main(standalone_mode=False)
    except UsageError as error:
        click.echo(f"forensics: {error}", err=True)
        sys.exit(2)
    except ForensicsError as error:
        click.echo(f"forensics: {error}", err=True)
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
        click.echo(f"forensics: {error.filename or 'the system'}: {error.strerror or error}", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
