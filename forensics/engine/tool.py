"""Which tool this is: its own sources by digest, and the libraries that what is found may depend on."""

import contextlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from forensics.digest import identity, sha256_file
from forensics.filetype import libmagic_version

LIBRARIES = (
    "pytsk3", "deflate", "python-magic", "yara-python", "yara-x", "ExifRead", "pillow", "pillow-heif", "google-re2", "phonenumberslite",
    "python-stdnum", "zxing-cpp", "pypdf", "olefile", "defusedxml", "zstandard", "msgspec", "rfc8785", "jinja2", "dfvfs",
    "libfsapfs-python", "libpff-python", "cramjam", "cryptography", "google-crc32c", "archi", "inflate64",
)  # fmt: skip


@cache
def tool_digest() -> str:
    """SHA-256 over the tool's own source files, in order of their names, as they were when it was first asked for."""
    root = Path(__file__).parents[1]
    return identity([[str(path.relative_to(root)), sha256_file(path)] for path in sorted(root.rglob("*.py"))])


def libraries() -> dict[str, str]:
    """Name and version of every library that what is found may depend on."""
    found = {"python": platform.python_version(), "libmagic": libmagic_version()}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return dict(sorted(found.items()))
