"""Lines in order, more of them than memory holds."""

import contextlib
import heapq
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

TOGETHER = 16 << 20  # bytes of lines that are sorted in memory; ten million files of a folder are some hundred such lots


def ordered(lines: Iterable[bytes], key: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """`lines`, each with its newline, in order of their keys; of those with the same key the earlier comes first.

    Lots of them are sorted in memory and put aside in unnamed files, which are then read side by side. Raises OSError (disk full).
    """
    with contextlib.ExitStack() as opened:
        aside: list[BinaryIO] = []
        lot: list[bytes] = []
        size = 0
        for line in lines:
            lot.append(line)
            size += len(line)
            if size >= TOGETHER:
                lot.sort(key=key)
                aside.append(file := opened.enter_context(tempfile.TemporaryFile()))
                file.writelines(lot)
                file.seek(0)
                lot, size = [], 0
        lot.sort(key=key)
        yield from heapq.merge(*aside, lot, key=key)
