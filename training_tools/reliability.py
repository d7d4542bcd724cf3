"""How a raw spread is turned into the size of an error, and how well it then says where errors are.

Input are residuals of patients the network had not seen; where they come from is `calibration`'s affair. Everything is
counted by patient: each weighs the same whatever its number of voxels, intervals are 95 % Student t over patients, and
what is reported of a patient was fitted on the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.grid import ModelGrid
from imagetranslation.uncertainty import LEAST_PATIENTS
from imagetranslation.uncertainty.calibration import Calibration, spread_out

KNOTS = 10
BINS = 10
# Places along each axis of the network's frame, and how many patients' worth of "no different from elsewhere" each has.
POINTS = 8
PRIOR_PATIENTS = 0.5
# Half-widths, in standard deviations, of the central bands of a normal distribution.
BANDS = {"80": (0.80, 1.2815515655446004), "95": (0.95, 1.959963984540054)}
REMOVED = tuple(n / 10 for n in range(10))


@dataclass(frozen=True)
class Residuals:
    """One patient. spread, error: raw spread and synthetic minus real, float32 (n,), of the voxels inside `mask`,

    bool (k, j, i). frame: the network's grid for this patient.
    """

    case: str
    spread: np.ndarray
    error: np.ndarray
    mask: np.ndarray
    frame: ModelGrid

    def cells(self, points: int) -> np.ndarray:
        """For each voxel the number of its cell when the network's frame is cut into `points` along each axis."""
        parts = [np.arange(size) * points // size for size in self.frame.shape]
        cells = (parts[0][:, None, None] * points + parts[1][:, None]) * points + parts[2]
        return self.frame.reorientation.back(cells)[self.mask]


def evaluate(
    patients: list[Residuals], samples: int, value_range: tuple[float, float], said: str, by_place: bool
) -> dict[str, Any]:
    """`uncertainty.calibration.<method>` of a package.

    said: whose residuals these are, in words. by_place: whether all patients share one frame (see
    `imagetranslation.uncertainty.calibration.one_frame`). From `LEAST_PATIENTS` on it holds `scale` and the coverage
    of its bands; with fewer only what the raw spread tells. Raises InputError for fewer than two patients.
    """
    if len(patients) < 2:
        raise InputError(f"{len(patients)} patient is too few to say anything about a spread; give at least two.")
    errors, raw = [patient.error for patient in patients], [patient.spread for patient in patients]
    record: dict[str, Any] = {"samples": samples, "n_patients": len(patients), "residuals": said}
    predicted = sorted_by = raw
    if len(patients) >= LEAST_PATIENTS:
        record["scale"] = scale(patients, by_place)
        predicted = left_out(patients, value_range, by_place)
        sorted_by = [apply(record["scale"], patient, value_range) for patient in patients]
        record.update(coverages(predicted, errors))
    record["rmse"] = interval([math.sqrt(_square(error)) for error in errors])
    record["rank_correlation"] = interval([rank_correlation(*pair) for pair in zip(predicted, errors)])
    record["rank_correlation_raw"] = interval([rank_correlation(*pair) for pair in zip(raw, errors)])
    record["bins"] = error_by_deviation(sorted_by, predicted, errors)
    record["sparsification"] = sparsification(predicted, raw, errors)
    return record


def scale(patients: list[Residuals], by_place: bool) -> dict[str, Any]:
    """Knots of a piecewise linear map from raw spread to error that never falls, and its factors by place.

    The voxels are put into `KNOTS` equally heavy bins of spread; a knot is a bin's root mean square spread and error,
    the errors made monotone by pooling adjacent violators (isotonic regression). The last knot is the greatest spread
    seen, with the error of the last bin. by_place: the errors are first divided by `factors_by_place`, which the
    map is then multiplied with.
    """
    factor = factors_by_place(patients) if by_place else None
    spread = np.concatenate([patient.spread for patient in patients])
    error = np.concatenate([_without_place(patient, factor) for patient in patients])
    weight = np.concatenate([np.full(len(patient.error), 1 / len(patient.error)) for patient in patients])
    raw, squares, heavy = [], [], []
    for inside in _equal_bins(spread, weight, KNOTS):
        total = weight[inside].sum()
        raw.append(math.sqrt(float(weight[inside] @ spread[inside].astype(float) ** 2) / total))
        squares.append(float(weight[inside] @ error[inside] ** 2) / total)
        heavy.append(total)
    if not raw or raw[-1] <= 0:
        raise InputError("The spread is zero everywhere: these answers do not differ, so there is nothing to rescale.")
    rising = [*np.sqrt(_never_falling(np.array(squares), np.array(heavy)))]
    if spread.max() > raw[-1]:
        raw, rising = [*raw, float(spread.max())], [*rising, rising[-1]]
    knots: dict[str, Any] = {"raw": _digits(raw), "calibrated": _digits(rising)}
    if factor is not None:
        knots["places"] = {"points": POINTS, "factor": [round(float(value), 3) for value in factor.ravel()]}
    return knots


def factors_by_place(patients: list[Residuals]) -> np.ndarray:
    """(p, p, p) root mean square error by place in the network's frame, as a multiple of that of all places.

    Smoothed over neighbouring cells, and drawn towards 1 where hardly a patient has a voxel.
    """
    from scipy import ndimage

    shape = (POINTS,) * 3
    squares, weight = np.zeros(POINTS**3), np.zeros(POINTS**3)
    for patient in patients:
        cells = patient.cells(POINTS)
        squares += np.bincount(cells, patient.error.astype(float) ** 2, POINTS**3) / len(cells)
        weight += np.bincount(cells, minlength=POINTS**3) / len(cells)
    overall = squares.sum() / weight.sum()
    if overall == 0:
        return np.ones(shape, np.float32)
    near = [ndimage.gaussian_filter(part.reshape(shape), 1.0, mode="nearest") for part in (squares, weight)]
    prior = PRIOR_PATIENTS / POINTS**3
    return np.clip(np.sqrt((near[0] / overall + prior) / (near[1] + prior)), 0.1, 10).astype(np.float32)


def apply(knots: dict[str, Any], patient: Residuals, value_range: tuple[float, float]) -> np.ndarray:
    """Calibrated deviations (n,) of a patient's raw spread, by the very code that inference runs."""
    greatest = (value_range[1] - value_range[0]) / 2
    factor = None if "places" not in knots else np.reshape(np.float32(knots["places"]["factor"]), (POINTS,) * 3)
    raw, calibrated = tuple(knots["raw"]), tuple(knots["calibrated"])
    volume = np.zeros(patient.mask.shape, np.float32)
    volume[patient.mask] = patient.spread
    return Calibration(raw, calibrated, 0, 0, greatest, {}, factor).apply(volume, patient.frame)[patient.mask]


def left_out(patients: list[Residuals], value_range: tuple[float, float], by_place: bool) -> list[np.ndarray]:
    """Each patient's calibrated deviations, by a scale fitted on the others."""
    return [
        apply(scale([*patients[:number], *patients[number + 1 :]], by_place), patient, value_range)
        for number, patient in enumerate(patients)
    ]


def coverages(deviations: list[np.ndarray], errors: list[np.ndarray]) -> dict[str, dict[str, float]]:
    """Share of each patient's voxels whose error lies inside the band, as mean and interval over patients."""
    found = {}
    for band, (nominal, width) in BANDS.items():
        shares = [float(np.mean(np.abs(error) <= width * sd)) for sd, error in zip(deviations, errors)]
        found[f"coverage{band}"] = {"nominal": nominal, **interval(shares, 0.0, 1.0)}
    return found


def error_by_deviation(
    sorted_by: list[np.ndarray], predicted: list[np.ndarray], errors: list[np.ndarray]
) -> list[dict[str, float]]:
    """Predicted against observed error (root mean squares) in equally heavy bins of deviation (Levi et al. 2022).

    The bins are those of `sorted_by`, one scale for all patients: among predictions that were each fitted without one
    patient, the lowest would be those of the patients with the largest errors, only because these were left out.
    """
    order, sd, error = (np.concatenate(parts).astype(float) for parts in (sorted_by, predicted, errors))
    weight = np.concatenate([np.full(len(part), 1 / len(part) / len(errors)) for part in errors])
    rows = []
    for inside in _equal_bins(order, weight, BINS):
        row = {"share": weight[inside].sum()}
        for name, values in (("predicted", sd), ("observed", error)):
            row[name] = math.sqrt(float(weight[inside] @ values[inside] ** 2) / row["share"])
        rows.append({name: round(float(value), 4) for name, value in row.items()})
    return rows


def sparsification(predicted: list[np.ndarray], raw: list[np.ndarray], errors: list[np.ndarray]) -> dict[str, Any]:
    """Root mean square error of what is left when the voxels of largest deviation are taken away (Ilg et al. 2018).

    `model`: in the order of the predicted deviation, among equal ones of the raw spread. `oracle`: in the order of the
    errors themselves, the best there can be. Both as fractions of the error of all voxels, mean over patients; taking
    voxels away at random leaves 1. `ause`: mean distance between the two (0 is perfect). `gain`: mean distance of
    `model` below 1 (0 is no better than chance, the oracle's is the most there is).
    """
    ours, best = sparsified(predicted, raw, errors)
    return {
        "removed": list(REMOVED),
        "model": _rounded(ours.mean(axis=0)),
        "oracle": _rounded(best.mean(axis=0)),
        "ause": interval([float(value) for value in (ours - best).mean(axis=1)]),
        "gain": interval([float(value) for value in (1 - ours).mean(axis=1)]),
        "gain_of_oracle": round(float((1 - best).mean()), 4),
    }


def sparsified(
    predicted: list[np.ndarray], raw: list[np.ndarray], errors: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(patients, `REMOVED`) curves of `sparsification`: in the order of the deviation, and in that of the errors."""
    model, oracle = [], []
    for sd, spread, error in zip(predicted, raw, errors):
        squares = error.astype(float) ** 2
        all_of_it = math.sqrt(float(squares.mean()))
        model.append(_left(squares[np.lexsort((-spread, -sd))], all_of_it))
        oracle.append(_left(np.sort(squares)[::-1], all_of_it))
    return np.array(model), np.array(oracle)


def rank_correlation(spread: np.ndarray, error: np.ndarray) -> float:
    """Spearman's correlation of spread and absolute error over one patient's voxels; 0 where either is constant."""
    from scipy import stats

    if np.ptp(spread) == 0 or np.ptp(np.abs(error)) == 0:
        return 0.0
    return float(stats.spearmanr(spread, np.abs(error))[0])


def interval(values: list[float], least: float = -math.inf, most: float = math.inf) -> dict[str, float]:
    """Mean and 95 % Student t interval over patients, cut to what is possible, with n."""
    from scipy import stats

    mean, count = float(np.mean(values)), len(values)
    half = float(stats.t.ppf(0.975, count - 1)) * float(np.std(values, ddof=1)) / math.sqrt(count)
    low, high = max(mean - half, least), min(mean + half, most)
    return {"mean": round(mean, 4), "low": round(low, 4), "high": round(high, 4), "n": count}


def _without_place(patient: Residuals, factor: np.ndarray | None) -> np.ndarray:
    """float64 errors, divided by the factors of their places."""
    error = patient.error.astype(float)
    return error if factor is None else error / spread_out(factor, patient.frame)[patient.mask]


def _equal_bins(values: np.ndarray, weight: np.ndarray, count: int) -> list[np.ndarray]:
    """Indices of the values in up to `count` bins of equal weight; equal values are never torn apart."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    reached = np.cumsum(weight[order])
    edges = np.searchsorted(reached, reached[-1] * np.arange(1, count) / count)
    starts = np.unique([0, *np.searchsorted(ordered, ordered[np.minimum(edges, len(ordered) - 1)])])
    return [part for part in np.split(order, starts[1:]) if len(part)]


def _never_falling(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted isotonic regression by pooling adjacent violators (Barlow et al. 1972)."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights):
        block = (float(value), float(weight), 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, heavy, number = blocks.pop()
            total = heavy + block[1]
            block = ((mean * heavy + block[0] * block[1]) / total, total, number + block[2])
        blocks.append(block)
    return np.concatenate([np.full(number, mean) for mean, _, number in blocks])


def _left(squares: np.ndarray, all_of_it: float) -> list[float]:
    """Root mean square of what is left, as a fraction, when the first `REMOVED` fractions are taken away."""
    if all_of_it == 0:
        return [1.0] * len(REMOVED)
    firsts = [round(fraction * len(squares)) for fraction in REMOVED]
    return [math.sqrt(float(squares[first:].mean())) / all_of_it for first in firsts]


def _digits(values: list[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def _square(values: np.ndarray) -> float:
    return float(np.mean(values.astype(float) ** 2))


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]
