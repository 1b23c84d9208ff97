"""How far review has come, for reports: records by status and category, what is about whom, and what is stale."""

from collections import Counter

import msgspec
from msgspec import Struct

from forensics.index import Index
from forensics.review.model import Decision, Stale
from forensics.review.query import Query, select
from forensics.review.state import Review
from forensics.review.vocabulary import category_ids


class Summary(Struct, frozen=True, kw_only=True):
    """Numbers of records, of the latest runs; statuses, categories and labels in the order of their lists, those with none left out.

    `by_category` counts the confirmed records, `proposed` the unreviewed ones by what their plugins propose; `stale` counts records that
    somebody decided about, labelled or linked to a person, and that the latest runs did not find: what was said is kept, and holds again
    where the record is found again. `linked` counts records about persons.
    """

    records: int
    by_status: dict[str, int]
    by_category: dict[str, int]
    proposed: dict[str, int]
    by_label: dict[str, int]
    persons: int
    linked: int
    stale: int


def summary(review: Review, index: Index) -> Summary:
    """Count the records of the latest runs by what people said of them; one pass, in flat memory."""
    statuses: Counter[str] = Counter()
    confirmed: Counter[str] = Counter()
    proposed: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    linked = held = 0
    for record in select(index, Query(""), review):
        status = review.status(record.id)
        statuses[status] += 1
        held += record.id in review.decisions or record.id in review.linked
        linked += record.id in review.linked
        if status == "confirmed":
            confirmed[review.category(record)] += 1
        elif status == "unreviewed":
            proposed[review.category(record)] += 1
        labels.update(review.labels(record.id))
    order = category_ids()
    return Summary(
        records=statuses.total(),
        by_status={status: statuses[status] for status in ("confirmed", "rejected", "unreviewed")},
        by_category={category: confirmed[category] for category in order if confirmed[category]},
        proposed={category: proposed[category] for category in order if proposed[category] and category != "NONE"},
        by_label=dict(sorted(labels.items())),
        persons=len(review.persons),
        linked=linked,
        stale=len(review.decisions.keys() | review.linked.keys()) - held,
    )


def stale(review: Review, index: Index) -> tuple[Stale, ...]:
    """What was said of records that the latest runs did not find, decisions, labels and persons, in the order of the last decision; those
    that are linked to a person and nothing more come first."""
    gone = review.decisions.keys() | review.linked.keys()
    gone -= {record.id for record in select(index, Query(""), review) if record.id in gone}
    said = (review.decisions.get(record, Decision(record=record, by="", at="", seq=0)) for record in gone)
    found = (Stale(**msgspec.structs.asdict(each), persons=review.linked.get(each.record, ())) for each in said)
    return tuple(sorted(found, key=lambda each: (each.seq, each.record)))
