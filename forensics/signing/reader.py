"""What opens packages and signs nothing: the age key of an identity, derived from the passphrase while all else is being loaded."""

import threading
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from forensics.errors import SigningError
from forensics.signing import passphrase as age_file
from forensics.signing import private
from forensics.signing.facts import read_facts


class Reader(Struct, frozen=True):
    """What opens packages and signs nothing: name, age recipient, and the age identity ("AGE-SECRET-KEY-1..."; raises SigningError)."""

    name: str
    recipient: str
    age_secret: Callable[[], str]

    def __repr__(self) -> str:
        return f"Reader({self.name!r}, {self.recipient})"


def open_reader(folder: Path, passphrase: bytes | None) -> Reader:
    """What a folder's packages are opened with; the signing key stays closed.

    The key of the passphrase is derived in a thread of its own (hashlib gives up the interpreter's lock meanwhile), so that the caller can
    prepare the rest. So a wrong passphrase is said by `age_secret`, and all else here, with SigningError. No token is asked: of two lines,
    the first is enough.
    """
    facts = read_facts(folder)
    secret = given(folder, passphrase)
    secret = secret.partition(b"\n")[0] if facts.token else secret
    path = folder / "identity.age"
    derived = _begun(path, private.read(path), secret)
    from forensics.signing import certificates  # not above: the derivation is under way while this is loaded

    return Reader(certificates.common_name(certificates.load(certificates.of_identity(folder))), facts.recipient, derived)


def age_secret(path: Path, data: bytes, secret: bytes) -> str:
    """The age identity in the file `data` at `path`, under the passphrase `secret`. Raises SigningError."""
    try:
        return age_file.decrypt(data, utf8(secret), str(path)).decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise SigningError(f"{path}: what it holds is not an age identity") from error


def given(folder: Path, passphrase: bytes | None) -> bytes:
    """The passphrase of the identity in `folder`. Raises SigningError where there is none."""
    if passphrase is None:
        raise SigningError(f"{folder}: a passphrase is needed; name a file with --passphrase-file, or type it on a terminal")
    return passphrase


def utf8(secret: bytes) -> bytes:
    """The passphrase, which a person can type for `age` as well. Raises SigningError."""
    try:
        secret.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SigningError("the passphrase is not UTF-8") from error
    return secret


def _begun(path: Path, data: bytes, secret: bytes) -> Callable[[], str]:
    """`age_secret` under way in a thread; calling what is returned waits for it, and raises what it raised.

    A thread alone is loaded sooner than `concurrent.futures`, and as a daemon keeps nobody waiting who has refused meanwhile.
    """
    found: list[str | SigningError | MemoryError | ValueError] = []

    def derive() -> None:
        try:
            found.append(age_secret(path, data, secret))
        except (SigningError, MemoryError, ValueError) as error:  # of scrypt, where there is not the memory
            found.append(error)

    thread = threading.Thread(target=derive, name="passphrase", daemon=True)
    thread.start()

    def result() -> str:
        thread.join()
        (one,) = found
        if isinstance(one, str):
            return one
        raise one

    return result
