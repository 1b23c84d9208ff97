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


def test_comments_within_comments_are_kept_as_found() -> None:
    deep, flat = "(" * 500, ", ".join(f"n{number}@b.c (comment)" for number in range(400))
    _, findings, error = unpack(e_mail, f'From: "{deep}" <a@b.c>\nTo: {deep} d@e.f\nCc: {flat}\nSubject: s\n\nx'.encode())
    assert found(findings).data["recipients"] == [f"{deep} d@e.f"]
    assert found(findings).data["copies_to"] == [f"comment <n{number}@b.c>" for number in range(400)]
    assert found(findings).data["subject"] == "s"
    assert error is None
    _, findings, error = unpack(e_mail, f'From: a@b.c\nTo: "{deep}" <d@e.f>, "a:b" <g@h.i>\n\nx'.encode())
    assert found(findings).data["recipients"] == [f"{deep} <d@e.f>", "a:b <g@h.i>"]
    assert error is None


def test_groups_of_addresses_are_read_and_endless_ones_only_to_a_bound() -> None:
    _, findings, error = unpack(e_mail, b"From: a@b.c\nTo: friends: d@e.f, G <g@h.i>;\nCc: undisclosed-recipients:;\n\nx")
    assert found(findings).data["recipients"] == ["d@e.f", "G <g@h.i>"]
    assert error is None
    _, findings, error = unpack(e_mail, b"From: a@b.c\nTo: a:" + b"b," * 32_000 + b"\nCc: " + b"a:" * 2000 + b"\nSubject: s\n\nx")
    assert found(findings).data["recipients"] == ["b"] * 500
    assert found(findings).data["copies_to"] == ["a:" * 2000]
    assert [finding.kind for finding in findings] == ["e-mail", "unread-members"]
    assert "header to" in findings[1].summary
    assert isinstance(error, Unsupported)


def test_header_beyond_what_is_looked_at_is_cut_and_said() -> None:
    long = b'Content-Type: text/plain; a="' + b";\n " * 300_000
    members, findings, error = unpack(e_mail, b"From: a@b.c\nTo: d@e.f\n" + long + b'"; charset=utf-8\n\nhello')
    assert [data for _, data in members] == [b"hello"]
    assert [finding.kind for finding in findings] == ["e-mail", "unread-members"]
    assert "header Content-Type" in findings[1].summary
    assert isinstance(error, Unsupported)
    unused = b"X-Filler: " + b"x\n " * 100_000  # no header that is taken apart
    assert unpack(e_mail, b"From: a@b.c\nTo: d@e.f\n" + unused + b"\n\nhello")[2] is None


def test_encoded_words_without_end_are_kept_as_found() -> None:
    words = "=?a?q?x" * 9000
    _, findings, _ = unpack(e_mail, f"From: a@b.c\nTo: d@e.f\nSubject: {words[:60_000]}\n\nx".encode())
    assert found(findings).data["subject"] == words[:4096]


@pytest.mark.parametrize("page", ["<" * (1 << 20), "<script " * (1 << 17)])
def test_page_of_nothing_but_beginnings_is_text(page: str) -> None:
    _, findings, error = unpack(e_mail, b"From: a@b.c\nTo: d@e.f\nContent-Type: text/html\n\n" + page.encode())
    assert found(findings).text.endswith(page)
    assert error is None


def test_text_of_short_lines_is_read_whole() -> None:
    text = b"From: a@b.c\nTo: d@e.f\nContent-Transfer-Encoding: quoted-printable\n\n" + b"a\n" * (1 << 18)
    assert found(unpack(e_mail, text)[1]).text.count("\na") == 1 << 18


@pytest.mark.parametrize("body", [b"--a\n\nhidden\n--a--\n", b"hidden\n", b"\nhidden\n--b--\n"])
def test_multipart_whose_boundary_begins_no_part_is_damaged_and_its_body_is_kept(body: bytes) -> None:
    members, findings, error = unpack(e_mail, b'From: a@b.c\nTo: d@e.f\nContent-Type: multipart/mixed; boundary="b"\n\n' + body)
    assert [(member.path, data) for member, data in members] == [("part-1.txt", body.removesuffix(b"\n--b--\n"))]
    assert "hidden" in found(findings).text
    assert [finding.kind for finding in findings] == ["e-mail", "damaged-members"]
    assert isinstance(error, Corrupt)


def test_multipart_within_another_whose_boundary_begins_no_part_is_kept() -> None:
    text = b'From: a@b.c\nTo: d@e.f\nContent-Type: multipart/mixed; boundary="b"\n\npreamble\n--b\n\nfirst\n--b\n'
    text += b'Content-Type: multipart/mixed; boundary="c"\n\n--x\n\nhidden\n--b\n\nlast\n--b--\nepilogue\n'
    members, _, error = unpack(e_mail, text)
    assert [(member.path, data) for member, data in members] == [
        ("part-1.txt", b"first"),
        ("part-2.txt", b"--x\n\nhidden"),
        ("part-3.txt", b"last"),
    ]
    assert isinstance(error, Corrupt)


@pytest.mark.parametrize("body", [b"", b"\r\n \r\n", b"preamble\n--b\n\nx\n--b--\nepilogue\n"])
def test_multipart_that_is_empty_or_whole_is_no_damage(body: bytes) -> None:
    text = b'From: a@b.c\nTo: d@e.f\nContent-Type: multipart/mixed; boundary="b"\n\n'
    assert unpack(e_mail, text + body)[2] is None


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
