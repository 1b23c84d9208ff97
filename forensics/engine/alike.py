"""What machines must have in common to examine one run together: tool, libraries, plugins with their rules, Python, the images' bytes."""

import hashlib
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from forensics.engine.task import Described
from forensics.errors import EvidenceError
from forensics.evidence.ewf import segment_number
from forensics.evidence.naming import raw_set, siblings

ENDS = 1 << 20  # bytes compared at the beginning and at the end of an image
PLACES = 14  # places between
PLACE = 64 << 10  # bytes compared at each
LISTED = 1000  # names of a folder that are compared
SEGMENTS = 100_000


class Sample(Struct, frozen=True):
    """An exhibit as one machine sees it: bytes in all, SHA-256 of the sampled ones; or why it cannot be seen."""

    size: int = 0
    sha256: str = ""
    problem: str = ""


class Plugin(Struct, frozen=True):
    """A plugin as one machine has it: version, SHA-256 of its source file, those of what it reads (rules, hash sets), all in one."""

    version: str
    digest: str
    inputs: tuple[str, ...]
    fingerprint: str


class Likeness(Struct, frozen=True, kw_only=True):
    """What one machine has. Machines of which `differences` finds none give the same records for the same unit.

    `sandbox` is told beside: how a child is confined there does not change what it finds.
    """

    python: str
    tool: str
    libraries: dict[str, str]
    plugins: dict[str, Plugin]
    exhibits: dict[str, Sample]
    sandbox: str = ""


decode = msgspec.json.Decoder(Likeness).decode


def likeness(described: Described, images: Mapping[str, str], tool: str, libraries: Mapping[str, str]) -> Likeness:
    """What this machine has, for exhibits at the paths `images`."""
    return Likeness(
        python=f"{sys.version_info[0]}.{sys.version_info[1]}",
        tool=tool,
        libraries={name: version for name, version in libraries.items() if name != "python"},
        plugins={
            info.name: Plugin(info.version, info.digest, tuple(sorted(info.inputs.values())), info.fingerprint)
            for info in described.plugins
        },
        exhibits={exhibit: sample(Path(image)) for exhibit, image in images.items()},
        sandbox=described.sandbox,
    )


def differences(ours: Likeness, theirs: Likeness) -> Iterator[str]:
    """What another machine has otherwise, a clause each, the plainest cause first."""
    if ours.python != theirs.python:
        yield f"it has Python {theirs.python}, not {ours.python}"
    if ours.tool != theirs.tool:
        yield f"its forensics is another (SHA-256 of the sources {theirs.tool[:12]}, not {ours.tool[:12]})"
    for name in sorted({*ours.libraries, *theirs.libraries}):
        if ours.libraries.get(name) != theirs.libraries.get(name):
            yield f"{name} is {theirs.libraries.get(name, 'not installed')}, not {ours.libraries.get(name, 'not installed')}"
    for name in sorted({*ours.plugins, *theirs.plugins}):
        yield from _plugin(name, ours.plugins.get(name), theirs.plugins.get(name))
    for exhibit, own in sorted(ours.exhibits.items()):
        other = theirs.exhibits.get(exhibit, Sample(problem="it does not answer for it"))
        if other.problem:
            yield f"exhibit {exhibit}: {other.problem}"
        elif own.size != other.size:
            yield f"exhibit {exhibit}: the image has {other.size} bytes there, not {own.size}"
        elif own != other:
            yield f"exhibit {exhibit}: the image has other bytes there (SHA-256 of the sample {other.sha256[:12]}, not {own.sha256[:12]})"


def _plugin(name: str, ours: Plugin | None, theirs: Plugin | None) -> Iterator[str]:
    if ours is None:
        yield f"it has a plugin {name} more"
    elif theirs is None:
        yield f"plugin {name} is missing or cannot be loaded there"
    elif ours.digest != theirs.digest or ours.version != theirs.version:
        yield f"plugin {name} is another (version {theirs.version}, SHA-256 {theirs.digest[:12]}, not {ours.version}, {ours.digest[:12]})"
    elif ours.inputs != theirs.inputs:
        yield f"what plugin {name} reads (rules or hash sets) has other digests"
    elif ours.fingerprint != theirs.fingerprint:
        yield f"plugin {name} has other options"


def sample(path: Path) -> Sample:
    """What can be compared of an exhibit in a moment: an image is read whole once, by the coordinator, and not once more by every worker.

    Of an image: the sizes of its segment files, and the SHA-256 of its first and last MiB and of 14 places of 64 KiB evenly between. Of
    a folder: the first 1000 names in it, with their sizes. So another image, a copy that was cut short and an image that somebody wrote
    to in many places are told; a few changed bytes between the places are not. Those show when the exhibit is measured again after the
    examination, if all machines read one copy.
    """
    try:
        return _folder(path) if path.is_dir() else _image(_files(path))
    except OSError as error:
        return Sample(problem=f"{error.filename or path} cannot be read there ({error.strerror})")
    except EvidenceError as error:
        return Sample(problem=str(error))


def _files(path: Path) -> list[Path]:
    """The segment files of the image `path`, by their names alone: their headers are for a child to read."""
    if segment_number(path.suffix, path.suffix) is None:
        return raw_set(path)
    numbered = {number: item for item in siblings(path) if (number := segment_number(item.suffix, path.suffix))}
    found: list[Path] = []
    for number in range(1, SEGMENTS):
        if number not in numbered:
            break
        found.append(numbered[number])
    return found if path in found else [path]


def _image(files: list[Path]) -> Sample:
    total = hashlib.sha256()
    sizes = []
    for path in files:
        with open(path, "rb") as file:
            sizes.append(file.seek(0, os.SEEK_END))  # a block device's status has no size
    size = sum(sizes)
    total.update(repr(sizes).encode())
    _digest(total, files[0], 0, ENDS)
    _digest(total, files[-1], max(0, sizes[-1] - ENDS), ENDS)
    for number in range(1, PLACES + 1):
        place = size * number // (PLACES + 1)
        index = 0
        while place >= sizes[index] and index < len(files) - 1:
            place, index = place - sizes[index], index + 1
        _digest(total, files[index], place, PLACE)
    return Sample(size, total.hexdigest())


def _digest(total: "hashlib._Hash", path: Path, offset: int, size: int) -> None:
    with open(path, "rb") as file:
        file.seek(offset)
        total.update(file.read(size))


def _folder(path: Path) -> Sample:
    total = hashlib.sha256()  # of bytes: names from evidence need not be text
    size = listed = 0
    for root, folders, names in os.walk(os.fsencode(path), onerror=_raise):
        folders.sort()
        for name in sorted(names):
            status = os.lstat(os.path.join(root, name))
            own = status.st_size if stat.S_ISREG(status.st_mode) else 0
            total.update(os.path.relpath(os.path.join(root, name), os.fsencode(path)) + b"\0%d\n" % own)
            size, listed = size + own, listed + 1
            if listed == LISTED:
                return Sample(size, total.hexdigest())
    return Sample(size, total.hexdigest())


def _raise(error: OSError) -> None:
    raise error
