"""Text as XML can hold it, in documents and in ``xsd:string`` alike."""

import re

from forensics.location import escape

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(value: str) -> str:
    """`value` as found; where it holds a character that no XML document may (XML 1.0, section 2.2), escaped as a location is."""
    return escape(value) if _NOT_XML.search(value) else value
