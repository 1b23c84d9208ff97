"""The closed lists of review: what is in them, in which languages, and what is refused."""

from pathlib import Path

import pytest

from forensics import review
from forensics.errors import UsageError
from forensics.review import vocabulary
from forensics.review.states import STATES

# The list that the partners agreed on, in its order.
AGREED = [
    "RECRUIT", "COMMS", "ROUTE", "TRANSPORT", "DOC-GENUINE-MISUSE", "DOC-FORGED", "DOC-COUNTERFEIT", "DOC-IMPOSTOR", "VISA-ABUSE",
    "PAYMENT", "FEE", "ACCOMMODATION", "COUNTERMEASURE", "CORRUPTION", "TIP-INDICATOR", "HARM", "TRAVEL-HISTORY", "IDENTITY",
]  # fmt: skip
# Regulation (EU) 2016/679, Article 9(1)
SPECIAL = {
    "racial-or-ethnic-origin", "political-opinions", "religious-or-philosophical-beliefs", "trade-union-membership", "genetic-data",
    "biometric-data", "health", "sex-life-or-sexual-orientation",
}  # fmt: skip


def test_the_categories_are_those_that_were_agreed() -> None:
    assert [category.id for category in review.categories()] == [*(f"SOM-{name}" for name in AGREED), "NONE"]


def test_every_term_has_a_name_and_a_meaning_in_both_languages_and_a_source() -> None:
    terms = review.terms()
    every = (*review.categories(), *terms.labels, *terms.reliability, *terms.credibility, *terms.likelihood, *terms.roles)
    for term in every:
        assert set(term.name) == set(term.definition) == {"en", "id"}
        assert all([*term.name.values(), *term.definition.values(), term.source])
    assert review.categories_version() == terms.version == "1.0"


def test_labels_hold_the_special_categories_of_personal_data() -> None:
    assert {term.id for term in review.terms().labels} == SPECIAL | {"legal-privilege", "protection-claim", "minor", "victim"}


def test_confidence_has_the_two_axes_of_the_admiralty_scale() -> None:
    assert "".join(term.id for term in review.terms().reliability) == "ABCDEF"
    assert "".join(term.id for term in review.terms().credibility) == "123456"


def test_states_are_those_of_iso_3166() -> None:
    table = Path("/usr/share/zoneinfo/iso3166.tab")
    if not table.exists():
        pytest.skip("no table of tzdata here")
    assert {line[:2] for line in table.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"} == STATES


@pytest.mark.parametrize(
    ("check", "given", "kept"),
    [
        (vocabulary.category, "payment", "SOM-PAYMENT"),
        (vocabulary.category, "none", "NONE"),
        (vocabulary.reliability, "b", "B"),
        (vocabulary.likelihood, "Very likely", "very-likely"),
        (vocabulary.label, "Legal privilege", "legal-privilege"),
        (vocabulary.role, "smuggled person", "smuggled-person"),
    ],
)
def test_terms_are_kept_as_the_list_spells_them(check, given: str, kept: str) -> None:  # type: ignore[no-untyped-def]
    assert check(given) == kept


@pytest.mark.parametrize(
    ("check", "given", "listed"),
    [
        (vocabulary.category, "SOM-BOGUS", "SOM-TRAVEL-HISTORY"),
        (vocabulary.reliability, "G", "F (reliability cannot be judged)"),
        (vocabulary.credibility, "7", "6 (truth cannot be judged)"),
        (vocabulary.likelihood, "maybe", "roughly-even-chance"),
        (vocabulary.label, "secret", "protection-claim"),
        (vocabulary.role, "boss", "smuggled-person"),
    ],
)
def test_what_is_not_of_a_list_is_refused_with_the_list(check, given: str, listed: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError) as refusal:
        check(given)
    assert given in str(refusal.value)
    assert listed in str(refusal.value)


def test_a_state_that_is_none_is_named() -> None:
    assert vocabulary.states(["th", "ID", "TH"]) == ("ID", "TH")
    with pytest.raises(UsageError, match="'XX'"):
        vocabulary.states(["ID", "XX"])
