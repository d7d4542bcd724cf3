"""Lesions of a set place, size, contrast and visibility in a simulated prostate, and the truth about them.

Contrast has one meaning a modality: on MR the relative difference of signal against the zone the lesion's middle
lies in (-0.3 is 30% darker), on ultrasound the difference of backscattered intensity in dB. A lesion that a
modality does not see leaves no trace there.

Drawn lesions: 70% in the peripheral zone (McNeal et al., Am J Surg Pathol 1988: 68% there, 24% in the transition
zone), volumes log-normal with the median 1.1 mL and the quartiles 0.44 and 2.7 mL (1.1, 0.5 and 3.1 mL in whole
mounts of 105 men, doi 10.1016/j.juro.2017.02.1164), cut to 0.15 to 4 mL; in small zones to a third of the zone.
Half of the cases have one of high grade: our choice, for classification. Between grade and contrast stands
`GradeEffect`. Its direction is published: T2 of 100 +/- 10 ms in cancer against 149 +/- 32 (doi 10.1002/mrm.22874)
is a contrast of -0.28 at TE 100 ms; the T2 signal falls with the Gleason grade (Wang et al., Radiology
2008;246:168); 24 to 30% of cancers are isoechoic on transrectal ultrasound (a review of the literature in Panacea J
Med Sci 2024;14(2)). Its size is our choice and a setting: with `strength` 0 grade tells nothing about the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from imagetranslation.errors import InputError

from .prostate_anatomy import Anatomy
from .prostate_mr import Protocol, t2_for
from .prostate_shapes import Layer, coverage
from .prostate_tissues import CODES, TISSUES

ZONES = {
    "PZ": ("peripheral zone",),
    "TZ": ("transition zone", "glandular nodule", "stromal nodule"),
}
MEDIAN_ML, LOG_SD, LEAST_ML, MOST_ML = 1.1, 1.35, 0.15, 4.0
IN_PERIPHERAL = 0.7


@dataclass(frozen=True)
class GradeEffect:
    """How a lesion's looks depend on its grade; pairs are (low, high). mr: mean relative contrast. us: mean
    contrast in dB. seen_mr, seen_us: chance that the modality shows it. spread_mr, spread_us: SD around the means.
    strength: 1 as stated, 0 puts both grades on the middle of the pair, other values stretch it."""

    mr: tuple[float, float] = (-0.22, -0.42)
    us: tuple[float, float] = (-3.5, -6.5)
    seen_mr: tuple[float, float] = (0.75, 0.95)
    seen_us: tuple[float, float] = (0.50, 0.75)
    spread_mr: float = 0.07
    spread_us: float = 1.2
    strength: float = 1.0

    def of(self, pair: tuple[float, float], grade: str) -> float:
        """The value for a grade ("low" or "high")."""
        middle = (pair[0] + pair[1]) / 2
        return middle + self.strength * (pair[grade == "high"] - middle)


@dataclass(frozen=True)
class LesionSpec:
    """A wanted lesion. zone: "PZ" or "TZ". contrast_mr: relative, 0 is not seen. contrast_us: dB, 0 is not seen.
    centre: mm in LPS from the gland's middle, or None for a drawn place in the zone."""

    zone: str
    volume_ml: float
    grade: str
    contrast_mr: float
    contrast_us: float
    centre: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.zone not in ZONES or self.grade not in ("low", "high"):
            raise InputError(f"A lesion is in PZ or TZ and of low or high grade, not {self.zone} and {self.grade}.")
        if not 0.02 <= self.volume_ml <= 20 or not -0.95 <= self.contrast_mr <= 3 or abs(self.contrast_us) > 40:
            raise InputError(
                f"A lesion has 0.02 to 20 mL, an MR contrast of -0.95 to 3 and at most 40 dB in ultrasound, not "
                f"{self.volume_ml} mL, {self.contrast_mr} and {self.contrast_us} dB."
            )


@dataclass(frozen=True)
class Lesion:
    """A placed lesion. centre: its middle of mass, mm in LPS. volume_ml: as drawn on the fine grid. t2: ms that
    give its MR contrast. layer: its coverage on the anatomy's grid and what
    the modalities see there."""

    spec: LesionSpec
    centre: tuple[float, float, float]
    volume_ml: float
    t2: float
    layer: Layer


def draw_specs(
    random: np.random.Generator, effect: GradeEffect, least: int, most: int, high: bool | None = None
) -> list[LesionSpec]:
    """Between `least` and `most` lesions. high: whether one is of high grade; None leaves it to chance, half and
    half."""
    high = bool(random.random() < 0.5) if high is None else high
    count = int(random.integers(max(least, 1) if high else least, max(most, 1 if high else 0) + 1))
    specs = []
    for number in range(count):
        grade = "high" if high and (number == 0 or random.random() < 0.25) else "low"
        volume = np.clip(MEDIAN_ML * np.exp(random.normal(0, LOG_SD)), LEAST_ML, MOST_ML)
        mr = effect.of(effect.mr, grade) + random.normal(0, effect.spread_mr)
        us = effect.of(effect.us, grade) + random.normal(0, effect.spread_us)
        specs.append(
            LesionSpec(
                zone="PZ" if random.random() < IN_PERIPHERAL else "TZ",
                volume_ml=round(float(volume), 3),
                grade=grade,
                contrast_mr=round(float(np.clip(mr, -0.8, -0.05)), 3)
                if random.random() < effect.of(effect.seen_mr, grade)
                else 0.0,
                contrast_us=round(float(np.clip(us, -15, -1)), 2)
                if random.random() < effect.of(effect.seen_us, grade)
                else 0.0,
            )
        )
    return specs


def place(
    specs: Sequence[LesionSpec], anatomy: Anatomy, protocol: Protocol, random: np.random.Generator
) -> list[Lesion]:
    """Put the lesions into the gland, largest first, apart from each other.

    Raises InputError when one does not fit: outside the gland, or larger than a third of its zone.
    """
    taken: list[tuple[np.ndarray, float]] = []
    found: dict[int, Lesion] = {}
    for number in sorted(range(len(specs)), key=lambda n: -specs[n].volume_ml):
        spec = _fitting(specs[number], anatomy)
        radius = (spec.volume_ml * 750 / np.pi) ** (1 / 3)
        centre = _centre(spec, anatomy, radius, taken, random)
        taken.append((centre, radius))
        found[number] = _grown(spec, centre, radius, anatomy, protocol, random)
    return [found[number] for number in range(len(specs))]


def place_drawn(
    specs: Sequence[LesionSpec], anatomy: Anatomy, protocol: Protocol, random: np.random.Generator
) -> list[Lesion]:
    """`place` for lesions that nobody asked for: where they do not fit into a small gland, all are drawn smaller."""
    for _ in range(4):
        try:
            return place(specs, anatomy, protocol, random)
        except InputError:
            specs = [replace(spec, volume_ml=max(round(spec.volume_ml / 2, 3), 0.02)) for spec in specs]
    return place(specs, anatomy, protocol, random)


def _fitting(spec: LesionSpec, anatomy: Anatomy) -> LesionSpec:
    """A drawn lesion gets smaller in a small zone; one with its own centre was asked for and is refused."""
    most = anatomy.zone_ml(*ZONES[spec.zone]) / 3
    if spec.volume_ml <= most:
        return spec
    if spec.centre is not None:
        raise InputError(f"A lesion of {spec.volume_ml} mL does not fit into a {spec.zone} of {3 * most:.1f} mL.")
    return replace(spec, volume_ml=round(most, 3))


def _centre(
    spec: LesionSpec,
    anatomy: Anatomy,
    radius: float,
    taken: list[tuple[np.ndarray, float]],
    random: np.random.Generator,
) -> np.ndarray:
    """mm, LPS: the given place, or one deep in the zone and away from the other lesions where there is such a
    place."""
    from scipy.ndimage import distance_transform_edt

    grid, box = anatomy.grid, anatomy.box
    if spec.centre is not None:
        return np.asarray(spec.centre, float)
    zone = np.isin(anatomy.zones[box], [CODES[name] for name in ZONES[spec.zone]])
    depth = distance_transform_edt(zone, grid.spacing[::-1])
    x, y, z = grid.mesh(box)
    free = np.full(zone.shape, np.inf, np.float32)
    for at, other in taken:
        gap = np.sqrt((x - at[0]) ** 2 + (y - at[1]) ** 2 + (z - at[2]) ** 2) - (other + radius)
        free = np.minimum(free, gap)
    for wanted in (0.8, 0.5, 0.2):
        candidates = np.argwhere(zone & (depth >= min(wanted * radius, 0.7 * depth.max())) & (free > 2))
        if len(candidates):
            k, j, i = candidates[random.integers(len(candidates))]
            return np.array([x[0, 0, i], y[0, j, 0], z[k, 0, 0]], float)
    raise InputError(f"The lesions do not fit beside each other into this gland of {anatomy.gland_ml:.0f} mL.")


def _grown(
    spec: LesionSpec,
    centre: np.ndarray,
    radius: float,
    anatomy: Anatomy,
    protocol: Protocol,
    random: np.random.Generator,
) -> Lesion:
    """The lesion at its place, an uneven ellipsoid inside the gland, scaled until it has its volume."""
    grid = anatomy.grid
    own = grid.box(centre, 2.2 * radius + 4)
    bounds = [
        slice(max(a.start, b.start), max(min(a.stop, b.stop), max(a.start, b.start))) for a, b in zip(own, anatomy.box)
    ]
    box = (bounds[0], bounds[1], bounds[2])
    within = anatomy.inside[tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, anatomy.box))]
    points = [p - np.float32(c) for p, c in zip(grid.mesh(box), centre)]
    # Lesions of the peripheral zone are flat along the capsule.
    axes = random.uniform(0.85, 1.2, 3) * ((1.1, 0.75, 1.1) if spec.zone == "PZ" else (1, 1, 1))
    axes = axes / np.prod(axes) ** (1 / 3)
    waves, phases = random.normal(0, 1.6 / radius, (4, 3)), random.uniform(0, 2 * np.pi, 4)
    uneven = sum(
        np.sin(sum(np.float32(w) * p for w, p in zip(wave, points)) + np.float32(phase))
        for wave, phase in zip(waves, phases)
    ) * np.float32(0.05 * radius)
    relative = np.sqrt(sum((p / np.float32(a)) ** 2 for p, a in zip(points, axes)))
    step = float(np.mean(grid.spacing))
    low, high = 0.3 * radius, 2.2 * radius
    for _ in range(24):
        size = (low + high) / 2
        inside = np.minimum(coverage(relative + uneven - np.float32(size), step), within)
        filled = float(inside.sum(dtype=np.float64)) * grid.voxel_ml
        low, high = (size, high) if filled < spec.volume_ml else (low, size)
    if abs(filled - spec.volume_ml) > max(0.05 * spec.volume_ml, 0.01):
        raise InputError(
            f"A lesion of {spec.volume_ml} mL does not fit at {np.round(centre, 1).tolist()} mm: it would leave the "
            f"gland. Choose a place further inside or a smaller volume."
        )
    weight = inside.astype(np.float64)
    middle = [float((weight * p).sum() / weight.sum() + c) for p, c in zip(points, centre)]
    base = TISSUES[ZONES[spec.zone][0]]
    t2 = t2_for(spec.contrast_mr, base, protocol)
    tissue = replace(base, name="lesion", t2=t2, echo=base.echo + spec.contrast_us, mr_texture=0.04, echo_texture=0.6)
    layer = Layer(tissue, box, inside, in_mr=spec.contrast_mr != 0, in_us=spec.contrast_us != 0)
    return Lesion(spec, (middle[0], middle[1], middle[2]), filled, t2, layer)
