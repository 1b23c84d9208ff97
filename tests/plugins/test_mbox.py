"""Mailboxes: the messages that the standard library put in come out, byte by byte."""

import mailbox
import random
from email.message import EmailMessage
from pathlib import Path

import pytest
from forensics.plugins.mbox import mbox

from forensics.plugin import Unsupported
from forensics.testing import unpack


def messages() -> list[bytes]:
    made = []
    for number in range(5):
        one = EmailMessage()
        one["From"], one["To"], one["Subject"] = f"{number}@example.org", "x@example.org", f"message {number}"
        one.set_content(f"text {number}\n\nFrom here to there\n\nFrom x Mon Jan  1 00:00:00 2024\nis in the text\n" + "long " * 20_000)
        made.append(one.as_bytes())
    return made


def test_messages_come_out_as_they_went_in(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "box")
    for one in messages():
        box.add(one)
    box.close()
    expected = [f"message {number}" for number in range(5)]
    members, findings, error = unpack(mbox, tmp_path / "box")
    assert [member.path for member, _ in members] == [f"{number:06}.eml" for number in range(1, 6)]
    assert [data.split(b"Subject: ")[1].split(b"\n")[0].decode() for _, data in members] == expected
    for (member, data), given in zip(members, messages(), strict=True):
        assert data.replace(b"\n>From ", b"\nFrom ").rstrip() == given.rstrip()
        assert member.size == len(data)
    assert (findings, error) == ([], None)


def test_line_in_a_text_that_begins_with_from_parts_nothing() -> None:
    data = b"From a@b.c Mon Jan  1 00:00:00 2024\nSubject: x\n\nhello\nFrom b@b.c Mon Jan  1 00:00:00 2024\nSubject: no\n\nFrom nobody\n\nx"
    assert len(unpack(mbox, data)[0]) == 1


def test_lines_with_carriage_returns_are_read() -> None:
    data = b"From - Mon Jan  1 00:00:00 2024\r\nSubject: x\r\n\r\nhello\r\n\r\nFrom - Mon Jan  1 00:00:00 2024\r\nSubject: y\r\n\r\nbye\r\n"
    assert [content for _, content in unpack(mbox, data)[0]] == [b"Subject: x\r\n\r\nhello\r\n", b"Subject: y\r\n\r\nbye\r\n"]


@pytest.mark.parametrize("share", range(1, 20))
def test_cut_mailbox_gives_its_beginning(share: int) -> None:
    whole = b"".join(b"From - Mon Jan  1 00:00:00 2024\n" + one + b"\n" for one in messages())
    members, _, error = unpack(mbox, whole[: len(whole) * share // 20])
    assert all(whole.count(data) == 1 for _, data in members)
    assert members
    assert error is None


GARBAGE = [b"", b"From ", b"From here on\nall is text\n", b"From a Mon Jan  1 00:00:00 2024\n", random.Random(4).randbytes(70_000)]


@pytest.mark.parametrize("content", GARBAGE)
def test_garbage_is_not_mine(content: bytes) -> None:
    assert isinstance(unpack(mbox, content)[2], Unsupported)
