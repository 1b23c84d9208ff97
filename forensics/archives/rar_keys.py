"""Keys of encrypted RAR archives, out of passwords: SHA-1 and AES-128 up to version 4, PBKDF2 and AES-256 in version 5
("RAR 5.0 archive format"; technote.txt of RAR 4.x says only that it is so, and rarfile, ISC licence, was read for how)."""

import hashlib
import hmac
import struct
import zlib
from functools import lru_cache, reduce
from operator import getitem, xor

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from forensics.archives.rar_entry import Lock
from forensics.archives.tried import Tried, as_utf16
from forensics.errors import LimitExceeded

MAX_POWER = 24  # powers of two of rounds, as in RAR itself
ROUNDS = 1 << 27  # on one archive: 512 passwords of version 4, 4096 of version 5
_PART = 1 << 14  # rounds between two bytes of version 4's vector
_MOST = 127  # units of UTF-16 of a password; RAR leaves out what follows
_SALT = 8  # bytes of version 4's salt
_BLOCK = 64  # bytes that SHA-1 takes at once

Key = tuple[bytes, bytes]
"""The key, and the vector that encryption starts with."""


def decrypted(key: Key, data: bytes) -> bytes:
    """Whole blocks of AES in CBC mode."""
    decryptor = Cipher(algorithms.AES(key[0]), modes.CBC(key[1])).decryptor()
    return decryptor.update(data) + decryptor.finalize()


@lru_cache(1024)
def derived4(password: bytes, salt: bytes) -> Key:
    """SHA-1 over password in UTF-16, salt and a counter of three bytes, 2^18 times; the digests on the way give the vector."""
    unit = as_utf16(password)[: 2 * _MOST] + salt
    digest, vector = (_digest_of_long if len(unit) > _BLOCK else _digest)(unit)
    return b"".join(digest[place : place + 4][::-1] for place in range(0, 16, 4)), vector


def times4(password: bytes) -> int:
    """How many times as long as for most a password takes: each of the blocks that RAR's SHA-1 overwrites is written here, step by step."""
    length = 2 * min(_MOST, len(as_utf16(password)) // 2) + _SALT
    return 8 + length - _BLOCK if length > _BLOCK else 1


def _digest(unit: bytes) -> tuple[bytes, bytes]:
    stride = len(unit) + 3
    held = bytearray((unit + bytes(3)) * _PART)
    for place in range(2):
        held[len(unit) + place :: stride] = bytes(number >> 8 * place & 0xFF for number in range(_PART))
    low = bytes(number >> 8 for number in range(_PART))
    digest, vector = hashlib.sha1(usedforsecurity=False), b""
    for part in range(16):
        held[len(unit) + 1 :: stride] = low.translate(bytes(byte | (part & 3) << 6 for byte in range(256))) if part & 3 else low
        held[len(unit) + 2 :: stride] = bytes([part >> 2]) * _PART
        digest.update(held[:stride])
        vector += digest.digest()[19:]
        digest.update(held[stride:])
    return digest.digest(), vector


def _digest_of_long(unit: bytes) -> tuple[bytes, bytes]:
    """The same as RAR 3 and 4 did it: their SHA-1 left its workspace in the caller's buffer, in place of each block of 64 bytes that lay
    whole in it behind the first, so that the next round hashed that (rarfile, ISC licence, was read for how)."""
    held, tables = bytearray(unit), _workspaces()
    counters = [struct.pack("<I", number)[:3] for number in range(16 * _PART)]
    digest, vector = hashlib.sha1(usedforsecurity=False), b""
    filled, length, stride = 0, len(unit), len(unit) + 3  # bytes that wait in SHA-1's own buffer
    for number, counter in enumerate(counters):
        digest.update(held + counter)
        for at in range(_BLOCK - filled, length - _BLOCK + 1, _BLOCK):
            held[at : at + _BLOCK] = reduce(xor, map(getitem, tables, held[at : at + _BLOCK])).to_bytes(_BLOCK, "little")
        filled = (filled + stride) % _BLOCK
        if number % _PART == 0:
            vector += digest.digest()[19:]
    return digest.digest(), vector


@lru_cache(1)
def _workspaces() -> tuple[tuple[int, ...], ...]:
    """What SHA-1's workspace holds in the end (FIPS 180-4, 6.1.3), as numbers of which the lowest byte lies first, for each place and value
    of a byte in a block of zeros. It is linear: that of any block is the exclusive or of those of its bytes."""
    tables = []
    for place in range(_BLOCK):
        bits = [_workspace(bytes(place) + bytes([1 << bit]) + bytes(_BLOCK - 1 - place)) for bit in range(8)]
        table = [0]
        for bit in bits:
            table += [known ^ bit for known in table]
        tables.append(tuple(table))
    return tuple(tables)


def _workspace(block: bytes) -> int:
    words = list(struct.unpack(">16I", block))
    for step in range(16, 80):
        word = words[step - 3 & 15] ^ words[step - 8 & 15] ^ words[step - 14 & 15] ^ words[step & 15]
        words[step & 15] = (word << 1 | word >> 31) & 0xFFFFFFFF
    return int.from_bytes(struct.pack("<16I", *words), "little")


def names4(salt: bytes, blocks: bytes, tried: Tried) -> bytes | None:
    """The password with which the first encrypted header is one: its kind and its length are, and its checksum where it is all there."""
    for password in tried.candidates(1 << 18, times4):
        header = decrypted(derived4(password, salt), blocks)
        checksum, kind, _, length = struct.unpack_from("<HBHH", header)
        if 0x73 <= kind <= 0x7B and length >= 7 and (length > 16 or zlib.crc32(header[2:length]) & 0xFFFF == checksum):
            tried.fits(password)
            return password
    return None


@lru_cache(4096)
def derived5(password: bytes, salt: bytes, rounds: int) -> bytes:
    """PBKDF2 with HMAC-SHA-256. The key for tweaked checksums takes 16 rounds more, the check of the password 32.

    The password is in UTF-8, what it is cut by is counted in UTF-16 (rarfile, ISC licence, was read for that).
    """
    text = as_utf16(password)
    if len(text) > 2 * _MOST:
        password = text[: 2 * _MOST].decode("utf-16-le", "ignore").encode()
    return hashlib.pbkdf2_hmac("sha256", password, salt, rounds)


def refuse_endless(lock: Lock) -> None:
    """Raises LimitExceeded for more rounds than is sensible."""
    if lock.rounds > 1 << MAX_POWER:
        raise LimitExceeded(f"encryption of RAR that asks for {lock.rounds} rounds of key derivation (limit {1 << MAX_POWER})")


def by_check(lock: Lock, tried: Tried) -> bytes | None:
    """The password that fits the check of version 5. Raises LimitExceeded for more rounds than is sensible."""
    refuse_endless(lock)
    for password in tried.candidates(lock.rounds) if lock.check else ():
        made = derived5(password, lock.salt, lock.rounds + 32)
        folded = bytes(made[place] ^ made[place + 8] ^ made[place + 16] ^ made[place + 24] for place in range(8))
        if hmac.compare_digest(folded, lock.check):
            tried.fits(password)
            return password
    return None


def key_of(lock: Lock, password: bytes) -> Key:
    """A member's key and vector."""
    return derived4(password, lock.salt) if lock.form == 4 else (derived5(password, lock.salt, lock.rounds), lock.vector)


def tweaked(lock: Lock, password: bytes, crc: int) -> int:
    """A checksum as version 5 stores it beside encrypted content, so that it tells nothing of it."""
    code = hmac.digest(derived5(password, lock.salt, lock.rounds + 16), struct.pack("<I", crc), "sha256")
    value = 0
    for (part,) in struct.iter_unpack("<I", code):
        value ^= part
    return value
