"""How far review has come, for reports: records by status and category, what is about whom, and what is stale."""

from collections import Counter

from msgspec import Struct

from forensics.index import Index
from forensics.review.model import Decision
from forensics.review.query import Query, select
from forensics.review.state import Review
from forensics.review.vocabulary import category_ids


class Summary(Struct, frozen=True, kw_only=True):
    """Numbers of records, of the latest runs; statuses, categories and labels in the order of their lists, those with none left out.

    `by_category` counts the confirmed records, `proposed` the unreviewed ones by what their plugins propose; `stale` are decisions about
    records that the latest runs did not find: they are kept, and hold again where the record is found again. `linked` counts records about
    persons.
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
        held += record.id in review.decisions
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
        stale=len(review.decisions) - held,
    )


def stale(review: Review, index: Index) -> tuple[Decision, ...]:
    """Decisions about records that the latest runs did not find, in the order in which they were made."""
    here = {record.id for record in select(index, Query(""), review) if record.id in review.decisions}
    gone = (decision for name, decision in review.decisions.items() if name not in here)
    return tuple(sorted(gone, key=lambda decision: (decision.seq, decision.record)))
