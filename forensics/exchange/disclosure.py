"""What a package says of itself (`disclosure.json`): from whom, to whom, for what, until when, how much, and who checked what.

Fields after the ASEAN Treaty on Mutual Legal Assistance in Criminal Matters (2004), Articles 4 to 9 and 24, and TLP 2.0 (FIRST). Nothing
in it tells what was withheld but the number: what was found in the protection check stays in the house.
"""

from datetime import date, datetime

import msgspec
from msgspec import Struct

from forensics.digest import canonical
from forensics.errors import NotDisclosable, PackageInvalid, UsageError

FORMAT = "forensics-disclosure/1"
CHANNELS = ("mlat", "bilateral", "police-to-police", "immigration-to-immigration", "interpol", "amicf")
USES = ("evidence", "intelligence")
EVIDENCE_CHANNELS = ("mlat", "bilateral")  # what comes from police to police is intelligence, and no evidence in court
TLP = ("TLP:RED", "TLP:AMBER+STRICT", "TLP:AMBER", "TLP:GREEN", "TLP:CLEAR")
PAP = ("PAP:RED", "PAP:AMBER", "PAP:GREEN", "PAP:CLEAR")
ON_EXPIRY = ("return", "destroy")
ASKED = "asylum, refugee, victim, minor"  # what the protection check always asks
_TEXT = 4000  # characters of one field


class From(Struct, frozen=True, forbid_unknown_fields=True):
    """Who discloses: state (two letters), agency, officer."""

    state: str
    agency: str
    officer: str


class To(Struct, frozen=True, forbid_unknown_fields=True):
    """To whom: state, authority, and the SHA-256 of each age key that can open it."""

    state: str
    authority: str
    recipients: tuple[str, ...]


class ProtectionCheck(Struct, frozen=True, forbid_unknown_fields=True):
    """What was asked, that it was, and by whom."""

    asked: str
    result: str
    by: str


class Head(Struct, frozen=True, forbid_unknown_fields=True):
    """The last line of the custody log in the package: number and SHA-256."""

    seq: int
    head: str


class Disclosure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`disclosure.json`. `author` is the fingerprint of the disclosing officer's certificate; the approver is the other signer."""

    format: str
    id: str
    from_: From = msgspec.field(name="from")
    to: To
    channel: str
    request_ref: str
    purpose: str
    use: str
    onward: str
    caveats: tuple[str, ...]
    tlp: str
    pap: str
    expires: str
    on_expiry: str
    made_at: str
    seal: str
    case: str
    records: tuple[str, ...]
    withheld: int
    protection_check: ProtectionCheck
    overrides: tuple[str, ...]
    author: str
    custody: Head


class Terms(Struct, frozen=True, kw_only=True):
    """What the disclosing officer says: for what and how a package may be used. `checked` and `checked_by` are the protection check's
    outcome, in words for the house, and who made it."""

    to_state: str
    authority: str
    channel: str
    purpose: str
    use: str
    onward: str
    expires: str
    request_ref: str = ""
    caveats: tuple[str, ...] = ()
    tlp: str = "TLP:AMBER+STRICT"
    pap: str = "PAP:AMBER"
    on_expiry: str = "destroy"
    checked: str = ""
    checked_by: str = ""

    def texts(self) -> tuple[str, ...]:
        """The free texts that leave."""
        return self.authority, self.purpose, self.onward, self.request_ref, *self.caveats, self.checked_by


def check(terms: Terms, at: datetime) -> None:
    """That the terms are whole and fit each other. Raises UsageError for a word that is none, NotDisclosable naming what is missing."""
    closed = {"channel": CHANNELS, "use": USES, "tlp": TLP, "pap": PAP, "on_expiry": ON_EXPIRY}
    for name, words in closed.items():
        if getattr(terms, name) not in words:
            raise UsageError(f"{name.replace('_', '-')} {getattr(terms, name)!r}: choose one of: {', '.join(words)}")
    if not (len(terms.to_state) == 2 and terms.to_state.isascii() and terms.to_state.isupper()):
        raise UsageError(f"to {terms.to_state!r}: name the state by the two letters of ISO 3166, such as VN")
    if any(len(text) > _TEXT for text in terms.texts()):
        raise UsageError(f"a text of the disclosure is longer than {_TEXT} characters")
    needed = {"authority": terms.authority, "purpose": terms.purpose, "onward": terms.onward, "expires": terms.expires}
    needed |= {"protection-check": terms.checked, "protection-checked-by": terms.checked_by}
    if terms.use == "evidence":
        needed["request-ref"] = terms.request_ref
    if missing := [name for name, text in needed.items() if not text.strip()]:
        raise NotDisclosable(
            f"not disclosed, because this is missing: {', '.join(missing)}"
            + ("; somebody has to ask whether it is about an asylum seeker, a refugee, a victim or a minor" if not terms.checked else "")
        )
    if terms.use == "evidence" and terms.channel not in EVIDENCE_CHANNELS:
        raise NotDisclosable(
            f"not disclosed: what goes by {terms.channel} is intelligence, and is no evidence before a court; "
            f"say --use intelligence, or send it by {' or '.join(EVIDENCE_CHANNELS)}"
        )
    try:
        until = date.fromisoformat(terms.expires)
    except ValueError as error:
        raise UsageError(f"expires {terms.expires!r}: name a day, such as 2027-03-01") from error
    if until <= at.date():
        raise NotDisclosable(f"not disclosed: it would expire on {terms.expires}, which is not in the future")


def encode(disclosure: Disclosure) -> bytes:
    """The bytes of `disclosure.json`, canonical."""
    return canonical(disclosure)


def decode(data: bytes) -> Disclosure:
    """The disclosure of these bytes, which must be canonical. Raises PackageInvalid."""
    try:
        found = msgspec.json.decode(data, type=Disclosure)
        same = canonical(msgspec.json.decode(data)) == data
    except (ValueError, RecursionError) as error:
        raise PackageInvalid(f"disclosure.json: not a disclosure: {error}") from error
    if not same or found.format != FORMAT:
        raise PackageInvalid("disclosure.json: not in canonical form (RFC 8785), or not of a format that is known")
    return found
