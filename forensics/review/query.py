"""Choosing records: one small query language for review, disclosure and listings.

    QUERY = terms with spaces between them, as in ``kind=photo level=alert path="**/DCIM/My trip/*.jpg" unreviewed``

A term is ``NAME=VALUE``, or ``NAME!=VALUE`` for what must not fit; a value with spaces stands in quotes. Terms of the same name are
alternatives, terms of different names must all fit. Alone stand ``confirmed``, ``rejected``, ``unreviewed`` (statuses), ``all``, and an
id or its first digits (eight or more).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import msgspec
from msgspec import Struct

from forensics.errors import UsageError
from forensics.glob import matches
from forensics.index import Index
from forensics.location import Location, printable
from forensics.model import Record
from forensics.review import vocabulary
from forensics.review.decide import known_person
from forensics.review.model import STATUSES
from forensics.review.state import Review

NAMES = {
    "kind": "what was found, as photo or rule-match",
    "level": "alert, notable or info",
    "plugin": "the plugin that found it",
    "exhibit": "the exhibit's number",
    "path": "pattern of the path, as **/DCIM/*.jpg or Users/**",
    "text": "part of the finding's text or of the path, whatever the case",
    "state": "allocated, deleted, orphan, unallocated or slack",
    "sha256": "first digits of the content's digest",
    "since": "dated then or later, as 2026-01-31 or 2026-01-31T14:00",
    "until": "dated then or earlier",
    "id": "first digits of the record's id",
    "status": "confirmed, rejected or unreviewed",
    "category": "a category, as SOM-PAYMENT; where nobody gave one, what the plugin proposes",
    "label": "a handling label, or none",
    "person": "somebody whom it is about, as P-1; any, or none",
}
HELP = "\n".join(["\b", "A QUERY is made of terms, all of which must fit:", *(f"  {name}=  {what}" for name, what in NAMES.items())]) + (
    "\n\n\b\n"
    "Terms of the same name are alternatives; NAME!=VALUE is what must not fit.\n"
    "A value with spaces stands in quotes:  'text=\"visa fee\"'\n"
    "Alone stand confirmed, rejected, unreviewed, all, and ids (eight digits or more)."
)
_LEVELS = ("alert", "notable", "info")
_STATES = ("allocated", "deleted", "orphan", "unallocated", "slack")
_TERM = re.compile(r"""(?P<name>[a-z0-9]+)(?P<op>!?=)(?P<value>"(?:[^"\\]|\\["\\])*"|'[^']*'|[^\s"']+)(?=\s|$)""")
_ID = re.compile(r"[0-9a-f]{8,64}")
_HEX = re.compile(r"[0-9a-f]{4,64}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?")
_LIMIT = 1 << 20  # characters of a query
_ASKED = frozenset({"id", "kind", "level", "plugin", "exhibit"})  # of the index
_OF_REVIEW = frozenset({"status", "category", "label", "person"})


class Query(Struct, frozen=True):
    """A query as it was read: the values that must fit and that must not, by name. `text` is what a person wrote.

    `ids` are the ids that stood alone: each must be that of exactly one record.
    """

    text: str
    wanted: dict[str, tuple[str, ...]] = {}
    unwanted: dict[str, tuple[str, ...]] = {}
    ids: tuple[str, ...] = ()

    @property
    def of_review(self) -> bool:
        """Whether what people said of the records is part of the question."""
        return not _OF_REVIEW.isdisjoint({*self.wanted, *self.unwanted})

    @property
    def ids_alone(self) -> bool:
        """Whether records were named one by one, and in no other way."""
        return bool(self.ids) and not self.unwanted and set(self.wanted) == {"id"} and len(self.ids) == len(self.wanted["id"])


def parse(query: str | Iterable[str]) -> Query:
    """Read a query, or the words of one. Raises UsageError that names the word that cannot be read."""
    text = query if isinstance(query, str) else " ".join(query)
    if len(text) > _LIMIT:
        raise UsageError(f"a query of {len(text)} characters is too long (at most {_LIMIT})")
    wanted: dict[str, list[str]] = {}
    unwanted: dict[str, list[str]] = {}
    ids: list[str] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TERM.match(text, at)
        if match is None:
            word = text[at:].split(None, 1)[0]
            at += len(word)
            if word in STATUSES:
                wanted.setdefault("status", []).append(word)
            elif _ID.fullmatch(word.lower()):
                wanted.setdefault("id", []).append(word.lower())
                ids.append(word.lower())
            elif word != "all":
                raise _unreadable(word)
            continue
        at = match.end()
        name, value = match["name"], _unquoted(match["value"])
        if name not in NAMES:
            raise UsageError(f"query: {name!r} (in {match[0]!r}) is no name of a term; there are: {', '.join(NAMES)}")
        (wanted if match["op"] == "=" else unwanted).setdefault(name, []).append(_checked(name, value, match[0]))
    return Query(text.strip(), _once(wanted), _once(unwanted), tuple(dict.fromkeys(ids)))


def _unreadable(word: str) -> UsageError:
    name, equals, value = word.partition("=")
    if equals and name.removesuffix("!") in NAMES:
        if not value:
            return UsageError(f"query: {word!r} has no value; write {word}VALUE")
        return UsageError(f"query: {word!r} cannot be read: the quotes around its value do not close, or something follows them")
    return UsageError(
        f"query: {word!r} is neither a term (NAME=VALUE) nor an id nor a status; a value with spaces stands in quotes, as in "
        "'text=\"visa fee\"'"
    )


def _once(found: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(dict.fromkeys(values)) for name, values in found.items()}


def _unquoted(value: str) -> str:
    if value.startswith('"'):
        return re.sub(r"\\([\"\\])", r"\1", value[1:-1])
    return value[1:-1] if value.startswith("'") else value


def _checked(name: str, value: str, word: str) -> str:
    """A term's value as records have it. Raises UsageError that names the word."""

    def refuse(why: str) -> UsageError:
        return UsageError(f"query: {word!r}: {why}")

    for what, known in (("level", _LEVELS), ("state", _STATES), ("status", STATUSES)):
        if name == what and value not in known:
            raise refuse(f"{name} is one of: {', '.join(known)}")
    if name in ("id", "sha256") and not _HEX.fullmatch(value.lower()):
        raise refuse(f"{name} takes at least four hexadecimal digits")
    if name in ("since", "until"):
        try:
            if not _DATE.fullmatch(value):
                raise ValueError(value)
            datetime.fromisoformat(value)
        except ValueError as error:
            raise refuse("is not a date such as 2026-01-31, or a time such as 2026-01-31T14:00") from error
    try:
        if name == "category":
            return vocabulary.category(value)
        if name == "label" and value != "none":
            return vocabulary.label(value)
    except UsageError as error:
        raise refuse(str(error)) from error
    if name == "person":
        return value if value in ("any", "none") else value.upper()
    return {"id": value.lower(), "sha256": value.lower(), "text": value.casefold()}.get(name, value)


# --- choosing ---------------------------------------------------------------------------------------------------------------


def select(index: Index, query: Query | str, review: Review | None = None) -> Iterator[Record]:
    """The records that fit, each once, in order of level, kind, time and id; what people said of them is `review`'s.

    Raises UsageError where the query cannot be read, asks for a person who is not there, names an id that none or several have, or asks for
    what people said where no `review` is given.
    """
    asked = parse(query) if isinstance(query, str) else query
    if review is None and asked.of_review:
        raise UsageError(f"query {asked.text!r} asks for what people said of the records, which is not known here")
    said = review or Review({}, {})
    for value in {*asked.wanted.get("person", ()), *asked.unwanted.get("person", ())} - {"any", "none"}:
        known_person(said, value)
    named = _named(index, asked)
    return _fitting(index, asked, said, named)


def chosen(index: Index, query: Query, review: Review) -> Iterator[str]:
    """Ids of the records that fit. Where they are named one by one, also those that the latest runs did not find and that somebody has said
    something of, so that a label or a link can be taken off them. Raises UsageError as `select`."""
    said = review.decisions.keys() | review.linked.keys() if query.ids_alone else set()
    gone: dict[str, str] = {}
    for prefix in query.ids if said else ():
        named = [prefix] if prefix in said else [each for each in said if each.startswith(prefix)]
        if len(named) == 1 and not index.ids(prefix):
            gone[prefix] = named[0]
    left = tuple(each for each in query.ids if each not in gone)
    if left or not gone:
        asked = msgspec.structs.replace(query, ids=left, wanted={"id": left}) if gone else query
        yield from (record.id for record in select(index, asked, review))
    yield from dict.fromkeys(gone.values())


def _named(index: Index, query: Query) -> tuple[str, ...] | None:
    """The whole ids that a query's ids are the beginnings of; `None` where it has none. Raises UsageError for an id that is not one."""
    if "id" not in query.wanted:
        return None
    found: dict[str, None] = {}
    for prefix in query.wanted["id"]:
        ids = index.ids(prefix)
        if prefix in query.ids and len(ids) != 1:
            several = f"{len(ids)} records have ids that begin so; give more digits" if ids else "no record of the latest runs has this id"
            raise UsageError(f"query: {prefix!r}: {several}")
        found.update(dict.fromkeys(ids))
    return tuple(found)


def _fitting(index: Index, query: Query, review: Review, named: tuple[str, ...] | None) -> Iterator[Record]:
    tests = [_test(name, values, review) for name, values in query.wanted.items() if name not in _ASKED]
    against = [_test(name, values, review) for name, values in query.unwanted.items()]
    wanted = query.wanted
    last = ""
    for record in index.choose(
        kinds=wanted.get("kind"), plugins=wanted.get("plugin"), levels=wanted.get("level"), exhibits=wanted.get("exhibit"), ids=named
    ):
        # The same finding twice in a file has one id, and stands side by side in this order.
        if record.id != last and all(test(record) for test in tests) and not any(test(record) for test in against):
            yield record
        last = record.id


def _test(name: str, values: tuple[str, ...], review: Review) -> Callable[[Record], bool]:
    """Whether a record has any of `values` under `name`."""
    tests: dict[str, Callable[[Record], bool]] = {
        "kind": lambda record: record.finding.kind in values,
        "level": lambda record: record.finding.level in values,
        "plugin": lambda record: record.plugin in values,
        "exhibit": lambda record: Location.parse(record.location).exhibit in values,
        "path": lambda record: matches(_path(record), values),
        "text": lambda record: _holds(_text(record), values),
        "state": lambda record: record.state in values,
        "sha256": lambda record: (record.sha256 or "").startswith(values),
        # Without a time it lies in no period.
        "since": lambda record: bool(record.finding.when) and any((record.finding.when or "") >= value for value in values),
        "until": lambda record: bool(record.finding.when) and any((record.finding.when or "")[: len(value)] <= value for value in values),
        "id": lambda record: record.id.startswith(values),
        "status": lambda record: review.status(record.id) in values,
        "category": lambda record: review.category(record) in values,
        "label": lambda record: not {*(review.labels(record.id) or ("none",))}.isdisjoint(values),
        "person": lambda record: _about(review.linked.get(record.id, ()), values),
    }
    return tests[name]


def _about(persons: tuple[str, ...], values: tuple[str, ...]) -> bool:
    return any(person in values for person in persons) or ("any" if persons else "none") in values


def _holds(text: str, values: tuple[str, ...]) -> bool:
    return any(value in text for value in values)


def _path(record: Record) -> str:
    return printable(Location.parse(record.location).path)


def _text(record: Record) -> str:
    finding = record.finding
    values = (str(value) for value in finding.data.values() if value is not None)
    return "\n".join((finding.summary, *values, finding.text, _path(record))).casefold()
