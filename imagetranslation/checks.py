"""Does this volume look like what the model was trained on? Warnings in plain words, written into the result.

A warning never stops a run: likeness to the training set is a hint, not a proof. What it looked like comes from the
package (`training.ranges`, `training.distribution`); how a whole scan is compared is `outofdistribution`'s affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import outofdistribution
from .grid import UNKNOWN
from .volume import Volume, axis_codes
from .voxelvalues import VoxelValues

if TYPE_CHECKING:
    from .models import ModelPackage

LEVELS = np.linspace(0, 1, 21)
FURTHEST_SD = 4.0
LEAST_SD = 0.05


def examine(
    volume: Volume, image: outofdistribution.ModelImage, package: ModelPackage
) -> tuple[tuple[str, ...], outofdistribution.Score | None]:
    """Sentences about modality, orientation, spacing and likeness, and the score behind the last where there is one.

    image: the volume as the network sees it. A package that does not describe its training scans as a whole
    (`outofdistribution`) may still bring their histogram.
    """
    ranges = package.metadata["training"]["ranges"]
    likeness = outofdistribution.score(image, package)
    found = (
        _modality(volume, package),
        _orientation(volume, package, ranges),
        _spacing(volume, ranges),
        _intensities(volume, image.seen, ranges) if likeness is None else likeness.sentence(),
    )
    return tuple(sentence for sentence in found if sentence), likeness


def intensity_quantiles(array: np.ndarray, seen: np.ndarray | None) -> np.ndarray:
    """(21,) quantiles 0, 5, ... 100% inside the field of view, scaled so that 5% is 0 and 95% is 1.

    The scaling removes units, so that the same scanner at another gain looks the same; the shape remains. Only the
    18 inner quantiles are meaningful for comparison (see `histogram_distance`).
    """
    values = VoxelValues(array, seen).quantiles(LEVELS)
    return (values - values[1]) / max(values[19] - values[1], 1e-12)


@dataclass(frozen=True)
class Look:
    """What `ranges_of` needs of one training input: its `intensity_quantiles`, spacing (mm, i, j, k) and axes."""

    quantiles: np.ndarray
    spacing: tuple[float, ...]
    axes: str


def look_of(volume: Volume, seen: np.ndarray) -> Look:
    """Of a training input and its field of view."""
    return Look(intensity_quantiles(volume.array, seen), tuple(volume.spacing), axis_codes(volume))


def ranges_of(looks: Sequence[Look]) -> dict[str, Any]:
    """The `training.ranges` of a package from all its training inputs."""
    quantiles = np.array([look.quantiles for look in looks])
    spacing = np.array([look.spacing for look in looks])
    ranges: dict[str, Any] = {
        "axis_codes": sorted({look.axes for look in looks}),
        "spacing_mm": [[float(low), float(high)] for low, high in zip(spacing.min(axis=0), spacing.max(axis=0))],
        "quantiles_mean": [round(float(q), 5) for q in quantiles.mean(axis=0)],
        "quantiles_sd": [round(float(q), 5) for q in quantiles.std(axis=0)],
    }
    ranges["distance_max"] = round(max(histogram_distance(q, ranges) for q in quantiles), 3)
    return ranges


def histogram_distance(quantiles: np.ndarray, ranges: dict[str, Any]) -> float:
    """Root mean square z-score of the inner quantiles (10% to 90%) against the training set's mean and SD."""
    mean, sd = np.asarray(ranges["quantiles_mean"], float), np.asarray(ranges["quantiles_sd"], float)
    z = (quantiles[2:19] - mean[2:19]) / np.maximum(sd[2:19], LEAST_SD)
    return float(np.sqrt(np.mean(z**2)))


def _modality(volume: Volume, package: ModelPackage) -> str:
    expected = package.inputs["modality"]
    if volume.modality and volume.modality != expected:
        return (
            f"WARNING: {volume.name} is a {volume.modality} image, but {package.id} was trained on {expected} only: "
            "do not believe this result."
        )
    return ""


def _orientation(volume: Volume, package: ModelPackage, ranges: dict[str, Any]) -> str:
    trained = ranges.get("axis_codes")
    if package.inputs["orientation"] != UNKNOWN or not trained:
        return ""
    own = axis_codes(volume)
    sentence = "The anatomical orientation this model was trained in is not known: it works on array axes."
    if own not in trained:
        sentence += (
            f" WARNING: this volume's axes run {own}, the training headers said {', '.join(trained)}: "
            "the axes cannot be matched, and the anatomy may be turned for the model."
        )
    return sentence


def _spacing(volume: Volume, ranges: dict[str, Any]) -> str:
    limits = ranges.get("spacing_mm")
    if not limits:
        return ""
    outside = [
        f"{own:.3g} mm along {axis} (trained on {low:.3g} to {high:.3g} mm)"
        for axis, own, (low, high) in zip("ijk", volume.spacing, limits)
        if not 0.5 * low <= own <= 2 * high
    ]
    return f"WARNING: the voxel spacing is far from the training's: {'; '.join(outside)}." if outside else ""


def _intensities(volume: Volume, seen: np.ndarray | None, ranges: dict[str, Any]) -> str:
    if "quantiles_mean" not in ranges:
        return ""
    distance = histogram_distance(intensity_quantiles(volume.array, seen), ranges)
    furthest = max(FURTHEST_SD, 1.5 * float(ranges.get("distance_max", 0)))
    if distance <= furthest:
        return ""
    return (
        f"WARNING: the intensity histogram does not look like the training images' (distance {distance:.1f}, "
        f"expected below {furthest:.1f}): this may be another modality or another scanner setting."
    )
