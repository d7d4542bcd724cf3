"""The five disease groups of the study as lesions: where they sit, how hyperaemic they are, how much they take up late.

Ratios are of the activity along the line of sight inside a lesion's region to what would be there without it, so that 1
is normal. In a group the excess (ratio - 1) is log-normal in both phases, and the logarithms correlate with `rho`: the
setting to sweep. Medians, spreads, rho and numbers of lesions are our choice except where `GROUPS` names a source; none
was chosen by looking at how well any model reads the images, and the study's published sensitivities were not used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from imagetranslation.errors import InputError

from .bonescan_limbs import Anatomy, Site
from .bonescan_shapes import Ball, Canvas, Shape, Tube

INCREASED = 1.25  # delayed ratio from which a lesion counts as increased; our choice
# The cube of a ball's thickness falls to one half at 0.61 of its radius: shapes are drawn larger by this, so that the
# size of a lesion is its diameter at half of its height.
EDGE = float(1 / np.sqrt(1 - 2 ** (-2 / 3)))
HALO = 1.35  # hyperaemia reaches beyond the bone; our choice


@dataclass(frozen=True)
class Relation:
    """How one group's lesions look. early, late: median excess of hyperaemia and of delayed uptake. early_spread,
    late_spread: SD of their logarithms. rho: correlation of those, 0 to 1. decreased: share of lesions with too little
    delayed uptake instead. lesions: least and most in a patient. source: where the relation comes from.
    """

    early: float
    early_spread: float
    late: float
    late_spread: float
    rho: float
    lesions: tuple[int, int] = (1, 1)
    decreased: float = 0.0
    source: str = "our choice"

    def __post_init__(self) -> None:
        sizes = (self.early, self.early_spread, self.late, self.late_spread)
        if not all(np.isfinite(v) and 0 <= v <= 20 for v in sizes) or not 0 <= self.decreased <= 1:
            raise InputError(f"A disease relation has an excess or a spread outside 0 to 20: {sizes}.")
        if not 0 <= self.rho <= 1:
            raise InputError(f"rho is the correlation of hyperaemia and late uptake, from 0 to 1; got {self.rho:g}.")
        if not 1 <= self.lesions[0] <= self.lesions[1] <= 30:
            raise InputError(f"The numbers of lesions {self.lesions} are not a range within 1 to 30.")


GROUPS: dict[str, Relation] = {
    "inflammatory arthritis": Relation(
        0.8,
        0.45,
        1.1,
        0.45,
        0.7,
        (2, 8),
        source="joints: wrists, MCP, PIP, elbows (doi 10.1186/s12880-021-00712-2); rest ours",
    ),
    "osteomyelitis": Relation(
        1.2,
        0.40,
        1.8,
        0.50,
        0.6,
        source="focal in all phases (Sutter, Am Fam Physician, three-phase bone scan); values ours",
    ),
    "CRPS": Relation(
        0.6,
        0.40,
        0.8,
        0.45,
        0.6,
        decreased=0.15,
        source="whole hand or foot early, joints late, late uptake raised or lowered, side ratio 1.43 as cut-off "
        "(Kwon, Nucl Med Mol Imaging 2011; 45:261); share lowered and spreads ours",
    ),
    "cellulitis": Relation(
        0.8,
        0.40,
        0.15,
        0.60,
        0.5,
        source="diffuse early, little late (Sutter); fourfold flow alone raised bone uptake by 33 % in dogs "
        "(Studies of Skeletal Tracer Kinetics III, MDP in the canine tibia); values ours",
    ),
    "recent bone injury": Relation(
        0.5,
        0.60,
        1.38,
        0.47,
        0.3,
        (1, 2),
        source="side ratio 2.54 +/- 0.77 in tibial stress fracture (Castropil, Radiol Bras 2018; 51:225), most in the "
        "tibia (Zwas, J Nucl Med 1987; 28:452); early values ours",
    ),
}
DEGENERATIVE = Relation(0.0, 0.0, 0.7, 0.50, 0.0, (1, 3), source="late uptake without hyperaemia; our choice")

# Words and kinds of site a group seeks, with weights; what a view does not show is left out.
_SEEKS: dict[str, tuple[tuple[str, str, float], ...]] = {
    "inflammatory arthritis": (
        ("wrist", "joint", 4),
        ("hand", "joint", 1),
        ("knee", "joint", 2),
        ("ankle", "joint", 2),
        ("foot", "joint", 1),
        ("elbow", "joint", 2),
        ("shoulder", "joint", 1),
        ("hip", "joint", 0.5),
        ("pelvis", "joint", 0.7),
    ),
    "osteomyelitis": (
        ("foot", "bone", 3),
        ("knee", "bone", 2),
        ("ankle", "bone", 2),
        ("spine", "bone", 0.4),
        ("hand", "bone", 0.4),
        ("wrist", "bone", 0.5),
    ),
    "CRPS": (("hand", "region", 3), ("foot", "region", 2)),
    "cellulitis": (("ankle", "soft", 3), ("foot", "soft", 2), ("hand", "soft", 2)),
    "recent bone injury": (
        ("ankle", "bone", 4),
        ("foot", "bone", 1),
        ("wrist", "bone", 1.5),
        ("hip", "bone", 1),
        ("spine", "bone", 0.3),
        ("knee", "bone", 1),
        ("hand", "bone", 0.3),
    ),
    "degenerative": (
        ("knee", "joint", 3),
        ("spine", "bone", 0.5),
        ("shoulder", "joint", 1),
        ("hand", "joint", 0.4),
        ("hip", "joint", 1),
        ("foot", "joint", 0.5),
    ),
}


@dataclass(frozen=True)
class Lesion:
    """One lesion and its truth. early, late: its shapes in the two phases. Ratios: see the file's docstring."""

    group: str
    site: Site
    early: tuple[Shape, ...]
    late: tuple[Shape, ...]
    hyperaemia_ratio: float
    delayed_ratio: float

    @property
    def hyperaemic(self) -> bool:
        """Whether the blood pool was raised by the disease."""
        return self.hyperaemia_ratio > 1.0

    @property
    def increased(self) -> bool:
        """Whether the delayed uptake is raised, from `INCREASED` on."""
        return self.delayed_ratio >= INCREASED

    @property
    def size_mm(self) -> float:
        """Diameter in the delayed phase at half the lesion's height; of the largest joint, where it has several."""
        radii = [s.axes[0] if isinstance(s, Ball) else s.radius if isinstance(s, Tube) else 0.0 for s in self.late]
        return 2.0 * max(radii) / EDGE


def with_rho(relations: dict[str, Relation], rho: float) -> dict[str, Relation]:
    """The same relations with one correlation for every group. Raises InputError outside 0 to 1."""
    return {name: replace(relation, rho=rho) for name, relation in relations.items()}


def ratios(relation: Relation, random: np.random.Generator) -> tuple[float, float]:
    """One lesion's hyperaemia and delayed ratio."""
    first = random.normal()
    second = relation.rho * first + np.sqrt(1 - relation.rho**2) * random.normal()
    early = 1.0 + relation.early * float(np.exp(relation.early_spread * first))
    late = 1.0 + relation.late * float(np.exp(relation.late_spread * second))
    if random.random() < relation.decreased:
        late = float(max(1.0 / late, 0.55))
    return early, late


def plan(
    group: str,
    relations: dict[str, Relation],
    anatomy: Anatomy,
    canvas: Canvas,
    random: np.random.Generator,
    degenerative: float = 0.5,
) -> list[Lesion]:
    """The lesions of a patient of that group that the canvas shows; never overlapping.

    degenerative: chance of additional late uptake without hyperaemia. "none" is a patient without disease. Raises
    InputError for an unknown group, or one that has no site on this canvas.
    """
    if group != "none" and group not in relations:
        raise InputError(f"There is no disease group {group!r}; there are none, {', '.join(relations)}.")
    if not 0 <= degenerative <= 1:
        raise InputError(f"The chance of degenerative uptake lies between 0 and 1; got {degenerative:g}.")
    found: list[Lesion] = []
    if group != "none":
        _place(group, relations[group], anatomy, canvas, random, found)
        if not found:
            raise InputError(f"This view shows no site where {group} is placed; choose another region.")
    if random.random() < degenerative:
        _place("degenerative", DEGENERATIVE, anatomy, canvas, random, found)
    return found


def profile(shapes: tuple[Shape, ...], canvas: Canvas) -> np.ndarray:
    """(row, column) float32 from 0 to 1: thickness of a lesion's shapes along the line of sight over its greatest."""
    field = np.zeros((canvas.rows, canvas.columns), np.float32)
    for shape in shapes:
        covered = shape.thickness(canvas)
        if covered is not None:
            box, thick = covered
            np.maximum(field[box], (thick / max(float(thick.max()), 1e-6)) ** 3, out=field[box])
    return field


def _place(
    group: str, relation: Relation, anatomy: Anatomy, canvas: Canvas, random: np.random.Generator, found: list[Lesion]
) -> None:
    weights = {(word, kind): weight for word, kind, weight in _SEEKS[group]}
    sites = [s for s in anatomy.sites if (s.word, s.kind) in weights and _shown(s, canvas)]
    wanted = int(random.integers(relation.lesions[0], relation.lesions[1] + 1))
    order = np.array([weights[(s.word, s.kind)] for s in sites])
    # Weighted draw without replacement: the largest of u^(1/w) (Efraimidis and Spirakis 2006).
    keys = random.random(len(sites)) ** (1.0 / order) if sites else order
    for n in np.argsort(-keys):
        if wanted == 0:
            return
        site = sites[int(n)]
        if any(_near(site, lesion.site) for lesion in found):
            continue
        early, late = _shapes(site, anatomy, random)
        first, second = ratios(relation, random)
        found.append(Lesion(group, site, early, late, first, second))
        wanted -= 1


def _shapes(site: Site, anatomy: Anatomy, random: np.random.Generator) -> tuple[tuple[Shape, ...], tuple[Shape, ...]]:
    r = EDGE * site.radius
    if site.kind == "region":
        joints = [s for s in anatomy.sites if s.kind == "joint" and s.side == site.side and _belongs(s, site)]
        late = tuple(_ball(s.centre, EDGE * s.radius) for s in joints)
        return (Tube(site.centre, site.end or site.centre, 1.2 * r, r),), late
    if site.end is not None:
        wide = 1.0 if site.kind == "soft" else HALO
        return (Tube(site.centre, site.end, wide * r, wide * r),), (Tube(site.centre, site.end, r, r),)
    x, y, d = site.centre
    angles = random.uniform(0, 2 * np.pi, 2)
    satellites = [(x + 0.4 * r * float(np.cos(a)), y, d + 0.4 * r * float(np.sin(a))) for a in angles]
    early = (_ball(site.centre, HALO * r), *(_ball(place, 0.7 * HALO * r) for place in satellites))
    return early, (_ball(site.centre, r),)


def _belongs(joint: Site, region: Site) -> bool:
    return joint.word in (("hand", "wrist") if region.word == "hand" else ("foot", "ankle"))


def _ball(centre: tuple[float, float, float], radius: float) -> Ball:
    return Ball(centre, (radius, radius, radius))


def _shown(site: Site, canvas: Canvas) -> bool:
    """Whether the site lies within the image, its margin of padding not counted."""
    reach = site.radius + 20 * canvas.spacing
    ends = [site.centre] + ([site.end] if site.end else [])
    right, bottom = canvas.left + canvas.spacing * canvas.columns, canvas.top + canvas.spacing * canvas.rows
    return all(
        canvas.left + reach <= x <= right - reach and canvas.top + reach <= d <= bottom - reach for x, _, d in ends
    )


def _near(one: Site, other: Site) -> bool:
    """Whether lesions at both sites could overlap, hyperaemia included."""
    a = np.array([one.centre, one.end or one.centre])[:, [0, 2]]
    b = np.array([other.centre, other.end or other.centre])[:, [0, 2]]
    shares = np.linspace(0, 1, 9)[:, None]
    points, others = a[0] + shares * (a[1] - a[0]), b[0] + shares * (b[1] - b[0])
    gap = np.linalg.norm(points[:, None] - others[None], axis=-1).min()
    return bool(gap < HALO * EDGE * (one.radius + other.radius))
