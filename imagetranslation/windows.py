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
    full, padded = _sizes(shape, patch)
    starts = [_starts(size, want, overlap) for size, want in zip(padded, full)]
    windows = tuple(
        tuple(slice(start, start + size) for start, size in zip(corner, full)) for corner in itertools.product(*starts)
    )
    return Plan(windows, full, padded)


def count(shape: tuple[int, ...], patch: tuple[int, ...], overlap: float = 0.25) -> int:
    """How many windows `plan` would make, without making them."""
    full, padded = _sizes(shape, patch)
    return math.prod(_count(size, want, overlap) for size, want in zip(padded, full))


def padded_shape(shape: tuple[int, ...], patch: tuple[int, ...]) -> tuple[int, ...]:
    """`shape`, grown to `patch` where it is smaller."""
    return _sizes(shape, patch)[1]


def gaussian_weights(patch: tuple[int, ...], sigma: float = 0.125) -> np.ndarray:
    """float32 weights of one window, 1 at its centre; `sigma` is a fraction of the patch, the least weight is 1e-3."""
    axes = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / max(sigma * n, 1e-6)) ** 2) for n in patch]
    product = axes[0]
    for axis in axes[1:]:
        product = product[..., None] * axis
    return np.maximum(product / product.max(), 1e-3).astype(np.float32)


def _sizes(shape: tuple[int, ...], patch: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The patch with as many axes as `shape`, and the padded shape."""
    full = (1,) * (len(shape) - len(patch)) + tuple(patch)
    return full, tuple(max(size, want) for size, want in zip(shape, full))


def _count(size: int, patch: int, overlap: float) -> int:
    stride = max(1.0, patch * (1 - overlap)) if patch > 1 else 1.0
    return math.ceil((size - patch) / stride - 1e-9) + 1


def _starts(size: int, patch: int, overlap: float) -> list[int]:
    number = _count(size, patch, overlap)
    return [0] if number == 1 else [round(n * (size - patch) / (number - 1)) for n in range(number)]
