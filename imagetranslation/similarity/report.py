"""Every measure for one pair of volumes, each with the parameters that give its number a meaning."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import InputError
from ..volume import Volume
from . import differences, gradients, information, structural


@dataclass(frozen=True)
class Score:
    """One number. value: NaN where it is not defined, `note` says why. parameters: window, range and the like."""

    name: str
    value: float
    unit: str
    parameters: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def measure(
    a: Volume,
    b: Volume,
    *,
    data_range: float | None,
    lower: float | None = None,
    mask: Volume | None = None,
) -> list[Score]:
    """All measures of this room for two volumes on one grid.

    data_range: span of the intensities. lower: where that span starts, for the measures that clip; the least value of
    both images when not given. mask: on the same grid; only where it is not zero is compared. Raises InputError for
    another grid, an empty mask, voxels that are no numbers, or a range that was not given.
    """
    inside = _checked(a, b, mask)
    first, second = (np.asarray(volume.array, np.float64) for volume in (a, b))
    least, greatest = float(min(first.min(), second.min())), float(max(first.max(), second.max()))
    if data_range is None or not (math.isfinite(data_range) and data_range > 0):
        raise InputError(
            f"Give the span of the intensities with --data-range, a positive number: scores without it mean nothing. "
            f"The two images lie between {least:g} and {greatest:g}."
        )
    low = least if lower is None else lower
    span, clipped = {"data_range": data_range}, {"value_range": [low, low + data_range]}
    masked: dict[str, Any] = {"mask": "everywhere" if mask is None else mask.name}
    size = {"spacing_mm_kji": list(a.spacing[::-1])}
    common: dict[str, Any] = {"data_range": data_range, "mask": inside}
    ranged: dict[str, Any] = {"value_range": (low, low + data_range), "mask": inside}
    edges: dict[str, Any] = {**common, "spacing": a.spacing[::-1]}
    gaussian = {**span, "window": "gaussian, sigma 1.5, 11 voxels", "covariance": "population", "K1": 0.01, "K2": 0.03}
    uniform = {**gaussian, "window": "uniform, 7 voxels", "covariance": "sample"}
    scores = [
        _score("mae", "intensity", masked, differences.mae, first, second, **common),
        _score("mse", "intensity squared", masked, differences.mse, first, second, **common),
        _score("psnr", "dB", {**masked, **span}, differences.psnr, first, second, **common),
        _score("psnr_clipped", "dB", {**masked, **clipped}, differences.psnr_clipped, first, second, **ranged),
        _score("ssim", "", {**masked, **gaussian, "edges": "symmetric"}, structural.ssim, first, second, **common),
        _score(
            "ssim_uniform7", "", {**masked, **uniform, "edges": "symmetric"}, structural.ssim, first, second,
            **common, window="uniform-7",
        ),
        _score(
            "ssim_synthrad", "", {**masked, **clipped, "window": "uniform, 7 voxels", "edges": "valid"},
            structural.synthrad_ssim, first, second, **ranged,
        ),
        _score(
            "ms_ssim", "", {**gaussian, "mask": "everywhere", "edges": "valid", "weights": structural.SCALE_WEIGHTS},
            structural.ms_ssim, first, second, data_range=data_range,
        ),
        _score(
            "nmi", "", {**masked, "bins": information.BINS, "bin_range": "each image's own"},
            information.nmi, first, second, **common,
        ),
        _score("gradient_mae", "intensity per mm", {**masked, **size}, gradients.gradient_mae, first, second, **edges),
        _score(
            "gradient_correlation", "", {**masked, **size}, gradients.gradient_correlation, first, second, **edges
        ),
    ]  # fmt: skip
    if inside is not None:
        parameters = {**masked, **gaussian, "edges": "normalised convolution inside the mask"}
        scores.insert(6, _score("ssim_masked", "", parameters, structural.masked_ssim, first, second, **common))
    return scores


def _score(
    name: str, unit: str, parameters: dict[str, Any], function: Callable[..., float], *images: Any, **options: Any
) -> Score:
    """The number, or NaN with the reason why it is not defined for these images."""
    try:
        return Score(name, function(*images, **options), unit, parameters)
    except ValueError as error:
        return Score(name, math.nan, unit, parameters, str(error))


def _checked(a: Volume, b: Volume, mask: Volume | None) -> np.ndarray | None:
    for other in (b, mask):
        if other is not None and not other.same_grid(a):
            raise InputError(f"{other.name} is not on the grid of {a.name}; resample it first.")
    for volume in (a, b):
        if volume.provenance is not None and volume.provenance.quantity is not None:
            raise InputError(f"{volume.name} is a map about an image, not an image; compare the images.")
    inside = None if mask is None else mask.array != 0
    if mask is not None and inside is not None and not inside.any():
        raise InputError(f"The mask {mask.name} is empty; there is nothing to compare.")
    for volume in (a, b):
        if volume.array.dtype.kind == "f" and not np.isfinite(volume.array).all():
            raise InputError(f"{volume.name} holds voxels that are no numbers (NaN or infinite); mend it first.")
    return inside
