"""The custody log holds, says what happened to it, and verifies without us."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forensics import custody
from forensics.custody import LOG
from forensics.errors import CustodyBroken, UsageError

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
SALT = bytes(range(16))


def fill(folder: Path, lines: int = 5) -> list[custody.CustodyLine]:
    return [
        custody.append(folder, "created", object=f"object {number}", body={"number": number}, at=AT + timedelta(minutes=number))
        for number in range(1, lines + 1)
    ]


def rewrite(folder: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    lines = (folder / LOG).read_bytes().splitlines(keepends=True)
    (folder / LOG).write_bytes(b"".join(change(lines)))


def test_line_is_canonical_json_and_carries_the_digest_of_the_line_before(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    first, second = (tmp_path / LOG).read_bytes().splitlines(keepends=True)
    assert json.loads(first)["prev"] == "0" * 64
    assert json.loads(second)["prev"] == hashlib.sha256(first).hexdigest()
    assert second == json.dumps(json.loads(second), sort_keys=True, separators=(",", ":")).encode() + b"\n"
    assert json.loads(second) | {"prev": "", "body_sha256": ""} == {
        "seq": 2,
        "at": "2026-03-01T08:02:00.000Z",
        "clock": "system clock",
        "event": "created",
        "prev": "",
        "body_sha256": "",
    }


def test_body_is_salted_and_named_by_its_digest(tmp_path: Path) -> None:
    line = custody.append(tmp_path, "created", object="case", body={"name": "Réf"}, at=AT, salt=SALT)
    content = (tmp_path / "custody" / "bodies" / f"{line.body_sha256}.json").read_bytes()
    assert content == '{"body":{"name":"Réf"},"by":null,"object":"case","salt":"000102030405060708090a0b0c0d0e0f"}'.encode()
    assert hashlib.sha256(content).hexdigest() == line.body_sha256


def test_equal_bodies_get_unequal_digests(tmp_path: Path) -> None:
    one, two = (custody.append(tmp_path, "created", object="case", body={}, at=AT) for _ in range(2))
    assert one.body_sha256 != two.body_sha256


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    lines = fill(tmp_path)
    assert list(custody.read(tmp_path)) == lines
    assert [line.body for line in custody.read(tmp_path)] == [{"number": number} for number in range(1, 6)]


def test_untouched_log_verifies(tmp_path: Path) -> None:
    fill(tmp_path)
    assert custody.verify(tmp_path) == []


def test_head_is_number_and_digest_of_the_last_line(tmp_path: Path) -> None:
    assert custody.head(tmp_path) == (0, "0" * 64)
    fill(tmp_path)
    last = (tmp_path / LOG).read_bytes().splitlines(keepends=True)[-1]
    assert custody.head(tmp_path) == (5, hashlib.sha256(last).hexdigest())


def test_changed_line_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    rewrite(tmp_path, lambda lines: [lines[0], lines[1].replace(b"T08:02", b"T08:01"), *lines[2:]])
    assert custody.verify(tmp_path) == [
        "custody.jsonl, line 3: does not carry the digest of line 2: that line was changed, or this one was"
    ]


def test_dropped_line_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    rewrite(tmp_path, lambda lines: lines[:2] + lines[3:])
    assert custody.verify(tmp_path) == ["custody.jsonl, line 3: carries number 4: line 3 was dropped, or lines were moved"]


def test_dropped_first_line_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    rewrite(tmp_path, lambda lines: lines[1:])
    assert custody.verify(tmp_path) == ["custody.jsonl, line 1: carries number 2: line 1 was dropped, or lines were moved"]


def test_inserted_line_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    rewrite(tmp_path, lambda lines: [*lines[:3], lines[1].replace(b"created", b"verified"), *lines[3:]])
    problems = custody.verify(tmp_path)
    assert problems[0] == "custody.jsonl, line 4: carries number 2 after number 3: it was inserted or moved"


def test_reordered_lines_are_named(tmp_path: Path) -> None:
    fill(tmp_path)
    rewrite(tmp_path, lambda lines: [lines[0], lines[2], lines[1], *lines[3:]])
    problems = custody.verify(tmp_path)
    assert "custody.jsonl, line 2: carries number 3: line 2 was dropped, or lines were moved" in problems
    assert "custody.jsonl, line 3: carries number 2 after number 3: it was inserted or moved" in problems


def test_changed_body_is_named_and_not_read(tmp_path: Path) -> None:
    lines = fill(tmp_path)
    path = tmp_path / "custody" / "bodies" / f"{lines[1].body_sha256}.json"
    path.write_bytes(path.read_bytes().replace(b'"number":2', b'"number":3'))
    (problem,) = custody.verify(tmp_path)
    assert problem.startswith("custody.jsonl, line 2: its body ") and "was changed" in problem
    with pytest.raises(CustodyBroken, match="line 2: its body"):
        list(custody.read(tmp_path))


def test_withheld_body_leaves_the_chain_whole_and_is_reported_as_withheld(tmp_path: Path) -> None:
    lines = fill(tmp_path)
    (tmp_path / "custody" / "bodies" / f"{lines[2].body_sha256}.json").unlink()
    assert custody.verify(tmp_path) == []
    assert custody.withheld(tmp_path) == [3]
    assert [line.body for line in custody.read(tmp_path)][2] is None


def test_cut_tail_shows_against_a_stated_head(tmp_path: Path) -> None:
    fill(tmp_path)
    heads = dict([custody.head(tmp_path)])
    assert custody.verify(tmp_path, heads=heads) == []
    rewrite(tmp_path, lambda lines: lines[:-1])
    assert custody.verify(tmp_path) == []
    assert custody.verify(tmp_path, heads=heads) == [
        "custody.jsonl, line 5: is not there, though a checkpoint or report states it: the log was cut"
    ]


def test_changed_last_line_shows_against_a_stated_head(tmp_path: Path) -> None:
    fill(tmp_path)
    heads = dict([custody.head(tmp_path)])
    rewrite(tmp_path, lambda lines: [*lines[:-1], lines[-1].replace(b"T08:05", b"T08:06")])
    (problem,) = custody.verify(tmp_path, heads=heads)
    assert "line 5: is not the one that a checkpoint or report states" in problem


def test_line_out_of_canonical_form_is_named(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    rewrite(tmp_path, lambda lines: [lines[0].replace(b'":', b'": ')])
    assert custody.verify(tmp_path) == ["custody.jsonl, line 1: is not in canonical form (RFC 8785): it was changed"]


@pytest.mark.parametrize("junk", [b"\xff\xfe\n", b"[]\n", b"{}\n", b"\n", b"[" * 100_000 + b"\n", b'{"seq":1e999}\n'])
def test_junk_between_lines_is_a_problem_and_not_a_crash(tmp_path: Path, junk: bytes) -> None:
    fill(tmp_path)
    rewrite(tmp_path, lambda lines: [*lines[:2], junk, *lines[2:]])
    assert custody.verify(tmp_path)[0] == "custody.jsonl, line 3: is not a custody line (changed or inserted)"
    with pytest.raises(CustodyBroken, match="line 3"):
        list(custody.read(tmp_path))


def test_body_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    line = fill(tmp_path, 1)[0]
    rewrite(tmp_path, lambda lines: [lines[0].replace(line.body_sha256.encode(), b"../../secret")])
    assert "is not a SHA-256" in custody.verify(tmp_path)[0]


def test_torn_last_line_is_named_then_moved_aside_and_recorded(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    whole = (tmp_path / LOG).read_bytes()
    (tmp_path / LOG).write_bytes(whole + b'{"at":"2026-')
    assert len(list(custody.read(tmp_path))) == 2
    (problem,) = custody.verify(tmp_path)
    assert problem.startswith("custody.jsonl, line 3: is incomplete")
    line = custody.append(tmp_path, "verified", object="image", body={}, at=AT + timedelta(hours=1))
    assert (tmp_path / "custody" / "torn-1").read_bytes() == b'{"at":"2026-'
    interrupted = list(custody.read(tmp_path))[2]
    assert (interrupted.seq, interrupted.event, interrupted.object, line.seq) == (3, "interrupted", "custody/torn-1", 4)
    assert interrupted.body is not None and interrupted.body["sha256"] == hashlib.sha256(b'{"at":"2026-').hexdigest()
    assert custody.verify(tmp_path) == []


def test_torn_piece_is_recorded_even_after_a_second_crash(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    (tmp_path / "custody" / "torn-1").write_bytes(b"{")  # moved aside, and then the machine stopped
    custody.append(tmp_path, "verified", object="image", body={}, at=AT + timedelta(hours=1))
    custody.append(tmp_path, "verified", object="image", body={}, at=AT + timedelta(hours=1))
    assert [line.event for line in custody.read(tmp_path)] == ["created", "interrupted", "verified", "verified"]


def test_clock_that_stepped_back_is_said(tmp_path: Path) -> None:
    custody.append(tmp_path, "created", object="case", body={}, at=AT)
    line = custody.append(tmp_path, "verified", object="image", body={}, at=AT - timedelta(seconds=90), clock="GNSS receiver")
    assert (line.clock_back, line.clock) == (90.0, "GNSS receiver")
    assert custody.verify(tmp_path) == []


def test_time_without_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no time zone"):
        custody.append(tmp_path, "created", object="case", body={}, at=datetime(2026, 3, 1))


def test_time_of_another_zone_is_written_in_utc(tmp_path: Path) -> None:
    line = custody.append(tmp_path, "created", object="case", body={}, at=datetime.fromisoformat("2026-03-01T15:00:00+07:00"))
    assert line.at == "2026-03-01T08:00:00.000Z"


def test_event_outside_the_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'lost' is none of: acquired"):
        custody.append(tmp_path, "lost", object="2026-1", body={}, at=AT)


def test_transfer_without_its_fields_names_each(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lacks: by, purpose, place, from, to"):
        custody.append(tmp_path, "transferred", object="2026-1", body={}, at=AT)
    assert not (tmp_path / LOG).exists()


def test_event_of_a_person_needs_person_and_purpose_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"lacks: by, purpose$"):
        custody.append(tmp_path, "checked_out", object="2026-1", body={}, at=AT)
    assert (
        custody.append(tmp_path, "checked_out", object="2026-1", body={"purpose": "storage"}, by="Officer Tan", at=AT).by == "Officer Tan"
    )


def test_event_can_be_checked_before_it_is_written() -> None:
    with pytest.raises(UsageError, match=r"'transferred' lacks: purpose, to$"):
        custody.check_event("transferred", {"from": "Lab A", "place": "Checkpoint 4"})
    assert custody.check_event("checked_out", {"purpose": "imaging"}) is None  # type: ignore[func-returns-value]


def test_unavoidable_change_says_what_who_and_why(tmp_path: Path) -> None:
    body = {"purpose": "unlock", "unavoidable_change": {"what": "booted"}}
    with pytest.raises(UsageError, match=r"lacks: unavoidable_change\.who, unavoidable_change\.why"):
        custody.append(tmp_path, "copied", object="2026-1", body=body, by="Officer Tan", at=AT)


def test_examination_by_the_tool_needs_no_purpose(tmp_path: Path) -> None:
    assert custody.append(tmp_path, "examined", object="run-1", body={"run": "run-1", "segments": {}}, at=AT).seq == 1


def test_checks_of_a_higher_floor_are_named_with_the_line(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    assert custody.verify(tmp_path, lambda line: [f"asked of {line.body}"] if line.seq == 2 else []) == [
        "custody.jsonl, line 2: asked of {'number': 2}"
    ]


def test_missing_log_is_a_problem(tmp_path: Path) -> None:
    assert custody.verify(tmp_path) == ["custody.jsonl: there is no custody log"]


def test_many_writers_at_once_make_one_chain(tmp_path: Path) -> None:
    children = []
    for number in range(4):
        if (child := os.fork()) == 0:
            try:
                for turn in range(5):
                    custody.append(tmp_path, "verified", object=f"{number}-{turn}", body={})
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert custody.verify(tmp_path) == []
    assert custody.head(tmp_path)[0] == 20
    assert all(line.clock_back is None for line in custody.read(tmp_path))


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="sha256sum is not installed")
def test_chain_verifies_with_a_shell_and_sha256sum_alone(tmp_path: Path) -> None:
    fill(tmp_path)
    loop = (
        "p=$(printf '0%.0s' $(seq 64)); while IFS= read -r l; do "
        'case "$l" in *"\\"prev\\":\\"$p\\""*) ;; *) echo broken; exit 1;; esac; '
        "p=$(printf '%s\\n' \"$l\" | sha256sum | cut -c1-64); done < custody.jsonl; printf %s $p"
    )
    said = subprocess.run(["sh", "-c", loop], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout == custody.head(tmp_path)[1]
