"""The closed lists of review: categories (`categories.json`) and the words of confidence, labels and roles (`terms.json`).

Both are versioned, in English and Indonesian, with a source for each term. A version only adds terms: what was said with one stays valid.
"""

from collections.abc import Iterable
from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct

from forensics.errors import UsageError
from forensics.review.model import NONE
from forensics.review.states import STATES


class Term(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A term of a closed list: what is stored, its name by language, what it means, and whose it is."""

    id: str
    name: dict[str, str]
    definition: dict[str, str]
    source: str


class Category(Term, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a record is evidence of, in the smuggling of migrants. `protection` marks those that speak of a person in need of protection."""

    protection: bool = False


class _Categories(Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    categories: tuple[Category, ...]


class Terms(Struct, frozen=True, forbid_unknown_fields=True):
    """The other closed lists. `labels` are handling labels: a legal ground, or a person, that keeps a record in the house."""

    version: str
    labels: tuple[Term, ...]
    reliability: tuple[Term, ...]
    credibility: tuple[Term, ...]
    likelihood: tuple[Term, ...]
    roles: tuple[Term, ...]


def _read(name: str) -> bytes:
    return (resources.files("forensics.review") / name).read_bytes()


@cache
def _categories() -> _Categories:
    return msgspec.json.decode(_read("categories.json"), type=_Categories)


def categories() -> tuple[Category, ...]:
    """The categories that a record can be given, in the order of the list; the last is NONE."""
    return _categories().categories


def categories_version() -> str:
    """The version of the list of categories, for reports and packages."""
    return _categories().version


@cache
def terms() -> Terms:
    """Labels, reliability, credibility, likelihood and roles."""
    return msgspec.json.decode(_read("terms.json"), type=Terms)


def category_ids() -> tuple[str, ...]:
    return tuple(category.id for category in categories())


# --- what people give, checked ----------------------------------------------------------------------------------------------


def category(text: str) -> str:
    """A category as the list spells it; ``SOM-`` may be left out. Raises UsageError with the list."""
    wanted = text.strip().upper()
    return _one("category", text, category_ids(), (wanted, f"SOM-{wanted}"))


def reliability(text: str) -> str:
    """How reliable the source is, A-F. Raises UsageError with the list."""
    return _one("reliability", text, _ids(terms().reliability), (text.strip().upper(),), terms().reliability)


def credibility(value: int | str) -> int:
    """How credible the information is, 1-6. Raises UsageError with the list."""
    return int(_one("credibility", str(value), _ids(terms().credibility), (str(value).strip(),), terms().credibility))


def likelihood(text: str) -> str:
    """A word of estimative language. Raises UsageError with the list."""
    return _one("likelihood", text, _ids(terms().likelihood), ("-".join(text.lower().split()),))


def label(text: str) -> str:
    """A handling label. Raises UsageError with the list."""
    return _one("label", text, _ids(terms().labels), ("-".join(text.lower().split()),))


def role(text: str) -> str:
    """A person's role. Raises UsageError with the list."""
    return _one("role", text, _ids(terms().roles), ("-".join(text.lower().split()),))


def states(texts: Iterable[str]) -> tuple[str, ...]:
    """States as two-letter codes of ISO 3166-1, sorted, each once. Raises UsageError that names what is none."""
    found = set()
    for text in texts:
        code = text.strip().upper()
        if code not in STATES:
            raise UsageError(f"{text!r} is no state: give its two-letter code after ISO 3166, such as ID, MY, TH, VN, PH, MM, KH, LA, SG")
        found.add(code)
    return tuple(sorted(found))


def _ids(of: tuple[Term, ...]) -> tuple[str, ...]:
    return tuple(term.id for term in of)


def _one(what: str, given: str, known: tuple[str, ...], readings: tuple[str, ...], named: tuple[Term, ...] = ()) -> str:
    for reading in readings:
        if reading in known:
            return reading
    told = ", ".join(f"{term.id} ({term.name['en']})" for term in named) or ", ".join(known)
    raise UsageError(f"{what} {given!r} is none of: {told}")


def is_category(text: str) -> bool:
    """Whether `text` is a category of the list other than NONE."""
    return text != NONE and text in category_ids()
