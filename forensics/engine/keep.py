"""A finding made fit to keep: checked, its time as text, its attachments in files under their digests, and those made durable."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from forensics.digest import sha256
from forensics.engine.guard import Failure
from forensics.errors import LimitExceeded
from forensics.model import Attachment, AttachmentRef, Finding, StoredFinding
from forensics.segment import sync_folder

FINDINGS = 100_000  # of one plugin in one file
SUMMARY = 2_000  # characters
TEXT = 1 << 20  # characters
ATTACHMENT = 16 << 20  # bytes

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(StoredFinding).decode


def iso(when: datetime | None) -> str | None:
    """A time as the case holds it: ``Z`` when it is aware, no zone when it is naive."""
    if when is None:
        return None
    if when.tzinfo is None:
        return when.isoformat()
    return when.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


class Keeper:
    """Stores findings' attachments in `folder`, from which the parent takes them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def store(self, finding: Finding, before: int) -> StoredFinding:
        """`finding` as a segment holds it. Raises LimitExceeded past a bound, TypeError or ValueError for values that cannot be kept."""
        if before >= FINDINGS:
            raise LimitExceeded(f"more than {FINDINGS} findings in one file; the rest was not kept")
        stored = StoredFinding(
            kind=finding.kind,
            summary=" ".join(finding.summary.split())[:SUMMARY],
            when=iso(finding.when),
            data=finding.data,
            level=finding.level,
            locator=finding.locator,
            text=finding.text[:TEXT],
            attachments=tuple(map(self._attachment, finding.attachments)),
            derived_from=finding.derived_from,
            category=finding.category,
        )
        try:
            return _decode(_encode(stored))
        except UnicodeEncodeError:
            return _decode(_encode(_encodable(msgspec.to_builtins(stored))))

    def _attachment(self, attachment: Attachment) -> AttachmentRef:
        if len(attachment.content) > ATTACHMENT:
            raise LimitExceeded(f"attachment {attachment.name!r} has {len(attachment.content)} bytes, more than {ATTACHMENT}")
        digest = sha256(attachment.content)
        path = self._folder / digest
        if not path.exists():
            temporary = self._folder / f".{digest}"
            temporary.write_bytes(attachment.content)
            os.rename(temporary, path)
        return AttachmentRef(attachment.name, attachment.mime, digest, len(attachment.content))


def settle(files: Iterable[tuple[Path, str]], extracted: Path) -> None:
    """Move files to where they are kept under their digests; when this returns, they are there after a loss of power too.

    `files` gives each with its SHA-256, in the file system of `extracted`. Raises OSError.
    """
    changed: set[Path] = set()
    for path, digest in files:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        folder = extracted / digest[:2]
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            changed.add(extracted)
        os.replace(path, folder / digest)
        changed.add(folder)
    for folder in changed:
        sync_folder(folder)


def keep(keeper: Keeper, step: object, findings: list[StoredFinding]) -> Failure | None:
    """Add what a plugin yielded to `findings`, or say why it cannot be kept."""
    if not isinstance(step, Finding):
        return Failure("error", f"TypeError: a plugin yields findings, and a container members too, not {type(step).__name__}")
    try:
        findings.append(keeper.store(step, len(findings)))
    except LimitExceeded as error:
        return Failure("limit", str(error))
    except (TypeError, ValueError, AttributeError) as error:
        return Failure("error", f"{type(error).__name__}: {error}")
    return None


def _encodable(value: object) -> object:
    """`value` with lone surrogates as ``\\udcff`` text."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value
