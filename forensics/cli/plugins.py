"""`plugins`: which there are, what each reads and finds, and a new one to begin with."""

import shlex
import tempfile
from keyword import iskeyword
from pathlib import Path

import click

from forensics.cli.console import json_option, say, table
from forensics.engine import alone
from forensics.engine.options import Options
from forensics.engine.task import Described
from forensics.errors import UsageError

_PLUGIN = '''"""What {name} finds."""

from collections.abc import Iterator

from forensics.plugin import ByteRange, File, Finding, extractor


@extractor(version="1.0", mime=("text/*",))
def {function}(file: File, *, word: str = "passport") -> Iterator[Finding]:
    """Text files that hold a word, and where."""
    place = file.read().find(word.encode())
    if place >= 0:
        yield Finding(kind="{name}", summary=f"Text holds {{word!r}}", locator=ByteRange(place, len(word)))
'''

_TEST = '''"""{name} finds what it looks for, and nothing where that is not."""

from forensics.testing import plugin_beside, run

plugin = plugin_beside(__file__, "{name}")


def test_it_is_found_where_it_is() -> None:
    (finding,) = run(plugin, b"the passport is at the hotel", name="note.txt")
    assert (finding.kind, str(finding.locator)) == ("{name}", "bytes 4-11")


def test_nothing_is_found_where_it_is_not() -> None:
    assert run(plugin, b"the tickets are at the hotel", name="note.txt") == []
'''

folders_option = click.option(
    "--plugins", "folders", multiple=True, type=click.Path(exists=True, file_okay=False), help="A folder of more plugins."
)


@click.group()
def plugins() -> None:
    """The plugins: list, show, new."""


def _described(folders: tuple[str, ...]) -> Described:
    with tempfile.TemporaryDirectory() as folder:
        return alone.describe(Options(plugin_folders=folders), Path(folder, "spool"))


@plugins.command(name="list")
@folders_option
@json_option
def list_command(folders: tuple[str, ...], as_json: bool) -> None:
    """All plugins, and those that could not be loaded."""
    described = _described(folders)
    if as_json:
        for plugin in described.plugins:
            say(plugin)
        for fault in described.faults:
            say(fault)
        return
    table(("plugin", "version", "kind", "finds"), [(p.name, p.version, p.kind, p.description) for p in described.plugins])
    for fault in described.faults:
        click.echo(f"not loaded: {fault.location}: {fault.message}", err=True)


@plugins.command()
@click.argument("name")
@folders_option
def show(name: str, folders: tuple[str, ...]) -> None:
    """Everything that one plugin declares."""
    plugin = alone.plugin_named(_described(folders).plugins, name)
    table(("what", "value"), [(field, getattr(plugin, field)) for field in plugin.__struct_fields__])


@plugins.command()
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(), help="Where to write it (default: here).")
def new(name: str, folder: Path) -> None:
    """Write a working plugin NAME and its test, to be changed into yours."""
    function = name.replace("-", "_")
    if not function.isidentifier() or not function.islower() or iskeyword(function) or function.startswith("test_"):
        raise UsageError(f"{name!r}: a plugin's name is lower-case words joined by hyphens, such as travel-tickets, the first not test")
    name = function.replace("_", "-")
    plugin, test = folder / f"{function}.py", folder / f"test_{function}.py"
    for path in (plugin, test):
        if path.exists():
            raise UsageError(f"{path} exists already; choose another name")
    if name in {each.name for each in _described(()).plugins}:
        raise UsageError(f"there is a plugin {name!r} already; choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    plugin.write_text(_PLUGIN.format(name=name, function=function), encoding="utf-8")
    test.write_text(_TEST.format(name=name), encoding="utf-8")
    click.echo(f"{plugin} and {test}: written; they are run with:")
    where = shlex.quote(str(folder))
    click.echo(f"  forensics process IMAGE --plugins {where}\n  pytest {where}")
