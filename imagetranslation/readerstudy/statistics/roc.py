"""Empirical areas under ROC curves of several readings of the same cases, their covariances, and DeLong's test.

A reading is one reader with one test. What the areas of a whole study say about its tests is left to `mrmc`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .estimates import UNDEFINED, Undefined

COVARIANCES = ("jackknife", "delong", "unbiased")
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Areas:
    """Areas of m readings of one set of cases.

    auc: (m,), a tie counting one half. positive: (m, cases with the condition) and negative: (m, cases without): the
    placement of each case, i.e. the share of cases of the other kind that the reading puts on the right side of it.
    kernel sums for the unbiased covariance are computed when asked for.
    """

    auc: np.ndarray
    positive: np.ndarray
    negative: np.ndarray


def areas(ratings: np.ndarray, truth: np.ndarray) -> Areas:
    """ratings: (m, n) without gaps; truth: (n,) booleans. Undefined unless each kind of case is there twice.

    Placements come from midranks, in O(n log n) (Sun and Xu, IEEE Signal Process Lett 2014, 21:1389-1393).
    """
    truth = np.asarray(truth, dtype=bool)
    enough(truth)
    place = _ranks(ratings)
    above, below = place[:, truth], place[:, ~truth]
    count_above, count_below = above.shape[1], below.shape[1]
    # A case's rank among all, less its rank among its own kind, counts the cases of the other kind below it.
    positive = (above - _ranks(ratings[:, truth])) / count_below
    negative = 1 - (below - _ranks(ratings[:, ~truth])) / count_above
    return Areas(positive.mean(axis=1), positive, negative)


def enough(truth: np.ndarray) -> None:
    """Undefined unless there are two cases with the condition and two without."""
    with_it = int(np.sum(truth))
    without = len(truth) - with_it
    if min(with_it, without) < 2:
        raise Undefined(
            f"the condition is there in {with_it} of {len(truth)} cases; an area needs two with and two without it"
        )


def covariance(ratings: np.ndarray, truth: np.ndarray, method: str) -> np.ndarray:
    """(m, m) covariances of the areas; method: one of COVARIANCES.

    delong: DeLong, DeLong and Clarke-Pearson, Biometrics 1988, 44:837-845. jackknife: over all cases (Efron 1982), as
    in Obuchowski and Rockette's method. unbiased: the U-statistic estimate (Gallas, Acad Radiol 2006, 13:353-362).
    """
    found = areas(ratings, truth)
    if method == "delong":
        return _sample_covariance(found.positive) + _sample_covariance(found.negative)
    if method == "jackknife":
        return _jackknife(found)
    if method == "unbiased":
        return _unbiased(np.asarray(ratings, dtype=float), np.asarray(truth, dtype=bool), found)
    raise ValueError(f"covariance is one of {', '.join(COVARIANCES)}; got {method}")


def _ranks(values: np.ndarray) -> np.ndarray:
    """Midranks of every row."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=1))


def _sample_covariance(placements: np.ndarray) -> np.ndarray:
    return np.asarray(np.atleast_2d(np.cov(placements)) / placements.shape[1])


def _jackknife(found: Areas) -> np.ndarray:
    auc = found.auc[:, None]
    one, other = found.positive.shape[1], found.negative.shape[1]
    left_out = np.hstack([(one * auc - found.positive) / (one - 1), (other * auc - found.negative) / (other - 1)])
    deviation = left_out - left_out.mean(axis=1, keepdims=True)
    cases = one + other
    return np.asarray((cases - 1) / cases * deviation @ deviation.T)


def _unbiased(ratings: np.ndarray, truth: np.ndarray, found: Areas) -> np.ndarray:
    """Product of two areas less the mean kernel product over pairs that share no case, which estimates E(A) E(B)."""
    one, other = ratings[:, truth], ratings[:, ~truth]
    count, others = one.shape[1], other.shape[1]
    both = np.zeros((len(ratings), len(ratings)))
    block = max(1, _BLOCK // (len(ratings) * others))
    for start in range(0, count, block):
        part = one[:, start : start + block, None]
        kernel = (np.sign(part - other[:, None, :]) + 1).reshape(len(ratings), -1) / 2
        both += kernel @ kernel.T
    same_positive = others**2 * found.positive @ found.positive.T
    same_negative = count**2 * found.negative @ found.negative.T
    product = np.outer(found.auc, found.auc)
    apart = (count * others) ** 2 * product - same_positive - same_negative + both
    return np.asarray(product - apart / (count * (count - 1) * others * (others - 1)))


@dataclass(frozen=True)
class Difference:
    """A difference of two areas: first less second, with z test and interval."""

    first: float
    second: float
    difference: float
    standard_error: float
    z: float
    p: float
    low: float
    high: float


def delong_test(ratings: np.ndarray, truth: np.ndarray, level: float = 0.95) -> Difference:
    """Two correlated areas compared: ratings (2, n), truth (n,). DeLong et al., Biometrics 1988, 44:837-845."""
    found = areas(ratings, truth)
    matrix = covariance(ratings, truth, "delong")
    return difference(found.auc, matrix, level)


def difference(auc: np.ndarray, matrix: np.ndarray, level: float) -> Difference:
    """z test and interval of auc[0] - auc[1] with covariances `matrix` (2, 2); Undefined where the variance is zero."""
    from scipy.stats import norm

    variance = float(matrix[0, 0] + matrix[1, 1] - 2 * matrix[0, 1])
    if variance < UNDEFINED:
        raise Undefined("the difference of the two areas has no variance: the two orders of the cases do not differ")
    error, gap = float(np.sqrt(variance)), float(auc[0] - auc[1])
    half = float(norm.ppf(0.5 + level / 2)) * error
    z = gap / error
    return Difference(float(auc[0]), float(auc[1]), gap, error, z, float(2 * norm.sf(abs(z))), gap - half, gap + half)
