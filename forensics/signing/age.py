"""Encryption to partners and decryption by oneself, with age (C2SP age specification 1), streaming: memory stays flat."""

from collections.abc import Iterable
from typing import BinaryIO

import pyrage

from forensics.errors import SigningError
from forensics.signing.identity import Identity
from forensics.signing.reader import Reader


def encrypt(source: BinaryIO, target: BinaryIO, recipients: Iterable[str]) -> None:
    """Encrypt `source` into `target` so that the `recipients` ("age1...") can read it, nobody else. Raises SigningError, OSError."""
    keys = []
    for text in recipients:
        try:
            keys.append(pyrage.x25519.Recipient.from_str(text))
        except pyrage.RecipientError as error:
            raise SigningError(
                f"not an age recipient: {text[:80]!r}; take it from the partner's card with `forensics trust add`"
            ) from error
    if not keys:
        raise SigningError("encrypt to whom? name at least one recipient")
    pyrage.encrypt_io(source, target, keys)


def decrypt(source: BinaryIO, target: BinaryIO, identity: Identity | Reader) -> None:
    """Decrypt `source` into `target`, which holds nothing to be used where this raises. Raises SigningError, OSError."""
    decrypt_with(source, target, identity.age_secret())


def decrypt_with(source: BinaryIO, target: BinaryIO, secret: str) -> None:
    """The same with a plain age identity ("AGE-SECRET-KEY-1...")."""
    try:
        key = pyrage.x25519.Identity.from_str(secret)
    except pyrage.IdentityError as error:
        raise SigningError("not an age identity") from error
    try:
        pyrage.decrypt_io(source, target, [key])
    except (pyrage.DecryptError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk; pyrage says a damaged chunk with an OSError without a number
            raise
        raise SigningError(f"cannot be decrypted: it is not encrypted to {key.to_public()}, or was changed or cut ({error})") from error
