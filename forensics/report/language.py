"""The report's languages: gettext catalogues in ``report_templates/locale``, read as text at run time."""

import gettext
import io
from functools import cache
from pathlib import Path

import forensics
from forensics.errors import UsageError

SOURCE = "en"


def templates_folder() -> Path:
    """The folder of the report's templates: inside the package where it is installed, beside it in a checkout."""
    package = Path(forensics.__file__).parent
    inside = package / "report_templates"
    return inside if inside.is_dir() else package.parent / "report_templates"


def languages() -> tuple[str, ...]:
    """The languages that a report can be written in."""
    return tuple(sorted({SOURCE, *(path.stem for path in (templates_folder() / "locale").glob("*.po"))}))


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The translations of `language` (``id``). Raises UsageError for a language that has no catalogue, naming those that have one."""
    known = languages()
    if language not in known:
        raise UsageError(f"there is no report in language {language!r}; choose one of: {', '.join(known)}")
    if language == SOURCE:
        return gettext.NullTranslations()
    with open(templates_folder() / "locale" / f"{language}.po", "rb") as file:
        return compiled(file.read(), language)


def compiled(po: bytes, language: str) -> gettext.GNUTranslations:
    """The catalogue whose ``.po`` text is `po`; fuzzy entries are left out."""
    from babel.messages.mofile import write_mo  # here, because reports in English need none of it
    from babel.messages.pofile import read_po

    binary = io.BytesIO()
    write_mo(binary, read_po(io.BytesIO(po), locale=language))
    binary.seek(0)
    return gettext.GNUTranslations(binary)
