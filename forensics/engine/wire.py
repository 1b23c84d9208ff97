"""What a coordinator, a cluster's worker and its reading process say to each other: frames over a pipe, and the structs inside them."""

import secrets
import struct
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from forensics.engine.setup import Limits, Setup
from forensics.errors import EngineError

MOST = 4 << 30  # bytes of one frame: a unit's lines and attachments, compressed
TOLD, CHECK, UNIT = b"T", b"C", b"U"  # to the process
LIKENESS, ANSWER, REFUSED = b"J", b"R", b"X"  # from it
GONE, DIED = b"G", b"Y"  # of it: none is there, so that the unit was not begun; it ended in the middle
_HEAD = struct.Struct("<cQ")


class Told(Struct, frozen=True, kw_only=True):
    """Everything that a worker is told of a run.

    `setup` is the coordinator's own, but for `spool` and `output`, which each worker has for itself. `folder` is where relative paths
    begin, `plugins` the coordinator's FORENSICS_PLUGINS. A worker at which the file `probe` holds `secret` shares the case folder.
    """

    setup: Setup
    limits: Limits
    extracted: str
    folder: str
    plugins: str
    probe: str
    secret: str


class Answer(Struct, frozen=True, kw_only=True):
    """What came of one unit: its segment, compressed, with the SHA-256 of its lines; attachments by digest, unless they are in the case
    folder already; entries done, bytes read, faults among the lines."""

    segment: bytes
    digest: str
    attachments: dict[str, bytes]
    entries: int
    bytes: int
    faults: int


def told(setup: Setup, limits: Limits, extracted: Path, plugins: str) -> Told:
    """What the workers of a run on this case are told."""
    secret = secrets.token_hex(16)
    probe = Path(setup.spool) / f"shared-{secret[:8]}"
    return Told(
        setup=setup, limits=limits, extracted=str(extracted), folder=str(Path.cwd()), plugins=plugins, probe=str(probe), secret=secret
    )


encode_told = msgspec.msgpack.encode
decode_told = msgspec.msgpack.Decoder(Told).decode
encode_answer = msgspec.msgpack.encode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


def send(stream: IO[bytes], letter: bytes, body: bytes) -> None:
    """Write one frame. Raises OSError where the other side has gone."""
    stream.write(_HEAD.pack(letter, len(body)))
    stream.write(body)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[bytes, bytes] | None:
    """The next frame's letter and body, or `None` where the other side has gone. Raises EngineError where it is no frame."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    letter, size = _HEAD.unpack(head)
    if size > MOST:
        raise EngineError(f"a frame of {size} bytes (limit {MOST}); is another program writing into the pipe?")
    body = stream.read(size)
    return (letter, body) if len(body) == size else None
