"""A receipt as it is written, read strictly, and which ones the custody log vouches for."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from forensics.custody import CustodyLine
from forensics.custody.line import SHA256
from forensics.digest import canonical
from forensics.errors import UsageError

FORMAT = "forensics-receipt/1"
TIME = "%Y-%m-%dT%H:%M:%SZ"
_LARGEST = 1 << 20


class Head(Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a custody log: number and SHA-256."""

    seq: int
    head: str


class By(Struct, frozen=True, forbid_unknown_fields=True):
    """Who received: name, state, fingerprint of the certificate."""

    name: str
    state: str
    fingerprint: str


class Receipt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed. `custody` is the last line of the sender's log in the package, `own` that of the receiver's log after receiving.

    tag_manifest is the text of ``tagmanifest-sha256.txt``, countersigned its signature file with the receiver's beside those of the
    senders, in base64. `at` is ISO 8601 in UTC, to the second.
    """

    format: str
    disclosure: str
    package_sha256: str
    tag_manifest_sha256: str
    tag_manifest: str
    countersigned: str
    custody: Head
    own: Head
    at: str
    by: By


def decode(data: bytes, path: Path) -> Receipt:
    """Raises UsageError where these bytes are not a receipt in its one form; `path` is named."""
    try:
        made = msgspec.json.decode(data, type=Receipt)
        good = canonical(made) == data and made.format == FORMAT and moment(made.at).strftime(TIME) == made.at
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is not a receipt ({error})") from error
    if not good or not all(each.seq > 0 and SHA256.fullmatch(each.head) for each in (made.custody, made.own)):
        raise UsageError(f"{path}: is not a receipt in canonical form (RFC 8785), or of a format that is not known")
    return made


def moment(text: str) -> datetime:
    """The time of a text in the form of a receipt's `at`. Raises ValueError."""
    return datetime.strptime(text, TIME).replace(tzinfo=UTC)


def bounded(path: Path) -> bytes:
    """The bytes of a receipt or its signature. Raises UsageError where they are too many, OSError."""
    with open(path, "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise UsageError(f"{path}: is larger than {_LARGEST} bytes, so it is not a receipt")
    return data


def logged(lines: Iterable[CustodyLine], direction: str) -> dict[str, dict[str, str]]:
    """What the log's lines say of receipts that were ``taken`` or ``given``: when, by what they are of and their SHA-256."""
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        if line.event == "receipted" and line.body and line.body.get("direction") == direction:
            found.setdefault(line.object, {})[str(line.body.get("receipt_sha256"))] = line.at
    return found
