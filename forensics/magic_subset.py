"""libmagic's compiled database without the tests that a given content cannot pass: the same answer, several times faster.

Most of what libmagic spends on a text goes into tests that look for a word anywhere in its first kilobytes (``search``) or compile a
regular expression (``regex``), nearly all in vain; and a third of its tests ask for bytes that no text holds. A test that needs what is
not there fails, and a test that is not there differs in nothing from one that fails. So the database is kept without the tests that no
text passes; and of the searches and expressions those are switched on, in place and for each text, whose sign re2 finds in one pass.
Most other tests ask for a certain first byte: there is a database for each upper half of a first byte that is met, of texts and of
binaries.

The layout is that of `struct magic` (file 5.41, src/file.h): records of 376 bytes after a header record, which holds a magic number,
the version and the number of records in each of two sets; a test is a record of level 0 and the records of higher levels after it.
"""

import ctypes
import re
import struct
import sys
from collections.abc import Callable, Iterator

import re2
from msgspec import Struct

_RECORD = 376
_HEADER = struct.Struct("<IIII")
_MAGIC, _VERSION = 0xF11E041C, 16
_TEST = struct.Struct("<HBBBBBBBB")  # continuation level, flags, factor, relation, size of the value, type, and three operators
_RANGE = struct.Struct("<II")  # of a search or regex: range, flags; of a number: its mask
_RANGE_AT, _VALUE_AT = 24, 32
_STRING, _REGEX, _SEARCH = 5, 17, 20
_NUMBERS = {1: 1, 2: 2, 4: 4, 7: 2, 8: 4, 10: 2, 11: 4, 23: 4, 24: 8, 25: 8, 26: 8}  # bytes of each type of number
_BIG_ENDIAN = (7, 8, 26)
_MIDDLE_ENDIAN = 23
_INDIRECT, _FOR_TEXTS = 0x01, 0x40
_HARMLESS = 0x08 | 0x10 | 0x20 | 0x40  # flags: unsigned, no space, for binaries, for texts
_HARMLESS_STRING = 0x20 | 0x40  # of a string: for binaries, for texts
_OPERATOR = 0x7F
_NEAR = 100  # a search within so few bytes costs nothing
_SHORTEST = 2  # bytes of a word worth looking for
_SLACK = 64  # a byte order mark and rounding, at the end of a window
_REGEX_REACH = 8192  # FILE_REGEX_MAX
_WINDOW = 12 << 10  # bytes in which words are looked for; a test that reaches further stays on
_NEVER = struct.pack("<HBBBBB", 0, 0, 0, ord("="), 1, _STRING)  # a string test of the one byte 0x01, which no text holds

# Bytes that make libmagic take a content for no text (src/encoding.c, `text_chars`).
_NOT_TEXT = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_UTF8 = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # libmagic tests such a text as UTF-8: its words do not stand in the bytes
_TOKEN = re.compile(
    rb"(?P<set>\[\^?\]?(?:\[:[a-z]+:\]|[^\]])*\])|(?P<quantifier>[*+?]|\{[0-9]+(?:,[0-9]*)?\})|(?P<open>\()|(?P<close>\))"
    rb"|(?P<or>\|)|(?P<anchor>[\^$])|(?P<any>\.)|\\(?P<escaped>[^A-Za-z0-9])|(?P<plain>[^\\\[\]*+?{}()|^$.])",
    re.DOTALL,
)


class _Test(Struct, frozen=True):
    """A test with what follows from it: its records, the upper half of the one byte that a content it takes begins with, if there is
    one, whether it is for texts, whether no text passes it, and the sign that stands in every text that does: an expression, and a word
    with its number."""

    records: bytes
    half: int | None
    for_texts: bool
    binary: bool
    sign: tuple[str, bytes, int] | None


class Database:
    """A smaller database in a buffer of its own, to be given to libmagic; `fit` it to a text before libmagic is asked about that text."""

    def __init__(self, header: bytes, tests: list[tuple[int | None, bytes]], rest: bytes) -> None:
        self._at: dict[int, int] = {}
        self._records: dict[int, bytes] = {}
        parts, size = [b""], _RECORD
        for sign, records in tests:
            if sign is not None:
                self._at[sign], self._records[sign] = size, records[:_RECORD]
            parts.append(records)
            size += len(records)
        _, _, _, second = _HEADER.unpack_from(header)
        parts[0] = _HEADER.pack(_MAGIC, _VERSION, size // _RECORD - 1, second) + header[_HEADER.size :]
        whole = b"".join(parts) + rest
        self.buffer, self.size = ctypes.create_string_buffer(whole, len(whole)), len(whole)
        self._address = ctypes.addressof(self.buffer)
        self._on = set(self._at)

    def fit(self, signs: set[int]) -> None:
        """Switch on the tests whose sign stands in the text, and off the others."""
        wanted = signs & self._at.keys()
        for number in self._on ^ wanted:
            record = self._records[number]
            ctypes.memmove(self._address + self._at[number], record if number in wanted else _switched_off(record), _RECORD)
        self._on = wanted


class Subsets:
    """The smaller databases of one compiled database, made when they are first asked for."""

    def __init__(self, header: bytes, tests: list[_Test], rest: bytes) -> None:
        self._header, self._tests, self._rest = header, tests, rest
        self._signed = [number for number, test in enumerate(tests) if test.sign]
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.max_mem = 64 << 20
        self._search = re2.Set.SearchSet(options)
        for number in self._signed:
            self._search.Add((tests[number].sign or ("",))[0])
        self._search.Add("")  # stands in every text: where it is not found, the search itself failed
        self._search.Compile()

    @property
    def expressions(self) -> list[str]:
        """Every expression that is looked for in texts."""
        return [test.sign[0] for test in self._tests if test.sign]

    def of_text(self, half: int | None) -> Database:
        """For texts (see `is_text`) whose first byte has this upper half, or begin with any."""
        return self._database(lambda test: not test.binary and (half is None or test.half in (None, half)), signs=True)

    def of_binary(self, half: int) -> Database:
        """For what holds a NUL and whose first byte has this upper half: libmagic takes it for no text, however it is encoded."""
        return self._database(lambda test: not test.for_texts and test.half in (None, half), signs=False)

    def _database(self, wanted: Callable[[_Test], bool], *, signs: bool) -> Database:
        tests = [(number if signs and test.sign else None, test.records) for number, test in enumerate(self._tests) if wanted(test)]
        return Database(self._header, tests, self._rest)

    def signs(self, text: bytes) -> set[int]:
        """The tests whose sign stands in a text."""
        begin = text[:_WINDOW].removeprefix(_UTF8)  # as libmagic does, so that a line begins after it
        found = set(self._search.Match(begin) or ())
        if len(self._signed) not in found:
            return set(self._signed)
        found.remove(len(self._signed))
        numbers = {self._signed[each] for each in found}
        return {number for number in numbers if _often(self._tests[number], begin)}


def _often(test: _Test, text: bytes) -> bool:
    _, word, times = test.sign or ("", b"", 1)
    return times == 1 or text.lower().count(word) >= times


def subsets(database: bytes) -> Subsets | None:
    """The subsets of a compiled database, or `None` where its layout is not the known one."""
    if sys.byteorder != "little" or len(database) < _RECORD or len(database) % _RECORD:
        return None
    magic, version, first, second = _HEADER.unpack_from(database)
    if (magic, version) != (_MAGIC, _VERSION) or (1 + first + second) * _RECORD != len(database):
        return None
    starts = [at for at in range(_RECORD, (1 + first) * _RECORD, _RECORD) if database[at : at + 2] == b"\0\0"]
    if not starts or starts[0] != _RECORD:
        return None
    end = (1 + first) * _RECORD
    tests = []
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        record = database[start : start + _RECORD]
        binary = _needs_binary(record)
        for_texts = bool(record[2] & _FOR_TEXTS)
        first_byte = _first(record)
        half = None if first_byte is None else first_byte >> 4
        tests.append(_Test(database[start:stop], half, for_texts, binary, None if binary else _sign(record)))
    return Subsets(database[:_RECORD], tests, database[end:])


def is_text(head: bytes) -> bool:
    """Whether libmagic tests these bytes as they stand (ASCII, UTF-8, ISO 8859), and not converted from UTF-16 or EBCDIC."""
    return not head.startswith(UTF16) and _NOT_TEXT.search(head) is None


def _switched_off(record: bytes) -> bytes:
    return _NEVER + record[len(_NEVER) : _RANGE_AT] + bytes(_VALUE_AT - _RANGE_AT) + b"\x01" + bytes(127) + record[_VALUE_AT + 128 :]


def _first(record: bytes) -> int | None:
    """The byte with which everything begins that a test takes, or `None` where there is not just one."""
    _, flags, _, relation, size, kind, _, _, mask = _TEST.unpack_from(record)
    if relation != ord("=") or flags & ~_HARMLESS or record[12:16] != bytes(4):
        return None
    if kind == _STRING:
        plain = not int.from_bytes(record[_RANGE_AT + 4 : _VALUE_AT], "little") & ~_HARMLESS_STRING
        return record[_VALUE_AT] if plain and size else None
    if kind not in _NUMBERS or mask & _OPERATOR or record[_RANGE_AT:_VALUE_AT] != bytes(8) or kind == _MIDDLE_ENDIAN:
        return None
    return record[_VALUE_AT + (_NUMBERS[kind] - 1 if kind in _BIG_ENDIAN else 0)]


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
    return _NOT_TEXT.search(record[_VALUE_AT : _VALUE_AT + size]) is not None


def _sign(record: bytes) -> tuple[str, bytes, int] | None:
    """What is found in whatever a test succeeds on, for `_Test`; `None` where the test stays on."""
    _, flags, _, relation, size, kind, *_ = _TEST.unpack_from(record)
    if relation != ord("=") or flags & _INDIRECT or kind not in (_REGEX, _SEARCH):
        return None
    offset = int.from_bytes(record[12:16], "little")
    reach, how = _RANGE.unpack_from(record, _RANGE_AT)
    value = record[_VALUE_AT : _VALUE_AT + size]
    if offset + max(reach, _REGEX_REACH if kind == _REGEX else 0) + size + _SLACK > _WINDOW:
        return None
    if kind == _SEARCH:
        if reach <= _NEAR:
            return None
        value = value.rstrip(b"\0")
        word = value if how == 0 else value[:1].strip() and value.split()[0]  # flags fold case and compress blanks
        return (_pattern(re2.escape(word.decode("latin-1")), fold=how != 0), b"", 1) if len(word) >= _SHORTEST else None
    value = value.partition(b"\0")[0]  # regcomp(3) takes a C string
    tokens = list(_TOKEN.finditer(value))
    if sum(len(token[0]) for token in tokens) != len(value):
        return None  # something here is not understood
    if offset == 0 and b"{" not in value:
        # "$" also stands for the end of the bytes looked at, wherever that is
        plain = b"".join(token[0] for token in tokens if not (token.lastgroup == "anchor" and token[0] == b"$"))
        return _pattern(plain.decode("latin-1"), fold=how != 0), b"", 1
    word, times = max(_needed(tokens), key=lambda needed: (len(needed[0]), needed[1]), default=(b"", 1))
    return (_pattern(re2.escape(word.decode("latin-1")), fold=True), word.lower(), times) if len(word) >= _SHORTEST or times > 1 else None


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
