"""Where the other side's counterpart of a place lies in a planar image: a mirror axis, and how each side is turned.

Two hands or feet never lie quite alike; so the mirror image of one side is turned and shifted as a whole until it
resembles the other. What is left, some millimetres, is searched where a ratio is taken. Coordinates are mm along rows
and columns from the first pixel; images (row, column).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

LEAST_SYMMETRY = 0.7  # cosine of both sides' smoothed roots below which an image has no other side: our choice
STEP_MM = 4.0  # of the coarse grid on which sides are compared
ANGLES = np.arange(-30.0, 31.0, 3.0)  # degrees
REACH_MM = 40.0  # farthest shift


@dataclass(frozen=True)
class Pose:
    """How a place of one side is found in the mirror image: turned by `angle` degrees about `centre` after `shift`."""

    angle: float
    centre: tuple[float, float]
    shift: tuple[float, float]

    def apply(self, down: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """mm in the image to mm in its mirror image."""
        turn = _turn(self.angle)
        at = np.stack([down - self.shift[0] - self.centre[0], across - self.shift[1] - self.centre[1]])
        found = np.tensordot(turn, at, axes=1)
        return found[0] + self.centre[0], found[1] + self.centre[1]


@dataclass(frozen=True)
class OtherSide:
    """total: column j lies opposite to column total - j. poses: of the left and the right half of the image.

    similarity: the lesser of both halves' cosine with what lies opposite.
    """

    total: int
    poses: tuple[Pose, Pose]
    similarity: float
    spacing: tuple[float, float]

    def of(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns (whole, perhaps outside the image) opposite to pixels."""
        down, across = np.asarray(rows) * self.spacing[0], np.asarray(columns) * self.spacing[1]
        left = np.asarray(columns) * 2 < self.total
        found = [np.where(left, one, two) for one, two in zip(*(pose.apply(down, across) for pose in self.poses))]
        opposite = self.total - found[1] / self.spacing[1]
        return np.rint(found[0] / self.spacing[0]).astype(int), np.rint(opposite).astype(int)


def other_side(image: np.ndarray, spacing: Sequence[float]) -> Optional[OtherSide]:
    """The other side of an image of counts; None where it is constant or its halves do not resemble each other.

    The axis is looked for within 15% of the width around the middle. Square roots of the smoothed counts are compared,
    so that no hot spot decides.
    """
    from scipy import ndimage

    if float(np.ptp(image)) == 0:
        return None
    smooth = ndimage.gaussian_filter(image.astype(np.float64), [4.0 / mm for mm in spacing])
    root = np.sqrt(np.maximum(smooth, 0))
    width = root.shape[1]
    totals = range(round(0.7 * width), round(1.3 * width))
    total = max(totals, key=lambda each: _correlation(root, each))
    rows = np.arange(0, root.shape[0], STEP_MM / spacing[0])
    columns = np.arange(0, width, STEP_MM / spacing[1])
    grid = np.meshgrid(rows, columns, indexing="ij")
    coarse = ndimage.map_coordinates(root, grid, order=1)
    mirrored = ndimage.map_coordinates(root, [grid[0], total - grid[1]], order=1)
    left = grid[1] * 2 < total
    found = [_pose(np.where(half, coarse, 0), np.where(half, mirrored, 0)) for half in (left, ~left)]
    similarity = min(cosine for _, cosine in found)
    if similarity < LEAST_SYMMETRY:
        return None
    return OtherSide(total, (found[0][0], found[1][0]), similarity, (float(spacing[0]), float(spacing[1])))


def _correlation(root: np.ndarray, total: int) -> float:
    columns = np.arange(root.shape[1])
    opposite = total - columns
    inside = (opposite >= 0) & (opposite < root.shape[1])
    one, other = root[:, inside], root[:, opposite[inside]]
    spread = float(one.std() * other.std())
    return float(((one - one.mean()) * (other - other.mean())).mean() / spread) if spread > 0 else -1.0


def _pose(half: np.ndarray, mirrored: np.ndarray) -> tuple[Pose, float]:
    """The turn and shift of `mirrored` that resemble `half` most, on the coarse grid, and the cosine of both."""
    from scipy import ndimage

    mass = float(mirrored.sum())
    if mass <= 0 or float(half.sum()) <= 0:
        return Pose(0.0, (0.0, 0.0), (0.0, 0.0)), 0.0
    centre = np.array(ndimage.center_of_mass(mirrored))
    reach = int(REACH_MM / STEP_MM)
    shape = [n + reach for n in half.shape]
    spectrum = np.fft.rfft2(half, shape)
    length = float(np.linalg.norm(half))
    best = (-np.inf, 0.0, 0, 0)
    for angle in ANGLES:
        turn = _turn(float(angle))
        turned = ndimage.affine_transform(mirrored, turn, centre - turn @ centre, order=1)
        products = np.fft.irfft2(spectrum * np.conj(np.fft.rfft2(turned, shape)), shape)
        products /= max(length * float(np.linalg.norm(turned)), 1e-30)
        window = np.roll(products, (reach, reach), axis=(0, 1))[: 2 * reach + 1, : 2 * reach + 1]
        down, across = np.unravel_index(int(window.argmax()), window.shape)
        # A turn has to be worth it: noise alone prefers some angle.
        worth = float(window[down, across]) - 1e-4 * abs(float(angle))
        if worth > best[0]:
            best = (worth, float(angle), int(down) - reach, int(across) - reach)
    cosine = best[0] + 1e-4 * abs(best[1])
    middle = (float(centre[0]) * STEP_MM, float(centre[1]) * STEP_MM)
    return Pose(best[1], middle, (best[2] * STEP_MM, best[3] * STEP_MM)), cosine


def _turn(degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
