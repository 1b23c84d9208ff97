"""What a test of libmagic's compiled database asks of a content, read from its records.

The layout is that of `struct magic` (file 5.41, src/file.h): records of 376 bytes; a test is a record of level 0 and the records of
higher levels after it, each of which is tried only where the one above it succeeded.
"""

import re
import struct
from collections.abc import Iterator
from typing import Literal

import re2
from msgspec import Struct

RECORD = 376
_TEST = struct.Struct("<HBBBBBBBB")  # continuation level, flags, factor, relation, size of the value, type, and three operators
_RANGE = struct.Struct("<II")  # of a search or regex: range, flags; of a number: its mask
_TYPE_AT, _RANGE_AT, _VALUE_AT, _DESCRIPTION_AT, _VALUE_SIZE = 6, 24, 32, 160, 128
_STRING, _REGEX, _SEARCH = 5, 17, 20
_AGAIN, _NAMED, _USE = 41, 45, 46  # all tests once more at another place; a set of tests with a name; the use of one
_NUMBERS = {1: 1, 2: 2, 4: 4, 7: 2, 8: 4, 10: 2, 11: 4, 24: 8, 25: 8, 26: 8}  # bytes of each type of number, but the middle-endian
_BIG_ENDIAN = (7, 8, 26)
_INDIRECT, _RELATIVE, _UNSIGNED, _FOR_BINARIES, _FOR_TEXTS = 0x01, 0x02, 0x08, 0x20, 0x40
_HARMLESS = 0x08 | 0x10 | 0x20 | 0x40  # flags: unsigned, no space, for binaries, for texts
_HARMLESS_STRING = 0x20 | 0x40  # of a string: for binaries, for texts
_BLANKS, _LESS_BLANKS, _CASE = 0x01, 0x02, 0x04 | 0x08  # of a string: any blanks for some, or for none; letters in either case
_OPERATOR = 0x7F  # 0: and
_CLOSE = 1  # a search within so few bytes is one for bytes at a place, or the next
_SHORTEST = 2  # bytes of a word worth looking for
_SLACK = 64  # a byte order mark and rounding, at the end of a window
_REGEX_REACH = 8192  # FILE_REGEX_MAX
WINDOW = 12 << 10  # bytes in which words are looked for; a test that reaches further stays on
_MIME_OF_UNKNOWN = b"application/octet-stream"
_NEVER = struct.pack("<HBBBBB", 0, 0, 0, ord("="), 1, _STRING)  # a string test of the one byte 0x01, which no text holds

# Bytes that make libmagic take a content for no text (src/encoding.c, `text_chars`).
NOT_TEXT = bytes(byte for byte in range(0x80) if byte < 0x07 or (0x0E <= byte < 0x20 and byte != 0x1B) or byte == 0x7F)
_NOT_TEXT = frozenset(NOT_TEXT)
_TOKEN = re.compile(
    rb"(?P<set>\[\^?\]?(?:\[:[a-z]+:\]|[^\]])*\])|(?P<quantifier>[*+?]|\{[0-9]+(?:,[0-9]*)?\})|(?P<open>\()|(?P<close>\))"
    rb"|(?P<or>\|)|(?P<anchor>[\^$])|(?P<any>\.)|\\(?P<escaped>[^A-Za-z0-9])|(?P<plain>[^\\\[\]*+?{}()|^$.])",
    re.DOTALL,
)


class Bytes(Struct, frozen=True, gc=False):
    """Bytes without which a test fails, the places where they may stand, and whether in either case."""

    value: bytes
    offsets: tuple[int, ...]
    folded: bool = False


class Number(Struct, frozen=True):
    """A comparison of a number at a fixed place of a content."""

    offset: int
    size: int
    big_endian: bool
    signed: bool
    mask: int
    relation: str
    value: int

    def holds(self, head: bytes) -> bool:
        """Whether the comparison can succeed."""
        raw = head[self.offset : self.offset + self.size].ljust(self.size, b"\0")
        number = int.from_bytes(raw, "big" if self.big_endian else "little") & self.mask
        if self.relation in "=!":
            return (number == self.value & (1 << 8 * self.size) - 1) == (self.relation == "=")
        if self.signed and number >> 8 * self.size - 1:
            number -= 1 << 8 * self.size
        return number < self.value if self.relation == "<" else number > self.value


class Sign(Struct, frozen=True, gc=False):
    """What is found in a text: an expression of re2, and a word in small letters that has to stand in it so many times, in either case;
    or, without an expression, a word anywhere."""

    expression: str
    word: bytes = b""
    times: int = 1


class Test(Struct, frozen=True, gc=False):
    """A test with what follows from it: its records; whether it is made on binaries, and on texts; whether no text passes it; whether it
    may say that nothing is known; the bytes that it needs; groups of signs of each of which one stands in every text of which it says
    something; the named sets that it uses; and for each place in it where all tests are made once more, the numbers that lead there."""

    records: bytes
    for_binaries: bool
    for_texts: bool
    binary: bool
    vague: bool
    needs: Bytes | None
    signs: tuple[tuple[Sign, ...], ...]
    uses: frozenset[bytes]
    again: tuple[tuple[Number, ...], ...]


def tests(records: bytes) -> Iterator[bytes]:
    """The records of each test. Raises ValueError where the first record belongs to none."""
    levels = zip(records[::RECORD], records[1::RECORD], strict=True)
    starts = [RECORD * number for number, level in enumerate(levels) if level == (0, 0)]
    if starts[:1] != [0]:
        raise ValueError("these records begin in the middle of a test")
    for start, stop in zip(starts, [*starts[1:], len(records)], strict=True):
        yield records[start:stop]


class Named:
    """The named sets of tests, by their names. Raises ValueError as `tests` does, or where one has no name."""

    def __init__(self, records: bytes) -> None:
        self.records: dict[bytes, bytes] = {}
        for each in tests(records):
            if each[_TYPE_AT] != _NAMED:
                raise ValueError("a set of tests has no name")
            self.records[_word(each[:RECORD])] = each
        used = {name: self.used(each) | {name} for name, each in self.records.items()}
        self.again = {name for name, all_used in used.items() if any(_AGAIN in _types(self.records[each]) for each in all_used)}
        self.vague = {name for name, all_used in used.items() if any(_MIME_OF_UNKNOWN in self.records[each] for each in all_used)}

    def used(self, records: bytes) -> frozenset[bytes]:
        """The named sets that these records use, and those that they use. Raises KeyError for one that is not there."""
        found: set[bytes] = set()
        waiting = [records]
        while waiting:
            each = waiting.pop()
            if _USE in _types(each):
                new = {_word(record).removeprefix(b"^") for record in _each(each) if record[_TYPE_AT] == _USE} - found
                found |= new
                waiting += [self.records[name] for name in new]
        return frozenset(found)


def read(records: bytes, named: Named) -> Test:
    """What a test asks, by its records and the named sets. Raises KeyError for a set that is not there."""
    first = records[:RECORD]
    binary = _needs_binary(first)
    uses = named.used(records)
    return Test(
        records,
        bool(first[2] & _FOR_BINARIES),
        bool(first[2] & _FOR_TEXTS),
        binary,
        _MIME_OF_UNKNOWN in records or not named.vague.isdisjoint(uses),
        _needs(first),
        () if binary else tuple(_signs(records)),
        uses,
        tuple(_again(records, named.again)) if _AGAIN in _types(records) or not named.again.isdisjoint(uses) else (),
    )


def switched_off(record: bytes) -> bytes:
    """A record in place of this one that no text passes."""
    rest = record[_VALUE_AT + _VALUE_SIZE :]
    return _NEVER + record[len(_NEVER) : _RANGE_AT] + bytes(_VALUE_AT - _RANGE_AT) + b"\x01" + bytes(_VALUE_SIZE - 1) + rest


def _word(record: bytes) -> bytes:
    return record[_VALUE_AT : _VALUE_AT + _VALUE_SIZE].partition(b"\0")[0]


def _each(records: bytes) -> Iterator[bytes]:
    return (records[at : at + RECORD] for at in range(0, len(records), RECORD))


def _types(records: bytes) -> bytes:
    return records[_TYPE_AT::RECORD]


def _again(records: bytes, named: set[bytes]) -> Iterator[tuple[Number, ...]]:
    """For each record that makes all tests once more, itself or by one of these named sets: the numbers asked for by those above it."""
    above: list[Number | None] = []
    for record in _each(records):
        level = int.from_bytes(record[:2], "little")
        above[level:] = [_number(record)]
        if record[_TYPE_AT] == _AGAIN or (record[_TYPE_AT] == _USE and _word(record).removeprefix(b"^") in named):
            yield tuple(number for number in above if number)


def _number(record: bytes) -> Number | None:
    """What a record asks of a number at a fixed place, or `None` where it asks something else."""
    _, flags, _, relation, _, kind, _, _, mask = _TEST.unpack_from(record)
    offset = int.from_bytes(record[12:16], "little", signed=True)
    if kind not in _NUMBERS or flags & ~_HARMLESS or mask or chr(relation) not in "=!<>" or offset < 0:
        return None
    size, signed = _NUMBERS[kind], not flags & _UNSIGNED
    return Number(
        offset,
        size,
        kind in _BIG_ENDIAN,
        signed,
        int.from_bytes(record[_RANGE_AT:_VALUE_AT], "little") or (1 << 8 * size) - 1,
        chr(relation),
        int.from_bytes(record[_VALUE_AT : _VALUE_AT + 8], "little", signed=signed),
    )


def _needs(record: bytes) -> Bytes | None:
    """The longest run of bytes without which a test fails, or `None` where it can do without any."""
    _, flags, _, relation, size, kind, *_ = _TEST.unpack_from(record)
    offset = int.from_bytes(record[12:16], "little", signed=True)
    if relation != ord("=") or flags & ~_HARMLESS or offset < 0:
        return None
    if kind in (_STRING, _SEARCH):
        reach, how = _RANGE.unpack_from(record, _RANGE_AT)
        value = record[_VALUE_AT : _VALUE_AT + size]
        if kind == _STRING and how & ~_HARMLESS_STRING == 0:
            return Bytes(value, (offset,)) if value else None
        if b"\0" in value or (kind == _SEARCH and not 0 < reach <= _CLOSE):
            return None
        if how & (_BLANKS | _LESS_BLANKS):
            value = value[:1].strip() and value.split()[0]
        offsets = tuple(range(offset, offset + reach + 1)) if kind == _SEARCH else (offset,)
        return Bytes(value.lower() if how & _CASE else value, offsets, folded=bool(how & _CASE)) if value else None
    number = _number(record)
    if number is None:
        return None
    order: Literal["big", "little"] = "big" if number.big_endian else "little"
    mask, wanted = number.mask.to_bytes(8, "little")[: number.size], number.value & (1 << 8 * number.size) - 1
    if number.mask == (1 << 8 * number.size) - 1:
        return Bytes(wanted.to_bytes(number.size, order), (offset,))
    whole = re.finditer(rb"\xff+", mask[::-1] if number.big_endian else mask)
    run = max(whole, key=lambda found: len(found[0]), default=None)
    return Bytes(wanted.to_bytes(number.size, order)[run.start() : run.end()], (offset + run.start(),)) if run else None


def _needs_binary(record: bytes) -> bool:
    """Whether a test succeeds only where a byte stands that no text holds."""
    _, flags, _, relation, size, kind, _, _, mask = _TEST.unpack_from(record)
    if relation != ord("=") or flags & _INDIRECT:
        return False
    if kind in _NUMBERS:
        if mask & _OPERATOR or record[_RANGE_AT:_VALUE_AT] != bytes(8):
            return False
        size = _NUMBERS[kind]
    elif kind not in (_STRING, _SEARCH):
        return False
    return not _NOT_TEXT.isdisjoint(record[_VALUE_AT : _VALUE_AT + size])


def _signs(records: bytes) -> Iterator[tuple[Sign, ...]]:
    """The groups of signs of a test, for `Test`: of itself, and where it says nothing by itself, of those that follow from it."""
    first = records[:RECORD]
    own = _sign(first)
    if own:
        yield (own,)
    if first[_DESCRIPTION_AT:].strip(b"\0"):
        return
    near = first[_TYPE_AT] not in (_REGEX, _SEARCH) and int.from_bytes(first[12:16], "little") <= _SLACK
    following = [_sign(record, near=near) for record in _each(records[RECORD:]) if record[:2] == b"\1\0"]
    if following and None not in following:
        yield tuple(sign for sign in following if sign)


def _sign(record: bytes, *, near: bool = False) -> Sign | None:
    """What is found in whatever a record succeeds on; `None` where that is not known. A place that is relative to the record before it
    is known to be `near` the beginning, or not known."""
    _, flags, _, relation, size, kind, *_ = _TEST.unpack_from(record)
    relative = bool(flags & _RELATIVE)
    if relation != ord("=") or flags & ~(_HARMLESS | (_RELATIVE if near else 0)) or kind not in (_REGEX, _SEARCH):
        return None
    offset = int.from_bytes(record[12:16], "little")
    reach, how = _RANGE.unpack_from(record, _RANGE_AT)
    value = record[_VALUE_AT : _VALUE_AT + size]
    if kind == _SEARCH:
        value = value.rstrip(b"\0")
        word = max(value.split(), key=len, default=b"") if how & (_BLANKS | _LESS_BLANKS) else value
        if len(word) < _SHORTEST:
            return None
        if not reach or offset + reach + size + _VALUE_SIZE + _SLACK > WINDOW:
            return None if how & _CASE else Sign("", word)
        return Sign(_pattern(re2.escape(word.decode("latin-1")), fold=bool(how & _CASE)))
    if offset + max(reach, _REGEX_REACH) + size + _VALUE_SIZE + _SLACK > WINDOW:
        return None
    value = value.partition(b"\0")[0]  # regcomp(3) takes a C string
    tokens = list(_TOKEN.finditer(value))
    if sum(len(token[0]) for token in tokens) != len(value):
        return None  # something here is not understood
    if offset == 0 and not relative and b"{" not in value:
        # "$" also stands for the end of the bytes looked at, wherever that is
        plain = b"".join(token[0] for token in tokens if not (token.lastgroup == "anchor" and token[0] == b"$"))
        return Sign(_pattern(plain.decode("latin-1"), fold=how != 0))
    word, times = max(_needed(tokens), key=lambda needed: (len(needed[0]), needed[1]), default=(b"", 1))
    if len(word) < _SHORTEST and times == 1:
        return None
    return Sign(_pattern(re2.escape(word.decode("latin-1")), fold=True), word.lower(), times)


def _pattern(expression: str, *, fold: bool) -> str:
    return f"(?{'i' if fold else ''}m){expression}"


def _needed(tokens: "list[re.Match[bytes]]") -> Iterator[tuple[bytes, int]]:
    """Runs of bytes, and how often each stands at least, in everything that a POSIX extended regular expression matches."""
    times = _times(tokens)
    run = b""
    for number, token in enumerate(tokens):
        byte = token["plain"] or token["escaped"]
        following = _least(tokens, number)
        if byte and times[number] and following is None:
            run += byte
            continue
        if run:
            yield run, times[number - 1]
        run = b""
        if byte and times[number] and following:
            yield byte, times[number] * following
    if run:
        yield run, times[-1]


def _least(tokens: "list[re.Match[bytes]]", number: int) -> int | None:
    """How often the token must stand by the quantifier after it, or `None` where none follows."""
    quantifier = tokens[number + 1][0] if number + 1 < len(tokens) and tokens[number + 1].lastgroup == "quantifier" else None
    if quantifier is None:
        return None
    if quantifier in (b"*", b"?"):
        return 0
    return 1 if quantifier == b"+" else int(quantifier[1:-1].partition(b",")[0])


def _times(tokens: "list[re.Match[bytes]]") -> list[int]:
    """For each token, how often the groups around it stand at least: 0 within an optional one, or beside an alternative."""
    found = [1] * len(tokens)
    opened = [-1]
    for number, token in enumerate(tokens):
        if token.lastgroup == "open":
            opened.append(number)
        elif token.lastgroup == "or":
            start = opened[-1]
            found[start + 1 :] = [0] * (len(tokens) - start - 1)  # to the end: too much, and so on the safe side
        elif token.lastgroup == "close" and len(opened) > 1:
            start = opened.pop()
            least = _least(tokens, number)
            if least is not None:
                found[start:number] = [each * least for each in found[start:number]]
    return found
