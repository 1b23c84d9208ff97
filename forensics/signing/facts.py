"""What `identity.json` says: read before anything that knows of keys and certificates is loaded."""

from pathlib import Path

import msgspec
from msgspec import Struct

from forensics.errors import SigningError
from forensics.signing import private
from forensics.signing.stamping import StampingAuthority

FORMAT = "forensics-identity/1"


class Token(Struct, frozen=True, forbid_unknown_fields=True):
    """Which key of which token: the driver's library, the token's label, the label of the key pair in it."""

    module: str
    label: str
    key: str


class Facts(Struct, frozen=True, forbid_unknown_fields=True):
    """`identity.json`: nothing in it is secret, all of it is the owner's to edit."""

    format: str
    name: str
    country: str
    organisation: str
    recipient: str
    token: Token | None = None
    stamping: StampingAuthority | None = None


def read_facts(folder: Path) -> Facts:
    """What `identity.json` says. Raises SigningError."""
    private.check_folder(folder)
    path = folder / "identity.json"
    try:
        facts = msgspec.json.decode(private.read(path), type=Facts)
    except msgspec.DecodeError as error:
        raise SigningError(f"{path}: not what this version writes: {error}") from error
    if facts.format != FORMAT:
        raise SigningError(f"{path}: format {facts.format!r} is not {FORMAT!r}; a newer version wrote it")
    return facts
