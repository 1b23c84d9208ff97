"""Each module imports only from lower floors, or without circles from its own folder; plugins import `forensics.plugin` alone."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS: dict[str, float] = {
    "errors": 0, "location": 0, "model": 0,
    "members": 0.5, "digest": 0.5, "markup": 0.5, "magic_record": 0.4, "magic_subset": 0.5,  # the one stone that its own floor stands on
    "plugin": 1, "archives": 1, "segment": 1, "hashset": 1, "rules": 1, "carving": 1, "itunes": 1, "filetype": 1, "glob": 1, "signing": 1,
    "later": 1,
    "evidence": 2, "custody": 2, "discovery": 2, "settings": 2,
    "case": 3,
    "index": 4, "review": 4.5,  # review asks the index
    "engine": 5, "timeline": 5,
    "report": 6, "export": 6,
    "validation": 7,
    "exchange": 7, "testing": 7,
    "cli": 8, "__main__": 9,
}  # fmt: skip
MODULES = sorted((ROOT / "forensics").rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} if node.module != "forensics" else {f"forensics.{alias.name}" for alias in node.names}
            found |= {f"{node.module}.{alias.name}" for alias in node.names if node.module.count(".") == 1}
    return {name for name in found if name.startswith("forensics.") and name != "forensics.__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_from_lower_floors_only(path: Path) -> None:
    parts = path.relative_to(ROOT / "forensics").with_suffix("").parts
    if parts == ("__init__",):
        assert imports(path) == set()
        return
    own = parts[0]
    for name in imports(path):
        other = name.split(".")[1]
        if other == own:
            continue
        if own in ("report", "export") and other in ("report", "export"):
            continue  # a report's listings are exports
        assert FLOORS[other] < FLOORS[own], f"{path.name} (floor {FLOORS[own]}) imports {name} (floor {FLOORS[other]})"


@pytest.mark.parametrize("path", sorted((ROOT / "plugins").glob("[!_]*.py")), ids=lambda path: path.name)
def test_a_plugin_imports_of_ours_the_contract_alone(path: Path) -> None:
    allowed = {
        "forensics.plugin",
        *{
            "known_hash.py": {"forensics.hashset"},
            "rule_match.py": {"forensics.rules"},
            "carved_files.py": {"forensics.carving"},
            "itunes_backup.py": {"forensics.itunes"},
            **dict.fromkeys(("e_mail.py", "outlook_message.py", "outlook_store.py"), frozenset({"forensics.markup"})),
            **dict.fromkeys(("zip_archive.py", "seven_zip.py", "rar_archive.py", "android_backup.py"), frozenset({"forensics.archives"})),
        }.get(path.name, set()),
    }
    assert {".".join(name.split(".")[:2]) for name in imports(path)} <= allowed


def test_every_folder_of_modules_is_shipped() -> None:
    """`pyproject.toml` names the packages, since two of them lie elsewhere in the checkout."""
    named = set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"])
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "forensics").rglob("__init__.py")}
    assert folders <= named
