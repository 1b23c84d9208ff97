"""Whatever a plugin or a reader does, its pair is named, the exhibit is as it was, and everything else that was found is kept.

One run holds all the plugins that misbehave, each on a file of its own; a second one is without them. What differs between the two must be
those pairs and nothing else.
"""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from forensics import case as cases
from forensics import custody, index, segment
from forensics.engine import crew, landlock, plan, run
from forensics.engine.options import Options
from forensics.engine.outcome import Outcome
from forensics.engine.setup import IDLE, NO_ENTRY, READING, Limits, Setup
from forensics.engine.task import Task
from forensics.errors import EngineError
from forensics.location import Location
from forensics.model import CaseInfo, Entry, Examined, Exhibit, Fault, PluginOutcome, Record

LIMITS = Limits(cpu_base=0.8, cpu_per_mb=0.0, wall_factor=8.0, memory=400 << 20, prepare=120.0)
SANDBOXED = landlock.abi() > 0 and sys.platform == "linux"
KINDS = ("features",)  # beside the plugins that misbehave: it finds the address in every file

# name of the plugin -> its body; `HERE` and `EVIDENCE` are the folder of the test and that of the evidence
BAD = {
    "segfaults": "ctypes.string_at(0)",
    "aborts": "os.abort()",
    "is-killed": "os.kill(os.getpid(), 9)",
    "exits": "os._exit(0)",
    "exits-by-exception": "raise SystemExit(5)",
    "interrupts-itself": "raise KeyboardInterrupt",
    "loops": "while True: pass",
    "sleeps": "time.sleep(10_000)",
    "eats": "held = [b'x' * (32 << 20) for _ in range(20)]\n    time.sleep(10_000)",
    "asks-for-all-memory": "bytearray(1 << 60)",
    "raises": "yield Finding(kind='seen', summary='before')\n    raise RuntimeError('no')",
    "prints": "for _ in range(3000): print('x' * 10_000)\n    print('y' * 20_000_000, file=sys.stderr)\n"
    "    yield Finding(kind='seen', summary='printed')",
    "closes-everything": "os.closerange(0, 1024)",
    "forks": "for _ in range(3):\n        if os.fork() == 0:\n            time.sleep(10_000)\n"
    "    yield Finding(kind='escaped', summary='forked')",
    "forks-and-dies": "for _ in range(3):\n        if os.fork() == 0:\n            time.sleep(10_000)\n    ctypes.string_at(0)",
    "opens-a-socket": "socket.socket()\n    yield Finding(kind='escaped', summary='a socket')",
    "writes-to-the-case": "open(HERE + '/case/extracted/left', 'wb').close()\n    yield Finding(kind='escaped', summary='the case')",
    "writes-to-the-run": "open(HERE + '/case/runs/run-0001/left', 'wb').close()\n    yield Finding(kind='escaped', summary='the run')",
    "writes-to-tmp": "open('/tmp/forensics-left-behind', 'wb').close()\n    yield Finding(kind='escaped', summary='/tmp')",
    "writes-beside-the-evidence": "open(EVIDENCE + '/left', 'wb').close()\n    yield Finding(kind='escaped', summary='evidence')",
    "removes-its-folder": "shutil.rmtree(file.path().parents[1])",
    "removes-the-spool": "shutil.rmtree(file.path().parents[2], ignore_errors=True)",
}
DEADLY = {
    "segfaults": ("killed by SIGSEGV", False),
    "aborts": ("killed by SIGABRT", False),
    "is-killed": ("killed by SIGKILL, as the kernel does where memory runs out", True),
    "exits": ("ended by itself with exit code 0", False),
    "exits-by-exception": ("ended by itself with exit code 5", False),
    "interrupts-itself": ("ended by itself with exit code 1", False),
    "loops": ("of processor time (limit 1 s for 17 bytes)", True),
    "sleeps": ("gave no sign", True),
    "eats": ("MiB of memory (limit 400 MiB)", True),
    "closes-everything": ("had taken away its pipe or its folder", False),
    "removes-its-folder": ("had taken away its pipe or its folder", False),
    "removes-the-spool": ("had taken away its pipe or its folder", False),
}
REFUSED = (
    "forks",
    "forks-and-dies",
    "opens-a-socket",
    "writes-to-the-case",
    "writes-to-the-run",
    "writes-to-tmp",
    "writes-beside-the-evidence",
)
SLOW = ("loops", "sleeps", "eats")  # an exhibit each, so that they are waited for side by side


def write_plugin(folder: Path, name: str, body: str, here: Path, *, before: str = "") -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name.replace('-', '_')}.py").write_text(
        "import ctypes\nimport os\nimport shutil\nimport socket\nimport sys\nimport time\n\n"
        "from forensics.plugin import Finding, extractor\n\n"
        f"HERE = {str(here)!r}\nEVIDENCE = {str(here / 'quick')!r}\n{before}\n\n"
        f"@extractor(version='1', names=('{name}.txt',), needs=('content', 'name'))\n"
        f"def {name.replace('-', '_')}(file):\n    'Misbehaves.'\n    yield from ()\n    {body}\n"
    )


def examine(folder: Path, exhibits: list[Path], plugins: Path | None, *, children: int = 4, limits: Limits = LIMITS) -> Outcome:
    """Examine in a new case at `folder`, with the plugins of a folder beside ours."""
    case = cases.create(folder, CaseInfo(case_id="T"))
    for number, path in enumerate(exhibits, 1):
        case.add_exhibit(Exhibit(exhibit_id=str(number), image=str(path), image_format="as found"), None)
    names = KINDS + tuple(path.stem.replace("_", "-") for path in plugins.glob("*.py")) if plugins else KINDS
    options = Options(children=children, plugin_folders=(str(plugins),) if plugins else (), plugins=names, limits=limits)
    with case.lock():
        return run.examine(case, case.exhibits(), options, lambda now: None)


class Found(NamedTuple):
    """A run's outcome and what its index holds."""

    outcome: Outcome
    entries: dict[str, Examined]
    faults: list[Fault]
    records: list[Record]

    def fault(self, plugin: str) -> Fault:
        (fault,) = [fault for fault in self.faults if fault.plugin == plugin]
        return fault

    def of_file(self, name: str) -> Examined:
        (entry,) = [entry for path, entry in self.entries.items() if Location.parse(path).path == f"/{name}"]
        return entry


def found_in(folder: Path, outcome: Outcome) -> Found:
    with index.open_index(folder / "index.db") as held:
        entries = {entry.entry.location: entry for entry in held.entries()}
        return Found(outcome, entries, list(held.faults()), list(held.records()))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def exhibits(place: Path) -> list[Path]:
    """Folders with a file for each plugin that misbehaves, and files between them."""
    folders = {name: place / name for name in ("quick", *SLOW)}
    for folder in folders.values():
        folder.mkdir()
        (folder / "0-before.txt").write_text(f"before-{folder.name}@example.org")
        (folder / "zz-after.txt").write_text(f"after-{folder.name}@example.org")
    for name in BAD:
        (folders.get(name, folders["quick"]) / f"{name}.txt").write_text(f"{name}@example.org")
    return list(folders.values())


@pytest.fixture(scope="module")
def with_them(place: Path, exhibits: list[Path]) -> Found:
    for name, body in BAD.items():
        write_plugin(place / "plugins", name, body, place)
    return found_in(place / "case", examine(place / "case", exhibits, place / "plugins"))


@pytest.fixture(scope="module")
def without_them(place: Path, exhibits: list[Path]) -> Found:
    return found_in(place / "calm", examine(place / "calm", exhibits, None))


@pytest.mark.parametrize("name", DEADLY)
def test_a_plugin_that_ends_its_process_is_named_with_what_ended_it(name: str, with_them: Found) -> None:
    words, limited = DEADLY[name]
    fault = with_them.fault(name)
    assert Location.parse(fault.location).path == f"/{name}.txt"
    assert fault.kind == "died"
    assert words in fault.message
    assert fault.limit is limited
    outcome = PluginOutcome(name, "failed", "it ended the process that it ran in")
    assert outcome in with_them.of_file(f"{name}.txt").plugins


@pytest.mark.parametrize(("name", "words"), [("raises", "RuntimeError: no"), ("asks-for-all-memory", "MemoryError")])
def test_a_plugin_that_raises_is_named_and_what_it_found_before_is_kept(name: str, words: str, with_them: Found) -> None:
    fault = with_them.fault(name)
    assert (fault.kind, words in fault.message, fault.limit) == ("error", True, name == "asks-for-all-memory")
    assert [record.finding.summary for record in with_them.records if record.plugin == name] == (["before"] if name == "raises" else [])


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_plugin_may_not_do_is_refused_and_it_is_named(name: str, with_them: Found, place: Path) -> None:
    escaped = [record for record in with_them.records if record.plugin == name and record.finding.kind == "escaped"]
    faults = [fault for fault in with_them.faults if fault.plugin == name]
    if SANDBOXED:
        assert not escaped
    if not escaped:
        (fault,) = faults
        assert fault.kind in ("error", "died")
        assert "PermissionError" in fault.message or (not SANDBOXED and "SIGSEGV" in fault.message)
        assert fault.limit is False
    if SANDBOXED:
        left = (place / "case" / "extracted" / "left", place / "case" / "runs" / "run-0001" / "left", place / "quick" / "left")
        assert not any(path.exists() for path in (*left, Path("/tmp/forensics-left-behind")))


def test_a_plugin_that_prints_much_is_heard_by_nobody(with_them: Found, capfd: pytest.CaptureFixture[str]) -> None:
    assert [record.finding.summary for record in with_them.records if record.plugin == "prints"] == ["printed"]
    out, err = capfd.readouterr()
    assert "xxxx" not in out + err


def test_every_exhibit_has_the_same_digest_after_as_before(with_them: Found) -> None:
    assert with_them.outcome.unchanged == {"1": True, "2": True, "3": True, "4": True}


def test_every_file_has_its_digest_though_its_plugin_died(with_them: Found, exhibits: list[Path]) -> None:
    for folder in exhibits:
        for path in folder.glob("*.txt"):
            digests = [e.digests for place, e in with_them.entries.items() if Location.parse(place).path == f"/{path.name}"]
            assert hashlib.sha256(path.read_bytes()).hexdigest() in [d.sha256 for d in digests if d]


def test_other_plugins_found_the_same_as_in_a_run_without_them(with_them: Found, without_them: Found) -> None:
    def addresses(found: Found) -> list[str]:
        return sorted(record.id for record in found.records if record.plugin in KINDS)

    assert {name in str([record.finding.data for record in without_them.records]) for name in BAD} == {True}
    assert addresses(with_them) == addresses(without_them)


def test_the_runs_differ_in_those_pairs_and_in_nothing_else(with_them: Found, without_them: Found, place: Path) -> None:
    differences = list(index.compare(place / "case" / "index.db", "run-0001", place / "calm" / "index.db", "run-0001"))
    theirs = {f"/{name}.txt" for name in BAD}
    assert {Location.parse(difference.location).path for difference in differences} == theirs
    first = [difference.what for difference in differences if difference.side == "first"]
    assert all(what == "entry" or what.startswith(("fault ", "record ")) for what in first)
    assert not without_them.faults
    assert with_them.outcome.limited
    assert not without_them.outcome.limited


def test_nothing_that_was_forked_is_left_running(with_them: Found, place: Path) -> None:
    assert not list(processes(str(place / "case")))


def processes(word: str) -> Iterator[int]:
    """Processes that have a file below the folder `word` open or for their own, and are not this one."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            held = [os.readlink(link) for link in (entry / "fd").iterdir()]
        except OSError:
            continue
        if int(entry.name) != os.getpid() and any(link.startswith(word) for link in held):
            yield int(entry.name)


def test_what_a_plugin_changes_in_the_evidence_is_refused_or_reported_as_changed(tmp_path: Path) -> None:
    image = tmp_path / "image.E01"
    image.write_bytes((Path(__file__).parents[1] / "test_images" / "ext2.E01").read_bytes())
    before = hashlib.sha256(image.read_bytes()).hexdigest()
    body = f"with open({str(image)!r}, 'r+b') as held:\n        held.seek(5000)\n        held.write(b'changed')"
    write_plugin(tmp_path / "plugins", "passwords", body, tmp_path)
    done = forensics(
        "process", str(image), "--plugins", str(tmp_path / "plugins"), "--plugin", "passwords", "--case", str(tmp_path / "case")
    )
    assert done.returncode == 3, done.stderr
    if hashlib.sha256(image.read_bytes()).hexdigest() == before:
        assert b"unchanged, same digest before and after" in done.stdout
        with index.open_index(tmp_path / "case" / "index.db") as held:
            (fault,) = [fault for fault in held.faults() if fault.plugin == "passwords"]
        assert (fault.kind, "PermissionError" in fault.message) == ("error", True)
    else:
        assert not SANDBOXED
        assert b"CHANGED while it was examined" in done.stdout


def forensics(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "forensics", *arguments], capture_output=True, check=False, timeout=300)


def test_an_exhibit_that_segfaults_its_reader_is_named_and_the_others_are_examined(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        folder.mkdir()
        (folder / "a.txt").write_text(f"{folder.name}@example.org")
    # loading a plugin runs its file, in every child: the reader of the one exhibit is replaced there
    replaced = (
        "import forensics.engine.child as child\nreader = child.open_exhibit\n"
        "child.open_exhibit = lambda name, path, **options: ctypes.string_at(0) if name == '2' else reader(name, path, **options)\n"
    )
    write_plugin(tmp_path / "plugins", "harmless", "return", tmp_path, before=replaced)
    found = found_in(tmp_path / "case", examine(tmp_path / "case", [good, bad], tmp_path / "plugins", children=2))
    assert [(fault.location, fault.kind, fault.message, fault.limit) for fault in found.faults if fault.message.startswith("open")] == [
        ("2:", "died", "open: killed by SIGSEGV", False)
    ]
    assert found.outcome.examined_nothing == ("exhibit 2: open: killed by SIGSEGV",)
    assert found.outcome.unchanged == {"1": True}
    assert [record.finding.data["value"] for record in found.records] == ["good@example.org"]


def test_an_exhibit_that_cannot_be_measured_was_examined_all_the_same(tmp_path: Path) -> None:
    good, other = tmp_path / "good", tmp_path / "other"
    for folder in (good, other):
        folder.mkdir()
        (folder / "a.txt").write_text(f"{folder.name}@example.org")
    replaced = (
        "import forensics.engine.measure as measure\nmeasured = measure.exhibit\n"
        "measure.exhibit = lambda opened, name, *rest: ctypes.string_at(0) if name == '2' else measured(opened, name, *rest)\n"
    )
    write_plugin(tmp_path / "plugins", "harmless", "return", tmp_path, before=replaced)
    found = found_in(tmp_path / "case", examine(tmp_path / "case", [good, other], tmp_path / "plugins", children=2))
    assert found.outcome.examined_nothing == ()
    assert found.outcome.not_measured == ("exhibit 2: before the examination: measure: killed by SIGSEGV",)
    with index.open_index(tmp_path / "case" / "index.db") as held:
        assert held.unmeasured("before") == held.unmeasured("after") == {"2": "measure: killed by SIGSEGV"}
    assert {record.finding.data["value"] for record in found.records} == {"good@example.org", "other@example.org"}


def test_an_exhibit_that_no_reader_survives_ends_with_exit_code_1(tmp_path: Path) -> None:
    replaced = "import forensics.engine.child as child\nchild.open_exhibit = lambda name, path, **options: ctypes.string_at(0)\n"
    write_plugin(tmp_path / "plugins", "harmless", "return", tmp_path, before=replaced)
    (tmp_path / "exhibit.txt").write_text("x")
    plugins = ["--plugins", str(tmp_path / "plugins"), "--plugin", "harmless"]
    done = forensics("process", str(tmp_path / "exhibit.txt"), *plugins, "--case", str(tmp_path / "case"))
    assert done.returncode == 1
    assert b"killed by SIGSEGV" in done.stderr
    assert b"Traceback" not in done.stderr


def test_entries_walked_before_the_reader_segfaults_are_examined(tmp_path: Path) -> None:
    (tmp_path / "exhibit").mkdir()
    for number in range(200):
        (tmp_path / "exhibit" / f"{number:03d}.txt").write_text(f"{number}@example.org")
    replaced = (
        "import forensics.evidence.folder as folder\nwalk = folder.FolderSystem.walk\n"
        "def cut(self):\n    for number, item in enumerate(walk(self)):\n"
        "        if number == 150:\n            ctypes.string_at(0)\n        yield item\n"
        "folder.FolderSystem.walk = cut\n"
    )
    write_plugin(tmp_path / "plugins", "harmless", "return", tmp_path, before=replaced)
    found = found_in(tmp_path / "case", examine(tmp_path / "case", [tmp_path / "exhibit"], tmp_path / "plugins", children=1))
    assert {fault.message for fault in found.faults} == {
        "measure: killed by SIGSEGV",
        "plan: killed by SIGSEGV",
    }
    assert {Location.parse(place).path for place in found.entries} == {f"/{number:03d}.txt" for number in range(128)}
    assert not found.outcome.limited


def test_a_walk_that_fails_is_a_fault_and_what_came_before_it_is_examined(tmp_path: Path) -> None:
    (tmp_path / "exhibit").mkdir()
    for number in range(100):
        (tmp_path / "exhibit" / f"{number:03d}.txt").write_text(f"{number}@example.org")
    replaced = (
        "import forensics.evidence.folder as folder\nfrom forensics.errors import Corrupt\nwalk = folder.FolderSystem.walk\n"
        "def cut(self):\n    for number, item in enumerate(walk(self)):\n"
        "        if number == 90:\n            raise Corrupt('block 7 holds no directory')\n        yield item\n"
        "folder.FolderSystem.walk = cut\n"
    )
    write_plugin(tmp_path / "plugins", "harmless", "return", tmp_path, before=replaced)
    found = found_in(tmp_path / "case", examine(tmp_path / "case", [tmp_path / "exhibit"], tmp_path / "plugins", children=1))
    assert {Location.parse(place).path for place in found.entries} == {f"/{number:03d}.txt" for number in range(90)}
    assert {(fault.location, fault.kind, fault.message) for fault in found.faults} == {
        ("1:folder:", "corrupt", "could not be walked to its end: block 7 holds no directory"),
        ("1:", "corrupt", "block 7 holds no directory"),  # measured before and after
    }
    assert found.outcome.faults == 3
    assert not found.outcome.limited
    assert found.outcome.not_walked == ("exhibit 1: could not be walked to its end: block 7 holds no directory",)
    assert found.outcome.examined_nothing == ()


def test_an_exhibit_of_which_nothing_could_be_listed_was_not_examined_and_the_custody_log_says_so(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        folder.mkdir()
        (folder / "a.txt").write_text(f"{folder.name}@example.org")
    replaced = (
        "import forensics.engine.plan as plan\nfrom forensics.errors import Corrupt\nunits = plan.units\n"
        "def refused(exhibit, *rest):\n    if exhibit == '2':\n        raise Corrupt('no tree of folders')\n"
        "    yield from units(exhibit, *rest)\nplan.units = refused\n"
    )
    write_plugin(tmp_path / "plugins", "harmless", "return", tmp_path, before=replaced)
    found = found_in(tmp_path / "case", examine(tmp_path / "case", [good, bad], tmp_path / "plugins", children=2))
    why = "a file system could not be walked to its end: no tree of folders"
    assert [(fault.location, fault.kind, fault.message) for fault in found.faults] == [("2:", "corrupt", why)]
    assert (found.outcome.examined_nothing, found.outcome.not_walked) == ((f"exhibit 2: {why}",), ())
    last = list(custody.read(tmp_path / "case"))[-1]
    assert last.body and (last.body["phase"], last.body["not_examined"]) == ("completed", {"2": why})
    assert [record.finding.data["value"] for record in found.records] == ["good@example.org"]


def test_a_walk_that_never_ends_is_ended_by_a_limit(tmp_path: Path) -> None:
    (tmp_path / "exhibit").mkdir()
    replaced = (
        "import forensics.evidence.folder as folder\n"
        "def endless(self):\n    while True: pass\n    yield\n"
        "folder.FolderSystem.walk = endless\n"
    )
    write_plugin(tmp_path / "plugins", "harmless", "return", tmp_path, before=replaced)
    limits = Limits(cpu_base=0.3, wall_factor=20.0)
    outcome = examine(tmp_path / "case", [tmp_path / "exhibit"], tmp_path / "plugins", children=1, limits=limits)
    found = found_in(tmp_path / "case", outcome)
    assert [fault.location for fault in found.faults] == ["1:", "1:", "1:"]  # measured before, walked, measured after
    assert all("ended by the supervisor" in fault.message and fault.limit for fault in found.faults)
    assert outcome.limited


def test_what_a_plugin_forked_is_ended_with_its_process(tmp_path: Path) -> None:
    (tmp_path / "exhibit").mkdir()
    (tmp_path / "exhibit" / "forks.txt").write_text("forks@example.org")
    # in its file, which runs before the sandbox: what is forked there holds the pipe to the parent open
    forked = "if os.fork() == 0:\n    time.sleep(10_000)\n"
    write_plugin(tmp_path / "plugins", "forks", "ctypes.string_at(0)", tmp_path, before=forked)
    found = found_in(tmp_path / "case", examine(tmp_path / "case", [tmp_path / "exhibit"], tmp_path / "plugins", children=1))
    assert found.fault("forks").message == "killed by SIGSEGV"
    assert [record.finding.data["value"] for record in found.records] == ["forks@example.org"]
    for _ in range(100):  # what was killed is gone a moment later
        if not list(processes(str(tmp_path / "case"))):
            break
        time.sleep(0.1)
    assert not list(processes(str(tmp_path / "case")))


def test_what_sqlite_puts_aside_goes_into_the_childs_own_folder(tmp_path: Path) -> None:
    """A sort that does not fit into memory, as of the records of a case with many."""
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) SELECT i, randomblob(500) AS b FROM n"
    body = (
        "import sqlite3\n    made = sqlite3.connect('')\n    made.execute('PRAGMA temp_store = FILE')\n"
        f"    last = list(made.execute('SELECT i FROM ({rows}) ORDER BY b'))\n    yield Finding(kind='sorted', summary=str(len(last)))"
    )
    write_plugin(tmp_path / "plugins", "sorts", body, tmp_path)
    (tmp_path / "sorts.txt").write_text("x")
    found = found_in(tmp_path / "case", examine(tmp_path / "case", [tmp_path / "sorts.txt"], tmp_path / "plugins"))
    assert [record.finding.summary for record in found.records if record.finding.kind == "sorted"] == ["40000"]
    assert found.faults == []


def test_an_analyser_that_dies_is_named(tmp_path: Path) -> None:
    (tmp_path / "exhibit.txt").write_text("a@example.org")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "bad_analyser.py").write_text(
        "import ctypes\n\nfrom forensics.plugin import analyser\n\n\n"
        "@analyser(version='1')\ndef bad_analyser(records):\n    'Dies.'\n    yield from ()\n    ctypes.string_at(0)\n"
    )
    found = found_in(tmp_path / "case", examine(tmp_path / "case", [tmp_path / "exhibit.txt"], tmp_path / "plugins", children=1))
    (fault,) = found.faults
    assert (fault.location, fault.plugin, fault.message) == ("1:records:", "bad-analyser", "analyse: killed by SIGSEGV")
    assert [record.finding.data["value"] for record in found.records] == ["a@example.org"]


def test_a_plugin_whose_file_kills_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write_plugin(tmp_path / "plugins", "deadly", "return", tmp_path, before="print('about to die', flush=True)\nctypes.string_at(0)")
    (tmp_path / "exhibit.txt").write_text("x")
    with pytest.raises(EngineError, match=r"ended the process that loads plugins \(killed by SIGSEGV\); it said: about to die; remove"):
        examine(tmp_path / "case", [tmp_path / "exhibit.txt"], tmp_path / "plugins", children=1)


# --- what the crew does of deaths ---------------------------------------------------------------------------------------------


def unit(*names: str, kind: str = "file") -> bytes:
    entries = tuple(Entry(location=f"1:folder:/{name}", kind=kind, size=1) for name in names)  # type: ignore[arg-type]
    return plan.encode(plan.Unit("1", 0, entries))


def lines(path: Path) -> list[object]:
    return list(segment.read(path))


def test_entries_that_a_dead_process_did_not_reach_are_listed_as_failed(tmp_path: Path) -> None:
    job = crew.Job(Task("examine", unit=msgspec.Raw(unit("a", "b", "c"))), tmp_path / "unit")
    job.take(b"L", crew.DONE.pack(1, 0, 1))
    assert job.died("killed by SIGBUS", False, NO_ENTRY, READING)
    assert job.task.start == 1
    assert not job.died("killed by SIGBUS", False, NO_ENTRY, READING)
    job.commit()
    fault, *rest = lines(tmp_path / "unit")
    assert fault == Fault(location="1:folder:/b", kind="died", message="examine: killed by SIGBUS")
    assert [(line.entry.location, line.outcome, line.reason) for line in rest if isinstance(line, Examined)] == [
        ("1:folder:/b", "failed", crew.NOT_REACHED),
        ("1:folder:/c", "failed", crew.NOT_REACHED),
    ]


def test_a_unit_is_tried_again_where_something_was_done_between_two_deaths(tmp_path: Path) -> None:
    job = crew.Job(Task("examine", unit=msgspec.Raw(unit("a", "b", "c"))), tmp_path / "unit")
    for done in (1, 2, 3):
        assert job.died("killed by SIGKILL", True, NO_ENTRY, IDLE)
        job.take(b"L", crew.DONE.pack(done, 0, 1))
    job.abandon()


def test_processes_that_die_again_and_again_outside_any_file_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "exhibit").mkdir()
    for number in range(4000):  # four units of 1,024 entries
        (tmp_path / "exhibit" / f"{number}").touch()
    replaced = "import forensics.engine.child as child\nchild.Examiner = lambda *rest: ctypes.string_at(0)\n"
    write_plugin(tmp_path / "plugins", "harmless", "return", tmp_path, before=replaced)
    with pytest.raises(EngineError, match=r"7 processes in a row ended before they read a file \(killed by SIGSEGV\)"):
        examine(tmp_path / "case", [tmp_path / "exhibit"], tmp_path / "plugins", children=1)


class Answering:
    """A child that gives these frames."""

    number = 0

    def __init__(self, *frames: bytes) -> None:
        self._frames = list(frames)

    def receive(self) -> bytes:
        return self._frames.pop(0)


def answered(job: crew.Job, folder: Path, *frames: bytes) -> bool:
    """Whether the child is idle after its last frame."""
    (folder / "spool").mkdir()
    held = crew.Crew(
        Setup(exhibits={}, plugin_folders=(), plugins=(), options={}, spool=str(folder / "spool"), output=""), LIMITS, 1, folder
    )
    child = Answering(*frames)
    held._jobs[child] = job  # type: ignore[index]
    return [held._frame(child, lambda *more: None) for _ in frames][-1]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "stored", "limit"), [("Corrupt", "corrupt", False), ("EvidenceError", "error", False), ("TimedOut", "limit", True)]
)
def test_a_plan_that_is_refused_is_a_fault_and_its_units_are_kept(kind: str, stored: str, limit: bool, tmp_path: Path) -> None:
    job = crew.Job(Task("plan", "1"), tmp_path / "walk", tmp_path / "units", place="1:")
    assert answered(job, tmp_path, b"U" + unit("a"), b"X" + f"{kind}\n1: does not open".encode())
    [fault] = lines(tmp_path / "walk")
    message = "a file system could not be walked to its end: 1: does not open"
    assert fault == Fault(location="1:", kind=stored, message=message, limit=limit)  # type: ignore[arg-type]
    assert list(segment.raw_lines(tmp_path / "units")) == [unit("a")]


@pytest.mark.parametrize("kind", ["Gone", "OSError"])
def test_a_plan_whose_image_is_gone_or_whose_disk_is_full_ends_the_run_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    job = crew.Job(Task("plan", "1"), tmp_path / "walk", tmp_path / "units", place="1:")
    with pytest.raises(crew.Refused, match="the image is gone"):
        answered(job, tmp_path, b"U" + unit("a"), b"X" + f"{kind}\nthe image is gone".encode())
    job.abandon()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spool"]
