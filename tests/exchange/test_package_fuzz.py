"""Random archives and JSON: taken as what they are or refused, never an error of another kind, never a byte outside."""

import io
import json
import os
import sys
import tempfile
from pathlib import Path

import rfc8785
from hypothesis import given, seed, settings
from hypothesis import strategies as some

sys.path.insert(0, str(Path(__file__).parent))
from packages import officer, pack, sign

from forensics.custody.canonical_text import plain
from forensics.exchange.standalone import archive, canonical, der
from forensics.exchange.standalone.refusal import Refused

SEED = int(os.environ.get("FORENSICS_SEED", "1"))
EXAMPLES = int(os.environ.get("FORENSICS_EXAMPLES", "200"))
WHOLE = pack({"bagit.txt": b"BagIt", "data/report.html": b"x" * 600}, "p")
SIGNATURE = sign(b"data", officer(None, "Officer"), officer(None, "Approver"))


def unpacked(data: bytes) -> dict[str, bytes] | None:
    """The files of an archive, None where it is refused; nothing may lie beside the folder in either case."""
    with tempfile.TemporaryDirectory() as outer:
        folder = Path(outer) / "inner" / "p"
        folder.mkdir(parents=True)
        try:
            archive.unpack(io.BytesIO(data), len(data), folder)
            found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        except Refused:
            found = None
        assert [path.name for path in Path(outer).iterdir()] == ["inner"]
        assert [path.name for path in (Path(outer) / "inner").iterdir()] == ["p"]
        assert not any(path.is_symlink() for path in folder.rglob("*"))
        return found


def checksummed(header: bytes) -> bytes:
    block = header[:148] + b" " * 8 + header[156:]
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


@seed(SEED)
@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(some.binary(max_size=4096))
def test_random_bytes_are_refused(data: bytes) -> None:
    assert unpacked(data) is None


@seed(SEED)
@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(some.lists(some.tuples(some.integers(0, len(WHOLE) - 1), some.binary(min_size=1, max_size=16)), min_size=1, max_size=4))
def test_an_archive_with_random_bytes_in_it_is_refused_or_differs_in_the_contents_of_files_alone(changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(WHOLE)
    for at, put in changes:
        data[at : at + len(put)] = put
    found = unpacked(bytes(data))
    assert found is None or pack(found, "p") == bytes(data)


@seed(SEED)
@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(
    name=some.one_of(some.binary(max_size=100), some.sampled_from([b"p/../x", b"/p/bagit.txt", b"p/bagit.txt", b"p/data/report.html"])),
    size=some.one_of(some.binary(min_size=12, max_size=12), some.integers(0, 8**11 - 1).map(lambda size: b"%011o\0" % size)),
    kind=some.binary(min_size=1, max_size=1),
    link=some.binary(max_size=100),
    prefix=some.one_of(some.just(b""), some.binary(max_size=155), some.sampled_from([b"..", b"/", b"p/.."])),
    rest=some.binary(max_size=2048),
)
def test_a_header_of_random_fields_with_a_good_checksum_is_refused_or_of_the_one_form(
    name: bytes, size: bytes, kind: bytes, link: bytes, prefix: bytes, rest: bytes
) -> None:
    block = b"".join(
        (name.ljust(100, b"\0"), b"0000644\0", b"0000000\0" * 2, size, b"00000000000\0", bytes(8), kind, link.ljust(100, b"\0"),
         b"ustar\x0000", bytes(80), prefix.ljust(155, b"\0"), bytes(12))
    )  # fmt: skip
    found = unpacked(checksummed(block) + rest + bytes(10240))
    assert found is None or set(found) <= {"bagit.txt", "data/report.html"}


@seed(SEED)
@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(some.recursive(
    some.none() | some.booleans() | some.integers(1 - 2**53, 2**53 - 1) | some.floats(-1e300, 1e300) | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner), max_leaves=20,
))  # fmt: skip
def test_canonical_json_is_that_of_rfc8785(value: object) -> None:
    data = rfc8785.dumps(value)  # type: ignore[arg-type]
    assert canonical.dumps(json.loads(data)) == data
    assert canonical.dumps(canonical.loads(data, "record-form", "it")) == data
    assert plain(data) in (json.loads(data), None)


@seed(SEED)
@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(some.one_of(some.binary(max_size=200), some.text(alphabet='{}[]",:0123456789.eE-\\u truefalsn', max_size=60).map(str.encode)))
def test_random_json_is_canonical_or_refused(data: bytes) -> None:
    try:
        value = canonical.loads(data, "record-form", "it")
    except Refused as refusal:
        assert refusal.reason == "record-form"
        assert plain(data) is None
    else:
        assert rfc8785.dumps(value) == data
        assert plain(data) in (value, None)


def test_json_that_is_deep_or_large_in_number_is_refused() -> None:
    for data in (
        b"[" * 100_000,
        b"[" * 80 + b"]" * 80,
        b"1" * 10_000,
        b"1e999",
        b"NaN",
        b"-0",
        b'"\\ud800"',
        b'{"a":1,"a":1}',
        b"\xef\xbb\xbf1",
    ):
        try:
            canonical.loads(data, "record-form", "it")
        except Refused:
            continue
        raise AssertionError(data[:40])


@seed(SEED)
@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(some.one_of(
    some.binary(max_size=400),
    some.tuples(some.integers(0, len(SIGNATURE)), some.integers(0, 8), some.binary(max_size=8)).map(
        lambda change: SIGNATURE[: change[0]] + change[2] + SIGNATURE[change[0] + change[1] :]
    ),
))  # fmt: skip
def test_a_signature_file_is_the_one_form_or_refused(data: bytes) -> None:
    try:
        parts = der.read(data, "it")
    except Refused as refusal:
        assert refusal.reason in ("structure", "certificates")
    else:
        assert len(parts) == 2
        assert len(data) == len(SIGNATURE)
