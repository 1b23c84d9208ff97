"""A package decrypted and unpacked into a private folder: what is not of the one form of a package's archive is refused unwritten.

Age authenticates every piece before it gives it out, and its plain text is shorter than its cipher text; a tar is not compressed. So
nothing that is written can be larger than the file that came. See `standalone.archive` for the rest.
"""

import os
from pathlib import Path

from forensics.errors import SigningError
from forensics.exchange.standalone import archive
from forensics.exchange.standalone.refusal import Refused
from forensics.signing import Identity, Reader
from forensics.signing.age import decrypt_with

LARGEST = 64 << 30  # bytes of an encrypted package


def decrypt(package: Path, identity: Identity | Reader, plain: Path) -> None:
    """Write the tar that is in `package` to `plain`, which must not be there yet.

    Raises Refused; SigningError where the identity's own files do not open; OSError.
    """
    size = package.stat().st_size
    if size > LARGEST:
        raise Refused("archive", f"{package.name}: {size} bytes are more than a package may have ({LARGEST})")
    secret = identity.age_secret()
    try:
        with open(package, "rb") as source, open(os.open(plain, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            decrypt_with(source, target, secret)
    except (SigningError, OSError) as error:
        plain.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk; a piece that was changed comes as an OSError without a number
        raise Refused("encryption", f"{package.name}: {error}") from error


def unpack(plain: Path, folder: Path) -> str:
    """Unpack the tar `plain` into the new private `folder`. Returns the name of its top folder. Raises Refused, OSError."""
    folder.mkdir(mode=0o700)
    with open(plain, "rb") as source:
        return archive.unpack(source, plain.stat().st_size, folder)
