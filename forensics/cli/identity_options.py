"""Which identity signs, what is trusted, and how the passphrase is given: the same options wherever they are needed."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensics.errors import SigningError

if TYPE_CHECKING:
    from forensics.signing.identity import Identity
    from forensics.signing.reader import Reader
    from forensics.signing.trust import Trust

_HOME = Path("~/.config/forensics")

identity_option = click.option(
    "--identity",
    "identity_folder",
    type=click.Path(path_type=Path),
    default=_HOME / "identity",
    show_default=True,
    envvar="FORENSICS_IDENTITY",
    callback=lambda _context, _option, value: value.expanduser(),
    help="The folder of your signing identity.",
)
trust_option = click.option(
    "--trust",
    "trust_folder",
    type=click.Path(path_type=Path),
    default=_HOME / "trust",
    show_default=True,
    envvar="FORENSICS_TRUST",
    callback=lambda _context, _option, value: value.expanduser(),
    help="The folder of the roots that you trust.",
)
passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    envvar="FORENSICS_PASSPHRASE_FILE",
    help="A file (mode 0600) with the passphrase; else it is asked for. With a token, its second line is the PIN.",
)


def passphrase(passphrase_file: Path | None, what: str, *, new: bool = False, pin: bool = False) -> bytes:
    """The passphrase out of a file or asked for without echo, `new` twice; with `pin`, a second line. Raises SigningError."""
    if passphrase_file is not None:
        from forensics.signing import private  # here as below, because an examination has these options and seldom signs

        return private.read(passphrase_file).replace(b"\r\n", b"\n").removesuffix(b"\n")
    if not sys.stdin.isatty():
        raise SigningError(f"the passphrase of {what} is needed: name a file with --passphrase-file (nothing is asked without a terminal)")
    secret: str = click.prompt(f"Passphrase of {what}", hide_input=True, confirmation_prompt=new, err=True)
    if pin:
        secret += "\n" + str(click.prompt("PIN of the token", hide_input=True, err=True))
    return secret.encode()


def opened(folder: Path, passphrase_file: Path | None) -> "Identity":
    """The identity, opened; the passphrase is asked for where no file is named. Raises SigningError."""
    from forensics.signing import identity
    from forensics.signing.facts import read_facts

    facts = read_facts(folder)
    return identity.open_identity(folder, passphrase(passphrase_file, str(folder), pin=facts.token is not None))


def opened_reader(folder: Path, passphrase_file: Path | None) -> "Reader":
    """What opens the identity's packages, and cannot sign; its key is being derived when this returns. Raises SigningError."""
    from forensics.signing import reader

    return reader.open_reader(folder, passphrase(passphrase_file, str(folder)))


def opened_trust(folder: Path, identity_folder: Path) -> "Trust":
    """The trust list, which must be signed by the identity's certificate, where there is an identity. Raises SigningError."""
    from forensics.signing import certificates, trust

    if not (folder / "current.json").exists():
        raise SigningError(f"{folder}: no trust list yet; pin a partner's root with `forensics trust add`")
    signer = certificates.of_identity(identity_folder) if (identity_folder / "certificate.pem").exists() else None
    return trust.open_trust(folder, signer=None if signer is None else certificates.fingerprint(signer))


def clock() -> datetime:
    """Now, for signatures that are made now."""
    return datetime.now(UTC)
