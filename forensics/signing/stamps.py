"""RFC 3161 time stamps: that these bytes existed at a time, by the word of a stamping authority whose root is pinned.

Read with our own eyes rather than a general reader's: one signer, a closed list of algorithms, DER, and nothing in it that nobody signed.
So the text that an authority may add to its status ("Operation Okay") is left out of the file that is kept (`accept`), and a file with
it is refused. Some authorities write BER or sign with other algorithms; those are refused, with the reason.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from asn1crypto import cms as asn1_cms
from asn1crypto import core, tsp
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from msgspec import Struct

from forensics.errors import SignatureInvalid, SigningError
from forensics.signing import certificates, der, stamping
from forensics.signing.chain import Purpose, validate
from forensics.signing.reasons import Reason, invalid
from forensics.signing.revocation import Revocation
from forensics.signing.stamping import StampingAuthority
from forensics.signing.trust import Trust

_HASHES: dict[str, hashes.HashAlgorithm] = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
# What asn1crypto raises on bytes that are not what they should be.
_MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
_TAGGED_0 = 0xA0
CLOCKS = timedelta(minutes=10)  # by which an authority's clock may be ahead of ours
_GRANTED = b"\x30\x03\x02\x01\x00"  # PKIStatusInfo: status granted, no text, no failure
_SIGNED = {"content_type", "message_digest", "signing_time", "signing_certificate", "signing_certificate_v2", "cms_algorithm_protection"}


class Stamped(Struct, frozen=True):
    """A time stamp that holds: when the authority says that the bytes existed, and what could not be known of the authority."""

    at: datetime
    warnings: tuple[str, ...] = ()


class _Raw(Struct, frozen=True):
    """TSTInfo, the certificates, and the signed attributes with the tag under which they are signed."""

    content: bytes
    certificates: list[bytes]
    attributes: bytes


class _Response(core.Sequence):  # type: ignore[misc]
    """TimeStampResp of RFC 3161, section 2.4.2: a refusal has no token, which asn1crypto's own class demands."""

    _fields: ClassVar = [("status", tsp.PKIStatusInfo), ("time_stamp_token", asn1_cms.ContentInfo, {"optional": True})]


def stamp(data: bytes, authority: StampingAuthority) -> bytes:
    """A time stamp over `data` (the file `.tsr`): granted, over these bytes, for this request. Raises SigningError, SignatureInvalid.

    Whether the authority is trusted is asked of `verify_stamp`.
    """
    asked = stamping.request(data)
    answer = stamping.ask(authority, asked)
    return accept(data, asked, answer)


def accept(data: bytes, asked: bytes, answer: bytes) -> bytes:
    """The time stamp to keep of an answer to this request (`stamping.request`), which may have been carried by hand.

    Raises SignatureInvalid where it answers another request or is over other bytes.
    """
    kept = _bare(answer)
    try:
        info = _info(_token(kept))
        nonce = tsp.TimeStampReq.load(asked, strict=True)["nonce"].native
    except _MALFORMED as error:
        raise invalid(Reason.STRUCTURE, f"the request: {error}") from error
    if info["nonce"].native != nonce:
        raise invalid(Reason.NONCE, "the nonce differs")
    _check_imprint(data, info)
    return kept


def verify_stamp(
    data: bytes, answer: bytes, trust: Trust, *, now: datetime | None = None, revocation: Revocation = Revocation.WARN
) -> Stamped:
    """When the authority says that `data` existed. Raises SignatureInvalid with its `reason`.

    The authority's certificate is judged at the time that it stamped: that it has expired since does not undo the stamp, nor does a later
    revocation whose reason says that the key was not harmed (RFC 3161, section 4).
    """
    try:
        return _verify(data, _token(answer), _raw(answer), trust, now or datetime.now(UTC), revocation)
    except SignatureInvalid:
        raise
    except (*_MALFORMED, SigningError) as error:
        raise invalid(Reason.STRUCTURE, f"not a time stamp of this form: {error}") from error


def _token(answer: bytes) -> asn1_cms.SignedData:
    if len(answer) > stamping.LARGEST:
        raise invalid(Reason.STRUCTURE, f"{len(answer)} bytes are more than {stamping.LARGEST}")
    der.check(answer)
    response = tsp.TimeStampResp.load(answer, strict=True)
    if response["status"].dump() != _GRANTED:
        raise invalid(Reason.STRUCTURE, "its status is not `granted` and nothing else")
    token = response["time_stamp_token"]
    if token["content_type"].native != "signed_data" or token["content"]["version"].native != "v3":  # RFC 5652, section 5.1
        raise invalid(Reason.STRUCTURE, "not the SignedData of a time stamp")
    return token["content"]


def _bare(answer: bytes) -> bytes:
    """The answer with the bare status. Raises SignatureInvalid where it was not granted."""
    if len(answer) > stamping.LARGEST:
        raise invalid(Reason.STRUCTURE, f"{len(answer)} bytes are more than {stamping.LARGEST}")
    try:
        response = _Response.load(answer, strict=True)
        status = response["status"]["status"].native
        if status not in ("granted", "granted_with_mods"):
            raise invalid(Reason.STAMP_REFUSED, f"{status}, {response['status']['status_string'].native}")
        return bytes(tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": response["time_stamp_token"]}).dump())
    except _MALFORMED as error:
        raise invalid(Reason.STRUCTURE, f"not a time stamp: {error}") from error


def _raw(answer: bytes) -> _Raw:
    """The signed parts as they stand in the file: asn1crypto's `dump` may write a parsed value anew, and so undo a change."""
    signed_data = der.children(der.children(der.children(answer)[1])[1])[0]
    parts = der.children(signed_data)
    held = [part for part in parts if part[0] == _TAGGED_0]
    signer = der.children(parts[-1])[0]
    attributes = [part for part in der.children(signer) if part[0] == _TAGGED_0]
    if len(held) != 1 or len(attributes) != 1:
        raise invalid(Reason.STRUCTURE, "the time stamp carries no certificates or no signed attributes")
    inner = der.children(der.children(parts[2])[1])[0]
    ders = der.children(held[0])
    if len(ders) > certificates.MANY:
        raise invalid(Reason.STRUCTURE, f"{len(ders)} certificates are more than {certificates.MANY}")
    return _Raw(der.content(inner), ders, b"\x31" + attributes[0][1:])  # signed with the tag of a SET: RFC 5652, 5.4


def _info(token: asn1_cms.SignedData) -> tsp.TSTInfo:
    content = token["encap_content_info"]
    if content["content_type"].native != "tst_info":
        raise invalid(Reason.STRUCTURE, "what is signed is not a time stamp")
    info = content["content"].parsed
    if info["version"].native != "v1" or any(each["critical"].native for each in info["extensions"] or ()):
        raise invalid(Reason.CONSTRAINT, "the time stamp has a version or a critical extension that is not understood")
    return info


def _check_imprint(data: bytes, info: tsp.TSTInfo) -> None:
    name = info["message_imprint"]["hash_algorithm"]["algorithm"].native
    if name not in _HASHES:
        raise invalid(Reason.ALGORITHM, f"the stamp is over a digest of {name}")
    if hashlib.new(name, data).digest() != info["message_imprint"]["hashed_message"].native:
        raise invalid(Reason.CHANGED, f"{name} {hashlib.new(name, data).hexdigest()} is not the stamped one")


def _verify(data: bytes, token: asn1_cms.SignedData, raw: _Raw, trust: Trust, now: datetime, revocation: Revocation) -> Stamped:
    info = _info(token)
    _check_imprint(data, info)
    if len(token["signer_infos"]) != 1:
        raise invalid(Reason.STRUCTURE, f"{len(token['signer_infos'])} signers")
    signer = token["signer_infos"][0]
    if signer["unsigned_attrs"] or token["crls"] or signer["version"].native != "v1":
        raise invalid(Reason.STRUCTURE, "the time stamp carries what nobody signed, or is of another version")
    if [each.dump() for each in token["digest_algorithms"]] != [signer["digest_algorithm"].dump()]:
        raise invalid(Reason.STRUCTURE, "its digest algorithms are not the one that its signer used")
    held = raw.certificates
    leaf = _leaf(signer, token, held)
    _check_attributes(signer, leaf, raw.content)
    _check_signature(signer, leaf, raw.attributes)
    stamped_at = info["gen_time"].native
    if not isinstance(stamped_at, datetime) or stamped_at.tzinfo is None or stamped_at > now + CLOCKS:
        raise invalid(Reason.TIME, f"stamped at {stamped_at}, now {now}")
    chain = validate(
        leaf, held, trust.for_use("stamping"), Purpose.STAMP, claimed=stamped_at, at=stamped_at, now=now, revoked=revocation
    )  # fmt: skip
    if not set(held) <= {*chain.certificates, chain.root.certificate}:
        raise invalid(Reason.CERTIFICATES, "the time stamp carries certificates that lead from nobody to nowhere")
    return Stamped(stamped_at.astimezone(UTC), chain.warnings)


def _leaf(signer: asn1_cms.SignerInfo, token: asn1_cms.SignedData, held: list[bytes]) -> bytes:
    if signer["sid"].name != "issuer_and_serial_number":
        raise invalid(Reason.STRUCTURE, "the signer is not named by issuer and serial number")
    wanted = signer["sid"].chosen
    for each, held_der in zip(token["certificates"], held, strict=True):
        body = each.chosen["tbs_certificate"]
        if body["issuer"].dump() == wanted["issuer"].dump() and body["serial_number"].native == wanted["serial_number"].native:
            return held_der
    raise invalid(Reason.CERTIFICATES, "the authority's certificate is not in the time stamp")


def _check_attributes(signer: asn1_cms.SignerInfo, leaf: bytes, content: bytes) -> None:
    """content-type, message-digest and the binding to the certificate (RFC 2634 or RFC 5035) must be there; little else may."""
    values = {each["type"].native: each["values"] for each in signer["signed_attrs"]}
    if len(values) != len(signer["signed_attrs"]) or not set(values) <= _SIGNED:
        raise invalid(Reason.STRUCTURE, f"signed attributes {sorted(map(str, values))}")
    digest = signer["digest_algorithm"]["algorithm"].native
    if digest not in _HASHES:
        raise invalid(Reason.ALGORITHM, f"the stamp is signed over a digest of {digest}")
    if values["content_type"][0].native != "tst_info" or values["message_digest"][0].native != hashlib.new(digest, content).digest():
        raise invalid(Reason.SIGNATURE, "the stamp's own digest is not that of its content")
    if "signing_certificate_v2" in values:
        first = values["signing_certificate_v2"][0]["certs"][0]
        name, named = first["hash_algorithm"]["algorithm"].native, first["cert_hash"].native
    else:  # RFC 3161 itself binds by SHA-1, and authorities still do; the signature verifies with this certificate's key all the same
        name, named = "sha1", values["signing_certificate"][0]["certs"][0]["cert_hash"].native
    if name not in (*_HASHES, "sha1") or hashlib.new(name, leaf, usedforsecurity=False).digest() != named:
        raise invalid(Reason.CERTIFICATES, "the stamp names another certificate than it carries")


def _check_signature(signer: asn1_cms.SignerInfo, leaf: bytes, attributes: bytes) -> None:
    algorithm = signer["signature_algorithm"]
    digest = _HASHES[signer["digest_algorithm"]["algorithm"].native]
    for each in (algorithm, signer["digest_algorithm"]):
        if each["parameters"].dump() not in (b"", b"\x05\x00"):
            raise invalid(Reason.STRUCTURE, "an algorithm has parameters")
    kind = algorithm.signature_algo
    if kind != "rsassa_pkcs1v15" and kind != "ecdsa":
        raise invalid(Reason.ALGORITHM, f"the stamp is signed with {kind}")
    if algorithm["algorithm"].native != "rsassa_pkcs1v15" and algorithm.hash_algo != digest.name:
        raise invalid(Reason.ALGORITHM, f"digest {digest.name}, signature over {algorithm.hash_algo}")
    try:
        key = certificates.load(leaf).public_key()
        if isinstance(key, rsa.RSAPublicKey) and kind == "rsassa_pkcs1v15":
            key.verify(signer["signature"].native, attributes, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and kind == "ecdsa":
            key.verify(signer["signature"].native, attributes, ec.ECDSA(digest))
        else:
            raise invalid(Reason.ALGORITHM, f"the stamp is signed with {kind}, the certificate has another key")
    except InvalidSignature as error:
        raise invalid(Reason.SIGNATURE, "the time stamp") from error
    except UnsupportedAlgorithm as error:
        raise invalid(Reason.ALGORITHM, str(error)) from error
