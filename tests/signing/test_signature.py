"""Signatures: OpenSSL verifies ours; ours are refused after any change; what OpenSSL signs is accepted where it fits the one form."""

import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import cms as asn1_cms
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from forensics.errors import SignatureInvalid, SigningError
from forensics.exchange.standalone import der as standalone
from forensics.exchange.standalone.refusal import Refused
from forensics.signing import Reason, cms, countersign, der, schemes, sign, verify

DATA = b"3b1f...  records/0c.json\r\n\x00\xff not text"
P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # order of the group: SEC 2, 2.4.2


def openssl_verifies(openssl, folder, data, signature, root, now) -> subprocess.CompletedProcess:
    (folder / "content").write_bytes(data)
    (folder / "content.p7s").write_bytes(signature)
    command = [
        openssl,
        "cms",
        "-verify",
        "-cades",
        "-binary",
        "-inform",
        "DER",
        "-in",
        folder / "content.p7s",
        "-content",
        folder / "content",
    ]
    return subprocess.run(
        [*command, "-CAfile", root, "-attime", str(int(now.timestamp())), "-out", "/dev/null"], capture_output=True, check=False
    )


def test_openssl_verifies_our_signature(anan, thailand, openssl, tmp_path, now):
    done = openssl_verifies(openssl, tmp_path, DATA, sign(DATA, anan, at=now), thailand.root_file, now)
    assert (done.returncode, done.stderr.strip()) == (0, b"CAdES Verification successful")


def test_openssl_verifies_both_signatures_of_a_countersigned_file(anan, busaba, thailand, openssl, tmp_path, now):
    both = countersign(DATA, sign(DATA, anan, at=now), busaba, at=now + timedelta(minutes=1))
    assert openssl_verifies(openssl, tmp_path, DATA, both, thailand.root_file, now).returncode == 0
    assert len(asn1_cms.ContentInfo.load(both)["content"]["signer_infos"]) == 2


def test_openssl_refuses_our_signature_over_other_content(anan, thailand, openssl, tmp_path, now):
    assert openssl_verifies(openssl, tmp_path, DATA + b".", sign(DATA, anan, at=now), thailand.root_file, now).returncode != 0


def test_the_signer_is_named_as_certificate_and_pinned_root_say(anan, thailand, now):
    (signer,) = verify(DATA, sign(DATA, anan, at=now), thailand.trust(), now=now)
    assert (signer.name, signer.country, signer.organisation, signer.state) == ("Anan", "TH", "Police", "TH")
    assert (signer.signed_at, signer.fingerprint) == ("2026-06-01T12:00:00Z", anan.fingerprint)
    assert signer.warnings == ("no revocation list of Root TH is at hand: whether Anan was revoked since is not known",)


def test_signers_come_by_the_time_that_they_claim(anan, busaba, thailand, now):
    both = countersign(DATA, sign(DATA, busaba, at=now), anan, at=now + timedelta(minutes=2))
    assert [each.name for each in verify(DATA, both, thailand.trust(), now=now)] == ["Busaba", "Anan"]


@pytest.mark.parametrize(("flip", "signers"), [(0x01, 2), (0x20, 1), (0x80, 1)])
def test_a_flip_of_every_byte_is_refused(anan, busaba, thailand, now, flip, signers):
    whole = sign(DATA, anan, at=now)
    if signers == 2:
        whole = countersign(DATA, whole, busaba, at=now)
    trust = thailand.trust()
    verify(DATA, whole, trust, now=now)
    accepted = []
    for at in range(len(whole)):
        changed = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
        try:
            verify(DATA, changed, trust, now=now)
        except SignatureInvalid:
            continue
        accepted.append(at)
    assert accepted == []


def test_a_cut_or_lengthened_signature_is_refused(anan, thailand, now):
    whole = sign(DATA, anan, at=now)
    for changed in (b"", whole + b"\x00", whole[1:], *(whole[:at] for at in range(0, len(whole), 7))):
        with pytest.raises(SignatureInvalid) as caught:
            verify(DATA, changed, thailand.trust(), now=now)
        assert caught.value.reason == Reason.STRUCTURE


def both_refuse(changed: bytes, trust, now) -> None:
    """The installed reader and the stand-alone one, for its form."""
    with pytest.raises(SignatureInvalid) as caught:
        verify(DATA, changed, trust, now=now)
    assert caught.value.reason == Reason.STRUCTURE
    with pytest.raises(Refused) as refused:
        standalone.read(changed, "it")
    assert refused.value.reason == "structure"


@pytest.mark.parametrize("odd", [b"\x30\x00", b"\x30\x02\x30\x00", b"\x30\x05\x30\x03\xa0\x01\x00"], ids=bytes.hex)
def test_what_is_no_certificate_among_the_certificates_is_refused_by_both_readers(anan, thailand, now, odd):
    signed = cms.decode(sign(DATA, anan, at=now))
    changed = cms.encode(cms.Signed(signed.parts, (*signed.certificates, odd)))
    both_refuse(changed, thailand.trust(), now)


@pytest.mark.parametrize("odd", ["261301120000Z", "260631120000Z", "260601240000Z", "260601126000Z", "260601120060Z", "00000601120000Z"])
def test_a_time_that_no_clock_shows_is_refused_by_both_readers(anan, thailand, now, odd):
    signed = asn1_cms.ContentInfo.load(sign(DATA, anan, at=now))
    at = signed["content"]["signer_infos"][0]["signed_attrs"]
    (number,) = (number for number, each in enumerate(at) if each["type"].native == "signing_time")
    form = core.UTCTime if len(odd) == 13 else core.GeneralizedTime
    value = der.make(form.tag, odd.encode())
    attribute = der.make(0x30, at[number]["type"].dump(), der.make(0x31, value))
    old = at[number].dump()
    changed = _replaced(signed.dump(), old, attribute)
    both_refuse(changed, thailand.trust(), now)


def _replaced(value, old, new):
    """The DER value with a part of it replaced, and the lengths of what holds that."""
    if value == old:
        return new
    if not value[0] & 0x20 or old not in value:
        return value
    return der.make(value[0], *(_replaced(each, old, new) for each in der.children(value)))


def test_changed_content_is_refused(anan, thailand, now):
    with pytest.raises(SignatureInvalid, match="not what was signed") as caught:
        verify(DATA + b"\n", sign(DATA, anan, at=now), thailand.trust(), now=now)
    assert caught.value.reason == Reason.CHANGED


def test_the_other_value_of_s_is_refused(anan, thailand, now):
    """(r, n - s) verifies with OpenSSL as (r, s) does: two files for one signature."""
    signed = cms.decode(sign(DATA, anan, at=now))
    part = signed.parts[0]
    r, s = decode_dss_signature(part.signature)
    other = cms.Part(part.certificate, part.signed_at, part.digest, encode_dss_signature(r, P256 - s))
    with pytest.raises(SignatureInvalid) as caught:
        verify(DATA, cms.encode(cms.Signed((other,), signed.certificates)), thailand.trust(), now=now)
    assert caught.value.reason == Reason.SIGNATURE


def test_an_unsigned_attribute_is_refused(anan, thailand, now):
    loaded = asn1_cms.ContentInfo.load(sign(DATA, anan, at=now))
    loaded["content"]["signer_infos"][0]["unsigned_attrs"] = [asn1_cms.CMSAttribute({"type": "message_digest", "values": [b"x"]})]
    with pytest.raises(SignatureInvalid) as caught:
        verify(DATA, loaded.dump(force=True), thailand.trust(), now=now)
    assert caught.value.reason == Reason.STRUCTURE


def test_a_certificate_of_nobody_is_refused(anan, busaba, thailand, now):
    signed = cms.decode(sign(DATA, anan, at=now))
    with pytest.raises(SignatureInvalid) as caught:
        verify(DATA, cms.encode(cms.Signed(signed.parts, (*signed.certificates, busaba.certificate))), thailand.trust(), now=now)
    assert caught.value.reason == Reason.CERTIFICATES


def test_nobody_signs_twice(anan, now):
    with pytest.raises(SignatureInvalid) as caught:
        countersign(DATA, sign(DATA, anan, at=now), anan, at=now)
    assert caught.value.reason == Reason.SAME_SIGNER


def test_a_signature_that_does_not_hold_is_not_countersigned(anan, busaba, now):
    with pytest.raises(SignatureInvalid):
        countersign(DATA + b"x", sign(DATA, anan, at=now), busaba, at=now)


def test_a_time_to_come_is_refused(anan, thailand, now):
    with pytest.raises(SignatureInvalid) as caught:
        verify(DATA, sign(DATA, anan, at=now + timedelta(minutes=6)), thailand.trust(), now=now)
    assert caught.value.reason == Reason.TIME
    verify(DATA, sign(DATA, anan, at=now + timedelta(minutes=4)), thailand.trust(), now=now)


def test_a_signature_cannot_be_younger_than_its_stamp(anan, thailand, now):
    with pytest.raises(SignatureInvalid) as caught:
        verify(DATA, sign(DATA, anan, at=now), thailand.trust(), at=now - timedelta(hours=1), now=now)
    assert caught.value.reason == Reason.TIME


def openssl_signs(openssl, folder, certificate, key, *options) -> bytes:
    (folder / "content").write_bytes(DATA)
    (folder / "signer.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "signer.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    command = [
        openssl,
        "cms",
        "-sign",
        "-binary",
        "-in",
        folder / "content",
        "-signer",
        folder / "signer.pem",
        "-inkey",
        folder / "signer.key",
    ]
    subprocess.run([*command, "-outform", "DER", "-out", folder / "out.p7s", *options], check=True, capture_output=True)
    return (folder / "out.p7s").read_bytes()


def low(signature: bytes) -> bytes:
    """The same file with the lower s, which half of OpenSSL's signatures have anyway."""
    try:
        return cms.encode(
            cms.Signed(
                tuple(
                    cms.Part(part.certificate, part.signed_at, part.digest, schemes.single(part.signature, schemes.CURVES["secp256r1"]))
                    for part in cms.decode(signature).parts
                ),
                cms.decode(signature).certificates,
            )
        )
    except SignatureInvalid:
        return signature


def test_what_openssl_signs_in_this_form_is_accepted(certs, openssl, tmp_path):
    clock = datetime.now(UTC)  # OpenSSL writes the machine's time
    wide = {"since": clock - timedelta(days=1), "until": clock + timedelta(days=1)}
    root, root_key = certs.root(**wide)
    key = certs.new_key()
    certificate = certs.make("Chai", key, root, root_key, **wide)
    made = openssl_signs(openssl, tmp_path, certificate, key, "-cades", "-nosmimecap", "-md", "sha256")
    (signer,) = verify(DATA, low(made), certs.trust(root), now=clock)
    assert signer.name == "Chai"


@pytest.mark.parametrize(
    "options",
    [("-nosmimecap", "-md", "sha256"), ("-cades", "-md", "sha256"), ("-cades", "-nosmimecap", "-md", "sha512"),
     ("-cades", "-nosmimecap", "-md", "sha256", "-keyid"), ("-cades", "-nosmimecap", "-md", "sha256", "-nodetach")],
)  # fmt: skip
def test_what_openssl_signs_in_another_form_is_refused(certs, openssl, tmp_path, options):
    root, root_key = certs.root()
    key = certs.new_key()
    named = [(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)]
    made = openssl_signs(openssl, tmp_path, certs.make("Chai", key, root, root_key, extra=named), key, *options)
    with pytest.raises(SignatureInvalid) as caught:
        verify(DATA, made, certs.trust(root))
    assert caught.value.reason in (Reason.STRUCTURE, Reason.CERTIFICATES)


def test_p384_signs_and_openssl_verifies(certs, openssl, tmp_path, now):
    root, root_key = certs.root()
    key = certs.new_key(ec.SECP384R1())
    officer = certs.identity(certs.make("Chai", key, root, root_key), key)
    (tmp_path / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    made = sign(DATA, officer, at=now)
    assert openssl_verifies(openssl, tmp_path, DATA, made, tmp_path / "root.pem", now).returncode == 0
    assert verify(DATA, made, certs.trust(root), now=now)[0].name == "Chai"


@pytest.fixture(scope="module")
def rsa_officer(certs):
    """A state whose tokens hold RSA keys: the root, the officer's key and certificate. They were valid on every day of this century."""
    wide = {"since": datetime(2020, 1, 1, tzinfo=UTC), "until": datetime(2100, 1, 1, tzinfo=UTC)}
    root, root_key = certs.root(**wide)
    key = certs.rsa_key(3072)
    return root, key, certs.make("Chai", key, root, root_key, **wide)


def test_rsa_signs_and_openssl_verifies(certs, rsa_officer, openssl, tmp_path, now):
    root, key, certificate = rsa_officer
    (tmp_path / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    made = sign(DATA, certs.identity(certificate, key), at=now)
    assert openssl_verifies(openssl, tmp_path, DATA, made, tmp_path / "root.pem", now).returncode == 0
    assert verify(DATA, made, certs.trust(root), now=now)[0].name == "Chai"


def test_what_openssl_signs_with_rsa_is_accepted_as_it_is(certs, rsa_officer, openssl, tmp_path):
    """RSA has one signature of this padding for a content, so nothing has to be made smaller."""
    root, key, certificate = rsa_officer
    made = openssl_signs(openssl, tmp_path, certificate, key, "-cades", "-nosmimecap", "-md", "sha256")
    assert verify(DATA, made, certs.trust(root), now=datetime.now(UTC))[0].name == "Chai"


@pytest.mark.parametrize(
    "options",
    [("-md", "sha512"), ("-md", "sha256", "-keyopt", "rsa_padding_mode:pss"), ("-md", "sha256", "-keyid")],
    ids=["other digest", "PSS", "by key identifier"],
)
def test_what_openssl_signs_with_rsa_in_another_form_is_refused(certs, rsa_officer, openssl, tmp_path, now, options):
    root, root_key = certs.root()
    key = rsa_officer[1]
    named = [(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)]
    made = openssl_signs(openssl, tmp_path, certs.make("Chai", key, root, root_key, extra=named), key, "-cades", "-nosmimecap", *options)
    with pytest.raises(SignatureInvalid) as caught:
        verify(DATA, made, certs.trust(root), now=now)
    assert caught.value.reason in (Reason.STRUCTURE, Reason.CERTIFICATES)


@pytest.mark.parametrize("reader", ["installed", "stand-alone"])
def test_a_flip_of_any_byte_of_an_rsa_signature_is_refused(certs, rsa_officer, now, reader):
    """The stand-alone program asks `openssl` whether it verifies; by itself it holds the file to its one form."""
    root, key, certificate = rsa_officer
    whole, trust = sign(DATA, certs.identity(certificate, key), at=now), certs.trust(root)

    def refused(data: bytes) -> bool:
        try:
            if reader == "installed":
                verify(DATA, data, trust, now=now)
            else:
                return not all(part.is_over(DATA) for part in standalone.read(data, "x.p7s"))
        except (SignatureInvalid, Refused):
            return True
        return False

    assert not refused(whole)
    where = range(len(whole) if reader == "installed" else len(whole) - 384)  # bytes of the signature itself, which stands last
    kept = [at for at in where if not refused(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])]
    assert kept == []


def test_a_short_rsa_key_signs_nothing(certs, now):
    root, root_key = certs.root()
    key = certs.rsa_key(2048)
    with pytest.raises(SigningError, match="RSA of 3072 bits or more"):
        sign(DATA, certs.identity(certs.make("Chai", key, root, root_key), key), at=now)


def test_times_from_2050_are_written_as_generalized_time(certs, openssl, tmp_path, now):
    """RFC 5652, section 11.3."""
    later = datetime(2051, 1, 2, 3, 4, 5, tzinfo=UTC)
    wide = {"until": datetime(2060, 1, 1, tzinfo=UTC)}
    root, root_key = certs.root(**wide)
    key = certs.new_key()
    officer = certs.identity(certs.make("Chai", key, root, root_key, **wide), key)
    (signer,) = verify(DATA, sign(DATA, officer, at=later), certs.trust(root), now=later)
    assert signer.signed_at == "2051-01-02T03:04:05Z"
