"""The custody log read: its lines in order with their bodies, and its head. The chain is not checked here."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from forensics.custody.line import (
    BODIES,
    BODY_LIMIT,
    LINE_LIMIT,
    LOG,
    ORIGIN,
    SHA256,
    Body,
    CustodyLine,
    decode,
    decode_body,
    try_decode,
    with_body,
)
from forensics.digest import sha256
from forensics.errors import CustodyBroken


def read(folder: Path) -> Iterator[CustodyLine]:
    """The whole lines of the log in order, each with its body where that is there; an incomplete last line is left to `verify`.

    Raises CustodyBroken where a line is none or a body was changed. The chain is not checked here: that is `verify`.
    """
    for number, raw in raw_lines(folder):
        if not raw.endswith(b"\n") and len(raw) <= LINE_LIMIT:
            return
        line = decode(raw, f"line {number}")
        body, problem = read_body(folder, line)
        if problem:
            raise CustodyBroken(f"{folder / LOG}, line {number}: {problem}")
        yield with_body(line, body)


def legible(folder: Path) -> Iterator[CustodyLine]:
    """The lines that can be read, in order, and no error where one cannot: for what is compared with a log that `verify` judges besides."""
    for _, raw in raw_lines(folder):
        if len(raw) > LINE_LIMIT:
            return
        line = try_decode(raw) if raw.endswith(b"\n") else None
        if line is None:
            continue
        body, problem = read_body(folder, line)
        if not problem:
            yield with_body(line, body)


def head(folder: Path) -> tuple[int, str]:
    """Number and SHA-256 of the last whole line: what a checkpoint or a report states. ``(0, 64 zeros)`` of an empty log."""
    try:
        with open(folder / LOG, "rb") as log:
            raw = last(log)
    except FileNotFoundError:
        raw = b""
    return (decode(raw, "the last line").seq, sha256(raw)) if raw else (0, ORIGIN)


def withheld(folder: Path) -> list[int]:
    """Numbers of the lines whose body is not there. Raises CustodyBroken as `read`."""
    return [line.seq for line in read(folder) if line.body is None]


def raw_lines(folder: Path) -> Iterator[tuple[int, bytes]]:
    """The lines as bytes, each with its number from 1; a piece longer than a line can be comes cut off, one byte too long."""
    try:
        with open(folder / LOG, "rb") as log:
            number = 0
            while raw := log.readline(LINE_LIMIT + 1):
                number += 1
                yield number, raw
    except FileNotFoundError:
        return


def read_body(folder: Path, line: CustodyLine) -> tuple[Body | None, str | None]:
    """The body of a line, and what is wrong with it; neither where it is withheld."""
    if not SHA256.fullmatch(line.body_sha256):
        return None, f"body_sha256 {line.body_sha256[:80]!r} is not a SHA-256"
    path = folder / BODIES / f"{line.body_sha256}.json"
    try:
        with open(path, "rb") as file:
            content = file.read(min(os.fstat(file.fileno()).st_size, BODY_LIMIT) + 1)  # room is made for all that is asked for
    except FileNotFoundError:
        return None, None
    if len(content) > BODY_LIMIT or sha256(content) != line.body_sha256:
        return None, f"its body {path.name} was changed: it does not have the digest that is its name"
    try:
        return decode_body(content), None
    except (ValueError, RecursionError) as error:
        return None, f"its body {path.name} is not a salted body ({error})"


def tail(log: BinaryIO) -> bytes:
    """What stands after the last newline. Raises CustodyBroken where that is longer than a line can be."""
    size = log.seek(0, 2)
    log.seek(max(0, size - LINE_LIMIT))
    data = log.read()
    at = data.rfind(b"\n")
    if at < 0 and size > LINE_LIMIT:
        raise _too_long()
    return data[at + 1 :]


def last(log: BinaryIO) -> bytes:
    """The last whole line with its newline, empty where there is none. Raises CustodyBroken where it is too long to be a line."""
    size = log.seek(0, 2) - len(tail(log))
    start = max(0, size - LINE_LIMIT)
    log.seek(start)
    data = log.read(size - start)
    at = data[:-1].rfind(b"\n")
    if at < 0 and start > 0:
        raise _too_long()
    return data[at + 1 :]


def _too_long() -> CustodyBroken:
    return CustodyBroken(f"{LOG}: the last line is longer than {LINE_LIMIT} bytes; restore the log from a copy")
