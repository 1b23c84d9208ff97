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

from . import der, files, revoked, stamp
from .pipeline import Signed, Signer
from .refusal import Refused

_SECONDS = 3600  # for the slowest of these programs
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s*([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----")

# What openssl says, by the reason that it gives; the first that fits.
_SAID = (
    ("revoked", "certificate revoked"),
    ("expired", "certificate has expired"),
    ("not-yet-valid", "certificate is not yet valid"),
    ("purpose", "unsupported certificate purpose"),
    ("purpose", "unsuitable certificate purpose"),
    ("purpose", "signer certificate"),
    ("unpinned", "self-signed certificate in certificate chain"),  # a root that came along, and is not trusted
    ("unpinned", "self signed certificate in certificate chain"),
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
    """PEM or DER files: certificates that are trusted for signers and for time stamps, and revocation lists.

    required: whether it is a refusal that a certificate may have been revoked, as far as is known.
    """

    signing: tuple[Path, ...]
    stamping: tuple[Path, ...] = ()
    crls: tuple[Path, ...] = ()
    required: bool = False


class Openssl:
    """Signatures checked by `openssl`, against roots that were made into one file each in the private folder `work`.

    Raises ValueError where a file that was given is not what it should be, Refused where `openssl` cannot read a revocation list.
    """

    def __init__(self, work: Path, roots: Roots) -> None:
        self._work, self._required = work, roots.required
        self._certificates, stamping = certificates(roots.signing), certificates(roots.stamping)
        self._lists = revoked.lists(roots.crls)
        for path in roots.crls:
            form = "PEM" if b"-----BEGIN" in path.read_bytes() else "DER"
            run(["openssl", "crl", "-inform", form, "-in", os.fspath(path), "-noout"], f"--crl {path.name}", "revocation-unknown")
        # `openssl cms` and `openssl ts` take revocation lists out of the file of roots
        self._roots = _written(work / "roots.pem", self._certificates, self._lists)
        self._stamping = _written(work / "stamping.pem", stamping, self._lists) if stamping else None
        self._trusted = (*self._certificates, *stamping)

    def signed(self, folder: Path, name: str) -> Signed:
        """Who signed the file `name` of the package in `folder`. Raises Refused."""
        signature = files.read(folder, f"{name}.p7s")
        data = files.read(folder, name)
        parts = der.read(signature, f"{name}.p7s")
        if not all(part.is_over(data) for part in parts):
            raise Refused("changed", f"{name}: is not what was signed")
        stamped, warnings = self._stamp(folder, name, signature)
        command = ["openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-CAfile", self._roots, "-no-CApath", "-no-CAstore"]
        command += ["-in", os.fspath(folder / f"{name}.p7s"), "-content", os.fspath(folder / name), "-out", os.devnull]
        run([*command, *(() if stamped is None else ("-attime", _seconds(stamped)))], name)
        warnings += self._revocation(command, name, der.held(signature), stamped)
        return Signed(tuple(self._signer(part) for part in parts), _text(stamped) if stamped else None, warnings)

    def _signer(self, part: der.Part) -> Signer:
        held = part.certificate
        states = {root.country for root in self._certificates}
        state = held.country or (next(iter(states)) if len(states) == 1 else "")
        return Signer(held.name, "", state, held.fingerprint, hashlib.sha256(held.key).hexdigest(), part.signed_at)

    def _stamp(self, folder: Path, name: str, signature: bytes) -> tuple[datetime.datetime | None, tuple[str, ...]]:
        """When the time stamp over the signature of `name` was given; None where there is none, or whose it is cannot be checked."""
        path = folder / f"{name}.p7s.tsr"
        if not path.exists():
            return None, ()
        found = stamp.read(files.read(folder, f"{name}.p7s.tsr"), signature, name)
        if self._stamping is None:
            return None, (f"{name}: its time stamp was not checked: give --stamp-root",)
        command = ["openssl", "ts", "-verify", "-data", os.fspath(folder / f"{name}.p7s"), "-in", os.fspath(path)]
        trusted = [*command, "-CAfile", self._stamping]
        try:
            run([*trusted, "-attime", _seconds(found.at)], name)
        except Refused as refusal:
            if refusal.reason != "unpinned":
                raise Refused("stamp", str(refusal)) from None
            # like no stamp at all, which anybody could make of it; but if it does not hold by itself, it was tampered with
            own = _written(self._work / "stamp.pem", found.certificates, ())
            run([*command, "-CAfile", own, "-partial_chain", "-no_check_time"], name, "stamp")
            return None, (f"{name}: its time stamp counts for nothing, since its authority is not under a --stamp-root",)
        return found.at, self._revocation(trusted, name, found.certificates, found.at, stamping=True)

    def _revocation(
        self, command: list[str], name: str, held: Sequence[der.Certificate], at: datetime.datetime | None, *, stamping: bool = False
    ) -> tuple[str, ...]:
        """That no certificate of a signature was revoked, or of one that existed `at`, by then; returns what is not known. Raises Refused.

        `openssl` says whether one was revoked, whenever that was, and however old the lists are. Where it was, every entry for a
        certificate of the file must be of later than `at`. Of a stamping authority it must also say that the key was not harmed, since
        whoever stole that states what time he likes. What is not known is a refusal only where that was asked for.
        """
        if not self._lists and stamping:
            return ()  # is said of the signer
        if not self._lists:
            return self._unknown(f"{name}: whether a signer's certificate was revoked was not checked: give --crl")
        who, word = ("the authority of its time stamp", "stamp") if stamping else ("a signer", "revoked")
        warnings: tuple[str, ...] = ()
        entries = self._entries(held)  # of all lists, where `openssl` asks the newest of each issuer
        try:
            run([*command, "-crl_check_all", "-no_check_time"], name)
        except Refused as refusal:
            if refusal.reason == "revocation-unknown":  # of one certificate; of the others nothing was said then
                warnings = self._unknown(f"{name}: whether {who} was revoked is not known: give the list of every issuer as --crl")
            elif refusal.reason != "revoked" or not entries:
                raise Refused("stamp" if stamping else refusal.reason, str(refusal)) from None
        if entries is None or not _excused(entries, at, stamping=stamping):
            raise Refused(word, f"{name}: a certificate of {who} was revoked, by a list of its issuer")
        if entries and at is not None:
            warnings += (f"{name}: a certificate of {who} was revoked after {_text(at)}, when it was stamped",)
        now = datetime.datetime.now(der.UTC)
        for each in revoked.newest(self._lists, {certificate.issuer for certificate in held}):
            if each.until is None or each.until < now:
                warnings += self._unknown(
                    f"{name}: the revocation list for {who} is of {_text(each.since)}: what was revoked since is not known"
                )
        return warnings

    def _unknown(self, what: str) -> tuple[str, ...]:
        if self._required:
            raise Refused("revocation-unknown", what)
        return (what,)

    def _entries(self, held: Sequence[der.Certificate]) -> tuple[revoked.Entry, ...] | None:
        """What the lists of their issuers say of the certificates of a file and of the trusted ones; `None` where that does not read."""
        found: list[revoked.Entry] = []
        newest = revoked.newest(self._lists, {each.issuer for each in self._lists})
        try:
            for each in self._lists:
                entries = revoked.entries((each,), {known.serial for known in (*held, *self._trusted) if known.issuer == each.issuer})
                found += (entry for entry in entries if each in newest or entry.reason != revoked.HOLD)  # which may have been lifted
        except (ValueError, IndexError):
            return None
        return tuple(found)


def _excused(entries: Iterable[revoked.Entry], at: datetime.datetime | None, *, stamping: bool) -> bool:
    """Whether all these revocations came after the time `at` of a stamp, and leave what was made before it good."""
    return all(at is not None and each.since > at and (not stamping or each.reason in revoked.KEY_UNHARMED) for each in entries)


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


def _written(path: Path, certificates: Sequence[der.Certificate], crls: Sequence[revoked.RevocationList]) -> str:
    held = [("CERTIFICATE", each.der) for each in certificates] + [("X509 CRL", each.der) for each in crls]
    text = "".join(f"-----BEGIN {kind}-----\n{base64.encodebytes(data).decode()}-----END {kind}-----\n" for kind, data in held)
    path.write_text(text)
    return os.fspath(path)


def _seconds(moment: datetime.datetime) -> str:
    """Seconds since 1970, as `openssl` takes them."""
    return str(int(moment.timestamp()))


def _text(moment: datetime.datetime) -> str:
    return f"{moment.isoformat()[:19]}Z"
