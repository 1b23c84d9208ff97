"""VMDK disk images of VMware: flat, sparse, split and stream-optimised, with their parents, through libvmdk."""

import os
import re
from pathlib import Path
from typing import Any

from forensics.errors import EvidenceError, Unsupported
from forensics.evidence import limits
from forensics.evidence.files import Files
from forensics.evidence.libyal import OpenFile, opened
from forensics.evidence.virtual import VirtualImage, beside, open_files
from forensics.location import printable

DESCRIPTOR = b"# Disk DescriptorFile"
SPARSE = b"KDMV"
ESX_SPARSE = b"COWD"
_NO_PARENT = 0xFFFFFFFF  # Virtual Disk Format 5.0, "parentCID"
_DESCRIPTOR_SIZE = 64 << 10
# Virtual Disk Format 5.0, "The Extent Description"
_EXTENT = re.compile(rb'^(?:RW|RDONLY|NOACCESS)\s+\d+\s+\w+\s+"([^"\r\n]+)"', re.MULTILINE)


def open_vmdk(path: Path) -> VirtualImage:
    """The image that a descriptor, or a sparse file with its descriptor inside, describes; an extent leads to its descriptor.

    Raises EvidenceError naming an extent or a parent that is missing, Corrupt where libvmdk cannot open it.
    """
    path = _descriptor_of(path)
    paths: list[Path] = []
    below: list[OpenFile] = []
    chain: list[Any] = []
    child: tuple[Any, int] | None = None
    files: Files | None = None
    try:
        current = path
        while True:
            files, handle, ours = _open_one(current)
            paths += [item for item in files.paths if item not in paths]
            below += ours
            chain += [handle, files]
            if child is not None:
                if handle.content_identifier != child[1]:
                    raise EvidenceError(
                        f"{printable(str(current))}: is not the parent in the state that the snapshot was made of (content identifier "
                        f"{handle.content_identifier:08x}, {child[1]:08x} is wanted); put the right one beside the image"
                    )
                parented = child[0]
                opened(lambda parented=parented, parent=handle: parented.set_parent(parent), printable(str(path)), tuple(below))  # type: ignore[misc]
            wanted = int(handle.parent_content_identifier)
            if wanted == _NO_PARENT:
                break
            if len(chain) > 2 * limits.NESTING:
                raise Unsupported(f"{printable(str(path))}: is a chain of more than {limits.NESTING} snapshots; consolidate it")
            child = (handle, wanted)
            current = beside(current, handle.parent_filename or "", "parent")
        return VirtualImage("VMDK", chain[0], Files(paths), below, chain)
    except EvidenceError:
        for item in chain:
            if isinstance(item, Files):
                item.close()
        raise


def _open_one(path: Path) -> tuple[Files, Any, list[OpenFile]]:
    """One image of a chain, its extents open, without its parent."""
    import pyvmdk

    name = printable(str(path))
    first = Files([path])
    (descriptor,) = open_files(first)
    handle = pyvmdk.handle()
    opened(lambda: handle.open_file_object(descriptor), name, (descriptor,))
    extents = opened(lambda: [extent.filename for extent in handle.extent_descriptors], name, (descriptor,))
    if descriptor.source.read(0, 4) == SPARSE and len(extents) == 1:
        places = [path]  # the descriptor is inside: the name that it gives itself may be an old one
    else:
        if any(not extent for extent in extents):
            raise Unsupported(f"{name}: has an extent without a file (a device, or zeros), which is not read; convert it to raw")
        places = [beside(path, extent, "extent") for extent in extents]
    first.close()
    files = Files([path, *(place for place in dict.fromkeys(places) if place != path)])
    numbers = {place: number for number, place in enumerate(files.paths)}
    every = open_files(files)
    ours = [OpenFile(every[numbers[place]].source) for place in places]
    descriptor = every[0]
    handle = pyvmdk.handle()
    opened(lambda: handle.open_file_object(descriptor), name, (descriptor,))
    opened(lambda: handle.open_extent_data_files_as_file_objects(ours), name, (descriptor, *ours))
    return files, handle, [descriptor, *ours]


def _descriptor_of(path: Path) -> Path:
    """The file that describes the image: `path` itself, or the descriptor beside it that names it as an extent."""
    with open(path, "rb") as file:
        head = file.read(512)
    if head.startswith(DESCRIPTOR):
        return path
    found = descriptor_naming(path)
    if found is None and head.startswith(SPARSE) and any(head[28:44]):
        return path  # offset and size of an embedded descriptor: header at 28 and 36
    if found is None:
        raise EvidenceError(f"{printable(str(path))}: is an extent of a VMDK; put its descriptor (a small .vmdk file) beside it")
    return found


def descriptor_naming(path: Path) -> Path | None:
    """The VMDK descriptor in the folder of `path` that names it as an extent, `None` where there is none."""
    for item in sorted(path.parent.iterdir()):
        if item.suffix.lower() != ".vmdk" or item == path or not item.is_file():
            continue
        with open(item, "rb") as file:
            text = file.read(_DESCRIPTOR_SIZE)
        if text.startswith(DESCRIPTOR) and os.fsencode(path.name) in _EXTENT.findall(text):
            return item
    return None
