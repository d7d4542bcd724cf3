"""An adult's skeleton, organs and outline as shapes, and what each tissue holds of the tracer.

Proportions are of an average adult, drawn by us; no patient's. Blood in organs: the reference man's shares of the
blood volume (ICRP Publication 89) over the organs' masses. The relative avidity of bones for the tracer and the share
of fluid are our choice, set so that the profile of the delayed whole-body image along the body is that of a real scan
(`Resources/Docs/simulators.md` gives the agreement). Arms and legs are in `bonescan_limbs`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from imagetranslation.errors import InputError

from .bonescan_kinetics import Content, Rates
from .bonescan_limbs import Anatomy, Frame, Site, arm, foot, hand, leg
from .bonescan_shapes import Ball, Column, Plate, Tube

BLOOD_ML, FLUID_ML = 5300.0, 17000.0  # of the reference man; the fluid volume that the kinetic constants imply
RENAL_TRANSIT_MIN = 4.0  # our choice
HEIGHT = 1640.0  # mm; the proportions below are for it


@dataclass(frozen=True)
class Tissue:
    """blood, fluid: shares of the volume. avidity: of bone for the tracer, relative (trabecular about 1)."""

    blood: float
    fluid: float
    avidity: float = 0.0


TISSUES = {
    "soft": Tissue(0.030, 0.24),
    "shaft": Tissue(0.04, 0.12, 0.26),
    "flat": Tissue(0.05, 0.15, 1.0),
    "spine": Tissue(0.06, 0.15, 1.15),
    "joint": Tissue(0.05, 0.15, 0.50),
    "skull": Tissue(0.04, 0.10, 0.28),
    "heart": Tissue(0.75, 0.08),
    "vessel": Tissue(1.0, 0.0),
    "lung": Tissue(0.13, 0.05),
    "liver": Tissue(0.29, 0.20),
    "spleen": Tissue(0.50, 0.20),
    "kidney": Tissue(0.34, 0.20),
    "bladder": Tissue(0.0, 0.0),
}


@dataclass(frozen=True)
class Body:
    """One invented patient. height: mm. girth: of trunk and limbs, 1 for a slim adult. arms: mm away from the trunk.

    bladder_ml: at the delayed image; retained: share of the urine up to then that voiding left behind. gains: relative
    avidity of skull, face, shoulder, chest, spine, pelvis, knee, long bones in this patient. pose: standard normal
    numbers for place in the image (x, d), spread of the legs, and turn and shift of right and left hand or foot.
    """

    height: float = HEIGHT
    girth: float = 1.0
    arms: float = 0.0
    bladder_ml: float = 90.0
    retained: float = 0.08
    gains: tuple[float, ...] = (1.0,) * 8
    pose: tuple[float, ...] = (0.0,) * 8

    def __post_init__(self) -> None:
        if not (1200 <= self.height <= 2100 and 0.7 <= self.girth <= 1.6 and 5 <= self.bladder_ml <= 800):
            raise InputError(
                f"No adult: height {self.height:g} mm (1200 to 2100), girth {self.girth:g} (0.7 to 1.6), "
                f"bladder {self.bladder_ml:g} ml (5 to 800)."
            )
        if not 0 <= self.retained <= 1 or len(self.gains) != 8 or min(self.gains) < 0:
            raise InputError("A body has a retained share of urine from 0 to 1 and eight gains of at least 0.")
        if len(self.pose) != 8 or max(abs(v) for v in self.pose) > 3:
            raise InputError("A body's pose is eight numbers from -3 to 3.")


def invent(random: np.random.Generator) -> Body:
    """Draw a patient; all spreads are our choice."""
    return Body(
        height=float(np.clip(random.normal(HEIGHT, 75), 1450, 1850)),
        girth=float(np.clip(random.normal(1.08, 0.13), 0.85, 1.45)),
        arms=float(random.uniform(0, 18)),
        bladder_ml=float(random.uniform(30, 200)),
        retained=float(random.uniform(0.03, 0.15)),
        gains=tuple(float(v) for v in np.exp(random.normal(0, 0.15, 8))),
        pose=tuple(float(v) for v in np.clip(random.normal(0, 1, 8), -2, 2)),
    )


def activity(tissue: str, content: Content, rates: Rates, gain: float = 1.0) -> float:
    """Share of the injected activity in one mm^3 of a tissue, decay-corrected; gain: of its avidity for the tracer."""
    t = TISSUES[tissue]
    per_ml = t.blood * content.blood / BLOOD_ML + t.fluid * content.fluid / FLUID_ML
    per_ml += gain * t.avidity * content.bone / skeleton_ml()
    if tissue == "kidney":
        per_ml += rates.to_urine * content.blood * RENAL_TRANSIT_MIN / 310.0
    return per_ml / 1000.0


def bladder_activity(body: Body, urine: float) -> float:
    """Share of the injected activity in one mm^3 of a bladder that holds `urine` of it."""
    return urine / (body.bladder_ml * 1000.0)


@functools.cache
def skeleton_ml() -> float:
    """The avidity-weighted volume of the average skeleton, ml: what the bone compartment is shared over."""
    parts = whole_body(Body()).parts
    return sum(TISSUES[p.tissue].avidity * p.gain * getattr(p.shape, "volume", 0.0) for p in parts) / 1000.0


def whole_body(body: Body) -> Anatomy:
    """The shapes and sites of a standing adult seen from the front, arms at the sides, palms down."""
    anatomy, s, g = Anatomy(), body.height / HEIGHT, body.girth
    skull, face, shoulder, chest, spine, pelvis, knee, shafts = body.gains
    _head(anatomy, s, skull, face)
    _spine(anatomy, s, spine)
    _chest(anatomy, s, chest)
    _pelvis(anatomy, s, pelvis)
    _organs(anatomy, s, body)
    for side in ("right", "left"):
        m = 1.0 if side == "left" else -1.0
        arm(anatomy, s, g, m, side, body.arms, shoulder, shafts)
        leg(anatomy, s, g, m, side, pelvis, knee, shafts, 7.0 * body.pose[2])
    _trunk(anatomy, s, g)
    return anatomy


def hands(body: Body) -> Anatomy:
    """Both hands with raised fingers, as in a palmar view: thumbs towards the middle, the wrists at d = 0."""
    anatomy, s = Anatomy(), body.height / HEIGHT
    for n, (side, m) in enumerate((("right", -1.0), ("left", 1.0))):
        turn, away, up = 0.06 + 0.05 * body.pose[3 + n], 74.0 + 3.0 * body.pose[5 + n], 5.0 * body.pose[6 + n]
        along = m * float(np.sin(turn)), -float(np.cos(turn))
        hand(anatomy, Frame((m * away, 0.0, up), along, (m * along[1], -m * along[0]), s), side)
    return anatomy


def feet(body: Body) -> Anatomy:
    """Both feet from above, toes down, the ankles at d = 0."""
    anatomy, s = Anatomy(), body.height / HEIGHT
    for n, (side, m) in enumerate((("right", -1.0), ("left", 1.0))):
        turn, away, down = 0.12 + 0.06 * body.pose[3 + n], 60.0 + 3.0 * body.pose[5 + n], 5.0 * body.pose[6 + n]
        along = m * float(np.sin(turn)), float(np.cos(turn))
        frame = Frame((m * away, 0.0, down), along, (-m * along[1], m * along[0]), s)
        foot(anatomy, frame, side)
        shin, top = frame.at(0.0, -25.0), frame.at(4.0, -120.0)
        anatomy.add("shaft", Tube(shin, top, 15 * s, 11 * s))
        anatomy.add("shaft", Tube(frame.at(-20.0, 0.0), frame.at(-14.0, -120.0), 6 * s, 5 * s))
        anatomy.outline.append(Tube(shin, top, 33 * s, 38 * s * body.girth))
    return anatomy


def _head(anatomy: Anatomy, s: float, skull: float, face: float) -> None:
    anatomy.add("skull", Ball((0, 0, 96 * s), (76 * s, 92 * s, 92 * s), hollow=0.88), gain=1.1 * skull)
    anatomy.add("skull", Ball((0, 10 * s, 158 * s), (58 * s, 55 * s, 20 * s)), gain=0.6 * skull)
    anatomy.add("skull", Ball((0, -72 * s, 150 * s), (24 * s, 20 * s, 32 * s)), gain=2.2 * face)
    anatomy.add("skull", Ball((0, -62 * s, 178 * s), (34 * s, 22 * s, 14 * s)), gain=1.8 * face)
    for m in (-1.0, 1.0):
        jaw = (m * 54 * s, -10 * s, 158 * s), (m * 46 * s, -30 * s, 200 * s), (m * 14 * s, -78 * s, 217 * s)
        anatomy.add("skull", Tube(jaw[0], jaw[1], 8 * s, 8 * s), Tube(jaw[1], jaw[2], 8 * s, 9 * s), gain=1.5 * face)
        anatomy.add(
            "skull", Tube((m * 58 * s, -45 * s, 142 * s), (m * 30 * s, -78 * s, 152 * s), 7 * s, 8 * s), gain=1.4
        )
        anatomy.add(
            "skull", Tube((m * 14 * s, -75 * s, 118 * s), (m * 52 * s, -70 * s, 122 * s), 5 * s, 5 * s), gain=1.2
        )
    anatomy.outline += [
        Ball((0, 0, 112 * s), (82 * s, 100 * s, 114 * s)),
        Tube((0, 5, 190 * s), (0, 5, 265 * s), 62 * s, 70 * s),
    ]
    anatomy.add("vessel", *(Tube((m * 24 * s, -10, 180 * s), (m * 20 * s, -20, 285 * s), 6, 7) for m in (-1.0, 1.0)))


def _spine(anatomy: Anatomy, s: float, gain: float) -> None:
    levels: list[tuple[float, float, float, float, float]] = [(186 + 13.5 * n, 15, 12, 6.0, 15) for n in range(7)]
    levels += [(283 + 21 * n, 16 + 0.5 * n, 14 + 0.5 * n, 9.3, 40) for n in range(12)]
    levels += [(541 + 28 * n, 23 + n, 17, 12.5, 22) for n in range(5)]
    for d, wide, deep, tall, y in levels:
        anatomy.add("spine", Ball((0, y * s, d * s), (wide * s, deep * s, tall * s)), gain=gain)
        anatomy.add(
            "spine", Ball((0, (y + deep + 12) * s, (d + tall * 0.5) * s), (6 * s, 12 * s, 0.8 * tall * s)), gain=gain
        )
        bar = (wide + 10) * s
        anatomy.add(
            "spine", Tube((-bar, (y + 18) * s, d * s), (bar, (y + 18) * s, d * s), 4 * s, 4 * s), gain=0.9 * gain
        )
    for name, d, y in (
        ("C5", 240, 15),
        ("T7", 409, 40),
        ("T12", 514, 40),
        ("L1", 541, 22),
        ("L3", 597, 22),
        ("L4", 625, 22),
        ("L5", 653, 22),
    ):
        anatomy.sites.append(Site("spine", name, "midline", "bone", (0.0, y * s, d * s), 17 * s))


def _chest(anatomy: Anatomy, s: float, gain: float) -> None:
    anatomy.add("flat", Ball((0, -88 * s, 289 * s), (30 * s, 9 * s, 26 * s)), gain=1.3 * gain)
    anatomy.add("flat", Ball((0, -96 * s, 385 * s), (20 * s, 7 * s, 80 * s)), gain=1.2 * gain)
    widths = (60, 84, 104, 119, 130, 137, 142, 144, 142, 137)
    for m in (-1.0, 1.0):
        for n, wide in enumerate(widths):
            start, drop = 283 + 21 * n, 62 + 7 * n
            last = np.radians(158 - max(n - 5, 0) * 11)
            angles = np.linspace(np.radians(14), last, 8)
            depth = 84 * (0.72 + 0.28 * min(n / 4, 1.0))
            curve = [
                (m * wide * s * np.sin(a), (2 + depth * np.cos(a)) * s, (start + drop * (a / np.pi) ** 1.15) * s)
                for a in angles
            ]
            anatomy.add(
                "flat", *(Tube(p, q, 5.2 * s, 5.2 * s, 0.8) for p, q in zip(curve, curve[1:])), gain=0.62 * gain
            )
            anatomy.add("flat", Ball(curve[-1], (7 * s, 6 * s, 6 * s)), gain=0.7 * gain)
            cartilage = (m * 18 * s, -95 * s, (300 + 20 * n if n < 7 else 450) * s)
            anatomy.add("flat", Tube(curve[-1], cartilage, 6 * s, 6 * s, 0.7), gain=0.3 * gain)
        for n, reach in ((10, 105), (11, 78)):
            start = 283 + 21 * n
            anatomy.add(
                "flat",
                Tube((m * 18 * s, 72 * s, start * s), (m * reach * s, 58 * s, (start + 42) * s), 5 * s, 4 * s, 0.8),
                gain=0.62 * gain,
            )


def _pelvis(anatomy: Anatomy, s: float, gain: float) -> None:
    anatomy.add("spine", Ball((0, 66 * s, 702 * s), (40 * s, 15 * s, 40 * s)), gain=0.9 * gain)
    anatomy.add("spine", Tube((0, 72 * s, 735 * s), (0, 62 * s, 775 * s), 11 * s, 5 * s), gain=0.7 * gain)
    wing = (
        (36, 690),
        (44, 664),
        (66, 648),
        (98, 644),
        (121, 660),
        (129, 688),
        (116, 722),
        (104, 752),
        (78, 756),
        (60, 738),
    )
    for m, side in ((-1.0, "right"), (1.0, "left")):
        anatomy.add("flat", Plate(tuple((m * x * s, d * s) for x, d in wing), 28 * s, 9 * s), gain=0.9 * gain)
        crest = [
            (m * x * s, y * s, d * s)
            for x, y, d in ((56, 55, 652), (97, 22, 645), (121, -10, 660), (129, -28, 690), (118, -24, 724))
        ]
        anatomy.add("flat", *(Tube(p, q, 6.5 * s, 6.5 * s) for p, q in zip(crest, crest[1:])), gain=1.0 * gain)
        anatomy.add(
            "joint", Tube((m * 40 * s, 60 * s, 672 * s), (m * 34 * s, 66 * s, 735 * s), 9 * s, 8 * s), gain=1.7 * gain
        )
        anatomy.add("flat", Ball((m * 93 * s, 2 * s, 776 * s), (32 * s, 24 * s, 30 * s), hollow=0.8), gain=1.1 * gain)
        anatomy.add(
            "flat", Tube((m * 76 * s, -22 * s, 792 * s), (m * 12 * s, -40 * s, 806 * s), 8 * s, 8 * s), gain=gain
        )
        anatomy.add(
            "flat", Tube((m * 74 * s, 25 * s, 800 * s), (m * 52 * s, 40 * s, 846 * s), 11 * s, 10 * s), gain=gain
        )
        anatomy.add(
            "flat", Tube((m * 52 * s, 36 * s, 846 * s), (m * 12 * s, -30 * s, 822 * s), 7 * s, 7 * s), gain=gain
        )
        place = f"{side} sacroiliac joint"
        anatomy.sites.append(
            Site("pelvis", place, side, "joint", (m * 37 * s, 62 * s, 702 * s), 16 * s, (m * 36 * s, 62 * s, 718 * s))
        )


def _organs(anatomy: Anatomy, s: float, body: Body) -> None:
    anatomy.add("lung", *(Ball((m * 72 * s, 0, 378 * s), (50 * s, 72 * s, 92 * s)) for m in (-1.0, 1.0)))
    anatomy.add("heart", Ball((26 * s, -42 * s, 405 * s), (58 * s, 42 * s, 52 * s), 0.5))
    anatomy.add(
        "vessel",
        Tube((8 * s, -30 * s, 345 * s), (20 * s, 25 * s, 310 * s), 14, 13),
        Tube((20 * s, 28 * s, 312 * s), (8 * s, 22 * s, 640 * s), 12, 9),
    )
    anatomy.add(
        "vessel",
        Tube((-18 * s, -20 * s, 300 * s), (-20 * s, -10 * s, 380 * s), 10, 12),
        Tube((-14 * s, 15 * s, 450 * s), (-12 * s, 20 * s, 645 * s), 12, 10),
    )
    for m in (-1.0, 1.0):
        anatomy.add(
            "vessel",
            Tube((m * 6 * s, 20 * s, 642 * s), (m * 72 * s, -35 * s, 790 * s), 8, 7),
            Tube((m * 72 * s, -35 * s, 790 * s), (m * 84 * s, 10 * s, 1130 * s), 7, 5),
        )
        anatomy.add("vessel", Tube((m * 84 * s, 25 * s, 1130 * s), (m * 80 * s, 20 * s, 1500 * s), 5, 3))
        anatomy.add(
            "vessel",
            Tube((m * 22 * s, -30 * s, 285 * s), (m * 150 * s, 0, 290 * s), 7, 6),
            Tube((m * 150 * s, 0, 290 * s), (m * 215 * s, -12 * s, 560 * s), 6, 4),
        )
        anatomy.add(
            "kidney", Ball((m * 58 * s, 56 * s, (572 + (8 if m < 0 else -6)) * s), (27 * s, 21 * s, 52 * s), -m * 0.18)
        )
    anatomy.add(
        "liver",
        Ball((-62 * s, -12 * s, 492 * s), (80 * s, 72 * s, 58 * s), 0.25),
        Ball((22 * s, -45 * s, 478 * s), (48 * s, 30 * s, 30 * s)),
    )
    anatomy.add("spleen", Ball((98 * s, 48 * s, 498 * s), (26 * s, 30 * s, 46 * s), -0.35))
    radius = (body.bladder_ml * 1000 / (4 / 3 * np.pi * 1.2 * 0.9 * 0.85)) ** (1 / 3)
    anatomy.add("bladder", Ball((0, -30 * s, 782 * s - 0.85 * radius), (1.2 * radius, 0.9 * radius, 0.85 * radius)))


def _trunk(anatomy: Anatomy, s: float, g: float) -> None:
    heights = (245, 262, 290, 340, 420, 500, 560, 640, 720, 800, 850, 880)
    widths = (66, 120, 158, 164, 158, 150, 148, 160, 172, 178, 172, 150)
    depths = (60, 72, 88, 104, 112, 112, 110, 110, 112, 108, 98, 80)
    waist = [1 + (g - 1) * w for w in (0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.5, 1.4, 1.2, 1.0, 1.0, 1.0)]
    anatomy.outline.append(
        Column(
            tuple(h * s for h in heights),
            tuple(w * s * f for w, f in zip(widths, waist)),
            tuple(b * s * f for b, f in zip(depths, waist)),
        )
    )
