"""What comes out of a folder of a 7z archive: coder by coder, decrypted with the password that fits.

Read are: stored, LZMA, LZMA2, PPMd, bzip2, Deflate, Deflate64 and Zstandard, the branch and delta filters, BCJ2, and AES-256
(7zAes.cpp of 7-Zip). What else there may be is said to be unread.
"""

import hashlib
import lzma
import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from forensics.archives import bcj2, branch, libarchive, methods
from forensics.archives.methods import CHUNK, DAMAGE
from forensics.archives.seven_zip_header import AES, Coder, Folder
from forensics.archives.tried import Tried, as_utf16

LZMA1, LZMA2, DELTA, BCJ2 = b"\x03\x01\x01", b"\x21", b"\x03", b"\x03\x03\x01\x1b"
STORED, DEFLATE, DEFLATE64, BZIP2 = b"\0", b"\x04\x01\x08", b"\x04\x01\x09", b"\x04\x02\x02"
PPMD, ZSTD = b"\x03\x04\x01", b"\x04\xf7\x11\x01"
BRANCH = {
    b"\x03\x03\x01\x03": lzma.FILTER_X86,
    b"\x03\x03\x02\x05": lzma.FILTER_POWERPC,
    b"\x03\x03\x04\x01": lzma.FILTER_IA64,
    b"\x03\x03\x05\x01": lzma.FILTER_ARM,
    b"\x03\x03\x07\x01": lzma.FILTER_ARMTHUMB,
    b"\x03\x03\x08\x05": lzma.FILTER_SPARC,
    b"\x04": lzma.FILTER_X86,
    b"\x05": lzma.FILTER_POWERPC,
    b"\x06": lzma.FILTER_IA64,
    b"\x07": lzma.FILTER_ARM,
    b"\x08": lzma.FILTER_ARMTHUMB,
    b"\x09": lzma.FILTER_SPARC,
}
OWN_BRANCH = {b"\x0a": branch.arm64, b"\x0b": branch.riscv}
INPUTS = dict.fromkeys((STORED, LZMA1, LZMA2, DELTA, DEFLATE, DEFLATE64, BZIP2, PPMD, ZSTD, AES, *BRANCH, *OWN_BRANCH), 1) | {BCJ2: 4}
ROUNDS = 512 << 19  # of key derivation on one archive: 512 passwords as 7-Zip encrypts, or seconds
MAX_CYCLES = 24  # powers of two that a header may ask for, as 7-Zip itself
_TRIAL = 1 << 16  # bytes by which a password that fitted elsewhere is tried
_BLOCK = 1 << 16  # rounds that are hashed at once


def unread(folder: Folder) -> str | None:
    """What a folder is compressed with that is not read, or `None`."""
    if not folder.coders:
        return folder.why
    for coder in folder.coders:
        if coder.method not in INPUTS:
            return f"method {coder.method.hex()}"
        if len(coder.sources) != INPUTS[coder.method]:
            return "coders with inputs of a wrong number"
        if coder.method == PPMD and not libarchive.there():
            return f"PPMd; {libarchive.MISSING}"
    return None


def contents(stream: BinaryIO, folder: Folder, password: bytes | None = None) -> Iterator[bytes]:
    """A folder's contents, one after the other, in pieces of at most `CHUNK` bytes or so. Raises one of `DAMAGE`."""

    def output(place: int) -> Iterator[bytes]:
        if place < 0:
            number = -1 - place
            if number >= len(folder.packed):
                raise EOFError("a packed stream is not there")
            return _packed(stream, *folder.packed[number])
        coder = folder.coders[place]
        first = coder.sources[0]
        if first < -len(folder.packed):
            raise EOFError("a packed stream is not there")
        length = folder.coders[first].size if first >= 0 else folder.packed[-1 - first][1]
        return _limited(_step([output(source) for source in coder.sources], coder, length, password), coder.size)

    yield from output(folder.main)


def _packed(stream: BinaryIO, begin: int, length: int) -> Iterator[bytes]:
    at = begin
    while at < begin + length:
        stream.seek(at)
        piece = stream.read(min(CHUNK, begin + length - at))
        if not piece:
            raise EOFError("the archive is cut short")
        at += len(piece)
        yield piece


def _limited(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[:size]
        size -= len(piece)
        if size <= 0:
            return


def _step(sources: list[Iterator[bytes]], coder: Coder, length: int, password: bytes | None) -> Iterator[bytes]:
    if coder.method == BCJ2:
        main, calls, jumps, decisions = sources
        return bcj2.joined(main, calls, jumps, decisions, coder.size)
    (pieces,) = sources
    if coder.method == AES:
        return _decrypted(pieces, coder.properties, password or b"")
    if coder.method == PPMD:
        return methods.ppmd_of_7z(pieces, coder.properties, length, coder.size)
    if coder.method == STORED:
        return pieces
    if simple := {DEFLATE: methods.inflated, DEFLATE64: methods.inflated64, BZIP2: methods.bzip2, ZSTD: methods.zstd}.get(coder.method):
        return simple(pieces)
    if coder.method in OWN_BRANCH:
        return OWN_BRANCH[coder.method](pieces, coder.properties)
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(coder))
    return methods.fed(_as_chunks(pieces) if coder.method == DELTA or coder.method in BRANCH else pieces, decompressor)


def _filters(coder: Coder) -> list[dict[str, int]]:
    """A coder's liblzma filters."""
    if coder.method == DELTA:
        distance = coder.properties[0] + 1 if coder.properties else 1
        return [{"id": lzma.FILTER_DELTA, "dist": distance}, {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]
    if coder.method in BRANCH:
        return [{"id": BRANCH[coder.method]}, {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]
    if coder.method == LZMA2:
        bits = coder.properties[0] if coder.properties else 0
        stated = 0xFFFFFFFF if bits >= 40 else (2 | bits & 1) << (bits // 2 + 11)
        return [{"id": lzma.FILTER_LZMA2, "dict_size": methods.window(stated, coder.size)}]
    return methods.raw_lzma(coder.properties, coder.size)


def _as_chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes as uncompressed LZMA2 chunks: liblzma runs its filters only before LZMA2 (xz file format 1.2.1, 5.3.1)."""
    first = True
    for piece in pieces:
        for at in range(0, len(piece), CHUNK):
            part = piece[at : at + CHUNK]
            yield (b"\x01" if first else b"\x02") + struct.pack(">H", len(part) - 1) + part
            first = False
    yield b"\0"


# --- encryption -------------------------------------------------------------------------------------------------------------


def fitting(stream: BinaryIO, folder: Folder, tried: Tried) -> bytes | None:
    """The password that an encrypted folder opens with, or `None`. Nothing but the first content's checksum can check one.

    A password that opened another folder is taken where the beginning unpacks. Raises EOFError or ValueError for properties of no form.
    """
    cycles = max(_properties(coder.properties)[0] for coder in folder.coders if coder.method == AES)
    stored = all(coder.method in (AES, STORED) for coder in folder.coders)
    size = next(iter(folder.sizes), 0)
    cost = (0 if cycles == 63 else 1 << cycles) + 4096 + (size // 32 if stored else 0)  # 32 bytes are hashed a round
    for password in tried.candidates(cost):
        if _opens(stream, folder, password, min(size, _TRIAL) if tried.fitted(password) else size):
            tried.fits(password)
            return password
    return None


def _opens(stream: BinaryIO, folder: Folder, password: bytes, size: int) -> bool:
    count = crc = 0
    try:
        for piece in _limited(contents(stream, folder, password), size):
            count += len(piece)
            crc = zlib.crc32(piece, crc)
    except DAMAGE:
        return False
    stated = next(iter(folder.checksums), None)
    return count == size and (size < next(iter(folder.sizes), 0) or stated is None or crc == stated)


def _properties(properties: bytes) -> tuple[int, bytes, bytes]:
    """The power of two of rounds, salt and vector (7zAes.cpp, SetDecoderProperties2). Raises EOFError or ValueError."""
    if not properties:
        raise EOFError("AES without properties")
    first = properties[0]
    cycles = first & 0x3F
    if cycles > MAX_CYCLES and cycles != 63:
        raise ValueError(f"2^{cycles} rounds of key derivation (limit 2^{MAX_CYCLES})")
    if not first & 0xC0:
        return cycles, b"", bytes(16)
    if len(properties) < 2:
        raise EOFError("AES properties are cut short")
    salt, vector = (first >> 7) + (properties[1] >> 4), (first >> 6 & 1) + (properties[1] & 15)
    if len(properties) != 2 + salt + vector:
        raise ValueError("AES properties of a wrong length")
    return cycles, properties[2 : 2 + salt], properties[2 + salt :].ljust(16, b"\0")


def _decrypted(pieces: Iterator[bytes], properties: bytes, password: bytes) -> Iterator[bytes]:
    cycles, salt, vector = _properties(properties)
    decryptor = Cipher(algorithms.AES(_key(password, salt, cycles)), modes.CBC(vector)).decryptor()
    for piece in pieces:
        if out := decryptor.update(piece):
            yield out


@lru_cache(1024)
def _key(password: bytes, salt: bytes, cycles: int) -> bytes:
    """SHA-256 over salt, password in UTF-16 and a counter of eight bytes, 2^`cycles` times; or both as they are (7zAes.cpp, CalcKey)."""
    unit = salt + as_utf16(password)
    if cycles == 63:
        return unit[:32].ljust(32, b"\0")
    digest = hashlib.sha256()
    block = min(1 << cycles, _BLOCK)
    held, stride = bytearray((unit + bytes(8)) * block), len(unit) + 8
    for place in range(2):  # the two lower bytes of the counter are the same in every block
        held[len(unit) + place :: stride] = bytes(number >> 8 * place & 0xFF for number in range(block))
    for number in range((1 << cycles) // block):
        held[len(unit) + 2 :: stride] = bytes([number]) * block
        digest.update(held)
    return digest.digest()
