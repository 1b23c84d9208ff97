"""What a directory's own bytes say: names, and where they stand; one list of them without repetitions, in memory that stays flat."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from forensics.evidence.allocation import Marks
from forensics.evidence.tsk_constants import ALLOCATED, NON_RESIDENT

_CHUNK = 1 << 16  # bytes read at once, and lost where they cannot be read


class Name(NamedTuple):
    """One name, with the words and numbers of The Sleuth Kit's TSK_FS_NAME. `at` is the byte of the directory's content where it stands."""

    name: bytes
    meta_addr: int
    meta_seq: int
    flags: int
    type: int
    at: int


class Trouble(NamedTuple):
    """Part of a directory that cannot be read, in words that begin small."""

    message: str


Names = Iterator[Name | Trouble]


def distinct(names: Callable[[], Names], moved: bool = False) -> Names:
    """The names without those that repeat another with the same meta address; where one of them is allocated, it is the one that stays.

    `names` gives the same names each time: they are read twice, so that of each only a number stays in memory. This is how The Sleuth Kit
    lists them too (tsk_fs_dir_add), though in a time that grows with the square of their number.

    Where a node of an index was split (`moved`), the end of what is in use is written over the address of the first entry that moved on.
    A deleted name without an address is given last, and only if no other bears the same name.
    """
    states = States()
    headless: dict[bytes, Name] = {}
    for name in names():
        if isinstance(name, Trouble):
            continue
        if moved and not name.meta_addr and not name.flags & ALLOCATED:
            headless.setdefault(name.name, name)
        else:
            states.add(hash((name.meta_addr, name.name)), bool(name.flags & ALLOCATED))
    for name in names():
        if isinstance(name, Trouble):
            yield name
        elif not moved or name.meta_addr or name.flags & ALLOCATED:
            if headless:
                headless.pop(name.name, None)
            if states.take(hash((name.meta_addr, name.name)), bool(name.flags & ALLOCATED)):
                yield name
    yield from headless.values()


class States:
    """Of each of very many names, whether one that is allocated was seen, and whether it was taken: 16 to 32 bytes a name.

    A table with open addressing (Knuth, "The Art of Computer Programming", 6.4, algorithm L). Names are told apart by 62 bits of their
    hash, which Python keys anew in each process: two of a million share them once in five million directories.
    """

    _TAKEN, _ALLOCATED = 1, 2

    def __init__(self) -> None:
        self._slots, self._used = array("Q", bytes(8 << 10)), 0

    def add(self, hashed: int, allocated: bool) -> None:
        """A name was seen."""
        slot, key = self._find(hashed)
        if not self._slots[slot]:
            self._slots[slot] = key
            self._used += 1
        if allocated:
            self._slots[slot] |= self._ALLOCATED
        if self._used * 2 > len(self._slots):
            self._grow()

    def take(self, hashed: int, allocated: bool) -> bool:
        """Whether this is the one to give of those that share a hash: the first that is allocated, or else the first."""
        slot = self._find(hashed)[0]
        state = self._slots[slot]
        if state & self._TAKEN or (state & self._ALLOCATED and not allocated):
            return False
        self._slots[slot] |= self._TAKEN
        return True

    def _find(self, hashed: int) -> tuple[int, int]:
        """The slot that holds a hash, or that is free for it, and what it holds."""
        key = (hashed << 2 | 4) & 0xFFFFFFFFFFFFFFFC or 4
        slots, mask = self._slots, len(self._slots) - 1
        slot = key >> 3 & mask
        while slots[slot] and slots[slot] >> 2 != key >> 2:
            slot = slot + 1 & mask
        return slot, key

    def _grow(self) -> None:
        before, self._slots = self._slots, array("Q", bytes(16 * len(self._slots)))
        mask = len(self._slots) - 1
        for state in before:
            if state:
                slot = state >> 3 & mask
                while self._slots[slot]:
                    slot = slot + 1 & mask
                self._slots[slot] = state


class Positions:
    """Numbers by key, 16 bytes each: for a meta address or a name's hash, where in a large directory the name is."""

    def __init__(self, pairs: Iterator[tuple[int, int]]) -> None:
        keys, values = array("Q"), array("Q")
        for key, value in pairs:
            keys.append(key)
            values.append(value)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self._keys = array("Q", map(keys.__getitem__, order))
        self._values = array("Q", map(values.__getitem__, order))

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: int) -> Iterator[int]:
        """The numbers of a key, in the order in which they came."""
        for index in range(bisect_left(self._keys, key), len(self._keys)):
            if self._keys[index] != key:
                return
            yield self._values[index]


class Content:
    """The bytes of one attribute of a directory, in its own order, from where it has blocks; `file` is a pytsk3.File."""

    def __init__(self, file: Any, attribute: Any, block: int, last_block: int) -> None:
        info = attribute.info
        self._file, self._type, self._id, self._block, self._last = file, int(info.type), int(info.id), block, last_block
        self.size = int(info.size)
        # sparse runs (2) and those that stand for what is missing (1) hold no names
        self._runs = [(int(run.offset), int(run.addr), int(run.len)) for run in attribute if not int(run.flags)]

    def blocks(self, step: int) -> Iterator[tuple[int, bytes] | Trouble]:
        """Pieces of `step` bytes (a divisor of the block, or a multiple) with their offsets. A block that comes twice is read once."""
        seen = Marks()
        end = -(-self.size // self._block) * self._block
        covered = 0
        for offset, address, length in self._runs:
            start = offset * self._block
            stop = min(start + length * self._block, end)
            covered = max(covered, stop)
            for at in range(start, stop, _CHUNK):
                wanted = min(_CHUNK, stop - at)
                first = address + (at - start) // self._block
                count = -(-wanted // self._block)
                if first + count - 1 > self._last:
                    yield Trouble(f"what follows offset {at} lies beyond the end of the file system")
                    break
                again = [block for block in range(first, first + count) if seen.mark(block)]
                if again:
                    yield Trouble(f"block {again[0]} stands in it more than once; what follows offset {at} is not read")
                    return
                data = self._whole(at, wanted)
                if isinstance(data, Trouble):
                    yield data
                    continue
                for inner in range(0, wanted, step):
                    yield at + inner, data[inner : inner + step]
        if covered < end:
            yield Trouble(f"its size is {self.size}, but it has blocks for no more than {covered} bytes")

    def _whole(self, offset: int, size: int) -> bytes | Trouble:
        try:
            data = self.read(offset, size)
        except OSError:
            data = b""
        return data if len(data) == size else Trouble(f"{size} bytes at offset {offset} cannot be read")

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, up to the end of its blocks. Raises OSError."""
        data: bytes = self._file.read_random(offset, size, self._type, self._id, 1)  # 1: what lies beyond the size too
        return data


def attribute_of(file: Any, type_: int) -> Any:
    """The attribute of a type that has the lowest id, `None` where there is none. Raises OSError."""
    found = None
    for attribute in file:
        if int(attribute.info.type) == type_ and (found is None or int(attribute.info.id) < int(found.info.id)):
            found = attribute
    return found


def is_stored_in_blocks(attribute: Any) -> bool:
    """Whether an attribute has blocks of its own, rather than to lie in the file's record."""
    return bool(int(attribute.info.flags) & NON_RESIDENT)
