"""What one child does by itself, outside a run: it describes the plugins, or reads one file's content again."""

import os
from pathlib import Path

import msgspec

from forensics.case import Case
from forensics.engine.crew import Crew, Job
from forensics.engine.options import Options
from forensics.engine.spool import emptied, setup_of
from forensics.engine.task import Described, Task, Wanted
from forensics.errors import EvidenceError, UsageError
from forensics.evidence.space import Space
from forensics.location import Location
from forensics.model import PluginInfo


def describe(options: Options, spool: Path) -> Described:
    """The plugins as `options` would use them, loaded and prepared in a child. Raises UsageError, EngineError."""
    with emptied(spool), Crew(setup_of({}, options, spool), options.limits, 1, spool) as crew:
        return plugins_of(crew)


def plugins_of(crew: Crew) -> Described:
    """The plugins as a child of `crew` has loaded and prepared them. Raises UsageError, EngineError."""
    job = Job(Task("describe"))
    try:
        crew.work([job], _nothing)
    except EvidenceError as error:
        raise UsageError(str(error)) from error
    return msgspec.json.decode(job.answer or b"", type=Described)


def plugin_named(plugins: tuple[PluginInfo, ...], name: str) -> PluginInfo:
    """The plugin of that name. Raises UsageError that names those there are."""
    for plugin in plugins:
        if plugin.name == name:
            return plugin
    raise UsageError(f"no plugin is named {name!r}; there are: {', '.join(plugin.name for plugin in plugins)}")


def extract(case: Case, wanted: Wanted, options: Options) -> tuple[str, int]:
    """Put a file's content into the case's `extracted` folder, in a child. Its SHA-256 and bytes. Raises EvidenceError, EngineError."""
    exhibit = Location.parse(wanted.base.location).exhibit
    images = {each.exhibit_id: each.image for each in case.exhibits() if each.exhibit_id == exhibit}
    options = msgspec.structs.replace(options, space=Space(unallocated=True, slack=True, carve=True))
    spool = case.folder / f"spool-{os.getpid()}"
    with emptied(spool), Crew(setup_of(images, options, spool), options.limits, 1, case.extracted) as crew:
        job = Job(Task("extract", exhibit, wanted=wanted))
        crew.work([job], _nothing)
        if job.failure or job.answer is None:
            raise EvidenceError(f"{wanted.base.location}: {job.failure or 'the process that read it ended'}")
        return msgspec.json.decode(job.answer, type=tuple[str, int])


def _nothing(entries: int, size: int, faults: int) -> None:
    return None
