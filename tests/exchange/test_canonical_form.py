"""Of all JSON texts for one value, the reader of packages takes the one of RFC 8785, on its quick way as on its slow one."""

import pytest

from forensics.custody.canonical_text import is_canonical, plain
from forensics.exchange.standalone.canonical import DEEPEST, loads
from forensics.exchange.standalone.refusal import Refused

# RFC 8785, section 3.2.3: sorted by UTF-16 code units, so the dancer (U+1F602) comes before U+FB33.
SORTED = '{"\\r":"Carriage Return","1":"One","\u0080":"Control","\u00f6":"Latin","\u20ac":"Euro","\U0001f602":"Smiley","\ufb33":"Hebrew"}'

GOOD = {
    "nothing": "{}",
    "sorted as section 3.2.3 has it": SORTED,
    "sorted, all below U+10000": '{"a":1,"b":[true,false,null,""],"\ufb33":2}',
    "section 3.2.2: literals and numbers": '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]}',
    "every escape of section 3.2.2.2": '["\\b\\t\\n\\f\\r\\"\\\\\\u0000\\u001f\u007f\u2028/"]',
    "the largest whole number": "[9007199254740991,-9007199254740991]",
    "as deep as may be": "[" * DEEPEST + "]" * DEEPEST,
    "more braces than that, side by side": "[" + ",".join(["[]"] * (2 * DEEPEST)) + "]",
}
BAD = {
    "a space": '{"a": 1}',
    "unsorted": '{"b":1,"a":2}',
    "sorted by code points": '{"\ufb33":1,"\U0001f602":2}',
    "a name twice": '{"a":1,"a":1}',
    "an escape that is none": '["\\u0041"]',
    "a solidus escaped": '["\\/"]',
    "an escape in capitals": '["\\u001F"]',
    "a long form of an escape": '["\\u000a"]',
    "an escaped letter beyond ASCII": '["\\u00f6"]',
    "half a pair": '["\\ud83d"]',
    "a fraction that is whole": "[1.0]",
    "a number as Python writes it": "[1e+16]",
    "a zero behind a fraction": "[4.50]",
    "minus zero": "[-0]",
    "minus zero, as a fraction": "[-0.0]",
    "more than a double holds": "[9007199254740993]",
    "a number that is none": "[NaN]",
    "too deep": "[" * (DEEPEST + 2) + "]" * (DEEPEST + 2),
    "far too deep": "[" * 100_000 + "]" * 100_000,
    "more behind it": "{}\n",
    "nothing at all": "",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_the_canonical_text_is_read(text: str) -> None:
    read = loads(text.encode(), "record-form", "a record")
    assert is_canonical(text.encode())
    assert plain(text.encode()) in (read, None)  # what the installed reader takes at once is what the other reads


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_another_text_for_the_same_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="a record"):
        loads(text.encode(), "record-form", "a record")
    assert plain(text.encode()) is None


def test_most_texts_are_taken_at_once() -> None:
    assert plain(GOOD["sorted, all below U+10000"].encode()) == {"a": 1, "b": [True, False, None, ""], "\ufb33": 2}


def test_a_byte_order_mark_and_bytes_that_are_no_text_are_refused() -> None:
    for data in (b"\xef\xbb\xbf{}", b'["\xff"]', b'["\xed\xa0\xbd"]'):
        with pytest.raises(Refused, match="a record"):
            loads(data, "record-form", "a record")
        assert plain(data) is None
