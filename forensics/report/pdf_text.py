r"""Text from evidence for a PDF: one quiet run after another, each with a glyph for every character, none too long for a line.

What `forensics.report.markup.pieces` writes as an escape stands as one here, and so does a character that no font of ours has, because a
PDF for the archive may hold none. Long words come in parts between which a line may end; nothing is put between them, so that a digest or
a location can be searched and copied.
"""

import re
import unicodedata
from collections.abc import Iterator

from forensics.report import pdf_fonts
from forensics.report.markup import pieces

_LONG = 20  # characters of a word that may be too long for its column
_WORD = re.compile(rf"[!-~]{{{_LONG + 1},}}")
_DIGEST = re.compile(r"[0-9a-f]{32,}")
_EIGHT = re.compile(r".{1,8}")
_OTHER = re.compile(rf"[^\s\x00-\x7f]{{{_LONG + 1},}}")
# Typst ends lines between the words of these by itself: Thai, Lao, Burmese, Khmer, Chinese, kana
_BROKEN = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\ua9e0-\uaa7f\uf900-\uffef]")
_PART = re.compile(r"[!-~]{4,}?[/:;_=@&?.,)\]}>-]+|[!-~]{1,16}")
_LETTERS = 16
_VIRAMA = 9  # its combining class
_MARKS = ("Mn", "Mc", "Me")

Run = str | dict[str, str]  # a text, or ``{"code": ...}`` for a character that stands as its code


def runs(text: str) -> str | list[Run]:
    """`text` itself where all of it can be shown as it is, else its runs."""
    if text.isascii() and text.isprintable() and not _WORD.search(text):
        return text
    found: list[Run] = []
    for escaped, piece in pieces(text):
        if escaped:
            found.append({"code": piece})
            continue
        for shown, part in _shown(piece):
            found += _parts(part) if shown else [{"code": part}]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else found


def _shown(text: str) -> Iterator[tuple[bool, str]]:
    """`text` as runs that our fonts can show, and codes of the characters that they cannot."""
    if text.isascii():
        yield True, text
        return
    fonts = pdf_fonts.coverage()
    plain: list[str] = []
    for cluster in _clusters(text):
        # a mark stands on its letter only where one font has both
        if any(font.issuperset(cluster) for font in fonts):
            plain.append(cluster)
            continue
        for char in cluster:
            if cluster[0] == char and any(char in font for font in fonts):
                plain.append(char)
                continue
            if plain:
                yield True, "".join(plain)
                plain.clear()
            yield False, _code(char)
    if plain:
        yield True, "".join(plain)


def _clusters(text: str) -> Iterator[str]:
    """Letters with the marks that stand on them."""
    start = 0
    for at in range(1, len(text)):
        if unicodedata.category(text[at]) not in _MARKS:
            yield text[start:at]
            start = at
    if text:
        yield text[start:]


def _code(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"


def _syllables(word: str) -> list[str]:
    """A long word in parts of sixteen letters or a little more, never before a mark nor after a sign that joins two letters."""
    if _BROKEN.search(word):
        return [word]
    parts: list[str] = []
    start = 0
    for at in range(1, len(word)):
        joined = unicodedata.category(word[at]) in _MARKS or unicodedata.combining(word[at - 1]) == _VIRAMA
        if at - start >= _LETTERS and not joined:
            parts.append(word[start:at])
            start = at
    return [*parts, word[start:]]


def _parts(text: str) -> Iterator[str]:
    """`text` in parts between which a line may end; letters that join or carry marks are never parted."""
    at = 0
    for word in sorted((*_WORD.finditer(text), *_OTHER.finditer(text)), key=lambda match: match.start()):
        if not word[0].isascii():
            first, *rest = _syllables(word[0])
        else:
            first, *rest = (_EIGHT if _DIGEST.fullmatch(word[0]) else _PART).findall(word[0])
        yield text[at : word.start()] + first
        yield from rest[:-1]
        at = word.end() - (len(rest[-1]) if rest else 0)
    if text[at:]:
        yield text[at:]
