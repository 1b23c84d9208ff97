"""Time stamps and what was revoked: both readers agree on every case; `openssl ts` made the stamps, `cryptography` the lists."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

sys.path.insert(0, str(Path(__file__).parent))
import packages
from packages import Holder, officer, root, sign, stamp

from forensics.exchange import checks
from forensics.exchange.standalone import stamp as reading
from forensics.exchange.standalone import tools
from forensics.exchange.standalone.refusal import Refused
from forensics.signing import Revocation, der

NAME = "data/seal.sha256"
ROOT, STAMPING = root(), root("MY")
SIGNER = officer(ROOT, "Chai")
AUTHORITY = officer(STAMPING, "Stamps", "MY", purpose=ExtendedKeyUsageOID.TIME_STAMPING)
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
BEFORE, AFTER = NOW - HOUR, NOW + HOUR
Reason = x509.ReasonFlags


def crl(
    issuer: Holder,
    revoked: Holder | None = None,
    when: datetime = NOW,
    reason: Reason | None = None,
    lost: datetime | None = None,
    made: datetime = NOW + 2 * HOUR,
    until: datetime = NOW + timedelta(days=30),
) -> bytes:
    """A list that its issuer made after the stamp, with at most one entry."""
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, made, until)
    if revoked is not None:
        entry = x509.RevokedCertificateBuilder(revoked.certificate.serial_number, when)
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), False)
        if lost is not None:
            entry = entry.add_extension(x509.InvalidityDate(lost), False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


SIGNERS, STAMPS = crl(ROOT), crl(STAMPING)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    signature = sign(b"sealed", SIGNER)
    made = {NAME: b"sealed", f"{NAME}.p7s": signature, f"{NAME}.p7s.tsr": stamp(signature, AUTHORITY)}
    return packages.write(made, tmp_path_factory.mktemp("stamped"))


def readers(
    folder: Path, work: Path, *lists: bytes, required: bool = False, stamped: bool | None = None
) -> list[tuple[str, tuple[str, ...]]]:
    """What the installed reader and the stand-alone one say: the reason of a refusal or "", and the warnings."""
    for name, data in {"root.pem": ROOT.pem, "stamping.pem": STAMPING.pem, **{f"{at}.crl": each for at, each in enumerate(lists)}}.items():
        (work / name).write_bytes(data)
    trust = packages.trust(("TH", ROOT), stamping=[STAMPING], crls=lists)
    how = checks.how(trust, at=datetime.now(UTC) + timedelta(minutes=1), revocation=Revocation.REQUIRE if required else Revocation.WARN)
    openssl = tools.Openssl(
        work, tools.Roots((work / "root.pem",), (work / "stamping.pem",), tuple(work / f"{at}.crl" for at in range(len(lists))), required)
    )
    said: list[tuple[str, tuple[str, ...]]] = []
    for signed in (how.signed, openssl.signed):
        try:
            found = signed(folder, NAME)
        except Refused as refusal:
            said.append((refusal.reason, ()))
        else:
            assert (found.stamped_at is not None) is (stamped if stamped is not None else (folder / f"{NAME}.p7s.tsr").exists())
            said.append(("", found.warnings))
    return said


CASES: dict[str, tuple[tuple[bytes, ...], str]] = {
    "nobody": ((SIGNERS, STAMPS), ""),
    "signer before the stamp": ((crl(ROOT, SIGNER, BEFORE, Reason.superseded), STAMPS), "revoked"),
    "signer after the stamp": ((crl(ROOT, SIGNER, AFTER, Reason.key_compromise), STAMPS), ""),
    "signer after the stamp, without a reason": ((crl(ROOT, SIGNER, AFTER), STAMPS), ""),
    "signer's key lost before the stamp": ((crl(ROOT, SIGNER, AFTER, Reason.key_compromise, BEFORE), STAMPS), "revoked"),
    "authority before the stamp": ((SIGNERS, crl(STAMPING, AUTHORITY, BEFORE, Reason.superseded)), "stamp"),
    "authority replaced after the stamp": ((SIGNERS, crl(STAMPING, AUTHORITY, AFTER, Reason.superseded)), ""),
    "authority closed after the stamp": ((SIGNERS, crl(STAMPING, AUTHORITY, AFTER, Reason.cessation_of_operation)), ""),
    "authority after the stamp, key stolen": ((SIGNERS, crl(STAMPING, AUTHORITY, AFTER, Reason.key_compromise)), "stamp"),
    "authority after the stamp, without a reason": ((SIGNERS, crl(STAMPING, AUTHORITY, AFTER)), "stamp"),
    "authority replaced after the stamp, key lost before": ((SIGNERS, crl(STAMPING, AUTHORITY, AFTER, Reason.superseded, BEFORE)), "stamp"),
}


@pytest.mark.parametrize(("lists", "reason"), CASES.values(), ids=list(CASES))
def test_both_readers_judge_a_stamped_signature_by_lists_made_after_it_alike(
    folder: Path, tmp_path: Path, lists: tuple[bytes, ...], reason: str
) -> None:
    assert [said for said, _ in readers(folder, tmp_path, *lists)] == [reason, reason]


def test_a_revocation_after_the_stamp_is_told_and_a_clean_stamp_has_no_warning(folder: Path, tmp_path: Path) -> None:
    assert readers(folder, tmp_path, SIGNERS, STAMPS) == [("", ()), ("", ())]
    _, (_, warnings) = readers(folder, tmp_path, crl(ROOT, SIGNER, AFTER), STAMPS)
    assert [each for each in warnings if "was revoked after" in each] == list(warnings) != []


def test_without_a_list_of_the_authority_both_warn_and_required_revocation_is_refused(folder: Path, tmp_path: Path) -> None:
    (installed, ours), (standalone, theirs) = readers(folder, tmp_path, SIGNERS)
    assert (installed, standalone) == ("", "")
    assert any("no revocation list of Root of MY is at hand" in each for each in ours)
    assert any("authority of its time stamp was revoked is not known" in each for each in theirs)
    assert readers(folder, tmp_path, SIGNERS, required=True) == [("revocation-unknown", ())] * 2
    assert readers(folder, tmp_path, SIGNERS, STAMPS, required=True) == [("", ())] * 2


def test_a_list_that_had_ended_before_the_stamp_does_not_clear_a_signer(folder: Path, tmp_path: Path) -> None:
    old = crl(ROOT, made=NOW - 9 * HOUR, until=BEFORE)
    (_, ours), (_, theirs) = readers(folder, tmp_path, old, STAMPS)
    assert any("whether Chai was revoked since is not known" in each for each in ours)
    assert any("the revocation list for a signer is of" in each and "revoked since is not known" in each for each in theirs)
    assert readers(folder, tmp_path, old, STAMPS, required=True) == [("revocation-unknown", ())] * 2


UNSTAMPED: dict[str, tuple[tuple[bytes, ...], str, str]] = {  # lists; the reason of a refusal; that where a current list is required
    "no list": ((), "", "revocation-unknown"),
    "a current list": ((SIGNERS,), "", ""),
    "a list that has ended": ((crl(ROOT, made=NOW - 9 * HOUR, until=BEFORE),), "", "revocation-unknown"),
    "a list of another": ((STAMPS,), "", "revocation-unknown"),
    "revoked by a list that has ended": ((crl(ROOT, SIGNER, BEFORE, made=BEFORE, until=BEFORE + HOUR),), "revoked", "revoked"),
    "held by an old list, not by the new one": ((crl(ROOT, SIGNER, BEFORE, Reason.certificate_hold, made=BEFORE), SIGNERS), "", ""),
    "held": ((crl(ROOT, SIGNER, BEFORE, Reason.certificate_hold),), "revoked", "revoked"),
    "revoked by an old list, not by the new one": ((crl(ROOT, SIGNER, BEFORE, made=BEFORE), SIGNERS), "revoked", "revoked"),
}


@pytest.mark.parametrize(("lists", "reason", "required"), UNSTAMPED.values(), ids=list(UNSTAMPED))
def test_what_lists_do_not_know_is_a_warning_to_both_readers_until_they_are_told_to_refuse(
    folder: Path, tmp_path: Path, lists: tuple[bytes, ...], reason: str, required: str
) -> None:
    plain = packages.write({f"{NAME}{end}": (folder / f"{NAME}{end}").read_bytes() for end in ("", ".p7s")}, tmp_path / "plain")
    said = readers(plain, tmp_path, *lists)
    assert [word for word, _ in said] == [reason, reason]
    assert [bool(warnings) for _, warnings in said] == [required == "revocation-unknown"] * 2
    assert [word for word, _ in readers(plain, tmp_path, *lists, required=True)] == [required, required]


def test_a_stamp_by_an_authority_that_is_not_trusted_counts_for_nothing_to_both_readers(folder: Path, tmp_path: Path) -> None:
    """Anybody could have taken it away: so it neither helps nor harms. One that does not hold by itself was tampered with."""
    stranger = officer(root("LA"), "Clock", "LA", purpose=ExtendedKeyUsageOID.TIME_STAMPING)
    foreign = {f"{NAME}{end}": (folder / f"{NAME}{end}").read_bytes() for end in ("", ".p7s")}
    foreign[f"{NAME}.p7s.tsr"] = stamp(foreign[f"{NAME}.p7s"], stranger)
    made = packages.write(foreign, tmp_path / "foreign")
    for reason, warnings in readers(made, tmp_path, SIGNERS, STAMPS, stamped=False):
        assert reason == ""
        assert [each for each in warnings if "time stamp counts for nothing" in each] == list(warnings) != []
    (made / f"{NAME}.p7s.tsr").write_bytes(foreign[f"{NAME}.p7s.tsr"][:-1] + bytes((foreign[f"{NAME}.p7s.tsr"][-1] ^ 1,)))
    assert [reason for reason, _ in readers(made, tmp_path, SIGNERS, STAMPS)] == ["stamp", "stamp"]


def test_an_unsigned_text_before_the_stamp_sets_no_time(folder: Path, tmp_path: Path) -> None:
    """The status is signed by nobody, and `openssl ts -reply -text` prints it before the token: a line of it may look like the time."""
    whole = (folder / f"{NAME}.p7s.tsr").read_bytes()
    text = der.make(0x0C, b"x\nTime stamp: Jan  1 08:00:00 2024 GMT")
    status = der.make(0x30, b"\x02\x01\x00", der.make(0x30, text))
    forged = packages.write({f"{NAME}{end}": (folder / f"{NAME}{end}").read_bytes() for end in ("", ".p7s")}, tmp_path / "forged")
    (forged / f"{NAME}.p7s.tsr").write_bytes(der.make(0x30, status, der.children(whole)[1]))
    assert [said for said, _ in readers(forged, tmp_path, SIGNERS, STAMPS)] == ["stamp", "stamp"]


def test_the_stand_alone_reader_takes_the_time_of_the_token(folder: Path) -> None:
    found = reading.read((folder / f"{NAME}.p7s.tsr").read_bytes(), (folder / f"{NAME}.p7s").read_bytes(), NAME)
    assert NOW <= found.at <= datetime.now(UTC) + timedelta(minutes=1)
    assert AUTHORITY.der in [each.der for each in found.certificates]


def test_a_cut_stamp_is_refused_by_the_stand_alone_reader(folder: Path) -> None:
    whole, signature = (folder / f"{NAME}.p7s.tsr").read_bytes(), (folder / f"{NAME}.p7s").read_bytes()
    for changed in (*(whole[:size] for size in range(0, len(whole), 3)), whole + b"\0"):
        with pytest.raises(Refused) as caught:
            reading.read(changed, signature, NAME)
        assert caught.value.reason == "stamp"
