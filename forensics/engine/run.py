"""One examination from start to end: opened, measured, planned, examined, indexed, analysed, measured again; resumable at any point."""

import contextlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from forensics import __version__, custody, index, segment
from forensics.case import Case
from forensics.digest import identity, sha256_file
from forensics.engine import earlier, estimate, plan
from forensics.engine.crew import Crew, Job
from forensics.engine.earlier import Earlier
from forensics.engine.reach import Where, open_air
from forensics.engine.setup import READING, Limits, Setup, entry_of
from forensics.engine.task import Before, Described, OpenedInfo, Task, Wanted
from forensics.engine.twins import Twins, has_twins
from forensics.errors import CaseError, EvidenceError, UsageError
from forensics.evidence.keys import NAMES, Keys
from forensics.evidence.space import Space
from forensics.filetype import libmagic_version
from forensics.location import Location, escape
from forensics.model import Exhibit, Fault, Measured, PluginInfo, RunInfo, Scope, Value

if TYPE_CHECKING:
    from forensics.engine.cluster import Cluster

LIBRARIES = (
    "pytsk3", "deflate", "python-magic", "yara-python", "yara-x", "ExifRead", "pillow", "pillow-heif", "google-re2", "phonenumberslite",
    "python-stdnum", "zxing-cpp", "pypdf", "olefile", "defusedxml", "zstandard", "msgspec", "rfc8785", "jinja2", "dfvfs",
    "libfsapfs-python", "libpff-python", "cramjam", "cryptography", "google-crc32c", "archi", "inflate64",
)  # fmt: skip

NOT_OPENED = "not opened"  # in place of the format of an exhibit that could not be opened


LARGE = 64 << 20  # bytes of images from which all children are started at once; below, one may have done all before the next is ready
NOTICES = 20  # rules and plugins that are named on the terminal


class Options(Struct, frozen=True, kw_only=True):
    """How to examine: children, plugins and their options, scope, limits, whether known-good content is skipped, on which cluster.

    With `again` nothing is kept of earlier runs. `space` is what is examined beside files.
    """

    children: int = 0
    plugin_folders: tuple[str, ...] = ()
    plugins: tuple[str, ...] | None = None
    plugin_options: dict[str, dict[str, Value]] = {}
    scope: Scope = Scope()
    skip_known: bool = False
    limits: Limits = Limits()
    cluster: Where | None = None
    keys: Keys = Keys()
    again: bool = False
    space: Space = Space()


class Progress(Struct, frozen=True, kw_only=True):
    """How far a run is: the phase, entries and bytes done and planned, faults so far, what each child is on."""

    phase: str
    entries: int = 0
    entries_total: int = 0
    bytes: int = 0
    bytes_total: int = 0
    faults: int = 0
    current: tuple[str, ...] = ()


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of a run."""

    run: str
    digest: str
    entries: int
    faults: int
    resumed: bool
    unchanged: dict[str, bool]
    limited: bool
    examined_nothing: tuple[str, ...] = ()
    built_on: dict[str, str] = {}


def describe(options: Options, spool: Path) -> Described:
    """The plugins as `options` would use them, loaded and prepared in a child. Raises UsageError, EngineError."""
    with _folder(spool), Crew(_setup({}, options, spool), options.limits, 1, spool) as crew:
        return _described(crew)


def _described(crew: Crew) -> Described:
    job = Job(Task("describe"))
    try:
        crew.work([job], _nothing)
    except EvidenceError as error:
        raise UsageError(str(error)) from error
    return msgspec.json.decode(job.answer or b"", type=Described)


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
    with _folder(spool):
        images = {exhibit.exhibit_id: exhibit.image for exhibit in exhibits}
        with (
            Crew(_setup(images, options, spool), options.limits, children, case.extracted) as crew,
            ThreadPoolExecutor(1) as beside,
        ):
            crew.hire(children if sum(Path(image).stat().st_size for image in images.values()) > LARGE else 1)
            prepared = beside.submit(meanwhile)
            tool, loaded = tool_digest(), libraries()  # now, because the children are busy with their plugins
            described = _described(crew)
            _warn(described, notice)
            with _cluster(case, images, options, described, spool, notice) as cluster:
                info, resumed, held = _begin(case, exhibits, options, described, tool, loaded, by, clock)
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

    told = wire.told(_setup(images, options, spool), options.limits, case.extracted, os.environ.get(VARIABLE, ""))
    return Cluster(options.cluster, told, alike.likeness(described, images, tool_digest(), libraries()), notice)


@contextlib.contextmanager
def _folder(spool: Path) -> Iterator[None]:
    """The spool, empty before and gone after."""
    shutil.rmtree(spool, ignore_errors=True)
    try:
        spool.mkdir(parents=True)
    except OSError as error:
        raise CaseError(f"{spool}: cannot be made ({error.strerror}); name a case folder that can be written") from error
    try:
        yield
    finally:
        shutil.rmtree(spool, ignore_errors=True)


def _setup(images: dict[str, str], options: Options, spool: Path) -> Setup:
    return Setup(
        exhibits=images,
        plugin_folders=options.plugin_folders,
        plugins=options.plugins,
        options=options.plugin_options,
        spool=str(spool),
        output=str(spool / "output.log"),
        index=str(spool.parent / "index.db"),
        cache=str(_cache(spool)),
        scope=options.scope,
        skip_known=options.skip_known,
        keys=options.keys,
        space=options.space,
    )


def _keys_given(keys: Keys) -> dict[str, Value]:
    """What is said of keys in a run: for which layers of which kind, and nothing of the secret."""
    return {"keys": [f"{key.layer}: {NAMES[key.kind]}" for key in keys.keys]} if keys.keys else {}


def extract(case: Case, wanted: Wanted, options: Options) -> tuple[str, int]:
    """Put a file's content into the case's `extracted` folder, in a child. Its SHA-256 and bytes. Raises EvidenceError, EngineError."""
    exhibit = Location.parse(wanted.base.location).exhibit
    images = {each.exhibit_id: each.image for each in case.exhibits() if each.exhibit_id == exhibit}
    options = msgspec.structs.replace(options, space=Space(unallocated=True, slack=True, carve=True))
    spool = case.folder / f"spool-{os.getpid()}"
    with _folder(spool), Crew(_setup(images, options, spool), options.limits, 1, case.extracted) as crew:
        job = Job(Task("extract", exhibit, wanted=wanted))
        crew.work([job], _nothing)
        if job.failure or job.answer is None:
            raise EvidenceError(f"{wanted.base.location}: {job.failure or 'the process that read it ended'}")
        return msgspec.json.decode(job.answer, type=tuple[str, int])


def _cache(spool: Path) -> Path:
    """This user's cache folder, so that rules are compiled once and not once a run; the spool where there is none to write to."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forensics"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return spool / "cache"
    return folder if os.access(folder, os.W_OK) else spool / "cache"


def _nothing(entries: int, size: int, faults: int) -> None:
    return None


def tool_digest() -> str:
    """SHA-256 over the tool's own source files, in order of their names."""
    root = Path(__file__).parents[1]
    return identity([[str(path.relative_to(root)), sha256_file(path)] for path in sorted(root.rglob("*.py"))])


def libraries() -> dict[str, str]:
    """Name and version of every library that what is found may depend on."""
    found = {"python": platform.python_version(), "libmagic": libmagic_version()}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return dict(sorted(found.items()))


def _begin(
    case: Case,
    exhibits: tuple[Exhibit, ...],
    options: Options,
    described: Described,
    tool: str,
    loaded: dict[str, str],
    by: str | None,
    clock: Callable[[], datetime],
) -> tuple[RunInfo, bool, dict[str, Earlier]]:
    """A new run, or the interrupted one where it is of the same kind; and by exhibit the earlier runs that it is built on."""
    info = RunInfo(
        run="",
        exhibits=tuple(exhibit.exhibit_id for exhibit in exhibits),
        tool=__version__,
        tool_digest=tool,
        started="",
        libraries=loaded,
        plugins=tuple(plugin for plugin in described.plugins),
        scope=options.scope,
        options={"skip_known": options.skip_known, **_keys_given(options.keys), **estimate.asked(options.space)},
    )
    found = {} if options.again else {each.exhibit_id: earlier.find(case, info, each.exhibit_id) for each in exhibits}
    held = {exhibit: run for exhibit, run in found.items() if run}
    info = msgspec.structs.replace(info, built_on={exhibit: run.run for exhibit, run in held.items()})
    runs = case.runs()
    if runs and not (case.run_folder(runs[-1]) / "complete").exists():
        last = msgspec.json.decode((case.run_folder(runs[-1]) / "run.json").read_bytes(), type=RunInfo)
        custody.append(
            case.folder, "interrupted", object=last.run, body={"run": last.run, "found_at": clock().isoformat()}, by=by, at=clock()
        )
        if (last.run, "started") not in _said(case, "examined", last.run):
            _started(case, last, by, clock)  # it was ended between the two
        if msgspec.structs.replace(last, run="", started="", environment={}) == info:
            return last, True, held
    number = 1 + max((int(run.removeprefix("run-")) for run in runs), default=0)
    info = msgspec.structs.replace(
        info,
        run=f"run-{number:04d}",
        started=clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        environment={
            "system": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
            "python": sys.version.split()[0],
            "sandbox": described.sandbox,
            **({"cluster": options.cluster.address} if options.cluster else {}),
        },
    )
    folder = case.run_folder(info.run)
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    for each in ("segments", "plan"):
        (temporary / each).mkdir(parents=True)
    segment.write_whole(temporary / "run.json", msgspec.json.format(msgspec.json.encode(info, order="sorted")))
    os.rename(temporary, folder)
    segment.sync_folder(folder.parent)
    _started(case, info, by, clock)
    return info, False, held


def _started(case: Case, info: RunInfo, by: str | None, clock: Callable[[], datetime]) -> None:
    digest = sha256_file(case.run_folder(info.run) / "run.json")
    body: dict[str, object] = {"run": info.run, "phase": "started", "exhibits": list(info.exhibits), "run_sha256": digest}
    if info.built_on:
        body["built_on"] = info.built_on
    custody.append(case.folder, "examined", object=info.run, body=body, by=by, at=clock())


def _said(case: Case, event: str, run: str) -> set[tuple[str, str]]:
    """Object and phase of every event of a kind that the custody log holds of a run."""
    lines = (line for line in custody.read(case.folder) if line.event == event and line.body and line.body.get("run") == run)
    return {(line.object, str((line.body or {}).get("phase"))) for line in lines}


def _why(path: Path) -> str:
    """The last fault of a segment: why a task failed as a whole."""
    return [line.message for line in segment.read(path) if isinstance(line, Fault)][-1]


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
        self._failed: dict[str, str] = {}
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
        self._measure("before", systems)
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

    def _measure(self, phase: str, systems: dict[str, OpenedInfo]) -> None:
        """Digests of every exhibit; each a custody event."""
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
        self._crew.work(jobs, self._moved)
        said = _said(self._case, "verified", self._info.run)
        for number, exhibit in enumerate(self._info.exhibits):
            path = self._path(f"{phase}-{number}")
            measured = list(segment.read(path))
            if not any(isinstance(line, Measured) for line in measured):
                self._failed[exhibit] = _why(path)
            if (exhibit, phase) in said:
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
        jobs = []
        for number, exhibit in enumerate(self._info.exhibits):
            if exhibit in self._held:
                self._copy(number, self._held[exhibit])
            for system in range(systems[exhibit].file_systems):
                units = self._plans / f"{number}-{system}.jsonl.zst"
                if not units.exists():
                    task = Task("plan", exhibit, file_system=system, sizes=self._sizes)
                    jobs.append(Job(task, self._path(f"walk-{number}-{system}"), units, place=f"{escape(exhibit, separators=True)}:"))
        self._crew.work(jobs, self._moved)

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
        index.start(self._case.index_path)
        return [path for path in self._segments.glob("*.jsonl.zst") if not path.name.startswith(("after-", "analysis-"))]

    def _complete(self) -> Outcome:
        """Index the segments, run the analysers, write down the run's digest."""
        self._phase = "indexing"
        self._tell()
        case, info = self._case, self._info
        analysers = [number for number, plugin in enumerate(info.plugins) if plugin.kind == "analyser"]
        index.extend_run(case.index_path, info, self._segments.glob("after-*.jsonl.zst"))
        self._phase = "analysing"
        jobs = [
            Job(
                Task("analyse", start=number),
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
                "segments": segments,
                "plans": plans,
                **({"kept": {exhibit: self._said_of(run) for exhibit, run in self._held.items()}} if self._held else {}),
                **({"workers": sorted(self._cluster.took_part)} if self._cluster else {}),
            },
            by=self._by,
            at=self._clock(),
        )
        segment.write_whole(self._folder / "complete", f"{digest}\n".encode("ascii"))
        nothing = tuple(f"exhibit {exhibit}: {why}" for exhibit, why in sorted(self._failed.items()))
        return Outcome(
            run=info.run,
            digest=digest,
            entries=entries,
            faults=faults,
            resumed=self._resumed,
            unchanged=unchanged,
            limited=limited,
            examined_nothing=nothing,
            built_on={exhibit: run.run for exhibit, run in self._held.items()},
        )

    def _said_of(self, run: Earlier) -> dict[str, object]:
        """For the custody log: what was kept of which run, and which plugins read on top of it."""
        readers = [plugin.name for plugin in self._info.plugins if plugin.kind != "analyser"]
        return {"of": run.run, "plugins": list(run.kept), "read_for": [name for name in readers if name not in run.kept]}


def ensure_index(case: Case) -> None:
    """Build what is missing of the index from the segments of complete runs. Raises CaseError, CustodyBroken."""
    index.start(case.index_path)
    held = index.runs_in(case.index_path)
    for run in case.runs():
        folder = case.run_folder(run)
        if run not in held and (folder / "complete").exists():
            info = msgspec.json.decode((folder / "run.json").read_bytes(), type=RunInfo)
            index.add_run(case.index_path, info, (folder / "segments").glob("*.jsonl.zst"))
            index.conclude_run(case.index_path, run)


def plugin_named(plugins: tuple[PluginInfo, ...], name: str) -> PluginInfo:
    """The plugin of that name. Raises UsageError that names those there are."""
    for plugin in plugins:
        if plugin.name == name:
            return plugin
    raise UsageError(f"no plugin is named {name!r}; there are: {', '.join(plugin.name for plugin in plugins)}")
