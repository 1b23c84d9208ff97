"""The beginning of a run: a new one, or the one that was interrupted, and what it is built on; each said in the custody log."""

import os
import platform
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from forensics import __version__, custody, segment
from forensics.case import Case
from forensics.digest import sha256_file
from forensics.engine import earlier, estimate
from forensics.engine.earlier import Earlier
from forensics.engine.options import Options
from forensics.engine.task import Described
from forensics.evidence.keys import NAMES, Keys
from forensics.model import Exhibit, RunInfo, Value


def begin(
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
        if (last.run, "started") not in said(case, "examined", last.run):
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


def said(case: Case, event: str, run: str) -> set[tuple[str, str]]:
    """Object and phase of every event of a kind that the custody log holds of a run."""
    lines = (line for line in custody.read(case.folder) if line.event == event and line.body and line.body.get("run") == run)
    return {(line.object, str((line.body or {}).get("phase"))) for line in lines}


def _keys_given(keys: Keys) -> dict[str, Value]:
    """What is said of keys in a run: for which layers of which kind, and nothing of the secret."""
    return {"keys": [f"{key.layer}: {NAMES[key.kind]}" for key in keys.keys]} if keys.keys else {}
