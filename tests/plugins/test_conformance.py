"""What holds of every plugin that is shipped: declaration, imports, findings, and what hostile content may do to it."""

import ast
import importlib.util
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from forensics import glob
from forensics.filetype import mime_of
from forensics.plugin import (
    Corrupt,
    File,
    Finding,
    LimitExceeded,
    Locked,
    Plugin,
    Unsupported,
)
from forensics.review import vocabulary
from forensics.testing import file_of

PLUGINS = Path(__file__).parents[2] / "plugins"
MODULES = sorted(path for path in PLUGINS.glob("*.py") if path.stem != "__init__")
ALLOWED = {
    "known_hash": {"forensics.plugin", "forensics.hashset"},
    "rule_match": {"forensics.plugin", "forensics.rules"},
    "carved_files": {"forensics.plugin", "forensics.carving"},
    "itunes_backup": {"forensics.plugin", "forensics.itunes"},
    **dict.fromkeys(("e_mail", "outlook_message", "outlook_store"), frozenset({"forensics.plugin", "forensics.markup"})),
    **dict.fromkeys(("zip_archive", "seven_zip", "rar_archive", "android_backup"), frozenset({"forensics.plugin", "forensics.archives"})),
}
MAY_RAISE = (Unsupported, Corrupt, LimitExceeded, Locked)
LARGEST = 1 << 20  # bytes of a sample that is offered to every plugin
FOLDERS = ("photos", "documents", "barcodes", "mrz", "artefacts", "malformed")


@cache
def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"conformance_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # structs look their annotations up there
    spec.loader.exec_module(module)
    return module


def plugins_of(path: Path) -> list[Plugin]:
    return [value for value in vars(load(path)).values() if isinstance(value, Plugin)]


def fits(plugin: Plugin, file: File, head: bytes, path: str) -> bool:
    select = plugin.select
    return (
        not (select.mime or select.names or select.magic)
        or glob.mime_matches(file.mime, select.mime)
        or glob.matches(path, select.names)
        or any(head.startswith(magic) for magic in select.magic)
    )


def until_the_end(plugin: Plugin, content: bytes, name: str) -> list[Finding]:
    """What the plugin finds; whatever it raises must be one of the errors that the contract names."""
    options = plugin.filled({})
    extra = (plugin.prepare(**options).value,) if plugin.prepare else ()
    found: list[Finding] = []
    try:
        for item in plugin(file_of(content, name=name, needs=plugin.needs), *extra, **options):
            if isinstance(item, Finding):
                found.append(item)
    except MAY_RAISE:
        pass
    return found


@cache
def samples(evidence: Path) -> tuple[tuple[str, bytes], ...]:
    paths = (path for folder in FOLDERS for path in sorted((evidence / folder).rglob("*")))
    chosen = [path for path in paths if path.is_file() and path.stat().st_size <= LARGEST]
    seen: defaultdict[tuple[str, str], int] = defaultdict(int)
    kept = []
    for path in chosen:  # four of a kind and folder are enough
        content = path.read_bytes()
        kind = (path.relative_to(evidence).parts[0], mime_of(content[: 64 << 10]))
        seen[kind] += 1
        if seen[kind] <= 4:
            kept.append((path.name, content))
    return tuple(kept)


def offered(plugin: Plugin, evidence: Path) -> Iterator[tuple[str, bytes]]:
    for name, content in samples(evidence):
        if fits(plugin, file_of(content, name=name), content[:4096], f"/{name}"):
            yield name, content


@cache
def findings_of(path: Path, evidence: Path) -> tuple[Finding, ...]:
    return tuple(
        finding
        for plugin in plugins_of(path)
        if plugin.kind != "analyser"
        for name, content in offered(plugin, evidence)
        for finding in until_the_end(plugin, content, name)
    )


def every(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", MODULES, ids=every)
def test_module_holds_a_plugin_that_is_described(path: Path) -> None:
    found = plugins_of(path)
    assert found
    for plugin in found:
        assert plugin.description.endswith("."), plugin.description
        assert plugin.description[0].isupper()
        assert len(plugin.description) <= 140
        assert re.fullmatch(r"\d+\.\d+", plugin.version)
    assert path.stem.replace("_", "-") in {plugin.name for plugin in found}
    assert (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0].endswith((".", ":"))


@pytest.mark.parametrize("path", MODULES, ids=every)
def test_module_imports_the_contract_and_nothing_else_of_ours(path: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a plugin is one file: it imports nothing beside it"
            imported.add(node.module or "")
    ours = {name for name in imported if name.partition(".")[0] in ("forensics", "plugins", "tests")}
    ours = {".".join(name.split(".")[:2]) for name in ours}
    assert ours <= ALLOWED.get(path.stem, {"forensics.plugin"})
    assert "forensics.plugin" in ours


@pytest.mark.parametrize("path", MODULES, ids=every)
def test_plugin_has_its_own_tests(path: Path) -> None:
    assert (Path(__file__).parent / f"test_{path.stem}.py").is_file()


@pytest.mark.parametrize("path", MODULES, ids=every)
def test_empty_and_random_content_do_no_harm(path: Path) -> None:
    noise = random.Random(path.stem).randbytes(64 << 10)
    for plugin in plugins_of(path):
        if plugin.kind == "analyser":
            assert list(plugin(lambda *, kind=None, plugin=None: iter(()), **plugin.filled({}))) == []
            continue
        assert until_the_end(plugin, b"", "empty.bin") == []
        until_the_end(plugin, noise, "noise.bin")
        for magic in plugin.select.magic:
            until_the_end(plugin, magic + noise, "noise.bin")


@pytest.mark.parametrize("path", MODULES, ids=every)
def test_half_of_each_sample_does_no_harm(path: Path, evidence: Path) -> None:
    for plugin in plugins_of(path):
        if plugin.kind != "analyser":
            for name, content in offered(plugin, evidence):
                until_the_end(plugin, content[: len(content) // 2], name)


@pytest.mark.parametrize("path", MODULES, ids=every)
def test_findings_are_said_as_the_contract_wants(path: Path, evidence: Path) -> None:
    for finding in findings_of(path, evidence):
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", finding.kind)
        assert finding.category is None or vocabulary.is_category(finding.category)
        assert finding.summary
        assert finding.summary.isprintable(), finding.summary
        assert finding.when is None or finding.when.tzinfo in (None, UTC)
        for field, value in finding.data.items():
            assert re.fullmatch(r"[a-z][a-z0-9_]*", field)
            assert isinstance(value, str | int | float | bool | list | None)
            assert not isinstance(value, list) or all(type(item) in (str, int) for item in value)


def test_a_field_has_the_same_type_in_every_plugin(evidence: Path) -> None:
    types: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for path in MODULES:
        for finding in findings_of(path, evidence):
            for field, value in finding.data.items():
                if value is not None:
                    types[field].setdefault(type(value).__name__, f"{path.stem} {finding.kind}")
    assert types
    assert {field: found for field, found in types.items() if len(found) > 1} == {}
