"""What a run tells of itself: while it goes, and when it has ended."""

from msgspec import Struct


class Progress(Struct, frozen=True, kw_only=True):
    """How far a run is: the phase, entries and bytes done and planned, faults so far, what each child is on."""

    phase: str
    entries: int = 0
    entries_total: int = 0
    bytes: int = 0
    bytes_total: int = 0
    faults: int = 0
    current: tuple[str, ...] = ()


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of a run.

    `examined_nothing`, `not_walked` and `not_measured`: exhibits of which nothing could be opened or listed, of which a file system could
    not be listed to its end, and that have no digest; each with why.
    """

    run: str
    digest: str
    entries: int
    faults: int
    resumed: bool
    unchanged: dict[str, bool]
    limited: bool
    examined_nothing: tuple[str, ...] = ()
    not_walked: tuple[str, ...] = ()
    not_measured: tuple[str, ...] = ()
    built_on: dict[str, str] = {}
