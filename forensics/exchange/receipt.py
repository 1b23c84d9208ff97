"""The receiver's answer to a package: a signed statement of what was received, and the sender's manifest countersigned.

``<id>.receipt.json`` (canonical JSON) with ``<id>.receipt.json.p7s``. It states the head of the sender's custody log that the receiver
holds: a log cut or rewritten afterwards no longer fits it. `custody verify` of the sender takes it from there (`heads_from_receipts`),
and holds every receipt in the case against what the log says of it (`problems`).
"""

import base64
import binascii
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from forensics import custody, signing
from forensics.case import Case
from forensics.custody.signatures import SignedBy, signers
from forensics.digest import canonical, sha256
from forensics.errors import PackageInvalid, SignatureInvalid, UsageError
from forensics.exchange import receive
from forensics.exchange.disclosure import Disclosure
from forensics.exchange.receipt_form import FORMAT, TIME, By, Head, Receipt, bounded, decode, logged, moment
from forensics.exchange.standalone import files
from forensics.segment import write_whole
from forensics.signing import Identity, Trust, certificates, cms

_ENDING = ".receipt.json"
_CLOCKS = timedelta(minutes=5)  # between what a receipt says of its time and what its signature says


def write(case: Case, name: str, identity: Identity, *, at: datetime, folder: Path | None = None) -> Path:
    """Sign the receipt of a received package, into `folder` (default: the case's ``received/``), and log that.

    The case is locked by the caller. Beside it lies the countersigned signature by itself, as ``<id>.tagmanifest-sha256.txt.p7s``. A
    receipt that was written whole and, by a crash, not logged is logged now. Returns the receipt's path. Raises UsageError where there is
    no such package or its receipt was written before, PackageInvalid where it was changed since, SigningError.
    """
    package = receive.find(case, name)
    if wrong := receive.problems(case, package):
        raise PackageInvalid(f"no receipt: {wrong[0]}")
    target = (folder or case.folder / receive.FOLDER) / f"{package.name}{_ENDING}"
    data = _left(case, target, package, identity) if target.exists() else _write(case, target, package, identity, at)
    body = {
        "direction": "given",
        "receipt_sha256": sha256(data),
        "disclosure": package.disclosure.id,
        "package_sha256": package.package_sha256,
    }
    custody.append(case.folder, "receipted", object=package.name, body=body, by=identity.name, at=at)
    return target


def _write(case: Case, target: Path, package: receive.Received, identity: Identity, at: datetime) -> bytes:
    held = package.folder(case)
    tags = (held / files.TAG_MANIFEST).read_bytes()
    signature = signing.countersign(tags, (held / f"{files.TAG_MANIFEST}.p7s").read_bytes(), identity, at=at)
    made = Receipt(
        format=FORMAT,
        disclosure=package.disclosure.id,
        package_sha256=package.package_sha256,
        tag_manifest_sha256=package.tag_manifest_sha256,
        tag_manifest=tags.decode("ascii"),
        countersigned=base64.b64encode(signature).decode(),
        custody=Head(*package.custody),
        own=Head(*custody.head(case.folder)),
        at=at.astimezone(UTC).strftime(TIME),
        by=By(identity.name, identity.country, identity.fingerprint),
    )
    data = canonical(made)
    write_whole(target.with_name(f"{package.name}.{files.TAG_MANIFEST}.p7s"), signature)
    write_whole(target.with_name(f"{target.name}.p7s"), signing.sign(data, identity, at=at))
    write_whole(target, data)  # last: what has no .json is no receipt
    return data


def _left(case: Case, target: Path, package: receive.Received, identity: Identity) -> bytes:
    """The receipt that a crash kept from being logged. Raises UsageError where it was logged, or is none of `identity` for this package."""
    data = bounded(target)
    if sha256(data) in logged(custody.read(case.folder), "given").get(package.name, {}):
        raise UsageError(f"{target}: exists already; send that one, or name another folder with --output")
    try:
        made = decode(data, target)
        found = signers(data, bounded(target.with_name(f"{target.name}.p7s")), None)
    except (UsageError, SignatureInvalid, OSError) as error:
        raise UsageError(f"{target}: exists already and cannot be logged ({error}); take it away, and write it again") from error
    whole = (
        [each.fingerprint for each in found] == [made.by.fingerprint] == [identity.fingerprint]
        and (made.disclosure, made.package_sha256) == (package.disclosure.id, package.package_sha256)
        and (made.tag_manifest_sha256, made.custody) == (package.tag_manifest_sha256, Head(*package.custody))
        and not custody.verify(case.folder, heads={made.own.seq: made.own.head})
    )
    if not whole:
        raise UsageError(f"{target}: exists already, and is no receipt by {identity.name} that fits this package and this case's log")
    return data


def check(case: Case, path: Path, *, trust: Trust, at: datetime, by: str | None = None) -> Receipt:
    """Verify a partner's receipt against what this case disclosed, keep it in ``packages/`` and log it. The case is locked by the caller.

    One that was kept and, by a crash, not logged is logged now. Raises PackageInvalid where it does not fit what was sent or our log,
    SignatureInvalid, UsageError for what is no receipt, OSError.
    """
    data, signature = bounded(path), bounded(path.with_name(f"{path.name}.p7s"))
    made = decode(data, path)
    sent, said = _sent(case, made)
    found = signing.verify(data, signature, trust, now=at)
    of_receiver = [each for each in found if each.fingerprint == made.by.fingerprint and each.state == made.by.state == said.to.state]
    if len(found) != 1 or not of_receiver:
        names = ", ".join(f"{each.name} of {each.state}" for each in found)
        raise PackageInvalid(f"{path.name}: says to be by {made.by.name} of {made.by.state}, for {said.to.state}, and is signed by {names}")
    for what, stated, ours in (
        ("package", made.package_sha256, sent.get("package_sha256")),
        ("tag manifest", made.tag_manifest_sha256, sent.get("tag_manifest_sha256")),
        ("tag manifest's text", sha256(made.tag_manifest.encode()), made.tag_manifest_sha256),
        ("head of our custody log", (made.custody.seq, made.custody.head), (said.custody.seq, said.custody.head)),
    ):
        if stated != ours:
            raise PackageInvalid(f"{path.name}: the {what} that was received ({stated}) is not the one that was sent ({ours})")
    if abs(moment(made.at) - moment(found[0].signed_at)) > _CLOCKS:
        raise PackageInvalid(f"{path.name}: says to be of {made.at}, and was signed at {found[0].signed_at}")
    _countersigned(made, said, path)
    if broken := custody.verify(case.folder, heads={made.custody.seq: made.custody.head}):
        raise PackageInvalid(f"{path.name}: our custody log does not fit it: {broken[0]}")
    kept = case.packages / f"{made.disclosure}{_ENDING}"
    if kept.exists() and bounded(kept) != data:
        raise UsageError(f"{kept}: another receipt of {made.disclosure} was kept before")
    if kept.exists() and sha256(data) in logged(custody.read(case.folder), "taken").get(made.disclosure, {}):
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

    Only receipts count whose signature holds; with `trust`, that of somebody under a pinned root. `problems` names the others. Give it to
    `custody.verify` as `heads`, which names the lines that cannot be read: here they count as absent.
    """
    taken = logged(custody.legible(case.folder), "taken")
    held = (_proved(path, taken.get(_object(path), {}), trust) for path in _kept(case))
    return {made.custody.seq: made.custody.head for made in held if isinstance(made, Receipt)}


def problems(case: Case, trust: Trust | None = None) -> Iterator[str]:
    """What is wrong with the receipts in the case: missing, changed, not logged, or not signed as they say.

    A receipt that was taken is judged as of the time at which the log says that: a certificate that expired since undoes nothing. Of those
    that were given, only one that lies in ``received/`` is compared: it is the partner's to keep.
    """
    taken, given = (logged(custody.legible(case.folder), direction) for direction in ("taken", "given"))
    kept = _kept(case)
    for name in sorted(taken.keys() - {_object(path) for path in kept}):
        yield f"{case.packages.name}/{name}{_ENDING}: is missing, though the log says that it was kept; check the partner's once more"
    for path in kept:
        where, lines = f"{case.packages.name}/{path.name}", taken.get(_object(path), {})
        if isinstance(found := _proved(path, lines, trust), str):
            yield f"{where}: {found}"
        yield from _vouched(path, where, lines, "`forensics receipt --check` with the partner's logs it")
    for path in sorted((case.folder / receive.FOLDER).glob(f"*{_ENDING}")):
        yield from _vouched(path, f"{receive.FOLDER}/{path.name}", given.get(_object(path), {}), "`forensics receipt` logs it")


def _kept(case: Case) -> list[Path]:
    return sorted(case.packages.glob(f"*{_ENDING}"))


def _object(path: Path) -> str:
    """What a receipt in the case is of, by its name: a disclosure that was sent, or a package that was received."""
    return path.name.removesuffix(_ENDING)


def _proved(path: Path, lines: dict[str, str], trust: Trust | None) -> Receipt | str:
    """A receipt that was kept and whose signature holds; or what is wrong with it.

    It is judged as of the time at which it was logged; where it was not, as of the time that it claims.
    """
    try:
        data = bounded(path)
        made = decode(data, path)
        signature = bounded(path.with_name(f"{path.name}.p7s"))
        by = signers(data, signature, trust, at=_since(lines.get(sha256(data))) or moment(made.at))
    except OSError as error:
        return f"cannot be read, or its signature cannot ({error.strerror}); restore it from a copy"
    except UsageError as error:
        return f"was changed since it was kept ({error}); restore it from a copy"
    except SignatureInvalid as error:
        return f"its signature does not hold: {error}"
    return made if _is_by(made, by) else f"its signature is not by {made.by.name} of {made.by.state}, who it says has received"


def _is_by(made: Receipt, by: tuple[SignedBy, ...]) -> bool:
    return [each.fingerprint for each in by] == [made.by.fingerprint]


def _vouched(path: Path, where: str, lines: dict[str, str], mend: str) -> Iterator[str]:
    """Whether the log says that a receipt is this one."""
    try:
        same = sha256(bounded(path)) in lines
    except (OSError, UsageError) as error:
        yield f"{where}: cannot be compared with the log ({error})"
        return
    if not lines:
        yield f"{where}: the custody log does not say that there is this receipt; {mend}"
    elif not same:
        yield f"{where}: was changed: it does not have the SHA-256 that was logged; restore it from a copy"


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


def _sent(case: Case, made: Receipt) -> tuple[dict[str, object], Disclosure]:
    """What our log says of the package that a receipt names; where it names none that was sent, of the last of that disclosure.

    An approval that was interrupted is logged again, with the package that was encrypted anew. Raises UsageError.
    """
    found: tuple[dict[str, object], Disclosure] | None = None
    for line in custody.read(case.folder):
        if line.event == "disclosed" and line.object == made.disclosure and line.body and "disclosure" in line.body:
            with contextlib.suppress(msgspec.ValidationError):
                found = line.body, msgspec.convert(line.body["disclosure"], Disclosure)
                if line.body.get("package_sha256") == made.package_sha256:
                    return found
    if found is None:
        raise UsageError(f"{made.disclosure!r}: this case has sent no such disclosure; is it the receipt of another case?")
    return found


def _since(text: str | None) -> datetime | None:
    """The time of a line of the log; `None` where it says none, which its verification names."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None
