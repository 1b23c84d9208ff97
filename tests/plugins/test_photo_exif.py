"""Photographs: what exiftool says of them is what the plugin says."""

import importlib.util
import io
import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from forensics.plugin import Attachment, Corrupt, Finding, LimitExceeded, Unsupported
from forensics.testing import file_of, run

_spec = importlib.util.spec_from_file_location("photo_exif", Path(__file__).parents[2] / "plugins" / "photo_exif.py")
assert _spec and _spec.loader
module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(module)
photo_exif = module.photo_exif

FIELDS = {
    "Make": "camera_make",
    "Model": "camera_model",
    "Software": "software",
    "DateTimeOriginal": "time_original",
    "CreateDate": "time_digitized",
    "ModifyDate": "time_modified",
    "OffsetTimeOriginal": "offset_original",
    "Orientation": "orientation",
    "Artist": "artist",
    "Copyright": "copyright",
    "UserComment": "user_comment",
    "ImageWidth": "width",
    "ImageHeight": "height",
}


def until_damage(content: bytes | Path, **file: Any) -> tuple[list[Finding], Corrupt | None]:
    """The findings up to the damage, and the damage."""
    found: list[Finding] = []
    try:
        for finding in photo_exif(file_of(content, needs=photo_exif.needs, **file)):
            found.append(finding)
    except Corrupt as damage:
        return found, damage
    return found, None


def attached(finding: Finding) -> dict[str, Image.Image]:
    return {item.name: Image.open(io.BytesIO(item.content), formats=("JPEG",)) for item in finding.attachments}


def jpeg(exif: Image.Exif | bytes | None = None, size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert("RGB").save(out, "JPEG", exif=exif or Image.Exif(), **options)
    return out.getvalue()


@pytest.fixture(scope="module")
def photographs(evidence: Path) -> Iterator[dict[str, tuple[dict[str, Any], Finding]]]:
    entries = [entry for entry in json.loads((evidence / "manifest.json").read_bytes())["entries"] if entry["kind"] == "photo"]
    yield {entry["path"].partition("/")[2]: (entry["expected"], until_damage(evidence / entry["path"])[0][0]) for entry in entries}


def test_every_tag_is_what_exiftool_says(photographs: dict[str, tuple[dict[str, Any], Finding]]) -> None:
    assert len(photographs) >= 10
    said = {
        (name, tag): str(finding.data.get(field, ""))
        for name, (expected, finding) in photographs.items()
        for tag, field in FIELDS.items()
        if tag in expected
    }
    wanted = {(name, tag): str(expected[tag]) for name, (expected, _) in photographs.items() for tag in FIELDS if tag in expected}
    assert said == wanted


def test_every_position_is_what_exiftool_says(photographs: dict[str, tuple[dict[str, Any], Finding]]) -> None:
    located = {name: pair for name, pair in photographs.items() if "GPSLatitude" in pair[0]}
    assert len(located) == 7
    for expected, finding in located.values():
        assert finding.data["gps_latitude"] == pytest.approx(expected["GPSLatitude"], abs=1e-6)
        assert finding.data["gps_longitude"] == pytest.approx(expected["GPSLongitude"], abs=1e-6)
        assert finding.data.get("gps_altitude") == pytest.approx(expected.get("GPSAltitude"), abs=0.05)
        assert (finding.level, finding.category) == ("notable", "SOM-TRAVEL-HISTORY")
        if "GPSDateTime" in expected:
            assert finding.data["gps_time"] == expected["GPSDateTime"].rstrip("Z")


def test_photographs_without_position_are_not_notable(photographs: dict[str, tuple[dict[str, Any], Finding]]) -> None:
    levels = {finding.level for expected, finding in photographs.values() if "GPSLatitude" not in expected}
    assert levels == {"info"}


def test_summary_names_camera_time_and_place(photographs: dict[str, tuple[dict[str, Any], Finding]]) -> None:
    finding = photographs["Apple iPhone 4.jpg"][1]
    assert finding.kind == "photo"
    assert finding.summary == "Photograph by Apple iPhone 4, 2011-01-13 14:33:39 (camera time, zone unknown), GPS 41.853000, 12.488833"
    assert photographs["HTC Desire.jpg"][1].summary.startswith("Photograph by HTC Desire, 2011-05-06")


def test_camera_time_without_zone_stays_naive(photographs: dict[str, tuple[dict[str, Any], Finding]]) -> None:
    assert photographs["Apple iPhone 4.jpg"][1].when == datetime(2011, 1, 13, 14, 33, 39)


def test_camera_time_with_offset_is_utc_and_heic_is_read(photographs: dict[str, tuple[dict[str, Any], Finding]]) -> None:
    assert photographs["exif-at-eof.heic"][1].when == datetime(2020, 5, 4, 22, 39, 11, 644000, tzinfo=UTC)


def test_clock_is_compared_with_the_receivers(photographs: dict[str, tuple[dict[str, Any], Finding]]) -> None:
    assert photographs["HTC Desire.jpg"][1].data["camera_minus_gps_seconds"] == 2 * 3600


def test_picture_and_embedded_thumbnail_are_attached(photographs: dict[str, tuple[dict[str, Any], Finding]]) -> None:
    finding = photographs["Sony DSC-HX5V (2).jpg"][1]
    assert {name: image.size for name, image in attached(finding).items()} == {
        "embedded-thumbnail.jpg": (160, 120),
        "picture-thumbnail.jpg": (256, 192),
    }
    assert finding.data["thumbnail_differs"] is False
    assert all(item.mime == "image/jpeg" for item in finding.attachments)


def test_thumbnails_are_the_same_each_time(evidence: Path) -> None:
    path = evidence / "photos" / "FujiFilm FinePixS1Pro (1).jpg"
    assert [item.content for item in run(photo_exif, path)[0].attachments] == [
        item.content for item in run(photo_exif, path)[0].attachments
    ]


def test_thumbnail_carries_no_metadata_of_the_evidence() -> None:
    attachment: Attachment = run(photo_exif, jpeg(comment=b"secret", icc_profile=b"profile" * 9))[0].attachments[0]
    assert b"secret" not in attachment.content
    assert b"profile" not in attachment.content


def test_editing_software_is_a_lead_of_its_own(evidence: Path) -> None:
    photo, edited = run(photo_exif, evidence / "photos" / "FujiFilm FinePixS1Pro (1).jpg")
    assert (photo.kind, edited.kind, edited.level) == ("photo", "edited-picture", "notable")
    assert edited.data["software"] == "Adobe Photoshop 7.0"
    taken, modified = datetime(2002, 7, 13, 15, 58, 28), datetime(2002, 7, 19, 13, 28, 10)
    assert edited.data["modified_minus_original_seconds"] == (modified - taken).total_seconds()
    assert edited.when == modified
    assert "may have been" in edited.summary


def test_firmware_versions_are_not_editing_software(evidence: Path) -> None:
    assert [finding.kind for finding in run(photo_exif, evidence / "photos" / "Apple iPhone 4.jpg")] == ["photo"]


def test_picture_without_exif_is_still_shown() -> None:
    [finding] = run(photo_exif, jpeg())
    assert (finding.kind, finding.summary, finding.when, finding.level) == ("picture", "Picture, 64 x 48 pixels", None, "info")
    assert list(attached(finding)) == ["picture-thumbnail.jpg"]


def test_thumbnail_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    [finding] = run(photo_exif, jpeg(exif))
    assert attached(finding)["picture-thumbnail.jpg"].size == (48, 64)
    assert (finding.data["width"], finding.data["height"]) == (64, 48)


def test_thumbnail_of_another_shape_is_noted() -> None:
    assert module._differs(Image.new("RGB", (160, 40), "white"), (640, 480)) is True
    assert module._differs(Image.new("RGB", (120, 160), "white"), (640, 480)) is False
    barred = Image.new("RGB", (160, 120))
    barred.paste("white", (0, 15, 160, 105))
    assert module._differs(barred, (1920, 1080)) is False


def test_png_keeps_its_software_in_a_text_chunk() -> None:
    from PIL.PngImagePlugin import PngInfo

    chunks, out = PngInfo(), io.BytesIO()
    chunks.add_text("Software", "GIMP 2.10")
    Image.new("RGB", (8, 8)).save(out, "PNG", pnginfo=chunks)
    assert [finding.kind for finding in run(photo_exif, out.getvalue())] == ["picture", "edited-picture"]


def test_control_characters_never_reach_the_summary() -> None:
    exif = Image.Exif()
    exif[0x0110] = "Evil\n\x1b[31mcam\u202e"
    [finding] = run(photo_exif, jpeg(exif))
    assert finding.summary.isprintable()


def test_impossible_times_and_positions_are_not_interpreted() -> None:
    exif = Image.Exif()
    exif[0x0110] = "camera"
    exif.get_ifd(0x8769)[0x9003] = "0000:00:00 00:00:00"
    exif.get_ifd(0x8825).update({1: "N", 2: (91.0, 0.0, 0.0), 3: "E", 4: (1.0, 0.0, 0.0)})
    [finding] = run(photo_exif, jpeg(exif))
    assert finding.when is None
    assert finding.data["time_original"] == "0000:00:00 00:00:00"
    assert finding.data["gps_latitude_found"] == "91 0 0 N"
    assert "gps_latitude" not in finding.data
    assert finding.level == "info"


def test_picture_that_breaks_off_is_described_then_reported(evidence: Path) -> None:
    content = (evidence / "photos" / "Apple iPhone 4.jpg").read_bytes()
    found, damage = until_damage(content[: len(content) // 2])
    assert found[0].data["camera_model"] == "iPhone 4"
    assert list(attached(found[0])) == ["picture-thumbnail.jpg"]
    assert "damaged" in str(found[0].data["thumbnail_note"])
    assert "cannot be decoded" in str(damage)


def test_exif_of_a_picture_without_pixels_is_still_read(evidence: Path) -> None:
    found, damage = until_damage((evidence / "photos" / "Nikon E995 (iptc).jpg").read_bytes()[:1500])
    assert found[0].data["camera_make"] == "NIKON"
    assert damage is not None


def test_huge_pictures_are_not_decoded() -> None:
    out = io.BytesIO()
    Image.new("1", (9000, 9000)).save(out, "PNG")
    [finding] = run(photo_exif, out.getvalue())
    assert finding.attachments == ()
    assert "more than 60000000 pixels" in str(finding.data["thumbnail_note"])
    header = b"IHDR" + (60000).to_bytes(4, "big") * 2 + b"\x01\0\0\0\0"
    content = out.getvalue()
    with pytest.raises(LimitExceeded, match="not opened"):
        run(photo_exif, content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:])


def test_tags_that_ask_for_endless_reading_end() -> None:
    entry = b"\x00\xff\x00\x01\x00\x00\x03\x00\x00\x00\x00\x08"  # tag 255: 768 bytes from offset 8, 5,000 times over
    found, damage = until_damage(jpeg(exif=b"Exif\0\0MM\0*\0\0\0\x08" + (5000).to_bytes(2, "big") + entry * 5000))
    assert [finding.kind for finding in found] == ["picture"]
    assert "more than 50000 reads" in str(damage)


def test_raw_formats_within_tiff_are_described_though_not_decoded() -> None:
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x010F] = "NIKON"
    Image.new("RGB", (8, 8)).save(out, "TIFF", exif=exif)
    compression = b"\x03\x01\x03\x00\x01\x00\x00\x00"  # tag 259, SHORT, one value
    raw = out.getvalue().replace(compression + b"\x01\x00", compression + (34713).to_bytes(2, "little"))  # "Nikon NEF compressed"
    found = []
    with pytest.raises(Unsupported, match="variant"):
        for finding in photo_exif(file_of(raw, needs=photo_exif.needs)):
            found.append(finding)
    assert [finding.data["camera_make"] for finding in found] == ["NIKON"]


def test_other_content_is_not_a_picture(evidence: Path) -> None:
    with pytest.raises(Unsupported):
        run(photo_exif, b"")
    with pytest.raises(Unsupported):
        run(photo_exif, evidence / "documents" / "javascript.pdf")


def test_fuzzed_media_end_in_findings_or_in_a_named_error(evidence: Path) -> None:
    paths = sorted((evidence / "malformed").glob("crash-*.jpg"))
    assert len(paths) > 30
    ends = set()
    for path in paths:
        try:
            run(photo_exif, path)
        except (Unsupported, Corrupt) as end:
            ends.add(type(end))
    assert ends <= {Unsupported, Corrupt}
    assert ends


def test_libraries_may_log_again_afterwards(evidence: Path) -> None:
    import logging

    before = logging.root.manager.disable
    run(photo_exif, evidence / "photos" / "Apple iPhone 4.jpg")
    assert logging.root.manager.disable == before
