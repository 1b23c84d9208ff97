"""The closed list of custody events, and what each needs before it is written."""

from collections.abc import Mapping
from typing import Any

from forensics.custody.filling import checked, missing_fields
from forensics.custody.forms import FORMS
from forensics.errors import UsageError

PERSON_EVENTS = frozenset(FORMS)
TOOL_EVENTS = frozenset(
    {
        "created",
        "verified",
        "reported",
        "reviewed",
        "interrupted",
        "received",
        "acquired",
        "examined",
        "checkpointed",
        "countersigned",
        "sealed_records",
        "disclosed",
        "receipted",
        "trusted",
        "withdrawn",
        "exported",
    }
)
EVENTS = PERSON_EVENTS | TOOL_EVENTS
# Written by other floors with bodies of their own, which they check: the form is for those that a person types.
_OWN_BODIES = frozenset({"corrected", "disclosed"})


def check_event(event: str, body: Mapping[str, Any]) -> None:
    """Whether `body` holds what an event of this kind needs. Raises UsageError for an unknown event, or naming each missing field."""
    if missing := missing_of(event, body):
        raise UsageError(f"custody event {event!r} lacks: {', '.join(missing)}")
    if has_form(event, body):
        checked(event, body)


def by_tool(event: str, body: Mapping[str, Any]) -> bool:
    """Whether the tool itself vouches for the event, so that it needs neither a person nor a purpose."""
    return event in TOOL_EVENTS and (event not in PERSON_EVENTS or "run" in body or (event == "disclosed" and "seal" in body))


def has_form(event: str, body: Mapping[str, Any]) -> bool:
    """Whether the event's body must be its form filled in."""
    return event in PERSON_EVENTS and event not in _OWN_BODIES and not by_tool(event, body)


def missing_of(event: str, body: Mapping[str, Any]) -> list[str]:
    """Fields that the event needs and lacks; a field of nothing counts as lacking (ISO/IEC 27037, chain-of-custody record)."""
    if event not in EVENTS:
        raise UsageError(f"custody event {event!r} is none of: {', '.join(sorted(EVENTS))}")
    if has_form(event, body):
        return missing_fields(event, body)
    return [] if by_tool(event, body) or body.get("purpose") else ["purpose"]
