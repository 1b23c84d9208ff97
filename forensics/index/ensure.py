"""Whatever is missing of the index, built from the segments of complete runs."""

import msgspec

from forensics.case import Case
from forensics.index.build import add_run, conclude_run, runs_in, start
from forensics.model import RunInfo


def ensure(case: Case) -> None:
    """Build what is missing of the index from the segments of complete runs. Raises CaseError, CustodyBroken."""
    start(case.index_path)
    held = runs_in(case.index_path)
    for run in case.runs():
        folder = case.run_folder(run)
        if run not in held and (folder / "complete").exists():
            info = msgspec.json.decode((folder / "run.json").read_bytes(), type=RunInfo)
            add_run(case.index_path, info, (folder / "segments").glob("*.jsonl.zst"))
            conclude_run(case.index_path, run)
