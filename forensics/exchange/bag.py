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
    about = info_text(info, sizes, len(names))
    write_whole(folder / "bagit.txt", DECLARATION)
    write_whole(folder / "bag-info.txt", about)
    write_whole(folder / MANIFESTS[0], "".join(sha256).encode())
    write_whole(folder / MANIFESTS[1], "".join(sha512).encode())
    tags = "".join(f"{_digests(folder / name)[1]}  {name}\n" for name in TAGS).encode()
    write_whole(folder / TAG_MANIFEST, tags)
    return tags


def info_text(info: Mapping[str, str], size: int, number: int) -> bytes:
    """``bag-info.txt`` with these fields, for a payload of `size` bytes in `number` files. Raises PackageInvalid."""
    fields = {**info, "Payload-Oxum": f"{size}.{number}"}
    for key, value in fields.items():
        if not value.isprintable() or ":" in key:
            raise PackageInvalid(f"bag-info.txt: {key} is {value!r}, which does not fit on one line")
    return "".join(f"{key}: {fields[key]}\n" for key in sorted(fields)).encode()


def check(folder: Path) -> bytes:
    """That the bag in `folder` is one that a receiver takes. Returns the tag manifest. Raises PackageInvalid."""
    try:
        standalone_bag.check(folder)
    except Refused as refusal:
        raise PackageInvalid(f"{folder}: {refusal}") from refusal
    return (folder / TAG_MANIFEST).read_bytes()


def payload_digests(folder: Path, tags: bytes) -> dict[str, str]:
    """SHA-256 by name of the payload, as the tag manifest `tags` vouches for it; both have the form that `check` asks for.

    Raises PackageInvalid.
    """
    manifest = (folder / MANIFESTS[0]).read_bytes()
    if hashlib.sha256(manifest).hexdigest() != _lines(tags).get(MANIFESTS[0]):
        raise _changed(folder / MANIFESTS[0])
    return _lines(manifest)


def _lines(manifest: bytes) -> dict[str, str]:
    return {line[66:]: line[:64] for line in manifest.decode("ascii").split("\n")[:-1]}


def _changed(path: Path) -> PackageInvalid:
    return PackageInvalid(f"{path}: was changed while it was approved; look into who did that, then approve again")


def _digests(path: Path) -> tuple[int, str, str]:
    size, sha256, sha512 = 0, hashlib.sha256(), hashlib.sha512()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            sha256.update(chunk)
            sha512.update(chunk)
    return size, sha256.hexdigest(), sha512.hexdigest()


class _Digesting:
    """Reads a file and digests what was read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def pack(folder: Path, name: str, target: BinaryIO, signed: Mapping[str, bytes]) -> None:
    """Write the bag in `folder` as a tar whose one top folder is `name`.

    `signed` are the tag manifest and what lies beside it (its signature, a time stamp), by name, as they were checked. Each file is
    compared, as it goes in, with the digest that they vouch for: what is packed is what was checked. Raises PackageInvalid, OSError.
    """
    if not _NAME.fullmatch(name):
        raise PackageInvalid(f"{name!r} cannot be a package's name: letters, digits, dot, hyphen and underscore, at most 80 of them")
    tops = [path.name for path in folder.iterdir() if path.name != "data"]
    digests = payload_digests(folder, signed[TAG_MANIFEST]) | _lines(signed[TAG_MANIFEST])
    digests |= {each: hashlib.sha256(content).hexdigest() for each, content in signed.items()}
    names = sorted([*tops, *payload(folder)])
    if odd := sorted(set(names) ^ digests.keys()):
        raise _changed(folder / odd[0])
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        for each in names:
            member = tarfile.TarInfo(f"{name}/{each}")
            member.size = (folder / each).stat().st_size
            member.mode = 0o644
            with open(folder / each, "rb") as file:
                reading = _Digesting(file)
                tar.addfile(member, reading)
            if reading.digest.hexdigest() != digests[each]:
                raise _changed(folder / each)
