"""libmagic's compiled database without the tests that a given content cannot pass: the same answer, many times faster.

A test that needs what is not there fails, and a test that is not there differs in nothing from one that fails. Nearly all of libmagic's
tests ask for certain bytes at a certain place: which of them stand in a content is found by looking up its bytes, and the others are left
out. Of the rest most look for a word anywhere in the first kilobytes of a text (``search``) or try a regular expression (``regex``),
nearly all in vain: those are switched on, in place and for each text, whose sign re2 finds in one pass.
Where libmagic would make all tests once more at another place of the content, nothing is left out.
"""

import ctypes
import struct
import sys
from collections.abc import Iterable, Iterator

import re2

from forensics.magic_record import NOT_TEXT, RECORD, WINDOW, Named, Test, read, switched_off, tests

_HEADER = struct.Struct("<IIII")
_MAGIC, _VERSION = 0xF11E041C, 16
_KEYS = (1, 2, 4)  # bytes by which the bytes that a test needs are looked up
_FOLDED = 1 << 10  # bytes in which they may stand in either case
_NOWHERE = "\\x00"  # stands in no text
_UTF8 = b"\xef\xbb\xbf"
_WIDE = (
    b"\xff\xfe",
    b"\xfe\xff",
    b"\0\0\xfe\xff",
)  # UTF-16 and -32: libmagic tests such a text as UTF-8; its words do not stand in the bytes


class Database:
    """A smaller database in a buffer of its own, to be given to libmagic; `fit` it to a text before libmagic is asked about that text."""

    def __init__(self, header: bytes, tests: Iterable[tuple[int | None, bytes]], named: Iterable[bytes]) -> None:
        self._at: dict[int, int] = {}
        self._records: dict[int, bytes] = {}
        parts, size = [b""], RECORD
        for sign, records in tests:
            if sign is not None:
                self._at[sign], self._records[sign] = size, records[:RECORD]
            parts.append(records)
            size += len(records)
        rest = b"".join(named)
        parts[0] = _HEADER.pack(_MAGIC, _VERSION, size // RECORD - 1, len(rest) // RECORD) + header[_HEADER.size :]
        whole = b"".join(parts) + rest
        self.buffer, self.size = ctypes.create_string_buffer(whole, len(whole)), len(whole)
        self._address = ctypes.addressof(self.buffer)
        self._on = frozenset(self._at)

    def fit(self, signs: frozenset[int]) -> None:
        """Switch on the tests whose sign stands in the text, and off the others."""
        wanted = signs & self._at.keys()
        for number in self._on ^ wanted:
            record = self._records[number]
            ctypes.memmove(self._address + self._at[number], record if number in wanted else switched_off(record), RECORD)
        self._on = wanted


class Subsets:
    """The smaller databases of one compiled database."""

    def __init__(self, header: bytes, tests: list[Test], named: Named) -> None:
        self._header, self._tests, self._named = header, tests, named.records
        self._signed = [number for number, test in enumerate(tests) if test.signs]
        signs = {sign for test in tests for group in test.signs for sign in group}
        self._signs = sorted(signs, key=lambda sign: (sign.expression, sign.word))
        numbers = {sign: number for number, sign in enumerate(self._signs)}
        # of each sign the tests that have it in their first group of signs, and in their second where they have one
        self._first, self._second = (
            self._by_sign(
                (number, [numbers[sign] for sign in test.signs[group]]) for number, test in enumerate(tests) if group < len(test.signs)
            )
            for group in (0, 1)
        )
        self._one_group = frozenset(number for number in self._signed if len(tests[number].signs) == 1)
        self._always = frozenset(number for number, test in enumerate(tests) if not test.needs)
        self._again = frozenset(number for number, test in enumerate(tests) if test.again)
        self._again_always = self._again & self._always
        speaking = {number for number, test in enumerate(tests) if (test.for_texts or test.vague) and not test.binary}
        self._speaking_signed, self._speaking_unsigned = speaking.intersection(self._signed), speaking.difference(self._signed)
        self._needing = {text: self._places(text) for text in (False, True)}
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.max_mem = 64 << 20
        self._search = re2.Set.SearchSet(options)
        for sign in self._signs:
            self._search.Add(sign.expression or _NOWHERE)
        self._search.Add("")  # stands in every text: where it is not found, the search itself failed
        self._search.Compile()
        self._counted = frozenset(number for number, sign in enumerate(self._signs) if sign.times > 1)
        self._far = [(number, sign.word) for number, sign in enumerate(self._signs) if not sign.expression]

    @property
    def expressions(self) -> list[str]:
        """Every expression that is looked for in texts."""
        return [sign.expression or f"(?m){re2.escape(sign.word.decode('latin-1'))}" for sign in self._signs]

    def wanted(self, head: bytes, *, text: bool) -> frozenset[int] | None:
        """The tests that need bytes which stand in a content, or `None` where one of them may make all tests once more."""
        found: set[int] = set()
        for form in _forms(head) if text else (head,):
            numbers = set(self._standing(form, text))
            for number in self._again_always.union(self._again & numbers):
                if any(all(asked.holds(form) for asked in way) for way in self._tests[number].again):
                    return None
            found |= numbers
        return frozenset(found)

    def _places(self, text: bool) -> list[tuple[int, int, bool, dict[bytes, list[tuple[int, bytes]]]]]:
        """Where to look for bytes, and which tests need what there: begin, end, in either case, tests with all their bytes."""
        found: dict[tuple[int, int, bool], dict[bytes, list[tuple[int, bytes]]]] = {}
        for number, test in enumerate(self._tests):
            if test.needs and self._asks(test, text):
                value = test.needs.value
                key = value[: max(size for size in _KEYS if size <= len(value))]
                for offset in test.needs.offsets:
                    tests = found.setdefault((offset, offset + len(key), test.needs.folded), {})
                    tests.setdefault(key, []).append((number, value))
        return [(*place, tests) for place, tests in found.items()]

    @staticmethod
    def _asks(test: Test, text: bool) -> bool:
        return not test.binary if text else test.for_binaries

    def _standing(self, head: bytes, text: bool) -> Iterator[int]:
        """The tests whose bytes stand where they need them; libmagic compares beyond the end of a content with zeros."""
        lower = head[:_FOLDED].lower()
        for start, end, folded, known in self._needing[text]:
            form = lower if folded else head
            key = form[start:end]
            for number, value in known.get(key if len(key) == end - start else key.ljust(end - start, b"\0"), ()):
                if len(value) == end - start or form[start : start + len(value)].ljust(len(value), b"\0") == value:
                    yield number

    def plain(self, wanted: frozenset[int], signs: frozenset[int]) -> bool:
        """Whether no test for texts can say anything of a text with these tests, and none for binaries that nothing is known."""
        if not (self._speaking_unsigned.isdisjoint(wanted) and self._speaking_unsigned.isdisjoint(self._always)):
            return False
        return not any(number in wanted or number in self._always for number in signs & self._speaking_signed)

    def database(self, wanted: frozenset[int], *, text: bool) -> Database:
        """The database for contents of which these tests are `wanted`."""
        tests = [(number, self._tests[number]) for number in sorted(wanted.union(self._always))]
        chosen = [(number, test) for number, test in tests if self._asks(test, text)]
        named = frozenset[bytes]().union(*(test.uses for _, test in chosen))
        return Database(
            self._header,
            [(number if text and test.signs else None, test.records) for number, test in chosen],
            [records for name, records in self._named.items() if name in named],
        )

    def signs(self, text: bytes) -> frozenset[int]:
        """The tests whose signs stand in a text."""
        begin = text[:WINDOW].removeprefix(_UTF8)  # as libmagic does, so that a line begins after it
        found = frozenset(self._search.Match(begin) or ())
        if len(self._signs) not in found:
            return frozenset(self._signed)
        rare = [number for number in found & self._counted if begin.lower().count(self._signs[number].word) < self._signs[number].times]
        return self._shown(found.difference(rare).union(number for number, word in self._far if word in text))

    @staticmethod
    def _by_sign(tests: Iterable[tuple[int, list[int]]]) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        for number, signs in tests:
            for sign in signs:
                found.setdefault(sign, set()).add(number)
        return found

    def _shown(self, found: frozenset[int]) -> frozenset[int]:
        """The tests of whose every group of signs one is `found`."""
        first, second = (set().union(*(each[sign] for sign in found & each.keys())) for each in (self._first, self._second))
        return frozenset(first & second.union(self._one_group))


def _forms(text: bytes) -> Iterator[bytes]:
    """A text as it stands, and as libmagic converts it before the second half of its tests, if that may differ."""
    yield text
    if not text.isascii():
        yield text.removeprefix(_UTF8)
        yield text.decode("latin-1").encode()


def subsets(database: bytes) -> Subsets | None:
    """The subsets of a compiled database, or `None` where its layout is not the known one."""
    if sys.byteorder != "little" or len(database) < RECORD or len(database) % RECORD:
        return None
    magic, version, first, second = _HEADER.unpack_from(database)
    if (magic, version) != (_MAGIC, _VERSION) or (1 + first + second) * RECORD != len(database):
        return None
    end = (1 + first) * RECORD
    try:
        named = Named(database[end:])
        return Subsets(database[:RECORD], [read(records, named) for records in tests(database[RECORD:end])], named)
    except (ValueError, KeyError):
        return None


def is_text(head: bytes) -> bool:
    """Whether libmagic tests these bytes as they stand (ASCII, UTF-8, ISO 8859), and not converted from UTF-16 or EBCDIC."""
    return b"\0" not in head and not head.startswith(_WIDE) and len(head.translate(None, NOT_TEXT)) == len(head)


def is_binary(head: bytes) -> bool:
    """Whether libmagic takes these bytes for no text, however they are encoded: NULs at the end alone do not keep it from that."""
    return not head.startswith(_WIDE) and b"\0" in head.rstrip(b"\0")
