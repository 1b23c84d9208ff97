"""Outlook messages, made after MS-CFB and MS-OXMSG: people, dates, text and attachments come out; hostile bytes do no harm."""

import itertools
import random
import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from forensics.plugins.outlook_message import outlook_message

from forensics.plugin import Corrupt, Finding, Unsupported
from forensics.testing import unpack

PICTURE = random.Random(1).randbytes(20_000)
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
TICKS = (1_709_593_628 + 11_644_473_600) * 10**7  # 2024-03-04T23:07:08Z as a FILETIME

Tree = dict[str, Any]


def ole(tree: Tree) -> bytes:
    """A compound file of storages (dict) and streams (bytes), after MS-CFB 2: version 3, sectors of 512 bytes, streams under 4096 bytes in
    the mini stream, siblings in a chain to the right."""
    names: list[tuple[str, int, Any, list[int]]] = [("Root Entry", 5, b"", [])]

    def add(folder: Tree, parent: int) -> None:
        for name, content in sorted(folder.items(), key=lambda item: (len(item[0]), item[0].upper())):
            names.append((name, 1 if isinstance(content, dict) else 2, content, []))
            names[parent][3].append(len(names) - 1)
            if isinstance(content, dict):
                add(content, len(names) - 1)

    add(tree, 0)
    sectors: list[bytes] = []
    chains: list[int] = []
    mini, mini_chain = b"", []

    def store(data: bytes) -> int:
        if not data:
            return END
        start, count = len(sectors), -(-len(data) // 512)
        sectors.extend(data[at : at + 512].ljust(512, b"\0") for at in range(0, len(data), 512))
        chains.extend([*range(start + 1, start + count), END])
        return start

    placed = {}
    for number, (_, kind, content, _) in enumerate(names):
        if kind != 2:
            continue
        if 0 < len(content) < 4096:
            placed[number] = len(mini) // 64
            count = -(-len(content) // 64)
            mini_chain += [*range(placed[number] + 1, placed[number] + count), END]
            mini += content.ljust(64 * count, b"\0")
        else:
            placed[number] = store(content)
    root = store(mini)
    mini_fat = store(struct.pack(f"<{len(mini_chain)}I", *mini_chain).ljust(-(-len(mini_chain) // 128) * 512, b"\xff"))
    entries = b""
    right = {one: after for _, _, _, below in names for one, after in itertools.pairwise(below)}
    for number, (name, kind, content, below) in enumerate(names):
        wide = (name + "\0").encode("utf-16-le")
        start = root if number == 0 else placed.get(number, 0)
        size = len(mini) if number == 0 else len(content) if kind == 2 else 0
        entries += wide.ljust(64, b"\0") + struct.pack(
            "<HBBIII16xI16xIQ", len(wide), kind, 1, FREE, right.get(number, FREE), below[0] if below else FREE, 0, start, size
        )
    directory = store(entries.ljust(-(-len(entries) // 512) * 512, b"\0"))
    fat_count = 1
    while fat_count * 128 < len(sectors) + fat_count:
        fat_count += 1
    fat_at = len(sectors)
    chains.extend([FAT] * fat_count)
    table = struct.pack(f"<{len(chains)}I", *chains).ljust(512 * fat_count, b"\xff")
    mini_start = mini_fat if mini_chain else END
    numbers = (0, fat_count, directory, 0, 4096, mini_start, -(-len(mini_chain) // 128), END, 0)
    header = MAGIC + bytes(16) + struct.pack("<5H6x9I", 0x3E, 3, 0xFFFE, 9, 6, *numbers)
    header += struct.pack("<109I", *range(fat_at, fat_at + fat_count), *[FREE] * (109 - fat_count))
    return header + b"".join(sectors) + table


def text(number: int, value: str) -> Tree:
    return {f"__substg1.0_{number:04X}001F": value.encode("utf-16-le")}


def fixed(header: int, *entries: tuple[int, int, bytes]) -> Tree:
    packed = b"".join(struct.pack("<HHI8s", kind, number, 6, value) for number, kind, value in entries)
    return {"__properties_version1.0": bytes(header) + packed}


def person(name: str, address: str, role: int) -> Tree:
    return {**text(0x3001, name), **text(0x39FE, address), **fixed(8, (0x0C15, 3, struct.pack("<q", role)))}


def message(*, header: int = 32, subject: str = "Überweisung ฿500", **more: Any) -> Tree:
    return {
        **text(0x001A, "IPM.Note"),
        **text(0x0037, subject),
        **text(0x0C1A, "Dana Scully"),
        **text(0x5D01, "dana@example.org"),
        **text(0x1035, "<1@example.org>"),
        **text(0x1000, "Meet me at the pier."),
        **fixed(header, (0x0039, 0x40, struct.pack("<q", TICKS)), (0x3FFD, 3, struct.pack("<q", 1252))),
        "__recip_version1.0_#00000000": person("Fox", "fox@example.org", 1),
        "__recip_version1.0_#00000001": person("Langly", "langly@example.org", 2),
        **more,
    }


def attachment(name: str, content: bytes) -> Tree:
    return {**text(0x3707, name), "__substg1.0_37010102": content, **fixed(8)}


def found(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.kind == "e-mail"]


def test_message_says_who_wrote_to_whom_when_and_what() -> None:
    made = ole(message(**{"__attach_version1.0_#00000000": attachment("passport ü.jpg", PICTURE)}))
    members, findings, error = unpack(outlook_message, made, name="a.msg")
    (finding,) = found(findings)
    assert error is None
    assert finding.when == datetime(2024, 3, 4, 23, 7, 8, tzinfo=UTC)
    assert finding.data["sender"] == "Dana Scully <dana@example.org>"
    assert finding.data["recipients"] == ["Fox <fox@example.org>"]
    assert finding.data["copies_to"] == ["Langly <langly@example.org>"]
    assert finding.data["subject"] == "Überweisung ฿500"
    assert finding.data["message_id"] == "<1@example.org>"
    assert finding.data["attachments"] == ["passport ü.jpg"]
    assert "Meet me at the pier." in finding.text
    assert [(member.path, data) for member, data in members] == [("message.txt", b"Meet me at the pier."), ("passport ü.jpg", PICTURE)]


def test_message_within_a_message_is_read_likewise() -> None:
    inner = message(header=24, subject="the inner one", **{"__attach_version1.0_#00000000": attachment("a.bin", b"inside")})
    outer = message(**{"__attach_version1.0_#00000000": {**text(0x3001, "Fwd"), "__substg1.0_3701000D": inner, **fixed(8)}})
    members, findings, error = unpack(outlook_message, ole(outer))
    assert [finding.data["subject"] for finding in found(findings)] == ["Überweisung ฿500", "the inner one"]
    assert [(member.path, data) for member, data in members][-1] == ("Fwd/a.bin", b"inside")
    assert error is None


def test_text_of_one_byte_a_character_is_in_its_code_page() -> None:
    tree = message()
    del tree["__substg1.0_0037001F"]
    tree["__substg1.0_0037001E"] = "привет".encode("cp1251")
    tree |= fixed(32, (0x3FFD, 3, struct.pack("<q", 1251)))
    _, findings, _ = unpack(outlook_message, ole(tree))
    assert found(findings)[0].data["subject"] == "привет"


def test_compressed_rtf_is_unpacked() -> None:
    # The example of MS-OXRTFCP 4.1.
    packed = bytes.fromhex("2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0")
    members, _, _ = unpack(outlook_message, ole(message(**{"__substg1.0_10090102": packed})))
    assert {member.path: data for member, data in members}["message.rtf"] == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"


def test_page_of_nothing_but_beginnings_is_text() -> None:
    tree = message(**{"__substg1.0_10130102": b"<script " * (1 << 17)})
    del tree["__substg1.0_1000001F"]
    _, findings, error = unpack(outlook_message, ole(tree))
    assert found(findings)[0].text.endswith("<script " * (1 << 17))
    assert error is None


def test_embedded_ole_object_is_said_not_to_be_read() -> None:
    inner = {"CONTENTS": b"a drawing", "__substg1.0_3001001F": b""}
    tree = message(**{"__attach_version1.0_#00000000": {**text(0x3001, "Sheet"), "__substg1.0_3701000D": inner, **fixed(8)}})
    members, findings, error = unpack(outlook_message, ole(tree))
    assert [member.path for member, _ in members] == ["message.txt"]
    assert [finding.data["examples"] for finding in findings if finding.kind == "unread-members"] == [
        ["Sheet: an OLE object, a storage of its own"]
    ]
    assert isinstance(error, Unsupported)


@pytest.mark.parametrize(
    ("method", "kind", "said"),
    [
        (1, "damaged-members", "plan.pdf: the stream of its content is missing"),
        (2, "unread-members", "plan.pdf: a reference to a file elsewhere (\\\\server\\plans\\plan.pdf)"),
        (7, "unread-members", "plan.pdf: a reference to a file elsewhere (\\\\server\\plans\\plan.pdf)"),
    ],
)
def test_an_attachment_without_content_is_said_to_be_lost_or_elsewhere(method: int, kind: str, said: str) -> None:
    """How it is attached is said by PidTagAttachMethod (MS-OXCMSG 2.2.2.9)."""
    lost = text(0x3707, "plan.pdf") | text(0x370D, "\\\\server\\plans\\plan.pdf") | fixed(8, (0x3705, 3, struct.pack("<q", method)))
    members, findings, error = unpack(outlook_message, ole(message(**{"__attach_version1.0_#00000000": lost})))
    assert [member.path for member, _ in members] == ["message.txt"]
    assert [finding.data["examples"] for finding in findings if finding.kind == kind] == [[said]]
    assert isinstance(error, Corrupt if method == 1 else Unsupported)


def test_a_list_of_properties_that_ends_within_an_entry_is_damage() -> None:
    tree = message()
    tree["__properties_version1.0"] += b"\x1e\0\x37\0\6"
    _, findings, error = unpack(outlook_message, ole(tree))
    assert "its last entry has 5 of 16 bytes" in str(
        [finding.data["examples"] for finding in findings if finding.kind == "damaged-members"]
    )
    assert isinstance(error, Corrupt)


def test_recipients_and_attachments_beyond_the_limit_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forensics.plugins.outlook_message.MAX_LISTED", 2)
    more: Tree = {"__recip_version1.0_#00000002": person("Byers", "byers@example.org", 1)}
    more |= {f"__attach_version1.0_#0000000{number}": attachment(f"{number}.bin", b"x") for number in range(4)}
    members, findings, error = unpack(outlook_message, ole(message(**more)))
    assert [member.path for member, _ in members] == ["message.txt", "0.bin", "1.bin"]
    assert found(findings)[0].data["recipients"] == ["Fox <fox@example.org>"]
    assert [finding.data["examples"] for finding in findings if finding.kind == "unread-members"] == [
        ["attachments: of 4 the first 2 are read", "recipients: of 3 the first 2 are read"]
    ]
    assert isinstance(error, Unsupported)


@pytest.mark.parametrize("share", range(1, 20))
def test_cut_message_gives_what_is_there(share: int) -> None:
    made = ole(message(**{"__attach_version1.0_#00000000": attachment("a.jpg", PICTURE)}))
    members, _, error = unpack(outlook_message, made[: len(made) * share // 20])
    assert all(PICTURE.startswith(data) for member, data in members if member.path == "a.jpg")
    assert error is not None


@pytest.mark.parametrize("seed", range(80))
def test_flipped_bytes_end_in_no_other_error(seed: int) -> None:
    chance = random.Random(seed)
    made = bytearray(ole(message(**{"__attach_version1.0_#00000000": attachment("a.jpg", PICTURE[:3000])})))
    for _ in range(10):
        made[chance.randrange(24, len(made))] = chance.choice((0, 1, 0xFF, chance.randrange(256)))
    unpack(outlook_message, bytes(made))


@pytest.mark.parametrize("content", [b"", MAGIC, random.Random(4).randbytes(70_000)])
def test_garbage_is_not_mine_or_corrupt(content: bytes) -> None:
    members, findings, error = unpack(outlook_message, content)
    assert (members, findings) == ([], [])
    assert isinstance(error, Unsupported | Corrupt)
