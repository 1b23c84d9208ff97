"""Which file owns which blocks: the allocation map that deleted content is checked against.

The runs of all allocated files, and of all deleted ones, as sorted arrays of integers: 32 bytes a run, whatever their number.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from forensics.evidence import limits


class Owners:
    """Runs of allocated files. `owner` is a meta address, `folder` a number that says where its name was found."""

    def __init__(self) -> None:
        self._starts, self._ends, self._owners, self._folders = array("Q"), array("Q"), array("Q"), array("I")

    def add(self, start: int, length: int, owner: int, folder: int) -> None:
        """Blocks `start` to `start + length` belong to `owner`."""
        self._starts.append(start)
        self._ends.append(start + length)
        self._owners.append(owner)
        self._folders.append(folder)

    def settle(self) -> None:
        """Sort, and give each block one owner, the first that claimed it (two live owners are damage of the file system)."""
        order = sorted(range(len(self._starts)), key=self._starts.__getitem__)
        starts, ends, owners, folders = array("Q"), array("Q"), array("Q"), array("I")
        last = 0
        for index in order:
            start, end = max(self._starts[index], last), self._ends[index]
            if start >= end:
                continue
            if starts and start == last and owners[-1] == self._owners[index]:
                ends[-1] = end
            else:
                starts.append(start)
                ends.append(end)
                owners.append(self._owners[index])
                folders.append(self._folders[index])
            last = end
        self._starts, self._ends, self._owners, self._folders = starts, ends, owners, folders

    def within(self, start: int, length: int) -> Iterator[tuple[int, int, int, int]]:
        """What is owned of blocks `start` to `start + length`: (start, length, owner, folder) in order. After `settle`."""
        stop = start + length
        for index in range(bisect_right(self._ends, start), len(self._starts)):
            if self._starts[index] >= stop:
                return
            first, last = max(start, self._starts[index]), min(stop, self._ends[index])
            yield first, last - first, self._owners[index], self._folders[index]


class Claims:
    """Runs of deleted files, several of which may claim one block; each with the times between which it was written, in seconds."""

    def __init__(self) -> None:
        self._starts, self._ends, self._reach = array("Q"), array("Q"), array("Q")
        self._owners, self._latest = array("Q"), array("q")

    def add(self, start: int, length: int, owner: int, latest: int) -> None:
        """`owner` claims blocks `start` to `start + length`; nothing says that it was written after `latest`."""
        self._starts.append(start)
        self._ends.append(start + length)
        self._owners.append(owner)
        self._latest.append(latest)

    def settle(self) -> None:
        """Sort by start, and note how far all runs up to each one reach."""
        order = sorted(range(len(self._starts)), key=self._starts.__getitem__)
        self._starts = array("Q", map(self._starts.__getitem__, order))
        self._ends = array("Q", map(self._ends.__getitem__, order))
        self._owners = array("Q", map(self._owners.__getitem__, order))
        self._latest = array("q", map(self._latest.__getitem__, order))
        reach = 0
        for end in self._ends:
            reach = max(reach, end)
            self._reach.append(reach)

    def rival(self, start: int, length: int, owner: int, born: int) -> int | None:
        """Another deleted file that claims some of these blocks and is not known to be older than `born`; `None` if there is none.

        `born` 0 means unknown: then any other claim counts. After `settle`.
        """
        index = bisect_left(self._starts, start + length) - 1
        for _ in range(limits.CLAIMS):
            if index < 0 or self._reach[index] <= start:
                return None
            if self._ends[index] > start and self._owners[index] != owner:
                latest = self._latest[index]
                if not (0 < latest < born):
                    return self._owners[index]
            index -= 1
        return self._owners[index]


class Marks:
    """A set of meta addresses, one bit each, in pages that exist only where something is marked."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def mark(self, number: int) -> bool:
        """Mark `number`; whether it was marked already."""
        page = self._pages.get(number >> 12)
        if page is None:
            page = self._pages[number >> 12] = bytearray(512)
        at, bit = (number & 0xFFF) >> 3, 1 << (number & 7)
        before = page[at] & bit
        page[at] |= bit
        return before != 0

    def __contains__(self, number: int) -> bool:
        page = self._pages.get(number >> 12)
        return page is not None and page[(number & 0xFFF) >> 3] & (1 << (number & 7)) != 0
