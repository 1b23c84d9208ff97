"""What people say of records, as frozen values: decisions, persons, and the bodies of the custody events that hold them."""

from typing import Any, Literal

from msgspec import Struct

Status = Literal["confirmed", "rejected", "unreviewed"]
STATUSES: tuple[Status, ...] = ("confirmed", "rejected", "unreviewed")
NONE = "NONE"  # the category of what belongs to none


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What people have said of one record, the last word of each kind; `None` and empty are what nobody has said.

    `record` is its id. `status` is "unreviewed" where somebody gave a note, a label or a category and has not decided yet, or took a
    decision back. `reliability` (A-F) and `credibility` (1-6) are the two axes of the admiralty scale, `likelihood` a word of estimative
    language.
    `by`, `at` (ISO 8601 in UTC) and `seq` (line of the custody log) are those of the last change.
    """

    record: str
    status: Status = "unreviewed"
    category: str | None = None
    reliability: str | None = None
    credibility: int | None = None
    likelihood: str | None = None
    note: str = ""
    labels: tuple[str, ...] = ()
    by: str
    at: str
    seq: int


class Stale(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """What was said of a record that the latest runs did not find; `persons` are those whom it is about. Where nobody has said more than
    that, `by` and `at` are empty and `seq` is 0."""

    persons: tuple[str, ...] = ()


class Person(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody whom records are about. `states_of_origin` are ISO 3166 codes; none means unknown, and unknown means every state.

    `records` are the ids of the records linked to the person, sorted.
    """

    id: str
    name: str | None = None
    role: str = "unknown"
    states_of_origin: tuple[str, ...] = ()
    protection_claim: bool = False
    records: tuple[str, ...] = ()


# --- the bodies of `reviewed` events ----------------------------------------------------------------------------------------


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The fields that one event sets, of every record that it names; `None` leaves a field as it is, "" (0 of `credibility`) empties it.

    `labels` are added, `without_labels` taken away.
    """

    status: Status | None = None
    category: str | None = None
    reliability: str | None = None
    credibility: int | None = None
    likelihood: str | None = None
    note: str | None = None
    labels: tuple[str, ...] = ()
    without_labels: tuple[str, ...] = ()


class Decided(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="decided", tag_field="review"):
    """`change` was said of `records` (ids, sorted), which `query` had chosen where a query did."""

    change: Change
    records: tuple[str, ...]
    query: str | None = None


class PersonSaid(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="person", tag_field="review"):
    """A person was added, or is now described so; its `records` are empty here."""

    person: Person


class Linked(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="linked", tag_field="review"):
    """`records` are about `person` (an id); or, where `away`, they are not."""

    person: str
    records: tuple[str, ...]
    away: bool = False
    query: str | None = None


Body = Decided | PersonSaid | Linked


class Event(Struct, frozen=True, kw_only=True):
    """One `reviewed` event of the custody log: who said what, when."""

    seq: int
    at: str
    by: str | None
    said: Body


def fields(change: Change) -> dict[str, Any]:
    """The fields that a change sets, in their order."""
    return {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) not in (None, ())}
