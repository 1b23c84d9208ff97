"""What every container plugin does with its members: streams out of pieces, and one account of what is wrong with them."""

import io
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from forensics.errors import Corrupt, Locked, Unsupported
from forensics.model import Finding, Value

EXAMPLES = 10  # names that a finding lists
NAMES = 1 << 20  # names that are remembered to tell a second one of the same; beyond it duplicates are not looked for
_SEPARATOR = re.compile(r"[/\\]")
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")
# Control characters, and those that change the direction of writing (Unicode Standard Annex 9): a name with them does not read as it is.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def stream_of(pieces: Iterable[bytes]) -> BinaryIO:
    """A binary stream, read once from the start, of what a generator yields: what `Member.open` gives back."""
    return io.BufferedReader(_Pieces(pieces), 1 << 16)


def shown(path: str) -> str:
    """A member's path for a summary or for data: what cannot be decoded or printed as backslash escapes, at most 300 characters."""
    try:
        text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that no byte was escaped to
        text = path.encode("utf-8", "backslashreplace").decode()
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text[:300])


class Inventory:
    """One container's account of its members: names that are out of order, what was damaged, what is locked. Bounded memory.

    A container plugin notes every member, and ends with ``yield from inventory.conclude()``. `passwords` says that it tries those that were
    given on what is encrypted.
    """

    def __init__(self, what: str, *, passwords: bool = False) -> None:
        self.what = what
        self._why = "opened by no password that was given" if passwords else "which this plugin does not open"
        self._what = what[:1].upper() + what[1:]
        self.members = 0
        self._odd: dict[str, int] = {}
        self._examples: list[str] = []
        self._seen: set[int] = set()
        self._damaged: list[str] = []
        self._damage = 0
        self._locked: list[str] = []
        self.locks = 0
        self._unread: list[str] = []
        self._unreads = 0

    def note(self, path: str, *, directory: bool = False) -> None:
        """Count a member, and look at its name."""
        self.members += 1
        odd = []
        if _ABSOLUTE.match(path):
            odd.append("absolute")
        if ".." in _SEPARATOR.split(path):
            odd.append("climbing")
        if _CONTROL.search(path):
            odd.append("control")
        mark = hash(path)
        if mark in self._seen and not directory:
            odd.append("duplicate")
        elif len(self._seen) < NAMES:
            self._seen.add(mark)
        for what in odd:
            self._odd[what] = self._odd.get(what, 0) + 1
        if odd and len(self._examples) < EXAMPLES:
            self._examples.append(shown(path))

    def damaged(self, path: str, why: str) -> None:
        """A member, or with an empty path the container itself, that could not be read as it was stored."""
        self._damage += 1
        if len(self._damaged) < EXAMPLES:
            self._damaged.append(shown(f"{path}: {why}" if path else why))

    def locked(self, path: str) -> None:
        """A member that is encrypted, and that was not opened."""
        self.locks += 1
        if len(self._locked) < EXAMPLES:
            self._locked.append(shown(path))

    def unread(self, path: str, why: str) -> None:
        """A member that is whole, as far as is known, but stored in a way that is not read."""
        self._unreads += 1
        if len(self._unread) < EXAMPLES:
            self._unread.append(shown(f"{path}: {why}"))

    def findings(self) -> Iterator[Finding]:
        """`suspicious-member-name`, `damaged-members`, `locked-members`, `unread-members`: each where there is one, with first examples."""
        if self._odd:
            words = {"absolute": "absolute", "climbing": "with '..'", "control": "with control characters", "duplicate": "given twice"}
            said = ", ".join(f"{self._odd[what]} {word}" for what, word in words.items() if what in self._odd)
            counts: dict[str, Value] = {f"{what}_names": count for what, count in self._odd.items()}
            yield Finding(
                kind="suspicious-member-name",
                summary=f"{self._what} with suspicious names: {said}",
                data={
                    "format": self.what,
                    "members": self.members,
                    **counts,
                    "examples": list(self._examples),
                },
                level="notable",
            )
        if self._damage:
            yield Finding(
                kind="damaged-members",
                summary=f"{self._what} with damage: {self._damaged[0]}" + (f" and {self._damage - 1} more" if self._damage > 1 else ""),
                data={"format": self.what, "members": self.members, "damaged": self._damage, "examples": list(self._damaged)},
                level="notable",
            )
        if self.locks:
            yield Finding(
                kind="locked-members",
                summary=f"{self._what} with encrypted members: {self._locked[0]}"
                + (f" and {self.locks - 1} more" if self.locks > 1 else ""),
                data={"format": self.what, "members": self.members, "locked": self.locks, "examples": list(self._locked)},
                level="notable",
            )

        if self._unreads:
            yield Finding(
                kind="unread-members",
                summary=f"{self._what} with members that are not read: {self._unread[0]}"
                + (f" and {self._unreads - 1} more" if self._unreads > 1 else ""),
                data={"format": self.what, "members": self.members, "unread": self._unreads, "examples": list(self._unread)},
                level="notable",
            )

    def conclude(self) -> Iterator[Finding]:
        """The findings; then raises Corrupt where something was damaged, else Locked where encrypted, else Unsupported where not read."""
        yield from self.findings()
        if self._damage:
            raise Corrupt(f"{self.what} with damage in {self._damage} places, the rest was read: {'; '.join(self._damaged)}")
        if self.locks:
            raise Locked(f"{self.what}: {self.locks} encrypted, {self._why}: {', '.join(self._locked)}")
        if self._unreads:
            raise Unsupported(f"{self.what}: {self._unreads} of {self.members} members are not read: {'; '.join(self._unread)}")
