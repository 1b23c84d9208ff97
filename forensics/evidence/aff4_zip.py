"""The volume of an AFF4 image: a zip archive whose members are found by URN, and the statements in `information.turtle`."""

import io
import logging
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote

from forensics.errors import Corrupt, Unsupported
from forensics.evidence import limits
from forensics.evidence.files import Files
from forensics.evidence.libyal import OneFile
from forensics.evidence.openfile import SourceFile
from forensics.location import printable

SCHEMA = "http://aff4.org/Schema#"
_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
_TURTLE = 16 << 20  # bytes of the statements
_MEMBER = 256 << 20  # bytes of a member that is read whole

Values = list[tuple[str, str]]  # the text of each value, and its type without the schema ("" for none)


class Volume:
    """One file of an AFF4 image. `facts` are its statements: subject, property (without the schema), values.

    Raises Corrupt where it is no readable volume, Unsupported for a version that is not read.
    """

    def __init__(self, path: Path) -> None:
        self.name = printable(str(path))
        self.files = Files([path])
        self._source = OneFile(self.files, 0)
        try:
            self._zip = zipfile.ZipFile(cast(BinaryIO, io.BufferedReader(SourceFile(self._source), 1 << 16)))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
            raise Corrupt(f"{self.name}: its list of members cannot be read: {error}") from error
        if len(self._zip.infolist()) > limits.MEMBERS:
            raise Corrupt(f"{self.name}: has {len(self._zip.infolist())} members")
        self._members = {unquote(info.filename): info for info in self._zip.infolist()}
        self.urn = self._zip.comment.partition(b"\0")[0].decode("utf-8", "backslashreplace")
        version = dict(line.partition("=")[::2] for line in self.whole("version.txt").decode("utf-8", "backslashreplace").split())
        if version.get("major") != "1":
            raise Unsupported(f"{self.name}: is an AFF4 image of version {version.get('major', 'unknown')[:20]}; version 1 is read")
        self.tool = version.get("tool", "")
        self.facts = _statements(self.whole("information.turtle"), self.name)

    def find(self, member: str) -> zipfile.ZipInfo | None:
        """A member by its URN or by its path in the volume."""
        return self._members.get(member) or self._members.get(member.removeprefix(f"{self.urn}/"))

    def whole(self, member: str) -> bytes:
        """The content of a member. Raises Corrupt where it is missing, too large, or damaged."""
        info = self.find(member)
        if info is None or info.file_size > _MEMBER:
            raise Corrupt(f"{self.name}: member {member!r} is missing, or has more than {_MEMBER} bytes")
        try:
            return self._zip.read(info)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, struct.error) as error:
            raise Corrupt(f"{self.name}: member {member!r} cannot be read: {error}") from error

    def place(self, info: zipfile.ZipInfo) -> int | None:
        """Where in the file the content of a member begins, `None` where it is compressed (APPNOTE 6.3.10, 4.3.7)."""
        if info.compress_type != zipfile.ZIP_STORED:
            return None
        header = self._source.read(info.header_offset, 30)
        if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
            raise Corrupt(f"{self.name}: member {info.filename!r} has no header at byte {info.header_offset}")
        return int(info.header_offset + 30 + sum(struct.unpack_from("<HH", header, 26)))

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file itself."""
        return self._source.read(offset, size)

    def subjects(self, kind: str) -> Iterator[str]:
        """The subjects of a type, such as ``Map``, sorted."""
        for subject in sorted(self.facts):
            if any(value == SCHEMA + kind for value, _ in self.facts[subject].get(_TYPE, [])):
                yield subject

    def value(self, subject: str, name: str) -> str | None:
        """The first value of a property, in order of their text; `None` where there is none."""
        values = self.facts.get(subject, {}).get(name)
        return min(values)[0] if values else None

    def number(self, subject: str, name: str) -> int:
        """A property that is a number. Raises Corrupt where it is none."""
        text = self.value(subject, name) or ""
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise Corrupt(f"{self.name}: {subject} has {text[:40]!r} as its {name}, which is no number")
        return int(text)


def _statements(text: bytes, name: str) -> dict[str, dict[str, Values]]:
    import rdflib

    if len(text) > _TURTLE:
        raise Corrupt(f"{name}: information.turtle has {len(text)} bytes; {_TURTLE} are read")
    logging.getLogger("rdflib").setLevel(logging.CRITICAL)  # it reports literals of the wrong form on standard error
    rdflib.NORMALIZE_LITERALS = False  # values as they were written
    graph = rdflib.Graph(bind_namespaces="none")
    try:
        graph.parse(data=text.decode("utf-8"), format="turtle")
    except (SyntaxError, ValueError, KeyError, IndexError, AttributeError, AssertionError, RecursionError, TypeError) as error:
        raise Corrupt(f"{name}: information.turtle cannot be read: {type(error).__name__}") from error
    facts: dict[str, dict[str, Values]] = {}
    for subject, property, value in graph:
        kind = getattr(value, "datatype", None)
        entry = (str(value), str(kind or "").removeprefix(SCHEMA))
        facts.setdefault(str(subject), {}).setdefault(str(property).removeprefix(SCHEMA), []).append(entry)
    return facts
