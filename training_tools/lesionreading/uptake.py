"""Uptake ratio of a region in a planar image: its counts over those of its mirror image, or of what surrounds it.

Arrays are (row, column); spacing is mm along rows and columns. Which place lies opposite is `otherside`'s, where
regions come from the task's, what is increased `rules`'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from .otherside import OtherSide
from .rules import BACKGROUND, CONTRALATERAL, MOST_RATIO, Rule

LEAST_INSIDE = 0.9  # share of a mirrored region that must lie in the image and on no other lesion: our choice
BOTH_SIDES = 0.2  # share of a mirrored region on another lesion from which both sides are diseased: our choice


@dataclass(frozen=True)
class Reference:
    """What a region is compared with. kinds: CONTRALATERAL, BACKGROUND or both. other, around: bool (row, column)."""

    kinds: tuple[str, ...]
    other: Optional[np.ndarray] = None
    around: Optional[np.ndarray] = None

    @property
    def words(self) -> str:
        """For a table."""
        return " and ".join(self.kinds)


def smoothed(image: np.ndarray, spacing: Sequence[float], sigma_mm: float) -> np.ndarray:
    """Gaussian smoothing, float64."""
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(image.astype(np.float64), [sigma_mm / mm for mm in spacing]))


def reference_of(
    region: np.ndarray,
    lesions: np.ndarray,
    image: np.ndarray,
    sides: Optional[OtherSide],
    spacing: Sequence[float],
    rule: Rule,
) -> Optional[Reference]:
    """What `region` is compared with; None where the rule leaves nothing (no other side, no surroundings).

    lesions: all lesions of the image, this one too, bool (row, column). image: where the brightest counterpart is
    looked for, the real delayed one.
    """
    others = lesions & ~region
    other = _mirrored(region, others, image, sides, spacing, rule) if rule.against != BACKGROUND else None
    around = _around(region, lesions, spacing, rule) if rule.against != CONTRALATERAL else None
    if rule.against == "both":
        whole = other is not None and around is not None
        return Reference((CONTRALATERAL, BACKGROUND), other, around) if whole else None
    if other is not None:
        return Reference((CONTRALATERAL,), other=other)
    return Reference((BACKGROUND,), around=around) if around is not None else None


def ratio(image: np.ndarray, smooth: np.ndarray, region: np.ndarray, reference: Reference, rule: Rule) -> float:
    """Mean of the region over that of its reference (the greater one of two); NaN where that holds no counts.

    smooth: the image after `smoothed`.
    """
    levels = []
    if reference.other is not None:
        levels.append(float(image[reference.other].mean(dtype=np.float64)))
    if reference.around is not None:
        levels.append(float(np.percentile(smooth[reference.around], rule.around_percentile)))
    level = max(levels)
    inside = float(image[region].mean(dtype=np.float64))
    return inside / level if level > 0 and np.isfinite(inside) else float("nan")


def _mirrored(
    region: np.ndarray,
    others: np.ndarray,
    image: np.ndarray,
    sides: Optional[OtherSide],
    spacing: Sequence[float],
    rule: Rule,
) -> Optional[np.ndarray]:
    """The mirrored region, shifted to where it is brightest; None where it is not free or nothing lies there."""
    if sides is None:
        return None
    rows, columns = sides.of(*np.nonzero(region))
    held = others | region
    if _share_on(held, rows, columns) > BOTH_SIDES:
        return None
    best, level = None, -np.inf
    for down, across in _shifts(rule.mirror_mm, spacing):
        place = _inside(rows + down, columns + across, image.shape)
        free = ~held[place]
        if free.sum() < LEAST_INSIDE * len(rows):
            continue
        mean = float(image[place][free].mean())
        if mean > level:
            best, level = (place[0][free], place[1][free]), mean
    if best is None or float(image[region].mean()) > MOST_RATIO * level:
        return None
    found = np.zeros(image.shape, bool)
    found[best] = True
    return found


def _around(region: np.ndarray, lesions: np.ndarray, spacing: Sequence[float], rule: Rule) -> Optional[np.ndarray]:
    from scipy import ndimage

    near = ndimage.distance_transform_edt(~region, sampling=spacing)
    apart = ndimage.distance_transform_edt(~lesions, sampling=spacing) > rule.gap_mm
    found = (near > rule.gap_mm) & (near <= rule.around_mm) & apart
    return found if found.sum() >= region.sum() / 4 and found.any() else None


def _share_on(mask: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> float:
    place = _inside(rows, columns, mask.shape)
    return float(mask[place].sum() / len(rows))


def _inside(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    kept = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return rows[kept], columns[kept]


def _shifts(reach_mm: float, spacing: Sequence[float]) -> list[tuple[int, int]]:
    """Whole pixels (down, across) within a disc."""
    down, across = (int(reach_mm / mm) for mm in spacing)
    return [
        (a, b)
        for a in range(-down, down + 1)
        for b in range(-across, across + 1)
        if (a * spacing[0]) ** 2 + (b * spacing[1]) ** 2 <= reach_mm**2
    ]
