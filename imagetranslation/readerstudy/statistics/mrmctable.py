"""The long CSV of `mrmc`: one row a reading, columns reader, test, case, truth, rating. Refusals name row and column.

Only fully crossed studies pass: every reader reads every case with every test, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InputError
from .csvtables import MISSING, read_rows, shown
from .ratings import number

COLUMNS: dict[str, tuple[str, ...]] = {
    "reader": ("reader", "readerid", "reader_id"),
    "test": ("test", "modality", "treatment", "modalityid", "arm"),
    "case": ("case", "caseid", "case_id"),
    "truth": ("truth", "disease", "gold"),
    "rating": ("rating", "score"),
}
POSITIVE = {"1", "1.0", "yes", "true", "positive", "abnormal", "diseased"}
NEGATIVE = {"0", "0.0", "no", "false", "negative", "normal", "healthy"}
MOST_CELLS = 5_000_000
SPLIT_PLOT = (
    "only fully crossed studies are analysed here (every reader reads every case with every test); partial and "
    "split-plot designs need other variance estimates, which this command does not have"
)


@dataclass(frozen=True)
class Study:
    """A fully crossed study: ratings (tests, readers, cases), truth (cases,), names in order of appearance."""

    ratings: np.ndarray
    truth: np.ndarray
    tests: tuple[str, ...]
    readers: tuple[str, ...]
    cases: tuple[str, ...]
    taken: tuple[str, ...]


@dataclass(frozen=True)
class _Reading:
    line: int
    reader: str
    test: str
    case: str
    positive: bool
    rating: float


def read_study(path: Path) -> Study:
    """The study in a long CSV; InputError for unknown columns, bad cells, repeated, contradicting or missing rows."""
    rows = read_rows(path)
    header = [cell.lower() for cell in rows[0][1]]
    places = _places(path, header, rows[0][1])
    readings = [_reading(path, line, cells, places) for line, cells in rows[1:]]
    if not readings:
        raise InputError(f"{path} has a header and no readings below it.")
    readers, tests, cases = (_in_order(readings, attribute) for attribute in ("reader", "test", "case"))
    if len(readers) * len(tests) * len(cases) > MOST_CELLS:
        raise InputError(f"{path} would be a study of more than {MOST_CELLS:,} readings; {SPLIT_PLOT}.")
    truth = _truth(path, readings, cases)
    ratings = _fill(path, readings, tests, readers, cases)
    _complete(path, ratings, tests, readers, cases)
    taken = tuple(f"{name}: column {rows[0][1][place]}" for name, place in places.items())
    return Study(ratings, truth, tuple(tests), tuple(readers), tuple(cases), taken)


def _places(path: Path, header: list[str], shown: list[str]) -> dict[str, int]:
    places = {}
    for name, spellings in COLUMNS.items():
        found = [place for place, cell in enumerate(header) if cell in spellings]
        if len(found) != 1:
            what = "no column" if not found else "more than one column"
            raise InputError(
                f"{path}, row 1: there is {what} {name!r}; the header must name reader, test, case, truth and rating, "
                f"and it says {', '.join(shown)[:200]}."
            )
        places[name] = found[0]
    return places


def _reading(path: Path, line: int, cells: list[str], places: dict[str, int]) -> _Reading:
    told = {}
    for name, place in places.items():
        cell = cells[place] if place < len(cells) else ""
        if cell.lower() in MISSING:
            raise InputError(f"{path}, row {line}, column {name}: the cell is empty; {SPLIT_PLOT}.")
        told[name] = cell
    truth = told["truth"].lower()
    if truth not in POSITIVE | NEGATIVE:
        raise InputError(f"{path}, row {line}, column truth: {shown(told['truth'])} is neither 0 nor 1.")
    rating = number(told["rating"])
    if rating is None:
        raise InputError(f"{path}, row {line}, column rating: {shown(told['rating'])} is no number.")
    return _Reading(line, told["reader"], told["test"], told["case"], truth in POSITIVE, rating)


def _in_order(readings: list[_Reading], attribute: str) -> list[str]:
    return list(dict.fromkeys(getattr(reading, attribute) for reading in readings))


def _truth(path: Path, readings: list[_Reading], cases: list[str]) -> np.ndarray:
    known: dict[str, bool] = {}
    for reading in readings:
        if known.setdefault(reading.case, reading.positive) != reading.positive:
            raise InputError(
                f"{path}, row {reading.line}, column truth: case {reading.case} has the other truth above."
            )
    return np.array([known[case] for case in cases])


def _fill(path: Path, readings: list[_Reading], tests: list[str], readers: list[str], cases: list[str]) -> np.ndarray:
    at_test, at_reader, at_case = (
        {name: place for place, name in enumerate(names)} for names in (tests, readers, cases)
    )
    ratings = np.full((len(tests), len(readers), len(cases)), np.nan)
    for reading in readings:
        cell = at_test[reading.test], at_reader[reading.reader], at_case[reading.case]
        if not np.isnan(ratings[cell]):
            raise InputError(
                f"{path}, row {reading.line}: reader {reading.reader} rated case {reading.case} with test "
                f"{reading.test} twice."
            )
        ratings[cell] = reading.rating
    return ratings


def _complete(path: Path, ratings: np.ndarray, tests: list[str], readers: list[str], cases: list[str]) -> None:
    missing = np.argwhere(np.isnan(ratings))
    if not len(missing):
        return
    test, reader, case = missing[0]
    raise InputError(
        f"{path}: {len(missing)} of {ratings.size} readings are missing, the first of reader {readers[reader]}, test "
        f"{tests[test]}, case {cases[case]}; {SPLIT_PLOT}."
    )
