"""Opening an image, whatever its format, and measuring it: the medium's bytes, its digests, its damage."""

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

from forensics.errors import Corrupt, EvidenceError, Locked, Unsupported
from forensics.evidence import ad1, apple_image, l01, mapped, qcow, vhd, vmdk
from forensics.evidence.aff4 import Aff4Image, open_aff4
from forensics.evidence.ewf import SIGNATURE_V1, SIGNATURE_V2, open_ewf
from forensics.evidence.files import Files
from forensics.evidence.naming import raw_set
from forensics.evidence.raw import RawImage
from forensics.location import printable
from forensics.model import ImageDamage, ImageDigest, Segment

_PIECE = 4 << 20
_EWF_NAMES = {".e01", ".s01", ".ex01", ".l01", ".lx01"}


class Image(Protocol):
    """The bytes of an acquired medium.

    `format` is its name ("raw", "split raw", "EWF-E01", "VMDK", ...); `size` bytes of the decoded medium; `files` the segment files
    in order; `stored` the digests stored at acquisition (algorithm -> hexadecimal); `metadata` what was written of the acquisition
    (case_number, evidence_number, description, examiner, notes, acquired_at, system_date, software_version, operating_system, model,
    serial, label, process_id, media_type, write_blocker: those present). An image may be used on after a fork, and opened by several
    processes.
    """

    format: str
    size: int
    files: tuple[Path, ...]
    stored: dict[str, str]
    metadata: dict[str, str]
    damaged_reads: int
    """How many reads so far gave zeros in place of what could not be read."""

    @property
    def damage(self) -> tuple[ImageDamage, ...]:
        """What is known to be damaged so far: it grows as the image is read."""

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, short only at the end of the medium; what is damaged reads as zeros and is noted in `damage`.

        Raises EvidenceError where the storage that holds the image fails.
        """

    def close(self) -> None:
        """Close the segment files."""


class _Foreign(NamedTuple):
    """A format that is recognised and not read here: bytes `signature` at `offset` (from the end where negative)."""

    name: str
    offset: int
    signature: bytes
    advice: str = "convert it to raw or E01 with a tool that verifies the copy, and add the result"


# a later format leaves this table when it gets a reader
_FOREIGN = (
    _Foreign("EWF-X delta (DVF)", 0, b"DVF\x09\x0d\x0a\xff\x00"),
    _Foreign("DMG (Apple disk image, encrypted)", 0, b"encrcdsa", "decrypt it on a Mac (hdiutil convert), and add the result"),
    _Foreign("DMG (Apple disk image, encrypted)", -8, b"cdsaencr", "decrypt it on a Mac (hdiutil convert), and add the result"),
    _Foreign("AFF (Advanced Forensic Format 1-3)", 0, b"AFF10\x0d\x0a\x00"),
)


class _Format(NamedTuple):
    """A format that has a reader of its own: bytes `signature` at `offset` (from the end where negative), and what opens it."""

    offset: int
    signature: bytes
    open: Callable[[Path], Image]


_READ = (
    _Format(0, SIGNATURE_V1, open_ewf),
    _Format(0, SIGNATURE_V2, open_ewf),
    _Format(0, vmdk.SPARSE, vmdk.open_vmdk),
    _Format(0, vmdk.ESX_SPARSE, vmdk.open_vmdk),
    _Format(0, vmdk.DESCRIPTOR, vmdk.open_vmdk),
    _Format(0, qcow.MAGIC, lambda path: qcow.open_qcow(path, open_image)),
    _Format(0, vhd.COOKIE_X, vhd.open_vhd),
    _Format(0, vhd.COOKIE, vhd.open_vhd),
    _Format(-512, vhd.COOKIE, vhd.open_vhd),
    _Format(-511, vhd.COOKIE, vhd.open_vhd),
    _Format(0x40, mapped.VDI, mapped.open_vdi),
    _Format(0, mapped.PARALLELS[0], mapped.open_parallels),
    _Format(0, mapped.PARALLELS[1], mapped.open_parallels),
    _Format(0, mapped.ANDROID, mapped.open_android_sparse),
    _Format(-512, apple_image.TRAILER, apple_image.open_apple_image),
    _Format(0, ad1.MAGIC, ad1.open_ad1),
    _Format(0, l01.SIGNATURE_V1, l01.open_l01),
    _Format(0, l01.SIGNATURE_V2, l01.open_l01),
    _Format(0, apple_image.SPARSE, apple_image.open_apple_image),
)


def open_image(path: Path) -> Image:
    """The image that `path` is, or is any segment of; its format is told by signature, and what has none is raw.

    Raises Unsupported for a format that is recognised but not read (with what to do), Locked for an encrypted one, Corrupt where it
    cannot be read at all, EvidenceError where a file is empty, missing or may not be read.
    """
    name = printable(str(path))
    first = Files([path])
    try:
        head = first.read(0, 0, 4096)
        tail = first.read(0, max(0, first.sizes[0] - (64 << 10)), 64 << 10)
        size = first.sizes[0]
    finally:
        first.close()
    for known in _READ:
        if _bears(known, head, tail, size):
            return known.open(path)
    if head.startswith(b"ADCRYPT\0"):
        raise Locked(f"{name}: is an image encrypted by FTK Imager (AD encryption); decrypt it there and add the result")
    for foreign in _FOREIGN:
        if _bears(foreign, head, tail, size):
            raise Unsupported(f"{name}: is a {foreign.name}, which is not read; {foreign.advice}")
    if head.startswith(b"PK\x03\x04") and any(mark in part for mark in (b"container.description", b"aff4://") for part in (head, tail)):
        return open_aff4(path)
    if path.suffix.lower() in _EWF_NAMES:
        raise Corrupt(
            f"{name}: is named as an EWF image but does not begin as one ({head[:8].hex(' ')}); copy it again from its source, or "
            "rename it if it is raw"
        )
    if path.suffix.lower() == ".vmdk" and (descriptor := vmdk.descriptor_naming(path)) is not None:
        return vmdk.open_vmdk(descriptor)  # a flat extent alone would be a part of the medium
    return RawImage(raw_set(path))


def _bears(format: "_Foreign | _Format", head: bytes, tail: bytes, size: int) -> bool:
    """Whether a file of `size` bytes that begins with `head` and ends with `tail` bears a format's signature."""
    if format.offset >= 0:
        return head.startswith(format.signature, format.offset)
    return size >= -format.offset and tail[format.offset :].startswith(format.signature)


def measure(image: Image, progress: Callable[[int], None] = lambda done: None, *, legacy: bool = True) -> ImageDigest:
    """Read the whole medium once, in order. `progress` gets the bytes read since its last call.

    SHA-256 and, with `legacy`, SHA-1 and MD5 of the decoded medium; size and SHA-256 of each segment file; whether the stored digests match
    those computed (AFF4, AD1, L01 store those of parts). The segment files are hashed in step with the medium, so that both reads
    of a byte fall together in the page cache. Raises EvidenceError where the storage fails.
    """
    sha256, sha1, md5 = hashlib.sha256(), hashlib.sha1(usedforsecurity=False), hashlib.md5(usedforsecurity=False)
    hashes = (sha256, sha1, md5) if legacy else (sha256,)
    segments = _Segments(image)
    try:
        with ThreadPoolExecutor(len(hashes) + 1) as pool:  # hashlib and libdeflate both release the interpreter's lock
            waiting: list[Future[None]] = []
            offset = 0
            while offset < image.size:
                piece = image.read(offset, _PIECE)
                if not piece:
                    raise EvidenceError(f"{printable(str(image.files[0]))}: gives nothing at byte {offset} of {image.size}")
                for future in waiting:
                    future.result()
                waiting = [pool.submit(one.update, piece) for one in hashes]
                offset += len(piece)
                waiting.append(pool.submit(segments.advance, offset / image.size))
                progress(len(piece))
            for future in waiting:
                future.result()
        files = segments.finish(sha256.hexdigest())
    finally:
        segments.close()
    parts = list(image.inner_digests()) if isinstance(image, (Aff4Image, ad1.Ad1Image, l01.L01Image)) else []
    computed = {"sha256": sha256.hexdigest(), **({"sha1": sha1.hexdigest(), "md5": md5.hexdigest()} if legacy else {})}
    return ImageDigest(
        format=image.format,
        size=image.size,
        sha256=computed["sha256"],
        md5=computed.get("md5"),
        sha1=computed.get("sha1"),
        segments=files,
        stored=image.stored | {name: value for name, value, _ in parts},
        stored_match={name: computed[name] == value.lower() for name, value in sorted(image.stored.items()) if name in computed}
        | {name: value.lower() == found for name, value, found in parts},
        metadata=image.metadata,
        damage=image.damage,
    )


class _Segments:
    """SHA-256 of the segment files, taken little by little. A raw image in one file is its own segment and is not read again."""

    def __init__(self, image: Image) -> None:
        self._files = Files(image.files)
        self._same = image.format == "raw"
        self._total = sum(self._files.sizes)
        self._done: list[Segment] = []
        self._hash = hashlib.sha256()
        self._offset = 0
        self._before = 0

    def advance(self, share: float) -> None:
        """Hash on until `share` (0 to 1) of all segments' bytes is reached."""
        if self._same:
            return
        goal = self._total if share >= 1 else int(self._total * share)
        while self._before + self._offset < goal:
            index = len(self._done)
            size = self._files.sizes[index]
            data = self._files.read(index, self._offset, min(_PIECE, size - self._offset))
            if not data:
                raise EvidenceError(f"{self._files.names[index]}: ends at byte {self._offset}, but held {size} bytes when it was opened")
            self._hash.update(data)
            self._offset += len(data)
            if self._offset == size:
                self._done.append(Segment(printable(self._files.names[index]), size, self._hash.hexdigest()))
                self._before, self._offset, self._hash = self._before + size, 0, hashlib.sha256()

    def finish(self, medium: str) -> tuple[Segment, ...]:
        """All segments. `medium` is the SHA-256 of the medium."""
        if self._same:
            return (Segment(self._files.names[0], self._total, medium),)
        self.advance(1)
        return tuple(self._done)

    def close(self) -> None:
        self._files.close()
