"""Runs as their segments hold them, put into a case and its index without examining anything."""

from collections.abc import Iterable
from pathlib import Path

from forensics import index, segment
from forensics.case import Case
from forensics.model import Digests, Entry, Examined, Line, PluginInfo, PluginOutcome, Result, RunInfo, StoredFinding, Times, Value

NOTHING = "it was given nothing that it could look for"


def plugin(
    name: str, kind: str = "extractor", idle: str | None = None, selection: str = "every file", inputs: dict[str, str] | None = None
) -> PluginInfo:
    return PluginInfo(
        name=name,
        kind=kind,  # type: ignore[arg-type]
        version="1",
        description=name,
        digest="d" * 64,
        source=f"{name}.py",
        selection=selection,
        idle=idle,
        inputs=inputs or {},
    )


def entry(location: str, sha256: str = "a" * 64, size: int = 5, **findings: int) -> Examined:
    """A file that was read, and what each plugin found in it: so many findings."""
    return Examined(
        entry=Entry(location=location, kind="file", size=size, state="allocated", times=Times()),
        outcome="read",
        digests=Digests(sha256=sha256, sha1="b" * 40, md5="c" * 32),
        plugins=tuple(PluginOutcome(name.replace("_", "-"), "read", findings=number) for name, number in findings.items()),
    )


def found(name: str, number: int, sha256: str = "a" * 64) -> Result:
    """What a plugin found in a content: so many findings of one kind."""
    return Result(plugin=name, content=sha256, findings=tuple(StoredFinding(kind="seen", summary=f"thing {n:04}") for n in range(number)))


def write(
    case: Case,
    name: str,
    exhibits: tuple[str, ...],
    plugins: Iterable[PluginInfo],
    *lines: Line,
    segment_name: str = "unit-0-0-000000",
    options: dict[str, Value] | None = None,
) -> None:
    """A complete run of one segment, in the case's index."""
    folder = case.run_folder(name)
    (folder / "segments").mkdir(parents=True)
    path = folder / "segments" / f"{segment_name}.jsonl.zst"
    with segment.Writer(path) as writer:
        for line in lines:
            writer.write(segment.encode(line))
        writer.commit()
    info = RunInfo(
        run=name,
        exhibits=exhibits,
        tool="forensics",
        tool_digest="e" * 64,
        started="2026-03-01T08:00:00Z",
        libraries={},
        plugins=tuple(plugins),
        options=options or {},
    )
    index.start(case.index_path)
    index.add_run(case.index_path, info, [Path(path)])
    index.conclude_run(case.index_path, name)
