"""Whether a report can be made as it is wanted, before the work that it reports."""

from collections.abc import Iterable

from forensics.report.language import SOURCE, catalogue
from forensics.report.template import PDF, chosen


def check(templates: Iterable[str], language: str = SOURCE) -> None:
    """Whether a report can be made of these templates in this language. An examiner's own are compiled. Raises UsageError."""
    catalogue(language)
    for template in chosen(templates):
        if template.folder is not None:
            from forensics.report.render import prepare  # here, because ours are whole, and need not be waited for

            prepare([template], language)
        elif template.name == PDF:
            from forensics.report import pdf  # for those alone who want a PDF

            pdf.check()
