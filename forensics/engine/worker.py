"""The child's side of one unit: every entry read once, digested, typed, offered to the plugins; the segment's lines come out."""

from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from forensics import segment
from forensics.digest import identity
from forensics.engine import content as contents
from forensics.engine.keep import Keeper
from forensics.engine.plan import Unit
from forensics.engine.scope import outside, outside_kinds
from forensics.engine.setup import READING, Status
from forensics.engine.workshop import Tool
from forensics.errors import Corrupt, EvidenceError, LimitExceeded, Locked, Unsupported
from forensics.evidence.layers import FileSystem, Stream
from forensics.filetype import mime_of
from forensics.location import Location, printable
from forensics.model import Digests, Entry, Examined, Fault, FaultKind, Finding, Outcome, PluginOutcome, Result, Scope, StoredFinding
from forensics.plugin import File

REMEMBERED = 100_000  # distinct contents whose outcomes a child keeps
_NO_CONTENT = ("directory", "link", "other")


class Verdict(Struct, frozen=True):
    """What one plugin made of one content: free of location."""

    outcome: Outcome
    reason: str | None
    findings: int
    fault: tuple[FaultKind, str] | None  # kind, message


class Death(Struct, frozen=True):
    """Why the pair of an entry and a plugin ended its child twice, and is not tried again."""

    entry: int
    plugin: int
    message: str
    limit: bool


class Examiner:
    """Examines units with the same tools, and remembers which contents it has done."""

    def __init__(
        self,
        tools: tuple[Tool, ...],
        scope: Scope,
        folder: Path,
        keeper: Keeper,
        status: Status,
        known_good: Callable[[Digests], bool] | None,
    ) -> None:
        self._tools = [tool for tool in tools if tool.plugin.kind != "analyser"]
        self._scope, self._folder, self._keeper, self._status = scope, folder, keeper, status
        self._known_good = known_good
        self._done: dict[tuple[str, str, str | None], Verdict] = {}

    def examine(
        self, unit: Unit, file_system: FileSystem, start: int, deaths: dict[tuple[int, int], Death]
    ) -> Iterator[tuple[int, int, bytes]]:
        """For each entry from number `start` on: the number of entries done, bytes read, and the lines. Raises OSError (disk full)."""
        for number in range(start, len(unit.entries)):
            entry = unit.entries[number]
            lines = b"".join(map(segment.encode, self._entry(number, entry, file_system, deaths)))
            yield number + 1, entry.size, lines

    def _entry(
        self, number: int, entry: Entry, file_system: FileSystem, deaths: dict[tuple[int, int], Death]
    ) -> Iterator[Examined | Result | Fault]:
        if entry.kind in _NO_CONTENT:
            yield Examined(entry=entry)
            return
        self._status.publish(number, READING, entry.size)
        location = Location.parse(entry.location)
        reason = outside(self._scope, location.path, entry.times)
        if reason is None and entry.content == "reallocated":
            reason = "its content now belongs to another file"
        if reason is None and entry.content == "unknown" and not entry.size:
            reason = "nothing says any more how large its content was, and where it lay"
        if reason is not None:
            yield Examined(entry=entry, outcome="skipped", reason=reason)
            return
        death = deaths.get((number, READING))
        if death:
            yield Fault(location=entry.location, kind="died", message=death.message, limit=death.limit)
            yield Examined(entry=entry, outcome="failed", reason="reading it ended the reader")
            return
        try:
            stream = file_system.open(location)
            digests, head, content = contents.read(stream, entry.size, entry.holes, self._folder, keep=True)
        except EvidenceError as error:
            kind = _kind(error)
            yield Fault(location=entry.location, kind=kind, message=str(error))
            yield Examined(entry=entry, outcome="failed", reason=f"could not be read: {kind}")
            return
        try:
            yield from self._content(number, entry, location, file_system, stream, digests, head, content, deaths)
        finally:
            content.close()

    def _content(
        self,
        number: int,
        entry: Entry,
        location: Location,
        file_system: FileSystem,
        stream: Stream,
        digests: Digests,
        head: bytes,
        content: contents.Content,
        deaths: dict[tuple[int, int], Death],
    ) -> Iterator[Examined | Result | Fault]:
        if getattr(stream, "changed", None) and stream.changed():
            yield Fault(
                location=entry.location, kind="changed", message="the file changed while it was read; its digests are of no single state"
            )
        mime = mime_of(head)
        reason = outside_kinds(self._scope, mime)
        if reason is not None:
            yield Examined(entry=entry, outcome="skipped", reason=reason)
            return
        known = self._known_good is not None and self._known_good(digests)
        path = printable(location.path)
        outcomes: list[PluginOutcome] = []
        for tool in self._tools:
            if entry.state in ("deleted", "orphan") and not tool.plugin.select.deleted:
                if tool.fits(mime, path, head):
                    outcomes.append(PluginOutcome(tool.plugin.name, "skipped", "it asks for allocated files only"))
                continue
            if not tool.fits(mime, path, head):
                continue
            if known and "name" not in tool.plugin.needs and tool.plugin.name != "known-hash":
                outcomes.append(PluginOutcome(tool.plugin.name, "skipped", "known-good content"))
                continue
            death = deaths.get((number, tool.number))
            if death:
                yield Fault(location=entry.location, kind="died", plugin=tool.plugin.name, message=death.message, limit=death.limit)
                outcomes.append(PluginOutcome(tool.plugin.name, "failed", "it ended the process that it ran in"))
                continue
            self._status.publish(number, tool.number, entry.size)
            context, companions = self._context(tool, entry, location, file_system)
            key = (tool.plugin.name, digests.sha256, context)
            verdict = self._done.get(key)
            if verdict is None:
                file = File(
                    location=location,
                    size=entry.size,
                    mime=mime,
                    sha256=digests.sha256,
                    content=content,
                    allocated=entry.state == "allocated",
                    deleted=entry.state in ("deleted", "orphan"),
                    times=entry.times,
                    needs=tool.plugin.needs,
                    companions=companions.get,
                )
                verdict, findings = run_plugin(tool, file, self._keeper)
                content.release()
                if len(self._done) >= REMEMBERED:
                    self._done.clear()
                self._done[key] = verdict
                if findings:
                    yield Result(plugin=tool.plugin.name, content=digests.sha256, context=context, findings=tuple(findings))
            if verdict.fault:
                kind, message = verdict.fault
                yield Fault(location=entry.location, kind=kind, plugin=tool.plugin.name, message=message)
            outcomes.append(PluginOutcome(tool.plugin.name, verdict.outcome, verdict.reason, context, verdict.findings))
        self._status.publish(number, READING, entry.size)
        yield Examined(entry=entry, outcome="read", digests=digests, mime=mime, plugins=tuple(outcomes))

    def _context(self, tool: Tool, entry: Entry, location: Location, file_system: FileSystem) -> tuple[str | None, dict[str, File]]:
        """The digest of what beside the content the plugin declared to depend on, and the companions themselves."""
        needs = tool.plugin.needs
        if needs == ("content",):
            return None, {}
        declared: dict[str, object] = {}
        companions: dict[str, File] = {}
        if "location" in needs:
            declared["location"] = [entry.location, entry.state]
        elif "name" in needs:
            declared["name"] = location.stream or location.name
        if "times" in needs:
            declared["times"] = entry.times
        for suffix in tool.plugin.companions if "companions" in needs else ():
            beside = file_system.sibling(location, suffix)
            if beside is None:
                continue
            stream = file_system.open(beside)
            folder = self._folder / f"companion-{len(companions)}"
            folder.mkdir(exist_ok=True)
            digests, head, content = contents.read(stream, stream.size, (), folder, keep=True)
            declared[suffix] = digests.sha256
            companions[suffix] = File(
                location=beside, size=stream.size, mime=mime_of(head), sha256=digests.sha256, content=content, needs=needs
            )
        return identity(declared), companions


def run_plugin(tool: Tool, file: File, keeper: Keeper) -> tuple[Verdict, list[StoredFinding]]:
    """Run one plugin on one file. What it found before it failed is kept. This is where the one broad `except` stands."""
    findings: list[StoredFinding] = []
    fault: tuple[FaultKind, str] | None = None
    outcome: Outcome = "read"
    reason: str | None = None
    try:
        for item in tool.plugin(file, *tool.arguments, **tool.options):
            if not isinstance(item, Finding):
                raise TypeError(f"an extractor yields findings, not {type(item).__name__}")
            findings.append(keeper.store(item, len(findings)))
    except Unsupported as error:
        outcome, reason = ("read", None) if findings else ("skipped", "not its format")
        if findings:
            fault = ("unsupported", str(error))
    except (Corrupt, Locked, LimitExceeded) as error:
        kind = _kind(error)
        outcome, reason, fault = "failed", kind, (kind, str(error))
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it must not cost the file or the other plugins
        outcome, reason = "failed", "error"
        fault = ("error", f"{type(error).__name__}: {error}"[:2000])
    return Verdict(outcome, reason, len(findings), fault), findings


def _kind(error: EvidenceError) -> FaultKind:
    kinds: tuple[tuple[type[EvidenceError], FaultKind], ...] = (
        (Unsupported, "unsupported"),
        (Corrupt, "corrupt"),
        (Locked, "locked"),
        (LimitExceeded, "limit"),
    )
    for kind, name in kinds:
        if isinstance(error, kind):
            return name
    return "error"
