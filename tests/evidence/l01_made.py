"""Writes L01 and Lx01 images by the EWF specifications ("Ltree section", "Single files data"): no tool at hand writes them."""

import hashlib
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

CHUNK = 32768
# the columns of each category, in the order that each version of EnCase writes them
ENCASE_5 = "p n id opr src sub cid jq cr ac wr mo dl aq ha ls du lo po mid cfi be pm lpt"
ENCASE_7 = "mid ls be id cr ac wr mo dl sig ha sha ent snh p n du lo po pm oes opr src sub cid jq alt ep aq cfi sg ea lpt"
SOURCES = "p n id ev tb lo po ah sh gu pgu aq"
SUBJECTS = "p n id nu co gu"
NO_VALUES: Mapping[str, str] = MappingProxyType({})


class File(NamedTuple):
    """An entry to write: `below` for folders; `values` stand over those that its content gives."""

    name: str
    content: bytes | None = b""
    below: "Sequence[File]" = ()
    values: Mapping[str, str] = NO_VALUES


def with_sum(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.adler32(data))


class Evidence:
    """Content of files, one after the other, and the list of them."""

    def __init__(self, files: Sequence[File], columns: str = ENCASE_7, sources: Sequence[dict[str, str]] = ()) -> None:
        self.medium = bytearray()
        self.columns, self.root = columns.split(), "26" if columns == ENCASE_7 else "0"
        self.number = 0
        drive = File("C", None, files)
        lines = self.entry(File("LogicalEntries" if self.root == "26" else "", None, [drive], {"be": "0", "id": ""}))
        counted = [f"{self.root}\t1", *lines[1:]]
        self.lines = ["5", "rec", "tb\tcl\tn", f"{len(self.medium)}\t1\t", ""]
        self.lines += ["perm", "0\t1", "p\tn\ts\tpr\tnta\tnti", "0\t0", "1\t\t\t10\t\t", ""]
        self.lines += ["srce", f"{len(sources)}\t1", "\t".join(SOURCES.split()), f"0\t{len(sources)}", "\t" * 11]
        for source in sources:
            self.lines += ["0\t0", "\t".join({"lo": "-1", "po": "-1", **source}.get(name, "") for name in SOURCES.split())]
        self.lines += ["", "sub", "0\t1", "\t".join(SUBJECTS.split()), "0\t0", "\t" * 5, ""]
        self.lines += ["entry", "1\t1", "\t".join(self.columns), *counted, "", ""]

    def entry(self, file: File) -> list[str]:
        """The lines of an entry and of those below it; its content goes to the medium, an empty one as one byte."""
        self.number += 1
        values = {"n": file.name, "id": str(self.number), "opr": "0", "src": "0", "sub": "0", "lo": "-1", "po": "-1", "pm": "-1"}
        if file.content is None:
            values |= {"p": "1", "be": "1 0 1", "opr": str(0x2000000)}
        else:
            stored = file.content or b"\0"
            values |= {"ls": str(len(file.content)), "be": f"1 {len(self.medium):x} {len(stored):x}"}
            values |= {"ha": hashlib.md5(file.content).hexdigest(), "sha": hashlib.sha1(file.content).hexdigest()}
            self.medium += stored
        values |= file.values
        lines = [f"{self.root}\t{len(file.below)}", "\t".join(values.get(name, "") for name in self.columns)]
        for below in file.below:
            lines += self.entry(below)
        return lines

    @property
    def text(self) -> bytes:
        return "\n".join(self.lines).encode("utf-16-le", "surrogatepass")

    def stored(self) -> list[tuple[bytes, bool]]:
        """The chunks of the medium, compressed where that makes them smaller."""
        found = []
        for at in range(0, len(self.medium), CHUNK):
            plain = bytes(self.medium[at : at + CHUNK])
            packed = zlib.compress(plain)
            found.append((packed, True) if len(packed) < len(plain) else (with_sum(plain), False))
        return found

    # --- version 1 ---

    def write_l01(self, path: Path, segments: int = 1) -> Path:
        """Write .L01, .L02 ... The list stands in the last ("Ltree section")."""
        chunks = self.stored()
        share = -(-len(chunks) // segments)
        for number in range(1, segments + 1):
            raw = bytearray(b"LVF\x09\x0d\x0a\xff\x00" + struct.pack("<BHH", 1, number, 0))
            if number == 1:
                names = "a\tc\tn\te\tt\tav\tov\tm\tu\tp"
                header = f"1\nmain\n{names}\ntwo files\tcase 7\t7-1\tM. Vos\t\t7.10\tWindows 7\t1709209400\t1709209400\t0\n\n"
                _section(raw, "header2", zlib.compress(("\ufeff" + header).encode("utf-16-le")))
                _section(raw, "volume", self.volume(len(chunks)))
            part = chunks[(number - 1) * share : number * share]
            if part:
                base = len(raw) + 76
                _section(raw, "sectors", b"".join(data for data, _ in part))
                offsets, at = [], base
                for data, packed in part:
                    offsets.append(at | packed << 31)
                    at += len(data)
                table = with_sum(struct.pack("<I4xQ4x", len(part), 0)) + with_sum(struct.pack(f"<{len(part)}I", *offsets))
                _section(raw, "table", table)
                _section(raw, "table2", table)
            if number == segments:
                _section(raw, "ltypes", struct.pack("<HHH", 0, 0, 0))
                text = self.text
                head = hashlib.md5(text).digest() + struct.pack("<Q", len(text))
                _section(raw, "ltree", head + struct.pack("<I", zlib.adler32(head + bytes(24))) + bytes(20) + text)
                _section(raw, "data", self.volume(len(chunks)))
            _section(raw, "done" if number == segments else "next", b"")
            path.with_suffix(f".L{number:02}").write_bytes(raw)
        return path.with_suffix(".L01")

    def volume(self, chunks: int) -> bytes:
        """The geometry ("Volume section"); media type 14 says logical evidence."""
        sectors = -(-len(self.medium) // 512)
        data = bytearray(1048)
        struct.pack_into("<B3xIIIQ", data, 0, 14, chunks, CHUNK // 512, 512, sectors)
        data[36] = 1
        data[52] = 1
        data[64:80] = b"set identifier. "
        return with_sum(bytes(data))

    # --- version 2 ---

    def write_lx01(self, path: Path, *, encrypted: bool = False) -> Path:
        """Write one .Lx01 ("Single files data", type 0x20)."""
        raw = bytearray(b"LEF2\x0d\x0a\x81\x00" + struct.pack("<BBHI", 2, 1, 1, 1) + b"set identifier. ")
        chunks = self.stored()
        at = _section_2(raw, 0, 2, _attributes({"nm": "two files", "cn": "case 7", "tb": str(len(chunks)), "cp": "1", "sb": "64"}))
        entries, data, base = b"", b"", len(raw)
        for piece, packed in chunks:
            entries += struct.pack("<QII", base + len(data), len(piece), 1 if packed else 2)
            data += piece + bytes(-len(piece) % 16)
        at = _section_2(raw, at, 3, data)
        at = _section_2(raw, at, 4, with_sum(struct.pack("<QI4x", 0, len(chunks))) + bytes(12) + with_sum(entries))
        at = _section_2(raw, at, 0x20, self.text, 3 if encrypted else 1)
        sectors = str(-(-len(self.medium) // 512))
        at = _section_2(raw, at, 1, _attributes({"sn": "", "md": "", "ts": sectors, "bp": "512", "dt": "l"}), 3 if encrypted else 1)
        _section_2(raw, at, 15, b"")
        path.with_suffix(".Lx01").write_bytes(raw)
        return path.with_suffix(".Lx01")


def _section(raw: bytearray, kind: str, data: bytes) -> None:
    last = kind in ("done", "next")
    at, size = len(raw), 76 + len(data)
    raw += with_sum(struct.pack("<16sQQ40x", kind.encode(), at if last else at + size, 0 if last else size)) + data


def _section_2(raw: bytearray, previous: int, kind: int, data: bytes, flags: int = 1) -> int:
    padding = -len(data) % 16
    data += bytes(padding)
    raw += data
    at = len(raw)
    raw += with_sum(struct.pack("<IIQQII", kind, flags, previous, len(data), 64, padding) + hashlib.md5(data).digest() + bytes(12))
    return at


def _attributes(values: dict[str, str]) -> bytes:
    lines = ["1", "main", "\t".join(values), "\t".join(values.values()), "", ""]
    return zlib.compress("\ufeff".encode("utf-16-le") + "\n".join(lines).encode("utf-16-le"))
