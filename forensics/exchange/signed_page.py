"""Whether a PDF is the page that is expected, signed by one officer, and nothing more.

The update that a signature appends (ISO 32000-1, section 7.5.6) could as well replace every page. So it is not looked through: it is
written again over the expected page by the writer of our signatures, and must be the same bytes, but for the two things that differ each
time, the signature itself and the file's second identifier (section 14.4). Then the signature is verified.
"""

import hashlib
import re
import tempfile
from datetime import datetime
from pathlib import Path

from asn1crypto import cms, x509
from cryptography.exceptions import UnsupportedAlgorithm
from msgspec import Struct

from forensics.signing import Identity, certificates, schemes
from forensics.signing.schemes import PublicKey

_HOLE = re.compile(rb"/Contents <([0-9A-Fa-f]+)>\s*/ByteRange \[0 ([0-9]+) ([0-9]+) ([0-9]+)\]")
_SECOND_ID = re.compile(rb"/ID \[ <[0-9a-f]*> <([0-9a-f]{32})> \]")
_HEX = re.compile(rb"[0-9A-Fa-f]+")
_MALFORMED = (ValueError, TypeError, LookupError, NotImplementedError, RecursionError, UnsupportedAlgorithm)  # what readers of CMS raise


def is_signed(content: bytes, page: bytes, certificate: bytes, at: datetime) -> bool:
    """Whether `content` is `page` with one signature over all of it, by the key of `certificate` (DER), which says that it was made `at`.

    Raises SigningError where `page` is no PDF, or the certificate is none that signs.
    """
    made = _signed(page, certificate, at)
    hole, second = _HOLE.search(made, len(page)), _SECOND_ID.search(made, len(page))
    if hole is None or second is None or len(content) != len(made):
        return False
    spans = sorted((hole.span(1), second.span(1)))
    if not all(_HEX.fullmatch(content, *span) for span in spans):
        return False
    for start, stop in spans:
        made = made[:start] + content[start:stop] + made[stop:]
    if content != made:
        return False
    first, behind, rest = (int(hole[group]) for group in (2, 3, 4))
    if (first, behind, behind + rest) != (hole.start(1) - 1, hole.end(1) + 1, len(made)):
        return False
    digest = hashlib.new(schemes.of(certificates.load(certificate)).digest, made[:first] + made[behind:]).digest()
    return _verifies(bytes.fromhex(content[slice(*hole.span(1))].decode("ascii")), certificate, digest)


def _verifies(found: bytes, certificate: bytes, digest: bytes) -> bool:
    """Whether the CMS at the beginning of `found`, which zeros follow, is one signature by the certificate's key over this digest."""
    from pyhanko.sign.validation.generic_cms import validate_sig_integrity  # here, because it takes long to load

    try:
        info = cms.ContentInfo.load(found)
        size = len(info.dump())
        signers = info["content"]["signer_infos"]
        held = [each.chosen.dump() for each in info["content"]["certificates"]]
        if any(found[size:]) or len(signers) != 1 or certificate not in held:
            return False
        return all(validate_sig_integrity(signers[0], x509.Certificate.load(certificate), "data", digest))
    except _MALFORMED:
        return False


class _Nobody(Struct, frozen=True):
    """Takes the place of the officer's key, for a signature that is thrown away."""

    certificate: bytes

    def sign(self, data: bytes, digest: str) -> bytes:
        return bytes(64)

    def public(self) -> PublicKey:
        return schemes.key_of(certificates.load(self.certificate))[0]


def _signed(page: bytes, certificate: bytes, at: datetime) -> bytes:
    """`page` as our writer signs it, with a signature that does not verify."""
    from forensics.report import pdf_signature  # here, because pyHanko takes long to load

    name = certificates.common_name(certificates.load(certificate))
    identity = Identity(name, "", "", "", certificate, (), "", None, _Nobody(certificate), str)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "page.pdf")
        path.write_bytes(page)
        pdf_signature.sign(path, path, identity, at=at)
        return path.read_bytes()
