"""The two encryptions of zip members: the traditional one (PKWARE APPNOTE 6.3.10, 6.1), and WinZip's AES (AE-1 and AE-2, WinZip's
"AES Encryption Information" 1.04).

A password is first tried on the few bytes that the format has for that; since many wrong ones pass there (1 of 256, 1 of 65,536), the
whole content decides: its CRC-32, or for AES its authentication code.
"""

import hashlib
import hmac
import struct
import zlib
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msgspec import Struct

from forensics.archives import libarchive

CHUNK = 1 << 16
START = 12  # bytes of the traditional encryption's header
_CODE = 10  # bytes of AES's authentication code
_ROUNDS = 1000  # of PBKDF2
_TABLE = tuple(zlib.crc32(bytes([byte]), 0xFFFFFFFF) ^ 0xFFFFFFFF for byte in range(256))

Pieces = Callable[[int, int], Iterator[bytes]]
"""Bytes of a member's stored content, from a place, so many."""


class Aes(Struct, frozen=True):
    """What the extra field 0x9901 says: the format's version, the bytes of a key, the method of compression within."""

    version: int
    key: int
    method: int

    @property
    def salt(self) -> int:
        return self.key // 2

    @property
    def added(self) -> int:
        """Bytes of salt, check and authentication code."""
        return self.salt + 2 + _CODE


def aes_field(field: bytes) -> Aes | None:
    """The extra field 0x9901, `None` where it is none."""
    if len(field) < 7 or field[2:4] != b"AE" or field[4] not in (1, 2, 3):
        return None
    version, strength, method = struct.unpack("<H2xBH", field[:7])
    return Aes(version, (16, 24, 32)[strength - 1], method)


# --- the traditional encryption ---------------------------------------------------------------------------------------------


def check_byte(start: bytes, password: bytes) -> int:
    """The last byte of the traditional header as this password decrypts it: a byte of the CRC or of the time, if it is right (6.1.6)."""
    one, two, three = 0x12345678, 0x23456789, 0x34567890
    table = _TABLE
    for byte in password:
        one = (one >> 8) ^ table[(one ^ byte) & 0xFF]
        two = ((two + (one & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        three = (three >> 8) ^ table[(three ^ two >> 24) & 0xFF]
    byte = 0
    for cipher in start:
        mixed = three | 2
        byte = cipher ^ ((mixed * (mixed ^ 1)) >> 8 & 0xFF)
        one = (one >> 8) ^ table[(one ^ byte) & 0xFF]
        two = ((two + (one & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        three = (three >> 8) ^ table[(three ^ two >> 24) & 0xFF]
    return byte


def traditional(pieces: Iterator[bytes], length: int, password: bytes, check: int) -> Iterator[bytes]:
    """The content of `length` stored bytes, header included, decrypted by libarchive. Raises ValueError, and what `pieces` raises.

    libarchive decrypts one member that is not compressed, whose header is made here, in one pass and at its speed.
    """
    yield from libarchive.zip_member(pieces, length, max(0, length - START), 0, password=password, crc=check << 24)


# --- AES --------------------------------------------------------------------------------------------------------------------


class AesKey(Struct, frozen=True):
    """The two keys that a password gives with a member's salt: to decrypt, and to authenticate."""

    encryption: bytes
    authentication: bytes


def aes_key(aes: Aes, salt: bytes, check: bytes, password: bytes) -> AesKey | None:
    """The keys, where the password fits the two bytes that are there to check it."""
    made = hashlib.pbkdf2_hmac("sha1", password, salt, _ROUNDS, 2 * aes.key + 2)
    if made[2 * aes.key :] != check:
        return None
    return AesKey(made[: aes.key], made[aes.key : 2 * aes.key])


def authentic(pieces: Pieces, begin: int, length: int, key: AesKey) -> bool:
    """Whether the encrypted bytes have the code that follows them: with a wrong password they have not."""
    code = hmac.new(key.authentication, digestmod="sha1")
    for piece in pieces(begin, length):
        code.update(piece)
    return hmac.compare_digest(code.digest()[:_CODE], b"".join(pieces(begin + length, _CODE)))


def encrypted(aes: Aes, length: int) -> tuple[int, int]:
    """Where in a member's stored bytes the encrypted ones begin, and how many they are. Raises EOFError where there cannot be any."""
    begin = aes.salt + 2
    if length < begin + _CODE:
        raise EOFError(f"{length} bytes are too few for salt, check and authentication code")
    return begin, length - begin - _CODE


def decrypted(pieces: Iterator[bytes], key: AesKey) -> Iterator[bytes]:
    """AES in counter mode, the counter little-endian from 1 on, which no library has: its blocks are encrypted, and laid over the bytes."""
    encryptor = Cipher(algorithms.AES(key.encryption), modes.ECB()).encryptor()  # noqa: S305 - the format's
    block, rest = 1, b""
    for piece in pieces:
        count = max(0, len(piece) - len(rest) + 15) // 16
        stream = rest + encryptor.update(b"".join(number.to_bytes(16, "little") for number in range(block, block + count)))
        block += count
        used, rest = stream[: len(piece)], stream[len(piece) :]
        yield (int.from_bytes(piece, "little") ^ int.from_bytes(used, "little")).to_bytes(len(piece), "little")
