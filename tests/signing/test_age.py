"""Encryption with age: the `age` command reads ours and we read its."""

import io
import subprocess

import pytest

from forensics.errors import SigningError
from forensics.signing import decrypt, encrypt

DATA = b"package" * 40_000


def encrypted(*recipients: str) -> bytes:
    target = io.BytesIO()
    encrypt(io.BytesIO(DATA), target, recipients)
    return target.getvalue()


def decrypted(data: bytes, identity) -> bytes:
    target = io.BytesIO()
    decrypt(io.BytesIO(data), target, identity)
    return target.getvalue()


def test_each_recipient_reads_it_and_nobody_else(anan, busaba, malaysia):
    sealed = encrypted(anan.recipient, busaba.recipient)
    assert decrypted(sealed, anan) == decrypted(sealed, busaba) == DATA
    with pytest.raises(SigningError, match="not encrypted to age1"):
        decrypted(sealed, malaysia.officer("Chong"))


def test_the_age_command_reads_what_we_encrypt(anan, age_command, tmp_path):
    key = tmp_path / "key"
    key.write_text(anan.age_secret())
    done = subprocess.run([age_command, "-d", "-i", key], input=encrypted(anan.recipient), capture_output=True, check=True)
    assert done.stdout == DATA


def test_we_read_what_the_age_command_encrypts(anan, age_command):
    made = subprocess.run([age_command, "-r", anan.recipient], input=DATA, capture_output=True, check=True).stdout
    assert decrypted(made, anan) == DATA


@pytest.mark.parametrize("where", [0, 30, 150, 5000, -1])
def test_a_changed_or_cut_file_is_refused(anan, where):
    sealed = encrypted(anan.recipient)
    with pytest.raises(SigningError):
        decrypted(sealed[:where] + bytes([sealed[where] ^ 1]) + sealed[where:][1:], anan)
    with pytest.raises(SigningError):
        decrypted(sealed[: where if where > 0 else len(sealed) - 1], anan)


@pytest.mark.parametrize("recipients", [(), ("age1qqqq",), ("AGE-SECRET-KEY-1",), ("ssh-ed25519 AAAA",)])
def test_without_a_good_recipient_nothing_is_encrypted(recipients):
    with pytest.raises(SigningError):
        encrypted(*recipients)
