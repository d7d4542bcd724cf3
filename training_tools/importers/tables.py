"""Rows of a table: CSV or TSV, as programs and spreadsheets write it, or the first sheet of an Excel file."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError

EMPTY = ("", "n/a", "na", "nan", "none", "null")


def read_table(path: Path) -> list[dict[str, str]]:
    """One dictionary a row, by the header's names; cells as text without surrounding blanks, "" where nothing is.

    Raises InputError where the file cannot be read, has no header, names a column twice, or has rows of more cells.
    """
    rows = _excel(path) if path.suffix.lower() == ".xlsx" else _text(path)
    rows = [row for row in rows if any(row)]
    if not rows:
        raise InputError(f"The table {path} is empty.")
    header, content = [name.strip() for name in rows[0]], rows[1:]
    while header and not header[-1]:
        header.pop()
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise InputError(f"The table {path} has two columns called {twice[0]!r}.")
    found = []
    for number, row in enumerate(content, 2):
        if any(row[len(header) :]):
            raise InputError(f"Row {number} of {path} has more cells than the header; is a comma in a value unquoted?")
        cells = [*row, *[""] * (len(header) - len(row))]
        found.append({name: _clean(cell) for name, cell in zip(header, cells) if name})
    return found


def _clean(cell: str) -> str:
    cell = cell.strip()
    return "" if cell.lower() in EMPTY else cell


def _text(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"The table {path} is not UTF-8 text; save it as CSV UTF-8.") from error
    except OSError as error:
        raise InputError(f"The table {path} cannot be read: {error.strerror}.") from error
    first = text.split("\n", 1)[0]
    # Spreadsheets in half of Europe separate by semicolons.
    separator = max(",;\t", key=first.count)
    try:
        return list(csv.reader(io.StringIO(text), delimiter=separator, strict=True))
    except csv.Error as error:
        raise InputError(f"The table {path} is damaged: {error}.") from error


def _excel(path: Path) -> list[list[str]]:
    try:
        import openpyxl
    except ImportError as error:
        raise InputError(
            f"{path.name} is an Excel file, and openpyxl is not installed: install it (pip install openpyxl), or save "
            "the sheet as CSV beside it and take the Excel file away."
        ) from error
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            return [[_cell(value) for value in row] for row in book.worksheets[0].iter_rows(values_only=True)]
        finally:
            book.close()
    except (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"The Excel file {path} is damaged or none; save it again, or as CSV.") from error


def _cell(value: Any) -> str:
    """A whole number without the ".0" that Excel gives it."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
