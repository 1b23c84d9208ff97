"""What starts an examination loads little, so that evidence is read soon; and loads nothing that reads evidence, whatever it does later."""

import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import meta

from forensics.case import create
from forensics.engine import run
from forensics.engine.options import Options
from forensics.engine.outcome import Outcome
from forensics.model import CaseInfo, Exhibit
from forensics.report import check, prepare
from forensics.report.compiling import environment, parts
from forensics.report.language import SOURCE, catalogue
from forensics.report.template import SHIPPED, chosen

ROOT = Path(__file__).parents[1]
LATER = ("rich", "jinja2", "babel", "cryptography", "asn1crypto", "pyrage", "pypdf", "urllib.request", "distributed")
EVIDENCE = ("pytsk3", "dfvfs", "pyewf", "forensics.evidence.layers", "forensics.evidence.image", "forensics.engine.worker")


def loaded(code: str) -> set[str]:
    """The modules that a process of its own has loaded once it has done `code`."""
    said = subprocess.run([sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True)
    return set(said.stdout.splitlines()[-1].split())


def test_a_command_that_examines_waits_for_nothing_that_signs_draws_or_writes_the_report() -> None:
    assert loaded("import forensics.cli.examine") & {*LATER, *EVIDENCE} == set()


def test_a_child_that_reads_evidence_loads_nothing_that_keeps_the_case_or_signs() -> None:
    code = "from forensics.engine import PRELOADED\nfrom importlib import import_module\nfor name in PRELOADED: import_module(name)"
    found = loaded(code)
    assert "forensics.engine.child" in found
    assert found & {"forensics.case", "forensics.custody", "forensics.signing", "tomlkit", "rich", "jinja2", "urllib.request"} == set()


def test_the_one_who_names_a_childs_door_does_not_load_what_is_behind_it() -> None:
    assert loaded("import forensics.engine.supervisor") & set(EVIDENCE) == set()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_part_of_a_template_is_compiled_before_the_report_is_written(name: str) -> None:
    """A template's text is compared with what Jinja itself found in it to include or import."""
    (template,) = chosen([name])
    prepare([template])
    made = environment(catalogue(SOURCE), None)
    assert made.cache is not None
    held = {key[1] for key in made.cache}
    assert {name, *parts(template)} <= held
    found = meta.find_referenced_templates(made.parse((ROOT / "report_templates" / name).read_text("utf-8")))
    assert set(parts(template)) == set(found)


def test_what_is_wanted_of_a_report_is_checked_without_loading_what_writes_it() -> None:
    assert loaded("from forensics import report\nreport.check(('report.html', 'summary.md'), 'en')") & {"jinja2", "babel"} == set()
    check(SHIPPED)


def test_a_large_exhibit_that_is_walked_while_it_is_digested_is_examined_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: dict[int, Outcome] = {}
    for large in (run.LARGE, 0):
        monkeypatch.setattr(run, "LARGE", large)
        case = create(tmp_path / str(large), CaseInfo(case_id="B"))
        case.add_exhibit(Exhibit(exhibit_id="1", image=str(ROOT / "test_images" / "card.E01"), image_format="as found"), None)
        with case.lock():
            done[large] = run.examine(case, case.exhibits(), Options(children=2, plugins=("photo-exif",)), lambda told: None)
        plans = case.run_folder(done[large].run) / "plan"
        assert [path.name for path in sorted(plans.glob("*.zst"))] == ["0-0.jsonl.zst"]
    assert {outcome.digest for outcome in done.values()} == {done[0].digest}
    assert [outcome.unchanged for outcome in done.values()] == [{"1": True}, {"1": True}]
