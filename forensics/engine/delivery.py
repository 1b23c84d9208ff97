"""What came of a unit elsewhere, made durable here: attachments first, then the segment, whole or not at all."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import zstandard

from forensics.digest import sha256
from forensics.engine.crew import Job
from forensics.engine.keep import settle
from forensics.engine.task import DONE
from forensics.engine.wire import Answer
from forensics.errors import EngineError

_CHUNK = 1 << 20


def accept(job: Job, answer: Answer, extracted: Path, spool: Path) -> tuple[int, int, int]:
    """Complete `job` by a worker's answer. Returns entries done, bytes read and faults.

    Raises EngineError where the lines are not those whose digest the worker gave, OSError (disk full).
    """
    settle(_written(answer.attachments, extracted, spool), extracted)
    total = hashlib.sha256()
    done = DONE.pack(answer.entries, 0, 0)
    try:
        with zstandard.ZstdDecompressor().stream_reader(answer.segment) as stream:
            while chunk := stream.read(_CHUNK):
                total.update(chunk)
                job.take(b"L", done + chunk)
    except zstandard.ZstdError as error:
        job.abandon()
        raise EngineError(f"a unit came back damaged ({error}); what was done is kept, the same command goes on from there") from error
    if total.hexdigest() != answer.digest:
        job.abandon()
        raise EngineError("a unit came back with other lines than its worker wrote; what was done is kept, the same command goes on")
    job.commit()
    return answer.entries, answer.bytes, answer.faults


def store(content: bytes, digest: str, extracted: Path, spool: Path) -> None:
    """Put an attachment under its digest, whole or not at all: written in the case's `spool`, made durable, then renamed.

    Raises EngineError where it has another digest, OSError (disk full).
    """
    settle(_written({digest: content}, extracted, spool), extracted)


def _written(attachments: Mapping[str, bytes], extracted: Path, spool: Path) -> Iterator[tuple[Path, str]]:
    """The attachments that are not kept yet, each in a file of its own in `spool`."""
    for digest, content in attachments.items():
        if sha256(content) != digest:
            raise EngineError(
                f"an attachment came back with other content than its digest {digest} says; the same command goes on from there"
            )
        if not (extracted / digest[:2] / digest).exists():
            temporary = spool / f"{digest}-{os.urandom(8).hex()}"
            temporary.write_bytes(content)
            yield temporary, digest
