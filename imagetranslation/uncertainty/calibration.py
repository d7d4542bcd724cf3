"""From the spread of a model's answers to the size of its errors: the rescaling a package brings along.

Fitted by `training_tools.calibration` on patients the network had not seen; here it is read, checked and applied. A
piecewise linear, never falling map from raw spread to root mean square error is calibrated in the sense of Levi et al.
2022 (Evaluating and calibrating uncertainty prediction in regression tasks, Sensors 22, 5540): among voxels given the
deviation s, the errors have the size s. One factor, as in Laves et al. 2020 (Well-calibrated regression uncertainty in
medical imaging with deep learning), would promise no error at all wherever the answers agree. Where a network sees
every scan whole, in one frame, the map may be multiplied by how much larger or smaller than elsewhere errors were at
that place: patients differ more in some parts of the anatomy than in others, and a network's answers do not show it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelRefused
from ..grid import ModelGrid

if TYPE_CHECKING:
    from ..models import ModelPackage

# With fewer patients a scale is a guess; nothing is rescaled by it.
LEAST_PATIENTS = 10


@dataclass(frozen=True)
class Calibration:
    """raw: spreads, rising, and calibrated: the errors' root mean square there, never falling, both in output units.

    factor: (p, p, p) by place along slice, row and column of the network's frame, or None for the same everywhere.
    patients: how many it was fitted on. samples: how many answers each spread came from. greatest: the largest
    deviation an image of this output range can have. coverage: observed share of voxels, by band ("80", "95"), as
    mean over patients and 95 % interval.
    """

    raw: tuple[float, ...]
    calibrated: tuple[float, ...]
    patients: int
    samples: int
    greatest: float
    coverage: Mapping[str, Mapping[str, Any]]
    factor: np.ndarray | None = None

    def apply(self, deviation: np.ndarray, model_grid: ModelGrid) -> np.ndarray:
        """Rescale a raw spread in place, slice by slice; float32 (k, j, i) in output units, on the volume's grid.

        Below the first knot its value holds; beyond the last one the map goes on in proportion, up to `greatest`.
        """
        beyond = self.calibrated[-1] / self.raw[-1]
        factors: Iterable[Any] = itertools.repeat(1.0) if self.factor is None else spread_out(self.factor, model_grid)
        for values, factor in zip(deviation, factors):
            scaled = np.interp(values, self.raw, self.calibrated)
            scaled = np.where(values > self.raw[-1], values * beyond, scaled)
            values[...] = np.minimum(scaled * factor, self.greatest)
        return deviation

    def sentence(self) -> str:
        """What the calibration was and how it held, with n."""
        by = "" if self.factor is None else " by spread and by place"
        bands = [
            f"the {band} % band held {100 * seen['mean']:.0f} % of the voxels ({100 * seen['low']:.0f} to "
            f"{100 * seen['high']:.0f})"
            for band, seen in sorted(self.coverage.items())
        ]
        return (
            f"rescaled{by} to the size of the errors in {self.patients} patients, each translated by a network of this "
            "kind that had not seen it; in them "
            f"{' and '.join(bands)}, in brackets the 95 % interval over patients"
        )


def spread_out(factor: np.ndarray, model_grid: ModelGrid) -> np.ndarray:
    """A (p, p, p) grid over the whole of the network's frame on the volume's grid, float32 (k, j, i), trilinear."""
    steps = tuple(size / points for size, points in zip(model_grid.shape, factor.shape))
    return ModelGrid(model_grid.reorientation, model_grid.shape, factor.shape, steps).back(factor)


def one_frame(inputs: Mapping[str, Any]) -> bool:
    """Whether a network with these inputs sees each scan whole, so that a place means the same in all."""
    return inputs["resampling"]["mode"] == "fit" and len(inputs["patch_size"]) == 3


def stored(package: ModelPackage, method: str, samples: int) -> Calibration | str:
    """The package's calibration of `method` with so many samples, or half a sentence that says why there is none."""
    record = package.metadata.get("uncertainty", {}).get("calibration", {}).get(method)
    if record is None:
        return f"{package.id} brings no calibration of it"
    if record["n_patients"] < LEAST_PATIENTS:
        count = record["n_patients"]
        return f"{package.id} was calibrated on {count} patient{'s' * (count > 1)}, fewer than {LEAST_PATIENTS}"
    if record["samples"] != samples:
        return f"{package.id} was calibrated for {record['samples']} samples, not {samples}"
    scale = record.get("scale")
    if scale is None:
        return f"{package.id} brings no scale for it"
    lower, upper = package.outputs["value_range"]
    return Calibration(
        raw=tuple(float(value) for value in scale["raw"]),
        calibrated=tuple(float(value) for value in scale["calibrated"]),
        patients=int(record["n_patients"]),
        samples=samples,
        greatest=(float(upper) - float(lower)) / 2,
        factor=_factor(scale),
        coverage={"80": record["coverage80"], "95": record["coverage95"]},
    )


def _factor(scale: Mapping[str, Any]) -> np.ndarray | None:
    if "places" not in scale:
        return None
    points = int(scale["places"]["points"])
    return np.asarray(scale["places"]["factor"], np.float32).reshape(points, points, points)


def check(metadata: Mapping[str, Any], where: str) -> None:
    """ModelRefused where a scale that passed the schema is none: its knots must rise, its errors never fall."""
    for method, record in metadata.get("uncertainty", {}).get("calibration", {}).items():
        scale = record.get("scale")
        if scale is None:
            continue
        raw, calibrated = np.asarray(scale["raw"], float), np.asarray(scale["calibrated"], float)
        if len(raw) != len(calibrated) or (np.diff(raw) <= 0).any() or (np.diff(calibrated) < 0).any():
            raise ModelRefused(
                f"{where} is not a valid model package: the calibration of {method} must map rising spreads to as many "
                "errors that never fall."
            )
        if raw[-1] <= 0:
            raise ModelRefused(f"{where} is not a valid model package: the calibration of {method} ends at no spread.")
        places = scale.get("places")
        if places is None:
            continue
        if len(places["factor"]) != places["points"] ** 3:
            raise ModelRefused(
                f"{where} is not a valid model package: the calibration of {method} has {len(places['factor'])} places "
                f"for a grid of {places['points']} points along each axis."
            )
        if not one_frame(metadata["network_data_format"]["inputs"]["image"]):
            raise ModelRefused(
                f"{where} is not a valid model package: its calibration of {method} goes by place, but its network "
                "does not see every scan whole."
            )
