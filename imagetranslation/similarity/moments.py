"""Local weighted means of two images and of their products, fast: what every kind of SSIM is made of.

The windows are separable. Along each axis the weighted sum is a product with a banded matrix, which linear algebra
libraries do at the processor's full speed, and the images are taken in tiles that stay in its cache; eleven dense
taps cubed would be 1331 products a voxel, one after another.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# Voxels of a tile's result along each of three axes: four images of it with their margins stay in the cache.
TILE = (32, 64, 64)

Tile = tuple[slice, ...]


@dataclass(frozen=True)
class Moments:
    """Local weighted means in one tile, each (k, j, i), about a common centre.

    centre: what was taken from both images first, so that small variances of large values survive. mean_a, mean_b: of
    the rest. squares: of a² + b². product: of ab.
    """

    centre: float
    mean_a: np.ndarray
    mean_b: np.ndarray
    squares: np.ndarray
    product: np.ndarray


def local_moments(
    a: np.ndarray, b: np.ndarray, weights: list[np.ndarray], dtype: type[np.floating] = np.float64
) -> Iterator[tuple[Tile, Moments]]:
    """Moments of two images (k, j, i) under windows that lie wholly inside them, tile by tile.

    weights: one-dimensional odd window for each axis, summing to one; the result is `len(weights) - 1` shorter along
    it. dtype: what is calculated in. Yields (slices of the result, moments).
    """
    bands = _Bands(weights, dtype)
    for result, needed, sizes in _tiles(a.shape, weights):
        first: np.ndarray = a[needed].astype(dtype)
        second: np.ndarray = b[needed].astype(dtype)
        centre = dtype(first.mean())
        first -= centre
        second -= centre
        stacked = np.empty((4, *first.shape), dtype)
        stacked[0], stacked[1] = first, second
        np.multiply(first, second, out=stacked[3])
        np.multiply(first, first, out=stacked[2])
        second *= second
        stacked[2] += second
        yield result, Moments(float(centre), *bands.apply(stacked, sizes))


def local_means(images: list[np.ndarray], weights: list[np.ndarray]) -> Iterator[tuple[Tile, np.ndarray]]:
    """(slices of the result, (n, k, j, i) weighted sums) of n images; see `local_moments`."""
    bands = _Bands(weights, np.float64)
    for result, needed, sizes in _tiles(images[0].shape, weights):
        yield result, bands.apply(np.stack([image[needed] for image in images]), sizes)


def _tiles(shape: tuple[int, ...], weights: list[np.ndarray]) -> Iterator[tuple[Tile, Tile, list[int]]]:
    """(slices of the result, of the images, sizes of the result) of each tile."""
    margins = [len(window) - 1 for window in weights]
    whole = [size - margin for size, margin in zip(shape, margins)]
    if min(whole) < 1:
        raise ValueError(f"images of {shape} are smaller than the window of {[len(w) for w in weights]}")
    for corner in itertools.product(*(range(0, size, tile) for size, tile in zip(whole, TILE))):
        sizes = [min(tile, size - start) for start, tile, size in zip(corner, TILE, whole)]
        result = tuple(slice(start, start + size) for start, size in zip(corner, sizes))
        needed = tuple(slice(s, s + n + margin) for s, n, margin in zip(corner, sizes, margins))
        yield result, needed, sizes


class _Bands:
    """The banded matrices, one for each axis and length, made once."""

    def __init__(self, weights: list[np.ndarray], dtype: type[np.floating]) -> None:
        self._weights, self._dtype = weights, dtype
        self._made: dict[tuple[int, int], np.ndarray] = {}

    def apply(self, stacked: np.ndarray, sizes: list[int]) -> np.ndarray:
        """(n, k, j, i) sums from (n, k + margin, j + margin, i + margin)."""
        along_i = stacked @ self._matrix(2, sizes[2]).T
        along_j = self._matrix(1, sizes[1]) @ along_i
        flat = along_j.reshape(*along_j.shape[:2], -1)
        return (self._matrix(0, sizes[0]) @ flat).reshape(len(stacked), *sizes)

    def _matrix(self, axis: int, size: int) -> np.ndarray:
        if (axis, size) not in self._made:
            window = self._weights[axis]
            matrix: np.ndarray = np.zeros((size, size + len(window) - 1), self._dtype)
            for row in range(size):
                matrix[row, row : row + len(window)] = window
            self._made[axis, size] = matrix
        return self._made[axis, size]
