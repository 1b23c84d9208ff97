"""A short secret in a file under a passphrase: a binary age file with one scrypt stanza, which `age -d` reads as well.

Source: the C2SP age specification 1, sections "Header", "The scrypt recipient type" and "Payload"; RFC 7914 (scrypt), RFC 5869 (HKDF).
pyrage writes the same form, with a work factor that it measures on the machine it runs on; here it is a stated one.
"""

import base64
import hashlib
import hmac
import os
import re

from forensics.errors import SigningError

FACTOR = 17  # N = 2^17, r = 8, p = 1: 128 MiB, the first choice of OWASP's Password Storage Cheat Sheet
HIGHEST = 20  # 1 GiB: what a file may ask of this machine
LARGEST = 64 * 1024  # bytes of the secret: one chunk of the payload
_LABEL = b"age-encryption.org/v1/scrypt"
_HEADER = re.compile(
    rb"age-encryption\.org/v1\n-> scrypt ([A-Za-z0-9+/]{22}) ([1-9][0-9]{0,2})\n([A-Za-z0-9+/]{43})\n--- ([A-Za-z0-9+/]{43})\n"
)
_NONCE = 16
_TAG = 16
_LAST = bytes(11) + b"\x01"  # nonce of the first chunk that is the last, too


def encrypt(secret: bytes, passphrase: bytes, *, factor: int = FACTOR) -> bytes:
    """The age file that holds `secret`; scrypt's N is two to the power of `factor`. Raises SigningError."""
    if not passphrase or len(secret) > LARGEST:
        raise SigningError(f"nothing to encrypt with, or too much to encrypt: {len(secret)} bytes, at most {LARGEST}")
    salt, file_key, nonce = os.urandom(16), os.urandom(16), os.urandom(_NONCE)
    wrap_key = _wrap_key(passphrase, salt, factor)
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # here as below: see `decrypt`

    body = ChaCha20Poly1305(wrap_key).encrypt(bytes(12), file_key, None)
    sealed = ChaCha20Poly1305(_expand(file_key, b"payload", nonce)).encrypt(_LAST, secret, None)
    return _header(salt, factor, body, file_key) + nonce + sealed


def decrypt(data: bytes, passphrase: bytes, name: str) -> bytes:
    """The secret in an age file. Raises SigningError with `name` where it is of another form, or the passphrase does not open it."""
    found = _HEADER.match(data)
    if found is None:
        raise SigningError(f"{name}: not an age file with one passphrase (a header with one scrypt stanza)")
    factor, payload = int(found[2]), data[found.end() :]
    if factor > HIGHEST:
        raise SigningError(
            f"{name}: wants 2^{factor} rounds of scrypt, more than 2^{HIGHEST} (1 GiB of memory); decrypt it with `age` and encrypt it anew"
        )
    if not _NONCE + _TAG <= len(payload) <= _NONCE + LARGEST + _TAG:
        raise SigningError(f"{name}: {len(payload)} bytes behind the header are not one chunk of an age file")
    salt, body = (base64.b64decode(found[number] + b"=" * (-len(found[number]) % 4)) for number in (1, 3))
    wrap_key = _wrap_key(passphrase, salt, factor)
    # loaded now, since a reader derives the key in a thread while all else is loaded: half a second, which begins the sooner
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        file_key = ChaCha20Poly1305(wrap_key).decrypt(bytes(12), body, None)
        if not hmac.compare_digest(_header(salt, factor, body, file_key), found[0]):
            raise SigningError(f"{name}: its header was changed")
        return ChaCha20Poly1305(_expand(file_key, b"payload", payload[:_NONCE])).decrypt(_LAST, payload[_NONCE:], None)
    except InvalidTag as error:
        raise SigningError(f"{name}: the passphrase does not open it, or it was changed") from error


def is_current(data: bytes) -> bool:
    """Whether an age file has the work factor that `encrypt` gives it; one of an earlier version may have another."""
    found = _HEADER.match(data)
    return found is not None and int(found[2]) == FACTOR


def _wrap_key(passphrase: bytes, salt: bytes, factor: int) -> bytes:
    needed = 128 * 8 << factor  # bytes, of RFC 7914's V; OpenSSL counts a little more
    return hashlib.scrypt(passphrase, salt=_LABEL + salt, n=1 << factor, r=8, p=1, maxmem=needed + (1 << 20), dklen=32)


def _header(salt: bytes, factor: int, body: bytes, file_key: bytes) -> bytes:
    """The one header of these values: base64 has several forms of the same bytes, of which only this is accepted."""
    start = b"age-encryption.org/v1\n-> scrypt %s %d\n%s\n---" % (_text(salt), factor, _text(body))
    return start + b" " + _text(hmac.digest(_expand(file_key, b"header", b""), start, "sha256")) + b"\n"


def _expand(file_key: bytes, info: bytes, salt: bytes) -> bytes:
    """HKDF-SHA-256 with 32 bytes out: one block (RFC 5869, sections 2.2 and 2.3)."""
    return hmac.digest(hmac.digest(salt or bytes(32), file_key, "sha256"), info + b"\x01", "sha256")


def _text(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")
