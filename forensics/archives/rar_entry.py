"""A member of a RAR archive of any version, as its header says it."""

from typing import Literal

from msgspec import Struct

from forensics.archives.tried import Tried
from forensics.model import Times

MAX_TARGET = 4096  # bytes of a link's target


class Lock(Struct, frozen=True, kw_only=True):
    """How a password is made a key: by which version, the salt, the rounds; of version 5 also the vector, 8 bytes to check a password by
    (none where there are none), and whether the checksum is tweaked. Without a salt it is an encryption that is not read."""

    form: Literal[4, 5]
    salt: bytes
    rounds: int
    vector: bytes = b""
    check: bytes = b""
    tweaked: bool = False


class Entry(Struct, frozen=True, kw_only=True):
    """A member; `begin` and `packed` are where its bytes lie, `method` is version 5's information on compression.

    `header` is one that is made for an archive in which this member lies decrypted, alone or behind those before it (`solid`); `why`
    says what keeps a compressed one from being read.
    """

    form: Literal[4, 5]
    path: str
    begin: int
    packed: int
    size: int | None
    crc: int | None
    stored: bool
    split: bool
    kind: Literal["file", "directory", "link", "other"]
    target: str | None
    times: Times
    header: bytes
    method: int = 0
    lock: Lock | None = None
    why: str = ""
    solid: bool = False


def said(tried: Tried) -> str:
    """What is to be said behind a refusal, in brackets."""
    return f" ({tried.said})" if tried.said else ""
