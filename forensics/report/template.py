"""Which templates a report is made of: those that come with this installation, by name, or an examiner's own, by path."""

from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from forensics.errors import UsageError

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
