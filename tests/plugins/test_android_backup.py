"""Android backups that hoardy-adb made: the tar archive comes out, with the password where one is needed."""

import hashlib
import random
from pathlib import Path

import pytest
from forensics.plugins.android_backup import android_backup
from forensics.plugins.compressed_stream import tar_archive

from forensics.plugin import Corrupt, LimitExceeded, Locked, Unsupported, UsageError
from forensics.testing import unpack

DATA = Path(__file__).parent / "data/android"
TAR = "f30ef289b86a8a3e0634f4a3d5f9292e6015ce1708330bbde719ba6f8e7179aa"
PASSWORD = "päss wörd"


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    path = tmp_path / "passwords.txt"
    path.write_text(f"1234\r\n{PASSWORD}\n", encoding="utf-8")
    return path


def plain(tar: bytes) -> bytes:
    return b"ANDROID BACKUP\n5\n0\nnone\n" + tar


def test_backup_that_is_not_encrypted_gives_its_archive() -> None:
    members, findings, error = unpack(android_backup, DATA / "packed.ab")
    assert [(member.path, hashlib.sha256(data).hexdigest()) for member, data in members] == [("backup.tar", TAR)]
    assert [(finding.kind, finding.data["encrypted"], finding.data["format_version"]) for finding in findings] == [
        ("phone-backup", False, "5")
    ]
    assert error is None
    assert unpack(android_backup, plain(members[0][1]))[0][0][1] == members[0][1]


def test_archive_within_is_read_by_the_tar_plugin() -> None:
    tar = unpack(android_backup, DATA / "packed.ab")[0][0][1]
    members, _, error = unpack(tar_archive, tar)
    files = {member.path: data for member, data in members if member.kind == "file"}
    assert files["apps/org.example.chat/note.txt"] == b"line\n" * 500
    assert len(files["apps/org.example.chat/db/msgs.db"]) == 2000
    assert error is None


@pytest.mark.parametrize("version", [1, 2, 5])
def test_encrypted_backup_opens_with_the_password_out_of_the_file(version: int, passwords: Path) -> None:
    members, findings, error = unpack(android_backup, DATA / f"enc{version}.ab", given={"passwords_file": str(passwords)})
    assert hashlib.sha256(members[0][1]).hexdigest() == TAR
    assert [(finding.data["encrypted"], finding.data["opened"]) for finding in findings] == [(True, True)]
    assert error is None


@pytest.mark.parametrize("given", [None, "wrong\n"])
def test_encrypted_backup_without_the_password_is_locked(given: str | None, tmp_path: Path) -> None:
    options = {}
    if given:
        (tmp_path / "list").write_text(given)
        options = {"passwords_file": str(tmp_path / "list")}
    members, findings, error = unpack(android_backup, DATA / "enc5.ab", given=options)
    assert [(member.path, member.kind, data) for member, data in members] == [("backup.tar", "other", b"")]
    assert [finding.kind for finding in findings] == ["phone-backup", "locked-members"]
    assert isinstance(error, Locked)


def test_neither_passwords_nor_their_digest_are_recorded(passwords: Path) -> None:
    assert android_backup.prepare
    prepared = android_backup.prepare(passwords_file=str(passwords))
    assert list(prepared.inputs) == ["passwords"] and prepared.inputs["passwords"].startswith("written 20")
    assert prepared.notes == ("a file of 2 passwords was given; its content is not recorded",)


def test_missing_or_huge_file_of_passwords_is_a_usage_error(tmp_path: Path) -> None:
    assert android_backup.prepare
    with pytest.raises(UsageError, match="cannot be read"):
        android_backup.prepare(passwords_file=str(tmp_path / "none"))
    (tmp_path / "huge").write_bytes(b"a\n" * 600_000)
    with pytest.raises(UsageError, match="give fewer"):
        android_backup.prepare(passwords_file=str(tmp_path / "huge"))


@pytest.mark.parametrize("name", ["packed", "enc5"])
@pytest.mark.parametrize("share", range(8, 20, 2))
def test_cut_backup_gives_the_beginning_of_its_archive(name: str, share: int, passwords: Path) -> None:
    tar = unpack(android_backup, DATA / "packed.ab")[0][0][1]
    content = (DATA / f"{name}.ab").read_bytes()
    members, _, error = unpack(android_backup, content[: len(content) * share // 20], given={"passwords_file": str(passwords)})
    assert tar.startswith(members[0][1])
    assert isinstance(error, Corrupt)


def test_header_that_asks_for_endless_work_is_a_limit() -> None:
    header = b"ANDROID BACKUP\n5\n1\nAES-256\n" + b"00" * 64 + b"\n" + b"00" * 64 + b"\n%d\n" + b"00" * 16 + b"\n" + b"00" * 96 + b"\n"
    assert isinstance(unpack(android_backup, header % 10**12)[2], LimitExceeded)
    assert isinstance(unpack(android_backup, header % 10)[2], Locked)


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_end_in_no_other_error(seed: int, passwords: Path) -> None:
    chance = random.Random(seed)
    content = bytearray((DATA / chance.choice(("packed.ab", "enc5.ab"))).read_bytes())
    for _ in range(3):
        content[chance.randrange(15, 500)] = chance.choice((0, 0x0A, 0x30, 0xFF, chance.randrange(256)))
    unpack(android_backup, bytes(content), given={"passwords_file": str(passwords)})


@pytest.mark.parametrize(
    "content", [b"", b"ANDROID", b"ANDROID BACKUP\n", b"ANDROID BACKUP\n9\n1\nROT13\n", random.Random(4).randbytes(70_000)]
)
def test_garbage_is_not_mine_or_corrupt(content: bytes) -> None:
    members, _, error = unpack(android_backup, content)
    assert members == []
    assert isinstance(error, Unsupported | Corrupt)
