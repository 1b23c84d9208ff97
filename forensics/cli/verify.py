"""`verify`: a partner's package checked, without a case."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensics.cli.console import json_option, say
from forensics.cli.identity_options import clock, identity_option, opened_reader, opened_trust, passphrase_option, trust_option
from forensics.location import escape

if TYPE_CHECKING:
    from forensics.exchange.verify import Verdict

package_argument = click.argument("package", type=click.Path(exists=True, dir_okay=False, path_type=Path))

_MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in it; tmpfs of Linux
_MOST = 256 << 20  # bytes of a package that is unpacked in memory


@click.command()
@package_argument
@identity_option
@trust_option
@passphrase_option
@click.option("--require-revocation", is_flag=True, help="Refuse where no current revocation list is at hand.")
@json_option
def verify(
    package: Path, identity_folder: Path, trust_folder: Path, passphrase_file: Path | None, require_revocation: bool, as_json: bool
) -> int:
    """Prove that PACKAGE is what a partner sealed, approved and sent: one line a check; exit code 0 if all are good, 1 if it is refused."""
    identity = opened_reader(identity_folder, passphrase_file)  # first, since a thread derives its key while all of this is loaded
    from forensics.exchange.verify import verify as verify_package
    from forensics.signing import Revocation

    trust = opened_trust(trust_folder, identity_folder)
    mode = Revocation.REQUIRE if require_revocation else Revocation.WARN
    with tempfile.TemporaryDirectory(prefix="forensics-verify-", dir=_place(package)) as work:
        verdict = verify_package(package, Path(work), identity=identity, trust=trust, at=clock(), revocation=mode)
        _show(verdict, as_json)
    return 0 if verdict.good else 1


def _place(package: Path) -> Path | None:
    """Where to unpack: in memory if there is plenty, so that what a partner sent comes to lie on no disk; else `None`, the usual place."""
    size = package.stat().st_size
    if os.environ.get("TMPDIR") or size > _MOST or not os.access(_MEMORY, os.W_OK):
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free > 8 * size else None  # the tar and what is in it, with room for others


def _show(verdict: "Verdict", as_json: bool) -> None:
    if as_json:
        for check in verdict.checks:
            say(check)
        say({"good": verdict.good, "disclosure": verdict.disclosure, "custody": verdict.head})
        return
    from forensics.exchange.verify import NOT_CHECKED

    for check in verdict.checks:
        mark = "ok " if check.passed else "-  " if check.reason == NOT_CHECKED else "BAD"
        reason = f" [{check.reason}]" if check.reason else ""
        click.echo(f"{mark} {check.name}: {escape(check.detail)}{reason}")
        for warning in check.warnings:
            click.echo(f"    warning: {escape(warning)}")
    if (said := verdict.disclosure) and verdict.good:
        handling(said.use, said.tlp, said.pap, said.onward, said.expires, said.on_expiry, said.caveats)
        click.echo("good: every check passed")
    else:
        click.echo("REFUSED: do not use this package")


def handling(use: str, tlp: str, pap: str, onward: str, expires: str, on_expiry: str, caveats: tuple[str, ...]) -> None:
    """For what and how it may be used: what the receiver is bound to."""
    click.echo(f"use: {use}; {tlp}, {pap}; onward: {escape(onward)}; until {expires}, then {on_expiry}")
    for caveat in caveats:
        click.echo(f"caveat: {escape(caveat)}")
