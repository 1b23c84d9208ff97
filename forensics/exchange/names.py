"""Texts in one spelling, and whether one names a person: what looks alike to a reader is found alike, in whatever script it was typed.

The spelling is that of Unicode's caseless compatibility matching (The Unicode Standard, section 3.13, definition D146, NFKC_Casefold), with
decimal digits of every script as 0 to 9. A name in letters that carry marks is looked for without them too, since most people who write
"Nguyễn" on a telephone write "Nguyen".
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

from msgspec import Struct

_SHORT = 3  # characters from which a name of a script with spaces counts within a word too, and is looked for without its marks
_LONG = 5  # letters from which it counts within a word without its marks: "Tân" is not in "standard", "Nguyễn" is in "nguyenhoa92"
_MARKS = re.compile("[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")
# Letters whose stroke, bar or hook is no mark of Unicode's, and ligatures, as people write them who have not got them; in lower case.
_PLAIN = str.maketrans({
    **dict(zip("đðłøħŧıƀɓɗɖƙƴɨʉƒɫǥɍɏ", "ddlohtibbddkyiuflgry", strict=True)), "æ": "ae", "œ": "oe", "þ": "th", "ŋ": "ng",
})  # fmt: skip
# Characters of other categories than Cf that nobody sees (Default_Ignorable_Code_Point): the joiner that joins nothing, fillers of Hangul,
# Khmer's inherent vowels, selectors of a variant.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0") | {
    chr(code) for first, last in ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF)) for code in range(first, last + 1)
}
# Scripts that put spaces between words: Latin, Greek, Cyrillic, Armenian. Others join words, or put particles to a name without a space.
_SPACED = re.compile(r"[\u0000-\u058f\u1e00-\u1fff\u2000-\u206f]*")
_LETTER = r"[0-9a-z\u00aa\u00b5\u00ba\u00c0-\u058f\u1e00-\u1fff]"
# What a location, a summary or a JSON text writes for a character that it would not show: `\u200b`, `\x40`; more backslashes where the
# location of a container is escaped once more.
_ESCAPED = re.compile(r"\\{1,32}(?:x([0-7][0-9a-fA-F])|u([0-9a-fA-F]{4})|U(000[0-9a-fA-F]{5}|0010[0-9a-fA-F]{4}))")


def spellings(text: str) -> Iterator[str]:
    """`text` folded; and once more with the characters that stand escaped in it, where there are any."""
    yield folded(text)
    if _ESCAPED.search(text):
        yield folded(_ESCAPED.sub(lambda found: chr(int(found[1] or found[2] or found[3], 16)), text))


def folded(text: str) -> str:
    """`text` composed, in lower case, without characters that nobody sees, its digits as 0 to 9, one space between words."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _seen(text))
        text = _seen(unicodedata.normalize("NFKC", text.casefold()))
        text = text.translate({ord(each): str(unicodedata.decimal(each)) for each in set(text) if each.isdecimal()})
    return " ".join(text.casefold().split())


def bare(text: str) -> str:
    """A folded text without the marks on letters of Latin, Greek, Cyrillic and Armenian; marks of other scripts make the vowel or tone."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFD", text))).translate(_PLAIN)


def _seen(text: str) -> str:
    unseen = {ord(each): None for each in set(text) if each in _UNSEEN or unicodedata.category(each) == "Cf"}
    return text.translate(unseen) if unseen else text


class _Name(Struct, frozen=True):
    """A name as it is looked for: its words, whether spaces count, and how it stands alone where it may not stand within a word.

    bare: the same without its marks, in texts without theirs; `None` where marks count.
    """

    text: str
    spaced: bool
    alone: re.Pattern[str] | None = None
    bare: "_Name | None" = None


@lru_cache(maxsize=4096)
def _name(text: str) -> _Name:
    name = folded(text)
    if not _SPACED.fullmatch(name):
        return _Name(name.replace(" ", ""), spaced=False)
    if len(name) < _SHORT:
        return _Name(name, spaced=True, alone=_alone(name))
    plain = bare(name)
    within = len(plain.replace(" ", "")) >= _LONG
    return _Name(name, spaced=True, bare=_Name(plain, spaced=True, alone=None if within else _alone(plain)))


def _alone(name: str) -> re.Pattern[str]:
    return re.compile(f"(?<!{_LETTER}){re.escape(name)}(?!{_LETTER})")


def mentions(texts: Iterable[str], names: Iterable[str]) -> list[str]:
    """Those of `names` that stand in one of `texts`, however they are spelled.

    A name of one or two letters stands there as a word of its own, with its marks, for without them it is too often another word; so a
    placeholder such as "A" stands in many texts. Longer ones are found without the marks of name and text too: as words of their own, from
    five letters on within words. In scripts that join words, any name counts as a part of them, spaces or not.
    """
    wanted = [(each, name) for each in names if (name := _name(each)).text]
    if not wanted:
        return []
    spaced = [spelled for text in texts for spelled in spellings(text)]
    joined = [text.replace(" ", "") for text in spaced if not text.isascii()]
    plain = list(map(bare, spaced))
    return [each for each, name in wanted if _stands(name, spaced if name.spaced else joined) or (name.bare and _stands(name.bare, plain))]


def _stands(name: _Name, texts: list[str]) -> bool:
    return any(name.alone.search(text) if name.alone else name.text in text for text in texts)
