"""The branch filters of 7z for ARM64 and RISC-V: addresses that the packer made absolute become relative to their instruction again.

liblzma has the older filters; through Python's `lzma` it takes neither of these. Source: Bra.c of 7-Zip (public domain); the xz file
format 1.2.1, section 5.3.2, says what they are for.
"""

import re
import struct
from collections.abc import Callable, Iterator

_WORD = 0xFFFFFFFF
_ARM64 = re.compile(b"[\x94-\x97\x90\xb0\xd0\xf0]")  # the top byte of BL and of ADRP
_RISCV = re.compile(b"[\xef\x17\x97]")  # the lowest byte of JAL to x1 or x5, and of AUIPC
_AHEAD = 8  # bytes that the longest pair of instructions takes

_Filter = Callable[[bytearray, int], int]


def arm64(pieces: Iterator[bytes], properties: bytes) -> Iterator[bytes]:
    """ARM64 (A64): the targets of BL, and of ADRP within 512 MiB. Raises ValueError for properties of no form."""
    return _filtered(pieces, _arm64, _start(properties, 4))


def riscv(pieces: Iterator[bytes], properties: bytes) -> Iterator[bytes]:
    """RISC-V: the targets of JAL, and of AUIPC with the instruction behind it. Raises ValueError for properties of no form."""
    return _filtered(pieces, _riscv, _start(properties, 2))


def _start(properties: bytes, step: int) -> int:
    """The address of the first byte; 0 where the archive does not say."""
    if not properties:
        return 0
    if len(properties) != 4 or properties[0] % step:
        raise ValueError("properties of a branch filter are not valid")
    return int.from_bytes(properties, "little")


def _filtered(pieces: Iterator[bytes], convert: _Filter, address: int) -> Iterator[bytes]:
    """The pieces, converted; what may belong to an instruction that goes on in the next piece waits for it."""
    held = bytearray()
    for piece in pieces:
        held += piece
        done = convert(held, address)
        yield bytes(held[:done])
        del held[:done]
        address = address + done & _WORD
    yield bytes(held)


def _arm64(data: bytearray, address: int) -> int:
    """Convert in place; how many bytes are done."""
    done = len(data) // 4 * 4
    for found in _ARM64.finditer(bytes(data[3:done:4])):
        at = 4 * found.start()
        (word,) = struct.unpack_from("<I", data, at)
        here = address + at
        if word >> 26 == 0x25:  # BL
            word = 0x94000000 | (word - (here >> 2)) & 0x03FFFFFF
        else:  # ADRP
            pages = word >> 29 & 3 | word >> 3 & 0x1FFFFC
            if pages + 0x20000 & 0x1C0000:
                continue  # further than 512 MiB: it was left alone
            pages -= here >> 12
            word = word & 0x9000001F | (pages & 3) << 29 | (pages & 0x3FFFC) << 3 | (0xE00000 if pages & 0x20000 else 0)
        struct.pack_into("<I", data, at, word)
    return done


def _riscv(data: bytearray, address: int) -> int:
    """Convert in place; how many bytes are done."""
    last = len(data) - _AHEAD  # where an instruction may begin at the latest
    lowest = bytes(data[0::2])
    at = 0
    while at <= last and (found := _RISCV.search(lowest, at // 2)):
        at = 2 * found.start()
        if at > last:
            break
        if data[at] == 0xEF:
            at += _jump(data, at, address + at)
        else:
            at += _pair(data, at, address + at)
    return max(at, last + 2 & ~1) if last >= 0 else 0


def _jump(data: bytearray, at: int, here: int) -> int:
    """JAL to x1 or x5: its target lies in three bytes, the highest first. How many bytes are done."""
    first, second, third = data[at + 1 : at + 4]
    if first & 0x0D:
        return 2  # another register
    target = ((first & 0xF0) << 13 | second << 9 | third << 1) - here
    data[at + 1] = first & 0x0F | target >> 8 & 0xF0
    data[at + 2] = target >> 16 & 0x0F | target >> 7 & 0x10 | target << 4 & 0xE0
    data[at + 3] = target >> 4 & 0x7F | target >> 13 & 0x80
    return 4


def _pair(data: bytearray, at: int, here: int) -> int:
    """AUIPC and what uses its register: the packer wrote the pair's target behind an AUIPC to x2, which programs have no use for; and
    what looked so before is written another way. How many bytes are done."""
    first, second = struct.unpack_from("<II", data, at)
    if first & 0xE80:  # neither to x0 nor to x2
        if (first << 8 ^ second - 3) & 0xF8003:
            return 6
        first, second = 0x17 | 2 << 7 | second << 12 & _WORD, (first & 0xFFFFF000) + (second >> 20)
    else:
        register = first >> 27
        if (first - 0x3117 << 18 & _WORD) >= register & 0x1D:
            return 4
        (target,) = struct.unpack_from(">I", data, at + 4)
        target = target - here & _WORD
        first, second = 0x17 | register << 7 | target + 0x800 & 0xFFFFF000, first >> 12 | target << 20 & _WORD
    struct.pack_into("<II", data, at, first & _WORD, second & _WORD)
    return 8
