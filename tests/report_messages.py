"""Every message that the report's templates and labels ask the catalogues for."""

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir

from forensics.report import labels, language, pdf_values

_OPTIONS = {"**.html": {"newstyle_gettext": "true", "silent": "false"}, "**.md": {"newstyle_gettext": "true", "silent": "false"}}


def messages() -> Catalog:
    """The messages of templates and labels, each once, in the order in which they stand there."""
    found = Catalog()
    folder = language.templates_folder()
    methods = [("**.html", "jinja2"), ("**.md", "jinja2")]
    for file, line, message, comments, context in extract_from_dir(folder, methods, _OPTIONS, keywords={"_": None, "ngettext": (1, 2)}):
        found.add(message, None, [(file, line)], auto_comments=comments, context=context)
    for path in pdf_values.sources():
        for wanted in pdf_values.messages(path.read_text(encoding="utf-8")):
            found.add(wanted, None, [(path.name, 0)])
    source = labels.__file__
    for group, words in labels.LABELS.items():
        for word in words.values():
            found.add(word, None, [(source.rpartition("/")[2], 0)], auto_comments=[group])
    return found
