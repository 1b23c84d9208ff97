"""An honest log whose signers' certificates have expired or were revoked since."""

import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from forensics import custody, signing
from forensics.custody.signatures import signers_expired
from forensics.custody.transfers import Ledger
from forensics.digest import canonical, sha256
from forensics.errors import SignatureInvalid
from forensics.signing import Identity, Reason, Root, StampingAuthority, Trust, authority, certificates, identity, open_identity

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)  # the certificates below are of the day before
PASSPHRASE = b"correct horse battery"
TRANSFER = {"from": "Checkpoint 4", "to": "Laboratory", "place": "Aranyaprathet", "purpose": "examination"}
Officer = Callable[[str, int], Identity]


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Officer:
    """Makes an officer whose certificate is good for some days."""

    def officer(name: str, days: int) -> Identity:
        folder = tmp_path_factory.mktemp("identity") / "own"
        identity.new(folder, PASSPHRASE, name=name, country="TH", organisation="Test")
        given = authority.issue(root, PASSPHRASE, (folder / "request.pem").read_bytes(), at=AT - timedelta(days=1), days=days)
        identity.install(folder, PASSPHRASE, given)
        return open_identity(folder, PASSPHRASE)

    return officer


@pytest.fixture(scope="module")
def leaver(made: Officer) -> Identity:
    """Whose certificate was good until 3 March 2026."""
    return made("Leaver", 3)


@pytest.fixture(scope="module")
def lasting(made: Officer) -> Identity:
    return made("Lasting", 5000)


@pytest.fixture
def handed_over(log: Path, leaver: Identity, receiver: Identity) -> Path:
    """A log in which line 4 is a transfer by the leaver, and line 5 its receiver's signature."""
    custody.transfer(log, "2026-1", TRANSFER, leaver, at=AT + timedelta(minutes=5))
    custody.countersign(log, 4, receiver, at=AT + timedelta(minutes=6))
    return log


def revoking(root: Path, trust: Trust, of: Identity, at: datetime) -> Trust:
    serial = f"{certificates.load(of.certificate).serial_number:x}"
    with tempfile.TemporaryDirectory() as folder:  # an authority remembers whom it revoked
        copied = shutil.copytree(root, Path(folder, "root"))
        listed = authority.revoke(copied, PASSPHRASE, (serial,), at=at, reason="superseded")
    return Trust((msgspec.structs.replace(trust.roots[0], crls=(listed,)), *trust.roots[1:]))


def test_a_transfer_whose_signer_has_expired_since_is_a_notice_and_no_broken_log(handed_over: Path, trust: Trust) -> None:
    proof = custody.proved(handed_over, trust=trust)
    assert proof.problems == ()
    assert proof.notices[0] == (
        "custody.jsonl, line 4: the certificate of Leaver has expired since, and no time stamp covers it: "
        "that it was signed at 2026-03-01T08:05:00Z could not be proved"
    )
    assert not any("expired" in notice for notice in proof.notices[1:])


def test_so_is_a_countersignature_and_a_checkpoint(log: Path, receiver: Identity, leaver: Identity, trust: Trust) -> None:
    custody.transfer(log, "2026-1", TRANSFER, receiver, at=AT + timedelta(minutes=5))
    custody.countersign(log, 4, leaver, at=AT + timedelta(minutes=6))
    custody.checkpoint(log, "transfer", leaver, at=AT + timedelta(minutes=7))
    proof = custody.proved(log, trust=trust)
    assert (proof.problems, proof.signed) == ((), 5)
    assert [notice.partition(": ")[0] for notice in proof.notices if "could not be proved" in notice] == [
        "custody.jsonl, line 5",
        "custody/checkpoints/5.json",
    ]
    (found,) = custody.judged(log, trust)
    assert [each.name for each in found.signers] == ["Leaver"]


def test_a_partners_receipt_whose_signer_has_expired_since_is_a_notice(log: Path, tmp_path: Path, leaver: Identity, trust: Trust) -> None:
    receipt = tmp_path / "D-1.receipt.json"
    data = canonical({"custody": dict(zip(("seq", "head"), custody.head(log), strict=True)), "format": "forensics-receipt/1"})
    receipt.write_bytes(data)
    receipt.with_name("D-1.receipt.json.p7s").write_bytes(signing.sign(data, leaver, at=AT))
    stated = custody.read_counterpart(receipt, trust)
    assert (stated.problem, stated.heads) == (None, dict([custody.head(log)]))
    assert str(stated.notice).startswith("D-1.receipt.json: the certificate of Leaver has expired since")


def test_an_expired_signer_who_was_revoked_or_is_not_trusted_stays_a_problem(
    handed_over: Path, root: Path, trust: Trust, leaver: Identity
) -> None:
    (problem,) = custody.verify(handed_over, trust=revoking(root, trust, leaver, AT + timedelta(days=1)))
    assert "line 4: the giver's signature does not hold: A certificate was revoked" in problem
    assert all("leads to no root in the trust list" in problem for problem in custody.verify(handed_over, trust=Trust()))
    assert len(custody.verify(handed_over, trust=Trust())) == 2


def test_a_signature_that_claims_a_time_after_the_certificate_ended_stays_a_problem(log: Path, leaver: Identity, trust: Trust) -> None:
    custody.transfer(log, "2026-1", TRANSFER, leaver, at=AT + timedelta(days=5))
    (problem,) = custody.verify(log, trust=trust)
    assert "line 4: the giver's signature does not hold: A certificate had expired" in problem


def test_of_two_signatures_none_is_excused(leaver: Identity, receiver: Identity, trust: Trust) -> None:
    both = signing.countersign(b"x", signing.sign(b"x", leaver, at=AT), receiver, at=AT)
    with pytest.raises(SignatureInvalid) as refused:
        signers_expired(b"x", both, trust)
    assert refused.value.reason == Reason.EXPIRED


@pytest.mark.parametrize(
    ("stamps", "unproved"),
    [
        ({4: AT + timedelta(hours=1)}, None),
        ({3: AT + timedelta(hours=1)}, "no time stamp covers it"),
        ({3: AT + timedelta(days=9), 7: AT + timedelta(hours=1), 9: AT + timedelta(days=9)}, None),
        ({7: AT + timedelta(days=9)}, "the first time stamp over it is of 2026-03-10T08:00:00Z"),
    ],
)
def test_a_transfer_is_judged_as_of_the_first_stamp_that_covers_its_line(
    handed_over: Path, trust: Trust, stamps: dict[int, datetime], unproved: str | None
) -> None:
    first = (handed_over / custody.LOG).read_bytes().splitlines(keepends=True)[0]
    ledger = Ledger(sha256(first), trust, stamps)
    assert [problem for line in custody.read(handed_over) for problem in ledger.problems(line)] == []
    found = [notice for notice in ledger.notices() if "Leaver" in notice]
    assert len(found) == (unproved is not None)
    assert all(str(unproved) in notice for notice in found)


def test_a_transfer_that_claims_a_later_time_than_its_stamp_is_a_problem(handed_over: Path, trust: Trust) -> None:
    first = (handed_over / custody.LOG).read_bytes().splitlines(keepends=True)[0]
    ledger = Ledger(sha256(first), trust, {9: AT - timedelta(hours=1)})
    found = [problem for line in custody.read(handed_over) for problem in ledger.problems(line)]
    assert len(found) == 2
    assert all("The time that the signature claims cannot be true" in problem for problem in found)


class Stamping:
    """An authority of time stamps: `openssl ts`, with a certificate that is its own root's."""

    def __init__(self, folder: Path) -> None:
        now = datetime.now(UTC)
        key, above = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in ("Stamping root", "Stamping")]
        pinned = self._certificate(names[0], names[0], above, above, now, ca=True)
        certificate = self._certificate(names[0], names[1], above, key, now, ca=False)
        (folder / "tsa.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / "tsa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(
            f"[tsa]\ndefault_tsa=t\n[t]\nserial={folder}/serial\ndefault_policy=1.2.3.4.1\ndigests=sha256\nsigner_digest=sha256\n"
            "ess_cert_id_alg=sha256\n"
        )
        command = f"openssl ts -reply -config {folder}/tsa.cnf -queryfile {{request}} -out {{response}}"
        self.authority = StampingAuthority((*command.split(), "-signer", str(folder / "tsa.pem"), "-inkey", str(folder / "tsa.key")))
        der = pinned.public_bytes(Encoding.DER)
        self.root = Root("TH", sha256(der), der, (), "stamping")

    def _certificate(
        self,
        issuer: x509.Name,
        subject: x509.Name,
        signer: ec.EllipticCurvePrivateKey,
        key: ec.EllipticCurvePrivateKey,
        now: datetime,
        *,
        ca: bool,
    ) -> x509.Certificate:
        usages = {"content_commitment": False, "key_encipherment": False, "data_encipherment": False, "key_agreement": False}
        usage = x509.KeyUsage(not ca, key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False, **usages)
        builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=2)).not_valid_after(now + timedelta(days=2))
        builder = builder.add_extension(x509.BasicConstraints(ca, None), True).add_extension(usage, True)
        if not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)
        return builder.sign(signer, hashes.SHA256())


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_a_stamped_checkpoint_lets_a_transfer_outlive_a_later_revocation(
    log: Path, tmp_path_factory: pytest.TempPathFactory, root: Path, trust: Trust, lasting: Identity, receiver: Identity
) -> None:
    stamping = Stamping(tmp_path_factory.mktemp("tsa"))
    both = Trust((*trust.roots, stamping.root))
    custody.transfer(log, "2026-1", TRANSFER, lasting, at=AT + timedelta(minutes=5))
    later = datetime.now(UTC) + timedelta(hours=1)
    (unstamped,) = custody.verify(log, trust=revoking(root, both, lasting, later))
    assert "line 4: the giver's signature does not hold: A certificate was revoked" in unstamped
    custody.checkpoint(log, "transfer", receiver, at=AT + timedelta(minutes=9), stamping=stamping.authority)
    assert custody.verify(log, trust=revoking(root, both, lasting, later)) == []
    (before,) = custody.verify(log, trust=revoking(root, both, lasting, AT + timedelta(days=1)))
    assert "line 4: the giver's signature does not hold: A certificate was revoked" in before
