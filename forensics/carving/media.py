"""Where files of ISO base media boxes end: HEIC, MP4, MOV (ISO/IEC 14496-12; QuickTime File Format)."""

from collections.abc import Iterator

from forensics.carving.content import Content, Extent

BOXES = 1 << 16
# boxes that stand at the top of a file
_TOP = {
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"meta", b"uuid", b"moof", b"mfra", b"sidx", b"styp", b"pnot", b"udta",
    b"idat", b"pdin", b"prft", b"emsg", b"ssix", b"PICT", b"mpvd", b"meco",
}  # fmt: skip
_STILL = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis", b"hevc", b"hevx")


def boxes(content: Content, start: int, end: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Offset, length of header, size and type of each box between two offsets; one of size 0 ends with the space (size -1)."""
    at = start
    for _ in range(BOXES):
        head = content.read(at, 16)
        if at + 8 > end or len(head) < 8:
            return
        size, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, header = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            yield at, header, -1, kind
            return
        if size < header:
            return
        yield at, header, size, kind
        at += size


def iso_media(content: Content, start: int) -> Extent | None:
    """Boxes of the types that stand at a file's top, from `ftyp` on; `moov` and `meta` must be filled by their own boxes.

    Data without a box that describes them, a description without data, and data whose length is not given, are refused.
    """
    at, seen, brand = start, set[bytes](), content.read(start + 8, 4)
    last = b""
    why: str | None = None
    for offset, header, size, kind in boxes(content, start, content.size):
        if kind not in _TOP or (kind == b"ftyp") != (offset == start):
            break
        if offset == start and not (16 <= size <= 1024 and size % 4 == 0 and brand.isascii()):
            return None
        if (
            kind in (b"moov", b"meta")
            and size > 0
            and offset + size <= content.size
            and not _filled(content, offset + header, offset + size, kind)
        ):
            why = f"the boxes in {kind.decode()} at byte {offset - start} do not fill it"
            break
        if size < 0:
            return None  # it goes on to the end of the file, of which nothing tells
        at, last = offset + size, kind
        seen.add(kind)
        if at > content.size:
            at, why = content.size, f"the space ends in {kind.decode()}"
            break
    if not seen & {b"moov", b"meta", b"moof"} or not seen & {b"mdat", b"idat", b"moof"}:
        return None
    suffix = "heic" if brand in _STILL else "mov" if brand == b"qt  " else "mp4"
    checked = f"boxes {', '.join(sorted(kind.decode('ascii', 'backslashreplace').strip() for kind in seen))}"
    # what describes the data behind them shows where they end; data at the end may be another file's
    return Extent(at - start, checked, why, opaque=last == b"mdat", suffix=suffix)


def _filled(content: Content, start: int, end: int, kind: bytes) -> bool:
    """Whether boxes fill a box, and that which it cannot be without is among them; `meta` has a version before them, in MP4 and HEIC."""
    wanted = b"mvhd" if kind == b"moov" else b"hdlr"
    for first in (start, start + 4) if kind == b"meta" else (start,):
        at, found = first, False
        for offset, _, size, inner in boxes(content, first, end):
            if size < 0:
                break
            at, found = offset + size, found or inner == wanted
        if found and at == end:
            return True
    return False
