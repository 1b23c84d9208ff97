"""A BitLocker volume made for tests, after libbde's format documentation: AES-XTS 128, a password, a recovery password, a startup key."""

import hashlib
import struct
import uuid
import zlib
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

PASSWORD = "correct horse"
RECOVERY = "-".join(["000011", "000022", "000033", "000044", "000055", "000066", "000077", "000088"])
_XTS_128 = 0x8004
_WHEN = 132_000_000_000_000_000
_HEADER = 16  # sectors that are kept elsewhere: the volume's own first ones


def _entry(kind: int, value: int, data: bytes) -> bytes:
    return struct.pack("<HHHH", 8 + len(data), kind, value, 1) + data


def _key(method: int, key: bytes) -> bytes:
    """A key in the clear (value type 1)."""
    return _entry(0, 1, struct.pack("<I", method) + key)


def _sealed(kind: int, with_key: bytes, content: bytes, counter: int) -> bytes:
    """An entry encrypted by AES-CCM (value type 5): nonce, then the code that authenticates it, then the bytes."""
    nonce = struct.pack("<QI", _WHEN, counter)
    sealed = AESCCM(with_key, tag_length=16).encrypt(nonce, content, None)
    return _entry(kind, 5, nonce + sealed[-16:] + sealed[:-16])


def _stretched(initial: bytes, salt: bytes) -> bytes:
    """A password's hash, hashed 2^20 times with what it began as, a salt and the count."""
    last = bytes(32)
    for count in range(0x100000):
        last = hashlib.sha256(last + initial + salt + count.to_bytes(8, "little")).digest()
    return last


def _protector(kind: int, master: bytes, with_key: bytes, salt: bytes, counter: int, identifier: uuid.UUID) -> bytes:
    """The volume master key as one protector holds it (entry type 2, value type 8)."""
    inner = _entry(0, 3, struct.pack("<I", 0x1000) + salt) if salt else b""
    inner += _sealed(0, with_key, _key(0x2003, master), counter)
    return _entry(2, 8, identifier.bytes_le + struct.pack("<QHH", _WHEN, 0, kind) + inner)


def make(folder: Path, clear: bytes, *, to_go: bool = False) -> Path:
    """Write ``volume.bitlocker``, which decrypts to `clear` outside of its own metadata, and ``startup.bek``. `clear` has whole sectors.

    `to_go` has the boot sector of a removable medium, which looks like FAT32.
    """
    master, full, external = (hashlib.sha256(text).digest() for text in (b"master", b"full", b"external"))
    password = hashlib.sha256(hashlib.sha256(PASSWORD.encode("utf-16-le")).digest()).digest()
    parts = b"".join((int(part) // 11).to_bytes(2, "little") for part in RECOVERY.split("-"))
    salts = (bytes(range(16)), bytes(range(16, 32)))
    startup = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")
    entries = _protector(0x2000, master, _stretched(password, salts[0]), salts[0], 1, uuid.UUID(int=1))
    entries += _protector(0x0800, master, _stretched(hashlib.sha256(parts).digest(), salts[1]), salts[1], 2, uuid.UUID(int=2))
    entries += _protector(0x0200, master, external, b"", 3, startup)
    entries += _sealed(3, master, _key(_XTS_128, full), 4)
    entries += _entry(7, 2, "a made volume\0".encode("utf-16-le"))
    volume = uuid.UUID(int=9)
    metadata = struct.pack("<IIII", 48 + len(entries), 1, 48, 48 + len(entries)) + volume.bytes_le
    metadata += struct.pack("<IIQ", 5, _XTS_128, _WHEN) + entries
    size = len(clear)
    places = (size // 4, size // 2, size // 4 * 3)
    kept = size - _HEADER * 512
    head = b"-FVE-FS-" + struct.pack("<HHHHQII", (64 + len(metadata)) // 16, 2, 4, 4, size, 0, _HEADER)
    head += struct.pack("<QQQQ", *places, kept)
    block = (head + metadata).ljust(-(-(64 + len(metadata)) // 16) * 16, b"\0")
    checked = block + struct.pack("<HHI", 16, 2, _crc(block)) + bytes(8)
    raw = bytearray(size)
    for at in range(_HEADER * 512, kept, 512):
        raw[at : at + 512] = _sector(full, at // 512, clear[at : at + 512])
    for at in range(0, _HEADER * 512, 512):
        raw[kept + at : kept + at + 512] = _sector(full, (kept + at) // 512, clear[at : at + 512])
    for place in places:
        raw[place : place + len(checked)] = checked
    boot = bytearray(512)
    boot[0:11] = b"\xeb\x58\x90-FVE-FS-"
    struct.pack_into("<HBH", boot, 11, 512, 8, 0)
    boot[21] = 0xF8
    struct.pack_into("<Q", boot, 40, size // 512)
    boot[160:176] = uuid.UUID("4967d63b-2e29-4ad8-8399-f6a339e3d001").bytes_le
    struct.pack_into("<QQQ", boot, 176, *places)
    boot[510:512] = b"\x55\xaa"
    if to_go:
        boot = bytearray(b"\xeb\x58\x90MSWIN4.1".ljust(512, b"\0"))
        struct.pack_into("<HBHBH", boot, 11, 512, 8, 32, 2, 0)
        struct.pack_into("<I", boot, 32, size // 512)
        boot[82:90] = b"FAT32   "
        boot[424:440] = uuid.UUID("4967d63b-2e29-4ad8-8399-f6a339e3d001").bytes_le
        struct.pack_into("<QQQ", boot, 440, *places)
        boot[510:512] = b"\x55\xaa"
    raw[0:512] = boot
    path = folder / "volume.bitlocker"
    path.write_bytes(raw)
    key = _entry(6, 9, startup.bytes_le + struct.pack("<Q", _WHEN) + _key(0x2002, external))
    body = struct.pack("<IIII", 48 + len(key), 1, 48, 48 + len(key)) + startup.bytes_le + struct.pack("<IIQ", 1, 0, _WHEN) + key
    (folder / "startup.bek").write_bytes(body)
    return path


def _crc(data: bytes) -> int:
    return zlib.crc32(data)


def _sector(key: bytes, number: int, data: bytes) -> bytes:
    tweak = number.to_bytes(16, "little")
    return Cipher(algorithms.AES(key), modes.XTS(tweak)).encryptor().update(data)
