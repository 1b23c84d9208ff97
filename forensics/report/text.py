"""A value as text for the reader, of bounded length."""

from forensics.digest import canonical
from forensics.report.document import Text

CHARACTERS = 1_000  # of one value


def plain_text(value: object) -> str:
    """A flat value as text: texts and numbers as they are, lists and the rest as canonical JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str | int) for item in value):
        return ", ".join(str(item) for item in value)
    return canonical(value).decode()


def clip(text: str, most: int = CHARACTERS) -> Text:
    """`text`, its end left out where it is longer than `most` characters."""
    return Text(text) if len(text) <= most else Text(text[:most], len(text) - most)
