"""Errors voxel by voxel: mean absolute, mean squared, PSNR; and what all measures of this room check first."""

from __future__ import annotations

import math

import numpy as np


def mae(a: np.ndarray, b: np.ndarray, *, data_range: float, mask: np.ndarray | None = None) -> float:
    """Mean absolute difference inside the mask, in the images' unit; `data_range` is checked and not divided by."""
    first, second = checked_pair(a, b, data_range, mask)
    return float(np.abs(inside(first - second, mask)).mean())


def mse(a: np.ndarray, b: np.ndarray, *, data_range: float, mask: np.ndarray | None = None) -> float:
    """Mean squared difference inside the mask, in the images' unit squared."""
    first, second = checked_pair(a, b, data_range, mask)
    return float((inside(first - second, mask) ** 2).mean())


def psnr(a: np.ndarray, b: np.ndarray, *, data_range: float, mask: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(data_range² / MSE); infinity for equal images."""
    error = mse(a, b, data_range=data_range, mask=mask)
    return math.inf if error == 0 else float(10.0 * math.log10(data_range**2 / error))


def psnr_clipped(
    a: np.ndarray, b: np.ndarray, *, value_range: tuple[float, float], mask: np.ndarray | None = None
) -> float:
    """PSNR as SynthRAD2023 takes it: both images clipped to `value_range` (lower, upper), MSE inside the mask."""
    lower, upper = checked_range(value_range)
    return psnr(np.clip(a, lower, upper), np.clip(b, lower, upper), data_range=upper - lower, mask=mask)


def checked_pair(
    a: np.ndarray, b: np.ndarray, data_range: float, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Both images in 64 bits; ValueError where shapes differ, the range is no positive number, or values are not finite
    where they count."""
    if a.shape != b.shape or (mask is not None and mask.shape != a.shape):
        shapes = (a.shape, b.shape, None if mask is None else mask.shape)
        raise ValueError(f"images and mask must have one shape; got {shapes}")
    if not (math.isfinite(data_range) and data_range > 0):
        raise ValueError(f"data_range must be a positive number; got {data_range}")
    return np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)


def checked_range(value_range: tuple[float, float]) -> tuple[float, float]:
    """(lower, upper) as floats; ValueError unless they are finite and rise."""
    lower, upper = (float(end) for end in value_range)
    if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
        raise ValueError(f"value_range must rise; got {lower}, {upper}")
    return lower, upper


def inside(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """The values inside the mask, all of them without one; ValueError for an empty mask."""
    if mask is None:
        return values
    if not mask.any():
        raise ValueError("the mask is empty: there is nothing to compare")
    return np.asarray(values[mask.astype(bool)])
