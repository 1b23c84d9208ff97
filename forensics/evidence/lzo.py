"""Unpack LZO1X, which SquashFS, Btrfs and F2FS may pack with; no library of a free licence has it as a wheel.

Streams of version 1 (LZO-RLE), which have runs of zeros, are told by their first byte.

Source: the Linux kernel's documentation, staging/lzo.rst ("LZO stream format as understood by Linux's LZO decompressor").
"""

from forensics.errors import Corrupt

_END = 16384  # the distance that stands for the end of the stream


def unpack(data: bytes, limit: int) -> bytes:
    """`data` unpacked. Raises Corrupt where it breaks off, refers to before its start, or gives more than `limit` bytes."""
    try:
        return bytes(_unpacked(data, limit))
    except IndexError:
        raise Corrupt("packed by LZO, and breaks off") from None


def _unpacked(data: bytes, limit: int) -> bytearray:
    out = bytearray()
    version, at = (data[1], 2) if data[0] == 17 and len(data) >= 5 else (0, 0)
    state = 0  # literals that the last instruction copied: 0, 1 to 3, or 4 for "four or more"
    if data[at] > 17:
        count = data[at] - 17
        at, state = _literals(data, at + 1, count, out, limit), min(count, 4)
    while True:
        code = data[at]
        at += 1
        if code < 16 and state == 0:
            count, at = (code, at) if code else _run(data, at, 15)
            at, state = _literals(data, at, count + 3, out, limit), 4
            continue
        if code < 16:
            count, distance = (2, 1) if state < 4 else (3, 2049)
            distance += (data[at] << 2) + (code >> 2)
            state, at = code & 3, at + 1
        elif version and code & 0xF8 == 0x18 and data[at] | 3 == 0xFF and data[at + 1] == 0xFF:
            count = (data[at + 2] << 3 | code & 7) + 4
            if len(out) + count > limit:
                raise Corrupt(f"packed by LZO: {count} zeros go on beyond the {limit} bytes that may come out")
            out += bytes(count)
            at, state = _literals(data, at + 3, data[at] & 3, out, limit), data[at] & 3
            continue
        elif code < 64:
            mask = 7 if code < 32 else 31
            count, at = (code & mask, at) if code & mask else _run(data, at, mask)
            word = data[at] | data[at + 1] << 8
            distance = (word >> 2) + 1 if code >= 32 else (word >> 2) + _END + ((code & 8) << 11)
            if distance == _END and code < 32:
                return out
            count, state, at = count + 2, word & 3, at + 2
        else:
            count = 3 + (code >> 5 & 1) if code < 128 else 5 + (code >> 5 & 3)
            distance = (data[at] << 3) + (code >> 2 & 7) + 1
            state, at = code & 3, at + 1
        if distance > len(out) or len(out) + count > limit:
            raise Corrupt(f"packed by LZO: copies {count} bytes from {distance} bytes before byte {len(out)} of at most {limit}")
        start = len(out) - distance
        if distance >= count:
            out += out[start : start + count]
        else:  # it copies what it writes
            out += (out[start:] * (count // distance + 1))[:count]
        at = _literals(data, at, state, out, limit)


def _run(data: bytes, at: int, base: int) -> tuple[int, int]:
    """A length that did not fit into its instruction: `base`, 255 for each zero byte, and the byte that is not zero."""
    while not data[at]:
        base, at = base + 255, at + 1
    return base + data[at], at + 1


def _literals(data: bytes, at: int, count: int, out: bytearray, limit: int) -> int:
    if at + count > len(data) or len(out) + count > limit:
        raise Corrupt(f"packed by LZO: {count} bytes at byte {at} lie beyond its end, or beyond the {limit} bytes that may come out")
    out += data[at : at + count]
    return at + count
