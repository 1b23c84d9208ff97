"""Whether YARA-X found what YARA found: looked at wherever both were asked, and always for one content in 64."""

from collections.abc import Iterable

from forensics.errors import RulesDiffer
from forensics.rules.sets import Name

_SHOWN = 5


def sampled(sha256: str) -> bool:
    """Whether content goes through both engines in any case: by its digest, so that every run chooses the same."""
    return sha256[:2] in ("00", "01", "02", "03")


def compare(screened: frozenset[Name], found: Iterable[Name], found_by_yara_x: frozenset[Name]) -> None:
    """Raise RulesDiffer where YARA found a rule that is screened, and YARA-X did not."""
    missed = sorted((set(found) & screened) - found_by_yara_x)
    if missed:
        named = ", ".join(f"{rule} of {namespace}" for namespace, rule in missed[:_SHOWN]) + (", ..." if len(missed) > _SHOWN else "")
        raise RulesDiffer(
            f"YARA matches and YARA-X does not: {named}; this match is kept, but YARA-X may have screened others out: "
            'examine again with the option engine = "yara" of rule-match'
        )
