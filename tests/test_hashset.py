"""Hash sets: what is read from each format, and that look-ups are exact."""

import hashlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from forensics.errors import UsageError
from forensics.hashset import build, converted, load, open_set
from forensics.model import Digests

# Digests of the empty content and of "abc": FIPS 180-4 examples, RFC 1321 appendix A.5
EMPTY = Digests(
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "d41d8cd98f00b204e9800998ecf8427e",
)
ABC = Digests(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "a9993e364706816aba3e25717850c26c9cd0d89d",
    "900150983cd24fb0d6963f7d28e17f72",
)


def made(tmp_path: Path, content: bytes | str, name: str = "list.txt"):
    source = tmp_path / name
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    build(source, tmp_path / "set", chunk=3)
    return open_set(tmp_path / "set", name)


def test_plain_list_is_found_and_others_are_not(tmp_path):
    known = made(tmp_path, f"# a comment\n{EMPTY.sha256}\r\n\n; another\n{ABC.sha256.upper()}\n")
    assert known.counts == {"sha256": 2}
    assert known.find("sha256", ABC.sha256).digest == ABC.sha256
    assert known.find("sha256", "0" * 64) is None
    assert known.find("sha256", "f" * 64) is None
    assert known.find("md5", ABC.md5) is None
    assert known.notes == ()


def test_output_of_sha256sum_and_md5sum_keeps_names(tmp_path):
    (tmp_path / "a file").write_bytes(b"abc")
    for tool, algorithm in (("sha256sum", "sha256"), ("md5sum", "md5")):
        listing = subprocess.run([tool, "a file"], cwd=tmp_path, capture_output=True, check=True).stdout
        hit = made(tmp_path, listing).lookup(ABC)
        assert (hit.algorithm, hit.name, hit.weak) == (algorithm, "a file", algorithm == "md5")


def test_bsd_style_lines_are_read(tmp_path):
    known = made(tmp_path, f"SHA256 (old name) = {ABC.sha256}\nSHA256 (b) = {EMPTY.sha256}\n")
    assert known.lookup(ABC).name == "old name"


def test_lines_that_are_no_digest_are_counted_and_the_first_ten_named(tmp_path):
    junk = "".join(f"junk {n}\n" for n in range(12))
    known = made(tmp_path, f"{ABC.sha256}\n{junk}")
    assert len(known) == 1
    assert known.notes[0].startswith("12 lines are no digest and left out: line 2 'junk 0'")
    assert "line 11" in known.notes[0] and "line 12" not in known.notes[0]


def test_a_list_of_two_algorithms_is_refused(tmp_path):
    with pytest.raises(UsageError, match="line 2 is md5, line 1 is sha256"):
        made(tmp_path, f"{ABC.sha256}\n{ABC.md5}\n")


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n", "no digest here\n", '"SHA-1","MD5"\n', "%%%% HASHDEEP-1.0\n"])
def test_a_source_without_digests_is_refused(tmp_path, content):
    with pytest.raises(UsageError, match="no digest in it"):
        made(tmp_path, content)
    assert not (tmp_path / "set").exists()


def test_hashdeep_file_gives_the_strongest_digest(tmp_path):
    text = f"%%%% HASHDEEP-1.0\n%%%% size,md5,sha256,filename\n## Invoked from: /x\n##\n3,{ABC.md5},{ABC.sha256},/x/a, b.txt\n"
    known = made(tmp_path, text)
    assert known.counts == {"sha256": 1}
    assert known.lookup(ABC).name == "/x/a, b.txt"


def test_nsrl_rds2_csv_is_read(tmp_path):
    # The header as NSRL RDS 2.x publishes NSRLFile.txt
    header = '"SHA-1","MD5","CRC32","FileName","FileSize","ProductCode","OpSystemCode","SpecialCode"'
    text = f'{header}\r\n"{ABC.sha1.upper()}","{ABC.md5.upper()}","352441C2","abc, the ""file"".txt",3,1,"362",""\r\n'
    known = made(tmp_path, text, "NSRLFile.txt")
    assert known.counts == {"sha1": 1}
    assert known.lookup(ABC).name == 'abc, the "file".txt'
    assert known.lookup(ABC).weak


@pytest.mark.parametrize("layout", ["minimal", "full"])
def test_nsrl_rds3_database_is_read_and_not_written(tmp_path, layout):
    source = tmp_path / "RDS.db"
    with sqlite3.connect(source) as database:
        table = "FILE" if layout == "minimal" else "METADATA"
        database.execute(f"CREATE TABLE {table} (sha256 VARCHAR, sha1 VARCHAR, md5 VARCHAR, file_name VARCHAR, file_size INTEGER)")
        database.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?, 3)", (ABC.sha256.upper(), ABC.sha1, ABC.md5, "abc.txt"))
        database.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?, 3)", (ABC.sha256.upper(), ABC.sha1, ABC.md5, "zzz.txt"))
        database.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?, 0)", (None, EMPTY.sha1, EMPTY.md5, "empty"))
        database.execute(f"CREATE VIEW DISTINCT_HASH AS SELECT DISTINCT sha256, sha1, md5 FROM {table}")
    database.close()
    before = sorted(path.name for path in tmp_path.iterdir()), source.read_bytes()
    build(source, tmp_path / "set")
    known = open_set(tmp_path / "set")
    assert known.counts == {"sha256": 1, "sha1": 1}
    assert known.lookup(ABC).name == "abc.txt"
    assert known.lookup(EMPTY).algorithm == "sha1"
    (tmp_path / "set").unlink()
    assert (sorted(path.name for path in tmp_path.iterdir()), source.read_bytes()) == before


def test_another_database_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("CREATE TABLE notes (text)")
    database.close()
    with pytest.raises(UsageError, match="not an NSRL RDSv3 database"):
        build(tmp_path / "other.db", tmp_path / "set")


def test_every_entry_of_a_large_set_is_found_after_an_external_sort(tmp_path):
    digests = [hashlib.sha1(str(n).encode()).hexdigest() for n in range(20_000)]
    (tmp_path / "list").write_text("\n".join(digests))
    build(tmp_path / "list", tmp_path / "set", chunk=31)
    known = open_set(tmp_path / "set")
    assert len(known) == 20_000
    assert all(known.find("sha1", digest) for digest in digests)
    assert not any(known.find("sha1", hashlib.sha1(f"x{n}".encode()).hexdigest()) for n in range(2000))


def test_digests_that_are_not_uniform_are_found_too(tmp_path):
    digests = [f"{n:064x}" for n in range(5000)]
    known = made(tmp_path, "\n".join(digests))
    assert all(known.find("sha256", digest) for digest in digests)
    assert known.find("sha256", f"{5000:064x}") is None


def test_the_same_source_gives_the_same_bytes_whatever_the_chunk(tmp_path):
    (tmp_path / "list").write_text("".join(f"{hashlib.md5(str(n % 50).encode()).hexdigest()}  name{n}\n" for n in range(200)))
    build(tmp_path / "list", tmp_path / "a", chunk=7)
    build(tmp_path / "list", tmp_path / "b", chunk=1000)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_changed_source_is_converted_again(tmp_path):
    source = tmp_path / "list"
    source.write_text(ABC.sha256)
    first = converted(source, tmp_path / "cache")
    assert converted(source, tmp_path / "cache") == first
    assert open_set(first).source == hashlib.sha256(ABC.sha256.encode()).hexdigest()
    source.write_text(f"{EMPTY.sha256}\n")
    second = converted(source, tmp_path / "cache")
    assert second != first
    assert open_set(second).lookup(EMPTY)


def test_without_a_cache_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    source = tmp_path / "list"
    source.write_text(ABC.sha256)
    listing, known = load(f"bad:{source}")
    assert (listing, known.name) == ("known-bad", "list")
    assert known.lookup(ABC)
    assert [path.name for path in tmp_path.iterdir()] == ["list"]


@pytest.mark.parametrize("entry", ["list", "ugly:list", "good:", "bad:/no/such/file"])
def test_an_option_that_names_no_set_is_refused(entry):
    with pytest.raises(UsageError, match="hash set"):
        load(entry)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:9] + data[-30:]])
def test_a_damaged_conversion_is_refused(tmp_path, damage):
    made(tmp_path, ABC.sha256)
    (tmp_path / "set").write_bytes(damage((tmp_path / "set").read_bytes()))
    with pytest.raises(UsageError, match="converted hash set"):
        open_set(tmp_path / "set")


def test_converted_set_that_is_damaged_is_made_again(tmp_path):
    source, cache = tmp_path / "list.txt", tmp_path / "cache"
    source.write_text(f"{ABC.sha256}\n{EMPTY.sha256}\n")
    load(f"bad:{source}", str(cache))
    (target,) = cache.glob("*.hashset")
    whole = target.read_bytes()
    for damaged in (whole[:-5], b"", whole[:8] + bytes(len(whole) - 8)):
        target.write_bytes(damaged)
        _, known = load(f"bad:{source}", str(cache))
        assert known.lookup(ABC).algorithm == "sha256"
        assert target.read_bytes() == whole


def test_note_of_the_sources_digest_that_is_damaged_is_made_again(tmp_path):
    source, cache = tmp_path / "list.txt", tmp_path / "cache"
    source.write_text(f"{ABC.sha256}\n")
    first = converted(source, cache)
    (note,) = cache.glob("*.source")
    note.write_text("../elsewhere")
    assert converted(source, cache) == first
    assert note.read_text() == f"{hashlib.sha256(source.read_bytes()).hexdigest()}\n"


def test_processes_that_ask_at_once_convert_once(tmp_path):
    source, cache = tmp_path / "list.txt", tmp_path / "cache"
    source.write_text("".join(f"{hashlib.sha256(b'%d' % number).hexdigest()}\n" for number in range(20_000)))
    code = (
        "import sys; from pathlib import Path; from forensics import hashset as h\n"
        "real = h.build\n"
        "def build(*given):\n    print('built'); real(*given)\n"
        "h.build = build\n"
        "print(h.load('bad:' + sys.argv[1], sys.argv[2])[1].counts)\n"
    )
    command = [sys.executable, "-c", code, str(source), str(cache)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = "".join(each.communicate()[0] for each in running)
    assert said.count("{'sha256': 20000}") == 3
    assert said.count("built") == 1
