"""Files of YARA rules: found, read, and what they may include."""

import hashlib
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from forensics.errors import UsageError

SUFFIXES = frozenset({".yar", ".yara"})
_LARGEST = 64 << 20  # bytes of a rule file


class RuleFile(Struct, frozen=True):
    """One file of rules: its namespace, the folder within which it may include others, its path there, its text."""

    namespace: str
    root: str
    path: str
    text: str


def find(rules: Iterable[str]) -> Iterator[tuple[Path, str, str]]:
    """Root, path below it and namespace of every rule file in these files and folders, sorted; a namespace is given once.

    Raises UsageError for a path that is not there.
    """
    taken: set[str] = set()
    for given in rules:
        place = Path(given).expanduser()
        if place.is_dir():
            root, paths = place, sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        elif place.is_file():
            root, paths = place.parent, [place]
        else:
            raise UsageError(
                f"rules: {given} is not there; name files of YARA rules, or folders that hold {' or '.join(sorted(SUFFIXES))} files"
            )
        for path in paths:
            below = path.relative_to(root).as_posix()
            namespace, number = below, 1
            while namespace in taken:
                number += 1
                namespace = f"{root.name}/{below}" if number == 2 else f"{root.name}/{below} ({number - 1})"
            taken.add(namespace)
            yield root, below, namespace


def read(path: Path) -> tuple[bytes, str]:
    """Bytes and text of a rule file. Raises ValueError that says why it cannot be compiled."""
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    if len(data) > _LARGEST:
        raise ValueError(f"is larger than {_LARGEST} bytes")
    try:
        return data, data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"line {line}: byte 0x{data[error.start]:02x} is not UTF-8; save it as UTF-8, or write the byte as \\x.."
        ) from error


class Includes:
    """Answers YARA's requests for files: the rule files themselves, and what they include from their own folder.

    `read` holds the SHA-256 of what was included by its path, `refused` by namespace why a file may not be included.
    """

    def __init__(self, files: Iterable[RuleFile]) -> None:
        self._files = {file.namespace: file for file in files}
        self._paths: dict[tuple[str, str], str] = {}
        self.read: dict[str, str] = {}
        self.refused: dict[str, str] = {}

    def __call__(self, requested: str, caller: str | None, namespace: str) -> str | None:
        file = self._files[namespace]
        if not caller:
            self._paths[namespace, requested] = file.path
            return file.text
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self._paths.get((namespace, caller), file.path)), requested))
        root = Path(file.root).resolve()
        if path.startswith(("/", "..")) or not (root / path).resolve().is_relative_to(root):
            self.refused[namespace] = f"it includes {requested!r}, which is outside its folder"
            return None
        try:
            data, text = read(root / path)
        except ValueError as error:
            self.refused[namespace] = f"it includes {requested!r}, which {error}"
            return None
        self._paths[namespace, requested] = path
        self.read[f"{file.root}/{path}"] = hashlib.sha256(data).hexdigest()
        return text
