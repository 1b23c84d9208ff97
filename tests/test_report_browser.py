"""The report in a real browser: it asks for nothing, runs nothing, and complains of nothing."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import report_fakes as fakes

from forensics.report import write

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


def visit(path: Path, scratch: Path) -> tuple[str, set[str], list[str]]:
    """The page after it has loaded, the addresses that it asked for, and what the console said."""
    log = scratch / "net.json"
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", f"--user-data-dir={scratch / 'profile'}", "--enable-logging=stderr",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--log-net-log={log}", "--virtual-time-budget=2000", "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    text = log.read_text(encoding="utf-8", errors="replace").rstrip().rstrip(",")
    try:
        events = json.loads(text)["events"]
    except ValueError:  # the log of a browser that was stopped lacks its end
        events = json.loads(text + "]}")["events"]
    requests = [event["params"] for event in events if "initiator" in (event.get("params") or {}) and "url" in event["params"]]
    # the browser's own requests (updates, clock) have no origin as their initiator; those of a page of a file have the origin "null"
    asked = {request["url"] for request in requests if request["initiator"] != "not an origin"}
    console = [line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
    return done.stdout.decode(), {url for url in asked if url.startswith(("http", "ws", "ftp"))}, console


def title(dom: str) -> str:
    return dom.partition("<title>")[2].partition("</title>")[0]


def test_the_watch_sees_what_a_page_asks_for_and_runs(tmp_path: Path) -> None:
    control = tmp_path / "control.html"
    control.write_text(
        '<title>calm</title><img src="http://203.0.113.7/x.png"><script>document.title="owned";console.error("said")</script>'
    )
    dom, asked, console = visit(control, tmp_path)
    assert title(dom) == "owned"
    assert "http://203.0.113.7/x.png" in asked
    assert any("said" in line for line in console)


def test_a_report_of_hostile_evidence_asks_for_nothing_and_runs_nothing(tmp_path: Path) -> None:
    index = fakes.hostile()
    document = fakes.document(fakes.hostile_case(), index)
    write(document, index, tmp_path, ("report.html",))
    dom, asked, console = visit(tmp_path / "report.html", tmp_path)
    assert title(dom) == f"Digital forensic examination report {document.id}"
    assert "End of report" in dom
    assert asked == set()
    assert console == []


def test_a_report_with_four_scripts_loads_its_own_fonts_without_a_word(tmp_path: Path) -> None:
    write(fakes.document(language="id"), fakes.index(), tmp_path, ("report.html",))
    dom, asked, console = visit(tmp_path / "report.html", tmp_path)
    assert 'lang="id"' in dom
    assert (asked, console) == (set(), [])
