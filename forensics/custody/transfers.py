"""Transfers signed by both hands: the giver's signature stands in the event, the receiver's in an event of its own that refers to it.

Both sign the same statement: canonical JSON of what the event says without signatures, bound to this log by the digest of its first line.
Nothing is rewritten when the receiver signs.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from forensics import signing
from forensics.custody.filling import checked
from forensics.custody.forms import Signature
from forensics.custody.line import LOG, CustodyLine
from forensics.custody.reading import raw_lines, read
from forensics.custody.signatures import as_text, from_text, signers_expired
from forensics.custody.writing import append
from forensics.digest import canonical, sha256
from forensics.errors import CustodyBroken, SignatureInvalid, UsageError
from forensics.signing.trust import Trust

FORMAT = "forensics-transfer/1"


def statement(log: str, object: str, by: str | None, body: dict[str, Any]) -> bytes:
    """What giver and receiver sign; `log` is the SHA-256 of the log's first line."""
    said = {name: value for name, value in body.items() if name != "signature"}
    return canonical({"format": FORMAT, "log": log, "object": object, "by": by, "body": said})


def transfer(
    folder: Path, object: str, body: dict[str, Any], identity: "signing.Identity", *, by: str | None = None, at: datetime
) -> CustodyLine:
    """Add a `transferred` event with the giver's signature. The case is locked by the caller.

    Raises UsageError as `append`, CustodyBroken where there is no log yet, SigningError.
    """
    who = by or identity.name
    said = checked("transferred", {"at": at.isoformat(timespec="seconds"), **body}, signed=False)
    signed = _signature(statement(_log(folder), object, who, said), identity, at)
    return append(folder, "transferred", object=object, body={**said, "signature": signed}, by=who, at=at)


def countersign(folder: Path, seq: int, identity: "signing.Identity", *, by: str | None = None, at: datetime) -> CustodyLine:
    """Add the receiver's signature over the transfer of line `seq`, as a `countersigned` event. The case is locked by the caller.

    Raises UsageError where that line is no transfer, was countersigned before or was signed by the same certificate, CustodyBroken and
    SigningError.
    """
    found: CustodyLine | None = None
    for line in read(folder):
        if line.seq == seq:
            found = line
        if line.event == "countersigned" and line.body and line.body.get("transfer") == seq:
            raise UsageError(f"{LOG}, line {seq}: was countersigned in line {line.seq} already")
    if found is None or found.event != "transferred" or found.body is None:
        raise UsageError(f"{LOG}, line {seq}: is not a transfer that is there to be countersigned; `custody show` gives the numbers")
    giver = _held(found.body)
    if giver and giver.fingerprint == identity.fingerprint:
        raise UsageError(f"{LOG}, line {seq}: was signed with this certificate by the giver; the receiver signs with another")
    data = statement(_log(folder), found.object, found.by, found.body)
    body = {"transfer": seq, "statement_sha256": sha256(data), "signature": _signature(data, identity, at)}
    return append(folder, "countersigned", object=found.object, body=body, by=by or identity.name, at=at)


class Ledger:
    """The transfers of a log, line by line in order: what is wrong with their signatures, and which lack one.

    `stamps` are the times at which, by time stamps, the log up to a line existed. A signature is judged as of the first that covers its
    line. A certificate that expired before that, or before now where there is none, leaves a notice: the log is not broken by time alone.
    """

    def __init__(self, log: str, trust: Trust | None, stamps: Mapping[int, datetime] | None = None) -> None:
        self._log = log
        self._trust = trust
        self._stamps = sorted((stamps or {}).items())
        self._unproved: list[str] = []
        self._statements: dict[int, tuple[bytes, str | None]] = {}  # line: what was signed, and the giver's certificate
        self._signed: dict[str, int] = {}  # digest of a statement that was signed: line
        self._received: set[int] = set()
        self._withheld: set[int] = set()

    def problems(self, line: CustodyLine) -> Iterator[str]:
        """What is wrong with the signature of this line, if it is one of a transfer."""
        if line.event == "transferred":
            if line.body is None:
                self._withheld.add(line.seq)
                return
            yield from self._given(line, line.body)
        elif line.event == "countersigned" and line.body is not None:
            yield from self._taken(line, line.body)

    @property
    def signed(self) -> bool:
        """Whether any transfer was signed."""
        return bool(self._signed or self._received)

    def notices(self) -> Iterator[str]:
        """The transfers that lack a signature, or whose time is not proved: no broken chain, and yet not what ISO/IEC 27037 asks for."""
        yield from self._unproved
        for seq, (_, giver) in self._statements.items():
            if giver is None:
                yield f"{LOG}, line {seq}: transfer not signed by the giver"
            if seq not in self._received:
                yield f"{LOG}, line {seq}: transfer not countersigned by the receiver"

    def _given(self, line: CustodyLine, body: dict[str, Any]) -> Iterator[str]:
        data = statement(self._log, line.object, line.by, body)
        if "signature" not in body:
            self._statements[line.seq] = data, None
            return
        held = _held(body)
        problem = self._checked(data, held, line.seq)
        if problem:
            yield f"the giver's signature does not hold: {problem}"
        digest = sha256(data)
        if digest in self._signed:
            yield f"is a copy of the transfer that was signed in line {self._signed[digest]}"
        self._signed.setdefault(digest, line.seq)
        self._statements[line.seq] = data, held.fingerprint if held else ""

    def _taken(self, line: CustodyLine, body: dict[str, Any]) -> Iterator[str]:
        seq, held = body.get("transfer"), _held(body)
        if seq in self._withheld:
            return
        if not isinstance(seq, int) or seq not in self._statements:
            yield f"countersigns line {seq}, which is no transfer before it"
            return
        data, giver = self._statements[seq]
        if body.get("statement_sha256") != sha256(data):
            yield f"countersigns something else than line {seq} says"
        elif problem := self._checked(data, held, line.seq):
            yield f"the receiver's signature does not hold: {problem}"
        elif held and held.fingerprint == giver:
            yield f"was signed with the giver's own certificate, so line {seq} is not countersigned"
        elif seq in self._received:
            yield f"countersigns line {seq} a second time"
        else:
            self._received.add(seq)

    def _checked(self, data: bytes, held: Signature | None, seq: int) -> str | None:
        """What is wrong with a signature over `data` that stands in line `seq`."""
        if held is None:
            return "it is not of the form that is written"
        stamped = next((at for covered, at in self._stamps if covered >= seq), None)
        try:
            found, unproved = signers_expired(data, from_text(held.cms), self._trust, at=stamped)
        except SignatureInvalid as error:
            return str(error)
        if [(each.name, each.fingerprint) for each in found] != [(held.name, held.fingerprint)]:
            return f"it is by {', '.join(each.name for each in found)!r}, and the event says {held.name!r}"
        if unproved:
            self._unproved.append(f"{LOG}, line {seq}: {unproved}")
        return None


def _log(folder: Path) -> str:
    first = next(raw_lines(folder), None)
    if first is None:
        raise CustodyBroken(f"{folder / LOG}: there is no custody log yet that a transfer could be bound to")
    return sha256(first[1])


def _signature(data: bytes, identity: "signing.Identity", at: datetime) -> dict[str, str]:
    signed = as_text(signing.sign(data, identity, at=at))
    return {"name": identity.name, "fingerprint": identity.fingerprint, "cms": signed}


def _held(body: dict[str, Any]) -> Signature | None:
    """The signature that a body holds, `None` where it holds none of that form."""
    try:
        return msgspec.convert(body.get("signature"), Signature)
    except msgspec.ValidationError:
        return None
