"""Whatever is missing of the index, built from the segments of complete runs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from forensics.index.build import add_run, conclude_run, is_current, runs_in, start
from forensics.model import RunInfo

if TYPE_CHECKING:  # children ask the index, and need not load what keeps a case
    from forensics.case import Case


def ensure(case: "Case") -> None:
    """Build what is missing of the index. The case is locked by the caller. Raises CaseError, CustodyBroken."""
    start(case.index_path)
    for run in _missing(case):
        folder = case.run_folder(run)
        info = msgspec.json.decode((folder / "run.json").read_bytes(), type=RunInfo)
        add_run(case.index_path, info, (folder / "segments").glob("*.jsonl.zst"))
        conclude_run(case.index_path, run)


def look(case: "Case") -> None:
    """As `ensure`, for who only reads and holds no lock: the case is locked where something is missing, and else left alone.

    Raises CaseLocked where somebody else is at work on a case whose index is not whole.
    """
    if not is_current(case.index_path) or next(_missing(case), None):
        with case.lock():
            ensure(case)


def _missing(case: "Case") -> Iterator[str]:
    """The complete runs that the index does not hold whole."""
    held = runs_in(case.index_path)
    return (run for run in case.runs() if run not in held and (case.run_folder(run) / "complete").exists())
