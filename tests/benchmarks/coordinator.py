"""What a run on a cluster costs the coordinator, and what a unit costs a worker: the figures of docs/cluster.md.

    python tests/benchmarks/coordinator.py [--entries 1000000] [--folder DIR]     the coordinator: made-up units through its own code
    python tests/benchmarks/coordinator.py --worker IMAGE ...                     a worker: the units of real images, one child

Given are seconds of processor time, so that a busy machine gives the same figures as an idle one, and beside them seconds by the clock.
"""

import argparse
import functools
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
import zstandard

from forensics import index, segment
from forensics.engine import alike, cluster, delivery, host, plan, reach, tool, wire
from forensics.engine.crew import Crew, Job
from forensics.engine.setup import Limits, Setup
from forensics.engine.task import OpenedInfo, Task
from forensics.evidence.layers import open_exhibit
from forensics.model import Digests, Entry, Examined, PluginInfo, PluginOutcome, Result, RunInfo, StoredFinding, Times

UNIT = plan.UNIT_ENTRIES
WHEN = "2026-03-01T10:20:30Z"
PLUGINS = ("features", "known-hash", "rule-match", "type-mismatch")


def entry(number: int) -> Entry:
    place = f"2026-1:volume@1048576:ntfs:/Users/somebody/AppData/Local/Program {number % 977}/cache/{number // 977:06}/file-{number:08}.dat"
    return Entry(location=f"{place};meta={number}-128-1", kind="file", size=4096, times=Times(WHEN, WHEN, WHEN, WHEN), start=number * 4096)


def lines(unit: plan.Unit) -> bytes:
    """What a worker would write for a unit: every entry with its digests and plugins, and a finding in every tenth."""
    out = []
    for number, each in enumerate(unit.entries):
        sha256 = hashlib.sha256(each.location.encode())
        digests = Digests(sha256.hexdigest(), sha256.hexdigest()[:40], sha256.hexdigest()[:32])
        found = number % 10 == 0
        if found:
            finding = StoredFinding(kind="url", summary=f"Link https://{sha256.hexdigest()[:12]}.example/", data={"value": each.location})
            out.append(segment.encode(Result(plugin="features", content=digests.sha256, findings=(finding,))))
        plugins = tuple(PluginOutcome(name, "read", None, None, int(found and name == "features")) for name in PLUGINS)
        out.append(segment.encode(Examined(entry=each, outcome="read", digests=digests, mime="application/octet-stream", plugins=plugins)))
    return b"".join(out)


def units(entries: int) -> Iterator[plan.Unit]:
    for first in range(0, entries, UNIT):
        yield plan.Unit("2026-1", 0, tuple(map(entry, range(first, min(first + UNIT, entries)))))


def answer(unit: plan.Unit) -> wire.Answer:
    raw = lines(unit)
    digest = hashlib.sha256(raw).hexdigest()
    return wire.Answer(segment=zstandard.compress(raw), digest=digest, attachments={}, entries=len(unit.entries), bytes=0, faults=0)


class Clock:
    """Processor and wall seconds, added up by name, and printed."""

    def __init__(self, entries: int) -> None:
        self._entries, self._spent = entries, dict[str, tuple[float, float]]()

    def time(self, name: str, work: Callable[[], object]) -> object:
        cpu, wall = time.process_time(), time.monotonic()
        done = work()
        before = self._spent.get(name, (0.0, 0.0))
        self._spent[name] = before[0] + time.process_time() - cpu, before[1] + time.monotonic() - wall
        return done

    def add(self, name: str, cpu: float) -> None:
        self._spent[name] = cpu, 0.0

    def show(self) -> None:
        print(f"{'':42}{'CPU s':>9}{'clock s':>9}{'CPU ms a unit':>15}{'CPU s for 10 million entries':>30}")
        for name, (cpu, wall) in self._spent.items():
            print(f"{name:42}{cpu:9.1f}{wall:9.1f}{cpu / self._entries * UNIT * 1000:15.1f}{cpu / self._entries * 1e7:30.0f}")


def coordinator(entries: int, folder: Path) -> None:
    """The coordinator's path for so many entries: read the plan, hand units out and take answers in, make them durable, index."""
    clock = Clock(entries)
    segments, spool = folder / "segments", folder / "spool"
    segments.mkdir()
    spool.mkdir()
    with segment.Writer(folder / "plan.jsonl.zst") as writer:
        for unit in units(entries):
            writer.write(plan.encode(unit) + b"\n")
        writer.commit()

    def read() -> None:
        for raw in segment.raw_lines(folder / "plan.jsonl.zst"):
            assert plan.decode(raw).size >= 0
        for raw in segment.raw_lines(folder / "plan.jsonl.zst"):
            assert raw

    clock.time("read the plan (totals, then units)", read)
    carried(min(entries, 200 * UNIT), folder, clock, entries)
    for number, unit in enumerate(units(entries)):
        given = wire.encode_answer(answer(unit))
        job = Job(Task("examine"), segments / f"unit-0-0-{number:06}.jsonl.zst")
        clock.time("make a unit durable", functools.partial(_accept, job, given, folder))
    known = tuple(
        PluginInfo(name=name, kind="extractor", version="1", description="", digest="0", source="", selection="") for name in PLUGINS
    )
    info = RunInfo(run="run-0001", exhibits=("2026-1",), tool="0", tool_digest="0", started=WHEN, libraries={}, plugins=known)
    path = folder / "index.db"

    def indexed() -> None:
        index.start(path)
        index.add_run(path, info, segments.glob("*.jsonl.zst"))
        index.conclude_run(path, "run-0001")
        with index.open_index(path, "run-0001") as found:
            assert found.run_digest("run-0001")

    clock.time("build the index, take the run digest", indexed)
    clock.time("digest the segments for the custody log", lambda: [segment.digest(each) for each in sorted(segments.iterdir())])
    held, indexed_as = sum(each.stat().st_size for each in segments.iterdir()), path.stat().st_size
    print(f"{entries} entries in {-(-entries // UNIT)} units; {held / 1e6:.0f} MB of segments, index of {indexed_as / 1e6:.0f} MB;")
    print(f"largest memory of the coordinator {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB\n")
    clock.show()


def _accept(job: Job, given: bytes, folder: Path) -> None:
    delivery.accept(job, wire.decode_answer(given), folder / "extracted", folder / "spool")


def check_at_once(run: str, told: bytes) -> bytes:
    """In a worker: remember the answer that came with what it is told, and be what the coordinator is."""
    import forensics.engine.host as there

    likeness, there.prepared = msgspec.msgpack.decode(told)  # type: ignore[attr-defined]
    return wire.LIKENESS + bytes(likeness)


def examine_at_once(run: str, task: bytes) -> bytes:
    """In a worker: every unit is done."""
    import forensics.engine.host as there

    return wire.ANSWER + there.prepared  # type: ignore[attr-defined,no-any-return]


def drop(job: Job, answer: wire.Answer, extracted: Path, spool: Path) -> tuple[int, int, int]:
    """In place of `accept`, which is measured by itself."""
    job.abandon()
    return answer.entries, 0, 0


def carried(entries: int, folder: Path, clock: Clock, scale: int) -> None:
    """Hand out and take in through a real scheduler and two workers that do nothing, in processes of their own."""
    port = 18786

    def dask(*arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments, "--no-dashboard"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    at = f"tcp://127.0.0.1:{port}"
    scheduler = dask("scheduler", "--host", "127.0.0.1", "--port", str(port))
    workers = [dask("worker", at, "--nthreads", "1", "--no-nanny") for _ in range(2)]
    one = next(units(UNIT))
    prepared = wire.encode_answer(answer(one))
    setup = Setup(exhibits={}, plugin_folders=(), plugins=None, options={}, spool=str(folder / "spool"), output="")
    same = alike.Likeness(python="", tool="", libraries={}, plugins={}, exhibits={})
    original = host.check, host.examine, cluster.accept
    host.check, host.examine, cluster.accept = check_at_once, examine_at_once, drop
    process = psutil.Process(scheduler.pid)
    crew = cluster.Cluster(reach.where(at), wire.told(setup, Limits(), folder, ""), same, print)
    crew._encoded = msgspec.msgpack.encode((msgspec.json.encode(same), prepared))  # the way of what a worker is told
    try:
        with crew:
            before = _cpu(process)
            raw = plan.encode(one)
            jobs = (Job(Task("examine", unit=msgspec.Raw(raw)), folder / "spool" / f"{number}") for number in range(entries // UNIT))
            cpu, wall = time.process_time(), time.monotonic()
            crew.work(jobs, lambda *moved: None)
            cpu, wall = time.process_time() - cpu, time.monotonic() - wall
            print(f"{entries // UNIT} units there and back in {wall:.1f} s; {len(prepared) / 1e3:.0f} kB an answer")
            clock.add("hand out, take in (coordinator)", cpu * scale / entries)
            clock.add("carry (scheduler's process)", (_cpu(process) - before) * scale / entries)
    finally:
        host.check, host.examine, cluster.accept = original
        for each in (*workers, scheduler):
            each.kill()
            each.wait()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


# --- a worker ---------------------------------------------------------------------------------------------------------------


def worker(image: Path, folder: Path) -> None:
    """Processor seconds of one worker for all units of `image`, and of the coordinator's own children for measuring and planning."""
    spool = folder / "spool"
    spool.mkdir()
    setup = Setup(
        exhibits={"1": str(image)}, plugin_folders=(), plugins=None, options={}, spool=str(spool), output=str(spool / "output.log")
    )
    rows: list[tuple[str, float]] = []
    planned = folder / "plan.jsonl.zst"
    with Crew(setup, Limits(), 1, folder) as crew:

        def spent(name: str, job: Job) -> Job:
            def now() -> float:
                return sum(_cpu(each) for each in psutil.Process().children(recursive=True))

            crew.work([Job(Task("describe"))], lambda *moved: None)
            before = now()
            crew.work([job], lambda *moved: None)
            rows.append((name, now() - before))
            return job

        opened = spent("open", Job(Task("open", "1"), folder / "open"))
        systems = msgspec.json.decode(opened.answer or b"", type=OpenedInfo).file_systems
        spent("measure before (SHA-256, SHA-1, MD5)", Job(Task("measure", "1", phase="before"), folder / "before"))
        spent("measure after (SHA-256)", Job(Task("measure", "1", phase="after"), folder / "after"))
        spent("plan", Job(Task("plan", "1", file_system=0), folder / "walk", planned))
    raws = list(segment.raw_lines(planned))
    entries, size = sum(len(plan.decode(raw).entries) for raw in raws), sum(plan.decode(raw).size for raw in raws)
    host.check("bench", wire.encode_told(wire.told(setup, Limits(), folder / "extracted", "")))
    before = sum(_cpu(each) for each in psutil.Process().children(recursive=True))
    answers = 0
    for raw in raws:
        given = host.examine("bench", zstandard.compress(msgspec.json.encode(Task("examine", unit=msgspec.Raw(raw)))))
        assert given[:1] == wire.ANSWER, given[:200]
        answers += len(given)
    rows.append(("examine (one worker)", sum(_cpu(each) for each in psutil.Process().children(recursive=True)) - before))
    host.end("bench")
    medium = open_exhibit("1", image).image
    total = medium.size if medium else size
    what = f"{systems} file systems, the first with {entries} entries, {size / 1e6:.0f} MB in {len(raws)} units"
    print(f"{image.name}: medium of {total / 1e6:.0f} MB, {what}")
    print(f"answers of {answers / 1e6:.1f} MB, {answers / max(1, len(raws)) / 1e3:.0f} kB a unit\n")
    print(f"{'':42}{'CPU s':>9}{'MB/s':>9}{'entries/s':>12}")
    for name, cpu in rows:
        print(f"{name:42}{cpu:9.2f}{(size if 'examine' in name else total) / 1e6 / max(cpu, 0.01):9.0f}{entries / max(cpu, 0.01):12.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--worker", type=Path, nargs="+", default=())
    given = parser.parse_args()
    print(
        f"forensics {tool.tool_digest()[:12]}, Python {sys.version.split()[0]}, {os.cpu_count()} processors, {datetime.now(UTC):%Y-%m-%d}\n"
    )
    for image in given.worker or (None,):
        folder = Path(tempfile.mkdtemp(prefix="coordinator-", dir=given.folder))
        try:
            worker(image.absolute(), folder) if image else coordinator(given.entries, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print()


if __name__ == "__main__":
    main()
