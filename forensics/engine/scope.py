"""What the legal authority allows: whether an entry lies outside, and in which respect."""

from datetime import date

from forensics.errors import UsageError
from forensics.glob import matches, mime_matches
from forensics.location import printable
from forensics.model import Scope, Times


def parse(texts: tuple[str, ...]) -> Scope:
    """A scope out of ``path=GLOB``, ``kind=MIME``, ``since=DATE`` and ``until=DATE``, each any number of times (dates once).

    Raises UsageError for anything else.
    """
    paths: list[str] = []
    kinds: list[str] = []
    dates: dict[str, str] = {}
    for text in texts:
        key, _, value = text.partition("=")
        if key == "path" and value:
            paths.append(value)
        elif key == "kind" and value:
            kinds.append(value)
        elif key in ("since", "until") and _is_date(value) and key not in dates:
            dates[key] = value
        else:
            raise UsageError(f"--scope {text!r}: say path=GLOB, kind=MIME/TYPE, since=YYYY-MM-DD or until=YYYY-MM-DD (dates once each)")
    return Scope(tuple(paths), tuple(kinds), dates.get("since"), dates.get("until"))


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def outside(scope: Scope, path: str, times: Times) -> str | None:
    """Why an entry is not to be read at all, or `None`."""
    if scope.paths and not matches(printable(path), scope.paths):
        return "outside the scope: path"
    if scope.since or scope.until:
        days = [time[:10] for time in (times.modified, times.accessed, times.changed, times.born) if time]
        if not days:
            return "outside the scope: no time to compare with the period"
        if not any((scope.since or "") <= day <= (scope.until or "9999") for day in days):
            return "outside the scope: period"
    return None


def outside_kinds(scope: Scope, mime: str) -> str | None:
    """Why content of this type is not to be examined, or `None`."""
    if scope.kinds and not mime_matches(mime, scope.kinds):
        return "outside the scope: kind"
    return None
