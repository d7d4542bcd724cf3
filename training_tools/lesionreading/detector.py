"""Marks in a planar image without knowing its lesions: local maxima that stand out from the other side or around them.

Images are (row, column), smoothed by `uptake.smoothed`; spacing is mm along rows and columns. Nothing is learnt and
nothing is known of the truth, so that the same detector reads synthetic, real and blood-pool images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from .otherside import OtherSide
from .rules import BACKGROUND, CONTRALATERAL, MOST_RATIO, Rule

LEAST_SCORE = 1.05  # what stands out less is no candidate for any threshold of an FROC curve: our choice
MOST_MARKS = 60  # of an image, highest first


@dataclass(frozen=True)
class Mark:
    """A local maximum. row, column: pixel. score: its value over what it is compared with (against)."""

    row: int
    column: int
    score: float
    against: str


def marks(smooth: np.ndarray, sides: Optional[OtherSide], spacing: Sequence[float], rule: Rule) -> list[Mark]:
    """The candidates of an image, highest score first; those from `rule.mark_from` on are marks.

    sides: None where there is no other side. Nothing is found in a constant image, nor nearer to its border than half
    of `rule.apart_mm`, where no maximum can be told from a cut bone.
    """
    from scipy import ndimage

    top = float(np.percentile(smooth, 99.9))
    if not np.isfinite(top) or top <= 0 or float(np.ptp(smooth)) <= 1e-9 * abs(top):
        return []
    footprint = disc(rule.apart_mm / 2, spacing)
    highest = ndimage.maximum_filter(smooth, footprint=footprint, mode="nearest")
    peaks = (smooth == highest) & (smooth >= rule.least * top) & (smooth > 0)
    edge = [int(np.ceil(rule.apart_mm / 2 / mm)) for mm in spacing]
    inner = np.zeros(smooth.shape, bool)
    inner[edge[0] : -edge[0], edge[1] : -edge[1]] = True
    peaks &= inner
    # A plateau is one maximum.
    labels, count = ndimage.label(peaks, structure=np.ones((3, 3)))
    found = []
    for middle in ndimage.maximum_position(smooth, labels, range(1, count + 1)):
        row, column = (int(n) for n in middle)
        score, against = score_at(smooth, row, column, sides, spacing, rule)
        if score >= LEAST_SCORE:
            found.append(Mark(row, column, score, against))
    return sorted(found, key=lambda mark: -mark.score)[:MOST_MARKS]


def score_at(
    smooth: np.ndarray, row: int, column: int, sides: Optional[OtherSide], spacing: Sequence[float], rule: Rule
) -> tuple[float, str]:
    """The value at a pixel over what it is compared with, and what that is; 0 where there is nothing."""
    value = float(smooth[row, column])
    scores: dict[str, float] = {}
    if rule.against != BACKGROUND and sides is not None:
        opposite, across = (int(n) for n in sides.of(np.array(row), np.array(column)))
        inside = 0 <= opposite < smooth.shape[0] and 0 <= across < smooth.shape[1]
        # Nearer to the middle than this the two sides would be one.
        if inside and abs(across - column) * spacing[1] > 2 * rule.mirror_mm:
            level = float(smooth[_near(opposite, across, rule.mirror_mm, spacing, smooth.shape)].max())
            if level > 0 and value <= MOST_RATIO * level:
                scores[CONTRALATERAL] = value / level
    if rule.against in (BACKGROUND, "both") or (rule.against == "auto" and not scores):
        wide = _near(row, column, rule.around_mm, spacing, smooth.shape)
        close = _near(row, column, rule.gap_mm + rule.apart_mm, spacing, smooth.shape)
        ring = wide & ~close
        level = float(np.percentile(smooth[ring], rule.around_percentile)) if ring.any() else 0.0
        scores[BACKGROUND] = value / level if level > 0 else 0.0
    if not scores or (rule.against == "both" and len(scores) < 2):
        return 0.0, ""
    return min(scores.values()), " and ".join(scores)


def score_near(
    smooth: np.ndarray, mark: Mark, sides: Optional[OtherSide], spacing: Sequence[float], rule: Rule
) -> float:
    """The score of the greatest value within `rule.match_mm` of a mark: what another image shows at its place."""
    near = np.where(_near(mark.row, mark.column, rule.match_mm, spacing, smooth.shape), smooth, -np.inf)
    row, column = np.unravel_index(int(near.argmax()), smooth.shape)
    return score_at(smooth, int(row), int(column), sides, spacing, rule)[0]


def region_of(smooth: np.ndarray, mark: Mark, spacing: Sequence[float], rule: Rule) -> np.ndarray:
    """The connected pixels around a mark of at least half its value, within `rule.apart_mm`; bool (row, column)."""
    from scipy import ndimage

    bright = smooth >= 0.5 * smooth[mark.row, mark.column]
    bright &= _near(mark.row, mark.column, rule.apart_mm, spacing, smooth.shape)
    labels, _ = ndimage.label(bright)
    return np.asarray(labels == labels[mark.row, mark.column])


def disc(radius_mm: float, spacing: Sequence[float]) -> np.ndarray:
    """A disc as a footprint, at least three pixels wide."""
    down, across = (max(1, int(radius_mm / mm)) for mm in spacing)
    rows, columns = np.mgrid[-down : down + 1, -across : across + 1]
    reach = max(radius_mm, *spacing)
    return np.asarray((rows * spacing[0]) ** 2 + (columns * spacing[1]) ** 2 <= reach**2 + 1e-9)


def _near(row: int, column: int, reach_mm: float, spacing: Sequence[float], shape: tuple[int, ...]) -> np.ndarray:
    rows = (np.arange(shape[0]) - row)[:, None] * spacing[0]
    columns = (np.arange(shape[1]) - column)[None, :] * spacing[1]
    return np.asarray(rows**2 + columns**2 <= reach_mm**2 + 1e-9)
