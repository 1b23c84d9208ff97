"""PAdES: an examiner's signature inside a PDF report, level B-B, or B-T with a time stamp (ETSI EN 319 142-1).

It is appended to the file as an incremental update (ISO 32000-1, section 7.5.6), so that the report's own bytes stay as they were and
the file stays PDF/A: the signature's field has no appearance, and what the file says of itself is not touched. The first signature
certifies the report: whoever changes it, but by signing it too, breaks it.
"""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from asn1crypto import tsp, x509
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.sign import fields
from pyhanko.sign.general import SigningError as PyhankoError
from pyhanko.sign.signers import cms_embedder
from pyhanko.sign.signers.pdf_byterange import PdfSignedData, SignatureObject
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes, Signer
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.timestamps.common_utils import TimestampRequestError
from pyhanko_certvalidator.registry import SimpleCertificateStore

from forensics.errors import SigningError
from forensics.segment import sync_folder
from forensics.signing import certificates, schemes
from forensics.signing.identity import Identity
from forensics.signing.stamping import StampingAuthority, ask

_FIELD = "Signature{}"
_ROOM = 16 << 10  # bytes for a signature with its chain and time stamp; as hexadecimal digits twice that
_LONGEST = 512  # bytes of a signature: RSA of 4096 bits


def sign(path_in: Path, path_out: Path, identity: Identity, *, at: datetime, stamping: StampingAuthority | None = None) -> None:
    """Write the PDF of `path_in`, signed by `identity`, to `path_out`, which is replaced only at the end; both may be one path.

    `at` is the claimed time of signing. A file that is signed already is signed by a further person. Raises SigningError for a file
    that is no PDF and for a key or a stamping authority that fails, OSError.
    """
    signer = _Signer(identity)
    temporary = path_out.with_name(f".{path_out.name}.part")
    try:
        with open(path_in, "rb") as source, open(temporary, "w+b") as target:
            _append(source, target, signer, at, None if stamping is None else _Stamper(stamping))
        temporary.replace(path_out)
    except (PdfError, PyhankoError, TimestampRequestError, ValueError) as error:
        raise SigningError(f"{path_in}: the PDF could not be signed: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path_out.parent)


def _append(source: IO[Any], target: IO[Any], signer: "_Signer", at: datetime, stamper: TimeStamper | None) -> None:
    digest = signer.digest
    writer = _Untouched(source)
    before = len(writer.prev.embedded_signatures)
    field = fields.SigFieldSpec(_FIELD.format(before + 1))
    steps = cms_embedder.PdfCMSEmbedder(new_field_spec=field).write_cms(field_name=field.sig_field_name, writer=writer)
    next(steps)
    placeholder: PdfSignedData = SignatureObject(timestamp=at, subfilter=fields.SigSeedSubFilter.PADES, bytes_reserved=2 * _ROOM)
    certified = cms_embedder.SigMDPSetup(
        md_algorithm=digest, certify=not before, docmdp_perms=fields.MDPPerm.FILL_FORMS if not before else None
    )
    steps.send(cms_embedder.SigObjSetup(sig_placeholder=placeholder, mdp_setup=certified))
    made, _ = steps.send(cms_embedder.SigIOSetup(md_algorithm=digest, in_place=False, output=target))
    steps.send(
        asyncio.run(
            signer.async_sign(
                data_digest=made.document_digest,
                digest_algorithm=digest,
                use_pades=True,
                timestamper=stamper,
                signed_attr_settings=PdfCMSSignedAttributes(),  # PAdES: the claimed time stands in the PDF, not in the signature
            )
        )
    )


class _Untouched(IncrementalPdfFileWriter):
    """Leaves dates, producer and XMP as they are: else they would name this machine's clock, and might no longer agree."""

    def _update_meta(self) -> None:
        return


class _Signer(Signer):
    """Signs through an identity, wherever its key is."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        try:
            certificate = x509.Certificate.load(identity.certificate)
            chain = [x509.Certificate.load(each) for each in identity.chain]
            self.digest = schemes.of(certificates.load(identity.certificate)).digest
        except (ValueError, TypeError) as error:
            raise SigningError(f"a PDF cannot be signed with this certificate: {error}") from error
        store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        store.register_multiple(chain)
        super().__init__(signing_cert=certificate, cert_registry=store, embed_roots=False)

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        return bytes(_LONGEST) if dry_run else self._identity.key.sign(data, digest_algorithm)


class _Stamper(TimeStamper):
    """Asks a stamping authority of ours."""

    def __init__(self, authority: StampingAuthority) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._authority = authority

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        return tsp.TimeStampResp.load(ask(self._authority, req.dump()))
