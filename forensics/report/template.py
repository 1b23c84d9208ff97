"""Which templates a report is made of: those that come with this installation, by name, or an examiner's own, by path.

Every template is escaped for HTML, whatever its name ends in. An examiner's own run in a sandbox: they show the document and can call
nothing else. They may extend, include and import the shipped ones by name.
"""

import traceback
from collections.abc import Iterable
from pathlib import Path

import jinja2
import jinja2.sandbox
from msgspec import Struct

from forensics.errors import UsageError
from forensics.report.language import templates_folder

SHIPPED = ("report.html", "summary.md")  # what a report is made of where nobody chooses
PDF = "report.pdf"  # made by Typst out of report.typ, and not by Jinja
_ENDINGS = (".html", ".htm", ".xhtml", ".xml", ".svg", ".md", ".txt")
_JINJA = (".j2", ".jinja", ".jinja2")


class Template(Struct, frozen=True):
    """A template's file name, the folder that it lies in (`None`: ours), and the name of the page that it makes."""

    name: str
    folder: Path | None
    page: str


def chosen(names: Iterable[str]) -> tuple[Template, ...]:
    """The templates that `names` name: shipped ones, files, or folders of them. Raises UsageError for none, and for two of one page."""
    found = [template for name in names for template in _named(name)]
    pages = [template.page for template in found]
    for page in pages:
        if pages.count(page) > 1:
            raise UsageError(f"two report templates make the page {page}; choose one of them, or rename it")
    return tuple(found)


def _named(name: str) -> list[Template]:
    if name in (*SHIPPED, PDF):
        return [Template(name, None, name)]
    path = Path(name).expanduser()
    if path.is_file():
        if _page(path.name) is None:
            raise UsageError(f"{name}: a report template's name ends in {', '.join(_ENDINGS)}, with {' or '.join(_JINJA)} behind it or not")
        paths = [path]
    elif path.is_dir():
        paths = sorted(each for each in path.iterdir() if each.is_file() and each.name[0] not in "._" and _page(each.name))
        if not paths:
            raise UsageError(f"{name}: the folder holds no report template: a file whose name ends in {', '.join(_ENDINGS)}")
    else:
        raise UsageError(
            f"there is no report template {name!r}; choose from: {', '.join((*SHIPPED, PDF))}; "
            "or give the path of a file or folder of yours"
        )
    return [Template(each.name, each.parent.absolute(), page) for each in paths if (page := _page(each.name))]


def _page(name: str) -> str | None:
    """The name of the page that a template of this name makes: without ``.j2``; `None` where it ends in nothing that a page ends in."""
    path = Path(name)
    page = path.stem if path.suffix.lower() in _JINJA else name
    return page if Path(page).suffix.lower() in _ENDINGS else None


def environment(folder: Path | None) -> jinja2.Environment:
    """What templates are compiled in: ours, or those of an examiner's `folder`, which find ours behind their own and as ``shipped/...``."""
    ours = jinja2.FileSystemLoader(templates_folder())
    kind = jinja2.Environment if folder is None else jinja2.sandbox.SandboxedEnvironment
    loader = (
        ours if folder is None else jinja2.ChoiceLoader([jinja2.FileSystemLoader(folder), ours, jinja2.PrefixLoader({"shipped": ours})])
    )
    return kind(
        loader=loader,
        autoescape=True,  # for every template, whatever its name ends in
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def refused(template: Template, error: Exception) -> UsageError:
    """What is wrong with an examiner's template, with its file and line as far as they are known."""
    where = str(template.folder / template.name) if template.folder else template.name
    if isinstance(error, jinja2.TemplateSyntaxError):
        where, line = error.filename or where, error.lineno
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(template.folder or where))]
        where, line = (frames[-1].filename, frames[-1].lineno or 0) if frames else (where, 0)
    return UsageError(f"report template {where}{f', line {line}' if line else ''}: {type(error).__name__}: {error}; correct the template")
