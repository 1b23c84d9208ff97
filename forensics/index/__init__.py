"""The derived index of a case: one SQLite file, the only SQL over the case. Delete it and it is built again from the segments."""

from forensics.index.build import add_run, conclude_run, extend_run, runs_in, start
from forensics.index.ensure import ensure, look
from forensics.index.questions import Counts, Difference, Index, compare, open_index

__all__ = [
    "Counts", "Difference", "Index", "add_run", "compare", "conclude_run", "ensure", "extend_run", "look", "open_index", "runs_in", "start",
]  # fmt: skip
