"""A child that has entered the sandbox reads its evidence, writes its spool, starts threads, and nothing else; and it lives on.

What is tried is tried in a process of its own: this file, run as a program, enters the sandbox and says of each attempt how it ended.
"""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import platform
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from forensics import discovery, index
from forensics.cli import cli
from forensics.engine import landlock, sandbox, seccomp
from forensics.engine.setup import Setup

CONTENT = b"what was seized"
SHIPPED = discovery.shipped("test_images")
LIBC = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def attempts(evidence: Path, spool: Path, outside: Path, before: Any, port: int) -> dict[str, Callable[[], object]]:
    seized, secret = evidence / "seized.bin", outside / "secret"
    return {
        "write to the evidence": lambda: open(seized, "r+b"),
        "create beside the evidence": lambda: open(evidence / "new", "wb"),
        "delete the evidence": seized.unlink,
        "rename the evidence": lambda: os.rename(seized, spool / "taken"),
        "link the evidence": lambda: os.link(seized, spool / "linked"),
        "cut the evidence": lambda: os.truncate(seized, 0),
        "change the evidence's mode": lambda: os.chmod(seized, 0o777),
        "change the evidence's owner": lambda: os.chown(seized, os.getuid(), os.getgid()),
        "change the evidence's times": lambda: os.utime(seized, (0, 0)),
        "change the evidence's attributes": lambda: os.setxattr(seized, "user.note", b"x"),
        "write to /tmp": lambda: open(f"/tmp/forensics-{os.getpid()}", "wb"),
        "write to the home folder": lambda: open(Path.home() / f".forensics-{os.getpid()}", "wb"),
        "write outside": lambda: open(outside / "new", "wb"),
        "make a folder outside": lambda: os.mkdir(outside / "folder"),
        "read outside": secret.read_bytes,
        "read outside from a thread": lambda: ThreadPoolExecutor(1).submit(secret.read_bytes).result(),
        "list outside": lambda: os.listdir(outside),
        "read outside through a link of the evidence's": (evidence / "link").read_bytes,
        "read the passwords": Path("/etc/passwd").read_bytes,
        "read another process": Path(f"/proc/{os.getppid()}/environ").read_bytes,
        "read where only names may be listed": (outside.with_name("home") / "key").read_bytes,
        "open a socket": socket.socket,
        "open a local socket": lambda: socket.socket(socket.AF_UNIX),
        "open a pair of sockets": socket.socketpair,
        "connect a socket that was open before": lambda: before.connect(("127.0.0.1", port)),
        "fork": os.fork,
        "start a program": lambda: subprocess.run(["/bin/true"], check=True),
        "spawn a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "become a program": lambda: os.execv("/bin/true", ["true"]),
        "trace the parent": lambda: checked(LIBC.ptrace(16, os.getppid(), None, None)),
        "signal the parent": lambda: os.kill(os.getppid(), 0),
        "signal everybody": lambda: os.kill(-1, 0),
        "bound the parent": lambda: checked(LIBC.prlimit(os.getppid(), 4, None, ctypes.create_string_buffer(16))),
        "enter a new name space": lambda: checked(LIBC.unshare(0x10000000)),
        "mount": lambda: checked(LIBC.mount(b"none", str(spool).encode(), b"tmpfs", 0, None)),
        "make a device": lambda: os.mknod(spool / "device", 0o60600, os.makedev(8, 0)),
        "make a pipe with a name": lambda: os.mkfifo(spool / "pipe"),
        "read the evidence": lambda: (seized.read_bytes() == CONTENT) or 1 / 0,
        "list the evidence": lambda: os.listdir(evidence),
        "list names": lambda: os.listdir(outside.with_name("home")),
        "map the evidence": lambda: mapped(seized),
        "write to the spool": lambda: (spool / "kept").write_bytes(CONTENT),
        "move things in the spool": lambda: moved(spool),
        "use a temporary folder": lambda: temporary(spool),
        "use a database": lambda: database(spool),
        "use threads": threads,
        "import a module": lambda: __import__("colorsys"),
        "read random bytes": lambda: os.urandom(16) + Path("/dev/urandom").open("rb").read(16),
        "write to nowhere": lambda: Path("/dev/null").write_bytes(b"x"),
        "signal oneself": lambda: os.kill(os.getpid(), 0),
    }


def mapped(path: Path) -> None:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        assert view[:] == CONTENT


def moved(spool: Path) -> None:
    (spool / "one").mkdir()
    (spool / "a").write_bytes(b"a")
    os.link(spool / "a", spool / "one" / "b")
    os.rename(spool / "one" / "b", spool / "c")
    (spool / "c").unlink()
    (spool / "one").rmdir()


def temporary(spool: Path) -> None:
    with tempfile.TemporaryDirectory(dir=spool) as folder:
        os.truncate(os.open(Path(folder, "x"), os.O_RDWR | os.O_CREAT), 100)


def database(spool: Path) -> None:
    with contextlib.closing(sqlite3.connect(spool / "db")) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x)")


def threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(len, [b"a"] * 100)) == 100


ALLOWED = (
    "read the evidence", "list the evidence", "list names", "map the evidence", "write to the spool", "move things in the spool",
    "use a temporary folder", "use a database", "use threads", "import a module", "read random bytes", "write to nowhere", "signal oneself",
)  # fmt: skip
REFUSED = tuple(name for name in attempts(*[Path("a")] * 3, None, 0) if name not in ALLOWED)


def program(evidence: Path, spool: Path, outside: Path, port: int, kernel: str) -> None:
    """Enter, try everything, say how it ended."""
    if kernel == "old":
        landlock.abi = lambda: 0
        platform.machine = lambda: "riscv64"
    before = socket.socket()
    tried = attempts(evidence, spool, outside, before, port)
    held = sandbox.enter([evidence], [spool], [outside.with_name("home")])
    ended = {}
    for name, attempt in tried.items():
        if kernel == "old" and name not in ALLOWED:
            continue
        try:
            attempt()
            ended[name] = "done"
        except OSError as error:
            ended[name] = errno.errorcode.get(error.errno or 0, str(error))
    x32 = LIBC.syscall(ctypes.c_long(0x40000000 + 39)) if platform.machine() == "x86_64" else -1
    print(
        json.dumps(
            {"held": str(held), "landlock": held.landlock, "seccomp": held.seccomp, "ended": ended, "x32": [x32, ctypes.get_errno()]}
        )
    )


def tried(folder: Path, kernel: str) -> dict:
    evidence, spool, outside = folder / "evidence", folder / "spool", folder / "outside"
    for each in (evidence, spool, outside, folder / "home"):
        each.mkdir()
    (folder / "home" / "key").write_bytes(b"private")
    (evidence / "seized.bin").write_bytes(CONTENT)
    (outside / "secret").write_bytes(b"of somebody else")
    (evidence / "link").symlink_to(outside / "secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, __file__, evidence, spool, outside, str(server.getsockname()[1]), kernel]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (evidence / "seized.bin").read_bytes() == CONTENT
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory) -> dict:
    found = tried(tmp_path_factory.mktemp("confined"), "this")
    if not (found["landlock"] >= 3 and found["seccomp"]):
        pytest.skip(f"this kernel does not hold all bounds: {found['held']}")
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_reader_of_evidence_needs_is_refused(name: str, confined: dict) -> None:
    assert confined["ended"][name] in ("EPERM", "EACCES", "EXDEV")


@pytest.mark.parametrize("name", ALLOWED)
def test_what_a_reader_of_evidence_needs_is_left(name: str, confined: dict) -> None:
    assert confined["ended"][name] == "done"


def test_another_way_into_the_kernel_is_shut(confined: dict) -> None:
    assert confined["x32"][0] == -1
    if platform.machine() == "x86_64":
        assert confined["x32"][1] == errno.EPERM  # the kernel itself would say ENOSYS


def test_what_held_is_said(confined: dict) -> None:
    assert confined["held"] == f"rlimits, Landlock (ABI {landlock.abi()}), seccomp, no network"


def test_a_kernel_without_bounds_is_worked_on_and_named(tmp_path: Path) -> None:
    found = tried(tmp_path, "old")
    assert {name: found["ended"][name] for name in ALLOWED} == dict.fromkeys(ALLOWED, "done")
    assert found["held"].startswith("rlimits; did not hold: Landlock: the kernel offers none")
    assert found["held"].endswith("seccomp: no filter is written for the machine 'riscv64'")


def headers(path: str, prefix: str) -> dict[str, int]:
    if not Path(path).exists():
        pytest.skip(f"no {path}: install linux-libc-dev")
    return {name: int(number) for name, number in re.findall(rf"#define {prefix}(\w+)\s+(\d+)", Path(path).read_text())}


@pytest.mark.parametrize(
    ("column", "path", "prefix"),
    [(0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "__NR_"), (1, "/usr/include/asm-generic/unistd.h", "__NR(?:3264)?_")],
)
def test_calls_have_the_numbers_of_the_kernels_headers(column: int, path: str, prefix: str) -> None:
    kernel = headers(path, prefix)
    ours = {name: numbers[column] for name, numbers in {**seccomp.DENIED, **seccomp.JUDGED}.items()}
    assert {name: number for name, number in ours.items() if name in kernel} == {name: kernel[name] for name in ours if name in kernel}
    newest = max(kernel.values())
    assert all(name in kernel or number is None or number > newest for name, number in ours.items())
    assert kernel["seccomp"] == list(seccomp.MACHINES.values())[column][2]


def verdict(machine: str, number: int, arguments: tuple[int, ...] = (0, 0), architecture: int | None = None) -> int:
    """What the filter returns: an interpreter of the five instructions that it is made of (Linux, Documentation/networking/filter.rst)."""
    data = {0: number, 4: architecture or seccomp.MACHINES[machine][0], **{16 + 8 * place: value for place, value in enumerate(arguments)}}
    filled = seccomp.program(machine, 4711)
    place = register = 0
    while True:
        code, true, false, value = filled[place]
        if code == 0x20:
            register = data[value] & 0xFFFFFFFF
        elif code == 0x06:
            return value
        else:
            test = {0x15: register == value, 0x35: register >= value, 0x45: bool(register & value)}[code]
            place += true if test else false
        place += 1


ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
THREAD = 0x3D0F00  # what glibc's pthread_create asks of clone(2)


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
def test_the_filter_lets_threads_start_and_no_process(machine: str, column: int) -> None:
    call = {name: numbers[column] for name, numbers in seccomp.JUDGED.items()}
    assert verdict(machine, call["clone"], (THREAD, 0)) == ALLOW
    assert verdict(machine, call["clone"], (17, 0)) == EPERM  # SIGCHLD: fork
    assert verdict(machine, call["clone"], (0x4111, 0)) == EPERM  # CLONE_VM | CLONE_VFORK | SIGCHLD: posix_spawn
    assert verdict(machine, call["clone"], (THREAD | 0x40000000, 0)) == EPERM  # CLONE_NEWNET
    assert verdict(machine, call["clone3"]) == ENOSYS
    assert verdict(machine, call["kill"], (4711, 9)) == ALLOW
    assert verdict(machine, call["tgkill"], (4712, 9)) == EPERM
    assert verdict(machine, call["prlimit64"], (0, 7)) == ALLOW
    assert verdict(machine, call["prlimit64"], (1, 7)) == EPERM
    assert verdict(machine, call["ioctl"], (0, 0x5401)) == ALLOW  # TCGETS
    assert verdict(machine, call["ioctl"], (0, 0x5412)) == EPERM  # TIOCSTI
    assert {verdict(machine, numbers[column]) for numbers in seccomp.DENIED.values() if numbers[column] is not None} == {EPERM}
    assert verdict(machine, {"x86_64": 0, "aarch64": 63}[machine]) == ALLOW  # read
    assert verdict(machine, {"x86_64": 0, "aarch64": 63}[machine], architecture=0x40000003) == EPERM  # AUDIT_ARCH_I386


def test_what_the_orders_name_is_readable(tmp_path: Path) -> None:
    image, phone, rules, known = tmp_path / "images" / "a.E01", tmp_path / "phone", tmp_path / "rules.yar", tmp_path / "known.txt"
    (tmp_path / "images").mkdir()
    phone.mkdir()
    for each in (image, rules, known):
        each.write_bytes(b"x")
    setup = Setup(
        exhibits={"1": str(image), "2": str(phone)},
        plugin_folders=(str(tmp_path),),
        plugins=None,
        options={"rule-match": {"rules": [str(rules)], "timeout": 60}, "known-hash": {"sets": [f"good:{known}"], "cache": "/no/such"}},
        spool=str(tmp_path / "case" / "spool"),
        output="",
        index=str(tmp_path / "case" / "index.db"),
    )
    found = set(sandbox.readable(setup))
    assert {image.parent, phone, rules, known, tmp_path / "case", tmp_path} <= found
    assert not list(sandbox.listed(setup))
    assert not found & {phone.parent.parent, Path("/"), Path("/no/such")}


PLUGIN = '''
import errno
import socket
from collections.abc import Iterator
from pathlib import Path

from forensics.plugin import File, Finding, extractor


@extractor(version="1.0")
def breaks_out(file: File) -> Iterator[Finding]:
    """Tries what it must not."""
    image = Path({image!r})
    tries = {{
        "image": lambda: image.open("r+b"), "beside": lambda: image.with_name("x").touch(), "case": lambda: Path({case!r}, "x").touch(),
        "socket": socket.socket,
    }}
    data = {{}}
    for name, attempt in tries.items():
        try:
            attempt()
        except OSError as error:
            data[name] = errno.errorcode[error.errno]
    data["copy"] = len(file.path().read_bytes())
    yield Finding(kind="attempt", summary="what came of it", data=data)
'''


def test_a_plugin_breaks_out_of_nothing_and_the_report_says_what_held(tmp_path: Path, confined: dict) -> None:
    image, plugins, folder = tmp_path / "evidence" / "image.E01", tmp_path / "plugins", tmp_path / "case"
    image.parent.mkdir()
    plugins.mkdir()
    shutil.copyfile(SHIPPED / "ext2.E01", image)
    (plugins / "breaks_out.py").write_text(PLUGIN.format(image=str(image), case=str(folder)))
    arguments = ["process", str(image), "--case", str(folder), "--plugins", str(plugins), "--plugin", "breaks-out", "--lang", "en"]
    assert CliRunner().invoke(cli, arguments, standalone_mode=False).exception is None
    with index.open_index(folder / "index.db") as found:
        records = list(found.records(kind="attempt"))
    assert records
    for record in records:
        for name in ("image", "beside", "case"):
            assert record.finding.data[name] == "EACCES"
        assert record.finding.data["socket"] == "EPERM"
    assert [path.name for path in image.parent.iterdir()] == ["image.E01"]
    (page,) = folder.glob("reports/*/report.html")
    assert f"sandbox: {confined['held']}" in re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))


RUN = """
import sys
from pathlib import Path
from forensics import case as cases
from forensics.engine import run
from forensics.engine.options import Options
from forensics.model import CaseInfo, Exhibit
if __name__ == "__main__":
    case = cases.create(Path(sys.argv[2]), CaseInfo(case_id="T"))
    case.add_exhibit(Exhibit(exhibit_id="1", image=sys.argv[1], image_format="as found"), None)
    with case.lock():
        print(run.examine(case, case.exhibits(), Options(children=1), lambda now: None).digest)
"""
OFF = """
import sys
if "forensics" not in sys.modules:
    from forensics.engine import sandbox
    sandbox.enter = lambda read, write, names: sandbox.Held(rlimits=False, landlock=0, seccomp=False, network=False)
"""


def test_the_sandbox_changes_nothing_that_is_found(tmp_path: Path, confined: dict) -> None:
    (tmp_path / "off").mkdir()
    (tmp_path / "off" / "sitecustomize.py").write_text(OFF)
    (tmp_path / "run.py").write_text(RUN)
    digests, held = [], []
    for name, added in (("on", {}), ("free", {"PYTHONPATH": str(tmp_path / "off")})):
        command = [sys.executable, tmp_path / "run.py", SHIPPED / "ext2.E01", tmp_path / name]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=os.environ | added, check=False)
        assert done.returncode == 0, done.stderr
        digests.append(done.stdout)
        held.append(json.loads((tmp_path / name / "runs" / "run-0001" / "run.json").read_text())["environment"]["sandbox"])
    assert digests[0] == digests[1]
    assert held == [confined["held"], "none"]


def test_of_an_image_in_a_home_folder_no_other_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / "other").mkdir()
    for name in ("a.E01", "a.E02", ".netrc"):
        (tmp_path / name).write_bytes(b"x")
    setup = Setup(exhibits={"1": str(tmp_path / "a.E01")}, plugin_folders=(), plugins=None, options={}, spool="", output="")
    found = set(sandbox.readable(setup))
    assert {tmp_path / "a.E01", tmp_path / "a.E02"} <= found
    assert not found & {tmp_path, tmp_path / ".ssh", tmp_path / ".netrc", tmp_path / "other"}
    assert list(sandbox.listed(setup)) == [tmp_path]


if __name__ == "__main__":
    program(*map(Path, sys.argv[1:4]), int(sys.argv[4]), sys.argv[5])
