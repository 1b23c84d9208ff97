"""The receiver's answer to a package: a signed statement of what was received, and the sender's manifest countersigned.

``<id>.receipt.json`` (canonical JSON) with ``<id>.receipt.json.p7s``. It states the head of the sender's custody log that the receiver
holds: a log cut or rewritten afterwards no longer fits it. `custody verify` of the sender takes it from there (`heads_from_receipts`).
"""

import base64
import binascii
import contextlib
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from forensics import custody, signing
from forensics.case import Case
from forensics.digest import canonical, sha256
from forensics.errors import PackageInvalid, SignatureInvalid, UsageError
from forensics.exchange import receive
from forensics.exchange.disclosure import Disclosure
from forensics.exchange.standalone import files
from forensics.segment import write_whole
from forensics.signing import Identity, Trust, certificates, cms

FORMAT = "forensics-receipt/1"
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
    senders, in base64.
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


def write(case: Case, name: str, identity: Identity, *, at: datetime, folder: Path | None = None) -> Path:
    """Sign the receipt of a received package, into `folder` (default: the case's ``received/``), and log that.

    The case is locked by the caller. Beside it lies the countersigned signature by itself, as ``<id>.tagmanifest-sha256.txt.p7s``.
    Returns the receipt's path. Raises UsageError where there is no such package or its receipt was written before, PackageInvalid where it
    was changed since, SigningError.
    """
    package = receive.find(case, name)
    if wrong := receive.problems(case, package):
        raise PackageInvalid(f"no receipt: {wrong[0]}")
    held = package.folder(case)
    target = (folder or case.folder / receive.FOLDER) / f"{package.name}.receipt.json"
    if target.exists():
        raise UsageError(f"{target}: exists already; send that one, or name another folder with --output")
    tags = (held / files.TAG_MANIFEST).read_bytes()
    signature = signing.countersign(tags, (held / f"{files.TAG_MANIFEST}.p7s").read_bytes(), identity, at=at)
    seq, head = package.custody
    made = Receipt(
        format=FORMAT,
        disclosure=package.disclosure.id,
        package_sha256=package.package_sha256,
        tag_manifest_sha256=package.tag_manifest_sha256,
        tag_manifest=tags.decode("ascii"),
        countersigned=base64.b64encode(signature).decode(),
        custody=Head(seq, head),
        own=Head(*custody.head(case.folder)),
        at=at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        by=By(identity.name, identity.country, identity.fingerprint),
    )
    data = canonical(made)
    write_whole(target.with_name(f"{package.name}.{files.TAG_MANIFEST}.p7s"), signature)
    write_whole(target.with_name(f"{target.name}.p7s"), signing.sign(data, identity, at=at))
    write_whole(target, data)
    body = {"direction": "given", "receipt_sha256": sha256(data), "disclosure": made.disclosure, "package_sha256": made.package_sha256}
    custody.append(case.folder, "receipted", object=package.name, body=body, by=identity.name, at=at)
    return target


def check(case: Case, path: Path, *, trust: Trust, at: datetime, by: str | None = None) -> Receipt:
    """Verify a partner's receipt against what this case disclosed, keep it in ``packages/`` and log it. The case is locked by the caller.

    Raises PackageInvalid where it does not fit what was sent or our log, SignatureInvalid, UsageError for what is no receipt, OSError.
    """
    data, signature = _bounded(path), _bounded(path.with_name(f"{path.name}.p7s"))
    made = _decode(data, path)
    sent, said = _sent(case, made.disclosure)
    signers = signing.verify(data, signature, trust, now=at)
    of_receiver = [each for each in signers if each.fingerprint == made.by.fingerprint and each.state == made.by.state == said.to.state]
    if len(signers) != 1 or not of_receiver:
        names = ", ".join(f"{each.name} of {each.state}" for each in signers)
        raise PackageInvalid(f"{path.name}: says to be by {made.by.name} of {made.by.state}, for {said.to.state}, and is signed by {names}")
    for what, stated, ours in (
        ("package", made.package_sha256, sent.get("package_sha256")),
        ("tag manifest", made.tag_manifest_sha256, sent.get("tag_manifest_sha256")),
        ("tag manifest's text", sha256(made.tag_manifest.encode()), made.tag_manifest_sha256),
        ("head of our custody log", (made.custody.seq, made.custody.head), (said.custody.seq, said.custody.head)),
    ):
        if stated != ours:
            raise PackageInvalid(f"{path.name}: the {what} that was received ({stated}) is not the one that was sent ({ours})")
    _countersigned(made, said, path)
    if broken := custody.verify(case.folder, heads={made.custody.seq: made.custody.head}):
        raise PackageInvalid(f"{path.name}: our custody log does not fit it: {broken[0]}")
    kept = case.packages / f"{made.disclosure}.receipt.json"
    if kept.exists():
        raise UsageError(f"{kept}: the receipt of {made.disclosure} was checked and kept before")
    write_whole(kept.with_name(f"{kept.name}.p7s"), signature)
    write_whole(kept, data)
    body = {
        "direction": "taken",
        "receipt_sha256": sha256(data),
        "package_sha256": made.package_sha256,
        "custody": msgspec.to_builtins(made.custody),
        "partner": msgspec.to_builtins(made.own),
        "receipt_by": msgspec.to_builtins(made.by),
        "receipt_at": made.at,
    }
    custody.append(case.folder, "receipted", object=made.disclosure, body=body, by=by, at=at)
    return made


def heads_from_receipts(case: Case, trust: Trust | None = None) -> dict[int, str]:
    """Number and SHA-256 of the lines of this case's log that partners hold, by the receipts that were kept.

    With `trust` only receipts count whose signature holds. Give it to `custody.verify` as `heads`. Raises UsageError for a damaged receipt.
    """
    heads: dict[int, str] = {}
    for path in sorted(case.packages.glob("*.receipt.json")):
        data = _bounded(path)
        made = _decode(data, path)
        if trust is not None:
            try:
                signing.verify(data, _bounded(path.with_name(f"{path.name}.p7s")), trust, at=_moment(made.at))
            except SignatureInvalid:
                continue
        heads[made.custody.seq] = made.custody.head
    return heads


def _countersigned(made: Receipt, said: Disclosure, path: Path) -> None:
    """That the senders' signatures and the receiver's stand beside each other over the manifest that was sent. Who the receiver is, is
    proved by the receipt's own signature."""
    try:
        parts = cms.decode(base64.b64decode(made.countersigned, validate=True)).parts
    except binascii.Error as error:
        raise PackageInvalid(f"{path.name}: what it calls countersigned is not base64") from error
    for part in parts:
        cms.check(made.tag_manifest.encode(), part)
    found = {certificates.fingerprint(part.certificate) for part in parts}
    if not {made.by.fingerprint, said.author} <= found or len(found) < 3:
        raise PackageInvalid(f"{path.name}: the manifest is not signed by our two officers and by {made.by.name} of {made.by.state}")


def _sent(case: Case, name: str) -> tuple[dict[str, object], Disclosure]:
    """What our log says of a disclosure that was sent. Raises UsageError."""
    for line in custody.read(case.folder):
        if line.event == "disclosed" and line.object == name and line.body and "disclosure" in line.body:
            with contextlib.suppress(msgspec.ValidationError):
                return line.body, msgspec.convert(line.body["disclosure"], Disclosure)
    raise UsageError(f"{name!r}: this case has sent no such disclosure; is it the receipt of another case?")


def _decode(data: bytes, path: Path) -> Receipt:
    try:
        made = msgspec.json.decode(data, type=Receipt)
        good = canonical(made) == data and made.format == FORMAT and made.custody.seq > 0
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is not a receipt ({error})") from error
    if not good:
        raise UsageError(f"{path}: is not a receipt in canonical form (RFC 8785), or of a format that is not known")
    return made


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _bounded(path: Path) -> bytes:
    with open(path, "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise UsageError(f"{path}: is larger than {_LARGEST} bytes, so it is not a receipt")
    return data
