"""The organs around a simulated prostate: bladder, seminal vesicles, rectum, muscles, pubic bone, vessels and fat.

Shapes and places are our choice after anatomical atlases, each placed from the gland's half axes, with a little
chance. The gland itself is left to `prostate_anatomy`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .prostate_shapes import Bend, Grid, Layer, Points, Vector, coverage, ellipsoid, segment
from .prostate_tissues import TISSUES


@dataclass(frozen=True)
class Frame:
    """semi: the gland's half axes, mm. rectum: y of the middle of the rectum, where the probe lies; rectum_radius
    of its lumen, rectum_wall its thickness, mm."""

    semi: np.ndarray
    rectum: float
    rectum_radius: float
    rectum_wall: float


def surroundings(grid: Grid, frame: Frame, random: np.random.Generator) -> list[Layer]:
    """Everything that lies below the gland's layers, fat first. All but the rectum, which holds the probe, is
    bent."""
    points = Bend.draw(random, count=6, wave=0.07, swing=1.1).moved(grid.mesh())
    whole = grid.box((0, 0, 0), 1e4)
    layers = [Layer(TISSUES["fat"], whole, np.ones((1, 1, 1), np.float32))]
    layers += _strands(grid, points, frame, random)
    layers += _muscles(grid, points, frame, random)
    layers += _pubis(grid, points, frame, random)
    layers += _vessels(grid, points, frame, random)
    layers += _bladder(grid, points, frame, random)
    layers += _rectum(grid, frame, random)
    return layers


def _solid(grid: Grid, points: Points, tissue: str, centre: Vector, axes: Vector) -> Layer:
    """An ellipsoid of a tissue in the bent pelvis."""
    box = grid.box(centre, np.asarray(axes) + 7)
    gap = ellipsoid((points[0][box], points[1][box], points[2][box]), centre, list(axes))
    return Layer(TISSUES[tissue], box, coverage(gap, float(np.mean(grid.spacing))))


def vesicles(grid: Grid, frame: Frame, random: np.random.Generator) -> list[Layer]:
    """Seminal vesicles: on each side a winding row of lobules above the base, behind the bladder."""
    step = float(np.mean(grid.spacing))
    _, b, c = frame.semi
    found: list[tuple[np.ndarray, float]] = []
    for side in (-1, 1):
        reach = random.uniform(22, 32)
        for part in np.linspace(0, 1, 8):
            at = np.array([side * (4 + reach * part), 0.42 * b + 5 * part, c * 0.98 + 11 * part**0.8])
            at += random.normal(0, 1.2, 3)
            at[1] = min(at[1], frame.rectum - frame.rectum_radius - frame.rectum_wall - 4.5)
            found.append((at, float(random.uniform(3.0, 4.6))))
    layers = []
    for tissue, less in (("vesicle wall", 0.0), ("seminal vesicle", 0.9)):
        for at, radius in found:
            box = grid.box(at, radius + 2)
            gap = ellipsoid(grid.mesh(box), at, (radius - less,) * 3)
            layers.append(Layer(TISSUES[tissue], box, coverage(gap, step)))
    return layers


def _strands(grid: Grid, points: Points, frame: Frame, random: np.random.Generator) -> list[Layer]:
    """Vessels and septa that run through the fat."""
    step = float(np.mean(grid.spacing))
    layers = []
    for _ in range(45):
        start = np.array([random.uniform(-45, 45), random.uniform(-42, 40), random.uniform(-40, 40)])
        end = start + random.normal(0, 1, 3) * (9, 9, 16)
        radius = float(random.uniform(0.4, 1.3))
        box = grid.box((start + end) / 2, np.abs(end - start) / 2 + radius + 6)
        tube = segment((points[0][box], points[1][box], points[2][box]), start, end, radius)
        tissue = "bundle" if random.random() < 0.5 else "muscle"
        layers.append(Layer(TISSUES[tissue], box, np.float32(random.uniform(0.4, 0.9)) * coverage(tube, step)))
    return layers


def _muscles(grid: Grid, points: Points, frame: Frame, random: np.random.Generator) -> list[Layer]:
    """Obturator internus at both walls with the bone beside it, the funnel of the levator, the urogenital
    diaphragm."""
    step = float(np.mean(grid.spacing))
    whole = grid.box((0, 0, 0), 1e4)
    x, y, z = points
    a, b, c = (float(s) for s in frame.semi)
    side = np.abs(x)
    wall = max(a + 8, 34) + random.uniform(0, 5) + 0.10 * z - 0.0075 * (y + 8) ** 2
    ends = np.maximum(y - (frame.rectum + 14), -y - (b + 24))
    obturator = np.maximum(np.abs(side - wall - 8) - 8, ends)
    bone = np.maximum(wall + 17.5 - side, ends)
    sling = random.uniform(2.5, 5) + a * np.clip(0.8 + 0.42 * z / c, 0.25, 1.3) - 0.007 * (y - 0.2 * b) ** 2
    levator = np.maximum(np.abs(side - sling) * 0.9 - random.uniform(1.7, 2.8), z - 0.8 * c)
    levator = np.maximum(levator, np.maximum(-y - 0.7 * b, y - (frame.rectum + 8)))
    layers = [
        Layer(TISSUES[tissue], whole, coverage(gap.astype(np.float32), step))
        for tissue, gap in (("muscle", obturator), ("cortical bone", bone), ("marrow", bone + 2), ("muscle", levator))
    ]
    low = (0.0, -0.1 * b, -1.1 * c - 14)
    layers.append(_solid(grid, points, "muscle", low, (15, 13, 15)))
    layers.append(_solid(grid, points, "venous plexus", (0.0, -0.1 * b - 8, -1.1 * c - 24), (9, 7, 12)))
    layers.append(_solid(grid, points, "urethra", low, (3, 3, 15)))
    return layers


def _pubis(grid: Grid, points: Points, frame: Frame, random: np.random.Generator) -> list[Layer]:
    """The two pubic bodies in front of and below the gland, cortex around marrow."""
    _, b, c = frame.semi
    away = random.uniform(22, 28)
    return [
        _solid(grid, points, tissue, (side * 16.0, -b - away, -0.35 * c), np.array([17.0, 7.5, 17.0]) - less)
        for less, tissue in ((0.0, "cortical bone"), (1.8, "marrow"))
        for side in (-1, 1)
    ]


def _vessels(grid: Grid, points: Points, frame: Frame, random: np.random.Generator) -> list[Layer]:
    """The venous plexus in front and the neurovascular bundles at five and seven o'clock."""
    step = float(np.mean(grid.spacing))
    a, b, c = frame.semi
    layers = [_solid(grid, points, "venous plexus", (0.0, -b - 4.0, -0.2 * c), (0.55 * a, 4.5, 0.8 * c))]
    for side in (-1, 1):
        radius = float(random.uniform(2.4, 3.6))
        low = np.array([side * 0.66 * a, 0.80 * b + 1.5, -0.85 * c]) + random.normal(0, 0.8, 3)
        high = np.array([side * 0.82 * a, 0.80 * b + 1.5, 0.95 * c]) + random.normal(0, 0.8, 3)
        box = grid.box((low + high) / 2, np.abs(high - low) / 2 + radius + 7)
        tube = segment((points[0][box], points[1][box], points[2][box]), low, high, radius)
        layers.append(Layer(TISSUES["bundle"], box, coverage(tube, step)))
    return layers


def _bladder(grid: Grid, points: Points, frame: Frame, random: np.random.Generator) -> list[Layer]:
    """Urine in a wall of 3 mm above the base; an enlarged gland, painted later, presses into it."""
    _, b, c = frame.semi
    axes = np.array([30.0, 22.0, 16.0]) * random.uniform(0.65, 1.15, 3)
    centre = (float(random.normal(0, 1.5)), -0.35 * b - 3, c + 0.86 * axes[2])
    return [
        _solid(grid, points, tissue, centre, axes + more) for tissue, more in (("bladder wall", 3.0), ("bladder", 0.0))
    ]


def _rectum(grid: Grid, frame: Frame, random: np.random.Generator) -> list[Layer]:
    """A tube along z with gas or content on MR; in ultrasound the probe fills it. Gas may stick between both."""
    step = float(np.mean(grid.spacing))
    wall = frame.rectum_radius + frame.rectum_wall
    box = grid.box((0, frame.rectum, 0), (wall + 3, wall + 3, 1e4))
    x, y, _ = grid.mesh(box)
    away = np.hypot(x, y - np.float32(frame.rectum))
    shape = tuple(part.stop - part.start for part in box)

    def tube(radius: float) -> np.ndarray:
        return np.broadcast_to(coverage(away - np.float32(radius), step), shape)

    filling = "gas" if random.random() < 0.4 else "rectal content"
    layers = [
        Layer(TISSUES["rectal wall"], box, tube(wall)),
        Layer(TISSUES[filling], box, tube(frame.rectum_radius), in_us=False),
    ]
    for _ in range(int(random.choice([0, 1, 2], p=[0.6, 0.3, 0.1]))):
        angle, radius = random.uniform(-0.9, 0.9), float(random.uniform(0.8, 1.6))
        face = frame.rectum_radius + 0.4
        at = (face * np.sin(angle), frame.rectum - face * np.cos(angle), random.uniform(-20, 20))
        bubble = grid.box(at, radius + 2)
        gap = ellipsoid(grid.mesh(bubble), at, (radius, radius, 2 * radius))
        layers.append(Layer(TISSUES["gas"], bubble, coverage(gap, step)))
    return layers
