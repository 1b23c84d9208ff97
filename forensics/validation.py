"""Whether this very installation finds, in the shipped images, what independent tools found there (ISO/IEC 27041)."""

import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from forensics import __version__, index
from forensics.case import create
from forensics.discovery import shipped
from forensics.engine import run, tool
from forensics.engine.options import Options
from forensics.errors import ForensicsError
from forensics.location import Location
from forensics.model import Exhibit
from forensics.report import Validation


def validate() -> Validation:
    """Examine every shipped image and compare with its known facts. Raises CaseError, EngineError where it cannot be run at all."""
    folder = shipped("test_images")
    facts: dict[str, dict[str, Any]] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    checks = 0
    failures: list[str] = []
    for name, fact in sorted(facts.items()):
        try:
            found = _found(folder / name)
        except ForensicsError as error:
            checks += 1
            failures.append(f"{name}: {error}")
            continue
        wanted = {"size": fact["size"], "sha256": fact["sha256"], "md5": fact["md5"]}
        wanted |= {path: (file["size"], file["md5"]) for path, file in fact["files"].items()}
        for what, value in sorted(wanted.items()):
            checks += 1
            if found.get(what) != value:
                failures.append(f"{name}: {what}: {found.get(what)}, known to be {value}")
    return Validation(
        at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        tool=f"forensics {__version__}, {tool.tool_digest()}",
        material=", ".join(sorted(facts)),
        checks=checks,
        passed=checks - len(failures),
        failures=tuple(failures),
    )


def _found(image: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        case = create(Path(folder, "case"))
        case.add_exhibit(Exhibit(exhibit_id="1", image=str(image), image_format="as found"), None)
        with case.lock():
            run.examine(case, case.exhibits(), Options(plugins=()), lambda now: None)
        with index.open_index(case.index_path) as found:
            measured = found.images()["1"]
            held: dict[str, Any] = {"size": measured.size, "sha256": measured.sha256, "md5": measured.md5}
            for entry in found.entries(outcome="read", state="allocated"):
                if entry.digests:
                    held[Location.parse(entry.entry.location).path] = (entry.entry.size, entry.digests.md5)
    return held


def _kept() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "forensics" / "validation.json"


def keep(result: Validation) -> Path:
    """Keep a result for the reports that this installation writes. Raises OSError."""
    path = _kept()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(result))
    return path


def kept() -> Validation | None:
    """The result of this very tool, if it was validated here; `None` where it was not, or where the tool has changed since."""
    try:
        result = msgspec.json.decode(_kept().read_bytes(), type=Validation)
    except (OSError, msgspec.DecodeError):
        return None
    return result if result.tool == f"forensics {__version__}, {tool.tool_digest()}" else None
