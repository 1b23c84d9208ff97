"""Keys, certificates, signatures, time stamps and the roots that are trusted: what the other rooms use of this one.

Each is loaded when it is first used: who opens a package does not wait for what signs, nor who signs for what reads time stamps.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forensics.signing.age import decrypt, encrypt
    from forensics.signing.identity import Identity, open_identity
    from forensics.signing.reader import Reader, open_reader
    from forensics.signing.reasons import Reason
    from forensics.signing.revocation import Revocation
    from forensics.signing.signature import Signer, countersign, sign, verify
    from forensics.signing.stamping import StampingAuthority
    from forensics.signing.stamps import stamp, verify_stamp
    from forensics.signing.trust import Recipient, Root, Trust, open_trust

__all__ = [
    "Identity", "Reader", "Reason", "Recipient", "Revocation", "Root", "Signer", "StampingAuthority", "Trust",
    "countersign", "decrypt", "encrypt", "open_identity", "open_reader", "open_trust", "sign", "stamp", "verify", "verify_stamp",
]  # fmt: skip

_LATER = {
    "age": ("decrypt", "encrypt"),
    "identity": ("Identity", "open_identity"),
    "reader": ("Reader", "open_reader"),
    "reasons": ("Reason",),
    "revocation": ("Revocation",),
    "signature": ("Signer", "countersign", "sign", "verify"),
    "stamps": ("stamp", "verify_stamp"),
    "stamping": ("StampingAuthority",),
    "trust": ("Recipient", "Root", "Trust", "open_trust"),
}


def __getattr__(name: str) -> object:
    """A name that is loaded when it is first used (PEP 562). Raises AttributeError for what is none of this room's."""
    for module, names in _LATER.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
