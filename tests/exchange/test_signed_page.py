"""A PDF in a draft is the expected page with the author's signature, or it is refused whatever its tail does."""

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner

sys.path.insert(0, str(Path(__file__).parent))
import packages
from parties import AT, Officer, State, small_pdf

from forensics.exchange.signed_page import is_signed
from forensics.report import pdf_signature
from forensics.signing.keys import FileKey
from forensics.signing.stamping import StampingAuthority

PAGE = small_pdf()
STATE = State("ID")


@pytest.fixture(scope="module")
def author() -> Officer:
    return STATE.officer("Sari")


@pytest.fixture(scope="module")
def signed(author: Officer, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return by(author, tmp_path_factory.mktemp("signed"))


def by(officer: Officer, folder: Path, page: bytes = PAGE) -> bytes:
    path = folder / "page.pdf"
    path.write_bytes(page)
    officer.sign_pdf(path, AT)
    return path.read_bytes()


def updated(page: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    """`page` with an update that `change` makes (ISO 32000-1, section 7.5.6)."""
    writer = IncrementalPdfFileWriter(BytesIO(page))
    change(writer)
    target = BytesIO()
    writer.write(target)
    return target.getvalue()


def larger(writer: IncrementalPdfFileWriter) -> None:
    """Another first page than the one that was there."""
    from pyhanko.pdf_utils import generic

    page = writer.root["/Pages"]["/Kids"][0]
    page["/MediaBox"] = generic.ArrayObject([generic.NumberObject(each) for each in (0, 0, 900, 900)])
    writer.update_container(page)


def test_the_page_as_its_author_signed_it_is_taken(signed: bytes, author: Officer) -> None:
    assert is_signed(signed, PAGE, author.certificate, AT)


def test_a_page_that_an_officer_signed_with_rsa_is_taken(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 3072)
    certificate = STATE.certified("Ketut", key.public_key())
    path = tmp_path / "page.pdf"
    path.write_bytes(PAGE)
    identity = SimpleNamespace(certificate=certificate, chain=(), key=FileKey(key))
    pdf_signature.sign(path, path, identity, at=AT)
    assert is_signed(path.read_bytes(), PAGE, certificate, AT)


def test_a_page_whose_signature_is_stamped_is_taken(author: Officer, tmp_path: Path) -> None:
    """PAdES B-T: the time stamp is inside the signature."""
    authority = packages.officer(packages.root(), "Stamps", purpose=ExtendedKeyUsageOID.TIME_STAMPING)
    settings = (
        f"[tsa]\ndefault_tsa=t\n[t]\nserial={tmp_path}/serial\nsigner_cert={tmp_path}/c\nsigner_key={tmp_path}/k\nsigner_digest=sha256\n"
        "default_policy=1.2.3.4.1\ndigests=sha256\ness_cert_id_alg=sha256\n"
    )
    for name, content in {
        "c": authority.pem,
        "k": authority.key_pem,
        "cnf": settings.encode(),
        "serial": b"01\n",
        "page.pdf": PAGE,
    }.items():
        (tmp_path / name).write_bytes(content)
    command = ("openssl", "ts", "-reply", "-config", str(tmp_path / "cnf"), "-queryfile", "{request}", "-out", "{response}")
    path = tmp_path / "page.pdf"
    identity = SimpleNamespace(certificate=author.certificate, chain=(authority.der,), key=FileKey(author._key))
    pdf_signature.sign(path, path, identity, at=AT, stamping=StampingAuthority(command=command))
    assert is_signed(path.read_bytes(), PAGE, author.certificate, AT)


def test_an_unsigned_page_another_page_and_another_time_are_refused(signed: bytes, author: Officer) -> None:
    other = PAGE.replace(b"[0 0 200 200]", b"[0 0 200 201]")
    assert not is_signed(PAGE, PAGE, author.certificate, AT)
    assert not is_signed(signed, other, author.certificate, AT)
    assert not is_signed(signed, PAGE, author.certificate, AT + timedelta(seconds=1))
    assert not is_signed(b"", PAGE, author.certificate, AT)


def test_a_page_that_somebody_else_signed_is_refused(author: Officer, tmp_path: Path) -> None:
    assert not is_signed(by(STATE.officer("Wayan"), tmp_path), PAGE, author.certificate, AT)


def test_a_signature_over_an_update_that_replaces_a_page_is_refused(author: Officer, tmp_path: Path) -> None:
    """One update, one %%EOF, a valid signature over the whole file, made with the author's own key: and another page is shown."""
    signer = pdf_signature._Signer(SimpleNamespace(certificate=author.certificate, chain=(), key=FileKey(author._key)))
    writer = IncrementalPdfFileWriter(BytesIO(PAGE))
    larger(writer)
    told = PdfSignatureMetadata(field_name="Signature1", md_algorithm="sha256", subfilter=fields.SigSeedSubFilter.PADES, certify=True)
    made = asyncio.run(PdfSigner(told, signer).async_sign_pdf(writer)).getvalue()
    tail = made[len(PAGE) :]
    assert made.startswith(PAGE) and len(tail) < 128 << 10 and tail.count(b"%%EOF") == 1
    assert b"[ 0 0 900 900 ]" in tail
    assert not is_signed(made, PAGE, author.certificate, AT)
    # replaced first, and signed after it by our own writer
    assert not is_signed(by(author, tmp_path, updated(PAGE, larger)), PAGE, author.certificate, AT)


def test_an_update_after_the_signature_is_refused(signed: bytes, author: Officer, tmp_path: Path) -> None:
    assert not is_signed(updated(signed, larger), PAGE, author.certificate, AT)
    assert not is_signed(signed + b"\n", PAGE, author.certificate, AT)
    assert not is_signed(by(author, tmp_path, signed), PAGE, author.certificate, AT)


def test_no_byte_of_the_tail_may_be_another_but_of_the_second_identifier(signed: bytes, author: Officer) -> None:
    """The second identifier is under the signature; the rest is known beforehand."""
    for place in (b"/Rect [ 0", b"/V ", b"D\\072", b"/P 2", b"startxref\n", b"/ID [ <", b"/Contents <308"):
        at = signed.index(place, len(PAGE)) + len(place)
        changed = bytearray(signed)
        changed[at] = ord("9") if changed[at] != ord("9") else ord("8")
        assert not is_signed(bytes(changed), PAGE, author.certificate, AT), place
    second = signed.rindex(b"> ]") - 4
    for digit in b"0", b"1":
        other = signed[:second] + digit + signed[second + 1 :]
        assert is_signed(other, PAGE, author.certificate, AT) == (other == signed)


@pytest.mark.parametrize("filling", [b"", b"30", b"3080" * 2000, b"30820bb8" * 1000, b"3003020101", b"zz" * 10, b"a\n"])
def test_what_is_no_signature_is_refused(signed: bytes, author: Officer, filling: bytes) -> None:
    start = signed.index(b"/Contents <", len(PAGE)) + len(b"/Contents <")
    stop = signed.index(b">", start)
    hole = filling + b"0" * (stop - start - len(filling))
    assert not is_signed(signed[:start] + hole + signed[stop:], PAGE, author.certificate, AT)


def test_nothing_is_hidden_behind_the_signature(signed: bytes, author: Officer) -> None:
    stop = signed.index(b">", signed.index(b"/Contents <", len(PAGE)) + 20)
    assert not is_signed(signed[: stop - 2] + b"41" + signed[stop:], PAGE, author.certificate, AT)
