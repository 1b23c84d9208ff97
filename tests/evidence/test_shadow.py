"""Shadow copies against libvshadow: which blocks are the volume's own, which files are read once for all copies, and what damage does."""

import struct
from functools import partial
from pathlib import Path

import pytest
import zstandard

from forensics import case as cases
from forensics import index, segment
from forensics.engine import plan, run, twins
from forensics.engine.options import Options
from forensics.engine.outcome import Outcome
from forensics.engine.twins import live_location
from forensics.errors import Corrupt
from forensics.evidence import shadow, shadow_blocks
from forensics.evidence.image import Image, open_image
from forensics.evidence.layers import open_exhibit
from forensics.evidence.shadow_blocks import BLOCK, Differing, differing
from forensics.evidence.shadow_files import SAME, attribute
from forensics.evidence.tsk import TskFileSystem
from forensics.location import Location
from forensics.model import CaseInfo, Digests, Entry, Examined, Exhibit, Fault, PluginInfo, PluginOutcome, Scope

CATALOG = 0x1E00 + 48  # where the volume header says at which byte the catalogue begins


@pytest.fixture
def volume(evidence: Path) -> Image:
    return open_image(evidence / "images/vss.E01")


class Altered:
    """A volume with some bytes changed."""

    def __init__(self, volume: Image, changes: dict[int, bytes]) -> None:
        self._volume, self._changes, self.size = volume, changes, volume.size

    def read(self, offset: int, size: int) -> bytes:
        data = bytearray(self._volume.read(offset, size))
        for at, change in self._changes.items():
            if offset <= at < offset + len(data):
                data[at - offset : at - offset + len(change)] = change
        return bytes(data)


def test_where_a_copy_is_called_the_same_libvshadow_shows_the_volumes_own_bytes(volume: Image) -> None:
    for store in shadow.stores(volume, "vss"):
        assert store.bytes is not None
        marks = differing(volume, store.identifier)
        same = [number for number in range(marks.blocks) if marks.same(number * BLOCK, BLOCK)]
        assert len(same) > 600
        for number in same:
            assert store.bytes.read(number * BLOCK, BLOCK) == volume.read(number * BLOCK, BLOCK), number


def test_the_catalogue_names_the_stores_that_libvshadow_names(volume: Image) -> None:
    assert [each.identifier for each in shadow_blocks.catalogue(volume)] == [each.identifier for each in shadow.stores(volume, "vss")]


def test_an_older_copy_differs_where_a_newer_one_does(volume: Image) -> None:
    older, newer = (differing(volume, store.identifier) for store in shadow.stores(volume, "vss"))
    assert not any(older.same(at, BLOCK) and not newer.same(at, BLOCK) for at in range(0, 4000 * BLOCK, BLOCK))


def test_a_range_is_the_same_where_all_of_its_blocks_are() -> None:
    marks = Differing(100 * BLOCK)
    marks.mark(10 * BLOCK + 5)
    marks.mark(40 * BLOCK + 1, 30 * BLOCK)
    marks.mark(99 * BLOCK, 5 * BLOCK)
    marks.mark_bits(80, b"\x01")
    differ = {10, *range(40, 71), 80, 99}
    assert {number for number in range(100) if not marks.same(number * BLOCK + 7, 1)} == differ
    assert marks.same(11 * BLOCK, 29 * BLOCK)
    assert not marks.same(11 * BLOCK, 29 * BLOCK + 1)
    assert not marks.same(11 * BLOCK - 1, 2)
    assert not any(marks.same(*place) for place in ((-1, 2), (5, 0), (100 * BLOCK, 1), (98 * BLOCK, 3 * BLOCK)))


@pytest.mark.parametrize("what", ["catalogue", "descriptors", "ring", "bitmap", "entry", "lists"])
def test_with_damaged_lists_nothing_is_called_the_same(what: str, volume: Image) -> None:
    first, second = shadow_blocks.catalogue(volume)
    start = struct.unpack("<Q", volume.read(CATALOG, 8))[0]
    entries = next(at for at in range(start + 128, start + BLOCK, 128) if volume.read(at, 1) == b"\x03")
    changes = {
        "catalogue": {start: b"\0"},
        "descriptors": {second.descriptors + 20: b"\x09"},
        "ring": {first.descriptors + 40: struct.pack("<Q", first.descriptors)},
        "bitmap": {second.bitmap + 32: b"\x01"},
        "entry": {start + 128: b"\x07"},
        "lists": {entries: b"\x01"},  # the store's lists are not on this volume
    }[what]
    with pytest.raises(Corrupt):
        differing(Altered(volume, changes), first.identifier)
    assert shadow.same_bytes(volume, first.identifier)(300 * BLOCK, 1)
    assert not shadow.same_bytes(Altered(volume, changes), first.identifier)(300 * BLOCK, 1)
    with pytest.raises(Corrupt):
        differing(volume, "de81cc22-0000-11eb-9339-8cdcd4557abc")


def copies(evidence: Path) -> list[TskFileSystem]:
    found = open_exhibit("1", evidence / "images/vss.E01").file_systems
    return [each for each in found if isinstance(each, TskFileSystem)]


def test_a_file_in_the_same_blocks_has_the_content_that_the_live_volume_has_there(evidence: Path) -> None:
    live, *stores = copies(evidence)
    assert not any(entry.same_blocks for entry in live.walk() if isinstance(entry, Entry))
    for store in stores:
        entries = [entry for entry in store.walk() if isinstance(entry, Entry)]
        alike = [entry for entry in entries if entry.same_blocks]
        assert {Location.parse(entry.location).path for entry in alike} >= {"/$Boot", "/$MFTMirr"}
        assert all(entry.note == SAME and entry.size and entry.start >= 0 for entry in alike)
        for entry in alike:
            there = live.open(Location.parse(live_location(entry.location)))
            assert store.open(Location.parse(entry.location)).read(0, entry.size) == there.read(0, entry.size)
        # what stands in its file record, and what has other bytes, is read again
        assert not any(
            entry.same_blocks for entry in entries if Location.parse(entry.location).path in ("/passwords.txt", "/$MFT", "/$Bitmap")
        )


def record(*attributes: bytes, base: int = 0, flags: int = 1) -> bytes:
    """A file record of NTFS of 1024 bytes, with its update sequence."""
    head = struct.pack("<4sHHQHHHHIIQ", b"FILE", 48, 3, 0, 1, 1, 56, flags, 0, 1024, base)
    body = bytearray((head.ljust(56, b"\0") + b"".join(attributes) + b"\xff\xff\xff\xff").ljust(1024, b"\0"))
    body[48:54] = b"\x07\x00" + body[510:512] + body[1022:1024]
    body[510:512] = body[1022:1024] = b"\x07\x00"
    return bytes(body)


def data(
    id_: int, *, type_: int = 128, first: int = 0, last: int = 9, initialised: int = 10000, resident: bool = False, flags: int = 0
) -> bytes:
    """An attribute of ten clusters of 4096 bytes, in one run."""
    head = struct.pack("<IIBBHHH", type_, 72, not resident, 0, 64, flags, id_)
    return head + struct.pack("<QQHHIQQQ", first, last, 64, 0, 0, 10 * 4096, 40000, initialised) + b"\x21\x0a\x00\x20\0\0\0\0"


def test_only_an_attribute_that_one_file_record_describes_whole_is_compared() -> None:
    whole = record(data(3), data(4))
    assert attribute(whole, 128, 3, 4096) == data(3)
    assert attribute(record(data(3, initialised=7)), 128, 3, 4096) != data(3)  # zeros follow the initialised bytes
    assert attribute(record(data(3, flags=1)), 128, 3, 4096) != data(3)  # compressed
    refused = [
        record(data(3, first=5)),
        record(data(3, last=19)),
        record(data(3, resident=True)),
        record(data(3), data(3)),
        record(data(3), data(0, type_=0x20)),  # spread over several records
        record(data(3), base=27),
        record(data(3), flags=0),
        record(data(4)),
        whole[:510] + b"\x08\x00" + whole[512:],
        whole[:56] + bytes(4) + b"\xff\xff\xff\xff" + whole[64:],
        b"BAAD" + whole[4:],
        whole[:512],
        b"",
    ]
    assert [attribute(each, 128, 3, 4096) for each in refused] == [None] * len(refused)


LIVE, STORE = "1:ntfs:", "1:ntfs:vss@1:ntfs:"


def plugin(name: str, kind: str, *needs: str) -> PluginInfo:
    return PluginInfo(name=name, kind=kind, version="1", description="", digest="", source="", selection="", needs=needs)


def test_only_what_follows_from_content_and_name_is_taken_over(tmp_path: Path) -> None:
    plugins = (
        plugin("text", "extractor", "content", "name"),
        plugin("rules", "extractor", "content", "location"),
        plugin("zip", "container", "content"),
    )
    read, skipped = partial(PluginOutcome, outcome="read"), partial(PluginOutcome, outcome="skipped", reason="not its format")
    digests = Digests("ab" * 32)
    said: dict[str, tuple[PluginOutcome, ...]] = {
        "/taken": (read("text", context="c", findings=2), skipped("zip")),
        "/never-offered": (),
        "/where-it-lies": (read("rules"),),
        "/opened": (read("zip"),),
        "/damaged": (read("text"),),
        "/of-another-size": (read("text"),),
        "/failed": (PluginOutcome("text", "failed", "corrupt"),),
        "/twice": (read("text"),),
    }
    live = [Entry(location=f"{LIVE}{path};meta=9-128-1", kind="file", size=50000, start=4096) for path in (*said, "/twice")]
    for folder in ("plans", "segments"):
        (tmp_path / folder).mkdir()
    lines: list[Examined | Fault] = []
    for entry in live:
        path = Location.parse(entry.location).path
        if path == "/damaged":
            lines.append(Fault(location=entry.location, kind="corrupt", message="cut", plugin="text"))
        if path == "/opened":
            lines.append(Examined(entry=Entry(location=f"{LIVE[:-1]}:zip@x:/inner", kind="file", size=1), outcome="read", digests=digests))
        lines.append(Examined(entry=entry, outcome="read", digests=digests, mime="text/plain", plugins=said[path]))
    segment.write_whole(tmp_path / "plans/0-0.jsonl.zst", zstandard.compress(plan.encode(plan.Unit("1", 0, tuple(live))) + b"\n"))
    segment.write_whole(tmp_path / "segments/unit-0-0-000000.jsonl.zst", zstandard.compress(b"".join(map(segment.encode, lines))))
    entries = tuple(
        Entry(
            location=f"{STORE}{path};meta=9-128-1",
            kind="file",
            size=50000 + (path == "/of-another-size"),
            start=4096,
            same_blocks=path != "/other",
        )
        for path in (*said, "/renamed", "/other")
    )
    known = twins.Twins(tmp_path / "plans", tmp_path / "segments", plugins, Scope())
    before = known.before("unit-0-1-000000", plan.Unit("1", 1, entries))
    taken = [segment.decoded(raw, tmp_path) for raw in segment.lines_of(before.segment)]
    assert taken == [
        Examined(entry=entries[number], outcome="read", digests=digests, mime="text/plain", plugins=said[path])
        for number, path in enumerate(("/taken", "/never-offered"))
    ]
    assert set(before.kept) == {"text", "rules", "zip"}
    outside = twins.Twins(tmp_path / "plans", tmp_path / "segments", plugins, Scope(paths=("/elsewhere/**",)))
    assert not list(segment.lines_of(outside.before("unit-0-1-000000", plan.Unit("1", 1, entries)).segment))


def test_files_with_twins_stand_in_units_of_their_own_that_are_known_as_such() -> None:
    """A name cannot pass for the mark: in JSON its quotes are escaped."""
    entries = [
        Entry(location=f'{STORE}/a"same_blocks":true,{number};meta=9', kind="file", size=9, same_blocks=number % 2 == 1)
        for number in range(10)
    ]
    first, second = plan.units("1", 1, entries)
    assert isinstance(first, plan.Unit) and isinstance(second, plan.Unit)
    assert [len(first.entries), len(second.entries)] == [5, 5]
    assert [twins.has_twins(plan.encode(unit)) for unit in (first, second)] == [False, True]
    assert live_location("1:volume@512:ntfs:vss@2:ntfs:/vss@9;meta=3") == "1:volume@512:ntfs:/vss@9;meta=3"


def examined(evidence: Path, folder: Path, children: int) -> tuple[Outcome, list[Examined], list[object]]:
    case = cases.create(folder, CaseInfo(case_id="T"))
    case.add_exhibit(Exhibit(exhibit_id="1", image=str(evidence / "images/vss.E01"), image_format="EWF"), None)
    options = Options(children=children, plugins=("features", "type-mismatch", "zip-archive"))
    with case.lock():
        outcome = run.examine(case, case.exhibits(), options, lambda now: None)
    with index.open_index(case.index_path, outcome.run) as found:
        return outcome, list(found.entries()), list(found.records())


def test_records_and_digests_are_those_of_a_run_that_reads_every_file_of_every_copy(
    evidence: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Entry] = []
    found = twins.Twins._twin

    def noted(self: twins.Twins, exhibit: str, entry: Entry) -> Examined | None:
        twin = found(self, exhibit, entry)
        taken.extend([entry] if twin else [])
        return twin

    monkeypatch.setattr(twins.Twins, "_twin", noted)
    once, entries, records = examined(evidence, tmp_path / "once", 2)
    alike = [line.entry.location for line in entries if line.entry.same_blocks]
    assert sorted(entry.location for entry in taken) == sorted(alike)
    assert len(alike) >= 8
    monkeypatch.setattr(twins.Twins, "_twin", lambda self, exhibit, entry: None)
    again, all_entries, all_records = examined(evidence, tmp_path / "again", 1)
    assert (once.digest, entries, records) == (again.digest, all_entries, all_records)
