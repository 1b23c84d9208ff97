"""Time stamps of an offline authority, `openssl ts -reply`; rfc3161-client and `openssl ts -verify` are the independent readers."""

import hashlib
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import rfc3161_client
from asn1crypto import tsp as asn1_tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from forensics import custody
from forensics.errors import SignatureInvalid, SigningError
from forensics.signing import Reason, Revocation, StampingAuthority, Trust, der, sign, stamp, stamping, verify, verify_stamp
from forensics.signing.stamps import accept

DATA = b"the signature file that is stamped"
NOT_IN_A_LIST = {x509.ReasonFlags.unspecified, x509.ReasonFlags.remove_from_crl}  # said by saying nothing; of delta lists alone
CONFIG = """[tsa]
default_tsa = it
[it]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.3.6.1.4.1.55555.3
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""


class Tsa:
    def __init__(self, folder, certs, openssl, key, **changes):
        clock = datetime.now(UTC)  # the authority stamps with the machine's time
        wide = {"since": clock - timedelta(days=2), "until": clock + timedelta(days=2)}
        self.root, root_key = certs.root("Stamping root", **wide)
        given = {"eku": (certs.STAMPING,), "eku_critical": True, "usage": ("digital_signature",)} | wide | changes
        self.certificate = certs.make("Stamping", key, self.root, root_key, **given)
        self.root_key = root_key
        self.trust = certs.trust(self.root, use="stamping")
        self.folder = folder
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
        (folder / "tsa.pem").write_bytes(self.certificate.public_bytes(Encoding.PEM))
        (folder / "root.pem").write_bytes(self.root.public_bytes(Encoding.PEM))
        (folder / "tsa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.authority = StampingAuthority(
            (openssl, "ts", "-reply", "-config", str(folder / "tsa.cnf"), "-queryfile", "{request}", "-out", "{response}",
             "-signer", str(folder / "tsa.pem"), "-inkey", str(folder / "tsa.key"))
        )  # fmt: skip


@pytest.fixture(params=["ecdsa", "rsa"])
def tsa(request, tmp_path, certs, openssl):
    return Tsa(tmp_path, certs, openssl, certs.new_key() if request.param == "ecdsa" else certs.rsa_key(2048))


@pytest.fixture
def ecdsa_tsa(tmp_path, certs, openssl):
    return Tsa(tmp_path, certs, openssl, certs.new_key())


def refused(data, answer, trust, **how) -> str:
    with pytest.raises(SignatureInvalid) as caught:
        verify_stamp(data, answer, trust, **how)
    return caught.value.reason


def test_a_stamp_says_when_the_bytes_existed_and_others_agree(tsa, openssl, tmp_path):
    before = datetime.now(UTC).replace(microsecond=0)
    answer = stamp(DATA, tsa.authority)
    at = verify_stamp(DATA, answer, tsa.trust).at
    read = rfc3161_client.decode_timestamp_response(answer)
    assert at == read.tst_info.gen_time
    assert before <= at <= datetime.now(UTC)
    root = x509.load_der_x509_certificate(tsa.trust.roots[0].certificate)
    assert rfc3161_client.VerifierBuilder().add_root_certificate(root).build().verify_message(read, DATA)
    (tmp_path / "a.tsr").write_bytes(answer)
    (tmp_path / "a").write_bytes(DATA)
    command = [openssl, "ts", "-verify", "-data", tmp_path / "a", "-in", tmp_path / "a.tsr", "-CAfile", tmp_path / "root.pem"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_changed_data_is_refused(tsa):
    assert refused(DATA + b"x", stamp(DATA, tsa.authority), tsa.trust) == Reason.CHANGED


def test_a_flip_of_every_byte_of_a_stamp_is_refused(ecdsa_tsa):
    answer = stamp(DATA, ecdsa_tsa.authority)
    verify_stamp(DATA, answer, ecdsa_tsa.trust)
    accepted = []
    for at in range(len(answer)):
        try:
            verify_stamp(DATA, answer[:at] + bytes([answer[at] ^ 0x01]) + answer[at + 1 :], ecdsa_tsa.trust)
        except SignatureInvalid:
            continue
        accepted.append(at)
    assert accepted == []


def test_a_cut_stamp_is_refused(ecdsa_tsa):
    answer = stamp(DATA, ecdsa_tsa.authority)
    for size in range(0, len(answer), 11):
        assert refused(DATA, answer[:size], ecdsa_tsa.trust) == Reason.STRUCTURE


def test_a_root_that_is_pinned_for_signers_vouches_for_no_stamp(certs, ecdsa_tsa):
    answer = stamp(DATA, ecdsa_tsa.authority)
    assert refused(DATA, answer, certs.trust(ecdsa_tsa.root)) == Reason.UNPINNED
    assert refused(DATA, answer, Trust()) == Reason.UNPINNED


def test_a_stamp_outlives_the_certificate_of_its_authority(ecdsa_tsa):
    answer = stamp(DATA, ecdsa_tsa.authority)
    verify_stamp(DATA, answer, ecdsa_tsa.trust, now=datetime.now(UTC) + timedelta(days=999))


def test_a_revoked_authority_is_refused(certs, ecdsa_tsa):
    answer = stamp(DATA, ecdsa_tsa.authority)
    clock = datetime.now(UTC)
    crl = certs.crl(
        ecdsa_tsa.root,
        ecdsa_tsa.root_key,
        (ecdsa_tsa.certificate, clock - timedelta(days=1), None, None),
        since=clock,
        until=clock + timedelta(days=1),
    )
    assert refused(DATA, answer, certs.trust(ecdsa_tsa.root, use="stamping", crls=[crl])) == Reason.REVOKED


@pytest.mark.parametrize("reason", [None, *sorted(set(x509.ReasonFlags) - NOT_IN_A_LIST, key=str)])
def test_an_authority_revoked_later_voids_its_stamps_unless_the_list_says_that_its_key_was_not_harmed(certs, ecdsa_tsa, reason):
    """RFC 3161, section 4: whoever stole the key of an authority dates a stamp as he likes."""
    answer = stamp(DATA, ecdsa_tsa.authority)
    clock = datetime.now(UTC)
    entry = (ecdsa_tsa.certificate, clock + timedelta(hours=1), reason, None)
    crl = certs.crl(ecdsa_tsa.root, ecdsa_tsa.root_key, entry, since=clock + timedelta(hours=2), until=clock + timedelta(days=2))
    trust = certs.trust(ecdsa_tsa.root, use="stamping", crls=[crl])
    later = clock + timedelta(days=1)
    if reason is not None and reason.value in ("affiliationChanged", "superseded", "cessationOfOperation"):
        assert verify_stamp(DATA, answer, trust, now=later).warnings == ()
    else:
        assert refused(DATA, answer, trust, now=later) == Reason.REVOKED


def test_whether_the_authority_was_revoked_must_be_known_where_that_is_asked_for(ecdsa_tsa):
    answer = stamp(DATA, ecdsa_tsa.authority)
    assert refused(DATA, answer, ecdsa_tsa.trust, revocation=Revocation.REQUIRE) == Reason.REVOCATION_UNKNOWN
    (warning,) = verify_stamp(DATA, answer, ecdsa_tsa.trust).warnings
    assert warning == "no revocation list of Stamping root is at hand: whether Stamping was revoked since is not known"


@pytest.mark.parametrize("held", [b"\x30\x00", None])
def test_what_is_no_certificate_and_too_many_of_them_are_refused_before_any_is_followed(ecdsa_tsa, held):
    """The certificates of a stamp are signed by nobody, so anybody can add to them."""
    answer = asn1_tsp.TimeStampResp.load(stamp(DATA, ecdsa_tsa.authority))
    token = answer["time_stamp_token"]["content"]
    leaf = token["certificates"][0].dump()
    more = [held] if held else [leaf] * 32
    body = b"".join([leaf, *more])
    parts = [token[name].dump() for name in ("version", "digest_algorithms", "encap_content_info")]
    parts += [der.make(0xA0, body), token["signer_infos"].dump()]
    content = der.make(0x30, bytes.fromhex("06092a864886f70d010702"), der.make(0xA0, der.make(0x30, *parts)))
    assert refused(DATA, der.make(0x30, bytes.fromhex("3003020100"), content), ecdsa_tsa.trust) == Reason.STRUCTURE


def test_an_authority_whose_certificate_cannot_be_read_is_refused(ecdsa_tsa):
    """Of version 10 (RFC 5280 knows three), and named as such by the signed attributes: anybody can make a stamp of his own."""
    answer, leaf = stamp(DATA, ecdsa_tsa.authority), ecdsa_tsa.certificate.public_bytes(Encoding.DER)
    odd = leaf.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09", 1)
    changed = answer.replace(leaf, odd).replace(hashlib.sha256(leaf).digest(), hashlib.sha256(odd).digest())
    assert changed.count(hashlib.sha256(odd).digest()) == 1
    assert refused(DATA, changed, ecdsa_tsa.trust) == Reason.STRUCTURE


def test_a_stamp_to_come_is_refused(ecdsa_tsa):
    answer = stamp(DATA, ecdsa_tsa.authority)
    assert refused(DATA, answer, ecdsa_tsa.trust, now=datetime.now(UTC) - timedelta(hours=1)) == Reason.TIME


def test_a_stamp_carried_by_hand_must_answer_the_request(ecdsa_tsa):
    asked, other = stamping.request(DATA), stamping.request(DATA)
    answer = stamping.ask(ecdsa_tsa.authority, asked)
    accept(DATA, asked, answer)
    with pytest.raises(SignatureInvalid) as caught:
        accept(DATA, other, answer)
    assert caught.value.reason == Reason.NONCE


def test_a_refusal_of_the_authority_is_told(ecdsa_tsa, tmp_path):
    (tmp_path / "tsa.cnf").write_text(CONFIG.format(folder=tmp_path).replace("sha256, sha384, sha512", "sha512"))
    with pytest.raises(SignatureInvalid) as caught:
        stamp(DATA, ecdsa_tsa.authority)
    assert caught.value.reason == Reason.STAMP_REFUSED


def test_a_command_that_fails_is_named(tmp_path):
    with pytest.raises(SigningError, match="did not run"):
        stamp(DATA, StampingAuthority((str(tmp_path / "absent"),)))
    with pytest.raises(SigningError, match="ended with 3"):
        stamp(DATA, StampingAuthority((sys.executable, "-c", "raise SystemExit(3)")))


@pytest.mark.parametrize("given", [{}, {"command": ("a",), "url": "http://b"}, {"url": "file:///etc/passwd"}, {"url": "ftp://a"}])
def test_an_authority_is_a_command_or_a_web_address(given):
    with pytest.raises(ValueError, match="stamping authority"):
        StampingAuthority(**given)


def test_a_stamp_carries_a_signature_past_the_expiry_of_its_signer(certs, ecdsa_tsa):
    clock = datetime.now(UTC)
    root, root_key = certs.root(since=clock - timedelta(days=2), until=clock + timedelta(days=900))
    key = certs.new_key()
    certificate = certs.make("Chai", key, root, root_key, since=clock - timedelta(days=2), until=clock + timedelta(days=1))
    made = sign(DATA, certs.identity(certificate, key), at=clock)
    at = verify_stamp(made, stamp(made, ecdsa_tsa.authority), ecdsa_tsa.trust).at
    later = clock + timedelta(days=800)
    with pytest.raises(SignatureInvalid):
        verify(DATA, made, certs.trust(root), now=later)
    assert verify(DATA, made, certs.trust(root), at=at, now=later)[0].name == "Chai"


@pytest.mark.parametrize("at", [453, 454, 493])
def test_a_changed_certificate_is_seen_though_asn1crypto_would_write_it_as_it_was(at):
    """`openssl ts -reply` made data/rewritten.tsr over b"x"; asn1crypto's `dump` undoes these flips in bit strings of its certificate."""
    answer = (Path(__file__).parent / "data/rewritten.tsr").read_bytes()
    clock = datetime(2030, 1, 1, tzinfo=UTC)
    assert refused(b"x", answer, Trust(), now=clock) == Reason.UNPINNED
    changed = answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]
    assert refused(b"x", changed, Trust(), now=clock) in (Reason.CERTIFICATES, Reason.STRUCTURE)


def test_a_checkpoint_of_the_custody_log_carries_a_stamp_that_must_hold(tmp_path, ecdsa_tsa, thailand, anan):
    log = tmp_path / "log"
    log.mkdir()
    custody.append(log, "created", object="A-1", body={}, at=datetime.now(UTC))
    before = datetime.now(UTC).replace(microsecond=0)
    made = custody.checkpoint(log, "transfer", anan, at=datetime.now(UTC), stamping=ecdsa_tsa.authority)
    trust = Trust((*thailand.trust().roots, *ecdsa_tsa.trust.roots))
    (found,) = custody.judged(log, trust)
    assert found.problem is None
    assert found.checkpoint == made
    assert before <= found.stamped <= datetime.now(UTC)
    assert custody.verify(log, trust=trust) == []
    stamp_file = log / "custody" / "checkpoints" / "1.json.p7s.tsr"
    whole = stamp_file.read_bytes()
    read = rfc3161_client.decode_timestamp_response(whole)
    assert found.stamped == read.tst_info.gen_time

    stamp_file.write_bytes(stamp(b"another signature", ecdsa_tsa.authority))
    assert any("its signature does not hold" in problem for problem in custody.verify(log, trust=trust))
    stamp_file.write_bytes(whole[:-1])
    assert custody.verify(log, trust=trust) != []
    stamp_file.write_bytes(whole)
    assert custody.verify(log, trust=trust) == []
    assert custody.verify(log, trust=thailand.trust()) != []  # who does not trust the authority that stamped
