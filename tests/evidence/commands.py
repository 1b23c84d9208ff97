"""Running the tools that make what is tested."""

import shutil
import subprocess
from pathlib import Path

import pytest

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def tool(*words: str | Path, stdin: str = "") -> None:
    """Run a tool; the test is skipped where it is not installed."""
    if shutil.which(str(words[0]), path=PATH) is None:
        pytest.skip(f"{words[0]} is not installed")
    for _ in range(20):
        done = subprocess.run(list(map(str, words)), capture_output=True, env={"PATH": PATH, "TZ": "UTC"}, input=stdin.encode())
        if b"accurate CPU usage" not in done.stderr:  # qemu-img times its key derivation, and gives up where the clock did not move
            break
    assert done.returncode == 0, done.stderr.decode(errors="backslashreplace")
