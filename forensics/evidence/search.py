"""What the search of an image knows: the layers that it has found, and how one that gives bytes is examined in turn."""

from collections.abc import Callable

from msgspec import Struct

from forensics.errors import EvidenceError, Locked
from forensics.evidence import limits, lvm
from forensics.evidence.filesystem import FileSystem
from forensics.evidence.keys import Key, Keys
from forensics.evidence.libyal import Part, Source
from forensics.evidence.tsk import Medium
from forensics.evidence.unallocated import UnallocatedSpace, space_of
from forensics.location import Layer, Location
from forensics.model import Fault, FaultKind, LayerInfo


class Volume(Struct, frozen=True):
    """A range of a medium that may hold something: `layers` are those that lead to it, `depth` how many of them hold others.

    `named` says whether the last of these is itself (a partition) or what gives its bytes (decryption). The medium is the image's own, or
    that of a layer (decrypted, joined, restored), which begins at its byte 0.
    """

    medium: Medium
    offset: int
    size: int
    layers: tuple[Layer, ...] = ()
    depth: int = 0
    description: str | None = None
    named: bool = True

    @property
    def source(self) -> Source:
        """Its bytes alone."""
        image: Source = self.medium.image
        return image if not self.offset and self.size == image.size else Part(image, self.offset, self.size)

    @property
    def whole(self) -> bool:
        """Whether it is all of its medium."""
        return self.offset == 0 and self.size == self.medium.image.size


class Member(Struct, frozen=True):
    """A physical volume of an LVM2 volume group."""

    volume: Volume
    label: lvm.Label


class Search:
    """The search of one image, and what it has found so far. `examine` finds out what a volume holds."""

    def __init__(self, exhibit: str, keys: Keys, shadow_copies: bool, examine: "Callable[[Search, Volume], None]") -> None:
        self.exhibit, self.keys, self.shadow_copies, self.examine = exhibit, keys, shadow_copies, examine
        self.file_systems: list[FileSystem] = []
        self.layers: list[LayerInfo] = []
        self.faults: list[Fault] = []
        self.spaces: list[UnallocatedSpace] = []
        self.members: list[Member] = []
        self.recognised = False
        self._cut = False

    def add(self, info: LayerInfo) -> None:
        if len(self.layers) < limits.LAYERS:
            self.layers.append(info)
        elif not self._cut:
            self._cut = True
            message = f"more than {limits.LAYERS} layers; this one and those after it are not examined"
            self.faults.append(Fault(location=info.location, kind="limit", message=message))

    @property
    def full(self) -> bool:
        return len(self.layers) >= limits.LAYERS

    def found(self, system: FileSystem) -> None:
        """A file system to walk."""
        self.recognised = True
        if not self.full:
            self.file_systems.append(system)
            self.free(space_of(system))
        self.add(system.info)

    def free(self, space: UnallocatedSpace | None) -> None:
        """Unallocated space of what was found."""
        self.spaces += [space] if space and not self.full else []

    def holds(self, volume: Volume, kind: str, description: str, label: str | None = None, at: str = "") -> tuple[Layer, ...]:
        """A layer that holds others: it is examined in that these are. Its layers come back."""
        self.recognised = True
        layers = (*volume.layers, Layer(kind, at))
        self.add(
            LayerInfo(
                location=str(Location(self.exhibit, layers)),
                kind=kind,
                offset=volume.offset,
                size=volume.size,
                label=label or None,
                description=f"{volume.description}; {description}" if volume.description else description,
                examined=True,
            )
        )
        return layers

    def refuse(self, volume: Volume, kind: str, failure: Exception | str, description: str | None = None) -> None:
        """A volume that is not examined, and the fault that says so."""
        place = self.place(volume, kind)
        said = [text for text in (volume.description, description) if text]
        self.add(
            LayerInfo(
                location=place,
                kind=kind,
                offset=volume.offset,
                size=volume.size,
                description="; ".join(said) or None,
                reason=str(failure),
            )
        )
        kind_of_fault: FaultKind = "locked" if isinstance(failure, Locked) else "unsupported"
        self.faults.append(Fault(location=place, kind=kind_of_fault, message=f"not examined: {failure}"))

    def unused(self, volume: Volume, kind: str) -> None:
        """A volume all of which belongs to no file: a gap, or bytes in which nothing is recognised. Its layer is added by the caller."""
        layers = volume.layers if volume.named else (*volume.layers, Layer(kind))
        if volume.size > 0 and not self.full:
            whole = ((0, volume.size),)
            self.spaces.append(UnallocatedSpace(self.exhibit, layers, volume.medium.image, volume.offset, lambda: whole, stated=True))

    def place(self, volume: Volume, kind: str) -> str:
        return str(Location(self.exhibit, volume.layers if volume.named else (*volume.layers, Layer(kind))))

    def keys_of(self, layers: tuple[Layer, ...]) -> tuple[Key, ...]:
        return tuple(self.keys.of(str(Location(self.exhibit, layers))))


def read_volume(volume: Volume, offset: int, size: int) -> bytes:
    return bytes(volume.medium.image.read(volume.offset + offset, max(0, min(size, volume.size - offset))))


def within(search: Search, volume: Volume, bytes: Source, layers: tuple[Layer, ...], description: str | None = None) -> None:
    """Examine what a layer gives: its bytes are a medium of their own."""
    named = layers[-1].kind == "volume"
    search.examine(search, Volume(Medium(bytes), 0, bytes.size, layers, volume.depth + 1, description, named))


def why_locked(keys: tuple[Key, ...]) -> str:
    if keys:
        return (
            f"encrypted; none of the {len(keys)} keys given for it opens it"
            if len(keys) > 1
            else "encrypted; the key given does not open it"
        )
    return "encrypted; no key was given for it"


def raise_storage(error: EvidenceError) -> None:
    """Raise `error` on where it is the storage that failed, and not the structure of a layer."""
    if type(error) is EvidenceError:
        raise error
