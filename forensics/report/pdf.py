"""Document to PDF/A: Typst lays out what `pdf_values` gives it, in a confined child that can be killed, and fetches nothing.

The file is the same for the same document: its date is the document's time of issue, and neither machine, zone nor language of the
system goes into it. It conforms to PDF/A-2b (ISO 19005-2). It may then be signed: `forensics.report.pdf_signature`.
"""

import gettext
from collections.abc import Iterable
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from forensics.engine import sandbox
from forensics.engine.mortal import end_with_parent
from forensics.errors import EngineError, UsageError
from forensics.export.listing import Listing
from forensics.report import pdf_fonts, pdf_values
from forensics.report.document import Document
from forensics.report.language import templates_folder

STANDARD: Final = "a-2b"
SECONDS = 300  # a report of 2,000 findings takes under half a minute on one slow core
MEMORY = 4 << 30  # bytes of address space; of a report of 2,000 findings, some 1 GB is used
_ATTACHED = 30  # seconds for a child that has answered to end


def render(
    document: Document,
    listings: Iterable[Listing],
    translations: gettext.NullTranslations,
    *,
    language: str | None = None,
    signed_by: pdf_values.SignedBy | None = None,
    seconds: float = SECONDS,
    memory: int = MEMORY,
) -> bytes:
    """The PDF/A of `document`; with `signed_by`, it says by whose certificate it is signed.

    Raises UsageError where a font or the template is missing, EngineError where Typst fails or a limit of time or memory strikes.
    """
    check()
    given = pdf_values.data(document, listings, translations, language=language, signed_by=signed_by)
    issued = int(datetime.fromisoformat(document.issued).timestamp())
    return compiled(_template(), pdf_fonts.folder(), given, issued, seconds=seconds, memory=memory)


def check() -> None:
    """Whether all is there that the PDF is made of. Raises UsageError, naming what is missing."""
    pdf_fonts.coverage()
    if not _template().is_file():
        raise UsageError(f"{_template()}: no such file, which the PDF needs; install forensics anew, or leave out report.pdf")


def compiled(main: Path, fonts: Path, given: str, issued: int, *, seconds: float, memory: int) -> bytes:
    """What Typst makes of the template `main`, which reads nothing outside its folder, and the data `given`, within so many seconds and
    bytes. Raises EngineError.
    """
    context = get_context("forkserver")
    ours, theirs = context.Pipe(duplex=True)
    child = context.Process(target=_child, args=(theirs, main, fonts, issued, memory), daemon=True)
    child.start()
    theirs.close()
    try:
        try:
            ours.send(given)
            if not ours.poll(seconds):
                raise EngineError(f"the PDF was not ready after {seconds:g} s; leave out report.pdf, or make it on a faster machine")
            made = ours.recv()
        except (EOFError, ConnectionError) as error:
            child.join(_ATTACHED)
            raise EngineError(
                f"the process that makes the PDF ended (exit code {child.exitcode}), perhaps for want of memory (limit {memory} bytes); "
                "leave out report.pdf, or make it on a machine with more memory"
            ) from error
    finally:
        child.kill()
        child.join(_ATTACHED)
        ours.close()
    if isinstance(made, bytes):
        return made
    raise EngineError(f"Typst could not make the PDF: {made}; leave out report.pdf, and tell the authors of this template")


def _template() -> Path:
    return templates_folder() / "report.typ"


def _child(pipe: Connection, main: Path, fonts: Path, issued: int, memory: int) -> None:
    """Make one PDF and end. All is imported before the confinement, and data is read after it."""
    import resource

    import typst

    end_with_parent()
    sandbox.enter([main.parent, fonts], [])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    given = pipe.recv()
    try:
        made: bytes | str = typst.compile(
            str(main),
            root=str(main.parent),
            font_paths=typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(fonts)]),
            ignore_system_fonts=True,
            sys_inputs={"data": given},
            package_path=str(fonts),  # no packages
            package_cache_path=str(fonts),
            pdf_standards=STANDARD,
            timestamp=issued,
        )
    except RuntimeError as error:  # TypstError among them, which knows where
        made = " ".join(str(getattr(error, "diagnostic", "") or error).split())[:1000]
    pipe.send(made)
