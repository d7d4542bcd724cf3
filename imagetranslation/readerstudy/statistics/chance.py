"""Agreement coefficients on a scale of categories, chance-corrected and not, vectorised over bootstrap draws.

Each `*_statistic` returns a `bootstrap.Statistic`. Where readers are resampled, pairs of copies of one reader are left
out: a reader agrees with himself, and counting that would push agreement up. Missing ratings are used as each
coefficient's source says. Intervals are left to `bootstrap`, the table of all coefficients to `agreement`.
"""

from __future__ import annotations

from itertools import combinations
from typing import Callable

import numpy as np

from .bootstrap import Statistic
from .estimates import UNDEFINED
from .ratings import Ratings

IDENTITY, LINEAR, QUADRATIC = "unweighted", "linear", "quadratic"
METRICS = ("nominal", "ordinal", "interval", "ratio")


def agreement_weights(positions: np.ndarray, weighting: str) -> np.ndarray:
    """(q, q) weights: 1 on the diagonal; 1 - |d|/range (linear) or 1 - d^2/range^2 (quadratic) elsewhere.

    positions: where the categories lie on the scale (q,). Linear: Cicchetti and Allison, Am J EEG Technol 1971,
    11:101-109; quadratic: Fleiss and Cohen, Educ Psychol Meas 1973, 33:613-619.
    """
    if weighting == IDENTITY:
        return np.eye(len(positions))
    distance = np.abs(positions[:, None] - positions[None, :])
    reach = distance.max() if distance.size and distance.max() > 0 else 1.0
    return np.asarray(1 - (distance / reach) ** {LINEAR: 1, QUADRATIC: 2}[weighting])


class _Counts:
    """What all coefficients need of one block of draws: how many readers (as weighted) gave each category."""

    def __init__(self, ratings: Ratings, readers: np.ndarray) -> None:
        cases, raters = ratings.codes.shape
        one_hot = np.zeros((raters, cases, len(ratings.labels)))
        case, rater = np.nonzero(ratings.rated)
        one_hot[rater, case, ratings.codes[case, rater]] = 1
        self.categories = (readers @ one_hot.reshape(raters, -1)).reshape(len(readers), cases, -1)
        self.ratings = self.categories.sum(axis=2)
        # Ordered pairs of ratings by two different readers.
        self.pairs = self.ratings**2 - (readers**2) @ ratings.rated.T.astype(float)
        self.paired = self.pairs > UNDEFINED


def _sum(cases: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weighted sum over cases: cases (B, n), values (1 or B, n) or (1 or B, n, q) -> (B,) or (B, q)."""
    if len(values) == 1:
        return np.asarray(cases @ values[0])
    return np.asarray(np.einsum("bn,bn...->b...", cases, values))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below > UNDEFINED)


def _corrected(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return _ratio(observed - expected, 1 - expected)


def _observed(cases: np.ndarray, counts: _Counts, weights: np.ndarray) -> np.ndarray:
    """Mean over cases with two ratings or more of the agreement between their pairs of ratings (B,)."""
    apart = ((counts.categories @ (1 - weights)) * counts.categories).sum(axis=2)
    agreeing = np.where(counts.paired, 1 - apart / np.where(counts.paired, counts.pairs, 1), 0)
    return _ratio(_sum(cases, agreeing), _sum(cases, counts.paired.astype(float)))


def _prevalence(cases: np.ndarray, counts: _Counts) -> np.ndarray:
    """Mean over rated cases of the share of each category (B, q)."""
    rated = counts.ratings > UNDEFINED
    shares = np.where(rated[..., None], counts.categories / np.where(rated, counts.ratings, 1)[..., None], 0)
    return _ratio(_sum(cases, shares), _sum(cases, rated.astype(float))[:, None])


def percent_agreement(ratings: Ratings) -> Statistic:
    """Share of pairs of ratings of the same case that are equal, averaged over cases (Gwet 2014, ch. 4)."""

    def statistic(cases: np.ndarray, readers: np.ndarray) -> np.ndarray:
        return _observed(cases, _Counts(ratings, readers), np.eye(len(ratings.labels)))

    return statistic


def fleiss_kappa(ratings: Ratings) -> Statistic:
    """Fleiss, Psychol Bull 1971, 76:378-382; with missing ratings as in Gwet 2014, ch. 4: cases with one rating enter
    the chance agreement only."""

    def statistic(cases: np.ndarray, readers: np.ndarray) -> np.ndarray:
        counts = _Counts(ratings, readers)
        expected = (_prevalence(cases, counts) ** 2).sum(axis=1)
        return _corrected(_observed(cases, counts, np.eye(len(ratings.labels))), expected)

    return statistic


def gwet_ac(ratings: Ratings, weighting: str = IDENTITY) -> Statistic:
    """Gwet's AC1 (unweighted) and AC2 (weighted): Br J Math Stat Psychol 2008, 61:29-48; Handbook 2014, ch. 4.

    The number of categories enters the chance agreement, so the scale should be the declared one.
    """
    weights = agreement_weights(ratings.positions(), weighting)
    q = len(ratings.labels)

    def statistic(cases: np.ndarray, readers: np.ndarray) -> np.ndarray:
        counts = _Counts(ratings, readers)
        share = _prevalence(cases, counts)
        expected = weights.sum() / (q * (q - 1)) * (share * (1 - share)).sum(axis=1) if q > 1 else np.array([1.0])
        return _corrected(_observed(cases, counts, weights), expected)

    return statistic


def krippendorff_alpha(ratings: Ratings, metric: str) -> Statistic:
    """Krippendorff's alpha: Computing Krippendorff's Alpha-Reliability, 2011; Content Analysis, 2nd ed. 2004, ch. 11.

    metric: nominal, ordinal, interval or ratio. Cases with one rating are left out. The ordinal difference of two
    categories is the squared difference of their midranks, which is Krippendorff's sum of frequencies between them.
    """
    positions = ratings.positions()

    def statistic(cases: np.ndarray, readers: np.ndarray) -> np.ndarray:
        counts = _Counts(ratings, readers)
        used = np.where(counts.paired[..., None], counts.categories, 0)
        values = _sum(cases, used)  # (B, q): how often each category occurs among pairable ratings
        total = values.sum(axis=1)
        factor = np.where(counts.paired, counts.ratings / np.where(counts.paired, counts.pairs, 1), 0)
        if metric == "ordinal":
            place = np.cumsum(values, axis=1) - values / 2
            observed = _squares_apart(cases, used, factor, place)
            expected = 2 * (total * (values * place**2).sum(axis=1) - (values * place).sum(axis=1) ** 2)
        else:
            difference = _metric(metric, positions)
            observed = _sum(cases, factor * ((used @ difference) * used).sum(axis=2))
            expected = ((values @ difference) * values).sum(axis=1)
        return 1 - _ratio(observed * (total - 1), expected)

    return statistic


def _squares_apart(cases: np.ndarray, used: np.ndarray, factor: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Sum over cases of the squared differences of place (B, q) between all ordered pairs of ratings (B,)."""
    equation = "nc,bc->bn" if len(used) == 1 else "bnc,bc->bn"
    counts = used[0] if len(used) == 1 else used
    first, second = np.einsum(equation, counts, place), np.einsum(equation, counts, place**2)
    ratings = used.sum(axis=2)
    return np.asarray((cases * factor * 2 * (ratings * second - first**2)).sum(axis=1))


def _metric(metric: str, positions: np.ndarray) -> np.ndarray:
    if metric == "nominal":
        return np.asarray(1 - np.eye(len(positions)))
    difference = positions[:, None] - positions[None, :]
    if metric == "interval":
        return np.asarray(difference**2)
    total = positions[:, None] + positions[None, :]
    return np.asarray(np.divide(difference, total, out=np.zeros_like(difference), where=total != 0) ** 2)


def pairwise_kappas(ratings: Ratings, weighting: str = IDENTITY) -> Callable[[np.ndarray], np.ndarray]:
    """Cohen's kappa of every pair of raters, in the order of itertools.combinations, as case weights -> (B, pairs).

    Cohen, Educ Psychol Meas 1960, 20:37-46; weighted: Psychol Bull 1968, 70:213-220. Each pair uses the cases that
    both rated; NaN where both gave one and the same category throughout, or share no case.
    """
    weights = agreement_weights(ratings.positions(), weighting)
    q = len(ratings.labels)
    pairs = list(combinations(range(len(ratings.raters)), 2))
    shared = [ratings.rated[:, first] & ratings.rated[:, second] for first, second in pairs]
    hot = np.eye(q)
    # Without missing ratings all pairs share their cases, and a rater's distribution is computed once.
    masks = [rows.tobytes() for rows in shared]

    def statistic(cases: np.ndarray) -> np.ndarray:
        kappas = np.full((len(cases), len(pairs)), np.nan)
        distributions: dict[tuple[int, bytes], np.ndarray] = {}
        for place, pair in enumerate(pairs):
            rows = shared[place]
            multiplicity = cases[:, rows]
            total = multiplicity.sum(axis=1)
            first, second = (ratings.codes[rows, rater] for rater in pair)
            observed = _ratio(multiplicity @ weights[first, second], total)
            keys = [(rater, masks[place]) for rater in pair]
            for key, codes in zip(keys, (first, second)):
                if key not in distributions:
                    distributions[key] = _ratio(multiplicity @ hot[codes], total[:, None])
            expected = ((distributions[keys[0]] @ weights) * distributions[keys[1]]).sum(axis=1)
            kappas[:, place] = _corrected(observed, expected)
        return kappas

    return statistic


def cohen_kappa(ratings: Ratings, weighting: str = IDENTITY) -> Statistic:
    """Cohen's kappa of two raters; for more, the mean over their pairs (Light, Psychol Bull 1971, 76:365-377).

    Undefined where one pair is undefined.
    """
    of_pairs = pairwise_kappas(ratings, weighting)
    first, second = np.triu_indices(len(ratings.raters), 1)

    def statistic(cases: np.ndarray, readers: np.ndarray) -> np.ndarray:
        kappas = of_pairs(cases)
        weights = np.broadcast_to(readers[:, first] * readers[:, second], kappas.shape)
        return _ratio((np.where(weights > 0, kappas, 0) * weights).sum(axis=1), weights.sum(axis=1))

    return statistic
