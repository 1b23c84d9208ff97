"""A run on a cluster's workers, real Dask processes here, comes to the digest of a local run, whatever happens to the workers."""

import contextlib
import datetime
import hashlib
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
import zstandard
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from forensics import case as cases
from forensics import custody
from forensics.engine import alike, delivery, host, reach, wire
from forensics.engine.crew import Job
from forensics.engine.setup import Limits, Setup
from forensics.engine.task import Task
from forensics.errors import EngineError, UsageError
from forensics.model import Exhibit

pytest.importorskip("distributed")

EXT2 = Path(__file__).parents[1] / "test_images" / "ext2.E01"
FILES = 2300  # more than two units of 1024 entries
GATED = """import time
from collections.abc import Iterator
from pathlib import Path

from forensics.plugin import File, Finding, extractor


@extractor(version="1", needs=("name",))
def gated_reader(file: File) -> Iterator[Finding]:
    \"\"\"The name of a file; from the 1100th on, once the gate is open.\"\"\"
    while file.name > "01100" and not Path(__file__).with_name("gate").exists():
        time.sleep(0.02)
    yield Finding(kind="name", summary=file.name)
"""
root_only = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root: makes namespaces of its own")


# --- processes --------------------------------------------------------------------------------------------------------------


def forensics(*arguments: object, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-m", "forensics", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def digest_of(done: subprocess.CompletedProcess[str]) -> str:
    """The run digest of an `examine --json`, every line of whose output is JSON."""
    assert done.returncode in (0, 3), done.stderr
    return next(line["run"]["digest"] for line in map(json.loads, done.stdout.splitlines()) if "run" in line)


def until(true: Callable[[], object], what: str, seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, f"not in {seconds} s: {what}"
        time.sleep(0.05)


@contextlib.contextmanager
def running(log: Path, said: str, *command: object, prefix: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has `said` something in its log, ended on leaving."""
    with open(log, "wb") as file:
        process = subprocess.Popen([*prefix, *map(str, command)], stdout=file, stderr=file, cwd=log.parent)
    try:
        until(lambda: said in log.read_text() or process.poll() is not None, f"{said!r} in {log.name}")
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def scheduler(
    folder: Path, port: int, *options: object, address: str = "127.0.0.1", prefix: Sequence[str] = ()
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    command = (sys.executable, "-m", "dask", "scheduler", "--host", address, "--port", port, "--no-dashboard", *options)
    return running(folder / f"scheduler-{time.monotonic_ns()}.log", "Scheduler at:", *command, prefix=prefix)


def worker(
    folder: Path, at: str, name: str, *options: object, prefix: Sequence[str] = ()
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    command = (sys.executable, "-m", "dask", "worker", at, "--name", name, "--nthreads", 1, "--no-nanny", "--no-dashboard")
    scratch = folder / name
    scratch.mkdir()
    return running(folder / f"{name}.log", "Registered to:", *command, "--local-directory", scratch, *options, prefix=prefix)


def new_case(folder: Path, image: Path) -> Path:
    case = cases.create(folder)
    case.add_exhibit(Exhibit(exhibit_id="1", image=str(image), image_format="as found"), None)
    return folder


def extracted(case: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in case.glob("extracted/??/*")}


# --- the main job -----------------------------------------------------------------------------------------------------------


def test_workers_on_this_machine_find_what_a_local_run_finds_and_print_nothing_but_json(evidence: Path, tmp_path: Path) -> None:
    image = evidence / "cases" / "winbox-a.E01"
    plugins = ("--plugin", "photo-exif", "--plugin", "known-hash")
    local = forensics("examine", "--case", new_case(tmp_path / "one", image), "--json", *plugins)
    shared = forensics("examine", "--case", new_case(tmp_path / "two", image), "--json", *plugins, "--cluster", "local:2")
    assert digest_of(shared) == digest_of(local)
    assert shared.stderr == ""
    assert extracted(tmp_path / "two") == extracted(tmp_path / "one") != {}
    assert cases.check(cases.open_case(tmp_path / "two")) == []


class Gated:
    """A folder of many files that is examined half, until a gate is opened; and the digest of a local run."""

    def __init__(self, folder: Path) -> None:
        self.files, self._gate = folder / "files", folder / "plugins" / "gate"
        for made in (self.files, self._gate.parent):
            made.mkdir()
        for number in range(FILES):
            (self.files / f"{number:05}").write_text(f"{number}\n")
        self._gate.with_name("gated.py").write_text(GATED)
        self._options = ("--json", "--plugins", self._gate.parent, "--plugin", "gated-reader")
        self.open()
        done = forensics("examine", "--case", new_case(folder / "case", self.files), *self._options)
        self.digest = digest_of(done)
        assert done.returncode == 0, "the reader itself fails"

    def open(self) -> None:
        self._gate.touch()

    def close(self) -> None:
        self._gate.unlink(missing_ok=True)

    def examining(self, case: Path, at: str) -> "subprocess.Popen[str]":
        """A run on the cluster that has one unit done, and waits in the next ones."""
        self.close()
        command = [sys.executable, "-m", "forensics", "examine", "--case", str(case), *map(str, self._options), "--cluster", at]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        until(lambda: list(case.glob("runs/run-0001/segments/unit-*")) or run.poll() is not None, "a unit done")
        return run


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Gated:
    return Gated(tmp_path_factory.mktemp("gated"))


def finished(run: "subprocess.Popen[str]") -> subprocess.CompletedProcess[str]:
    stdout, stderr = run.communicate(timeout=240)
    return subprocess.CompletedProcess(run.args, run.returncode, stdout, stderr)


def test_a_worker_killed_and_one_that_joins_late_change_nothing(gated: Gated, tmp_path: Path) -> None:
    case, port = new_case(tmp_path / "case", gated.files), free_port()
    at = f"tcp://127.0.0.1:{port}"
    with scheduler(tmp_path, port), worker(tmp_path, at, "steady"), worker(tmp_path, at, "doomed") as doomed:
        run = gated.examining(case, at)
        doomed.kill()
        with worker(tmp_path, at, "late"):
            until(lambda: list((tmp_path / "late").rglob("forensics-*")) or run.poll() is not None, "the late worker being checked")
            gated.open()
            done = finished(run)
        until(lambda: not list((tmp_path / "doomed").rglob("forensics-*")), "what a killed worker had spooled is removed")
    assert digest_of(done) == gated.digest, done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("forensics: worker doomed (tcp://127.0.0.1:")] == []
    assert done.stderr.endswith(" is lost; its unit goes to another\n")
    assert cases.check(cases.open_case(case)) == []


def test_a_lost_scheduler_is_said_in_a_sentence_and_the_same_command_goes_on(gated: Gated, tmp_path: Path) -> None:
    case, port = new_case(tmp_path / "case", gated.files), free_port()
    at = f"tcp://127.0.0.1:{port}"
    with scheduler(tmp_path, port) as lost, worker(tmp_path, at, "first"):
        run = gated.examining(case, at)
        lost.kill()
        failed = finished(run)
    assert failed.returncode == 1
    # that its workers are gone too may be noticed first
    assert failed.stderr.splitlines(keepends=True)[-1] == (
        f"forensics: the scheduler at {at} is gone; what was done is kept: start it again, and the same command goes on from there\n"
    )
    kept = {path: path.stat().st_mtime_ns for path in case.glob("runs/run-0001/segments/unit-*")}
    assert len(kept) == 1
    with scheduler(tmp_path, port), worker(tmp_path, at, "second"):
        run = gated.examining(case, at)
        gated.open()
        resumed = finished(run)
    assert digest_of(resumed) == gated.digest
    assert next(line["run"]["resumed"] for line in map(json.loads, resumed.stdout.splitlines()) if "run" in line) is True
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_ctrl_c_on_workers_of_this_machine_ends_in_a_sentence_and_leaves_no_process(gated: Gated, tmp_path: Path) -> None:
    run = gated.examining(new_case(tmp_path / "case", gated.files), "local:2")
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    interrupted = finished(run)
    assert interrupted.returncode == 1
    assert interrupted.stderr.strip() == "forensics: interrupted; what was done is kept, the same command goes on from there"
    until(lambda: subprocess.run(["pgrep", "-g", str(run.pid)], capture_output=True).stdout == b"", "every process of the run ended")


# --- who is refused ---------------------------------------------------------------------------------------------------------


@root_only
def test_workers_with_other_rules_without_the_image_or_with_another_forensics_are_named_and_refused(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    image, rules, others = tmp_path / "image" / "ext2.E01", tmp_path / "rules.yar", tmp_path / "others.yar"
    shutil.copyfile(EXT2, image)
    rules.write_text('rule one { strings: $a = "abc" condition: $a }')
    others.write_text('rule one { strings: $a = "abd" condition: $a }')
    options = ("--json", "--plugin", "rule-match", "--rules", rules)
    expected = digest_of(forensics("examine", "--case", new_case(tmp_path / "local", image), *options))
    case, port = new_case(tmp_path / "case", image), free_port()
    at = f"tcp://127.0.0.1:{port}"

    def alone(*command: object) -> list[str]:
        """A mount namespace of its own, in which `command` is run first."""
        return ["unshare", "-m", "sh", "-ec", f'{" ".join(map(str, command))}; exec "$@"', "sh"]

    (tmp_path / "other" / "forensics").mkdir(parents=True)
    (tmp_path / "other" / "forensics" / "__init__.py").write_text("")
    foreign = ["env", f"PYTHONPATH={tmp_path / 'other'}"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(scheduler(tmp_path, port))
        stack.enter_context(worker(tmp_path, at, "foreign", prefix=foreign))
        stack.enter_context(worker(tmp_path, at, "strange", prefix=alone("mount", "--bind", others, rules)))
        stack.enter_context(worker(tmp_path, at, "blind", prefix=alone("mount", "-t", "tmpfs", "none", image.parent)))
        refused = forensics("examine", "--case", case, *options, "--cluster", at)
        assert refused.returncode == 1
        assert refused.stdout == ""
        assert "what plugin rule-match reads (rules or hash sets) has other digests" in refused.stderr
        assert f"exhibit 1: {image} cannot be read there (No such file or directory)" in refused.stderr
        assert "forensics: worker foreign (" in refused.stderr
        assert not list((case / "runs").iterdir())  # refused before the run starts
        stack.enter_context(worker(tmp_path, at, "alike"))
        done = forensics("examine", "--case", case, *options, "--cluster", at)
    assert digest_of(done) == expected
    named = {line.split()[2] for line in done.stderr.splitlines() if " is refused: " in line}
    assert named == {"strange", "blind", "foreign"}
    (completed,) = (line.body for line in custody.read(case) if line.body and line.body.get("phase") == "completed")
    assert [str(name).split()[0] for name in completed["workers"]] == ["alike"]


def test_an_image_of_another_size_or_with_other_bytes_at_its_ends_is_told(tmp_path: Path) -> None:
    content = bytearray(os.urandom(6 << 20))
    path = tmp_path / "usb.raw"
    path.write_bytes(content)
    first = alike.sample(path)
    assert first.size == 6 << 20
    for place in (0, len(content) - 1, (len(content) // 15) * 7 + 100):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert alike.sample(path) != first, place
    path.write_bytes(content[:-512])
    assert alike.sample(path) != first
    assert alike.sample(tmp_path / "none.raw").problem == f"{tmp_path / 'none.raw'} cannot be read there (No such file or directory)"


def test_every_segment_of_a_split_image_is_compared_and_nothing_else_beside_it(tmp_path: Path) -> None:
    for name in ("a.E01", "a.E02", "a.E03"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    first = alike.sample(tmp_path / "a.E01")
    assert first.size == 3 * 5000
    (tmp_path / "a.txt").write_text("notes of the acquisition")
    assert alike.sample(tmp_path / "a.E01") == first
    (tmp_path / "a.E03").unlink()
    assert alike.sample(tmp_path / "a.E01").size == 2 * 5000


def test_what_differs_is_named_in_words() -> None:
    plugin = alike.Plugin("1.0", "a" * 64, ("b" * 64,), "c" * 64)
    ours = alike.Likeness(
        python="3.11",
        tool="1" * 64,
        libraries={"pillow": "11.0"},
        plugins={"photo-exif": plugin},
        exhibits={"1": alike.Sample(5, "d" * 64)},
    )
    assert list(alike.differences(ours, ours)) == []
    theirs = alike.Likeness(
        python="3.12",
        tool="2" * 64,
        libraries={"pillow": "11.1"},
        plugins={"photo-exif": msgspec.structs.replace(plugin, digest="e" * 64), "more": plugin},
        exhibits={},
    )
    assert list(alike.differences(ours, theirs)) == [
        "it has Python 3.12, not 3.11",
        "its forensics is another (SHA-256 of the sources 222222222222, not 111111111111)",
        "pillow is 11.1, not 11.0",
        "it has a plugin more more",
        "plugin photo-exif is another (version 1.0, SHA-256 eeeeeeeeeeee, not 1.0, aaaaaaaaaaaa)",
        "exhibit 1: it does not answer for it",
    ]


# --- reaching it ------------------------------------------------------------------------------------------------------------


def certificates(folder: Path) -> None:
    """A certification authority and one certificate of it, as PEM files ca.pem, cert.pem, key.pem."""
    now = datetime.datetime.now(datetime.UTC)

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def certificate(subject: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, is_ca: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("test CA"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        )
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.pem").write_bytes(certificate("test CA", authority, authority, True))
    (folder / "cert.pem").write_bytes(certificate("node", own, authority, False))
    (folder / "key.pem").write_bytes(
        own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_over_tls_with_certificates_of_ones_own_and_not_without(tmp_path: Path) -> None:
    certificates(tmp_path)
    (tmp_path / "cluster.toml").write_text('[cluster]\nca = "ca.pem"\ncert = "cert.pem"\nkey = "key.pem"\n')
    (tmp_path / "stranger").mkdir()
    certificates(tmp_path / "stranger")
    (tmp_path / "stranger" / "cluster.toml").write_text('ca = "ca.pem"\ncert = "cert.pem"\nkey = "key.pem"\n')
    tls = ("--tls-ca-file", tmp_path / "ca.pem", "--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem")
    port = free_port()
    at = f"tls://127.0.0.1:{port}"
    options = ("--json", "--plugin", "known-hash")
    expected = digest_of(forensics("examine", "--case", new_case(tmp_path / "local", EXT2), *options))
    case = new_case(tmp_path / "case", EXT2)
    with scheduler(tmp_path, port, "--protocol", "tls", *tls), worker(tmp_path, at, "node", *tls):
        refused = forensics("examine", "--case", case, *options, "--cluster", at, "--cluster-tls", tmp_path / "stranger" / "cluster.toml")
        done = forensics("examine", "--case", case, *options, "--cluster", at, "--cluster-tls", tmp_path / "cluster.toml")
    assert refused.returncode == 1
    assert f"forensics: no scheduler answers at {at}" in refused.stderr
    assert digest_of(done) == expected
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("address", "file", "said"),
    [
        ("scheduler:8786", None, "'scheduler:8786' is not a cluster"),
        ("local:0", None, "'local:0' is not a cluster"),
        ("tls://scheduler:8786", None, "needs certificates"),
        ("tcp://scheduler:8786", 'ca = "x"', "--cluster-tls goes with an address that begins with tls://"),
        ("tls://scheduler:8786", 'ca = "x', "is not TOML"),
        ("tls://scheduler:8786", "[cluster]\n", "does not say ca, the path of a PEM file"),
        ("tls://scheduler:8786", 'ca = "absent.pem"', "absent.pem, which is not a file"),
    ],
)
def test_an_address_or_a_file_that_cannot_be_used_is_refused_at_once(address: str, file: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    if file is not None:
        path.write_text(file)
    with pytest.raises(UsageError, match=said.replace("[", r"\[")):
        reach.where(address, path if file is not None else None)


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"^--cluster needs Dask, which is not installed: pip install 'forensics\[cluster\]'$"):
        with reach.connected(reach.where("tcp://127.0.0.1:1")):
            pass


# --- a unit elsewhere -------------------------------------------------------------------------------------------------------


def told(folder: Path, image: Path = EXT2) -> bytes:
    spool = folder / "spool"
    spool.mkdir(parents=True)
    setup = Setup(
        exhibits={"1": str(image)},
        plugin_folders=(),
        plugins=("known-hash",),
        options={},
        spool=str(spool),
        output=str(spool / "output.log"),
    )
    return wire.encode_told(wire.told(setup, Limits(), folder / "extracted", ""))


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which reading processes make theirs."""
    monkeypatch.setattr(host, "_scratch", lambda: str(tmp_path))
    return tmp_path


def test_a_reading_process_ends_with_its_run_and_leaves_nothing(scratch: Path) -> None:
    answer = host.check("run", told(scratch / "case"))
    assert answer[:1] == wire.LIKENESS
    assert alike.decode(answer[1:]).exhibits["1"].size == EXT2.stat().st_size
    assert len(list(scratch.glob("forensics-*"))) == 1
    host.end("run")
    assert list(scratch.glob("forensics-*")) == []
    assert host.examine("run", b"") == wire.GONE


def test_a_reading_process_that_dies_is_not_taken_for_an_answer(scratch: Path) -> None:
    assert host.check("run", told(scratch / "case"))[:1] == wire.LIKENESS
    assert host.examine("run", b"this is no task")[:1] == wire.DIED
    assert list(scratch.glob("forensics-*")) == []


def test_a_worker_whose_image_is_gone_by_now_says_so_and_ends(scratch: Path) -> None:
    image = scratch / "gone.E01"
    shutil.copyfile(EXT2, image)
    assert host.check("run", told(scratch / "case", image))[:1] == wire.LIKENESS
    image.unlink()
    task = Task("examine", unit=msgspec.Raw(b'{"exhibit":"1","file_system":0,"entries":[]}'))
    answer = host.examine("run", zstandard.compress(msgspec.json.encode(task)))
    assert answer[:1] == wire.REFUSED
    assert b"gone.E01" in answer
    assert list(scratch.glob("forensics-*")) == []


def test_lines_or_attachments_other_than_their_digest_are_refused(tmp_path: Path) -> None:
    lines = b'{"type":"fault"}\n'
    digest = hashlib.sha256(lines).hexdigest()
    answer = wire.Answer(segment=zstandard.compress(lines), digest=digest, attachments={}, entries=1, bytes=2, faults=1)
    good = Job(Task("examine"), tmp_path / "unit.jsonl.zst")
    assert delivery.accept(good, answer, tmp_path / "extracted", tmp_path) == (1, 2, 1)
    assert good.digest == answer.digest
    other = Job(Task("examine"), tmp_path / "other.jsonl.zst")
    with pytest.raises(EngineError, match="other lines than its worker wrote"):
        delivery.accept(other, msgspec.structs.replace(answer, digest="0" * 64), tmp_path / "extracted", tmp_path)
    cut = Job(Task("examine"), tmp_path / "cut.jsonl.zst")
    with pytest.raises(EngineError):
        delivery.accept(cut, msgspec.structs.replace(answer, segment=answer.segment[:-3]), tmp_path / "extracted", tmp_path)
    bad = Job(Task("examine"), tmp_path / "bad.jsonl.zst")
    with pytest.raises(EngineError, match="other content than its digest"):
        delivery.accept(bad, msgspec.structs.replace(answer, attachments={"0" * 64: b"x"}), tmp_path / "extracted", tmp_path)
    bad.abandon()
    assert {path.name for path in tmp_path.iterdir()} == {"unit.jsonl.zst"}


# --- over a network ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def network() -> Iterator[tuple[str, str, str]]:
    """Two network namespaces of our own, joined by a cable: their names, and the address of the first."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("needs root and iproute2: makes network namespaces of its own")
    mark = f"{os.getpid() % 100_000}"
    here, there = f"forensics-{mark}-a", f"forensics-{mark}-b"

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    made = []
    try:
        for name in (here, there):
            ip("netns", "add", name)
            made.append(name)
        ip("-n", here, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", there)
        for name, address in ((here, "10.213.7.1/30"), (there, "10.213.7.2/30")):
            ip("-n", name, "address", "add", address, "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield here, there, "10.213.7.1"
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this kernel makes no network namespaces here: {error.stderr.decode().strip()}")
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def test_a_worker_on_another_host_that_does_not_see_the_case_sends_what_it_found(
    network: tuple[str, str, str], evidence: Path, tmp_path: Path
) -> None:
    here, there, address = network
    image = evidence / "cases" / "winbox-a.E01"
    options = ("--json", "--plugin", "photo-exif")
    local, case = new_case(tmp_path / "local", image), new_case(tmp_path / "hidden" / "case", image)
    expected = digest_of(forensics("examine", "--case", local, *options))
    at = f"tcp://{address}:8786"
    blind = ["ip", "netns", "exec", there, "sh", "-ec", f'mount -t tmpfs none {tmp_path / "hidden"}; exec "$@"', "sh"]
    inside = ["ip", "netns", "exec", here]
    with scheduler(tmp_path, 8786, address=address, prefix=inside), worker(tmp_path, at, "far", prefix=blind):
        done = forensics("examine", "--case", case, *options, "--cluster", at, prefix=inside)
    assert digest_of(done) == expected
    assert done.stderr == (f"forensics: {at} is not encrypted: what is found crosses the network in the clear (see --cluster-tls)\n")
    assert extracted(case) == extracted(local) != {}
