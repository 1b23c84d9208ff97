"""The keys of an encrypted backup: its key bag, the password that opens it, the key of each file.

A key bag is a list of tags with lengths. The password is stretched by PBKDF2-HMAC-SHA256 (`DPSL`, `DPIC`: since iOS 10.2) and then
PBKDF2-HMAC-SHA1 (`SALT`, `ITER`); what comes out unwraps the key of each protection class (RFC 3394), and that unwraps the key of each
file (Apple Platform Security, "Keybags for Data Protection"; field names after iphone-dataprotection).
"""

import hashlib
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from msgspec import Struct

from forensics.errors import Corrupt, LimitExceeded

ROUNDS = 20_000_000  # of key derivation that a backup may ask for: iOS writes 10 million and ten thousand
WORK = 100_000_000  # rounds that are spent on one backup, over all passwords: half a minute
MAX_BAG = 64 << 10
MAX_CLASSES = 64
_BY_PASSWORD = 2  # of a class key's WRAP: wrapped with what the password gives
_WRAPPED = 40  # bytes of a wrapped key of 256 bits
_CHUNK = 1 << 18


class KeyBag(Struct, frozen=True):
    """What a password is tried on: salts and rounds (`first` since iOS 10.2), and by protection class the wrapped key."""

    salt: bytes
    rounds: int
    first: tuple[bytes, int] | None
    classes: dict[int, bytes]

    @property
    def work(self) -> int:
        """Rounds of key derivation for one password."""
        return self.rounds + (self.first[1] if self.first else 0)


def read(data: object) -> KeyBag:
    """The key bag of a backup, out of its Manifest.plist.

    Raises Corrupt where it is cut short or lacks what it needs, LimitExceeded where it asks for more rounds than is sensible.
    """
    if not isinstance(data, bytes) or not data:
        raise Corrupt("encrypted backup whose Manifest.plist holds no key bag")
    if len(data) > MAX_BAG:
        raise LimitExceeded(f"key bag of {len(data)} bytes (limit {MAX_BAG})")
    head: dict[bytes, bytes] = {}
    classes: list[dict[bytes, bytes]] = []
    for tag, value in _fields(data):
        if tag == b"UUID" and b"UUID" in head:  # the first is the bag's own, each further one begins a class
            classes.append({})
        (classes[-1] if classes else head).setdefault(tag, value)
    if len(classes) > MAX_CLASSES:
        raise LimitExceeded(f"key bag of {len(classes)} protection classes (limit {MAX_CLASSES})")
    if not head.get(b"SALT"):
        raise Corrupt("key bag that has no salt")
    first = (head[b"DPSL"], _rounds(head, b"DPIC")) if head.get(b"DPSL") and b"DPIC" in head else None
    wrapped = {_number(each, b"CLAS"): each[b"WPKY"] for each in classes if b"WPKY" in each and _number(each, b"WRAP") & _BY_PASSWORD}
    if not wrapped or any(len(key) != _WRAPPED for key in wrapped.values()):
        raise Corrupt("key bag without keys that a password opens, or with one of a wrong length")
    return KeyBag(head[b"SALT"], _rounds(head, b"ITER"), first, wrapped)


def _fields(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise Corrupt(f"key bag that is cut short at byte {at}")
        (length,) = struct.unpack_from(">I", data, at + 4)
        if at + 8 + length > len(data):
            raise Corrupt(f"key bag that is cut short: {length} bytes are stated at byte {at}, {len(data) - at - 8} are there")
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length


def _number(fields: dict[bytes, bytes], tag: bytes) -> int:
    value = fields.get(tag, b"")
    if len(value) != 4:
        raise Corrupt(f"key bag whose {tag.decode()} has {len(value)} bytes, not 4")
    return int.from_bytes(value, "big")


def _rounds(head: dict[bytes, bytes], tag: bytes) -> int:
    rounds = _number(head, tag)
    if not 0 < rounds <= ROUNDS:
        raise LimitExceeded(f"key bag that asks for {rounds} rounds of key derivation ({tag.decode()}; limit {ROUNDS})")
    return rounds


def unlock(bag: KeyBag, password: bytes) -> dict[int, bytes] | None:
    """The keys of the protection classes, `None` where the password is another one."""
    if bag.first:
        password = hashlib.pbkdf2_hmac("sha256", password, *bag.first, 32)
    own = hashlib.pbkdf2_hmac("sha1", password, bag.salt, bag.rounds, 32)
    keys = {}
    for number, wrapped in bag.classes.items():
        try:
            keys[number] = aes_key_unwrap(own, wrapped)
        except InvalidUnwrap:
            continue  # one class may be damaged; a wrong password opens none
    return keys or None


def key_of(keys: dict[int, bytes], wrapped: object, protection_class: int | None = None) -> bytes:
    """A file's key, or that of Manifest.db, as they stand in the manifest: the protection class, four bytes, then the wrapped key.

    Raises Corrupt where it is none, or where its class has no key.
    """
    if not isinstance(wrapped, bytes) or len(wrapped) != 4 + _WRAPPED:
        raise Corrupt("a key that is not 44 bytes long")
    number = int.from_bytes(wrapped[:4], "little")
    key = keys.get(number, keys.get(protection_class if protection_class is not None else -1))
    if key is None:
        raise Corrupt(f"the key bag has no key for protection class {number}")
    try:
        return aes_key_unwrap(key, wrapped[4:])
    except InvalidUnwrap as error:
        raise Corrupt(f"a key that its protection class, {number}, does not unwrap") from error


def decrypted(stream: BinaryIO, size: int, key: bytes, damaged: Callable[[str], None]) -> Iterator[bytes]:
    """The content of a stream of `size` bytes, decrypted with AES-256-CBC (zero vector), without its padding (PKCS #7).

    `damaged` is told what is wrong with its end. The size that a manifest states is not asked: it differs often, and the padding does not.
    """
    decryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).decryptor()
    left = size - size % 16
    if left != size:
        damaged(f"{size} bytes are no whole blocks; it is cut short")
    while left:
        data = stream.read(min(_CHUNK, left))
        if not data:
            return damaged("its end cannot be read")
        left -= len(data)
        out = decryptor.update(data)
        if left:
            yield out
            continue
        count = out[-1] if out else 0
        if not 0 < count <= min(16, len(out)) or not out.endswith(bytes((count,)) * count):
            damaged("it does not end as encrypted content does: it is cut short, or its key is another one")
            count = 0
        yield out[: len(out) - count]
