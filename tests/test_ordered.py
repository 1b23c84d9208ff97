"""More lines than memory holds come in the order in which memory would have sorted them."""

import hashlib
import io
from pathlib import Path

import pytest

from forensics.engine import measure, ordered
from forensics.evidence.layers import open_exhibit


@pytest.mark.parametrize("together", [1, 40, 1 << 20])
def test_lines_are_sorted_by_key_and_those_of_one_key_keep_their_order(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered, "TOGETHER", together)
    lines = [b"%d %s\n" % (number, name) for number, name in enumerate([b"b", b"a", b"c", b"a", b"ab", b"", b"b", b"\xff"] * 5)]
    assert list(ordered.ordered(lines, lambda line: line.partition(b" ")[2])) == sorted(lines, key=lambda line: line.partition(b" ")[2])
    assert list(ordered.ordered([], bytes)) == []


@pytest.mark.parametrize("together", [1, 300, 1 << 20])
def test_the_digest_of_a_folder_is_that_of_the_sorted_list_of_its_files(
    together: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordered, "TOGETHER", together)
    names = ["b", "a/x", "a.txt", "a/y", "รูป.jpg", "😀", "\uffee", "Z"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"content of {name}")
    seen = io.BytesIO()
    measured = measure.exhibit(open_exhibit("1", tmp_path), "1", "before", lambda size: None)
    for name in sorted(names, key=lambda name: f"/{name}"):  # as sha256sum(1) would list them, in order of code points
        seen.write(f"{hashlib.sha256(f'content of {name}'.encode()).hexdigest()}  /{name}\n".encode())
    assert measured.image.sha256 == hashlib.sha256(seen.getvalue()).hexdigest()
    assert measured.image.size == sum(len(f"content of {name}".encode()) for name in names)
