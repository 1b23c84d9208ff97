"""BitLocker volumes, opened with a password, a recovery password or a startup key (.BEK), through libbde."""

import os
from typing import Any

from forensics.errors import Corrupt, Unsupported
from forensics.evidence.keys import Key
from forensics.evidence.libyal import FAILURES, Derived, OpenFile, Source, opened, raise_failure, said

# libbde format documentation, "Key protection types"
_PROTECTORS = {
    0x0000: "clear key",
    0x0100: "TPM",
    0x0200: "startup key",
    0x0500: "TPM and PIN",
    0x0800: "recovery password",
    0x2000: "password",
}
# "Encryption methods"
_METHODS = {
    0x8000: "AES-CBC 128 with Elephant diffuser",
    0x8001: "AES-CBC 256 with Elephant diffuser",
    0x8002: "AES-CBC 128",
    0x8003: "AES-CBC 256",
    0x8004: "AES-XTS 128",
    0x8005: "AES-XTS 256",
}


def describe(source: Source, name: str) -> str:
    """Method and protectors. Raises Corrupt where the metadata cannot be read."""
    volume, file = _open(source, name, None)
    method, kinds = opened(lambda: (volume.encryption_method, [protector.type for protector in volume.key_protectors]), name, (file,))
    protectors = ", ".join(_PROTECTORS.get(kind, f"type {kind:#06x}") for kind in kinds) or "none"
    return f"BitLocker, {_METHODS.get(method, f'method {method:#06x}')}; protectors: {protectors}"


def unlock(source: Source, name: str, keys: tuple[Key, ...]) -> tuple[Derived, str] | None:
    """The decrypted volume and what opened it (a kind of key, or "clear key"); `None` where nothing does.

    Raises Corrupt where the volume cannot be read, whatever the key.
    """
    problem: Exception | None = None
    for key in (None, *keys):  # BitLocker that is suspended has its key in the clear
        try:
            volume, file = _open(source, name, key)
        except Corrupt:
            if key is None or key.kind != "file":
                raise
            continue  # no startup key
        try:
            if volume.is_locked():
                volume.unlock()
            locked = volume.is_locked()
        except FAILURES as error:
            locked, problem = True, error  # a key that fits, and a volume behind it that libbde cannot read
        raise_failure((file,))
        if not locked:
            return Derived(volume, int(volume.size), name, (file,)), key.kind if key else "clear key"
    if problem is not None:
        raise Corrupt(f"{name}: cannot be opened: {said(problem)}")
    return None


def _open(source: Source, name: str, key: Key | None) -> tuple[Any, OpenFile]:
    import pybde

    file = OpenFile(source)
    volume = pybde.volume()

    def prepared() -> None:
        if key is not None and key.kind == "file":
            _startup_key(volume, key.secret)  # libbde takes it before the volume only
        volume.open_file_object(file)
        try:
            if key is not None and key.kind == "password":
                volume.set_password(key.text)
            elif key is not None and key.kind == "recovery":
                volume.set_recovery_password(key.text)
        except FAILURES:
            return  # of the wrong form: it opens nothing

    opened(prepared, name, (file,))
    return volume, file


def _startup_key(volume: Any, content: bytes) -> None:
    """Give libbde a startup key. It wants a file name: an anonymous file in memory has one, and leaves nothing on a disk."""
    if not hasattr(os, "memfd_create"):
        raise Unsupported("startup keys of BitLocker are read on Linux")
    descriptor = os.memfd_create("startup-key")
    try:
        os.write(descriptor, content)
        volume.read_startup_key(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
