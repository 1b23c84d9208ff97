"""What people add to the records: confirmed or rejected, categories, notes, labels, persons.

All of it stands in the custody log, as `reviewed` events; `state` replays them. A record's id says nothing of the run, so what was decided
holds for the same record of a later run; of a record that is no more it is kept, and counted and listed as stale (`summary`, `stale`).
"""

from forensics.review.decide import add_person, change_person, decide, link, unlink
from forensics.review.model import Decision, Event, Person, Stale, Status
from forensics.review.query import Query, chosen, parse, select
from forensics.review.state import Review, history, state, told
from forensics.review.summary import Summary, stale, summary
from forensics.review.vocabulary import Category, Term, Terms, categories, categories_version, terms

__all__ = [
    "Category",
    "Decision",
    "Event",
    "Person",
    "Query",
    "Review",
    "Stale",
    "Status",
    "Summary",
    "Term",
    "Terms",
    "add_person",
    "categories",
    "categories_version",
    "change_person",
    "chosen",
    "decide",
    "history",
    "link",
    "parse",
    "select",
    "stale",
    "state",
    "summary",
    "terms",
    "told",
    "unlink",
]
