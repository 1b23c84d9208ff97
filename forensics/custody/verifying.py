"""Everything that is wrong with a custody log, named with the number of the line."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from forensics.custody.events import EVENTS
from forensics.custody.line import LINE_LIMIT, LOG, ORIGIN, CustodyLine, is_canonical, seconds_back, try_decode, with_body
from forensics.custody.reading import raw_lines, read_body
from forensics.digest import sha256


def verify(
    folder: Path, checks: Callable[[CustodyLine], Iterable[str]] | None = None, *, heads: Mapping[int, str] | None = None
) -> list[str]:
    """Everything that is wrong with the log, each with the number of the line; empty where it verifies.

    Named are changed, dropped, inserted and moved lines, changed bodies, an incomplete last line, a clock that stepped back unsaid. A
    withheld body is none of these (see `withheld`). `checks` is asked for problems of what a line's body vouches for; `heads` are
    digests of lines by number, as signed checkpoints, reports or a partner's copy state them: they show a cut or rewritten log.
    """
    problems: list[str] = []
    digests: dict[int, str] = {}
    seq, before, at = 0, ORIGIN, ""
    if not (folder / LOG).exists():
        return [f"{LOG}: there is no custody log"]
    for number, raw in raw_lines(folder):
        where = f"{LOG}, line {number}"
        if len(raw) > LINE_LIMIT:
            problems.append(f"{where}: is longer than {LINE_LIMIT} bytes, so it is not a custody line; nothing after it was read")
            break
        if not raw.endswith(b"\n"):
            problems.append(f"{where}: is incomplete, as after a crash while it was written; the next entry moves it aside and says so")
            break
        line = try_decode(raw)
        if line is None:
            problems.append(f"{where}: is not a custody line (changed or inserted)")
            seq, before = seq + 1, sha256(raw)
            continue
        problems += (f"{where}: {problem}" for problem in _follows(line, raw, seq, before, at))
        body, problem = read_body(folder, line)
        if problem:
            problems.append(f"{where}: {problem}")
        elif checks is not None:
            problems += (f"{where}: {said}" for said in checks(with_body(line, body)))
        seq, before, at = line.seq, sha256(raw), line.at
        digests[seq] = before
    for stated, digest in sorted((heads or {}).items()):
        if stated not in digests:
            problems.append(f"{LOG}, line {stated}: is not there, though a checkpoint or report states it: the log was cut")
        elif digests[stated] != digest:
            problems.append(
                f"{LOG}, line {stated}: is not the one that a checkpoint or report states: it or a line before it was rewritten"
            )
    return problems


def _follows(line: CustodyLine, raw: bytes, seq: int, before: str, at: str) -> Iterator[str]:
    """What keeps `line` from being the one after line `seq`, whose digest is `before` and whose time is `at`."""
    if not is_canonical(raw[:-1]):
        yield "is not in canonical form (RFC 8785): it was changed"
    if line.seq > seq + 1:
        yield (
            f"carries number {line.seq}: "
            + (f"line {seq + 1} was" if line.seq == seq + 2 else f"lines {seq + 1}-{line.seq - 1} were")
            + (" dropped, or lines were moved")
        )
    elif line.seq <= seq:
        yield f"carries number {line.seq} after number {seq}: it was inserted or moved"
    elif line.prev != before:
        yield (
            f"does not carry the digest of line {seq}: that line was changed, or this one was"
            if seq
            else ("does not begin the chain: it was changed, or lines before it were dropped")
        )
    if line.event not in EVENTS:
        yield f"event {line.event!r} is none of the closed list"
    try:
        back = seconds_back(at, line.at) if at else 0.0
    except ValueError:
        yield f"time {line.at!r} is not ISO 8601 in UTC"
        return
    if back > 0 and line.clock_back is None:
        yield f"its clock stepped back by {back:g} s, and it does not say so"
