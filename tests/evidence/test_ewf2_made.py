"""Ex01 images made after the version 2 specification, with what no tool at hand writes: bzip2, several segments, sector errors."""

import bz2
import hashlib
import random
import struct
import zlib
from pathlib import Path

import pytest

from forensics.errors import Corrupt, Locked
from forensics.evidence.image import measure, open_image

CHUNK = 32768
COMPRESSED, CHECKSUMED, PATTERNFILL = 1, 2, 4
DEVICE, CASE, DATA, TABLE, ERRORS, MD5, SHA1, KEYS, NEXT, DONE = 1, 2, 3, 4, 5, 8, 9, 11, 13, 15
Stored = tuple[bytes, int]  # stored bytes (or the pattern) and flags of a chunk


def with_sum(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.adler32(data))


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


class Ex01:
    """A segment file under construction."""

    def __init__(self, method: int = 1, number: int = 1) -> None:
        self.method = method
        self.raw = bytearray(b"EVF2\x0d\x0a\x81\x00" + struct.pack("<BBHI", 2, 1, method, number) + b"set identifier. ")
        self.previous = 0

    def section(self, kind: int, data: bytes = b"", flags: int = 1) -> "Ex01":
        self.raw += padded(data)
        at = len(self.raw)
        head = struct.pack("<IIQQII", kind, flags, self.previous, len(padded(data)), 64, len(padded(data)) - len(data))
        self.raw += with_sum(head + hashlib.md5(padded(data)).digest() + bytes(12))
        self.previous = at
        return self

    def text(self, kind: int, values: dict[str, str]) -> "Ex01":
        lines = ["1", "main", "\t".join(values), "\t".join(values.values()), "", ""]
        raw = "\ufeff".encode("utf-16-le") + "\n".join(lines).encode("utf-16-le")
        return self.section(kind, bz2.compress(raw) if self.method == 2 else zlib.compress(raw))

    def geometry(self, sectors: int, chunks: int) -> "Ex01":
        self.text(DEVICE, {"sn": "S-1", "md": "Disk", "ts": str(sectors), "bp": "512", "dt": "r"})
        return self.text(CASE, {"cn": "case 9", "en": "9-1", "tt": "1626967998", "tb": str(chunks), "sb": "64", "wb": "2", "nt": "a\x01b"})

    def chunks(self, first: int, stored: list[Stored]) -> "Ex01":
        entries, data, base = b"", b"", len(self.raw)
        for piece, flags in stored:
            if flags & PATTERNFILL:
                entries += piece + struct.pack("<II", 0, flags)
                continue
            entries += struct.pack("<QII", base + len(data), len(piece), flags)
            data += padded(piece)
        self.section(DATA, data)
        head = with_sum(struct.pack("<QI4x", first, len(stored))) + bytes(12)
        return self.section(TABLE, head + with_sum(entries))

    def close(self, path: Path, kind: int = DONE) -> None:
        path.write_bytes(self.section(kind).raw)


def contents(count: int) -> list[bytes]:
    return [random.Random(number).randbytes(512) * 64 for number in range(count)]


def deflated(chunk: bytes) -> Stored:
    return zlib.compress(chunk), COMPRESSED


def read(path: Path) -> tuple[bytes, tuple]:
    image = open_image(path)
    data = b"".join(image.read(offset, 1 << 20) for offset in range(0, image.size, 1 << 20))
    image.close()
    return data, image.damage


def test_bzip2_chunks_are_read_whole_and_as_encase_strips_them(tmp_path: Path) -> None:
    chunks = contents(3)
    whole = [bz2.compress(chunk) for chunk in chunks]
    # specification, "Bzip2 compression": EnCase leaves out the four bytes before the first block
    stored = [(whole[0], COMPRESSED), (whole[1][4:], COMPRESSED), (whole[2], COMPRESSED)]
    Ex01(method=2).geometry(192, 3).chunks(0, stored).close(tmp_path / "image.Ex01")
    assert read(tmp_path / "image.Ex01") == (b"".join(chunks), ())


def test_damaged_bzip2_chunk_reads_as_zeros(tmp_path: Path) -> None:
    chunks = contents(2)
    spoilt = bytearray(bz2.compress(chunks[0]))
    spoilt[len(spoilt) // 2] ^= 0x10
    stored = [(bytes(spoilt), COMPRESSED), (bz2.compress(chunks[1]), COMPRESSED)]
    Ex01(method=2).geometry(128, 2).chunks(0, stored).close(tmp_path / "image.Ex01")
    data, damage = read(tmp_path / "image.Ex01")
    assert data == bytes(CHUNK) + chunks[1]
    assert [(item.offset, item.size) for item in damage] == [(0, CHUNK)]


def test_every_way_to_store_a_chunk_agrees_with_libewf(tmp_path: Path) -> None:
    pyewf = pytest.importorskip("pyewf")
    chunks = [*contents(2), b"ABCDEFGH" * 4096, bytes(CHUNK)]
    stored = [
        deflated(chunks[0]),
        (with_sum(chunks[1]), CHECKSUMED),
        (b"ABCDEFGH", COMPRESSED | PATTERNFILL),
        (bytes(8), COMPRESSED | PATTERNFILL),
    ]
    path = tmp_path / "image.Ex01"
    made = Ex01().geometry(256, 4).chunks(0, stored)
    made.section(MD5, with_sum(hashlib.md5(b"".join(chunks)).digest())).close(path)
    handle = pyewf.handle()
    handle.open([str(path)])
    assert handle.read(handle.get_media_size()) == b"".join(chunks)
    handle.close()
    image = open_image(path)
    digest = measure(image)
    image.close()
    assert digest.sha256 == hashlib.sha256(b"".join(chunks)).hexdigest()
    assert digest.stored_match == {"md5": True}
    assert digest.damage == ()
    assert digest.metadata == {
        "case_number": "case 9",
        "evidence_number": "9-1",
        "notes": "a\nb",
        "acquired_at": "2021-07-22T15:33:18Z",
        "model": "Disk",
        "serial": "S-1",
        "write_blocker": "Tableau",
        "media_type": "removable",
    }


@pytest.mark.parametrize("missing", [None, 1, 2, 3])
def test_segments_are_placed_by_the_numbers_in_their_tables(tmp_path: Path, missing: int | None) -> None:
    chunks = contents(6)
    expected = b"".join(chunks)
    for number in (1, 2, 3):
        first = 2 * number - 2
        made = Ex01(number=number).geometry(384, 6).chunks(first, [deflated(chunk) for chunk in chunks[first : first + 2]])
        if number != missing:
            made.close(tmp_path / f"image.Ex{number:02}", DONE if number == 3 else NEXT)
        else:
            expected = expected[: first * CHUNK] + bytes(2 * CHUNK) + expected[(first + 2) * CHUNK :]
    data, damage = read(tmp_path / ("image.Ex02" if missing != 2 else "image.Ex03"))
    assert data == expected
    ranges = [(item.offset, item.size) for item in damage if item.size]
    assert ranges == ([] if missing is None else [((2 * missing - 2) * CHUNK, 2 * CHUNK)])
    assert bool(damage) == (missing is not None)


def test_sectors_that_acquisition_could_not_read_are_named(tmp_path: Path) -> None:
    entries = struct.pack("<QI4x", 5, 2) + struct.pack("<QI4x", 60, 100)
    table = with_sum(struct.pack("<I12x", 2)) + bytes(12) + with_sum(entries)
    Ex01().geometry(64, 1).chunks(0, [deflated(bytes(CHUNK))]).section(ERRORS, table).close(tmp_path / "image.Ex01")
    damage = read(tmp_path / "image.Ex01")[1]
    assert [(item.offset, item.size) for item in damage] == [(5 * 512, 1024), (60 * 512, 4 * 512)]


def test_image_with_encryption_keys_is_locked(tmp_path: Path) -> None:
    Ex01().geometry(64, 1).chunks(0, [deflated(bytes(CHUNK))]).section(KEYS, bytes(32)).close(tmp_path / "image.Ex01")
    with pytest.raises(Locked, match=r"image\.Ex01"):
        open_image(tmp_path / "image.Ex01")


def test_image_without_geometry_is_corrupt(tmp_path: Path) -> None:
    Ex01().chunks(0, [deflated(bytes(CHUNK))]).close(tmp_path / "image.Ex01")
    with pytest.raises(Corrupt, match="size of the medium"):
        open_image(tmp_path / "image.Ex01")


def test_a_table_that_claims_the_chunks_of_another_is_left_out(tmp_path: Path) -> None:
    chunks = contents(2)
    made = Ex01().geometry(128, 2).chunks(0, [deflated(chunk) for chunk in chunks])
    made.chunks(1, [deflated(bytes(CHUNK))]).close(tmp_path / "image.Ex01")
    data, damage = read(tmp_path / "image.Ex01")
    assert data == b"".join(chunks)
    assert ["left out" in item.message for item in damage] == [True]


def test_chain_that_is_broken_is_searched_for_its_sections(tmp_path: Path) -> None:
    chunks = contents(2)
    made = Ex01().geometry(128, 2).chunks(0, [deflated(chunk) for chunk in chunks])
    path = tmp_path / "image.Ex01"
    made.close(path)
    path.write_bytes(path.read_bytes()[:-64])  # the 'done' section is cut off
    data, damage = read(path)
    assert data == b"".join(chunks)
    assert any("cut short" in item.message for item in damage)
    path.write_bytes(path.read_bytes()[:-20])  # and the table's descriptor with it
    data, damage = read(path)
    assert data == bytes(2 * CHUNK)
    assert [(item.offset, item.size) for item in damage if item.size] == [(0, 2 * CHUNK)]
