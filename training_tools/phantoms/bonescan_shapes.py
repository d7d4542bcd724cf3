"""Solid shapes, and how many millimetres of them lie behind each pixel.

Coordinates are millimetres: x to the patient's left, y to the back, d down from the crown. A canvas is the grid of an
anterior view (columns along x, rows along d); a posterior view is its mirror image. Only what a shape covers is
computed. Which shapes make a body is left to `bonescan_anatomy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Canvas:
    """rows, columns; spacing in mm; x and d of the centre of pixel (0, 0)."""

    rows: int
    columns: int
    spacing: float
    left: float
    top: float

    def box(self, x0: float, x1: float, d0: float, d1: float) -> tuple[slice, slice] | None:
        """The pixels whose centres lie in the rectangle; None where there are none."""
        first = max(int(np.ceil((x0 - self.left) / self.spacing)), 0)
        last = min(int(np.floor((x1 - self.left) / self.spacing)), self.columns - 1)
        top = max(int(np.ceil((d0 - self.top) / self.spacing)), 0)
        bottom = min(int(np.floor((d1 - self.top) / self.spacing)), self.rows - 1)
        if first > last or top > bottom:
            return None
        return slice(top, bottom + 1), slice(first, last + 1)

    def axes(self, box: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
        """x as (1, columns) and d as (rows, 1) of the pixels of a box, float32."""
        x = self.left + self.spacing * np.arange(box[1].start, box[1].stop, dtype=np.float32)
        d = self.top + self.spacing * np.arange(box[0].start, box[0].stop, dtype=np.float32)
        return x[None, :], d[:, None]


class Shape(Protocol):
    """What the projector asks of a shape: the y of its middle, and its thickness behind the pixels of a box."""

    @property
    def depth(self) -> float: ...

    def thickness(self, canvas: Canvas) -> tuple[tuple[slice, slice], np.ndarray] | None: ...


@dataclass(frozen=True)
class Ball:
    """An ellipsoid: centre, semi-axes along x, y, d, and its turn (radians, from x towards d) in the image plane.

    hollow: the share of the semi-axes that an inner cavity takes, 0 for a solid one.
    """

    centre: Point
    axes: Point
    turn: float = 0.0
    hollow: float = 0.0

    @property
    def depth(self) -> float:
        return self.centre[1]

    @property
    def volume(self) -> float:
        """mm^3."""
        a, b, c = self.axes
        return 4 / 3 * np.pi * a * b * c * (1 - self.hollow**3)

    def thickness(self, canvas: Canvas) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """The box it covers and its thickness there along y, mm; None off the canvas."""
        (x0, _, d0), (a, b, c) = self.centre, self.axes
        half = max(a, c) if self.turn else 0.0
        box = canvas.box(x0 - (half or a), x0 + (half or a), d0 - (half or c), d0 + (half or c))
        if box is None:
            return None
        x, d = canvas.axes(box)
        x, d = x - x0, d - d0
        if self.turn:
            cos, sin = np.cos(self.turn), np.sin(self.turn)
            x, d = x * cos + d * sin, d * cos - x * sin
        inside = 1 - (x / a) ** 2 - (d / c) ** 2
        chord = 2 * b * np.sqrt(np.maximum(inside, 0))
        if self.hollow:
            chord -= 2 * b * np.sqrt(np.maximum(inside - (1 - self.hollow**2), 0))
        return box, chord


@dataclass(frozen=True)
class Tube:
    """A straight piece of bone, vessel or limb with round ends. radius: at both ends; flat: depth over width."""

    start: Point
    end: Point
    radius: float
    radius_end: float
    flat: float = 1.0

    @property
    def depth(self) -> float:
        return 0.5 * (self.start[1] + self.end[1])

    @property
    def volume(self) -> float:
        """mm^3 (a truncated cone, without the round ends)."""
        length = float(np.linalg.norm(np.subtract(self.end, self.start)))
        r, s = self.radius, self.radius_end
        return np.pi / 3 * length * (r * r + r * s + s * s) * self.flat

    def thickness(self, canvas: Canvas) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """The box it covers and its thickness there along y, mm; None off the canvas."""
        (x0, _, d0), (x1, _, d1) = self.start, self.end
        wide = max(self.radius, self.radius_end)
        box = canvas.box(min(x0, x1) - wide, max(x0, x1) + wide, min(d0, d1) - wide, max(d0, d1) + wide)
        if box is None:
            return None
        x, d = canvas.axes(box)
        along_x, along_d = x1 - x0, d1 - d0
        length = max(along_x**2 + along_d**2, 1e-6)
        share = np.clip(((x - x0) * along_x + (d - d0) * along_d) / length, 0, 1)
        off = (x - x0 - share * along_x) ** 2 + (d - d0 - share * along_d) ** 2
        radius = self.radius + share * (self.radius_end - self.radius)
        return box, 2 * self.flat * np.sqrt(np.maximum(radius**2 - off, 0))


@dataclass(frozen=True)
class Plate:
    """A flat bone in the image plane: corners (x, d), its y and its thickness, mm."""

    corners: tuple[tuple[float, float], ...]
    depth: float
    thick: float

    @property
    def volume(self) -> float:
        """mm^3."""
        x, d = np.asarray(self.corners, dtype=float).T
        return 0.5 * abs(float(np.dot(x, np.roll(d, 1)) - np.dot(d, np.roll(x, 1)))) * self.thick

    def thickness(self, canvas: Canvas) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """The box it covers and its thickness there along y, mm; None off the canvas."""
        corners = np.asarray(self.corners, dtype=np.float32)
        box = canvas.box(corners[:, 0].min(), corners[:, 0].max(), corners[:, 1].min(), corners[:, 1].max())
        if box is None:
            return None
        x, d = canvas.axes(box)
        inside = np.zeros((d.shape[0], x.shape[1]), bool)
        for (xa, da), (xb, db) in zip(corners, np.roll(corners, -1, axis=0)):
            if da == db:
                continue
            between = (da > d) != (db > d)
            inside ^= between & (x < (xb - xa) * (d - da) / (db - da) + xa)
        return box, inside * np.float32(self.thick)


@dataclass(frozen=True)
class Column:
    """A trunk: half widths and half depths (mm) at heights d, elliptic in between, about x = 0 and its own y."""

    heights: tuple[float, ...]
    widths: tuple[float, ...]
    depths: tuple[float, ...]
    depth: float = 0.0

    def thickness(self, canvas: Canvas) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """The box it covers and its thickness there along y, mm; None off the canvas."""
        wide = max(self.widths)
        box = canvas.box(-wide, wide, self.heights[0], self.heights[-1])
        if box is None:
            return None
        x, d = canvas.axes(box)
        a = np.interp(d, self.heights, self.widths).astype(np.float32)
        b = np.interp(d, self.heights, self.depths).astype(np.float32)
        return box, 2 * b * np.sqrt(np.maximum(1 - (x / a) ** 2, 0))
