"""The manifests of a package (BagIt 1.0, RFC 8493): every file listed twice, no file more and none less."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from . import files
from .refusal import Refused

_LINE = re.compile(r"([0-9a-f]{64}|[0-9a-f]{128})  ([!-~]+)")
_CHUNK = 1 << 20
_DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_OXUM = re.compile(r"^Payload-Oxum: ([0-9]{1,15})\.([0-9]{1,9})$", re.MULTILINE)


def check(folder: Path, found: list[str] | None = None) -> str:
    """That the files in `folder` (`found`, where they were listed already) are exactly those of the manifests, with their digests.

    Returns what was checked. Raises Refused.
    """
    found = files.listed(folder) if found is None else found
    for name in files.REQUIRED:
        if name not in found:
            raise Refused("missing", f"{name}: not there")
    if files.read(folder, "bagit.txt") != _DECLARATION:
        raise Refused("manifest", "bagit.txt: does not declare BagIt 1.0 in UTF-8")
    tags = _listed(folder, files.TAG_MANIFEST, 64)
    _compare(tags, files.TAGS, files.TAG_MANIFEST)
    payload = [name for name in found if name.startswith("data/")]
    first, second = _listed(folder, "manifest-sha256.txt", 64), _listed(folder, "manifest-sha512.txt", 128)
    _compare(first, payload, "manifest-sha256.txt")
    _compare(second, payload, "manifest-sha512.txt")
    signatures = {f"{files.TAG_MANIFEST}.p7s", f"{files.TAG_MANIFEST}.p7s.tsr"}
    for name in found:
        if not (name in first or name in tags or name in signatures or name == files.TAG_MANIFEST):
            raise Refused("unlisted", f"{name}: no manifest lists it")
    for name in files.TAGS:
        if _digests(f"{folder}/{name}")[1] != tags[name]:
            raise Refused("digest", f"{name}: does not have the digest that {files.TAG_MANIFEST} lists")
    total = 0
    for name in payload:
        size, sha256, sha512 = _digests(f"{folder}/{name}")
        total += size
        if sha256 != first[name] or sha512 != second[name]:
            raise Refused("digest", f"{name}: does not have the digest that the manifests list")
    oxum = _OXUM.search(files.read(folder, "bag-info.txt").decode("utf-8", "replace"))
    if oxum is None or (int(oxum[1]), int(oxum[2])) != (total, len(payload)):
        raise Refused("manifest", f"bag-info.txt: Payload-Oxum is not {total}.{len(payload)}")
    return f"{len(payload)} files, {total} bytes, each with both its digests; no file besides"


def _listed(folder: Path, name: str, digits: int) -> dict[str, str]:
    """Digest by name of a manifest, which is sorted and has one form of line. Raises Refused."""
    data = files.read(folder, name)
    found: dict[str, str] = {}
    last = ""
    for line in data.decode("ascii", "replace").split("\n")[:-1]:
        match = _LINE.fullmatch(line)
        if match is None or len(match[1]) != digits or match[2] <= last:
            raise Refused("manifest", f"{name}: {line[:200]!r} is not a line of it, stands there twice, or out of order")
        last = match[2]
        found[last] = match[1]
    if not data.endswith(b"\n"):
        raise Refused("manifest", f"{name}: its last line is not whole")
    return found


def _compare(listed: dict[str, str], there: list[str] | tuple[str, ...], manifest: str) -> None:
    present = set(there)
    for name in listed:
        if name not in present:
            raise Refused("missing", f"{name}: {manifest} lists it, and it is not there")
    for name in there:
        if name not in listed:
            raise Refused("unlisted", f"{name}: {manifest} does not list it")


def _digests(path: str) -> tuple[int, str, str]:
    size, sha256, sha512 = 0, hashlib.sha256(), hashlib.sha512()
    with open(path, "rb", buffering=0) as file:
        while True:
            chunk = file.read(_CHUNK)
            if not chunk:
                return size, sha256.hexdigest(), sha512.hexdigest()
            size += len(chunk)
            sha256.update(chunk)
            sha512.update(chunk)
