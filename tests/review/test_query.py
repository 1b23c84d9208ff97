"""Choosing records by a query."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics import index, review
from forensics.errors import UsageError
from forensics.location import Location
from forensics.model import Record


@pytest.fixture
def found(card: Path) -> Iterator[index.Index]:
    with index.open_index(card / "index.db") as opened:
        yield opened


def paths(records: Iterator[Record]) -> list[str]:
    return sorted(Location.parse(record.location).path for record in records)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("levl=alert", "levl"),
        ("kind=photo visa", "'visa'"),
        ("kind=", "kind="),
        ('text="open', 'text="open'),
        ('text="a"b', 'text="a"b'),
        ("level=red", "level=red"),
        ("status=maybe", "status=maybe"),
        ("category=SOM-X", "SOM-X"),
        ("label=secret", "secret"),
        ("since=2026-13-01", "since=2026-13-01"),
        ("until=yesterday", "until=yesterday"),
        ("id=xyz", "id=xyz"),
        ("abcd", "'abcd'"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, word: str) -> None:
    with pytest.raises(UsageError) as refusal:
        review.parse(text)
    assert word in str(refusal.value)


def test_values_with_spaces_and_quotes_stand_in_quotes() -> None:
    asked = review.parse(r"""text="visa \"fee\"" path='My trip/**' unreviewed""")
    assert asked.wanted == {"text": ('visa "fee"',), "path": ("My trip/**",), "status": ("unreviewed",)}


# The photographs with camera data on the card, as its recipe put them there; exiftool names the cameras.
PHOTOS = [
    "/DCIM/100FUJI/DSCF0001.JPG",
    "/DCIM/100FUJI/DSCF0002.JPG",
    "/DCIM/100MEDIA/_MAG0012.jpg",
    "/DCIM/100MSDCF/DSC00152.JPG",
    "/Download/readme.txt",
]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("kind=photo", PHOTOS),
        ("kind=photo path=**/100FUJI/*.jpg", PHOTOS[:2]),
        ("kind=photo path!=DCIM/**", PHOTOS[4:]),
        ("kind=photo state=deleted", PHOTOS[2:3]),
        ("kind=photo text=fujifilm", PHOTOS[:2]),
        ("kind=photo text=FUJIFILM text=sony", [*PHOTOS[:2], PHOTOS[3]]),
        ("kind=photo since=2010-01-01 until=2011-05-06", [PHOTOS[2], PHOTOS[3]]),
        ("kind=photo until=2010-05-15T17:00", PHOTOS[:2]),
        ("kind=photo sha256=faa46d3f", PHOTOS[2:3]),  # `HTC Desire.jpg`, by sha256sum
        ("kind=photo kind=travel-document", sorted([*PHOTOS, "/Notes/chat.txt"])),
        ("kind=photo level!=notable", []),
        ("kind=photo exhibit=another", []),
        ("kind=nothing", []),
    ],
)
def test_a_query_chooses_what_fits(query: str, wanted: list[str], found: index.Index) -> None:
    assert paths(review.select(found, query)) == wanted


def test_an_empty_query_chooses_each_record_once(found: index.Index) -> None:
    every = Counter(record.id for record in review.select(found, ""))
    assert set(every) == {record.id for record in found.records()}
    assert set(every.values()) == {1}


def test_an_id_that_stands_alone_must_be_that_of_one_record(found: index.Index) -> None:
    first = next(found.records(kind="photo"))
    assert [record.id for record in review.select(found, first.id[:12])] == [first.id]
    with pytest.raises(UsageError, match="no record"):
        review.select(found, "0123456789abcdef")


def test_what_people_said_is_asked_of_the_review(found: index.Index) -> None:
    first = next(found.records(kind="photo"))
    said = review.Review(
        {first.id: review.Decision(record=first.id, status="confirmed", category="SOM-ROUTE", labels=("minor",), by="A", at="", seq=1)},
        {"P-1": review.Person(id="P-1", records=(first.id,))},
        {first.id: ("P-1",)},
    )
    for query in ("status=confirmed", "confirmed kind=photo", "category=route", "label=minor", "person=p-1", "person=any"):
        assert [record.id for record in review.select(found, query, said)] == [first.id]
    others = len({record.id for record in found.records()}) - 1
    for query in ("unreviewed", "label=none", "person=none", "status!=confirmed"):
        assert len(list(review.select(found, query, said))) == others
    proposed = len({record.id for record in found.records() if record.finding.category}) - bool(first.finding.category)
    assert 0 < proposed < others
    assert len(list(review.select(found, "category=NONE", said))) == others - proposed
    with pytest.raises(UsageError, match=r"there is: P-1"):
        review.select(found, "person=P-2", said)
    with pytest.raises(UsageError, match="not known here"):
        review.select(found, "confirmed")


def test_hostile_globs_and_text_choose_nothing_and_end(found: index.Index) -> None:
    for query in ("path=" + "**/" * 40 + "x", "text='%_\\'", "kind=photo' OR 1=1 --".replace(" ", "")):
        try:
            assert list(review.select(found, query)) == []
        except UsageError as error:
            assert "photo'" in str(error)
