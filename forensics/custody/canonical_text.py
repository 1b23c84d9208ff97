"""Whether bytes are the one canonical JSON text of what they say (RFC 8785): at once where they are plain, as most are."""

import re
from typing import Any

import msgspec

from forensics.digest import canonical

DEEPEST = 64  # brackets in a text that is read at once; no deeper can they stand in each other
_LONG = re.compile(rb"(?:\A|[:,\[])-?[0-9]{16}")  # a number that may be more than a double holds exactly
_sorted = msgspec.json.Encoder(order="sorted")


def plain(data: bytes) -> Any:
    """What `data` says, if it is canonical and that is seen at once; `None` where it takes a closer look, or is `null`.

    Numbers with a fraction, long ones, characters from U+10000 and many brackets take that look.
    """
    if data.count(b"{") + data.count(b"[") > DEEPEST or _LONG.search(data):
        return None
    try:
        text = data.decode()
        if len(text.encode("utf-16-le")) > 2 * len(text):  # RFC 8785 sorts names with such characters otherwise than code points are
            return None
        value = _whole.decode(data)
    except ValueError:
        return None
    return value if _sorted.encode(value) == data else None


def is_canonical(data: bytes) -> bool:
    """Whether these bytes are the one canonical JSON text (RFC 8785) of what they say."""
    if plain(data) is not None:
        return True
    try:
        return data == canonical(msgspec.json.decode(data))
    except (ValueError, RecursionError):  # what no canonical JSON can hold
        return False


def _fraction(text: str) -> float:
    raise ValueError(f"{text} has a fraction or an exponent")


_whole = msgspec.json.Decoder(float_hook=_fraction)
