"""RAR archives that RAR made: members come out as they went in; what is not read, and what no password opens, is listed and named."""

import hashlib
import random
import struct
import zlib
from functools import partial
from pathlib import Path

import pytest
from forensics.plugins.rar_archive import rar_archive

from forensics.archives import libarchive, rar5_header, rar_content, rar_keys
from forensics.archives.tried import Tried
from forensics.plugin import Corrupt, Locked, Unsupported
from forensics.testing import unpack

DATA = Path(__file__).parent / "data" / "rar"
STEST = 0xC5B7E6A2  # the CRC-32 of both files, as RAR wrote it (`.exp` beside the archives of rarfile)
MAGIC4, MAGIC5 = b"Rar!\x1a\x07\x00", b"Rar!\x1a\x07\x01\x00"


@pytest.fixture
def passwords(tmp_path: Path) -> dict[str, str]:
    """Options with a list of passwords: a wrong one, that of rarfile's archives, that of libarchive's."""
    (tmp_path / "passwords").write_text("wrong\npassword\n12345678\n")
    return {"passwords_file": str(tmp_path / "passwords")}


@pytest.mark.parametrize("name", ["rar3-subdirs", "rar5-subdirs"])
def test_stored_members_and_folders_come_out_with_their_names(name: str) -> None:
    members, findings, error = unpack(rar_archive, DATA / f"{name}.rar")
    assert {member.path: data for member, data in members if member.kind == "file"} == {
        "sub/dir2/file2.txt": b"file2\n",
        "sub/with space/long fn.txt": b"long fn\n",
        "sub/üȵĩöḋè/file.txt": b"file\n",
        "sub/dir1/file1.txt": b"file1\n",
    }
    assert sorted(member.path for member, _ in members if member.kind == "directory") == [
        "sub", "sub/dir1", "sub/dir2", "sub/empty", "sub/with space", "sub/üȵĩöḋè",
    ]  # fmt: skip
    assert (findings, error) == ([], None)


def test_time_is_local_in_version_3_and_utc_in_version_5() -> None:
    first = {
        name: unpack(rar_archive, DATA / f"{name}.rar")[0][0][0].times.modified for name in ("rar3-subdirs", "rar5-subdirs", "rar5-times2")
    }
    assert first == {
        "rar3-subdirs": "2020-07-20T21:01:44",
        "rar5-subdirs": "2020-07-20T18:01:44.319218821Z",
        "rar5-times2": "2011-05-10T18:28:47.8993451Z",
    }


def test_encoded_names_are_decoded() -> None:
    members, _, error = unpack(rar_archive, DATA / "unicode2.rar")
    assert [(member.path, zlib.crc32(data)) for member, data in members] == [("𝐀𝐁𝐁𝐂.txt", 0x6751FC53), ("уииоотивл.txt", 0x6751FC53)]
    assert error is None


def test_links_say_where_they_point() -> None:
    unix, _, _ = unpack(rar_archive, DATA / "rar3-symlink-unix.rar")
    windows, _, _ = unpack(rar_archive, DATA / "rar5-symlink-win.rar")
    assert {member.path: member.target for member, _ in unix if member.kind == "link"} == {
        "data_link": "data.txt",
        "random_link": "../random123",
    }
    assert {member.path: member.target for member, _ in windows if member.kind == "link"} == {
        "links/bad_link": "../../missing",
        "links/file_link": "../content/file.txt",
        "links/dir_junction": "/??/C:/Users/User/stuff/content/dir2",
        "links/dir_link": "../content/dir1",
    }


@pytest.mark.parametrize("name", ["seektest", "rar5-crc", "rar5-blake", "rar5-solid"])
def test_compressed_members_come_out_with_the_checksum_that_rar_wrote(name: str) -> None:
    members, findings, error = unpack(rar_archive, DATA / f"{name}.rar")
    assert [(member.path, member.kind, len(data), zlib.crc32(data)) for member, data in members] == [
        ("stest1.txt", "file", 2048, STEST),
        ("stest2.txt", "file", 2048, STEST),
    ]
    assert (findings, error) == ([], None)


def test_member_of_a_solid_archive_is_read_though_those_before_it_were_not() -> None:
    with (DATA / "rar5-solid.rar").open("rb") as stream:
        entries = partial(rar5_header.entries, stream, (DATA / "rar5-solid.rar").stat().st_size, Tried((), 0))
        solid = rar_content.Solid(stream, entries, Tried((), 0))
        assert zlib.crc32(b"".join(solid.content(1))) == STEST
        solid.close()


@pytest.mark.parametrize(("name", "why"), [("rar3-solid", "a solid archive of RAR 4"), ("rar2-unix-owner", "compressed by RAR 2 or older")])
def test_what_libarchive_does_not_read_is_listed_and_said_to_be_unread(name: str, why: str) -> None:
    members, findings, error = unpack(rar_archive, DATA / f"{name}.rar")
    assert {(member.kind, data) for member, data in members} == {("other", b"")}
    assert [finding.kind for finding in findings] == ["unread-members"]
    assert why in findings[0].summary
    assert isinstance(error, Unsupported)


def test_without_libarchive_compressed_members_are_said_to_be_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libarchive, "_library", lambda: None)
    members, findings, error = unpack(rar_archive, DATA / "rar5-crc.rar")
    assert [(member.path, member.kind, len(data)) for member, data in members] == [("stest1.txt", "other", 0), ("stest2.txt", "file", 2048)]
    assert "libarchive is not installed" in findings[0].summary
    assert isinstance(error, Unsupported)


@pytest.mark.parametrize("name", ["rar5-psw", "rar5-psw-blake", "rar5-hpsw"])
def test_encrypted_members_and_names_of_version_5_come_out_with_the_password(name: str, passwords: dict[str, str]) -> None:
    members, findings, error = unpack(rar_archive, DATA / f"{name}.rar", given=passwords)
    assert [(member.path, zlib.crc32(data)) for member, data in members] == [("stest1.txt", STEST), ("stest2.txt", STEST)]
    assert [(finding.kind, finding.data["passwords"]) for finding in findings] == [("unlocked-members", [2])]
    assert error is None


def test_encrypted_members_of_version_4_come_out_with_the_password(passwords: dict[str, str]) -> None:
    members, findings, error = unpack(rar_archive, DATA / "rar4-encrypted.rar", given=passwords)
    assert [(member.path, data) for member, data in members] == [("foo.txt", b"data of foo.txt\n"), ("bar.txt", b"data of bar.txt\n")]
    assert [finding.data["passwords"] for finding in findings] == [[3]]
    assert error is None


def test_encrypted_names_of_version_4_come_out_with_the_password(passwords: dict[str, str]) -> None:
    members, _, error = unpack(rar_archive, DATA / "rar3-comment-hpsw.rar", given=passwords)
    assert [(member.path, member.kind) for member, _ in members] == [("file1.txt", "file"), ("file2.txt", "file")]
    assert error is None


@pytest.mark.parametrize("name", ["rar5-psw", "rar5-hpsw", "rar4-encrypted", "rar3-comment-hpsw"])
def test_wrong_passwords_leave_it_locked(name: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("wrong\n\nPassword\n")
    members, findings, error = unpack(rar_archive, DATA / f"{name}.rar", given={"passwords_file": str(tmp_path / "list")})
    assert {data for _, data in members} <= {b""}
    assert [finding.kind for finding in findings] == ["locked-members"]
    assert isinstance(error, Locked) and "opened by no password that was given" in str(error)


# Made with `rarfile.rar3_s2k` of rarfile 4.5, which reproduces the SHA-1 of RAR 3 and 4.
@pytest.mark.parametrize(
    ("password", "key", "vector"),
    [
        ("x" * 28, "70e888a1939f8205382415595a05fc71", "f5d59bc4f118b6bc2c6cc110dd05a8ac"),
        ("x" * 29, "1b1a99ef8b6d3f3923dff62493cff3d1", "dfaf25b9a1a87e2d0f11bae8253c133a"),
        ("correct horse battery staple yes", "d5d853597b152012a8d8caf6e8f69174", "287e6605a0a7662c411faa3fb406ccf8"),
    ],
)
def test_key_of_version_4_is_the_one_that_rar_derives_from_a_long_password_too(password: str, key: str, vector: str) -> None:
    made = rar_keys.derived4(password.encode(), bytes(range(1, 9)))
    assert (made[0].hex(), made[1].hex()) == (key, vector)


def test_long_passwords_of_version_4_are_counted_by_the_time_that_they_take() -> None:
    long, short = b"x" * 127, b"short"
    tried = Tried((long, short), 100 << 18)
    assert list(tried.candidates(1 << 18, rar_keys.times4)) == [short]
    assert "takes too long" in tried.said


@pytest.mark.parametrize("known", [True, False])
def test_member_that_asks_for_endless_work_stays_locked_and_those_behind_it_are_read(known: bool, passwords: dict[str, str]) -> None:
    archive = bytearray((DATA / "rar5-psw.rar").read_bytes())
    at = archive.index(b"\0\3\x0f")  # the record of encryption: version, flags, 2^15 rounds
    archive[at + 2] = 63
    start = archive.rindex(b"\x02\x03", 0, at) - 1
    struct.pack_into("<I", archive, start - 4, zlib.crc32(archive[start : start + 1 + archive[start]]))
    members, findings, error = unpack(rar_archive, bytes(archive), given=passwords if known else {})
    assert [(member.path, member.kind, zlib.crc32(data)) for member, data in members] == [
        ("stest1.txt", "other", 0),
        ("stest2.txt", "file", STEST) if known else ("stest2.txt", "other", 0),
    ]
    locked = [finding for finding in findings if finding.kind == "locked-members"]
    assert f"stest1.txt: encryption of RAR that asks for {1 << 63} rounds" in str(locked[0].data["examples"])
    assert isinstance(error, Locked)


def test_of_the_first_of_several_volumes_what_lies_whole_in_it_is_read_and_the_rest_is_said() -> None:
    """The checksums are those that libarchive's own test expects of this archive."""
    members, findings, error = unpack(rar_archive, DATA / "rar5-solid-part01.rar")
    assert {member.path: zlib.crc32(data) for member, data in members if member.kind == "file"} == {
        "cebula.txt": 0x7E5EC49E,
        "test.bin": 0x7CCA70CD,
        "test1.bin": 0x7E13B2C6,
        "test2.bin": 0xF166AFCB,
        "test3.bin": 0x9FB123D9,
        "test4.bin": 0x10C43ED4,
        "test5.bin": 0xB9D155F2,
        "test6.bin": 0x36A448FF,
    }
    assert [(finding.kind, finding.data["examples"]) for finding in findings] == [
        ("unread-members", ["elf-Linux-ARMv7-ls: a part of it lies in another volume"])
    ]
    assert isinstance(error, Unsupported)


@pytest.mark.parametrize("known", [True, False])
def test_an_archive_whose_headers_ask_for_endless_work_is_said_to_be_locked(known: bool, passwords: dict[str, str]) -> None:
    archive = bytearray((DATA / "rar5-hpsw.rar").read_bytes())
    assert archive[17] == 15  # of the header of encryption: 2^15 rounds
    archive[17] = 63
    struct.pack_into("<I", archive, 8, zlib.crc32(archive[12 : 13 + archive[12]]))
    members, findings, error = unpack(rar_archive, bytes(archive), given=passwords if known else {})
    assert members == []
    assert [(finding.kind, finding.data["examples"]) for finding in findings] == [("locked-members", ["names and contents"])]
    assert isinstance(error, Locked)
    assert f"headers are encrypted, not opened: encryption of RAR that asks for {1 << 63} rounds" in str(error)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("x" * 127 + "yz", "x" * 127),
        ("ก" * 127, "ก" * 127),  # 381 bytes of UTF-8
        ("ก" * 128, "ก" * 127),
        ("x" * 126 + "𝐀", "x" * 126),  # half of a pair is no character
    ],
)
def test_a_password_of_version_5_ends_where_rar_cuts_it(given: str, used: str) -> None:
    """As rarfile and RAR have it: 127 units of UTF-16."""
    expected = hashlib.pbkdf2_hmac("sha256", used.encode(), bytes(16), 10)
    assert rar_keys.derived5(given.encode(), bytes(16), 10) == expected


@pytest.mark.parametrize("name", ["rar5-psw", "rar5-hpsw", "rar4-encrypted", "rar3-comment-hpsw", "rar5-solid", "seektest"])
@pytest.mark.parametrize("seed", range(10))
def test_flipped_bytes_of_what_is_unpacked_end_in_no_other_error(name: str, seed: int, passwords: dict[str, str]) -> None:
    chance = random.Random(f"{name}{seed}")
    archive = bytearray((DATA / f"{name}.rar").read_bytes())
    for _ in range(3):
        archive[chance.randrange(8, min(300, len(archive)))] = chance.choice((0, 0xFF, chance.randrange(256)))
    unpack(rar_archive, bytes(archive), given=passwords)


def test_member_with_a_comment_in_its_header_is_listed() -> None:
    members, _, error = unpack(rar_archive, DATA / "rar15-comment.rar")
    assert [member.path for member, _ in members] == ["FILE1.TXT", "FILE2.TXT"]
    assert not isinstance(error, Corrupt)


@pytest.mark.parametrize(("name", "paths"), [("rar5-psw", ["stest1.txt", "stest2.txt"]), ("rar3-comment-psw", ["file1.txt", "file2.txt"])])
def test_encrypted_members_are_listed_and_named(name: str, paths: list[str]) -> None:
    members, findings, error = unpack(rar_archive, DATA / f"{name}.rar")
    assert [member.path for member, _ in members] == paths
    assert [(finding.kind, finding.data["examples"]) for finding in findings] == [("locked-members", paths)]
    assert isinstance(error, Locked)


@pytest.mark.parametrize("name", ["rar5-hpsw", "rar3-comment-hpsw"])
def test_archive_with_encrypted_names_is_locked(name: str) -> None:
    members, findings, error = unpack(rar_archive, DATA / f"{name}.rar")
    assert members == []
    assert [finding.kind for finding in findings] == ["locked-members"]
    assert isinstance(error, Locked)


@pytest.mark.parametrize("name", ["rar3-subdirs", "rar5-subdirs"])
@pytest.mark.parametrize("share", range(1, 19))
def test_cut_archive_gives_its_beginning(name: str, share: int) -> None:
    archive = (DATA / f"{name}.rar").read_bytes()
    whole = [(member.path, data) for member, data in unpack(rar_archive, archive)[0]]
    members, _, error = unpack(rar_archive, archive[: len(archive) * share // 20])
    assert [(member.path, data) for member, data in members[:-1]] == whole[: max(0, len(members) - 1)]
    assert error is None or isinstance(error, Corrupt | Unsupported)


def test_wrong_checksum_is_damage() -> None:
    archive = (DATA / "rar5-subdirs.rar").read_bytes().replace(b"file2\n", b"fileX\n")
    members, _, error = unpack(rar_archive, archive)
    assert members[0][1] == b"fileX\n"
    assert isinstance(error, Corrupt)


@pytest.mark.parametrize("name", ["rar3-subdirs", "rar5-symlink-win", "unicode2", "rar15-comment"])
@pytest.mark.parametrize("seed", range(30))
def test_flipped_bytes_end_in_no_other_error(name: str, seed: int) -> None:
    chance = random.Random(f"{name}{seed}")
    archive = bytearray((DATA / f"{name}.rar").read_bytes())
    for _ in range(5):
        archive[chance.randrange(7, len(archive))] = chance.choice((0, 0xFF, chance.randrange(256)))
    unpack(rar_archive, bytes(archive))


@pytest.mark.parametrize("seed", range(60))
def test_random_headers_with_right_checksums_end_in_no_other_error(seed: int) -> None:
    chance = random.Random(seed)
    body = bytes([2, chance.choice((0, 1, 2, 3)), *(chance.choice((0, 1, 5, 0x7F, 0x80, 0xFF)) for _ in range(60))])
    unpack(rar_archive, MAGIC5 + zlib.crc32(bytes([len(body)]) + body).to_bytes(4, "little") + bytes([len(body)]) + body)
    name = chance.randbytes(30).replace(b"\0", b"", 29)
    header = b"\x74" + (0x8200).to_bytes(2, "little") + (32 + len(name)).to_bytes(2, "little") + chance.randbytes(19)
    header += len(name).to_bytes(2, "little") + bytes(4) + name
    unpack(rar_archive, MAGIC4 + (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little") + header)


@pytest.mark.parametrize("content", [b"", b"Rar!", MAGIC4, MAGIC5, MAGIC5 + b"\0" * 7, random.Random(4).randbytes(70_000)])
def test_garbage_has_no_members(content: bytes) -> None:
    members, _, error = unpack(rar_archive, content)
    assert members == []
    assert error is None or isinstance(error, Unsupported | Corrupt)
