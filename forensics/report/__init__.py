"""What the case says, as one frozen document, and the pages and listings that show it."""

from forensics.report.build import build
from forensics.report.document import Document, Validation
from forensics.report.language import languages
from forensics.report.render import LARGE, Report, Signature, check, large_listing, write

__all__ = ["LARGE", "Document", "Report", "Signature", "Validation", "build", "check", "languages", "large_listing", "write"]
