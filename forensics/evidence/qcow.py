"""QCOW images of QEMU, versions 1 to 3: compressed clusters and backing files, through libqcow."""

from pathlib import Path
from typing import Any

from forensics.errors import EvidenceError, Locked, Unsupported
from forensics.evidence import limits
from forensics.evidence.files import Files
from forensics.evidence.libyal import OpenFile, opened
from forensics.evidence.virtual import VirtualImage, beside, open_files
from forensics.location import printable

MAGIC = b"QFI\xfb"
# QEMU docs/interop/qcow2.rst, incompatible features
_FEATURES = {2: "an external data file", 3: "zstd compression", 4: "extended L2 entries"}


def open_qcow(path: Path) -> VirtualImage:
    """The image at `path`, and the backing files beside it. Raises Locked for an encrypted one, EvidenceError where a file is missing."""
    import pyqcow

    paths: list[Path] = []
    below: list[OpenFile] = []
    keep: list[Any] = []
    notes: list[str] = []
    snapshots = 0
    current, child = path, None
    while True:
        name = printable(str(current))
        files = Files([current])
        (file,) = open_files(files)
        head = file.source.read(0, 104)
        if not head.startswith(MAGIC):
            raise Unsupported(f"{name}: is the backing file of {printable(path.name)} and no QCOW image; convert both to one raw image")
        version = int.from_bytes(head[4:8], "big")
        if int.from_bytes(head[36:40] if version == 1 else head[32:36], "big"):
            raise Locked(f"{name}: is encrypted; convert it with qemu-img and its key, and add the result")
        features = int.from_bytes(head[72:80], "big") if version >= 3 else 0
        if features >> 2:
            known = [text for bit, text in _FEATURES.items() if features >> bit & 1] or [f"features {features:#x}"]
            raise Unsupported(f"{name}: is a QCOW image with {' and '.join(known)}, which is not read; convert it to raw with qemu-img")
        if features & 1:
            notes.append(f"{printable(current.name)}: was not closed properly (dirty)")
        if features & 2:
            notes.append(f"{printable(current.name)}: is marked as corrupt by QEMU")
        if child is None and version >= 2:
            snapshots = int.from_bytes(head[60:64], "big")
        handle = pyqcow.file()
        opened(lambda handle=handle, file=file: handle.open_file_object(file), name, (file,))  # type: ignore[misc]
        paths.append(current)
        below.append(file)
        keep += [handle, files]
        if child is not None:
            opened(lambda child=child, parent=handle: child.set_parent(parent), name, tuple(below))  # type: ignore[misc]
        backing = opened(lambda handle=handle: handle.backing_filename, name, (file,))  # type: ignore[misc]
        if not backing:
            break
        if len(paths) > limits.NESTING:
            raise EvidenceError(f"{printable(str(path))}: is a chain of more than {limits.NESTING} images; commit or convert it")
        child, current = handle, beside(current, backing, "backing file")
    metadata = {"internal_snapshots": str(snapshots)} if snapshots else {}
    return VirtualImage("QCOW2" if version >= 2 else "QCOW", keep[0], Files(paths), below, keep, notes=notes, metadata=metadata)
