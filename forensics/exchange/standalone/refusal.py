"""Why a package is refused: one word for programs, one sentence for people."""

from __future__ import annotations

from typing import NamedTuple

# The closed list of what `Refused.reason` may say, beside the reasons of a signature (`forensics.signing.reasons`).
REASONS = {
    "encryption": "the package cannot be decrypted with this identity",
    "archive": "the archive is not of the one form that a package has",
    "missing": "a file that a package must hold is not there",
    "unlisted": "a file is there that no manifest lists",
    "name": "a file has a name that a package does not hold",
    "digest": "a file does not have the digest that was signed",
    "manifest": "a manifest is not of the form that a manifest has",
    "signers": "the tag manifest is not signed by two different officers",
    "state": "a signer is not of the state that the disclosure names as its sender",
    "seal-form": "the seal is not of the form that a seal has",
    "not-sealed": "a record is not among those that were sealed",
    "record-changed": "a record is not what was sealed",
    "record-form": "a record is not of the form that a record has, or not salted",
    "record-reference": "a record refers to one that is not there",
    "custody-form": "a line of the custody log, or a body, is not of its form",
    "custody-chain": "the custody log does not hold together",
    "custody-head": "the custody log is not the one to which the seal or the disclosure is bound: it was cut or rewritten",
    "checkpoint": "a checkpoint does not fit the custody log",
    "disclosure-form": "the disclosure is not of its form",
    "disclosure-inconsistent": "the disclosure does not say what the package holds",
    "recipient": "the disclosure was not made for this recipient",
    "stamp": "a time stamp does not fit the signature beside it",
}


class Refused(Exception):
    """A package does not hold: `reason` is one word of the closed list, the message the sentence with the value that did not fit."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Line(NamedTuple):
    """The outcome of one check, as `verify` shows it."""

    name: str
    passed: bool
    detail: str
    reason: str = ""
    warnings: tuple[str, ...] = ()
