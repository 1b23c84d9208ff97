"""The report of a case, written: its listings and pages, the custody event that vouches for them, and where they are."""

import shutil
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click

from forensics import __version__, custody, index, report, validation
from forensics.case import Case, missing_fields
from forensics.cli.console import say
from forensics.cli.report_options import Wanted
from forensics.digest import sha256_file
from forensics.engine.mortal import end_with_parent
from forensics.model import AttachmentRef
from forensics.report.template import PDF, SHIPPED, chosen
from forensics.segment import sync_folder

SIDE_BY_SIDE = 10_000  # entries above which the largest listings are written by processes of their own


def prepare(case: Case, wanted: Wanted) -> None:
    """Load what writes the report, and compile its templates, so that `write` need not."""
    pages = [each for each in chosen(wanted.templates or SHIPPED) if each.folder is None and each.name != PDF]
    report.prepare(pages, wanted.language_of(case))


def write(case: Case, wanted: Wanted, by: str | None, as_json: bool) -> None:
    """Write the report into a folder of its own, have the custody log vouch for it, sign where that is wanted, and say where it is.

    Raises CaseError, UsageError, EngineError, SigningError, OSError.
    """
    at = datetime.now(UTC)
    final = _free(case.reports, at.strftime("%Y%m%dT%H%M%SZ"))
    for left in case.reports.glob(".*.part"):  # of a report that was interrupted
        shutil.rmtree(left)
    folder = final.with_name(f".{final.name}.part")
    folder.mkdir(parents=True)

    def attachment(reference: AttachmentRef) -> bytes | None:
        path = case.extracted / reference.sha256[:2] / reference.sha256
        return path.read_bytes() if path.is_file() else None

    with ProcessPoolExecutor(2, get_context("forkserver"), end_with_parent) as beside, index.open_index(case.index_path) as found:
        apart = report.LARGE if found.entry_count() > SIDE_BY_SIDE else ()
        large = [beside.submit(report.large_listing, name, case.index_path, folder) for name in apart]
        document = report.build(
            case,
            found,
            missing=missing_fields(case.info, case.exhibits()),
            at=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            custody=custody.with_hands(case.folder),
            head=custody.head(case.folder),
            tool=f"forensics {__version__}",
            language=wanted.language_of(case),
            validation=validation.kept(),
            pictures=wanted.pictures,
            attachment=attachment,
        )
        more: dict[str, Any] = {"templates": wanted.templates} if wanted.templates else {}
        if large:
            more["large"] = lambda: tuple(each.result() for each in large)
        if wanted.signer:
            more["signature"] = report.Signature(wanted.signer, at)
        report.write(document, found, folder, **more)
    digests = {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
    folder.rename(final)  # whole or not at all
    folder = final
    sync_folder(final.parent)
    custody.append(case.folder, "reported", object=folder.name, body={"report": folder.name, "files": digests}, by=by, at=at)
    if wanted.signer:
        custody.checkpoint(case.folder, "report", wanted.signer, at=datetime.now(UTC), stamping=wanted.signer.stamping)
    page = next(filter(Path.exists, (folder / "report.html", folder / PDF)), folder)
    if as_json:
        say({"report": {"folder": str(folder), "files": digests}})
    else:
        click.echo(f"report: {page}")


def _free(folder: Path, stamp: str) -> Path:
    """The folder of a new report: named after its time, numbered where two are of one second."""
    found, number = folder / stamp, 1
    while found.exists():
        number += 1
        found = folder / f"{stamp}-{number}"
    return found
