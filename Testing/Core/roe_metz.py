"""Simulated MRMC studies after Roe and Metz (Acad Radiol 1997, 4:298-303), for tests of type-I error."""

from __future__ import annotations

import numpy as np

# Variances of case, test x case, reader x case and error (they sum to one), and of reader and test x reader (equal);
# named by the correlation between readings of a case and by the variation between readers, high or low.
STRUCTURES = {
    "HL": (0.3, 0.3, 0.2, 0.2, 0.0055),
    "LL": (0.1, 0.1, 0.2, 0.6, 0.0055),
    "HH": (0.3, 0.3, 0.2, 0.2, 0.0300),
    "LH": (0.1, 0.1, 0.2, 0.6, 0.0300),
}


def roe_metz(
    generator: np.random.Generator,
    structure: str = "HL",
    readers: int = 5,
    positives: int = 50,
    negatives: int = 50,
    separation: float = 1.5,
    gain: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Continuous ratings (2 tests, readers, cases) and truth (cases,).

    separation: distance of the two kinds of case (1.5 is an area of 0.856); gain: what test 2 adds to it, 0 under the
    null hypothesis. Every effect is drawn for each kind of case, as in the paper.
    """
    case, test_case, reader_case, error, reader = STRUCTURES[structure]
    truth = np.arange(positives + negatives) < positives
    cases = len(truth)

    def normal(variance: float, *shape: int) -> np.ndarray:
        return generator.normal(0, np.sqrt(variance), shape)

    ratings = normal(case, 1, 1, cases) + normal(test_case, 2, 1, cases)
    ratings = ratings + normal(reader_case, 1, readers, cases) + normal(error, 2, readers, cases)
    for kind in (truth, ~truth):
        ratings[:, :, kind] += normal(reader, 1, readers, 1) + normal(reader, 2, readers, 1)
    ratings[:, :, truth] += separation
    ratings[1][:, truth] += gain
    return ratings, truth
