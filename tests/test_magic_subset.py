"""The database for texts answers as libmagic's whole database does."""

import os
import random
import subprocess
from pathlib import Path

import pytest

from forensics import filetype
from forensics.magic_subset import Subsets, is_text, subsets

SCRIPTS = {
    "import os\n\nclass A:\n    def __init__(self):\n        pass\n": "text/x-script.python",
    "#include <stdio.h>\nint main(void) { return 0; }\n": "text/x-c",
    "import java.util.List;\npublic class A { }\n": None,
    "all:\n\tcc -o a a.c\n": None,
    ".TH LS 1\n.SH NAME\nls\n": "text/troff",
    '\t.file\t"a.c"\n\t.text\n\t.globl main\n': "text/x-asm",
    "\\documentclass{article}\n\\begin{document}\n": "text/x-tex",
    "<!DOCTYPE html>\n<html><head><title>a</title></head></html>\n": "text/html",
    "From: a@example.org\nSubject: b\n\nc\n": None,
    "plain words and nothing more\n": "text/plain",
    "(;GM[1]FF[4]SZ[19])": None,
    "a\tb\tc\td\te\tf\tg\th\ti\tj\tk\tl\n": None,
}


def whole(head: bytes) -> str:
    """What libmagic says with its whole database."""
    return filetype._ask(head, mime=True) or filetype.UNKNOWN


@pytest.fixture(scope="module")
def texts() -> Subsets:
    folder = filetype._folder()
    assert folder
    found = subsets((folder / "magic.mgc").read_bytes())
    assert found is not None, "the layout of this libmagic's database is not the known one: types come out right, but slowly"
    return found


@pytest.mark.parametrize("text", SCRIPTS, ids=lambda text: text[:12].strip())
def test_a_text_is_what_the_whole_database_says(text: str) -> None:
    for head in (
        text.encode(),
        b"\n" + text.encode(),
        b"\xef\xbb\xbf" + text.encode(),
        ("é" + text).encode("latin-1"),
        text.upper().encode(),
    ):
        assert filetype.mime_of(head) == whole(head)
    if SCRIPTS[text]:
        assert filetype.mime_of(text.encode()) == SCRIPTS[text]


def test_binaries_are_what_the_whole_database_says() -> None:
    chance = random.Random(3)
    for first in range(256):
        for size in (2, 40, 600):
            head = bytes([first]) + chance.randbytes(size) + b"\0"
            assert filetype.mime_of(head) == whole(head), head.hex()


def test_files_of_this_machine_are_what_the_whole_database_says(evidence: Path) -> None:
    paths = sorted(path for root in (Path(os.__file__).parent, evidence) for path in root.rglob("*") if path.is_file())
    heads = [head for path in paths[:: max(1, len(paths) // 1500)] if (head := path.read_bytes()[:65536]) and not is_text(head)]
    assert len(heads) > 200
    assert [head[:40] for head in heads if filetype.mime_of(head) != whole(head)] == []


def test_the_order_of_questions_does_not_matter() -> None:
    heads = [text.encode() for text in SCRIPTS] * 3
    random.Random(1).shuffle(heads)
    assert [filetype.mime_of(head) for head in heads] == [whole(head) for head in heads]


def test_texts_of_this_machine_are_what_the_whole_database_says(evidence: Path) -> None:
    paths = sorted(
        path for root in (Path(os.__file__).parent, Path(__file__).parents[1], evidence) for path in root.rglob("*") if path.is_file()
    )
    heads = [head for path in paths[:: max(1, len(paths) // 1500)] if is_text(head := path.read_bytes()[:65536]) and head]
    assert len(heads) > 300
    wrong = [head[:40] for head in heads if filetype.mime_of(head) != whole(head)]
    assert wrong == []


def test_texts_put_together_from_what_libmagic_looks_for(texts: Subsets) -> None:
    """Every word of every test, alone, in the middle of words, at line starts and far into the text."""
    chance = random.Random(7)
    signs = sorted({expression.partition(")")[2].replace("\\", "") for expression in texts.expressions})
    for sign in signs:
        raw = sign.encode("latin-1")
        if not is_text(raw):
            continue
        for head in (raw, b"\n" + raw + b"\n", b"x " + raw, b"word " * chance.randrange(1, 1700) + b"\n" + raw + b" tail;\n"):
            assert filetype.mime_of(head) == whole(head), head[-80:]


def test_contents_put_together_from_what_libmagic_asks_for(texts: Subsets) -> None:
    """The bytes that a test needs, where it needs them, over nothing, blanks, words and chance; and those of a second test."""
    chance = random.Random(11)
    needs = [test.needs for test in texts._tests if test.needs and test.needs.offsets[0] < 2000]
    assert len(needs) > 2500
    for first in needs[::3]:
        size = first.offsets[0] + len(first.value) + chance.choice((0, 1, 30, 700))
        for ground in (bytes(size), b" " * size, (b"some words here\n" * (size // 16 + 1))[:size], chance.randbytes(size)):
            head = bytearray(ground)
            for each in (first, chance.choice(needs)):
                if (at := chance.choice(each.offsets)) + len(each.value) <= size:
                    head[at : at + len(each.value)] = each.value
            assert filetype.mime_of(bytes(head)) == whole(bytes(head)), bytes(head[:80])


@pytest.mark.parametrize("text", SCRIPTS, ids=lambda text: text[:12].strip())
def test_a_text_padded_with_nothing_is_still_that_text(text: str) -> None:
    head = text.encode() + bytes(100)
    assert filetype.mime_of(head) == whole(head)


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff", b"\xff\xfe\0\0"], ids=bytes.hex)
def test_wide_texts_are_what_the_whole_database_says(mark: bytes) -> None:
    for head in (mark, mark + "#!/bin/sh\n".encode("utf-16-le"), mark + "#!/bin/sh\n".encode("utf-32-be"), mark + bytes(8)):
        assert filetype.mime_of(head) == whole(head)


def test_what_is_no_plain_text_is_told() -> None:
    assert not is_text(b"\xff\xfea\0")
    assert not is_text(b"a\0b")
    assert is_text("Überraschung\r\n\t\x1b[1m".encode())


def test_a_database_of_another_layout_is_left_alone() -> None:
    assert subsets(b"") is None
    assert subsets(b"\0" * 752) is None


def test_the_file_command_agrees_on_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("nothing but words of a language and no markup\n" * 20)
    said = subprocess.run(["file", "-b", "--mime-type", str(path)], capture_output=True, text=True, check=True).stdout.strip()
    assert said == filetype.mime_of(path.read_bytes()) == "text/plain"
