"""7z archives that 7-Zip made: members come out as they went in, and what cannot be opened is named."""

import hashlib
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forensics.plugins.seven_zip import seven_zip

from forensics.archives import bcj2, branch
from forensics.plugin import Corrupt, Locked, Unsupported
from forensics.testing import unpack

DATA = Path(__file__).parent / "data" / "7z"
MAGIC = b"7z\xbc\xaf\x27\x1c"
CONTENT = {
    "d/a.txt": b"".join(b"line %d\n" % number for number in range(300)),
    "d/b.bin": bytes(number * number % 251 for number in range(600)),
    "d/p.exe": b"".join(b"\xe8" + struct.pack("<i", (1000 - number * 5) & 0xFFFF) + b"\x90\x90\x90" for number in range(100)),
    "d/leer": b"",
}


@pytest.fixture
def passwords(tmp_path: Path) -> dict[str, str]:
    """Options with a list of passwords, of which the second is the right one."""
    (tmp_path / "passwords").write_text("wrong\nsecret\n")
    return {"passwords_file": str(tmp_path / "passwords")}


READ = [
    "lzma",
    "lzma2",
    "bzip2",
    "deflate",
    "copy",
    "bcj",
    "arm",
    "arm64",
    "bcj-lzma2",
    "delta",
    "not-solid",
    "plain-header",
    "ppmd",
    "deflate64",
    "bcj2",
]


@pytest.mark.parametrize("name", READ)
def test_members_come_out_as_they_went_in(name: str) -> None:
    members, findings, error = unpack(seven_zip, DATA / f"{name}.7z")
    assert {member.path: data for member, data in members if member.kind == "file"} == CONTENT
    assert {member.path: member.kind for member, _ in members if member.kind != "file"} == {
        "d": "directory",
        "d/empty": "directory",
        "d/link": "link",
    }
    assert [member.target for member, _ in members if member.kind == "link"] == ["a.txt"]
    assert [member.times.modified for member, _ in members if member.path == "d/a.txt"] == ["2024-05-06T07:08:09.5000000Z"]
    assert (findings, error) == ([], None)


def test_members_of_another_method_are_listed_and_said_to_be_unread() -> None:
    members, findings, error = unpack(seven_zip, DATA / "swap.7z")
    assert {member.path: member.size for member, _ in members if member.kind == "other"} == {
        "d/a.txt": 2590,
        "d/b.bin": 600,
        "d/p.exe": 800,
        "d/link": 5,
    }
    assert [(finding.kind, finding.data["unread"]) for finding in findings] == [("unread-members", 4)]
    assert "method 020304" in findings[0].summary
    assert isinstance(error, Unsupported)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("libarchive-lzma2-arm64", "0d8fd07e6202c2dafb3a39636048bfac373ccf71e7875e939f08f7aedfb7dd66"),
        ("libarchive-deflate-arm64", "0d8fd07e6202c2dafb3a39636048bfac373ccf71e7875e939f08f7aedfb7dd66"),
        ("riscv", "9260f5d73ddc23ad80b2d2fde7bc05c9734935c4ce0fd7a7ce9c411a5ad69ba8"),
    ],
)
def test_programs_for_arm64_and_risc_v_come_out_with_their_own_addresses(name: str, digest: str) -> None:
    """The digests are of what 7-Zip unpacks."""
    members, findings, error = unpack(seven_zip, DATA / f"{name}.7z")
    assert [hashlib.sha256(data).hexdigest() for _, data in members] == [digest]
    assert (findings, error) == ([], None)


@pytest.mark.parametrize(("convert", "step"), [(branch.arm64, 4), (branch.riscv, 2)])
def test_a_filter_does_not_depend_on_how_its_bytes_are_cut(convert: Callable[[Iterator[bytes], bytes], Iterator[bytes]], step: int) -> None:
    content = random.Random(3).randbytes(4001)
    whole = b"".join(convert(iter((content,)), b""))
    assert len(whole) == len(content)
    assert b"".join(convert((content[at : at + 7] for at in range(0, len(content), 7)), b"")) == whole
    moved = b"".join(convert(iter((bytes(4096) + content,)), b""))[4096:]
    assert b"".join(convert(iter((content,)), (4096).to_bytes(4, "little"))) == moved
    for wrong in (b"\x01", (step // 2).to_bytes(4, "little")):
        with pytest.raises(ValueError, match="not valid"):
            list(convert(iter((content,)), wrong))


@pytest.mark.parametrize("name", ["aes", "aes-names", "aes-copy"])
def test_encrypted_members_and_names_come_out_with_the_password(name: str, passwords: dict[str, str]) -> None:
    members, findings, error = unpack(seven_zip, DATA / f"{name}.7z", given=passwords)
    assert {member.path: data for member, data in members if member.kind == "file"} == CONTENT
    assert [(finding.kind, finding.data["passwords"]) for finding in findings] == [("unlocked-members", [2])]
    assert error is None


@pytest.mark.parametrize("name", ["aes", "aes-names", "aes-copy"])
def test_wrong_passwords_leave_it_locked(name: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("wrong\nSecret\n")
    members, findings, error = unpack(seven_zip, DATA / f"{name}.7z", given={"passwords_file": str(tmp_path / "list")})
    assert {data for member, data in members} <= {b""}
    assert [finding.kind for finding in findings] == ["locked-members"]
    assert isinstance(error, Locked) and "opened by no password that was given" in str(error)


@pytest.mark.parametrize("seed", range(40))
def test_changed_encrypted_archive_ends_in_no_other_error(seed: int, passwords: dict[str, str]) -> None:
    chance = random.Random(seed)
    archive = bytearray((DATA / "aes-copy.7z").read_bytes())
    offset, length = struct.unpack_from("<QQ", archive, 12)
    for _ in range(2):
        archive[32 + offset + chance.randrange(length)] = chance.choice((0, 1, 0x7F, chance.randrange(256)))
    unpack(seven_zip, _with_right_checksums(archive), given=passwords)


def test_encrypted_members_are_listed_and_named() -> None:
    members, findings, error = unpack(seven_zip, DATA / "aes.7z")
    assert {member.path for member, _ in members if member.kind == "other"} == {"d/a.txt", "d/b.bin", "d/p.exe", "d/link"}
    assert [(finding.kind, finding.data["locked"]) for finding in findings] == [("locked-members", 4)]
    assert isinstance(error, Locked)


def test_archive_with_encrypted_names_is_locked() -> None:
    members, findings, error = unpack(seven_zip, DATA / "aes-names.7z")
    assert members == []
    assert [finding.kind for finding in findings] == ["locked-members"]
    assert isinstance(error, Locked)


def test_damaged_content_costs_only_the_members_behind_it() -> None:
    archive = bytearray((DATA / "not-solid.7z").read_bytes())
    archive[40] ^= 0xFF  # in the packed bytes of the first member
    members, findings, error = unpack(seven_zip, bytes(archive))
    assert sum(data == CONTENT.get(member.path) for member, data in members) == 3
    assert [finding.data["damaged"] for finding in findings] == [1]
    assert isinstance(error, Corrupt)


def test_checksum_of_stored_content_is_checked() -> None:
    archive = bytearray((DATA / "copy.7z").read_bytes())
    archive[archive.index(b"line 17\n")] = ord("L")
    members, findings, error = unpack(seven_zip, bytes(archive))
    assert any(b"Line 17\n" in data for _, data in members)
    assert "checksum" in findings[0].summary
    assert isinstance(error, Corrupt)


@pytest.mark.parametrize("share", range(1, 20))
def test_cut_archive_is_corrupt(share: int) -> None:
    archive = (DATA / "lzma2.7z").read_bytes()
    members, findings, error = unpack(seven_zip, archive[: len(archive) * share // 20])
    assert members == []
    assert [finding.kind for finding in findings] == ["damaged-members"]
    assert isinstance(error, Corrupt)


def _with_right_checksums(archive: bytearray) -> bytes:
    offset, length = struct.unpack_from("<QQ", archive, 12)
    if offset + length <= len(archive) - 32:
        struct.pack_into("<I", archive, 28, zlib.crc32(archive[32 + offset : 32 + offset + length]))
    struct.pack_into("<I", archive, 8, zlib.crc32(archive[12:32]))
    return bytes(archive)


def archive_of(packed: bytes, header: bytes) -> bytes:
    """An archive of one stretch of packed bytes and a header (7zFormat.txt)."""
    whole = bytearray(MAGIC + b"\0\4" + struct.pack("<IQQI", 0, len(packed), len(header), 0) + packed + header)
    return _with_right_checksums(whole)


def number(value: int) -> bytes:
    return b"\xff" + struct.pack("<Q", value)


def test_packed_header_that_is_said_to_hold_nothing_is_not_unpacked() -> None:
    lengths = b"\x06\0\1\x09" + number(4) + b"\0"  # one packed stream of four bytes
    folder = b"\x07\x0b\1\0" + b"\1\x01\0" + b"\x0c" + number(1 << 40) + b"\0"  # one coder, which stores, and gives a terabyte
    for count, why in ((b"\x0d\0", "a packed header without content"), (b"\x0d\1", f"a header of {1 << 40} bytes")):
        members, _, error = unpack(seven_zip, archive_of(b"\1\0\0\0", b"\x17" + lengths + folder + b"\x08" + count + b"\0\0"))
        assert members == []
        assert why in str(error)


def test_encrypted_folder_of_no_contents_costs_nothing_else(passwords: dict[str, str]) -> None:
    lengths = b"\x06\0\2\x09\x10\x05\0"  # two packed streams, of 16 and of 5 bytes
    folders = b"\x07\x0b\2\0" + b"\1\x24\x06\xf1\x07\x01\1\x3f" + b"\1\x01\0" + b"\x0c\x10\x05\0"  # AES; one that stores
    streams = b"\x04" + lengths + folders + b"\x08\x0d\0\1\0\0"  # the first holds no contents, the second one
    files = b"\x05\1\x11" + b"\x05\0a\0\0\0" + b"\0"
    members, findings, error = unpack(seven_zip, archive_of(bytes(16) + b"hello", b"\1" + streams + files + b"\0"), given=passwords)
    assert [(member.path, data) for member, data in members] == [("a", b"hello")]
    assert (findings, error) == ([], None)


def test_program_without_branches_is_given_on_as_it_comes() -> None:
    taken = 0

    def main() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield bytes(1 << 16)

    pieces = bcj2.joined(main(), iter(()), iter(()), iter((bytes(5),)), 100 << 16)
    assert len(next(pieces)) == 1 << 16
    assert taken <= 2
    assert (1 << 16) + sum(map(len, pieces)) == 100 << 16
    with pytest.raises(EOFError, match="cut short"):
        list(bcj2.joined(iter((b"program",)), iter(()), iter(()), iter((bytes(5),)), 8))


@pytest.mark.parametrize("name", ["plain-header", "bcj2", "aes", "lzma2", "not-solid", "ppmd"])
@pytest.mark.parametrize("seed", range(30))
def test_changed_header_ends_in_no_other_error(name: str, seed: int) -> None:
    chance = random.Random(f"{name}{seed}")
    archive = bytearray((DATA / f"{name}.7z").read_bytes())
    offset, length = struct.unpack_from("<QQ", archive, 12)
    for _ in range(3):
        archive[32 + offset + chance.randrange(length)] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
    unpack(seven_zip, _with_right_checksums(archive))


@pytest.mark.parametrize(
    "content", [b"", b"7z", b"7z\xbc\xaf\x27\x1c", b"7z\xbc\xaf\x27\x1c\0\4" + bytes(24), random.Random(4).randbytes(70_000)]
)
def test_garbage_is_not_mine_or_corrupt(content: bytes) -> None:
    members, _, error = unpack(seven_zip, content)
    assert members == []
    assert isinstance(error, Unsupported | Corrupt)


def test_every_malformed_file_is_not_mine(evidence: Path) -> None:
    for path in sorted((evidence / "malformed").iterdir()):
        assert isinstance(unpack(seven_zip, path)[2], Unsupported)
