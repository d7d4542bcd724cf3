"""Does what a model says of its own doubt go with its error? Voxel by voxel within patients, and patient by patient.

Patients are the unit throughout: within a patient a number is taken over its voxels, and every interval is a bootstrap
over patients. Each relation carries the sentence that says what the picture shows, or that it shows nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imagetranslation.radiomics.preservation.resampling import rank_correlation as weighted_ranks
from imagetranslation.readerstudy.statistics.bootstrap import Resampling, Sample, bootstrap
from imagetranslation.readerstudy.statistics.estimates import Interval

from .. import reliability
from ..evaluating.comparing import Summary, summarise

LEAST_PATIENTS = 5  # of fewer, nothing is said of a relation between patients
FEW_PATIENTS = 20  # our choice: below it a sentence says so
FEW = " Few patients: another sample may say otherwise."


@dataclass(frozen=True)
class Voxels:
    """One patient's voxels in tissue. deviation, error: float32 (n,), output units; error signed.

    calibrated: whether the deviation claims the error's size.
    """

    patient: str
    deviation: np.ndarray
    error: np.ndarray
    calibrated: bool


@dataclass(frozen=True)
class Between:
    """Spearman's rho of one number a patient with its error. x, y: by patient. sentence: what the picture shows."""

    key: str
    label: str
    x: Mapping[str, float]
    y: Mapping[str, float]
    rho: float | None
    interval: Interval
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "key": self.key, "label": self.label, "rho": self.rho, "n": len(self.x),
            "interval": self.interval.as_dict(), "sentence": self.sentence,
            "patients": [{"patient": one, "x": self.x[one], "error": self.y[one]} for one in self.x],
        }  # fmt: skip


@dataclass(frozen=True)
class Within:
    """How deviation and absolute error go together voxel by voxel.

    rho, ause, gain: by patient. bins, curve: of `reliability`. calibrated: patients whose map is; where there are any,
    the bins are theirs alone, because a raw spread lies on another scale.
    """

    rho: Summary
    ause: Summary
    gain: Summary
    by_patient: Mapping[str, Mapping[str, float]]
    bins: Sequence[Mapping[str, float]]
    curve: Mapping[str, Any]
    calibrated: int
    sentences: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = {
            name: {"mean": s.mean, "sd": s.sd, "n": s.n, "interval": s.interval.as_dict()}
            for name, s in (("rho", self.rho), ("ause", self.ause), ("gain", self.gain))
        }
        return {
            **told, "calibrated": self.calibrated, "bins": [dict(row) for row in self.bins],
            "sparsification": dict(self.curve), "sentences": list(self.sentences),
        }  # fmt: skip


def between(
    key: str, label: str, x: Mapping[str, float], y: Mapping[str, float], resampling: Resampling | None = None
) -> Between:
    """Relate a number of each patient to its error. Patients that lack either are left out (the caller lists them)."""
    kept = [one for one in x if one in y and math.isfinite(x[one]) and math.isfinite(y[one])]
    xs, ys = {one: float(x[one]) for one in kept}, {one: float(y[one]) for one in kept}
    if len(kept) < LEAST_PATIENTS:
        why = f"{len(kept)} {_patients(len(kept))}; at least {LEAST_PATIENTS} are needed"
        said = f"Shows nothing about {label}: {why}."
        return Between(key, label, xs, ys, None, Interval("bootstrap over patients", refused=why), said)
    first, second = np.array([*xs.values()])[:, None], np.array([*ys.values()])[:, None]

    def statistic(cases: np.ndarray, _: np.ndarray) -> np.ndarray:
        return weighted_ranks(first, second, cases)[:, 0]

    rho = float(statistic(np.ones((1, len(kept))), np.ones((1, 1)))[0])
    if not math.isfinite(rho):
        why = f"the {label} or the error is the same in all patients"
        interval = Interval("bootstrap over patients", refused=why)
        return Between(key, label, xs, ys, None, interval, f"Shows nothing about {label}: {why}.")
    interval = bootstrap(statistic, Sample(np.arange(len(kept)), 1), resampling or Resampling(), value=rho)
    return Between(key, label, xs, ys, rho, interval, _said_between(label, rho, interval, len(kept)))


def _said_between(label: str, rho: float, interval: Interval, n: int) -> str:
    told = f"Spearman's rho {rho:.2f}"
    if interval.low is None or interval.high is None:
        return f"Shows nothing certain about {label}: {told} in {n} patients, without an interval ({interval.refused})."
    told += f", 95% interval {interval.low:.2f} to {interval.high:.2f}, {n} patients"
    few = FEW if n < FEW_PATIENTS else ""
    if interval.low <= 0 <= interval.high:
        return (
            f"Shows nothing: that patients with a larger {label} have larger errors is neither shown nor excluded "
            f"({told})."
        )
    if rho > 0:
        return f"Patients with a larger {label} have larger errors ({told}).{few}"
    return f"Goes the wrong way: patients with a larger {label} have smaller errors ({told}).{few}"


def within(voxels: Sequence[Voxels], resampling: Resampling | None = None) -> Within | None:
    """The relation voxel by voxel, each patient weighing the same; None without a patient.

    rho: Spearman's of deviation and absolute error in each patient. Sparsification and AUSE: Ilg et al., ECCV 2018;
    bins: Levi et al., Sensors 2022 (`reliability`).
    """
    if not voxels:
        return None
    settings = resampling or Resampling()
    deviations, errors = [one.deviation for one in voxels], [one.error for one in voxels]
    model, oracle = reliability.sparsified(deviations, deviations, errors)
    columns = {
        "rho": np.array([reliability.rank_correlation(*pair) for pair in zip(deviations, errors)]),
        "ause": (model - oracle).mean(axis=1),
        "gain": (1 - model).mean(axis=1),
    }
    found = {name: summarise(name, values, settings) for name, values in columns.items()}
    curve = {
        "removed": list(reliability.REMOVED), "model": _rounded(model.mean(axis=0)),
        "oracle": _rounded(oracle.mean(axis=0)), "gain_of_oracle": round(float((1 - oracle).mean()), 4),
    }  # fmt: skip
    binned = [one for one in voxels if one.calibrated] or list(voxels)
    sds = [one.deviation for one in binned]
    bins = reliability.error_by_deviation(sds, sds, [one.error for one in binned])
    calibrated = sum(one.calibrated for one in voxels)
    by_patient = {
        one.patient: {name: float(values[place]) for name, values in columns.items()}
        for place, one in enumerate(voxels)
    }
    said = [_said_within(found["rho"]), _said_curve(found["ause"], curve), _said_bins(bins, bool(calibrated))]
    if 0 < calibrated < len(voxels):
        said.append(
            f"{len(voxels) - calibrated} of {len(voxels)} patients have uncalibrated maps, because their scans are "
            "unlike the training scans; the bins leave them out."
        )
    return Within(found["rho"], found["ause"], found["gain"], by_patient, bins, curve, calibrated, said)


def _said_within(rho: Summary) -> str:
    told = f"mean rank correlation within a patient {rho.mean:.2f}"
    interval = rho.interval
    if interval.low is None or interval.high is None:
        return f"Shows nothing certain voxel by voxel: {told}, n = {rho.n}, without an interval ({interval.refused})."
    told += f", 95% interval {interval.low:.2f} to {interval.high:.2f}, n = {rho.n}"
    if interval.low <= 0 <= interval.high:
        return f"Shows nothing: the map does not say where within a patient errors lie ({told})."
    if rho.mean > 0:
        how = "strongly" if rho.mean >= 0.6 else "somewhat" if rho.mean >= 0.3 else "weakly"
        few = FEW if rho.n < FEW_PATIENTS else ""
        return f"Within a patient, errors are {how} larger where the map is larger ({told}).{few}"
    return f"Goes the wrong way: errors are smaller where the map is larger ({told})."


def _said_curve(ause: Summary, curve: Mapping[str, Any]) -> str:
    half = curve["removed"].index(0.5)
    interval = ause.interval
    spread = (
        f"95% interval {interval.low:.3f} to {interval.high:.3f}"
        if interval.low is not None
        else f"no interval: {interval.refused}"
    )
    return (
        f"Without the half of the voxels that the map doubts most, {curve['model'][half]:.0%} of the root mean square "
        f"error is left; with the errors known {curve['oracle'][half]:.0%} would be, at random 100% (AUSE "
        f"{ause.mean:.3f}, 0 is perfect; {spread})."
    )


def _said_bins(bins: Sequence[Mapping[str, float]], calibrated: bool) -> str:
    predicted = math.sqrt(sum(row["share"] * row["predicted"] ** 2 for row in bins))
    observed = math.sqrt(sum(row["share"] * row["observed"] ** 2 for row in bins))
    if predicted == 0:
        return "The map is zero everywhere: the model's answers do not differ."
    ratio = observed / predicted
    if not calibrated:
        return (
            "The map is an uncalibrated spread and claims no size of error: errors are "
            f"{ratio:.1f} times as large (root mean squares)."
        )
    if 0.8 <= ratio <= 1.25:
        return f"Calibrated: errors are about as large as the map says ({ratio:.2f} times, root mean squares)."
    much = "larger" if ratio > 1 else "smaller"
    return f"Calibrated, but not for these patients: errors are {much} than the map says ({ratio:.2f} times)."


def _patients(count: int) -> str:
    return "patient" if count == 1 else "patients"


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]
