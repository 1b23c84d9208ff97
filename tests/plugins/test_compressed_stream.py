"""Compressed streams and tar archives: what was put in comes out, to the byte where the damage is."""

import bz2
import gzip
import io
import lzma
import random
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from forensics.plugins.compressed_stream import compressed_stream, tar_archive

from forensics.plugin import Corrupt, Unsupported
from forensics.testing import unpack

TEXT = b"".join(b"line %d of a log\n" % number for number in range(20_000))


def zstd_without_size(data: bytes) -> bytes:
    target = io.BytesIO()
    with zstandard.ZstdCompressor(write_checksum=True).stream_writer(target, closefd=False) as writer:
        writer.write(data)
    return target.getvalue()


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    ".zst": zstandard.compress,
    ".zst ": zstd_without_size,
}


def tar_of(*members: tuple[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1_700_000_000.25 if form == tarfile.PAX_FORMAT else 1_700_000_000
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_stream_is_decompressed_and_named_without_its_suffix(suffix: str) -> None:
    members, findings, error = unpack(compressed_stream, COMPRESSORS[suffix](TEXT), name=f"var/syslog.1{suffix.strip()}")
    assert [(member.path, data) for member, data in members] == [("syslog.1", TEXT)]
    assert (findings, error) == ([], None)


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_streams_that_follow_each_other_are_one(suffix: str) -> None:
    data = COMPRESSORS[suffix](b"one\n") + (b"" if suffix.startswith((".zst", ".bz2")) else bytes(8)) + COMPRESSORS[suffix](b"two\n")
    members, findings, error = unpack(compressed_stream, data)
    assert members[0][1] == b"one\ntwo\n"
    assert (findings, error) == ([], None)


@pytest.mark.parametrize("share", [3, 20, 50, 90, 99])
@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_cut_stream_gives_its_beginning_and_is_corrupt(suffix: str, share: int) -> None:
    content = random.Random(5).randbytes(1_200_000) + TEXT
    data = COMPRESSORS[suffix](content)
    members, findings, error = unpack(compressed_stream, data[: len(data) * share // 100])
    assert content.startswith(members[0][1])
    assert share < 99 or len(members[0][1]) > 100_000
    assert [finding.kind for finding in findings] == ["damaged-members"]
    assert isinstance(error, Corrupt)


def test_gzip_keeps_the_name_and_time_that_it_was_given() -> None:
    target = io.BytesIO()
    with gzip.GzipFile("/home/dana/letter.txt", "wb", fileobj=target, mtime=1_700_000_000) as stream:
        stream.write(b"dear")
    members, _, _ = unpack(compressed_stream, target.getvalue(), name="x.bin")
    assert [(member.path, member.times.modified, data) for member, data in members] == [("letter.txt", "2023-11-14T22:13:20Z", b"dear")]


def test_damaged_gzip_gives_what_gzip_itself_gives(evidence: Path) -> None:
    path = evidence / "malformed/corrupt1.gz"
    expected = subprocess.run(["gzip", "-dc"], input=path.read_bytes(), capture_output=True, check=False).stdout
    members, _, error = unpack(compressed_stream, path)
    assert isinstance(error, Corrupt)
    assert members[0][1].startswith(expected[: len(members[0][1])])
    assert len(members[0][1]) >= len(expected) - (64 << 10)


def test_bomb_is_given_in_small_pieces() -> None:
    data = gzip.compress(bytes(50 << 20))
    members, _, error = unpack(compressed_stream, data)
    assert len(members[0][1]) == 50 << 20
    assert error is None


def test_compressed_tar_is_left_to_the_tar_plugin() -> None:
    data = gzip.compress(tar_of(("a", b"x")))
    assert isinstance(unpack(compressed_stream, data)[2], Unsupported)
    assert [(member.path, content) for member, content in unpack(tar_archive, data)[0]] == [("a", b"x")]
    assert isinstance(unpack(tar_archive, gzip.compress(b"no tar"))[2], Unsupported)


@pytest.mark.parametrize("suffix", ["", *COMPRESSORS])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_tar_members_come_out_as_they_went_in(suffix: str, form: int) -> None:
    content = {"folder/a.txt": TEXT, "empty": b"", "l/" * 45 + "ong": b"1" * 513}
    data = tar_of(*content.items(), form=form)
    members, findings, error = unpack(tar_archive, COMPRESSORS[suffix](data) if suffix else data)
    assert {member.path: got for member, got in members} == content
    assert all(member.size == len(got) for member, got in members)
    assert (findings, error) == ([], None)


def test_pax_time_keeps_its_fraction() -> None:
    assert unpack(tar_archive, tar_of(("a", b"")))[0][0][0].times.modified == "2023-11-14T22:13:20.25Z"


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_and_undecodable_names_keep_their_bytes(form: int) -> None:
    name = "d" * 150 + "/" + b"\xa1\xa2.txt".decode("utf-8", "surrogateescape")
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as archive:
        archive.addfile(tarfile.TarInfo(name))
    assert [member.path for member, _ in unpack(tar_archive, target.getvalue())[0]] == [name]


def test_links_and_devices_are_told_from_files() -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, kind, link in (
            ("d", tarfile.DIRTYPE, ""),
            ("s", tarfile.SYMTYPE, "/etc/passwd"),
            ("h", tarfile.LNKTYPE, "d/x"),
            ("f", tarfile.FIFOTYPE, ""),
            ("c", tarfile.CHRTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            archive.addfile(info)
        info = tarfile.TarInfo("last")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"last"))
    members, _, error = unpack(tar_archive, target.getvalue())
    assert [(member.kind, member.target) for member, _ in members] == [
        ("directory", None),
        ("link", "/etc/passwd"),
        ("link", "d/x"),
        ("other", None),
        ("other", None),
        ("file", None),
    ]
    assert members[-1][1] == b"last"
    assert error is None


@pytest.mark.parametrize("form", ["gnu", "0.0", "0.1", "1.0"])
def test_sparse_files_of_gnu_tar_are_spread_as_they_were(form: str, tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as stream:
        for number in range(40):  # more than the four pieces of a header, and the 21 of one block
            stream.seek(number * 100_000)
            stream.write(b"%d" % number * 600)
        stream.truncate(5_000_000)
    how = ["--format=gnu"] if form == "gnu" else ["--format=posix", f"--sparse-version={form}"]
    subprocess.run(["tar", "-S", *how, "-cf", "a.tar", "sparse"], cwd=tmp_path, check=True)
    if (tmp_path / "a.tar").stat().st_size > 4_000_000:
        pytest.skip("the file system keeps no sparse files")
    members, findings, error = unpack(tar_archive, tmp_path / "a.tar")
    assert members[0][0].path == "sparse"
    assert members[0][1] == (tmp_path / "sparse").read_bytes()
    assert members[0][0].size == 5_000_000
    assert (findings, error) == ([], None)


def told(said: dict[str, str], content: bytes) -> bytes:
    """A tar archive of a member of which a pax header says something, and of one behind it."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data, headers in (("first", content, said), ("second", b"2" * 600, {})):
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(data), headers
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


@pytest.mark.parametrize(
    ("pieces", "size", "why"),
    [
        ("0,5000", "5000", "pieces of 5000 bytes, of which 600 are stored"),
        ("0,300,0,300", "600", "300 bytes at byte 0 of 600, behind byte 300"),
        ("0,300,500,300", "600", "300 bytes at byte 500 of 600, behind byte 300"),
        ("0," + "9" * 30, "9" * 30, "no decimal number of at most 20 digits"),
    ],
)
def test_sparse_map_that_lies_is_damage_and_takes_nothing_of_the_next_member(pieces: str, size: str, why: str) -> None:
    archive = told({"GNU.sparse.map": pieces, "GNU.sparse.size": size}, b"1" * 600)
    members, findings, error = unpack(tar_archive, archive)
    assert [(member.path, member.size, data) for member, data in members] == [("first", 600, b"1" * 600), ("second", 600, b"2" * 600)]
    assert why in findings[0].summary
    assert isinstance(error, Corrupt)


@pytest.mark.parametrize("stored", [b"", b"3\n0\n5\n", b"x\n".ljust(512, b"\0") + b"1" * 88, b"1" * 1536])
def test_broken_map_before_the_content_takes_nothing_of_the_next_member(stored: bytes) -> None:
    archive = told({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "600"}, stored)
    members, findings, error = unpack(tar_archive, archive)
    assert [(member.path, member.size == len(data)) for member, data in members] == [("first", True), ("second", True)]
    assert stored.endswith(members[0][1])
    assert members[1][1] == b"2" * 600
    assert "sparse map" in findings[0].summary
    assert isinstance(error, Corrupt)


@pytest.mark.parametrize("digits", [21, 5000])
def test_size_of_too_many_digits_is_damage_and_the_next_member_is_read(digits: int) -> None:
    members, findings, error = unpack(tar_archive, told({"size": "9" * digits}, b""))
    assert [(member.path, data) for member, data in members] == [("first", b""), ("second", b"2" * 600)]
    assert "size cannot be read" in findings[0].summary
    assert isinstance(error, Corrupt)


def test_name_beyond_all_sense_is_cut_and_that_is_said() -> None:
    members, findings, error = unpack(tar_archive, told({"path": "a" * 100_000}, b"1"))
    assert [(member.path, data) for member, data in members] == [("a" * 65_536, b"1"), ("second", b"2" * 600)]
    assert "a name of 100000 bytes (limit 65536): it is cut" in findings[0].summary
    assert isinstance(error, Corrupt)


def test_tar_cut_within_a_member_gives_its_beginning() -> None:
    data = tar_of(("a", b"a" * 1000), ("b", b"b" * 10_000))
    members, findings, error = unpack(tar_archive, data[:8000])
    assert members[0][1] == b"a" * 1000
    assert set(members[1][1]) == set(b"b")
    assert 0 < len(members[1][1]) < 8000
    assert [finding.kind for finding in findings] == ["damaged-members"]
    assert isinstance(error, Corrupt)


@pytest.mark.parametrize("share", [10, 30, 60, 95])
def test_compressed_tar_cut_anywhere_keeps_whole_members(share: int) -> None:
    contents = {str(number): random.Random(number).randbytes(5000) for number in range(20)}
    data = gzip.compress(tar_of(*contents.items()))
    members, findings, error = unpack(tar_archive, data[: len(data) * share // 100])
    assert len(members) >= 20 * share // 100 - 1
    assert all(got == contents[member.path] for member, got in members[:-1])
    assert [finding.kind for finding in findings] == ["damaged-members"]
    assert isinstance(error, Corrupt)


def test_tar_with_a_broken_header_goes_on_behind_it() -> None:
    data = bytearray(tar_of(("a", b"1"), ("b", b"2"), ("c", b"3"), form=tarfile.USTAR_FORMAT))
    data[1024:1030] = b"\xff" * 6  # the name of b
    members, _, error = unpack(tar_archive, bytes(data))
    assert [member.path for member, _ in members] == ["a", "c"]
    assert isinstance(error, Corrupt)


def test_header_that_claims_to_be_huge_is_not_read_into_memory() -> None:
    block = tarfile.TarInfo("x")
    block.type, block.size = tarfile.XHDTYPE, 8 << 30
    data = tar_of(("a", b"1")).rstrip(b"\0").ljust(2048, b"\0") + block.tobuf(tarfile.GNU_FORMAT)
    members, _findings, error = unpack(tar_archive, data)
    assert [member.path for member, _ in members] == ["a"]
    assert isinstance(error, Corrupt)


def test_names_that_leave_the_folder_are_notable() -> None:
    members, findings, _ = unpack(tar_archive, tar_of(("/etc/cron.d/x", b""), ("../../x", b""), ("same", b"1"), ("same", b"2")))
    assert [member.path for member, _ in members] == ["/etc/cron.d/x", "../../x", "same", "same"]
    assert [(f.kind, f.level, f.data["absolute_names"], f.data["climbing_names"], f.data["duplicate_names"]) for f in findings] == [
        ("suspicious-member-name", "notable", 1, 1, 1)
    ]


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_end_in_no_other_error(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(tar_of(("a" * 200, b"x" * 600), ("b", b"y"), form=chance.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))))
    for _ in range(6):
        data[chance.randrange(2048)] = chance.randrange(256)
    unpack(tar_archive, bytes(data))
    packed = bytearray(chance.choice([*COMPRESSORS.values()])(bytes(data)))
    for _ in range(4):
        packed[chance.randrange(len(packed))] = chance.randrange(256)
    unpack(tar_archive, bytes(packed))
    unpack(compressed_stream, bytes(packed))


def test_every_malformed_file_ends_well(evidence: Path) -> None:
    for path in sorted((evidence / "malformed").iterdir()):
        unpack(tar_archive, path)
        unpack(compressed_stream, path)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"BZh9", random.Random(4).randbytes(70_000)])
def test_garbage_is_not_mine_or_corrupt(content: bytes) -> None:
    for plugin in (tar_archive, compressed_stream):
        members, _, error = unpack(plugin, content)
        assert all(data == b"" for _, data in members)
        assert isinstance(error, Unsupported | Corrupt)
