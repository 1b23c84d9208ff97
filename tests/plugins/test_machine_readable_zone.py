"""Machine-readable zones: the specimens of ICAO Doc 9303, and how they stand in files."""

import random

import pytest
from forensics.plugins.machine_readable_zone import check_digit, machine_readable_zone

from forensics.model import ByteRange
from forensics.testing import run

# Doc 9303 parts 5, 6, 4 and 7: the specimens printed there
TD1 = ["I<UTOD231458907<<<<<<<<<<<<<<<", "7408122F1204159UTO<<<<<<<<<<<6", "ERIKSSON<<ANNA<MARIA<<<<<<<<<<"]
TD2 = ["I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<", "D231458907UTO7408122F1204159<<<<<<<6"]
TD3 = ["P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<<<<10"]
MRV_A = ["V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L8988901C4XXX4009078F96121096ZE184226B<<<<<<"]
MRV_B = ["V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<", "L8988901C4XXX4009078F9612109<<<<<<<<"]
# Doc 9303 part 11, appendix D.2: a number of 12 characters
LONG_TD1 = ["I<UTOD23145890<7349<<<<<<<<<<<", "3407127M9507122UTO<<<<<<<<<<<2", "STEVENSON<<PETER<JOHN<<<<<<<<<"]
LONG_TD2 = ["I<UTOSTEVENSON<<PETER<JOHN<<<<<<<<<<", "D23145890<UTO3407127M95071227349<<<8"]
SPECIMENS = {"TD1": TD1, "TD2": TD2, "TD3": TD3, "MRV-A": MRV_A, "MRV-B": MRV_B}


def read(content: bytes | str, mime: str = "text/plain"):
    return run(machine_readable_zone, content.encode() if isinstance(content, str) else content, mime=mime)


def test_check_digits_are_those_of_the_specification():
    # Doc 9303-3 section 4.9, examples 1 to 3
    assert check_digit("520727") == "3"
    assert check_digit("AB2134<<<") == "5"
    assert check_digit("HA672242<658022549601086<<<<<<<<<<<<<<0") == "8"


@pytest.mark.parametrize(
    "form, number, nationality, birth, born, expiry, expires, optional",
    [
        ("TD1", "D23145890", "UTO", "740812", "1974-08-12", "120415", "2012-04-15", ""),
        ("TD2", "D23145890", "UTO", "740812", "1974-08-12", "120415", "2012-04-15", ""),
        ("TD3", "L898902C3", "UTO", "740812", "1974-08-12", "120415", "2012-04-15", "ZE184226B"),
        ("MRV-A", "L8988901C", "XXX", "400907", "1940-09-07", "961210", "1996-12-10", "6ZE184226B"),
        ("MRV-B", "L8988901C", "XXX", "400907", "1940-09-07", "961210", "1996-12-10", ""),
    ],
)
def test_specimen_is_read_whole(form, number, nationality, birth, born, expiry, expires, optional):
    (finding,) = read("\n".join(SPECIMENS[form]))
    data = finding.data
    assert (finding.kind, finding.level, data["format"]) == ("travel-document", "notable", form)
    assert finding.category == "SOM-IDENTITY"
    assert (data["surname"], data["given_names"], data["sex"]) == ("ERIKSSON", "ANNA MARIA", "F")
    assert (data["issuing_state"], data["nationality"], data["document_number"]) == ("UTO", nationality, number)
    assert (data["birth_date"], data["birth_date_interpretation"]) == (birth, born)
    assert (data["expiry_date"], data["expiry_date_interpretation"]) == (expiry, expires)
    assert (data["optional_data"], data["mrz"], data["checks_failed"]) == (optional, SPECIMENS[form], [])


def test_facts_of_the_specimen_passport_in_the_manifest():
    # mrz/passport-td3.png, as read by PassportEye and by eye; its text is given here, for pictures are not read
    (finding,) = read("\n".join(TD3))
    assert finding.data["document_number"] == "L898902C3"
    assert finding.data["optional_data"] == "ZE184226B<<<<<".rstrip("<")
    assert finding.data["checks_passed"] == ["document_number", "birth_date", "expiry_date", "personal_number", "composite"]


@pytest.mark.parametrize("lines", [LONG_TD1, LONG_TD2])
def test_a_long_document_number_runs_on_into_the_optional_data(lines):
    (finding,) = read("\n".join(lines))
    assert (finding.data["document_number"], finding.data["optional_data"]) == ("D23145890734", "")
    assert finding.data["checks_failed"] == []
    assert finding.data["birth_date_interpretation"] == "1934-07-12"


def test_names_nationality_sex_and_state_are_called_unprotected():
    (finding,) = read("\n".join(TD3))
    assert finding.data["unprotected"] == ["surname", "given_names", "nationality", "sex", "issuing_state"]
    assert "no check digit protects names, nationality, sex and issuing state" in finding.summary


@pytest.mark.parametrize("form", SPECIMENS)
@pytest.mark.parametrize(
    "write",
    [
        "\n".join,
        "\r\n".join,
        "".join,
        "\\n".join,
        "\\r\\n".join,
        "<br/>\n".join,
        '","'.join,
        '",\n  "'.join,
        lambda lines: "\n".join(lines).replace("<", "&lt;"),
        lambda lines: "</p>\n<p>".join(line.replace("<", "&lt;") for line in lines),
        lambda lines: "\\n".join(lines).replace("<", "\\u003c"),
    ],
)
def test_zone_is_found_however_a_file_writes_it(form, write):
    text = write(SPECIMENS[form])
    for content, at in ((f"MRZ: {text} end", 5), (f'"{text}"', 1), (text, 0)):
        (finding,) = read(content)
        assert (finding.data["mrz"], finding.level) == (SPECIMENS[form], "notable")
        assert finding.locator.offset == content.index(text[:2], at)
    for prefix in (b"", b"\xff\xfe", b"\x01\x02\x03"):
        content = prefix + f"MRZ: {text} end".encode("utf-16-le")
        (finding,) = read(content)
        assert finding.data["mrz"] == SPECIMENS[form]
        assert content[finding.locator.offset :].startswith(text[:2].encode("utf-16-le"))


def test_locator_covers_the_zone():
    text = "\n".join(TD2)
    (finding,) = read(f"....{text}....")
    assert finding.locator == ByteRange(4, len(text))


def test_a_wrong_check_digit_is_named_and_lowers_the_level():
    (finding,) = read(TD3[0] + "\n" + TD3[1].replace("7408122", "7408123"))
    assert finding.level == "info"
    assert finding.data["checks_failed"] == ["birth_date", "composite"]
    assert "check digits fail: birth_date, composite" in finding.summary


@pytest.mark.parametrize(
    "text",
    [
        TD3[0],
        TD3[0] + "\n" + TD3[1][:-1],
        TD3[0] + "\n" + TD3[1] + "<",
        "X" + "\n".join(TD3),
        "\n".join(TD3).replace("F12", "Q12"),  # sex
        "\n".join(TD3).replace("ERIKSSON", "ER1KSSON"),
        "\n".join(TD3).replace("740812", "74O812"),
        "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C31UTO7408121F1204151ZE184226B<<<<<11",
        "\n".join(TD3).lower(),
        "A" * 5000,
        "<" * 5000,
        "PABCD" + "0" * 5000,
    ],
)
def test_what_is_no_zone_is_not_reported(text):
    assert read(text) == []


def test_an_unknown_state_is_noted_and_no_more():
    (finding,) = read("\n".join(TD3).replace("P<UTO", "P<QQQ"))
    assert finding.level == "notable"
    assert "QQQ is no code of Doc 9303-3 section 5" in finding.data["note"]


def test_germany_has_one_letter():
    (finding,) = read("\n".join(TD3).replace("P<UTO", "P<D<<").replace("UTO", "D<<"))
    assert (finding.data["issuing_state"], finding.data["nationality"]) == ("D", "D")
    assert "is no code" not in finding.data["note"]


def test_an_unknown_day_of_birth_stays_unknown():
    born = "7408<<"
    line = f"L898902C36UTO{born}{check_digit(born)}F1204159ZE184226B<<<<<1"
    line += check_digit(line[:10] + line[13:20] + line[21:43])
    (finding,) = read(TD3[0] + "\n" + line)
    assert (finding.data["birth_date"], finding.data["birth_date_interpretation"]) == ("7408<<", "1974-08")
    assert finding.data["checks_failed"] == []


def test_a_child_is_born_in_the_century_of_the_expiry():
    born = "080229"
    line = f"L898902C36UTO{born}{check_digit(born)}F1204159ZE184226B<<<<<1"
    line += check_digit(line[:10] + line[13:20] + line[21:43])
    (finding,) = read(TD3[0] + "\n" + line)
    assert finding.data["birth_date_interpretation"] == "2008-02-29"
    assert "two-digit years" in finding.data["note"]


@pytest.mark.parametrize("edge", [252 << 10, 256 << 10, 508 << 10, 512 << 10])
@pytest.mark.parametrize("encoding", ["ascii", "utf-16-le"])
def test_zone_across_a_window_boundary_is_found_exactly_once(edge, encoding):
    zone = "\n".join(TD3).encode(encoding)
    for shift in range(0, len(zone) + 2, 11):
        (finding,) = read(bytes(edge - shift) + zone + bytes(9 << 10), "application/octet-stream")
        assert finding.locator == ByteRange(edge - shift, len(zone))


@pytest.mark.parametrize("size", [252 << 10, 256 << 10, 260 << 10, 512 << 10])
def test_zone_at_the_very_end_is_found_once(size):
    (finding,) = read("\n".join(TD1).encode().rjust(size, b"\n"))
    assert finding.locator == ByteRange(size - 92, 92)


def test_many_zones_are_all_reported_and_the_limit_is_said(monkeypatch):
    module = machine_readable_zone.function.__globals__
    monkeypatch.setitem(module, "_LIMIT", 5)
    *kept, last = read("\n\n".join(["\n".join(TD3)] * 8))
    assert len(kept) == 5
    assert (last.kind, last.level) == ("travel-document-limit", "notable")


def test_picture_without_text_gives_nothing(evidence):
    assert read((evidence / "mrz" / "pacman.png").read_bytes(), "application/octet-stream") == []


@pytest.mark.parametrize("seed", range(10))
def test_any_bytes_are_survived(seed):
    noise = random.Random(seed)
    alphabet = b"ACIPV<0123456789UTO&lt;\\n\x00\n\"',br/"
    content = bytes(noise.choice(alphabet) for _ in range(200_000)) + noise.randbytes(100_000)
    for finding in read(content):
        assert len(finding.data["checks_passed"]) >= 2
