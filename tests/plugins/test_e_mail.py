"""E-mail messages: what the standard library wrote comes out again; what is hostile does no harm."""

import random
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest
from forensics.plugins.e_mail import e_mail

from forensics.plugin import Corrupt, Finding, LimitExceeded, Unsupported
from forensics.testing import unpack

PICTURE = random.Random(1).randbytes(100_000)


def message() -> EmailMessage:
    made = EmailMessage(policy=SMTP)
    made["From"] = "Däna Scully <dana@example.org>"
    made["To"] = "Fox <fox@example.org>, skinner@example.org"
    made["Cc"] = "langly@example.org"
    made["Subject"] = "Überweisung ฿500"
    made["Date"] = "Tue, 05 Mar 2024 06:07:08 +0700"
    made["Message-ID"] = "<1@example.org>"
    made["Received"] = "from a by b; Mon, 4 Mar 2024 23:07:09 +0000"
    made.set_content("Meet me at the pier.\n")
    made.add_alternative("<p>Meet me at the <b>pier</b>.</p>", subtype="html")
    made.add_attachment(PICTURE, maintype="image", subtype="jpeg", filename="passport ü.jpg")
    made.add_attachment("naïve\n", filename="note.txt", cte="quoted-printable")
    return made


def found(findings: list[Finding]) -> Finding:
    (finding,) = (finding for finding in findings if finding.kind == "e-mail")
    return finding


def test_message_says_who_wrote_to_whom_when_and_what() -> None:
    _, findings, error = unpack(e_mail, message().as_bytes(), name="a.eml")
    finding = found(findings)
    assert error is None
    assert finding.when == datetime(2024, 3, 4, 23, 7, 8, tzinfo=UTC)
    assert finding.data["sender"] == "Däna Scully <dana@example.org>"
    assert finding.data["recipients"] == ["Fox <fox@example.org>", "skinner@example.org"]
    assert finding.data["copies_to"] == ["langly@example.org"]
    assert finding.data["subject"] == "Überweisung ฿500"
    assert finding.data["date"] == "Tue, 05 Mar 2024 06:07:08 +0700"
    assert finding.data["message_id"] == "<1@example.org>"
    assert finding.data["attachments"] == ["passport ü.jpg", "note.txt"]
    assert finding.data["received"] == ["from a by b; Mon, 4 Mar 2024 23:07:09 +0000"]
    assert "Meet me at the pier." in finding.text


def test_parts_and_attachments_come_out_as_they_went_in() -> None:
    members, _, _ = unpack(e_mail, message().as_bytes())
    assert [member.path for member, _ in members] == ["part-1.1.txt", "part-1.2.html", "passport ü.jpg", "note.txt"]
    contents = {member.path: data for member, data in members}
    assert contents["passport ü.jpg"] == PICTURE
    assert contents["note.txt"].decode().rstrip() == "naïve"
    assert contents["part-1.1.txt"].rstrip() == b"Meet me at the pier."


def test_message_within_a_message_is_a_file_of_its_own() -> None:
    inner = message()
    outer = EmailMessage(policy=SMTP)
    outer["From"], outer["To"], outer["Subject"] = "a@example.org", "b@example.org", "Fwd"
    outer.set_content("see below")
    outer.add_attachment(inner)
    members, findings, _ = unpack(e_mail, outer.as_bytes())
    assert found(findings).data["subject"] == "Fwd"
    assert [member.path for member, _ in members] == ["part-1.txt", "part-2.eml"]
    again, nested, _ = unpack(e_mail, members[1][1])
    assert found(nested).data["subject"] == "Überweisung ฿500"
    assert again[2][1] == PICTURE


def test_html_alone_is_text_for_the_search_without_its_tags() -> None:
    text = b"From: a@b.c\nTo: d@e.f\nContent-Type: text/html\n\n<style>p{}</style><p>Caf&eacute; <b>bar</b></p>"
    _, findings, _ = unpack(e_mail, text)
    assert "Café" in found(findings).text
    assert "<b>" not in found(findings).text
    assert "p{}" not in found(findings).text


def test_date_without_a_zone_stays_naive() -> None:
    _, findings, _ = unpack(e_mail, b"From: a@b.c\nDate: Tue, 05 Mar 2024 06:07:08 -0000\n\nx")
    assert found(findings).when == datetime(2024, 3, 5, 6, 7, 8)


@pytest.mark.parametrize(
    "date", ["nonsense", "Tue, 99 Mar 2024 06:07:08 +0700", "Tue, 05 Mar 2024 06:07:08 +9999", "1 Jan 0001 00:00 +1300", ""]
)
def test_date_that_cannot_be_is_kept_as_found(date: str) -> None:
    _, findings, error = unpack(e_mail, f"From: a@b.c\nTo: d@e.f\nDate: {date}\n\nx".encode())
    assert found(findings).data.get("date", "") == date
    assert error is None


def test_undecodable_header_is_shown_by_its_bytes() -> None:
    _, findings, _ = unpack(e_mail, b"From: a@b.c\nTo: d@e.f\nSubject: \xa1\xa2 secret\n\nx")
    assert found(findings).data["subject"] == "\\xa1\\xa2 secret"


def test_apple_mail_file_is_read_to_its_stated_end() -> None:
    text = b"From: a@b.c\nTo: d@e.f\n\nhello\n"
    members, _, error = unpack(e_mail, b"%d\n" % len(text) + text + b"<?xml version='1.0'?><plist/>", name="1.emlx")
    assert members[0][1] == b"hello\n"
    assert error is None


def test_uuencoded_part_is_decoded() -> None:
    text = b"From: a@b.c\nTo: d@e.f\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n%:&5L;&\\\n`\nend\n"
    assert unpack(e_mail, text)[0][0][1] == b"hello"


def test_names_that_leave_the_folder_are_notable() -> None:
    made = message()
    made.add_attachment(b"x", maintype="application", subtype="octet-stream", filename="../../evil.sh")
    members, findings, _ = unpack(e_mail, made.as_bytes())
    assert members[-1][0].path == "../../evil.sh"
    assert [(finding.kind, finding.level) for finding in findings[1:]] == [("suspicious-member-name", "notable")]


@pytest.mark.parametrize("share", range(4, 20))
def test_cut_message_gives_its_beginning(share: int) -> None:
    text = message().as_bytes()
    members, findings, error = unpack(e_mail, text[: len(text) * share // 20])
    assert found(findings).data["subject"] == "Überweisung ฿500"
    pictures = [data for member, data in members if member.path == "passport ü.jpg"]
    assert pictures
    assert PICTURE.startswith(pictures[0])
    assert error is None or isinstance(error, Corrupt)


def test_base64_that_is_none_is_damage() -> None:
    text = b"From: a@b.c\nTo: d@e.f\nContent-Transfer-Encoding: base64\n\naGVsbG8gd29ybGQ=QQ=A\n"
    members, findings, error = unpack(e_mail, text)
    assert members[0][1].startswith(b"hello world")
    assert [finding.kind for finding in findings] == ["e-mail", "damaged-members"]
    assert isinstance(error, Corrupt)


def test_multiparts_within_each_other_end() -> None:
    text = b"From: a@b.c\nTo: d@e.f\n"
    for number in range(3000):
        text += b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (number, number)
    members, findings, _ = unpack(e_mail, text + b"\nend")
    assert found(findings)
    assert len(members) == 1


def test_more_parts_than_anybody_sends_are_a_limit() -> None:
    text = b'From: a@b.c\nTo: d@e.f\nContent-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n\nx\n" * 10_002
    assert isinstance(unpack(e_mail, text)[2], LimitExceeded)


def test_headers_without_end_are_a_limit() -> None:
    assert isinstance(unpack(e_mail, b"From: a@b.c\nTo: d@e.f\n" + b"X: y\n" * 300_000)[2], LimitExceeded)
    assert unpack(e_mail, b"From: a@b.c\nTo: " + b"y" * 3_000_000)[2] is None


@pytest.mark.parametrize("seed", range(80))
def test_flipped_bytes_end_in_no_other_error(seed: int) -> None:
    chance = random.Random(seed)
    made = message()
    text = bytearray(made.as_bytes()[:6000])
    for _ in range(20):
        text[chance.randrange(1200)] = chance.choice((0, 0x0A, 0x22, 0x3D, 0x3F, 0x3B, 0xFF, chance.randrange(256)))
    unpack(e_mail, bytes(text))


@pytest.mark.parametrize("content", [b"", b"From: ", b"a\n\nb", b"\n", random.Random(4).randbytes(70_000), b"x" * 200_000])
def test_garbage_is_not_mine(content: bytes) -> None:
    assert isinstance(unpack(e_mail, content)[2], Unsupported)


def test_every_malformed_file_is_not_mine(evidence: Path) -> None:
    for path in sorted((evidence / "malformed").iterdir()):
        assert isinstance(unpack(e_mail, path)[2], Unsupported)
