"""What people say of records, written: each call is one `reviewed` event of the custody log, whose salted body holds all of it.

The case is locked by the caller. What the body says is checked here, so that `state` can read whatever was written.
"""

import re
from collections.abc import Iterable
from datetime import datetime

import msgspec

from forensics import custody
from forensics.case import Case
from forensics.custody import CustodyLine
from forensics.errors import UsageError
from forensics.review import vocabulary
from forensics.review.model import STATUSES, Body, Change, Decided, Linked, Person, PersonSaid, Status
from forensics.review.state import EVENT, Review, state

RECORDS = 3_000_000  # of one event: 64 digits each stay within the 256 MiB that a custody body may have
NOTE = 10_000  # characters
NAME = 200  # characters
_ID = re.compile(r"[0-9a-f]{64}")


def decide(
    case: Case,
    records: Iterable[str],
    *,
    status: Status | None = None,
    category: str | None = None,
    reliability: str | None = None,
    credibility: int | str | None = None,
    likelihood: str | None = None,
    note: str | None = None,
    labels: Iterable[str] = (),
    without_labels: Iterable[str] = (),
    by: str | None,
    at: datetime | None = None,
    query: str | None = None,
) -> CustodyLine:
    """Say something of `records` (ids): what is `None` stays as it was said before; empty text takes it back.

    `query` is how they were chosen, kept for whoever reads the log. Raises UsageError where there is nothing to say, nobody who says it, no
    record, an id that is none, or a word that its list does not have.
    """
    if status is not None and status not in STATUSES:
        raise UsageError(f"status {status!r} is none of: {', '.join(STATUSES)}")
    change = Change(
        status=status,
        category=category and vocabulary.category(category),
        reliability=reliability and vocabulary.reliability(reliability),
        credibility=0 if credibility == "" else vocabulary.credibility(credibility) if credibility is not None else None,
        likelihood=likelihood and vocabulary.likelihood(likelihood),
        note=None if note is None else checked_note(note),
        labels=tuple(sorted({vocabulary.label(each) for each in labels})),
        without_labels=tuple(sorted({vocabulary.label(each) for each in without_labels})),
    )
    if change == Change():
        raise UsageError("nothing was said of these records: give a status, a category, a confidence, a note or a label")
    return _append(case, Decided(change=change, records=_ids(records), query=query), by, at)


def add_person(
    case: Case,
    *,
    name: str | None = None,
    role: str = "unknown",
    states_of_origin: Iterable[str] = (),
    protection_claim: bool = False,
    by: str | None,
    at: datetime | None = None,
) -> Person:
    """Somebody whom records are about, under the next number. Raises UsageError for a role or a state that is none."""
    held = state(case).persons
    number = max((int(each.removeprefix("P-")) for each in held), default=0) + 1
    person = Person(
        id=f"P-{number}",
        name=checked_name(name),
        role=vocabulary.role(role),
        states_of_origin=vocabulary.states(states_of_origin),
        protection_claim=protection_claim,
    )
    _append(case, PersonSaid(person=person), by, at)
    return person


def change_person(
    case: Case,
    person: str,
    *,
    name: str | None = None,
    role: str | None = None,
    states_of_origin: Iterable[str] | None = None,
    protection_claim: bool | None = None,
    by: str | None,
    at: datetime | None = None,
) -> Person:
    """Say anew what is said of a person; `None` stays, an empty name takes it away. Raises UsageError as `add_person`, or for nobody."""
    held = known_person(state(case), person)
    changed = msgspec.structs.replace(
        held,
        name=held.name if name is None else checked_name(name),
        role=held.role if role is None else vocabulary.role(role),
        states_of_origin=held.states_of_origin if states_of_origin is None else vocabulary.states(states_of_origin),
        protection_claim=held.protection_claim if protection_claim is None else protection_claim,
    )
    if changed != held:
        _append(case, PersonSaid(person=msgspec.structs.replace(changed, records=())), by, at)
    return changed


def link(
    case: Case, person: str, records: Iterable[str], *, by: str | None, at: datetime | None = None, query: str | None = None
) -> CustodyLine:
    """Say that `records` (ids) are about a person. Raises UsageError where there is no such person, or no record."""
    known = known_person(state(case), person)
    return _append(case, Linked(person=known.id, records=_ids(records), query=query), by, at)


def unlink(
    case: Case, person: str, records: Iterable[str], *, by: str | None, at: datetime | None = None, query: str | None = None
) -> CustodyLine:
    """Say that `records` (ids) are not about a person after all. Raises UsageError as `link`."""
    known = known_person(state(case), person)
    return _append(case, Linked(person=known.id, records=_ids(records), away=True, query=query), by, at)


def known_person(review: Review, person: str) -> Person:
    """The person with this id. Raises UsageError with those that there are."""
    found = review.persons.get(person.strip().upper())
    if found is None:
        there = ", ".join(list(review.persons)[:20]) or "nobody yet; `forensics person add` adds one"
        raise UsageError(f"there is no person {person!r}; there is: {there}")
    return found


def checked_note(text: str) -> str:
    """A note as it is kept. Raises UsageError where it is too long."""
    if len(text) > NOTE:
        raise UsageError(f"a note of {len(text)} characters is too long (at most {NOTE}); write it into a file of the case and name that")
    return text.strip()


def checked_name(text: str | None) -> str | None:
    """A person's name as it is kept, `None` for an empty one. Raises UsageError where it is not one line of at most 200 characters."""
    name = " ".join((text or "").split())
    if len(name) > NAME or not name.isprintable():
        raise UsageError(f"{name[:80]!r} cannot be a name: it is one line of at most {NAME} printable characters")
    return name or None


def _ids(records: Iterable[str]) -> tuple[str, ...]:
    found = sorted(set(records))
    if not found:
        raise UsageError("no record was named")
    if len(found) > RECORDS:
        raise UsageError(f"{len(found)} records are more than one event of the custody log holds ({RECORDS}); decide in parts")
    for each in found:
        if not _ID.fullmatch(each):
            raise UsageError(f"{each[:80]!r} is not the id of a record: 64 hexadecimal digits")
    return tuple(found)


def _append(case: Case, body: Body, by: str | None, at: datetime | None) -> CustodyLine:
    if not by or not by.strip():
        raise UsageError("nobody is named who says this: give --by, set FORENSICS_BY, or write case.examiner into case.toml")
    said = msgspec.to_builtins(body)
    return custody.append(case.folder, EVENT, object="records", body=said, by=by.strip(), at=at)
