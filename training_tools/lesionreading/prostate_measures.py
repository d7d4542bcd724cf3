"""How dark a place in the prostate is against its own zone, and the detector that looks for dark regions.

A place is compared with what surrounds it inside its zone, because the peripheral zone is bright and the transition
zone dark, and a receiver coil makes the back of the gland brighter than its front. Nothing is learnt; nothing but gland
and zones is known to the detector, so that it reads synthetic images, ultrasound and real images alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .prostate_view import View, bounds

LEAST_AROUND = 30  # voxels around a place, below which its contrast means nothing: our choice
MOST_REGIONS = 60  # of an image, darkest first


@dataclass(frozen=True)
class Contrast:
    """Of a place in one image. contrast: in standard deviations of the gland; cnr: over that around the place.

    Both NaN where the surroundings are too small or constant.
    """

    contrast: float
    cnr: float


@dataclass(frozen=True)
class Region:
    """A dark region. mask: bool (k, j, i). centre: index of its voxel nearest to its middle. score: -CNR."""

    mask: np.ndarray
    centre: tuple[int, int, int]
    volume_ml: float
    score: float


def around(mask: np.ndarray, view: View, without: np.ndarray) -> np.ndarray:
    """Bool: the zone of a place within `rule.around_mm`, off the gland's border, neither it nor `without`."""
    from scipy import ndimage

    found = np.zeros(mask.shape, bool)
    box = _box(mask, view)
    near = ndimage.distance_transform_edt(~mask[box], sampling=view.spacing) <= view.rule.around_mm
    zone = view.zones[view.zone_of(mask)]
    found[box] = near & zone[box] & view.deep[box] & ~mask[box] & ~without[box]
    return found


def contrast(image: np.ndarray, mask: np.ndarray, surroundings: np.ndarray, spread: float) -> Contrast:
    """Of one place in one image; spread: the standard deviation of the gland in it."""
    if not mask.any() or surroundings.sum() < LEAST_AROUND:
        return Contrast(float("nan"), float("nan"))
    beside = image[surroundings].astype(np.float64)
    gap, noise = float(image[mask].mean(dtype=np.float64) - beside.mean()), float(beside.std())
    small = 1e-6 * max(abs(float(beside.mean())), 1e-12)
    return Contrast(gap / spread if spread > small else float("nan"), gap / noise if noise > small else float("nan"))


def regions(view: View, image: str) -> list[Region]:
    """The dark regions of an image, darkest first; those from a score of `rule.mark_cnr` are marks."""
    rule, array = view.rule, view.images[image]
    if view.spread[image] == 0 or (image == "synthetic" and view.unreadable):
        return []
    depth = _depth(array, view)
    found: list[Region] = []
    taken = np.zeros(array.shape, bool)
    for place in _minima(depth, view):
        if taken[place]:
            continue
        mask = _region(depth, place, view)
        size = int(mask.sum()) * view.voxel_ml
        if size < rule.least_ml:
            continue
        taken |= mask
        score = -contrast(array, mask, around(mask, view, np.zeros_like(mask)), view.spread[image]).cnr
        if np.isfinite(score) and score > 0:
            found.append(Region(mask, _middle(mask), round(size, 4), float(score)))
    return sorted(found, key=lambda region: -region.score)[:MOST_REGIONS]


def _depth(array: np.ndarray, view: View) -> np.ndarray:
    """Robust standard deviations (1.4826 MAD) that a voxel lies below its zone's local level; 0 where not looked."""
    rule = view.rule
    smooth = _within(array, view.gland, rule.smooth_mm, view)
    depth = np.zeros(array.shape, np.float32)
    for zone in view.zones.values():
        inside = zone & view.deep
        if inside.sum() < LEAST_AROUND:
            continue
        departure = (smooth - _within(smooth, inside, rule.level_mm, view))[inside]
        departure -= np.median(departure)
        noise = 1.4826 * float(np.median(np.abs(departure)))
        if noise > 0:
            depth[inside] = -departure / noise
    return depth


def _minima(depth: np.ndarray, view: View) -> list[tuple[int, ...]]:
    """Places that are darker than all within `rule.apart_mm`, and dark enough; the darkest first."""
    from scipy import ndimage

    box = bounds(view.gland)
    reach = [max(1, int(view.rule.apart_mm / mm)) for mm in view.spacing]
    places = np.mgrid[tuple(slice(-n, n + 1) for n in reach)]
    far = sum((part * mm) ** 2 for part, mm in zip(places, view.spacing))
    footprint = far <= max(view.rule.apart_mm, *view.spacing) ** 2 + 1e-9
    part = depth[box]
    top = ndimage.maximum_filter(part, footprint=footprint, mode="constant")
    found = np.argwhere((part == top) & (part >= view.rule.dark_z))
    found = found[np.argsort(-part[tuple(found.T)], kind="stable")]
    return [tuple(int(n) + side.start for n, side in zip(place, box)) for place in found]


def _region(depth: np.ndarray, place: tuple[int, ...], view: View) -> np.ndarray:
    """The connected voxels around a minimum with at least half of its depth, within `rule.reach_mm` of it."""
    from scipy import ndimage

    wide = [int(np.ceil(view.rule.reach_mm / mm)) for mm in view.spacing]
    box = tuple(slice(max(at - n, 0), at + n + 1) for at, n in zip(place, wide))
    here = tuple(at - side.start for at, side in zip(place, box))
    grids = np.indices(depth[box].shape)
    far = sum(((grid - at) * mm) ** 2 for grid, at, mm in zip(grids, here, view.spacing))
    labels, _ = ndimage.label((depth[box] >= 0.5 * depth[place]) & (far <= view.rule.reach_mm**2))
    found = np.zeros(depth.shape, bool)
    found[box] = labels == labels[here]
    return found


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Twice what two masks share over what both hold."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 0.0


def _within(image: np.ndarray, mask: np.ndarray, sd_mm: float, view: View) -> np.ndarray:
    """Gaussian mean of the voxels of a mask alone (normalised convolution), float32; 0 outside the mask's box."""
    from scipy import ndimage

    box = bounds(mask)
    sigma = [sd_mm / mm for mm in view.spacing]
    weight = ndimage.gaussian_filter(mask[box].astype(np.float32), sigma, mode="constant")
    total = ndimage.gaussian_filter(np.where(mask[box], image[box], 0).astype(np.float32), sigma, mode="constant")
    found = np.zeros(mask.shape, np.float32)
    found[box] = np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-4)
    return found


def _box(mask: np.ndarray, view: View) -> tuple[slice, ...]:
    """The part of the grid within `rule.around_mm` of a mask."""
    return bounds(mask, [int(np.ceil(view.rule.around_mm / mm)) + 1 for mm in view.spacing])


def _middle(mask: np.ndarray) -> tuple[int, int, int]:
    places = np.argwhere(mask)
    nearest = places[((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return int(nearest[0]), int(nearest[1]), int(nearest[2])
