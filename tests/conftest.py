"""Where the test evidence lies."""

import os
import signal
from pathlib import Path

import pytest

# A shell starts what it runs in the background with SIGINT ignored, and so would be every command that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def evidence() -> Path:
    """The folder of test evidence, from FORENSICS_EVIDENCE or beside the checkout."""
    folder = Path(os.environ.get("FORENSICS_EVIDENCE", Path(__file__).parents[1] / ".." / "shared" / "evidence")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no test evidence at {folder}: set FORENSICS_EVIDENCE")
    return folder
