"""LUKS volumes of Linux, versions 1 and 2, opened with a passphrase or a key file.

Own reader: libluksde knows version 1 alone, and takes no key file that is not text. Ciphers: AES in XTS and CBC, as cryptsetup makes them;
LUKS1 in other ciphers goes to libluksde. Sources: LUKS On-Disk Format Specification 1.2.3; LUKS2 On-Disk Format Specification 1.1.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2i, Argon2id
from msgspec import Struct

from forensics.errors import Corrupt, LimitExceeded, Unsupported
from forensics.evidence import limits, xts
from forensics.evidence.keys import Key
from forensics.evidence.libyal import FAILURES, Derived, OpenFile, Part, Source, opened

MAGIC_V1 = b"LUKS\xba\xbe\x00\x01"
MAGIC_V2 = b"LUKS\xba\xbe\x00\x02"
_SECOND = b"SKUL\xba\xbe\x00\x02"
_SECOND_AT = tuple(0x4000 << shift for shift in range(9))  # section 2.1.1: one header and its area of JSON is 16 KiB to 4 MiB
_SLOT_IN_USE = 0x00AC71F3
_SECTOR = 512
_PIECE = 256 << 10  # bytes decrypted at once
_DIGEST_SIZE = 20
_SLOTS = 32  # cryptsetup writes no more (LUKS2_KEYSLOTS_MAX)
_LONGEST = 64  # bytes of the largest digest of `_HASHES`
# Those of 20 bytes or more that cryptsetup offers. Digests without a fixed length, which OpenSSL knows too, are none.
_HASHES = {
    "sha1", "sha224", "sha256", "sha384", "sha512", "sha3-224", "sha3-256", "sha3-384", "sha3-512",
    "ripemd160", "whirlpool", "blake2b-512", "blake2s-256", "sm3",
}  # fmt: skip


class _Kdf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """How a passphrase becomes a key: pbkdf2 (hash, iterations), argon2i or argon2id (time, memory in KiB, cpus)."""

    type: str
    salt: str
    hash: str = ""
    iterations: int = 0
    time: int = 0
    memory: int = 0
    cpus: int = 0


class _Splitter(Struct, frozen=True, kw_only=True):
    type: str
    stripes: int
    hash: str


class _Area(Struct, frozen=True, kw_only=True):
    type: str
    offset: str
    size: str
    encryption: str = ""
    key_size: int = 0


class _Slot(Struct, frozen=True, kw_only=True):
    type: str
    key_size: int
    area: _Area
    kdf: _Kdf | None = None
    af: _Splitter | None = None
    priority: int = 1


class _Segment(Struct, frozen=True, kw_only=True):
    type: str
    offset: str
    size: str
    encryption: str = ""
    sector_size: int = _SECTOR
    iv_tweak: str = "0"
    integrity: dict[str, str] | None = None
    flags: tuple[str, ...] = ()


class _Digest(Struct, frozen=True, kw_only=True):
    type: str
    keyslots: tuple[str, ...]
    segments: tuple[str, ...]
    salt: str
    digest: str
    hash: str
    iterations: int


class _Header(Struct, frozen=True, kw_only=True):
    """A header, of either version: what a slot needs to give the volume's key, and what the key decrypts."""

    keyslots: dict[str, _Slot]
    segments: dict[str, _Segment]
    digests: dict[str, _Digest]
    tokens: dict[str, dict[str, object]] = {}


class Volume(NamedTuple):
    """A LUKS volume: version, label ("" for none), what an examiner is told of it, and its header."""

    version: Literal[1, 2]
    label: str
    description: str
    header: _Header


def read_header(source: Source, name: str) -> Volume:
    """The header of a LUKS volume. Raises Corrupt where it cannot be read."""
    head = source.read(0, 4096)
    if head.startswith(MAGIC_V1):
        header = _version_1(head, name)
        label = ""
    else:
        header, label = _version_2(source, head, name)
    segment = next(iter(header.segments.values()), None)
    cipher = segment.encryption if segment else "unknown"
    kinds = [f"{slot.kdf.type if slot.kdf else slot.type}" for _, slot in sorted(header.keyslots.items())]
    protectors = f"{len(kinds)} passphrase or key file slots ({', '.join(kinds)})" if kinds else "no key slots in use"
    tokens = sorted({str(token.get("type", "unknown")) for token in header.tokens.values()})
    more = f"; tokens: {', '.join(tokens)}" if tokens else ""
    version: Literal[1, 2] = 1 if head.startswith(MAGIC_V1) else 2
    return Volume(version, label, f"LUKS version {version}, {cipher}; protectors: {protectors}{more}", header)


def unlock(source: Source, name: str, volume: Volume, keys: tuple[Key, ...]) -> tuple[Source, str] | None:
    """The decrypted volume and the kind of key that opened it; `None` where none does.

    Raises Unsupported for a cipher or a layout that is not read, LimitExceeded where the header asks for more work than any real one.
    """
    header = volume.header
    if volume.version == 1 and any(not _known(segment.encryption) for segment in header.segments.values()):
        return _libluksde(source, name, keys)
    if not keys:
        return None
    if len(header.segments) != 1:
        raise Unsupported(f"{name}: is being re-encrypted ({len(header.segments)} segments); finish that with cryptsetup, on a copy")
    (number, segment), *_ = header.segments.items()
    if segment.type != "crypt" or segment.integrity is not None or not _known(segment.encryption):
        kind = "authenticated" if segment.integrity is not None else segment.encryption or segment.type
        raise Unsupported(f"{name}: its cipher ({kind}) is not read; decrypt it with cryptsetup, and give an image of the result")
    for key in keys:
        if key.kind == "recovery":
            continue
        for slot_number, slot in _slots(header):
            found = _volume_key(source, name, slot, key.secret)
            digests = [each for each in header.digests.values() if slot_number in each.keyslots and number in each.segments]
            if found is not None and any(_holds(each, found) for each in digests):
                return _decrypted(source, name, segment, found), key.kind
    return None


def _slots(header: _Header) -> Iterator[tuple[str, _Slot]]:
    """Slots in the order in which cryptsetup tries them: preferred ones first, those to be ignored last."""
    yield from sorted(header.keyslots.items(), key=lambda item: (-item[1].priority, item[0]))


# --- headers ------------------------------------------------------------------------------------------------------------------


def _version_1(head: bytes, name: str) -> _Header:
    """Version 1 in the terms of version 2 (specification, figure 1)."""
    if len(head) < 592:
        raise Corrupt(f"{name}: ends within its LUKS header")
    cipher, mode, digest = (head[at : at + 32].partition(b"\0")[0].decode("ascii", "backslashreplace") for at in (8, 40, 72))
    payload, size = int.from_bytes(head[104:108], "big"), int.from_bytes(head[108:112], "big")
    encryption = f"{cipher}-{mode}"
    slots: dict[str, _Slot] = {}
    for number in range(8):
        at = 208 + 48 * number
        if int.from_bytes(head[at : at + 4], "big") != _SLOT_IN_USE:
            continue
        iterations, offset, stripes = (
            int.from_bytes(head[at + 4 : at + 8], "big"),
            int.from_bytes(head[at + 40 : at + 44], "big"),
            int.from_bytes(head[at + 44 : at + 48], "big"),
        )
        slots[str(number)] = _Slot(
            type="luks2",
            key_size=size,
            area=_Area(type="raw", offset=str(offset * _SECTOR), size=str(size * stripes), encryption=encryption, key_size=size),
            kdf=_Kdf(type="pbkdf2", hash=digest, iterations=iterations, salt=_base64(head[at + 8 : at + 40])),
            af=_Splitter(type="luks1", stripes=stripes, hash=digest),
        )
    master = _Digest(
        type="pbkdf2",
        keyslots=tuple(slots),
        segments=("0",),
        salt=_base64(head[132:164]),
        digest=_base64(head[112:132]),
        hash=digest,
        iterations=int.from_bytes(head[164:168], "big"),
    )
    segment = _Segment(type="crypt", offset=str(payload * _SECTOR), size="dynamic", encryption=encryption)
    return _Header(keyslots=slots, segments={"0": segment}, digests={"0": master})


def _version_2(source: Source, head: bytes, name: str) -> tuple[_Header, str]:
    """The header of version 2: the first copy whose checksum holds."""
    for at, magic in ((0, MAGIC_V2), *((place, _SECOND) for place in _SECOND_AT)):
        binary = head if at == 0 else source.read(at, 4096)
        size = int.from_bytes(binary[8:16], "big")
        if not binary.startswith(magic) or not 0x4000 <= size <= _SECOND_AT[-1]:
            continue
        area = source.read(at + 4096, size - 4096)
        try:
            computed = _digest(binary[72:104].partition(b"\0")[0].decode("ascii", "backslashreplace"), b"", name)
        except Unsupported:
            continue
        computed.update(binary[:448] + bytes(64) + binary[512:] + area)
        if not hmac.compare_digest(computed.digest(), binary[448 : 448 + computed.digest_size]):
            continue
        try:
            found = msgspec.json.decode(area.partition(b"\0")[0], type=_Header)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Corrupt(f"{name}: the LUKS header cannot be read: {error}") from error
        if max(len(found.keyslots), len(found.segments), len(found.digests)) > _SLOTS:
            raise Corrupt(
                f"{name}: the LUKS header has {len(found.keyslots)} key slots and {len(found.digests)} digests, more than {_SLOTS}"
            )
        return found, binary[24:72].partition(b"\0")[0].decode("utf-8", "backslashreplace")
    raise Corrupt(f"{name}: neither copy of the LUKS header has a checksum that holds")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Corrupt(f"{name}: a salt or digest of the LUKS header is no base64") from error


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise Corrupt(f"{name}: {text[:40]!r} stands in the LUKS header in place of a number")
    return int(text)


def _digest(hash_name: str, data: bytes, name: str) -> "hashlib._Hash":
    """The digest of `data` by a hash that a header names. Raises Unsupported for one that is not known."""
    try:
        if hash_name.lower() in _HASHES:
            return hashlib.new(hash_name, data)
    except ValueError:  # this build of OpenSSL does not have it
        pass
    raise Unsupported(f"{name}: its header uses the hash {hash_name[:40]!r}, which is not known here")


# --- keys ---------------------------------------------------------------------------------------------------------------------


def _volume_key(source: Source, name: str, slot: _Slot, passphrase: bytes) -> bytes | None:
    """The volume's key that a passphrase would give; `None` where the slot holds none. Whether it is the right one, a digest says."""
    if slot.type != "luks2" or slot.kdf is None or slot.af is None or slot.area.type != "raw" or not _known(slot.area.encryption):
        return None
    sizes = _KEY_SIZES["xts" if "xts" in slot.area.encryption else "cbc"]
    if not (0 < slot.key_size <= 512 and slot.area.key_size in sizes and 0 < slot.af.stripes <= 4096):
        message = f"a key slot has {slot.key_size} bytes in {slot.af.stripes} stripes, encrypted with a key of {slot.area.key_size}"
        raise Corrupt(f"{name}: {message}")
    key = _derived(slot.kdf, passphrase, slot.area.key_size, name)
    size = slot.key_size * slot.af.stripes
    whole = -(-size // _SECTOR) * _SECTOR
    area = source.read(_number(slot.area.offset, name), whole)
    if len(area) < whole:
        raise Corrupt(f"{name}: ends within a key slot's area")
    split = _decrypt(slot.area.encryption, key, area, 0, _SECTOR)[:size]
    return _merged(split, slot.key_size, slot.af, name)


def _derived(kdf: _Kdf, passphrase: bytes, size: int, name: str) -> bytes:
    salt = _bytes(kdf.salt, name)
    if kdf.type == "pbkdf2":
        return _pbkdf2(kdf.hash, passphrase, salt, kdf.iterations, size, name)
    kind: type[Argon2i] | type[Argon2id]
    if kdf.type == "argon2i":
        kind = Argon2i
    elif kdf.type == "argon2id":
        kind = Argon2id
    else:
        raise Unsupported(f"{name}: a key slot uses {kdf.type[:40]}, which is not read")
    if not (8 * kdf.cpus <= kdf.memory <= limits.KDF_MEMORY and 0 < kdf.cpus <= 64 and 0 < kdf.time * kdf.memory <= limits.KDF_WORK):
        raise LimitExceeded(f"{name}: a key slot asks for {kdf.memory} KiB of memory {kdf.time} times over, which is not done")
    if len(salt) < 8:
        raise Corrupt(f"{name}: a key slot's salt has {len(salt)} bytes")
    return kind(salt=salt, length=size, iterations=kdf.time, lanes=kdf.cpus, memory_cost=kdf.memory).derive(passphrase)


def _pbkdf2(hash_name: str, passphrase: bytes, salt: bytes, iterations: int, size: int, name: str) -> bytes:
    if not 0 < iterations <= limits.KDF_ITERATIONS:
        raise LimitExceeded(f"{name}: a key slot asks for {iterations} iterations of PBKDF2, which is not done")
    _digest(hash_name, b"", name)
    return hashlib.pbkdf2_hmac(hash_name, passphrase, salt, iterations, size)


def _holds(digest: _Digest, key: bytes) -> bool:
    if digest.type != "pbkdf2":
        return False
    wanted = _bytes(digest.digest, "LUKS")
    if len(wanted) > _LONGEST:  # each piece of it costs all iterations
        raise Corrupt(f"LUKS: the digest of the key has {len(wanted)} bytes")
    computed = _pbkdf2(digest.hash, key, _bytes(digest.salt, "LUKS"), digest.iterations, len(wanted) or _DIGEST_SIZE, "LUKS")
    return hmac.compare_digest(computed, wanted)


def _merged(split: bytes, size: int, splitter: _Splitter, name: str) -> bytes:
    """The anti-forensic splitter's reverse (version 1 specification, 2.4): all stripes but the last are mixed into one another."""
    width = _digest(splitter.hash, b"", name).digest_size
    mixed = bytes(size)
    for at in range(0, (splitter.stripes - 1) * size, size):
        block = _xor(mixed, split[at : at + size])
        parts = []
        for number, start in enumerate(range(0, size, width)):
            piece = block[start : start + width]
            parts.append(hashlib.new(splitter.hash, number.to_bytes(4, "big") + piece).digest()[: len(piece)])
        mixed = b"".join(parts)
    return _xor(mixed, split[(splitter.stripes - 1) * size :])


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(len(left), "big")


# --- content ------------------------------------------------------------------------------------------------------------------

_KEY_SIZES = {"xts": (32, 48, 64), "cbc": (16, 24, 32)}  # bytes: of AES, twice for XTS
_CIPHERS = {"aes-xts-plain64", "aes-xts-plain", "aes-cbc-plain64", "aes-cbc-plain", "aes-cbc-essiv:sha256"}


def _known(encryption: str) -> bool:
    return encryption in _CIPHERS


def _decrypt(encryption: str, key: bytes, data: bytes, first: int, step: int) -> bytes:
    """`data` of whole sectors of `step` bytes, the first of which is number `first` (in sectors of 512 bytes, whatever `step`)."""
    mode = encryption.partition("-")[2]
    mask = 0xFFFFFFFF if mode.endswith("plain") else 0xFFFFFFFFFFFFFFFF
    if mode.startswith("xts"):
        return xts.decrypt(key, data, [(first + at // _SECTOR) & mask for at in range(0, len(data), step)], step)
    aes = algorithms.AES(key)
    essiv = Cipher(algorithms.AES(hashlib.sha256(key).digest()), modes.ECB()).encryptor() if "essiv" in mode else None  # noqa: S305 - of ESSIV
    out = []
    for at in range(0, len(data), step):
        vector = ((first + at // _SECTOR) & mask).to_bytes(16, "little")
        if essiv is not None:
            vector = essiv.update(vector)
        out.append(Cipher(aes, modes.CBC(vector)).decryptor().update(data[at : at + step]))
    return b"".join(out)


class Decrypted:
    """The content of a LUKS volume, decrypted sector by sector as it is read. Raises Corrupt where the volume ends early."""

    def __init__(self, source: Source, name: str, segment: _Segment, key: bytes, size: int, offset: int, first: int) -> None:
        self._source, self._name, self._key = source, name, key
        self._encryption, self._step = segment.encryption, segment.sector_size
        self._offset, self._first, self.size = offset, first, size

    def read(self, offset: int, size: int) -> bytes:
        size = min(size, self.size - offset)
        if offset < 0 or size <= 0:
            return b""
        start = offset - offset % self._step
        end = -(-(offset + size) // self._step) * self._step
        clear = b"".join(self._some(at, min(at + _PIECE, end)) for at in range(start, end, _PIECE))
        return clear[offset - start : offset - start + size]

    def _some(self, start: int, end: int) -> bytes:
        data = self._source.read(self._offset + start, end - start)
        if len(data) < end - start:
            raise Corrupt(f"{self._name}: ends at byte {self._offset + start + len(data)}, within its encrypted content")
        return _decrypt(self._encryption, self._key, data, self._first + start // _SECTOR, self._step)


def _decrypted(source: Source, name: str, segment: _Segment, key: bytes) -> Decrypted:
    offset = _number(segment.offset, name)
    step = segment.sector_size
    size = max(0, source.size - offset) if segment.size == "dynamic" else _number(segment.size, name)
    if step not in (512, 1024, 2048, 4096) or len(key) not in ((32, 64) if "xts" in segment.encryption else (16, 24, 32)):
        raise Corrupt(f"{name}: has sectors of {step} bytes and a key of {len(key)}")
    if max(size, offset) > limits.MEDIUM:
        raise Corrupt(f"{name}: is said to have {size} bytes from byte {offset} on")
    return Decrypted(source, name, segment, key, size - size % step, offset, _number(segment.iv_tweak, name))


def _libluksde(source: Source, name: str, keys: tuple[Key, ...]) -> tuple[Derived, str] | None:
    """LUKS1 in a cipher that is not AES, through libluksde."""
    import pyluksde

    for key in keys:
        if key.kind == "recovery":
            continue
        file = OpenFile(Part(source, 0, source.size))
        volume = pyluksde.volume()
        opened(lambda volume=volume, file=file: volume.open_file_object(file), name, (file,))  # type: ignore[misc]
        try:
            volume.set_password(key.secret.decode("utf-8"))
            locked = not volume.unlock()
        except FAILURES:
            locked = True
        if not locked:
            return Derived(volume, int(volume.size), name, (file,)), key.kind
    return None
