"""A package's folder as a BagIt 1.0 bag (RFC 8493), and the one tar file that is made of it.

The same bag gives the same tar, byte for byte: names sorted, regular files only, times zero, owner root, mode 0644.
"""

import hashlib
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from forensics.errors import PackageInvalid
from forensics.exchange.standalone import bag as standalone_bag
from forensics.exchange.standalone.refusal import Refused
from forensics.segment import write_whole

DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
MANIFESTS = ("manifest-sha256.txt", "manifest-sha512.txt")
TAGS = ("bag-info.txt", "bagit.txt", *MANIFESTS)  # what the tag manifest lists, sorted
TAG_MANIFEST = "tagmanifest-sha256.txt"
_CHUNK = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def payload(folder: Path) -> list[str]:
    """Names of the files under ``data/``, relative to the bag, sorted. Raises PackageInvalid for links and whatever is no file."""
    names = []
    for path in sorted((folder / "data").rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PackageInvalid(f"{path}: not a regular file; a package holds nothing else")
        if path.is_file():
            names.append(path.relative_to(folder).as_posix())
    return sorted(names)


def write(folder: Path, info: Mapping[str, str]) -> bytes:
    """Write the tag files around ``data/`` in `folder`; `info` are the fields of ``bag-info.txt``. Returns the tag manifest.

    ``Payload-Oxum`` (bytes and number of files) is added. Raises PackageInvalid, OSError.
    """
    sizes, sha256, sha512 = 0, [], []
    names = payload(folder)
    for name in names:
        size, first, second = _digests(folder / name)
        sizes += size
        sha256.append(f"{first}  {name}\n")
        sha512.append(f"{second}  {name}\n")
    fields = {**info, "Payload-Oxum": f"{sizes}.{len(names)}"}
    for key, value in fields.items():
        if not value.isprintable() or ":" in key:
            raise PackageInvalid(f"bag-info.txt: {key} is {value!r}, which does not fit on one line")
    write_whole(folder / "bagit.txt", DECLARATION)
    write_whole(folder / "bag-info.txt", "".join(f"{key}: {fields[key]}\n" for key in sorted(fields)).encode())
    write_whole(folder / MANIFESTS[0], "".join(sha256).encode())
    write_whole(folder / MANIFESTS[1], "".join(sha512).encode())
    tags = "".join(f"{_digests(folder / name)[1]}  {name}\n" for name in TAGS).encode()
    write_whole(folder / TAG_MANIFEST, tags)
    return tags


def check(folder: Path) -> bytes:
    """That the bag in `folder` is one that a receiver takes. Returns the tag manifest. Raises PackageInvalid."""
    try:
        standalone_bag.check(folder)
    except Refused as refusal:
        raise PackageInvalid(f"{folder}: {refusal}") from refusal
    return (folder / TAG_MANIFEST).read_bytes()


def _digests(path: Path) -> tuple[int, str, str]:
    size, sha256, sha512 = 0, hashlib.sha256(), hashlib.sha512()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            sha256.update(chunk)
            sha512.update(chunk)
    return size, sha256.hexdigest(), sha512.hexdigest()


def pack(folder: Path, name: str, target: BinaryIO) -> None:
    """Write the bag in `folder` as a tar whose one top folder is `name`. Raises PackageInvalid, OSError."""
    if not _NAME.fullmatch(name):
        raise PackageInvalid(f"{name!r} cannot be a package's name: letters, digits, dot, hyphen and underscore, at most 80 of them")
    tops = sorted(path.name for path in folder.iterdir() if path.name != "data")
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        for each in sorted([*tops, *payload(folder)]):
            member = tarfile.TarInfo(f"{name}/{each}")
            member.size = (folder / each).stat().st_size
            member.mode = 0o644
            with open(folder / each, "rb") as file:
                tar.addfile(member, file)
