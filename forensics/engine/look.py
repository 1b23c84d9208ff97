"""An image looked at without a case: its layers, or its digests, out of a child process that is confined and may die."""

import os
import resource
import tempfile
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from forensics.engine import sandbox
from forensics.engine.child import confine, put_aside
from forensics.engine.setup import Setup
from forensics.errors import EngineError, EvidenceError, ForensicsError
from forensics.evidence.image import measure
from forensics.evidence.keys import Keys
from forensics.evidence.layers import open_exhibit
from forensics.filetype import mime_of
from forensics.location import printable
from forensics.model import Fault, ImageDamage, ImageDigest, LayerInfo

SILENCE = 600.0  # seconds without a word after which the child is given up; deriving a key may take a minute
_MEMORY = 4 << 30  # bytes of private memory


class Looked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an exhibit holds: its format, the medium's bytes, its files, what was stored at acquisition, damage so far, layers, faults.

    `format` is "folder", "file", or that of an image; `size` 0 for a folder.
    """

    format: str
    size: int = 0
    files: tuple[str, ...] = ()
    stored: dict[str, str] = {}
    metadata: dict[str, str] = {}
    damage: tuple[ImageDamage, ...] = ()
    layers: tuple[LayerInfo, ...] = ()
    faults: tuple[Fault, ...] = ()


class _Order(Struct, frozen=True):
    what: Literal["look", "measure"]
    path: str
    keys: Keys


def look(path: Path, keys: Keys = Keys()) -> Looked:
    """The layers of an exhibit. Raises EvidenceError where it cannot be opened, EngineError where the child dies of it."""
    return msgspec.json.decode(_ask(_Order("look", str(path.absolute()), keys), lambda done: None), type=Looked)


def digests(path: Path, progress: Callable[[int], None]) -> ImageDigest:
    """The digests of an image, read whole; `progress` is told of bytes read. Raises as `look` does, and for what is no image."""
    return msgspec.json.decode(_ask(_Order("measure", str(path.absolute()), Keys()), progress), type=ImageDigest)


def _ask(order: _Order, progress: Callable[[int], None]) -> bytes:
    context = get_context("forkserver")
    context.set_forkserver_preload(["forensics.engine.look"])
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory(prefix="forensics-") as folder:
        process = context.Process(target=_child, args=(theirs, msgspec.json.encode(order), folder), daemon=True)
        process.start()
        theirs.close()
        try:
            return _listen(ours, order, progress)
        except (EOFError, ConnectionResetError):
            process.join(10)
            raise EngineError(
                f"{printable(order.path)}: the process that opened it died (exit code {process.exitcode}); the image is damaged in a way "
                "that a library does not survive, or is made to be"
            ) from None
        finally:
            process.kill()
            process.join()
            ours.close()


def _listen(connection: Connection, order: _Order, progress: Callable[[int], None]) -> bytes:
    """The answer, after any number of words on progress. Raises what the child could not answer for."""
    while True:
        if not connection.poll(SILENCE):
            raise EngineError(f"{printable(order.path)}: gave no sign for {SILENCE:.0f} s; it was given up")
        frame = connection.recv_bytes()
        letter, body = frame[:1], frame[1:]
        if letter == b"J":
            return body
        if letter == b"X":
            raise EvidenceError(body.decode())
        progress(int.from_bytes(body, "little"))


def _child(connection: Connection, order: bytes, folder: str) -> None:
    confine(Path(os.devnull))
    put_aside(Path(folder))
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    mime_of(b"\0")  # loads libmagic, which may ask another program where it lies
    told = msgspec.json.decode(order, type=_Order)
    path = Path(told.path)
    setup = Setup(exhibits={"1": told.path}, plugin_folders=(), plugins=(), options={}, spool=folder, output=os.devnull)
    sandbox.enter(sandbox.readable(setup), [Path(folder)], sandbox.listed(setup))
    try:
        answer = _looked(path, told.keys) if told.what == "look" else _measured(path, connection)
    except ForensicsError as error:
        connection.send_bytes(b"X" + str(error).encode("utf-8", "backslashreplace"))
    except OSError as error:
        connection.send_bytes(b"X" + f"{printable(told.path)}: {error.strerror or error}".encode("utf-8", "backslashreplace"))
    else:
        connection.send_bytes(b"J" + msgspec.json.encode(answer))


def _looked(path: Path, keys: Keys) -> Looked:
    opened = open_exhibit("1", path, keys=keys)
    image = opened.image
    if image is None:
        return Looked(format=opened.layers[0].kind, size=opened.layers[0].size, layers=opened.layers, faults=opened.faults)
    return Looked(
        format=image.format,
        size=image.size,
        files=tuple(printable(file.name) for file in image.files),
        stored=image.stored,
        metadata=image.metadata,
        damage=image.damage,
        layers=opened.layers,
        faults=opened.faults,
    )


def _measured(path: Path, connection: Connection) -> ImageDigest:
    opened = open_exhibit("1", path)
    if opened.image is None:
        raise EvidenceError(f"{printable(str(path))}: is no image, but a {opened.layers[0].kind}: nothing of an acquisition to verify")
    return measure(opened.image, lambda done: connection.send_bytes(b"P" + done.to_bytes(8, "little")))
