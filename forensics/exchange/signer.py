"""An officer at work on one case: an opened identity, with the stamping authority that it is configured with."""

from datetime import datetime
from pathlib import Path

from msgspec import Struct

from forensics import signing
from forensics.custody import checkpoints
from forensics.signing import Identity


class Signer(Struct, frozen=True):
    """Signs, countersigns, stamps and makes checkpoints (`exchange.seal.Signing`). Everything raises SigningError."""

    identity: Identity

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def country(self) -> str:
        return self.identity.country

    @property
    def fingerprint(self) -> str:
        return self.identity.fingerprint

    @property
    def certificate(self) -> bytes:
        return self.identity.certificate

    def sign(self, data: bytes, at: datetime) -> bytes:
        """A detached signature over `data`."""
        return signing.sign(data, self.identity, at=at)

    def countersign(self, data: bytes, signature: bytes, at: datetime) -> bytes:
        """`signature` with this officer's beside it, over the same data."""
        return signing.countersign(data, signature, self.identity, at=at)

    def sign_pdf(self, path: Path, at: datetime) -> None:
        """Sign the PDF at `path` (PAdES), by an update that leaves what it held before as it is."""
        from forensics.report import pdf_signature  # here, because a seal has no document, and pyHanko takes longest to load

        pdf_signature.sign(path, path, self.identity, at=at, stamping=self.identity.stamping)

    def stamp(self, signature: bytes) -> bytes | None:
        """A time stamp over `signature`; `None` where no authority is configured."""
        return None if self.identity.stamping is None else signing.stamp(signature, self.identity.stamping)

    def checkpoint(self, folder: Path, why: str, at: datetime) -> None:
        """Sign the head of the custody log in `folder`."""
        checkpoints.checkpoint(folder, why, self.identity, at=at, stamping=self.identity.stamping)
