"""Everything that is wrong with a custody log, named with the number of the line."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from forensics.custody.canonical_text import is_canonical
from forensics.custody.checkpoints import CHECKPOINTS, LARGEST, judged
from forensics.custody.events import EVENTS
from forensics.custody.line import LINE_LIMIT, LOG, ORIGIN, CustodyLine, seconds_back, try_decode, with_body
from forensics.custody.reading import raw_lines, read_body
from forensics.custody.transfers import Ledger
from forensics.digest import sha256
from forensics.signing.trust import Trust


class Proof(Struct, frozen=True):
    """What is wrong with a log; what is not proved of it and by itself no fault; the last line that a checkpoint signs (0: none)."""

    problems: tuple[str, ...]
    notices: tuple[str, ...] = ()
    signed: int = 0


def verify(
    folder: Path,
    checks: Callable[[CustodyLine], Iterable[str]] | None = None,
    *,
    heads: Mapping[int, str] | None = None,
    trust: Trust | None = None,
) -> list[str]:
    """Everything that is wrong with the log, each with the number of the line; empty where it verifies.

    Every problem of `proved`, where what is not proved has its place.
    """
    return list(proved(folder, checks, heads=heads, trust=trust).problems)


def proved(
    folder: Path,
    checks: Callable[[CustodyLine], Iterable[str]] | None = None,
    *,
    heads: Mapping[int, str] | None = None,
    trust: Trust | None = None,
) -> Proof:
    """What is wrong with the log, and what could not be proved of it.

    Named are changed, dropped, inserted and moved lines, changed bodies, an incomplete last line, a clock that stepped back unsaid. A
    withheld body is none of these (see `withheld`). `checks` is asked for problems of what a line's body vouches for; `heads` are
    digests of lines by number, as reports or a partner's copy state them: like this log's own checkpoints they show a cut or rewritten log.
    Signatures of checkpoints and transfers must hold; with `trust`, also lead to a pinned root and not be revoked. They are judged as of
    the time stamp that covers them: a checkpoint's own, for a transfer that of the first stamped checkpoint of its line or a later one (if
    that states another line than the log has, that is a problem itself). A certificate that has expired since is no problem but a notice.
    """
    problems: list[str] = []
    digests: dict[int, str] = {}
    seq, before, at, said = 0, ORIGIN, "", 0
    ledger: Ledger | None = None
    if not (folder / LOG).exists():
        return Proof((f"{LOG}: there is no custody log",))
    found = tuple(judged(folder, trust))
    stamps = {each.checkpoint.seq: each.stamped for each in found if each.checkpoint and each.stamped}
    for number, raw in raw_lines(folder):
        where = f"{LOG}, line {number}"
        ledger = ledger or Ledger(sha256(raw), trust, stamps)
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
        else:
            whole = with_body(line, body)
            problems += (f"{where}: {problem}" for problem in ledger.problems(whole))
            problems += (f"{where}: {problem}" for problem in _vouched(folder, whole))
            problems += (f"{where}: {problem}" for problem in (checks(whole) if checks else ()))
        seq, before, at = line.seq, sha256(raw), line.at
        said = said if line.event == "checkpointed" else seq  # the last line that says more than that a checkpoint was made
        digests[seq] = before
    problems += (f"{each.path.relative_to(folder)}: {each.problem}" for each in found if each.problem)
    problems += _stated(digests, (heads or {}).items() | {(each.checkpoint.seq, each.checkpoint.head) for each in found if each.checkpoint})
    signed = max((each.checkpoint.seq for each in found if each.checkpoint), default=0)
    notices = list(ledger.notices()) if ledger else []
    notices += (f"{each.path.relative_to(folder)}: {each.notice}" for each in found if each.notice)
    if not signed:
        notices.append(f"{LOG}: unsigned: no checkpoint states its head, so a cut tail or a rewriting shows against a partner's copy only")
    elif said > signed:
        notices.append(f"{LOG}: lines {signed + 1}-{seq} are covered by no checkpoint")
    if trust is None and (signed or (ledger and ledger.signed)):
        notices.append("signatures were checked for integrity, but not to whom they belong: name the folder of trusted roots with --trust")
    return Proof(tuple(problems), tuple(notices), signed)


def _stated(digests: Mapping[int, str], heads: Iterable[tuple[int, str]]) -> Iterator[str]:
    """What the heads show that were stated elsewhere."""
    for stated, digest in sorted(heads):
        if stated not in digests:
            yield f"{LOG}, line {stated}: is not there, though a checkpoint or report states it: the log was cut"
        elif digests[stated] != digest:
            yield f"{LOG}, line {stated}: is not the one that a checkpoint or report states: it or a line before it was rewritten"


def _vouched(folder: Path, line: CustodyLine) -> Iterator[str]:
    """What is wrong with the checkpoint that a `checkpointed` line vouches for. In a package it may be left out, with the line's body."""
    if line.event != "checkpointed" or line.body is None:
        return
    seq = line.body.get("checkpoint")
    path = folder / CHECKPOINTS / f"{seq}.json"
    if not isinstance(seq, int) or line.object != path.relative_to(folder).as_posix():
        yield "vouches for a checkpoint that has no number"
        return
    for each, digest in ((path, line.body.get("sha256")), (path.with_name(f"{path.name}.p7s"), line.body.get("signature_sha256"))):
        name = each.relative_to(folder)
        if not each.is_file():
            yield f"{name} is missing"
        elif each.stat().st_size > LARGEST or sha256(each.read_bytes()) != digest:
            yield f"{name} was changed: it does not have the SHA-256 that was logged"


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
