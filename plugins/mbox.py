"""Mailboxes in one file, as Thunderbird, Unix and web mail's exports keep them: each message as a file (RFC 4155)."""

import re
from collections.abc import Iterator
from typing import BinaryIO

from forensics.plugin import File, Finding, Inventory, LimitExceeded, Member, Unsupported, container, stream_of

MAX_LINE = 1 << 16  # bytes of a line that are looked at together
MAX_MESSAGES = 1 << 22
CHUNK = 1 << 16
_FROM = re.compile(rb"From (?:.{0,500}\s)?(?:(?:19|20)\d\d|\d\d:\d\d)(?:\s.{0,100})?\r?\n", re.DOTALL)
_FIELD = re.compile(rb">?[!-9;-~]{1,100}[ \t]*:|>From ")


@container(version="1.0", mime=("application/mbox",), names=("*.mbox", "*.mbx"), magic=(b"From ",))
def mbox(file: File) -> Iterator[Member | Finding]:
    """The messages of a mailbox file, each as it stands there, without the line that parts it from the one before.

    A message begins with a line ``From ... year`` after an empty line, and a header after it. Raises Unsupported where the content does not
    begin so, LimitExceeded past 4 million messages.
    """
    inventory = Inventory("mailbox")
    with file.open() as stream, file.open() as content:
        first = stream.readline(MAX_LINE)
        if not _FROM.fullmatch(first) or not _FIELD.match(stream.readline(MAX_LINE)):
            raise Unsupported("content that does not begin with a mailbox's line 'From ... date' and a header")
        for number, (begin, end) in enumerate(_messages(stream), 1):
            if number > MAX_MESSAGES:
                raise LimitExceeded(f"mailbox of more than {MAX_MESSAGES} messages; the first were listed")
            path = f"{number:06}.eml"
            inventory.note(path)
            yield Member(path=path, open=lambda begin=begin, end=end: stream_of(_range(content, begin, end)), size=end - begin)  # type: ignore[misc]
    yield from inventory.conclude()


def _messages(stream: BinaryIO) -> Iterator[tuple[int, int]]:
    """Where each message begins and ends; the empty line before the next is not part of it."""
    stream.seek(0)
    at, begin, empty, whole, candidate = 0, -1, True, True, -1
    blank = 0  # bytes of the empty line before
    while line := stream.readline(MAX_LINE):
        start, at = at, at + len(line)
        if candidate >= 0:
            if _FIELD.match(line):
                if begin >= 0:
                    yield begin, candidate - blank
                begin = start
            candidate = -1
        starts_line, whole = whole, line.endswith(b"\n")
        if starts_line and empty and line.startswith(b"From ") and _FROM.fullmatch(line):
            candidate = start
        else:
            blank = len(line) if line in (b"\n", b"\r\n") else 0
        empty = starts_line and line in (b"\n", b"\r\n")
    if begin >= 0:
        yield begin, at


def _range(stream: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    at = begin
    while at < end:
        stream.seek(at)
        piece = stream.read(min(CHUNK, end - at))
        if not piece:
            return
        at += len(piece)
        yield piece
