"""Where a plugin's code runs: whatever it raises becomes a failure that is kept, and costs neither the file nor the other plugins."""

import errno
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from msgspec import Struct

from forensics.errors import Corrupt, EvidenceError, LimitExceeded, Locked, TimedOut, Unsupported
from forensics.model import FaultKind

Item = TypeVar("Item")
MESSAGE = 2000  # characters
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Failure(Struct, frozen=True):
    """How a plugin ended that did not end well; `unsupported` is its word for "not mine", `limit` that the machine's bounds struck."""

    kind: FaultKind
    message: str
    limit: bool = False


def guarded(make: Callable[[], Iterable[Item]]) -> Iterator[Item | Failure]:
    """What a plugin yields, and last how it failed, if it did.

    Raises OSError where the disk is full: that is the machine's, and not the plugin's. This is where the one broad `except` stands.
    """
    try:
        yield from make()
    except EvidenceError as error:
        yield Failure(kind_of(error), str(error)[:MESSAGE], isinstance(error, TimedOut))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise
        yield Failure("error", f"{type(error).__name__}: {error}"[:MESSAGE], isinstance(error, MemoryError))


def kind_of(error: EvidenceError) -> FaultKind:
    """The kind of fault that an error of the evidence is."""
    kinds: tuple[tuple[type[EvidenceError], FaultKind], ...] = (
        (Unsupported, "unsupported"),
        (Corrupt, "corrupt"),
        (Locked, "locked"),
        (LimitExceeded, "limit"),
    )
    return next((name for kind, name in kinds if isinstance(error, kind)), "error")
