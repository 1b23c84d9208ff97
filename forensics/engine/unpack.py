"""The files inside a file: each read and examined as it comes out of its container, within bounds, and containers among them likewise.

Reading a member runs the container plugin's code, so what goes wrong there is that plugin's failure on the container. Members are
numbered as they come out, through all depths; as many as were completed before a child died are not examined again.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from forensics.engine import content as contents
from forensics.engine.around import companion
from forensics.engine.guard import Failure, guarded
from forensics.engine.item import Item
from forensics.engine.setup import place
from forensics.evidence import limits
from forensics.location import Layer, Location
from forensics.model import Digests, Entry, Examined, Fault
from forensics.plugin import Member

LONG = 1 << 12  # characters of a location that are not counted as something that came out: PATH_MAX of Linux


class Expansion:
    """What has come out of one entry so far, and what more may."""

    def __init__(self, number: int, size: int, skip: int) -> None:
        self.number, self.skip = number, skip
        self.begun = self.completed = 0
        self.bytes_left = max(limits.EXPANSION_FLOOR, limits.EXPANSION * size)

    def begin(self) -> int:
        """The place of the next member."""
        self.begun += 1
        return place(self.number, self.begun)

    @property
    def done(self) -> bool:
        """Whether the lines of what is completed next were kept before."""
        return self.completed < self.skip


def member_entry(container: Item, plugin: str, member: Member, number: int, size: int) -> Entry:
    """The entry of a file in a container: its state is the container's, its address there the number in which it came out."""
    inside = Layer(plugin, container.location.inner)
    location = Location(container.location.exhibit, (*container.location.layers, inside), member.path, meta=str(number))
    return Entry(
        location=str(location),
        kind=member.kind,
        size=size,
        state=container.entry.state,
        content=container.entry.content,
        times=member.times,
        target=member.target,
    )


def too_deep(container: Item) -> str | None:
    """Why a container is not opened at all, or `None`."""
    if container.depth >= limits.NESTING:
        return f"containers within containers more than {limits.NESTING} deep"
    return None


def read(
    container: Item, plugin: str, member: Member, number: int, expansion: Expansion, folder: Path, within: Callable[[], None]
) -> Iterator[Item | Examined | Fault]:
    """One member: its item where its content could be read, else what to say of it. `within` is told before the container's code runs.

    A size that no medium has is refused. A name is written down for each member and compresses well: what is beyond sense of it counts as
    bytes that came out. Raises OSError where the disk is full.
    """
    possible = member.size is None or 0 <= member.size <= limits.MEDIUM
    entry = member_entry(container, plugin, member, number, (member.size or 0) if possible else 0)
    expansion.bytes_left -= max(0, len(entry.location) + len(entry.target or "") - LONG)
    if not possible:
        message = f"a size of {member.size} bytes is stated, which cannot be (limit {limits.MEDIUM}): it is not recorded"
        yield Fault(location=entry.location, kind="corrupt", plugin=plugin, message=message)
    if member.kind != "file":
        yield Examined(entry=entry)
        return
    within()
    for got in guarded(lambda: [in_container(member, expansion.bytes_left, folder)]):
        if isinstance(got, Failure):
            yield Fault(location=entry.location, kind=got.kind, plugin=plugin, message=got.message)
            yield Examined(entry=entry, outcome="failed", reason=f"could not be read: {got.kind}")
            return
        size, digests, head, content = got
        expansion.bytes_left -= size
        if possible and member.size is not None and member.size != size:
            message = f"{size} bytes came out, {member.size} are stated"
            yield Fault(location=entry.location, kind="corrupt", plugin=plugin, message=message)
        entry = member_entry(container, plugin, member, number, size)
        yield Item(
            place=place(expansion.number, expansion.begun),
            entry=entry,
            location=Location.parse(entry.location),
            depth=container.depth + 1,
            digests=digests,
            head=head,
            content=content,
            beside=partial(companion, member, Location.parse(entry.location), folder),
        )


def in_container(member: Member, limit: int, folder: Path) -> tuple[int, Digests, bytes, contents.Content]:
    """Size, digests, beginning and content of a member. Raises LimitExceeded past `limit` bytes, and whatever its container raises."""
    with member.open() as stream:
        return contents.read_member(stream, limit, folder)
