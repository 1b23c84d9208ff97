"""A secret under a passphrase: pyrage and the `age` command read ours, we read pyrage's, and no other header is accepted."""

import base64
import os
import pty
import re

import pyrage
import pytest

from forensics.errors import SigningError
from forensics.signing import passphrase

SECRET = b"AGE-SECRET-KEY-1QQQ"
WORDS = "correct horse\u00e9"
LOW = 10  # a work factor that costs nothing: what is asked here is the form


@pytest.fixture(scope="module")
def sealed():
    return passphrase.encrypt(SECRET, WORDS.encode(), factor=LOW)


def opened(data):
    return passphrase.decrypt(data, WORDS.encode(), "the file")


def test_the_work_factor_is_owasps_first_choice():
    """Password Storage Cheat Sheet, scrypt: N=2^17 (128 MiB), r=8, p=1; the form has r=8, p=1 (age specification, scrypt recipient)."""
    assert b"\n-> scrypt " in (made := passphrase.encrypt(SECRET, WORDS.encode())) and made.split(b"\n")[1].endswith(b" 17")
    assert pyrage.passphrase.decrypt(made, WORDS) == SECRET


@pytest.mark.parametrize("secret", [b"", SECRET, bytes(65536)], ids=["nothing", "a key", "a whole chunk"])
def test_pyrage_reads_ours(secret):
    made = passphrase.encrypt(secret, WORDS.encode(), factor=LOW)
    assert pyrage.passphrase.decrypt(made, WORDS) == secret == opened(made)


def test_the_age_command_reads_ours(sealed, age_command, tmp_path):
    (tmp_path / "file.age").write_bytes(sealed)
    child, terminal = pty.fork()
    if child == 0:
        os.execv(age_command, [age_command, "-d", "-o", str(tmp_path / "plain"), str(tmp_path / "file.age")])
    said = b""
    while b"passphrase" not in said:
        said += os.read(terminal, 4096)
    os.write(terminal, WORDS.encode() + b"\n")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)
    assert (tmp_path / "plain").read_bytes() == SECRET


def test_we_read_pyrages():
    assert opened(pyrage.passphrase.encrypt(SECRET, WORDS)) == SECRET


def test_every_changed_bit_and_every_cut_is_refused(sealed):
    for at in range(len(sealed)):
        for changed in (sealed[:at] + bytes([sealed[at] ^ 1 << at % 8]) + sealed[at + 1 :], sealed[:at]):
            with pytest.raises(SigningError, match="the file"):
                opened(changed)
    with pytest.raises(SigningError):
        opened(sealed + b"\0")


def test_another_passphrase_opens_nothing(sealed):
    for wrong in (b"", WORDS.encode()[:-1], WORDS.encode() + b"\n"):
        with pytest.raises(SigningError, match="the file: the passphrase does not open it"):
            passphrase.decrypt(sealed, wrong, "the file")
    with pytest.raises(SigningError, match="nothing to encrypt with"):
        passphrase.encrypt(SECRET, b"")


@pytest.mark.parametrize("factor", [21, 22, 30, 64, 99, 255, 999])
def test_a_work_factor_that_would_take_the_machine_is_refused_with_words(sealed, factor):
    with pytest.raises(SigningError, match=rf"the file: wants 2\^{factor} rounds of scrypt, more than 2\^20"):
        opened(sealed.replace(b" 10\n", b" %d\n" % factor))


# What C2SP's test vectors for age have under scrypt_*, stanza_* and hmac_*: each is a header failure there.
WRONG = {
    "no factor": (rb" 10\n", b"\n"),
    "a factor of nothing": (rb" 10\n", b" 0\n"),
    "a negative factor": (rb" 10\n", b" -10\n"),
    "a factor with a plus": (rb" 10\n", b" +10\n"),
    "a factor with a zero before it": (rb" 10\n", b" 010\n"),
    "a factor in hexadecimal": (rb" 10\n", b" 0xa\n"),
    "a factor with more behind it": (rb" 10\n", b" 10b\n"),
    "a factor too long for a number": (rb" 10\n", b" " + b"9" * 20 + b"\n"),
    "one argument more": (rb" 10\n", b" 10 x\n"),
    "another type": (rb"-> scrypt", b"-> Scrypt"),
    "no salt": (rb"scrypt \S+ ", b"scrypt "),
    "a short salt": (rb"(scrypt \S+)\S\S ", rb"\1 "),
    "a long salt": (rb"(scrypt \S+) ", rb"\1AA "),
    "a padded salt": (rb"(scrypt \S+) ", rb"\1== "),
    "an empty body": (rb"10\n\S+\n", b"10\n\n"),
    "another version": (rb"/v1\n", b"/v2\n"),
    "no mark of the end": (rb"\n--- ", b"\n-- "),
    "two spaces before the digest": (rb"\n--- ", b"\n---  "),
    "a space behind the digest": (rb"(--- \S+)\n", rb"\1 \n"),
    "lines that end in two bytes": (rb"\n", b"\r\n"),
}


@pytest.mark.parametrize(("pattern", "other"), WRONG.values(), ids=WRONG)
def test_a_header_of_another_form_is_refused(sealed, pattern, other):
    changed = re.sub(pattern, other, sealed, count=1)
    assert changed != sealed
    with pytest.raises(SigningError, match="the file: not an age file with one passphrase"):
        opened(changed)


def test_two_stanzas_are_refused(sealed):
    first = re.search(rb"-> scrypt \S+ 10\n\S+\n", sealed)[0]
    with pytest.raises(SigningError, match="one scrypt stanza"):
        opened(sealed.replace(first, first * 2))


@pytest.mark.parametrize("number", [1, 2, 3], ids=["salt", "body", "digest"])
def test_base64_that_says_the_same_with_other_bits_is_refused(sealed, number):
    """22 and 43 characters hold more bits than 16 and 32 bytes: RFC 4648, section 3.5."""
    text = re.match(rb"\S+\n-> scrypt (\S+) 10\n(\S+)\n--- (\S+)\n", sealed)[number]
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = text[:-1] + alphabet[alphabet.index(text[-1:]) ^ 1 :][:1]
    padding = b"=" * (-len(text) % 4)
    assert base64.b64decode(text + padding) == base64.b64decode(other + padding)
    with pytest.raises(SigningError):
        opened(sealed.replace(text, other))


def test_a_payload_of_several_chunks_is_no_key_file(sealed):
    with pytest.raises(SigningError, match="not one chunk"):
        opened(sealed + bytes(65537))
    with pytest.raises(SigningError, match="too much to encrypt"):
        passphrase.encrypt(bytes(65537), WORDS.encode(), factor=LOW)
