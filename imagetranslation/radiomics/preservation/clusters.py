"""Twins among features: those that order a cohort's reference images in (nearly) the same way count as one."""

from __future__ import annotations

import numpy as np


def clusters(values: np.ndarray, threshold: float) -> np.ndarray:
    """(features,) cluster number from 1 on, by first appearance; 0 for a feature that is constant or never defined.

    values: (rows, features) of the reference images, NaN where undefined. Complete linkage on 1 - |rho| (Spearman): any
    two features of a cluster have |rho| of at least the threshold.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform
    from scipy.stats import rankdata

    found = np.zeros(values.shape[1], dtype=int)
    if len(values) < 3:
        return found
    ranks = rankdata(values, axis=0, nan_policy="omit")
    centred = ranks - np.nanmean(np.where(np.isfinite(ranks).any(axis=0), ranks, 0.0), axis=0)
    centred = np.where(np.isfinite(centred), centred, 0.0)
    size = np.sqrt((centred**2).sum(axis=0))
    used = np.flatnonzero(size > 0)
    if len(used) == 0:
        return found
    unit = centred[:, used] / size[used]
    if len(used) == 1:
        found[used] = 1
        return found
    distance = 1 - np.abs(unit.T @ unit)
    np.fill_diagonal(distance, 0)
    labels = fcluster(linkage(squareform(distance.clip(0), checks=False), "complete"), 1 - threshold, "distance")
    order = list(dict.fromkeys(labels.tolist()))
    found[used] = [order.index(label) + 1 for label in labels.tolist()]
    return found
