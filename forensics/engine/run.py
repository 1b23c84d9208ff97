"""One examination from start to end: opened, measured, planned, examined, indexed, analysed, measured again; resumable at any point."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from forensics import custody, index, segment
from forensics.case import Case
from forensics.engine import estimate, plan
from forensics.engine.alone import plugins_of
from forensics.engine.beginning import begin, said
from forensics.engine.crew import Crew, Job
from forensics.engine.earlier import Earlier
from forensics.engine.options import Options
from forensics.engine.outcome import Outcome, Progress
from forensics.engine.reach import open_air
from forensics.engine.setup import READING, entry_of
from forensics.engine.spool import emptied, setup_of
from forensics.engine.task import Before, Described, OpenedInfo, Task
from forensics.engine.tool import libraries, tool_digest
from forensics.engine.twins import Twins, has_twins
from forensics.errors import EvidenceError, UsageError
from forensics.location import escape
from forensics.model import Exhibit, Fault, Measured, RunInfo

if TYPE_CHECKING:
    from forensics.engine.cluster import Cluster

NOT_OPENED = "not opened"  # in place of the format of an exhibit that could not be opened
LARGE = 64 << 20  # bytes of images from which all children are started at once; below, one may have done all before the next is ready
NOTICES = 20  # rules and plugins that are named on the terminal


def examine(
    case: Case,
    exhibits: tuple[Exhibit, ...],
    options: Options,
    show: Callable[[Progress], None],
    *,
    by: str | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    notice: Callable[[str], None] = lambda text: None,
    meanwhile: Callable[[], None] = lambda: None,
) -> Outcome:
    """Examine `exhibits`, or go on with the run of the same kind that was interrupted. The case is locked by the caller.

    `meanwhile` is called in a thread of its own once a child is at work, and has returned when this returns; what it raises is raised.
    Raises UsageError, CaseError, EvidenceError, EngineError; what was done until then is kept, and the same call goes on from there.
    """
    if not exhibits:
        raise UsageError("the case has no exhibit to examine; add one with `forensics exhibit add IMAGE`")
    for exhibit in exhibits:
        if not Path(exhibit.image).exists():
            raise EvidenceError(
                f"exhibit {exhibit.exhibit_id}: {exhibit.image} is not there; attach the medium that holds it, or add the exhibit again"
            )
    spool = case.folder / "spool"
    children = options.children or min(os.cpu_count() or 1, 16)
    with emptied(spool):
        images = {exhibit.exhibit_id: exhibit.image for exhibit in exhibits}
        with (
            Crew(setup_of(images, options, spool), options.limits, children, case.extracted) as crew,
            ThreadPoolExecutor(1) as beside,
        ):
            tool, loaded = tool_digest(), libraries()  # now, because the server of children is busy with what they need
            crew.hire(children if sum(Path(image).stat().st_size for image in images.values()) > LARGE else 1)
            prepared = beside.submit(meanwhile)
            described = plugins_of(crew)
            _warn(described, notice)
            with _cluster(case, images, options, described, spool, notice) as cluster:
                info, resumed, held = begin(case, exhibits, options, described, tool, loaded, by, clock)
                outcome = _Run(case, info, images, crew, options, show, by, clock, described.faults, resumed, cluster, held, notice).go()
                prepared.result()
                return outcome


def _warn(described: Described, notice: Callable[[str], None]) -> None:
    """Tell the examiner, before the work begins, what will not be looked for: rules that do not compile, plugins that do not load."""
    wrong = [f"{plugin.name}: {note}" for plugin in described.plugins for note in plugin.notes if note.startswith("not compiled")]
    wrong += [f"not loaded: {fault.location}: {fault.message}" for fault in described.faults]
    for text in wrong[:NOTICES]:
        notice(text)
    if len(wrong) > NOTICES:
        notice(f"{len(wrong) - NOTICES} more rules or plugins are not used; the report names each")


def _cluster(
    case: Case, images: dict[str, str], options: Options, described: Described, spool: Path, notice: Callable[[str], None]
) -> contextlib.AbstractContextManager["Cluster | None"]:
    """The workers of the cluster that `options` name, each compared with this machine; `None` where they name none."""
    if options.cluster is None:
        return contextlib.nullcontext()
    if options.keys.keys and open_air(options.cluster):
        raise UsageError("keys would cross the network in the clear; name a scheduler with --cluster tls://... and --cluster-tls")
    from forensics.discovery import VARIABLE
    from forensics.engine import alike, wire  # here, because who examines on one machine need not wait for them
    from forensics.engine.cluster import Cluster

    told = wire.told(setup_of(images, options, spool), options.limits, case.extracted, os.environ.get(VARIABLE, ""))
    return Cluster(options.cluster, told, alike.likeness(described, images, tool_digest(), libraries()), notice)


def _why(path: Path) -> str:
    """The last fault of a segment: why a task failed as a whole."""
    return [line.message for line in segment.read(path) if isinstance(line, Fault)][-1]


def _cut_short(walked: Path, exhibit: str) -> str | None:
    """Why a file system was not listed to its end, out of the faults of its walk: one of the exhibit as a whole, or its own last one."""
    faults = (line for line in segment.read(walked) if isinstance(line, Fault))
    return next((fault.message for fault in faults if fault.location == exhibit or fault.message.startswith(plan.CUT)), None)


class _Run:
    """A run in progress: its folder, its crew, how far it is."""

    def __init__(
        self,
        case: Case,
        info: RunInfo,
        images: dict[str, str],
        crew: Crew,
        options: Options,
        show: Callable[[Progress], None],
        by: str | None,
        clock: Callable[[], datetime],
        faults: tuple[Fault, ...],
        resumed: bool,
        cluster: "Cluster | None",
        held: dict[str, Earlier],
        notice: Callable[[str], None],
    ) -> None:
        self._case, self._info, self._images, self._crew, self._options = case, info, images, crew, options
        self._show, self._by, self._clock, self._plugin_faults, self._resumed = show, by, clock, faults, resumed
        self._cluster, self._held, self._notice = cluster, held, notice
        self._folder = case.run_folder(info.run)
        self._segments, self._plans = self._folder / "segments", self._folder / "plan"
        self._phase = "opening"
        self._entries = self._entries_total = self._bytes = self._bytes_total = self._faults = 0
        self._shown = 0.0
        self._failed: dict[str, str] = {}  # why an exhibit did not open
        self._unwalked: dict[str, str] = {}  # why not all of it is planned, though it opened
        self._unmeasured: dict[str, str] = {}  # why it has no digest, though it opened
        self._sizes: dict[str, tuple[int, ...]] = {}

    def go(self) -> Outcome:
        """All phases, each skipped where it is done already."""
        for part in self._folder.rglob(".*.part"):
            part.unlink()
        self._plugins()
        systems = self._open()
        if self._options.space.unallocated:
            size, children = sum(each.unallocated for each in systems.values()), self._options.children or min(os.cpu_count() or 1, 16)
            plugins = [each.name for each in self._info.plugins if each.idle is None]
            if size:
                self._notice(estimate.sentence(size, self._options.space, children, plugins))
        large = sum(each.size for each in systems.values()) > LARGE
        # walking takes one core: of a large exhibit it is done beside its digests, where nothing of it is known from an earlier run
        self._measure("before", systems, self._walks(systems) if large and not self._held else ())
        self._compare(systems)
        self._plan(systems)
        self._examine()
        with ThreadPoolExecutor(1) as beside:  # the index needs one core, and nothing that is measured now but its result
            indexed = beside.submit(index.add_run, self._case.index_path, self._info, self._written())
            self._measure("after", systems)
            indexed.result()
        return self._complete()

    def _path(self, name: str) -> Path:
        return self._segments / f"{name}.jsonl.zst"

    def _moved(self, entries: int, size: int, faults: int) -> None:
        self._entries, self._bytes, self._faults = self._entries + entries, self._bytes + size, self._faults + faults
        now = time.monotonic()
        if now - self._shown > 0.2:
            self._shown = now
            self._tell()

    def _tell(self) -> None:
        current = list(self._cluster.current()) if self._cluster and self._phase == "examining" else []
        for job, entry, plugin in self._crew.busy():
            current.append(self._what(job, entry, plugin))
        self._show(
            Progress(
                phase=self._phase,
                entries=self._entries,
                entries_total=self._entries_total,
                bytes=self._bytes,
                bytes_total=self._bytes_total,
                faults=self._faults,
                current=tuple(current),
            )
        )

    def _what(self, job: Job, entry: int, plugin: int) -> str:
        if job.task.what != "examine":
            return f"{job.task.what} {job.place}"
        entries = plan.decode(bytes(job.task.unit)).entries
        where = entries[entry_of(entry)].location if entry >= 0 and entry_of(entry) < len(entries) else "between files"
        names = [each.name for each in self._info.plugins if each.kind != "analyser"]
        return f"{names[plugin]}: {where}" if 0 <= plugin < len(names) else f"reading {where}" if plugin == READING else where

    def _plugins(self) -> None:
        """The plugins that could not be loaded stand among the run's faults."""
        path = self._path("plugins")
        if path.exists():
            return
        with segment.Writer(path) as writer:
            for fault in self._plugin_faults:
                writer.write(segment.encode(fault))
            writer.commit()
        self._faults += len(self._plugin_faults)

    def _open(self) -> dict[str, OpenedInfo]:
        """Open every exhibit in a child. What cannot be opened is a fault and a layer that was not examined."""
        found: dict[str, OpenedInfo] = {}
        jobs: dict[str, Job] = {}
        for number, exhibit in enumerate(self._info.exhibits):
            path, info = self._path(f"open-{number}"), self._plans / f"opened-{number}.json"
            if path.exists() and info.exists():
                found[exhibit] = msgspec.json.decode(info.read_bytes(), type=OpenedInfo)
            else:
                jobs[exhibit] = Job(Task("open", exhibit), path, place=f"{escape(exhibit, separators=True)}:")
        self._crew.work(jobs.values(), self._moved)
        for number, exhibit in enumerate(self._info.exhibits):
            if exhibit in jobs:
                job = jobs[exhibit]
                opened = OpenedInfo(0, False, NOT_OPENED)
                if job.answer and not job.failure:
                    opened = msgspec.json.decode(job.answer, type=OpenedInfo)
                segment.write_whole(self._plans / f"opened-{number}.json", msgspec.json.encode(opened))
                found[exhibit] = opened
            if found[exhibit].sizes:
                self._sizes[exhibit] = found[exhibit].sizes
            if found[exhibit].format == NOT_OPENED:
                self._failed[exhibit] = _why(self._path(f"open-{number}"))
        return found

    def _measure(self, phase: str, systems: dict[str, OpenedInfo], beside: Iterable[Job] = ()) -> None:
        """Digests of every exhibit, each a custody event; other jobs are done beside them."""
        self._phase = "measuring" if phase == "before" else "measuring again"
        self._bytes = self._bytes_total = 0
        jobs: list[Job] = []
        for number, exhibit in enumerate(self._info.exhibits):
            path = self._path(f"{phase}-{number}")
            if not path.exists():
                jobs.append(
                    Job(Task("measure", exhibit, phase=phase, sizes=self._sizes), path, place=f"{escape(exhibit, separators=True)}:")
                )
                self._bytes_total += systems[exhibit].size
        self._crew.work([*jobs, *beside], self._moved)
        told = said(self._case, "verified", self._info.run)
        for number, exhibit in enumerate(self._info.exhibits):
            path = self._path(f"{phase}-{number}")
            measured = list(segment.read(path))
            if exhibit not in self._failed and not any(isinstance(line, Measured) for line in measured):
                self._unmeasured.setdefault(exhibit, f"{phase} the examination: {_why(path)}")
            if (exhibit, phase) in told:
                continue
            custody.append(
                self._case.folder,
                "verified",
                object=exhibit,
                body={
                    "run": self._info.run,
                    "phase": phase,
                    "measured": [msgspec.to_builtins(line) for line in measured],
                    "segment_sha256": segment.digest(path),
                },
                by=self._by,
                at=self._clock(),
            )

    def _compare(self, systems: dict[str, OpenedInfo]) -> None:
        """Keep nothing of an earlier run whose exhibit had another digest, or opened otherwise."""
        for number, exhibit in enumerate(self._info.exhibits):
            if (held := self._held.get(exhibit)) is None:
                continue
            now = next((line.image.sha256 for line in segment.read(self._path(f"before-{number}")) if isinstance(line, Measured)), None)
            same = (
                segment.digest(self._path(f"open-{number}")) == held.layers() and len(list(held.plans())) == systems[exhibit].file_systems
            )
            if now is None or now != held.sha256() or not same:
                self._notice(f"exhibit {exhibit}: it is not as it was in {held.run}, so nothing of that is kept")
                del self._held[exhibit]

    def _copy(self, number: int, held: Earlier) -> None:
        """The plan of an exhibit as an earlier run wrote it down."""
        for system, planned, walked in held.plans():
            units = self._plans / f"{number}-{system}.jsonl.zst"
            if not units.exists():
                segment.write_whole(self._path(f"walk-{number}-{system}"), walked.read_bytes())
                segment.write_whole(units, planned.read_bytes())

    def _plan(self, systems: dict[str, OpenedInfo]) -> None:
        """Walk every file system of every exhibit and write down what is to be read."""
        self._phase = "planning"
        self._entries = self._bytes = self._bytes_total = 0
        for number, exhibit in enumerate(self._info.exhibits):
            if exhibit in self._held:
                self._copy(number, self._held[exhibit])
        self._crew.work(self._walks(systems), self._moved)
        for number, exhibit in enumerate(self._info.exhibits):
            for system in range(systems[exhibit].file_systems):
                if why := _cut_short(self._path(f"walk-{number}-{system}"), f"{escape(exhibit, separators=True)}:"):
                    self._unwalked.setdefault(exhibit, why)

    def _walks(self, systems: dict[str, OpenedInfo]) -> list[Job]:
        """Jobs that walk each file system of which there is no plan yet."""
        jobs = []
        for number, exhibit in enumerate(self._info.exhibits):
            for system in range(systems[exhibit].file_systems):
                units = self._plans / f"{number}-{system}.jsonl.zst"
                if not units.exists():
                    task = Task("plan", exhibit, file_system=system, sizes=self._sizes)
                    jobs.append(Job(task, self._path(f"walk-{number}-{system}"), units, place=f"{escape(exhibit, separators=True)}:"))
        return jobs

    def _planned(self, number: int) -> bool:
        """Whether the plan has anything of the exhibit of this number."""
        return any(True for path in self._plans.glob(f"{number}-*.jsonl.zst") for _ in segment.raw_lines(path))

    def _units(self) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of every unit of the plan, in order."""
        for path in sorted(self._plans.glob("*.jsonl.zst")):
            for number, raw in enumerate(segment.raw_lines(path)):
                yield f"unit-{path.name.removesuffix('.jsonl.zst')}-{number:06d}", raw

    def _examine(self) -> None:
        """Every unit that has no segment yet."""
        self._phase = "examining"
        self._bytes = self._bytes_total = self._entries = self._entries_total = 0
        held = {str(number): self._held.get(exhibit) for number, exhibit in enumerate(self._info.exhibits)}
        later = False  # whether some files wait for their twins on the live volumes
        for name, raw in self._units():
            later = later or has_twins(raw)
            unit = plan.decode(raw)
            _, number, rest = name.split("-", 2)
            run = held[number]
            if run and run.whole and not self._path(name).exists():
                segment.write_whole(self._path(name), run.unit(rest).read_bytes())
            self._entries_total += len(unit.entries)
            self._bytes_total += unit.size
            if self._path(name).exists():
                self._entries += len(unit.entries)
                self._bytes += unit.size

        twins = Twins(self._plans, self._segments, self._info.plugins, self._info.scope)

        def jobs(have_twins: bool) -> Iterator[Job]:
            for name, raw in self._units():
                if has_twins(raw) == have_twins and not self._path(name).exists():
                    _, number, rest = name.split("-", 2)
                    run = held[number]
                    before = Before(run.kept, run.unit(rest).read_bytes()) if run else None
                    if have_twins and not run:
                        before = twins.before(name, plan.decode(raw))
                    yield Job(Task("examine", unit=msgspec.Raw(raw), sizes=self._sizes, before=before), self._path(name))

        work = (self._cluster or self._crew).work
        work(jobs(have_twins=False), self._moved)
        if later:
            work(jobs(have_twins=True), self._moved)

    def _written(self) -> list[Path]:
        """The segments of the examination itself."""
        index.ensure(self._case)  # of earlier runs too: the report tells what is known of all exhibits
        return [path for path in self._segments.glob("*.jsonl.zst") if not path.name.startswith(("after-", "analysis-"))]

    def _complete(self) -> Outcome:
        """Index the segments, run the analysers, write down the run's digest."""
        self._phase = "indexing"
        self._tell()
        case, info = self._case, self._info
        analysers = [number for number, plugin in enumerate(info.plugins) if plugin.kind == "analyser" and plugin.idle is None]
        index.extend_run(case.index_path, info, self._segments.glob("after-*.jsonl.zst"))
        self._phase = "analysing"
        jobs = [
            Job(
                Task("analyse", start=number, run=info.run),
                self._path(f"analysis-{number}"),
                place=f"{escape(info.exhibits[0], separators=True)}:records:",
                plugin=info.plugins[number].name,
            )
            for number in analysers
        ]
        self._crew.work(jobs, self._moved)
        index.extend_run(case.index_path, info, self._segments.glob("analysis-*.jsonl.zst"))
        index.conclude_run(case.index_path, info.run)
        with index.open_index(case.index_path, info.run) as found:
            digest, limited, unchanged = found.run_digest(info.run), found.limited(info.run), found.checks()
            entries, faults = found.entry_count(), found.fault_count()
        for number, exhibit in enumerate(info.exhibits):
            if exhibit in self._unwalked and not self._planned(number):
                self._failed.setdefault(exhibit, self._unwalked.pop(exhibit))
        segments, plans = (
            {path.name: segment.digest(path) for path in sorted(folder.glob("*.jsonl.zst"))} for folder in (self._segments, self._plans)
        )
        custody.append(
            case.folder,
            "examined",
            object=info.run,
            body={
                "run": info.run,
                "phase": "completed",
                "run_digest": digest,
                "limited": limited,
                "faults": faults,
                **{name: why for name, why in (("not_examined", self._failed), ("not_walked", self._unwalked)) if why},
                "segments": segments,
                "plans": plans,
                **({"kept": {exhibit: self._said_of(run) for exhibit, run in self._held.items()}} if self._held else {}),
                **({"workers": sorted(self._cluster.took_part)} if self._cluster else {}),
            },
            by=self._by,
            at=self._clock(),
        )
        segment.write_whole(self._folder / "complete", f"{digest}\n".encode("ascii"))
        nothing, unwalked, unmeasured = (
            tuple(f"exhibit {exhibit}: {why}" for exhibit, why in sorted(each.items()))
            for each in (self._failed, self._unwalked, self._unmeasured)
        )
        return Outcome(
            run=info.run,
            digest=digest,
            entries=entries,
            faults=faults,
            resumed=self._resumed,
            unchanged=unchanged,
            limited=limited,
            examined_nothing=nothing,
            not_walked=unwalked,
            not_measured=unmeasured,
            built_on={exhibit: run.run for exhibit, run in self._held.items()},
        )

    def _said_of(self, run: Earlier) -> dict[str, object]:
        """For the custody log: what was kept of which run, and which plugins read on top of it."""
        readers = [plugin.name for plugin in self._info.plugins if plugin.kind != "analyser"]
        return {"of": run.run, "plugins": list(run.kept), "read_for": [name for name in readers if name not in run.kept]}
