"""The closed list of custody events, and what each needs before it is written."""

from collections.abc import Mapping
from typing import Any

from forensics.errors import UsageError

PERSON_EVENTS = frozenset(
    {
        "seized",
        "sealed",
        "checked_in",
        "checked_out",
        "transferred",
        "acquired",
        "copied",
        "examined",
        "returned",
        "disclosed",
        "destroyed",
        "corrected",
    }
)
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
    }
)
EVENTS = PERSON_EVENTS | TOOL_EVENTS


def check_event(event: str, body: Mapping[str, Any]) -> None:
    """Whether `body` holds what an event of this kind needs. Raises UsageError for an unknown event, or naming each missing field."""
    if missing := missing_of(event, body):
        raise UsageError(f"custody event {event!r} lacks: {', '.join(missing)}")


def by_tool(event: str, body: Mapping[str, Any]) -> bool:
    """Whether the tool itself vouches for the event, so that it needs neither a person nor a purpose."""
    return event in TOOL_EVENTS and (event not in PERSON_EVENTS or "run" in body or "tool" in body)


def missing_of(event: str, body: Mapping[str, Any]) -> list[str]:
    """Fields that the event needs and lacks, after ISO/IEC 27037, chain-of-custody record: from, to and place for transfers only."""
    if event not in EVENTS:
        raise UsageError(f"custody event {event!r} is none of: {', '.join(sorted(EVENTS))}")
    needed = [] if by_tool(event, body) else ["purpose"]
    if event == "transferred":
        needed += ["from", "to", "place"]
    missing = [field for field in needed if body.get(field) in (None, "")]
    change = body.get("unavoidable_change")
    if change is not None:
        fields = change if isinstance(change, Mapping) else {}
        missing += [f"unavoidable_change.{field}" for field in ("what", "who", "why") if not fields.get(field)]
    return missing
