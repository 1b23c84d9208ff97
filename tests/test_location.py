"""The text form of a location: one harmless line that is read back to the same place, and that no other place has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.location import Layer, Location, decode, encode, escape, printable, unescape

# Names on disk are bytes; in memory undecodable ones are surrogate escapes.
names = st.one_of(st.text(), st.binary().map(decode))
locations = st.builds(
    Location,
    exhibit=names,
    layers=st.lists(st.builds(Layer, kind=names.filter(bool), at=names)).map(tuple),
    path=names,
    meta=st.none() | names,
    stream=names,
    offset=st.none() | st.integers(0, 2**63),
)


@given(locations)
def test_a_location_survives_the_way_into_text_and_back(location: Location) -> None:
    text = str(location)
    assert Location.parse(text) == location
    assert str(Location.parse(text)) == text


@given(locations)
def test_a_location_is_one_line_that_can_be_encoded(location: Location) -> None:
    text = str(location)
    assert text.encode("utf-8").decode("utf-8") == text
    assert text.splitlines() == [text]
    assert not any(ord(char) < 0x20 or ord(char) == 0x7F for char in text)


@given(st.binary())
def test_a_name_keeps_its_bytes(raw: bytes) -> None:
    assert encode(decode(raw)) == raw
    assert unescape(escape(decode(raw))) == decode(raw)
    assert encode(unescape(escape(decode(raw), separators=True))) == raw


@given(st.binary(), st.binary())
def test_two_names_never_read_the_same(one: bytes, other: bytes) -> None:
    assert (escape(decode(one)) == escape(decode(other))) == (one == other)


def test_a_byte_and_its_spelling_differ() -> None:
    assert escape(decode(b"\xff")) == r"\xff"
    assert escape(r"\xff") == r"\\xff"
    assert printable(decode(b"a\xff")) == r"a\xff"
    assert str(Location("1", (Layer("ntfs"),), "/a\u202egpj.exe")) == r"1:ntfs:/a\u202egpj.exe"


@pytest.mark.parametrize("text", ["", "1", "1:ntfs:/a;size=3", r"1:ntfs:/a\q", "1:ntfs:/a;offset=-1", "1:ntfs:/a;offset=x"])
def test_what_is_no_location_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"location|none of|backslash"):
        Location.parse(text)
