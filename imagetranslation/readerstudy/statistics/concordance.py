"""Kendall's coefficient of concordance W with ties, vectorised over bootstrap draws of cases."""

from __future__ import annotations

import numpy as np

from .bootstrap import Statistic
from .estimates import UNDEFINED


def kendall_w(values: np.ndarray) -> Statistic:
    """W of (n cases, m raters) without gaps; Kendall and Babington Smith 1939; ties as in Siegel and Castellan 1988.

    W = 12 S / (m^2 (n^3 - n) - m sum T), midranks within each rater, T the sum of t^3 - t over a rater's ties. Case
    multiplicities count as ties. W depends on the number of raters, so readers cannot be resampled: their weights are
    not used.
    """
    raters = values.shape[1]
    places = [np.unique(values[:, rater], return_inverse=True)[1] for rater in range(raters)]

    def statistic(cases: np.ndarray, readers: np.ndarray) -> np.ndarray:
        total, ties = np.zeros_like(cases), np.zeros(len(cases))
        for place in places:
            order = np.argsort(place, kind="stable")
            starts = np.searchsorted(place[order], np.arange(place.max() + 1))
            tied = np.add.reduceat(cases[:, order], starts, axis=1)
            ranks = np.cumsum(tied, axis=1) - tied + (tied + 1) / 2
            total += ranks[:, place]
            ties += (tied**3 - tied).sum(axis=1)
        number = cases.sum(axis=1)
        centre = (cases * total).sum(axis=1) / number
        spread = (cases * (total - centre[:, None]) ** 2).sum(axis=1)
        below = raters**2 * (number**3 - number) - raters * ties
        return np.divide(12 * spread, below, out=np.full(len(cases), np.nan), where=below > UNDEFINED)

    return statistic


def chi_square(w: float, cases: int, raters: int) -> tuple[float, int, float]:
    """Friedman's chi-square of W, its degrees of freedom and p (no association between the raters' rankings)."""
    from scipy.stats import chi2

    statistic, degrees = raters * (cases - 1) * w, cases - 1
    return statistic, degrees, float(chi2.sf(statistic, degrees))
