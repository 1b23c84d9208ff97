"""Our templates compiled, kept in the user's cache folder from one command to the next: to compile them takes longer than a small report.

An entry is one file: the SHA-256 of what follows it, then what Jinja made. It is named after everything that it was made from, written
whole under another name and then renamed; one that does not agree with its digest is made anew. An examiner's own templates are not kept.
"""

import contextlib
import hashlib
import sys
import tempfile
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket

from forensics.digest import identity
from forensics.engine.tool import tool_digest

_DIGEST = 32


class Kept(jinja2.BytecodeCache):
    """What Jinja asks for the compiled form of a template before it compiles it. `folder` need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, bucket: Bucket) -> Path:
        """Named after the template, its text, Jinja, Python, and this tool's code, whose filters may have been applied to constants."""
        made_from = [bucket.key, bucket.checksum, jinja2.__version__, sys.version, tool_digest()]
        return self._folder / f"{identity(made_from)}.template"

    def load_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):
            data = self._path(bucket).read_bytes()
            if hashlib.sha256(memoryview(data)[_DIGEST:]).digest() == data[:_DIGEST]:
                bucket.bytecode_from_string(data[_DIGEST:])

    def dump_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):  # a cache that cannot be written is none
            self._folder.mkdir(parents=True, exist_ok=True)
            body = bucket.bytecode_to_string()
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".template-", delete=False) as stream:
                temporary = Path(stream.name)
                try:
                    stream.write(hashlib.sha256(body).digest() + body)
                    stream.flush()
                    temporary.replace(self._path(bucket))
                except OSError:
                    temporary.unlink(missing_ok=True)
                    raise
