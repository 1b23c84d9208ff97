"""Who puts time stamps, and how it is reached: only where it is configured. Nothing else in this package reaches a network."""

import subprocess
import tempfile
from pathlib import Path

from msgspec import Struct

from forensics.errors import SigningError

LARGEST = 256 * 1024  # bytes of an answer
SECONDS = 60


class StampingAuthority(Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of: a command, in which {request} and {response} stand for two files; an http(s) address (RFC 3161, 3.4)."""

    command: tuple[str, ...] = ()
    url: str = ""

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.url):
            raise ValueError("a stamping authority is either a command or an address")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"the stamping authority's address {self.url!r} is not http or https")


def request(data: bytes) -> bytes:
    """A request for a time stamp over `data` (SHA-256, with a nonce, asking for the certificate), to be carried to an authority."""
    import rfc3161_client  # here as below, because every identity says which authority it has, and few ask one

    builder = rfc3161_client.TimestampRequestBuilder().data(data).hash_algorithm(rfc3161_client.HashAlgorithm.SHA256)
    return builder.nonce(nonce=True).cert_request(cert_request=True).build().as_bytes()


def ask(authority: StampingAuthority, asked: bytes) -> bytes:
    """The authority's answer, not yet verified. Raises SigningError."""
    return _by_command(authority.command, asked) if authority.command else _by_url(authority.url, asked)


def _by_command(command: tuple[str, ...], asked: bytes) -> bytes:
    with tempfile.TemporaryDirectory(prefix="forensics-stamp-") as folder:
        files = {"{request}": Path(folder) / "request.tsq", "{response}": Path(folder) / "response.tsr"}
        files["{request}"].write_bytes(asked)
        words = [str(files[word]) if word in files else word for word in command]
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SigningError(f"the stamping command {command[0]} did not run: {error}") from error
        if done.returncode or not files["{response}"].is_file():
            said = done.stderr[-300:].decode("utf-8", "backslashreplace").strip()
            raise SigningError(f"the stamping command {command[0]} ended with {done.returncode} and no answer: {said}")
        with files["{response}"].open("rb") as stream:
            return _bounded(stream.read(LARGEST + 1), command[0])


def _by_url(url: str, asked: bytes) -> bytes:
    import urllib.error
    import urllib.request

    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, asked, headers), timeout=SECONDS) as answer:  # noqa: S310 - the scheme is checked
            return _bounded(answer.read(LARGEST + 1), url)
    except (OSError, urllib.error.URLError) as error:
        raise SigningError(f"the stamping authority {url} cannot be reached: {error}") from error


def _bounded(answer: bytes, name: str) -> bytes:
    if len(answer) > LARGEST:
        raise SigningError(f"{name}: an answer of more than {LARGEST} bytes is no time stamp")
    return answer
