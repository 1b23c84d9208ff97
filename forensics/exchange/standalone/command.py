"""``verify.pyz PACKAGE --age-key FILE --root CERTIFICATE``: whether a package is what a partner state sealed and sent. One line a check.

Exit codes: 0 all good, 1 refused, 2 wrong use. It needs Python 3.9 or later and the programs `openssl` and `age`. Get it, and the root
certificate, by another way than the package, and compare their fingerprints over the telephone.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import sys
from pathlib import Path

from . import archive, revoked, tools
from .pipeline import CHECKS, How, verify_folder
from .refusal import Line, Refused


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="verify.pyz", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("package", type=Path, help="the file <id>.tar.age")
    parser.add_argument("--age-key", type=Path, required=True, help="your age identity, the file with AGE-SECRET-KEY")
    parser.add_argument("--root", type=Path, action="append", required=True, help="root certificate of the sender's state; may be repeated")
    parser.add_argument("--crl", type=Path, action="append", default=[], help="revocation list of an issuer; may be repeated")
    parser.add_argument("--stamp-root", type=Path, action="append", default=[], help="root certificate of the time-stamping authority")
    parser.add_argument("--require-revocation", action="store_true", help="refuse where no current revocation list is at hand")
    parser.add_argument("--keep", type=Path, help="new folder to unpack a good package into")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    given = parser.parse_args(arguments)
    for path in (given.package, given.age_key, *given.root, *given.crl, *given.stamp_root):
        if not path.is_file():
            parser.error(f"{path}: there is no such file")
    if given.keep and given.keep.exists():
        parser.error(f"{given.keep} exists already; name a new folder")
    try:
        states = {root.country for root in tools.certificates(given.root)}
        tools.certificates(given.stamp_root)
        revoked.lists(given.crl)
    except ValueError as error:
        parser.error(f"--root, --stamp-root, --crl: {error}")
    if len(states) != 1:
        parser.error("--root: give the roots of one state, that of the sender")
    if absent := tools.missing():
        parser.error(f"not there: {', '.join(absent)}; install them")
    with tools.private_folder() as work:
        try:
            openssl = tools.Openssl(
                work, tools.Roots(tuple(given.root), tuple(given.stamp_root), tuple(given.crl), given.require_revocation)
            )
        except Refused as refusal:
            parser.error(str(refusal))
        lines, folder = check(given.package, given.age_key, openssl, work)
        for line in lines:
            _say(line, given.json)
        good = all(line.passed for line in lines)
        if good and given.keep:
            shutil.copytree(folder, given.keep)
    if not given.json:
        print("good: every check passed" if good else "REFUSED: do not use this package", flush=True)  # noqa: T201 - this is the program's output
    return 0 if good else 1


def check(package: Path, key: Path, openssl: tools.Openssl, work: Path) -> tuple[list[Line], Path]:
    """Decrypt, unpack and check a package, all in the private folder `work`. Returns a line a check, and the folder unpacked to."""
    folder = work / "package"
    lines: list[Line] = []
    try:
        plain = work / "package.tar"
        keys = tools.decrypt(package, key, plain)
        unknown = () if keys else ("whether it was made for your key was not checked: age-keygen is not there",)
        lines.append(Line("encryption", True, "decrypted with your key", "", unknown))
        folder.mkdir(mode=0o700)
        with open(plain, "rb") as source:
            top = archive.unpack(source, plain.stat().st_size, folder)
        plain.unlink()
        lines.append(Line("archive", True, f"unpacked as {top}"))
    except Refused as refusal:
        name = "archive" if lines else "encryption"
        lines.append(Line(name, False, str(refusal), refusal.reason))
        missed = ("encryption", "archive", *CHECKS)[len(lines) :]
        return [*lines, *(Line(each, False, "not checked, because the check before it failed", "not-checked") for each in missed)], folder
    how = How(openssl.signed, datetime.datetime.now(datetime.timezone.utc), keys)  # noqa: UP017 - Python 3.9
    return [*lines, *verify_folder(folder, top, how).lines], folder


def _say(line: Line, as_json: bool) -> None:
    if as_json:
        print(json.dumps(line._asdict(), sort_keys=True))  # noqa: T201
        return
    mark = "ok " if line.passed else "-  " if line.reason == "not-checked" else "BAD"
    print(f"{mark} {line.name}: {_plain(line.detail)}{f' [{line.reason}]' if line.reason else ''}")  # noqa: T201
    for warning in line.warnings:
        print(f"    warning: {_plain(warning)}")  # noqa: T201


def _plain(text: str) -> str:
    """Text as a terminal may show it: a certificate may name its holder anything."""
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)


def run() -> None:
    """The entry point of ``verify.pyz``."""
    sys.exit(main())
