"""Bootstrap over patients for all features at once: weights of draws, ranks within draws, intervals.

A draw is a row of weights: how often each patient's rows occur. As in `readerstudy.statistics.bootstrap`, the observed
data are the draw of ones and leaving a patient out is a draw of ones with zeros; here a statistic works on all features
of a table, and ranks are taken anew in every draw.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# Numbers that a block of draws and features may hold at once (8 bytes each).
_BLOCK = 4_000_000


def draws(patients: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(count, rows) weights: patients drawn with replacement, all rows of one together. patients: codes 0 ... p - 1."""
    number = int(patients.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=count)
    return drawn[:, patients].astype(np.float64)


def without_each(patients: np.ndarray) -> np.ndarray:
    """(p, rows) weights that leave one patient out."""
    return (patients[None, :] != np.arange(int(patients.max()) + 1)[:, None]).astype(np.float64)


def blocks(count: int, features: int) -> Iterator[slice]:
    """Slices of draws that fit into memory."""
    step = max(1, _BLOCK // max(1, features))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def rank_correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's rho (draws, features) of x and y (rows, features) without gaps; ties get their average rank.

    weights (draws, rows): a row of weight w stands w times in the draw. Memory is of the order of draws times rows.
    """
    found = np.empty((len(weights), x.shape[1]))
    step = max(1, _BLOCK // max(1, 8 * x.shape[0]))
    for start in range(0, len(weights), step):
        # One column a draw, so that every pass over rows runs along memory.
        turned = np.ascontiguousarray(weights[start : start + step].T)
        middle = (turned.sum(axis=0) + 1) / 2
        for feature in range(x.shape[1]):
            first, second = (_centred_ranks(values[:, feature], turned, middle) for values in (x, y))
            weighted = turned * first
            covariance = np.einsum("nd,nd->d", weighted, second)
            spread = np.einsum("nd,nd->d", weighted, first) * np.einsum("nd,nd,nd->d", turned, second, second)
            with np.errstate(divide="ignore", invalid="ignore"):
                found[start : start + step, feature] = np.where(spread > 0, covariance / np.sqrt(spread), np.nan)
    return np.clip(found, -1, 1)


def _centred_ranks(values: np.ndarray, turned: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Average ranks (rows, draws) of one feature within each draw, minus their mean."""
    order = np.argsort(values, kind="stable")
    weights = turned[order]
    ends = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))
    if len(ends) < len(values):
        weights = np.add.reduceat(weights, np.append(0, ends[:-1] + 1), axis=0)
    ranks = np.cumsum(weights, axis=0)
    weights -= 1
    weights *= 0.5
    ranks -= weights
    ranks -= middle
    place = np.empty(len(values), dtype=np.intp)
    place[order] = np.searchsorted(ends, np.arange(len(values)))
    return np.asarray(ranks[place])


def bca(drawn: np.ndarray, observed: np.ndarray, left_out: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Bias-corrected and accelerated intervals (Efron, J Am Stat Assoc 1987, 82:171-185), one a feature.

    drawn: (draws, features). observed: (features,). left_out: (patients, features), the statistic without each patient.
    NaN where more than 5 % of the draws are undefined, or all lie on one side of the value.
    """
    from scipy.special import ndtr, ndtri

    missing = ~np.isfinite(drawn)
    near = 1e-12 * np.maximum(1, np.abs(observed))
    with np.errstate(invalid="ignore", divide="ignore"):
        below = (drawn < observed - near).sum(0) + 0.5 * (np.abs(drawn - observed) <= near).sum(0)
        below = below / (~missing).sum(0)
        bias = ndtri(below)
        deviation = np.nanmean(left_out, axis=0) - left_out if len(left_out) else np.zeros((1, len(observed)))
        spread = np.nansum(deviation**2, axis=0)
        acceleration = np.where(spread > 1e-24, np.nansum(deviation**3, axis=0) / (6 * spread**1.5), 0.0)
        ends = []
        # Undefined draws go to the end of the sorted ones and are not counted.
        ordered, count = np.sort(drawn, axis=0), (~missing).sum(0)
        for z in (ndtri((1 - level) / 2), ndtri((1 + level) / 2)):
            ends.append(_quantile(ordered, count, ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))))
    usable = (missing.mean(0) <= 0.05) & (below > 0) & (below < 1) & np.isfinite(observed)
    return np.where(usable, ends[0], np.nan), np.where(usable, ends[1], np.nan)


def _quantile(ordered: np.ndarray, count: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Linear quantile of each column's first `count` values, each column at its own `part`."""
    position = np.nan_to_num(part) * np.maximum(count - 1, 0)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    columns = np.arange(ordered.shape[1])
    first, second = ordered[low, columns], ordered[high, columns]
    return np.asarray(first + (position - low) * (second - first))
