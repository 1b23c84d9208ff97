"""The trust list: only what a person confirmed, signed, and checked at each opening; the public card; the commands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forensics.errors import SignatureInvalid, SigningError
from forensics.signing import Trust, authority, card, certificates, open_trust, trusting


def said(*fingerprints):
    """Stands for a person who compared these fingerprints."""

    def confirm(what: str, fingerprint: str) -> None:
        if fingerprint not in fingerprints:
            raise SigningError(f"{what} was not confirmed")

    return confirm


@pytest.fixture
def chong(malaysia):
    return malaysia.officer("Chong")


@pytest.fixture
def folder(anan, malaysia, chong, now, tmp_path) -> Path:
    """Anan trusts Malaysia's root, and has Chong's age key."""
    old = trusting.opened_or_new(tmp_path / "trust", anan)
    confirm = said(certificates.fingerprint(malaysia.root), chong.fingerprint)
    roots, recipients = trusting.add_card(old, "MY", card.make(chong, at=now), confirm, now=now)
    trusting.change(tmp_path / "trust", old, anan, at=now, roots=roots, recipients=recipients)
    return tmp_path / "trust"


def test_a_card_gives_root_and_recipient_once_both_fingerprints_are_confirmed(folder, anan, malaysia, chong):
    found = open_trust(folder, signer=anan.fingerprint)
    assert [(root.state, root.use, root.certificate) for root in found.roots] == [("MY", "signing", malaysia.root)]
    assert [(each.state, each.name, each.recipient) for each in found.recipients] == [("MY", "Chong", chong.recipient)]


def test_nothing_is_trusted_because_it_came_first(anan, malaysia, chong, now, tmp_path):
    old = trusting.opened_or_new(tmp_path / "trust", anan)
    made = card.make(chong, at=now)
    for confirm in (said(), said(certificates.fingerprint(malaysia.root)), said(chong.fingerprint)):
        with pytest.raises(SigningError, match="was not confirmed"):
            trusting.add_card(old, "MY", made, confirm, now=now)


def test_a_card_with_another_age_key_is_refused(chong, anan, now):
    shown = json.loads(card.make(chong, at=now))
    shown["card"]["recipient"] = anan.recipient
    with pytest.raises(SignatureInvalid, match="not what was signed"):
        card.read(json.dumps(shown).encode())


def test_a_card_is_not_taken_for_another_state(anan, chong, malaysia, now, tmp_path):
    confirm = said(certificates.fingerprint(malaysia.root), chong.fingerprint)
    with pytest.raises(SigningError, match="not of VN"):
        trusting.add_card(trusting.opened_or_new(tmp_path / "t", anan), "VN", card.make(chong, at=now), confirm, now=now)


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100_000, b'{"card":{},"signature":""}', b"\xff" * 100])
def test_what_is_no_card_is_refused(data):
    with pytest.raises(SigningError):
        card.read(data)


def test_an_officers_certificate_is_no_root(anan, chong, tmp_path):
    old = trusting.opened_or_new(tmp_path / "t", anan)
    with pytest.raises(SigningError, match="is not a root"):
        trusting.add_root(old, "MY", chong.certificate, "file", said(chong.fingerprint))


@pytest.mark.parametrize("where", ["list", "signature", "current"])
def test_a_list_that_was_changed_is_not_opened(folder, where):
    path = {"list": folder / "lists/1.json", "signature": folder / "lists/1.json.p7s", "current": folder / "current.json"}[where]
    data = path.read_bytes()
    for at in range(0, len(data), max(1, len(data) // 60)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(SigningError):
            open_trust(folder)
    path.write_bytes(data)
    open_trust(folder)


def test_a_list_signed_by_another_is_not_opened(folder, anan, busaba, now):
    old = open_trust(folder, signer=anan.fingerprint)
    trusting.change(folder, old, busaba, at=now, roots=(), recipients=())
    with pytest.raises(SigningError, match="which is yours"):
        open_trust(folder, signer=anan.fingerprint)


def test_a_list_that_others_may_write_is_not_opened(folder):
    (folder / "current.json").chmod(0o606)
    with pytest.raises(SigningError, match="chmod 600"):
        open_trust(folder)


def test_a_root_is_removed_by_its_whole_fingerprint(folder, anan, malaysia, now):
    old = open_trust(folder)
    digest = certificates.fingerprint(malaysia.root)
    for wrong in (digest[:16], "0" * 64):
        with pytest.raises(SigningError):
            trusting.remove(old, wrong)
    roots, recipients = trusting.remove(old, ":".join(digest[at : at + 2] for at in range(0, 64, 2)).upper())
    trusting.change(folder, old, anan, at=now, roots=roots, recipients=recipients)
    assert open_trust(folder).roots == ()
    assert (folder / "lists/1.json").exists()


def test_a_revocation_list_is_kept_with_its_root_and_checked(folder, anan, malaysia, thailand, secret, now):
    old = open_trust(folder)
    crl = authority.revoke(malaysia.authority, secret, (), at=now)
    trusting.change(folder, old, anan, at=now, roots=trusting.add_crl(old, crl), recipients=old.recipients)
    assert open_trust(folder).roots[0].crls == (crl,)
    with pytest.raises(SigningError, match="no trusted root"):
        trusting.add_crl(old, authority.revoke(thailand.authority, secret, (), at=now))
    (kept,) = (folder / "crls").iterdir()
    kept.write_bytes(crl[:-1] + bytes([crl[-1] ^ 1]))
    with pytest.raises(SigningError, match="changed since it was added"):
        open_trust(folder)


def test_a_colleagues_list_is_taken_over_with_its_revocation_lists(folder, anan, busaba, malaysia, thailand, secret, now, tmp_path):
    theirs = open_trust(folder, signer=anan.fingerprint)
    crl = authority.revoke(malaysia.authority, secret, (), at=now)
    theirs = trusting.change(folder, theirs, anan, at=now, roots=trusting.add_crl(theirs, crl), recipients=theirs.recipients)
    own = tmp_path / "own"
    old = trusting.opened_or_new(own, busaba)
    roots = trusting.add_root(old, "TH", thailand.root, "root", said(certificates.fingerprint(thailand.root)))
    old = trusting.change(own, old, busaba, at=now, roots=roots, recipients=())
    roots, recipients = trusting.adopt(old, theirs)
    trusting.change(own, old, busaba, at=now, roots=roots, recipients=recipients)
    found = open_trust(own, signer=busaba.fingerprint)
    assert {root.state: root.crls for root in found.roots} == {"MY": (crl,), "TH": ()}
    assert found.recipients == theirs.recipients
    assert trusting.adopt(found, theirs) == (found.roots, found.recipients)

    elsewhere = trusting.add_root(Trust(), "TH", thailand.root, "root", said(certificates.fingerprint(thailand.root)), use="stamping")
    with pytest.raises(SigningError, match="already, not TH"):
        trusting.adopt(Trust(elsewhere), found)


def forensics(folder: Path, *words: str) -> subprocess.CompletedProcess:
    places = {"FORENSICS_IDENTITY": "id", "FORENSICS_TRUST": "trust", "FORENSICS_PASSPHRASE_FILE": "secret"}
    environment = os.environ | {name: str(folder / place) for name, place in places.items()}
    command = [sys.executable, "-m", "forensics", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, stdin=subprocess.DEVNULL, cwd=folder)


def test_the_commands_from_a_new_state_to_a_pinned_root(tmp_path, openssl, age_command):
    (tmp_path / "secret").write_bytes(b"correct horse battery\n")
    (tmp_path / "secret").chmod(0o600)
    who = ("--country", "TH", "--organisation", "Police")
    for words in (
        ("identity", "new", "--authority", "ca", "--name", "Root TH", *who),
        ("identity", "new", "--name", "Anan", *who),
        ("identity", "issue", "id/request.pem", "--authority", "ca", "--output", "anan.pem", "--yes"),
        ("identity", "install", "anan.pem"),
        ("identity", "export", "--output", "card.json", "--age-key", "age.key"),
    ):
        done = forensics(tmp_path, *words)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "age.key").stat().st_mode & 0o777 == 0o600
    shown = json.loads(forensics(tmp_path, "identity", "show", "--json").stdout)
    sealed = subprocess.run([age_command, "-r", shown["recipient"]], input=b"for Anan", capture_output=True, check=True).stdout
    opened = subprocess.run([age_command, "-d", "-i", tmp_path / "age.key"], input=sealed, capture_output=True, check=True)
    assert opened.stdout == b"for Anan"
    prints = []
    for path in (tmp_path / "ca/root.pem", tmp_path / "anan.pem"):
        line = subprocess.run(
            [openssl, "x509", "-in", path, "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True, check=True
        )
        prints.append(line.stdout.strip().partition("=")[2])
    refused = forensics(tmp_path, "trust", "add", "card.json", "--state", "TH")
    assert refused.returncode == 1 and "was not confirmed" in refused.stderr
    assert not (tmp_path / "trust").exists()
    done = forensics(tmp_path, "trust", "add", "card.json", "--state", "TH", "--fingerprint", prints[0], "--fingerprint", prints[1])
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in forensics(tmp_path, "trust", "list", "--json").stdout.splitlines()]
    assert [(row["state"], row["what"], row["name"].partition(",")[0]) for row in rows] == [
        ("TH", "root for signing", "CN=Root TH"),
        ("TH", "recipient", "Anan"),
    ]
    (tmp_path / "secret").chmod(0o644)
    refused = forensics(tmp_path, "trust", "remove", prints[0])
    assert refused.returncode == 1 and "chmod 600" in refused.stderr
