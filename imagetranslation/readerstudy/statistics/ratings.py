"""A table of ratings, cases by raters, on a scale: what all agreement coefficients are computed from.

Reading it from a CSV is left to `csvtables`, the coefficients to `chance`, `icc` and `concordance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import InputError
from .bootstrap import Sample


@dataclass(frozen=True)
class Ratings:
    """Ratings as indices into the scale.

    codes: (cases, raters) integers, -1 where missing. labels: the categories in scale order. scores: their numbers
    (categories,), or None where they are names; ordered: whether the order of the categories means something.
    declared: the scale was stated, not taken from the ratings seen. patients: (cases,) patient of each case, 0..p-1.
    """

    codes: np.ndarray
    labels: tuple[str, ...]
    scores: np.ndarray | None
    ordered: bool
    declared: bool
    cases: tuple[str, ...]
    raters: tuple[str, ...]
    patients: np.ndarray

    @property
    def rated(self) -> np.ndarray:
        """(cases, raters) booleans."""
        return np.asarray(self.codes >= 0)

    @property
    def sample(self) -> Sample:
        """What the bootstrap resamples."""
        return Sample(self.patients, len(self.raters))

    @property
    def n(self) -> dict[str, int]:
        """Cases with a rating, raters, ratings, patients."""
        return {
            "cases": int(self.rated.any(axis=1).sum()),
            "patients": self.sample.size,
            "raters": len(self.raters),
            "ratings": int(self.rated.sum()),
        }

    def positions(self) -> np.ndarray:
        """Where the categories lie on the scale (categories,): their numbers, or 1, 2, 3 ... for ordered names."""
        return np.arange(1.0, len(self.labels) + 1) if self.scores is None else self.scores

    def complete(self) -> Ratings:
        """The cases that every rater rated."""
        return self.rows(np.asarray(self.rated.all(axis=1)))

    def rows(self, keep: np.ndarray) -> Ratings:
        """The cases where `keep` (cases,) is true; patients are numbered anew."""
        patients = np.unique(self.patients[keep], return_inverse=True)[1]
        cases = tuple(name for name, kept in zip(self.cases, keep) if kept)
        return Ratings(
            self.codes[keep], self.labels, self.scores, self.ordered, self.declared, cases, self.raters, patients
        )


def make_ratings(
    cells: Sequence[Sequence[str | float | None]],
    *,
    categories: Sequence[str | float] | None = None,
    cases: Sequence[str] | None = None,
    raters: Sequence[str] | None = None,
    patients: Sequence[str] | None = None,
) -> Ratings:
    """Ratings from rows of cells (one row a case, one cell a rater); None, "" and NaN are missing.

    categories: the declared scale in order; without it the values seen are the scale, numbers in their order, names
    in no order. patients: one per case, by default every case is its own. Raises InputError for a value outside the
    declared scale (naming case and rater), rows of unequal length, and a table without ratings.
    """
    table = [[_text(cell) for cell in row] for row in cells]
    width = len(table[0]) if table else 0
    if width == 0 or any(len(row) != width for row in table):
        raise InputError("Every row of the ratings needs one cell for each rater, and there must be at least one.")
    case_names = tuple(cases) if cases is not None else tuple(str(row + 1) for row in range(len(table)))
    rater_names = tuple(raters) if raters is not None else tuple(str(column + 1) for column in range(width))
    seen = {cell for row in table for cell in row if cell != ""}
    if not seen:
        raise InputError("The table holds no rating at all.")
    labels, scores = _scale(seen, categories)
    index = {_key(label, scores is not None): place for place, label in enumerate(labels)}
    codes = np.full((len(table), width), -1)
    for row, values in enumerate(table):
        for column, value in enumerate(values):
            if value == "":
                continue
            place = index.get(_key(value, scores is not None))
            if place is None:
                raise InputError(
                    f"Case {case_names[row]}, rater {rater_names[column]}: {value!r} is not one of the categories "
                    f"{', '.join(labels)}."
                )
            codes[row, column] = place
    # Patients are numbered in order of appearance, so that a seed means the same draws whatever they are called.
    order: dict[str, int] = {}
    numbers = np.arange(len(table))
    if patients is not None:
        numbers = np.array([order.setdefault(name, len(order)) for name in patients])
    ordered = scores is not None or categories is not None
    return Ratings(codes, labels, scores, ordered, categories is not None, case_names, rater_names, numbers)


def number(text: str) -> float | None:
    """The finite number a text says, or None. Python's underscores and words such as nan or inf are no numbers here."""
    if "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _text(cell: str | float | None) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell.strip()
    return "" if np.isnan(cell) else f"{float(cell):.17g}"


def _key(label: str, numeric: bool) -> str | float:
    """3, 3.0 and 3e0 are one category where categories are numbers."""
    value = number(label) if numeric else None
    return label if value is None else value


def _scale(seen: set[str], categories: Sequence[str | float] | None) -> tuple[tuple[str, ...], np.ndarray | None]:
    if categories is None:
        numbers = {label: number(label) for label in seen}
        if any(value is None for value in numbers.values()):
            return tuple(sorted(seen)), None
        values = sorted({value for value in numbers.values() if value is not None})
        return tuple(f"{value:.15g}" for value in values), np.array(values)
    labels = tuple(_text(category) for category in categories)
    declared = [number(label) for label in labels]
    numeric = [value for value in declared if value is not None]
    scores = np.array(numeric) if len(numeric) == len(labels) else None
    if len(labels) < 2 or "" in labels or len({_key(label, scores is not None) for label in labels}) < len(labels):
        raise InputError("A scale needs at least two categories, none of them empty and none twice.")
    if scores is not None and not (np.all(np.diff(scores) > 0) or np.all(np.diff(scores) < 0)):
        raise InputError("Numeric categories must be given in ascending or descending order.")
    return labels, scores
