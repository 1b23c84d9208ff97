"""7z archives: their members, streamed folder by folder; encrypted ones with a password that was given."""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from msgspec import Struct

from forensics.archives.methods import DAMAGE
from forensics.archives.seven_zip_content import ROUNDS, contents, fitting, unread
from forensics.archives.seven_zip_header import BROKEN, Entry, Folder, listing
from forensics.archives.tried import Tried, unlocked
from forensics.plugin import File, Finding, Inventory, Locked, Member, Unsupported, container, passwords, stream_of

MAGIC = b"7z\xbc\xaf\x27\x1c"


@container(version="1.3", mime=("application/x-7z-compressed",), magic=(MAGIC,), prepare=passwords)
def seven_zip(file: File, known: tuple[bytes, ...], *, passwords_file: str = "") -> Iterator[Member | Finding]:
    """Files in 7z archives; encrypted ones, and names, with a password out of `passwords_file`.

    Members that stay locked or are compressed in a way that is not read are named. Raises Unsupported where the content is no 7z archive,
    Corrupt after the members that could be read, Locked where members or the list of them stay encrypted, LimitExceeded for a header
    beyond what is sensible.
    """
    inventory = Inventory("7z archive", passwords=True)
    tried = Tried(known, ROUNDS)
    with file.open() as stream:
        if stream.read(6) != MAGIC:
            raise Unsupported("content that is no 7z archive")
        try:
            folders, files = listing(stream, file.size, lambda folder: _header(stream, folder, tried))
        except BROKEN as error:
            inventory.damaged("", f"its header cannot be read ({error or type(error).__name__})")
            folders, files = [], []
        except Locked:
            yield Finding(
                kind="locked-members",
                summary="Encrypted 7z archive: names and contents",
                data={"format": inventory.what, "examples": ["names and contents"]},
                level="notable",
            )
            raise
        yield from _members(stream, folders, files, inventory, tried)
    yield from unlocked(inventory.what, tried)
    yield from inventory.conclude()


def _header(stream: BinaryIO, folder: Folder, tried: Tried) -> bytes | str:
    """A packed header, or why it stays locked. Raises one of `DAMAGE`."""
    if why := unread(folder):
        raise ValueError(f"packed with {why}, which is not read")
    password = fitting(stream, folder, tried) if folder.encrypted else None
    return tried.said if folder.encrypted and password is None else b"".join(contents(stream, folder, password))


def _members(stream: BinaryIO, folders: list[Folder], files: list[Entry], inventory: Inventory, tried: Tried) -> Iterator[Member]:
    found = _contents(stream, folders, tried)
    for entry in files:
        inventory.note(entry.path, directory=entry.directory)
        if not entry.has_stream:
            yield Member(path=entry.path, open=lambda: stream_of(()), times=entry.times, kind="directory" if entry.directory else "file")
            continue
        content = next(found, None)
        if content is None:
            inventory.damaged(entry.path, "no content is recorded for it")
            continue
        size = content.size
        if content.locked is not None or content.unread:
            if content.locked is not None:
                inventory.locked(entry.path + (f": {content.locked}" if content.locked else ""))
            else:
                inventory.unread(entry.path, f"compressed with {content.unread}")
            yield Member(path=entry.path, open=lambda: stream_of(()), size=size, times=entry.times, kind="other")
            continue
        reader = _checked(content.pieces, entry.path, size, content.checksum, inventory)
        target = b"".join(reader)[:4096].decode("utf-8", "surrogateescape") if entry.link and size <= 4096 else None
        yield Member(
            path=entry.path,
            open=lambda reader=reader if target is None else (): stream_of(reader),  # type: ignore[misc]
            size=size,
            times=entry.times,
            kind="file" if target is None else "link",
            target=target,
        )


class _Content(Struct, frozen=True, kw_only=True):
    """A member's content: its size, its pieces, its checksum; why it stays locked, or what is not read of it."""

    size: int
    pieces: Iterator[bytes]
    checksum: int | None
    locked: str | None
    unread: str | None


def _contents(stream: BinaryIO, folders: list[Folder], tried: Tried) -> Iterator[_Content]:
    """The contents in order. What was not read of one is read past before the next begins."""
    for folder in folders:
        if not folder.sizes:  # nothing is said to lie in it, so there is nothing that a password could be tried on
            continue
        password = locked = None
        why = unread(folder)
        if folder.encrypted and not why:
            try:
                password = fitting(stream, folder, tried) if tried else None
                locked = tried.said if password is None else None
            except (EOFError, ValueError) as error:
                locked = str(error)
        readable = not why and locked is None
        source = _Source(contents(stream, folder, password) if readable else iter(()))
        for size, checksum in zip(folder.sizes, folder.checksums, strict=True):
            end = source.position + size
            yield _Content(size=size, pieces=source.pieces(size), checksum=checksum, locked=locked, unread=why)
            if readable:
                source.skip(end - source.position)


def _checked(pieces: Iterator[bytes], path: str, size: int, checksum: int | None, inventory: Inventory) -> Iterator[bytes]:
    count, crc, why = 0, 0, "cut short"
    try:
        for piece in pieces:
            yield piece
            count += len(piece)
            crc = zlib.crc32(piece, crc)
    except DAMAGE as error:
        why = str(error) or type(error).__name__
    if count < size:
        inventory.damaged(path, f"readable to byte {count} of {size} ({why})")
    elif checksum is not None and crc != checksum:
        inventory.damaged(path, f"checksum {crc:08x}, stated {checksum:08x}")


class _Source:
    """A folder's stream, of which members are taken one after the other; after damage it gives nothing more."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.position = 0

    def pieces(self, length: int) -> Iterator[bytes]:
        while length > 0:
            self._rest = self._rest or next(self._pieces, b"")
            if not self._rest:
                return
            piece, self._rest = self._rest[:length], self._rest[length:]
            length -= len(piece)
            self.position += len(piece)
            yield piece

    def skip(self, length: int) -> None:
        """Pass over what was not read; damage there is met again by the next member, which has nothing."""
        try:
            for _ in self.pieces(length):
                pass
        except DAMAGE:
            return
