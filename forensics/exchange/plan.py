"""What exactly would leave for a state, and what would not and why: the dry run of a disclosure, and what approval is given to.

Pure choice over the seal's names: nothing is written here. Every record that depends on another goes with it or stays with it.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Protocol

from msgspec import Struct

from forensics.errors import CaseError, NotDisclosable, NotReviewed
from forensics.exchange import policy, sealed
from forensics.exchange.names import mentions
from forensics.exchange.seal import Entry, Review, Seal
from forensics.model import Examined, Record

_DIGEST = re.compile(r"(?<![0-9a-fA-F])(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{40}|[0-9a-fA-F]{32})(?![0-9a-fA-F])")


class Index(Protocol):
    """What planning needs of the index."""

    def records(self) -> Iterator[Record]: ...
    def entries(self, *, outcome: str | None = None) -> Iterator[Examined]: ...


class Shown(Struct, frozen=True):
    """A sealed record that leaves: name, type, and one line on what it says."""

    name: str
    type: str
    what: str


class Held(Struct, frozen=True):
    """A record or a person that stays: id, one line on it, and why (words of `policy.REASONS`). For the house alone."""

    record: str
    what: str
    reasons: tuple[str, ...]


class Choice(Struct, frozen=True, kw_only=True):
    """What an officer asks for. `overrides` are reasons by word; `notes` sends the examiner's notes along; `persons` are ids of persons
    who are named though they are no suspects."""

    to_state: str
    records: tuple[str, ...]
    overrides: dict[str, str] = {}
    notes: bool = False
    persons: tuple[str, ...] = ()


class Plan(Struct, frozen=True, kw_only=True):
    """What leaves, what stays, and why nothing can leave at all (`refusals`). `overrides` are those that have an effect, by word."""

    choice: Choice
    shown: tuple[Shown, ...]
    held: tuple[Held, ...]
    sealed: int
    overrides: dict[str, str]
    refusals: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(item.name for item in self.shown))

    @property
    def withheld(self) -> int:
        """The number of sealed records that stay."""
        return self.sealed - len(self.shown)


def plan(index: Index, review: Review, seal: Seal, choice: Choice) -> Plan:
    """What of `choice` may leave. Raises NotReviewed or NotDisclosable where nothing may, CaseError where the seal was damaged."""
    withheld = policy.withheld(index, review, choice.to_state)
    why = withheld.why
    wanted = set(choice.records)
    findings, few, rest = _entries(seal, wanted)
    held: dict[str, set[str]] = {}
    for record in choice.records:
        if reasons := _reasons(record, findings.get(record), review, why, choice):
            held[record] = reasons
    chosen = {record: entry for record, entry in findings.items() if record not in held}
    known = sealed_reader(seal, few["case"])
    _names(chosen, held, known, protected := protected_names(review, choice))
    contents = [entry for entry in rest if entry.type == "content"]
    opened = _digests(index, chosen, held, known, contents)
    names = {entry.name for entry in chosen.values()}
    people, kept = _people(few["person"], review, choice, known)
    going = [*few["case"], *(entry for entry in few["exhibit"] if entry.record in {each.exhibit for each in chosen.values()})]
    methods = {entry.method for entry in chosen.values()}
    going += [entry for entry in few["method"] if entry.name in methods]
    refusals = list(policy.lapsed(review, choice.to_state, withheld.gone))
    refusals += [
        f"the record of {entry.type} {entry.record} names a person who is protected ({said[0]!r}); correct it and seal again"
        for entry in going
        if (said := mentions([_text(known(entry.name))], protected))
    ]
    refusals += [
        f"the record of exhibit {entry.record} says the role of its owner, which stays in the house; seal again"
        for entry in going
        if isinstance(facts := known(entry.name), sealed.ExhibitRecord) and facts.exhibit.owner_role
    ]
    going += [*chosen.values(), *(entry for entry in contents if entry.sha256 in opened)]
    wanted_types = {"attachment", "note"} if choice.notes else {"attachment"}
    for entry in rest:
        if entry.type in wanted_types and entry.of in names and not mentions([_text(known(entry.name))], protected):
            going.append(entry)
    ids = {entry.name: record for record, entry in chosen.items()}
    links = [  # a link that was taken back since the seal does not leave
        entry
        for entry in rest
        if entry.type == "link" and entry.of in ids and entry.record in people and ids[entry.of] in review.persons[entry.record].records
    ]
    linked = {entry.record for entry in links}
    going += [*(entry for entry in few["person"] if entry.record in linked), *links]
    used = {word for record in chosen for word in why.get(record, ())}
    used |= {word for person, reasons in policy.protected(review, choice.to_state) if person.id in linked for word in reasons}
    if not chosen:
        _refuse(held)
    return Plan(
        choice=choice,
        shown=tuple(Shown(entry.name, entry.type, _told(known(entry.name))) for entry in going),
        held=(*_held(index, held, findings, known), *kept),
        sealed=seal.records,
        overrides={word: choice.overrides[word] for word in policy.OVERRIDABLE if word in used and word in choice.overrides},
        refusals=tuple(refusals),
    )


def _entries(seal: Seal, wanted: Collection[str]) -> tuple[dict[str, Entry], dict[str, list[Entry]], list[Entry]]:
    """The wanted findings by record id; case, exhibits, methods and persons by type; what hangs on the wanted findings."""
    findings: dict[str, Entry] = {}
    few: dict[str, list[Entry]] = {"case": [], "exhibit": [], "method": [], "person": []}
    rest: list[Entry] = []
    names: set[str] = set()
    contents: set[str] = set()
    for entry in seal.entries():  # what hangs on a finding comes after it
        if entry.type == "finding" and entry.record in wanted:
            findings[entry.record] = entry
            names.add(entry.name)
            contents.add(entry.sha256 or "")
        elif entry.type in few:
            few[entry.type].append(entry)
        elif entry.of in names or (entry.type == "content" and entry.sha256 in contents):
            rest.append(entry)
    return findings, few, rest


def _reasons(record: str, entry: Entry | None, review: Review, why: Mapping[str, frozenset[str]], choice: Choice) -> set[str]:
    decision = review.decisions.get(record)
    reasons = set(why.get(record, ())) - choice.overrides.keys()
    if decision is None or decision.status not in ("confirmed", "rejected"):
        reasons.add("unreviewed")
    elif decision.status == "rejected":
        reasons.add("rejected")
    elif entry is None:
        reasons.add("not-sealed")
    elif decision.seq != entry.seq:
        reasons.add("decided-anew")
    return reasons


def protected_names(review: Review, choice: Choice) -> list[str]:
    """Names of the persons who may not be named to that state, those whose every reason is overridden left out."""
    names = policy.protected_names(review, choice.to_state)
    return [name for name, reasons in names.items() if not reasons <= choice.overrides.keys()]


def _names(
    chosen: dict[str, Entry], held: dict[str, set[str]], known: Callable[[str], sealed.SealedRecord], protected: Collection[str]
) -> None:
    """Withhold what names a protected person, though it is not linked to that person."""
    for record, entry in list(chosen.items()) if protected else ():
        if mentions([_text(known(entry.name))], protected):
            held.setdefault(record, set()).add("names")
            del chosen[record]


def _digests(
    index: Index,
    chosen: dict[str, Entry],
    held: dict[str, set[str]],
    known: Callable[[str], sealed.SealedRecord],
    contents: Iterable[Entry],
) -> set[str]:
    """Which contents open: those of which every finding leaves. A finding that states the digest of any other is withheld."""
    openings = {}
    for entry in contents:
        content = known(entry.name)
        if isinstance(content, sealed.ContentRecord):
            openings[content.sha256] = content.openings.keys()
    stated = {record: {found.lower() for found in _DIGEST.findall(_text(known(entry.name)))} for record, entry in chosen.items()}
    runs: set[str] = set().union(*stated.values())
    content_of = {entry.sha256: entry.sha256 for entry in chosen.values() if entry.sha256 in runs}
    for line in index.entries(outcome="read") if runs else ():
        if line.digests:
            for digest in (line.digests.sha256, line.digests.sha1, line.digests.md5):
                if digest in runs:
                    content_of[digest] = line.digests.sha256
    while True:
        names = {entry.name for entry in chosen.values()}
        opened = {sha256 for sha256, needed in openings.items() if needed <= names}
        leaking = [record for record in chosen if any(content_of.get(digest, "") not in {"", *opened} for digest in stated[record])]
        if not leaking:
            return opened
        for record in leaking:
            held.setdefault(record, set()).add("digest")
            del chosen[record]


def _people(
    entries: Iterable[Entry], review: Review, choice: Choice, known: Callable[[str], sealed.SealedRecord]
) -> tuple[set[str], list[Held]]:
    """Ids of the persons who may be named: suspects, and others whom the officer asks for; the protected only where that is overridden."""
    why = {person.id: (person, reasons) for person, reasons in policy.protected(review, choice.to_state)}
    allowed: set[str] = set()
    kept: list[Held] = []
    for entry in entries:
        if entry.record not in why:
            continue
        person, reasons = why[entry.record]
        left = reasons - choice.overrides.keys()
        record = known(entry.name)
        same = isinstance(record, sealed.PersonRecord) and (record.role, record.name) == (person.role, person.name or None)
        if not same:
            left = {*left, "decided-anew"}
        if not left and (person.id in choice.persons or (person.role == "suspect" and not reasons)):
            allowed.add(person.id)
        elif left or person.id in choice.persons:
            kept.append(Held(person.id, f"the person {person.id}", tuple(sorted(left))))
    return allowed, kept


def _held(
    index: Index, held: Mapping[str, set[str]], findings: Mapping[str, Entry], known: Callable[[str], sealed.SealedRecord]
) -> Iterator[Held]:
    unsealed = {record for record in held if record not in findings}
    told = {record: _told(known(findings[record].name)) for record in held if record in findings}
    for found in index.records() if unsealed else ():
        if found.id in unsealed:
            told[found.id] = f"{found.finding.kind}: {found.finding.summary}, {found.location}"
    for record, reasons in held.items():
        yield Held(record, told.get(record, "no such record"), tuple(sorted(reasons)))


def _refuse(held: Mapping[str, set[str]]) -> None:
    reasons = sorted(set().union(*held.values())) if held else []
    if not held:
        raise NotDisclosable("nothing is chosen; say which records with --records, as kind=photo or a file of record ids")
    if reasons == ["unreviewed"]:
        raise NotReviewed("nothing may leave: nobody has confirmed any of these records; review them, then seal")
    raise NotDisclosable("nothing of this may leave: " + "; ".join(policy.REASONS[reason] for reason in reasons))


def sealed_reader(seal: Seal, first: Iterable[Entry]) -> Callable[[str], sealed.SealedRecord]:
    """Reads sealed records by name, each checked against the signed seal. Raises CaseError for what is not as it was sealed."""
    for _ in first:
        break
    else:
        raise CaseError(f"seals/{seal.name}: has no record of the case; restore it from a copy, or seal again")
    digests = seal.digests()

    def known(name: str) -> sealed.SealedRecord:
        data = seal.read(name)
        if sealed.digest(data) != digests.get(name):
            raise CaseError(f"seals/{seal.name}/records/{name}.json: was changed since it was sealed; restore it, or seal again")
        return sealed.decode(data, name)

    return known


def _text(record: sealed.SealedRecord) -> str:
    """All text of a record that a reader can read."""
    return record.name if isinstance(record, sealed.AttachmentRecord) else "\n".join(sealed.strings(record))


def _told(record: sealed.SealedRecord) -> str:
    """One line for the officer on what a record says."""
    if isinstance(record, sealed.FindingRecord):
        return f"{record.kind}: {record.summary}, {record.location}"
    if isinstance(record, sealed.AttachmentRecord):
        return f"{record.name} ({record.mime}) of {record.of}"
    if isinstance(record, sealed.PersonRecord):
        return f"{record.role}: {record.name or 'without a name'}"
    if isinstance(record, sealed.MethodRecord):
        return f"{record.plugin} {record.version}"
    if isinstance(record, sealed.ExhibitRecord):
        return f"{record.exhibit.exhibit_id}: {record.exhibit.description}"
    if isinstance(record, sealed.CaseRecord):
        return f"{record.case.case_id}: {record.case.offence_or_purpose}"
    if isinstance(record, sealed.ContentRecord):
        return f"SHA-256 {record.sha256}, of {len(record.openings)} findings"
    return f"note on {record.of}" if isinstance(record, sealed.NoteRecord) else f"{record.finding} is of {record.person}"
