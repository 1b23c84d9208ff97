"""Templates compiled: ours, or an examiner's own in a sandbox, with the filters and the words that they may use.

Every template is escaped for HTML, whatever its name ends in. An examiner's own show the document and can call nothing else. They may
extend, include and import the shipped ones by name.
"""

import gettext
import re
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import jinja2.sandbox

from forensics.errors import UsageError
from forensics.report import markup
from forensics.report.language import templates_folder
from forensics.report.template import Template
from forensics.report.text import plain_text

_NAMED = re.compile(r'\{%-?\s*(?:include|import|extends|from)\s+"([^"]+)"')


@cache
def environment(translations: gettext.NullTranslations, folder: Path | None = None) -> jinja2.Environment:
    """What templates are compiled in, once: ours, or those of an examiner's `folder`, with the words of a language."""
    made = _plain(folder)
    added: Any = made
    added.install_gettext_translations(translations, newstyle=True)
    filters: dict[str, Callable[..., object]] = {
        "evidence": markup.evidence,
        "foreign": markup.foreign,
        "code": markup.code,
        "markdown": markup.markdown,
        "number": markup.number,
        "plain": plain_text,
        "size": lambda value: markup.size(value, translations.gettext),
        "css_string": markup.css_string,
    }
    made.filters |= filters
    made.globals |= {"label": markup.labels(translations.gettext)}
    return made


def _plain(folder: Path | None) -> jinja2.Environment:
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


def parts(template: Template) -> Iterator[str]:
    """The templates that one of ours names in its text; an examiner's own are compiled with theirs when they are rendered."""
    if template.folder is None:
        yield from dict.fromkeys(_NAMED.findall((templates_folder() / template.name).read_text(encoding="utf-8")))


def refused(template: Template, error: Exception) -> UsageError:
    """What is wrong with an examiner's template, with its file and line as far as they are known."""
    where = str(template.folder / template.name) if template.folder else template.name
    if isinstance(error, jinja2.TemplateSyntaxError):
        where, line = error.filename or where, error.lineno
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(template.folder or where))]
        where, line = (frames[-1].filename, frames[-1].lineno or 0) if frames else (where, 0)
    return UsageError(f"report template {where}{f', line {line}' if line else ''}: {type(error).__name__}: {error}; correct the template")
