"""Plugins are found wherever they may lie, and a broken one is named and stops no other."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import forensics
from forensics import discovery
from forensics.errors import UsageError

PLUGIN = '''
from forensics.plugin import extractor

@extractor(version="1")
def {name}(file):
    """Says nothing."""
    yield from ()
'''


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def test_plugin_comes_with_its_file_and_the_digest_of_its_bytes(tmp_path: Path) -> None:
    folder = write(tmp_path, one=PLUGIN.format(name="first_words"))
    (loaded,) = discovery.load([folder]).plugins
    assert (loaded.plugin.name, loaded.source) == ("first-words", "one.py")
    assert loaded.digest == hashlib.sha256((folder / "one.py").read_bytes()).hexdigest()


def test_plugins_are_sorted_by_name_whatever_their_files_are_called(tmp_path: Path) -> None:
    folder = write(tmp_path, a=PLUGIN.format(name="zebra"), b=PLUGIN.format(name="ant"))
    assert [loaded.plugin.name for loaded in discovery.load([folder]).plugins] == ["ant", "zebra"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def (", "SyntaxError: "),
        ("import no_such_module_here", "ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("x = 1", "InvalidPlugin: the file holds no plugin"),
        (PLUGIN.format(name="bad").replace('version="1"', 'version=""'), "InvalidPlugin: plugin 'bad' needs a version"),
    ],
)
def test_broken_file_is_a_fault_and_stops_no_other(tmp_path: Path, text: str, message: str) -> None:
    found = discovery.load([write(tmp_path, a_broken=text, b_good=PLUGIN.format(name="good"))])
    assert [loaded.plugin.name for loaded in found.plugins] == ["good"]
    (fault,) = found.faults
    assert (fault.location, fault.kind) == ("a_broken.py", "invalid-plugin")
    assert fault.message.startswith(message)


def test_of_two_plugins_with_one_name_the_first_wins_and_both_files_are_named(tmp_path: Path) -> None:
    one = write(tmp_path / "one", mine=PLUGIN.format(name="same"))
    two = write(tmp_path / "two", theirs=PLUGIN.format(name="same"))
    found = discovery.load([one, two])
    assert [loaded.source for loaded in found.plugins] == ["mine.py"]
    (fault,) = found.faults
    assert (fault.location, fault.plugin) == ("theirs.py", "same")
    assert "theirs.py" in fault.message and "mine.py" in fault.message


def test_files_with_one_name_in_two_folders_do_not_mix(tmp_path: Path) -> None:
    one = write(tmp_path / "one", same=PLUGIN.format(name="ant"))
    two = write(tmp_path / "two", same=PLUGIN.format(name="bee"))
    assert [loaded.plugin.name for loaded in discovery.load([one, two]).plugins] == ["ant", "bee"]


def test_files_that_begin_with_an_underscore_are_not_plugins(tmp_path: Path) -> None:
    found = discovery.load([write(tmp_path, _helper="raise ValueError", __init__="")])
    assert found == discovery.Discovered((), ())


def test_file_may_hold_several_plugins_and_types_of_its_own(tmp_path: Path) -> None:
    types = "from __future__ import annotations\nimport msgspec\nclass Held(msgspec.Struct):\n    other: Held | None = None\n"
    used = "msgspec.json.decode(b'{}', type=Held)\n"
    found = discovery.load([write(tmp_path, two=types + PLUGIN.format(name="ant") + PLUGIN.format(name="bee") + used)])
    assert [loaded.plugin.name for loaded in found.plugins] == ["ant", "bee"]
    assert found.faults == ()


def test_code_that_runs_is_that_of_the_digested_bytes_and_not_of_a_cache(tmp_path: Path) -> None:
    folder = write(tmp_path, one=PLUGIN.format(name="ant"))
    discovery.load([folder])
    (folder / "one.py").write_text(PLUGIN.format(name="bee"))  # same size, maybe the same second
    assert [loaded.plugin.name for loaded in discovery.load([folder]).plugins] == ["bee"]
    assert not (folder / "__pycache__").exists()


LATE = """from forensics.plugin import File, extractor
@extractor(version="1")
def ant(file: File):
    "Finds nothing."
{body}
    return iter(())
"""


def test_a_library_that_only_a_function_imports_is_missed_before_anything_is_read(tmp_path: Path) -> None:
    found = discovery.load([write(tmp_path, late=LATE.format(body="    from no_such_library.deep import thing"))])
    assert found.plugins == ()
    assert [(fault.location, fault.message) for fault in found.faults] == [
        ("late.py", "ModuleNotFoundError: No module named 'no_such_library'")
    ]


def test_a_library_whose_absence_a_function_answers_may_be_missing(tmp_path: Path) -> None:
    body = "    try:\n        import no_such_library\n    except ImportError:\n        pass"
    found = discovery.load([write(tmp_path, late=LATE.format(body=body))])
    assert [loaded.plugin.name for loaded in found.plugins] == ["ant"] and found.faults == ()


def test_a_library_that_only_a_function_imports_waits_for_it_where_a_confined_child_can_read_it(tmp_path: Path) -> None:
    home = tmp_path / "elsewhere"
    write(home, lies_elsewhere="")
    folder = write(tmp_path / "plugins", late=LATE.format(body="    import lies_elsewhere, colorsys"))
    code = f"import pathlib, sys; from forensics import discovery; discovery.load([pathlib.Path({str(folder)!r})]); print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(home), *sys.path])}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert "lies_elsewhere" in said  # it is in no folder of installed packages
    assert "colorsys" not in said


def test_folders_are_ours_then_the_given_then_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, named = write(tmp_path / "given"), write(tmp_path / "named")
    monkeypatch.setenv("FORENSICS_PLUGINS", f"{named}:{given}")
    assert discovery.folders([str(given)]) == (discovery.shipped("plugins"), given, named)


@pytest.mark.parametrize("by_environment", [False, True])
def test_missing_folder_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_environment: bool) -> None:
    missing = str(tmp_path / "nowhere")
    monkeypatch.setenv("FORENSICS_PLUGINS", missing if by_environment else "")
    with pytest.raises(UsageError, match="nowhere"):
        discovery.folders([] if by_environment else [missing])


def test_installed_package_offers_a_module_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "partner_lab", __init__="", device=PLUGIN.format(name="partner_device"))
    info = tmp_path / "partner_lab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: partner-lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[forensics.plugins]\ndevice = partner_lab.device\nlost = partner_lab.lost\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = discovery.load([])
    assert [(loaded.plugin.name, loaded.source) for loaded in found.plugins] == [("partner-device", "device.py")]
    assert [fault.location for fault in found.faults] == ["partner_lab.lost"]


def test_shipped_folder_is_inside_the_package_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "forensics"
    (package / "plugins").mkdir(parents=True)
    monkeypatch.setattr(forensics, "__file__", str(package / "__init__.py"))
    assert discovery.shipped("plugins") == package / "plugins"
    with pytest.raises(UsageError, match="no folder 'test_images'"):
        discovery.shipped("test_images")


def test_shipped_folder_is_beside_the_package_of_a_checkout() -> None:
    checkout = Path(forensics.__file__).resolve().parents[1]
    code = "from forensics.discovery import shipped; print(shipped('report_templates'))"
    said = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True)
    assert Path(said.stdout.strip()) == checkout / "report_templates"


def test_name_that_is_not_shipped_is_refused() -> None:
    with pytest.raises(UsageError, match="shipped are plugins"):
        discovery.shipped("../etc")


def test_a_test_beside_a_plugin_is_no_plugin(tmp_path: Path) -> None:
    found = discovery.load([write(tmp_path, one=PLUGIN.format(name="one"), test_one="raise AssertionError", _part="raise AssertionError")])
    assert ([loaded.source for loaded in found.plugins], found.faults) == (["one.py"], ())
