"""A region of interest: which voxels of an image's grid, with hash and geometry, and whether it can be used.

Regions are read from files by `segmentations`; the Segment Editor and the brush hand over labelmaps (`from_labelmap`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..volume import Volume

if TYPE_CHECKING:
    from .settings import Settings

# Two grids are the same where voxel centres agree within this part of a voxel: less than any outline is known to.
GRID_TOLERANCE = 0.05
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Grid:
    """Size (k, j, i) and geometry (i, j, k), as in `Volume`."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, volume: Volume) -> Grid:
        """The grid of a volume."""
        k, j, i = volume.array.shape
        return cls((k, j, i), volume.spacing, volume.origin, volume.direction)


@dataclass(frozen=True)
class Roi:
    """A region. mask: bool (k, j, i), cropped to the region. start: (k, j, i) of its first voxel in the grid.

    label: its number in the labelmap. name: shown to people. notes: sentences on how it was read.
    """

    mask: np.ndarray
    start: tuple[int, int, int]
    grid: Grid
    label: int = 1
    name: str = "ROI"
    notes: tuple[str, ...] = ()

    @cached_property
    def voxels(self) -> int:
        """How many voxels it has."""
        return int(np.count_nonzero(self.mask))

    @property
    def volume_mm3(self) -> float:
        """Voxels times the volume of one."""
        return self.voxels * math.prod(self.grid.spacing)

    @property
    def box(self) -> Box:
        """Half-open bounds (first, last + 1) along k, j, i."""
        (a, b, c), (d, e, f) = self.start, self.mask.shape
        return (a, a + d), (b, b + e), (c, c + f)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index."""
        k, j, i = (slice(*bounds) for bounds in self.box)
        return k, j, i

    @cached_property
    def sha256(self) -> str:
        """Hash of the voxels, their place in the grid, its size and spacing (to a micrometre), whatever the file."""
        spacing = [f"{value:.3f}" for value in self.grid.spacing]
        digest = hashlib.sha256(repr((self.grid.shape, spacing, self.start, self.mask.shape)).encode())
        digest.update(np.packbits(self.mask).tobytes())
        return digest.hexdigest()

    def full(self) -> np.ndarray:
        """uint8 (k, j, i) labelmap of the whole grid, 1 in the region."""
        whole = np.zeros(self.grid.shape, np.uint8)
        whole[self.slices] = self.mask
        return whole

    def centre_of_mass(self) -> tuple[float, float, float]:
        """mm in LPS, of the voxels' centres."""
        middle = np.array([index.mean() for index in np.nonzero(self.mask)]) + self.start
        direction = np.reshape(self.grid.direction, (3, 3))
        x, y, z = direction @ (middle[::-1] * self.grid.spacing) + self.grid.origin
        return float(x), float(y), float(z)

    def to_dict(self) -> dict[str, Any]:
        """Hash and geometry, for every row of results. Axes are (i, j, k) here, millimetres LPS."""
        return {
            "name": self.name, "label": self.label, "sha256": self.sha256, "voxels": self.voxels,
            "volume_mm3": self.volume_mm3, "first_voxel": list(self.start[::-1]),
            "box_voxels": list(self.mask.shape[::-1]), "centre_of_mass_lps_mm": list(self.centre_of_mass()),
            "grid_size": list(self.grid.shape[::-1]), "spacing_mm": list(self.grid.spacing),
            "origin_lps_mm": list(self.grid.origin), "direction": list(self.grid.direction), "notes": list(self.notes),
        }  # fmt: skip


def from_labelmap(
    labelmap: Volume, labels: Iterable[int] | None = None, names: dict[int, str] | None = None
) -> list[Roi]:
    """The regions of a labelmap, by ascending label; labels: only these, all there are by default.

    Raises InputError with one sentence where the values are no labels (fractions, NaN), nothing is drawn, or one of
    `labels` is not there.
    """
    array = checked_labels(labelmap)
    boxes = _boxes(array, labels) or _boxes(array, None)
    if not boxes:
        raise InputError(f"{labelmap.name} is empty: no voxel is marked. Draw a region first, or choose another file.")
    wanted = list(boxes) if labels is None else list(dict.fromkeys(labels))
    if absent := [label for label in wanted if label not in boxes]:
        present = ", ".join(str(label) for label in list(_boxes(array, None))[:20])
        raise InputError(f"{labelmap.name} has no label {absent[0]}; it holds {present or 'none'}.")
    rois = []
    for label in wanted:
        k, j, i = boxes[label]
        mask = np.ascontiguousarray(array[k, j, i] == label)
        name = (names or {}).get(label) or f"{labelmap.name} label {label}"
        rois.append(Roi(mask, (k.start, j.start, i.start), Grid.of(labelmap), label, name, labelmap.notes))
    return rois


def checked_labels(labelmap: Volume) -> np.ndarray:
    """The labels as whole numbers (k, j, i); InputError where the values are something else."""
    array = labelmap.array
    if array.size == 0:
        raise InputError(f"{labelmap.name} has no voxels.")
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype.kind in "ui":
        return array
    if array.dtype.kind != "f":
        raise InputError(f"{labelmap.name} holds values of type {array.dtype}; labels are whole numbers.")
    if not np.isfinite(array).all():
        raise InputError(f"{labelmap.name} holds NaN or infinite values; a mask holds whole numbers from 0 on.")
    largest = float(np.abs(array).max())
    if largest >= 2**31:
        raise InputError(f"{labelmap.name} holds {largest:g}, which is too large for a label.")
    whole = array.astype(np.int32)
    if (differs := whole != array).any():
        value = array[differs][0]
        raise InputError(
            f"{labelmap.name} holds fractions such as {value:.4g}: it looks like an image or a probability map, not a "
            "mask. Threshold it first."
        )
    return whole


def _boxes(array: np.ndarray, labels: Iterable[int] | None) -> dict[int, tuple[slice, slice, slice]]:
    """Label to bounding box, of the labels above 0 that are there (of `labels` where these are few)."""
    from scipy import ndimage

    wanted = None if labels is None else [label for label in dict.fromkeys(labels) if label > 0]
    if wanted is not None and len(wanted) == 1:
        box = bounding_box(array == wanted[0])
        return {} if box is None else {wanted[0]: box}
    largest = int(array.max())
    if largest <= 65535:
        return {label: box for label, box in enumerate(ndimage.find_objects(array), 1) if box is not None}
    present = [int(label) for label in np.unique(array) if label > 0]
    if len(present) > 4096:
        raise InputError(f"The mask holds {len(present)} different values; it looks like an image, not a mask.")
    found = {label: bounding_box(array == label) for label in present}
    return {label: box for label, box in found.items() if box is not None}


def bounding_box(mask: np.ndarray) -> tuple[slice, slice, slice] | None:
    """The smallest box (k, j, i) that holds all true voxels, or None where there are none."""
    bounds: list[slice] = []
    for axes in ((1, 2), (0, 2), (0, 1)):
        # The first reduction shrinks what the other two have to read.
        inner = mask[tuple(bounds)] if bounds else mask
        found = np.flatnonzero(inner.any(axis=axes))
        if found.size == 0:
            return None
        bounds.append(slice(int(found[0]), int(found[-1]) + 1))
    k, j, i = bounds
    return k, j, i


def check_grid(roi: Roi, image: Volume) -> None:
    """InputError with one sentence unless the region lies on the image's grid, within GRID_TOLERANCE of a voxel."""
    difference = grid_difference(roi.grid, Grid.of(image))
    if difference:
        raise InputError(
            f"{roi.name} is on another grid than {image.name}: {difference}. Draw it on this image, or resample the "
            "mask to it with nearest neighbour."
        )


def grid_difference(mask: Grid, image: Grid) -> str:
    """What differs between two grids, or "" where they are the same."""
    if mask.shape != image.shape:
        return f"the mask has {_by(mask.shape[::-1])} voxels, the image {_by(image.shape[::-1])}"
    steps = np.array(image.shape[::-1]) - 1
    tolerance = GRID_TOLERANCE * min(image.spacing)
    directions = [np.reshape(grid.direction, (3, 3)) for grid in (mask, image)]
    spread = (np.array(mask.spacing) - image.spacing) * np.maximum(steps, 1)
    if np.abs(spread).max() > tolerance:
        return f"the mask's spacing is {_by(mask.spacing)} mm, the image's {_by(image.spacing)} mm"
    if np.abs((directions[0] - directions[1]) * (np.array(image.spacing) * steps)).sum(axis=1).max() > tolerance:
        return "their axes point in different directions"
    apart = np.array(mask.origin) - image.origin
    if np.abs(apart).max() > tolerance:
        return f"the first voxels' centres are {float(np.linalg.norm(apart)):.4g} mm apart"
    return ""


def _by(values: Iterable[float]) -> str:
    return " x ".join(f"{value:.6g}" for value in values)


def check_usable(roi: Roi, settings: Settings) -> None:
    """InputError with one sentence where the region has too few voxels, or only one."""
    check_voxels(roi.name, roi.voxels, settings)


def check_voxels(name: str, voxels: int, settings: Settings, where: str = "") -> None:
    """InputError with one sentence where `voxels` are too few; where: what was done before, as "after resampling"."""
    if voxels < settings.minimum_voxels:
        raise InputError(
            f"{name} has {voxels} voxel{'s' if voxels != 1 else ''}{where and ' ' + where}; at least "
            f"{settings.minimum_voxels} are needed (the setting minimum_voxels). Texture of fewer is mostly chance."
        )


def check_intensities(roi: Roi, image: Volume) -> None:
    """InputError with one sentence where the image is not a number in the region."""
    if image.array.dtype.kind != "f":
        return
    bad = int(np.count_nonzero(~np.isfinite(image.array[roi.slices][roi.mask])))
    if bad:
        raise InputError(f"{image.name} is NaN or infinite in {bad} voxels of {roi.name}; repair the image first.")
