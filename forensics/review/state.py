"""What the custody log says of the records now: every `reviewed` event replayed in order, the last word wins, nothing is forgotten."""

from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from forensics import custody
from forensics.case import Case
from forensics.errors import CustodyBroken
from forensics.model import Record
from forensics.review import vocabulary
from forensics.review.model import NONE, Body, Change, Decided, Decision, Event, Linked, Person, PersonSaid, Status, fields

EVENT = "reviewed"


class Review(Struct, frozen=True):
    """Decisions by record id, persons by their id, and by record id the persons whom it is about."""

    decisions: dict[str, Decision]
    persons: dict[str, Person]
    linked: dict[str, tuple[str, ...]] = {}

    def status(self, record: str) -> Status:
        """Whether the record with this id was confirmed, rejected, or not decided about."""
        decision = self.decisions.get(record)
        return decision.status if decision else "unreviewed"

    def category(self, record: Record) -> str:
        """The category that people gave a record; else what its plugin proposes, where that is of the list; else NONE."""
        decision = self.decisions.get(record.id)
        if decision and decision.category:
            return decision.category
        proposed = record.finding.category
        return proposed if proposed and vocabulary.is_category(proposed) else NONE

    def labels(self, record: str) -> tuple[str, ...]:
        """The handling labels of the record with this id."""
        decision = self.decisions.get(record)
        return decision.labels if decision else ()

    def about(self, record: str) -> tuple[Person, ...]:
        """The persons whom the record with this id is about."""
        return tuple(self.persons[person] for person in self.linked.get(record, ()))


def state(case: Case) -> Review:
    """What people have said of the case's records until now.

    Raises CustodyBroken where an event cannot be read or its body is not there.
    """
    decisions: dict[str, Decision] = {}
    persons: dict[str, Person] = {}
    linked: dict[str, set[str]] = {}  # by person
    for event in events(case.folder):
        said = event.said
        if isinstance(said, Decided):
            for record in said.records:
                decisions[record] = _after(decisions.get(record), record, said.change, event)
        elif isinstance(said, PersonSaid):
            persons[said.person.id] = said.person
        elif said.person in persons:
            held = linked.setdefault(said.person, set())
            if said.away:
                held.difference_update(said.records)
            else:
                held.update(said.records)
        else:
            raise CustodyBroken(f"{custody.LOG}, line {event.seq}: links records to {said.person!r}, a person who was never added")
    about: dict[str, tuple[str, ...]] = {}
    for person in persons:
        for record in linked.get(person, ()):
            about[record] = (*about.get(record, ()), person)
    whole = {name: msgspec.structs.replace(person, records=tuple(sorted(linked.get(name, ())))) for name, person in persons.items()}
    return Review(decisions, whole, about)


def _after(before: Decision | None, record: str, change: Change, event: Event) -> Decision:
    """A record's decision after one more change. Empty text and the number 0 take back what was said."""
    held = before or Decision(record=record, by="", at="", seq=0)
    labels = held.labels
    if change.labels or change.without_labels:
        labels = tuple(sorted({*labels, *change.labels} - {*change.without_labels}))
    return Decision(
        record=record,
        status=change.status or held.status,
        category=held.category if change.category is None else change.category or None,
        reliability=held.reliability if change.reliability is None else change.reliability or None,
        credibility=held.credibility if change.credibility is None else change.credibility or None,
        likelihood=held.likelihood if change.likelihood is None else change.likelihood or None,
        note=held.note if change.note is None else change.note,
        labels=labels,
        by=event.by or "",
        at=event.at,
        seq=event.seq,
    )


def events(folder: Path) -> Iterator[Event]:
    """Everything that review has said, in the order of the custody log. Raises CustodyBroken as `state`."""
    for line in custody.read(folder):
        if line.event != EVENT:
            continue
        where = f"{folder / custody.LOG}, line {line.seq}"
        if line.body is None:
            raise CustodyBroken(f"{where}: the body of a review is not there, so what was decided is not known; restore {custody.BODIES}")
        if "review" not in line.body:  # people may log a review of another kind
            continue
        try:
            said: Body = msgspec.convert(line.body, Body)
        except msgspec.ValidationError as error:
            raise CustodyBroken(f"{where}: what review said does not read ({error}); a newer version may have written it") from error
        yield Event(seq=line.seq, at=line.at, by=line.by, said=said)


def history(folder: Path, records: Collection[str] | None = None) -> Iterator[Event]:
    """Every change, oldest first; of `records` (ids) alone, where some are named. Raises CustodyBroken as `state`."""
    for event in events(folder):
        said = event.said
        if records is None or (not isinstance(said, PersonSaid) and not set(records).isdisjoint(said.records)):
            yield event


def told(said: Body) -> str:
    """One line on what an event said, without the names of the records."""
    if isinstance(said, Decided):
        parts = [f"{name.replace('_', ' ')}: {_shown(value)}" for name, value in fields(said.change).items()]
        return ", ".join(parts) + (f" (chosen by {said.query})" if said.query else "")
    if isinstance(said, Linked):
        return f"{'no longer about' if said.away else 'about'} {said.person}" + (f" (chosen by {said.query})" if said.query else "")
    person = said.person
    origin = " ".join(person.states_of_origin) or "unknown"
    return (
        f"{person.id}: {person.name or 'without a name'}, {person.role}, states of origin: {origin}"
        f"{', claims protection' if person.protection_claim else ''}"
    )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value) if value not in ("", 0) else "none"
