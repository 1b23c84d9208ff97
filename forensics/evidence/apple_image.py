"""Apple disk images: UDIF (.dmg), sparse image, sparse bundle, through libmodi."""

import plistlib
import re
from pathlib import Path
from xml.parsers.expat import ExpatError

from forensics.errors import Corrupt, Unsupported
from forensics.evidence import limits
from forensics.evidence.files import Files
from forensics.evidence.libyal import OpenFile, Source, Zeros, opened
from forensics.evidence.virtual import VirtualImage, open_files
from forensics.location import printable

TRAILER = b"koly"
SPARSE = b"sprs"
_INFO = 1 << 20  # bytes of a bundle's Info.plist


def open_apple_image(path: Path) -> VirtualImage:
    """A UDIF or sparse image. Raises Corrupt where libmodi cannot open it."""
    import pymodi

    files = Files([path])
    (file,) = open_files(files)
    handle = pymodi.handle()
    opened(lambda: handle.open_file_object(file), printable(str(path)), (file,))
    opened(lambda: handle.open_band_data_files_as_file_objects([file]), printable(str(path)), (file,))
    sparse = file.source.read(0, 4) == SPARSE
    return VirtualImage("sparse image (Apple)" if sparse else "DMG (UDIF)", handle, files, (file,))


def is_sparse_bundle(folder: Path) -> bool:
    """Whether a folder is a sparse bundle, as Time Machine and Disk Utility make them."""
    return (folder / "bands").is_dir() and (folder / "Info.plist").is_file() and (folder / "token").is_file()


def open_sparse_bundle(folder: Path) -> VirtualImage:
    """A sparse bundle: bands that are missing are zeros, as the format has it. Raises Unsupported for an encrypted one, Corrupt."""
    import pymodi

    name = printable(str(folder))
    information = folder / "Info.plist"
    with open(information, "rb") as file:
        text = file.read(_INFO)
    try:
        facts = plistlib.loads(text)
        size, band = int(facts["size"]), int(facts["band-size"])
    except (plistlib.InvalidFileException, ExpatError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise Corrupt(f"{name}: Info.plist does not say the sizes of the medium and of its bands: {error}") from error
    if not (band > 0 and 0 < size <= limits.MEDIUM and -(-size // band) <= limits.BANDS):
        raise Corrupt(f"{name}: Info.plist says {size} bytes in bands of {band}")
    if (folder / "token").stat().st_size:
        raise Unsupported(f"{name}: is an encrypted sparse bundle; mount it on a Mac, and image the result")
    found = {int(item.name, 16): item for item in (folder / "bands").iterdir() if re.fullmatch(r"[0-9a-f]{1,8}", item.name)}
    numbers = sorted(number for number in found if number * band < size and found[number].stat().st_size)
    files = Files([information, *(found[number] for number in numbers)])
    every = open_files(files)
    places: dict[int, Source] = {number: every[1 + index].source for index, number in enumerate(numbers)}
    bands = [OpenFile(places.get(number) or Zeros(min(band, size - number * band))) for number in range(-(-size // band))]
    handle = pymodi.handle()
    opened(lambda: handle.open_file_object(every[0]), name, (every[0],))
    opened(lambda: handle.open_band_data_files_as_file_objects(bands), name, (every[0], *bands))
    return VirtualImage("sparse bundle (Apple)", handle, files, (every[0], *bands))
