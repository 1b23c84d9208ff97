"""Where the test evidence lies, and which tests begin first."""

import os
import signal
from pathlib import Path

import pytest

# A shell starts what it runs in the background with SIGINT ignored, and so would be every command that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Where the surroundings keep Python from writing what it compiled, each of the hundreds of commands would compile the tool anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


# The files whose tests take longest, the longest first: a process that begins with one at the very end would be waited for by the others.
LONGEST = (
    "test_interruption.py", "test_cluster.py", "test_two_states.py", "test_main_job.py", "test_export_cli.py", "test_hostile_names.py",
    "test_carved_files.py", "test_engine_faults.py", "test_incremental.py", "test_verify.py", "test_encryption.py", "test_report.py",
    "test_case_uco.py", "test_cli.py", "test_report_pdf.py", "test_cli_fields.py", "test_receive.py", "test_f2fs.py",
    "test_btrfs.py", "test_signed.py", "test_age.py", "test_signature.py", "test_chain.py", "test_identity.py", "test_trust.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="session")
def evidence() -> Path:
    """The folder of test evidence, from FORENSICS_EVIDENCE or beside the checkout."""
    folder = Path(os.environ.get("FORENSICS_EVIDENCE", Path(__file__).parents[1] / ".." / "shared" / "evidence")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no test evidence at {folder}: set FORENSICS_EVIDENCE")
    return folder
