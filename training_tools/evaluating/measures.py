"""Every measure of one synthetic image against its real target, with what gives the number a meaning.

All are taken on the source's grid, in the output's value range (its width is the data range), inside the case's mask,
with the same background in both images; one number a patient, never a slice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from imagetranslation.similarity.report import measure

from ..config import Config
from ..dataset import Case
from .lesions import lesion_measures


@dataclass(frozen=True)
class Measure:
    """What a number is. better: "higher" or "lower"; parameters: window, range and the like, in words."""

    name: str
    label: str
    unit: str
    better: str
    parameters: str


_GAUSSIAN = "gaussian window, sigma 1.5, population covariance, K1 0.01, K2 0.03"
_UNIFORM = "uniform window, 7 voxels, sample covariance, K1 0.01, K2 0.03"
MEASURES = {
    made.name: made
    for made in (
        Measure("mae", "MAE", "intensity", "lower", "inside the mask"),
        Measure("mse", "MSE", "intensity squared", "lower", "inside the mask"),
        Measure("psnr", "PSNR", "dB", "higher", "inside the mask"),
        Measure("ssim", "SSIM", "", "higher", f"Wang 2004: {_GAUSSIAN}; map averaged inside the mask"),
        Measure("ssim_masked", "SSIM, masked", "", "higher", f"{_GAUSSIAN}; normalised convolution inside the mask"),
        Measure("ssim_uniform7", "SSIM, uniform 7", "", "higher", f"{_UNIFORM}; map averaged inside the mask"),
        Measure("ssim_synthrad", "SSIM, SynthRAD", "", "higher", f"{_UNIFORM}; clipped, edges left out"),
        Measure("ms_ssim", "MS-SSIM", "", "higher", f"{_GAUSSIAN}; five scales, whole image"),
        Measure("nmi", "NMI", "", "higher", "each image's own bins, inside the mask"),
        Measure("gradient_mae", "Gradient MAE", "intensity per mm", "lower", "inside the mask"),
        Measure("gradient_correlation", "Gradient correlation", "", "higher", "inside the mask"),
        Measure("perceptual", "Perceptual distance", "", "lower", "features of the stated encoder, slice by slice"),
        Measure("lesion_contrast_error", "Lesion contrast error", "intensity", "lower",
                "absolute difference of (lesion mean - mean of the 5 mm around it), averaged over the lesions"),
        Measure("lesion_cnr_error", "Lesion CNR error", "", "lower",
                "absolute difference of contrast over the SD of the 5 mm around it, averaged over the lesions"),
        Measure("lesion_ssim", "SSIM, lesion + 5 mm", "", "higher", f"{_GAUSSIAN}; map averaged over lesions and 5 mm"),
    )
}  # fmt: skip


def measure_image(image: np.ndarray, case: Case, config: Config, encoder: Any = None) -> dict[str, float]:
    """Every measure that the case allows, by name; NaN where one is not defined for it (a slice too small, no edge).

    image: (k, j, i) in the output's value range. Lesion measures where the case has a lesion, the perceptual distance
    where there is an encoder (`training_tools.encoder`).
    """
    lower, upper = config.target.value_range
    shown = np.where(case.valid, np.clip(image, lower, upper), lower).astype(np.float32)
    like = case.source.with_array(shown, name="synthetic", field_of_view=None)
    wanted = like.with_array(case.reference, name="target")
    mask = like.with_array(case.valid.astype(np.uint8), name="valid")
    scores = measure(like, wanted, data_range=upper - lower, lower=lower, mask=mask)
    found = {score.name: score.value for score in scores if score.name in MEASURES}
    if encoder is not None:
        found["perceptual"] = perceptual(encoder, shown, case, config)
    if case.lesion is not None and (case.lesion & case.valid).any():
        spacing = case.source.spacing[::-1]
        found.update(lesion_measures(shown, case.reference, case.lesion, case.valid, spacing, upper - lower))
    return found


def perceptual(encoder: Any, image: np.ndarray, case: Case, config: Config) -> float:
    """The encoder's distance (see `training_tools.encoder.distance`), averaged over the slices that hold anything."""
    import torch

    from ..encoder import distance

    used = [k for k in range(len(image)) if case.valid[k].any()]
    with torch.no_grad():
        made, wanted = (_tensor(scaled(part, config)[used]) for part in (image, case.reference))
        return float(distance(encoder, made, wanted, _tensor(case.valid[used].astype(np.float32))))


def scaled(image: np.ndarray, config: Config) -> np.ndarray:
    """The output's value range brought to [-1, 1], as networks and encoders see it."""
    lower, upper = config.target.value_range
    return (2 * (image.astype(np.float32) - lower) / (upper - lower) - 1).astype(np.float32)


def _tensor(slices: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(slices))[:, None]


def defined(values: Mapping[str, float]) -> dict[str, float]:
    """Those that are numbers, rounded to six digits after the point (six significant ones below it)."""
    return {name: float(f"{value:.6g}") for name, value in values.items() if math.isfinite(value)}
