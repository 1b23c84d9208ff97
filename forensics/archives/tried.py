"""Passwords for one archive: in which forms, in which order and how many are tried."""

import contextlib
from collections.abc import Callable, Iterable, Iterator

from forensics.model import Finding


def as_bytes(password: bytes) -> tuple[bytes, ...]:
    """As it stands in the list (UTF-8), then in the code pages of Windows and of DOS where those differ."""
    forms = [password]
    if not password.isascii():
        with contextlib.suppress(UnicodeDecodeError):
            text = password.decode("utf-8")
            for page in ("cp1252", "cp437"):
                with contextlib.suppress(UnicodeEncodeError):
                    forms.append(text.encode(page))
    return tuple(dict.fromkeys(forms))


def as_utf16(password: bytes) -> bytes:
    """In UTF-16 (little-endian), as 7z and RAR take it. A list that is not in UTF-8 is taken for Windows-1252."""
    try:
        text = password.decode("utf-8")
    except UnicodeDecodeError:
        text = password.decode("cp1252", "replace")
    return text.encode("utf-16-le")


class Tried:
    """The passwords for one archive: those that fitted come first, and only so many tries are made in all."""

    def __init__(self, known: Iterable[bytes], tries: int) -> None:
        self._known = {password: number for number, password in enumerate(known, 1)}
        self._fitted: dict[bytes, int] = {}
        self._left = tries
        self.said = ""

    def __bool__(self) -> bool:
        return bool(self._known)

    def candidates(self, cost: int = 1, times: Callable[[bytes], int] = lambda _: 1) -> Iterator[bytes]:
        """Passwords to try, each at a cost, or several `times` that. One that fitted before costs nothing; where tries run out, `said`
        says so."""
        yield from tuple(self._fitted)
        for password in self._known:
            if password in self._fitted:
                continue
            if self._left < cost:
                self.said = "not every password was tried, since that takes too long"
                return
            if self._left < (price := cost * times(password)):
                self.said = "not every password was tried, since that takes too long"
                continue
            self._left -= price
            yield password

    def fitted(self, password: bytes) -> bool:
        """Whether it fitted before."""
        return password in self._fitted

    def fits(self, password: bytes) -> None:
        """Count something that it opened."""
        self._fitted[password] = self._fitted.get(password, 0) + 1

    @property
    def opened(self) -> int:
        return sum(self._fitted.values())

    @property
    def numbers(self) -> list[str | int]:
        """Which passwords of the list fitted: their places in it, from 1, empty lines and repetitions left out."""
        return sorted(self._known[password] for password in self._fitted)


def unlocked(what: str, *tried: Tried) -> Iterator[Finding]:
    """`unlocked-members`, where a password opened something; the passwords are told by their places in the list."""
    count, numbers = sum(each.opened for each in tried), sorted({number for each in tried for number in each.numbers})
    if count:
        yield Finding(
            kind="unlocked-members",
            summary=f"{what[:1].upper()}{what[1:]} of which {count} encrypted parts were opened with a password that was given",
            data={"format": what, "unlocked": count, "passwords": numbers},
        )
