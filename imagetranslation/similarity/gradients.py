"""Whether edges agree: differences and correlation of gradient magnitudes, in physical units."""

from __future__ import annotations

import numpy as np

from .differences import checked_pair, inside


def gradient_magnitude(image: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Length of the gradient by central differences, intensity units per mm; `spacing` in array order (k, j, i)."""
    axes = [axis for axis, size in enumerate(image.shape) if size > 1]
    squares = [np.gradient(image, spacing[axis], axis=axis) ** 2 for axis in axes]
    return np.sqrt(sum(squares, np.zeros(image.shape)))


def gradient_mae(
    a: np.ndarray, b: np.ndarray, *, data_range: float, spacing: tuple[float, ...], mask: np.ndarray | None = None
) -> float:
    """Mean absolute difference of the two gradient magnitudes inside the mask, intensity units per mm."""
    first, second = (gradient_magnitude(image, spacing) for image in checked_pair(a, b, data_range, mask))
    return float(np.abs(inside(first - second, mask)).mean())


def gradient_correlation(
    a: np.ndarray, b: np.ndarray, *, data_range: float, spacing: tuple[float, ...], mask: np.ndarray | None = None
) -> float:
    """Pearson correlation of the two gradient magnitudes inside the mask; NaN where one image has no edges."""
    first, second = (
        inside(gradient_magnitude(image, spacing), mask).ravel() for image in checked_pair(a, b, data_range, mask)
    )
    first, second = first - first.mean(), second - second.mean()
    scale = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / scale) if scale > 0 else float("nan")
