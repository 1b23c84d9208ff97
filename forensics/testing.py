"""For the tests of plugins: a file out of bytes or out of a path, and what a plugin says of it."""

import io
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from forensics import discovery
from forensics.digest import sha256
from forensics.errors import EvidenceError, InvalidPlugin, LimitExceeded
from forensics.filetype import mime_of
from forensics.location import Layer, Location
from forensics.model import Finding, Times
from forensics.plugin import NEEDS, File, Member, Neighbour, Plugin


class _Held:
    """Content held in memory, as the engine gives it to a plugin."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self) -> BinaryIO:
        return io.BytesIO(self._data)

    def read(self) -> bytes:
        return self._data

    def path(self, name: str) -> Path:
        folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        path = Path(folder, name.replace("/", "_") or "content")
        path.write_bytes(self._data)
        return path


def plugin_beside(test: str, name: str) -> Plugin:
    """The plugin called `name` of the file of that name that lies beside a test: ``plugin_beside(__file__, "travel-tickets")``.

    It is loaded as the engine loads it. Raises InvalidPlugin with the reason where it would not load.
    """
    source = f"{name.replace('-', '_')}.py"
    found = discovery.load([Path(test).parent])
    for loaded in found.plugins:
        if (loaded.plugin.name, loaded.source) == (name, source):
            return loaded.plugin
    why = [fault.message for fault in found.faults if fault.location == source]
    raise InvalidPlugin(f"{source}: holds no plugin called {name!r}{''.join(f' ({text})' for text in why)}")


def file_of(
    content: bytes | Path,
    *,
    name: str | None = None,
    mime: str | None = None,
    deleted: bool = False,
    times: Times = Times(),
    needs: Iterable[str] = NEEDS,
    companions: dict[str, bytes] | None = None,
    around: dict[str, bytes] | None = None,
) -> File:
    """A `File` of these bytes, or of the file at this path; the type as libmagic says it unless given.

    `companions` are by suffix; `around` is what `File.beside` finds, by path from the file's folder.
    """
    data = content.read_bytes() if isinstance(content, Path) else content
    path = name or (content.name if isinstance(content, Path) else "file.bin")
    beside, near = companions or {}, around or {}
    return File(
        location=Location("test", (Layer("folder"),), path if path.startswith("/") else f"/{path}"),
        size=len(data),
        mime=mime or mime_of(data[: 64 << 10]),
        sha256=sha256(data),
        content=_Held(data),
        allocated=not deleted,
        deleted=deleted,
        times=times,
        needs=needs,
        companions=lambda suffix: file_of(beside[suffix], name=f"{path}{suffix}") if suffix in beside else None,
        beside=lambda path: Neighbour(len(near[path]), lambda: io.BytesIO(near[path])) if path in near else None,
    )


def run(plugin: Plugin, content: bytes | Path, *, given: dict[str, Any] | None = None, **file: Any) -> list[Finding]:
    """What `plugin` says of a file made of `content`, with the options `given`; `file` goes to `file_of`. Raises what the plugin raises."""
    options = plugin.filled(given or {})
    offered = file_of(content, needs=plugin.needs, **file)
    extra = (plugin.prepare(**options).value,) if plugin.prepare else ()
    return [item for item in plugin(offered, *extra, **options) if isinstance(item, Finding)]


def unpack(
    plugin: Plugin, content: bytes | Path, *, given: dict[str, Any] | None = None, limit: int = 64 << 20, **file: Any
) -> tuple[list[tuple[Member, bytes]], list[Finding], EvidenceError | None]:
    """What a container plugin yields of a file made of `content`, as the engine takes it: each member with its content, read at once.

    The findings follow, and the error that ended it, if one of `EvidenceError` did; anything else that it raises is raised. A member of
    more than `limit` bytes raises LimitExceeded.
    """
    options = plugin.filled(given or {})
    offered = file_of(content, needs=plugin.needs, **file)
    extra = (plugin.prepare(**options).value,) if plugin.prepare else ()
    members: list[tuple[Member, bytes]] = []
    findings: list[Finding] = []
    items = iter(plugin(offered, *extra, **options))
    while True:
        try:
            item = next(items, None)
        except EvidenceError as error:
            return members, findings, error
        if item is None:
            return members, findings, None
        if isinstance(item, Finding):
            findings.append(item)
            continue
        with item.open() as stream:
            data = stream.read(limit + 1)
        if len(data) > limit:
            raise LimitExceeded(f"member {item.path!r} yields more than {limit} bytes")
        members.append((item, data))
