"""Paired tests of ordinal answers, exact where that can be had, each with the smallest p it could have given.

A test whose smallest attainable p cannot pass Holm's correction is refused: it could not have shown anything. The unit
is the patient: several images or readers of one patient are averaged before they reach a test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import permutations
from typing import Any

import numpy as np

from .estimates import Undefined

MOST_EXACT = 400  # non-zero differences up to which Wilcoxon's distribution is computed exactly
MOST_STATES = 200_000  # rank sums that Friedman's exact distribution may hold at once
_DIGITS = 10  # differences equal to ten digits are ties; averages of answers carry rounding errors
EQUAL_FOLDS = 1e-9  # differences of folds whose range is no wider are equal; areas of few cases carry rounding errors


@dataclass(frozen=True)
class TestResult:
    """One test: p, the smallest p these data could have given, and after `family` Holm's p, or why it is refused."""

    __test__ = False  # not a test of pytest's

    label: str
    statistic: str
    value: float | None
    p: float | None
    smallest_p: float
    n: dict[str, int]
    method: str
    source: str
    effect: dict[str, float] = field(default_factory=dict)
    holm_p: float | None = None
    refused: str | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def per_patient(values: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Means of `values` (rows, ...) within each patient, NaN left out -> (patients, ...), in order of patient."""
    codes = np.unique(patients, return_inverse=True)[1]
    number = codes.max() + 1
    present = np.isfinite(values)
    sums, counts = np.zeros((number, *values.shape[1:])), np.zeros((number, *values.shape[1:]))
    np.add.at(sums, codes, np.where(present, values, 0))
    np.add.at(counts, codes, present)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def wilcoxon(first: np.ndarray, second: np.ndarray, label: str = "first - second") -> TestResult:
    """Wilcoxon's signed-rank test of first - second (n patients each), two-sided.

    Wilcoxon, Biometrics Bull 1945, 1:80-83: zero differences are left out, tied ones get midranks, and the
    distribution is that of all sign patterns of these ranks, so ties are exact too. Pairs with NaN are left out.
    Undefined when no difference is left.
    """
    gap = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    kept = gap[np.isfinite(gap)]
    scale = np.abs(kept).max() if len(kept) else 0.0
    rounded = np.round(kept / scale, _DIGITS) * scale if scale > 0 else kept
    used = rounded[rounded != 0]
    n = {"pairs": len(kept), "nonzero": len(used), "left_out": len(gap) - len(kept)}
    if not len(used):
        raise Undefined(f"none of the {len(kept)} pairs differ, so there is nothing to test")
    ranks = _doubled_ranks(np.abs(used))
    positive, total = int(ranks[used > 0].sum()), int(ranks.sum())
    effect = {"median_difference": float(np.median(kept)), "rank_biserial": (2 * positive - total) / total}
    exact = len(used) <= MOST_EXACT
    p = _exact_signed_rank(ranks, positive) if exact else _normal_signed_rank(ranks, positive)
    method = "exact, all sign patterns of the midranks" if exact else "normal approximation, corrected for ties"
    smallest = 2.0 ** (1 - len(used))
    source = "Wilcoxon, Biometrics Bull 1945, 1:80-83"
    return TestResult(label, "W+", positive / 2, p, smallest, n, f"Wilcoxon signed rank, {method}", source, effect)


def _doubled_ranks(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    # Values that were scaled and rounded together are equal to the last bit only up to one rounding step.
    places = np.unique(np.round(values / values.max(), _DIGITS), return_inverse=True)[1]
    return np.rint(2 * rankdata(places)).astype(int)


def _exact_signed_rank(ranks: np.ndarray, positive: int) -> float:
    """Two-sided p: twice the smaller tail of the sum of doubled ranks with independent fair signs."""
    chance = np.zeros(int(ranks.sum()) + 1)
    chance[0] = 1.0
    for rank in ranks:
        shifted = np.zeros_like(chance)
        shifted[rank:] = chance[: len(chance) - rank]
        chance = (chance + shifted) / 2
    return float(min(1.0, 2 * min(chance[: positive + 1].sum(), chance[positive:].sum())))


def _normal_signed_rank(ranks: np.ndarray, positive: int) -> float:
    from scipy.stats import norm

    z = (positive - ranks.sum() / 2) / math.sqrt(float(np.sum(ranks.astype(float) ** 2)) / 4)
    return float(2 * norm.sf(abs(z)))


def friedman(values: np.ndarray, label: str = "all arms") -> TestResult:
    """Friedman's test of k arms in n patients, values (n, k); patients with a missing arm are left out.

    Friedman, J Am Stat Assoc 1937, 32:675-701, corrected for ties (Conover 1999). The p is that of all orders within
    patients where these can be enumerated, otherwise of the chi-square distribution. Undefined for k < 3, n < 2, or
    when no patient tells the arms apart.
    """
    from scipy.stats import chi2, rankdata

    table = np.asarray(values, dtype=float)
    kept = table[np.isfinite(table).all(axis=1)]
    patients, arms = kept.shape
    n = {"patients": patients, "arms": arms, "left_out": len(table) - patients}
    if arms < 3 or patients < 2:
        raise Undefined(f"Friedman's test needs three arms and two patients; there are {arms} and {patients}")
    ranks = rankdata(np.round(kept, _DIGITS), axis=1)
    squares = float((ranks**2).sum())
    below = squares - patients * arms * (arms + 1) ** 2 / 4
    if below <= 0:
        raise Undefined("every patient has the same answer for all arms, so there is nothing to test")
    doubled = np.rint(2 * ranks).astype(int)
    factor = (arms - 1) / below

    def statistic(sums: np.ndarray) -> np.ndarray:
        return np.asarray(factor * ((sums / 2 - patients * (arms + 1) / 2) ** 2).sum(axis=-1))

    value = float(statistic(doubled.sum(axis=0)))
    chances = _rank_sums(doubled)
    effect = {"kendall_w": value / (patients * (arms - 1))}
    source = "Friedman, J Am Stat Assoc 1937, 32:675-701"
    if chances is None:
        # All orders alike is one pattern in so many; the chi-square tail there is the smallest p it can print.
        largest = float(statistic(np.sort(doubled, axis=1).sum(axis=0)))
        p, smallest, method = float(chi2.sf(value, arms - 1)), float(chi2.sf(largest, arms - 1)), "chi-square"
    else:
        sums, weight = chances
        all_values = statistic(sums)
        p = float(min(1.0, weight[all_values >= value - 1e-9].sum()))
        smallest = float(weight[all_values >= all_values.max() - 1e-9].sum())
        method = "exact, all orders within patients"
    return TestResult(label, "chi-square", value, p, smallest, n, f"Friedman, {method}", source, effect)


def _rank_sums(doubled: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Distribution of the rank sums (states, k) with their probabilities, or None where there are too many states."""
    arms = doubled.shape[1]
    if arms > 6:
        return None
    chances: dict[tuple[int, ...], float] = {(0,) * arms: 1.0}
    orders_of: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for row in doubled:
        key = tuple(sorted(int(rank) for rank in row))
        if key not in orders_of:
            orders_of[key] = sorted(set(permutations(key)))
        orders = orders_of[key]
        if len(chances) * len(orders) > 10 * MOST_STATES:
            return None
        grown: dict[tuple[int, ...], float] = {}
        for sums, chance in chances.items():
            for order in orders:
                # Arms are exchangeable, so the sorted sums are enough.
                reached = tuple(sorted(a + b for a, b in zip(sums, order)))
                grown[reached] = grown.get(reached, 0.0) + chance / len(orders)
        if len(grown) > MOST_STATES:
            return None
        chances = grown
    return np.array(list(chances)), np.array(list(chances.values()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values in the order given; Scand J Stat 1979, 6:65-70."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))) if len(p) else p
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def family(results: Sequence[TestResult], alpha: float = 0.05) -> list[TestResult]:
    """The tests of one family with Holm's p; those that could not have reached alpha are refused.

    A test's best case is that all tests of the family give their smallest p. The family keeps its declared size:
    a refused test still counts in the correction of the others.
    """
    best = holm([result.smallest_p for result in results])
    adjusted = holm([1.0 if result.p is None else result.p for result in results])
    finished = []
    for result, reachable, p in zip(results, best, adjusted):
        if result.refused or result.p is None:
            finished.append(result)
        elif reachable > alpha:
            why = (
                f"the smallest p these data could give is {result.smallest_p:.3g}, {reachable:.3g} after Holm's "
                f"correction for {len(results)} tests, which cannot reach {alpha:g}"
            )
            finished.append(replace(result, value=None, p=None, holm_p=None, refused=why))
        else:
            finished.append(replace(result, holm_p=p))
    return finished


@dataclass(frozen=True)
class CorrectedT:
    """Corrected resampled t test: t, degrees of freedom, two-sided p, and p for first > second."""

    t: float
    df: int
    p: float
    p_greater: float


def nadeau_bengio(differences: np.ndarray, train: int, test: int) -> CorrectedT:
    """Differences of two models over the folds of a (repeated) cross-validation; train, test: cases in a fold.

    Nadeau and Bengio, Mach Learn 2003, 52:239-281: the variance is multiplied by 1/J + test/train, because training
    sets overlap. Undefined with fewer than two folds or without variation beyond rounding.
    """
    from scipy.stats import t as student

    gaps = np.asarray(differences, dtype=float)
    if len(gaps) < 2 or np.ptp(gaps) <= EQUAL_FOLDS:
        raise Undefined("the corrected t test needs two folds or more with different results")
    error = math.sqrt((1 / len(gaps) + test / train) * float(gaps.var(ddof=1)))
    value, df = float(gaps.mean()) / error, len(gaps) - 1
    return CorrectedT(value, df, float(2 * student.sf(abs(value), df)), float(student.sf(value, df)))
