"""Normalised mutual information: how far one image's grey values tell the other's, whatever those values mean."""

from __future__ import annotations

import numpy as np

from .differences import checked_pair, inside

BINS = 100


def nmi(a: np.ndarray, b: np.ndarray, *, data_range: float, mask: np.ndarray | None = None, bins: int = BINS) -> float:
    """(H(a) + H(b)) / H(a, b) (Studholme, Hill, Hawkes, Pattern Recognition 1999): 1 for unrelated, 2 for equal images.

    The joint histogram inside the mask has `bins` bins from each image's least to greatest value there; `data_range`
    is checked like that of the other measures and not used. Two constant images give 2, by convention.
    """
    first, second = (inside(image, mask).ravel() for image in checked_pair(a, b, data_range, mask))
    joint = np.bincount(_bin(first, bins) * bins + _bin(second, bins), minlength=bins * bins).reshape(bins, bins)
    together = _entropy(joint.ravel())
    apart = _entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))
    return 2.0 if together == 0 else float(apart / together)


def _bin(values: np.ndarray, bins: int) -> np.ndarray:
    lowest, highest = values.min(), values.max()
    if lowest == highest:
        return np.zeros(values.shape, np.int64)
    return np.minimum((values - lowest) * (bins / (highest - lowest)), bins - 1).astype(np.int64)


def _entropy(counts: np.ndarray) -> float:
    """Shannon entropy in nats of a histogram."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())
