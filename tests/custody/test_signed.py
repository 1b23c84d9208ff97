"""Checkpoints and signed transfers: what a chain alone does not show, they do."""

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from forensics import custody, signing
from forensics.custody import LOG
from forensics.custody.telling import blocks
from forensics.digest import canonical, sha256
from forensics.errors import UsageError
from forensics.report import matter
from forensics.signing import Identity, Trust, authority, certificates

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)

TRANSFER = {"from": "Checkpoint 4", "to": "Laboratory", "place": "Aranyaprathet", "purpose": "examination"}


def signed(folder: Path, by: Identity, why: str = "transfer") -> custody.Checkpoint:
    return custody.checkpoint(folder, why, by, at=AT + timedelta(minutes=9))


def handed_over(folder: Path, giver: Identity) -> custody.CustodyLine:
    return custody.transfer(folder, "2026-1", TRANSFER, giver, at=AT + timedelta(minutes=5))


def received(folder: Path, by: Identity, seq: int = 4) -> custody.CustodyLine:
    return custody.countersign(folder, seq, by, at=AT + timedelta(minutes=6))


def rechain(folder: Path, change: Callable[[list[dict[str, object]]], object]) -> None:
    """Rewrite the lines, and every digest after them, as one who holds the folder can."""
    lines = [json.loads(line) for line in (folder / LOG).read_bytes().splitlines()]
    change(lines)
    before, out = "0" * 64, b""
    for number, line in enumerate(lines, 1):
        raw = canonical({**line, "seq": number, "prev": before}) + b"\n"
        before, out = sha256(raw), out + raw
    (folder / LOG).write_bytes(out)


def rebody(folder: Path, seq: int, change: Callable[[dict[str, object]], None]) -> None:
    """Write another body for a line, and chain everything anew."""

    def swap(lines: list[dict[str, object]]) -> None:
        path = folder / custody.BODIES / f"{lines[seq - 1]['body_sha256']}.json"
        content = json.loads(path.read_bytes())
        change(content)
        data = canonical(content)
        (folder / custody.BODIES / f"{sha256(data)}.json").write_bytes(data)
        lines[seq - 1]["body_sha256"] = sha256(data)

    rechain(folder, swap)


def edit(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def test_every_changed_byte_of_a_log_is_found(log: Path) -> None:
    whole = (log / LOG).read_bytes()
    heads = dict([custody.head(log)])  # what somebody else holds; without it a changed last line may pass
    end = len(whole) - len(whole.splitlines(keepends=True)[-1])
    for at in range(len(whole)):
        for bit in (1, 32):
            (log / LOG).write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
            assert custody.verify(log, heads=None if at < end else heads), f"byte {at}: {whole[at]} ^ {bit}"
    (log / LOG).write_bytes(whole)
    assert custody.verify(log, heads=heads) == []


def test_every_changed_byte_of_bodies_and_checkpoints_is_found(log: Path, giver: Identity) -> None:
    signed(log, giver)
    for path in [*(log / "custody" / "bodies").iterdir(), *(log / "custody" / "checkpoints").iterdir()]:
        whole = path.read_bytes()
        for at in range(0, len(whole), 1 if len(whole) < 400 else 7):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            assert custody.verify(log), f"{path.name}, byte {at}"
        path.write_bytes(whole)
    assert custody.verify(log) == []


def test_checkpoint_states_the_head_and_an_event_vouches_for_it(log: Path, giver: Identity) -> None:
    seq, head = custody.head(log)
    made = signed(log, giver)
    path = log / "custody" / "checkpoints" / "3.json"
    assert json.loads(path.read_bytes()) == {
        "format": "forensics-checkpoint/1",
        "case": "A-1",
        "log": sha256((log / LOG).read_bytes().splitlines(keepends=True)[0]),
        "seq": 3,
        "head": head,
        "at": "2026-03-01T08:09:00Z",
        "why": "transfer",
    }
    assert (made.seq, made.head) == (seq, head)
    last = list(custody.read(log))[-1]
    assert (last.event, last.by, last.object) == ("checkpointed", "Somchai", "custody/checkpoints/3.json")
    assert custody.heads_of(log, None) == {3: head}
    proof = custody.proved(log)
    assert (proof.problems, proof.signed) == ((), 3)
    assert proof.notices == (
        "signatures were checked for integrity, but not to whom they belong: name the folder of trusted roots with --trust",
    )


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_openssl_verifies_a_checkpoint(log: Path, giver: Identity) -> None:
    signed(log, giver)
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "3.json.p7s", "-content", "3.json", "-noverify"]
    done = subprocess.run([*command, "-out", "/dev/null"], cwd=log / "custody" / "checkpoints", capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_log_that_was_chained_anew_shows_against_its_checkpoint(log: Path, giver: Identity) -> None:
    signed(log, giver)
    rebody(log, 2, lambda body: body.update(object="2026-9"))
    assert any("line 3: is not the one that a checkpoint or report states" in problem for problem in custody.verify(log))


def test_dropped_inserted_and_moved_lines_show_though_the_chain_was_made_anew(log: Path, giver: Identity) -> None:
    signed(log, giver)
    whole = (log / LOG).read_bytes()
    changes: list[Callable[[list[dict[str, object]]], object]] = [
        lambda lines: lines.pop(1),
        lambda lines: lines.insert(1, dict(lines[1])),
        lambda lines: lines.insert(1, lines.pop(2)),
    ]
    for change in changes:
        rechain(log, change)
        assert any("is not the one that a checkpoint" in problem for problem in custody.verify(log))
        (log / LOG).write_bytes(whole)


def test_tail_cut_below_a_checkpoint_shows(log: Path, giver: Identity) -> None:
    signed(log, giver)
    (log / LOG).write_bytes(b"".join((log / LOG).read_bytes().splitlines(keepends=True)[:2]))
    assert "custody.jsonl, line 3: is not there, though a checkpoint or report states it: the log was cut" in custody.verify(log)


def test_tail_cut_with_its_checkpoints_shows_against_a_counterpart_alone(
    log: Path, tmp_path_factory: pytest.TempPathFactory, giver: Identity
) -> None:
    theirs = tmp_path_factory.mktemp("partner")
    signed(log, giver)
    seq, head = custody.head(log)
    (theirs / "receipt.json").write_bytes(canonical({"head": head, "seq": seq, "format": "forensics-receipt/1"}))
    (theirs / "nested.json").write_bytes(canonical({"custody": {"head": head, "seq": seq}}))
    shutil.copy(log / LOG, theirs / LOG)
    for path in (log / "custody" / "checkpoints").iterdir():
        shutil.copy(path, theirs / path.name)
        path.unlink()
    (log / LOG).write_bytes(b"".join((log / LOG).read_bytes().splitlines(keepends=True)[:2]))
    assert custody.verify(log) == []
    for name in ("receipt.json", "nested.json", LOG, "3.json"):
        stated = custody.read_counterpart(theirs / name, None)
        assert stated.problem is None
        assert any(problem.endswith("the log was cut") for problem in custody.verify(log, heads=stated.heads)), name
        assert all("the log was cut" in problem for problem in custody.differences(log, stated, name))
        assert list(custody.differences(log, stated, name))


def test_rewriting_shows_against_a_partners_copy(log: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    theirs = tmp_path_factory.mktemp("partner") / LOG
    shutil.copy(log / LOG, theirs)
    rebody(log, 2, lambda body: body.update(object="2026-9"))
    assert custody.verify(log) == []
    heads = custody.read_counterpart(theirs, None).heads
    assert [problem[:23] for problem in custody.verify(log, heads=heads)] == ["custody.jsonl, line 2: ", "custody.jsonl, line 3: "]
    told = list(custody.differences(log, custody.read_counterpart(theirs, None), "theirs"))
    assert [problem[:27] for problem in told] == ["theirs: states another line", "theirs: states another line"]


def test_log_and_checkpoint_of_another_case_are_said_to_be_of_another(
    log: Path, tmp_path_factory: pytest.TempPathFactory, giver: Identity
) -> None:
    other = tmp_path_factory.mktemp("other")
    for number in range(1, 6):
        custody.append(other, "verified", object=f"2027-{number}", body={}, at=AT)
    signed(other, giver)
    for path in (other / LOG, other / "custody" / "checkpoints" / "5.json"):
        (problem,) = custody.differences(log, custody.read_counterpart(path, None), path.name)
        assert "of another case" in problem
        assert "cut" not in problem


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff\n", b'{"seq":1,"head":"x"}', b"[" * 100_000])
def test_file_that_states_no_head_is_refused_as_a_counterpart(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UsageError, match="no receipt, custody log or checkpoint"):
        custody.read_counterpart(tmp_path / "x.json", None)


def test_signature_beside_a_receipt_must_hold(log: Path, tmp_path: Path, receiver: Identity, trust: Trust) -> None:
    receipt = tmp_path / "D-1.receipt.json"
    data = canonical({"custody": dict(zip(("seq", "head"), custody.head(log), strict=True)), "format": "forensics-receipt/1"})
    receipt.write_bytes(data)
    assert "has no signature beside it" in str(custody.read_counterpart(receipt, trust).notice)
    receipt.with_name("D-1.receipt.json.p7s").write_bytes(signing.sign(data, receiver, at=AT))
    assert custody.read_counterpart(receipt, trust) == custody.Counterpart(dict([custody.head(log)]), "statement")
    edit(receipt, b"receipt/1", b"receipt/2")
    assert "The content is not what was signed" in str(custody.read_counterpart(receipt, trust).problem)


def test_broken_copy_of_a_partner_is_named(log: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy"
    path.write_bytes((log / LOG).read_bytes().replace(b"T08:01", b"T08:02"))
    assert "line 3: does not follow" in str(custody.read_counterpart(path, None).problem)


def test_changed_checkpoint_does_not_hold(log: Path, giver: Identity) -> None:
    signed(log, giver)
    edit(log / "custody" / "checkpoints" / "3.json", b'"why":"transfer"', b'"why":"transfes"')
    problems = custody.verify(log)
    assert any("custody/checkpoints/3.json: its signature does not hold: The content is not what was signed" in each for each in problems)
    assert any("line 4: custody/checkpoints/3.json was changed" in each for each in problems)


def test_checkpoint_signed_anew_by_another_is_found(log: Path, giver: Identity, receiver: Identity) -> None:
    signed(log, giver)
    path = log / "custody" / "checkpoints" / "3.json"
    (log / "custody" / "checkpoints" / "3.json.p7s").write_bytes(signing.sign(path.read_bytes(), receiver, at=AT))
    assert any("3.json.p7s was changed" in problem for problem in custody.verify(log))


def test_missing_checkpoint_is_named_by_the_event_that_vouches_for_it(log: Path, giver: Identity) -> None:
    signed(log, giver)
    for path in (log / "custody" / "checkpoints").iterdir():
        path.unlink()
    assert "custody.jsonl, line 4: custody/checkpoints/3.json is missing" in custody.verify(log)


def test_checkpoint_of_another_log_is_found(log: Path, tmp_path: Path, giver: Identity) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for number in range(3):
        custody.append(other, "created", object="B-1", body={"number": number}, at=AT)
    signed(other, giver)
    shutil.copytree(other / "custody" / "checkpoints", log / "custody" / "checkpoints")
    assert custody.verify(log) == ["custody/checkpoints/3.json: is not the checkpoint of line 3 of this log"]


@pytest.mark.parametrize("why", ["", "Somchai's phone", "a" * 41, "transfer\n"])
def test_reason_of_a_checkpoint_is_a_word_or_two(log: Path, why: str, giver: Identity) -> None:
    with pytest.raises(UsageError, match="cannot be why a checkpoint is made"):
        signed(log, giver, why=why)


def test_checkpoint_whose_event_a_crash_prevented_is_vouched_for_later(log: Path, giver: Identity, receiver: Identity) -> None:
    signed(log, giver)
    (log / LOG).write_bytes(b"".join((log / LOG).read_bytes().splitlines(keepends=True)[:3]))
    assert custody.verify(log) == []
    assert signed(log, receiver).seq == 4
    assert [line.event for line in custody.read(log)][3:] == ["checkpointed", "checkpointed"]
    assert custody.verify(log) == []


def test_signature_without_its_checkpoint_is_cleared_away(log: Path, giver: Identity) -> None:
    signed(log, giver)
    left = log / "custody" / "checkpoints" / "4.json.p7s"
    left.write_bytes(b"half")
    assert custody.verify(log) == []
    custody.append(log, "verified", object="x", body={}, at=AT + timedelta(minutes=10))
    signed(log, giver)
    assert not left.exists()


def test_lines_after_the_last_checkpoint_are_said_to_be_uncovered(log: Path, giver: Identity) -> None:
    signed(log, giver)
    custody.append(log, "verified", object="x", body={}, at=AT + timedelta(minutes=10))
    assert "custody.jsonl: lines 4-5 are covered by no checkpoint" in custody.proved(log).notices


def test_transfer_holds_with_both_signatures(log: Path, giver: Identity, receiver: Identity) -> None:
    line = handed_over(log, giver)
    assert (line.seq, line.by) == (4, "Somchai")
    assert "custody.jsonl, line 4: transfer not countersigned by the receiver" in custody.proved(log).notices
    assert (received(log, receiver).seq, custody.verify(log)) == (5, [])
    assert not any("countersigned" in notice for notice in custody.proved(log).notices)


def test_transfer_without_any_signature_is_a_notice_and_no_broken_chain(log: Path, giver: Identity, receiver: Identity) -> None:
    custody.append(log, "transferred", object="2026-1", body=TRANSFER, by="Somchai", at=AT + timedelta(minutes=5))
    proof = custody.proved(log)
    assert proof.problems == ()
    assert proof.notices[:2] == (
        "custody.jsonl, line 4: transfer not signed by the giver",
        "custody.jsonl, line 4: transfer not countersigned by the receiver",
    )


def test_a_transfer_is_shown_with_who_signed_it_and_who_did_not(log: Path, giver: Identity, receiver: Identity) -> None:
    def hands() -> list[tuple[str, str]]:
        found = [line.body for line in custody.with_hands(log) if line.event == "transferred" and line.body]
        return [(body["signed by the giver"], body["countersigned by the receiver"]) for body in found]

    custody.append(log, "transferred", object="2026-1", body=TRANSFER, by="Somchai", at=AT + timedelta(minutes=4))
    line = custody.transfer(log, "2026-2", TRANSFER, giver, at=AT + timedelta(minutes=5))
    by_giver = f"Somchai (certificate {giver.fingerprint})"
    assert hands() == [("nobody", "nobody"), (by_giver, "nobody")]
    taken = received(log, receiver, line.seq)
    assert hands()[1] == (by_giver, f"Dara (certificate {receiver.fingerprint}), line {taken.seq}")
    told = [dict(block.particulars) for block in blocks(custody.with_hands(log), {}) if "[transferred]" in block.heading]
    assert [each["countersigned by the receiver"] for each in told] == ["nobody", hands()[1][1]]
    assert "signed by" not in told[0]
    rows = matter.custody(custody.with_hands(log), custody.head(log)).first
    shown = [dict(row.body or ()) for row in rows if row.event == "transferred"]
    assert shown[0]["signed by the giver"].text == "nobody"
    assert "signature" not in shown[1]
    (log / custody.BODIES / f"{taken.body_sha256}.json").unlink()
    assert [receiver for _, receiver in hands()] == ["not known: what a later countersignature says is withheld"] * 2


def test_changed_transfer_breaks_both_signatures_though_the_chain_was_made_anew(log: Path, giver: Identity, receiver: Identity) -> None:
    handed_over(log, giver)
    received(log, receiver)
    rebody(log, 4, lambda body: body["body"].update(to="Market"))  # type: ignore[attr-defined]
    first, second = custody.verify(log)
    assert first.startswith("custody.jsonl, line 4: the giver's signature does not hold: The content is not what was signed")
    assert second == "custody.jsonl, line 5: countersigns something else than line 4 says"


def test_signature_of_one_transfer_does_not_hold_for_another_log(log: Path, tmp_path: Path, giver: Identity) -> None:
    line = handed_over(log, giver)
    other = tmp_path / "other"
    other.mkdir()
    custody.append(other, "created", object="A-1", body={}, at=AT)
    custody.append(other, "transferred", object="2026-1", body=line.body or {}, by=line.by, at=AT)
    (problem,) = custody.verify(other)
    assert problem.startswith("custody.jsonl, line 2: the giver's signature does not hold")


def test_copied_transfer_is_found(log: Path, giver: Identity) -> None:
    line = handed_over(log, giver)
    custody.append(log, "transferred", object="2026-1", body=line.body or {}, by=line.by, at=AT + timedelta(minutes=7))
    assert custody.verify(log) == ["custody.jsonl, line 5: is a copy of the transfer that was signed in line 4"]


def test_signature_in_another_name_is_found(log: Path, giver: Identity) -> None:
    handed_over(log, giver)
    rebody(log, 4, lambda body: body["body"]["signature"].update(name="Dara"))  # type: ignore[index]
    assert "it is by 'Somchai', and the event says 'Dara'" in custody.verify(log)[0]


def test_giver_cannot_countersign(log: Path, giver: Identity) -> None:
    handed_over(log, giver)
    with pytest.raises(UsageError, match="signed with this certificate by the giver"):
        received(log, giver)


def test_transfer_is_countersigned_once(log: Path, giver: Identity, receiver: Identity, officer: Callable[[str], Identity]) -> None:
    handed_over(log, giver)
    received(log, receiver)
    with pytest.raises(UsageError, match="was countersigned in line 5 already"):
        received(log, officer("Third"))


@pytest.mark.parametrize("seq", [1, 3, 99])
def test_only_a_transfer_can_be_countersigned(log: Path, seq: int, receiver: Identity) -> None:
    with pytest.raises(UsageError, match=f"line {seq}: is not a transfer"):
        received(log, receiver, seq)


def test_withheld_transfer_leaves_the_log_whole(log: Path, giver: Identity, receiver: Identity) -> None:
    line = handed_over(log, giver)
    received(log, receiver)
    (log / custody.BODIES / f"{line.body_sha256}.json").unlink()
    assert custody.verify(log) == []


def test_signatures_are_followed_to_a_pinned_root(log: Path, giver: Identity, receiver: Identity, trust: Trust) -> None:
    handed_over(log, giver)
    received(log, receiver)
    signed(log, receiver)
    assert custody.proved(log, trust=trust) == custody.Proof((), (), 5)
    (found,) = custody.judged(log, trust)
    assert [(each.name, each.state, each.signed_at) for each in found.signers] == [("Dara", "TH", "2026-03-01T08:09:00Z")]


def test_signers_under_no_pinned_root_are_named(log: Path, giver: Identity, receiver: Identity) -> None:
    handed_over(log, giver)
    received(log, receiver)
    signed(log, giver)
    problems = custody.verify(log, trust=Trust())
    assert len(problems) == 3
    assert all("leads to no root in the trust list" in problem for problem in problems)
    assert custody.heads_of(log, Trust()) == {}


def test_revoked_signer_is_named(log: Path, root: Path, trust: Trust, officer: Callable[[str], Identity]) -> None:
    leaver = officer("Leaver")
    handed_over(log, leaver)
    serial = f"{certificates.load(leaver.certificate).serial_number:x}"
    crl = authority.revoke(root, b"correct horse battery", (serial,), at=AT, reason="keyCompromise")
    with_list = Trust((msgspec.structs.replace(trust.roots[0], crls=(crl,)),))
    (problem,) = custody.verify(log, trust=with_list)
    assert "the giver's signature does not hold: A certificate was revoked" in problem
    assert custody.verify(log, trust=trust) == []


def test_log_is_told_as_a_document(log: Path, giver: Identity, receiver: Identity, trust: Trust) -> None:
    handed_over(log, giver)
    signed(log, giver)
    received(log, receiver)
    marks = {each.checkpoint.seq: each for each in custody.judged(log, trust) if each.checkpoint}
    told = list(blocks(custody.read(log), marks))
    assert [block.heading.partition("  ")[2] for block in told] == [
        "A-1 was begun  [created]",
        "2026-1 was measured  [verified]",
        "2026-2 was measured  [verified]",
        "2026-1 was handed over  [transferred]",
        "custody/checkpoints/4.json: the log was signed up to here  [checkpointed]",
        "2026-1 was received, and its transfer countersigned  [countersigned]",
    ]
    said = dict(told[3].particulars)
    assert [said[name] for name in ("by", "from", "to", "place", "purpose")] == [
        "Somchai", "Checkpoint 4", "Laboratory", "Aranyaprathet", "examination",
    ]  # fmt: skip
    assert said["signed by"] == f"Somchai (certificate {giver.fingerprint})"
    assert said["checkpoint"].startswith(f"signed (transfer) by Somchai (TH, certificate {giver.fingerprint}), 2026-03-01T08:09:00Z")
    assert not any(giver.fingerprint in value for name, value in told[3].particulars if name not in ("signed by", "checkpoint"))


def test_withheld_body_is_told_as_withheld(log: Path) -> None:
    line = list(custody.read(log))[1]
    (log / custody.BODIES / f"{line.body_sha256}.json").unlink()
    block = list(blocks(custody.read(log), {}))[1]
    assert "(withheld) was measured" in block.heading
    assert dict(block.particulars)["withheld"].endswith(line.body_sha256)
