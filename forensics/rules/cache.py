"""Compiled rules kept in a folder, so that of several processes one compiles and the others load.

An entry is one file: the SHA-256 of what follows it, a JSON header (what is known of the sets, the size of each), the sets. It is
written whole under another name and then renamed; one that does not agree with its digest is built anew.
"""

import contextlib
import fcntl
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import yara
from msgspec import Struct

from forensics.rules.sets import About, Sets, dump, restore

_DIGEST = 32


class _Header(Struct, frozen=True):
    about: About
    sizes: tuple[int, ...]


def cached(folder: str, key: str, build: Callable[[], tuple[Sets, About]]) -> tuple[Sets, About]:
    """The sets kept in `folder` under `key` where they are there undamaged, else built and put there. No folder: built.

    What the rules include is compared too: where it changed, the sets are built anew. Raises what `build` raises.
    """
    if not folder:
        return build()
    path = Path(folder).expanduser() / f"{key}.rules"
    if (found := _load(path)) is not None:
        return found
    with _turn(path.with_suffix(".lock")):
        if (found := _load(path)) is not None:  # another process has built them meanwhile
            return found
        sets, about = build()
        with contextlib.suppress(OSError):  # a cache that cannot be written is none
            _write(path, sets, about)
    return sets, about


def _load(path: Path) -> tuple[Sets, About] | None:
    with contextlib.suppress(OSError, ValueError, yara.Error):
        data = path.read_bytes()
        if hashlib.sha256(memoryview(data)[_DIGEST:]).digest() != data[:_DIGEST]:
            return None
        end = _DIGEST + 8 + int.from_bytes(data[_DIGEST : _DIGEST + 8], "big")
        header = msgspec.json.decode(data[_DIGEST + 8 : end], type=_Header)
        parts = []
        for size in header.sizes:
            parts.append(data[end : end + size])
            end += size
        if all(hashlib.sha256(Path(name).read_bytes()).hexdigest() == stated for name, stated in header.about.included.items()):
            return restore(parts), header.about
    return None


def _write(path: Path, sets: Sets, about: About) -> None:
    parts = dump(sets)
    header = msgspec.json.encode(_Header(about, tuple(map(len, parts))))
    body = b"".join([len(header).to_bytes(8, "big"), header, *parts])
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".rules-", delete=False) as stream:
        temporary = Path(stream.name)
        try:
            stream.write(hashlib.sha256(body).digest() + body)
            stream.flush()
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    """One process at a time, so that rules are compiled once; without a lock where the folder allows none (then several may compile)."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = stack.enter_context(open(path, "ab"))
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
