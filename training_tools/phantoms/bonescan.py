"""A simulated three-phase bone scan: blood pool and delayed planar images of one invented patient, with the truth.

It puts together anatomy, kinetics, disease, scene and camera (the `bonescan_*` files, which give the physics and its
sources) into pairs of count images. Files are left to `bonescan_writing`. One seed gives one patient and one noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from imagetranslation.errors import InputError

from . import bonescan_anatomy as anatomy_of
from .bonescan_anatomy import Body
from .bonescan_camera import Camera, count, see
from .bonescan_disease import GROUPS, Lesion, Relation, plan, profile
from .bonescan_kinetics import Rates, content, decay, individual
from .bonescan_limbs import Anatomy
from .bonescan_scene import Patient, Scene, add_lesions, project
from .bonescan_shapes import Canvas

VIEWS = ("anterior", "posterior")
UNEVEN = 0.12  # SD of the logarithm of the avidity of one bone or joint beside its like; our choice
MARGIN = 16  # pixels around the image, so that what is blurred in from outside is there


@dataclass(frozen=True)
class Region:
    """One acquisition. rows, columns, spacing (mm). middle: d of the image's middle in units of HEIGHT's body.

    delayed_counts: expected counts of the delayed image. pool_counts: of the blood pool; or None, and then it takes
    `pool_time` of the delayed image's time and its counts follow from kinetics and decay. gap: mm from the collimator
    to the nearest skin. count_spread: SD of the logarithm of the delayed counts between patients.
    """

    rows: int
    columns: int
    spacing: float
    middle: float
    build: Callable[[Body], Anatomy]
    delayed_counts: float
    pool_counts: float | None
    pool_time: float = 1.0
    gap: float = 10.0
    count_spread: float = 0.0


# Delayed whole-body counts: those of the real scan. Its spread and the threefold speed of the early pass: our choice.
# Spot views: counts of a teaching protocol (nmt-procedures-2011, "3 Phase Bone Scan": torso 1000k, knees 500k, hands,
# feet and lower legs 300k; blood pool 300 to 500k). Pixel sizes: our choice.
REGIONS: dict[str, Region] = {
    "whole_body": Region(1024, 256, 2.26, 985.0, anatomy_of.whole_body, 3.6e6, None, 1 / 3, 25.0, count_spread=0.2),
    "hands": Region(256, 256, 1.2, -45.0, anatomy_of.hands, 3e5, 3e5),
    "feet": Region(256, 256, 1.2, 55.0, anatomy_of.feet, 3e5, 3e5),
    "knees": Region(256, 256, 1.6, 1180.0, anatomy_of.whole_body, 5e5, 3e5),
    "legs": Region(256, 256, 2.0, 1400.0, anatomy_of.whole_body, 3e5, 3e5),
    "pelvis": Region(256, 256, 2.0, 720.0, anatomy_of.whole_body, 1e6, 5e5, gap=20.0),
    "chest": Region(256, 256, 2.0, 400.0, anatomy_of.whole_body, 1e6, 5e5, gap=20.0),
}


@dataclass(frozen=True)
class Settings:
    """What is the same for all cases. Times in minutes after injection; rates: the average patient's."""

    relations: dict[str, Relation] = field(default_factory=lambda: dict(GROUPS))
    degenerative: float = 0.5
    pool_minutes: float = 10.0
    delayed_minutes: float = 180.0
    camera: Camera = field(default_factory=Camera)
    rates: Rates = field(default_factory=Rates)

    def __post_init__(self) -> None:
        if not 1 <= self.pool_minutes < self.delayed_minutes <= 1440:
            raise InputError(
                f"The blood pool ({self.pool_minutes:g} min) must come at 1 min or later and before the delayed image "
                f"({self.delayed_minutes:g} min), and that within 24 h."
            )


@dataclass(frozen=True)
class Imaged:
    """A lesion in one view: its truth and what the noise-free images show of it.

    lesion_roi, hyperaemia_roi: bool (row, column) of the two phases. *_imaged: ratio of the mean expected counts in
    the region with and without all lesions.
    """

    lesion: Lesion
    lesion_roi: np.ndarray
    hyperaemia_roi: np.ndarray
    hyperaemia_imaged: float
    delayed_imaged: float


@dataclass(frozen=True)
class Pair:
    """One view. pool, delayed: counts, uint16 (row, column). expected: float32 (2, row, column) without noise."""

    region: str
    view: str
    spacing: float
    pool: np.ndarray
    delayed: np.ndarray
    expected: np.ndarray
    lesions: tuple[Imaged, ...]


def invent(
    seed: int | np.random.SeedSequence, group: str, region: str, settings: Settings | None = None
) -> tuple[Patient, np.random.Generator]:
    """Draw a patient; returns it and the generator that its noise comes from.

    Raises InputError for an unknown group or region, and a group with no site in the region.
    """
    settings = settings or Settings()
    if region not in REGIONS:
        raise InputError(f"There is no region {region!r}; there are {', '.join(REGIONS)}.")
    random = np.random.default_rng(seed)
    body = anatomy_of.invent(random)
    rates = individual(random, settings.rates)
    anatomy = REGIONS[region].build(body)
    unevenly = np.exp(random.normal(0.0, UNEVEN, len(anatomy.parts)))
    anatomy.parts = [replace(part, gain=part.gain * float(f)) for part, f in zip(anatomy.parts, unevenly)]
    lesions = plan(group, settings.relations, anatomy, canvas_of(region, body), random, settings.degenerative)
    counts = float(np.exp(random.normal(0.0, 1.0) * REGIONS[region].count_spread))
    return _patient(body, rates, region, settings, group, tuple(lesions), counts, anatomy), random


def patient_of(
    body: Body,
    rates: Rates,
    region: str,
    settings: Settings | None = None,
    group: str = "none",
    lesions: tuple[Lesion, ...] = (),
    counts: float = 1.0,
) -> Patient:
    """A patient of chosen body, rate constants and lesions, imaged in a region; see `Patient`."""
    anatomy = REGIONS[region].build(body)
    return _patient(body, rates, region, settings or Settings(), group, lesions, counts, anatomy)


def simulate(
    seed: int | np.random.SeedSequence,
    group: str,
    region: str,
    views: tuple[str, ...] = ("anterior",),
    settings: Settings | None = None,
) -> tuple[Patient, list[Pair]]:
    """A patient of that group and its pairs of images, one a view ("anterior" or "posterior")."""
    settings = settings or Settings()
    patient, random = invent(seed, group, region, settings)
    return patient, [acquire(patient, view, settings, random) for view in views]


def acquire(patient: Patient, view: str, settings: Settings, random: np.random.Generator) -> Pair:
    """Image one view of a patient in both phases.

    In an anterior view the patient's left is at the image's right, in a posterior view at its left.
    """
    if view not in VIEWS:
        raise InputError(f"There is no view {view!r}; there are {', '.join(VIEWS)}.")
    region = REGIONS[patient.region]
    canvas = canvas_of(patient.region, patient.body)
    scene = project(patient, canvas, view, settings.camera, region.gap)
    places = [(profile(lesion.early, canvas), profile(lesion.late, canvas)) for lesion in patient.lesions]
    clean = _images(scene, settings.camera, canvas.spacing)
    rois = [tuple(_cropped(roi) for roi in both) for both in add_lesions(scene, patient.lesions, places)]
    shown = _images(scene, settings.camera, canvas.spacing) if patient.lesions else clean
    delayed_scale = patient.counts * region.delayed_counts / max(float(shown[1].sum()), 1e-30)
    if region.pool_counts is None:
        decays = decay(settings.pool_minutes) / decay(settings.delayed_minutes)
        pool_scale = delayed_scale * region.pool_time * decays
    else:
        pool_scale = region.pool_counts / max(float(shown[0].sum()), 1e-30)
    expected = shown * np.array([pool_scale, delayed_scale], np.float32)[:, None, None]
    expected += settings.camera.background * expected.mean(axis=(1, 2), keepdims=True)
    turn = slice(None, None, -1 if view == "posterior" else 1)
    imaged = tuple(
        Imaged(
            lesion,
            np.ascontiguousarray(roi[1][:, turn]),
            np.ascontiguousarray(roi[0][:, turn]),
            _ratio(shown[0], clean[0], roi[0]),
            _ratio(shown[1], clean[1], roi[1]),
        )
        for lesion, roi in zip(patient.lesions, rois)
    )
    expected = np.ascontiguousarray(expected[:, :, turn])
    return Pair(
        patient.region, view, canvas.spacing, count(expected[0], random), count(expected[1], random), expected, imaged
    )


def canvas_of(region: str, body: Body) -> Canvas:
    """The padded grid of a region's anterior view for a body: the region about the middle of the image."""
    r = REGIONS[region]
    s = body.height / anatomy_of.HEIGHT
    rows, columns = r.rows + 2 * _margin(r.rows), r.columns + 2 * MARGIN
    across, down = 4.0 * body.pose[0], 8.0 * body.pose[1]  # mm; nobody lies quite in the middle
    left = across - 0.5 * (columns - 1) * r.spacing
    return Canvas(rows, columns, r.spacing, left, down + r.middle * s - 0.5 * (rows - 1) * r.spacing)


def _patient(
    body: Body,
    rates: Rates,
    region: str,
    settings: Settings,
    group: str,
    lesions: tuple[Lesion, ...],
    counts: float,
    anatomy: Anatomy,
) -> Patient:
    early, late = content(rates, settings.pool_minutes), content(rates, settings.delayed_minutes)
    arrived = content(rates, max(settings.pool_minutes - anatomy_of.RENAL_TRANSIT_MIN, 0.0)).urine
    urine = arrived, late.urine * body.retained
    return Patient(group, region, body, rates, early, late, urine, counts, anatomy, lesions)


def _margin(rows: int) -> int:
    return 28 if rows == 1024 else MARGIN  # 1080 and 288 have small prime factors: fast transforms


def _cropped(image: np.ndarray) -> np.ndarray:
    rows = image.shape[-2]
    edge = 28 if rows == 1080 else MARGIN
    return image[..., edge : rows - edge, MARGIN:-MARGIN]


def _images(scene: Scene, camera: Camera, spacing: float) -> np.ndarray:
    seen = [see(camera, layers, scene.distances, scene.depths, spacing) for layers in scene.layers]
    return _cropped(np.stack(seen))


def _ratio(image: np.ndarray, reference: np.ndarray, roi: np.ndarray) -> float:
    return float(image[roi].mean() / max(float(reference[roi].mean()), 1e-30)) if roi.any() else float("nan")
