"""Android's backups over USB (``adb backup``): the tar archive within, unpacked and, with a password that was given, decrypted.

Format: BackupManagerService and PasswordUtils of the Android Open Source Project. The tar archive comes out as one member; `tar-archive`
opens it.
"""

import hashlib
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msgspec import Struct

from forensics.archives.methods import CHUNK, inflated
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
    stream_of,
)

MAGIC = b"ANDROID BACKUP\n"
MAX_LINE = 4096
MAX_ROUNDS = 10_000_000  # of key derivation that a header may ask for; Android writes 10,000
DAMAGE = (OSError, EOFError, ValueError, zlib.error)


class _Encryption(Struct, frozen=True):
    """The header's lines of an encrypted backup, in their order: salts, rounds, vector, and the master key wrapped by the password's."""

    user_salt: bytes
    check_salt: bytes
    rounds: int
    vector: bytes
    wrapped: bytes


class _Key(Struct, frozen=True):
    key: bytes
    vector: bytes


@container(version="1.0", mime=("application/x-google-ab",), names=("*.ab",), magic=(MAGIC,), prepare=passwords)
def android_backup(file: File, known: tuple[bytes, ...], *, passwords_file: str = "") -> Iterator[Member | Finding]:
    """The tar archive in an Android backup (adb backup), unpacked; encrypted ones with a password out of `passwords_file`.

    Raises Unsupported where the content is no such backup, Locked where it is encrypted and no password fits, Corrupt after what could be
    read of a damaged one, LimitExceeded for a header that asks for more rounds of key derivation than is sensible.
    """
    inventory = Inventory("Android backup", passwords=True)
    with file.open() as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise Unsupported("content that is no Android backup")
        version, compressed, cipher = (_line(stream) for _ in range(3))
        if not version.isdigit() or len(version) > 3 or compressed not in (b"0", b"1") or cipher not in (b"none", b"AES-256"):
            raise Unsupported(f"Android backup of version {version!r}, compression {compressed!r}, encryption {cipher!r}")
        key = None
        if cipher != b"none":
            encryption = _encryption(stream)
            key = _unlocked(encryption, known, int(version))
        yield Finding(
            kind="phone-backup",
            summary=f"Android backup of version {int(version)}, {'encrypted' if cipher != b'none' else 'not encrypted'}",
            data={
                "format": "Android backup",
                "format_version": version.decode(),
                "compressed": compressed == b"1",
                "encrypted": cipher != b"none",
                **({"opened": key is not None} if cipher != b"none" else {}),
            },
            level="notable",
        )
        if cipher != b"none" and key is None:
            inventory.locked("backup.tar")
            yield Member(path="backup.tar", open=lambda: stream_of(()), kind="other")
        else:
            inventory.note("backup.tar")
            yield Member(path="backup.tar", open=lambda: stream_of(_content(stream, stream.tell(), compressed == b"1", key, inventory)))
    yield from inventory.conclude()


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(MAX_LINE)
    if not line.endswith(b"\n"):
        raise Corrupt("Android backup whose header is cut short")
    return line[:-1]


def _encryption(stream: BinaryIO) -> _Encryption:
    lines = [_line(stream) for _ in range(5)]
    try:
        user_salt, check_salt, vector, wrapped = (bytes.fromhex(lines[place].decode("ascii")) for place in (0, 1, 3, 4))
        rounds = int(lines[2])
    except ValueError as error:
        raise Corrupt(f"Android backup whose encryption header cannot be read ({error})") from error
    if not 0 < rounds <= MAX_ROUNDS:
        raise LimitExceeded(f"Android backup that asks for {rounds} rounds of key derivation (limit {MAX_ROUNDS})")
    if len(vector) != 16 or not wrapped or len(wrapped) % 16:
        raise Corrupt("Android backup whose encryption header has a vector or a key of a wrong length")
    return _Encryption(user_salt, check_salt, rounds, vector, wrapped)


def _unlocked(encryption: _Encryption, known: tuple[bytes, ...], version: int) -> _Key | None:
    """The master key, by the first password that fits. Its check value comes of the key's bytes, which Java took for characters."""
    for password in known:
        for form in _forms(password, version):
            own = hashlib.pbkdf2_hmac("sha1", form, encryption.user_salt, encryption.rounds, 32)
            blob = _unpadded(_decrypted(own, encryption.vector, encryption.wrapped))
            fields = []
            while blob:
                length = blob[0]
                fields.append(blob[1 : 1 + length])
                blob = blob[1 + length :]
            if len(fields) != 3 or len(fields[0]) != 16 or len(fields[1]) != 32:
                continue
            vector, key, check = fields
            for said in (_as_characters(key), key):
                if hashlib.pbkdf2_hmac("sha1", said, encryption.check_salt, encryption.rounds, 32) == check:
                    return _Key(key, vector)
    return None


def _forms(password: bytes, version: int) -> Iterator[bytes]:
    """A password's bytes: UTF-8 from version 2 on; before, the lower byte of each character."""
    if version >= 2 or password.isascii():
        yield password
    else:
        yield bytes(ord(char) & 0xFF for char in password.decode("utf-8", "replace"))
        yield password


def _as_characters(key: bytes) -> bytes:
    """Java's cast of signed bytes to characters, in UTF-8: those from 0x80 on become U+FF80 to U+FFFF."""
    return "".join(chr(byte if byte < 0x80 else 0xFF00 + byte) for byte in key).encode("utf-8")


def _decrypted(key: bytes, vector: bytes, data: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def _unpadded(data: bytes) -> bytes:
    """Without PKCS #7's padding; empty where there is none, as after a wrong password."""
    count = data[-1] if data else 0
    return data[:-count] if 0 < count <= 16 and data.endswith(bytes([count]) * count) else b""


def _content(stream: BinaryIO, begin: int, compressed: bool, key: _Key | None, inventory: Inventory) -> Iterator[bytes]:
    """The tar archive to its end or to the first damage, which goes to the inventory."""
    count = 0
    try:
        pieces = _raw(stream, begin)
        if key is not None:
            pieces = _plain(pieces, key)
        for piece in inflated(pieces, zlib.MAX_WBITS) if compressed else pieces:
            yield piece
            count += len(piece)
    except DAMAGE as error:
        inventory.damaged("backup.tar", f"readable to byte {count} ({error or type(error).__name__})")


def _raw(stream: BinaryIO, begin: int) -> Iterator[bytes]:
    at = begin
    while True:
        stream.seek(at)
        piece = stream.read(CHUNK)
        if not piece:
            return
        at += len(piece)
        yield piece


def _plain(pieces: Iterator[bytes], key: _Key) -> Iterator[bytes]:
    """AES-256-CBC, decrypted; the padding of the last block is taken off."""
    decryptor = Cipher(algorithms.AES(key.key), modes.CBC(key.vector)).decryptor()
    kept, rest = b"", 0
    for piece in pieces:
        rest = (rest + len(piece)) % 16
        plain = kept + decryptor.update(piece)
        yield plain[:-16]
        kept = plain[-16:]
    whole = _unpadded(kept)
    yield whole
    if rest or not (whole or kept.endswith(b"\x10")):
        raise EOFError("it ends within a block of its encryption")
