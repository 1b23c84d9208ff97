"""What container plugins share: streams out of pieces, and the account of what is wrong with members."""

import pytest

from forensics.errors import Corrupt, Locked, Unsupported
from forensics.members import EXAMPLES, Inventory, shown, stream_of


def test_stream_gives_the_pieces_in_order_and_asks_for_no_more_than_it_needs() -> None:
    asked = []

    def pieces():  # type: ignore[no-untyped-def]
        for number in range(1000):
            asked.append(number)
            yield bytes([number % 256]) * 10_000

    with stream_of(pieces()) as stream:
        assert stream.read(3) == b"\0\0\0"
        assert len(asked) <= 8
        assert stream.read(9_998) == b"\0" * 9_997 + b"\1"
    with stream_of((b"", b"ab", b"", b"c")) as stream:
        assert stream.read() == b"abc"


def test_error_of_a_piece_reaches_the_reader() -> None:
    def pieces():  # type: ignore[no-untyped-def]
        yield b"a"
        raise Corrupt("here")

    with pytest.raises(Corrupt, match="here"), stream_of(pieces()) as stream:
        stream.read()


@pytest.mark.parametrize(
    ("path", "text"),
    [("a/b", "a/b"), ("\udcff", "\\xff"), ("a\nb", "a\\nb"), ("\u202egpj", "\\u202egpj"), ("\ud800", "\\ud800"), ("x" * 999, "x" * 300)],
)
def test_path_is_shown_on_one_harmless_line(path: str, text: str) -> None:
    assert shown(path) == text
    assert shown(path).encode()


def test_container_in_order_has_nothing_to_say() -> None:
    inventory = Inventory("zip archive")
    inventory.note("a")
    inventory.note("folder/", directory=True)
    inventory.note("folder/", directory=True)
    assert list(inventory.conclude()) == []


@pytest.mark.parametrize("path", ["/a", "\\a", "C:\\a", "c:/a", "a/../b", "..", "a\\..\\b", "a\x1bb", "\u202ea"])
def test_name_out_of_order_is_said(path: str) -> None:
    inventory = Inventory("zip archive")
    inventory.note(path)
    assert [finding.kind for finding in inventory.conclude()] == ["suspicious-member-name"]


@pytest.mark.parametrize("path", ["a..b", "...", "a/b..", "ab:c", "ขอ"])
def test_unusual_name_is_in_order(path: str) -> None:
    inventory = Inventory("zip archive")
    inventory.note(path)
    assert list(inventory.conclude()) == []


def test_damage_comes_before_locks_and_locks_before_what_is_not_read() -> None:
    inventory = Inventory("zip archive")
    inventory.unread("c", "PPMd")
    for finding, error in ((1, Unsupported), (2, Locked), (3, Corrupt)):
        findings = []
        with pytest.raises(error):
            for one in inventory.conclude():
                findings.append(one)
        assert len(findings) == finding
        (inventory.locked if finding == 1 else lambda path: inventory.damaged(path, "why"))("b")


def test_examples_are_few_and_counts_are_whole() -> None:
    inventory = Inventory("tar archive")
    for number in range(1000):
        inventory.note(f"../{number}")
    (finding,) = inventory.findings()
    assert finding.data["climbing_names"] == 1000
    assert len(finding.data["examples"]) == EXAMPLES  # type: ignore[arg-type]
