"""Names in directories of ext2, ext3 and ext4: entries in use, entries in the slack of others, and the index blocks that hold none.

Source: Linux kernel documentation, "ext4 Data Structures and Algorithms", 4.3 "Directory Entries" (linear and hash tree).
"""

import struct
from collections.abc import Iterator

from forensics.evidence.directory_names import Content, Name, Names, Trouble
from forensics.evidence.tsk_constants import ALLOCATED, UNALLOCATED

_SHORTEST = 12  # bytes of an entry with a name of one byte
_LONGEST = 255
# the entry's file type -> TSK_FS_NAME_TYPE_ENUM
_TYPES = {1: 5, 2: 3, 3: 2, 4: 4, 5: 1, 6: 7, 7: 6}


class Format:
    """How the entries of one file system are written: byte order, whether they hold a file type, and the last inode there can be."""

    def __init__(self, little: bool, typed: bool, last: int, block: int) -> None:
        self.entry = struct.Struct(("<" if little else ">") + ("IHBB" if typed else "IHH"))
        self.words = struct.Struct(("<" if little else ">") + "HH")
        self.typed, self.last, self.block = typed, last, block


def names(content: Content, form: Format, deleted: bool) -> Names:
    """Every name in a directory, in the order of its blocks; `deleted` when the directory itself is."""
    for piece in content.blocks(form.block):
        if isinstance(piece, Trouble):
            yield piece
        else:
            yield from names_in_block(piece[1], form, deleted, piece[0])


def names_in_block(block: bytes, form: Format, deleted: bool = False, base: int = 0) -> Iterator[Name]:
    """The names in one block, which begins at byte `base` of the directory.

    Between the end of an entry and the end of its record lies what was deleted: entries are looked for there at every fourth byte, since
    nothing says where they begin. What is no entry is passed over four bytes at a time, so that no length can lead out of the block or
    stop the search.
    """
    end = len(block)
    at, slack = index_end(block, form)  # `slack` is where the slack that is being searched ends
    unpack, typed, last = form.entry.unpack_from, form.typed, form.last
    while at <= end - _SHORTEST:
        if typed:
            inode, record, length, type_ = unpack(block, at)
        else:
            inode, record, length = unpack(block, at)
            type_ = 0
        if record in (0, 0xFFFF) and end == 0x10000:
            record = end  # a record of 64 KiB does not fit its field
        size = length + 11 & ~3
        hidden = at < slack
        if inode > last or not 0 < length <= _LONGEST or record < size or record & 3 or at + record > end or (hidden and at + size > slack):
            at += 4
            continue
        name = block[at + 8 : at + 8 + length]
        if 0 in name:
            name = name.partition(b"\0")[0]
        gone = hidden or not inode or deleted
        yield Name(name, inode, 0, UNALLOCATED if gone else ALLOCATED, _TYPES.get(type_, 0), base + at)
        if at + size < slack:
            at += size
        elif record - size >= _SHORTEST:
            slack = at + record
            at += size
        else:
            at += record


def index_end(block: bytes, form: Format) -> tuple[int, int]:
    """Where in a block the search for entries begins, and where the slack that begins there ends: (0, 0) for a block of entries.

    A block of the hash tree holds pairs of a hash and a block number. They are no entries, though some look like one: The Sleuth Kit
    lists these as names, of any inode. Behind the pairs in use lie entries from the time when the block was not yet of the tree.
    """
    end = len(block)
    if end < 64:
        return 0, 0
    for start in (32, 8):  # in the root the fake entries "." and ".." and a header come first, in a node one fake entry
        limit, count = form.words.unpack_from(block, start)
        # the count takes the place of the first pair's hash; a checksum takes the place of the last pair
        if limit not in ((end - start) // 8, (end - start) // 8 - 1) or not 0 < count <= limit:
            continue
        if start == 32:
            (dot, first, *_), (_, rest, *_) = form.entry.unpack_from(block, 0), form.entry.unpack_from(block, 12)
            fits = dot and first == 12 and rest == end - 12 and block[8:10] == b".\0" and block[20:23] == b"..\0"
            fits = fits and block[24:28] == bytes(4) and block[29] == 8
        else:
            inode, record, *length = form.entry.unpack_from(block, 0)
            fits = inode == 0 and record in (end, 0, 0xFFFF) and not length[0]
        if fits:
            return start + 8 * count, end
    return 0, 0


def name_at(content: Content, form: Format, at: int) -> bytes:
    """The name of the entry that stands at byte `at` of a directory. Raises OSError."""
    room = form.block - at % form.block
    entry = content.read(at, min(8 + _LONGEST, room))
    length = form.entry.unpack_from(entry)[2]
    return entry[8 : 8 + length].partition(b"\0")[0]


def address_at(content: Content, form: Format, at: int) -> int:
    """The inode of the entry that stands at byte `at` of a directory. Raises OSError."""
    return int(form.entry.unpack_from(content.read(at, form.entry.size))[0])
