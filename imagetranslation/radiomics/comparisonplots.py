"""The points of a comparison's pictures: histograms, Bland-Altman, radar. numpy at most; drawing is left to the faces.

Features have different units, so that both pictures of several features need a scale. With a cohort it is the SD of
that feature over the cohort's real targets; without one, the feature's own size. Each picture says which in `scale`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .comparison import Comparison, Row
from .comparisonview import comparable, name_text, roles

# Okabe and Ito's colours, and matplotlib's dashes: lines that are told apart without colours as well.
LINES = {"source": ("#E69F00", ":"), "synthetic": ("#D55E00", "-"), "reference": ("#0072B2", "--")}
LEAST_FOR_LIMITS = 3
LEAST_AXES, MOST_AXES = 3, 12
# The radar's outer edge: this many SDs of the cohort, or this share of the value, above the middle ring.
EDGE_SDS, EDGE_SHARE = 2.0, 1.0


@dataclass(frozen=True)
class Curves:
    """Histograms as outlines of steps. x: bin edges, each twice. y: role to percent of the region's voxels, as long as
    x, 0 at both ends. axis: what x is."""

    x: np.ndarray
    y: dict[str, np.ndarray]
    axis: str


@dataclass(frozen=True)
class BlandAltman:
    """One point a feature, of one region in one patient.

    x: (n,), above 0, for a logarithmic axis. y: (n,). keys, names: of the features, (n,). bias: mean of y; low, high:
    bias -+ 1.96 SD, NaN below LEAST_FOR_LIMITS points. x_label, y_label: titles of the axes. scale: a sentence, what
    was divided by what. left_out: features that cannot be placed.
    """

    x: np.ndarray
    y: np.ndarray
    keys: tuple[str, ...]
    names: tuple[str, ...]
    bias: float
    low: float
    high: float
    x_label: str
    y_label: str
    scale: str
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Radar:
    """One axis a feature, clockwise from the top.

    radii: role to (n,) from 0 (centre) to 2 (edge); `middle`'s are the ring at 1. clipped: role to bool (n,), true
    where the value lies beyond centre or edge. points: role to (n, 2), x right and y up, the edge at 1. scale: a
    sentence. left_out: features without an axis.
    """

    keys: tuple[str, ...]
    names: tuple[str, ...]
    radii: dict[str, np.ndarray]
    clipped: dict[str, np.ndarray]
    points: dict[str, np.ndarray]
    middle: str
    scale: str
    left_out: tuple[str, ...]


def intensity_axis(found: Comparison) -> str:
    """What the histogram's x is."""
    settings = next(iter(found.results.values())).settings
    unit = "z-score over the tissue" if settings["normalisation"] == "z-score" else "as stored in each image"
    return f"intensity ({unit})"


def histogram_curves(found: Comparison) -> Curves:
    """The region's intensities in each image, over the same bins."""
    x = np.repeat(found.histogram.edges, 2)
    shares = found.histogram.shares
    y = {role: np.concatenate(([0.0], np.repeat(100 * shares[role], 2), [0.0])) for role in roles(found)}
    return Curves(x, y, intensity_axis(found))


def bland_altman(found: Comparison, rows: Iterable[Row]) -> BlandAltman:
    """Differences of the chosen features against their size.

    y with a cohort: difference in SDs of the cohort. Otherwise: difference in percent of the mean of both magnitudes,
    from -200 to 200. x: mean of both magnitudes. Shape is left out: it is the same in all images.
    """
    rows = list(rows)
    by_cohort = any(math.isfinite(row.percent) for row in rows)
    against = found.against
    placed: list[tuple[Row, float, float]] = []
    for row in comparable(rows):
        size = (abs(row.values["synthetic"]) + abs(row.values[against])) / 2
        up = row.percent / 100 if by_cohort else _share(row.difference, size)
        if math.isfinite(size) and size > 0 and math.isfinite(up):
            placed.append((row, size, up))
    y = np.array([each[2] for each in placed])
    spread = float(y.std(ddof=1)) if len(y) >= LEAST_FOR_LIMITS else math.nan
    bias = float(y.mean()) if len(y) else math.nan
    what = "SDs of the cohort's real targets" if by_cohort else "% of the mean magnitude"
    scale = (
        f"Each point is a feature: synthetic minus {against}, in {what}. Bias and limits (1.96 SD) run over the chosen "
        "features of this one region and say nothing of patients."
    )
    return BlandAltman(
        np.array([each[1] for each in placed]), y, *_named(each[0] for each in placed), bias, bias - 1.96 * spread,
        bias + 1.96 * spread, f"mean magnitude of synthetic and {against}, in each feature's own unit",
        f"synthetic - {against} ({what})", scale, _others(rows, [each[0] for each in placed]),
    )  # fmt: skip


def radar(found: Comparison, rows: Iterable[Row]) -> Radar:
    """Each image's values on one axis a feature; the middle ring is what the synthetic image is held against.

    At most MOST_AXES of the rows, shape left out; ValueError below LEAST_AXES that can be placed. With a cohort the
    edge lies EDGE_SDS of its SDs above and the centre as many below; otherwise EDGE_SHARE of the value's size.
    """
    rows = list(rows)
    middle = found.against
    by_cohort = any(math.isfinite(row.cohort_sd) for row in rows)
    units = {row.key: EDGE_SDS * row.cohort_sd if by_cohort else EDGE_SHARE * abs(row.values[middle]) for row in rows}
    usable = [row for row in comparable(rows) if all(map(math.isfinite, row.values.values()))]
    axes = [row for row in usable if math.isfinite(units[row.key]) and units[row.key] > 0][:MOST_AXES]
    if len(axes) < LEAST_AXES:
        raise ValueError(f"a radar needs at least {LEAST_AXES} features that have a value in each image, without shape")
    unit = np.array([units[row.key] for row in axes])
    centre = np.array([row.values[middle] for row in axes])
    raw = {role: 1 + (np.array([row.values[role] for row in axes]) - centre) / unit for role in roles(found)}
    radii = {role: np.clip(each, 0, 2) for role, each in raw.items()}
    what = f"{EDGE_SDS:g} SDs of the cohort's real targets" if by_cohort else f"{100 * EDGE_SHARE:g} % of its size"
    scale = f"The ring is the {middle}'s value; the edge lies {what} above it, the centre as much below."
    return Radar(
        *_named(axes), radii, {role: each != radii[role] for role, each in raw.items()},
        {role: radar_point(np.arange(len(axes)), len(axes), each) for role, each in radii.items()}, middle, scale,
        _others(rows, axes),
    )  # fmt: skip


def radar_point(axis: np.ndarray, count: int, radius: np.ndarray) -> np.ndarray:
    """(n, 2): x right, y up, of radii 0..2 on axes 0..count-1, clockwise from the top; the edge lies at 1."""
    angle = 2 * np.pi * np.asarray(axis) / count
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1) * np.asarray(radius)[..., None] / 2


def radar_choice(rows: Sequence[Row]) -> list[Row]:
    """What a radar shows when nobody chose: of the rows, the first of each class in turn, up to MOST_AXES."""
    by_family: dict[str, list[Row]] = {}
    for row in comparable(rows):
        by_family.setdefault(row.family, []).append(row)
    turns = max(map(len, by_family.values()), default=0)
    taken = [members[turn] for turn in range(turns) for members in by_family.values() if turn < len(members)]
    return taken[:MOST_AXES]


def _share(difference: float, size: float) -> float:
    return 100 * difference / size if size > 0 else math.nan


def _named(rows: Iterable[Row]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    rows = list(rows)
    return tuple(row.key for row in rows), tuple(name_text(row) for row in rows)


def _others(rows: Sequence[Row], placed: Sequence[Row]) -> tuple[str, ...]:
    kept = {row.key for row in placed}
    return tuple(name_text(row) for row in rows if row.key not in kept)
