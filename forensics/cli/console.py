"""What a terminal shows, and what a program reads instead: progress, tables, JSON."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from forensics.location import escape

if TYPE_CHECKING:
    from forensics.engine import outcome

FAULTS = 3  # the exit code of a run that was completed with faults

case_option = click.option(
    "--case",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("case"),
    show_default=True,
    envvar="FORENSICS_CASE",
    help="The case's folder.",
)
by_option = click.option("--by", envvar="FORENSICS_BY", help="Who does this, for the custody log.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON lines, for programs.")


def say(value: object) -> None:
    """One JSON line on standard output."""
    click.echo(msgspec.json.encode(value, order="sorted").decode())


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output; every cell escaped, and none cut: what is too long for the terminal goes on in the next line."""
    from rich.console import Console  # here as below, because most of what programs ask for is no table, and a tenth of a second to load
    from rich.table import Table
    from rich.text import Text

    shown = Table()
    for title in titles:
        shown.add_column(title, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(_harmless("" if cell is None else str(cell))) for cell in row))
    Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200).print(shown)


def _harmless(text: str) -> str:
    """`text` as a terminal may show it; what is harmless stays as it is, so that a location can be copied from the table."""
    return text if escape(text.replace("\\", "/")) == text.replace("\\", "/") else escape(text)


@contextmanager
def progress(as_json: bool) -> "Iterator[Callable[[outcome.Progress], None]]":
    """Live progress on a terminal's standard error; JSON lines with `as_json`; else nothing."""
    if as_json:
        yield lambda now: say({"progress": now})
        return
    if not sys.stderr.isatty():
        yield lambda now: None
        return
    with ExitStack() as leaving:
        shown: list[Callable[[outcome.Progress], None]] = []

        def show(now: "outcome.Progress") -> None:
            if not shown:  # the child processes are at work now, and the bar may be loaded
                shown.append(_bar(leaving))
            shown[0](now)

        yield show


def _bar(leaving: ExitStack) -> "Callable[[outcome.Progress], None]":
    """A bar on standard error that goes when `leaving` is left; what moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[more]}", markup=False),
    )  # fmt: skip
    bar = leaving.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    tasks: dict[str, Any] = {}

    def show(now: "outcome.Progress") -> None:
        if now.phase not in tasks:
            tasks[now.phase] = bar.add_task(now.phase, total=None, more="")
        current = escape(now.current[0])[-50:] if now.current else ""
        files = f"{now.entries}/{now.entries_total} entries, " if now.entries_total else ""
        bar.update(tasks[now.phase], completed=now.bytes, total=now.bytes_total or None, more=f"{files}{now.faults} faults  {current}")

    return show
