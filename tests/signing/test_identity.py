"""Identities: what the folder holds, who may read it, what the state's authority issues and revokes, keys in tokens."""

import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pyrage
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from forensics.errors import SignatureInvalid, SigningError
from forensics.signing import authority, certificates, identity, open_identity, open_reader, passphrase, sign, verify
from forensics.signing.facts import Token, read_facts

_LIBRARIES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
SOFTHSM = next((path for path in _LIBRARIES if Path(path).exists()), "")


@pytest.fixture
def folder(thailand, tmp_path):
    thailand.officer("Chai")
    return Path(shutil.copytree(thailand.folder / "Chai", tmp_path / "identity"))


def test_every_file_is_its_owners_alone(thailand, anan):
    for path in (thailand.folder / anan.name, thailand.authority):
        assert path.stat().st_mode & 0o777 == 0o700
        assert {each.stat().st_mode & 0o777 for each in path.iterdir() if each.is_file()} == {0o600}


@pytest.mark.parametrize("name", ["identity.p12", "identity.json", "certificate.pem"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_use_is_refused_with_what_to_do(folder, secret, name, mode):
    (folder / name).chmod(mode)
    with pytest.raises(SigningError, match=f"chmod 600 {folder / name}"):
        open_identity(folder, secret)


def test_a_folder_that_others_may_enter_is_refused(folder, secret):
    folder.chmod(0o710)
    with pytest.raises(SigningError, match=f"chmod 700 {folder}"):
        open_identity(folder, secret)


def test_a_link_in_place_of_the_key_is_refused(folder, secret, tmp_path):
    (folder / "identity.p12").rename(tmp_path / "elsewhere")
    (folder / "identity.p12").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SigningError, match="cannot be read"):
        open_identity(folder, secret)


def test_a_wrong_passphrase_opens_nothing(folder):
    with pytest.raises(SigningError, match="passphrase does not open it"):
        open_identity(folder, b"wrong horse")
    with pytest.raises(SigningError, match="a passphrase is needed"):
        open_identity(folder, None)


def test_the_age_key_is_under_the_same_passphrase(folder, secret):
    opened = open_identity(folder, secret)
    assert opened.age_secret().startswith("AGE-SECRET-KEY-1")
    assert (folder / "identity.age").read_bytes().startswith(b"age-encryption.org/v1\n-> scrypt ")
    (folder / "identity.age").write_bytes(b"age-encryption.org/v1\n")
    with pytest.raises(SigningError, match=r"identity\.age"):
        opened.age_secret()


def test_nothing_secret_is_printed_with_an_identity(anan, secret):
    assert repr(anan) == f"Identity('Anan', {anan.fingerprint})"


def test_openssl_opens_the_key_file_and_finds_pbes2(folder, secret, openssl, tmp_path):
    (tmp_path / "secret").write_bytes(secret)
    command = [openssl, "pkcs12", "-in", folder / "identity.p12", "-passin", f"file:{tmp_path / 'secret'}", "-info", "-noout"]
    said = subprocess.run(command, capture_output=True, check=True).stderr.decode()
    assert "PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256" in said
    assert "PBE-SHA1" not in said and "RC2" not in said


def test_the_key_file_has_no_digest_that_is_cheaper_to_try_than_the_key(folder, secret, openssl, tmp_path):
    """What `openssl pkcs12` says of a MAC and its rounds, it says of none; a wrong passphrase is refused all the same."""
    (tmp_path / "secret").write_bytes(secret)
    command = [openssl, "pkcs12", "-in", folder / "identity.p12", "-info", "-noout", "-passin"]
    said = subprocess.run([*command, f"file:{tmp_path / 'secret'}"], capture_output=True, check=True).stderr.decode()
    assert "MAC is absent" in said and "MAC: " not in said
    assert subprocess.run([*command, "pass:wrong horse"], capture_output=True, check=False).returncode != 0


def test_a_reader_opens_no_signing_key(folder, secret, anan):
    (folder / "identity.p12").unlink()
    reader = open_reader(folder, secret)
    assert (reader.name, reader.recipient) == ("Chai", read_facts(folder).recipient)
    assert str(pyrage.x25519.Identity.from_str(reader.age_secret()).to_public()) == reader.recipient
    assert "AGE-SECRET" not in repr(reader)


def test_a_reader_says_a_wrong_passphrase_when_it_is_asked_for_the_key(folder):
    with pytest.raises(SigningError, match=r"identity\.age: the passphrase does not open it"):
        open_reader(folder, b"wrong horse").age_secret()
    with pytest.raises(SigningError, match="a passphrase is needed"):
        open_reader(folder, None)


def test_openssl_accepts_the_request_and_the_chain(thailand, folder, openssl, now):
    subprocess.run([openssl, "req", "-in", folder / "request.pem", "-verify", "-noout"], capture_output=True, check=True)
    moment = str(int(now.timestamp()))
    command = [openssl, "verify", "-x509_strict", "-purpose", "smimesign", "-attime", moment, "-CAfile", thailand.root_file]
    assert subprocess.run([*command, folder / "certificate.pem"], capture_output=True, check=False).returncode == 0
    wrong = [openssl, "verify", "-purpose", "sslserver", "-attime", moment, "-CAfile", thailand.root_file, folder / "certificate.pem"]
    assert subprocess.run(wrong, capture_output=True, check=False).returncode != 0


def test_an_officers_certificate_is_for_signing_contents_alone(anan):
    extensions = x509.load_der_x509_certificate(anan.certificate).extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.digital_signature and usage.value.content_commitment
    assert not (usage.value.key_cert_sign or usage.value.key_encipherment or usage.value.crl_sign)
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [x509.ExtendedKeyUsageOID.EMAIL_PROTECTION]
    assert extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)


def test_a_certificate_for_another_key_is_not_installed(folder, secret, anan, thailand):
    with pytest.raises(SigningError, match="none of the 2 certificates is for the key"):
        identity.install(folder, secret, (anan.certificate, thailand.root))


def test_a_certificate_that_does_not_belong_to_the_chain_is_not_installed(folder, secret, malaysia):
    with pytest.raises(SigningError, match="does not belong to the chain"):
        identity.install(folder, secret, (certificates.of_identity(folder), malaysia.root))


def test_an_age_key_file_of_an_earlier_version_is_read_and_written_anew_with_the_next_certificate(folder, secret):
    """pyrage wrote them, with a work factor that it found fit for the machine."""
    given = (certificates.of_identity(folder),)
    key = open_reader(folder, secret).age_secret()
    old = passphrase.encrypt(key.encode(), secret, factor=12)
    (folder / "identity.age").write_bytes(old)
    assert open_reader(folder, secret).age_secret() == key
    identity.install(folder, secret, given)
    assert (folder / "identity.age").read_bytes().split(b"\n")[1].endswith(b" 17")
    assert open_reader(folder, secret).age_secret() == key


def test_a_chain_in_any_order_is_installed_from_the_leaf_upwards(certs, tmp_path, secret, now):
    top, top_key = certs.root()
    middle, middle_key = certs.below("Issuing", top, top_key)
    identity.new(tmp_path / "me", secret, name="Dao", country="TH", organisation="")
    request = x509.load_pem_x509_csr((tmp_path / "me/request.pem").read_bytes())
    officer = certs.make("Dao", request, middle, middle_key)
    identity.install(tmp_path / "me", secret, (certs.der(top), certs.der(officer), certs.der(middle)))
    opened = open_identity(tmp_path / "me", secret)
    assert (opened.chain, opened.root) == ((certs.der(middle),), certs.der(top))
    assert verify(b"x", sign(b"x", opened, at=now), certs.trust(top), now=now)[0].name == "Dao"


def test_without_a_certificate_the_next_step_is_said(tmp_path, secret):
    identity.new(tmp_path / "me", secret, name="Dao", country="TH", organisation="")
    with pytest.raises(SigningError, match="identity install"):
        open_identity(tmp_path / "me", secret)


@pytest.mark.parametrize(
    "given",
    [{"country": "th"}, {"country": "THA"}, {"country": "1A"}, {"name": " "}, {"name": "x" * 65}, {"secret": b"short"}],
)
def test_what_cannot_stand_in_a_certificate_is_refused(tmp_path, given):
    given = {"name": "Dao", "country": "TH", "secret": b"long enough"} | given
    with pytest.raises(SigningError):
        identity.new(tmp_path / "me", given.pop("secret"), organisation="", **given)
    assert not (tmp_path / "me").exists()


def test_an_identity_is_not_written_over(folder, secret):
    with pytest.raises(SigningError, match="identity already"):
        identity.new(folder, secret, name="Dao", country="TH", organisation="")


def test_a_changed_request_is_not_issued(thailand, folder, secret, now):
    request = x509.load_pem_x509_csr((folder / "request.pem").read_bytes()).public_bytes(Encoding.DER)
    changed = x509.load_der_x509_csr(request.replace(b"Chai", b"Khun")).public_bytes(Encoding.PEM)
    with pytest.raises(SigningError, match="own signature does not hold"):
        authority.issue(thailand.authority, secret, changed, at=now)


def test_an_authority_whose_root_is_not_for_its_key_issues_nothing(thailand, malaysia, folder, secret, now, tmp_path):
    shutil.copytree(thailand.authority, tmp_path / "authority")
    shutil.copy(malaysia.authority / "authority.p12", tmp_path / "authority")
    with pytest.raises(SigningError, match=r"root\.pem is not for the key"):
        authority.issue(tmp_path / "authority", secret, (folder / "request.pem").read_bytes(), at=now)


def test_a_request_of_another_state_is_not_issued(malaysia, folder, secret, now):
    with pytest.raises(SigningError, match="not of the authority's country MY"):
        authority.issue(malaysia.authority, secret, (folder / "request.pem").read_bytes(), at=now)


def test_a_revoked_officer_is_refused_and_openssl_reads_the_list(thailand, secret, openssl, now, tmp_path):
    officer = thailand.officer("Nop")
    made = sign(b"x", officer, at=now - timedelta(days=1))
    serial = certificates.load(officer.certificate).serial_number
    clean = authority.revoke(thailand.authority, secret, (), at=now - timedelta(hours=2))
    assert verify(b"x", made, thailand.trust(clean), now=now)[0].warnings == ()
    crl = authority.revoke(thailand.authority, secret, (f"{serial:X}",), at=now - timedelta(hours=1), reason="keyCompromise")
    with pytest.raises(SignatureInvalid) as caught:
        verify(b"x", made, thailand.trust(clean, crl), now=now)
    assert caught.value.reason == "revoked"
    (tmp_path / "crl").write_bytes(crl)
    command = [openssl, "crl", "-inform", "DER", "-in", tmp_path / "crl", "-CAfile", thailand.root_file, "-noout", "-text"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert b"verify OK" in done.stderr and b"Key Compromise" in done.stdout


def test_an_unknown_serial_number_is_not_revoked(thailand, secret, now):
    for serial in ("abcd", "../root", ""):
        with pytest.raises(SigningError, match="no certificate with the serial number"):
            authority.revoke(thailand.authority, secret, (serial,), at=now)


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """A token with a key on a curve and an RSA key; the driver knows the folder that it saw first, so there is one for all."""
    pkcs11 = pytest.importorskip("pkcs11", reason="needs pip install 'forensics[token]'")
    folder = tmp_path_factory.mktemp("card")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        command = ["softhsm2-util", "--init-token", "--free", "--label", "card", "--pin", "123456", "--so-pin", "654321"]
        subprocess.run(command, check=True, capture_output=True, env=os.environ)
        from pkcs11.util.ec import encode_named_curve_parameters

        with pkcs11.lib(SOFTHSM).get_token(token_label="card").open(rw=True, user_pin="123456") as session:
            curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
            session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True).generate_keypair(store=True, label="P-256")
            session.generate_keypair(pkcs11.KeyType.RSA, 3072, store=True, label="RSA")
        yield SOFTHSM


@pytest.mark.skipif(not SOFTHSM or not shutil.which("softhsm2-util"), reason="needs Debian's softhsm2")
@pytest.mark.parametrize("kind", ["P-256", "RSA"])
def test_a_key_in_a_token_signs_and_never_leaves_it(thailand, tmp_path, secret, now, card, kind):
    token = Token(card, "card", kind)
    both = secret + b"\n123456"
    identity.new(tmp_path / "me", both, name="Dao", country="TH", organisation="", token=token)
    pair = authority.issue(thailand.authority, secret, (tmp_path / "me/request.pem").read_bytes(), at=now - timedelta(days=1))
    identity.install(tmp_path / "me", both, pair)
    assert not (tmp_path / "me/identity.p12").exists()
    opened = open_identity(tmp_path / "me", both)
    for number in range(4):  # half of a token's signatures have the larger s
        content = bytes([number])
        assert verify(content, sign(content, opened, at=now), thailand.trust(), now=now)[0].name == "Dao"
    assert open_reader(tmp_path / "me", secret).age_secret() == open_reader(tmp_path / "me", both).age_secret() == opened.age_secret()
    with pytest.raises(SigningError, match="PinIncorrect"):
        open_identity(tmp_path / "me", secret + b"\n000000")
    with pytest.raises(SigningError, match="two lines"):
        open_identity(tmp_path / "me", secret)
