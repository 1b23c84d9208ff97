"""The closed list of the files that a package may hold, and how large each may be."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from .refusal import Refused

MIB = 1 << 20
TOP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
TAGS = ("bag-info.txt", "bagit.txt", "manifest-sha256.txt", "manifest-sha512.txt")  # what the tag manifest lists
TAG_MANIFEST = "tagmanifest-sha256.txt"
SEAL = "data/seal.sha256"
CUSTODY = "data/custody.jsonl"
DISCLOSURE = "data/disclosure.json"
REQUIRED = (*TAGS, TAG_MANIFEST, f"{TAG_MANIFEST}.p7s", SEAL, f"{SEAL}.p7s", CUSTODY, DISCLOSURE)
RECORD = re.compile(r"data/records/([0-9a-f]{32})\.json")
BODY = re.compile(r"data/custody/bodies/([0-9a-f]{64})\.json")
CHECKPOINT = re.compile(r"data/custody/checkpoints/([1-9][0-9]{0,15})\.json")
_SIGNATURE, _LIST = MIB // 4, 256 * MIB

# Patterns of names with the largest size of each in bytes.
_ALLOWED = (
    (re.compile(r"bagit\.txt|bag-info\.txt"), 64 * 1024),
    (re.compile(r"(tag)?manifest-sha(256|512)\.txt"), _LIST),
    (re.compile(r"tagmanifest-sha256\.txt\.p7s(\.tsr)?|data/seal\.sha256\.p7s(\.tsr)?"), _SIGNATURE),
    (re.compile(r"data/seal\.sha256"), _LIST),
    (RECORD, 64 * MIB),
    (re.compile(r"data/custody\.jsonl"), 1024 * MIB),
    (BODY, 256 * MIB),
    (re.compile(r"data/custody/checkpoints/[1-9][0-9]{0,15}\.json(\.p7s(\.tsr)?)?"), _SIGNATURE),
    (re.compile(r"data/disclosure\.json"), 64 * MIB),
    (re.compile(r"data/report(\.[a-z]{2,3}(_[A-Za-z]{2,8})?)?\.(html|pdf)|data/case\.jsonld"), 4096 * MIB),
    (re.compile(r"data/verify\.txt"), MIB),
)
MOST = 500_000  # files in a package


def check_name(name: str, size: int) -> None:
    """That a package may hold a file of this name (relative to its top folder) and size. Raises Refused."""
    if name == "tagmanifest-sha512.txt":
        raise Refused("name", f"{name!r}: a package does not hold such a file")
    for pattern, largest in _ALLOWED:
        if pattern.fullmatch(name):
            if size > largest:
                raise Refused("archive", f"{name}: {size} bytes are more than such a file may have ({largest})")
            return
    raise Refused("name", f"{name[:200]!r}: a package does not hold such a file")


def listed(folder: Path) -> list[str]:
    """Names of the files of an unpacked package, sorted. Raises Refused for links, foreign names, and files that are too large."""
    found: list[str] = []
    _walk(os.fspath(folder), "", found)
    return sorted(found)


def _walk(folder: str, prefix: str, found: list[str]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{prefix}{entry.name}"
            about = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(about.st_mode):
                if f"{name}/" not in ("data/", "data/records/", "data/custody/", "data/custody/bodies/", "data/custody/checkpoints/"):
                    raise Refused("name", f"{name[:200]!r}: a package does not hold such a folder")
                _walk(entry.path, f"{name}/", found)
                continue
            if not stat.S_ISREG(about.st_mode):
                raise Refused("name", f"{name[:200]!r}: not a regular file; a package holds nothing else")
            check_name(name, about.st_size)
            found.append(name)
            if len(found) > MOST:
                raise Refused("archive", f"more than {MOST} files")


def read(folder: Path, name: str) -> bytes:
    """The bytes of a file of the package, within the bound of its name. Raises Refused where it is not there."""
    try:
        with open(f"{folder}/{name}", "rb", buffering=0) as file:
            check_name(name, os.fstat(file.fileno()).st_size)
            return file.readall()
    except FileNotFoundError:
        raise Refused("missing", f"{name}: not there") from None
