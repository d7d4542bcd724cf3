"""An invented pelvis around a prostate: zones of the gland and the organs beside it, as layers on a fine grid.

Millimetres in the patient's LPS axes, the gland's middle at the origin. Zones after McNeal (peripheral, transition,
central, anterior fibromuscular stroma). Statistics of size:

- gland volume: log-normal with the mean 58.7 and SD 34.3 mL of 649 men sent to fusion biopsy (J Urol 2013;190:2020,
  Walton Diaz et al.), cut to 20 to 100 mL;
- the transition zone makes the growth, the peripheral zone hardly changes (Turkbey et al., BJU Int 2012, PMC3816371:
  central gland grows with age, p < .0001, peripheral zone does not, p = .17): its share of the gland rises with the
  volume from 0.22 at 20 mL to 0.62 at 100 mL, SD 0.05; the numbers are our choice;
- width : height : length 1 : 0.62 : 0.80 for a small gland and 1 : 0.80 : 0.86 for a large one, SD 5%, our choice
  after the textbook gland of 4 x 3 x 2 cm and the rounder one of hyperplasia.

All other shapes and places are our choice after anatomical atlases. Lesions are left to `prostate_lesions`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .prostate_organs import Frame, surroundings, vesicles
from .prostate_shapes import Bend, Box, Grid, Layer, Points, coverage, ellipsoid, segment
from .prostate_tissues import CODES, GLAND_PARTS, TISSUES

MEAN_ML, SD_ML, LEAST_ML, MOST_ML = 58.7, 34.3, 20.0, 100.0
PROBE_RADIUS = 10.0  # mm; ours: end of a common biplane probe


@dataclass(frozen=True)
class Gland:
    """Shape of a gland. semi: half axes (x, y, z), mm. taper: how much narrower the apex is. dent: mm that the rectum
    presses in. bend: a smooth deformation. share: of the transition zone."""

    volume_ml: float
    share: float
    semi: np.ndarray
    taper: float
    dent: float
    bend: Bend

    def bent(self, points: Points) -> Points:
        """Positions in the frame where the gland is an ellipsoid with the half axes `semi`."""
        x, y, z = self.bend.moved(points)
        a, b, c = (np.float32(s) for s in self.semi)
        narrow = 1 + np.float32(self.taper) * np.clip(z / c, -1.2, 1.2)
        behind = np.clip(y / b, 0, 1)
        y = y + np.float32(self.dent) * behind * np.exp(-((x / (np.float32(0.4) * a)) ** 2))
        return x / narrow, y / narrow, z


@dataclass(frozen=True)
class Anatomy:
    """layers: painted in order on `grid`; the first covers everything. inside: coverage of the whole gland, in the
    box. zones: uint8 tissue number (`prostate_tissues.CODES`) of every voxel. frame: where the neighbours lie."""

    grid: Grid
    gland: Gland
    frame: Frame
    layers: tuple[Layer, ...]
    box: Box
    inside: np.ndarray
    zones: np.ndarray

    @property
    def gland_ml(self) -> float:
        """Volume of the gland as drawn on the grid."""
        return float(self.inside.sum(dtype=np.float64)) * self.grid.voxel_ml

    def zone_ml(self, *names: str) -> float:
        """Volume of some tissues, mL."""
        return float(np.isin(self.zones, [CODES[name] for name in names]).sum()) * self.grid.voxel_ml


def draw_gland(random: np.random.Generator, volume_ml: float | None = None) -> Gland:
    """A gland of a drawn or given volume (20 to 100 mL)."""
    spread = np.log(1 + (SD_ML / MEAN_ML) ** 2)
    volume = 0.0
    while not LEAST_ML <= volume <= MOST_ML:
        volume = float(np.exp(random.normal(np.log(MEAN_ML) - spread / 2, np.sqrt(spread))))
    if volume_ml is not None:
        volume = float(volume_ml)
    large = (volume - LEAST_ML) / (MOST_ML - LEAST_ML)
    ratio = np.array([1.0, 0.62 + 0.18 * large, 0.80 + 0.06 * large]) * random.normal(1, 0.05, 3).clip(0.88, 1.12)
    semi = ratio * (volume * 1000 * 0.75 / np.pi / np.prod(ratio)) ** (1 / 3)
    return Gland(
        volume_ml=volume,
        share=float(np.clip(random.normal(0.22 + 0.40 * large, 0.05), 0.12, 0.70)),
        semi=semi,
        taper=float(random.uniform(0.10, 0.24)),
        dent=float(random.uniform(1.0, 3.5)),
        bend=Bend.draw(random, count=6, wave=0.10, swing=0.5),
    )


def build(grid: Grid, gland: Gland, random: np.random.Generator) -> Anatomy:
    """Lay the organs out on the grid. The gland is scaled until its volume there is the wanted one."""
    gland = _scaled(gland, grid)
    step = float(np.mean(grid.spacing))
    box = grid.box((0, 0, 0), gland.semi * (1.3 + gland.taper) + 4)
    points = gland.bent(grid.mesh(box))
    surface = ellipsoid(points, (0, 0, 0), gland.semi)
    inside = coverage(surface, step)
    frame = _frame(gland, random)
    layers = surroundings(grid, frame, random)
    layers += _zones(gland, points, surface, inside, box, step, random, grid)
    layers += vesicles(grid, frame, random)
    band = coverage(np.abs(surface) - np.float32(0.3), step)
    layers.append(Layer(TISSUES["capsule"], box, band))
    zones = _numbers(layers, grid)
    # The whole gland: also its capsule, but not a neighbour painted over it.
    parts = np.isin(zones[box], [CODES[name] for name in GLAND_PARTS])
    return Anatomy(grid, gland, frame, tuple(layers), box, inside * np.where(inside > 0.5, parts, 1), zones)


def _scaled(gland: Gland, grid: Grid) -> Gland:
    """The gland with half axes such that it fills its volume; bending changes it by some percent."""
    from dataclasses import replace

    step = 1.6
    for _ in range(3):
        size = tuple(int(np.ceil(2 * (s * (1.3 + gland.taper) + 4) / step)) for s in gland.semi)
        coarse = Grid.around((0, 0, 0), (size[0], size[1], size[2]), (step, step, step))
        filled = coverage(ellipsoid(gland.bent(coarse.mesh()), (0, 0, 0), gland.semi), step)
        found = float(filled.sum(dtype=np.float64)) * coarse.voxel_ml
        gland = replace(gland, semi=gland.semi * (gland.volume_ml / found) ** (1 / 3))
    return gland


def _frame(gland: Gland, random: np.random.Generator) -> Frame:
    """Where the neighbours lie. Between gland and rectal wall stand 1 to 3 mm of fat and fascia (ours)."""
    behind = float(gland.semi[1] * (1 - 0.2 * gland.taper) - 0.5 * gland.dent)
    wall = float(random.uniform(2.0, 3.5))
    return Frame(
        semi=gland.semi,
        rectum=behind + float(random.uniform(1.0, 3.0)) + wall + PROBE_RADIUS,
        rectum_radius=PROBE_RADIUS,
        rectum_wall=wall,
    )


def _zones(
    gland: Gland,
    points: Points,
    surface: np.ndarray,
    inside: np.ndarray,
    box: Box,
    step: float,
    random: np.random.Generator,
    grid: Grid,
) -> list[Layer]:
    """The gland's own layers, from the peripheral zone inwards."""
    a, b, c = gland.semi
    inner = _transition(gland, points, inside)
    tz = np.minimum(coverage(inner, step), inside)
    cz = np.minimum(coverage(ellipsoid(points, (0, 0.30 * b, 0.66 * c), (0.50 * a, 0.34 * b, 0.34 * c)), step), inside)
    layers = [
        Layer(TISSUES["peripheral zone"], box, inside),
        Layer(TISSUES["central zone"], box, cz),
        Layer(TISSUES["transition zone"], box, tz),
    ]
    layers += _nodules(gland, tz, box, step, random, grid)
    rim = np.minimum(coverage(np.abs(inner) - np.float32(0.2), step), coverage(surface + np.float32(0.5), step))
    front = ellipsoid(points, (0, -0.97 * b, 0.05 * c), (0.36 * a, 0.34 * b, 0.72 * c))
    tubes = np.minimum(
        segment(points, (0, -0.45 * b, 1.05 * c), (0, 0.08 * b, -0.05 * c), 1.6),
        segment(points, (0, 0.08 * b, -0.05 * c), (0, -0.15 * b, -1.05 * c), 2.0),
    )
    layers.append(Layer(TISSUES["capsule"], box, rim))
    layers.append(Layer(TISSUES["fibromuscular stroma"], box, np.minimum(coverage(front, step), inside)))
    layers.append(Layer(TISSUES["capsule"], box, np.minimum(coverage(tubes - np.float32(1.0), step), inside)))
    layers.append(Layer(TISSUES["urethra"], box, np.minimum(coverage(tubes, step), inside)))
    layers += _calcifications(inner, inside, box, step, random, grid)
    return layers


def _transition(gland: Gland, points: Points, inside: np.ndarray) -> np.ndarray:
    """Signed distance to the two lobes beside the urethra, of such a size that they fill their share."""
    a, b, c = gland.semi
    thin = (slice(None, None, 2),) * 3
    coarse = tuple(np.broadcast_to(p, inside.shape)[thin] for p in points)
    wanted = gland.share * float(inside[thin].sum(dtype=np.float64))

    def lobes(at: Points, size: float) -> np.ndarray:
        axes = np.array([0.50 * a, 0.66 * b, 0.70 * c]) * size
        sides = [ellipsoid(at, (side * 0.26 * a, -0.18 * b, 0.10 * c), axes) for side in (-1, 1)]
        return np.minimum(*sides)

    low, high = 0.2, 1.8
    for _ in range(14):
        middle = (low + high) / 2
        filled = np.minimum(lobes((coarse[0], coarse[1], coarse[2]), middle) < 0, inside[thin])
        low, high = (middle, high) if float(filled.sum(dtype=np.float64)) < wanted else (low, middle)
    return lobes(points, (low + high) / 2)


def _nodules(
    gland: Gland, tz: np.ndarray, box: Box, step: float, random: np.random.Generator, grid: Grid
) -> list[Layer]:
    """Nodules of hyperplasia, bright (glandular) or dark (stromal), each with a dark rim; more in a larger zone."""
    candidates = np.argwhere(tz > 0.95)
    wanted = min(int(random.poisson(0.28 * gland.share * gland.volume_ml)), 16)
    layers: list[Layer] = []
    for _ in range(wanted if len(candidates) else 0):
        centre = _place(candidates[random.integers(len(candidates))], box, grid)
        axes = random.uniform(2.5, 2.5 + 0.22 * gland.semi.min()) * random.uniform(0.8, 1.25, 3)
        kind = "glandular nodule" if random.random() < 0.55 else "stromal nodule"
        own, within = _cut(grid, centre, float(axes.max()) + 3, box, tz)
        gap = ellipsoid(grid.mesh(own), centre, axes)
        layers.append(Layer(TISSUES["capsule"], own, 0.8 * np.minimum(coverage(gap - np.float32(0.6), step), within)))
        layers.append(Layer(TISSUES[kind], own, np.minimum(coverage(gap, step), within)))
    return layers


def _calcifications(
    inner: np.ndarray, inside: np.ndarray, box: Box, step: float, random: np.random.Generator, grid: Grid
) -> list[Layer]:
    """None to four small stones along the surgical capsule, where they usually lie."""
    candidates = np.argwhere((np.abs(inner) < 1) & (inside > 0.95))
    layers: list[Layer] = []
    for _ in range(int(random.integers(0, 5)) if len(candidates) else 0):
        centre = _place(candidates[random.integers(len(candidates))], box, grid)
        radius = float(random.uniform(0.6, 1.5))
        own = grid.box(centre, radius + 2)
        gap = ellipsoid(grid.mesh(own), centre, (radius, radius, radius * float(random.uniform(1, 2))))
        layers.append(Layer(TISSUES["calcification"], own, coverage(gap, step)))
    return layers


def _place(index: np.ndarray, box: Box, grid: Grid) -> tuple[float, float, float]:
    """mm of a voxel (k, j, i) of a box."""
    k, j, i = (int(n) + part.start for n, part in zip(index, box))
    return tuple(grid.first[n] + grid.spacing[n] * v for n, v in enumerate((i, j, k)))  # type: ignore[return-value]


def _cut(
    grid: Grid, centre: tuple[float, float, float], reach: float, box: Box, field: np.ndarray
) -> tuple[Box, np.ndarray]:
    """The small box around a centre, cut to `box`, and the part of `field` (which lies on `box`) in it."""
    bounds = [
        slice(max(one.start, whole.start), max(min(one.stop, whole.stop), max(one.start, whole.start)))
        for one, whole in zip(grid.box(centre, reach), box)
    ]
    own = (bounds[0], bounds[1], bounds[2])
    return own, field[tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(own, box))]


def _numbers(layers: list[Layer], grid: Grid) -> np.ndarray:
    """uint8 tissue number where a layer fills more than half of a voxel; capsules are too thin for it and have
    none."""
    zones = np.zeros(grid.shape, np.uint8)
    for layer in layers:
        if layer.tissue.name == "capsule":
            continue
        part = zones[layer.box]
        part[np.broadcast_to(layer.coverage > 0.5, part.shape)] = CODES[layer.tissue.name]
    return zones
