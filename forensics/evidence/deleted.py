"""The state of a deleted content against the allocation map: intact, partly reallocated, reallocated, unknown."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from forensics.evidence import limits
from forensics.evidence.allocation import Claims, Owners
from forensics.evidence.tsk_constants import COMPRESSED, FAT, FORGETFUL, NON_RESIDENT
from forensics.model import ContentState


class Verdict(NamedTuple):
    """`holes` are byte ranges (offset, size) of the stream that other files own now, `owner` the location of the first of them."""

    content: ContentState
    holes: tuple[tuple[int, int], ...] = ()
    owner: str | None = None
    note: str | None = None


class Content(Protocol):
    """What the judge needs to know of a stream: size in bytes, runs (offset, first block, blocks), flags of its attribute."""

    @property
    def size(self) -> int: ...
    @property
    def runs(self) -> list[tuple[int, int, int]]: ...
    @property
    def flags(self) -> int: ...


class Judge:
    """Judges deleted contents of one file system, whose maps are settled. `place` gives the location of an owner."""

    def __init__(
        self,
        kind: str,
        block: int,
        owners: Owners,
        claims: Claims,
        incomplete: bool,
        place: Callable[[int, int | None], str],
    ) -> None:
        self._kind, self._block, self._owners, self._claims = kind, block, owners, claims
        self._incomplete, self._place = incomplete, place

    def __call__(self, stream: Content, address: int, born: int, directory: bool) -> Verdict:
        """The state of one stream of the deleted file at `address`, `born` in seconds (0: unknown)."""
        if not stream.flags & NON_RESIDENT:
            return Verdict("intact")  # it lies in the file's own record
        if stream.size <= 0:
            if self._kind in FORGETFUL:
                return Verdict("unknown", note="the file system forgot its size and place when it was deleted")
            return Verdict("intact")
        if not stream.runs:
            return Verdict("unknown", note="the file system no longer says where its content lay")
        blocks = -(-stream.size // self._block)
        runs = stream.runs
        note = None
        if self._kind in FAT:
            if len(runs) > 1:
                guess = "not contiguous: FAT forgets a deleted file's chain, so that all but the first piece is a guess"
                return self._against_claims(Verdict("unknown", note=guess), runs, address, born)
            if runs[0][2] < blocks and not directory:
                # The Sleuth Kit gives a single cluster: the first one, because it is in use again, or the last that it looked at
                if next(self._owners.within(runs[0][1], 1), None) is None:
                    return Verdict("unknown", note="there are not enough free clusters from its first one on")
                runs = [(0, runs[0][1], blocks)]
                note = "taken as one piece from its first cluster: FAT forgets a deleted file's chain"
        holes, owned, owner = self._holes(runs, blocks, stream.size)
        if owned and owned >= sum(min(length, blocks - offset) for offset, _, length in runs if offset < blocks):
            return Verdict("reallocated", owner=self._place(*owner) if owner else None, note=note)
        if owned and stream.flags & COMPRESSED:
            return Verdict(
                "unknown", note="compressed, and other files own part of its blocks", owner=self._place(*owner) if owner else None
            )
        if len(holes) > limits.HOLES:
            return Verdict("unknown", note=f"other files own more than {limits.HOLES} ranges of it")
        if owned:
            verdict = Verdict("partly-reallocated", tuple(holes), self._place(*owner) if owner else None, note)
        elif self._incomplete:
            verdict = Verdict("unknown", note="part of the file system could not be read, so the allocation map has gaps")
        else:
            verdict = Verdict("intact", note=note)
        return self._against_claims(verdict, runs, address, born)

    def _against_claims(self, verdict: Verdict, runs: list[tuple[int, int, int]], address: int, born: int) -> Verdict:
        """Unknown, when another deleted file claims some of the blocks too and is not known to be older."""
        for _, start, length in runs:
            rival = self._claims.rival(start, length, address, born)
            if rival is not None:
                note = f"the deleted file at {self._place(rival, None)} claims some of its blocks too"
                return verdict._replace(content="unknown", owner=None, note=f"{verdict.note}; {note}" if verdict.note else note)
        return verdict

    def _holes(self, runs: list[tuple[int, int, int]], blocks: int, size: int) -> tuple[list[tuple[int, int]], int, tuple[int, int] | None]:
        """Byte ranges that other files own, how many blocks that is, and the first owner with its folder."""
        holes: list[tuple[int, int]] = []
        owned = 0
        owner: tuple[int, int] | None = None
        for offset, start, length in runs:
            length = min(length, blocks - offset)
            if length <= 0:
                continue
            for first, count, who, folder in self._owners.within(start, length):
                owned += count
                owner = owner or (who, folder)
                begin = (offset + first - start) * self._block
                end = min(begin + count * self._block, size)
                if holes and holes[-1][0] + holes[-1][1] == begin:
                    holes[-1] = (holes[-1][0], end - holes[-1][0])
                else:
                    holes.append((begin, end - begin))
        return holes, owned, owner
