"""Keys, certificates, signatures, time stamps and the roots that are trusted: what the other rooms use of this one."""

from forensics.signing.age import decrypt, encrypt
from forensics.signing.identity import Identity, Reader, open_identity, open_reader
from forensics.signing.reasons import Reason
from forensics.signing.revocation import Revocation
from forensics.signing.signature import Signer, countersign, sign, verify
from forensics.signing.stamp import stamp, verify_stamp
from forensics.signing.stamping import StampingAuthority
from forensics.signing.trust import Recipient, Root, Trust, open_trust

__all__ = [
    "Identity", "Reader", "Reason", "Recipient", "Revocation", "Root", "Signer", "StampingAuthority", "Trust",
    "countersign", "decrypt", "encrypt", "open_identity", "open_reader", "open_trust", "sign", "stamp", "verify", "verify_stamp",
]  # fmt: skip
