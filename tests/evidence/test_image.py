"""Opening an image by its signature, finding its set, reading raw media, and measuring."""

import errno
import hashlib
import json
import os
import shutil
import struct
import sys
import zlib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from unprivileged import ordinary_user

from forensics.errors import Corrupt, EvidenceError, ForensicsError, Unsupported
from forensics.evidence.image import measure, open_image
from forensics.model import Segment


def entry(evidence: Path, path: str) -> dict:
    entries = json.loads((evidence / "manifest.json").read_text())["entries"]
    return next(item for item in entries if item["path"] == path)


# --- raw and split raw ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ext2.raw", "fat12.raw", "gpt.raw", "iso9660.raw", "mbr.raw", "ntfs.raw", "apfs.raw"])
def test_raw_image_is_its_own_medium(evidence: Path, name: str) -> None:
    expected = entry(evidence, f"images/{name}")
    image = open_image(evidence / "images" / name)
    digest = measure(image)
    image.close()
    assert (digest.format, digest.size, digest.sha256) == ("raw", expected["bytes"], expected["sha256"])
    assert digest.segments == (Segment(name, expected["bytes"], expected["sha256"]),)


@pytest.mark.parametrize("given", ["tsk_volume_system.001", "tsk_volume_system.002"])
def test_split_raw_is_one_medium_from_any_of_its_segments(evidence: Path, given: str) -> None:
    expected = entry(evidence, "images/tsk_volume_system.001")["expected"]
    image = open_image(evidence / "images" / given)
    digest = measure(image)
    image.close()
    assert (digest.format, digest.size) == ("split raw", expected["media"]["bytes"])
    assert digest.sha256 == expected["whole_sha256"]
    parts = [entry(evidence, f"images/tsk_volume_system.00{number}") for number in (1, 2)]
    assert digest.segments == tuple(Segment(Path(part["path"]).name, part["bytes"], part["sha256"]) for part in parts)


@pytest.mark.parametrize("names", [("000", "001", "002"), ("001", "002"), ("aa", "ab", "ac"), ("aaa", "aab")])
def test_segments_are_found_by_number_or_letters(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / f"disk.{name}").write_bytes(name.encode() * 1000)
    (tmp_path / "other.003").write_bytes(b"of another set")
    expected = b"".join(name.encode() * 1000 for name in names)
    for name in names:
        image = open_image(tmp_path / f"disk.{name}")
        assert image.size == len(expected)
        assert image.read(0, 1 << 20) == expected
        assert image.read(len(names[0]) * 1000 - 5, 10) == expected[len(names[0]) * 1000 - 5 :][:10]
        image.close()


@pytest.mark.parametrize(("there", "missing"), [(("001", "003"), "002"), (("002",), "001"), (("aa", "ab", "ad"), "ac")])
def test_gap_in_the_numbering_names_the_missing_segment(tmp_path: Path, there: tuple[str, ...], missing: str) -> None:
    for name in there:
        (tmp_path / f"disk.{name}").write_bytes(b"x" * 512)
    with pytest.raises(EvidenceError, match=rf"disk\.{missing}"):
        open_image(tmp_path / f"disk.{there[-1]}")


@pytest.mark.parametrize("name", ["disk.dd", "disk.img", "disk.bin", "disk", "disk.2024"])
def test_ordinary_raw_names_are_one_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x" * 1000)
    (tmp_path / "disk.txt").write_bytes(b"notes")
    image = open_image(tmp_path / name)
    image.close()
    assert (image.format, image.files, image.size) == ("raw", (tmp_path / name,), 1000)


def test_reads_are_short_only_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "disk.dd").write_bytes(bytes(range(256)) * 4)
    image = open_image(tmp_path / "disk.dd")
    assert image.read(1020, 100) == bytes([252, 253, 254, 255])
    assert image.read(1024, 1) == image.read(5000, 10) == image.read(10, 0) == b""
    image.close()


def test_raw_file_cut_while_it_is_open_reads_as_zeros_and_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "disk.dd"
    path.write_bytes(b"x" * 8192)
    image = open_image(path)
    os.truncate(path, 4096)
    assert image.read(0, 8192) == b"x" * 4096 + bytes(4096)
    assert [(item.offset, item.size) for item in image.damage] == [(4096, 4096)]
    assert image.damaged_reads == 1
    image.close()


def test_more_segments_than_files_a_process_may_open(tmp_path: Path) -> None:
    for number in range(1, 1101):
        (tmp_path / f"disk.{number:03}").write_bytes(number.to_bytes(4, "big"))
    image = open_image(tmp_path / "disk.500")
    assert image.read(0, 1 << 20) == b"".join(number.to_bytes(4, "big") for number in range(1, 1101))
    image.close()


def test_year_beside_a_set_is_no_segment_of_it(tmp_path: Path) -> None:
    for name in ("001", "002", "2024"):
        (tmp_path / f"disk.{name}").write_bytes(b"x" * 512)
    image = open_image(tmp_path / "disk.001")
    image.close()
    assert image.files == (tmp_path / "disk.001", tmp_path / "disk.002")


def test_sector_that_a_device_cannot_read_is_zeros_and_the_rest_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(3 * 4096 + 100)
    (tmp_path / "disk.dd").write_bytes(data)
    image = open_image(tmp_path / "disk.dd")
    pread = os.pread

    def failing(descriptor: int, size: int, offset: int) -> bytes:
        if offset < 8192 and offset + size > 4096:
            raise OSError(errno.EIO, "Input/output error")
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", failing)
    assert image.read(0, len(data)) == data[:4096] + bytes(4096) + data[8192:]
    assert image.read(5000, 10) == bytes(10)
    assert [(item.offset, item.size) for item in image.damage] == [(4096, 4096)]
    assert image.damaged_reads == 2
    image.close()


# --- what is refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "format_name"),
    [
        (b"AFF10\x0d\x0a\x00", "AFF"),
        (b"encrcdsa", "encrypted"),
    ],
)
def test_formats_without_a_sample_are_refused_by_signature(tmp_path: Path, head: bytes, format_name: str) -> None:
    (tmp_path / "image.bin").write_bytes(head.ljust(4096, b"\0"))
    with pytest.raises(Unsupported, match=format_name):
        open_image(tmp_path / "image.bin")


def test_empty_file_is_refused(tmp_path: Path) -> None:
    for name in ("disk.dd", "disk.E01"):
        (tmp_path / name).touch()
        with pytest.raises(EvidenceError, match="empty"):
            open_image(tmp_path / name)


def test_empty_segment_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "disk.001").write_bytes(b"x" * 512)
    (tmp_path / "disk.002").touch()
    with pytest.raises(EvidenceError, match=r"disk\.002"):
        open_image(tmp_path / "disk.001")


def test_missing_file_and_folder_and_pipe_are_errors_of_ours(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "nowhere.dd", tmp_path / "nowhere.E01", tmp_path, tmp_path / "pipe"):
        with pytest.raises(EvidenceError, match=path.name):
            open_image(path)


def test_file_without_permission_is_an_error_of_ours() -> None:
    with ordinary_user() as folder:
        (folder / "disk.dd").write_bytes(b"x" * 512)
        (folder / "disk.dd").chmod(0)
        with pytest.raises(EvidenceError, match=r"(?i)permission denied"):
            open_image(folder / "disk.dd")


def test_no_malformed_file_raises_anything_but_ours(evidence: Path) -> None:
    opened = 0
    for path in sorted((evidence / "malformed").iterdir()):
        try:
            image = open_image(path)
        except ForensicsError:
            continue
        assert len(image.read(0, 1 << 20)) == min(1 << 20, image.size)
        image.close()
        opened += 1
    assert opened


def test_absurd_geometry_is_refused(evidence: Path, tmp_path: Path) -> None:
    raw = bytearray((evidence / "images/ext2.E01").read_bytes())
    at = 13
    while raw[at : at + 16].rstrip(b"\0") not in (b"volume", b"disk"):
        at = struct.unpack_from("<Q", raw, at + 16)[0]
    for per_chunk, sectors in ((0xFFFFFFFF, 8192), (0, 8192), (64, (1 << 64) - 1), (64, 0)):
        struct.pack_into("<IIQ", raw, at + 76 + 8, per_chunk, 512, sectors)
        struct.pack_into("<I", raw, at + 76 + 1048, zlib.adler32(raw[at + 76 : at + 76 + 1048]))
        # the copy in the section `data` would be used instead
        (tmp_path / "absurd.E01").write_bytes(raw)
        try:
            image = open_image(tmp_path / "absurd.E01")
        except EvidenceError as error:
            assert "absurd.E01" in str(error)
        else:
            assert image.size == 4194304
            assert image.damage
            image.close()


# --- measuring --------------------------------------------------------------------------------------------------------------


def test_progress_adds_up_to_the_medium(evidence: Path) -> None:
    image = open_image(evidence / "cases/winbox-a.E01")
    steps: list[int] = []
    digest = measure(image, steps.append, legacy=False)
    image.close()
    assert sum(steps) == image.size == 52428800
    assert min(steps) > 0
    assert (digest.md5, digest.sha1, digest.stored_match) == (None, None, {})
    assert digest.sha256 == entry(evidence, "cases/winbox-a.E01")["expected"]["media"]["sha256"]


def test_every_segment_file_is_digested_as_it_lies_on_disk(evidence: Path) -> None:
    image = open_image(evidence / "images/image-split.E02")
    digest = measure(image)
    image.close()
    parts = [entry(evidence, f"images/image-split.E0{number}") for number in (1, 2)]
    assert digest.segments == tuple(Segment(Path(part["path"]).name, part["bytes"], part["sha256"]) for part in parts)


def test_stored_digest_that_does_not_match_is_said(evidence: Path, tmp_path: Path) -> None:
    image = open_image(evidence / "malformed/ext2-bitflip.E01")
    digest = measure(image)
    image.close()
    assert digest.damage
    zeroed = bytearray((evidence / "images/ext2.raw").read_bytes())
    for item in digest.damage:
        zeroed[item.offset : item.offset + item.size] = bytes(item.size)
    assert digest.md5 == hashlib.md5(zeroed).hexdigest()
    assert digest.stored_match["md5"] is (digest.md5 == entry(evidence, "images/ext2.E01")["expected"]["media"]["md5"])


def test_wrong_stored_digest_does_not_match(evidence: Path, tmp_path: Path) -> None:
    shutil.copy(evidence / "images/ext2.E01", tmp_path / "image.E01")
    image = open_image(tmp_path / "image.E01")
    image.stored["md5"] = "0" * 31 + "1"
    assert measure(image).stored_match == {"md5": False}
    image.close()


def test_image_named_ewf_but_raw_is_not_taken_for_raw(tmp_path: Path) -> None:
    (tmp_path / "disk.Ex01").write_bytes(bytes(4096))
    with pytest.raises(Corrupt):
        open_image(tmp_path / "disk.Ex01")
