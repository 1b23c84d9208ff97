"""Zip archives: their members, by the central directory, or by the local headers where that is lost (PKWARE APPNOTE 6.3.10).

Office Open XML and OpenDocument files are such archives too: their members are the text, the pictures and what was embedded.
"""

import zlib
from array import array
from collections.abc import Iterator
from typing import BinaryIO

from forensics.archives import libarchive, methods, zip_encryption
from forensics.archives.methods import CHUNK, DAMAGE
from forensics.archives.tried import Tried, as_bytes, unlocked
from forensics.archives.zip_encryption import Aes, Pieces
from forensics.archives.zip_header import (
    LOCAL,
    METHODS,
    OTHER_METHODS,
    Directory,
    Header,
    begin_of,
    central_headers,
    directory,
    local_headers,
)
from forensics.plugin import (
    Corrupt,
    File,
    Finding,
    Inventory,
    LimitExceeded,
    Member,
    Unsupported,
    container,
    passwords,
    shown,
    stream_of,
)

MAX_MEMBERS = 1 << 22  # members listed of one archive
MAX_UNSTATED = 1 << 40  # bytes of a member whose size is not stated
MAX_TRIES = {False: 200_000, True: 5_000}  # of passwords on one archive, by whether a key is derived of each: seconds
MAX_EXAMPLES = 10


@container(
    version="1.2",
    mime=(
        "application/zip",
        "application/x-zip*",
        "application/java-archive",
        "application/vnd.android.package-archive",
        "application/epub+zip",
        "application/vnd.openxmlformats-officedocument*",
        "application/vnd.oasis.opendocument.*",
        "application/vnd.ms-visio*",
    ),
    prepare=passwords,
)
def zip_archive(file: File, known: tuple[bytes, ...], *, passwords_file: str = "") -> Iterator[Member | Finding]:
    """Files in zip archives, JAR, APK and Office files among them; encrypted ones with a password out of `passwords_file`.

    Members that overlap, are described in two ways or stay locked are named. Where the central directory is lost, members are found by
    their local headers. Raises Unsupported where the content is no zip archive, Corrupt after the members that could be read, Locked where
    members stay encrypted, LimitExceeded past 4 million members.
    """
    inventory = Inventory("zip archive", passwords=True)
    tried = {derived: Tried(known, tries) for derived, tries in MAX_TRIES.items()}
    with file.open() as stream:
        found = directory(stream, file.size)
        overlaps = None if found is None else _overlaps(stream, found)
        if found is None or overlaps is None:
            stream.seek(0)
            if stream.read(4) not in (LOCAL, b"PK\x07\x08"):
                raise Unsupported("content that is no zip archive: it has neither a central directory nor a local header at its start")
            inventory.damaged("", "its central directory is lost or broken; members were found by their local headers")
            yield from _members(file, local_headers(stream, file.size), inventory, {}, tried)
        else:
            yield from overlaps
            differences: dict[str, str] = {}
            yield from _members(file, central_headers(stream, found), inventory, differences, tried)
            if differences:
                yield Finding(
                    kind="archive-mismatch",
                    summary=f"Zip archive whose two headers of a member differ: {shown(next(iter(differences)))}",
                    data={"format": "zip archive", "examples": [shown(f"{path}: {what}") for path, what in differences.items()]},
                    level="notable",
                )
    yield from unlocked(inventory.what, *tried.values())
    yield from inventory.conclude()


def _members(
    file: File, headers: Iterator[Header], inventory: Inventory, differences: dict[str, str], tried: dict[bool, Tried]
) -> Iterator[Member]:
    for number, header in enumerate(headers):
        if number >= MAX_MEMBERS:
            raise LimitExceeded(f"zip archive of more than {MAX_MEMBERS} members; the first were listed")
        inventory.note(header.path, directory=header.directory)
        if header.directory:
            yield Member(path=header.path, open=lambda: stream_of(()), times=header.times, kind="directory")
            continue
        with file.open() as stream:
            try:
                begin, difference = begin_of(stream, file.size, header)
            except Corrupt as error:
                inventory.damaged(header.path, str(error))
                continue
            if difference and len(differences) < MAX_EXAMPLES:
                differences[header.path] = difference
            pieces: Iterator[bytes] | str = ""
            if header.compression not in METHODS:
                inventory.unread(header.path, f"compressed by method {OTHER_METHODS.get(header.compression, header.compression)}")
            elif header.compression == 98 and not libarchive.there():
                inventory.unread(header.path, f"compressed by method PPMd; {libarchive.MISSING}")
            elif not header.encrypted:
                pieces = _stored(stream, begin, header.compressed)
            elif isinstance(pieces := _unlocked(stream, header, begin, tried[header.aes is not None]), str):
                inventory.locked(header.path + (f": {pieces}" if pieces else ""))
            if isinstance(pieces, str):
                yield Member(path=header.path, open=lambda: stream_of(()), size=header.size, times=header.times, kind="other")
                continue
            content = _content(pieces, header, inventory)
            target = _target(content) if header.link else None
            yield Member(
                path=header.path,
                open=lambda content=content if target is None else (): stream_of(content),  # type: ignore[misc]
                size=header.size,
                times=header.times,
                kind="file" if target is None else "link",
                target=target,
            )


def _target(content: Iterator[bytes]) -> str:
    """What a symbolic link points to: its content (Info-ZIP), at most 4096 bytes."""
    taken = b""
    for piece in content:
        taken += piece
        if len(taken) >= 4096:
            break
    return taken[:4096].decode("utf-8", "surrogateescape")


def _content(pieces: Iterator[bytes], header: Header, inventory: Inventory) -> Iterator[bytes]:
    """The member's content in pieces; what ends it early, and a wrong checksum, go to the inventory."""
    count, crc = 0, 0
    try:
        for piece in _decompressed(pieces, header):
            yield piece
            count += len(piece)
            crc = zlib.crc32(piece, crc)
            if header.size is not None and count > header.size:
                inventory.damaged(header.path, f"holds more than the {header.size} bytes that it states")
                return
    except DAMAGE as error:
        inventory.damaged(header.path, f"readable to byte {count} ({error or type(error).__name__})")
        return
    if header.size is not None and count < header.size:
        inventory.damaged(header.path, f"ends at byte {count} of {header.size}")
    elif header.crc is not None and crc != header.crc and (header.aes is None or header.aes.version == 1):
        inventory.damaged(header.path, f"checksum {crc:08x}, stated {header.crc:08x}")


# --- encryption ---------------------------------------------------------------------------------------------------------


def _unlocked(stream: BinaryIO, header: Header, begin: int, tried: Tried) -> Iterator[bytes] | str:
    """An encrypted member's compressed bytes, by the first password that fits; else why it stays locked."""
    length = header.compressed
    if length is None:
        return "where its content ends is not stated"
    if header.aes is None and (header.method == 99 or header.flags & 0x40):
        return "strong encryption of PKWARE, which is not read"
    if not tried:
        return ""

    def pieces(place: int, count: int) -> Iterator[bytes]:
        return _stored(stream, begin + place, count)

    try:
        if header.aes is not None:
            return _unlocked_aes(header.aes, length, pieces, tried) or tried.said
        if not libarchive.there():
            return libarchive.MISSING
        start = b"".join(pieces(0, zip_encryption.START))
        if len(start) < zip_encryption.START:
            return "it is cut short"
        checks = {header.clock >> 8 if header.flags & 8 else -1, -1 if header.crc is None else header.crc >> 24}
        for password in tried.candidates():
            for form in as_bytes(password):
                check = zip_encryption.check_byte(start, form)
                if check in checks and (tried.fitted(password) or _right(header, _traditional(pieces, length, form, check))):
                    if header.size:  # a wrong one makes of nothing the right content
                        tried.fits(password)
                    return _traditional(pieces, length, form, check)
    except EOFError as error:
        return str(error)
    return tried.said


def _traditional(pieces: Pieces, length: int, password: bytes, check: int) -> Iterator[bytes]:
    return zip_encryption.traditional(pieces(0, length), length, password, check)


def _right(header: Header, compressed: Iterator[bytes]) -> bool:
    """Whether what a password makes of a member unpacks to its size and checksum."""
    count = crc = 0
    try:
        for piece in _decompressed(compressed, header):
            count += len(piece)
            crc = zlib.crc32(piece, crc)
            if header.size is not None and count > header.size:
                return False
    except DAMAGE:
        return False
    return crc == header.crc


def _unlocked_aes(aes: Aes, length: int, pieces: Pieces, tried: Tried) -> Iterator[bytes] | None:
    """By a password whose authentication code is right, or by one that opened another member, though this one's code is not."""
    start, count = zip_encryption.encrypted(aes, length)
    head = b"".join(pieces(0, start))
    for password in tried.candidates():
        for form in as_bytes(password):
            key = zip_encryption.aes_key(aes, head[: aes.salt], head[aes.salt :], form)
            if key is None:
                continue
            authentic = zip_encryption.authentic(pieces, start, count, key)
            if authentic or tried.fitted(password):
                tried.fits(password)
                return _authenticated(zip_encryption.decrypted(pieces(start, count), key), authentic)
    return None


def _authenticated(plain: Iterator[bytes], authentic: bool) -> Iterator[bytes]:
    """The bytes; at their end or before, raises ValueError where their authentication code is wrong."""
    yield from plain
    if not authentic:
        raise ValueError("its authentication code is wrong")


# --- overlaps and content -----------------------------------------------------------------------------------------------


def _overlaps(stream: BinaryIO, found: Directory) -> tuple[Finding, ...] | None:
    """Members that claim the same bytes of the archive: how a zip bomb makes much of little (Fifield, WOOT 2019).

    `None` where a header of the central directory cannot be read.
    """
    starts, ends = array("q"), array("q")
    try:
        for header in central_headers(stream, found):
            within = abs(header.offset) < 1 << 62  # a directory's stated place, of 64 bits, is taken from it
            if header.compressed is not None and header.compressed < 1 << 62 and within and len(starts) < MAX_MEMBERS:
                starts.append(header.offset)
                ends.append(header.offset + 30 + header.compressed)
    except Corrupt:
        return None
    count, reached = 0, -1
    for place in sorted(range(len(starts)), key=starts.__getitem__):
        count += starts[place] < reached
        reached = max(reached, ends[place])
    if not count:
        return ()
    said = Finding(
        kind="overlapping-members",
        summary=f"Zip archive in which {count} of {len(starts)} members lie over others: a sign of a zip bomb",
        data={"format": "zip archive", "members": len(starts), "overlapping": count},
        level="alert",
    )
    return (said,)


# --- the content ------------------------------------------------------------------------------------------------------------


def _stored(stream: BinaryIO, begin: int, length: int | None) -> Iterator[bytes]:
    """The bytes as they lie in the archive: `length` of them, or all to its end."""
    stream.seek(begin)
    left = length
    while left is None or left > 0:
        piece = stream.read(CHUNK if left is None else min(CHUNK, left))
        if not piece:
            return
        left = None if left is None else left - len(piece)
        yield piece


def _decompressed(pieces: Iterator[bytes], header: Header) -> Iterator[bytes]:
    """The content, in pieces of at most `CHUNK` bytes or so. Raises one of `DAMAGE`."""
    method, size = header.compression, header.size
    if method == 0:
        return pieces
    if method == 12:
        return methods.bzip2(pieces)
    if method == 14:
        return methods.lzma_of_zip(pieces, size)
    if method == 98:
        length = MAX_UNSTATED if header.compressed is None else max(0, header.compressed - header.added)
        return methods.ppmd_of_zip(pieces, length, MAX_UNSTATED if size is None else size)
    return {8: methods.inflated, 9: methods.inflated64, 93: methods.zstd, 95: methods.xz}[method](pieces)
