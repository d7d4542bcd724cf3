"""Images for SimpleITK, and one resampling for every engine: image and region once, on one grid, by one interpolator.

The grid is PyRadiomics' (its documentation of `resampledPixelSpacing`): it shares the corner of the mask's first voxel,
and only the region's box and a margin are made. Values are the same to the bit as PyRadiomics makes from the whole
image. A cubic B-spline's coefficients depend on the whole image; they are computed once for all regions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import InputError
from ..volume import Volume
from .roi import Grid, Roi, bounding_box

# Voxels of a resampled region; more would fill the memory.
LARGEST = 1 << 28


def to_sitk(volume: Volume, array: np.ndarray | None = None) -> Any:
    """A SimpleITK image of the volume (or of other voxels on its grid)."""
    from ..formats import quiet_sitk

    sitk = quiet_sitk()
    values = volume.array if array is None else array
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    image = sitk.GetImageFromArray(np.ascontiguousarray(values))
    image.SetSpacing(volume.spacing)
    image.SetOrigin(volume.origin)
    image.SetDirection(volume.direction)
    return image


def mask_to_sitk(roi: Roi) -> Any:
    """A SimpleITK labelmap (uint8) of the whole grid of a region, with the geometry it was read with."""
    from ..formats import quiet_sitk

    image = quiet_sitk().GetImageFromArray(roi.full())
    _set_geometry(image, roi.grid)
    return image


def _set_geometry(image: Any, grid: Grid) -> None:
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)


@dataclass
class Whole:
    """An image as SimpleITK has it, with what is computed from all of it no more than once."""

    image: Any

    @cached_property
    def array(self) -> np.ndarray:
        """The voxels (k, j, i)."""
        from ..formats import quiet_sitk

        found = quiet_sitk().GetArrayViewFromImage(self.image)
        assert isinstance(found, np.ndarray)
        return found

    @cached_property
    def coefficients(self) -> Any:
        """Cubic B-spline coefficients in double precision, as ITK's interpolator computes them for itself."""
        from ..formats import quiet_sitk

        sitk = quiet_sitk()
        return sitk.BSplineDecomposition(sitk.Cast(self.image, sitk.sitkFloat64), 3)


def resampled(whole: Whole, roi: Roi, spacing: list[float], interpolator: str | int, margin: int) -> tuple[Any, Any]:
    """Image and labelmap (SimpleITK, 1 in the region) around one region at another spacing.

    spacing: mm (i, j, k), 0 keeps an axis. interpolator: SimpleITK's name or number. margin: voxels of the new grid.
    Along an axis where the region is one voxel thick nothing is resampled. Raises InputError where the result would be
    too large.
    """
    from ..formats import quiet_sitk

    sitk = quiet_sitk()
    old = np.array(roi.grid.spacing)
    low = np.array(roi.start[::-1])
    size = np.array(roi.mask.shape[::-1])
    new = np.array(spacing)
    new = np.where(new == 0, old, new)
    new = np.where(size != 1, new, old)
    if np.allclose(np.array(whole.image.GetSpacing()), new):
        return _cropped(sitk, whole.image, roi, margin)
    ratio = old / new
    whole_size = np.array(roi.grid.shape[::-1])
    first = np.maximum(np.floor((low - 0.5) * ratio - margin), 0)
    end = np.ceil(whole_size * ratio) - 1
    last = np.minimum(np.ceil((low + size - 0.5) * ratio + margin), end)
    count = (last - first + 1).astype(int)
    if count.astype(float).prod() > LARGEST:
        raise InputError(
            f"At a spacing of {_by(new)} mm {roi.name} would have {_by(count)} voxels; choose a coarser one."
        )
    mask = mask_to_sitk(roi)
    corner = 0.5 * (new - old) / old + first / ratio
    filter_ = sitk.ResampleImageFilter()
    filter_.SetOutputSpacing(new.tolist())
    filter_.SetOutputDirection(roi.grid.direction)
    filter_.SetSize(count.tolist())
    filter_.SetOutputOrigin(mask.TransformContinuousIndexToPhysicalPoint(corner.tolist()))
    filter_.SetOutputPixelType(mask.GetPixelID())
    filter_.SetInterpolator(sitk.sitkNearestNeighbor)
    moved_mask = filter_.Execute(mask)
    filter_.SetOutputPixelType(whole.image.GetPixelID())
    number = getattr(sitk, interpolator) if isinstance(interpolator, str) else interpolator
    if number == sitk.sitkBSpline:
        filter_.SetInterpolator(sitk.sitkBSplineResampler)
        return filter_.Execute(whole.coefficients), moved_mask
    filter_.SetInterpolator(number)
    return filter_.Execute(whole.image), moved_mask


def _cropped(sitk: Any, image: Any, roi: Roi, margin: int) -> tuple[Any, Any]:
    """The region's box and `margin` voxels around it, clipped to the image."""
    low = np.maximum(np.array(roi.start[::-1]) - margin, 0)
    high = np.minimum(np.array(roi.start[::-1]) + roi.mask.shape[::-1] + margin, roi.grid.shape[::-1])
    size, start = (high - low).tolist(), low.tolist()
    mask = mask_to_sitk(roi)
    mask.CopyInformation(image)
    return sitk.RegionOfInterest(image, size, start), sitk.RegionOfInterest(mask, size, start)


def cropped(whole: Whole, roi: Roi, margin: int) -> tuple[Any, Any]:
    """Image and labelmap of the region's box and `margin` voxels around it, clipped to the image."""
    from ..formats import quiet_sitk

    return _cropped(quiet_sitk(), whole.image, roi, margin)


def region_of(image: Any, mask: np.ndarray, origin: Roi) -> Roi | None:
    """The region of a bool mask (k, j, i) on the grid of a SimpleITK image; None where it is empty."""
    box = bounding_box(mask)
    if box is None:
        return None
    k, j, i = mask.shape
    grid = Grid((k, j, i), tuple(image.GetSpacing()), tuple(image.GetOrigin()), tuple(image.GetDirection()))
    start = (box[0].start, box[1].start, box[2].start)
    return Roi(np.ascontiguousarray(mask[box]), start, grid, origin.label, origin.name, origin.notes)


def _by(values: np.ndarray) -> str:
    return " x ".join(f"{value:.6g}" for value in values)
