"""`identity`: the keys with which one signs and opens packages, and a small authority for a state that has none."""

import shlex
from pathlib import Path

import click
import msgspec

from forensics.cli.console import json_option, say
from forensics.cli.identity_options import clock, identity_option, opened, passphrase, passphrase_option
from forensics.errors import SigningError
from forensics.signing import authority as issuing
from forensics.signing import card, certificates, private
from forensics.signing import identity as own
from forensics.signing.facts import Token, read_facts
from forensics.signing.stamping import StampingAuthority

_IN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUT_FILE = click.Path(dir_okay=False, path_type=Path)
authority_option = click.option(
    "--authority", "authority_folder", type=click.Path(path_type=Path), required=True, help="The folder of the state's own authority."
)


@click.group()
def identity() -> None:
    """Your signing key and certificate; the state's own authority, where there is no other."""


@identity.command()
@identity_option
@passphrase_option
@click.option("--name", required=True, help="The officer's (or the authority's) name, as the certificate will have it.")
@click.option("--country", required=True, help="Two letters, such as TH.")
@click.option("--organisation", default="", help="The agency.")
@click.option("--authority", "authority_folder", type=click.Path(path_type=Path), help="Make the state's root in this folder instead.")
@click.option("--token-module", type=_IN_FILE, help="The PKCS#11 library of a smart card or token that holds the key.")
@click.option("--token-label", help="The token's label.")
@click.option("--token-key", help="The label of the key pair in the token (P-256, P-384, or RSA from 3072 bits).")
def new(
    identity_folder: Path,
    passphrase_file: Path | None,
    name: str,
    country: str,
    organisation: str,
    authority_folder: Path | None,
    token_module: Path | None,
    token_label: str | None,
    token_key: str | None,
) -> None:
    """Make keys and a request for a certificate; with --authority, a root for a state that has none."""
    if authority_folder is not None:
        secret = passphrase(passphrase_file, str(authority_folder), new=True)
        root = issuing.new(authority_folder, secret, name=name, country=country, organisation=organisation, at=clock())
        click.echo(f"{authority_folder / 'root.pem'}: the root; partners confirm its fingerprint with you by another way:")
        click.echo(certificates.spoken(certificates.fingerprint(root)))
        return
    token = _token(token_module, token_label, token_key)
    secret = passphrase(passphrase_file, str(identity_folder), new=True, pin=token is not None)
    facts = own.new(identity_folder, secret, name=name, country=country, organisation=organisation, token=token)
    click.echo(f"{identity_folder / 'request.pem'}: have it signed by your authority, then `forensics identity install`")
    click.echo(f"packages for you are encrypted to {facts.recipient}")


@identity.command()
@identity_option
@json_option
def show(identity_folder: Path, as_json: bool) -> None:
    """Who the identity is, and its fingerprint; no passphrase is needed."""
    facts = read_facts(identity_folder)
    has = (identity_folder / "certificate.pem").exists()
    certificate = certificates.load(certificates.of_identity(identity_folder)) if has else None
    digest = certificates.fingerprint(certificates.of_identity(identity_folder)) if has else None
    shown = {
        "name": facts.name, "country": facts.country, "organisation": facts.organisation, "recipient": facts.recipient,
        "token": facts.token, "stamping": facts.stamping, "fingerprint": digest,
        "valid_from": f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}" if certificate else None,
        "valid_until": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}" if certificate else None,
    }  # fmt: skip
    if as_json:
        say(shown)
        return
    for word, value in shown.items():
        text = msgspec.json.encode(value).decode() if isinstance(value, msgspec.Struct) else value
        click.echo(f"{word.replace('_', ' ')}: {'none' if text in (None, '') else text}")


@identity.command()
@click.argument("files", nargs=-1, required=True, type=_IN_FILE)
@identity_option
@passphrase_option
def install(files: tuple[Path, ...], identity_folder: Path, passphrase_file: Path | None) -> None:
    """Put in the certificate that the authority gave back, and its chain (PEM or DER FILES, in any order)."""
    facts = read_facts(identity_folder)
    given = tuple(der for path in files for der in certificates.from_file(_bytes(path), str(path)))
    digest = own.install(identity_folder, passphrase(passphrase_file, str(identity_folder), pin=facts.token is not None), given)
    click.echo(f"certificate installed; its fingerprint: {certificates.spoken(digest)}")


@identity.command()
@identity_option
@passphrase_option
@click.option("--output", type=_OUT_FILE, help="The public card, for the partner's `trust add`; else on standard output.")
@click.option("--age-key", type=_OUT_FILE, help="Write the secret age key, unprotected but for mode 0600, for the `age` command.")
def export(identity_folder: Path, passphrase_file: Path | None, output: Path | None, age_key: Path | None) -> None:
    """The public card: certificates, age recipient and fingerprint, in one signed file."""
    opened_identity = opened(identity_folder, passphrase_file)
    if age_key is not None:
        _new(age_key)
        private.write(age_key, f"# public key: {opened_identity.recipient}\n{opened_identity.age_secret()}\n".encode())
        click.echo(f"{age_key}: the secret age key, UNPROTECTED; delete it when it has been used", err=True)
        if output is None:
            return
    data = card.make(opened_identity, at=clock())
    if output is None:
        click.echo(data.decode(), nl=False)
    else:
        _new(output)
        private.write(output, data, mode=0o644)
        click.echo(f"{output}: tell its receiver the fingerprint by another way: {certificates.spoken(opened_identity.fingerprint)}")


@identity.command()
@identity_option
@click.option("--url", help="http or https address of an RFC 3161 authority.")
@click.option("--command", help="A command, in which {request} and {response} stand for two files; no shell runs it.")
@click.option("--none", "nothing", is_flag=True, help="No time stamps.")
def stamping(identity_folder: Path, url: str | None, command: str | None, nothing: bool) -> None:
    """Configure the stamping authority: the one place from which anything of yours reaches a network."""
    if [bool(url), bool(command), nothing].count(True) != 1:
        raise SigningError("say one of --url, --command, --none")
    try:
        authority = None if nothing else StampingAuthority(tuple(shlex.split(command)) if command else (), url or "")
    except ValueError as error:
        raise SigningError(str(error)) from error
    own.write_facts(identity_folder, msgspec.structs.replace(read_facts(identity_folder), stamping=authority))
    click.echo("no time stamps" if authority is None else f"time stamps by {url or command}")


@identity.command()
@click.argument("request", type=_IN_FILE)
@authority_option
@passphrase_option
@click.option("--days", type=click.IntRange(1, 3650), default=issuing.OFFICER_DAYS, show_default=True, help="How long it is valid.")
@click.option("--output", type=_OUT_FILE, required=True, help="The certificate and the root (PEM), for `identity install`.")
@click.option("--yes", is_flag=True, help="The name in the request has been looked at.")
def issue(request: Path, authority_folder: Path, passphrase_file: Path | None, days: int, output: Path, yes: bool) -> None:
    """Sign an officer's REQUEST with the state's own authority."""
    data = _bytes(request)
    click.echo(f"request of {issuing.read_request(data).subject.rfc4514_string()}")
    if not yes:
        click.confirm("Is this the officer who stands before you?", abort=True, err=True)
    _new(output)
    ders = issuing.issue(authority_folder, passphrase(passphrase_file, str(authority_folder)), data, at=clock(), days=days)
    private.write(output, certificates.pem(ders), mode=0o644)
    click.echo(f"{output}: serial number {certificates.load(ders[0]).serial_number:x}")


@identity.command()
@click.argument("serials", nargs=-1)
@authority_option
@passphrase_option
@click.option("--reason", default="unspecified", show_default=True, help="keyCompromise, affiliationChanged, superseded, ... (RFC 5280).")
@click.option("--days", type=click.IntRange(1, 366), default=issuing.LIST_DAYS, show_default=True, help="Until when it is current.")
@click.option("--output", type=_OUT_FILE, required=True, help="The revocation list (DER), for everyone's `trust crl`.")
def revoke(serials: tuple[str, ...], authority_folder: Path, passphrase_file: Path | None, reason: str, days: int, output: Path) -> None:
    """Revoke certificates by serial number; without any, write a fresh list."""
    secret = passphrase(passphrase_file, str(authority_folder))
    made = issuing.revoke(authority_folder, secret, serials, at=clock(), reason=reason, days=days)
    private.write(output, made, mode=0o644)
    click.echo(f"{output}: revocation list for {days} days")


def _token(module: Path | None, label: str | None, key: str | None) -> Token | None:
    if module is None and label is None and key is None:
        return None
    if module is None or label is None or key is None:
        raise SigningError("a token needs all of --token-module, --token-label and --token-key")
    return Token(str(module.absolute()), label, key)


def _bytes(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(certificates.LARGEST * certificates.MANY + 1)


def _new(path: Path) -> None:
    if path.exists():
        raise SigningError(f"{path}: is there already; nothing is written over")
