"""The child's side of one unit: every entry read once, digested, typed, offered to the plugins; the segment's lines come out."""

from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from forensics import segment
from forensics.digest import identity
from forensics.engine import before as earlier
from forensics.engine import content as contents
from forensics.engine import unpack
from forensics.engine.around import neighbour
from forensics.engine.guard import MESSAGE, Failure, guarded, kind_of
from forensics.engine.item import Item
from forensics.engine.keep import Keeper, keep
from forensics.engine.plan import Unit
from forensics.engine.scope import outside, outside_kinds
from forensics.engine.setup import READING, Status, place
from forensics.engine.task import Before, Death
from forensics.engine.workshop import SPACE, Tool, Tools, offered_as
from forensics.errors import EvidenceError, TimedOut
from forensics.evidence import limits
from forensics.evidence.layers import FileSystem, Stream
from forensics.filetype import UNKNOWN, mime_of
from forensics.location import Location, printable
from forensics.model import Digests, Entry, Examined, Fault, Outcome, PluginOutcome, Result, Scope, StoredFinding, Times
from forensics.plugin import File, Member, Neighbour

REMEMBERED = 100_000  # distinct contents whose outcomes a child keeps
UNREADABLE = "unreadable"  # in place of the SHA-256 of a companion that is there
_NO_CONTENT = ("directory", "link", "other")
_Lines = Iterator[Examined | Result | Fault]


class Verdict(Struct, frozen=True):
    """What one plugin made of one content: free of location."""

    outcome: Outcome
    reason: str | None
    findings: int
    failure: Failure | None


class Done(Struct, frozen=True):
    """A piece of work done: how many entries of the unit are complete, how many files inside the next one, bytes read, lines."""

    entries: int
    members: int
    size: int
    lines: bytes


class Examiner:
    """Examines units with the same tools, and remembers which contents it has done."""

    def __init__(
        self,
        tools: Tools,
        scope: Scope,
        folder: Path,
        keeper: Keeper,
        status: Status,
        known_good: Callable[[Digests], bool] | None,
    ) -> None:
        self._tools = tools
        self._scope, self._folder, self._keeper, self._status = scope, folder, keeper, status
        self._known_good = known_good
        self._done: dict[tuple[str, str, str | None], Verdict] = {}
        self._types: dict[str, str] = {}
        self._deaths: dict[tuple[int, int], Death] = {}
        self._earlier: earlier.Unit | None = None
        self._said: earlier.Said | None = None

    def examine(
        self,
        unit: Unit,
        file_system: FileSystem,
        start: int,
        skip: int,
        deaths: dict[tuple[int, int], Death],
        before: Before | None = None,
    ) -> Iterator[Done]:
        """The entries from number `start` on, without the lines of the first `skip` files inside that one. Raises OSError (disk full).

        `before` is what an earlier run says of the unit: what holds of that is said again, and not worked out again.
        """
        self._deaths = deaths
        self._earlier = earlier.Unit(before, unit) if before else None
        waiting = list(self._earlier.results) if self._earlier and not (start or skip) else []
        for number in range(start, len(unit.entries)):
            entry = unit.entries[number]
            self._said = self._earlier.said.get(entry.location) if self._earlier else None
            if self._earlier and self._said and not self._unspoken(self._said.lines(self._earlier.kept)):
                waiting += map(segment.encode, self._said.lines(self._earlier.kept))
                yield Done(number + 1, 0, entry.size, b"".join(waiting))
                waiting.clear()
                continue
            expansion = unpack.Expansion(number, entry.size, skip if number == start else 0)
            completed = expansion.completed
            for line in self._entry(number, entry, file_system, expansion):
                if expansion.completed > completed:
                    completed = expansion.completed
                    yield Done(number, completed, 0, b"".join(waiting))
                    waiting.clear()
                waiting.append(segment.encode(line))
            yield Done(number + 1, 0, entry.size, b"".join(waiting))
            waiting.clear()

    def _unspoken(self, lines: Iterable[Examined | Fault]) -> bool:
        """Whether a plugin whose word is not kept may be offered one of the files that were read."""
        return self._earlier is None or any(
            self._tools.unspoken(
                line.mime or "", printable(Location.parse(line.entry.location).path), self._earlier.kept, offered_as(line.entry)
            )
            for line in lines
            if isinstance(line, Examined) and line.outcome == "read"
        )

    def _kept(self, tool: Tool, item: Item) -> tuple[PluginOutcome, list[Fault], list[Examined | Fault]] | None:
        """What an earlier run says of this plugin on this file: its outcome, its faults, all that came out of the file."""
        held = self._earlier and self._earlier.outcome(item.entry.location, item.digests.sha256, tool.plugin.name)
        if self._earlier is None or not held:
            return None
        inside: list[Examined | Fault] = []
        if tool.plugin.kind == "container":
            inside = self._said.inside(tool.plugin.name, item.location, self._earlier.kept) if self._said else []
            if self._unspoken(inside):
                return None
        return (*held, inside)

    def _entry(self, number: int, entry: Entry, file_system: FileSystem, expansion: unpack.Expansion) -> _Lines:
        if entry.kind in _NO_CONTENT:
            yield Examined(entry=entry)
            return
        here = place(number, 0)
        self._status.publish(here, READING, entry.size)
        location = Location.parse(entry.location)
        reason = outside(self._scope, location.path, entry.times)
        if reason is None and entry.content == "reallocated":
            reason = "its content now belongs to another file"
        if reason is None and entry.content == "unknown" and not entry.size:
            reason = "nothing says any more how large its content was, and where it lay"
        if reason is not None:
            yield Examined(entry=entry, outcome="skipped", reason=reason)
            return
        death = self._deaths.get((here, READING))
        if death:
            yield Fault(location=entry.location, kind="died", message=death.message, limit=death.limit)
            yield Examined(entry=entry, outcome="failed", reason="reading it ended the reader")
            return

        def beside(suffix: str) -> tuple[Location, Stream] | None:
            found = file_system.sibling(location, suffix)
            return None if found is None else (found, file_system.open(found))

        try:
            stream = file_system.open(location)
            digests, head, content = contents.read(stream, entry.size, entry.holes, self._folder, keep=True, medium=file_system.info.size)
        except EvidenceError as error:
            kind = kind_of(error)
            yield Fault(location=entry.location, kind=kind, message=str(error))
            yield Examined(entry=entry, outcome="failed", reason=f"could not be read: {kind}")
            return
        if getattr(stream, "changed", None) and stream.changed():
            message = "the file changed while it was read; its digests are of no single state"
            yield Fault(location=entry.location, kind="changed", message=message)
        if getattr(stream, "mismatch", None) and (differs := stream.mismatch(digests)):  # type: ignore[attr-defined]
            yield Fault(location=entry.location, kind="damaged", message=differs)
        item = Item(
            place=here, entry=entry, location=location, depth=0, digests=digests, head=head, content=content, beside=beside,
            around=lambda path: neighbour(file_system, location, path), medium=file_system.info.size,
        )  # fmt: skip
        try:
            yield from self._examined(item, expansion)
        finally:
            content.close()

    def _examined(self, item: Item, expansion: unpack.Expansion) -> _Lines:
        """Everything that is said of one file with content: results, faults, the files inside it, and last its own line."""
        entry, digests = item.entry, item.digests
        state = offered_as(entry)
        mime = self._mime(item) if state not in SPACE else UNKNOWN
        reason = outside_kinds(self._scope, mime)
        if reason is not None:
            if not (item.depth and expansion.done):
                yield Examined(entry=entry, outcome="skipped", reason=reason)
            return
        known = self._known_good is not None and self._known_good(digests)
        offered = list(self._tools.offered(mime, printable(item.location.path), item.head, state))
        outcomes: list[tuple[int, PluginOutcome]] = []
        own: list[Examined | Result | Fault] = []
        for tool in offered:
            if tool.plugin.kind == "container":
                yield from self._offer(tool, item, mime, known, expansion, own, outcomes)
        if item.depth and expansion.done:
            return  # all that is inside has been passed again, and its own lines were kept before
        yield from own
        own.clear()
        for tool in offered:
            if tool.plugin.kind != "container":
                yield from self._offer(tool, item, mime, known, expansion, own, outcomes)
        yield from own
        self._status.publish(item.place, READING, entry.size)
        plugins = tuple(outcome for _, outcome in sorted(outcomes, key=lambda each: each[0]))
        yield Examined(entry=entry, outcome="read", digests=digests, mime=mime, plugins=plugins)

    def _offer(
        self,
        tool: Tool,
        item: Item,
        mime: str,
        known: bool,
        expansion: unpack.Expansion,
        own: list[Examined | Result | Fault],
        outcomes: list[tuple[int, PluginOutcome]],
    ) -> _Lines:
        """Run one plugin on one file, unless there is a reason not to. Its lines go to `own`; those of the files inside are yielded."""
        entry, digests, plugin = item.entry, item.digests, tool.plugin

        def say(outcome: Outcome, reason: str | None, context: str | None = None, findings: int = 0) -> None:
            outcomes.append((tool.number, PluginOutcome(plugin.name, outcome, reason, context, findings)))

        if kept := self._kept(tool, item):
            outcome, faults, inside = kept
            if not expansion.done:
                yield from inside
            own += faults
            return outcomes.append((tool.number, outcome))
        if entry.state != "allocated" and not plugin.select.deleted:
            return say("skipped", "it asks for allocated files only")
        if known and "name" not in plugin.needs and plugin.name != "known-hash":
            return say("skipped", "known-good content")
        death = self._deaths.get((item.place, tool.number))
        if death:
            own.append(Fault(location=entry.location, kind="died", plugin=plugin.name, message=death.message, limit=death.limit))
            return say("failed", "it ended the process that it ran in")
        self._status.publish(item.place, tool.number, entry.size)
        context, companions, unread = self._context(tool, item)
        own += unread

        def around(path: str) -> Neighbour | None:
            found = item.around(path)
            if found is not None:  # what lies around is worked on too
                self._status.publish(item.place, tool.number, entry.size + found.size)
            return found

        key = (plugin.name, digests.sha256, context)
        verdict = self._done.get(key)
        if verdict is None or plugin.kind == "container":
            file = File(
                location=item.location,
                size=entry.size,
                mime=mime,
                sha256=digests.sha256,
                content=item.content,
                allocated=entry.state == "allocated",
                deleted=entry.state in ("deleted", "orphan"),
                times=entry.times,
                needs=plugin.needs,
                companions=companions.get,
                beside=around,
            )
            verdict, findings = yield from self._run(tool, file, item, expansion)
            item.content.release()
            if len(self._done) >= REMEMBERED:
                self._done.clear()
            self._done[key] = verdict
            if findings:
                own.append(Result(plugin=plugin.name, content=digests.sha256, context=context, findings=tuple(findings)))
        failure = verdict.failure
        if failure:
            own.append(Fault(location=entry.location, kind=failure.kind, plugin=plugin.name, message=failure.message, limit=failure.limit))
        say(verdict.outcome, verdict.reason, context, verdict.findings)

    def _mime(self, item: Item) -> str:
        found = self._types.get(item.digests.sha256)
        if found is None:
            if len(self._types) >= REMEMBERED:
                self._types.clear()
            found = self._types[item.digests.sha256] = mime_of(item.head)
        return found

    def _context(self, tool: Tool, item: Item) -> tuple[str | None, dict[str, File], list[Fault]]:
        """The digest of what beside the content the plugin declared to depend on, the companions, and the faults of those it goes without.

        A companion that is there and cannot be read is another thing than none: the digest says so, and a fault of the file names it.
        """
        needs = tool.plugin.needs
        if needs == ("content",):
            return None, {}, []
        declared: dict[str, object] = {}
        companions: dict[str, File] = {}
        faults: list[Fault] = []
        if "location" in needs:
            declared["location"] = [item.entry.location, item.entry.state]
        elif "name" in needs:
            declared["name"] = item.location.stream or item.location.name
        if "times" in needs:
            declared["times"] = item.entry.times
        for suffix in tool.plugin.companions if "companions" in needs else ():
            folder = self._folder / f"companion-{len(companions)}"
            folder.mkdir(exist_ok=True)
            try:
                beside = item.beside(suffix)
                if beside is None:
                    continue
                location, stream = beside
                digests, head, content = contents.read(stream, stream.size, (), folder, keep=True, medium=item.medium)
            except EvidenceError as error:
                declared[suffix] = UNREADABLE
                faults.append(_without(tool, item, suffix, error))
                continue
            declared[suffix] = digests.sha256
            companions[suffix] = File(
                location=location, size=stream.size, mime=mime_of(head), sha256=digests.sha256, content=content, needs=needs
            )
        return identity(declared), companions, faults

    def _run(
        self, tool: Tool, file: File, item: Item, expansion: unpack.Expansion
    ) -> Generator[Examined | Result | Fault, None, tuple[Verdict, list[StoredFinding]]]:
        """Run one plugin on one file; a container's files are examined as they come. What was found before a failure is kept."""
        findings: list[StoredFinding] = []
        failure: Failure | None = None
        members = 0
        steps: Iterator[Any] = guarded(lambda: tool.plugin(file, *tool.arguments, **tool.options))
        if tool.plugin.kind == "container" and (why := unpack.too_deep(item)):
            steps = iter((Failure("limit", why),))
        for step in steps:
            if isinstance(step, Failure):
                failure = step
                break
            if isinstance(step, Member) and tool.plugin.kind == "container":
                members += 1
                if expansion.begun >= limits.MEMBERS or expansion.bytes_left <= 0:
                    failure = Failure("limit", f"more comes out of it than is followed; members from number {members} on were not examined")
                    break
                yield from self._member(tool, item, step, members, expansion)
                self._status.publish(item.place, tool.number, item.entry.size)
                continue
            failure = keep(self._keeper, step, findings)
            if failure:
                break
        return _verdict(failure, findings, members), findings

    def _member(self, tool: Tool, container: Item, member: Member, number: int, expansion: unpack.Expansion) -> _Lines:
        """One file inside another. The lines of those that were completed before are left out."""
        expansion.begin()
        folder = self._folder / f"depth-{container.depth + 1}"
        folder.mkdir(exist_ok=True)

        def within() -> None:
            self._status.publish(container.place, tool.number, container.entry.size)

        for got in unpack.read(container, tool.plugin.name, member, number, expansion, folder, within):
            if isinstance(got, Item):
                try:
                    yield from self._inside(got, member, expansion)
                finally:
                    got.content.close()
            elif not expansion.done:
                yield got
        expansion.completed += 1

    def _inside(self, item: Item, member: Member, expansion: unpack.Expansion) -> _Lines:
        """A file inside another lies within the scope where its container does, unless its own times say otherwise."""
        period = Scope(since=self._scope.since, until=self._scope.until)
        reason = outside(period, "", member.times) if member.times != Times() else None
        if reason is None:
            yield from self._examined(item, expansion)
        elif not expansion.done:
            yield Examined(entry=item.entry, outcome="skipped", reason=reason)


def _without(tool: Tool, item: Item, suffix: str, error: EvidenceError) -> Fault:
    """That a plugin did not see what lies beside the file. It stands at the file, so that it is kept and said again with its outcome."""
    name = printable(f"{item.location.name}{suffix}")
    return Fault(
        location=item.entry.location,
        kind=kind_of(error),
        plugin=tool.plugin.name,
        message=f"its companion {name} is there and could not be read, so it was examined without: {error}"[:MESSAGE],
        limit=isinstance(error, TimedOut),
    )


def _verdict(failure: Failure | None, findings: list[StoredFinding], members: int) -> Verdict:
    if failure is None:
        return Verdict("read", None, len(findings), None)
    if failure.kind == "unsupported":
        if findings or members:
            return Verdict("read", None, len(findings), failure)
        return Verdict("skipped", "not its format", 0, None)
    return Verdict("failed", failure.kind, len(findings), failure)
