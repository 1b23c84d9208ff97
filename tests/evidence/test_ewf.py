"""EWF images against their manifest, libewf (pyewf, ewfacquire), the specification's own layout, and damage of every kind."""

import hashlib
import json
import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from forensics.errors import Corrupt, EvidenceError, Locked
from forensics.evidence.image import measure, open_image

DATA = Path(__file__).parent / "data"
E01 = (
    "images/ext2.E01",
    "images/fs.multiple.E01",
    "images/image-split.E01",
    "images/luks1.E01",
    "images/lvm.E01",
    "images/vss.E01",
    "images/xfs.E01",
    "cases/android-a.E01",
    "cases/winbox-a.E01",
)


def manifest(evidence: Path) -> dict[str, dict]:
    entries = json.loads((evidence / "manifest.json").read_text())["entries"]
    return {entry["path"]: entry for entry in entries}


def medium() -> bytes:
    """What the Ex01 files in `data/` were made of, by ewfacquire of libewf 20260924 (-f encase7-v2): zeros, a pattern, text, noise, and a
    last chunk of 11 sectors."""
    noise = b"".join(hashlib.sha256(number.to_bytes(4, "little")).digest() for number in range(1024))
    lines = "".join(f"line {number}: a file system reads near where it read before\n" for number in range(1000)).encode()[:32768]
    return bytes(65536) + b"PATTERN!" * 4096 + lines + noise + lines[: 11 * 512]


def whole(path: Path) -> tuple[bytes, tuple]:
    image = open_image(path)
    try:
        data = b"".join(image.read(offset, 1 << 20) for offset in range(0, image.size, 1 << 20))
        return data, image.damage
    finally:
        image.close()


# --- what independent tools say ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", E01)
def test_medium_and_metadata_are_those_of_the_manifest(evidence: Path, name: str) -> None:
    expected = manifest(evidence)[name]["expected"]
    image = open_image(evidence / name)
    digest = measure(image)
    image.close()
    assert (digest.size, digest.sha256, digest.md5) == tuple(expected["media"][key] for key in ("bytes", "sha256", "md5"))
    assert digest.stored["md5"] == expected["ewf"]["stored_md5"]
    assert digest.stored_match["md5"] is True
    assert digest.damage == ()
    for key in ("case_number", "evidence_number", "examiner", "description"):
        assert digest.metadata[key] == expected["ewf"][key]


def test_acquisition_time_is_utc_as_the_header_gives_it(evidence: Path) -> None:
    image = open_image(evidence / "images/ext2.E01")
    image.close()
    assert image.metadata["acquired_at"] == "2021-07-22T15:33:18Z"  # manifest: Thu Jul 22 15:33:18 2021


@pytest.mark.parametrize("name", [name for name in E01 if "multiple" not in name])
def test_reads_at_random_agree_with_libewf(evidence: Path, name: str) -> None:
    pyewf = pytest.importorskip("pyewf")
    handle = pyewf.handle()
    handle.open(pyewf.glob(str(evidence / name)))
    image = open_image(evidence / name)
    assert image.size == handle.get_media_size()
    source = random.Random(name)
    for _ in range(60):
        offset = source.randrange(image.size)
        size = source.choice((1, 511, 4096, 40000, 300000))
        handle.seek(offset)
        assert image.read(offset, size) == handle.read(min(size, image.size - offset))
    image.close()
    handle.close()


@pytest.mark.parametrize("form", ["smart", "ewf", "ftk", "encase1", "encase2", "encase5", "encase6", "encase7", "linen7", "ewfx"])
@pytest.mark.parametrize(("level", "sectors"), [("none", 16), ("fast", 64), ("best", 2048), ("empty-block", 128)])
def test_what_ewfacquire_writes_is_read(tmp_path: Path, form: str, level: str, sectors: int) -> None:
    if not shutil.which("ewfacquire"):
        pytest.skip("no ewfacquire: install ewf-tools")
    data = medium() * 9 + b"tail" * 128  # over 1 MiB, so that the uncompressed ones are split
    source = tmp_path / "medium.raw"
    source.write_bytes(data)
    command = [
        "ewfacquire",
        "-u",
        "-q",
        "-f",
        form,
        "-c",
        level,
        "-b",
        str(sectors),
        "-S",
        "1048576",
        "-t",
        str(tmp_path / "image"),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True)
    segments = sorted(path for path in tmp_path.iterdir() if path.stem == "image")
    if level == "none" and form not in ("smart", "ewf"):
        assert len(segments) > 1
    image = open_image(segments[-1])  # any segment leads to the set
    digest = measure(image)
    image.close()
    assert image.files == tuple(segments)
    assert (digest.size, digest.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert digest.stored_match["md5"] is True
    assert digest.damage == ()


@pytest.mark.parametrize("name", ["deflate-none.Ex01", "deflate-fast.Ex01", "deflate-best.Ex01"])
def test_ex01_of_libewf_is_read(name: str) -> None:
    image = open_image(DATA / name)
    digest = measure(image)
    image.close()
    assert digest.format == "EWF2-Ex01"
    assert digest.sha256 == hashlib.sha256(medium()).hexdigest()
    assert digest.stored_match == {"md5": True, "sha1": True}
    assert digest.damage == ()
    expected = {"case_number": "case 7", "evidence_number": "7-1", "examiner": "exåm", "description": "desc", "notes": "n"}
    assert expected.items() <= digest.metadata.items()


def test_encrypted_ex01_is_locked(tmp_path: Path) -> None:
    raw = bytearray((DATA / "deflate-fast.Ex01").read_bytes())
    at = len(raw) - 64
    while struct.unpack_from("<I", raw, at)[0] != 3:  # EWF2: the sector data section's flags say that it is encrypted
        at = struct.unpack_from("<Q", raw, at + 8)[0]
    struct.pack_into("<I", raw, at + 4, 2)
    struct.pack_into("<I", raw, at + 60, zlib.adler32(raw[at : at + 60]))
    (tmp_path / "locked.Ex01").write_bytes(raw)
    with pytest.raises(Locked):
        open_image(tmp_path / "locked.Ex01")


# --- damage -----------------------------------------------------------------------------------------------------------------


def test_truncated_image_reads_as_zeros_and_says_where(evidence: Path) -> None:
    data, damage = whole(evidence / "malformed/ext2-truncated.E01")
    assert len(data) == 4194304
    assert sum(item.size for item in damage) == data.count(0) == len(data)
    assert any("cut short" in item.message for item in damage)


def test_flipped_chunks_read_as_zeros_and_the_rest_as_acquired(evidence: Path) -> None:
    sound, _ = whole(evidence / "images/ext2.E01")
    data, damage = whole(evidence / "malformed/ext2-bitflip.E01")
    expected = bytearray(sound)
    assert damage
    for item in damage:
        assert item.size == 32768
        expected[item.offset : item.offset + item.size] = bytes(item.size)
    assert data == expected


def test_each_damaged_chunk_is_said_once_and_every_damaged_read_is_counted(evidence: Path) -> None:
    image = open_image(evidence / "malformed/ext2-bitflip.E01")
    assert (image.damage, image.damaged_reads) == ((), 0)
    image.read(0, 4096)
    assert image.damaged_reads == 0
    offset = 1310720  # chunk 40: ewfverify names it too
    for expected in (1, 2, 3):
        assert image.read(offset + 512, 512) == bytes(512)
        assert image.damaged_reads == expected
    assert image.read(offset - 100, 65536)[100:32868] == bytes(32768)
    assert image.damaged_reads == 4
    assert [(item.offset, item.size) for item in image.damage] == [(offset, 32768)]
    image.close()


def flips(path: Path, count: int, seed: int) -> list[tuple[int, int]]:
    source, size = random.Random(seed), path.stat().st_size
    return [(source.randrange(size), 1 << source.randrange(8)) for _ in range(count)]


@pytest.mark.parametrize(
    ("name", "count"), [("ext2.E01", 250), ("deflate-none.Ex01", 150), ("deflate-fast.Ex01", 250), ("deflate-best.Ex01", 100)]
)
def test_a_flipped_bit_changes_nothing_or_is_reported(evidence: Path, tmp_path: Path, name: str, count: int) -> None:
    source = evidence / "images" / name if name.endswith(".E01") else DATA / name
    sound, raw = whole(source)[0], source.read_bytes()
    path = tmp_path / name
    reported = 0
    for at, bit in flips(source, count, 11):
        changed = bytearray(raw)
        changed[at] ^= bit
        path.write_bytes(changed)
        try:
            data, damage = whole(path)
        except EvidenceError:
            reported += 1
            continue
        reported += bool(damage)
        assert data == sound or damage, f"byte {at}, bit {bit}"
        lost = bytearray(sound)
        for item in damage:
            lost[item.offset : item.offset + item.size] = bytes(item.size)
        assert data in (sound, lost), f"byte {at}, bit {bit}: bytes differ where no damage is reported"
    assert reported


@pytest.mark.parametrize("name", ["ext2.E01", "deflate-fast.Ex01"])
def test_a_cut_file_is_reported_wherever_it_is_cut(evidence: Path, tmp_path: Path, name: str) -> None:
    source = evidence / "images" / name if name.endswith(".E01") else DATA / name
    raw, path = source.read_bytes(), tmp_path / name
    for length in [*range(1, 200, 7), *range(200, len(raw) - 1, 397)]:
        path.write_bytes(raw[:length])
        try:
            _, damage = whole(path)
        except EvidenceError:
            continue
        assert damage, f"cut at {length}"


def test_missing_last_segment_is_reported_and_the_first_is_read(evidence: Path, tmp_path: Path) -> None:
    sound, _ = whole(evidence / "images/image-split.E01")
    shutil.copy(evidence / "images/image-split.E01", tmp_path)
    data, damage = whole(tmp_path / "image-split.E01")
    lost = [item for item in damage if item.size]
    assert len(lost) == 1
    assert lost[0].offset + lost[0].size == len(sound) == len(data)
    assert data == sound[: lost[0].offset] + bytes(lost[0].size)
    assert 0 < lost[0].offset < 1018520  # no more than the first segment's own bytes


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_missing_segment_loses_only_its_own_chunks(tmp_path: Path, missing: int) -> None:
    if not shutil.which("ewfacquire"):
        pytest.skip("no ewfacquire: install ewf-tools")
    data = random.Random(5).randbytes(3 << 20)
    (tmp_path / "medium.raw").write_bytes(data)
    command = ["ewfacquire", "-u", "-q", "-f", "encase6", "-c", "none", "-S", "1048576", "-t"]
    subprocess.run([*command, str(tmp_path / "image"), str(tmp_path / "medium.raw")], check=True, capture_output=True)
    segments = sorted(tmp_path.glob("image.E*"))
    assert len(segments) > 3
    segments[missing].unlink()
    found, damage = whole(segments[3])
    lost = [item for item in damage if item.size]
    assert len(lost) == 1
    expected = bytearray(data)
    expected[lost[0].offset : lost[0].offset + lost[0].size] = bytes(lost[0].size)
    assert found == expected
    assert 0 < lost[0].size <= 1 << 20
    assert any("missing" in item.message for item in damage)


def test_file_of_a_later_extension_beside_the_image_is_no_segment(evidence: Path, tmp_path: Path) -> None:
    shutil.copy(evidence / "images/ext2.E01", tmp_path / "image.E01")
    for name in ("image.raw", "image.exe", "image.txt", "image.log"):
        (tmp_path / name).write_bytes(b"not a segment")
    image = open_image(tmp_path / "image.E01")
    image.close()
    assert image.files == (tmp_path / "image.E01",)
    assert whole(tmp_path / "image.E01")[1] == ()


# --- made after the specification -------------------------------------------------------------------------------------------


def section(kind: str, at: int, data: bytes, end: int | None = None) -> bytes:
    following = at if kind == "done" else end or at + 76 + len(data)
    head = struct.pack("<16sQQ40x", kind.encode(), following, 76 if kind == "done" else following - at)
    return head + struct.pack("<I", zlib.adler32(head)) + data


def summed(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.adler32(data))


def volume(chunks: int, sectors: int) -> bytes:
    return summed(struct.pack("<B3xIIIQ", 1, chunks, 64, 512, sectors).ljust(1048, b"\0"))


def table(entries: list[int], base: int = 0) -> bytes:
    return summed(struct.pack("<I4xQ4x", len(entries), base)) + summed(struct.pack(f"<{len(entries)}I", *entries))


def test_sectors_that_acquisition_could_not_read_are_named(tmp_path: Path) -> None:
    chunk = zlib.compress(bytes(32768))
    out = b"EVF\x09\x0d\x0a\xff\x00" + struct.pack("<BHH", 1, 1, 0)
    out += section("volume", len(out), volume(1, 64))
    start = len(out) + 76
    out += section("sectors", len(out), chunk)
    out += section("table", len(out), table([start | 1 << 31]))
    out += section("error2", len(out), summed(struct.pack("<I512x", 2)) + summed(struct.pack("<4I", 3, 1, 10, 4)))
    out += section("done", len(out), b"")
    (tmp_path / "errors.E01").write_bytes(out)
    data, damage = whole(tmp_path / "errors.E01")
    assert data == bytes(32768)
    assert [(item.offset, item.size) for item in damage] == [(3 * 512, 512), (10 * 512, 4 * 512)]
    assert all("acquired" in item.message for item in damage)


def test_offsets_beyond_two_gibibytes_are_read_as_encase_6_writes_them(tmp_path: Path) -> None:
    # "Table section": from the 2 GiB on, an entry's highest bit belongs to the offset, and the chunks are not compressed.
    pieces = [random.Random(number).randbytes(32768) for number in range(3)]
    head = b"EVF\x09\x0d\x0a\xff\x00" + struct.pack("<BHH", 1, 1, 0)
    head += section("volume", len(head), volume(3, 192))
    first = (1 << 31) - 40000
    starts = [first, first + 32772, first + 2 * 32772]
    assert starts[1] < 1 << 31 < starts[2]
    end = first + 3 * 32772
    path = tmp_path / "large.E01"
    with open(path, "wb") as out:  # a sparse file
        out.write(head + section("sectors", len(head), b"", end))
        out.seek(first)
        out.write(b"".join(summed(piece) for piece in pieces))
        tail = section("table", end, table(starts))
        out.write(tail + section("done", end + len(tail), b""))
    assert whole(path) == (b"".join(pieces), ())


def test_damaged_table_is_read_from_its_copy(evidence: Path, tmp_path: Path) -> None:
    raw = bytearray((evidence / "images/ext2.E01").read_bytes())
    at = 13
    while raw[at : at + 16].rstrip(b"\0") != b"table":
        at = struct.unpack_from("<Q", raw, at + 16)[0]
    raw[at + 76 + 24 + 40] ^= 0x55
    (tmp_path / "table.E01").write_bytes(raw)
    data, damage = whole(tmp_path / "table.E01")
    assert hashlib.sha256(data).hexdigest() == manifest(evidence)["images/ext2.E01"]["expected"]["media"]["sha256"]
    assert len(damage) == 1
    assert "its copy is used" in damage[0].message


def test_named_as_ewf_without_its_signature_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "image.E01").write_bytes(b"not what it says" * 100)
    with pytest.raises(Corrupt, match=r"image\.E01"):
        open_image(tmp_path / "image.E01")


def test_a_chunk_that_inflates_without_end_is_bounded(tmp_path: Path) -> None:
    out = b"EVF\x09\x0d\x0a\xff\x00" + struct.pack("<BHH", 1, 1, 0)
    out += section("volume", len(out), volume(1, 64))
    start = len(out) + 76
    out += section("sectors", len(out), zlib.compress(bytes(30 << 20), 9))
    out += section("table", len(out), table([start | 1 << 31]))
    out += section("done", len(out), b"")
    (tmp_path / "bomb.E01").write_bytes(out)
    data, damage = whole(tmp_path / "bomb.E01")
    assert data == bytes(32768)
    assert [(item.offset, item.size) for item in damage] == [(0, 32768)]
