"""How far a set of synthetic slices lies from a set of real ones, as a whole: Fréchet's distance of encoder features.

FID (Heusel et al., NeurIPS 2017) with the project's own encoder in place of a network trained on photographs; numbers
of different encoders cannot be compared. Alone among the measures it belongs to a method and not to a patient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from imagetranslation.readerstudy.statistics.estimates import Undefined

LEAST_PER_FEATURE = 2  # slices for each feature, below which the covariances mean little: our choice


def features(encoder: Any, slices: np.ndarray, batch: int = 32) -> np.ndarray:
    """(n, H, W) in [-1, 1] -> (n, features): the mean of every channel of the coarsest level, float64."""
    import torch

    made = []
    with torch.no_grad():
        for start in range(0, len(slices), batch):
            part = torch.from_numpy(np.ascontiguousarray(slices[start : start + batch], np.float32))[:, None]
            made.append(encoder(part)[-1].mean(dim=(2, 3)).double().numpy())
    return np.concatenate(made)


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Fréchet distance between normal distributions fitted to two sets (n, features).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), Dowson and Landau, J Multivar Anal 1982. Undefined where a set has
    fewer than two members for each feature.
    """
    least = LEAST_PER_FEATURE * first.shape[1]
    if min(len(first), len(second)) < least:
        raise Undefined(
            f"Fréchet's distance of {first.shape[1]} features needs {least} slices of each kind; there are "
            f"{len(first)} and {len(second)}"
        )
    means = first.mean(axis=0) - second.mean(axis=0)
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    # The eigenvalues of C1 C2 are those of C1^(1/2) C2 C1^(1/2), which is symmetric.
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root @ b @ root), 0, None)).sum()
    return float(max(0.0, means @ means + np.trace(a) + np.trace(b) - 2 * shared))
