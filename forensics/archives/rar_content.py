"""The content of members of RAR archives: stored ones as they lie there, compressed ones by libarchive, decrypted before.

libarchive reads no encryption: it is given an archive that is made here, in which the member lies decrypted, alone, or in a solid archive
behind all members before it.
"""

import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from forensics.archives import libarchive, rar4_header, rar5_header, rar_keys
from forensics.archives.methods import CHUNK, DAMAGE
from forensics.archives.rar_entry import Entry
from forensics.archives.tried import Tried
from forensics.errors import Corrupt, LimitExceeded, Locked
from forensics.members import stream_of

_TRIAL = 1 << 16  # bytes by which a password that fitted elsewhere is tried


def fitting(stream: BinaryIO, entry: Entry, tried: Tried) -> bytes | None:
    """The password that an encrypted member opens with, or `None`. Raises LimitExceeded for more rounds than is sensible."""
    lock = entry.lock
    if lock is None or not lock.salt:
        return None
    rar_keys.refuse_endless(lock)
    if entry.size == 0 and tried:
        return b""  # there is nothing that a wrong password would do to it
    if lock.check:
        return rar_keys.by_check(lock, tried)
    times = rar_keys.times4 if lock.form == 4 else lambda _: 1
    for password in tried.candidates(lock.rounds, times) if not entry.solid else ():
        if _opens(stream, entry, password, beginning=tried.fitted(password)):
            tried.fits(password)
            return password
    return None


def _opens(stream: BinaryIO, entry: Entry, password: bytes, *, beginning: bool) -> bool:
    """Whether it unpacks to the stated checksum, or its beginning unpacks at all."""
    count = crc = 0
    try:
        for piece in alone(stream, entry, password):
            count += len(piece)
            crc = zlib.crc32(piece, crc)
            if beginning and count >= _TRIAL:
                return True
    except DAMAGE:
        if entry.size is None or count < entry.size:
            return False
    return entry.crc is None or right(entry, password, crc)


def right(entry: Entry, password: bytes | None, crc: int) -> bool:
    """Whether a content's checksum is the stated one."""
    if entry.lock is not None and entry.lock.tweaked and password is not None:
        crc = rar_keys.tweaked(entry.lock, password, crc)
    return crc == entry.crc


def alone(stream: BinaryIO, entry: Entry, password: bytes | None) -> Iterator[bytes]:
    """The content of a member that needs none before it. Raises one of `DAMAGE`."""
    if entry.size == 0:
        return iter(())
    packed = _packed(stream, entry, password)
    if entry.stored:
        return _limited(packed, entry.packed if entry.size is None else entry.size)
    if entry.form == 5:
        return _unpacked(chain((rar5_header.begin_of(False),), _made5(stream, entry, password), (rar5_header.END,)))
    return _unpacked(chain((rar4_header.BEGIN, entry.header), packed))


def _made5(stream: BinaryIO, entry: Entry, password: bytes | None) -> Iterator[bytes]:
    """A member of version 5 with a header of its own: decrypted, and without the zeros that fill up the last block of encryption."""
    if entry.lock is None or password is None:
        yield entry.header
        yield from _packed(stream, entry, password)
        return
    length = (entry.size or 0) if entry.stored else _blocks(_packed(stream, entry, password))
    yield rar5_header.shorter(entry, length)
    yield from _limited(_packed(stream, entry, password), length)


def _blocks(pieces: Iterator[bytes]) -> int:
    """How many bytes the blocks of compressed data have together: each begins with flags, a checksum, and its length in 1 to 3 bytes."""
    stream = stream_of(pieces)
    total = 0
    while len(head := stream.read(2)) == 2:
        size = stream.read((head[0] >> 3 & 3) + 1)
        length = int.from_bytes(size, "little")
        total += 2 + len(size) + length
        if head[0] & 0x40:
            break
        while length > 0 and (piece := stream.read(min(CHUNK, length))):
            length -= len(piece)
    return total


def _unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    with libarchive.Archive("rar", pieces) as archive:
        if archive.next():
            yield from archive.content()


class Solid:
    """A solid archive of version 5, of which members are read one after the other; those between are unpacked and passed over."""

    def __init__(self, stream: BinaryIO, entries: Callable[[], Iterator[Entry]], tried: Tried) -> None:
        self._archive: libarchive.Archive | None = None
        self._stream, self._entries, self._tried = stream, entries, tried
        self._at = -1

    def _pieces(self) -> Iterator[bytes]:
        yield rar5_header.begin_of(True)
        try:
            for entry in self._entries():
                if entry.kind == "file":
                    yield from _made5(self._stream, entry, fitting(self._stream, entry, self._tried))
        except (Corrupt, Locked, LimitExceeded):
            return  # who lists the members meets it too, and says so
        yield rar5_header.END

    def content(self, number: int) -> Iterator[bytes]:
        """The content of the file of this number. Raises one of `DAMAGE`; then nothing more can be read."""
        if self._archive is None:
            self._archive = libarchive.Archive("rar", self._pieces())
        while self._at < number:
            self._at += 1
            if not self._archive.next():
                raise EOFError("the archive ends before it")
        yield from self._archive.content()

    def close(self) -> None:
        if self._archive is not None:
            self._archive.close()


def _limited(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    for piece in pieces:
        if size <= 0:
            return
        yield piece[:size]
        size -= len(piece)


def _packed(stream: BinaryIO, entry: Entry, password: bytes | None) -> Iterator[bytes]:
    """The packed bytes, decrypted. Raises EOFError where they are not all there."""
    decryptor = None
    if entry.lock is not None and password is not None:
        key, vector = rar_keys.key_of(entry.lock, password)
        decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    count = 0
    while count < entry.packed:
        stream.seek(entry.begin + count)
        piece = stream.read(min(CHUNK, entry.packed - count))
        if not piece:
            raise EOFError(f"{count} of {entry.packed} bytes are there")
        count += len(piece)
        yield decryptor.update(piece) if decryptor else piece
