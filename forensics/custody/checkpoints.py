"""Checkpoints: a person's signature over the head of the custody log, so that a cut or a rewriting of what came before is seen.

``custody/checkpoints/<seq>.json`` (canonical JSON) states number and SHA-256 of a line, ``<seq>.json.p7s`` is the detached CMS signature
over it, ``<seq>.json.p7s.tsr`` a time stamp (RFC 3161) over that signature where an authority stamps. They go out with the log: nothing in
them can be guessed.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from forensics import signing
from forensics.custody.line import LOG, SHA256, decode
from forensics.custody.reading import head, raw_lines, read_body
from forensics.custody.signatures import SignedBy, signers_expired
from forensics.custody.writing import append, write_whole
from forensics.digest import canonical, sha256
from forensics.errors import CustodyBroken, SignatureInvalid, UsageError
from forensics.signing.trust import Trust

CHECKPOINTS = Path("custody", "checkpoints")
FORMAT = "forensics-checkpoint/1"
LARGEST = 1 << 20  # bytes of a checkpoint, a signature or a stamp
_NAME = re.compile(r"[1-9][0-9]{0,15}\.json")
_LEFT = re.compile(r"\..*\.part|[1-9][0-9]{0,15}\.json\.p7s(\.tsr)?")  # by a crash, before the checkpoint was whole
_WHY = re.compile(r"[a-z][A-Za-z0-9 -]{0,39}")


class Checkpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed: `seq` and `head` are number and SHA-256 of the last line, `log` is the SHA-256 of the first."""

    format: str
    case: str
    log: str
    seq: int
    head: str
    at: str
    why: str


class Judged(Struct, frozen=True, kw_only=True):
    """A checkpoint as it was found. `problem` is what is wrong with it; else its signers, and the time of its stamp where it has one."""

    path: Path
    checkpoint: Checkpoint | None = None
    signers: tuple[SignedBy, ...] = ()
    stamped: datetime | None = None
    problem: str | None = None
    notice: str | None = None  # what is not proved of its signature


_checkpoint = msgspec.json.Decoder(Checkpoint)


def checkpoint(
    folder: Path,
    why: str,
    identity: "signing.Identity",
    *,
    at: datetime,
    stamping: "signing.StampingAuthority | None" = None,
    by: str | None = None,
) -> Checkpoint:
    """Sign the log's head as it stands, and add a `checkpointed` event that vouches for the checkpoint. The case is locked by the caller.

    `why` is a word or two, such as ``transfer`` or ``seal S-1``: it leaves the house. Raises UsageError, CustodyBroken, SigningError and
    OSError.
    """
    if not _WHY.fullmatch(why):
        raise UsageError(f"{why!r} cannot be why a checkpoint is made: say at most 40 letters, digits and spaces, such as 'transfer'")
    first = next(raw_lines(folder), None)
    seq, digest = head(folder)
    if first is None or not seq:
        raise CustodyBroken(f"{folder / LOG}: is empty, so there is nothing to sign")
    path = folder / CHECKPOINTS / f"{seq}.json"
    if path.exists():  # a crash kept its event from being written
        _vouch(folder, path, by or identity.name, at)
        return checkpoint(folder, why, identity, at=at, stamping=stamping, by=by)
    made = Checkpoint(
        format=FORMAT,
        case=_case(folder),
        log=sha256(first[1]),
        seq=seq,
        head=digest,
        at=at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        why=why,
    )
    data = canonical(made)
    signature = signing.sign(data, identity, at=at)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob("*.p7s*"):  # by a crash, before its checkpoint was written
        if not (left.parent / left.name.partition(".p7s")[0]).exists():
            left.unlink()
    write_whole(_signature(path), signature)
    if stamping is not None:
        write_whole(_stamp(path), signing.stamp(signature, stamping))
    write_whole(path, data)  # last: what has no .json is no checkpoint
    _vouch(folder, path, by or identity.name, at)
    return made


def judged(folder: Path, trust: Trust | None) -> Iterator[Judged]:
    """Every checkpoint by its number, with its signers or what is wrong with it; see `signatures.signers` for what `trust` adds."""
    first = next(raw_lines(folder), None)
    log = sha256(first[1]) if first else None
    held = folder / CHECKPOINTS
    found = {path.name for path in held.iterdir()} if held.is_dir() else set()
    known = sorted((name for name in found if _NAME.fullmatch(name)), key=lambda name: int(name.removesuffix(".json")))
    ours = {f"{name}{ending}" for name in known for ending in ("", ".p7s", ".p7s.tsr")}
    for name in sorted(found - ours):
        if not _LEFT.fullmatch(name):
            yield Judged(path=held / name, problem="is not a checkpoint")
    for name in known:
        yield judge(held / name, trust, log=log)


def judge(path: Path, trust: Trust | None, *, log: str | None = None) -> Judged:
    """One checkpoint with its signature beside it. With `log`, it must be of the log that begins with the line of that SHA-256."""
    try:
        data = _bounded(path)
        made = _checkpoint.decode(data)
    except (OSError, ValueError, RecursionError) as error:
        return Judged(path=path, problem=f"is not a checkpoint ({error})")
    if data != canonical(made) or made.format != FORMAT or not SHA256.fullmatch(made.head) or not SHA256.fullmatch(made.log):
        return Judged(path=path, problem="is not a checkpoint in canonical form: it was changed")
    if log is not None and (path.name != f"{made.seq}.json" or made.log != log):
        return Judged(path=path, problem=f"is not the checkpoint of line {path.stem} of this log")
    stamped = None
    try:
        signature = _bounded(_signature(path))
        stamp = _stamp(path)
        if trust is not None and stamp.exists():
            stamped = signing.verify_stamp(signature, _bounded(stamp), trust).at
        found, notice = signers_expired(data, signature, trust, at=stamped)
    except OSError as error:
        return Judged(path=path, problem=f"has no signature that can be read ({error.strerror})")
    except (SignatureInvalid, ValueError) as error:
        return Judged(path=path, problem=f"its signature does not hold: {error}")
    return Judged(path=path, checkpoint=made, signers=found, stamped=stamped, notice=notice)


def heads_of(folder: Path, trust: Trust | None) -> dict[int, str]:
    """Number and SHA-256 of every line that a checkpoint of this log states, whose signatures hold; see `custody.verify`."""
    return {each.checkpoint.seq: each.checkpoint.head for each in judged(folder, trust) if each.checkpoint}


def _signature(path: Path) -> Path:
    return path.with_name(f"{path.name}.p7s")


def _stamp(path: Path) -> Path:
    return path.with_name(f"{path.name}.p7s.tsr")


def _vouch(folder: Path, path: Path, by: str, at: datetime) -> None:
    name = path.relative_to(folder).as_posix()
    body = {"checkpoint": int(path.stem), "sha256": sha256(_bounded(path)), "signature_sha256": sha256(_bounded(_signature(path)))}
    append(folder, "checkpointed", object=name, body=body, by=by, at=at)


def _case(folder: Path) -> str:
    """The name under which the log was begun; empty where that was withheld."""
    raw = next(raw_lines(folder))[1]
    body, _ = read_body(folder, decode(raw, "line 1"))
    return body.object if body else ""


def _bounded(path: Path) -> bytes:
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"{path.name} is larger than {LARGEST} bytes")
    return data
