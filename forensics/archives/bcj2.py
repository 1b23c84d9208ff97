"""BCJ2, 7-Zip's filter for x86 programs: targets of calls and jumps lie in streams of their own (Bcj2.c of the LZMA SDK 9.20)."""

import re
from collections.abc import Iterator

from forensics.members import stream_of

_BRANCH = re.compile(rb"[\xe8\xe9]|(?<=\x0f)[\x80-\x8f]")
_TOP, _BITS = 1 << 24, 11
MOST = 1 << 16  # bytes given on at once, or so


def joined(main: Iterator[bytes], calls: Iterator[bytes], jumps: Iterator[bytes], decisions: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The program's bytes, `size` of them, out of its four streams. Raises EOFError where one of them is cut short.

    Behind every byte that may begin a branch, a range coder with 258 adaptive bits says whether its target was put aside.
    """
    targets = {True: stream_of(calls), False: stream_of(jumps)}
    coder = stream_of(decisions)
    start = coder.read(5)
    if len(start) < 5:
        raise EOFError("the stream of decisions is cut short")
    code, span = int.from_bytes(start, "big") & 0xFFFFFFFF, 0xFFFFFFFF
    chances = [1 << (_BITS - 1)] * 258
    out = bytearray()
    done = 0
    last = 0  # the byte that went out last
    for piece in main:
        at = 0
        if len(out) >= MOST:  # where no branch is, nothing below gives any out
            yield bytes(out)
            done += len(out)
            out.clear()
        while at < len(piece):
            if last == 0x0F and 0x80 <= piece[at] <= 0x8F:
                place = at
            else:
                found = _BRANCH.search(piece, at)
                place = len(piece) if found is None else found.start()
            out += piece[at : min(place + 1, len(piece))]
            if place > at:
                last = piece[place - 1]
            at = place + 1
            if done + len(out) >= size:
                yield bytes(out[: size - done])
                return
            if place == len(piece):
                break
            byte = piece[place]
            which = last if byte == 0xE8 else 256 if byte == 0xE9 else 257
            last = byte
            bound = (span >> _BITS) * chances[which]
            aside = code >= bound
            if aside:
                span, code = span - bound, code - bound
                chances[which] -= chances[which] >> 5
            else:
                span = bound
                chances[which] += ((1 << _BITS) - chances[which]) >> 5
            if span < _TOP:
                following = coder.read(1)
                if not following:
                    raise EOFError("the stream of decisions is cut short")
                span, code = span << 8 & 0xFFFFFFFF, (code << 8 | following[0]) & 0xFFFFFFFF
            if aside:
                target = targets[byte == 0xE8].read(4)
                if len(target) < 4:
                    raise EOFError("a stream of targets is cut short")
                relative = int.from_bytes(target, "big") - (done + len(out) + 4) & 0xFFFFFFFF
                out += relative.to_bytes(4, "little")
                last = relative >> 24
            if len(out) >= MOST:
                yield bytes(out[: size - done])
                done += len(out)
                out.clear()
                if done >= size:
                    return
    yield bytes(out[: size - done])
    if done + len(out) < size:
        raise EOFError("the stream of the program itself is cut short")
