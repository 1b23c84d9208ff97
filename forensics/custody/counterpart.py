"""What somebody else holds of the log: a receipt, the log of a package, a checkpoint. It shows a cut tail and a rewriting."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from forensics.custody.checkpoints import LARGEST, judge
from forensics.custody.line import LINE_LIMIT, ORIGIN, SHA256, try_decode
from forensics.custody.reading import raw_lines
from forensics.custody.signatures import signers_expired
from forensics.digest import sha256
from forensics.errors import SignatureInvalid, UsageError
from forensics.signing.trust import Trust

_LARGEST_LOG = 1 << 30


class Counterpart(Struct, frozen=True):
    """Digests of lines by number, as a file states them; what that file is; and what is wrong with it or not proved of it.

    `first` is the digest of the first line of the log that it speaks of; `None` where it does not say.
    """

    heads: dict[int, str]
    what: str
    problem: str | None = None
    notice: str | None = None
    first: str | None = None


class _Head(Struct, frozen=True):
    seq: int
    head: str


class _Stated(Struct, frozen=True):
    """A receipt or a disclosure, as far as it speaks of the log: at the top, or under ``custody``."""

    custody: _Head | None = None
    seq: int | None = None
    head: str | None = None


def read_counterpart(path: Path, trust: Trust | None) -> Counterpart:
    """The heads that a receipt (JSON with ``seq`` and ``head``, or the two under ``custody``), a ``custody.jsonl`` or a checkpoint states.

    Raises UsageError for a file that is none of these, OSError.
    """
    if path.stat().st_size > _LARGEST_LOG:
        raise UsageError(f"{path}: is larger than {_LARGEST_LOG} bytes, so it is no counterpart of a custody log")
    with open(path, "rb") as file:
        first = file.readline(LINE_LIMIT + 1)
    if try_decode(first) is not None and first.endswith(b"\n"):
        return _of_log(path)
    if path.stat().st_size > LARGEST:
        raise _none(path)
    data = path.read_bytes()
    if b'"forensics-checkpoint/' in data:
        found = judge(path, trust)
        if found.checkpoint is None:
            return Counterpart({}, "checkpoint", problem=f"{path.name}: {found.problem}")
        notice = f"{path.name}: {found.notice}" if found.notice else None
        return Counterpart({found.checkpoint.seq: found.checkpoint.head}, "checkpoint", notice=notice, first=found.checkpoint.log)
    try:
        stated = msgspec.json.decode(data, type=_Stated)
    except (ValueError, RecursionError) as error:
        raise _none(path) from error
    held = stated.custody or (_Head(stated.seq, stated.head) if stated.seq is not None and stated.head is not None else None)
    if held is None or not SHA256.fullmatch(held.head) or held.seq < 1:
        raise _none(path)
    problem, notice = _signature(path, data, trust)
    return Counterpart({held.seq: held.head}, "statement", problem, notice)


def differences(folder: Path, stated: Counterpart, name: str) -> Iterator[str]:
    """What the log of a case has otherwise than the file `name` states. A file of another log says nothing of this one."""
    digests = {number: sha256(raw) for number, raw in raw_lines(folder) if number == 1 or number in stated.heads}
    if stated.first is not None and digests.get(1) != stated.first:
        yield f"{name}: speaks of a log that begins otherwise: it is of another case, or this log was written anew from its first line"
        return
    doubt = "" if stated.first else "; or it is not about this case: compare the number of the disclosure in it"
    for number, digest in stated.heads.items():
        if number not in digests:
            yield f"{name}: states line {number} of the log, which is not there: the log was cut{doubt}"
        elif digests[number] != digest:
            yield f"{name}: states another line {number} than the log has: it or a line before it was rewritten{doubt}"


def _signature(path: Path, data: bytes, trust: Trust | None) -> tuple[str | None, str | None]:
    """What is wrong with the signature beside a statement (``FILE.p7s``), or what is not proved where there is none."""
    signature = path.with_name(f"{path.name}.p7s")
    if not signature.is_file():
        return None, f"{path.name}: has no signature beside it ({signature.name}); whose statement it is, is not proved here"
    if signature.stat().st_size > LARGEST:
        return f"{signature.name}: is too large for a signature", None
    try:
        _, notice = signers_expired(data, signature.read_bytes(), trust)
    except SignatureInvalid as error:
        return f"{path.name}: its signature does not hold: {error}", None
    return None, f"{path.name}: {notice}" if notice else None


def _of_log(path: Path) -> Counterpart:
    """Every line's digest of another copy of the log, as far as that is a chain itself."""
    heads: dict[int, str] = {}
    before = ORIGIN
    with open(path, "rb") as file:
        while raw := file.readline(LINE_LIMIT + 1):
            line = try_decode(raw)
            if line is None or not raw.endswith(b"\n") or line.prev != before or line.seq != len(heads) + 1:
                problem = f"{path.name}, line {len(heads) + 1}: does not follow the line before it in that copy"
                return Counterpart(heads, "log", problem=problem, first=heads.get(1))
            before = sha256(raw)
            heads[line.seq] = before
    notice = f"{path.name}: is a copy without a signature; whose it is, is not proved here"
    return Counterpart(heads, "log", notice=notice, first=heads.get(1))


def _none(path: Path) -> UsageError:
    return UsageError(f"{path}: is no receipt, custody log or checkpoint, so nothing can be compared with it")
