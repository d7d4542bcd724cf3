"""Small tables of ratings from the literature whose coefficients are published, for the tests of the statistics."""

from __future__ import annotations

import numpy as np

# Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, section C: 12 units, 4 observers, None is missing.
KRIPPENDORFF = [
    [1, 1, None, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4],
    [4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2], [None, 5, 5, 5], [None, None, 1, 1], [None, None, 3, None],
]  # fmt: skip

# Shrout and Fleiss, Psychol Bull 1979, 86:420-428, Table 2: 6 targets, 4 judges.
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]

# Gwet, Handbook of Inter-Rater Reliability, 2014: two abstractors classify 100 pregnancies (contingency table).
ABSTRACTORS = [[13, 0, 0], [0, 20, 7], [0, 4, 56]]

# Fleiss, Psychol Bull 1971: the first 15 of 30 psychiatric patients, numbers of 6 raters per diagnosis.
PSYCHIATRY = [
    [0, 0, 0, 6, 0], [0, 3, 0, 0, 3], [0, 1, 4, 0, 1], [0, 0, 0, 0, 6], [0, 3, 0, 3, 0],
    [2, 0, 4, 0, 0], [0, 0, 4, 0, 2], [2, 0, 3, 1, 0], [2, 0, 0, 4, 0], [0, 0, 0, 0, 6],
    [1, 0, 0, 5, 0], [1, 1, 0, 4, 0], [0, 3, 3, 0, 0], [1, 0, 0, 5, 0], [0, 2, 0, 3, 1],
]  # fmt: skip

# The worked example of Fleiss' kappa in Wikipedia: 10 subjects, 14 raters, 5 categories.
FLEISS_EXAMPLE = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip

# SAS/STAT's example of kappa for a table with an unused category: two raters.
SAS_TABLE = [[0, 4, 1], [0, 8, 0], [0, 1, 5]]

# Ratings of anxiety, 20 subjects by 3 raters, of the R package irr (Gamer, Lemon, Fellows, Singh 2019).
ANXIETY = np.array([
    [3, 3, 3, 4, 5, 5, 2, 3, 5, 2, 2, 6, 1, 5, 2, 2, 1, 2, 4, 3],
    [3, 6, 4, 6, 2, 4, 2, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 3, 3, 4],
    [2, 1, 4, 4, 3, 2, 1, 6, 1, 1, 1, 2, 3, 3, 1, 1, 3, 3, 2, 2],
]).T  # fmt: skip

# Randall, Biometrical J 1989: bitterness of wine; rows are bottles, columns 9 judges.
WINE = np.array([
    [2, 1, 2, 3, 2, 3, 1, 2, 1], [3, 2, 3, 2, 3, 2, 1, 2, 2], [3, 1, 3, 3, 4, 3, 2, 2, 3], [4, 3, 2, 2, 3, 2, 2, 3, 2],
    [4, 2, 5, 3, 3, 2, 2, 3, 3], [4, 3, 5, 2, 3, 4, 3, 3, 2], [5, 5, 4, 5, 3, 5, 2, 3, 4], [5, 4, 4, 3, 3, 4, 3, 4, 4],
])  # fmt: skip
WINE_WARM = np.repeat([0, 0, 0, 0, 1, 1, 1, 1], 9)
WINE_CONTACT = np.repeat([0, 0, 1, 1, 0, 0, 1, 1], 9)
WINE_JUDGE = np.tile(np.arange(9), 8)


def from_contingency(table: list[list[int]]) -> list[list[int]]:
    """One row a case, two raters, from a square contingency table."""
    pairs = [(first, second, count) for first, row in enumerate(table) for second, count in enumerate(row)]
    return [[first + 1, second + 1] for first, second, count in pairs for _ in range(count)]


def from_counts(table: list[list[int]]) -> list[list[int]]:
    """One row a case, anonymous raters, from numbers of raters per category."""
    return [[category + 1 for category, count in enumerate(row) for _ in range(count)] for row in table]
