"""Stands in for the folder of test evidence where there is none: photographs with EXIF, documents, databases, lines of travel documents.

usage: make_evidence.py OUTDIR      Standard library alone; the same bytes every time.
"""

import random
import sqlite3
import struct
import sys
from pathlib import Path

# A grey JPEG of 8 x 8 pixels, cut behind its start marker so that an EXIF block goes between.
PIXELS = bytes.fromhex(
    "ffe000104a46494600010100000100010000ffdb0043001b12141714111b1716171e1c1b2028422b28252528513a3d3042605565645f555d5b6a7899816a7190735b"
    "5d85b586909ea3abadab6780bcc9baa6c799a8aba4ffc0000b080008000801011100ffc40014000100000000000000000000000000000000ffc4001410010000000000"
    "0000000000000000000000ffda0008010100003f003fffd9"
)
CAMERAS = (("Canon", "Canon EOS 5D"), ("NIKON CORPORATION", "NIKON D70"), ("Apple", "iPhone 11 Pro"), ("FUJIFILM", "FinePixS2Pro"))
MRZ = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10\n"  # ICAO 9303-4, appendix B
FOLDERS = ("artefacts/windows", "artefacts/browser", "artefacts/linux-mac", "artefacts/mobile", "barcodes", "yara/targets", "malformed")


def exif(make: str, model: str, taken: str) -> bytes:
    """An APP1 block with Make and Model in IFD0 and DateTimeOriginal in the EXIF directory (Exif 2.32, section 4.5)."""
    texts = [text.encode("ascii") + b"\0" for text in (make, model, taken)]
    directories = 8 + (2 + 3 * 12 + 4) + (2 + 12 + 4)
    places = [directories, directories + len(texts[0]), directories + len(texts[0]) + len(texts[1])]
    first = struct.pack("<H", 3)
    for tag, text, place in zip((0x010F, 0x0110), texts, places, strict=False):
        first += struct.pack("<HHII", tag, 2, len(text), place)
    first += struct.pack("<HHIII", 0x8769, 4, 1, 50, 0)
    second = struct.pack("<HHHIII", 1, 0x9003, 2, len(texts[2]), places[2], 0)
    body = b"Exif\0\0II*\0\x08\0\0\0" + first + second + b"".join(texts)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def photograph(number: int, source: random.Random) -> bytes:
    """A JPEG with EXIF, as large as photographs are: what makes it so stands behind its end."""
    make, model = CAMERAS[number % len(CAMERAS)]
    taken = f"20{10 + number % 15}:{number % 12 + 1:02}:{number % 28 + 1:02} {number % 24:02}:{number % 60:02}:00"
    return b"\xff\xd8" + exif(make, model, taken) + PIXELS + source.randbytes(source.randrange(20_000, 400_000))


def main(out: Path) -> None:
    source = random.Random(11)
    for name in FOLDERS:
        (out / name).mkdir(parents=True)
        (out / name / "note.bin").write_bytes(source.randbytes(5000))
    for name in ("photos", "documents", "mrz"):
        (out / name).mkdir()
    for number in range(30):
        (out / "photos" / f"picture {number:02}.jpg").write_bytes(photograph(number, source))
    for number in range(20):
        (out / "documents" / f"report {number:02}.pdf").write_bytes(b"%PDF-1.4\n" + source.randbytes(20_000) + b"\n%%EOF\n")
    (out / "mrz" / "passport.txt").write_text(MRZ)
    with sqlite3.connect(out / "artefacts" / "mobile" / "contacts.db") as database:
        database.execute("create table contact(id integer primary key, name text)")
        database.executemany("insert into contact(name) values(?)", [(f"contact {number}",) for number in range(500)])
    for number in range(10):
        (out / "malformed" / f"cut {number}.jpg").write_bytes(photograph(number, source)[: 40 + number * 30])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
