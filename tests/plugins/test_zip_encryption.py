"""Zip members that 7-Zip and Info-ZIP encrypted come out as they went in, by the password that fits; with others they stay locked."""

import random
import zlib
from pathlib import Path

import pytest
from forensics.plugins.zip_archive import zip_archive

from forensics.archives import zip_encryption
from forensics.archives.tried import Tried
from forensics.errors import EvidenceError
from forensics.model import Finding
from forensics.plugin import Corrupt, Locked, Member
from forensics.testing import unpack

DATA = Path(__file__).parent / "data" / "zip"
TEXT = b"".join(b"line %d\n" % number for number in range(300))
BINARY = bytes(number * number % 251 for number in range(600))
BOTH = {"a.txt": TEXT, "b.bin": BINARY}
Unpacked = tuple[list[tuple[Member, bytes]], list[Finding], EvidenceError | None]


def opened(content: bytes | Path, *passwords: str) -> Unpacked:
    """What comes out of an archive with these passwords."""
    tried = tuple(password.encode() for password in passwords)
    plugin = zip_archive.function

    def given(file: object, _: object, **options: object) -> object:
        return plugin(file, tried, **options)

    from msgspec.structs import replace

    return unpack(replace(zip_archive, function=given), content)


@pytest.mark.parametrize("name", ["AES128", "AES192", "AES256", "ZipCrypto"])
def test_encrypted_members_come_out_as_they_went_in(name: str) -> None:
    members, findings, error = opened(DATA / f"{name}.zip", "wrong", "secret")
    assert {member.path: data for member, data in members} == BOTH
    assert [(finding.kind, finding.data["unlocked"], finding.data["passwords"]) for finding in findings] == [("unlocked-members", 2, [2])]
    assert error is None


@pytest.mark.parametrize(
    ("name", "password", "content"),
    [
        ("stored-aes", "secret", BINARY),
        ("info-zip", "päss", TEXT),
        ("streamed", "secret", TEXT),  # its sizes follow the content, and a byte of its time is the check
    ],
)
def test_other_forms_of_encrypted_members_come_out(name: str, password: str, content: bytes) -> None:
    members, _, error = opened(DATA / f"{name}.zip", password)
    assert [data for _, data in members] == [content]
    assert error is None


@pytest.mark.parametrize("name", ["deflate64", "ppmd"])
def test_members_in_rare_methods_come_out_as_they_went_in(name: str) -> None:
    members, findings, error = unpack(zip_archive, DATA / f"{name}.zip")
    assert {member.path: data for member, data in members}.items() <= BOTH.items()
    assert members and (findings, error) == ([], None)


@pytest.mark.parametrize("name", ["AES256", "ZipCrypto", "streamed"])
def test_wrong_passwords_leave_members_locked(name: str) -> None:
    members, findings, error = opened(DATA / f"{name}.zip", *(f"wrong {number}" for number in range(100)))
    assert {(member.kind, data) for member, data in members} == {("other", b"")}
    assert [finding.kind for finding in findings] == ["locked-members"]
    assert isinstance(error, Locked) and "opened by no password that was given" in str(error)


def test_passwords_are_read_from_the_file_of_them(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("wrong\nsecret\n")
    members, _, _ = unpack(zip_archive, DATA / "AES256.zip", given={"passwords_file": str(tmp_path / "list")})
    assert {member.path: data for member, data in members} == BOTH


@pytest.mark.parametrize("name", ["AES256", "ZipCrypto"])
def test_damaged_member_of_a_known_password_is_damage_and_the_other_is_read(name: str) -> None:
    archive = bytearray((DATA / f"{name}.zip").read_bytes())
    archive[archive.index(b"b.bin") + 60] ^= 1
    members, findings, error = opened(bytes(archive), "secret")
    assert members[0][1] == TEXT
    assert members[1][1] != BINARY
    assert "damaged-members" in [finding.kind for finding in findings]
    assert isinstance(error, Corrupt)


def test_tries_run_out_and_it_is_said() -> None:
    tried = Tried((b"one", b"two", b"three"), 2)
    assert list(tried.candidates()) == [b"one", b"two"]
    assert tried.said == "not every password was tried, since that takes too long"
    tried.fits(b"two")
    assert list(tried.candidates()) == [b"two"]


def test_check_byte_is_the_highest_of_the_checksum() -> None:
    archive = (DATA / "ZipCrypto.zip").read_bytes()
    start = archive[30 + len("a.txt") : 30 + len("a.txt") + zip_encryption.START]
    assert zip_encryption.check_byte(start, b"secret") == zlib.crc32(TEXT) >> 24


@pytest.mark.parametrize("name", ["AES256", "ZipCrypto", "streamed", "ppmd", "deflate64"])
@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_end_in_no_other_error(name: str, seed: int) -> None:
    chance = random.Random(f"{name}{seed}")
    archive = bytearray((DATA / f"{name}.zip").read_bytes())
    for _ in range(4):
        archive[chance.randrange(len(archive))] = chance.choice((0, 0xFF, chance.randrange(256)))
    opened(bytes(archive), "wrong", "secret")


@pytest.mark.parametrize("name", ["AES256", "ZipCrypto"])
@pytest.mark.parametrize("share", range(1, 20, 2))
def test_cut_archive_gives_no_wrong_byte(name: str, share: int) -> None:
    archive = (DATA / f"{name}.zip").read_bytes()
    members, _, error = opened(archive[: len(archive) * share // 20], "secret")
    assert all(BOTH[member.path].startswith(data) for member, data in members)
    assert error is not None
