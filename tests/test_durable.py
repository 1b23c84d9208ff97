"""What lies in a case lies there after a loss of power, and what should not lie there is gone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from forensics.digest import sha256
from forensics.engine import delivery
from forensics.engine.keep import settle
from forensics.engine.spool import emptied

HOLDS = """
import sys, time
from pathlib import Path
from forensics.engine.spool import emptied
with emptied(Path(sys.argv[1])):
    Path(sys.argv[1], "content").write_text("of the evidence")
    print("there", flush=True)
    time.sleep(600)
"""


class Disk:
    """What was made durable and what was renamed, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[tuple[str, str]] = []
        fsync, replace = os.fsync, os.replace

        def synced(descriptor: int) -> None:
            self.steps.append(("synced", os.path.realpath(f"/proc/self/fd/{descriptor}")))
            fsync(descriptor)

        def renamed(source: Path, target: Path) -> None:
            self.steps.append(("renamed", str(target)))
            replace(source, target)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "replace", renamed)


def test_an_attachment_is_on_the_disk_before_it_has_its_name_and_its_folders_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, extracted = tmp_path / "made", tmp_path / "extracted"
    made.write_bytes(b"thumbnail")
    disk = Disk(monkeypatch)
    digest = sha256(b"thumbnail")
    settle([(made, digest)], extracted)
    kept = extracted / digest[:2] / digest
    assert kept.read_bytes() == b"thumbnail"
    assert disk.steps[:2] == [("synced", str(made)), ("renamed", str(kept))]
    assert sorted(disk.steps[2:]) == [("synced", str(extracted)), ("synced", str(kept.parent))]


def test_an_attachment_of_a_worker_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    digest = sha256(b"thumbnail")
    delivery.store(b"thumbnail", digest, tmp_path / "extracted", tmp_path)
    (first, written), (second, kept), *folders = disk.steps
    assert (first, second, Path(written).name.partition("-")[0], Path(kept).name) == ("synced", "renamed", digest, digest)
    assert {step for step, _ in folders} == {"synced"}
    disk.steps.clear()
    delivery.store(b"thumbnail", digest, tmp_path / "extracted", tmp_path)
    assert disk.steps == []


def test_the_spool_of_a_command_that_was_killed_is_removed_and_no_other(tmp_path: Path) -> None:
    mine, left = tmp_path / "spool", tmp_path / "spool-4242"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "spool-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "spool-1").mkdir()  # from before there were locks
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(left)], stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"there\n"
        with emptied(mine):
            assert (left / "content").read_text() == "of the evidence"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (left / "content").exists()
    with emptied(mine):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "spool", "spool-link"]
    assert not mine.exists()
