"""AES-XTS over many sectors at once (IEEE 1619). One call of the library a sector would cost more than the deciphering itself.

XTS is AES between two exclusive-ors with a tweak, which begins with the sector's number, enciphered, and is multiplied by x from block to
block in GF(2^128). Here the tweaks of all sectors are multiplied together, as lanes of 128 bits of one large integer, and AES runs once.
"""

from array import array
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK = 16


@lru_cache(maxsize=64)
def _ones(lanes: int) -> int:
    """Bit 0 of every lane."""
    return int.from_bytes(b"\x01".ljust(_BLOCK, b"\0") * lanes, "little")


def decrypt(key: bytes, data: bytes, numbers: list[int], step: int) -> bytes:
    """`data` of sectors of `step` bytes, deciphered; `numbers` are those of the sectors. `key` is both keys, one after the other."""
    half, lanes = len(key) // 2, len(numbers)
    # ECB, since XTS is built of it
    numbered = b"".join(number.to_bytes(_BLOCK, "little") for number in numbers)
    first = Cipher(algorithms.AES(key[half:]), modes.ECB()).encryptor().update(numbered)  # noqa: S305
    tweaks = _tweaks(first, lanes, step)
    size = len(data)
    mixed = (int.from_bytes(data, "little") ^ tweaks).to_bytes(size, "little")
    clear = Cipher(algorithms.AES(key[:half]), modes.ECB()).decryptor().update(mixed)  # noqa: S305
    return (int.from_bytes(clear, "little") ^ tweaks).to_bytes(size, "little")


def _tweaks(first: bytes, lanes: int, step: int) -> int:
    """The tweaks of every block of every sector, in order of the data, as one integer."""
    ones = _ones(lanes)
    full = (1 << 128 * lanes) - 1
    keep = full ^ ones
    blocks, words = step // _BLOCK, step // 8
    out = array("Q", bytes(lanes * step))
    current = int.from_bytes(first, "little")
    for block in range(blocks):
        row = array("Q", current.to_bytes(lanes * _BLOCK, "little"))
        out[2 * block :: words] = row[::2]
        out[2 * block + 1 :: words] = row[1::2]
        carried = (current >> 127) & ones
        current = ((current << 1) & keep) ^ (carried * 0x87)
    return int.from_bytes(out.tobytes(), "little")
