"""Why a signature, a chain of certificates or a time stamp was refused: one word for programs, one sentence for people."""

from enum import StrEnum

from forensics.errors import SignatureInvalid


class Reason(StrEnum):
    """The closed list of refusals; the value is what `SignatureInvalid.reason` says."""

    STRUCTURE = "structure"
    ALGORITHM = "algorithm"
    CHANGED = "changed"
    SIGNATURE = "signature"
    CERTIFICATES = "certificates"
    SELF_SIGNED = "self-signed"
    UNPINNED = "unpinned"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    TIME = "time"
    REVOKED = "revoked"
    REVOCATION_UNKNOWN = "revocation-unknown"
    PURPOSE = "purpose"
    CONSTRAINT = "constraint"
    PATH = "path"
    COUNTRY = "country"
    SAME_SIGNER = "same-signer"
    STAMP_REFUSED = "stamp-refused"
    NONCE = "nonce"


SENTENCES = {
    Reason.STRUCTURE: "The signature file is not in the one form that is accepted: it was changed, or made by another tool.",
    Reason.ALGORITHM: "An algorithm, a key or a curve is not on the list of those that are accepted.",
    Reason.CHANGED: "The content is not what was signed.",
    Reason.SIGNATURE: "The signature does not verify with the signer's key.",
    Reason.CERTIFICATES: "The certificates in the signature file are not exactly those of its signers and their issuers.",
    Reason.SELF_SIGNED: "The signer's certificate is signed by itself: no state vouches for it.",
    Reason.UNPINNED: "The signer's certificate leads to no root in the trust list: compare fingerprints, then `trust add`.",
    Reason.EXPIRED: "A certificate had expired, and no time stamp shows that the signature is older.",
    Reason.NOT_YET_VALID: "A certificate was not valid yet when the signature says that it was made.",
    Reason.TIME: "The time that the signature claims cannot be true.",
    Reason.REVOKED: "A certificate was revoked.",
    Reason.REVOCATION_UNKNOWN: "Whether a certificate was revoked is not known: add its issuer's current list with `trust crl`.",
    Reason.PURPOSE: "The certificate was issued for another purpose.",
    Reason.CONSTRAINT: "A certificate carries a critical extension or a constraint that is not understood.",
    Reason.PATH: "A certificate was issued by one that may not issue it.",
    Reason.COUNTRY: "The certificate names another state than the one for which its root is trusted.",
    Reason.SAME_SIGNER: "The same certificate signed more than once.",
    Reason.STAMP_REFUSED: "The stamping authority did not grant the time stamp.",
    Reason.NONCE: "The time stamp answers another request.",
}


def invalid(reason: Reason, detail: str) -> SignatureInvalid:
    """The refusal to raise: its sentence, then the value that did not fit."""
    return SignatureInvalid(f"{SENTENCES[reason]} ({detail})", str(reason))
