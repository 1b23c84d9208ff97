"""What people said: written as custody events, replayed, kept when the records are gone."""

import json
import tracemalloc
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from forensics import custody, index, review
from forensics.case import Case, check, create, open_case
from forensics.cli import cli
from forensics.digest import identity
from forensics.engine import run
from forensics.engine.options import Options
from forensics.errors import CustodyBroken, UsageError
from forensics.model import CaseInfo, StoredFinding

AT = datetime(2026, 5, 1, 8, tzinfo=UTC)
ONE, TWO, THREE = (sha256(text).hexdigest() for text in (b"one", b"two", b"three"))
HOSTILE = "\x1b[31mred\x00\n<script>alert(1)</script> \u202egnp.exe {{ x }} ' OR 1=1"


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return create(tmp_path / "case", CaseInfo(case_id="T"))


def test_the_last_word_wins_and_every_word_is_kept(case: Case) -> None:
    review.decide(case, [ONE, TWO], status="confirmed", category="payment", reliability="b", credibility="2", by="Dewi", at=AT)
    review.decide(case, [ONE], status="rejected", note="not a payment", likelihood="unlikely", by="Budi", at=AT)
    said = review.state(case)
    assert said.decisions[ONE] == review.Decision(
        record=ONE,
        status="rejected",
        category="SOM-PAYMENT",
        reliability="B",
        credibility=2,
        likelihood="unlikely",
        note="not a payment",
        by="Budi",
        at="2026-05-01T08:00:00.000Z",
        seq=3,
    )
    assert said.status(TWO) == "confirmed"
    assert said.status(THREE) == "unreviewed"
    assert [(event.by, review.told(event.said)) for event in review.history(case.folder, [ONE])] == [
        ("Dewi", "status: confirmed, category: SOM-PAYMENT, reliability: B, credibility: 2"),
        ("Budi", "status: rejected, likelihood: unlikely, note: not a payment"),
    ]
    assert len(list(review.history(case.folder, [TWO]))) == 1


def test_what_was_said_can_be_taken_back(case: Case) -> None:
    review.decide(case, [ONE], status="confirmed", category="FEE", reliability="A", credibility=1, likelihood="likely", note="x", by="A")
    review.decide(case, [ONE], status="unreviewed", category="", reliability="", credibility="", likelihood="", note="", by="A")
    said = review.state(case).decisions[ONE]
    assert (said.status, said.category, said.reliability, said.credibility, said.likelihood, said.note) == (
        "unreviewed", None, None, None, None, "",
    )  # fmt: skip


def test_labels_are_added_and_taken_away_one_by_one(case: Case) -> None:
    review.decide(case, [ONE, TWO], labels=["minor"], by="A")
    review.decide(case, [ONE], labels=["health", "victim"], without_labels=["minor"], by="A")
    assert (review.state(case).labels(ONE), review.state(case).labels(TWO)) == (("health", "victim"), ("minor",))
    assert review.state(case).status(ONE) == "unreviewed"


def test_a_line_of_the_log_says_nothing_of_the_records_and_the_log_verifies(case: Case) -> None:
    review.decide(case, [ONE], status="confirmed", note="Anna's number", by="Dewi", query="kind=phone")
    line = (case.folder / custody.LOG).read_text().splitlines()[-1]
    assert set(json.loads(line)) == {"seq", "at", "clock", "event", "prev", "body_sha256"}
    assert json.loads(line)["event"] == "reviewed"
    assert check(case) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "nothing was said"),
        ({"status": "perhaps"}, "confirmed, rejected, unreviewed"),
        ({"category": "SOM-NOT"}, "SOM-RECRUIT"),
        ({"credibility": 0}, "credibility '0'"),
        ({"labels": ["x"]}, "legal-privilege"),
        ({"note": "x" * 10_001}, "too long"),
        ({"status": "confirmed", "by": None}, "nobody is named"),
        ({"status": "confirmed", "by": " "}, "nobody is named"),
    ],
)
def test_what_cannot_be_said_is_refused_and_nothing_is_written(change: dict[str, object], words: str, case: Case) -> None:
    with pytest.raises(UsageError, match=words):
        review.decide(case, [ONE], **{"by": "A", **change})  # type: ignore[arg-type]
    assert custody.head(case.folder)[0] == 1


@pytest.mark.parametrize("records", [[], ["abc"], [ONE.upper()], [f"../{ONE}"]])
def test_only_ids_are_decided_about(records: list[str], case: Case) -> None:
    with pytest.raises(UsageError):
        review.decide(case, records, status="confirmed", by="A")


def test_hostile_text_is_kept_as_it_was_written(case: Case) -> None:
    review.decide(case, [ONE], note=HOSTILE, by="A\u202e")
    assert review.state(case).decisions[ONE].note == HOSTILE
    assert check(case) == []


def test_a_hundred_thousand_decisions_are_one_event_in_bounded_memory(case: Case) -> None:
    ids = [sha256(str(number).encode()).hexdigest() for number in range(100_000)]
    before = custody.head(case.folder)[0]
    tracemalloc.start()
    review.decide(case, iter(ids), status="rejected", by="A")
    said = review.state(case)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert custody.head(case.folder)[0] == before + 1
    assert len(said.decisions) == 100_000
    assert all(said.status(each) == "rejected" for each in ids)
    assert peak < 150 << 20
    assert max(path.stat().st_size for path in (case.folder / custody.BODIES).iterdir()) < 7_000_000  # 64 digits and three signs each


def test_a_review_whose_body_is_gone_is_not_taken_for_none(case: Case) -> None:
    line = review.decide(case, [ONE], labels=["protection-claim"], by="A")
    (case.folder / custody.BODIES / f"{line.body_sha256}.json").unlink()
    with pytest.raises(CustodyBroken, match=f"line {line.seq}"):
        review.state(case)


def test_a_review_of_another_kind_in_the_log_is_no_decision(case: Case) -> None:
    custody.append(case.folder, "reviewed", object="report", body={"purpose": "technical review"}, by="B")
    assert review.state(case) == review.Review({}, {})


# --- persons ----------------------------------------------------------------------------------------------------------------


def test_persons_are_added_changed_and_linked_to_records(case: Case) -> None:
    first = review.add_person(case, by="A")
    second = review.add_person(case, name=" Anna  Maria ", role="victim", states_of_origin=["mm", "BD"], protection_claim=True, by="A")
    assert first == review.Person(id="P-1")  # no name, role unknown, states of origin unknown
    assert second == review.Person(id="P-2", name="Anna Maria", role="victim", states_of_origin=("BD", "MM"), protection_claim=True)
    review.link(case, "P-2", [TWO, ONE], by="A")
    review.link(case, "P-1", [ONE], by="A")
    review.change_person(case, "p-2", name="", role="minor", by="B")
    review.unlink(case, "P-2", [TWO, THREE], by="A")
    said = review.state(case)
    assert said.persons["P-2"] == review.Person(
        id="P-2", role="minor", states_of_origin=("BD", "MM"), protection_claim=True, records=(ONE,)
    )
    assert [person.id for person in said.about(ONE)] == ["P-1", "P-2"]
    assert said.about(TWO) == ()
    assert [review.told(event.said) for event in review.history(case.folder, [TWO])] == ["about P-2", "no longer about P-2"]


def test_nobody_is_linked_to_who_is_not_there(case: Case) -> None:
    review.add_person(case, by="A")
    with pytest.raises(UsageError, match=r"'P-9'; there is: P-1"):
        review.link(case, "P-9", [ONE], by="A")
    for name in ("a\x1b[2J", "x" * 201, "a\u202eb"):
        with pytest.raises(UsageError, match="cannot be a name"):
            review.add_person(case, name=name, by="A")


# --- another run ------------------------------------------------------------------------------------------------------------


def test_decisions_hold_for_the_same_records_of_another_run_and_are_counted_where_those_are_gone(folder: Path) -> None:
    case = open_case(folder)
    with index.open_index(case.index_path) as found:
        before = {record.id: record.finding.kind for record in found.records()}
    review.decide(case, before, status="confirmed", category="TRAVEL-HISTORY", by="A")
    with case.lock():
        run.examine(case, case.exhibits(), Options(plugins=("photo-exif",)), lambda now: None)
    said = review.state(case)
    with index.open_index(case.index_path) as found:
        now = {record.id for record in found.records()}
        counted = review.summary(said, found)
        assert {record.id for record in review.select(found, "confirmed", said)} == now
        assert {each.record for each in review.stale(said, found)} == set(before) - now
    assert now and now < set(before)
    assert counted.by_status == {"confirmed": len(now), "rejected": 0, "unreviewed": 0}
    assert counted.by_category == {"SOM-TRAVEL-HISTORY": len(now)}
    assert counted.stale == len(before) - len(now)
    assert said.status(next(id for id in before if id not in now)) == "confirmed"
    shown = CliRunner().invoke(cli, ["review", "stale", "--case", str(folder), "--json"], catch_exceptions=False)
    assert {json.loads(line)["record"] for line in shown.output.splitlines()} == set(before) - now


def test_links_and_labels_of_records_that_are_gone_are_stale_too_and_can_be_taken_back(folder: Path) -> None:
    case = open_case(folder)
    review.add_person(case, name="Ani", role="minor", by="A")
    review.link(case, "P-1", [ONE, TWO], by="A")
    review.decide(case, [TWO], labels=["minor"], by="A")
    said = review.state(case)
    with index.open_index(case.index_path) as found:
        assert review.summary(said, found).stale == 2
        gone = {each.record: (each.labels, each.persons, each.status) for each in review.stale(said, found)}
        assert gone == {ONE: ((), ("P-1",), "unreviewed"), TWO: (("minor",), ("P-1",), "unreviewed")}
        here = next(found.records()).id
        assert list(review.chosen(found, review.parse(f"{ONE} {here}"), said)) == [here, ONE]
        with pytest.raises(UsageError, match="no record of the latest runs"):
            list(review.chosen(found, review.parse(THREE), said))
    for command in (["person", "unlink", "P-1", ONE, TWO], ["review", "label", "--remove", "minor", TWO]):
        done = CliRunner().invoke(cli, [*command, "--case", str(folder), "--by", "A"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    with index.open_index(case.index_path) as found:
        assert [(each.record, each.labels) for each in review.stale(review.state(case), found)] == [(TWO, ())]


# --- what a plugin proposes -------------------------------------------------------------------------------------------------


def test_a_proposed_category_holds_until_somebody_says_another(card: Path) -> None:
    with index.open_index(card / "index.db") as found:
        record = next(found.records(kind="url"))
    nobody = review.Review({}, {})
    assert nobody.category(record) == "NONE"
    for proposed, category in (("SOM-PAYMENT", "SOM-PAYMENT"), ("SOM-INVENTED", "NONE")):
        told = msgspec.structs.replace(record, finding=msgspec.structs.replace(record.finding, category=proposed))
        assert nobody.category(told) == category
        decided = review.Decision(record=record.id, category="NONE", by="A", at="", seq=1)
        assert review.Review({record.id: decided}, {}).category(told) == "NONE"


def test_a_finding_that_proposes_no_category_has_the_id_that_it_had() -> None:
    finding = StoredFinding(kind="photo", summary="x")
    assert identity(finding) == sha256(b'{"kind":"photo","summary":"x"}').hexdigest()
    assert identity(msgspec.structs.replace(finding, category="SOM-FEE")) != identity(finding)
