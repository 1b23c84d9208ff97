"""Environments of their own for what the benchmark compares with, out of PyPI; never dependencies of ours."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Environment(NamedTuple):
    """A virtual environment: its folder of programs, the versions of what was asked for, or why it could not be made."""

    programs: Path
    versions: str
    failure: str | None = None


def make(folder: Path, packages: Sequence[str]) -> Environment:
    """The environment at `folder` with `packages`, made where it is not there yet. A failure is told, not raised."""
    python = folder / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, text=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout or str(error)).strip().splitlines()[-1:]
        return Environment(folder / "bin", "", f"cannot be installed: {' '.join(last)[:300]}")
    listed = subprocess.run([python, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True).stdout
    names = {package.lower() for package in packages}
    versions = [line.replace("==", " ") for line in listed.splitlines() if line.partition("==")[0].lower() in names]
    return Environment(folder / "bin", ", ".join(versions))
