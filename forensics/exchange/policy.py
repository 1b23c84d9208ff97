"""What may not leave, and why: persons who need protection, privilege, and everything that would say the same of them.

Withheld by default are records linked to a minor or a victim, or labelled so, and records under legal privilege. Nothing about a person who
claims protection goes to a state of that person's origin (UN Smuggling Protocol, Articles 16 and 19; unknown origin is every state).
From each such record the reason spreads to what tells the same: records of the same content, of files inside that file, and records
derived from it; from a protection claimant also to records that state the same telephone or document number or address.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from typing import Protocol

from msgspec import Struct

from forensics.errors import UsageError
from forensics.exchange.names import folded, spellings
from forensics.exchange.seal import Person, Review
from forensics.location import Location
from forensics.model import Record

MINOR, VICTIM, PRIVILEGE, CLAIM = "minor", "victim", "legal-privilege", "protection-claim"
OVERRIDABLE = (MINOR, VICTIM, PRIVILEGE, CLAIM)
# What each word says to the examiner; the first four are those that an override can name.
REASONS = {
    MINOR: "about a minor",
    VICTIM: "about a victim",
    PRIVILEGE: "under legal privilege",
    CLAIM: "about a person who claims protection from that state, or from a state that is not known",
    "unreviewed": "nobody has confirmed it",
    "rejected": "the examiner rejected it",
    "not-sealed": "not under this seal: seal again",
    "decided-anew": "reviewed again since it was sealed: seal again",
    "names": "names a person who is protected",
    "digest": "states the digest of a content that is withheld",
}
GENERIC = {MINOR: "protected-person", VICTIM: "protected-person", CLAIM: "protected-person", PRIVILEGE: "legal-privilege"}
# What follows reads folded texts. Its words are of ASCII, for in scripts that join words a number or an address has letters at its sides.
_MAILS = tuple(re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+", flags) for flags in (re.ASCII, re.UNICODE))
_NUMBER = re.compile(r"(?<![\w.])\+?\(?\d(?:[\s().\u2010-\u2015\u2212-]{0,2}\d){6,18}(?!\w)", re.ASCII)
_DOCUMENT = re.compile(r"(?<!\w)[a-z]{1,3}[- ]?\d{6,9}(?!\w)", re.ASCII)
_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:(?:[01]\d|2[0-3])[0-5]\d[0-5]\d)?")
_TIME = re.compile(r"(?<![\w+.])(?:19|20)\d\d([-.])(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01]) [0-2]\d:[0-5]\d", re.ASCII)
_SUBSCRIBER = 8  # last digits that a number has in common however it is written: with the country's code, or with a leading zero


class Index(Protocol):
    """What the policy needs of the index."""

    def records(self) -> Iterator[Record]: ...


def parse_overrides(texts: Iterable[str]) -> dict[str, str]:
    """``minor:REASON`` and the like, by word. Raises UsageError for what cannot be overridden, and where no reason is given."""
    found: dict[str, str] = {}
    for text in texts:
        word, _, reason = text.partition(":")
        if word not in OVERRIDABLE:
            raise UsageError(f"--override {word!r}: only these can be overridden: {', '.join(OVERRIDABLE)}")
        found[word] = reason.strip()
    return found


def applies(person_states: Iterable[str], to_state: str) -> bool:
    """Whether `to_state` is, or may be, a state of origin: none known means every state."""
    states = {state.upper() for state in person_states}
    return not states or to_state.upper() in states


def protected_names(review: Review, to_state: str) -> dict[str, set[str]]:
    """Names (`names.folded`) of the persons who are protected against `to_state`, with the reasons."""
    found: dict[str, set[str]] = {}
    for person, reasons in protected(review, to_state):
        name = folded(person.name or "")
        if reasons and name:
            found.setdefault(name, set()).update(reasons)
    return found


def protected(review: Review, to_state: str) -> Iterator[tuple[Person, set[str]]]:
    """Every person, with the reasons why nothing about that person goes to `to_state`; none for most."""
    for person in review.persons.values():
        reasons = {person.role} & {MINOR, VICTIM}
        if person.protection_claim and applies(person.states_of_origin, to_state):
            reasons.add(CLAIM)
        yield person, reasons


class Withheld(Struct, frozen=True):
    """By record id, why a record may not leave unless somebody overrides it: words of `OVERRIDABLE`. `gone` are those of the same that
    people linked or labelled, and that the index does not have: of what content they were, and where, is not known any more."""

    why: dict[str, frozenset[str]]
    gone: dict[str, frozenset[str]]


def withheld(index: Index, review: Review, to_state: str) -> Withheld:
    """What may not leave for `to_state`.

    Two passes over the records of the index where there is any such person or label, none where there is not.
    """
    found = _direct(review, to_state)
    if not found:
        return Withheld({}, {})
    gone = {record: frozenset(reasons) for record, reasons in found.items()}
    contents: dict[str, set[str]] = {}
    places: dict[str, set[str]] = {}
    values: set[str] = set()
    for record in index.records():
        if reasons := found.get(record.id):
            gone.pop(record.id, None)
            if record.sha256:
                contents.setdefault(record.sha256, set()).update(reasons)
            places.setdefault(record.location, set()).update(reasons)
            if CLAIM in reasons:
                values |= selectors(record)
    derived: dict[str, tuple[str, ...]] = {}
    for record in index.records():
        reasons = set(contents.get(record.sha256 or "", ()))
        for place in _containers(record.location):
            reasons |= places.get(place, set())
        if values and not values.isdisjoint(selectors(record, record.location)):
            reasons.add(CLAIM)
        if reasons:
            found.setdefault(record.id, set()).update(reasons)
        if record.finding.derived_from:
            derived[record.id] = record.finding.derived_from
    _spread(found, derived)
    return Withheld({record: frozenset(reasons) for record, reasons in found.items()}, gone)


def lapsed(review: Review, to_state: str, gone: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """One sentence for each protected person, and each label, that protects records of which the index has none (`gone`).

    The id of a record says which version of which plugin found it. What a later version found of the same is another record: nothing says
    of it that it is about that person, until somebody links it.
    """
    linked: set[str] = set()
    for person, reasons in protected(review, to_state):
        if reasons and (records := gone.keys() & set(person.records)):
            linked |= records
            who = f"{person.id} ({person.name or 'without a name'}), who is protected, is linked to"
            yield _lapse(who, records, "link those to the person and unlink these")
    for word in OVERRIDABLE:
        labelled = {
            record
            for record, reasons in gone.items()
            if word in reasons and record not in linked and record in review.decisions and word in review.decisions[record].labels
        }
        if labelled:
            yield _lapse(f"the label {word} stands on", labelled, "label those and take the label off these")


def _lapse(what: str, records: Collection[str], then: str) -> str:
    number = f"{len(records)} record{'' if len(records) == 1 else 's'}"
    return (
        f"{what} {number} that the latest runs did not find ({min(records)}), so what they found in place of that is not protected; "
        f"see `forensics review stale`, look for what was found anew, {then}"
    )


def _direct(review: Review, to_state: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    harmless: set[str] = set()  # about claimants alone who claim protection from other states
    for person, why in protected(review, to_state):
        if person.protection_claim and CLAIM not in why:
            harmless.update(person.records)
        for record in person.records if why else ():
            found.setdefault(record, set()).update(why)
    for record, decision in review.decisions.items():
        reasons = set(decision.labels) & set(OVERRIDABLE)
        if record in harmless:
            reasons.discard(CLAIM)
        if reasons:
            found.setdefault(record, set()).update(reasons)
    return found


def _spread(found: dict[str, set[str]], derived: Mapping[str, tuple[str, ...]]) -> None:
    """A record that was derived from a withheld one says something of it."""
    changed = True
    while changed:
        changed = False
        for record, sources in derived.items():
            reasons = set().union(*(found.get(source, set()) for source in sources))
            if not reasons <= found.get(record, set()):
                found.setdefault(record, set()).update(reasons)
                changed = True


def _containers(location: str) -> Iterator[str]:
    """The location itself, and those of the files that contain it."""
    yield location
    if "@" not in location:
        return
    parsed = Location.parse(location)
    head = [location.split(":", 1)[0]]
    for layer in parsed.layers:
        if layer.at and not layer.at.isdecimal():
            yield ":".join([*head, layer.at])
        head.append(str(layer))


def selectors(record: Record, *more: str) -> set[str]:
    """Addresses and long numbers that a finding, or one of the texts `more`, states, written alike: what tells of whom it is.

    Digits of every script and letters of either case are the same. Of a number the last eight digits count, however its beginning is
    written; a day and a time of eight or fourteen digits are none, unless a plus stands before them.
    """
    finding = record.finding
    texts = [finding.summary, *more]
    for value in finding.data.values():
        texts += [str(item) for item in value] if isinstance(value, list) else [str(value)] if isinstance(value, str | int) else []
    found: set[str] = set()
    for text in chain.from_iterable(map(spellings, texts)):
        found.update(match for mail in _MAILS for match in mail.findall(text))
        found |= {re.sub(r"\W", "", match) for match in _DOCUMENT.findall(text)}
        for match in _NUMBER.findall(_TIME.sub(" ", text)):
            digits = re.sub(r"\D", "", match)
            if match.startswith("+") or not _DATE.fullmatch(digits):
                found.add(digits[-_SUBSCRIBER:])
    return found
