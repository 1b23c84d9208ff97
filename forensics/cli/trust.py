"""`trust`: the roots of partner states, pinned by fingerprints that people compare."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from forensics.cli.console import json_option, say, table
from forensics.cli.identity_options import clock, identity_option, opened, opened_trust, passphrase_option, trust_option
from forensics.errors import SigningError
from forensics.signing import certificates, trusting
from forensics.signing import trust as lists

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
fingerprint_option = click.option(
    "--fingerprint", "fingerprints", multiple=True, help="The SHA-256 fingerprint that the partner told you by another way; else type it."
)


@click.group()
def trust() -> None:
    """Whose signatures are trusted, and to whom packages may be encrypted."""


@trust.command()
@click.argument("file", type=_FILE)
@click.option("--state", required=True, help="Two letters of the state that it is trusted for, such as TH.")
@click.option("--stamping", is_flag=True, help="The root of a stamping authority.")
@fingerprint_option
@trust_option
@identity_option
@passphrase_option
def add(
    file: Path,
    state: str,
    stamping: bool,
    fingerprints: tuple[str, ...],
    trust_folder: Path,
    identity_folder: Path,
    passphrase_file: Path | None,
) -> None:
    """Trust a root certificate, or a partner's card (FILE), whose fingerprints a person has compared."""
    identity = opened(identity_folder, passphrase_file)
    old = trusting.opened_or_new(trust_folder, identity)
    with file.open("rb") as stream:
        data = stream.read(certificates.LARGEST * certificates.MANY + 1)
    compared = Compared(fingerprints)
    if data.lstrip().startswith(b"{"):
        if stamping:
            raise SigningError(f"{file}: a card is of an officer, not of a stamping authority")
        roots, recipients = trusting.add_card(old, state, data, compared, now=clock())
    else:
        roots = trusting.add_root(old, state, data, str(file), compared, use="stamping" if stamping else "signing")
        recipients = old.recipients
    made = trusting.change(trust_folder, old, identity, at=clock(), roots=roots, recipients=recipients)
    click.echo(f"trust list {made.serial}: {len(made.roots)} roots, {len(made.recipients)} recipients")


@trust.command(name="list")
@trust_option
@identity_option
@json_option
def list_(trust_folder: Path, identity_folder: Path, as_json: bool) -> None:
    """What is trusted; the list's signature is verified first."""
    found = opened_trust(trust_folder, identity_folder)
    rows = list(_rows(found))
    if as_json:
        for row in rows:
            say(dict(zip(("state", "what", "name", "fingerprint", "detail"), row, strict=True)))
        return
    table(("state", "what", "name", "SHA-256 fingerprint", ""), rows)
    click.echo(f"list {found.serial}, signed by {found.signer}")


@trust.command()
@click.argument("fingerprint")
@trust_option
@identity_option
@passphrase_option
def remove(fingerprint: str, trust_folder: Path, identity_folder: Path, passphrase_file: Path | None) -> None:
    """Trust a root or a recipient no longer, named by its whole FINGERPRINT."""
    identity = opened(identity_folder, passphrase_file)
    old = trusting.opened_or_new(trust_folder, identity)
    roots, recipients = trusting.remove(old, fingerprint)
    made = trusting.change(trust_folder, old, identity, at=clock(), roots=roots, recipients=recipients)
    click.echo(f"trust list {made.serial}: {len(made.roots)} roots, {len(made.recipients)} recipients")


@trust.command()
@click.argument("file", type=_FILE)
@click.option("--chain", type=_FILE, help="The certificates between the root and the authority that signed the list.")
@trust_option
@identity_option
@passphrase_option
def crl(file: Path, chain: Path | None, trust_folder: Path, identity_folder: Path, passphrase_file: Path | None) -> None:
    """Add a revocation list (FILE) of a trusted root, or of an authority below it."""
    identity = opened(identity_folder, passphrase_file)
    old = trusting.opened_or_new(trust_folder, identity)
    with file.open("rb") as stream:
        data = stream.read(lists.LARGEST_CRL + 1)
    below = certificates.from_file(chain.read_bytes(), str(chain)) if chain else ()
    roots = trusting.add_crl(old, data, below)
    made = trusting.change(trust_folder, old, identity, at=clock(), roots=roots, recipients=old.recipients)
    click.echo(f"trust list {made.serial}: revocation list added")


@trust.command()
@fingerprint_option
@trust_option
@identity_option
@passphrase_option
def renew(fingerprints: tuple[str, ...], trust_folder: Path, identity_folder: Path, passphrase_file: Path | None) -> None:
    """Sign the list with a new certificate of yours; the fingerprint of the one that signed it is confirmed."""
    identity = opened(identity_folder, passphrase_file)
    old = lists.open_trust(trust_folder)
    Compared(fingerprints)("certificate that signed the trust list", old.signer)
    made = trusting.change(trust_folder, old, identity, at=clock(), roots=old.roots, recipients=old.recipients)
    click.echo(f"trust list {made.serial}, signed by {made.signer}")


@trust.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@fingerprint_option
@trust_option
@identity_option
@passphrase_option
def adopt(folder: Path, fingerprints: tuple[str, ...], trust_folder: Path, identity_folder: Path, passphrase_file: Path | None) -> None:
    """Trust what a colleague's list (a copy in FOLDER) trusts; the fingerprint of the certificate that signed it is confirmed."""
    identity = opened(identity_folder, passphrase_file)
    old = trusting.opened_or_new(trust_folder, identity)
    theirs = lists.open_trust(folder)
    Compared(fingerprints)("certificate that signed the colleague's trust list", theirs.signer)
    roots, recipients = trusting.adopt(old, theirs)
    made = trusting.change(trust_folder, old, identity, at=clock(), roots=roots, recipients=recipients)
    click.echo(f"trust list {made.serial}: {len(made.roots)} roots, {len(made.recipients)} recipients")


class Compared:
    """Shows a fingerprint, and goes on only if a person gave the same one, beforehand or by typing it."""

    def __init__(self, given: tuple[str, ...]) -> None:
        self._given = {trusting.plain(each) for each in given}

    def __call__(self, what: str, fingerprint: str) -> None:
        click.echo(f"{what}\n  {certificates.spoken(fingerprint)}", err=True)
        if fingerprint in self._given:
            return
        if self._given or not sys.stdin.isatty():
            raise SigningError(
                f"{what}: fingerprint {fingerprint} was not confirmed; have the partner read it to you, then give it with --fingerprint"
            )
        typed: str = click.prompt("Type the fingerprint that the partner told you by another way", err=True)
        if trusting.plain(typed) != fingerprint:
            raise SigningError(f"{what}: its fingerprint is {fingerprint}, not the one that was typed; it is NOT trusted")


def _rows(found: lists.Trust) -> Iterator[tuple[str, str, str, str, str]]:
    for root in found.roots:
        name = certificates.load(root.certificate).subject.rfc4514_string()
        yield root.state, f"root for {root.use}", name, root.fingerprint, f"{len(root.crls)} revocation lists"
    for each in found.recipients:
        yield each.state, "recipient", each.name, each.fingerprint, each.recipient
