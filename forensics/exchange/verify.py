"""Whether a package is what a partner state sealed, approved and sent to us, in one line a check."""

from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from forensics.errors import PackageInvalid
from forensics.exchange import checks, opening
from forensics.exchange.disclosure import Disclosure, decode
from forensics.exchange.standalone import pipeline
from forensics.exchange.standalone.pipeline import CHECKS, Signer
from forensics.exchange.standalone.refusal import Refused
from forensics.signing import Identity, Reader, Revocation, Trust

NOT_CHECKED = "not-checked"


class Check(Struct, frozen=True):
    """One line: what was checked, whether it holds, and in words why or why not. `reason` is one of the closed list of refusals."""

    name: str
    passed: bool
    detail: str
    reason: str = ""
    warnings: tuple[str, ...] = ()


class Verdict(Struct, frozen=True, kw_only=True):
    """All checks of one package, and what it says of itself where it is good. `folder` holds the unpacked bag, as far as that came.

    signers: who disclosed and approved it; examiner: who sealed; head: number and digest of the last line of its custody log; types: the
    type of each record in it by name.
    """

    checks: tuple[Check, ...]
    folder: Path
    disclosure: Disclosure | None = None
    signers: tuple[Signer, ...] = ()
    examiner: tuple[Signer, ...] = ()
    head: tuple[int, str] | None = None
    types: dict[str, str] = {}

    @property
    def good(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def refusal(self) -> Check | None:
        """The check that failed; those after it were not made."""
        return next((check for check in self.checks if not check.passed), None)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(warning for check in self.checks for warning in check.warnings)


def verify(
    package: Path, work: Path, *, identity: Identity | Reader, trust: Trust, at: datetime, revocation: Revocation = Revocation.WARN
) -> Verdict:
    """Decrypt `package` with the age key of `identity`, unpack it below the private folder `work`, and check all of it.

    Every refusal is a check that failed. Raises SigningError where the identity's own files do not open, and OSError.
    """
    plain, folder = work / "package.tar", work / "package"
    lines: list[Check] = []
    try:
        opening.decrypt(package, identity, plain)
        lines.append(Check("encryption", True, f"decrypted with {identity.recipient}"))
        top = opening.unpack(plain, folder)
        lines.append(Check("archive", True, f"unpacked as {top}"))
    except Refused as refusal:
        lines.append(Check("archive" if lines else "encryption", False, str(refusal), refusal.reason))
        missed = ("encryption", "archive", *CHECKS)[len(lines) :]
        unchecked = (Check(name, False, "not checked, because the check before it failed", NOT_CHECKED) for name in missed)
        return Verdict(checks=(*lines, *unchecked), folder=folder)
    finally:
        plain.unlink(missing_ok=True)
    found = verify_folder(folder, top, trust=trust, at=at, recipient=identity.recipient, revocation=revocation)
    return msgspec.structs.replace(found, checks=(*lines, *found.checks))


def verify_folder(
    folder: Path,
    top: str | None = None,
    *,
    trust: Trust,
    at: datetime,
    recipient: str | None = None,
    revocation: Revocation = Revocation.WARN,
) -> Verdict:
    """The same for a package that is unpacked in `folder`. Without `top` and `recipient` these are not compared."""
    found = pipeline.verify_folder(folder, top, checks.how(trust, at=at, recipient=recipient, revocation=revocation))
    lines = [Check(*line) for line in found.lines]
    said = None
    if found.disclosure is not None:
        try:
            said = decode((folder / "data" / "disclosure.json").read_bytes())
        except PackageInvalid as error:
            lines[-1] = Check("disclosure", False, str(error), "disclosure-form")
    return Verdict(
        checks=tuple(lines),
        folder=folder,
        disclosure=said,
        signers=found.signers,
        examiner=found.examiner,
        head=found.head,
        types=found.types,
    )
