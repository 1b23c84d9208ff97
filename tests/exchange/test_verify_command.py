"""What `forensics verify` loads, and where it unpacks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from forensics.cli import verify


def test_verifying_loads_nothing_that_reads_evidence_signs_documents_or_shows_tables() -> None:
    code = "import sys, forensics.cli.verify, forensics.exchange.verify, forensics.signing.identity; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "forensics.exchange.verify" in loaded
    heavy = {"asn1crypto", "jinja2", "lxml", "pyhanko", "pytsk3", "rich", "tomlkit", "typst", "urllib.request", "forensics.engine.run"}
    assert not heavy & set(loaded)


def test_the_key_of_the_passphrase_is_being_derived_before_what_knows_of_certificates_is_loaded() -> None:
    """That takes half a second, in which the rest is loaded."""
    code = "import sys, forensics.__main__, forensics.cli.verify, forensics.signing.reader; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "forensics.signing.passphrase" in loaded
    assert {"cryptography", "pyrage", "concurrent.futures", "multiprocessing", "forensics.engine"}.isdisjoint(loaded)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(verify, "_MEMORY", tmp_path)
    (tmp_path / "package").write_bytes(bytes(1000))
    return tmp_path / "package"


def test_a_package_is_unpacked_in_memory_so_that_it_touches_no_disk(package: Path) -> None:
    assert verify._place(package) == package.parent


def test_where_memory_is_short_or_another_place_is_named_it_is_unpacked_there(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=8000))
    assert verify._place(package) is None
    monkeypatch.undo()
    monkeypatch.setattr(verify, "_MEMORY", package.parent)
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    assert verify._place(package) is None


def test_a_large_package_is_unpacked_on_the_disk(package: Path) -> None:
    os.truncate(package, (256 << 20) + 1)
    assert verify._place(package) is None


def test_without_such_a_folder_it_is_unpacked_where_the_system_has_its_temporary_files(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "_MEMORY", package.parent / "none")
    assert verify._place(package) is None
