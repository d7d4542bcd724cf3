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
    from scipy import ndimage

    rule, array = view.rule, view.images[image]
    if view.spread[image] == 0 or (image == "synthetic" and view.unreadable):
        return []
    smooth = _within(array, view.gland, rule.smooth_mm, view)
    dark = np.zeros(array.shape, bool)
    for zone in view.zones.values():
        inside = zone & view.deep
        if inside.sum() < LEAST_AROUND:
            continue
        departure = smooth - _within(smooth, inside, rule.level_mm, view)
        middle = float(np.median(departure[inside]))
        noise = 1.4826 * float(np.median(np.abs(departure[inside] - middle)))
        if noise > 0:
            dark |= inside & (departure - middle <= -rule.dark_z * noise)
    labels, count = ndimage.label(dark)
    found = []
    for number, box in enumerate(ndimage.find_objects(labels, max_label=count), 1):
        size = int((labels[box] == number).sum()) * view.voxel_ml
        if size < rule.least_ml:
            continue
        mask = labels == number
        score = -contrast(array, mask, around(mask, view, np.zeros_like(mask)), view.spread[image]).cnr
        if np.isfinite(score) and score > 0:
            found.append(Region(mask, _middle(mask), round(size, 4), float(score)))
    return sorted(found, key=lambda region: -region.score)[:MOST_REGIONS]


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
