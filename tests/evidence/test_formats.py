"""The table of formats in the README is that of the code, and leaves out nothing that the code knows."""

import subprocess
import sys
from pathlib import Path

from forensics.evidence import formats, image, signatures, wide
from forensics.evidence.tsk_constants import KINDS, SCHEMES

README = Path(__file__).parents[2] / "README.md"
ROWS = (*formats.IMAGES, *formats.ARCHIVES, *formats.VOLUMES, *formats.FILE_SYSTEMS)


def test_the_readme_holds_the_table() -> None:
    assert "\n".join(formats.markdown()) in README.read_text(encoding="utf-8")


def test_every_kind_of_layer_has_a_row_or_is_named_as_not_examined() -> None:
    known = {kind for row in ROWS for kind in row.kinds}
    assert {*KINDS.values(), *SCHEMES.values(), *wide.KINDS} <= known
    named = " ".join(formats.NAMED).lower().replace(" ", "-")
    for signature in signatures._TABLE:
        assert signature.kind in known or signature.kind in named, signature.kind


def test_every_format_that_is_refused_is_named() -> None:
    named = " ".join(formats.NAMED)
    for foreign in image._FOREIGN:
        assert foreign.name.split()[0] in named or foreign.name == "EWF-X delta (DVF)", foreign.name


def test_libraries_for_rare_formats_are_not_loaded_before_such_a_format_is_seen() -> None:
    names = ("dfvfs", "rdflib", "cramjam", "google_crc32c", "pyvmdk", "pybde")
    code = f"import sys, forensics.evidence.layers; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
