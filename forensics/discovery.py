"""Finding plugins: which folders they lie in, what is in each file, its digest, and what would not load.

A plugin's file is compiled from the very bytes whose SHA-256 is recorded (never from a cached ``.pyc``), under a module name of its own. A
file that does not load is a fault with its name and never stops the others.
"""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import CodeType

from msgspec import Struct

import forensics
from forensics import later
from forensics.digest import sha256
from forensics.errors import InvalidPlugin, UsageError
from forensics.model import Fault
from forensics.plugin import Plugin

VARIABLE = "FORENSICS_PLUGINS"
GROUP = "forensics.plugins"
SHIPPED = ("plugins", "report_templates", "test_images")
_NO_PLUGIN = ("_", "test_")


class Loaded(Struct, frozen=True):
    """A plugin, the name of the file that it came from and that file's SHA-256."""

    plugin: Plugin
    source: str
    digest: str


class Discovered(Struct, frozen=True):
    """All plugins in order of their names, and the files that would not load, in the order in which they were met."""

    plugins: tuple[Loaded, ...]
    faults: tuple[Fault, ...]


class _Exact(SourceFileLoader):
    """Loads a module from the bytes that were digested."""

    def __init__(self, name: str, path: Path, source: bytes) -> None:
        super().__init__(name, str(path))
        self.code = _compiled(source, self.path)

    def get_code(self, fullname: str) -> CodeType:
        return self.code


@cache
def _compiled(source: bytes, path: str) -> CodeType:
    """The code of a plugin's file. The key is its very bytes, so what one process compiled is good for those that are forked off it."""
    return compile(source, path, "exec", dont_inherit=True)


def compile_shipped() -> None:
    """Compile the files that came with this installation, and run none of them. Raises UsageError, OSError."""
    for path in _files((shipped("plugins"),)):
        with contextlib.suppress(SyntaxError, ValueError):  # `load` names it
            _compiled(path.read_bytes(), str(path))


def shipped(name: str) -> Path:
    """The folder `name` (``plugins``, ``report_templates``, ``test_images``) that came with this installation.

    A wheel has it inside the package (pyproject.toml maps it there), an editable install and a checkout beside the package.
    Raises UsageError for another name, or where the installation lacks it.
    """
    if name not in SHIPPED:
        raise UsageError(f"{name!r} is not shipped; shipped are {', '.join(SHIPPED)}")
    package = Path(forensics.__file__).resolve().parent
    for folder in (package / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise UsageError(f"this installation has no folder {name!r} in or beside {package}; install it again")


def folders(given: Sequence[str | Path] = ()) -> tuple[Path, ...]:
    """The folders that plugins lie in, each once: ours, then `given`, then those of FORENSICS_PLUGINS. Raises UsageError for one that is
    not there."""
    found = [shipped("plugins")]
    named = [(folder, "") for folder in given]
    named += [(folder, f" ({VARIABLE})") for folder in os.environ.get(VARIABLE, "").split(os.pathsep) if folder]
    for folder, origin in named:
        path = Path(folder).expanduser()
        if not path.is_dir():
            raise UsageError(f"{folder}{origin} is not a folder; name one that holds plugin files")
        found.append(path.resolve())
    return tuple(dict.fromkeys(found))


def load(folders: Sequence[Path]) -> Discovered:
    """The plugins of the files in `folders`, in that order, then of installed packages. Of two with one name the first wins.

    Files whose name begins with ``_`` or ``test_`` are not plugins. Raises UsageError where a folder cannot be listed.
    """
    plugins: dict[str, Loaded] = {}
    faults: list[Fault] = []
    for path in [*_files(folders), *_installed(faults)]:
        try:
            found = _plugins(path)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - anybody's code runs here, and a broken file never stops the others
            faults.append(_fault(path.name, error))
            continue
        for item in found:
            name = item.plugin.name
            if name in plugins:
                duplicate = InvalidPlugin(f"plugin {name!r} of {path.name} is not used: {plugins[name].source} has one of that name")
                faults.append(_fault(path.name, duplicate, name))
            else:
                plugins[name] = item
    return Discovered(tuple(plugins[name] for name in sorted(plugins)), tuple(faults))


def _files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        try:
            yield from sorted(
                path for path in folder.iterdir() if path.suffix == ".py" and not path.name.startswith(_NO_PLUGIN) and path.is_file()
            )
        except OSError as error:
            raise UsageError(f"{folder}: the folder of plugins cannot be listed ({error.strerror})") from error


def _installed(faults: list[Fault]) -> Iterator[Path]:
    """The files of the modules that installed packages name under the entry point group ``forensics.plugins``."""
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            yield _file_of(entry)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - finding a module imports its packages: anybody's code
            faults.append(_fault(entry.value, error))


def _file_of(entry: EntryPoint) -> Path:
    spec = importlib.util.find_spec(entry.module)
    if spec is None or spec.origin is None or not spec.has_location:
        raise InvalidPlugin(f"entry point {entry.name!r} names {entry.module!r}, which is not a module with a file")
    return Path(spec.origin)


def _plugins(path: Path) -> list[Loaded]:
    """The plugins of one file. Raises whatever the file raises."""
    source = path.read_bytes()
    name = f"forensics_plugin_{sha256(str(path).encode('utf-8', 'surrogateescape'))[:12]}_{path.stem}"
    loader = _Exact(name, path, source)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # types that the file declares are resolved through here
    try:
        loader.exec_module(module)
        later.check(loader.code, source)
    except BaseException:
        del sys.modules[name]
        raise
    found: dict[int, Plugin] = {id(value): value for value in vars(module).values() if isinstance(value, Plugin)}
    if not found:
        raise InvalidPlugin("the file holds no plugin: decorate a function with extractor, container or analyser of forensics.plugin")
    return [Loaded(plugin, path.name, sha256(source)) for plugin in found.values()]


def _fault(location: str, error: BaseException, plugin: str | None = None) -> Fault:
    return Fault(location=location, kind="invalid-plugin", message=f"{type(error).__name__}: {error}"[:2000], plugin=plugin)
