"""Let the kernel write to a file system that is to be read: only as root, and where it may mount images."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import PATH


def run(*words: str | Path) -> str:
    """What a tool prints."""
    done = subprocess.run([str(word) for word in words], check=True, capture_output=True, env={"PATH": PATH, "TZ": "UTC"})
    return done.stdout.decode(errors="backslashreplace")


@contextmanager
def mounted(*images: Path, options: str = "") -> Iterator[Path]:
    """The images of one file system, mounted beside the first of them; the test is skipped where that is not allowed."""
    if os.geteuid() != 0 or shutil.which("losetup", path=PATH) is None:
        pytest.skip("images can be mounted by root alone")
    folder = images[0].parent / "mounted"
    folder.mkdir(exist_ok=True)
    devices: list[str] = []
    try:
        for image in images:
            done = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, env={"PATH": PATH}, text=True)
            if done.returncode:
                pytest.skip(f"no loop device: {done.stderr.strip()}")
            devices.append(done.stdout.strip())
        also = [f"device={device}" for device in devices[1:]]
        words = ["mount", "-o", ",".join(filter(None, ("noatime", options, *also))), devices[0], folder]
        done = subprocess.run(words, capture_output=True, env={"PATH": PATH}, text=True)
        if done.returncode:
            pytest.skip(f"cannot be mounted here: {done.stderr.strip()}")
        try:
            yield folder
        finally:
            run("umount", folder)
    finally:
        for device in devices:
            run("losetup", "--detach", device)
