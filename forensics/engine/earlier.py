"""What an earlier run says of an exhibit that holds for this one too, so that nothing that has not changed is done again.

A run is built on an earlier, complete one of the same exhibit where tool, libraries, scope and options are the same and no limit of the
machine struck in it. What plugins of the same fingerprint said there is kept; a file is read again only where a plugin that is new, or has
other code, options or rules, is offered it. The records are those of a run that keeps nothing.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from forensics import custody, segment
from forensics.case import Case
from forensics.errors import CustodyBroken
from forensics.model import Measured, PluginInfo, RunInfo


class Earlier(Struct, frozen=True):
    """An earlier run of one exhibit: its folder, the exhibit's number in it, the plugins whose word is kept, whether those are all."""

    run: str
    folder: Path
    number: int
    kept: tuple[str, ...]
    whole: bool

    def plans(self) -> Iterator[tuple[str, Path, Path]]:
        """Of every file system of the exhibit: its number, its plan, the segment of its walk."""
        for path in sorted((self.folder / "plan").glob(f"{self.number}-*.jsonl.zst")):
            system = path.name.removesuffix(".jsonl.zst").partition("-")[2]
            yield system, path, self.folder / "segments" / f"walk-{self.number}-{system}.jsonl.zst"

    def unit(self, rest: str) -> Path:
        """The segment of a unit; `rest` is its name after the exhibit's number."""
        return self.folder / "segments" / f"unit-{self.number}-{rest}.jsonl.zst"

    def layers(self) -> str:
        """The digest of what the exhibit was found to hold when it was opened: with another key it opens otherwise."""
        return segment.digest(self.folder / "segments" / f"open-{self.number}.jsonl.zst")

    def sha256(self) -> str | None:
        """The exhibit's digest as it was measured before that run, `None` where it could not be measured."""
        for line in segment.read(self.folder / "segments" / f"before-{self.number}.jsonl.zst"):
            if isinstance(line, Measured):
                return line.image.sha256
        return None


def find(case: Case, info: RunInfo, exhibit: str) -> Earlier | None:
    """The latest run that the examination `info` of an exhibit can be built on."""
    for run in reversed(case.runs()):
        folder = case.run_folder(run)
        if run == info.run or not (folder / "complete").exists():
            continue
        held = msgspec.json.decode((folder / "run.json").read_bytes(), type=RunInfo)
        if exhibit not in held.exhibits or not _alike(held, info):
            continue
        kept = _kept(held, info)
        if info.options.get("skip_known") and "known-hash" not in kept:
            continue  # which files are known-good decides what every other plugin is offered
        number = held.exhibits.index(exhibit)
        if not _intact(folder, _vouched(case, run), number):
            continue
        return Earlier(run, folder, number, kept, whole=set(kept) == _readers(held) == _readers(info))
    return None


def _alike(held: RunInfo, info: RunInfo) -> bool:
    same = ("tool", "tool_digest", "libraries", "scope", "options")
    return all(getattr(held, name) == getattr(info, name) for name in same)


def _readers(info: RunInfo) -> set[str]:
    return {plugin.name for plugin in info.plugins if plugin.kind != "analyser"}


def _kept(held: RunInfo, info: RunInfo) -> tuple[str, ...]:
    """The plugins that are the same in both, with the same options and rules."""

    def essence(plugin: PluginInfo) -> tuple[object, ...]:
        return plugin.kind, plugin.fingerprint, plugin.idle

    there = {plugin.name: essence(plugin) for plugin in held.plugins}
    return tuple(plugin.name for plugin in info.plugins if plugin.kind != "analyser" and there.get(plugin.name) == essence(plugin))


def _vouched(case: Case, run: str) -> Mapping[str, Any]:
    """What the custody log says of a run that was completed; nothing where a limit of the machine struck in it."""
    for line in custody.read(case.folder):
        if line.event == "examined" and line.body and line.body.get("run") == run and line.body.get("phase") == "completed":
            return {} if line.body.get("limited") else line.body
    return {}


def _intact(folder: Path, vouched: Mapping[str, Any], number: int) -> bool:
    """Whether the segments and the plans of an exhibit are those that the custody log vouches for, none less."""
    segments, plans = vouched.get("segments"), vouched.get("plans")
    if not segments or plans is None or {path.name for path in (folder / "plan").glob("*.jsonl.zst")} != set(plans):
        return False
    ours = (f"unit-{number}-", f"walk-{number}-", f"before-{number}.", f"open-{number}.")
    wanted = {folder / "segments" / name: digest for name, digest in segments.items() if name.startswith(ours)}
    wanted |= {folder / "plan" / name: digest for name, digest in plans.items() if name.startswith(f"{number}-")}
    try:
        return all(segment.digest(path) == digest for path, digest in wanted.items())
    except (OSError, CustodyBroken):
        return False
