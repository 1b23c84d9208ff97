"""Files in hash sets."""

import hashlib

import pytest
from forensics.plugins.known_hash import known_hash, prepare

from forensics.errors import UsageError
from forensics.testing import run

CONTENT = b"the content of a known file"
SHA256, SHA1, MD5 = (hashlib.new(name, CONTENT).hexdigest() for name in ("sha256", "sha1", "md5"))


def listed(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_known_bad_is_an_alert_with_the_name_in_the_set(tmp_path):
    path = listed(tmp_path, "bad.txt", f"{SHA256}  evil.exe\n")
    (finding,) = run(known_hash, CONTENT, given={"sets": [f"bad:{path}"]})
    assert (finding.kind, finding.level) == ("known-file", "alert")
    assert finding.data == {
        "set": "bad.txt",
        "list": "known-bad",
        "algorithm": "sha256",
        "digest": SHA256,
        "name": "evil.exe",
        "weak": False,
    }


def test_known_good_on_sha256_is_information(tmp_path):
    path = listed(tmp_path, "good.txt", SHA256)
    (finding,) = run(known_hash, CONTENT, given={"sets": [f"good:{path}"]})
    assert (finding.level, finding.data["list"], finding.data["weak"], finding.data["name"]) == ("info", "known-good", False, None)


@pytest.mark.parametrize("digest, algorithm", [(SHA1, "sha1"), (MD5, "md5")])
def test_a_good_set_without_sha256_matches_weakly_and_a_bad_one_fully(tmp_path, digest, algorithm):
    path = listed(tmp_path, "list.txt", digest)
    good, bad = run(known_hash, CONTENT, given={"sets": [f"good:{path}", f"bad:{path}"]})
    assert (good.level, good.data["algorithm"], good.data["weak"]) == ("info", algorithm, True)
    assert "does not make the file known-good" in good.summary
    assert (bad.level, bad.data["algorithm"]) == ("alert", algorithm)


def test_a_file_in_no_set_gives_nothing(tmp_path):
    path = listed(tmp_path, "bad.txt", SHA256)
    assert run(known_hash, b"something else", given={"sets": [f"bad:{path}"]}) == []


def test_without_a_set_nothing_is_found_and_the_report_says_why():
    assert run(known_hash, CONTENT) == []
    assert prepare().notes == ("no hash set was given",)


def test_the_run_knows_which_sets_were_read(tmp_path):
    path = listed(tmp_path, "good.txt", f"{MD5}\nnot a digest\n")
    prepared = prepare(sets=(f"good:{path}",), cache=str(tmp_path / "cache"))
    assert prepared.inputs == {"good.txt": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert prepared.notes[0] == "good.txt (known-good, plain list): 1 md5"
    assert "line 2 'not a digest'" in prepared.notes[1]
    assert "MD5 and SHA-1 collide at will" in prepared.notes[2]


def test_a_set_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no digest in it"):
        prepare(sets=(f"bad:{listed(tmp_path, 'empty.txt', '')}",))
