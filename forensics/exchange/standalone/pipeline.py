"""The checks of an unpacked package in their order; each begins only when all before it passed, so nothing unvouched for is read far.

Who can check a signature is handed in: `openssl` in ``verify.pyz``, `forensics.signing` in the installed `verify`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from . import bag, canonical, custody, disclosure, files
from . import seal as sealing
from .refusal import Line, Refused

_SKEW = datetime.timedelta(minutes=10)  # between the clock of a signer and that of a stamping authority
# Of a checkpoint these are no more than said: it may have been signed by a third state, or long ago; its digests are vouched for anyway.
_MILD = frozenset({"unpinned", "expired", "revocation-unknown", "country"})


class Signer(NamedTuple):
    """One who signed: as the certificate says, with the state of the root that vouches for it. `key` is the SHA-256 of the public key."""

    name: str
    organisation: str
    state: str
    fingerprint: str
    key: str
    signed_at: str


class Signed(NamedTuple):
    """The signers of one signature file, the time that a time stamp over it shows (ISO 8601), and what could not be checked."""

    signers: tuple[Signer, ...]
    stamped_at: str | None = None
    warnings: tuple[str, ...] = ()


class Verified(NamedTuple):
    """What `verify_folder` found: a line a check, and as far as it got what the package says."""

    lines: tuple[Line, ...]
    disclosure: dict[str, Any] | None
    signers: tuple[Signer, ...]
    examiner: tuple[Signer, ...]
    head: tuple[int, str] | None
    types: dict[str, str]

    @property
    def good(self) -> bool:
        return all(line.passed for line in self.lines)


class How(NamedTuple):
    """By what means a package is checked.

    signed: (folder, name) -> who signed the file `name` with ``<name>.p7s`` beside it (and its stamp, if there); raises Refused.
    recipients: age keys of which the disclosure must name one; none: it is not asked. at: the day that counts for expiry.
    record, log: further checks of a record's bytes (by name) and of the custody log in a folder; raise Refused. loads: what reads a record
    for what `canonical.loads` is, only quicker.
    """

    signed: Callable[[Path, str], Signed]
    at: datetime.datetime
    recipients: tuple[str, ...] = ()
    record: Callable[[str, bytes], object] = lambda name, data: None
    log: Callable[[Path], object] = lambda folder: None
    loads: Callable[[bytes, str, str], Any] = canonical.loads


CHECKS = ("bag", "signatures", "seal", "records", "custody", "disclosure")


def verify_folder(folder: Path, top: str | None, how: How) -> Verified:
    """Check the unpacked package in `folder`. `top` is the name of its top folder, None where that is not known. Raises OSError."""
    package = _Package(folder, top, how)
    lines: list[Line] = []
    for name in CHECKS:
        if lines and not lines[-1].passed:
            lines.append(Line(name, False, "not checked, because the check before it failed", "not-checked"))
            continue
        try:
            detail, warnings = getattr(package, name)()
        except Refused as refusal:
            lines.append(Line(name, False, str(refusal), refusal.reason))
        else:
            lines.append(Line(name, True, detail, "", tuple(warnings)))
    return Verified(tuple(lines), package.said, package.signers, package.examiner, package.head, package.types)


class _Package:
    """An unpacked package while it is checked: what earlier checks read of it, later ones use."""

    def __init__(self, folder: Path, top: str | None, how: How) -> None:
        self._folder, self._top, self._how = folder, top, how
        self.said: dict[str, Any] | None = None
        self.signers: tuple[Signer, ...] = ()
        self.examiner: tuple[Signer, ...] = ()
        self.head: tuple[int, str] | None = None
        self.types: dict[str, str] = {}
        self._files: list[str] = []  # that are there: the folder is private, so they stay

    def bag(self) -> tuple[str, Iterable[str]]:
        self._files = files.listed(self._folder)
        return bag.check(self._folder, self._files), ()

    def signatures(self) -> tuple[str, Iterable[str]]:
        signed = self._signed(files.TAG_MANIFEST)
        if len({each.fingerprint for each in signed.signers}) < 2 or len({each.key for each in signed.signers}) < 2:
            raise Refused(
                "signers", f"{files.TAG_MANIFEST}: signed by {_names(signed.signers)} alone; an officer and another who approved are needed"
            )
        self.signers = signed.signers
        return f"disclosed and approved by {_names(signed.signers)}{_stamped(signed)}", signed.warnings

    def seal(self) -> tuple[str, Iterable[str]]:
        signed = self._signed(files.SEAL)
        self._seal = sealing.read(self._folder)
        self.examiner = signed.signers
        detail = f"{self._seal.name} of {self._seal.sealed}, {len(self._seal.digests)} records"
        return f"{detail}, sealed by {_names(signed.signers)}{_stamped(signed)}", signed.warnings

    def records(self) -> tuple[str, Iterable[str]]:
        relations = sealing.Relations()
        for name, value, data in sealing.records(self._folder, self._seal, self._files, self._how.loads):
            self._how.record(name, data)
            relations.add(name, value)
        relations.check()
        self.types = relations.names
        return f"each is as it was sealed: {relations.counts()}", ()

    def custody(self) -> tuple[str, Iterable[str]]:
        log = custody.read(self._folder)
        bodies = custody.check_bodies(self._folder, log, self._files)
        stated = custody.checkpoints(self._folder, self._files)
        custody.check_heads(log, {"the seal": (self._seal.seq, self._seal.head), **stated})
        warnings: list[str] = []
        for name in stated:
            try:
                warnings += self._signed(name).warnings
            except Refused as refusal:
                if refusal.reason not in _MILD:
                    raise
                warnings.append(str(refusal))
        self._how.log(self._folder / "data")
        self.head = log.head
        return f"{len(log.digests)} lines follow each other, {bodies} with their bodies, {len(stated)} checkpoints", warnings

    def disclosure(self) -> tuple[str, Iterable[str]]:
        said = disclosure.read(self._folder)
        if self.head is None:
            raise Refused("custody-head", "the custody log was not read")
        detail = disclosure.check(said, self._top, self._seal, self.types, self.head)
        for each in (*self.signers, *self.examiner):
            if each.state != said["from"]["state"]:
                raise Refused(
                    "state", f"{each.name} signed for {each.state or 'no state'}, and the disclosure is from {said['from']['state']}"
                )
        if said["author"] not in {each.fingerprint for each in self.signers}:
            raise Refused("signers", f"the disclosure names certificate {said['author']} as its author's, which did not sign it")
        if self._how.recipients:
            disclosure.check_recipient(said, self._how.recipients)
        self.said = said
        return detail, disclosure.warnings(said, self._how.at)

    def _signed(self, name: str) -> Signed:
        signed = self._how.signed(self._folder, name)
        if signed.stamped_at is not None:
            stamped = _moment(signed.stamped_at)
            for each in signed.signers:
                if _moment(each.signed_at) > stamped + _SKEW:
                    raise Refused(
                        "stamp", f"{name}: {each.name} says to have signed at {each.signed_at}, after the time stamp of {signed.stamped_at}"
                    )
            if stamped > self._how.at + _SKEW:
                raise Refused("stamp", f"{name}: its time stamp is of {signed.stamped_at}, which has not come yet")
        return signed


def _names(signers: Iterable[Signer]) -> str:
    return " and ".join(f"{each.name} ({', '.join(filter(None, (each.organisation, each.state)))})" for each in signers)


def _stamped(signed: Signed) -> str:
    return f", time-stamped {signed.stamped_at}" if signed.stamped_at else ""


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)  # noqa: UP017 - Python 3.9
