"""The second person: shown what the author was shown, chosen anew by the tool; countersigns, and only then it is encrypted.

Nothing in the draft is believed: records must be the sealed ones, report and graph the ones that those records give, and what the review
says *now* must let the same records leave. The plain draft is removed when the encrypted package and its custody event are there.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
from cryptography import x509
from msgspec import Struct

from forensics import custody
from forensics.case import Case
from forensics.digest import sha256, sha256_file
from forensics.errors import NotDisclosable, PackageInvalid, UsageError
from forensics.exchange import bag, disclosure, draft, names, payload, policy
from forensics.exchange.disclosure import Disclosure
from forensics.exchange.draft import Draft
from forensics.exchange.plan import Index, Plan, plan, protected_names
from forensics.exchange.seal import Review, Signing, open_seal
from forensics.segment import sync_folder, write_whole
from forensics.signing import cms

_SIGNATURE = f"{bag.TAG_MANIFEST}.p7s"
_STAMP = f"{_SIGNATURE}.tsr"
_AUTHORS = "author.p7s"
Encrypt = Callable[[BinaryIO, BinaryIO, Iterable[str]], None]


class Checked(Struct, frozen=True, kw_only=True):
    """What the approver is shown: the draft, what it says to the partner, the plan made anew; and the tag manifest that was checked."""

    draft: Draft
    folder: Path
    disclosure: Disclosure
    plan: Plan
    author: bytes
    tags: bytes


def examine(case: Case, index: Index, review: Review, name: str, *, at: datetime) -> Checked:
    """Check a draft against the case as it is now: all that is in it is made again, its terms from what the author said in the house.

    The case is locked by the caller. Raises NotDisclosable, UsageError, PackageInvalid, CaseError, SignatureInvalid.
    """
    made, folder = draft.read(case, name)
    root = folder / draft.BAG
    for left in (_SIGNATURE, _STAMP):  # by an approval that was interrupted
        (root / f".{left}.part").unlink(missing_ok=True)
    tags = bag.check(root)
    said = disclosure.decode((root / "data" / "disclosure.json").read_bytes())
    signature = (root / _SIGNATURE).read_bytes()
    author = _author(tags, signature, said)
    seal = open_seal(case, made.seal)
    draft.check(made.choice, made.terms, at)
    again = plan(index, review, seal, made.choice)
    overrides = tuple(sorted({policy.GENERIC[word] for word in again.overrides}))
    if again.refusals:
        raise NotDisclosable("not approved: " + "; ".join(again.refusals))
    same = (said.records, said.overrides, said.to.state, said.seal, said.withheld, said.id)
    if same != (again.names, overrides, made.choice.to_state, seal.name, again.withheld, name):
        raise NotDisclosable(f"not approved: what may leave has changed since {name} was drafted; delete the draft and disclose again")
    officer = draft.author_of(author.certificate)
    head = (said.custody.seq, said.custody.head)  # which `payload` holds against the log
    drafted = draft.disclosed(case, name, seal, again, made.terms, made.recipients, officer, author.signed_at, head)
    if odd := [field for field in drafted.__struct_fields__ if getattr(drafted, field) != getattr(said, field)]:
        raise NotDisclosable(
            f"not approved: {name} says to the partner another {odd[0].rstrip('_')} than was drafted, or the case says another since; "
            "delete the draft and disclose again"
        )
    protected = protected_names(review, made.choice)
    payload.check(case, root, bag.payload_digests(root, tags), seal, said, protected, made, author)
    _house(made, root, said, tags, officer)
    if named := names.mentions(
        (said.purpose, said.onward, said.request_ref, said.to.authority, *said.caveats, said.protection_check.by), protected
    ):
        raise NotDisclosable(f"not approved: the text of the disclosure names a person who is protected ({named[0]!r})")
    return Checked(draft=made, folder=folder, disclosure=said, plan=again, author=author.certificate, tags=tags)


def approve(
    case: Case,
    checked: Checked,
    signer: Signing,
    recipients: Iterable[str],
    encrypt: Encrypt,
    *,
    overrides: Mapping[str, str],
    at: datetime,
) -> Path:
    """Countersign what `examine` gave, encrypt it to `recipients`, log it. Returns ``packages/<id>.tar.age``.

    The package is there only when the custody log says so; what was interrupted before can be approved again, and what was interrupted
    after goes on with the package that was logged. The case is locked by the caller. Raises NotDisclosable where this is not a second
    person, where an override is not repeated, or where the keys are not those of the draft; PackageInvalid where the bag was changed
    since it was examined.
    """
    made, name = checked.draft, checked.draft.id
    _second(checked, signer)
    _repeated(checked.plan, overrides)
    keys = tuple(sorted(set(recipients)))
    if not keys or keys != made.recipients or tuple(sha256(key.encode()) for key in keys) != checked.disclosure.to.recipients:
        raise NotDisclosable(
            f"not approved: the keys pinned for {made.choice.to_state} are not those that {name} was drafted for; disclose again"
        )
    package = case.packages / f"{name}.tar.age"
    whole = package.with_name(f".{package.name}.part")
    if not _is_sent(case, checked, package, whole):
        root = checked.folder / draft.BAG
        _encrypt(root, name, package, whole, keys, encrypt, _signed(checked, root, signer, at))
        try:
            body = _logged(checked, signer, package, sha256_file(whole), overrides)
            custody.append(case.folder, "disclosed", object=name, body=body, by=signer.name, at=at)
        except BaseException:
            whole.unlink(missing_ok=True)
            raise
        _put(whole, package)
    signer.checkpoint(case.folder, "disclosure", at)
    shutil.rmtree(checked.folder)
    return package


def _is_sent(case: Case, checked: Checked, package: Path, whole: Path) -> bool:
    """Whether the package that was logged is there, of an approval that was interrupted later; `whole` is where it lies until it is logged.

    Raises PackageInvalid where another one is there; NotDisclosable where none is: it may have left, and no second one is made of it.
    """
    found: custody.CustodyLine | None = None
    for line in custody.read(case.folder):
        found = line if line.event == "disclosed" and line.object == checked.draft.id else found
    body = (found.body if found else None) or {}
    stated = (body.get("package_sha256"), body.get("tag_manifest_sha256"))
    if found and not package.exists() and whole.exists() and (sha256_file(whole), sha256(checked.tags)) == stated:
        _put(whole, package)
    if package.exists() and (sha256_file(package), sha256(checked.tags)) != stated:
        raise PackageInvalid(f"{package}: is there already, and is not what the custody log says of this draft; look into it, put it aside")
    if found and not package.exists():
        raise NotDisclosable(
            f"not approved again: by line {found.seq} of the custody log, of {found.at}, {checked.draft.id} was encrypted, and {package} "
            f"is not there: it may have left. Put it back from a copy and approve to finish; or delete {checked.folder} and disclose again"
        )
    return package.exists()


def _put(whole: Path, package: Path) -> None:
    os.rename(whole, package)
    sync_folder(package.parent)


def _signed(checked: Checked, root: Path, signer: Signing, at: datetime) -> dict[str, bytes]:
    """Countersign the bag in `root`. Returns its tag manifest and what lies beside it, by name. Raises PackageInvalid, SigningError."""
    tags = checked.tags
    if (root / bag.TAG_MANIFEST).read_bytes() != tags:
        raise PackageInvalid(f"{root / bag.TAG_MANIFEST}: was changed while it was approved; look into who did that, then approve again")
    signature = signer.countersign(tags, _by_author(checked, tags), at)
    signed = {bag.TAG_MANIFEST: tags, _SIGNATURE: signature}
    (root / _STAMP).unlink(missing_ok=True)  # over the signature of an approval that was interrupted
    write_whole(root / _SIGNATURE, signature)
    if (stamp := signer.stamp(signature)) is not None:
        write_whole(root / _STAMP, stamp)
        signed[_STAMP] = stamp
    return signed


def _by_author(checked: Checked, tags: bytes) -> bytes:
    """The author's signature alone, which is put aside before anybody countersigns it: an approval that was interrupted left another."""
    aside = checked.folder / _AUTHORS
    if not aside.exists():
        write_whole(aside, (checked.folder / draft.BAG / _SIGNATURE).read_bytes())
    signature = aside.read_bytes()
    if _author(tags, signature, checked.disclosure).certificate != checked.author or len(cms.decode(signature).parts) != 1:
        raise PackageInvalid(f"{aside}: is not the author's signature; delete the draft and disclose again")
    return signature


def _author(tags: bytes, signature: bytes, said: Disclosure) -> cms.Part:
    """What the author put in: the one signer that a draft has. Raises SignatureInvalid, NotDisclosable."""
    parts = cms.decode(signature).parts
    for part in parts:
        cms.check(tags, part)
    found = [part for part in parts if sha256(part.certificate) == said.author]
    if len(found) != 1:
        raise NotDisclosable("not approved: the draft is not signed by the officer whom it names as its author")
    return found[0]


def _second(checked: Checked, signer: Signing) -> None:
    ours, theirs = (x509.load_der_x509_certificate(der).public_key() for der in (signer.certificate, checked.author))
    if signer.fingerprint == sha256(checked.author) or ours == theirs:
        raise NotDisclosable(
            f"not approved: {checked.draft.id} was drafted with the same certificate or key; a second person approves, with their own"
        )
    if signer.country != checked.disclosure.from_.state:
        raise NotDisclosable(f"not approved: your certificate is of {signer.country}, the draft is from {checked.disclosure.from_.state}")


def _repeated(planned: Plan, given: Mapping[str, str]) -> None:
    if unsaid := [word for word in planned.overrides if word not in given]:
        raise NotDisclosable(
            "not approved: this overrides what protects people; if you decide the same, repeat it: "
            + " ".join(f"--override {word}{':REASON' if word == policy.CLAIM else ''}" for word in unsaid)
        )
    if surplus := [word for word in given if word not in planned.overrides]:
        raise UsageError(f"--override {surplus[0]}: the draft overrides no such thing")
    if policy.CLAIM in planned.overrides and not given[policy.CLAIM]:
        raise NotDisclosable(
            "not approved: it is about a person who claims protection and goes to a state of origin; say why you decide so: "
            f"--override {policy.CLAIM}:REASON"
        )


def _house(made: Draft, root: Path, said: Disclosure, tags: bytes, officer: draft.Author) -> None:
    """That `draft.json`, which nobody signed, and ``bag-info.txt`` say what the bag gives.

    Raises NotDisclosable, PackageInvalid, CaseError.
    """
    paths = [root / path for path in bag.payload(root)]
    about = bag.info_text(draft.bag_info(said, made.tool), sum(path.stat().st_size for path in paths), len(paths))
    if (root / "bag-info.txt").read_bytes() != about:
        raise PackageInvalid(f"{root / 'bag-info.txt'}: is not what the disclosure gives; delete the draft and disclose again")
    if (made.id, made.author, made.fingerprint, made.tag_manifest) != (said.id, officer.name, officer.fingerprint, sha256(tags)):
        raise NotDisclosable(f"not approved: {draft.DRAFT} of {said.id} is of another draft; delete the draft and disclose again")


def _encrypt(root: Path, name: str, package: Path, whole: Path, keys: Iterable[str], encrypt: Encrypt, signed: Mapping[str, bytes]) -> None:
    """Write the encrypted bag to `whole`, which is not there where this raises."""
    plain = package.with_name(f".{name}.tar")
    try:
        with open(os.open(plain, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as tar:
            bag.pack(root, name, tar, signed)
            tar.seek(0)
            with open(whole, "wb") as target:
                encrypt(tar, target, keys)
                target.flush()
                os.fsync(target.fileno())
    except BaseException:
        whole.unlink(missing_ok=True)
        raise
    finally:
        plain.unlink(missing_ok=True)


def _logged(checked: Checked, signer: Signing, package: Path, digest: str, given: Mapping[str, str]) -> dict[str, object]:
    """The custody body of a disclosure: for the house, so it says what was overridden by whom and why, and how protection was checked."""
    made, said = checked.draft, checked.disclosure
    return {
        "purpose": said.purpose,
        "package": package.name,
        "package_sha256": digest,
        "tag_manifest_sha256": made.tag_manifest,
        "disclosure": msgspec.to_builtins(said),
        "author": {"name": made.author, "certificate": said.author},
        "approver": {"name": signer.name, "certificate": signer.fingerprint},
        "overrides": {word: {"author": reason, "approver": given.get(word, "")} for word, reason in checked.plan.overrides.items()},
        "protection_check": {"asked": disclosure.ASKED, "result": made.terms.checked, "by": made.terms.checked_by},
    }
