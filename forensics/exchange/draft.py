"""A disclosure before anybody approved it: the bag in ``packages/<id>/bag/``, signed by its author; beside it what the house alone knows.

`draft.json` says what was chosen and overridden, so that the approver is shown, and the tool chooses, the same again.
"""

import os
import re
import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from forensics import __version__, custody
from forensics.case import Case
from forensics.digest import canonical, sha256
from forensics.errors import CaseError, NotDisclosable, UsageError
from forensics.exchange import bag, contents, custody_part, disclosure, names, policy, sealed
from forensics.exchange.disclosure import Disclosure, Terms
from forensics.exchange.plan import Choice, Plan, protected_names
from forensics.exchange.seal import SEAL, SIGNATURE, STAMP, Review, Seal, Signing
from forensics.segment import sync_folder, write_whole
from forensics.signing import certificates

DRAFT = "draft.json"
BAG = "bag"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_TEXT = 4000  # characters of a text that stays in the house; `disclosure` has as many for one that leaves
_MOST = 50  # caveats
_TOOL = re.compile(r"forensics [0-9A-Za-z.+!-]{1,60}")


class Draft(Struct, frozen=True, kw_only=True):
    """`draft.json`: who drafted what, and under which choice and terms. Never sent."""

    id: str
    seal: str
    author: str
    fingerprint: str
    choice: Choice
    terms: Terms
    overrides: dict[str, str]
    recipients: tuple[str, ...]
    tag_manifest: str
    languages: tuple[str, ...]
    tool: str


class Author(Struct, frozen=True):
    """Who drafts, as their certificate names them: name, state, fingerprint."""

    name: str
    country: str
    fingerprint: str


def author_of(certificate: bytes) -> Author:
    """The holder of a certificate (DER). Raises SigningError."""
    parsed = certificates.load(certificate)
    return Author(certificates.common_name(parsed), certificates.country(parsed), certificates.fingerprint(certificate))


def write(
    case: Case,
    review: Review,
    seal: Seal,
    plan: Plan,
    terms: Terms,
    recipients: Iterable[str],
    signer: Signing,
    *,
    at: datetime,
    languages: Iterable[str] = ("en",),
) -> Draft:
    """Write the bag of `plan` and sign it as its author; `recipients` are the age keys pinned for the state, `languages` the report's.

    The case is locked by the caller. Raises NotDisclosable for all that keeps it from leaving, UsageError, SigningError, CaseError.
    """
    check(plan.choice, terms, at)
    keys = tuple(sorted(set(recipients)))
    if not keys:
        raise NotDisclosable(f"not disclosed: the trust list has no key of {terms.to_state}; add one with `forensics trust add`")
    if plan.choice.to_state != terms.to_state:
        raise UsageError(f"the plan is for {plan.choice.to_state}, the disclosure for {terms.to_state}")
    if plan.refusals:
        raise NotDisclosable("not disclosed: " + "; ".join(plan.refusals))
    if unsaid := [word for word, reason in plan.overrides.items() if not reason]:
        raise NotDisclosable(f"not disclosed: say why, as --override {unsaid[0]}:REASON")
    protected = protected_names(review, plan.choice)
    if named := names.mentions(terms.texts(), protected):
        raise NotDisclosable(f"not disclosed: the text of the disclosure names a person who is protected ({named[0]!r})")
    name = next_id(case)
    folder = case.packages / f".{name}.part"
    shutil.rmtree(folder, ignore_errors=True)  # what a crash left
    data = folder / BAG / "data"
    folder.mkdir(mode=0o700)
    (data / "records").mkdir(parents=True)
    try:
        for path in (SEAL, SIGNATURE, STAMP):
            if (seal.folder / path).exists():
                shutil.copyfile(seal.folder / path, data / path)
        digests = seal.digests()
        exhibits: set[str] = set()
        small: set[str] = set()
        for record in plan.names:
            content = seal.read(record)
            if sealed.digest(content) != digests.get(record):
                raise CaseError(f"seals/{seal.name}/records/{record}.json: was changed since it was sealed; restore it, or seal again")
            (data / "records" / f"{record}.json").write_bytes(content)
            said = sealed.decode(content, record)
            if isinstance(said, sealed.ExhibitRecord):
                exhibits.add(said.exhibit.exhibit_id)
                if said.medium is None or said.medium.sha256 is None:
                    small.add(said.exhibit.exhibit_id)
        head = custody_part.copy(case.folder, data, exhibits, small, protected)
        author = author_of(signer.certificate)
        made = disclosed(case, name, seal, plan, terms, keys, author, at, head)
        write_whole(data / "disclosure.json", disclosure.encode(made))
        tool = f"forensics {__version__}"
        languages = tuple(dict.fromkeys(languages))
        for path, page in contents.pages(data, made, languages=languages, tool=tool).items():
            write_whole(data / path, page)
            if path.endswith(".pdf"):
                signer.sign_pdf(data / path, at)
        tags = bag.write(folder / BAG, bag_info(made, tool))
        signature = signer.sign(tags, at)
        write_whole(folder / BAG / f"{bag.TAG_MANIFEST}.p7s", signature)
        draft = Draft(
            id=name,
            seal=seal.name,
            author=author.name,
            fingerprint=author.fingerprint,
            choice=plan.choice,
            terms=terms,
            overrides=plan.overrides,
            recipients=keys,
            tag_manifest=sha256(tags),
            languages=languages,
            tool=tool,
        )
        write_whole(folder / DRAFT, canonical(draft))
        os.rename(folder, case.packages / name)
        sync_folder(case.packages)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return draft


def check(choice: Choice, terms: Terms, at: datetime) -> None:
    """That the terms are whole, and no text is longer than a person reads. Raises UsageError, NotDisclosable."""
    disclosure.check(terms, at)
    if any(len(text) > _TEXT for text in (terms.checked, *choice.overrides.values())):
        raise UsageError(f"what the protection check found, or the reason of an override, is longer than {_TEXT} characters")
    if len(terms.caveats) > _MOST:
        raise UsageError(f"{len(terms.caveats)} caveats are more than {_MOST}")


def disclosed(
    case: Case, name: str, seal: Seal, plan: Plan, terms: Terms, keys: Iterable[str], author: Author, at: datetime, head: tuple[int, str]
) -> Disclosure:
    """What the package of this plan says of itself under these terms; `keys` are the partner's, `head` is that of its custody log."""
    return Disclosure(
        format=disclosure.FORMAT,
        id=name,
        from_=disclosure.From(author.country, case.info.agency or "", author.name),
        to=disclosure.To(terms.to_state, terms.authority, tuple(sha256(key.encode()) for key in keys)),
        channel=terms.channel,
        request_ref=terms.request_ref,
        purpose=terms.purpose,
        use=terms.use,
        onward=terms.onward,
        caveats=terms.caveats,
        tlp=terms.tlp,
        pap=terms.pap,
        expires=terms.expires,
        on_expiry=terms.on_expiry,
        made_at=at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        seal=seal.name,
        case=case.info.case_id or "",
        records=plan.names,
        withheld=plan.withheld,
        protection_check=disclosure.ProtectionCheck(disclosure.ASKED, "checked", terms.checked_by),
        overrides=tuple(sorted({policy.GENERIC[word] for word in plan.overrides})),
        author=author.fingerprint,
        custody=disclosure.Head(*head),
    )


def bag_info(said: Disclosure, tool: str) -> dict[str, str]:
    """The fields of ``bag-info.txt``. Raises CaseError where `tool` is no name and version of this tool."""
    if not _TOOL.fullmatch(tool):
        raise CaseError(f"{said.id}: was drafted by {tool[:80]!r}, which is not this tool; delete the draft and disclose again")
    return {
        "Bag-Software-Agent": tool,
        "Bagging-Date": said.made_at[:10],
        "External-Identifier": said.id,
        "Source-Organization": said.from_.agency,
    }


def next_id(case: Case) -> str:
    """``<case>-D<n>``, the next number that no package of the case has or had: one that was sent may have been taken away."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", case.info.case_id or "case").strip("-._")[:40] or "case"
    case.packages.mkdir(mode=0o700, exist_ok=True)
    used = [path.name for path in case.packages.iterdir()]
    used += [line.object for line in custody.read(case.folder) if line.event == "disclosed" and line.object]
    numbered = re.compile(rf"{re.escape(stem)}-D([0-9]{{1,6}})(?:\.|$)")
    taken = [int(match[1]) for name in used if (match := numbered.match(name))]
    return f"{stem}-D{max(taken, default=0) + 1}"


def read(case: Case, name: str) -> tuple[Draft, Path]:
    """A draft and its folder. Raises UsageError where there is none, CaseError where it cannot be read."""
    folder = case.packages / name
    if not _ID.fullmatch(name) or not (folder / DRAFT).is_file():
        raise UsageError(f"there is no draft {name!r} in {case.packages}; `forensics disclose` makes one, and an approved one is gone")
    try:
        return msgspec.json.decode((folder / DRAFT).read_bytes(), type=Draft), folder
    except msgspec.DecodeError as error:
        raise CaseError(f"{folder / DRAFT}: does not read ({error}); delete the folder and disclose again") from error
