"""One file's content again, out of an exhibit or out of the containers in which it lies, as it was examined."""

import shutil
from pathlib import Path

from forensics.engine import content as contents
from forensics.engine.around import neighbour
from forensics.engine.guard import Failure, guarded
from forensics.engine.task import Wanted
from forensics.engine.unpack import in_container
from forensics.engine.workshop import Tool
from forensics.errors import EngineError, EvidenceError
from forensics.evidence.filesystem import FileSystem
from forensics.evidence.layers import Opened
from forensics.evidence.unallocated import CONTINUED, UnallocatedSpace
from forensics.filetype import mime_of
from forensics.location import Layer, Location, printable
from forensics.plugin import File, Member


def path_to(location: Location, containers: frozenset[str]) -> tuple[Location, tuple[tuple[str, int], ...]]:
    """The location in a file system that leads to `location`, and the containers (plugin, member's number) between the two."""
    layers, through = location.layers, []
    inner, meta = location.inner, location.meta
    while layers and layers[-1].kind in containers:
        through.append((layers[-1].kind, int(meta or 0)))
        inner = layers[-1].at
        layers = layers[:-1]
        meta = Location.parse(f"x:{inner}").meta
    return Location.parse(f"{Location(location.exhibit, layers)}{inner}"), tuple(reversed(through))


def extract(opened: Opened, tools: tuple[Tool, ...], wanted: Wanted, folder: Path, target: Path) -> tuple[str, int]:
    """Write the content to `target`; SHA-256 and bytes. Raises EvidenceError where it cannot be read, EngineError where it is not there."""
    location = base = Location.parse(wanted.base.location)
    layer = str(Location(location.exhibit, location.layers))
    system = next((each for each in opened.file_systems if each.info.location == layer), None)
    if system is None:
        raise EngineError(f"{wanted.base.location}: its file system does not open now; give the keys that it was examined with")
    digests, _, content = contents.read(system.open(location), wanted.base.size, wanted.base.holes, folder, keep=True)
    size = wanted.base.size
    for depth, (plugin, number) in enumerate(wanted.through):
        tool = next((each for each in tools if each.plugin.name == plugin), None)
        if tool is None:
            raise EngineError(f"{location}: lies in a container that plugin {plugin!r} opened, which is not there now")
        below = folder / f"depth-{depth}"
        below.mkdir(exist_ok=True)
        beside = _beside(system, location, folder) if not depth else {}
        inside = File(
            location=location,
            size=size,
            mime=mime_of(content.head(contents.HEAD)),
            sha256=digests.sha256,
            content=content,
            companions=beside.get,
            beside=(lambda path: neighbour(system, base, path)) if not depth else lambda path: None,
        )
        size, digests, _, content = _member(tool, inside, number, below)
        location = Location(location.exhibit, (*location.layers, Layer(plugin, location.inner)), "", str(number))
    with content.open() as source, open(target, "wb") as out:
        shutil.copyfileobj(source, out, contents.CHUNK)
    return digests.sha256, size


def _beside(system: FileSystem, location: Location, folder: Path) -> dict[str, File]:
    """What follows a piece of unallocated space without a break: a file that was carved may end there. Nothing where it cannot be read."""
    below = folder / "continued"
    below.mkdir(exist_ok=True)
    try:
        found = system.sibling(location, CONTINUED)
        if found is None or not isinstance(system, UnallocatedSpace):
            return {}
        stream = system.open(found)
        digests, head, content = contents.read(stream, stream.size, (), below, keep=True)
    except EvidenceError:  # the file was examined without it too, and the digest tells whether the content is the same
        return {}
    return {CONTINUED: File(location=found, size=stream.size, mime=mime_of(head), sha256=digests.sha256, content=content)}


def _member(tool: Tool, file: File, number: int, folder: Path) -> tuple[int, contents.Digests, bytes, contents.Content]:
    members = 0
    for step in guarded(lambda: tool.plugin(file, *tool.arguments, **tool.options)):
        if isinstance(step, Failure):
            raise EvidenceError(f"{printable(str(file.location))}: {step.message}")
        members += isinstance(step, Member)
        if members == number and isinstance(step, Member):
            return in_container(step, 1 << 62, folder)
    raise EngineError(f"{printable(str(file.location))}: has {members} members now, and number {number} was examined")
