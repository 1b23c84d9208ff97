"""Small valid packages made from the written format with `openssl` and `cryptography`, and none of our own writers.

A package is a dict of file names to bytes until it is written, so that a test may change anything at any step and sign again.
"""

import base64
import hashlib
import io
import json
import os
import random
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from forensics.signing import Identity, Root, Trust
from forensics.signing.keys import FileKey

NOW = datetime.now(UTC).replace(microsecond=0)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # SEC 2, P-256
Files = dict[str, bytes]


# --- certificates -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Holder:
    """A certificate with its key."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(country: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, country),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Immigration"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def root(country: str = "TH") -> Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(country, f"Root of {country}")
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), NOW - timedelta(900), NOW + timedelta(900))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    return Holder(key, builder.sign(key, hashes.SHA256()))


def officer(
    issuer: Holder | None,
    name: str,
    country: str = "TH",
    *,
    days: tuple[int, int] = (-300, 300),
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Holder:
    """A signer's certificate, self-signed without an issuer."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = _name(country, name)
    above = issuer.certificate.subject if issuer else subject
    first, last = (NOW + timedelta(day) for day in days)
    builder = x509.CertificateBuilder(above, subject, key.public_key(), x509.random_serial_number(), first, last)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(_usage(digital_signature=True, content_commitment=True), True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), purpose == ExtendedKeyUsageOID.TIME_STAMPING)
    return Holder(key, builder.sign(issuer.key if issuer else key, hashes.SHA256()))


def _usage(**given: bool) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
        "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: given.get(name, False) for name in names})


def crl(issuer: Holder, revoked: Iterable[Holder] = (), since: datetime = NOW - timedelta(days=1)) -> bytes:
    """The issuer's revocation list (DER), current."""
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, NOW - timedelta(hours=1), NOW + timedelta(days=30))
    for each in revoked:
        entry = x509.RevokedCertificateBuilder(each.certificate.serial_number, since).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


# --- signatures -------------------------------------------------------------------------------------------------------------


def sign(data: bytes, *signers: Holder) -> bytes:
    """Detached CAdES by `openssl cms`, each s the smaller of its two values."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "data").write_bytes(data)
        command = ["openssl", "cms", "-sign", "-cades", "-binary", "-nosmimecap", "-outform", "DER", "-in", "data", "-out", "p7s"]
        for number, each in enumerate(signers):
            (place / f"{number}.pem").write_bytes(each.pem + each.key_pem)
            command += ["-signer", f"{number}.pem"]
        subprocess.run(command, cwd=place, check=True, capture_output=True)
        found = cms.ContentInfo.load((place / "p7s").read_bytes())
    infos = found["content"]["signer_infos"]
    for info in infos:
        r, s = decode_dss_signature(info["signature"].native)
        info["signature"] = encode_dss_signature(r, min(s, ORDER - s))
    # A SET OF in DER is sorted, and another s may sort its signer elsewhere.
    found["content"]["signer_infos"] = cms.SignerInfos(sorted(infos, key=lambda info: info.dump()))
    return bytes(found.dump())


def stamp(data: bytes, authority: Holder) -> bytes:
    """An RFC 3161 time stamp over `data` by `openssl ts`."""
    settings = (
        "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\ndefault_policy=1.2.3.4.1\ndigests=sha256\nsigner_digest=sha256\n"
        "ess_cert_id_chain=no\ness_cert_id_alg=sha256\nordering=no\ntsa_name=no\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, content in {
            "data": data,
            "c": authority.pem,
            "k": authority.key_pem,
            "cnf": settings.encode(),
            "serial": b"01\n",
        }.items():
            (place / name).write_bytes(content)
        query = ["openssl", "ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "q"]
        reply = ["openssl", "ts", "-reply", "-config", "cnf", "-queryfile", "q", "-signer", "c", "-inkey", "k", "-out", "r"]
        for command in (query, reply):
            subprocess.run(command, cwd=place, check=True, capture_output=True)
        return (place / "r").read_bytes()


# --- what a package holds ---------------------------------------------------------------------------------------------------


@dataclass
class World:
    """One sending state with its officers, and a receiver's age key."""

    root: Holder = field(default_factory=root)
    state: str = "TH"
    examiner: Holder = field(init=False)
    author: Holder = field(init=False)
    approver: Holder = field(init=False)
    age: pyrage.x25519.Identity = field(default_factory=pyrage.x25519.Identity.generate)

    def __post_init__(self) -> None:
        self.examiner = officer(self.root, "Examiner", self.state)
        self.author = officer(self.root, "Author", self.state)
        self.approver = officer(self.root, "Approver", self.state)

    @property
    def recipient(self) -> str:
        return str(self.age.to_public())


def canonical(value: object) -> bytes:
    """Canonical JSON of ASCII keys and integers, which is all that these packages hold."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def records(number: int, rng: random.Random, *, contents: bool = True) -> dict[str, dict[str, Any]]:
    """Sealed records by name: case, exhibit, method, then findings with a content, a note, an attachment, a person and links."""

    def new(type_: str, **more: object) -> str:
        name = rng.randbytes(16).hex()
        made[name] = {"format": "forensics-record/1", "salt": rng.randbytes(16).hex(), "type": type_, **more}
        return name

    made: dict[str, dict[str, Any]] = {}
    new("case", case={"case_id": "A-1", "agency": "Immigration"})
    new("exhibit", exhibit={"exhibit_id": "2026-1", "image": "", "image_format": "raw"}, medium={"format": "raw", "size": 4096})
    method = new("method", tool="1.0", tool_digest="0" * 64, plugin="photo", version="1.0", digest="0" * 64, description="Photographs.")
    openings: dict[str, str] = {}
    digest = sha256(b"a photograph")
    for at in range(number):
        opening = rng.randbytes(16).hex()
        finding = new(
            "finding", exhibit="2026-1", location=f"2026-1/p1/DCIM/{at}.jpg", state="allocated", plugin="photo", plugin_version="1.0",
            method=method, kind="photo", summary=f"photograph {at}", status="confirmed", data={"n": at},
            content=sha256(canonical({"salt": opening, "sha256": digest})),
        )  # fmt: skip
        openings[finding] = opening
    findings = list(openings)
    if contents and findings:
        new("content", sha256=digest, openings=openings)
    if findings:
        new("note", of=findings[0], text="seen at the border")
        new("attachment", of=findings[0], name="small.jpg", mime="image/jpeg", content=base64.b64encode(b"thumbnail").decode())
        person = new("person", role="suspect")
        new("link", person=person, finding=findings[-1])
    return made


def custody(lines: int, rng: random.Random) -> tuple[Files, tuple[int, str], list[bytes]]:
    """A log with every second body: its files, the head, and its lines."""
    out: Files = {}
    raws: list[bytes] = []
    before = "0" * 64
    for number in range(1, lines + 1):
        body = canonical({"salt": rng.randbytes(16).hex(), "object": "2026-1", "by": "A. Officer", "body": {"purpose": "test"}})
        line = {
            "seq": number, "at": f"2026-03-01T08:{number:02}:00.000Z", "clock": "system clock", "event": "received", "prev": before,
            "body_sha256": sha256(body),
        }  # fmt: skip
        raw = canonical(line) + b"\n"
        before = sha256(raw)
        raws.append(raw)
        if number % 2:
            out[f"data/custody/bodies/{sha256(body)}.json"] = body
    out["data/custody.jsonl"] = b"".join(raws)
    return out, (lines, before), raws


@dataclass
class Made:
    """A package before it is packed: files by name in the bag, and what it is of."""

    world: World
    id: str
    files: Files
    sealed: dict[str, bytes]
    disclosure: dict[str, Any]

    def sign_seal(self, *signers: Holder) -> "Made":
        self.files["data/seal.sha256.p7s"] = sign(self.files["data/seal.sha256"], *(signers or (self.world.examiner,)))
        return self

    def finish(self, *signers: Holder) -> "Made":
        """Write disclosure, manifests and the signatures of author and approver anew."""
        self.files["data/disclosure.json"] = canonical(self.disclosure)
        manifests(self.files)
        self.files.pop("tagmanifest-sha256.txt.p7s.tsr", None)  # of the signature before
        chosen = signers or (self.world.author, self.world.approver)
        self.files["tagmanifest-sha256.txt.p7s"] = sign(self.files["tagmanifest-sha256.txt"], *chosen)
        return self

    def write(self, folder: Path) -> Path:
        """The files unpacked in `folder`."""
        return write(self.files, folder)

    def packed(self, *, top: str | None = None) -> bytes:
        return pack(self.files, top or self.id)

    def encrypted(self, path: Path, recipients: Iterable[str] = (), *, top: str | None = None) -> Path:
        keys = [pyrage.x25519.Recipient.from_str(each) for each in (*recipients, self.world.recipient)]
        path.write_bytes(pyrage.encrypt(self.packed(top=top), keys))
        return path


def build(
    world: World,
    *,
    findings: int = 3,
    disclosed: int | None = None,
    lines: int = 4,
    seed: int = 1,
    checkpoint: bool = True,
    stamping: Holder | None = None,
    reports: bool = True,
    recipients: Iterable[str] = (),
    case: str = "A-1",
    **disclosure: object,
) -> Made:
    """A valid package: `findings` sealed, of which the first `disclosed` are given (None: all, with their content's digest)."""
    rng = random.Random(seed)
    all_records = {name: canonical(value) for name, value in sorted(records(findings, rng).items())}
    given = dict(all_records)
    if disclosed is not None:
        kept = [name for name, value in all_records.items() if json.loads(value)["type"] in ("case", "exhibit", "method")]
        kept += [name for name, value in all_records.items() if json.loads(value)["type"] == "finding"][:disclosed]
        given = {name: all_records[name] for name in kept}
    files, head, raws = custody(lines, rng)
    files |= {f"data/records/{name}.json": value for name, value in given.items()}
    at = max(1, lines - 1)
    sealed_head = sha256(raws[at - 1])
    files["data/seal.sha256"] = seal_text(all_records, case, at, sealed_head, rng.randbytes(32).hex())
    if checkpoint:
        name = f"data/custody/checkpoints/{at}.json"
        stated = {"format": "forensics-checkpoint/1", "case": case, "log": sha256(raws[0]), "seq": at, "head": sealed_head}
        files[name] = canonical(stated | {"at": "2026-03-01T09:00:00Z", "why": "seal S-1"})
        files[f"{name}.p7s"] = sign(files[name], world.examiner)
    files["data/verify.txt"] = b"Do not trust this text.\n"
    if reports:
        files |= {"data/report.html": b"<!doctype html><title>report</title>", "data/case.jsonld": b"{}", "data/report.pdf": b"%PDF-1.7\n"}
    said: dict[str, Any] = {
        "format": "forensics-disclosure/1", "id": "A-1-D1",
        "from": {"state": world.state, "agency": "Immigration", "officer": "Author"},
        "to": {"state": "VN", "authority": "Police", "recipients": sorted(sha256(key.encode()) for key in (*recipients, world.recipient))},
        "channel": "mlat", "request_ref": "MLA/2026/7", "purpose": "prosecution", "use": "evidence", "onward": "none", "caveats": ["."],
        "tlp": "TLP:AMBER+STRICT", "pap": "PAP:AMBER", "expires": (NOW + timedelta(days=90)).date().isoformat(), "on_expiry": "destroy",
        "made_at": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"), "seal": "S-1", "case": case, "records": sorted(given),
        "withheld": len(all_records) - len(given),
        "protection_check": {"asked": "asylum, refugee, victim, minor", "result": "checked", "by": "Author"},
        "overrides": [], "author": world.author.fingerprint, "custody": {"seq": head[0], "head": head[1]},
    }  # fmt: skip
    made = Made(world, "A-1-D1", files, all_records, said | disclosure)
    made.id = made.disclosure["id"]
    made.sign_seal()
    if stamping:
        files["data/seal.sha256.p7s.tsr"] = stamp(files["data/seal.sha256.p7s"], stamping)
    made.finish()
    if stamping:
        files["tagmanifest-sha256.txt.p7s.tsr"] = stamp(files["tagmanifest-sha256.txt.p7s"], stamping)
    return made


def seal_text(sealed: Mapping[str, bytes], case: str, seq: int, head: str, run: str) -> bytes:
    header = f"# forensics seal 1\n# case: {case}\n# seal: S-1\n# sealed: 2026-03-01T09:00:00Z\n# custody: {seq} {head}\n# run: {run}\n"
    body = "".join(f"{sha256(value)}  records/{name}.json\n" for name, value in sorted(sealed.items()))
    return f"{header}# records: {len(sealed)}\n{body}".encode()


def manifests(files: Files) -> None:
    """The tag files of a BagIt 1.0 bag (RFC 8493), sorted, without the signatures of the tag manifest."""
    payload = sorted(name for name in files if name.startswith("data/"))
    total = sum(len(files[name]) for name in payload)
    files["bagit.txt"] = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    files["bag-info.txt"] = f"Bagging-Date: 2026-03-01\nPayload-Oxum: {total}.{len(payload)}\n".encode()
    for algorithm in ("sha256", "sha512"):
        lines = (f"{hashlib.new(algorithm, files[name]).hexdigest()}  {name}\n" for name in payload)
        files[f"manifest-{algorithm}.txt"] = "".join(lines).encode()
    tags = ("bag-info.txt", "bagit.txt", "manifest-sha256.txt", "manifest-sha512.txt")
    files["tagmanifest-sha256.txt"] = "".join(f"{sha256(files[name])}  {name}\n" for name in tags).encode()


def write(files: Files, folder: Path) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def pack(files: Files, top: str) -> bytes:
    """A tar in the one form: ustar, sorted, regular files, mode 0644, all else zero."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size, member.mode = len(files[name]), 0o644
            tar.addfile(member, io.BytesIO(files[name]))
    return out.getvalue()


def trust(*states: tuple[str, Holder], stamping: Iterable[Holder] = (), crls: Iterable[bytes] = ()) -> Trust:
    """A trust list in which these roots are pinned for these states."""
    lists = tuple(crls)
    signing = [Root(state, each.fingerprint, each.der, lists) for state, each in states]
    return Trust((*signing, *(Root("TH", each.fingerprint, each.der, lists, "stamping") for each in stamping)))


def identity_of(holder: Holder, age: pyrage.x25519.Identity) -> Identity:
    """The officer with this certificate and this age key, as the tool opens one."""
    names = holder.certificate.subject.get_attributes_for_oid
    texts = (str(names(oid)[0].value) for oid in (NameOID.COMMON_NAME, NameOID.COUNTRY_NAME, NameOID.ORGANIZATION_NAME))
    return Identity(*texts, holder.fingerprint, holder.der, (), str(age.to_public()), None, FileKey(holder.key), lambda: str(age))


def key_file(world: World, path: Path) -> Path:
    path.write_text(f"{world.age}\n")
    os.chmod(path, 0o600)
    return path
