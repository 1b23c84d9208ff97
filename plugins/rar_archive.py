"""RAR archives, versions 1.5 to 5: what they hold, by their headers; encrypted ones with a password that was given.

Compressed members are unpacked by libarchive, which does not read all of RAR: what it refuses is listed, and said to be unread.
"""

import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

from forensics.archives import libarchive, rar4_header, rar5_header, rar_content, rar_keys
from forensics.archives.methods import DAMAGE
from forensics.archives.rar_entry import Entry
from forensics.archives.tried import Tried, unlocked
from forensics.plugin import Corrupt, File, Finding, Inventory, LimitExceeded, Locked, Member, Unsupported, container, passwords, stream_of

MAX_MEMBERS = 1 << 22
MAGIC4, MAGIC5 = rar4_header.MAGIC, rar5_header.MAGIC

Listing = Callable[[], Iterator[Entry]]


@container(
    version="1.3",
    mime=("application/x-rar", "application/x-rar-compressed", "application/vnd.rar"),
    magic=(MAGIC4, MAGIC5),
    prepare=passwords,
)
def rar_archive(file: File, known: tuple[bytes, ...], *, passwords_file: str = "") -> Iterator[Member | Finding]:
    """Files in RAR archives; encrypted ones, and names, with a password out of `passwords_file`.

    Raises Unsupported where the content is no RAR archive or members are compressed in a way that is not read, Corrupt after what could
    be read of a damaged one, Locked where members or their names stay encrypted, LimitExceeded past 4 million members.
    """
    inventory = Inventory("RAR archive", passwords=True)
    tried = Tried(known, rar_keys.ROUNDS)
    with file.open() as stream:
        head = stream.read(8)
        if head == MAGIC5:
            entries: Listing = partial(rar5_header.entries, stream, file.size, tried)
        elif head[:7] == MAGIC4:
            entries = partial(rar4_header.entries, stream, file.size, tried)
        else:
            raise Unsupported("content that is no RAR archive")
        try:
            yield from _members(stream, entries, inventory, tried)
        except Locked:
            yield Finding(
                kind="locked-members",
                summary="Encrypted RAR archive: names and contents",
                data={"format": inventory.what, "examples": ["names and contents"]},
                level="notable",
            )
            raise
        except Corrupt as error:
            inventory.damaged("", str(error))
    yield from unlocked(inventory.what, tried)
    yield from inventory.conclude()


def _members(stream: BinaryIO, entries: Listing, inventory: Inventory, tried: Tried) -> Iterator[Member]:
    files = 0
    solid = rar_content.Solid(stream, entries, tried)
    try:
        for number, entry in enumerate(entries()):
            if number >= MAX_MEMBERS:
                raise LimitExceeded(f"RAR archive of more than {MAX_MEMBERS} members; the first were listed")
            inventory.note(entry.path, directory=entry.kind == "directory")
            kind = entry.kind
            password, why = None, ""
            if kind == "file":
                if entry.lock is not None:
                    password, why = _password(stream, entry, tried)
                if entry.lock is not None and password is None:
                    inventory.locked(entry.path + (f": {why}" if why else ""))
                    kind = "other"
                elif why := _unread(entry):
                    inventory.unread(entry.path, why)
                    kind = "other"
            pieces = solid.content(files) if entry.solid and not entry.stored else rar_content.alone(stream, entry, password)
            files += entry.kind == "file"
            content = _checked(pieces, entry, password, inventory) if kind == "file" else ()
            yield Member(
                path=entry.path,
                open=lambda content=content: stream_of(content),  # type: ignore[misc]
                size=entry.size if kind in ("file", "other") else None,
                times=entry.times,
                kind=kind,
                target=entry.target,
            )
    finally:
        solid.close()


def _password(stream: BinaryIO, entry: Entry, tried: Tried) -> tuple[bytes | None, str]:
    """The password that opens a member, or `None` and what is to be said of it."""
    try:
        return rar_content.fitting(stream, entry, tried) if _readable(entry) else None, tried.said
    except LimitExceeded as error:  # its own: members behind it are read
        return None, str(error)


def _readable(entry: Entry) -> bool:
    """Whether a password would help."""
    return not entry.split and (entry.stored or not _unread(entry))


def _unread(entry: Entry) -> str:
    """Why a member that is not encrypted any more is not read, empty where it is."""
    if entry.split:
        return "a part of it lies in another volume"
    if entry.stored:
        return ""
    return entry.why or ("" if libarchive.there() else libarchive.MISSING)


def _checked(pieces: Iterator[bytes], entry: Entry, password: bytes | None, inventory: Inventory) -> Iterator[bytes]:
    """A member's content; what is missing, and a wrong checksum, go to the inventory."""
    count, crc, why = 0, 0, "cut short"
    try:
        for piece in pieces:
            if entry.size is not None and count + len(piece) > entry.size:
                inventory.damaged(entry.path, f"holds more than the {entry.size} bytes that it states")
                return
            yield piece
            count += len(piece)
            crc = zlib.crc32(piece, crc)
    except DAMAGE as error:
        why = str(error) or type(error).__name__
        if count == entry.size and entry.crc is None:  # a digest that is no CRC-32 is wrong
            inventory.damaged(entry.path, why)
            return
    if entry.size is not None and count < entry.size:
        inventory.damaged(entry.path, f"readable to byte {count} of {entry.size} ({why})")
    elif entry.crc is not None and not rar_content.right(entry, password, crc):
        inventory.damaged(entry.path, f"checksum {crc:08x}, stated {entry.crc:08x}")
