"""Whether bytes are DER: one TLV and nothing after it, lengths definite and minimal, integers and booleans in their one form. X.690."""

from forensics.signing.reasons import Reason, invalid

DEEPEST = 32
_BOOLEAN, _INTEGER, _BIT_STRING, _OCTET_STRING, _NULL, _SEQUENCE, _SET = 1, 2, 3, 4, 5, 0x30, 0x31


def check(data: bytes) -> None:
    """Raises SignatureInvalid at the first byte that DER forbids. Bytes within OCTET STRINGs are not looked into."""
    end = _value(data, 0, len(data), 0)
    if end != len(data):
        raise _bad(end, "bytes follow")


def children(data: bytes) -> list[bytes]:
    """What a constructed value is made of, each with its tag and length, as the bytes stand. Raises SignatureInvalid."""
    tag, at, stop = _header(data, 0, len(data))
    if not tag & 0x20:
        raise _bad(0, "a primitive value has no parts")
    if stop != len(data):
        raise _bad(stop, "bytes follow")
    found = []
    while at < stop:
        _, _, after = _header(data, at, stop)
        found.append(data[at:after])
        at = after
    return found


def make(tag: int, *parts: bytes) -> bytes:
    """The value of this tag whose content is `parts`, which are whole already (X.690, sections 8.1 and 10.1)."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def content(data: bytes) -> bytes:
    """A value without its tag and length. Raises SignatureInvalid."""
    _, start, stop = _header(data, 0, len(data))
    return data[start:stop]


def _value(data: bytes, at: int, end: int, depth: int) -> int:
    if depth > DEEPEST:
        raise _bad(at, f"more than {DEEPEST} levels")
    tag, start, stop = _header(data, at, end)
    if tag & 0x20:
        children = []
        while start < stop:
            after = _value(data, start, stop, depth + 1)
            children.append(data[start:after])
            start = after
        if tag == _SET and children != sorted(children):
            raise _bad(at, "a SET is not sorted")
        return stop
    content = data[start:stop]
    wrong = (
        (tag == _BOOLEAN and content not in (b"\x00", b"\xff"))
        or (tag == _NULL and content != b"")
        or (tag == _INTEGER and (not content or (len(content) > 1 and (content[0], content[1] >> 7) in ((0, 0), (0xFF, 1)))))
        or (
            tag == _BIT_STRING
            and (not content or content[0] > 7 or (content[-1] & ((1 << content[0]) - 1) if len(content) > 1 else content[0]))
        )
    )
    if wrong:
        raise _bad(at, f"a value of tag {tag} is not in its one form")
    return stop


def _header(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Tag, start and end of the content."""
    if at + 2 > end or data[at] & 0x1F == 0x1F:  # no structure that is read here has tags above 30
        raise _bad(at, "no tag and length")
    tag, length, start = data[at], data[at + 1], at + 2
    if tag in (_SEQUENCE & ~0x20, _SET & ~0x20, _BOOLEAN | 0x20, _INTEGER | 0x20, _BIT_STRING | 0x20, _OCTET_STRING | 0x20):
        raise _bad(at, "a constructed string or a primitive sequence")
    if length >= 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or start + count > end:
            raise _bad(at, "an indefinite or too large length")
        length = int.from_bytes(data[start : start + count], "big")
        if length < 0x80 or length >> (8 * (count - 1)) == 0:
            raise _bad(at, "a length is not minimal")
        start += count
    if start + length > end:
        raise _bad(at, "a value goes past its end")
    return tag, start, start + length


def _bad(at: int, what: str) -> Exception:
    return invalid(Reason.STRUCTURE, f"not DER at byte {at}: {what}")
