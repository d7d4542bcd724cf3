"""PyRadiomics' Laplacian of Gaussian (ITK's recursive filter) in a region, without filtering the rest of the image.

The filter is recursive: a value depends on its whole line, so no margin is enough. But it works axis by axis, and once
an axis is done only the region's part of it is needed. Of the nine passes over the image three remain whole; they are
shared by all regions. ITK adds the three second derivatives in single precision after scaling each by 1 / spacing^2
(itkLaplacianRecursiveGaussianImageFilter); done in that order, every bit is the same. Whether this holds with the ITK
at hand is tried once, on a small image.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from .roi import Roi


def applicable(image: Any, rois: Sequence[Roi], sigma: float) -> bool:
    """Whether PyRadiomics filters this image at all, axis by axis is less work, and gives the same bits."""
    size, spacing = np.array(image.GetSize()), np.array(image.GetSpacing())
    if image.GetDimension() != 3 or size.min() < 4 or (size < np.ceil(sigma / spacing) + 1).any():
        return False
    return _work(size, rois) < 9.0 and _agrees()


def _work(size: np.ndarray, rois: Sequence[Roi]) -> float:
    """Passes over the whole image."""
    work = 3.0
    for roi in rois:
        part = np.array(roi.mask.shape[::-1]) / size
        # The second pass sees one axis cut, the third two.
        work += float(part.sum() + part[0] * part[1] + part[1] * part[0] + part[2] * part[0])
    return work


def laplacian(image: Any, rois: Sequence[Roi], sigma: float) -> list[np.ndarray]:
    """float32 (k, j, i) of each region's box. image: SimpleITK. sigma: mm."""
    from ..formats import quiet_sitk

    sitk = quiet_sitk()
    spacing = image.GetSpacing()
    sums: list[np.ndarray] = [np.zeros(roi.mask.shape, np.float32) for roi in rois]
    for axis in range(3):
        derived = _pass(sitk, image, sigma, 2, axis)
        for number, roi in enumerate(rois):
            part = _cut(sitk, derived, roi, axis)
            for other in (n for n in range(3) if n != axis):
                part = _cut(sitk, _pass(sitk, part, sigma, 0, other), roi, other)
            scaled = sitk.GetArrayViewFromImage(part).astype(np.float64) * (1.0 / (spacing[axis] * spacing[axis]))
            sums[number] = (sums[number].astype(np.float64) + scaled).astype(np.float32)
    return sums


def _pass(sitk: Any, image: Any, sigma: float, order: int, axis: int) -> Any:
    """One recursive pass along an axis (i, j, k); order 0 smooths, 2 takes the second derivative."""
    gaussian = sitk.RecursiveGaussianImageFilter()
    gaussian.SetNormalizeAcrossScale(True)
    gaussian.SetSigma(sigma)
    gaussian.SetOrder(order)
    gaussian.SetDirection(axis)
    return gaussian.Execute(image)


def _cut(sitk: Any, image: Any, roi: Roi, axis: int) -> Any:
    """The region's part of one axis (i, j, k)."""
    start, size = [0, 0, 0], list(image.GetSize())
    first, end = roi.box[2 - axis]
    start[axis], size[axis] = first, end - first
    return sitk.RegionOfInterest(image, size, start)


@cache
def _agrees() -> bool:
    from ..formats import quiet_sitk
    from .roi import Grid

    sitk = quiet_sitk()
    shape = (9, 11, 12)
    values = np.random.default_rng(0).normal(500, 200, shape).astype(np.int16)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.7, 0.8, 2.5))
    whole = sitk.LaplacianRecursiveGaussianImageFilter()
    whole.SetNormalizeAcrossScale(True)
    whole.SetSigma(1.7)
    expected = sitk.GetArrayFromImage(whole.Execute(image))
    grid = Grid(shape, image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    roi = Roi(np.ones((4, 5, 6), bool), (2, 0, 6), grid)
    (found,) = laplacian(image, [roi], 1.7)
    return bool(np.array_equal(found, expected[roi.slices]))
