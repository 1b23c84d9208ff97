"""Odd certificates, made with `cryptography` alone: expired, wrong purpose, too long a chain."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from forensics.signing import Identity, Root, Trust, certificates
from forensics.signing.keys import FileKey

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
EMAIL, SERVER, STAMPING = ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.TIME_STAMPING


def key_usage(*names):
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
        "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in every})


def name(common, country="TH"):
    return x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, country), x509.NameAttribute(NameOID.COMMON_NAME, common)])


def make(
    subject, key, issuer=None, issuer_key=None, *, ca=None, depth=None, usage=("digital_signature", "content_commitment"), eku=(EMAIL,),
    eku_critical=False, since=NOW - timedelta(days=30), until=NOW + timedelta(days=30), extra=(), country="TH", digest=hashes.SHA256(),
):  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject, country))
        .issuer_name(issuer.subject if issuer else name(subject, country))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=bool(ca), path_length=depth), critical=True)
    )
    if usage:
        builder = builder.add_extension(key_usage(*usage), critical=True)
    if eku:
        builder = builder.add_extension(x509.ExtendedKeyUsage(eku), critical=eku_critical)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key or key, digest)


def new_key(curve=ec.SECP256R1()):
    return ec.generate_private_key(curve)


def rsa_key(bits):
    return rsa.generate_private_key(65537, bits)


def root(common="Test root", **changes):
    key = changes.pop("key", None) or new_key()
    given = {
        "ca": True,
        "usage": ("key_cert_sign", "crl_sign"),
        "eku": (),
        "since": NOW - timedelta(days=400),
        "until": NOW + timedelta(days=400),
    }
    return make(common, key, **(given | changes)), key


def below(common, issuer, issuer_key, **changes):
    key = changes.pop("key", None) or new_key()
    given = {"ca": True, "usage": ("key_cert_sign", "crl_sign"), "eku": ()}
    return make(common, key, issuer, issuer_key, **(given | changes)), key


def identity(certificate, key, *chain):
    made = der(certificate)
    return Identity(
        certificates.common_name(certificate), certificates.country(certificate), "", certificates.fingerprint(made), made,
        tuple(der(each) for each in chain), "age1none", None, FileKey(key), lambda: "",
    )  # fmt: skip


def der(certificate):
    return certificate.public_bytes(Encoding.DER)


def trust(*roots, crls=(), use="signing", state="TH"):
    return Trust(tuple(Root(state, certificates.fingerprint(der(each)), der(each), tuple(crls), use) for each in roots))


def crl(issuer, issuer_key, *entries, since=NOW - timedelta(days=1), until=NOW + timedelta(days=1), extra=()):
    """`entries` are (certificate, revocation date, reason or None, invalidity date or None)."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject).last_update(since).next_update(until)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    for certificate, at, reason, lost in entries:
        entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(at)
        if reason:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        if lost:
            entry = entry.add_extension(x509.InvalidityDate(lost), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.DER)
