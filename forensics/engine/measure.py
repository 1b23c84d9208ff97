"""The digests of an exhibit, before and after: of an image its decoded medium, of a folder the sorted list of its files' digests."""

import hashlib
from collections.abc import Callable, Iterator

from forensics.engine.content import bound
from forensics.engine.ordered import ordered
from forensics.errors import Corrupt, EvidenceError, LimitExceeded
from forensics.evidence.image import measure as measure_image
from forensics.evidence.layers import Opened, Stream
from forensics.location import Location
from forensics.model import Fault, ImageDamage, ImageDigest, Measured

_STEP = 16 << 20
_ZEROS = bytes(_STEP)
DAMAGE = 1000  # places that are faults of their own


def exhibit(opened: Opened, name: str, phase: str, progress: Callable[[int], None]) -> Measured:
    """The digests of an exhibit; `progress` is told of bytes read. After an examination SHA-256 alone is taken again."""
    digest = measure_image(opened.image, progress, legacy=phase == "before") if opened.image is not None else _folder(opened, progress)
    return Measured(exhibit=name, phase="before" if phase == "before" else "after", image=digest)


def faults(measured: Measured) -> Iterator[Fault]:
    """What the image itself shows to be wrong: damage, and stored digests that its content does not have."""
    image = measured.image
    for damage in image.damage[:DAMAGE]:
        place = Location(measured.exhibit, offset=damage.offset)
        what = f"{damage.size} bytes of the medium: {damage.message}" if damage.size else damage.message  # a file of a folder says which
        yield Fault(location=str(place), kind="damaged", message=what)
    if len(image.damage) > DAMAGE:
        more = f"{len(image.damage) - DAMAGE} more places are damaged; the report's list of damage has them all"
        yield Fault(location=str(Location(measured.exhibit)), kind="damaged", message=more)
    for algorithm, same in sorted(image.stored_match.items()):
        if not same:
            stored = f"the {algorithm} stored at acquisition is {image.stored[algorithm]}, which is not that of the medium as it reads now"
            yield Fault(location=str(Location(measured.exhibit)), kind="damaged", message=stored)


def _folder(opened: Opened, progress: Callable[[int], None]) -> ImageDigest:
    """A folder's digest: SHA-256 over ``SHA256  PATH`` lines in order of path; what is not read stands in it as such."""
    total = 0
    damage: list[ImageDamage] = []

    def lines() -> Iterator[bytes]:
        nonlocal total
        for file_system in opened.file_systems:
            for entry in file_system.walk():
                if isinstance(entry, Fault) or entry.kind != "file":
                    continue
                location = Location.parse(entry.location)
                try:
                    stream = file_system.open(location)
                    bound(stream, stream.size, 0)
                    digest = _content(stream, progress)
                except LimitExceeded as error:
                    damage.append(ImageDamage(0, 0, f"{location}: {error}; what it holds is not in the digest of the exhibit"))
                    yield f"{'not read':64}  {location.inner}\n".encode()
                    continue
                except EvidenceError as error:
                    damage.append(ImageDamage(0, 0, str(error)))
                    yield f"{'unreadable':64}  {location.inner}\n".encode()
                    continue
                total += stream.size
                yield f"{digest}  {location.inner}\n".encode()

    listing = hashlib.sha256()
    for line in ordered(lines(), lambda line: line[66:]):
        listing.update(line)
    return ImageDigest(format=opened.layers[0].kind, size=total, sha256=listing.hexdigest(), damage=tuple(damage))


def _content(stream: Stream, progress: Callable[[int], None]) -> str:
    """SHA-256 of a file's content. Holes are zeros to it, which are digested and not read."""
    digest = hashlib.sha256()
    hole = getattr(stream, "hole", lambda offset: 0)
    offset = until = 0
    while offset < stream.size:
        if offset >= until:
            until = offset + hole(offset)
        piece = _ZEROS[: until - offset] if offset < until else stream.read(offset, _STEP)
        if not piece:
            raise Corrupt(f"content ends at byte {offset}, {stream.size} were expected")
        digest.update(piece)
        progress(len(piece))
        offset += len(piece)
    return digest.hexdigest()
