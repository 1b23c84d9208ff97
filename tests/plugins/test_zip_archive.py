"""Zip archives: members as they were put in, and what is wrong with them."""

import base64
import hashlib
import io
import json
import random
import struct
import warnings
import zipfile
from datetime import datetime
from pathlib import Path

import pytest
from forensics.plugins.zip_archive import zip_archive

from forensics.plugin import Corrupt, Locked, Unsupported
from forensics.testing import unpack

# Made with Info-ZIP 3.0: `zip -P pw enc.zip s.txt; zip enc.zip o.txt`; s.txt is "secret text\n", o.txt "open\n".
ENCRYPTED = base64.b64decode(
    "UEsDBAoACQAAAKI9eF3aiUmbGAAAAAwAAAAFABwAcy50eHRVVAkAA4BABWuAQAVrdXgLAAEEAAAAAAQAAAAAUbQy63IkINz9YIrpAI14YPKp0zyqOc7JUEsHCNqJSZsYAAAADAAAAFBLAwQKAAAAAACiPXhd4RHI4wUAAAAFAAAABQAcAG8udHh0VVQJAAOAQAVrgEAFa3V4CwABBAAAAAAEAAAAAG9wZW4KUEsBAh4DCgAJAAAAoj14XdqJSZsYAAAADAAAAAUAGAAAAAAAAQAAAKSBAAAAAHMudHh0VVQFAAOAQAVrdXgLAAEEAAAAAAQAAAAAUEsBAh4DCgAAAAAAoj14XeERyOMFAAAABQAAAAUAGAAAAAAAAQAAAKSBZwAAAG8udHh0VVQFAAOAQAVrdXgLAAEEAAAAAAQAAAAAUEsFBgAAAAACAAIAlgAAAKsAAAAAAA=="
)


def made(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a second member of the same name
        with zipfile.ZipFile(target, "w", method) as archive:
            for name, content in members:
                archive.writestr(zipfile.ZipInfo(name, (2026, 3, 4, 5, 6, 8)), content, method)
    return target.getvalue()


def test_members_of_a_phone_extraction_have_the_digests_of_its_facts(evidence: Path) -> None:
    facts = [json.loads(line) for line in (evidence / "cases/ios-a.truth.jsonl").read_text().splitlines()]
    members, findings, error = unpack(zip_archive, evidence / "cases/ios-a.zip")
    assert {f"/{member.path}": hashlib.sha256(data).hexdigest() for member, data in members} == {
        fact["path"]: fact["sha256"] for fact in facts
    }
    assert (findings, error) == ([], None)


def test_members_without_entries_for_their_folders_are_read(evidence: Path) -> None:
    members, _, error = unpack(zip_archive, evidence / "malformed/missing_directory_entries.zip")
    assert [(member.path, len(data)) for member, data in members] == [("folder/syslog", 1247), ("folder/wtmp.1", 1537)]
    assert error is None


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_method_that_the_standard_library_writes_is_read(method: int) -> None:
    content = random.Random(1).randbytes(200_000) + bytes(300_000)
    members, findings, error = unpack(zip_archive, made(("a.bin", content), ("empty", b""), method=method))
    assert [(member.path, member.size, data) for member, data in members] == [("a.bin", 500_000, content), ("empty", 0, b"")]
    assert (findings, error) == ([], None)


def test_time_of_an_archive_without_zone_stays_naive() -> None:
    members, _, _ = unpack(zip_archive, made(("a", b"")))
    assert datetime.fromisoformat(members[0][0].times.modified or "") == datetime(2026, 3, 4, 5, 6, 8)


def test_time_of_unix_is_utc() -> None:
    extra = struct.pack("<HHBi", 0x5455, 5, 1, 1_700_000_000)
    info = zipfile.ZipInfo("a", (2020, 1, 1, 0, 0, 0))
    info.extra = extra
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(info, b"x")
    members, _, _ = unpack(zip_archive, target.getvalue())
    assert members[0][0].times.modified == "2023-11-14T22:13:20Z"


def test_name_in_an_old_code_page_keeps_its_bytes() -> None:
    thai = "ก.txt".encode("cp874")
    archive = made(("A.txt", b"x")).replace(b"A.txt", thai)
    members, _, error = unpack(zip_archive, archive)
    assert members[0][0].path.encode("utf-8", "surrogateescape") == thai
    assert error is None


def test_directory_and_link_are_told_from_files() -> None:
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("folder/", b"")
        archive.writestr(link, "../etc/passwd")
    members, _, _ = unpack(zip_archive, target.getvalue())
    assert [(member.path, member.kind, member.target) for member, _ in members] == [
        ("folder/", "directory", None),
        ("link", "link", "../etc/passwd"),
    ]


def test_names_out_of_order_are_said_once_with_counts() -> None:
    members, findings, error = unpack(zip_archive, made(("/etc/a", b""), ("../b", b""), ("c", b"1"), ("c", b"2"), ("d\u202egpj.exe", b"")))
    assert [member.path for member, _ in members] == ["/etc/a", "../b", "c", "c", "d\u202egpj.exe"]
    assert [data for member, data in members if member.path == "c"] == [b"1", b"2"]
    (finding,) = findings
    assert (finding.kind, finding.level) == ("suspicious-member-name", "notable")
    assert {name: finding.data[f"{name}_names"] for name in ("absolute", "climbing", "duplicate", "control")} == {
        "absolute": 1,
        "climbing": 1,
        "duplicate": 1,
        "control": 1,
    }
    assert finding.data["examples"] == ["/etc/a", "../b", "c", "d\\u202egpj.exe"]
    assert error is None


def test_encrypted_member_is_named_and_the_open_one_is_read() -> None:
    members, findings, error = unpack(zip_archive, ENCRYPTED)
    assert [(member.path, member.kind, data) for member, data in members] == [("s.txt", "other", b""), ("o.txt", "file", b"open\n")]
    assert [(finding.kind, finding.data["locked"], finding.data["examples"]) for finding in findings] == [("locked-members", 1, ["s.txt"])]
    assert isinstance(error, Locked)


def test_archive_cut_before_its_directory_gives_what_local_headers_find() -> None:
    first, second = b"first" * 1000, random.Random(2).randbytes(5000)
    archive = made(("first", first), ("second", second))
    members, findings, error = unpack(zip_archive, archive[: archive.index(b"PK\x01\x02") - 1000])
    assert members[0][1] == first
    assert members[1][0].path == "second"
    assert second.startswith(members[1][1])
    assert len(members[1][1]) > 3500
    assert [finding.kind for finding in findings] == ["damaged-members"]
    assert isinstance(error, Corrupt)


@pytest.mark.parametrize("share", range(1, 20))
def test_archive_cut_anywhere_gives_no_wrong_byte(share: int) -> None:
    contents = {"a": b"a" * 3000, "b": random.Random(3).randbytes(3000), "c": b""}
    archive = made(*contents.items())
    members, _, error = unpack(zip_archive, archive[: len(archive) * share // 20])
    assert all(contents[member.path].startswith(data) for member, data in members)
    assert error is not None


def test_wrong_checksum_is_damage_and_the_bytes_are_kept() -> None:
    archive = made(("a", b"hello world"), method=zipfile.ZIP_STORED).replace(b"hello", b"jello")
    members, findings, error = unpack(zip_archive, archive)
    assert members[0][1] == b"jello world"
    assert "checksum" in findings[0].summary
    assert isinstance(error, Corrupt)


def test_headers_that_differ_are_said() -> None:
    archive = made(("invoice.pdf", b"MZ"))
    archive = archive.replace(b"invoice.pdf", b"invoice.exe", 1)  # the local header comes first
    members, findings, _ = unpack(zip_archive, archive)
    assert members[0][0].path == "invoice.pdf"
    assert [finding.kind for finding in findings] == ["archive-mismatch"]
    assert findings[0].data["examples"] == ["invoice.pdf: name invoice.pdf in the directory, invoice.exe at the content"]


def test_members_that_share_their_bytes_are_an_alert() -> None:
    archive = bytearray(made(("a", bytes(100_000)), ("b", bytes(100_000))))
    second = archive.rindex(b"PK\x01\x02")
    struct.pack_into("<I", archive, second + 42, 0)  # the second member's offset: the first one's local header
    members, findings, _ = unpack(zip_archive, bytes(archive))
    assert len(members) == 2
    assert next((finding.kind, finding.level, finding.data["overlapping"]) for finding in findings) == ("overlapping-members", "alert", 1)


def test_archive_behind_a_program_is_read() -> None:
    members, _, error = unpack(zip_archive, b"MZ" + bytes(5000) + made(("a", b"inside")))
    assert [(member.path, data) for member, data in members] == [("a", b"inside")]
    assert error is None


def test_zip64_sizes_are_read() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive, archive.open("a", "w", force_zip64=True) as member:
        member.write(b"wide")
    members, findings, error = unpack(zip_archive, target.getvalue())
    assert [(member.size, data) for member, data in members] == [(4, b"wide")]
    assert (findings, error) == ([], None)


@pytest.mark.parametrize("offset", [0xFFFFFFFE, 1 << 60, 1 << 63, (1 << 64) - 1])
def test_member_said_to_lie_outside_the_archive_is_damage_and_the_next_one_is_read(offset: int) -> None:
    archive = made(("a", b"first"), ("b", b"second"), method=0)
    at = archive.index(b"PK\x01\x02")
    first, rest = bytearray(archive[at : at + 47]), archive[at + 47 : -22]
    struct.pack_into("<H", first, 30, 12)
    struct.pack_into("<I", first, 42, 0xFFFFFFFF)
    listing = first + struct.pack("<HHQ", 1, 8, offset) + rest  # the offset is in the Zip64 field (APPNOTE 4.5.3)
    end = bytearray(archive[-22:])
    struct.pack_into("<I", end, 12, len(listing))
    members, findings, error = unpack(zip_archive, bytes(archive[:at] + listing + end))
    assert [(member.path, data) for member, data in members] == [("b", b"second")]
    assert [(finding.kind, finding.data["damaged"]) for finding in findings] == [("damaged-members", 1)]
    assert str(offset) in findings[0].summary
    assert isinstance(error, Corrupt)


def test_directory_said_to_lie_outside_the_archive_costs_every_member_and_raises_nothing_else() -> None:
    archive = made(("a", b"first"), method=0)
    at, end = archive.index(b"PK\x01\x02"), len(archive) - 22
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, end - at, (1 << 64) - 1)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1)
    members, findings, error = unpack(zip_archive, archive[:end] + record + locator + archive[end:-6] + b"\xff" * 4 + bytes(2))
    assert members == []
    assert [finding.kind for finding in findings] == ["damaged-members"]
    assert isinstance(error, Corrupt)


def test_locator_with_nothing_before_it_is_not_followed() -> None:
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0, 0, 0, 0, 0)
    members, findings, error = unpack(zip_archive, b"PK\x06\x07" + struct.pack("<IQI", 0, 1 << 63, 1) + end)
    assert (members, findings, error) == ([], [], None)


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_end_in_no_other_error(seed: int) -> None:
    chance = random.Random(seed)
    archive = bytearray(made(("a/b", b"text" * 500), ("c", chance.randbytes(500)), method=chance.choice((0, 8, 12, 14))))
    for _ in range(8):
        archive[chance.randrange(len(archive))] = chance.randrange(256)
    unpack(zip_archive, bytes(archive))


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04", b"PK\x05\x06", random.Random(4).randbytes(70_000)])
def test_garbage_is_not_mine_or_corrupt(content: bytes) -> None:
    members, _, error = unpack(zip_archive, content)
    assert members == []
    assert isinstance(error, Unsupported | Corrupt)


def test_every_malformed_file_ends_well(evidence: Path) -> None:
    for path in sorted((evidence / "malformed").iterdir()):
        unpack(zip_archive, path)
