"""VHD and VHDX disk images (Virtual PC, Hyper-V, Windows backup): fixed, dynamic, differential, through libvhdi."""

from pathlib import Path
from typing import Any

from forensics.errors import EvidenceError, Unsupported
from forensics.evidence import limits
from forensics.evidence.files import Files
from forensics.evidence.libyal import OpenFile, opened
from forensics.evidence.virtual import VirtualImage, beside, open_files
from forensics.location import printable

COOKIE = b"conectix"
COOKIE_X = b"vhdxfile"
_DIFFERENTIAL = 4


def open_vhd(path: Path) -> VirtualImage:
    """The image at `path`, and the parents beside it. Raises EvidenceError where a parent is missing or is another disk.

    A differential image without its parent would read as zeros where nothing was written, so it is refused.
    """
    import pyvhdi

    paths: list[Path] = []
    below: list[OpenFile] = []
    keep: list[Any] = []
    notes: list[str] = []
    current, child = path, None
    while True:
        name = printable(str(current))
        files = Files([current])
        (file,) = open_files(files)
        handle = pyvhdi.file()
        opened(lambda handle=handle, file=file: handle.open_file_object(file), name, (file,))  # type: ignore[misc]
        paths.append(current)
        below.append(file)
        keep += [handle, files]
        if file.source.read(0, 8) == COOKIE_X and _log(file):
            notes.append(f"{printable(current.name)}: was not closed properly; its log holds changes that are not replayed")
        if child is not None:
            if handle.identifier != child.parent_identifier:
                raise EvidenceError(
                    f"{name}: is not the parent of {printable(paths[-2].name)} (identifier {handle.identifier}, {child.parent_identifier} "
                    "is wanted); put the right one beside the image"
                )
            opened(lambda child=child, parent=handle: child.set_parent(parent), name, tuple(below))  # type: ignore[misc]
        if handle.disk_type != _DIFFERENTIAL:
            break
        if len(paths) > limits.NESTING:
            raise Unsupported(f"{printable(str(path))}: is a chain of more than {limits.NESTING} differential images; merge it")
        child, current = handle, beside(current, handle.parent_filename or "", "parent")
    format = "VHDX" if below[0].source.read(0, 8) == COOKIE_X else "VHD"
    return VirtualImage(format, keep[0], Files(paths), below, keep, notes=notes)


def _log(file: OpenFile) -> bool:
    """Whether a VHDX has a log to replay: the log's GUID in the header in force, that with the higher sequence number (MS-VHDX, 2.2.2)."""
    headers = [file.source.read(at, 64) for at in (64 << 10, 128 << 10)]
    valid = [header for header in headers if header.startswith(b"head") and len(header) == 64]
    return bool(valid) and any(max(valid, key=lambda header: int.from_bytes(header[8:16], "little"))[48:64])
