"""Files embedded in documents: content, name, and the paths that they had."""

import hashlib
import io
import random
import struct
import zipfile
from datetime import datetime
from pathlib import Path

import pypdf
import pytest
from forensics.plugins.embedded_objects import embedded_objects
from forensics.plugins.zip_archive import zip_archive

from forensics.plugin import Corrupt, LimitExceeded, Locked, Unsupported
from forensics.testing import unpack


def pdf(*files: tuple[str, bytes], password: str = "") -> bytes:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    for name, content in files:
        writer.add_attachment(name, content)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def test_program_in_a_word_document_keeps_its_paths(evidence: Path) -> None:
    members, findings, error = unpack(embedded_objects, evidence / "documents/sample_with_calc_embedded.doc")
    ((member, data),) = members
    assert member.path == "ObjectPool/_1572084892/calc.exe"
    assert data[:2] == b"MZ"
    (header,) = struct.unpack_from("<I", data, 0x3C)
    assert data[header : header + 4] == b"PE\0\0"
    (finding,) = findings
    assert (finding.kind, finding.level) == ("embedded-file", "notable")
    assert finding.data["original_path"] == "C:\\Windows\\System32\\calc.exe"
    assert finding.data["temporary_path"] == "C:\\Users\\xxxxx\\AppData\\Local\\Temp\\calc (2).exe"
    assert error is None


def test_package_within_a_docx_is_reached_through_its_member(evidence: Path) -> None:
    members, findings, error = unpack(zip_archive, evidence / "documents/embedded-simple-2007.docx")
    assert (findings, error) == ([], None)
    objects = {member.path: data for member, data in members}
    with zipfile.ZipFile(evidence / "documents/embedded-simple-2007.docx") as archive:
        assert objects == {name: archive.read(name) for name in archive.namelist()}
    ((member, data),), (finding,), error = unpack(embedded_objects, objects["word/embeddings/oleObject1.bin"])
    assert member.path == "simple-text-file.txt"
    assert len(data) == 49
    assert data.isascii()
    assert finding.data["original_path"] == "C:\\Users\\user\\Documents\\simple-text-file.txt"
    assert error is None


def test_attachment_of_a_pdf_has_its_name_date_and_content(evidence: Path) -> None:
    members, findings, error = unpack(embedded_objects, evidence / "documents/fileAttachment.pdf")
    ((member, data),) = members
    assert member.path == "KSBASE.WQ2"  # as pdfdetach of poppler lists it
    assert member.times.modified == "2012-11-19T12:35:10"
    # As `pdfdetach -save 1` of poppler 22.12 writes it.
    assert hashlib.sha256(data).hexdigest() == "2c2c99377ac5a575149328845abf417e895a9bca36c03eb051c5ea309a092aa0"
    assert [(finding.kind, finding.when) for finding in findings] == [("embedded-file", datetime(2012, 11, 19, 12, 35, 10))]
    assert error is None


def test_every_attachment_of_a_pdf_comes_out() -> None:
    picture = random.Random(1).randbytes(50_000)
    members, findings, error = unpack(embedded_objects, pdf(("a.jpg", picture), ("../b.txt", b"text"), ("ü.txt", b"")))
    assert {member.path: data for member, data in members} == {"a.jpg": picture, "../b.txt": b"text", "ü.txt": b""}
    assert [finding.kind for finding in findings] == ["embedded-file"] * 3 + ["suspicious-member-name"]
    assert error is None


def test_documents_that_need_a_password_are_locked(evidence: Path) -> None:
    for content in (
        evidence / "documents/encryption_openpassword.pdf",
        evidence / "documents/encrypted.docx",
        pdf(("a", b"x"), password="pw"),
    ):
        members, findings, error = unpack(embedded_objects, content)
        assert members == []
        assert [finding.kind for finding in findings] == ["locked-members"]
        assert isinstance(error, Locked) and "which this plugin does not open" in str(error)


@pytest.mark.parametrize("name", ["Document.doc", "text_only.doc", "minimal-document.pdf", "Document.docx", "excel4_sample_macro.xls"])
def test_documents_that_embed_nothing_are_not_mine(evidence: Path, name: str) -> None:
    members, findings, error = unpack(embedded_objects, evidence / "documents" / name)
    assert (members, findings) == ([], [])
    assert isinstance(error, Unsupported)


@pytest.mark.parametrize("share", range(1, 20))
@pytest.mark.parametrize("name", ["sample_with_calc_embedded.doc", "fileAttachment.pdf"])
def test_cut_documents_end_well(evidence: Path, name: str, share: int) -> None:
    content = (evidence / "documents" / name).read_bytes()
    unpack(embedded_objects, content[: len(content) * share // 20])


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_end_in_no_other_error(evidence: Path, seed: int) -> None:
    chance = random.Random(seed)
    for content in (
        bytearray(pdf(("a", b"x" * 100), ("b", b"y"))),
        bytearray((evidence / "documents/sample_with_calc_embedded.doc").read_bytes()),
    ):
        for _ in range(20):
            content[chance.randrange(len(content))] = chance.choice((0, 0xFF, chance.randrange(256)))
        unpack(embedded_objects, bytes(content))


def test_attachment_that_unpacks_to_too_much_is_damage_and_not_memory() -> None:
    members, _, error = unpack(embedded_objects, pdf(("bomb", bytes(200 << 20))))
    assert members[0][1] == b""
    assert isinstance(error, Corrupt | LimitExceeded)


@pytest.mark.parametrize("content", [b"", b"%PDF-1.4", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", random.Random(4).randbytes(70_000)])
def test_garbage_is_not_mine_or_corrupt(content: bytes) -> None:
    members, findings, error = unpack(embedded_objects, content)
    assert (members, findings) == ([], [])
    assert isinstance(error, Unsupported | Corrupt)
