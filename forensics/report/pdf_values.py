"""Document to the plain data that the PDF's template reads, with the words of its language: everything as JSON, nothing as markup.

Structs become objects; maps become lists of pairs by name, so that a name from evidence is never a key; texts become `pdf_text.runs`.
"""

import gettext
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from forensics.export.listing import Listing
from forensics.report.document import Document
from forensics.report.labels import LABELS
from forensics.report.language import templates_folder
from forensics.report.markup import size
from forensics.report.pdf_text import runs
from forensics.report.text import plain_text

_KNOWN = frozenset(
    {value for words in LABELS.values() for value in words} | {f"exhibit.{name}" for name in LABELS["field"]}
)  # values of closed lists, which the template looks up
_COUNTED = 200  # plural forms depend on nothing beyond the last two digits from here on
_STRING = r'"((?:[^"\\]|\\.)*)"'
_MESSAGE = re.compile(rf"\bt\(\s*{_STRING}")
_PLURAL = re.compile(rf"\btn\(\s*{_STRING},\s*{_STRING}")


class SignedBy(Struct, frozen=True):
    """Whose certificate the file will be signed with: its name and the SHA-256 of its DER form."""

    name: str
    fingerprint: str


def messages(source: str) -> Iterator[str | tuple[str, str]]:
    """The messages that a template asks for, with their plural where they have one, in the order in which they stand there."""
    found: dict[int, str | tuple[str, str]] = {match.start(): _unquoted(match[1]) for match in _MESSAGE.finditer(source)}
    found |= {match.start(): (_unquoted(match[1]), _unquoted(match[2])) for match in _PLURAL.finditer(source)}
    return (found[at] for at in sorted(found))


def data(
    document: Document,
    listings: Iterable[Listing],
    translations: gettext.NullTranslations,
    *,
    language: str | None = None,
    signed_by: SignedBy | None = None,
) -> str:
    """All that the template reads, as one JSON text. The same for the same values. Raises UsageError where a font is missing."""
    listings = tuple(listings)
    return json.dumps(
        {
            "document": plain(document),
            "listings": {item.name: plain(item) for item in listings},
            "language": language or document.language,
            "title": f"{translations.gettext('Digital forensic examination report')} {document.id}",
            "signed_by": plain(signed_by),
            "sizes": {str(value): size(value, translations.gettext) for value in _sizes(document)},
            "labels": {group: {value: translations.gettext(word) for value, word in words.items()} for group, words in LABELS.items()},
            **_words(translations),
        },
        ensure_ascii=True,
        sort_keys=True,
    )


def plain(value: object) -> Any:
    """`value` as plain data; see the module."""
    match value:
        case None | bool():
            return value
        case str():
            return value if value in _KNOWN else _text(value)
        case int() if -(2**53) < value < 2**53:
            return value
        case Struct():
            return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        case Mapping():
            pairs = sorted(value.items(), key=lambda pair: (str(pair[0]).lower(), str(pair[0])))
            return [[plain(str(name)), plain(item if isinstance(item, bool | int | None) else plain_text(item))] for name, item in pairs]
        case tuple() | list():
            return [plain(item) for item in value]
        case _:
            return _text(plain_text(value))


def _text(text: str) -> Any:
    found = runs(text)
    return found if isinstance(found, str) else {"runs": found}


def _sizes(document: Document) -> Iterator[int]:
    yield from (document.summary.image_bytes, document.summary.bytes_total)
    for view in document.exhibits:
        yield view.damage_bytes
        if view.image:
            yield view.image.size


def _words(translations: gettext.NullTranslations) -> dict[str, object]:
    """The messages of the templates, and of those with a plural the forms and which of them goes with 0 to 199."""
    singular: dict[str, str] = {}
    plural: dict[str, dict[str, object]] = {}
    for path in sources():
        for message in messages(path.read_text(encoding="utf-8")):
            if isinstance(message, str):
                singular[message] = translations.gettext(message)
                continue
            forms = [translations.ngettext(*message, number) for number in range(_COUNTED)]
            distinct = sorted(set(forms))
            plural[message[0]] = {"forms": distinct, "index": [distinct.index(form) for form in forms]}
    return {"messages": singular, "plurals": plural}


def sources() -> tuple[Any, ...]:
    """The files of the PDFs' templates."""
    return (templates_folder() / "disclosure.typ", templates_folder() / "report.typ", *sorted((templates_folder() / "typst").glob("*.typ")))


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
