"""AFF4 images give the medium that other readers of the format find in them, and name what is damaged."""

import hashlib
import io
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from forensics.errors import Corrupt, EvidenceError, Unsupported
from forensics.evidence.image import measure, open_image

# pyaff4's test suite: SHA-1 of the disk in the standard's sample image
BASE_LINEAR = "7d3d27f667f95f7ec5b9d32121622c0f4b60b48d"
MAP, STREAM, IMAGE = "aff4://map", "aff4://stream", "aff4://image"


def test_the_sample_image_has_the_disk_that_its_authors_say(evidence: Path) -> None:
    image = open_image(evidence / "images/Base-Linear.aff4")
    assert (image.format, image.size) == ("AFF4", 268435456)
    assert image.metadata["case_number"] == "Case ID: 1SR Canonical"
    assert image.metadata["evidence_number"] == "Drive 1"
    assert image.metadata["examiner"] == "Administrator"
    digest = measure(image)
    assert digest.sha1 == BASE_LINEAR
    assert digest.damage == ()
    # the digests of the stream that the manifest holds
    assert "fbac22cca549310bc5df03b7560afcf490995fbb" in digest.stored.values()
    assert "d5825dc1152a42958c8219ff11ed01a3" in digest.stored.values()
    assert len(digest.stored_match) == 5
    assert all(digest.stored_match.values())


def made(
    path: Path, medium: bytes, method: str, pack: object, *, more: str = "", size: int | None = None, ranges: bytes | None = None
) -> None:
    """An AFF4 image of `medium` in chunks of 1 KiB, 4 in a bevy (AFF4 Standard 1.0, 4.3 and 4.4)."""
    chunks = [medium[at : at + 1024] for at in range(0, len(medium), 1024)]
    with zipfile.ZipFile(path, "w") as volume:
        volume.writestr("container.description", "aff4://volume")
        volume.writestr("version.txt", "major=1\nminor=0\ntool=tests\n")
        for number in range(0, len(chunks), 4):
            bevy, index = b"", b""
            for chunk in chunks[number : number + 4]:
                packed = pack(chunk)  # type: ignore[operator]
                packed = packed if len(packed) < 1024 else chunk.ljust(1024, b"\0")
                index += struct.pack("<QI", len(bevy), len(packed))
                bevy += packed
            volume.writestr(f"aff4%3A%2F%2Fstream/{number // 4:08d}", bevy)
            volume.writestr(f"aff4%3A%2F%2Fstream/{number // 4:08d}.index", index)
        volume.writestr("aff4%3A%2F%2Fmap/map", struct.pack("<QQQI", 0, len(medium), 0, 0) if ranges is None else ranges)
        volume.writestr("aff4%3A%2F%2Fmap/idx", f"{STREAM}\nhttp://aff4.org/Schema#UnreadableData\nhttp://aff4.org/Schema#SymbolicStream61")
        volume.writestr(
            "information.turtle",
            f"""@prefix aff4: <http://aff4.org/Schema#> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
            <{IMAGE}> a aff4:DiskImage, aff4:Image ; aff4:dataStream <{MAP}> ; aff4:size {len(medium) if size is None else size} {more} .
            <{MAP}> a aff4:Map ; aff4:size "{len(medium) if size is None else size}"^^xsd:long ; aff4:mapGapDefaultStream aff4:Zero .
            <{STREAM}> a aff4:ImageStream ; aff4:chunkSize 1024 ; aff4:chunksInSegment 4 ; aff4:size {len(medium)} ;
              aff4:compressionMethod <{method}> .""",
        )
        volume.comment = b"aff4://volume"


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def literal_lz4(data: bytes) -> bytes:
    """An LZ4 block of a few literals and one long match (LZ4 block format): for chunks of one repeated byte."""
    rest = len(data) - 1 - 4 - 15 - 5
    return b"\x1f" + data[:1] + b"\x01\x00" + b"\xff" * (rest // 255) + bytes([rest % 255]) + b"\x50" + data[-5:]


@pytest.mark.parametrize(
    ("method", "pack"),
    [
        ("https://www.ietf.org/rfc/rfc1950.txt", zlib.compress),
        ("https://tools.ietf.org/html/rfc1951", raw_deflate),
        ("https://github.com/lz4/lz4", literal_lz4),
        ("http://aff4.org/Schema#NullCompressor", bytes),
    ],
)
def test_each_compression_gives_the_medium_back(tmp_path: Path, method: str, pack: object) -> None:
    medium = b"".join(bytes([number % 251]) * 1024 for number in range(11))
    digest = hashlib.md5(medium).hexdigest()
    made(tmp_path / "a.aff4", medium, method, pack, more=f'; aff4:hash "{digest}"^^aff4:MD5')
    image = open_image(tmp_path / "a.aff4")
    assert image.read(0, 20_000) == medium
    assert image.read(1000, 3000) == medium[1000:4000]
    assert image.stored == {"md5": digest}
    assert measure(image).stored_match == {"md5": True}
    assert image.damage == ()


def test_what_was_not_read_at_acquisition_is_its_pattern_and_damage_and_gaps_are_zeros(tmp_path: Path) -> None:
    medium = bytes(range(256)) * 16
    ranges = struct.pack("<QQQI", 0, 1024, 2048, 0) + struct.pack("<QQQI", 1024, 28, 0, 1) + struct.pack("<QQQI", 4096, 10, 0, 2)
    made(tmp_path / "a.aff4", medium, "https://www.ietf.org/rfc/rfc1950.txt", zlib.compress, ranges=ranges, size=5000)
    image = open_image(tmp_path / "a.aff4")
    assert image.read(0, 5000) == (medium[2048:3072] + b"UNREADABLEDATA" * 2).ljust(4096, b"\0") + b"a" * 10 + bytes(894)
    assert [(item.offset, item.size) for item in image.damage] == [(1024, 28)]


def test_a_damaged_chunk_is_zeros_and_named(tmp_path: Path) -> None:
    medium = b"".join(hashlib.sha256(bytes([number])).digest() * 32 for number in range(8))
    made(tmp_path / "a.aff4", medium, "https://www.ietf.org/rfc/rfc1950.txt", zlib.compress)
    raw = bytearray((tmp_path / "a.aff4").read_bytes())
    at = raw.index(zlib.compress(medium[2048:3072]))
    raw[at + 10] ^= 0xFF
    (tmp_path / "a.aff4").write_bytes(raw)
    image = open_image(tmp_path / "a.aff4")
    assert image.read(0, 8192) == medium[:2048] + bytes(1024) + medium[3072:]
    assert image.damaged_reads == 1
    assert ["chunk 2 of aff4://stream" in item.message for item in image.damage] == [True]


def test_streams_are_found_in_the_volumes_beside_it_and_missed_by_name(tmp_path: Path) -> None:
    medium = b"striped " * 512
    made(tmp_path / "whole.aff4", medium, "https://www.ietf.org/rfc/rfc1950.txt", zlib.compress)
    first, second = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(tmp_path / "whole.aff4") as whole, zipfile.ZipFile(first, "w") as one, zipfile.ZipFile(second, "w") as two:
        for name in whole.namelist():
            if "stream" not in name:
                one.writestr(name, whole.read(name))
            if "map" not in name:
                two.writestr(name, whole.read(name))
    (tmp_path / "whole.aff4").unlink()
    (tmp_path / "set_1.aff4").write_bytes(first.getvalue())
    with pytest.raises(EvidenceError, match="aff4://stream is missing"):
        open_image(tmp_path / "set_1.aff4")
    (tmp_path / "set_2.aff4").write_bytes(second.getvalue())
    image = open_image(tmp_path / "set_1.aff4")
    assert image.read(0, 5000) == medium
    assert [path.name for path in image.files] == ["set_1.aff4", "set_2.aff4"]


def test_a_damaged_or_foreign_volume_is_an_error_of_ours(tmp_path: Path, evidence: Path) -> None:
    raw = (evidence / "images/Base-Linear.aff4").read_bytes()
    (tmp_path / "cut.aff4").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(Corrupt, match=r"cut\.aff4"):
        open_image(tmp_path / "cut.aff4")
    for text in ("<a> <b> ", "@prefix : <x", "\x00", "<aff4://map> a <http://aff4.org/Schema#Map> ."):
        path = tmp_path / "bad.aff4"
        with zipfile.ZipFile(path, "w") as volume:
            volume.writestr("container.description", "aff4://volume")
            volume.writestr("version.txt", "major=1\n")
            volume.writestr("information.turtle", text)
        with pytest.raises((Corrupt, Unsupported), match=r"bad\.aff4"):
            open_image(path)
