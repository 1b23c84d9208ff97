"""The times of an entry as The Sleuth Kit gives them, as ISO 8601 text."""

from datetime import UTC, datetime, timedelta
from typing import Any

from forensics.model import Times

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REMEMBERED = 1 << 16  # files that were copied or installed together share their seconds


class Clock:
    """Turns seconds and nanoseconds into text: `digits` of a second where there are any, `zone` after them ("Z" or nothing)."""

    def __init__(self, digits: int, zone: str) -> None:
        self._digits, self._zone = digits, zone
        self._known: dict[int, str] = {}

    def _second(self, seconds: int) -> str:
        text = self._known.get(seconds)
        if text is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            text = self._known[seconds] = (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
        return text

    def text(self, seconds: int, nanoseconds: int) -> str | None:
        """ISO 8601 text; `None` for the epoch itself, which is how a missing time reads. Raises OverflowError beyond the years 1-9999."""
        if not seconds:
            return None
        text = self._second(seconds)
        if nanoseconds:
            return f"{text}.{nanoseconds:09d}"[: 20 + self._digits] + self._zone
        return text + self._zone

    def of(self, meta: Any) -> Times:
        """The times of a TSK_FS_META. Raises OverflowError beyond the years 1-9999."""
        text = self.text
        return Times(
            text(meta.mtime, meta.mtime_nano),
            text(meta.atime, meta.atime_nano),
            text(meta.ctime, meta.ctime_nano),
            text(meta.crtime, meta.crtime_nano),
        )
