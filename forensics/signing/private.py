"""Files that only their owner may read: keys, passphrases, age identities."""

import os
import stat
from pathlib import Path

from forensics.errors import SigningError

LARGEST = 1 << 20  # bytes of a key file or passphrase file


def folder(path: Path) -> Path:
    """`path`, made with mode 0700 where it is not there, and refused where others may look into it. Raises SigningError."""
    if not path.exists():
        path.mkdir(parents=True, mode=0o700)
        path.chmod(0o700)  # whatever the umask
    check_folder(path)
    return path


def check_folder(path: Path) -> None:
    """Refuse a folder into which others may look or write. Raises SigningError."""
    if not path.is_dir():
        raise SigningError(f"{path}: no such folder; make an identity with `forensics identity new`, or name its folder with --identity")
    _check(path, path.stat(), "700")


def read(path: Path, *, largest: int = LARGEST) -> bytes:
    """The bytes of a private file. Raises SigningError where it is missing, a link, or readable by others."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SigningError(f"{path}: cannot be read: {error.strerror}") from error
    with open(descriptor, "rb") as stream:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise SigningError(f"{path}: not a regular file")
        _check(path, about, "600")
        if about.st_size > largest:
            raise SigningError(f"{path}: {about.st_size} bytes are too many for such a file")
        return stream.read(largest)


def write(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file whole, under a temporary name first, never readable by others on the way. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _check(path: Path, about: os.stat_result, wanted: str) -> None:
    if about.st_mode & 0o077:
        raise SigningError(f"{path}: others may use it (mode {stat.S_IMODE(about.st_mode):04o}); run: chmod {wanted} {path}")
    if about.st_uid != os.geteuid():
        raise SigningError(f"{path}: belongs to user {about.st_uid}, not to you ({os.geteuid()}); use a copy of your own")
