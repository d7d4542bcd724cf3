"""Counts in regions and along lines of scintigraphic images: ratios and profiles, for source and synthetic alike.

A ratio of mean counts a pixel does not depend on the scale of the grey values, but on their zero: both images must show
no counts as 0. The two regions are drawn once and used for both images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import InputError
from .slices import array_axis
from .volume import Volume, index_to_lps


@dataclass(frozen=True)
class Ratio:
    """Lesion against another region of one image.

    lesion, other: mean value a pixel. lesion_pixels, other_pixels: sizes of the regions. value: lesion / other.
    error: its standard error if the values are counts (Poisson: value * sqrt(1/N1 + 1/N2) with N the total counts of
    the regions), else None: a synthetic image has no counting statistics.
    """

    lesion: float
    other: float
    lesion_pixels: int
    other_pixels: int
    value: float
    error: float | None


def ratio(array: np.ndarray, lesion: np.ndarray, other: np.ndarray, *, counted: bool) -> Ratio:
    """Mean of `array` (k, j, i) in `lesion` over that in `other`; bool masks of the same shape.

    counted: whether the values are counts. Raises InputError where a region is empty, they overlap, or the other
    region holds no counts.
    """
    for name, mask in (("lesion", lesion), ("comparison", other)):
        if not mask.any():
            raise InputError(f"The {name} region covers no pixel of this image; move or enlarge it.")
    if (lesion & other).any():
        raise InputError("The lesion and the comparison region overlap; move one of them.")
    ours, theirs = (array[mask].astype(np.float64) for mask in (lesion, other))
    if theirs.mean() <= 0:
        raise InputError("The comparison region holds no counts, so there is no ratio.")
    value = float(ours.mean() / theirs.mean())
    error = None
    if counted and ours.sum() > 0:
        error = value * float(np.sqrt(1 / ours.sum() + 1 / theirs.sum()))
    return Ratio(float(ours.mean()), float(theirs.mean()), ours.size, theirs.size, value, error)


def mirrored(volume: Volume, mask: np.ndarray) -> np.ndarray:
    """The mask (k, j, i) reflected at the middle of the image from the patient's left to right, for the other side."""
    return np.flip(mask, axis=array_axis(volume, "sagittal"))


def profile(
    volume: Volume, start: tuple[float, ...], end: tuple[float, ...], samples: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """(distance in mm, value) along the line between two points in LPS millimetres, (samples,) each.

    Linear interpolation; along an axis of one pixel the line is taken to lie in that pixel. NaN outside the image.
    """
    ends = np.array([[*start, 1.0], [*end, 1.0]])
    points = ends[0] + np.linspace(0, 1, samples)[:, None] * (ends[1] - ends[0])
    index = (points @ np.linalg.inv(index_to_lps(volume)).T)[:, 2::-1]
    distance = np.linalg.norm(points[:, :3] - ends[0, :3], axis=1)
    return distance, _interpolated(volume.array, index)


def _interpolated(array: np.ndarray, index: np.ndarray) -> np.ndarray:
    """float64 (n,) of the array at fractional (k, j, i); NaN more than half a pixel outside."""
    last = np.array(array.shape) - 1
    index = np.where(last == 0, 0, index)
    outside = ((index < -0.5) | (index > last + 0.5)).any(axis=1)
    index = np.clip(index, 0, last)
    low = np.minimum(np.floor(index).astype(int), np.maximum(last - 1, 0))
    part = index - low
    result = np.zeros(len(index))
    for corner in np.ndindex(2, 2, 2):
        place = np.minimum(low + corner, last)
        weight = np.prod(np.where(corner, part, 1 - part), axis=1)
        result += weight * array[tuple(place.T)]
    return np.where(outside, np.nan, result)
