"""What the case says, as one frozen document, and the pages and listings that show it.

Each name is loaded when it is first used: an examination does not wait for what writes its report.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forensics.report.building import build
    from forensics.report.checking import check
    from forensics.report.document import Document, Validation
    from forensics.report.language import languages
    from forensics.report.listings import LARGE, large_listing
    from forensics.report.render import Report, Signature, prepare, write

__all__ = ["LARGE", "Document", "Report", "Signature", "Validation", "build", "check", "languages", "large_listing", "prepare", "write"]

_LATER = {
    "building": ("build",),
    "checking": ("check",),
    "document": ("Document", "Validation"),
    "language": ("languages",),
    "listings": ("LARGE", "large_listing"),
    "render": ("Report", "Signature", "prepare", "write"),
}


def __getattr__(name: str) -> object:
    """A name that is loaded when it is first used (PEP 562). Raises AttributeError for what is none of this room's."""
    for module, names in _LATER.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
