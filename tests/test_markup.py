"""The text of HTML: tags, scripts and references; pages made to be slow cost no more than others."""

import html
import random
import re

import pytest

from forensics.markup import text_of

# What a page's text is, said shortly; slow on hostile pages.
TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
PIECES = ["<", ">", "<script", "<Style x>", "</script >", "</STYLE\n>", "</style", "<b>", "a", " ", "&lt;", "&#65;", "<scripted>", "é"]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>Caf&eacute; <b>bar</b></p>", " Café  bar  "),
        ("a<style>p{}</style>b<SCRIPT>if (1 < 2)</script\n>c", "a b c"),
        ("1 < 2", "1 < 2"),
        ("a<script>b", "a b"),
        ("", ""),
        ("&#" + "9" * 5000 + ";x", "\ufffdx"),
    ],
)
def test_text_of_a_page(page: str, text: str) -> None:
    assert text_of(page) == text


@pytest.mark.parametrize("seed", range(10))
def test_text_is_what_the_short_definition_says(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        page = "".join(chance.choices(PIECES, k=25))
        assert text_of(page) == html.unescape(TAG.sub(" ", page))


@pytest.mark.parametrize(
    ("piece", "left"), [("<", "<"), ("<script ", "<script "), ("<style>", " "), ("</script ", "</script "), ("<script></style>", "  ")]
)
def test_page_of_a_megabyte_of_beginnings_has_its_text(piece: str, left: str) -> None:
    count = (1 << 20) // len(piece)
    assert text_of(piece * count) == left * count


def test_page_of_a_megabyte_of_spaces_in_an_end_has_its_text() -> None:
    page = "<script></script" + " " * (1 << 20)
    assert text_of(page) == " " + page[len("<script>") :]
