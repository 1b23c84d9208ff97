"""All that a plugin author imports: three decorators, the file, the finding.

A plugin is a decorated generator in a file of its own::

    from collections.abc import Iterator
    from forensics.plugin import File, Finding, extractor

    @extractor(version="1.0", mime=("image/jpeg",))
    def photo_taken(file: File) -> Iterator[Finding]:
        \"\"\"Camera and original time from a photograph's EXIF tags.\"\"\"
        yield Finding(kind="photo", summary="...")

The docstring's first line is the plugin's description everywhere. Options are keyword-only parameters with a type and a default.
A plugin raises `Unsupported` for "not mine", `Corrupt` for "mine but damaged" after yielding what was readable; anything else that it
raises is a fault, stored with what was found before it. The decorator gives back a frozen, callable `Plugin`; importing a plugin
registers nothing.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from msgspec import Struct

from forensics.errors import Corrupt, InvalidPlugin, LimitExceeded, Locked, TimedOut, Undeclared, Unsupported, UsageError
from forensics.location import Location
from forensics.members import Inventory, shown, stream_of
from forensics.model import (
    Attachment,
    ByteRange,
    Finding,
    Level,
    Locator,
    Record,
    RecordNumber,
    RegistryKey,
    State,
    TableRow,
    Times,
    Value,
)

__all__ = [
    "FILES",
    "STATES",
    "Attachment",
    "ByteRange",
    "Corrupt",
    "File",
    "Finding",
    "Inventory",
    "Level",
    "LimitExceeded",
    "Locator",
    "Locked",
    "Member",
    "Neighbour",
    "Option",
    "Plugin",
    "Prepared",
    "Record",
    "RecordNumber",
    "Records",
    "RegistryKey",
    "Select",
    "State",
    "TableRow",
    "TimedOut",
    "Times",
    "Undeclared",
    "Unsupported",
    "UsageError",
    "Value",
    "analyser",
    "container",
    "extractor",
    "passwords",
    "shown",
    "stream_of",
]

Kind = Literal["extractor", "container", "analyser"]
FILES: tuple[State, ...] = ("allocated", "deleted", "orphan")
STATES: tuple[State, ...] = (*FILES, "unallocated", "slack")
NEEDS = ("content", "name", "location", "times", "companions")
MAX_PASSWORDS = 10_000
MAX_PASSWORDS_FILE = 1 << 20  # bytes
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_OPTION_TYPES: dict[Any, str] = {str: "text", int: "number", float: "decimal number", bool: "yes or no", tuple[str, ...]: "list of texts"}


class Content(Protocol):
    """What the engine gives a `File` to read from; plugin authors use `File.open`, `File.read` and `File.path` instead."""

    def open(self) -> BinaryIO: ...
    def read(self) -> bytes: ...
    def path(self, name: str) -> Path: ...


class Neighbour(Struct, frozen=True):
    """A file that lies near another: its size in bytes, and its content as a seekable binary stream."""

    size: int
    open: Callable[[], BinaryIO]


class File:
    """One file offered to a plugin. What a plugin did not declare in `needs` raises `Undeclared`."""

    def __init__(
        self,
        *,
        location: Location,
        size: int,
        mime: str,
        sha256: str,
        content: Content,
        allocated: bool = True,
        deleted: bool = False,
        times: Times = Times(),
        needs: Iterable[str] = NEEDS,
        companions: Callable[[str], "File | None"] = lambda suffix: None,
        beside: Callable[[str], Neighbour | None] = lambda path: None,
    ) -> None:
        self.size = size
        self.mime = mime
        self.sha256 = sha256
        self._location, self._content, self._times = location, content, times
        self._allocated, self._deleted = allocated, deleted
        self._needs, self._companions, self._beside = frozenset(needs), companions, beside

    def _declared(self, need: str) -> None:
        if need not in self._needs:
            raise Undeclared(f"this plugin reads what depends on {need!r}, but does not say needs=(..., {need!r})")

    @property
    def name(self) -> str:
        """The name without folder; undecodable bytes as ``\\xff``. Needs `name`."""
        self._declared("name")
        return self._location.stream or self._location.name

    @property
    def location(self) -> Location:
        """Where exactly the file stands. Needs `location`."""
        self._declared("location")
        return self._location

    @property
    def allocated(self) -> bool:
        """Whether the file system holds the entry as live. Needs `location`."""
        self._declared("location")
        return self._allocated

    @property
    def deleted(self) -> bool:
        """Whether the file system holds the entry as deleted. Needs `location`."""
        self._declared("location")
        return self._deleted

    @property
    def times(self) -> Times:
        """MACB times of the entry. Needs `times`."""
        self._declared("times")
        return self._times

    def companion(self, suffix: str) -> "File | None":
        """The file beside this one whose name is this one's plus `suffix` (``-wal``, ``.LOG1``). Needs `companions`.

        `None` where there is none; also where it cannot be read, of which the engine makes a fault.
        """
        self._declared("companions")
        return self._companions(suffix)

    def beside(self, path: str) -> Neighbour | None:
        """The allocated file at `path` from this file's folder (``Manifest.plist``, ``../Manifest.db``), or `None`. Needs `location`.

        It is for files that lie together as one thing, such as a backup. Files inside containers have none.
        """
        self._declared("location")
        return self._beside(path)

    def open(self) -> BinaryIO:
        """The content as a seekable binary stream."""
        return self._content.open()

    def read(self, limit: int = 256 << 20) -> bytes:
        """The whole content. Raises LimitExceeded where it is larger than `limit` bytes (256 MiB): use `open` for that."""
        if self.size > limit:
            raise LimitExceeded(f"content of {self.size} bytes is read in pieces with open(), not whole (limit {limit})")
        return self._content.read()

    def path(self) -> Path:
        """A private temporary copy, for libraries that need a file name; companions lie beside it. Gone when the plugin returns."""
        return self._content.path(self._location.name if "name" in self._needs else "content")


class Member(Struct, frozen=True, kw_only=True):
    """One file inside a container: its path as found there (undecodable bytes as surrogate escapes), its size if stated, its times.

    `open` gives its content as a stream that is read once, from its start, and that is good until the next member is asked for. Where
    the rest of a member cannot be read, its stream ends early; the plugin goes on, and says so at its end (`Inventory`). A directory, a
    link, or what is locked (kind `other`) has no content: its stream is empty. `companion` gives the member whose name is this one's plus a
    suffix (``-wal``), where the container can tell.
    """

    path: str
    open: Callable[[], BinaryIO]
    size: int | None = None
    times: Times = Times()
    kind: Literal["file", "directory", "link", "other"] = "file"
    target: str | None = None
    companion: "Callable[[str], Member | None] | None" = None


class Records(Protocol):
    """The records of a run, frozen, as an analyser sees them: in order of time, then of id."""

    def __call__(self, *, kind: str | None = None, plugin: str | None = None) -> Iterator[Record]: ...


class Prepared(Struct, frozen=True):
    """What `prepare` made ready: the value for the plugin, digests of all that it read, and what a reader of the report must know."""

    value: Any
    inputs: dict[str, str] = {}
    notes: tuple[str, ...] = ()


def passwords(passwords_file: str = "") -> Prepared:
    """The passwords in a text file, one a line, as bytes: what a plugin with the option `passwords_file` prepares.

    Spaces belong to a password; a byte order mark and the ends of lines do not. Neither passwords nor a digest of them is recorded, since
    passwords can be guessed from it: a list counts as another one once it was written anew. Raises UsageError.
    """
    if not passwords_file:
        return Prepared((), {}, ("no file of passwords was given: what is encrypted stays locked",))
    path = Path(passwords_file).expanduser()
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_PASSWORDS_FILE + 1)
            written = path.stat().st_mtime_ns
    except OSError as error:
        raise UsageError(
            f"passwords_file: {passwords_file} cannot be read ({error.strerror}); name a text file, one password a line"
        ) from error
    found = tuple(dict.fromkeys(filter(None, (line.rstrip(b"\r") for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n")))))
    if len(content) > MAX_PASSWORDS_FILE or len(found) > MAX_PASSWORDS:
        raise UsageError(f"passwords_file: {passwords_file} holds more than {MAX_PASSWORDS} passwords or 1 MiB; give fewer")
    when = f"{datetime.fromtimestamp(written // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{written % 10**9:09}Z"
    return Prepared(found, {"passwords": f"written {when}"}, (f"a file of {len(found)} passwords was given; its content is not recorded",))


class Option(Struct, frozen=True):
    """One option of a plugin: a keyword-only parameter with its type and default."""

    name: str
    type: Any
    default: Value | tuple[str, ...]

    def check(self, value: object) -> Any:
        """`value` as this option's type. Raises ValueError that says what was expected."""
        if self.type == tuple[str, ...] and isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        if self.type is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if self.type != tuple[str, ...] and type(value) is self.type:
            return value
        raise ValueError(f"option {self.name!r} is a {_OPTION_TYPES[self.type]}, not {value!r}")


class Select(Struct, frozen=True):
    """Which files a plugin is offered: any pattern that fits; no pattern at all fits every file.

    `states` may name `unallocated` space and `slack`, too: byte ranges that are no file, of which nothing says what type they are.
    """

    mime: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    magic: tuple[bytes, ...] = ()
    deleted: bool = True
    states: tuple[State, ...] = FILES

    def __str__(self) -> str:
        parts = [f"type {' '.join(self.mime)}"] if self.mime else []
        parts += [f"name {' '.join(self.names)}"] if self.names else []
        parts += [f"first bytes {' '.join(magic.hex() for magic in self.magic)}"] if self.magic else []
        space = [f"{state} space" if state == "unallocated" else state for state in self.states if state not in FILES]
        if not set(self.states) & set(FILES):
            return " and ".join(space)
        return " and ".join([(" or ".join(parts) or "every file") + ("" if self.deleted else ", allocated only"), *space])


class Plugin(Struct, frozen=True, kw_only=True):
    """A plugin as its decorator made it: declaration and function. Calling it calls the function."""

    name: str
    kind: Kind
    version: str
    description: str
    function: Callable[..., Any]
    select: Select = Select()
    needs: tuple[str, ...] = ("content",)
    companions: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    prepare: Callable[..., Prepared] | None = None

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.function(*args, **options)

    def filled(self, given: dict[str, Any]) -> dict[str, Any]:
        """This plugin's options, `given` over the defaults. Raises ValueError for an unknown name or a wrong type."""
        known = {option.name: option for option in self.options}
        for name in given:
            if name not in known:
                raise ValueError(f"plugin {self.name!r} has no option {name!r}; it has: {', '.join(sorted(known)) or 'none'}")
        return {name: option.check(given.get(name, option.default)) for name, option in known.items()}


def extractor(
    *,
    version: str,
    mime: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    magic: tuple[bytes, ...] = (),
    deleted: bool = True,
    states: tuple[State, ...] = FILES,
    needs: tuple[str, ...] = ("content",),
    companions: tuple[str, ...] = (),
    prepare: Callable[..., Prepared] | None = None,
) -> Callable[[Callable[..., Iterable[Finding]]], Plugin]:
    """Declare a plugin that takes one file and yields findings.

    `mime` are MIME patterns (``image/*``), `names` globs over the whole path (case-insensitive; ``*`` within a component, ``**``
    across), `magic` first bytes. `states` are those of the entries that it is offered: with `unallocated` or `slack`, byte ranges
    that are no file and have no type, too. `needs` names what the result depends on. With `prepare`, the function's second argument
    is `Prepared.value`. Raises InvalidPlugin when the declaration does not hold.
    """
    return _declare("extractor", version, Select(mime, names, magic, deleted, states), needs, companions, prepare)


def container(
    *,
    version: str,
    mime: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    magic: tuple[bytes, ...] = (),
    deleted: bool = True,
    states: tuple[State, ...] = FILES,
    needs: tuple[str, ...] = ("content",),
    companions: tuple[str, ...] = (),
    prepare: Callable[..., Prepared] | None = None,
) -> Callable[[Callable[..., Iterable["Member | Finding"]]], Plugin]:
    """Declare a plugin that takes one file and yields the files inside it (`Member`), and findings about it. Parameters as `extractor`."""
    return _declare("container", version, Select(mime, names, magic, deleted, states), needs, companions, prepare)


def analyser(*, version: str, prepare: Callable[..., Prepared] | None = None) -> Callable[[Callable[..., Iterable[Finding]]], Plugin]:
    """Declare a plugin that takes the case's records (`Records`) and yields findings that name those they derive from."""
    return _declare("analyser", version, Select(), ("content",), (), prepare)


def _declare(
    kind: Kind,
    version: str,
    select: Select,
    needs: tuple[str, ...],
    companions: tuple[str, ...],
    prepare: Callable[..., Prepared] | None,
) -> Callable[[Callable[..., Any]], Plugin]:
    def decorate(function: Callable[..., Any]) -> Plugin:
        name = function.__name__.replace("_", "-")
        description = (inspect.getdoc(function) or "").partition("\n")[0].strip()
        if not _NAME.fullmatch(name):
            raise InvalidPlugin(f"{name!r}: a plugin's name is lower-case words joined by hyphens")
        if not version or not description:
            raise InvalidPlugin(f"plugin {name!r} needs a version and a docstring whose first line says what it finds")
        for field, value in (("mime", select.mime), ("names", select.names), ("magic", select.magic), ("needs", needs)):
            if not isinstance(value, tuple):
                raise InvalidPlugin(f"plugin {name!r}: {field} is a tuple, such as ({value!r},)")
        unknown = set(needs) - set(NEEDS)
        if unknown:
            raise InvalidPlugin(f"plugin {name!r}: needs={sorted(unknown)} is none of {', '.join(NEEDS)}")
        if not select.states or set(select.states) - set(STATES):
            raise InvalidPlugin(f"plugin {name!r}: states={select.states!r} are not out of {', '.join(STATES)}")
        wanted = {*needs, *(("companions",) if companions else ())}
        return Plugin(
            name=name,
            kind=kind,
            version=version,
            description=description,
            function=function,
            select=select,
            needs=tuple(need for need in NEEDS if need == "content" or need in wanted),
            companions=companions,
            options=_options(name, function),
            prepare=prepare,
        )

    return decorate


def _options(name: str, function: Callable[..., Any]) -> tuple[Option, ...]:
    options = []
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.annotation not in _OPTION_TYPES or parameter.default is inspect.Parameter.empty:
            raise InvalidPlugin(
                f"plugin {name!r}: option {parameter.name!r} needs a default and one of the types str, int, float, bool, tuple[str, ...]"
            )
        option = Option(parameter.name, parameter.annotation, parameter.default)
        try:
            option.check(parameter.default)
        except ValueError as error:
            raise InvalidPlugin(f"plugin {name!r}: the default of {error}") from error
        options.append(option)
    return tuple(options)
