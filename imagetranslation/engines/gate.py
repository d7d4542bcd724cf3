"""Whether what an engine makes in a precision may be taken for what plain torch makes in float32.

Four measures on the probe windows, each against the tolerance the package states (`inference.precision_tolerance`) or
the default: the 99.9th percentile and the maximum of the absolute error, the lowest SSIM of a window, and the largest
change of a lesion-sized region's mean. Errors and changes are fractions of the output range (the span of the network's
output, -1 to 1, which becomes the package's `value_range`); outputs are clipped to it first, as a result is.
An engine in float32 must agree much closer: then only rounding may differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..models import ModelPackage
    from .probes import Probes

DEFAULT = {"error_percentile_99_9": 0.01, "error_maximum": 0.03, "ssim": 0.999, "lesion_mean": 0.005}
# 1e-4 of an output in [-1, 1]; what rounding in another order leaves is a hundredth of that.
FLOAT32 = {"error_percentile_99_9": 5e-5, "error_maximum": 5e-5, "ssim": 0.999, "lesion_mean": 5e-5}
OUTPUT_SPAN = 2.0
_WORDS = {
    "error_percentile_99_9": "the 99.9th percentile of the error is {0:.2%} of the output range ({1:.2%} allowed)",
    "error_maximum": "the largest error is {0:.2%} of the output range ({1:.2%} allowed)",
    "ssim": "the SSIM is {0:.5f} ({1:.5f} wanted)",
    "lesion_mean": "the mean of a lesion-sized region changes by {0:.2%} of the output range ({1:.2%} allowed)",
}


@dataclass(frozen=True)
class Outcome:
    """The four measures, what they were measured on, and the names of those beyond their tolerance."""

    error_percentile_99_9: float
    error_maximum: float
    ssim: float
    lesion_mean: float
    windows: int
    probes: str
    failed: tuple[str, ...]
    tolerance: Mapping[str, float]

    @property
    def passed(self) -> bool:
        """Whether every measure is within its tolerance."""
        return not self.failed

    def reason(self) -> str:
        """What is beyond its tolerance, in words; empty where the gate is passed."""
        return "; ".join(_WORDS[name].format(getattr(self, name), self.tolerance[name]) for name in self.failed)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "failed": list(self.failed), "passed": self.passed}

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Outcome:
        """From `to_dict`; KeyError, TypeError or ValueError for anything else."""
        numbers = {name: float(mapping[name]) for name in DEFAULT}
        tolerance = {name: float(mapping["tolerance"][name]) for name in DEFAULT}
        failed = tuple(name for name in DEFAULT if name in mapping["failed"])
        return cls(**numbers, windows=int(mapping["windows"]), probes=str(mapping["probes"]), failed=failed,
                   tolerance=tolerance)  # fmt: skip


def tolerance(package: ModelPackage, precision: str) -> dict[str, float]:
    """The tolerance for `precision`: the package's own numbers over the defaults; float32 has its own."""
    stated = package.metadata["inference"].get("precision_tolerance", {})
    return dict(FLOAT32) if precision == "float32" else {**DEFAULT, **stated}


def compare(reference: np.ndarray, made: np.ndarray, probes: Probes, allowed: Mapping[str, float]) -> Outcome:
    """Measure `made` against `reference`, both float32 (n, 1, *patch) from the probes' windows."""
    from ..similarity import ssim

    if not np.isfinite(made).all():
        measured = {"error_percentile_99_9": 1.0, "error_maximum": 1.0, "ssim": 0.0, "lesion_mean": 1.0}
    else:
        first, second = (np.clip(image[:, 0].astype(np.float64), -1, 1) for image in (reference, made))
        error = np.abs(first - second) / OUTPUT_SPAN
        measured = {
            "error_percentile_99_9": float(np.percentile(error, 99.9)),
            "error_maximum": float(error.max()),
            "ssim": min(ssim(a, b, data_range=OUTPUT_SPAN) for a, b in zip(first, second)),
            "lesion_mean": _largest_shift(first, second, probes.lesions) / OUTPUT_SPAN,
        }
    failed = [name for name, value in measured.items() if not _within(name, value, allowed[name])]
    return Outcome(**measured, windows=len(reference), probes=probes.origin, failed=tuple(failed), tolerance=allowed)


def _within(name: str, value: float, limit: float) -> bool:
    return value >= limit if name == "ssim" else value <= limit


def _largest_shift(first: np.ndarray, second: np.ndarray, lesions: np.ndarray) -> float:
    """The largest difference of the means of one lesion in one window."""
    shifts = [
        abs(float(a[mask == number].mean() - b[mask == number].mean()))
        for a, b, mask in zip(first, second, lesions)
        for number in np.unique(mask[mask > 0])
    ]
    return max(shifts, default=0.0)
