"""Ratings from CSV: the wide table of `agreement` (cases by raters) and the long one of `mrmc`. Every file is hostile.

A refusal names the row (the line of the file) and the column. What is computed from the tables is left to others.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from ...errors import InputError
from .ratings import Ratings, make_ratings, number

MOST_BYTES = 50_000_000
MOST_RATERS = 50
MOST_CASES = 10_000
LARGEST_RATING = 1e12  # our choice: no scale reaches it, and squares of larger numbers lose their digits
MISSING = {"", "na", "n/a", "nan", "."}
ID_NAMES = {
    "id",
    "case",
    "cases",
    "case_id",
    "caseid",
    "unit",
    "units",
    "subject",
    "subjects",
    "item",
    "items",
    "image",
}
PATIENT_NAMES = {"patient", "patients", "patient_id", "patientid"}
_SEPARATORS = ",;\t"
_LONGEST_QUOTED = 60
_DECIMAL_COMMA = re.compile(r"\A([+-]?[0-9]+),([0-9]+)\Z")


@dataclass(frozen=True)
class WideTable:
    """The ratings of a wide CSV, and sentences on what was taken for what."""

    ratings: Ratings
    taken: tuple[str, ...]


def read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows that hold anything, as (line number, stripped cells); the separator is the header's commonest.

    Where that is no comma, "3,5" is the number 3.5: spreadsheets write so in many languages.
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MOST_BYTES else b""
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if size > MOST_BYTES:
        raise InputError(f"{path} has {size:,} bytes; a table of ratings has at most {MOST_BYTES:,}.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, row {line}: this is not UTF-8 text; save the table as CSV in UTF-8.") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{path}, row {line}: a zero byte stands there; this is not a CSV table.")
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(_SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if separator != ",":
                stripped = [_DECIMAL_COMMA.sub(r"\1.\2", cell) for cell in stripped]
            if any(stripped):
                rows.append((reader.line_num, stripped))
    except csv.Error as error:
        raise InputError(f"{path}, row {reader.line_num}: {error}.") from error
    if not rows:
        raise InputError(f"{path} is empty.")
    return rows


def read_wide(path: Path, categories: Sequence[str] | None = None, patient: str | None = None) -> WideTable:
    """Ratings from a CSV with one row a case and one column a rater; blanks (or NA, nan, n/a, .) are missing.

    The first row is a header where one of its cells is no rating: not a category of the declared scale, or, without
    one, a word over a column of numbers. The first column holds case names where the header calls it so, or where its
    cells are no ratings and are all different. patient: name of the column that says which patient a case is from.
    """
    rows = read_rows(path)
    _check_lengths(path, rows)
    width = max(len(cells) for _, cells in rows)
    body = [[_kept(cell, categories) for cell in cells] + [""] * (width - len(cells)) for _, cells in rows]
    lines = [line for line, _ in rows]
    header, taken = None, []
    if _is_header(body, categories):
        header, body, lines = body[0], body[1:], lines[1:]
        taken.append("first row: names of the raters")
    else:
        taken.append("no header: raters are numbered")
    if not 1 <= len(body) <= MOST_CASES:
        raise InputError(f"{path} has {len(body)} rows of ratings; between 1 and {MOST_CASES:,} are expected.")
    names = header or ["" for _ in range(width)]
    patients_at = _patient_column(path, names, patient)
    ids_at = _id_column(body, names, categories, patients_at)
    columns = [column for column in range(width) if column not in (ids_at, patients_at)]
    # An empty column at the end is a trailing separator, not a rater.
    while columns and not names[columns[-1]] and not any(row[columns[-1]] for row in body):
        columns.pop()
    if not 1 <= len(columns) <= MOST_RATERS:
        raise InputError(f"{path} has {len(columns)} columns of ratings; between 1 and {MOST_RATERS} are expected.")
    raters = [names[column] or f"rater {place + 1}" for place, column in enumerate(columns)]
    _check_unique(path, raters)
    cases = [row[ids_at] if ids_at is not None else f"row {line}" for row, line in zip(body, lines)]
    groups = None
    if ids_at is not None:
        repeated = patients_at is None and len(set(cases)) < len(cases)
        groups = cases if repeated else None
        again = "; some stand twice, and rows of one name are resampled together" if repeated else ""
        taken.append(f"column {ids_at + 1} ({names[ids_at] or 'no name'}): names of the cases{again}")
    if patients_at is not None:
        groups = [row[patients_at] or f"row {line}" for row, line in zip(body, lines)]
        taken.append(f"column {patients_at + 1} ({names[patients_at]}): patients, the units that are resampled")
    cells = [[row[column] for column in columns] for row in body]
    _check_cells(path, cells, lines, raters, categories)
    # A case that nobody rated would be resampled with the others and make intervals wider than the ratings do.
    rated = [any(row) for row in cells]
    if any(rated) and not all(rated):
        taken.append(f"left out: {counted(rated.count(False), 'row')} without any rating")
        cells, cases = list(compress(cells, rated)), list(compress(cases, rated))
        groups = groups and list(compress(groups, rated))
    ratings = make_ratings(cells, categories=categories, cases=cases, raters=raters, patients=groups)
    taken.append(_scale_taken(ratings))
    return WideTable(ratings, tuple(taken))


def shown(cell: str) -> str:
    """A cell as a sentence quotes it."""
    return repr(cell if len(cell) <= _LONGEST_QUOTED else cell[:_LONGEST_QUOTED] + "...")


def counted(count: int, what: str) -> str:
    """ "1 case", "2 cases"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _kept(cell: str, categories: Sequence[str] | None) -> str:
    """The cell, or "" where it is a word for a missing rating and not a category of the declared scale."""
    return "" if cell.lower() in MISSING and not (categories and cell in categories) else cell


def _is_header(body: list[list[str]], categories: Sequence[str] | None) -> bool:
    first = [cell for cell in body[0] if cell]
    if any(cell.lower() in ID_NAMES | PATIENT_NAMES for cell in first):
        return True
    if categories is not None:
        return any(not _in_scale(cell, categories) for cell in body[0][1:] if cell)
    if not body[1:]:
        return False
    for column in range(len(body[0])):
        below = [row[column] for row in body[1:] if row[column]]
        top = body[0][column]
        if top and number(top) is None and below and all(number(cell) is not None for cell in below):
            return True
    # A table of names: a header's names do not come back as ratings.
    others = {cell for row in body[1:] for cell in row}
    words = [cell for cell in body[0][1:] if cell]
    return bool(words) and all(number(cell) is None and cell not in others for cell in words)


def _in_scale(cell: str, categories: Sequence[str]) -> bool:
    if cell in categories:
        return True
    value = number(cell)
    return value is not None and value in {number(category) for category in categories}


def _patient_column(path: Path, names: list[str], wanted: str | None) -> int | None:
    if wanted is not None:
        if wanted not in names:
            told = ", ".join(name for name in names if name) or "no header"
            raise InputError(f"{path} has no column {wanted!r}; it has {told}.")
        return names.index(wanted)
    return next((place for place, name in enumerate(names) if name.lower() in PATIENT_NAMES), None)


def _id_column(
    body: list[list[str]], names: list[str], categories: Sequence[str] | None, patients_at: int | None
) -> int | None:
    named = next((place for place, name in enumerate(names) if name.lower() in ID_NAMES), None)
    if named is not None:
        return named
    first = [row[0] for row in body]
    if patients_at == 0 or len(names) < 2 or len(set(first)) < len(first) or not all(first):
        return None
    others = {cell for row in body for cell in row[1:] if cell}
    if categories is not None:
        return 0 if not all(_in_scale(cell, categories) for cell in first) else None
    if any(name for name in names[1:]) and not names[0]:
        return 0
    words = all(number(cell) is None for cell in first)
    return 0 if (words and not set(first) & others) or _counts_up(first) else None


def _counts_up(cells: list[str]) -> bool:
    """1, 2, 3, ... or 0, 1, 2, ... through at least six rows: nobody rates like that."""
    values = [number(cell) for cell in cells]
    return len(values) >= 6 and any(values == [float(start + row) for row in range(len(values))] for start in (0, 1))


def _check_lengths(path: Path, rows: list[tuple[int, list[str]]]) -> None:
    width = len(rows[0][1])
    for line, cells in rows[1:]:
        if len(cells) > width and any(cells[width:]):
            raise InputError(f"{path}, row {line}: {len(cells)} cells, where the first row has {width}.")


def _check_unique(path: Path, raters: Sequence[str]) -> None:
    double = next((name for name in raters if raters.count(name) > 1), None)
    if double is not None:
        raise InputError(f"{path}: two columns are called {double!r}; every rater needs a name of their own.")


def _check_cells(
    path: Path,
    cells: list[list[str]],
    lines: list[int],
    raters: Sequence[str],
    categories: Sequence[str] | None,
) -> None:
    """Name the first cell that cannot be a rating: outside the declared scale, or a word among numbers."""
    found = [number(cell) is not None for row in cells for cell in row if cell]
    mostly_numbers = bool(found) and 2 * sum(found) > len(found)
    for row, line in zip(cells, lines):
        for cell, rater in zip(row, raters):
            if not cell:
                continue
            if categories is not None and not _in_scale(cell, categories):
                scale = ", ".join(categories)
                raise InputError(
                    f"{path}, row {line}, column {rater}: {shown(cell)} is not one of the categories {scale}."
                )
            if abs(number(cell) or 0.0) > LARGEST_RATING:
                raise InputError(
                    f"{path}, row {line}, column {rater}: {shown(cell)} is too large; ratings reach "
                    f"{LARGEST_RATING:g} at most."
                )
            if categories is None and mostly_numbers and number(cell) is None:
                raise InputError(
                    f"{path}, row {line}, column {rater}: {shown(cell)} is no number, though most ratings are; correct "
                    "it, leave it blank, or declare the scale with --categories."
                )


def _scale_taken(ratings: Ratings) -> str:
    shown = ", ".join(ratings.labels[:12]) + (", ..." if len(ratings.labels) > 12 else "")
    if ratings.declared:
        return f"scale: {shown} (declared, in this order)"
    if ratings.scores is None:
        return f"scale: {shown} (names as seen, no order; --categories declares one)"
    return f"scale: {shown} (numbers as seen; --categories declares others that nobody used)"
