"""Extensions against content: what is hidden is named, what every computer is full of is not."""

import importlib.util
import io
import os
import zipfile
from pathlib import Path

import pytest

from forensics.plugin import Finding, Undeclared
from forensics.testing import file_of, run

_spec = importlib.util.spec_from_file_location("type_mismatch", Path(__file__).parents[2] / "plugins" / "type_mismatch.py")
assert _spec and _spec.loader
module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(module)
type_mismatch = module.type_mismatch


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("a.txt", "a")
    return out.getvalue()


def of_type(mime: str, name: str) -> list[Finding]:
    return run(type_mismatch, b"x", mime=mime, name=name)


def test_picture_named_as_a_library_is_notable(evidence: Path) -> None:
    [finding] = run(type_mismatch, evidence / "photos" / "Apple iPhone 4.jpg", name="/Windows/System32/Driver.DLL")
    assert (finding.kind, finding.level) == ("type-mismatch", "notable")
    assert (finding.data["extension"], finding.data["found"]) == ("dll", "image/jpeg")
    assert "application/x-dosexec" in finding.data["expected"]  # type: ignore[operator]
    assert finding.summary == "Named as a program (.dll), but the content is image/jpeg (picture)"


def test_archive_named_as_a_picture_is_notable() -> None:
    [finding] = run(type_mismatch, archive(), name="holiday.jpg")
    assert (finding.level, finding.data["found"]) == ("notable", "application/zip")


def test_program_named_as_a_document_is_notable() -> None:
    assert [finding.level for finding in of_type("application/x-dosexec", "invoice.pdf")] == ["notable"]


def test_picture_under_another_pictures_extension_is_information() -> None:
    assert [finding.level for finding in of_type("image/png", "avatar.jpg")] == ["info"]


def test_web_page_saved_as_a_picture_is_information() -> None:
    assert [finding.level for finding in of_type("text/html", "broken.gif")] == ["info"]


def test_every_sample_named_by_its_maker_fits(evidence: Path) -> None:
    paths = [path for folder in ("photos", "documents", "barcodes", "mrz") for path in sorted((evidence / folder).glob("*.*"))]
    assert len(paths) > 25
    assert [path.name for path in paths if run(type_mismatch, path)] == []


@pytest.mark.parametrize(
    ("mime", "name"),
    [
        ("application/zip", "report.docx"),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "list.xls"),
        ("text/html", "export.xls"),
        ("text/rtf", "letter.doc"),
        ("application/CDFV2", "setup.msi"),
        ("application/java-archive", "game.apk"),
        ("text/x-c", "notes.txt"),
        ("image/svg+xml", "logo.xml"),
        ("video/quicktime", "clip.mp4"),
        ("video/mp4", "voice.m4a"),
        ("application/vnd.sqlite3", "places.json"),
        ("text/plain", "picture.jpg"),
        ("application/octet-stream", "picture.jpg"),
        ("inode/x-empty", "picture.jpg"),
        ("multipart/appledouble", "._picture.jpg"),
        ("image/jpeg", "cache.dat"),
        ("image/jpeg", "f_00012a"),
        ("application/x-matlab-data", "$II3DF3L.zip"),
    ],
)
def test_what_every_computer_is_full_of_is_no_mismatch(mime: str, name: str) -> None:
    assert of_type(mime, name) == []


def test_database_named_as_a_picture_is_a_mismatch() -> None:
    assert len(of_type("application/vnd.sqlite3", "cat.jpg")) == 1


def test_well_over_a_hundred_extensions_are_known() -> None:
    assert len(module.BY_EXTENSION) > 200
    assert len(module.BY_EXTENSION) == sum(len(extensions.split()) for _, extensions, _ in module.KNOWN), "an extension stands twice"


def test_name_is_declared_as_needed() -> None:
    assert type_mismatch.needs == ("content", "name")
    with pytest.raises(Undeclared):
        list(type_mismatch(file_of(b"x", name="a.jpg", needs=("content",))))


def test_python_installation_holds_no_mismatch() -> None:
    folder = Path(os.__file__).parent
    paths = [path for path in sorted(folder.glob("*.*")) + sorted(folder.glob("email/*.*")) if path.is_file()]
    assert len(paths) > 100
    assert [path.name for path in paths if run(type_mismatch, path)] == []
