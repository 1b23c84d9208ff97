"""Boarding passes: the examples of IATA Resolution 792, pictures of the evidence, and how passes stand in files."""

import io
import json
import random

import pytest
from forensics.plugins.boarding_pass import boarding_pass, read_pass
from PIL import Image

from forensics.model import ByteRange
from forensics.plugin import Corrupt, LimitExceeded
from forensics.testing import run

# Resolution 792, attachment B, examples 1 to 5 of version 5, security data shortened; the same texts are test data of KItinerary
SINGLE = "M1DESMARAIS/LUC       EABC123 YULFRAAC 0834 326J001A0025 100"
ALL_FIELDS = (
    "M1DESMARAIS/LUC       EAB12C3 YULFRAAC 0834 326J003A0027 167>5321WW1325BAC 0014123456002001412346700100141234789012A0141234567890 "
    "1AC AC 1234567890123    4PCYLX58Z^108ABCDEFGH"
)
PARTIAL = "M1GRANDMAIRE/MELANIE  EABC123 GVACDGAF 0123 339C002F0025 130>5002A0571234567890  AF AF 1234567890123456    Y^18ABCDEFGH"
MULTI = (
    "M2DESMARAIS/LUC       EAB12C3 YULFRAAC 0834 326J003A0027 167>5321WW1325BAC 0014123456002001412346700100141234789012A0141234567890 "
    "1AC AC 1234567890123    4PCYLX58ZDEF456 FRAGVALH 3664 327C012C0002 12E2A0140987654321 1AC AC 1234567890123    3PCNWQ^108ABCDEFGH"
)
MULTI_PARTIAL = (
    "M2GRANDMAIRE/MELANIE  EABC123 GVACDGAF 0123 339C002F0025 130>5002A0571234567890  AF AF 1234567890123456    YDEF456 CDGDTWNW 0049 "
    "339F001A0002 12C2A012098765432101                       2PC ^18ABCDEFGH"
)
# version 4 of the same example (a conditional section without fast track)
VERSION_4 = (
    "M1DESMARAIS/LUC       EAB12C3 YULFRAAC 0834 326J003A0027 166>4321WW1325BAC 00141234560020014123467001001412347890129014"
    "1234567890 1AC AC 1234567890123    4PCLX58Z^104ABCD"
)
FIELDS = ("passenger_name", "pnr", "from", "to", "carrier", "flight_number", "julian_day", "compartment", "seat", "sequence", "status")


def read(content: bytes | str, mime: str = "text/plain", **options):
    return run(boarding_pass, content.encode() if isinstance(content, str) else content, mime=mime, given=options)


def told(evidence, name: str) -> dict:
    """What the manifest says of a picture."""
    entries = json.loads((evidence / "manifest.json").read_text())["entries"]
    return next(entry["expected"] for entry in entries if entry["path"] == f"barcodes/{name}")


def test_mandatory_items_of_the_published_example():
    (finding,) = read(SINGLE)
    assert (finding.kind, finding.level, finding.category) == ("boarding-pass", "notable", "SOM-TRAVEL-HISTORY")
    assert [finding.data[name] for name in FIELDS] == [
        *("DESMARAIS/LUC", "ABC123", "YUL", "FRA", "AC", "0834", "326", "J", "001A", "0025", "1"),
    ]
    assert finding.data["electronic_ticket"] == "E"
    assert (finding.data["leg"], finding.data["legs"]) == (1, 1)
    assert finding.locator == ByteRange(0, 60)


def test_all_conditional_items_of_the_published_example():
    (finding,) = read(ALL_FIELDS)
    data = finding.data
    assert (data["version"], data["passenger_description"], data["check_in_source"], data["issuance_source"]) == ("5", "1", "W", "W")
    assert (data["issue_date"], data["document_type"], data["issuer"]) == ("1325", "B", "AC")
    assert [data[name] for name in ("baggage_tag", "baggage_tag_2", "baggage_tag_3")] == ["0014123456002", "0014123467001", "0014123478901"]
    assert (data["airline_numeric_code"], data["document_number"], data["document_verification"]) == ("014", "1234567890", "1")
    assert (data["marketing_carrier"], data["frequent_flyer_airline"], data["frequent_flyer_number"]) == ("AC", "AC", "1234567890123")
    assert (data["free_baggage"], data["fast_track"], data["airline_use"]) == ("4PC", "Y", "LX58Z")
    assert data["security_type"] == "1"
    assert "note" not in data
    assert finding.locator == ByteRange(0, len(ALL_FIELDS))


def test_version_4_has_no_fast_track():
    (finding,) = read(VERSION_4)
    assert (finding.data["version"], finding.data["free_baggage"], finding.data["airline_use"]) == ("4", "4PC", "LX58Z")
    assert "fast_track" not in finding.data


def test_absent_conditional_items_are_absent():
    (finding,) = read(PARTIAL)
    assert (finding.data["passenger_name"], finding.data["from"], finding.data["to"]) == ("GRANDMAIRE/MELANIE", "GVA", "CDG")
    assert (finding.data["airline_numeric_code"], finding.data["frequent_flyer_number"]) == ("057", "1234567890123456")
    assert not {"baggage_tag", "issue_date", "selectee", "free_baggage"} & set(finding.data)


def test_each_leg_is_a_finding():
    first, second = read(MULTI)
    assert [first.data[name] for name in ("pnr", "from", "to", "carrier", "flight_number", "seat")] == [
        *("AB12C3", "YUL", "FRA", "AC", "0834", "003A"),
    ]
    assert [second.data[name] for name in FIELDS] == [
        *("DESMARAIS/LUC", "DEF456", "FRA", "GVA", "LH", "3664", "327", "C", "012C", "0002", "1"),
    ]
    assert (second.data["document_number"], second.data["free_baggage"], second.data["airline_use"]) == ("0987654321", "3PC", "WQ")
    assert (second.data["leg"], second.data["legs"]) == (2, 2)
    assert first.locator == second.locator == ByteRange(0, len(MULTI))


def test_partial_items_of_a_second_leg():
    _, second = read(MULTI_PARTIAL)
    assert [second.data[name] for name in ("from", "to", "carrier", "flight_number", "julian_day", "compartment")] == [
        *("CDG", "DTW", "NW", "0049", "339", "F"),
    ]
    assert (second.data["selectee"], second.data["document_verification"], second.data["free_baggage"]) == ("0", "1", "2PC")


def test_the_day_of_the_year_is_kept_and_read_with_care():
    days = {"326": "11-22, in a leap year 11-21", "059": "02-28", "060": "03-01, in a leap year 02-29", "366": "12-31 of a leap year"}
    for day, meaning in days.items():
        (finding,) = read(SINGLE.replace(" 326J", f" {day}J"))
        assert finding.data["julian_day"] == day
        assert finding.data["julian_day_interpretation"] == f"{meaning}; the year is not stated"


@pytest.mark.parametrize("name", ["bcbp_pdf417.png", "bcbp_aztec.png"])
def test_boarding_pass_in_a_picture_as_the_manifest_says(evidence, name):
    expected = next(e for e in json.loads((evidence / "manifest.json").read_text())["entries"] if e["path"] == f"barcodes/{name}")[
        "expected"
    ]
    (finding,) = run(boarding_pass, evidence / "barcodes" / name)
    facts, data = expected["bcbp"], finding.data
    assert (finding.kind, finding.level) == ("boarding-pass", "notable")
    assert (data["text"], data["passenger_name"], data["pnr"], data["from"], data["to"], data["carrier"]) == tuple(
        facts[key] for key in ("text", "name", "pnr", "from", "to", "carrier")
    )
    assert (data["flight_number"], int(data["julian_day"]), data["compartment"], data["seat"], data["sequence"]) == tuple(
        facts[key] for key in ("flight", "julian_day", "class", "seat", "sequence")
    )
    assert data["barcode"] == expected["barcodes"][0]["format"]
    assert len(data["position"]) == 8


@pytest.mark.parametrize(
    "name", ["aztec-1_HistoricoLong.png", "aztec-1_lorem-075x075.png", "pdf417-1_03.png", "pdf417-1_05.png", "qrcode-1_20.webp"]
)
def test_other_barcode_in_a_picture_as_the_manifest_says(evidence, name):
    expected = next(e for e in json.loads((evidence / "manifest.json").read_text())["entries"] if e["path"] == f"barcodes/{name}")[
        "expected"
    ]
    (finding,) = run(boarding_pass, evidence / "barcodes" / name)
    assert (finding.kind, finding.level) == ("barcode", "info")
    assert (finding.data["barcode"], finding.data["text"]) == (expected["barcodes"][0]["format"], expected["barcodes"][0]["text"])
    assert finding.text == finding.data["text"]


def test_picture_without_a_barcode_gives_nothing(evidence):
    assert run(boarding_pass, evidence / "mrz" / "pacman.png") == []


def picture_of(evidence, name="bcbp_aztec.png"):
    return Image.open(evidence / "barcodes" / name).convert("L")


def saved(picture, form="PNG", **options):
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def test_dark_bars_on_a_transparent_ground_are_read(evidence):
    grey = picture_of(evidence)
    clear = Image.new("RGBA", grey.size, (0, 0, 0, 0))
    clear.putalpha(grey.point(lambda value: 255 - value))
    (finding,) = read(saved(clear), "image/png")
    assert finding.data["pnr"] == "ABC123"


def test_sixteen_bits_a_pixel_are_read(evidence):
    grey = picture_of(evidence)
    deep = grey.convert("I").point(lambda value: value * 257).convert("I;16")
    (finding,) = read(saved(deep), "image/png")
    assert finding.data["pnr"] == "ABC123"


@pytest.mark.parametrize("form, mime", [("JPEG", "image/jpeg"), ("BMP", "image/bmp"), ("GIF", "image/gif"), ("TIFF", "image/tiff")])
def test_other_picture_formats_are_read(evidence, form, mime):
    (finding,) = read(saved(picture_of(evidence), form), mime)
    assert finding.data["pnr"] == "ABC123"


def test_heic_picture_is_read(evidence):
    pillow_heif = pytest.importorskip("pillow_heif")
    grey = picture_of(evidence).resize((600, 600)).convert("RGB")
    out = io.BytesIO()
    pillow_heif.from_pillow(grey).save(out, quality=90)
    (finding,) = read(out.getvalue(), "image/heic")
    assert finding.data["pnr"] == "ABC123"


def test_position_of_a_large_photograph_is_in_its_own_pixels(evidence):
    code = picture_of(evidence, "bcbp_pdf417.png")
    code = code.resize((code.width * 4, code.height * 4))
    sheet = Image.new("L", (6000, 4000), 255)
    sheet.paste(code, (3000, 2500))
    for form, mime in (("PNG", "image/png"), ("JPEG", "image/jpeg")):
        (finding,) = read(saved(sheet, form), mime)
        xs, ys = finding.data["position"][::2], finding.data["position"][1::2]
        assert 3000 <= min(xs) < max(xs) <= 3000 + code.width
        assert 2500 <= min(ys) < max(ys) <= 2500 + code.height


def test_too_large_a_picture_is_refused_by_size_before_it_is_decoded():
    with pytest.raises(LimitExceeded, match="7000 x 7000 pixels is not decoded"):
        read(saved(Image.new("1", (7000, 7000))), "image/png")
    with pytest.raises(LimitExceeded, match="not decoded"):
        read(saved(Image.new("1", (14_000, 14_000))), "image/png")
    small = saved(Image.new("1", (1100, 1000)))
    assert read(small, "image/png", megapixels=2) == []
    with pytest.raises(LimitExceeded, match="limit 1 million"):
        read(small, "image/png", megapixels=1)


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "gif", "bmp", "tiff", "heic", "avif"])
def test_a_damaged_picture_is_corrupt(form):
    for content in (b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a\xff\xff\xff\xff", random.Random(1).randbytes(5000)):
        with pytest.raises(Corrupt, match="cannot be decoded"):
            read(content, f"image/{form}")


def test_a_truncated_picture_is_corrupt(evidence):
    content = (evidence / "barcodes" / "bcbp_pdf417.png").read_bytes()
    with pytest.raises(Corrupt):
        read(content[: len(content) // 2], "image/png")


@pytest.mark.parametrize(
    "write",
    [
        lambda text: f'{{"barcode":{{"message":"{text}","format":"PKBarcodeFormatAztec"}}}}',
        lambda text: f"<td>{text.replace('>', '&gt;')}</td>",
        lambda text: f'{{"message":"{text.replace(">", chr(92) + "u003e")}"}}',
        lambda text: f"x\x00{text}\x00y",
    ],
)
@pytest.mark.parametrize("text", [SINGLE, ALL_FIELDS, MULTI])
@pytest.mark.parametrize("encoding", ["ascii", "utf-16-le"])
def test_pass_is_found_however_a_file_writes_it(write, text, encoding):
    content = b"\x01" + write(text).encode(encoding)
    findings = read(content, "application/octet-stream")
    assert len(findings) == int(text[1])
    assert {finding.data["text"] for finding in findings} == {text}
    locator = findings[0].locator
    stood = content[locator.offset : locator.offset + locator.size].decode(encoding)
    assert stood.replace("&gt;", ">").replace("\\u003e", ">") == text


def test_cut_items_are_named_and_the_rest_kept():
    (finding,) = read(ALL_FIELDS[:90])
    assert finding.data["passenger_name"] == "DESMARAIS/LUC"
    assert "the conditional items of leg 1 are cut: 30 of 103 characters" in finding.data["note"]
    (finding,) = read(PARTIAL)
    assert "the security data are cut: 7 of 138 characters" in finding.data["note"]
    (finding,) = read(SINGLE.replace("M1", "M2"))
    assert "leg 2 of 2 does not fit the format" in finding.data["note"]


@pytest.mark.parametrize(
    "text",
    [
        SINGLE[:59],
        SINGLE.replace("M1", "M5"),
        SINGLE.replace("M1", "S1"),
        SINGLE.replace("326J", "367J"),
        SINGLE.replace("0834", "    "),
        SINGLE.replace("YUL", "YU1"),
        SINGLE.lower(),
        "M1" * 400,
    ],
)
def test_what_is_no_pass_is_not_reported(text):
    assert read(text) == []
    assert read_pass(text) is None


@pytest.mark.parametrize("edge", [248 << 10, 256 << 10, 504 << 10, 512 << 10])
def test_pass_across_a_window_boundary_is_found_exactly_once(edge):
    for shift in range(0, len(MULTI) + 5, 17):
        first, second = read(bytes(edge - shift) + MULTI.encode() + bytes(20 << 10), "application/octet-stream")
        assert first.locator == second.locator == ByteRange(edge - shift, len(MULTI))


@pytest.mark.parametrize("size", [248 << 10, 256 << 10, 264 << 10, 512 << 10])
def test_pass_at_the_very_end_is_found_once(size):
    (finding,) = read(SINGLE.encode().rjust(size, b"\n"))
    assert finding.locator == ByteRange(size - 60, 60)


@pytest.mark.parametrize("seed", range(10))
def test_any_text_behind_the_mandatory_items_is_survived(seed):
    noise = random.Random(seed)
    for _ in range(300):
        tail = "".join(noise.choice(">^0123456789ABCDEF \\u003e&gt;xyz") for _ in range(noise.randrange(200)))
        (first, *_) = read(f"{SINGLE[:-2]}{noise.randrange(256):02X}{tail}")
        assert first.data["pnr"] == "ABC123"
