"""A case with people's decisions in it, and officers with real certificates; everything that seals and disclosures are tested with."""

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import msgspec
import pyrage
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from forensics import custody
from forensics.case import Case, create
from forensics.digest import identity, sha256
from forensics.exchange import approve, contents, draft, policy, seal
from forensics.exchange.disclosure import Terms
from forensics.exchange.plan import Choice, Plan, plan
from forensics.model import (
    AttachmentRef,
    Authority,
    CaseInfo,
    Digests,
    Entry,
    Examined,
    Exhibit,
    ImageDigest,
    PluginInfo,
    Record,
    RunInfo,
    StoredFinding,
)
from forensics.report import pdf_signature
from forensics.signing import cms, schemes
from forensics.signing.keys import FileKey

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PHONE = "+6281234567890"
OTHER_PHONE = "+66812345678"
RUN_DIGEST = hashlib.sha256(b"run").hexdigest()


# --- officers ---------------------------------------------------------------------------------------------------------------


class Officer:
    """Who signs: a key, a certificate of the state's root. `Signing` of `exchange.seal`, without the tool's own identities."""

    def __init__(self, name: str, country: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.name, self.country, self._key = name, country, key
        self.certificate = certificate.public_bytes(Encoding.DER)
        self.fingerprint = hashlib.sha256(self.certificate).hexdigest()
        self.checkpoints: list[tuple[int, str, str]] = []

    def _part(self, data: bytes, at: datetime) -> cms.Part:
        digest = cms.digest_of(data, self.certificate)
        signature = self._key.sign(cms.to_be_signed(self.certificate, digest, at), ec.ECDSA(hashes.SHA256()))
        return cms.Part(self.certificate, at, digest, schemes.single(signature, schemes.CURVES["secp256r1"]))

    def sign(self, data: bytes, at: datetime) -> bytes:
        return cms.encode(cms.Signed((self._part(data, at),), (self.certificate,)))

    def countersign(self, data: bytes, signature: bytes, at: datetime) -> bytes:
        held = cms.decode(signature)
        return cms.encode(cms.Signed((*held.parts, self._part(data, at)), (*held.certificates, self.certificate)))

    def sign_pdf(self, path: Path, at: datetime) -> None:
        signer = SimpleNamespace(certificate=self.certificate, chain=(), key=FileKey(self._key))
        pdf_signature.sign(path, path, signer, at=at)

    def stamp(self, signature: bytes) -> bytes | None:
        return None

    def checkpoint(self, folder: Path, why: str, at: datetime) -> None:
        self.checkpoints.append((*custody.head(folder), why))


class State:
    """A state: a root certificate, and officers under it."""

    def __init__(self, country: str) -> None:
        self.country, self._key = country, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name(
            [x509.NameAttribute(NameOID.COUNTRY_NAME, country), x509.NameAttribute(NameOID.COMMON_NAME, f"{country} root")]
        )
        made = self._certificate(self._name, self._key.public_key())
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        made = made.add_extension(_usage(certificates=True), critical=True)
        self.root = made.sign(self._key, hashes.SHA256())

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=AT - timedelta(days=30),
            not_valid_after=AT + timedelta(days=3650),
        )

    def officer(self, name: str, *, key_of: Officer | None = None) -> Officer:
        """A new officer; with `key_of`, one who has a certificate of their own for another's key."""
        key = key_of._key if key_of else ec.generate_private_key(ec.SECP256R1())
        return Officer(name, self.country, key, x509.load_der_x509_certificate(self.certified(name, key.public_key())))

    def certified(self, name: str, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
        """An officer's certificate (DER) for a key."""
        subject = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, self.country), x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._certificate(subject, key).add_extension(_usage(), critical=True)
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        return made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER)


def _usage(*, certificates: bool = False) -> x509.KeyUsage:
    names = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
    unused = dict.fromkeys(names, False)
    return x509.KeyUsage(digital_signature=not certificates, key_cert_sign=certificates, crl_sign=certificates, **unused)


def encrypt(source: BinaryIO, target: BinaryIO, recipients: Iterable[str]) -> None:
    pyrage.encrypt_io(source, target, [pyrage.x25519.Recipient.from_str(each) for each in recipients])


# --- review and index -------------------------------------------------------------------------------------------------------


class Decision(Struct, frozen=True, kw_only=True):
    status: str = "confirmed"
    category: str | None = "SOM-COMMS"
    reliability: str | None = "B"
    credibility: int | None = 2
    likelihood: str | None = None
    note: str | None = None
    labels: tuple[str, ...] = ()
    seq: int = 3


class Person(Struct, frozen=True, kw_only=True):
    id: str
    name: str | None = None
    role: str = "suspect"
    states_of_origin: tuple[str, ...] = ()
    protection_claim: bool = False
    records: tuple[str, ...] = ()


class Review(Struct, frozen=True):
    decisions: dict[str, Decision]
    persons: dict[str, Person] = {}


class Index:
    """An index over records that a function gives anew each time."""

    def __init__(self, make: Callable[[], Iterator[Record]], size: int = 64 << 20) -> None:
        self._make, self._size = make, size

    def records(self) -> Iterator[Record]:
        return self._make()

    def entries(self, *, outcome: str | None = None) -> Iterator[Examined]:
        for record in self._make():
            if record.sha256:
                digests = Digests(record.sha256, sha1_of(record.sha256), md5_of(record.sha256))
                yield Examined(entry=Entry(location=record.location, kind="file", size=1), outcome="read", digests=digests)

    def runs(self) -> tuple[RunInfo, ...]:
        plugin = PluginInfo(
            name="contacts", kind="extractor", version="1.0", description="Contacts.", digest="d" * 64, source="contacts.py",
            selection="*.vcf", options={"region": "ID"},
        )  # fmt: skip
        return (
            RunInfo(
                run="run-0001",
                exhibits=("2026-1",),
                tool="forensics 1.0",
                tool_digest="e" * 64,
                started="",
                libraries={},
                plugins=(plugin,),
            ),
        )

    def run_digest(self, run: str) -> str:
        return RUN_DIGEST

    def images(self) -> dict[str, ImageDigest]:
        return {"2026-1": ImageDigest(format="raw", size=self._size, sha256=hashlib.sha256(b"medium").hexdigest())}

    def checks(self) -> dict[str, bool]:
        return {"2026-1": True}


def sha1_of(digest: str) -> str:
    return hashlib.sha1(digest.encode()).hexdigest()


def md5_of(digest: str) -> str:
    return hashlib.md5(digest.encode()).hexdigest()


def record(number: int, *, content: str | None = None, path: str | None = None, inside: str | None = None, **finding: object) -> Record:
    """A record of the file number so-and-so; `content` names its content, `inside` the path of a container that it is in."""
    name = path or f"/data/contact-{number}.vcf"
    location = f"2026-1:ext4{':zip@' + inside if inside else ''}:{name}"
    values = {"kind": "contact", "summary": f"Contact number {number}", "data": {"name": f"Contact {number}"}, **finding}
    made = Record(
        id="",
        location=location,
        state="allocated",
        sha256=sha256((content or f"content {number}").encode()),
        plugin="contacts",
        plugin_version="1.0",
        plugin_digest="d" * 64,
        finding=msgspec.convert(values, StoredFinding),
    )
    return msgspec.structs.replace(made, id=identity(made))


# --- the case ---------------------------------------------------------------------------------------------------------------

INFO = CaseInfo(
    case_id="A-2026/0123", agency="Imigrasi", officer_in_charge="Dewi", examiner="Budi", client="the prosecutor of Batam",
    related_refs=("B-77",),
    offence_or_purpose="migrant smuggling", opened_at="2026-11-01", retention_until="2036-11-01",
    requested_questions=(f"Who used {PHONE}?",),
    authority=Authority(type="warrant", id="W-9", scope_text="the telephone"),
)  # fmt: skip
FACTS = {
    "kind": "phone", "description": "a telephone", "condition_text": "whole", "seal_no": "77", "owner_role": "suspected facilitator",
    "power_state_on_receipt": "off", "seized_at": "2026-11-02T10:00+07:00", "seized_place": "Batam", "seized_by": "Dewi",
    "seizure_authority": "W-9", "acquisition_type": "physical", "acquisition_tool": "dd", "acquisition_tool_version": "9.1",
    "acquisition_tool_sha256": "a" * 64, "acquired_at": "2026-11-02T12:00+07:00", "acquisition_ended_at": "2026-11-02T13:00+07:00",
    "acquired_by": "Budi", "changes_made_to_original": "none known", "write_blocker": "T8u 123",
}  # fmt: skip


class Office:
    """A case in Indonesia with records, people's decisions, an examiner, two disclosing officers, and a partner's key."""

    def __init__(
        self, folder: Path, records: Iterable[Record], *, info: CaseInfo = INFO, facts: dict[str, str] = FACTS, size: int = 64 << 20
    ):
        self.state = State("ID")
        self.examiner, self.author, self.approver = (self.state.officer(name) for name in ("Budi", "Sari", "Wayan"))
        self.partner = pyrage.x25519.Identity.generate()
        self.records = list(records)
        self.index = Index(lambda: iter(self.records), size)
        self.review = Review({each.id: Decision() for each in self.records})
        image = folder / "telephone.dd"
        image.write_bytes(b"image")
        self.case: Case = create(folder / "case", info, by="Budi", at=AT)
        if facts:
            self.case.add_exhibit(Exhibit(exhibit_id="2026-1", image=str(image), image_format="raw", **facts), "Budi", AT)

    @property
    def recipient(self) -> str:
        return str(self.partner.to_public())

    def decide(self, each: Record, **decision: object) -> None:
        self.review.decisions[each.id] = Decision(**decision)

    def add(self, person: Person) -> None:
        self.review.persons[person.id] = person

    def attach(self, name: str, mime: str, content: bytes) -> AttachmentRef:
        digest = sha256(content)
        path = self.case.extracted / digest[:2] / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return AttachmentRef(name, mime, digest, len(content))

    def seal(self) -> seal.Seal:
        return seal.seal(self.case, self.index, self.review, self.examiner, at=AT)

    def plan(self, to: str = "VN", records: Iterable[Record] | None = None, overrides: Iterable[str] = (), **more: object) -> Plan:
        wanted = tuple(each.id for each in (self.records if records is None else records))
        choice = Choice(to_state=to, records=wanted, overrides=policy.parse_overrides(overrides), **more)
        return plan(self.index, self.review, seal.open_seal(self.case), choice)

    def draft(self, planned: Plan, **terms: object) -> draft.Draft:
        said = {
            "to_state": planned.choice.to_state, "authority": "Department of Immigration", "channel": "police-to-police",
            "purpose": "to find the route",
            "use": "intelligence", "onward": "none", "expires": "2027-11-20", "checked": "nobody asked for asylum",
            "checked_by": "Sari", **terms,
        }  # fmt: skip
        return draft.write(self.case, self.review, seal.open_seal(self.case), planned, Terms(**said), [self.recipient], self.author, at=AT)

    def approve(self, name: str, officer: Officer | None = None, overrides: Iterable[str] = ()) -> Path:
        checked = approve.examine(self.case, self.index, self.review, name, at=AT)
        given = policy.parse_overrides(overrides)
        return approve.approve(self.case, checked, officer or self.approver, [self.recipient], encrypt, overrides=given, at=AT)

    def send(self, planned: Plan, **terms: object) -> Path:
        """Draft and approve; the encrypted package."""
        return self.approve(self.draft(planned, **terms).id, overrides=[f"{word}:decided" for word in planned.overrides])

    def opened(self, package: Path, folder: Path) -> Path:
        """The partner's copy of a package, unpacked into `folder`: its one top folder. Decrypted by `age` itself."""
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / "partner.key"
        key.write_text(f"{self.partner}\n")
        key.chmod(0o600)
        plain = subprocess.run(["age", "-d", "-i", str(key), str(package)], capture_output=True, check=True).stdout
        key.unlink()
        with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
            tar.extractall(folder, filter="data")
        (top,) = folder.iterdir()
        return top


def without_pdf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages whose PDF is a stand-in: for tests of other things, since Typst takes seconds."""
    monkeypatch.setattr(contents, "_pdf", lambda document, disclosure, language: small_pdf())


def small_pdf() -> bytes:
    """A PDF of one empty page (ISO 32000-1, section 7.5)."""
    objects = ("/Type /Catalog /Pages 2 0 R", "/Type /Pages /Kids [3 0 R] /Count 1", "/Type /Page /Parent 2 0 R /MediaBox [0 0 200 200]")
    made, table = b"%PDF-1.7\n", b"xref\n0 4\n0000000000 65535 f \n"
    for number, content in enumerate(objects, start=1):
        table += f"{len(made):010} 00000 n \n".encode()
        made += f"{number} 0 obj\n<< {content} >>\nendobj\n".encode()
    ids = "/ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]"
    return made + table + f"trailer\n<< /Size 4 /Root 1 0 R {ids} >>\nstartxref\n{len(made)}\n%%EOF\n".encode()


def all_bytes(folder: Path) -> bytes:
    """Everything that a package contains: names and contents, compared in lower case."""
    found = bytearray()
    for path in sorted(folder.rglob("*")):
        found += f"\n{path.relative_to(folder)}\n".encode()
        if path.is_file():
            found += path.read_bytes()
        if path.suffix == ".pdf" and path.stat().st_size > 100:
            found += subprocess.run(["pdftotext", str(path), "-"], capture_output=True, check=True).stdout
    return bytes(found).lower()
