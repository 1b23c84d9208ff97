"""A run that is interrupted, wherever that is, is gone on with by the same command: nothing is lost, nothing there twice, nothing unsaid.

`make soak` does the same at a hundred moments. FORENSICS_SEED names the seed of another run's moments.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import interruption as breaking
from damage import damaged, ends_in_words

from forensics import case as cases

ROOT = Path(__file__).parents[1]
SEED = int(os.environ.get("FORENSICS_SEED", "20261"))
MOMENTS = 10
ROOM = (2, 70)  # pages that are left on the full disk: it is full when the run begins, or in its course
FULL = "raise OSError(28, 'No space left on device', str(arguments[0]))"
OPTIONS = ("--plugin", "features", "--plugin", "photo-exif", "--plugin", "timeline-gaps", "--template", "summary.md")


@pytest.fixture(scope="module")
def whole(evidence: Path, tmp_path_factory: pytest.TempPathFactory) -> breaking.Whole:
    return breaking.Whole(evidence / "cases" / "usb-a.raw", tmp_path_factory.mktemp("interruption"), *OPTIONS)


@pytest.fixture
def image(evidence: Path, tmp_path: Path) -> Path:
    """A copy of the image, for a test that takes it away."""
    path = tmp_path / "usb-a.raw"
    shutil.copyfile(evidence / "cases" / "usb-a.raw", path)
    return path


def test_the_uninterrupted_run_takes_steps_in_every_phase(whole: breaking.Whole) -> None:
    assert set(whole.steps) == {"starting", *breaking.PHASES.values(), "measuring again"}
    print(f"steps in each phase: {dict(Counter(whole.steps))}")
    assert whole.held.records
    assert whole.held.entries


@pytest.mark.parametrize("number", range(MOMENTS))
def test_a_run_killed_at_any_moment_goes_on_to_the_same_result(number: int, whole: breaking.Whole, tmp_path: Path) -> None:
    moment = breaking.moments(whole.steps, SEED, MOMENTS)[number]
    print(f"FORENSICS_SEED={SEED}: {moment}")
    breaking.killed_at(moment, whole.image, whole.work, tmp_path / "case", *OPTIONS)
    breaking.resumed(whole.image, tmp_path / "case", whole.held, *OPTIONS)


def when_a_unit_is_done(case: Path, process: "subprocess.Popen[str]") -> bool:
    return breaking.until(lambda: any((case / "runs" / "run-0001" / "segments").glob("before-*")), process)


def test_killing_a_process_that_reads_costs_nothing(whole: breaking.Whole, tmp_path: Path) -> None:
    source = random.Random(SEED)
    process = breaking.started(breaking.command(whole.image, tmp_path / "case", *OPTIONS))
    when_a_unit_is_done(tmp_path / "case", process)
    readers = [pid for pid in breaking.family(process.pid) if b"forkserver" in command_line(pid)][1:]
    if readers:
        kill(source.choice(readers))
    assert process.wait(120) in (0, 3)
    assert breaking.held(tmp_path / "case") == whole.held
    breaking.holds(tmp_path / "case")


def test_killing_every_process_at_once_costs_nothing_that_was_done(whole: breaking.Whole, tmp_path: Path) -> None:
    process = breaking.started(breaking.command(whole.image, tmp_path / "case", *OPTIONS))
    when_a_unit_is_done(tmp_path / "case", process)
    for pid in (*breaking.family(process.pid), process.pid):
        kill(pid)
    process.wait(120)
    breaking.resumed(whole.image, tmp_path / "case", whole.held, *OPTIONS)


def test_a_killed_run_leaves_no_process_behind(whole: breaking.Whole, tmp_path: Path) -> None:
    process = breaking.started(breaking.command(whole.image, tmp_path / "case", *OPTIONS))
    when_a_unit_is_done(tmp_path / "case", process)
    below = breaking.family(process.pid)
    kill(process.pid)
    process.wait(120)
    for _ in range(500):
        left = [pid for pid in below if alive(pid)]
        if not left:
            break
        time.sleep(0.02)
    assert left == []


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


# --- a full disk --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB of its own. It takes a root who may mount; the test after the next takes nobody."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("room", ROOM)
def test_a_full_disk_is_said_and_with_room_again_the_run_goes_on(room: int, small_disk: Path, whole: breaking.Whole) -> None:
    case = small_disk / "case"
    cases.create(case)
    filler = small_disk / "filler"
    free = os.statvfs(small_disk)
    filler.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - room * 4096)))
    done = breaking.run(breaking.command(whole.image, case, *OPTIONS))
    assert done.returncode == 1
    assert any(words in done.stderr.lower() for words in ("no space left", "free some space", "disk is full")), done.stderr
    filler.unlink()
    breaking.resumed(whole.image, case, whole.held, *OPTIONS)


@pytest.mark.parametrize("phase", ["beginning", "examining", "completing"])
def test_a_step_for_which_there_is_no_space_is_said_and_the_run_goes_on(phase: str, whole: breaking.Whole, tmp_path: Path) -> None:
    done = breaking.done_at(phase, 2, FULL, whole.image, whole.work, tmp_path / "case", *OPTIONS)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    breaking.resumed(whole.image, tmp_path / "case", whole.held, *OPTIONS)


# --- an image that vanishes ---------------------------------------------------------------------------------------------------


HOW = {
    "renamed": "os.rename(IMAGE, IMAGE + '.away')",
    "cut in place": "import shutil; shutil.copyfile(IMAGE, IMAGE + '.away'); os.truncate(IMAGE, 1_000_000)",
    "replaced by a cut one": "import shutil; os.rename(IMAGE, IMAGE + '.away'); shutil.copyfile(IMAGE + '.away', IMAGE + '.cut'); "
    "os.truncate(IMAGE + '.cut', 1_000_000); os.rename(IMAGE + '.cut', IMAGE)",
}


@pytest.mark.parametrize(
    ("how", "phase"),
    [
        ("renamed", "opening"),
        ("renamed", "measuring"),
        ("cut in place", "planning"),
        ("replaced by a cut one", "planning"),
        ("replaced by a cut one", "measuring again"),
    ],
)
def test_an_image_that_vanishes_ends_the_run_and_back_again_it_goes_on(
    how: str, phase: str, whole: breaking.Whole, image: Path, tmp_path: Path
) -> None:
    code = HOW[how].replace("IMAGE", repr(str(image)))
    done = breaking.done_at(phase, 1, code, image, whole.work, tmp_path / "case", *OPTIONS)
    assert done.returncode == 1, done.stdout
    assert "image is gone" in done.stderr or "another size" in done.stderr
    os.replace(f"{image}.away", image)
    breaking.resumed(image, tmp_path / "case", whole.held, *OPTIONS)


def test_a_dozen_damaged_images_end_in_words(evidence: Path, tmp_path: Path) -> None:
    source = random.Random(SEED)
    images = [ROOT / "test_images" / "ext2.E01", *(evidence / "images" / name for name in ("ntfs.raw", "gpt.raw", "fat12.raw"))]
    for number in range(12):
        image, words = damaged(images[number % len(images)], tmp_path, source, cut=number % 6 == 5)
        print(f"FORENSICS_SEED={SEED}: {words}")
        ends_in_words(image, tmp_path / f"case-{number}", "--children", "1", "--plugin", "features", "--template", "summary.md")
