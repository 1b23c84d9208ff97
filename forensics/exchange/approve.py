"""The second person: shown what the author was shown, chosen anew by the tool; countersigns, and only then it is encrypted.

Nothing in the draft is believed: records must be the sealed ones, report and graph the ones that those records give, and what the review
says *now* must let the same records leave. The plain draft is removed when the encrypted package and its custody event are there.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from forensics.exchange import bag, contents, custody_part, disclosure, draft, policy, sealed
from forensics.exchange.disclosure import Disclosure
from forensics.exchange.draft import Draft
from forensics.exchange.plan import Index, Plan, plan, protected_names
from forensics.exchange.seal import SEAL, SIGNATURE, STAMP, Review, Seal, Signing, open_seal
from forensics.segment import sync_folder, write_whole
from forensics.signing import cms

_SIGNATURE = f"{bag.TAG_MANIFEST}.p7s"
_AUTHORS = "author.p7s"
_PAGES = frozenset({"data/disclosure.json", f"data/{custody.LOG}", f"data/{SEAL}", f"data/{SIGNATURE}", f"data/{STAMP}"})
_SIGNED = 128 << 10  # bytes that a signature with its chain and its time stamp may add to a PDF
Encrypt = Callable[[BinaryIO, BinaryIO, Iterable[str]], None]


class Checked(Struct, frozen=True, kw_only=True):
    """What the approver is shown: the draft, what it says to the partner, and the plan made anew."""

    draft: Draft
    folder: Path
    disclosure: Disclosure
    plan: Plan
    author: bytes


def examine(case: Case, index: Index, review: Review, name: str, *, at: datetime) -> Checked:
    """Check a draft against the case as it is now. Raises NotDisclosable, UsageError, PackageInvalid, CaseError, SignatureInvalid."""
    made, folder = draft.read(case, name)
    root = folder / draft.BAG
    tags = bag.check(root)
    said = disclosure.decode((root / "data" / "disclosure.json").read_bytes())
    signature = (root / _SIGNATURE).read_bytes()
    author = _author(tags, signature, said)
    seal = open_seal(case, made.seal)
    disclosure.check(made.terms, at)
    again = plan(index, review, seal, made.choice)
    overrides = tuple(sorted({policy.GENERIC[word] for word in again.overrides}))
    if again.refusals:
        raise NotDisclosable("not approved: " + "; ".join(again.refusals))
    same = (said.records, said.overrides, said.to.state, said.seal, said.withheld, said.id)
    if same != (again.names, overrides, made.choice.to_state, seal.name, again.withheld, name):
        raise NotDisclosable(f"not approved: what may leave has changed since {name} was drafted; delete the draft and disclose again")
    protected = protected_names(review, made.choice)
    _payload(case, root, seal, said, protected, made)
    if named := disclosure.mentions(
        (said.purpose, said.onward, said.request_ref, said.to.authority, *said.caveats, said.protection_check.by), protected
    ):
        raise NotDisclosable(f"not approved: the text of the disclosure names a person who is protected ({named[0]!r})")
    return Checked(draft=made, folder=folder, disclosure=said, plan=again, author=author)


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

    The package is there only when the custody log says so; what was interrupted before can be approved again. The case is locked by the
    caller. Raises NotDisclosable where this is not a second person, where an override is not repeated, or
    where the keys are not those of the draft.
    """
    made, name = checked.draft, checked.draft.id
    _second(checked, signer)
    _repeated(checked.plan, overrides)
    keys = tuple(sorted(set(recipients)))
    if not keys or keys != made.recipients or tuple(sha256(key.encode()) for key in keys) != checked.disclosure.to.recipients:
        raise NotDisclosable(
            f"not approved: the keys pinned for {made.choice.to_state} are not those that {name} was drafted for; disclose again"
        )
    root = checked.folder / draft.BAG
    tags = (root / bag.TAG_MANIFEST).read_bytes()
    signature = signer.countersign(tags, _by_author(checked, tags), at)
    write_whole(root / _SIGNATURE, signature)
    if (stamp := signer.stamp(signature)) is not None:
        write_whole(root / f"{_SIGNATURE}.tsr", stamp)
    package = case.packages / f"{name}.tar.age"
    with _encrypted(root, name, package, keys, encrypt) as made_whole:
        body = _logged(checked, signer, package, sha256_file(made_whole), overrides)
        custody.append(case.folder, "disclosed", object=name, body=body, by=signer.name, at=at)
        os.rename(made_whole, package)
        sync_folder(package.parent)
    signer.checkpoint(case.folder, "disclosure", at)
    shutil.rmtree(checked.folder)
    return package


def _by_author(checked: Checked, tags: bytes) -> bytes:
    """The author's signature alone, which is put aside before anybody countersigns it: an approval that was interrupted left another."""
    aside = checked.folder / _AUTHORS
    if not aside.exists():
        write_whole(aside, (checked.folder / draft.BAG / _SIGNATURE).read_bytes())
    signature = aside.read_bytes()
    if _author(tags, signature, checked.disclosure) != checked.author or len(cms.decode(signature).parts) != 1:
        raise PackageInvalid(f"{aside}: is not the author's signature; delete the draft and disclose again")
    return signature


def _author(tags: bytes, signature: bytes, said: Disclosure) -> bytes:
    """The author's certificate: the one signer that a draft has. Raises SignatureInvalid, NotDisclosable."""
    parts = cms.decode(signature).parts
    for part in parts:
        cms.check(tags, part)
    found = [part.certificate for part in parts if sha256(part.certificate) == said.author]
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


def _payload(case: Case, root: Path, seal: Seal, said: Disclosure, protected: list[str], made: Draft) -> None:
    """That everything in the bag is what the tool puts there. Raises PackageInvalid that names the file."""
    data = root / "data"
    digests = seal.digests()
    exhibits: set[str] = set()
    small: set[str] = set()
    for name in said.records:
        content = (data / "records" / f"{name}.json").read_bytes()
        record = sealed.decode(content, name)
        if sealed.digest(content) != digests.get(name):
            raise PackageInvalid(f"{data / 'records' / name}.json: is not the sealed record; delete the draft and disclose again")
        if isinstance(record, sealed.ExhibitRecord):
            exhibits.add(record.exhibit.exhibit_id)
            if record.medium is None or record.medium.sha256 is None:
                small.add(record.exhibit.exhibit_id)
    log = (data / custody.LOG).read_bytes()
    if (
        sha256((data / SEAL).read_bytes()) != seal.digest
        or not (case.folder / custody.LOG).read_bytes().startswith(log)
        or custody.head(data) != (said.custody.seq, said.custody.head)
    ):
        raise PackageInvalid(f"{data}: its seal or its custody log is not the case's; delete the draft and disclose again")
    pages = contents.pages(data, said, languages=made.languages, tool=made.tool)
    expected = {f"data/{name}" for name in pages} | {f"data/records/{name}.json" for name in said.records} | _PAGES
    expected |= {
        f"data/{custody.BODIES}/{line.body_sha256}.json"
        for line, leaves in custody_part.lines(case.folder, exhibits, small, protected)
        if leaves
    }
    for path in bag.payload(root):
        checkpoint = path.startswith(f"data/{custody_part.CHECKPOINTS}/")
        beside = case.folder / Path(path).relative_to("data")
        if checkpoint and beside.is_file() and sha256_file(beside) == sha256_file(root / path):
            continue
        if path not in expected or not _same(root / path, pages.get(path.removeprefix("data/"))):
            raise PackageInvalid(f"{root / path}: is not what the disclosed records give; delete the draft and disclose again")


def _same(path: Path, page: bytes | None) -> bool:
    """Whether a file is the page that is expected; at a PDF's end there is one update more (ISO 32000-1, section 7.5.6): its signature."""
    if page is None:
        return True
    content = path.read_bytes()
    added = content[len(page) :] if path.suffix == ".pdf" else b""
    return content == page + added and len(added) <= _SIGNED and added.count(b"%%EOF") <= 1


@contextlib.contextmanager
def _encrypted(root: Path, name: str, package: Path, keys: Iterable[str], encrypt: Encrypt) -> Iterator[Path]:
    """The encrypted bag under a temporary name, gone afterwards unless it was renamed."""
    plain, temporary = package.with_name(f".{name}.tar"), package.with_name(f".{package.name}.part")
    try:
        with open(os.open(plain, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as tar:
            bag.pack(root, name, tar)
            tar.seek(0)
            with open(temporary, "wb") as target:
                encrypt(tar, target, keys)
                target.flush()
                os.fsync(target.fileno())
        plain.unlink()
        yield temporary
    finally:
        plain.unlink(missing_ok=True)
        temporary.unlink(missing_ok=True)


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
