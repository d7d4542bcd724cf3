"""Shapes as signed distances on a regular grid, and the layers that paint tissues over each other.

A layer's coverage is the share of a small voxel that the shape fills, from its distance to the surface, so that edges
carry no steps and partial volume is mixed as a scanner mixes it: in the signal. What lies where is left to
`prostate_anatomy`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Union

import numpy as np

from .prostate_tissues import Tissue

Box = tuple[slice, slice, slice]
Vector = Union[Sequence[float], np.ndarray]
Points = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Grid:
    """A regular grid along the patient's axes. size: voxels (x, y, z). spacing, first: mm in LPS, (x, y, z); first is
    the centre of voxel (0, 0, 0). Arrays on it are indexed (k, j, i), that is (z, y, x)."""

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    first: tuple[float, float, float]

    @staticmethod
    def around(centre: Vector, size: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
        """The grid of that size whose middle lies at `centre` (mm, LPS)."""
        x, y, z = (c - (n - 1) / 2 * step for c, n, step in zip(centre, size, spacing))
        return Grid(size, spacing, (x, y, z))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, j, i)."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.spacing)) / 1000

    def axis(self, number: int) -> np.ndarray:
        """Positions along x (0), y (1) or z (2), mm, float64."""
        return self.first[number] + self.spacing[number] * np.arange(self.size[number])

    def mesh(self, box: Box | None = None) -> Points:
        """x, y, z of the voxels in a box (k, j, i), float32, ready to broadcast against each other."""
        k, j, i = box or (slice(None),) * 3
        x, y, z = (self.axis(n).astype(np.float32) for n in range(3))
        return x[i][None, None, :], y[j][None, :, None], z[k][:, None, None]

    def box(self, centre: Vector, reach: Vector | float) -> Box:
        """The voxels within `reach` mm of `centre` along each axis, cut at the grid's border; it may be empty."""
        bounds = []
        for n, half in enumerate(np.broadcast_to(reach, 3)):
            low = (centre[n] - half - self.first[n]) / self.spacing[n]
            high = (centre[n] + half - self.first[n]) / self.spacing[n]
            start = min(max(int(np.floor(low)), 0), self.size[n])
            bounds.append(slice(start, max(min(int(np.ceil(high)) + 1, self.size[n]), start)))
        return bounds[2], bounds[1], bounds[0]


@dataclass(frozen=True)
class Bend:
    """A smooth deformation: a sum of plane waves. waves: (n, 3) rad/mm. phases: (n,). swings: (n, 3) mm."""

    waves: np.ndarray
    phases: np.ndarray
    swings: np.ndarray

    @staticmethod
    def draw(random: np.random.Generator, count: int, wave: float, swing: float) -> Bend:
        """Waves and swings of those SDs (rad/mm, mm)."""
        shape = (count, 3)
        return Bend(random.normal(0, wave, shape), random.uniform(0, 2 * np.pi, count), random.normal(0, swing, shape))

    def moved(self, points: Points) -> Points:
        """The points after the deformation, full float32 arrays."""
        x, y, z = (p.astype(np.float32) for p in np.broadcast_arrays(*points))
        parts = [x.copy(), y.copy(), z.copy()]
        for wave, phase, swing in zip(self.waves.astype(np.float32), self.phases, self.swings.astype(np.float32)):
            ripple = np.sin(wave[0] * points[0] + wave[1] * points[1] + (wave[2] * points[2] + np.float32(phase)))
            for part, size in zip(parts, swing):
                part += size * ripple
        return parts[0], parts[1], parts[2]


@dataclass(frozen=True)
class Layer:
    """A tissue painted over what lies below. coverage: float32 in [0, 1], (k, j, i) of the box. in_mr, in_us: whether
    the modality shows it; a layer shown in neither changes no image but stands in the truth."""

    tissue: Tissue
    box: Box
    coverage: np.ndarray
    in_mr: bool = True
    in_us: bool = True


def paint(layers: Sequence[Layer], shape: tuple[int, int, int], value: Callable[[Tissue], float]) -> np.ndarray:
    """float32 (k, j, i): the value of each tissue, mixed by coverage, later layers over earlier ones.

    The first layer covers everything."""
    canvas = np.full(shape, value(layers[0].tissue), np.float32)
    for layer in layers[1:]:
        part = canvas[layer.box]
        part += layer.coverage * (np.float32(value(layer.tissue)) - part)
    return canvas


def coverage(distance: np.ndarray, step: float) -> np.ndarray:
    """Share of a voxel of edge `step` mm inside a surface at signed `distance` mm (negative inside), float32."""
    return np.clip(0.5 - distance / np.float32(step), 0, 1).astype(np.float32, copy=False)


def ellipsoid(points: Points, centre: Vector, axes: Vector) -> np.ndarray:
    """Signed distance to an ellipsoid, to first order: (r - 1) r / |q / a| with q the scaled position, r = |q|."""
    scaled = [(p - np.float32(c)) / np.float32(a) for p, c, a in zip(points, centre, axes)]
    radius = np.sqrt(sum(q * q for q in scaled))
    slope = np.sqrt(sum((q / np.float32(a)) ** 2 for q, a in zip(scaled, axes)))
    # At the centre both vanish; there it is as deep as the shortest axis.
    return np.where(slope > 1e-6, (radius - 1) * radius / np.maximum(slope, 1e-6), -np.float32(min(axes)))


def segment(points: Points, start: Vector, end: Vector, radius: float) -> np.ndarray:
    """Signed distance to a round tube with round ends from start to end (mm)."""
    along = np.asarray(end, float) - np.asarray(start, float)
    length = float(along @ along)
    offset = [p - np.float32(s) for p, s in zip(points, start)]
    at = np.clip(sum(o * np.float32(a) for o, a in zip(offset, along)) / np.float32(max(length, 1e-9)), 0, 1)
    gap = [o - at * np.float32(a) for o, a in zip(offset, along)]
    return np.sqrt(sum(g * g for g in gap)) - np.float32(radius)
