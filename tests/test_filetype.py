"""Types by content: what libmagic says, from the wheel's library and database."""

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from forensics.filetype import describe, libmagic_version, mime_of

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0"


def test_type_of_every_photo_and_document_is_what_file_says(evidence: Path) -> None:
    entries = json.loads((evidence / "manifest.json").read_bytes())["entries"]
    known = {
        entry["path"]: entry["expected"]["libmagic_mime"]
        for entry in entries
        if entry["kind"] in ("photo", "document") and "libmagic_mime" in entry["expected"]
    }
    assert len(known) > 20
    assert {path: mime_of((evidence / path).read_bytes()) for path in known} == known


def test_empty_content_is_named_as_file_names_it() -> None:
    assert mime_of(b"") == "inode/x-empty"
    assert describe(b"") == "empty"


def test_unknown_bytes_are_octet_stream() -> None:
    assert mime_of(b"\x01\x02\x03\x04\xff\xfe") == "application/octet-stream"
    assert describe(b"\x01\x02\x03\x04\xff\xfe") == "data"


def test_description_says_more_than_the_type() -> None:
    assert describe(PNG) == "PNG image data, 1 x 1, 8-bit/color RGB, non-interlaced"


def test_only_the_first_64_kib_are_looked_at() -> None:
    assert mime_of(bytes(70000)) == mime_of(bytes(65536) + PNG) == "application/octet-stream"


def test_a_forked_child_asks_a_library_of_its_own() -> None:
    assert mime_of(PNG) == "image/png"
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        assert pool.apply(mime_of, (PNG,)) == "image/png"


def test_the_library_is_the_wheels_and_the_wheel_is_not_imported() -> None:
    code = (
        "import sys; from forensics.filetype import mime_of; mime_of(b'x'); assert 'pylibmagic' not in sys.modules;"
        "print([line.split()[-1] for line in open('/proc/self/maps') if 'libmagic' in line][0])"
    )
    if not Path("/proc/self/maps").exists():
        pytest.skip("no /proc/self/maps to see loaded libraries in")
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pylibmagic" in loaded


def test_version_is_major_and_minor() -> None:
    major, _, minor = libmagic_version().partition(".")
    assert (major, minor.isdecimal()) == ("5", True)
