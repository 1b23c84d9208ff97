"""`openssl` and `age` as programs: signatures against root certificates, time stamps, decryption."""

from __future__ import annotations

import base64
import datetime
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from . import der, files
from .pipeline import Signed, Signer
from .refusal import Refused

_SECONDS = 3600  # for the slowest of these programs
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s*([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----")
_STAMP_TIME = re.compile(r"^Time stamp: (\w{3}) +([0-9]{1,2}) ([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)? ([0-9]{4}) GMT$", re.MULTILINE)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

# What openssl says, by the reason that it gives; the first that fits.
_SAID = (
    ("revoked", "certificate revoked"),
    ("expired", "certificate has expired"),
    ("not-yet-valid", "certificate is not yet valid"),
    ("purpose", "unsupported certificate purpose"),
    ("purpose", "unsuitable certificate purpose"),
    ("purpose", "signer certificate"),
    ("self-signed", "self-signed certificate"),
    ("self-signed", "self signed certificate"),
    ("unpinned", "unable to get local issuer certificate"),
    ("unpinned", "certificate signature failure"),  # a root of the same name, with another key
    ("unpinned", "unable to get issuer certificate"),
    ("revocation-unknown", "unable to get certificate CRL"),
    ("revocation-unknown", "CRL has expired"),
    ("changed", "verification failure"),
    ("changed", "messageDigest"),
)


class Roots(NamedTuple):
    """PEM or DER files: certificates that are trusted for signers and for time stamps, and revocation lists."""

    signing: tuple[Path, ...]
    stamping: tuple[Path, ...] = ()
    crls: tuple[Path, ...] = ()


class Openssl:
    """Signatures checked by `openssl`, against roots that were made into one file each in the private folder `work`."""

    def __init__(self, work: Path, roots: Roots) -> None:
        self._certificates = certificates(roots.signing)
        self._roots = _written(work / "roots.pem", self._certificates)
        stamping = certificates(roots.stamping)
        self._stamping = _written(work / "stamping.pem", stamping) if stamping else None
        self._crls = bool(roots.crls)
        for path in roots.crls:  # `openssl cms` takes revocation lists out of the file of roots
            form = "PEM" if b"-----BEGIN" in path.read_bytes() else "DER"
            text = run(["openssl", "crl", "-inform", form, "-in", os.fspath(path)], path.name)
            with open(self._roots, "a") as file:
                file.write(text)

    def signed(self, folder: Path, name: str) -> Signed:
        """Who signed the file `name` of the package in `folder`. Raises Refused."""
        signature = files.read(folder, f"{name}.p7s")
        data = files.read(folder, name)
        parts = der.read(signature, f"{name}.p7s")
        if not all(part.is_over(data) for part in parts):
            raise Refused("changed", f"{name}: is not what was signed")
        stamped, warnings = self._stamp(folder, name)
        if not self._crls:
            warnings = (*warnings, f"{name}: whether a signer's certificate was revoked was not checked: give --crl")
        moment = ["-attime", stamped[0]] if stamped else []
        check = ["-crl_check_all"] if self._crls else []
        command = ["openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-CAfile", self._roots, "-no-CApath", "-no-CAstore"]
        command += [*check, *moment, "-in", os.fspath(folder / f"{name}.p7s"), "-content", os.fspath(folder / name), "-out", os.devnull]
        run(command, name)
        return Signed(tuple(self._signer(part) for part in parts), stamped[1] if stamped else None, warnings)

    def _signer(self, part: der.Part) -> Signer:
        held = part.certificate
        states = {root.country for root in self._certificates}
        state = held.country or (next(iter(states)) if len(states) == 1 else "")
        return Signer(held.name, "", state, held.fingerprint, hashlib.sha256(held.key).hexdigest(), part.signed_at)

    def _stamp(self, folder: Path, name: str) -> tuple[tuple[str, str] | None, tuple[str, ...]]:
        """When the time stamp over the signature of `name` was given: (seconds since 1970, ISO 8601); None where it is not checked."""
        path = folder / f"{name}.p7s.tsr"
        if not path.exists():
            return None, ()
        if self._stamping is None:
            return None, (f"{name}: its time stamp was not checked: give --stamp-root",)
        run(
            ["openssl", "ts", "-verify", "-data", os.fspath(folder / f"{name}.p7s"), "-in", os.fspath(path), "-CAfile", self._stamping],
            name,
            "stamp",
        )
        match = _STAMP_TIME.search(run(["openssl", "ts", "-reply", "-in", os.fspath(path), "-text"], name, "stamp"))
        if match is None:
            raise Refused("stamp", f"{name}: its time stamp says no time that can be read")
        text = f"{match[4]}-{_MONTHS.index(match[1]) + 1:02}-{int(match[2]):02}T{match[3]}Z"
        moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)
        return (str(int(moment.timestamp())), text), ()


def decrypt(package: Path, key: Path, target: Path) -> tuple[str, ...]:
    """Decrypt a package with the age identity in `key`. Returns its public keys, as far as `age-keygen` is there. Raises Refused."""
    run(["age", "-d", "-i", os.fspath(key), "-o", os.fspath(target), os.fspath(package)], package.name, "encryption")
    if shutil.which("age-keygen") is None:
        return ()
    return tuple(run(["age-keygen", "-y", os.fspath(key)], key.name, "encryption").split())


def missing() -> list[str]:
    """Programs that are needed and not there."""
    return [name for name in ("openssl", "age") if shutil.which(name) is None]


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that only its owner may read, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="verify-"))  # mode 0700
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(command: Sequence[str], name: str, reason: str | None = None) -> str:
    """What a program prints. Raises Refused, with `reason` or with the one that openssl's message gives."""
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC", "OPENSSL_CONF": os.devnull}
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=_SECONDS, stdin=subprocess.DEVNULL, check=False)  # noqa: S603
    except FileNotFoundError:
        raise Refused("encryption", f"the program {command[0]} is not there; install it") from None
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "replace")
    said = done.stderr.decode("utf-8", "replace")
    found = reason or next((word for word, text in _SAID if text in said), "signature")
    raise Refused(found, f"{name}: {command[0]} says: {' '.join(said.split())[-300:]}")


def certificates(paths: Iterable[Path]) -> list[der.Certificate]:
    """The certificates in PEM or DER files. Raises ValueError."""
    found: list[bytes] = []
    for path in paths:
        data = path.read_bytes()
        found += [base64.b64decode(text) for text in _PEM.findall(data)] if b"-----BEGIN" in data else [data]
    try:
        return [der.certificate(each) for each in found]
    except IndexError:
        raise ValueError("not a certificate") from None


def _written(path: Path, certificates: Sequence[der.Certificate]) -> str:
    lines = []
    for each in certificates:
        text = base64.encodebytes(each.der).decode()
        lines.append(f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n")
    path.write_text("".join(lines))
    return os.fspath(path)
