"""Chains: each refusal has its reason; OpenSSL, the independent reader, refuses what it also looks at."""

import subprocess
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from forensics.errors import SignatureInvalid
from forensics.signing import Reason, Revocation, Root, Trust, certificates, chain, cms, sign, verify
from forensics.signing.reasons import SENTENCES

DATA = b"sealed"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def ca(certs):
    return certs.root()


def refused(data, signature, trust, **how) -> str:
    with pytest.raises(SignatureInvalid) as caught:
        verify(data, signature, trust, **how)
    assert str(caught.value).startswith(SENTENCES[Reason(caught.value.reason)])
    return caught.value.reason


def signed(certs, top, now, *, at=None, **changes) -> tuple[bytes, x509.Certificate]:
    key = certs.new_key()
    certificate = certs.make("Chai", key, *top, **changes)
    return sign(DATA, certs.identity(certificate, key), at=at or now), certificate


def openssl_says(openssl, folder, signature, root, at) -> int:
    (folder / "d").write_bytes(DATA)
    (folder / "s").write_bytes(signature)
    (folder / "r").write_bytes(root.public_bytes(Encoding.PEM))
    command = [openssl, "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", folder / "s", "-content", folder / "d"]
    more = ["-CAfile", folder / "r", "-attime", str(int(at.timestamp())), "-out", "/dev/null"]
    return subprocess.run([*command, *more], capture_output=True, check=False).returncode


def test_a_root_that_is_not_pinned_is_refused(anan, malaysia, now):
    assert refused(DATA, sign(DATA, anan, at=now), malaysia.trust(), now=now) == Reason.UNPINNED
    assert refused(DATA, sign(DATA, anan, at=now), Trust(), now=now) == Reason.UNPINNED


def test_a_root_of_the_same_name_with_another_key_is_refused(certs, ca, now):
    other, _ = certs.root()
    assert refused(DATA, signed(certs, ca, now)[0], certs.trust(other), now=now) == Reason.UNPINNED


def test_a_root_for_time_stamps_vouches_for_no_signer(certs, ca, now):
    assert refused(DATA, signed(certs, ca, now)[0], certs.trust(ca[0], use="stamping"), now=now) == Reason.UNPINNED


def test_a_self_signed_signer_is_refused_even_where_it_is_pinned(certs, now):
    key = certs.new_key()
    certificate = certs.make("Chai", key)
    made = sign(DATA, certs.identity(certificate, key), at=now)
    assert refused(DATA, made, certs.trust(certs.root()[0]), now=now) == Reason.SELF_SIGNED
    assert refused(DATA, made, certs.trust(certificate), now=now) == Reason.SELF_SIGNED


def test_an_expired_signer_is_refused_unless_a_stamp_shows_an_earlier_time(certs, ca, now, openssl, tmp_path):
    made, _ = signed(certs, ca, now, at=now - 20 * DAY, until=now - DAY)
    assert refused(DATA, made, certs.trust(ca[0]), now=now) == Reason.EXPIRED
    assert openssl_says(openssl, tmp_path, made, ca[0], now) != 0
    assert verify(DATA, made, certs.trust(ca[0]), at=now - 19 * DAY, now=now)[0].name == "Chai"
    assert openssl_says(openssl, tmp_path, made, ca[0], now - 19 * DAY) == 0


def test_a_signature_after_expiry_is_refused_whatever_is_shown(certs, ca, now):
    made, _ = signed(certs, ca, now, at=now, until=now - DAY)
    assert refused(DATA, made, certs.trust(ca[0]), at=now, now=now) == Reason.EXPIRED


def test_a_signature_from_before_the_certificate_is_refused(certs, ca, now):
    made, _ = signed(certs, ca, now, at=now - 31 * DAY)
    assert refused(DATA, made, certs.trust(ca[0]), now=now) == Reason.NOT_YET_VALID


def test_an_expired_root_is_refused(certs, now):
    ca = certs.root(until=now - DAY)
    made, _ = signed(certs, ca, now)
    assert refused(DATA, made, certs.trust(ca[0]), now=now) == Reason.EXPIRED


@pytest.mark.parametrize("purpose", ["server", "stamp", "no-eku", "encipher", "no-usage"])
def test_a_certificate_for_another_purpose_is_refused(certs, ca, now, purpose):
    changes = {
        "server": {"eku": (certs.SERVER,)},
        "stamp": {"eku": (certs.STAMPING,), "eku_critical": True},
        "no-eku": {"eku": (), "usage": ("digital_signature",)},
        "encipher": {"usage": ("key_encipherment",)},
        "no-usage": {"usage": ()},
    }[purpose]
    made, _ = signed(certs, ca, now, **changes)
    assert refused(DATA, made, certs.trust(ca[0]), now=now) == Reason.PURPOSE


def test_openssl_refuses_the_certificate_of_a_server_too(certs, ca, now, openssl, tmp_path):
    assert openssl_says(openssl, tmp_path, signed(certs, ca, now, eku=(certs.SERVER,))[0], ca[0], now) != 0


def test_an_issuer_of_certificates_signs_no_package(certs, ca, now):
    made, _ = signed(certs, ca, now, ca=True, usage=("digital_signature", "key_cert_sign"))
    assert refused(DATA, made, certs.trust(ca[0]), now=now) == Reason.PURPOSE


def test_a_certificate_for_another_state_than_its_roots_is_refused(certs, ca, now):
    made, _ = signed(certs, ca, now, country="VN")
    assert refused(DATA, made, certs.trust(ca[0]), now=now) == Reason.COUNTRY


def test_a_critical_extension_that_is_not_understood_is_refused(certs, ca, now):
    odd = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00"), True)
    assert refused(DATA, signed(certs, ca, now, extra=[odd])[0], certs.trust(ca[0]), now=now) == Reason.CONSTRAINT


def test_a_constrained_authority_is_refused(certs, now):
    names = x509.NameConstraints([x509.DirectoryName(certs.name("Chai"))], None)
    top, top_key = certs.root()
    middle, middle_key = certs.below("Issuing", top, top_key, extra=[(names, False)])
    key = certs.new_key()
    officer = certs.identity(certs.make("Chai", key, middle, middle_key), key, middle)
    assert refused(DATA, sign(DATA, officer, at=now), certs.trust(top), now=now) == Reason.CONSTRAINT


def chained(certs, now, **middle_changes):
    top, top_key = certs.root(**{name: middle_changes.pop(name) for name in ("depth",) if name in middle_changes})
    middle, middle_key = certs.below("Issuing", top, top_key, **middle_changes)
    key = certs.new_key()
    return sign(DATA, certs.identity(certs.make("Chai", key, middle, middle_key), key, middle), at=now), top


def test_an_authority_below_the_root_is_followed_and_shipped(certs, now, openssl, tmp_path):
    made, top = chained(certs, now)
    assert verify(DATA, made, certs.trust(top), now=now)[0].name == "Chai"
    assert openssl_says(openssl, tmp_path, made, top, now) == 0


def test_a_flip_of_every_byte_of_a_longer_chain_is_refused(certs, now):
    made, top = chained(certs, now)
    while any(certificates.load(each).signature[-1] & 1 for each in cms.decode(made).certificates):
        made, top = chained(certs, now)  # a last bit of 0 may be said to be unused, which readers take for the same signature
    accepted = []
    for at in range(len(made)):
        try:
            verify(DATA, made[:at] + bytes([made[at] ^ 0x01]) + made[at + 1 :], certs.trust(top), now=now)
        except SignatureInvalid:
            continue
        accepted.append(at)
    assert accepted == []


def test_a_path_longer_than_the_root_allows_is_refused(certs, now):
    made, top = chained(certs, now, depth=0)
    assert refused(DATA, made, certs.trust(top), now=now) == Reason.PATH


@pytest.mark.parametrize("changes", [{"ca": False}, {"usage": ("crl_sign",)}])
def test_one_that_may_not_issue_is_refused(certs, now, changes):
    made, top = chained(certs, now, **changes)
    assert refused(DATA, made, certs.trust(top), now=now) == Reason.PATH


def test_an_authority_for_servers_vouches_for_no_signer(certs, now):
    made, top = chained(certs, now, eku=(certs.SERVER,))
    assert refused(DATA, made, certs.trust(top), now=now) == Reason.PURPOSE


def test_a_missing_authority_is_refused(certs, now):
    top, top_key = certs.root()
    middle, middle_key = certs.below("Issuing", top, top_key)
    key = certs.new_key()
    made = sign(DATA, certs.identity(certs.make("Chai", key, middle, middle_key), key), at=now)
    assert refused(DATA, made, certs.trust(top), now=now) == Reason.UNPINNED


def crossed(certs, now, first, second, third):
    """A signature by one whom "X" issued with the first key, with 15 "X" that name "Y" as issuer and 15 "Y" that name "X".

    The keys are those of X, of Y, and with which X and Y were issued.
    """
    x, y = (certs.make(each, key, ca=True, usage=("key_cert_sign",), eku=()) for each, key in (("X", first), ("Y", second)))
    held = [each for _ in range(15) for each in (certs.below("X", y, third, key=first)[0], certs.below("Y", x, third, key=second)[0])]
    key = certs.new_key()
    return sign(DATA, certs.identity(certs.make("Chai", key, x, first), key, *held), at=now)


def test_authorities_that_issue_one_another_are_each_followed_once(certs, ca, now, monkeypatch):
    """30 certificates on one key have more than a million paths."""
    one = certs.new_key()
    made, tried = crossed(certs, now, one, one, one), []
    issued = chain._issued
    monkeypatch.setattr(chain, "_issued", lambda *given: tried.append(given) or issued(*given))
    assert refused(DATA, made, certs.trust(ca[0]), now=now) == Reason.UNPINNED
    assert len(tried) < 32 * 32


def test_a_search_that_needs_too_many_signatures_is_ended(certs, ca, now):
    """Each of the 15 "X" that could have issued the signer's may have been issued by each "Y", by name, and by none, by signature."""
    made = crossed(certs, now, certs.new_key(), certs.new_key(), certs.new_key())
    assert refused(DATA, made, certs.trust(ca[0]), now=now) == Reason.CERTIFICATES


def test_an_authority_with_two_certificates_is_followed_by_the_shorter_path(certs, now):
    top, top_key = certs.root()
    key = certs.new_key()
    middle, middle_key = certs.below("Issuing", top, top_key)
    above, above_key = certs.below("Above", top, top_key)
    again, _ = certs.below("Issuing", above, above_key, key=middle_key)
    leaf = certs.make("Chai", key, middle, middle_key)
    path, _ = chain._path(leaf, [again, above, middle], certs.trust(top).roots)
    assert path == [leaf, middle]


def test_a_short_rsa_key_of_an_authority_is_refused(certs, now):
    made, top = chained(certs, now, key=certs.rsa_key(1024))
    assert refused(DATA, made, certs.trust(top), now=now) == Reason.ALGORITHM


def test_an_rsa_authority_is_accepted(certs, now):
    made, top = chained(certs, now, key=certs.rsa_key(2048))
    assert verify(DATA, made, certs.trust(top), now=now)[0].state == "TH"


def test_a_certificate_signed_over_sha1_leads_nowhere(certs, ca, now):
    made, _ = signed(certs, ca, now, digest=hashes.SHA224())  # SHA-1 is not signed with by this library any more
    assert refused(DATA, made, certs.trust(ca[0]), now=now) == Reason.UNPINNED


def test_a_signers_key_on_another_curve_is_refused(certs, ca, now):
    key = certs.new_key(ec.SECP521R1())
    certificate = certs.make("Chai", key, *ca)
    with pytest.raises(SignatureInvalid) as caught:
        sign(DATA, certs.identity(certificate, key), at=now)
    assert caught.value.reason == Reason.ALGORITHM


# Revocation


def test_a_revoked_signer_is_refused_and_openssl_agrees(certs, ca, now, openssl, tmp_path):
    made, certificate = signed(certs, ca, now)
    crl = certs.crl(*ca, (certificate, now - 2 * DAY, None, None))
    assert refused(DATA, made, certs.trust(ca[0], crls=[crl]), now=now) == Reason.REVOKED
    for name, data in (("d", DATA), ("s", made), ("r", ca[0].public_bytes(Encoding.PEM)), ("crl", crl)):
        (tmp_path / name).write_bytes(data)
    subprocess.run([openssl, "crl", "-inform", "DER", "-in", tmp_path / "crl", "-out", tmp_path / "crl.pem"], check=True)
    (tmp_path / "both").write_bytes((tmp_path / "r").read_bytes() + (tmp_path / "crl.pem").read_bytes())
    command = [openssl, "cms", "-verify", "-binary", "-inform", "DER", "-in", tmp_path / "s", "-content", tmp_path / "d", "-crl_check"]
    more = ["-CAfile", tmp_path / "both", "-attime", str(int(now.timestamp())), "-out", "/dev/null"]
    done = subprocess.run([*command, *more], capture_output=True, check=False)
    assert b"certificate revoked" in done.stderr


def test_a_revocation_after_signing_counts_unless_a_stamp_shows_when_it_was_signed(certs, ca, now):
    """Without a stamp the time of signing is the word of whoever holds the key."""
    made, certificate = signed(certs, ca, now, at=now - 5 * DAY)
    trust = certs.trust(ca[0], crls=[certs.crl(*ca, (certificate, now - 2 * DAY, None, None))])
    assert refused(DATA, made, trust, now=now) == Reason.REVOKED
    assert verify(DATA, made, trust, at=now - 4 * DAY, now=now)[0].warnings == ()
    assert refused(DATA, made, trust, at=now - DAY, now=now) == Reason.REVOKED


def test_a_key_lost_before_the_stamp_is_refused_though_revoked_later(certs, ca, now):
    made, certificate = signed(certs, ca, now, at=now - 5 * DAY)
    lost = (certificate, now - 2 * DAY, x509.ReasonFlags.key_compromise, now - 6 * DAY)
    assert refused(DATA, made, certs.trust(ca[0], crls=[certs.crl(*ca, lost)]), at=now - 4 * DAY, now=now) == Reason.REVOKED


def test_a_current_list_leaves_no_warning_and_a_stale_one_does(certs, ca, now):
    made, _ = signed(certs, ca, now)
    assert verify(DATA, made, certs.trust(ca[0], crls=[certs.crl(*ca)]), now=now)[0].warnings == ()
    stale = certs.trust(ca[0], crls=[certs.crl(*ca, since=now - 9 * DAY, until=now - DAY)])
    assert verify(DATA, made, stale, now=now)[0].warnings == (
        "the revocation list of Test root is of 2026-05-23: whether Chai was revoked since is not known",
    )
    assert refused(DATA, made, stale, now=now, revocation=Revocation.REQUIRE) == Reason.REVOCATION_UNKNOWN
    assert refused(DATA, made, certs.trust(ca[0]), now=now, revocation=Revocation.REQUIRE) == Reason.REVOCATION_UNKNOWN


def test_a_list_signed_by_another_or_partial_proves_nothing(certs, ca, now):
    made, _ = signed(certs, ca, now)
    forged = certs.crl(ca[0], certs.new_key())
    delta = certs.crl(*ca, extra=[(x509.DeltaCRLIndicator(1), True)])
    for crl in (forged, delta):
        assert refused(DATA, made, certs.trust(ca[0], crls=[crl]), now=now, revocation=Revocation.REQUIRE) == Reason.REVOCATION_UNKNOWN


def test_a_revocation_stays_when_a_later_list_leaves_it_out_but_a_hold_is_lifted(certs, ca, now):
    made, certificate = signed(certs, ca, now)
    later = certs.crl(*ca, since=now - timedelta(hours=1))
    old = certs.crl(*ca, (certificate, now - 2 * DAY, x509.ReasonFlags.superseded, None))
    held = certs.crl(*ca, (certificate, now - 2 * DAY, x509.ReasonFlags.certificate_hold, None))
    assert refused(DATA, made, certs.trust(ca[0], crls=[later, old]), now=now) == Reason.REVOKED
    assert verify(DATA, made, certs.trust(ca[0], crls=[later, held]), now=now)[0].warnings == ()
    assert refused(DATA, made, certs.trust(ca[0], crls=[held]), now=now) == Reason.REVOKED


def test_a_revoked_authority_takes_its_signers_with_it(certs, now):
    top, top_key = certs.root()
    middle, middle_key = certs.below("Issuing", top, top_key)
    key = certs.new_key()
    made = sign(DATA, certs.identity(certs.make("Chai", key, middle, middle_key), key, middle), at=now)
    crl = certs.crl(top, top_key, (middle, now - DAY, None, None))
    assert refused(DATA, made, certs.trust(top, crls=[crl]), now=now) == Reason.REVOKED


def test_every_reason_has_its_sentence():
    assert set(SENTENCES) == set(Reason)
    assert len(set(SENTENCES.values())) == len(SENTENCES)


def test_a_pinned_root_that_is_no_issuer_is_refused(certs, now):
    top, top_key = certs.root(ca=False)
    key = certs.new_key()
    made = sign(DATA, certs.identity(certs.make("Chai", key, top, top_key), key), at=now)
    root = Root("TH", certificates.fingerprint(certs.der(top)), certs.der(top))
    assert refused(DATA, made, Trust((root,)), now=now) == Reason.PATH
