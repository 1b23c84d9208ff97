"""The listings as sheets of an Office Open XML workbook.

Text is written as text: nothing becomes a formula, a link or a number. Control and bidirectional characters stand as
`forensics.location.escape` writes them. A sheet holds 1,048,576 rows: what is more goes on in a sheet of the same name with a number.
A cell holds 32,767 characters: what is longer is cut, and says so; the exact values are in the JSON lines.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import xlsxwriter

from forensics.export import csv
from forensics.export.choice import Choice
from forensics.export.csv import Made, Table
from forensics.export.listing import Listing
from forensics.export.whole import listed, whole
from forensics.location import escape, printable

ROWS = 1_048_576
CHARACTERS = 32_767
_EXACT = 2**53  # Excel keeps doubles


def write(path: Path, choice: Choice, *, at: datetime, rows: int = ROWS) -> Listing:
    """Write a sheet for each listing to `path`; memory stays flat. `at` is the workbook's time of making. `rows` in a sheet, with its head.

    Raises OSError.
    """
    with whole(path) as temporary:
        options = {
            "constant_memory": True,  # rows go to a file as they come
            "strings_to_formulas": False,
            "strings_to_numbers": False,
            "strings_to_urls": False,
            "tmpdir": str(path.parent),
        }
        book: Any = xlsxwriter.Workbook(str(temporary), options)
        book.set_properties({"created": at.replace(tzinfo=None)})
        count = 0
        sheets: tuple[tuple[str, Table, Iterable[Any]], ...] = (
            ("findings", csv.FINDINGS, choice.records()),
            ("files", csv.FILES, choice.entries()),
            ("timeline", csv.TIMELINE, choice.timeline()),
            ("faults", csv.FAULTS, choice.faults()),
            ("coverage", csv.COVERAGE, choice.coverage()),
            ("layers", csv.LAYERS, choice.layers()),
        )
        try:
            for name, table, values in sheets:
                count += _listing(book, name, table, values, rows)
        finally:
            book.close()
    return listed(path, count)


def _listing(book: Any, name: str, table: Table, values: Iterable[Any], rows: int) -> int:
    sheet, number, at, count = _sheet(book, name, table), 1, 1, 0
    for value in values:
        if at == rows:
            number += 1
            sheet, at = _sheet(book, f"{name} {number}", table), 1
        _row(sheet, at, table.row(value))
        at, count = at + 1, count + 1
    return count


def _sheet(book: Any, name: str, table: Table) -> Any:
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, 0)
    _row(sheet, 0, table.columns)
    return sheet


def _row(sheet: Any, at: int, cells: Iterable[object]) -> None:
    for column, value in enumerate(cells):
        if value is None or value == "":
            continue
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _EXACT:
            sheet.write_number(at, column, value)
        else:
            sheet.write_string(at, column, _text(value))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if not (text.isascii() and text.isprintable()):
        # what is in the text form of a location is escaped already, unless it only poses as such
        text = printable(escape(text).replace("\\\\", "\\") if isinstance(value, Made) else escape(text))
    if len(text) <= CHARACTERS:
        return text
    end = f"… (cut: {len(text)} characters)"
    return text[: CHARACTERS - len(end)] + end
