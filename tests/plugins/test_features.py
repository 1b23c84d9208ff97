"""E-mail addresses, links, numbers and wallets in content.

Checksummed values are the examples of the standards themselves: BIP 173 and 350, EIP-55, the IBAN registry, the card schemes' test
numbers, Monero's and TRON's published addresses, the ITU's and operators' example numbers.
"""

import os
import random

import pytest
from forensics.plugins.features import features, keccak256

from forensics.model import ByteRange
from forensics.testing import run


def found(content: bytes | str, mime: str = "text/plain", **options) -> list[tuple[str, str]]:
    content = content.encode() if isinstance(content, str) else content
    return [(finding.kind, finding.data["value"]) for finding in run(features, content, mime=mime, given=options)]


@pytest.mark.parametrize(
    "text, kind, value",
    [
        ("write to Dana.K+x@Mail.Example.COM, please", "email", "dana.k+x@mail.example.com"),
        (r'{"to":"\nbob@example.org"}', "email", "bob@example.org"),
        ("see (https://Example.com/a_(b)?c=d&e=f).", "url", "https://example.com/a_(b)?c=d&e=f"),
        (r'"https:\/\/t.me\/joinchat\/AAAA"', "url", "https://t.me/joinchat/AAAA"),
        ("http://192.0.2.7:8080/x", "url", "http://192.0.2.7:8080/x"),
        ("http://[2001:db8::1]/", "url", "http://[2001:db8::1]/"),
        ("https://th.wikipedia.org/wiki/ไทย end", "url", "https://th.wikipedia.org/wiki/ไทย"),
        # IBAN registry (SWIFT), examples
        ("IBAN GB29 NWBK 6016 1331 9268 19 THEN TEXT", "iban", "GB29NWBK60161331926819"),
        ("TL380080012345678910157", "iban", "TL380080012345678910157"),
        # published test numbers of the schemes
        ("card 4111 1111 1111 1111.", "payment-card", "4111111111111111"),
        ("5555-5555-5555-4444", "payment-card", "5555555555554444"),
        ("3782 822463 10005", "payment-card", "378282246310005"),
        ("no=3530111333300000;", "payment-card", "3530111333300000"),
        # Bitcoin: genesis block; BIP 13; BIP 173; BIP 350
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "crypto-wallet", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
        ("3P14159f73E4gFr7JterCCQh9QjiTjiZrG", "crypto-wallet", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG"),
        ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "crypto-wallet", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
        (
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            "crypto-wallet",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        ),
        # EIP-55, test cases
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "crypto-wallet", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
        ("0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "crypto-wallet", "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB"),
        ("0xde709f2102306220921060314715629080e2fb77", "crypto-wallet", "0xde709f2102306220921060314715629080e2fb77"),
        ("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "crypto-wallet", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
        (
            "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H",
            "crypto-wallet",
            "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H",
        ),
        ("WA +62 812-3456-7890!", "phone-number", "+6281234567890"),
        ("wa.me/6281234567890", "phone-number", "+6281234567890"),
        ("6281234567890@s.whatsapp.net", "phone-number", "+6281234567890"),
        ("+62 (0)812-3456-7890", "phone-number", "+6281234567890"),
    ],
)
def test_feature_is_found_in_utf8_and_in_both_orders_of_utf16(text, kind, value):
    assert found(text) == [(kind, value)]
    assert found(text.encode("utf-16")) == [(kind, value)]
    assert found(b"\xfe\xff" + text.encode("utf-16-be")) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "icon@2x.png and user@host and a@b..com and @example.com",
        "http:// and http://host/ and https://a.b.c1/ and mailto://x",
        "GB28 NWBK 6016 1331 9268 19",  # check digits changed
        "GB29NWBK6016133192681",  # a digit short
        "4111 1111 1111 1112 and 4111-1111 1111-1111 and 1234567812345670",  # Luhn; separators; no network
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5 bc1QW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",  # BIP 350, invalid
        "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",  # BIP 173, invalid program length for version 0
        "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",  # EIP-55 broken
        "0x0000000000000000000000000000000000000000",
        "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3J",
        "+62 12 and +6281 and +1 202 555 0123",
        "c7 44 24 08 10 00 00 00 c7",
        "0.0812345678 and 2021-09171234567 and 0123456789",
    ],
)
def test_what_does_not_hold_is_not_reported(text):
    assert found(text) == []


# Example mobile numbers of libphonenumber's metadata, one a member state of ASEAN
@pytest.mark.parametrize(
    "number",
    [
        "+6737123456",
        "+62812345678",
        "+85591234567",
        "+8562023123456",
        "+9592123456",
        "+60123456789",
        "+639051234567",
        "+6581234567",
        "+66812345678",
        "+67077212345",
        "+84912345678",
    ],
)
def test_numbers_of_every_asean_state_are_found_in_any_content(number):
    assert found(b"\x00\x01" + number.encode() + b"\xff", mime="application/octet-stream") == [("phone-number", number)]
    assert found(number.encode("utf-16-le"), mime="application/octet-stream") == [("phone-number", number)]


def test_a_philippine_number_in_national_form_is_not_taken_for_an_indonesian_one():
    (finding,) = run(features, b"sms to 09171234567 now", mime="text/plain")
    assert "PH" in finding.data["regions"]
    (finding,) = run(features, b"09171234567", mime="text/plain")
    assert (finding.data["value"], finding.data["regions"]) == ("+639171234567", ["PH"])
    assert finding.data["basis"] == "mobile pattern"


def test_a_national_number_that_fits_several_states_names_them_all_and_keeps_its_digits():
    (finding,) = run(features, "โทร. 081-234-5678".encode(), mime="text/plain")
    assert finding.data["value"] == "0812345678"
    assert {"TH", "ID"} <= set(finding.data["regions"])
    assert "+66812345678" in finding.data["candidates"]
    assert finding.locator == ByteRange(len("โทร. ".encode()), 12)


@pytest.mark.parametrize("text", ["Tel: 6123 4567", "điện thoại: 6123 4567", "HP no. 61234567"])
def test_a_number_without_a_leading_zero_needs_a_word_before_it(text):
    (finding,) = run(features, text.encode(), mime="text/plain")
    assert "+6561234567" in (finding.data["value"], *finding.data.get("candidates", ()))
    assert found("total 6123 4567") == []


def test_national_numbers_are_looked_for_in_text_alone():
    assert found("tel 0812-3456-7890") == [("phone-number", "+6281234567890")]
    assert found("tel 0812-3456-7890", mime="application/octet-stream") == []


def test_repeated_feature_is_one_finding_with_count_and_offsets():
    content = b"x@example.com\n" * 30
    (finding,) = run(features, content, mime="text/plain")
    assert finding.data["count"] == 30
    assert finding.data["offsets"] == [14 * n for n in range(20)]
    assert finding.locator == ByteRange(0, 13)
    assert finding.summary.endswith("(30 times)")


def test_offsets_in_utf16_are_bytes_of_the_content():
    content = b"\x01\x02\x03" + "mail: a.name@example.com now".encode("utf-16-le") + bytes(5)
    (finding,) = run(features, content, mime="application/octet-stream")
    start = content.index("a.name".encode("utf-16-le"))
    assert finding.locator == ByteRange(start, 2 * len("a.name@example.com"))
    assert finding.data["encoding"] == "utf-16-le"
    assert "mail: a.name@example.com now" in finding.data["context"]


@pytest.mark.parametrize("encoding", ["ascii", "utf-16-le"])
@pytest.mark.parametrize("edge", [248 << 10, 256 << 10, 496 << 10, 504 << 10, 512 << 10])
def test_feature_across_a_window_boundary_is_found_exactly_once(encoding, edge):
    text = " name@example.com +6281234567890 ".encode(encoding)
    for shift in range(0, len(text) + 2, 3):
        content = bytes(edge - shift) + text + bytes(20 << 10)
        findings = run(features, content, mime="application/octet-stream")
        assert [(f.data["value"], f.data["count"]) for f in findings] == [("name@example.com", 1), ("+6281234567890", 1)]


@pytest.mark.parametrize("size", [248 << 10, 256 << 10, 257 << 10, 512 << 10])
def test_feature_at_the_very_end_is_found_once(size):
    content = b"last@example.com".rjust(size, b"\n")
    (finding,) = run(features, content, mime="text/plain")
    assert (finding.data["count"], finding.locator) == (1, ByteRange(size - 16, 16))


def test_a_stream_that_reads_short_is_read_to_its_end():
    content = b"first@example.com" + bytes(600_000) + b"last@example.com"

    class Short:
        def __init__(self, data):
            self.data, self.at = data, 0

        def __enter__(self):
            return self

        def __exit__(self, *args):
            return None

        def read(self, size):
            chunk = self.data[self.at : self.at + min(size, 70_001)]
            self.at += len(chunk)
            return chunk

    from forensics.testing import file_of

    file = file_of(content, mime="application/octet-stream")
    file.open = lambda: Short(content)
    values = [finding.data["value"] for finding in features(file, features.prepare(limit=10).value)]
    assert values == ["first@example.com", "last@example.com"]


def test_ways_to_pay_are_proposed_as_payment_and_nothing_else_is():
    found = run(features, b"GB82 WEST 1234 5698 7654 32, 4111 1111 1111 1111, a@example.com", mime="text/plain")
    assert {(each.kind, each.category) for each in found} == {("iban", "SOM-PAYMENT"), ("payment-card", "SOM-PAYMENT"), ("email", None)}


def test_the_limit_on_distinct_features_is_never_silent():
    content = b"\n".join(b"user%d@example.com" % n for n in range(50))
    *kept, limit = run(features, content, mime="text/plain", given={"limit": 7})
    assert [f.data["value"] for f in kept] == [f"user{n}@example.com" for n in range(7)]
    assert (limit.kind, limit.level) == ("features-limit", "notable")
    assert limit.data == {"limit": 7, "dropped": 43}


def test_a_long_link_is_cut_and_says_so():
    (finding,) = run(features, b"http://example.com/" + b"a" * 5000, mime="text/plain")
    assert (len(finding.data["value"]), finding.data["truncated"]) == (2048, True)


def test_random_bytes_hold_no_features():
    assert found(random.Random(1).randbytes(4 << 20), mime="application/octet-stream") == []
    assert found(random.Random(2).randbytes(4 << 20), mime="text/plain") == []


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_of_text_types_are_survived(seed):
    noise = random.Random(seed)
    pieces = [b"@", b"http://", b"+62", b"tel ", b"0", b"\xff\xfe", b"\xe0\xb9", b".", b"[", b"]", b"\\", b"1bc", b"4", os.linesep.encode()]
    content = b"".join(noise.choice(pieces) + noise.randbytes(noise.randrange(6)) for _ in range(3000))
    for head in (b"", b"\xff\xfe", b"\xfe\xff"):
        for finding in run(features, head + content, mime="text/plain"):
            assert finding.data["count"] >= 1


def test_keccak256_gives_the_published_digests():
    # https://keccak.team/files (Keccak submission, round 3, ShortMsgKAT_256: lengths 0 and 8) and Ethereum's empty code hash
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"\xcc").hex() == "eead6dbfc7340a56caedc044696a168870549a6a7f6f56961e84a54bd9970b8a"
    # the selector of ERC-20 transfer
    assert keccak256(b"transfer(address,uint256)")[:4].hex() == "a9059cbb"


def test_links_of_a_browser_history_are_found_in_its_database(evidence):
    # the manifest names this address, read with sqlite3
    path = evidence / "artefacts" / "browser" / "chrome-History"
    values = [value for kind, value in found(path.read_bytes(), mime="application/vnd.sqlite3") if kind == "url"]
    assert any(
        value.startswith("https://raw.githubusercontent.com/dfirlabs/chrome-specimens/master/generate-specimens.sh") for value in values
    )
