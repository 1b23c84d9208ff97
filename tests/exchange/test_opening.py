"""The archive of a package has one form; whatever else a tar may say is refused, and nothing is written outside."""

import hashlib
import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from packages import World, build, pack

from forensics.exchange.standalone import archive, files
from forensics.exchange.standalone.refusal import Refused

FILES = {"bagit.txt": b"BagIt", "data/custody.jsonl": b"{}\n" * 500, "data/report.html": b""}


def unpack(data: bytes, folder: Path) -> str:
    folder.mkdir()
    return archive.unpack(io.BytesIO(data), len(data), folder)


def members(*entries: tuple[str, dict[str, Any], bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, fields, content in entries:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            for field, value in fields.items():
                setattr(member, field, value)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def outside(folder: Path) -> Iterator[str]:
    """What lies beside the folder that was unpacked to."""
    return (path.name for path in folder.parent.iterdir() if path != folder)


def test_a_tar_in_the_one_form_is_unpacked_without_its_top_folder(tmp_path: Path) -> None:
    assert unpack(pack(FILES, "A-1-D1"), tmp_path / "p") == "A-1-D1"
    assert {name: (tmp_path / "p" / name).read_bytes() for name in FILES} == FILES
    assert all((tmp_path / "p" / name).stat().st_mode & 0o777 == 0o600 for name in FILES)


def test_a_long_top_folder_takes_a_prefix_as_tar_writes_it(tmp_path: Path) -> None:
    name = f"data/custody/bodies/{'a' * 64}.json"
    assert unpack(pack({name: b"{}"}, "x" * 80), tmp_path / "p") == "x" * 80
    assert (tmp_path / "p" / name).read_bytes() == b"{}"


BAD: dict[str, tuple[str, dict[str, Any], bytes]] = {
    "symbolic link": ("p/data/report.html", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, b""),
    "hard link": ("p/data/report.html", {"type": tarfile.LNKTYPE, "linkname": "../../x"}, b""),
    "character device": ("p/data/report.html", {"type": tarfile.CHRTYPE}, b""),
    "block device": ("p/data/report.html", {"type": tarfile.BLKTYPE}, b""),
    "pipe": ("p/data/report.html", {"type": tarfile.FIFOTYPE}, b""),
    "folder": ("p/data", {"type": tarfile.DIRTYPE}, b""),
    "sparse file": ("p/data/report.html", {"type": tarfile.GNUTYPE_SPARSE}, b""),
    "contiguous file": ("p/data/report.html", {"type": tarfile.CONTTYPE}, b""),
    "old form of a regular file": ("p/data/report.html", {"type": tarfile.AREGTYPE}, b""),
    "unknown type": ("p/data/report.html", {"type": b"Z"}, b""),
    "absolute": ("/p/data/report.html", {}, b"x"),
    "absolute elsewhere": ("/etc/cron.d/x", {}, b"x"),
    "parent": ("p/../data/report.html", {}, b"x"),
    "parent at the top": ("../p/data/report.html", {}, b"x"),
    "parent alone": ("..", {}, b"x"),
    "here": ("p/./data/report.html", {}, b"x"),
    "two slashes": ("p//data/report.html", {}, b"x"),
    "no top folder": ("bagit.txt", {}, b"x"),
    "hidden top folder": (".p/bagit.txt", {}, b"x"),
    "other name": ("p/data/autorun.inf", {}, b"x"),
    "backslash": ("p/data\\report.html", {}, b"x"),
    "upper case": ("p/DATA/report.html", {}, b"x"),
    "drive": ("C:/data/report.html", {}, b"x"),
    "executable": ("p/data/report.html", {"mode": 0o755}, b"x"),
    "setuid": ("p/data/report.html", {"mode": 0o4644}, b"x"),
    "owner": ("p/data/report.html", {"uid": 1000}, b"x"),
    "owner's name": ("p/data/report.html", {"uname": "root"}, b"x"),
    "time": ("p/data/report.html", {"mtime": 1}, b"x"),
    "name beyond the prefix": (f"p/data/records/{'a' * 32}.json/{'b' * 90}", {}, b"x"),
}


@pytest.mark.parametrize("entry", BAD.values(), ids=list(BAD))
def test_a_member_of_another_form_is_refused_and_nothing_is_written_outside(
    tmp_path: Path, entry: tuple[str, dict[str, Any], bytes]
) -> None:
    folder = tmp_path / "inner" / "p"
    folder.parent.mkdir()
    with pytest.raises(Refused) as caught:
        unpack(members(entry), folder)
    assert caught.value.reason in ("archive", "name")
    assert list(outside(folder)) == []
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["GNU", "pax"])
@pytest.mark.parametrize("name", ["p/bagit.txt", f"p/data/records/{'a' * 32}.json" + "/" + "b" * 200, "p/data/ré.html"])
def test_gnu_and_pax_archives_are_refused(tmp_path: Path, form: int, name: str) -> None:
    if form == tarfile.PAX_FORMAT and name == "p/bagit.txt":
        entry = (name, {"pax_headers": {"path": "p/../../x"}}, b"x")
    else:
        entry = (name, {}, b"x")
    if form == tarfile.PAX_FORMAT or name != "p/bagit.txt" or b"ustar  \0" in members(entry, form=form):
        with pytest.raises(Refused):
            unpack(members(entry, form=form), tmp_path / "p")


def test_two_top_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="one top folder"):
        unpack(members(("p/bag-info.txt", {}, b""), ("q/bagit.txt", {}, b"")), tmp_path / "p")


@pytest.mark.parametrize("names", [("p/bagit.txt", "p/bagit.txt"), ("p/bagit.txt", "p/bag-info.txt"), ("p/bagit.txt", "p/BAGIT.TXT")])
def test_names_that_repeat_or_are_not_sorted_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(Refused):
        unpack(members(*((name, {}, b"x") for name in names)), tmp_path / "p")


def test_a_size_beyond_the_archive_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    data = archive.header("p/data/report.html", 8**11 - 1) + bytes(10240)
    with pytest.raises(Refused):
        unpack(data, tmp_path / "p")
    assert list((tmp_path / "p").iterdir()) == []


@pytest.mark.parametrize(
    "field", [b"\x80\0\0\0\0\0\0\0\0\0\0\x05", b"-0000000005\0", b"          5\0", b"5          \0", b"+0000000005\0", bytes(12)]
)
def test_a_size_that_is_not_eleven_octal_digits_is_refused(tmp_path: Path, field: bytes) -> None:
    data = bytearray(pack({"bagit.txt": b"BagIt"}, "p"))
    data[124:136] = field
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    with pytest.raises(Refused):
        unpack(bytes(data), tmp_path / "p")


def test_every_changed_byte_of_a_header_is_refused(tmp_path: Path) -> None:
    whole = pack({"bagit.txt": b"BagIt"}, "p")
    for at in range(512):
        data = whole[:at] + bytes((whole[at] ^ 0x15,)) + whole[at + 1 :]
        with pytest.raises(Refused):
            unpack(data, tmp_path / str(at))


@pytest.mark.parametrize("at", [512 + 5, 1023, 1024, 1024 + 512, 10239])
def test_bytes_hidden_behind_a_file_or_the_end_are_refused(tmp_path: Path, at: int) -> None:
    data = bytearray(pack({"bagit.txt": b"BagIt"}, "p"))
    data[at] = 1
    with pytest.raises(Refused):
        unpack(bytes(data), tmp_path / "p")


def test_more_behind_the_end_is_refused(tmp_path: Path) -> None:
    whole = pack({"bagit.txt": b"BagIt"}, "p")
    for more in (b"\0" * 10240, whole, b"x"):
        with pytest.raises(Refused):
            unpack(whole + more, tmp_path / hashlib.sha256(more).hexdigest())


def test_every_cut_is_refused(tmp_path: Path) -> None:
    whole = pack({"bagit.txt": b"BagIt"}, "p")
    for size in [*range(0, 1536, 64), 1535]:
        with pytest.raises(Refused):
            unpack(whole[:size], tmp_path / str(size))


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    for data in (b"", bytes(1024), bytes(10240)):
        with pytest.raises(Refused):
            unpack(data, tmp_path / str(len(data)))


def test_a_file_larger_than_its_kind_may_be_is_refused(tmp_path: Path) -> None:
    size = 64 * 1024 + 1
    with pytest.raises(Refused, match="more than such a file may have"):
        unpack(pack({"bagit.txt": bytes(size)}, "p"), tmp_path / "p")
    assert list((tmp_path / "p").iterdir()) == []


def test_more_files_than_a_package_may_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST", 3)
    many = {f"data/records/{number:032x}.json": b"{}" for number in range(4)}
    with pytest.raises(Refused, match="more than 3 files"):
        unpack(pack(many, "p"), tmp_path / "p")


def test_what_stands_where_a_file_is_unpacked_is_not_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    (tmp_path / "victim").write_bytes(b"mine")
    (folder / "bagit.txt").symlink_to(tmp_path / "victim")
    data = pack({"bagit.txt": b"BagIt"}, "p")
    with pytest.raises(FileExistsError):
        archive.unpack(io.BytesIO(data), len(data), folder)
    assert (tmp_path / "victim").read_bytes() == b"mine"


def test_headers_are_those_of_python_and_gnu_tar(tmp_path: Path) -> None:
    """Names up to 100 bytes, then a prefix: as `tarfile` splits them."""
    for name in ("p/bagit.txt", f"{'x' * 80}/data/custody/bodies/{'f' * 64}.json", f"{'x' * 79}/{'y' * 20}", f"{'x' * 80}/{'y' * 20}"):
        member = tarfile.TarInfo(name)
        member.size, member.mode = 4711, 0o644
        assert archive.header(name, 4711) == member.tobuf(tarfile.USTAR_FORMAT)


def test_the_writer_of_packages_writes_that_form(tmp_path: Path) -> None:
    made = build(World(), disclosed=1)
    data = made.packed()
    assert unpack(data, tmp_path / "p") == made.id
    assert {path.relative_to(tmp_path / "p").as_posix() for path in (tmp_path / "p").rglob("*") if path.is_file()} == set(made.files)
