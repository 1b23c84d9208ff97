r"""Text from evidence made harmless for a page: escaped, isolated, and marked as not ours to translate.

Whatever a name or a value holds, the page shows one quiet run of text: control and bidirectional characters stand as
`forensics.location.escape` writes them, and combining marks beyond five in a row as ``\u0301``, because a hundred of them on one
letter black out the lines around it.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator

from markupsafe import Markup
from markupsafe import escape as html

from forensics.location import escape
from forensics.report.labels import LABELS

_MARKS = 5  # in a row; no Burmese or Khmer syllable needs more
_MARKDOWN = re.compile(r"([\\`*_\[\]#|~>])")
_LIST = re.compile(r"^(\s*)(?=[-+]|\d+[.)])(\d*)")
SCRIPTS = {
    "Thai": re.compile("[\u0e00-\u0e7f]"),
    "Lao": re.compile("[\u0e80-\u0eff]"),
    "Khmer": re.compile("[\u1780-\u17ff\u19e0-\u19ff]"),
    "Myanmar": re.compile("[\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f]"),
}

Gettext = Callable[[str], str]


def pieces(text: str) -> Iterator[tuple[bool, str]]:
    """`text` as runs: (whether it is an escape that stands for one character, what to show)."""
    if text.isprintable() and text.isascii():
        yield False, text
        return
    plain: list[str] = []
    marks = 0
    for char in text:
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        shown = f"\\u{ord(char):04x}" if marks > _MARKS else char if char == "\\" else escape(char)
        if shown == char:
            plain.append(char)
            continue
        if plain:
            yield False, "".join(plain)
            plain.clear()
        yield True, shown
    if plain:
        yield False, "".join(plain)


def evidence(text: object) -> Markup:
    """`text` from evidence, isolated from the direction of what stands around it; an escaped character is set apart."""
    return Markup("").join(
        (Markup('<bdi translate="no">'), *_escapes(str(text)), Markup("</bdi>")),
    )


def foreign(text: object) -> Markup:
    """English text of a plugin or of the engine, as `evidence`, named as English."""
    return Markup("").join((Markup('<bdi lang="en" translate="no">'), *_escapes(str(text)), Markup("</bdi>")))


def code(text: object) -> Markup:
    """A digest, a location or another identifier, in fixed width; as `evidence`."""
    return Markup("").join((Markup('<bdi class="code" translate="no">'), *_escapes(str(text)), Markup("</bdi>")))


def _escapes(text: str) -> Iterator[Markup]:
    for escaped, run in pieces(text):
        yield Markup("<b>{}</b>").format(run) if escaped else html(run)


def markdown(text: object) -> Markup:
    """`text` from evidence for a Markdown page: one line, without markup, HTML or links of its own."""
    line = "".join(run for _, run in pieces(str(text)))
    line = _MARKDOWN.sub(r"\\\1", line.replace("<", "\0"))
    line = line.replace("\0", "<").replace("&", "&amp;").replace("<", "&lt;").replace("\\>", "&gt;")
    line = _LIST.sub(r"\1\2\\", line)
    return Markup(re.sub(r"(?i)\b(www)\.", r"\1\\.", line.replace("://", ":\\//")))  # noqa: S704 - escaped for Markdown just above


def labels(gettext: Gettext) -> Callable[[str, object], Markup]:
    """The function that gives the word for a value of a closed list; a value outside it stands as text of evidence."""

    def label(group: str, value: object) -> Markup:
        known = LABELS[group].get(str(value))
        return foreign(value) if known is None else html(gettext(known))

    return label


def number(value: int) -> str:
    """A count of ours: groups of three with a narrow space (ISO 80000-1 section 7.3.1), the same in every language."""
    return f"{value:,}".replace(",", "\u202f")


def size(value: int, gettext: Gettext) -> str:
    """Bytes for a person: exact, and from a kilobyte on (10**3 bytes) rounded before it."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if value >= factor:
            return f"{value / factor:.1f} {unit} ({number(value)} {gettext('bytes')})"
    return f"{number(value)} {gettext('bytes')}"


def css_string(text: str) -> Markup:
    """`text` as a CSS string: all but letters and digits as hexadecimal escapes (CSS Syntax 3, section 4.3.7), so that it ends nothing."""
    shown = "".join(run for _, run in pieces(text))
    return Markup('"' + "".join(char if char.isascii() and char.isalnum() else f"\\{ord(char):x} " for char in shown) + '"')  # noqa: S704 - as said


def scripts(text: str) -> tuple[str, ...]:
    """The scripts in `text` for which the page brings a font."""
    return tuple(name for name, pattern in SCRIPTS.items() if pattern.search(text))
