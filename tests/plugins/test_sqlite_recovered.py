"""Deleted rows of SQLite databases that SQLite made and deleted in: those that were deleted come back, and no others."""

import contextlib
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from forensics.plugins.sqlite_recovered import sqlite_recovered

from forensics.plugin import Corrupt, Finding, Unsupported
from forensics.testing import run

Change = Callable[[sqlite3.Connection], object]
SCHEMA = "CREATE TABLE messages (_id INTEGER PRIMARY KEY, address TEXT, date INTEGER, body TEXT, read INTEGER DEFAULT 0)"
SMALL = "CREATE TABLE tags (name TEXT, weight REAL)"


def message(number: int) -> tuple[int, str, int, str, int]:
    return number, f"+6681{number:07}", 1_700_000_000 + number, f"message number {number} " + "word " * (number % 9), number % 2


def made(tmp_path: Path, *changes: Change, rows: int = 300, pragmas: tuple[str, ...] = ()) -> bytes:
    path = tmp_path / "made.db"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("secure_delete = OFF", "synchronous = OFF", "journal_mode = MEMORY", *pragmas):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN")
    connection.execute(SCHEMA)
    connection.execute(SMALL)
    connection.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", map(message, range(1, rows + 1)))
    connection.executemany("INSERT INTO tags VALUES (?, ?)", [(f"tag{number}", number / 2) for number in range(20)])
    connection.execute("COMMIT")
    for change in changes:
        change(connection)
    connection.close()
    return path.read_bytes()


def deleting(where: str, table: str = "messages") -> Change:
    return lambda connection: connection.execute(f"DELETE FROM {table} WHERE {where}")


def overwriting(connection: sqlite3.Connection) -> object:
    return connection.execute("PRAGMA secure_delete = ON")


def bodies(findings: list[Finding], table: str = "messages") -> set[object]:
    found = set()
    for finding in findings:
        if finding.data["table"] == table:
            values = dict(zip(finding.data["columns"], finding.data["values"], strict=True))  # type: ignore[arg-type]
            found.add(values.get("body", values.get("name")))
    return found


def texts(numbers: range | list[int]) -> set[object]:
    return {message(number)[3] for number in numbers}


def test_nothing_is_recovered_where_nothing_was_deleted(tmp_path: Path) -> None:
    assert run(sqlite_recovered, made(tmp_path)) == []


def test_row_freed_within_a_page_comes_back_with_its_values(tmp_path: Path) -> None:
    (finding,) = run(sqlite_recovered, made(tmp_path, deleting("_id = 5"), rows=10))
    assert finding.kind == "recovered-row"
    assert finding.data["row_state"] == "deleted"
    assert finding.data["found_in"] == "freeblock"
    assert finding.data["reconstructed"] is True
    assert finding.data["columns"] == ["address", "date", "body", "read"]
    assert finding.data["values"] == list(message(5)[1:])
    assert finding.data["page"] == 2


def test_row_freed_at_the_edge_of_a_page_comes_back(tmp_path: Path) -> None:
    (finding,) = run(sqlite_recovered, made(tmp_path, deleting("_id = 10"), rows=10))
    assert finding.data["found_in"] == "unallocated"
    assert finding.data["values"] == list(message(10)[1:])


def test_locator_leads_to_the_bytes_of_the_row(tmp_path: Path) -> None:
    content = made(tmp_path, deleting("_id = 10"), rows=10)
    (finding,) = run(sqlite_recovered, content)
    locator = finding.locator
    assert locator
    assert message(10)[3].encode() in content[locator.offset : locator.offset + locator.size]  # type: ignore[union-attr]


@pytest.mark.parametrize("step", [2, 3, 7])
def test_rows_freed_all_over_come_back(tmp_path: Path, step: int) -> None:
    gone = list(range(step, 301, step))
    found = bodies(run(sqlite_recovered, made(tmp_path, deleting(f"_id % {step} = 0"))))
    assert found <= texts(gone)
    assert len(found) >= 0.9 * len(gone)


def test_rows_on_free_pages_come_back(tmp_path: Path) -> None:
    findings = run(sqlite_recovered, made(tmp_path, deleting("_id > 100"), rows=2000))
    found = bodies(findings)
    assert found <= texts(range(101, 2001))
    assert len(found) >= 0.95 * 1900
    assert {finding.data["found_in"] for finding in findings} >= {"free-page"}


def test_dropped_table_is_recovered_through_its_deleted_statement(tmp_path: Path) -> None:
    findings = run(sqlite_recovered, made(tmp_path, lambda connection: connection.execute("DROP TABLE tags")))
    names = {value for finding in findings if finding.data["table"] == "sqlite_schema" for value in finding.data["values"]}  # type: ignore[union-attr]
    assert SMALL in names


def test_table_without_a_key_comes_back(tmp_path: Path) -> None:
    found = bodies(run(sqlite_recovered, made(tmp_path, deleting("weight = 4.0", "tags"))), "tags")
    assert found == {"tag8"}


def test_nothing_is_left_after_secure_deletion(tmp_path: Path) -> None:
    content = made(tmp_path, overwriting, deleting("_id % 3 = 0"))
    assert run(sqlite_recovered, content) == []


@pytest.mark.parametrize(
    "pragma", ["encoding = 'UTF-16le'", "encoding = 'UTF-16be'", "page_size = 512", "page_size = 65536", "auto_vacuum = 1"]
)
def test_other_encodings_and_page_sizes_are_read(tmp_path: Path, pragma: str) -> None:
    found = bodies(run(sqlite_recovered, made(tmp_path, deleting("_id % 5 = 0"), pragmas=(pragma,))))
    gone = list(range(5, 301, 5))
    assert found <= texts(gone)
    assert len(found) >= 0.8 * len(gone)


def with_log(tmp_path: Path, *changes: Change) -> tuple[bytes, bytes]:
    """A database and its write-ahead log, as they lie there while an application runs."""
    path = tmp_path / "log.db"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(SCHEMA)
    connection.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", map(message, range(1, 11)))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for change in changes:
        change(connection)
    content = path.read_bytes(), (tmp_path / "log.db-wal").read_bytes()
    connection.close()
    return content


def test_row_deleted_in_the_log_is_still_in_the_database(tmp_path: Path) -> None:
    content, log = with_log(
        tmp_path, deleting("_id = 5"), lambda connection: connection.execute("PRAGMA secure_delete = ON"), deleting("_id = 6")
    )
    findings = run(sqlite_recovered, content, companions={"-wal": log})
    whole = {finding.data["rowid"]: finding.data["values"] for finding in findings if finding.data["found_in"] == "superseded-page"}
    assert whole == {5: list(message(5)[1:]), 6: list(message(6)[1:])}


def test_row_that_lived_and_died_in_the_log_comes_back_with_its_frame(tmp_path: Path) -> None:
    content, log = with_log(
        tmp_path,
        lambda connection: connection.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", message(11)),
        overwriting,
        deleting("_id = 11"),
    )
    (finding,) = run(sqlite_recovered, content, companions={"-wal": log})
    assert (finding.data["found_in"], finding.data["rowid"], finding.data["row_state"]) == ("wal", 11, "deleted")
    assert finding.data["values"] == list(message(11)[1:])
    assert str(finding.locator) == "frame of the write-ahead log 0"


def test_earlier_version_of_a_row_is_told_from_a_deleted_one(tmp_path: Path) -> None:
    content, log = with_log(tmp_path, lambda connection: connection.execute("UPDATE messages SET body = 'forged' WHERE _id = 5"))
    findings = run(sqlite_recovered, content, companions={"-wal": log})
    assert {(finding.data["rowid"], finding.data["row_state"]) for finding in findings if "rowid" in finding.data} == {
        (5, "earlier-version")
    }


def test_row_overwritten_in_the_database_is_still_in_the_rollback_journal(tmp_path: Path) -> None:
    path = tmp_path / "made.db"
    path.write_bytes(made(tmp_path, rows=10))
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode = PERSIST", "PRAGMA secure_delete = ON", "DELETE FROM messages WHERE _id = 5"):
        connection.execute(statement)
    content, journal = path.read_bytes(), (tmp_path / "made.db-journal").read_bytes()
    connection.close()
    findings = run(sqlite_recovered, content, companions={"-journal": journal})
    found = [finding for finding in findings if finding.data["found_in"] == "journal" and finding.data["table"] == "messages"]
    assert [(finding.data["rowid"], finding.data["values"]) for finding in found] == [(5, list(message(5)[1:]))]
    assert "page of the rollback journal" in str(found[0].locator)


def test_long_row_comes_back_over_its_further_pages(tmp_path: Path) -> None:
    def add(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO messages VALUES (9999, 'x', 1, ?, 0)", ("long " * 3000,))
        connection.execute("DELETE FROM messages WHERE _id = 9999")

    findings = run(sqlite_recovered, made(tmp_path, add, rows=3))
    assert any(str(finding.data["values"][2]).startswith("long long") for finding in findings)  # type: ignore[index]


def test_databases_of_phones_say_nothing_that_is_still_there(evidence: Path) -> None:
    for name in ("mobile/android-mmssms.db", "mobile/ios-kik.sqlite", "mobile/android-contacts2.db", "browser/safari-History.db"):
        path = evidence / "artefacts" / name
        connection = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
        for finding in run(sqlite_recovered, path):
            if finding.data.get("rowid") is None:
                continue
            table, columns = str(finding.data["table"]).replace('"', '""'), [str(one) for one in finding.data["columns"]]  # type: ignore[union-attr]
            wanted = ", ".join('"' + one.replace('"', '""') + '"' for one in columns) or "NULL"
            live = connection.execute(f'SELECT {wanted} FROM "{table}" WHERE rowid = ?', (finding.data["rowid"],)).fetchone()
            assert live is None or finding.data["row_state"] == "earlier-version"
        connection.close()


@pytest.mark.parametrize("share", range(1, 20, 3))
def test_cut_database_ends_well(tmp_path: Path, share: int) -> None:
    content = made(tmp_path, deleting("_id % 3 = 0"))
    with contextlib.suppress(Corrupt, Unsupported):
        run(sqlite_recovered, content[: len(content) * share // 20])


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_end_in_no_other_error(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(made(tmp_path, deleting("_id % 3 = 0"), deleting("_id > 250"), pragmas=("page_size = 1024",)))
    for _ in range(30):
        content[chance.randrange(16, len(content))] = chance.choice((0, 5, 13, 0xFF, chance.randrange(256)))
    log = bytearray(with_log(tmp_path / ".", deleting("_id = 5"))[1]) if seed % 10 == 0 else None
    with contextlib.suppress(Corrupt, Unsupported):
        run(sqlite_recovered, bytes(content), companions={"-wal": bytes(log)} if log else None)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"SQLite format 3\0" + bytes(200), random.Random(4).randbytes(70_000)])
def test_garbage_is_not_mine_or_corrupt(content: bytes) -> None:
    with pytest.raises((Unsupported, Corrupt)):
        run(sqlite_recovered, content)
