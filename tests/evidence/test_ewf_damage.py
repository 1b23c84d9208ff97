"""EWF images whose structure is damaged: what can still be placed is read, what cannot reads as zeros and is said."""

import os
import random
import resource
import struct
import zlib
from pathlib import Path

import pytest

from forensics.errors import Corrupt, ForensicsError, LimitExceeded
from forensics.evidence.image import measure, open_image
from forensics.model import ImageDamage

CHUNK = 32768
HEADER = b"EVF\x09\x0d\x0a\xff\x00"


def whole(path: Path) -> tuple[bytes, tuple[ImageDamage, ...]]:
    image = open_image(path)
    try:
        return b"".join(image.read(offset, 1 << 20) for offset in range(0, image.size, 1 << 20)), image.damage
    finally:
        image.close()


def with_sum(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.adler32(data))


def made(chunks: list[bytes], number: int = 1, total: int = 0, closing: str = "done", per_table: int = 4, identifier: bytes = b"") -> bytes:
    """A segment file after the specification: compressed chunks in `sectors`, `table` and `table2` of `per_table` entries each."""
    out = bytearray(HEADER + struct.pack("<BHH", 1, number, 0))

    def section(kind: str, data: bytes) -> None:
        following = len(out) if kind in ("next", "done") else len(out) + 76 + len(data)
        out.extend(with_sum(struct.pack("<16sQQ40x", kind.encode(), following, 76 + len(data))) + data)

    count = total or len(chunks)
    geometry = struct.pack("<B3xIIIQ", 1, count, 64, 512, count * 64).ljust(64, b"\0") + identifier
    section("volume" if number == 1 else "data", with_sum(geometry.ljust(1048, b"\0")))
    for first in range(0, len(chunks), per_table):
        packed = [zlib.compress(chunk) for chunk in chunks[first : first + per_table]]
        base = len(out)
        offsets = [76 + sum(map(len, packed[:index])) for index in range(len(packed))]
        section("sectors", b"".join(packed))
        table = with_sum(struct.pack("<I4xQ4x", len(packed), base))
        table += with_sum(struct.pack(f"<{len(packed)}I", *(offset | 1 << 31 for offset in offsets)))
        section("table", table)
        section("table2", table)
    section(closing, b"")
    return bytes(out)


def noise(count: int) -> list[bytes]:
    return [random.Random(number).randbytes(1024) * 32 for number in range(count)]


def positions(raw: bytes, kind: bytes) -> list[int]:
    """Where the descriptors of the sections `kind` stand."""
    found, at = [], 13
    while True:
        if raw[at : at + 16].rstrip(b"\0") == kind:
            found.append(at)
        following = struct.unpack_from("<Q", raw, at + 16)[0]
        if following <= at:
            return found
        at = following


def spoilt(raw: bytes, *at: int) -> bytes:
    out = bytearray(raw)
    for place in at:
        out[place] ^= 0x55
    return bytes(out)


@pytest.mark.parametrize("kind", [b"sectors", b"table", b"table2", b"done"])
def test_a_lost_descriptor_loses_no_chunk(tmp_path: Path, kind: bytes) -> None:
    chunks = noise(12)
    raw = made(chunks)
    path = tmp_path / "image.E01"
    path.write_bytes(spoilt(raw, positions(raw, kind)[-1] + 20))
    data, damage = whole(path)
    assert data == b"".join(chunks)
    assert any("no valid section descriptor" in item.message for item in damage)


def test_chunks_of_a_table_lost_with_its_copy_are_known_by_those_around(tmp_path: Path) -> None:
    chunks = noise(12)
    raw = made(chunks)
    table, copy = positions(raw, b"table")[1], positions(raw, b"table2")[1]
    path = tmp_path / "image.E01"
    path.write_bytes(spoilt(raw, table + 30, copy + 30))
    data, damage = whole(path)
    assert data == b"".join(chunks[:4]) + bytes(4 * CHUNK) + b"".join(chunks[8:])
    assert [(item.offset, item.size) for item in damage if item.size] == [(4 * CHUNK, 4 * CHUNK)]


def test_headers_of_a_table_and_its_copy_lost_lose_its_chunks_alone(tmp_path: Path) -> None:
    chunks = noise(12)
    raw = made(chunks)
    path = tmp_path / "image.E01"
    path.write_bytes(spoilt(raw, positions(raw, b"table")[0] + 76, positions(raw, b"table2")[0] + 76, positions(raw, b"table")[2] + 76))
    data, damage = whole(path)
    assert data == bytes(4 * CHUNK) + b"".join(chunks[4:])
    assert [(item.offset, item.size) for item in damage if item.size] == [(0, 4 * CHUNK)]
    assert any("its copy is used" in item.message for item in damage)


def test_entries_in_which_both_damaged_tables_agree_are_used(tmp_path: Path) -> None:
    chunks = noise(8)
    raw = made(chunks, per_table=8)
    entries = 76 + 24
    path = tmp_path / "image.E01"
    # entry 2 of the one, entry 6 of the other: chunks 1, 2, 5 and 6 have a doubtful beginning or end
    path.write_bytes(spoilt(raw, positions(raw, b"table")[0] + entries + 8, positions(raw, b"table2")[0] + entries + 24))
    data, damage = whole(path)
    lost = {1, 2, 5, 6}
    assert data == b"".join(bytes(CHUNK) if number in lost else chunk for number, chunk in enumerate(chunks))
    assert [item.offset // CHUNK for item in damage if item.size] == sorted(lost)
    assert all(item.size in (0, CHUNK) for item in damage)


def test_two_gaps_leave_what_lies_between_them_unplaced(tmp_path: Path) -> None:
    chunks = noise(20)
    for number in (1, 3, 5):
        part = made(chunks[4 * number - 4 : 4 * number], number, 20, "done" if number == 5 else "next")
        (tmp_path / f"image.E{number:02}").write_bytes(part)
    data, damage = whole(tmp_path / "image.E01")
    assert data == b"".join(chunks[:4]) + bytes(12 * CHUNK) + b"".join(chunks[16:])
    ranges = [item for item in damage if item.size]
    assert [(item.offset, item.size) for item in ranges] == [(4 * CHUNK, 12 * CHUNK)]
    assert "cannot be placed" in ranges[0].message


def test_segment_of_another_set_is_named(tmp_path: Path) -> None:
    chunks = noise(8)
    (tmp_path / "image.E01").write_bytes(made(chunks[:4], 1, 8, "next", identifier=b"A" * 16))
    (tmp_path / "image.E02").write_bytes(made(chunks[4:], 2, 8, identifier=b"B" * 16))
    assert any("another set" in item.message for item in whole(tmp_path / "image.E01")[1])


def test_segment_whose_name_and_header_disagree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.E01").write_bytes(made(noise(4), 1, 8, "next"))
    (tmp_path / "image.E02").write_bytes(made(noise(4), 3, 8))
    with pytest.raises(Corrupt, match=r"image\.E02: is segment 2 by its name and segment 3"):
        open_image(tmp_path / "image.E01")


def test_segment_without_signature_is_named_and_its_chunks_are_zeros(tmp_path: Path) -> None:
    chunks = noise(12)
    for number in (1, 2, 3):
        part = made(chunks[4 * number - 4 : 4 * number], number, 12, "done" if number == 3 else "next")
        (tmp_path / f"image.E{number:02}").write_bytes(bytes(len(part)) if number == 2 else part)
    data, damage = whole(tmp_path / "image.E01")
    assert data == b"".join(chunks[:4]) + bytes(4 * CHUNK) + b"".join(chunks[8:])
    assert any(item.message.startswith("image.E02: does not begin") for item in damage)


def test_more_segments_than_a_process_may_open_are_read(tmp_path: Path) -> None:
    names = [f"E{number:02}" for number in range(1, 100)] + [
        f"E{first}{second}" for first in "AB" for second in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    ]
    chunks = noise(len(names))
    for number, (name, chunk) in enumerate(zip(names, chunks, strict=True), 1):
        part = made([chunk], number, len(names), "done" if number == len(names) else "next")
        (tmp_path / f"image.{name}").write_bytes(part)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 120), hard))
    try:
        image = open_image(tmp_path / "image.EBA")
        digest = measure(image, legacy=False)
        assert image.read(0, image.size) == b"".join(chunks)
        image.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [segment.name for segment in digest.segments] == [f"image.{name}" for name in names]
    assert digest.damage == ()


def test_an_image_goes_on_after_a_fork(tmp_path: Path) -> None:
    chunks = noise(8)
    path = tmp_path / "image.E01"
    path.write_bytes(made(chunks))
    image = open_image(path)
    assert image.read(0, CHUNK) == chunks[0]
    child = os.fork()
    if child == 0:
        right = image.read(CHUNK, 7 * CHUNK) == b"".join(chunks[1:])
        image.close()
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert image.read(CHUNK, 7 * CHUNK) == b"".join(chunks[1:])
    image.close()


def test_offsets_that_run_over_as_encase_6_7_writes_them_may_lead_to_compressed_chunks(tmp_path: Path) -> None:
    # specification, "Table entries offset overflow": beyond 2 GiB the highest bit is part of the offset
    chunks = noise(4)
    packed = [zlib.compress(chunk) for chunk in chunks]
    head = bytearray(HEADER + struct.pack("<BHH", 1, 1, 0))

    def descriptor(kind: str, at: int, following: int) -> bytes:
        return with_sum(struct.pack("<16sQQ40x", kind.encode(), following, max(76, following - at)))

    volume = with_sum(struct.pack("<B3xIIIQ", 1, 4, 64, 512, 256).ljust(1048, b"\0"))
    head += descriptor("volume", 13, 13 + 76 + len(volume)) + volume
    starts = [(1 << 31) - len(packed[0])]
    for piece in packed[:-1]:
        starts.append(starts[-1] + len(piece))
    end = starts[-1] + len(packed[-1])
    entries = [starts[0] | 1 << 31, *starts[1:]]
    table = with_sum(struct.pack("<I4xQ4x", 4, 0)) + with_sum(struct.pack("<4I", *entries))
    path = tmp_path / "image.E01"
    with open(path, "wb") as out:
        out.write(head + descriptor("sectors", len(head), end))
        out.seek(starts[0])
        out.write(b"".join(packed) + descriptor("table", end, end + 76 + len(table)) + table)
        out.write(descriptor("done", end + 76 + len(table), end + 76 + len(table)))
    assert whole(path) == (b"".join(chunks), ())


@pytest.mark.parametrize(
    ("per_chunk", "sector", "sectors"), [(0, 512, 64), (64, 0, 64), (1 << 31, 512, 64), (64, 512, 1 << 60), (64, 512, 0)]
)
def test_absurd_geometry_is_refused(tmp_path: Path, per_chunk: int, sector: int, sectors: int) -> None:
    raw = bytearray(made(noise(4)))
    at = positions(raw, b"volume")[0] + 76
    struct.pack_into("<IIQ", raw, at + 8, per_chunk, sector, sectors)
    struct.pack_into("<I", raw, at + 1048, zlib.adler32(raw[at : at + 1048]))
    (tmp_path / "image.E01").write_bytes(raw)
    with pytest.raises((Corrupt, LimitExceeded), match=r"image\.E01"):
        open_image(tmp_path / "image.E01")


@pytest.mark.parametrize("seed", range(6))
def test_wrecked_structure_never_raises_anything_but_ours(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    chunks = noise(8)
    sound = b"".join(chunks)
    path = tmp_path / "image.E01"
    reported = 0
    for _ in range(60):
        raw = bytearray(made(chunks))
        for _ in range(source.randrange(1, 4)):
            at, size = source.randrange(len(raw)), source.choice((1, 8, 64, 512))
            wreck = source.choice(("zeros", "noise", "cut", "drop"))
            if wreck == "cut":
                del raw[max(at, 20) :]
            elif wreck == "drop":
                del raw[at : at + size]
            else:
                part = len(raw[at : at + size])
                raw[at : at + size] = bytes(part) if wreck == "zeros" else source.randbytes(part)
            raw = raw or bytearray(b"x")
        path.write_bytes(raw)
        try:
            data, damage = whole(path)
        except ForensicsError:
            reported += 1
            continue
        assert data == sound or damage
        reported += bool(damage)
    assert reported > 30
