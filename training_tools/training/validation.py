"""How good the moving average is on patients that are not trained on, and when a run has stopped getting better.

The network is run over whole cases on its own grid by `imagetranslation.inference`, windows and blending included.
Scores of the finished model, on the scans' own grids and beside the floors, are `evaluation`'s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imagetranslation import similarity
from imagetranslation.errors import RunFailed
from imagetranslation.inference import run_windows
from imagetranslation.models import ModelPackage

from ..config import Config
from .cache import SOURCE, TARGET, WEIGHT, Stored

LOWER_IS_BETTER = {"mae": True, "ssim": False}


class NetworkPredictor:
    """A network in training as `imagetranslation.predictors.Predictor`, in float32."""

    engine, precision = "torch", "float32"
    notes: tuple[str, ...] = ()

    def __init__(self, network: torch.nn.Module, config: Config, device: torch.device) -> None:
        self.package = package_of(config)
        self.device = str(device)
        self._network = network

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """float32 (n, channels, *patch) in, (n, 1, *patch) out."""
        with torch.inference_mode():
            made: np.ndarray = self._network(torch.from_numpy(batch).to(self.device)).float().cpu().numpy()
        return made


def package_of(config: Config) -> ModelPackage:
    """What inference has to know of a network that is not written yet."""
    return ModelPackage(
        Path(),
        {
            "id": config.id,
            "network_data_format": {"inputs": {"image": config.inputs()}, "outputs": {"image": config.outputs()}},
            "inference": config.inference_settings(),
        },
    )


def translate_case(case: Stored, network: torch.nn.Module, config: Config, device: torch.device) -> np.ndarray:
    """float32 (slice, row, column) in [-1, 1]: what a network in evaluation mode makes of a case's source."""
    predictor = NetworkPredictor(network, config, device)
    return run_windows(np.array(case.arrays[SOURCE]), predictor.package, predictor)


def score(case: Stored, made: np.ndarray, config: Config) -> dict[str, float]:
    """MAE in the range of the result, and SSIM by normalised convolution, both where the case's weight is 1."""
    lower, upper = config.target.value_range
    mask = case.arrays[WEIGHT] > 0.99
    if not mask.any():
        raise RunFailed(f"{case.name} has no voxel inside its mask on the network's grid; leave it out of validation.")
    first, second = (made.astype(np.float64), np.array(case.arrays[TARGET], dtype=np.float64))
    return {
        "mae": similarity.mae(first, second, data_range=2, mask=mask) * (upper - lower) / 2,
        "ssim": similarity.masked_ssim(first, second, data_range=2, mask=mask),
    }


def validate(
    cases: Sequence[Stored], network: torch.nn.Module, config: Config, device: torch.device
) -> dict[str, float]:
    """Means over the patients, each of whom counts once, with the mean of its cases."""
    rows: dict[str, list[dict[str, float]]] = {}
    for case in cases:
        made = translate_case(case, network, config, device)
        rows.setdefault(case.owner, []).append(score(case, made, config))
    patients = [{metric: np.mean([row[metric] for row in own]) for metric in LOWER_IS_BETTER} for own in rows.values()]
    return {metric: float(np.mean([patient[metric] for patient in patients])) for metric in LOWER_IS_BETTER}


def judge(history: dict[str, Any], step: int, found: dict[str, float], config: Config) -> bool:
    """Note a validation in the run's history; returns whether it is the best so far.

    history gets `best`, `best_step`, `unimproved` (validations since) and `ended`, all JSON.
    """
    settings = config.validation
    value = found[settings.metric]
    sign = 1.0 if LOWER_IS_BETTER[settings.metric] else -1.0
    if not math.isfinite(value):
        raise RunFailed(f"The {settings.metric} of the validation at step {step} is {value}; lower optimiser.rate.")
    better = "best" not in history or sign * value < sign * float(history["best"])
    if better:
        history.update(best=value, best_step=step, unimproved=0)
    else:
        history["unimproved"] = int(history["unimproved"]) + 1
    history["ended"] = settings.patience is not None and int(history["unimproved"]) >= settings.patience
    return better
