"""Making the images of a case alike, so that nothing but the picture itself can tell which is which.

All arms of a case come onto one grid, lose what lies outside the field of view they share, are scaled by the same rule
to the same range and type, and lose their place in the scanner. Writing them under neutral names is `building`'s
matter; checking what a reader could still see is `audit`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InputError
from ..fieldofview import field_of_view
from ..volume import Volume, check_usable, corner_points, index_to_lps

# 12 bits: as fine as scanners store, and a window can still be moved. The same range for every image of every case.
LEVELS = 4096
WINDOW = (0.0, float(LEVELS - 1))
# An image of fewer grey levels than this does not pull the others down to it.
_FEWEST_STEPS = 16
# Grids whose voxels agree so well (mm) need no interpolation.
_SAME_MM = 1e-3
# Gaussian that removes what a coarser grid cannot hold: full width at half maximum of one new voxel.
_FWHM_TO_SIGMA = 1 / 2.355


@dataclass(frozen=True)
class Prepared:
    """One image made alike. volume: uint16 0 to 4095, 0 outside the common field of view, centred on the origin.
    facts: how it was made, for the key: grey values that became black and white, whether it was interpolated, the LPS
    centre it had, and its number of grey levels before and now."""

    volume: Volume
    facts: Mapping[str, Any]


def prepared(
    source: Volume | None, arms: Mapping[str, Volume], percentiles: tuple[float, float], view: str, case: str
) -> dict[str, Prepared]:
    """The images of one case made alike: arm id (and "source", where given) to the image.

    The common grid is the images' own where their voxels coincide, cut to the box that all cover; otherwise a new one
    in the directions of the first over that box, with the coarsest spacing of any along each axis, onto which every
    arm is interpolated (linearly, after a Gaussian where it gets coarser): not the real one alone, whose softness
    would tell it. The field of view is where every arm and the source recorded something. Grey values: `percentiles`
    inside it become 0 and 4095, for each image by itself, and all arms get as many steps between as the one with the
    fewest, because steps show in a narrow window. InputError names the case where that is impossible.
    """
    everything = {**({"source": source} if source is not None else {}), **arms}
    for name, volume in everything.items():
        if volume.synthetic and volume.provenance and volume.provenance.quantity:
            raise InputError(f"Case {case}: {volume.name} is a map about an image, not an image ({name}).")
        check_usable(volume)
    grid, exact = _common_grid(everything, arms, case)
    inside = _common_view(everything, grid, view, case)
    box = tuple(slice(int(n.min()), int(n.max()) + 1) for n in np.nonzero(inside))
    scaled = {
        name: _scaled(_on(volume, grid)[box], inside[box], percentiles, f"Case {case}, {name}")
        for name, volume in everything.items()
    }
    steps = {name: min(LEVELS, len(np.unique(values))) for name, (values, _, _) in scaled.items()}
    fewest = max(_FEWEST_STEPS, min(steps[name] for name in arms))
    result = {}
    for name, (values, black, white) in scaled.items():
        count = fewest if name in arms else LEVELS
        facts = {
            "black": black,
            "white": white,
            "interpolated": not exact,
            "centre_lps": [round(float(c), 4) for c in _centre(grid, box)],
            "steps_before": steps[name],
            "steps": count,
        }
        result[name] = Prepared(_centred(grid, _stepped(values, inside[box], count), box), facts)
    return result


def _common_grid(everything: Mapping[str, Volume], arms: Mapping[str, Volume], case: str) -> tuple[Volume, bool]:
    """A volume on the common grid, and whether every image's voxels lie on it already, so that nothing is mixed."""
    volumes = list(everything.values())
    first = volumes[0]
    if all(first.same_grid(other, _SAME_MM) for other in volumes[1:]):
        return first, True
    direction = np.asarray(first.direction, dtype=float).reshape(3, 3)
    lower, upper = np.full(3, -np.inf), np.full(3, np.inf)
    coarsest = np.zeros(3)
    for volume in volumes:
        turned = np.abs(direction.T @ np.asarray(volume.direction, dtype=float).reshape(3, 3))
        spacing = turned @ np.asarray(volume.spacing) / turned.sum(axis=1)
        if volume is not everything.get("source") or len(arms) == 0:
            coarsest = np.maximum(coarsest, spacing)
        along = corner_points(volume) @ direction
        lower = np.maximum(lower, along.min(axis=0) - spacing / 2)
        upper = np.minimum(upper, along.max(axis=0) + spacing / 2)
    length = upper - lower
    if (length <= 0).any():
        raise InputError(f"Case {case}: its images do not overlap; check their geometry.")
    if _one_lattice(volumes):
        return _cut(first, lower, upper), True
    size = np.maximum(1, np.floor(length / coarsest + 1e-6).astype(int))
    origin = direction @ (lower + (length - (size - 1) * coarsest) / 2)
    i, j, k = (int(n) for n in size)
    x, y, z = (float(v) for v in coarsest)
    a, b, c = (float(v) for v in origin)
    return Volume(np.zeros((k, j, i), np.uint8), (x, y, z), (a, b, c), first.direction), False


def _one_lattice(volumes: list[Volume]) -> bool:
    """Whether the voxels of all coincide where they overlap: same axes and spacing, whole voxels apart."""
    first = volumes[0]
    spacing = np.asarray(first.spacing)
    direction = np.asarray(first.direction, dtype=float).reshape(3, 3)
    for other in volumes[1:]:
        if not (np.allclose(other.direction, first.direction, atol=1e-6) and np.allclose(other.spacing, spacing, 1e-6)):
            return False
        apart = (np.subtract(other.origin, first.origin) @ direction) / spacing
        if (np.abs(apart - np.rint(apart)) * spacing).max() > _SAME_MM:
            return False
    return True


def _cut(first: Volume, lower: np.ndarray, upper: np.ndarray) -> Volume:
    """The part of the first image's grid whose voxels lie between the bounds (mm along its axes, voxel edges)."""
    spacing = np.asarray(first.spacing)
    start = np.asarray(first.origin) @ np.asarray(first.direction, dtype=float).reshape(3, 3)
    low = np.rint((lower + spacing / 2 - start) / spacing).astype(int)
    high = np.rint((upper - spacing / 2 - start) / spacing).astype(int)
    i, j, k = (int(n) for n in high - low + 1)
    a, b, c = (float(v) for v in (index_to_lps(first) @ [*low, 1.0])[:3])
    return Volume(np.zeros((k, j, i), np.uint8), first.spacing, (a, b, c), first.direction)


def _on(volume: Volume, grid: Volume) -> np.ndarray:
    """The volume's values on the grid, untouched where it is its own."""
    return volume.array if volume.same_grid(grid, _SAME_MM) else _resampled(volume, grid)


def _common_view(everything: Mapping[str, Volume], grid: Volume, view: str, case: str) -> np.ndarray:
    """Bool (k, j, i) on the grid: where every image recorded something."""
    inside = np.ones(grid.array.shape, dtype=bool)
    for name, volume in everything.items():
        # Only the source is looked at for a fan: an arm's own black parts are what is judged.
        if name == "source" and view != "whole":
            recorded = field_of_view(volume, view)
        elif volume.field_of_view is not None:
            recorded = volume.field_of_view.astype(bool)
        elif volume.same_grid(grid, _SAME_MM):
            continue
        else:
            recorded = np.ones(volume.array.shape, dtype=bool)
        if not volume.same_grid(grid, _SAME_MM):
            recorded = _resampled(volume.with_array(recorded.astype(np.uint8)), grid, nearest=True) > 0
        inside &= recorded
    if not inside.any():
        raise InputError(f"Case {case}: its images share no field of view; check their geometry.")
    return inside


def _resampled(volume: Volume, grid: Volume, nearest: bool = False) -> np.ndarray:
    """The volume's values on the grid (k, j, i); 0 outside it."""
    import SimpleITK as sitk

    image = _to_sitk(volume, sitk)
    if not nearest:
        image = sitk.Cast(image, sitk.sitkFloat32)
        ratio = _ratio(volume, grid)
        if (ratio > 1.01).any():
            sigma = np.where(ratio > 1.01, ratio * _FWHM_TO_SIGMA, 1e-3)
            # Variances in voxels, so that the kernel does not depend on the unit of spacing.
            image = sitk.DiscreteGaussian(image, [float(s**2) for s in sigma], 32, 0.01, False)
    interpolator = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    return np.asarray(
        sitk.GetArrayFromImage(sitk.Resample(image, _to_sitk(grid, sitk), sitk.Transform(), interpolator))
    )


def _ratio(volume: Volume, grid: Volume) -> np.ndarray:
    """New spacing over old along each axis (i, j, k) of the volume."""
    own = np.asarray(volume.direction, dtype=float).reshape(3, 3)
    turned = np.abs(own.T @ np.asarray(grid.direction, dtype=float).reshape(3, 3))
    return (turned @ np.asarray(grid.spacing) / turned.sum(axis=1)) / np.asarray(volume.spacing)


def _to_sitk(volume: Volume, sitk: Any) -> Any:
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array))
    image.SetSpacing([float(v) for v in volume.spacing])
    image.SetOrigin([float(v) for v in volume.origin])
    image.SetDirection([float(v) for v in volume.direction])
    return image


def _scaled(
    array: np.ndarray, inside: np.ndarray, percentiles: tuple[float, float], what: str
) -> tuple[np.ndarray, float, float]:
    """float64 0 to 1 from black to white, and those two grey values."""
    values = np.asarray(array, dtype=np.float64)
    black, white = (float(v) for v in np.percentile(values[inside], percentiles))
    if not white > black:
        black, white = float(values[inside].min()), float(values[inside].max())
    if not white > black:
        raise InputError(f"{what}: the image is constant where all images of the case recorded something.")
    return np.clip((values - black) / (white - black), 0, 1), black, white


def _stepped(values: np.ndarray, inside: np.ndarray, count: int) -> np.ndarray:
    """uint16 0 to 4095 in `count` equal steps from 0 to 1; 0 outside."""
    steps = np.rint(np.rint(values * (count - 1)) / (count - 1) * (LEVELS - 1)).astype(np.uint16)
    return np.where(inside, steps, np.uint16(0))


def _centre(grid: Volume, box: tuple[slice, ...]) -> np.ndarray:
    """(3,) LPS mm of the middle of the box."""
    k, j, i = ((part.start + part.stop - 1) / 2 for part in box)
    return np.asarray((index_to_lps(grid) @ [i, j, k, 1.0])[:3])


def _centred(grid: Volume, array: np.ndarray, box: tuple[slice, ...]) -> Volume:
    """The array on its part of the grid, moved so that its middle is at LPS (0, 0, 0): a place in the scanner could
    tell the patient."""
    k, j, i = (part.start for part in box)
    corner = (index_to_lps(grid) @ [i, j, k, 1.0])[:3] - _centre(grid, box)
    a, b, c = (float(v) for v in corner)
    return replace(
        grid, array=array, origin=(a, b, c), name="image", modality="", field_of_view=None, notes=(), attributes={},
        provenance=None,
    )  # fmt: skip
