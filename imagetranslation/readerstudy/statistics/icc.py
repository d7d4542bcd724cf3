"""Intraclass correlations of cases that every rater rated, with the F intervals of McGraw and Wong.

Vectorised over bootstrap draws like `chance`; which cases are complete is left to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .bootstrap import Statistic
from .estimates import UNDEFINED, Interval

FORMS = {
    "icc_1_1": "ICC(1,1), one-way, one rater",
    "icc_a_1": "ICC(2,1) = ICC(A,1), agreement, one rater",
    "icc_c_1": "ICC(3,1) = ICC(C,1), consistency, one rater",
    "icc_1_k": "ICC(1,k), one-way, mean of the raters",
    "icc_a_k": "ICC(2,k) = ICC(A,k), agreement, mean of the raters",
    "icc_c_k": "ICC(3,k) = ICC(C,k), consistency, mean of the raters",
}
F_INTERVAL = "F distribution (McGraw and Wong 1996)"


@dataclass(frozen=True)
class MeanSquares:
    """Two-way ANOVA without replication: of cases (rows), raters (columns) and residual; each (B,)."""

    rows: np.ndarray
    columns: np.ndarray
    error: np.ndarray
    cases: np.ndarray
    raters: int

    @property
    def within(self) -> np.ndarray:
        """Mean square within cases, of the one-way ANOVA."""
        return np.asarray((self.columns + (self.cases - 1) * self.error) / self.cases)


def mean_squares(values: np.ndarray, cases: np.ndarray, readers: np.ndarray) -> MeanSquares:
    """values: (n, k) without gaps; cases: (B, n) and readers: (1 or B, k) multiplicities.

    Written with variances and covariances between different readers, so that two copies of a reader in a draw do not
    count as two readers who agree: rows = v + (k-1) c and error = v - c, with v the mean variance of a reader and c the
    mean covariance of two. With all weights one these are the usual mean squares.
    """
    n, k = values.shape
    values = values - values.mean()  # keeps the sums of squares small
    number = cases.sum(axis=1)
    means = cases @ values / number[:, None]
    products = (cases @ (values[:, :, None] * values[:, None, :]).reshape(n, -1)).reshape(-1, k, k)
    scale = number / (number - 1)
    covariances = scale[:, None, None] * (products / number[:, None, None] - means[:, :, None] * means[:, None, :])
    weights = np.broadcast_to(readers, (len(cases), k))
    pairs = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    own = np.diagonal(covariances, axis1=1, axis2=2)
    variance = (weights * own).sum(axis=1) / weights.sum(axis=1)
    all_pairs = np.einsum("bj,bjk,bk->b", weights, covariances, weights)
    covariance = (all_pairs - (weights**2 * own).sum(axis=1)) / pairs
    centre = (weights * means).sum(axis=1) / weights.sum(axis=1)
    between = (weights * (means - centre[:, None]) ** 2).sum(axis=1) * weights.sum(axis=1) / pairs
    return MeanSquares(variance + (k - 1) * covariance, number * between, variance - covariance, number, k)


def coefficient(form: str, squares: MeanSquares) -> np.ndarray:
    """One of FORMS (B,). Shrout and Fleiss, Psychol Bull 1979, 86:420-428; McGraw and Wong, Psychol Methods 1996, 1."""
    rows, columns, error, k = squares.rows, squares.columns, squares.error, squares.raters
    within, n = squares.within, squares.cases
    above, below = {
        "icc_1_1": (rows - within, rows + (k - 1) * within),
        "icc_a_1": (rows - error, rows + (k - 1) * error + k * (columns - error) / n),
        "icc_c_1": (rows - error, rows + (k - 1) * error),
        "icc_1_k": (rows - within, rows),
        "icc_a_k": (rows - error, rows + (columns - error) / n),
        "icc_c_k": (rows - error, rows),
    }[form]
    value = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > UNDEFINED)
    # Covariances of different readers can exceed their variances in a draw; a correlation cannot.
    return np.minimum(value, 1.0)


def icc_statistic(form: str, values: np.ndarray) -> Statistic:
    """The coefficient as a function of weights; values: (n, k) without gaps."""

    def statistic(cases: np.ndarray, readers: np.ndarray) -> np.ndarray:
        return coefficient(form, mean_squares(values, cases, readers))

    return statistic


def f_interval(form: str, values: np.ndarray, level: float) -> Interval:
    """Interval of McGraw and Wong 1996, Tables 7 and 8, for independent cases, normal ratings and these raters."""
    n, k = values.shape
    squares = mean_squares(values, np.ones((1, n)), np.ones((1, k)))
    if n < 3 or squares.error[0] < UNDEFINED:
        reason = f"{n} cases are too few" if n < 3 else "the raters differ by a constant only; there is no residual"
        return Interval(F_INTERVAL, level, refused=reason)
    low, high = f_ends(form, squares, level)
    return Interval(F_INTERVAL, level, float(low[0]), float(high[0]))


def f_ends(form: str, squares: MeanSquares, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of `f_interval` for many tables at once, in the shape of the mean squares, which are above zero."""
    rows, columns, error, k = squares.rows, squares.columns, squares.error, squares.raters
    n = squares.cases
    tail = (1 + level) / 2
    kind, raters = form.split("_")[1:]
    if kind == "a":
        return _agreement_ends(rows, columns, error, n, k, tail, mean=raters == "k")
    below, degrees = (squares.within, n * (k - 1)) if kind == "1" else (error, (n - 1) * (k - 1))
    low, high = _ratio_ends(rows / below, n - 1, degrees, tail)
    if raters == "1":
        return (low - 1) / (low + k - 1), (high - 1) / (high + k - 1)
    return 1 - 1 / low, 1 - 1 / high


def _ratio_ends(ratio: np.ndarray, above: np.ndarray, below: np.ndarray, tail: float) -> tuple[np.ndarray, np.ndarray]:
    from scipy.stats import f

    return ratio / f.ppf(tail, above, below), ratio * f.ppf(tail, below, above)


def _agreement_ends(
    rows: np.ndarray, columns: np.ndarray, error: np.ndarray, n: np.ndarray, k: int, tail: float, mean: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Ends for ICC(A,1) and ICC(A,k); the degrees of freedom are Satterthwaite's, from ICC(A,1) in both cases."""
    from scipy.stats import f

    single = (rows - error) / (rows + (k - 1) * error + k * (columns - error) / n)
    odds = single / (1 - single)
    a, b = k * odds / n, 1 + k * (n - 1) * odds / n
    combined = (a * columns + b * error) ** 2
    degrees = combined / ((a * columns) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1)))
    lower, upper = f.ppf(tail, n - 1, degrees), f.ppf(tail, degrees, n - 1)
    rest = columns - error if mean else k * columns + (k * n - k - n) * error
    low = n * (rows - lower * error) / (lower * rest + n * rows)
    high = n * (upper * rows - error) / (rest + n * upper * rows)
    return low, high
