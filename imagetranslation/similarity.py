"""Image similarity: mean absolute and squared error, PSNR and SSIM, each with a stated data range and mask.

All take two arrays of one shape (k, j, i) or (j, i) and give one float per volume, never per slice. `data_range` is
the span of the intensities (255 for an image in [0, 255]) and has no default: a score without it means nothing.
Comparing several methods, intervals and tests are left to the evaluation tools.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

K1, K2 = 0.01, 0.03  # Wang et al. 2004
GAUSSIAN_SIGMA, GAUSSIAN_RADIUS = 1.5, 5  # Wang et al. 2004: an 11-voxel window
UNIFORM_WIDTH = 7  # SynthRAD2023


def mae(a: np.ndarray, b: np.ndarray, *, data_range: float, mask: np.ndarray | None = None) -> float:
    """Mean absolute difference inside the mask, in the images' unit; `data_range` is checked and not divided by."""
    first, second = _pair(a, b, data_range, mask)
    return float(np.abs(_inside(first - second, mask)).mean())


def mse(a: np.ndarray, b: np.ndarray, *, data_range: float, mask: np.ndarray | None = None) -> float:
    """Mean squared difference inside the mask, in the images' unit squared."""
    first, second = _pair(a, b, data_range, mask)
    return float((_inside(first - second, mask) ** 2).mean())


def psnr(a: np.ndarray, b: np.ndarray, *, data_range: float, mask: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(data_range² / MSE); infinity for equal images."""
    error = mse(a, b, data_range=data_range, mask=mask)
    return math.inf if error == 0 else float(10.0 * math.log10(data_range**2 / error))


def ssim(
    a: np.ndarray, b: np.ndarray, *, data_range: float, mask: np.ndarray | None = None, window: str = "gaussian"
) -> float:
    """Structural similarity (Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 2004): mean of the map inside the mask.

    window: "gaussian" (sigma 1.5, 11 voxels, population covariance, as in the paper) or "uniform-7" (7 voxels, sample
    covariance, as in SynthRAD2023). The window spans every axis longer than one voxel; the map is computed on the
    whole images (edges mirrored), then averaged inside the mask, or everywhere without one.
    """
    return float(_inside(ssim_map(a, b, data_range=data_range, window=window), mask).mean())


def ssim_map(a: np.ndarray, b: np.ndarray, *, data_range: float, window: str = "gaussian") -> np.ndarray:
    """The SSIM at every voxel (float64, the images' shape); arguments as in `ssim`."""
    first, second = _pair(a, b, data_range, None)
    axes = [axis for axis, size in enumerate(first.shape) if size > 1]
    smooth, correction = _window(window, len(axes))

    def blur(image: np.ndarray) -> np.ndarray:
        return _separable(image, smooth, axes)

    mean_a, mean_b = blur(first), blur(second)
    variance_a = correction * (blur(first * first) - mean_a * mean_a)
    variance_b = correction * (blur(second * second) - mean_b * mean_b)
    covariance = correction * (blur(first * second) - mean_a * mean_b)
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return np.asarray(luminance * (2 * covariance + c2) / (variance_a + variance_b + c2))


METRICS: dict[str, Callable[..., float]] = {"mae": mae, "mse": mse, "psnr": psnr, "ssim": ssim}


def compare(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None, data_range: float) -> dict[str, float]:
    """Every metric of this file for one pair: mae, mse, psnr, ssim (gaussian), ssim_uniform7."""
    scores = {name: metric(a, b, data_range=data_range, mask=mask) for name, metric in METRICS.items()}
    scores["ssim_uniform7"] = ssim(a, b, data_range=data_range, mask=mask, window="uniform-7")
    return scores


def _pair(a: np.ndarray, b: np.ndarray, data_range: float, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    if a.shape != b.shape or (mask is not None and mask.shape != a.shape):
        shapes = (a.shape, b.shape, None if mask is None else mask.shape)
        raise ValueError(f"images and mask must have one shape; got {shapes}")
    if not (math.isfinite(data_range) and data_range > 0):
        raise ValueError(f"data_range must be a positive number; got {data_range}")
    return np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)


def _inside(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    if mask is None:
        return values
    if not mask.any():
        raise ValueError("the mask is empty: there is nothing to compare")
    return np.asarray(values[mask.astype(bool)])


def _window(name: str, dimensions: int) -> tuple[np.ndarray, float]:
    """One-dimensional weights that sum to one, and the factor that makes variances unbiased."""
    if name == "gaussian":
        offsets = np.arange(-GAUSSIAN_RADIUS, GAUSSIAN_RADIUS + 1)
        weights = np.exp(-0.5 * (offsets / GAUSSIAN_SIGMA) ** 2)
        return weights / weights.sum(), 1.0
    if name == "uniform-7":
        count = UNIFORM_WIDTH**dimensions
        return np.full(UNIFORM_WIDTH, 1.0 / UNIFORM_WIDTH), count / (count - 1)
    raise ValueError(f"unknown SSIM window {name!r}; there are 'gaussian' and 'uniform-7'")


def _separable(image: np.ndarray, weights: np.ndarray, axes: list[int]) -> np.ndarray:
    """Convolve along each of `axes` with symmetric `weights`, edges mirrored (the edge voxel repeated)."""
    radius = len(weights) // 2
    for axis in axes:
        size = image.shape[axis]
        padding = [(0, 0)] * image.ndim
        padding[axis] = (radius, radius)
        padded = np.pad(image, padding, mode="symmetric")
        image = np.zeros_like(image)
        for offset, weight in enumerate(weights):
            window = [slice(None)] * padded.ndim
            window[axis] = slice(offset, offset + size)
            image += weight * padded[tuple(window)]
    return image
