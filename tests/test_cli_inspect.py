"""`inspect` and `verify-image` from the command line: what they print, their exit codes, and images that kill a library."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics.cli import cli
from forensics.cli.console import FAULTS
from forensics.engine import look
from forensics.errors import EngineError, EvidenceError


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value or 0, result.output


def test_inspect_shows_volumes_file_systems_and_stored_digests(evidence: Path) -> None:
    code, text = run("inspect", evidence / "images/fs.multiple.E01")
    assert code == 0
    assert "EWF-E01, 262144000 bytes" in text
    assert "md5 stored at acquisition: 4aec22de40a0195fabfc9af9dedce755" in text
    assert "  volume@116391936:ext4" in text
    assert "  volume@1048576:btrfs" in text


def test_inspect_names_the_protectors_of_a_locked_layer_and_opens_it_with_a_key(evidence: Path) -> None:
    code, text = run("inspect", evidence / "images/luks1.E01")
    assert code == 0
    assert "NOT EXAMINED: encrypted; no key was given for it" in text
    assert "protectors: 1 passphrase or key file slots" in text
    code, text = run("inspect", evidence / "images/luks1.E01", "--key", "*luks1=password:luksde-TEST")
    assert "  ext2 " in text
    assert "luksde-TEST" not in text


def test_inspect_as_json_is_one_line_of_layers(evidence: Path) -> None:
    code, text = run("inspect", evidence / "images/vss.E01", "--json")
    (line,) = text.splitlines()
    found = json.loads(line)["inspected"]
    assert code == 0
    assert [layer["location"] for layer in found["layers"]] == [
        "1:ntfs:", "1:ntfs:vss@1:", "1:ntfs:vss@1:ntfs:", "1:ntfs:vss@2:", "1:ntfs:vss@2:ntfs:"
    ]  # fmt: skip


def test_verify_image_compares_with_the_digest_of_the_acquisition(evidence: Path, tmp_path: Path) -> None:
    code, text = run("verify-image", evidence / "images/xfs.E01")
    assert (code, "md5: matches" in text) == (0, True)
    assert "6f48cf411af128693436f38359177cf7018c7b54c33c730f7b8b2b83be70ac78" in text
    changed = bytearray((evidence / "images/xfs.E01").read_bytes())
    changed[5000] ^= 0xFF
    (tmp_path / "xfs.E01").write_bytes(changed)
    code, text = run("verify-image", tmp_path / "xfs.E01")
    assert code == FAULTS
    assert "md5: DOES NOT MATCH" in text
    assert "DAMAGED" in text


def test_verify_image_compares_with_a_stated_digest(evidence: Path) -> None:
    image = evidence / "images/ext2.raw"
    code, text = run("verify-image", image, "--digest", "a6c2f0e39afe6c6ab432ca5465349fcefe8dc944398e97b2d957d3f89dbb5d80")
    assert (code, "stated sha256: matches" in text) == (0, True)
    code, text = run("verify-image", image, "--digest", "0" * 32)
    assert (code, "stated md5: DOES NOT MATCH" in text) == (FAULTS, True)
    assert "stores no digest" in text


def test_what_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.L01").write_bytes(b"LVF\x09\x0d\x0a\xff\x00".ljust(4096, b"\0"))
    with pytest.raises(EvidenceError, match="L01"):
        run("inspect", tmp_path / "a.L01")
    (tmp_path / "folder").mkdir()
    with pytest.raises(EvidenceError, match="is no image"):
        run("verify-image", tmp_path / "folder")


def test_a_child_that_dies_of_an_image_is_an_error_of_ours(tmp_path: Path, evidence: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(evidence / "images/ext2.raw", tmp_path / "a.raw")
    monkeypatch.setattr(look, "_child", dies)
    with pytest.raises(EngineError, match="died"):
        look.look(tmp_path / "a.raw")


def dies(connection: object, order: bytes, folder: str) -> None:
    os._exit(9)
