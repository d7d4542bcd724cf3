"""Scoring synthetic volumes against registered references, beside the floors that any model must beat.

Every image is scored on the source's grid in the output's value range (its width is the data range), inside the
case's `valid` mask; voxels outside it are set to background in all images alike before SSIM's windows see them. One
number a patient, never a slice.

Floors: "identity" is the source itself through the reference's own normalisation, inside the same mask, so that it
is not punished for its scale;
"identity, best line" is that image through one gain and offset fitted by least squares on the training cases, which
takes the difference of brightness out of the comparison; "mean image" is the voxelwise mean of the training cases'
references, in the array frame all share (other sizes are stretched to it).
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation import intensity, similarity
from imagetranslation.errors import InputError
from imagetranslation.files import atomic_path
from imagetranslation.grid import ModelGrid, Reorientation

from .config import Config
from .dataset import Case, names_of, shapes_of

MODEL, IDENTITY, LINE, MEAN = "model", "identity", "identity, best line", "mean image"
FLOORS = (IDENTITY, LINE, MEAN)
METRICS = ("mae", "psnr", "ssim", "ssim_uniform7")
HIGHER_IS_BETTER = {"mae": False, "psnr": True, "ssim": True, "ssim_uniform7": True}


def score(image: np.ndarray, case: Case, config: Config) -> dict[str, float]:
    """Every metric of one image (k, j, i) against the case's reference."""
    lower, upper = config.target.value_range
    shown = np.where(case.valid, np.clip(image, lower, upper), lower)
    scores = similarity.compare(shown, case.reference, case.valid, upper - lower)
    return {metric: round(scores[metric], 6) for metric in METRICS}


def floors(train: Sequence[Case], config: Config, tested: Sequence[Case]) -> dict[str, dict[str, np.ndarray]]:
    """For each tested case the three floor images; `train` must not hold any of them."""
    require_apart(train, tested)
    fitted = Floors(train, config)
    return {case.name: fitted.images(case) for case in tested}


def require_apart(train: Sequence[Case], tested: Sequence[Case]) -> None:
    """InputError where a case is on both sides."""
    if shared := sorted(set(names_of(train)) & set(names_of(tested))):
        raise InputError(
            f"{', '.join(shared[:5])}: both trained and tested on, so no score there means anything; train without the "
            "tested cases."
        )


class Floors:
    """The floors, fitted on training cases once; these are gone through once, one in memory at a time."""

    def __init__(self, train: Sequence[Case], config: Config) -> None:
        line, mean = _Line(), _Mean(shapes_of(train))
        for case in train:
            line.add(identity(case, config)[case.valid], case.reference[case.valid])
            mean.add(case)
        self._config, (self._gain, self._offset), self._mean = config, line.fitted(), mean.image()

    @classmethod
    def read(cls, path: Path, config: Config) -> Floors | None:
        """What `write` wrote for the same target settings; None where there is no such file, or a damaged one."""
        try:
            with np.load(path, allow_pickle=False) as kept:
                gain, offset = (float(value) for value in kept["line"])
                mean = kept["mean"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
        found = cls.__new__(cls)
        found._config, found._gain, found._offset, found._mean = config, gain, offset, mean
        return found

    def write(self, path: Path) -> None:
        """Keep the fitted numbers (`.npz`)."""
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, line=np.array([self._gain, self._offset]), mean=self._mean)

    def images(self, case: Case) -> dict[str, np.ndarray]:
        """The three floor images of a case, in the output's value range."""
        own = identity(case, self._config)
        mean = _stretch(self._mean, case.reference.shape)
        return {IDENTITY: own, LINE: self._gain * own + self._offset, MEAN: mean}


def identity(case: Case, config: Config) -> np.ndarray:
    """The source in the output's value range, normalised as the reference is; float32 (k, j, i)."""
    normalised, _ = intensity.normalise(case.source.array, case.valid, config.target.normalisation)
    return intensity.denormalise(normalised, config.outputs())


def mean_image(train: Sequence[Case]) -> np.ndarray:
    """Mean of the references over the cases valid at each voxel (their overall mean where none is); float32 (k, j, i).

    The frame is the largest training grid along each axis.
    """
    mean = _Mean(shapes_of(train))
    for case in train:
        mean.add(case)
    return mean.image()


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and SD per method and metric, and the model's paired differences from each floor.

    rows: one per patient, `{"case": ..., MODEL: {...}, floor: {...}}`. Intervals are 95 % Student t over patients;
    a floor is beaten where the interval lies wholly on the good side of zero (None for a single patient).
    """
    summary: dict[str, Any] = {"n": len(rows), "methods": {}, "differences": {}}
    for method in (MODEL, *FLOORS):
        summary["methods"][method] = {
            metric: {
                "mean": _rounded(np.mean(values)),
                "sd": _rounded(np.std(values, ddof=1)) if len(rows) > 1 else None,
            }
            for metric in METRICS
            for values in [[row[method][metric] for row in rows]]
        }
    for floor in FLOORS:
        summary["differences"][floor] = {
            metric: _difference(np.array([row[MODEL][metric] - row[floor][metric] for row in rows]), metric)
            for metric in METRICS
        }
    return summary


def _difference(values: np.ndarray, metric: str) -> dict[str, Any]:
    better = values > 0 if HIGHER_IS_BETTER[metric] else values < 0
    result: dict[str, Any] = {"mean": _rounded(values.mean()), "better_in": int(better.sum()), "n": len(values)}
    if len(values) < 2:
        return {**result, "low": None, "high": None, "beaten": None}
    from scipy import stats

    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    low, high = float(values.mean()) - half, float(values.mean()) + half
    beaten = low > 0 if HIGHER_IS_BETTER[metric] else high < 0
    return {**result, "low": _rounded(low), "high": _rounded(high), "beaten": beaten}


class _Mean:
    """The mean image of cases of these shapes, added one after the other."""

    def __init__(self, shapes: Sequence[tuple[int, ...]]) -> None:
        self._frame = tuple(max(lengths) for lengths in zip(*shapes))
        self._total, self._count = np.zeros(self._frame, np.float64), np.zeros(self._frame, np.float64)

    def add(self, case: Case) -> None:
        self._count += _stretch(case.valid.astype(np.float32), self._frame)
        self._total += _stretch(np.where(case.valid, case.reference, 0).astype(np.float32), self._frame)

    def image(self) -> np.ndarray:
        overall = self._total.sum() / self._count.sum()
        mean = np.where(self._count > 0, self._total / np.maximum(self._count, 1e-6), overall)
        return mean.astype(np.float32)


class _Line:
    """The least-squares line from sources to references, from sums."""

    def __init__(self) -> None:
        self._sums = np.zeros(5)  # n, x, y, x squared, x y

    def add(self, source: np.ndarray, reference: np.ndarray) -> None:
        x, y = source.astype(np.float64), reference.astype(np.float64)
        self._sums += (len(x), x.sum(), y.sum(), x @ x, x @ y)

    def fitted(self) -> tuple[float, float]:
        """Gain and offset."""
        count, mean_x, mean_y = self._sums[0], self._sums[1] / self._sums[0], self._sums[2] / self._sums[0]
        spread = self._sums[3] / count - mean_x**2
        gain = (self._sums[4] / count - mean_x * mean_y) / spread if spread > 0 else 0.0
        return float(gain), float(mean_y - gain * mean_x)


def _stretch(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resample along array axes so that the extents coincide."""
    steps = tuple(have / want for have, want in zip(image.shape, shape))
    return ModelGrid(Reorientation((0, 1, 2), (False, False, False)), image.shape, shape, steps).forward(image)


def _rounded(value: float) -> float:
    return round(float(value), 5)
