"""A simulated prostate: transrectal ultrasound and T2-weighted MR of one invented anatomy, and what is true of it.

The anatomy stands in `prostate_anatomy`, the lesions in `prostate_lesions`, the forward models in `prostate_mr` and
`prostate_ultrasound`; here they meet, and become volumes with headers. Physics, sources and what is left out:
Resources/Docs/simulators.md. Simulated images show that the machinery works and what it does when the truth is known;
they prove nothing about patients. Files are left to `prostate_writing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.volume import Volume

from . import prostate_mr, prostate_ultrasound
from .prostate_anatomy import LEAST_ML, MOST_ML, PROBE_RADIUS, Anatomy, build, draw_gland
from .prostate_lesions import ZONES, GradeEffect, Lesion, LesionSpec, draw_specs, place, place_drawn
from .prostate_mr import Protocol, draw_protocol
from .prostate_probe import KINDS, Probe
from .prostate_shapes import Grid
from .prostate_ultrasound import Scanner, draw_scanner

NOTE = "Simulated anatomy: no patient."
# Letters of an axes code: which patient axis (x left, y posterior, z superior), and whether along or against it.
_LETTERS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
# The public pairs' arrays run so (i posterior, towards the probe; j right; k superior), whatever their headers say.
PUBLIC_AXES = "PRS"


@dataclass(frozen=True)
class Settings:
    """What is simulated. Sizes are voxels and spacings mm along the patient's (x, y, z).

    axes: three letters, the direction in which the written arrays' i, j and k grow; headers are right for any. probe:
    "side-fire", "end-fire", or "either" (by chance). least, most: number of lesions drawn. mr_on_us_grid: MR and
    its labels on the ultrasound's grid, so that the pair is aligned voxel by voxel. step: mm of the grid the
    anatomy is drawn on. samples: of the probe (planes, beams, depths). vary: whether scanners differ between cases.
    """

    us_size: tuple[int, int, int] = (128, 128, 64)
    us_spacing: tuple[float, float, float] = (0.75, 0.6, 1.2)
    mr_size: tuple[int, int, int] = (128, 128, 64)
    mr_spacing: tuple[float, float, float] = (0.8, 0.8, 1.5)
    mr_on_us_grid: bool = False
    axes: str = "LPS"
    probe: str = "side-fire"
    least: int = 0
    most: int = 3
    volume_ml: float | None = None
    step: float = 0.8
    samples: tuple[int, int, int] = (66, 160, 224)
    vary: bool = True
    protocol: Protocol = field(default_factory=Protocol)
    scanner: Scanner = field(default_factory=Scanner)
    effect: GradeEffect = field(default_factory=GradeEffect)

    def __post_init__(self) -> None:
        if len({_LETTERS.get(letter, (9, 0))[0] for letter in self.axes} & {0, 1, 2}) != 3 or len(self.axes) != 3:
            raise InputError(f"The axes code {self.axes} is not three letters, one of L/R, one of P/A and one of S/I.")
        if self.probe not in (*KINDS, "either"):
            raise InputError(f"A probe is side-fire, end-fire or either, not {self.probe}.")
        if self.volume_ml is not None and not LEAST_ML <= self.volume_ml <= MOST_ML:
            raise InputError(f"A gland has {LEAST_ML:g} to {MOST_ML:g} mL, not {self.volume_ml:g}.")
        if not 0 <= self.least <= self.most <= 8:
            raise InputError(f"Between 0 and 8 lesions can be drawn, not {self.least} to {self.most}.")


@dataclass(frozen=True)
class Case:
    """One simulated patient. The labels are uint8 on the grid of their image: gland 0 and 1; zones after
    `prostate_tissues.CODES`; lesions numbered from 1 in the order of `lesions`."""

    seed: int
    us: Volume
    mr: Volume
    us_gland: Volume
    mr_gland: Volume
    us_zones: Volume
    mr_zones: Volume
    us_lesions: Volume
    mr_lesions: Volume
    anatomy: Anatomy
    lesions: tuple[Lesion, ...]
    probe: Probe
    protocol: Protocol
    scanner: Scanner

    @property
    def label(self) -> int:
        """1 with a lesion of high grade, else 0."""
        return int(any(lesion.spec.grade == "high" for lesion in self.lesions))


@dataclass(frozen=True)
class SimulatedPair:
    """us and mr lie on different grids in one physical frame; gland is uint8 on the grid of us."""

    us: Volume
    mr: Volume
    gland: Volume


# The demo's pair: small, along the axes of the public pairs that the shipped model was trained on.
DEMO = Settings(
    us_size=(96, 96, 48),
    us_spacing=(1.0, 0.75, 1.4),
    mr_size=(112, 96, 40),
    mr_spacing=(1.0, 1.0, 2.0),
    axes=PUBLIC_AXES,
    step=1.0,
    samples=(48, 144, 200),
)


def simulate(seed: int = 0) -> SimulatedPair:
    """The demo's pair, the same for the same seed (uint8 ultrasound, uint16 MR)."""
    case = simulate_case(seed, DEMO)
    return SimulatedPair(us=case.us, mr=case.mr, gland=replace(case.us_gland, name=f"simulated-{seed}-gland"))


def simulate_case(seed: int, settings: Settings | None = None, lesions: Sequence[LesionSpec] | None = None) -> Case:
    """One patient. lesions: the wanted ones; None draws them. Raises InputError where a wanted lesion does not fit.

    Anatomy, lesions, texture and both scanners have random streams of their own: other lesions leave the anatomy as
    it is.
    """
    settings = settings or Settings()
    streams = np.random.default_rng(seed).spawn(6)
    gland = draw_gland(streams[0], settings.volume_ml)
    fine = _fine_grid(settings)
    anatomy = build(fine, gland, streams[0])
    protocol = draw_protocol(streams[3], settings.protocol) if settings.vary else settings.protocol
    scanner = draw_scanner(streams[4], settings.scanner) if settings.vary else settings.scanner
    if lesions is None:
        drawn = draw_specs(streams[1], settings.effect, settings.least, settings.most)
        placed = place_drawn(drawn, anatomy, protocol, streams[1])
    else:
        placed = place(lesions, anatomy, protocol, streams[1])
    layers = [*anatomy.layers, *(lesion.layer for lesion in placed)]
    common, mr_own, us_own = (_texture(fine, streams[2]) for _ in range(3))
    probe = _probe(settings, anatomy, streams[5])
    us_grid = _us_grid(settings, anatomy)
    mr_grid = us_grid if settings.mr_on_us_grid else Grid.around((0, 0, 0), settings.mr_size, settings.mr_spacing)
    half = np.float32(np.sqrt(0.5))
    mr = prostate_mr.acquire(layers, fine, mr_grid, half * (common + mr_own), protocol, streams[3])
    us = prostate_ultrasound.acquire(layers, fine, us_grid, half * (common + us_own), probe, scanner, streams[4])
    truth = _truth(anatomy, placed)
    name = f"simulated-{seed}"
    labels = {
        f"{side}_{part}": _volume(_nearest(values, fine, grid), grid, settings.axes, f"{name}-{side}-{part}", "")
        for side, grid in (("us", us_grid), ("mr", mr_grid))
        for part, values in truth.items()
    }
    return Case(
        seed=seed,
        us=_volume(us, us_grid, settings.axes, f"{name}-us", "US"),
        mr=_volume(mr, mr_grid, settings.axes, f"{name}-mr", "MR"),
        anatomy=anatomy,
        lesions=tuple(placed),
        probe=probe,
        protocol=protocol,
        scanner=scanner,
        **labels,
    )


def describe(case: Case) -> list[dict[str, object]]:
    """One row a lesion: what is true of it, in mm LPS from the gland's middle, mL, relative MR contrast and dB."""
    rows: list[dict[str, object]] = []
    for number, lesion in enumerate(case.lesions, 1):
        x, _, z = lesion.centre
        third = float(case.anatomy.gland.semi[2]) / 3
        rows.append(
            {
                "lesion": number,
                "zone": lesion.spec.zone,
                "side": "left" if x > 3 else "right" if x < -3 else "midline",
                "level": "base" if z > third else "apex" if z < -third else "mid",
                **{f"{axis}_mm": round(value, 2) for axis, value in zip("xyz", lesion.centre)},
                "volume_ml": round(lesion.volume_ml, 4),
                "diameter_mm": round(2 * (lesion.volume_ml * 750 / np.pi) ** (1 / 3), 2),
                "grade": lesion.spec.grade,
                "mr_visible": int(lesion.spec.contrast_mr != 0),
                "us_visible": int(lesion.spec.contrast_us != 0),
                "mr_contrast": lesion.spec.contrast_mr,
                "us_contrast_db": lesion.spec.contrast_us,
                "t2_ms": round(lesion.t2, 2),
            }
        )
    return rows


def volumes(case: Case) -> dict[str, float]:
    """mL of the gland and its two large zones, as drawn."""
    return {
        "gland_ml": round(case.anatomy.gland_ml, 3),
        "transition_ml": round(case.anatomy.zone_ml(*ZONES["TZ"]), 3),
        "peripheral_ml": round(case.anatomy.zone_ml(*ZONES["PZ"]), 3),
    }


def _fine_grid(settings: Settings) -> Grid:
    """The anatomy's grid: around the MR and, where it is larger, what the ultrasound may show."""
    us = np.multiply(settings.us_size, settings.us_spacing)
    mr = np.multiply(settings.mr_size, settings.mr_spacing)
    reach = np.clip(np.maximum(us, mr) / 2, 42, 64)
    size = [int(np.ceil(2 * r / settings.step)) for r in reach]
    return Grid.around((0, 0, 0), (size[0], size[1], size[2]), (settings.step,) * 3)


def _us_grid(settings: Settings, anatomy: Anatomy) -> Grid:
    """The ultrasound's grid: its rear edge a little behind the probe's middle, so that the probe's arc is in the
    picture."""
    depth = settings.us_size[1] * settings.us_spacing[1]
    return Grid.around((0, anatomy.frame.rectum + 1 - depth / 2, 0), settings.us_size, settings.us_spacing)


def _probe(settings: Settings, anatomy: Anatomy, random: np.random.Generator) -> Probe:
    kind = str(random.choice(KINDS)) if settings.probe == "either" else settings.probe
    if kind == "side-fire":
        length = settings.us_size[2] * settings.us_spacing[2]
        return Probe(kind, (0, anatomy.frame.rectum, 0), radius=PROBE_RADIUS, length=length, samples=settings.samples)
    below = -0.9 * float(anatomy.gland.semi[2]) - 4
    return Probe(kind, (0, anatomy.frame.rectum, below), radius=PROBE_RADIUS, depth=78.0, samples=settings.samples)


def _texture(fine: Grid, random: np.random.Generator) -> np.ndarray:
    """float32 (k, j, i), mean 0 and SD 1: unevenness over about 1 and 4 mm in equal parts (ours)."""
    from scipy.ndimage import gaussian_filter, zoom

    small = gaussian_filter(random.standard_normal(fine.shape, np.float32), 0.8 / fine.spacing[0])
    coarse = random.standard_normal(tuple(n // 3 + 2 for n in fine.shape), np.float32)
    coarse = zoom(gaussian_filter(coarse, 3.0 / (3 * fine.spacing[0])), 3, order=1)
    coarse = coarse[tuple(slice(0, n) for n in fine.shape)]
    both = small / small.std(dtype=np.float64) + coarse / coarse.std(dtype=np.float64)
    return (both * np.sqrt(0.5)).astype(np.float32)


def _truth(anatomy: Anatomy, lesions: Sequence[Lesion]) -> dict[str, np.ndarray]:
    """uint8 maps on the anatomy's grid."""
    gland = np.zeros(anatomy.grid.shape, np.uint8)
    gland[anatomy.box] = anatomy.inside > 0.5
    marks = np.zeros(anatomy.grid.shape, np.uint8)
    for number, lesion in enumerate(lesions, 1):
        marks[lesion.layer.box][lesion.layer.coverage > 0.5] = number
    return {"gland": gland, "zones": anatomy.zones, "lesions": marks}


def _nearest(values: np.ndarray, fine: Grid, grid: Grid) -> np.ndarray:
    """The values of `fine` at the voxels of `grid`; 0 outside."""
    for axis in (2, 1, 0):
        index = np.rint((grid.axis(axis) - fine.first[axis]) / fine.spacing[axis]).astype(int)
        values = np.take(values, np.clip(index, 0, fine.size[axis] - 1), axis=2 - axis)
        outside = (index < 0) | (index >= fine.size[axis])
        values[(slice(None),) * (2 - axis) + (outside,)] = 0
    return values


def _volume(array: np.ndarray, grid: Grid, axes: str, name: str, modality: str) -> Volume:
    """An array along (z, y, x) as a volume whose i, j, k grow as the axes code says, with the header to it."""
    turned = [_LETTERS[letter] for letter in axes]
    array = np.transpose(array, [2 - axis for axis, _ in reversed(turned)])
    array = np.flip(array, tuple(2 - n for n, (_, sign) in enumerate(turned) if sign < 0))
    direction = np.zeros((3, 3))
    origin = [0.0, 0.0, 0.0]
    for n, (axis, sign) in enumerate(turned):
        direction[axis, n] = sign
        origin[axis] = grid.first[axis] if sign > 0 else grid.first[axis] + (grid.size[axis] - 1) * grid.spacing[axis]
    spacing = [grid.spacing[axis] for axis, _ in turned]
    return Volume(
        np.ascontiguousarray(array),
        (spacing[0], spacing[1], spacing[2]),
        (origin[0], origin[1], origin[2]),
        tuple(float(v) for v in direction.ravel()),
        name=name,
        modality=modality,
        notes=(NOTE,),
    )
