"""Reparse points laid out as [MS-FSCC] 2.1.2 says."""

import struct

from forensics.evidence.reparse import Reparse, read_reparse


def buffer(tag: int, flags: bytes, substitute: str, shown: str) -> bytes:
    first, second = substitute.encode("utf-16-le"), shown.encode("utf-16-le")
    names = struct.pack("<HHHH", 0, len(first), len(first), len(second)) + flags + first + second
    return struct.pack("<IHH", tag, len(names), 0) + names


def test_a_junction_and_a_symbolic_link_give_their_substitute_name() -> None:
    assert read_reparse(buffer(0xA0000003, b"", "\\??\\C:\\Users", "C:\\Users")) == Reparse(target="\\??\\C:\\Users")
    assert read_reparse(buffer(0xA000000C, bytes(4), "..\\other", "..\\other")) == Reparse(target="..\\other")


def test_a_file_compressed_by_windows_says_where_its_content_is() -> None:
    note = read_reparse(struct.pack("<IHHIIII", 0x80000017, 16, 0, 1, 2, 1, 0)).note
    assert note is not None
    assert "WofCompressedData" in note


def test_what_is_unknown_or_cut_says_nothing() -> None:
    whole = buffer(0xA000000C, bytes(4), "target", "target")
    assert read_reparse(struct.pack("<IHHQ", 0x9000001A, 8, 0, 0)) == Reparse()
    assert read_reparse(b"") == read_reparse(whole[:12]) == Reparse()
    assert read_reparse(whole[:24]).target == "ta"
