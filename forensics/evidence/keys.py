"""What locked layers are opened with: passwords, recovery passwords and key files, given by the examiner, each for certain layers.

A secret is never shown: not by `repr`, not in a message, not in a layer's description. Which kind of key opened a layer is.
"""

import re
from collections.abc import Iterator
from fnmatch import translate
from pathlib import Path
from typing import Literal

from msgspec import Struct

from forensics.errors import UsageError

Kind = Literal["password", "recovery", "file"]
_KINDS: dict[str, Kind] = {"password": "password", "recovery": "recovery", "file": "file"}
_FILE = 8 << 20  # bytes of a key file: cryptsetup's own bound
NAMES = {"password": "password", "recovery": "recovery password", "file": "key file"}
"""The kinds as an examiner calls them."""


class Key(Struct, frozen=True):
    """One key: the layers that it is for (a pattern over locations), its kind, and the secret (UTF-8 text, or a key file's content)."""

    layer: str
    kind: Kind
    secret: bytes

    def __repr__(self) -> str:
        return f"Key(layer={self.layer!r}, kind={self.kind!r})"

    @property
    def text(self) -> str:
        """A password as text. Undecodable bytes as surrogate escapes."""
        return self.secret.decode("utf-8", "surrogateescape")

    def fits(self, location: str) -> bool:
        """Whether it is for the layer at `location`: the whole text, or that without the exhibit's number, ``*`` for any part of it."""
        matches = re.compile(translate(self.layer.rstrip(":"))).match
        whole = location.rstrip(":")
        return bool(matches(whole) or matches(whole.partition(":")[2]))


class Keys(Struct, frozen=True):
    """All keys of an examination."""

    keys: tuple[Key, ...] = ()

    def of(self, location: str) -> Iterator[Key]:
        """Those for the layer at `location`, in the order given."""
        return (key for key in self.keys if key.fits(location))


def parse(text: str) -> Key:
    """A key from ``LAYER=password:SECRET``, ``LAYER=recovery:SECRET`` or ``LAYER=file:PATH``; without ``LAYER=`` it is for every layer.

    LAYER is a pattern over locations, such as ``2026-1:volume@1048576:bitlocker`` or ``*luks*``. A key file is read at once. Raises
    UsageError, which never holds the secret.
    """
    layer, kind, secret = _parts(text)
    if kind not in _KINDS or not secret:
        raise UsageError(
            "a key reads LAYER=password:SECRET, LAYER=recovery:SECRET or LAYER=file:PATH; LAYER= may be left out, and * in it stands "
            "for any part of a layer's location"
        )
    if kind != "file":
        return Key(layer, _KINDS[kind], secret.encode("utf-8", "surrogateescape"))
    try:
        with open(Path(secret), "rb") as file:
            content = file.read(_FILE + 1)
    except OSError as error:
        raise UsageError(f"the key file {secret} cannot be read: {error.strerror}") from error
    if not content or len(content) > _FILE:
        raise UsageError(f"the key file {secret} is empty, or has more than {_FILE} bytes; give the file that holds the key alone")
    return Key(layer, "file", content)


def _parts(text: str) -> tuple[str, str, str]:
    """Layer, kind and secret. A password may hold ``=`` and ``:``, a location ``:``: the first kind that stands at its place counts."""
    found = re.match(r"(?:(?P<layer>[^=]*)=)?(?P<kind>password|recovery|file):(?P<secret>.*)", text, re.DOTALL)
    return (found["layer"] or "*", found["kind"], found["secret"]) if found else ("", "", "")
