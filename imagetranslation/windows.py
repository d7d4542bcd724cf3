"""Which windows of a model's patch size cover a volume, and how overlapping results are blended.

The plan is the seam where speed lives: it says which windows there are, not how they are computed.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

Window = tuple[slice, ...]


@dataclass(frozen=True)
class Plan:
    """windows: slices into the padded volume. patch: their shape. padded_shape: the volume's, grown to a patch."""

    windows: tuple[Window, ...]
    patch: tuple[int, ...]
    padded_shape: tuple[int, ...]


def plan(shape: tuple[int, ...], patch: tuple[int, ...], overlap: float = 0.25) -> Plan:
    """Fewest windows of `patch` that cover `shape` with at least `overlap` (0 to <1) of a patch shared, evenly spread.

    shape: (slice, row, column). patch: two sizes for a 2D model (one slice a window) or three for a 3D one. An axis
    shorter than the patch is padded to it.
    """
    full = (1,) * (len(shape) - len(patch)) + tuple(patch)
    padded = tuple(max(size, want) for size, want in zip(shape, full))
    starts = [_starts(size, want, overlap) for size, want in zip(padded, full)]
    windows = tuple(
        tuple(slice(start, start + size) for start, size in zip(corner, full)) for corner in itertools.product(*starts)
    )
    return Plan(windows, full, padded)


def gaussian_weights(patch: tuple[int, ...], sigma: float = 0.125) -> np.ndarray:
    """float32 weights of one window, 1 at its centre; `sigma` is a fraction of the patch, the least weight is 1e-3."""
    axes = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / max(sigma * n, 1e-6)) ** 2) for n in patch]
    product = axes[0]
    for axis in axes[1:]:
        product = product[..., None] * axis
    return np.maximum(product / product.max(), 1e-3).astype(np.float32)


def _starts(size: int, patch: int, overlap: float) -> list[int]:
    if size == patch:
        return [0]
    stride = max(1.0, patch * (1 - overlap)) if patch > 1 else 1.0
    count = math.ceil((size - patch) / stride - 1e-9) + 1
    return [round(n * (size - patch) / (count - 1)) for n in range(count)]
