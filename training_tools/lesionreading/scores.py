"""Shares, rates and differences of lesions with intervals that know that several lesions belong to one patient.

Wilson's and Clopper and Pearson's intervals take lesions for independent, as the studies do; beside them stands a
bootstrap over patients. Rows are those of `task.Reading.lesions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from imagetranslation.readerstudy.statistics.bootstrap import Resampling, Sample, bootstrap
from imagetranslation.readerstudy.statistics.proportions import CLOPPER_PEARSON, WILSON, proportion_interval

from .task import CLEAR, FOUND, INVENTED, MISSED

Row = Mapping[str, Any]


def share(rows: Sequence[Row], success: str, resampling: Resampling) -> dict[str, Any]:
    """Share of rows whose outcome is `success`: k, n, patients, value, three intervals; `refused` without a row."""
    patients = [str(row["patient"]) for row in rows]
    hits = np.array([row["outcome"] == success for row in rows], dtype=float)
    told: dict[str, Any] = {"k": int(hits.sum()), "n": len(rows), "patients": len(set(patients))}
    if not rows:
        return {**told, "refused": "there are none"}
    value = float(hits.mean())
    independent = {
        name: proportion_interval(told["k"], told["n"], resampling.level, method).as_dict()
        for name, method in (("wilson", WILSON), ("clopper_pearson", CLOPPER_PEARSON))
    }
    return {**told, "value": value, **independent, "by_patient": _over_patients(hits, patients, value, resampling)}


def mean(values: Sequence[float], patients: Sequence[str], resampling: Resampling) -> dict[str, Any]:
    """Mean of values with a bootstrap interval over patients; `refused` without a value."""
    told = {"n": len(values), "patients": len(set(patients))}
    if not len(values):
        return {**told, "refused": "there are none"}
    numbers = np.asarray(values, dtype=float)
    value = float(numbers.mean())
    return {**told, "value": value, "by_patient": _over_patients(numbers, patients, value, resampling)}


def sensitivity(rows: Sequence[Row], resampling: Resampling) -> dict[str, Any]:
    """Of the lesions that are increased in truth, the share increased in the synthetic image too."""
    return share([row for row in rows if row["outcome"] in (FOUND, MISSED)], FOUND, resampling)


def specificity(rows: Sequence[Row], resampling: Resampling) -> dict[str, Any]:
    """Of the places that are not increased in truth, the share not increased in the synthetic image either."""
    return share([row for row in rows if row["outcome"] in (CLEAR, INVENTED)], CLEAR, resampling)


def by(
    rows: Sequence[Row], key: Callable[[Row], str], order: Sequence[str], measure: Callable[[list[Row]], dict[str, Any]]
) -> list[dict[str, Any]]:
    """`measure` of the rows of every key, those of `order` first (also where there are none), others by alphabet."""
    found: dict[str, list[Row]] = {name: [] for name in order}
    for row in sorted(rows, key=key):
        found.setdefault(key(row), []).append(row)
    return [{"of": name, **measure(own)} for name, own in found.items()]


def band(value: float, edges: Sequence[float], unit: str = "") -> str:
    """The words of the band a value lies in; a band holds its lower edge."""
    words = bands(edges, unit)
    return words[int(np.searchsorted(np.asarray(edges, dtype=float), value, side="right"))]


def bands(edges: Sequence[float], unit: str = "") -> list[str]:
    """The words of all bands between rising edges."""
    end = f" {unit}" if unit else ""
    inner = [f"{low:g} to {high:g}{end}" for low, high in zip(edges, edges[1:])]
    return [f"below {edges[0]:g}{end}", *inner, f"{edges[-1]:g}{end} or more"]


def agreement(
    synthetic: Sequence[float], real: Sequence[float], patients: Sequence[str], resampling: Resampling
) -> dict[str, Any]:
    """Bias (synthetic less real) and limits of agreement of values, several of one patient allowed.

    The limits hold the variance between and within patients: Bland and Altman, J Biopharm Stat 2007, 17:571-582 (the
    true value varies). Limits are refused below three patients. median_percent: median of 100 (synthetic/real - 1).
    """
    pairs = np.array([synthetic, real], dtype=float).reshape(2, -1)
    gap = pairs[0] - pairs[1]
    people = len(set(patients))
    told: dict[str, Any] = {"bias": mean(list(gap), patients, resampling), "n": len(gap), "patients": people}
    if not len(gap):
        return {**told, "refused": "there are none"}
    told["mean_absolute"] = float(np.abs(gap).mean())
    told["median_percent"] = float(np.median(100 * (pairs[0] / pairs[1] - 1)))
    if people < 3:
        return {**told, "limits": None, "limits_refused": "limits of agreement need three patients"}
    deviation = math.sqrt(_variance(gap, patients))
    centre = float(gap.mean())
    return {**told, "sd": deviation, "limits": [centre - 1.96 * deviation, centre + 1.96 * deviation]}


def _variance(values: np.ndarray, patients: Sequence[str]) -> float:
    """Variance of one value of one more patient: between patients plus within them, from one-way analysis."""
    codes = np.unique(np.asarray(patients), return_inverse=True)[1]
    counts = np.bincount(codes).astype(float)
    means = np.bincount(codes, values) / counts
    total, groups = len(values), len(counts)
    between = float((counts * (means - values.mean()) ** 2).sum() / (groups - 1))
    if total == groups:
        return between
    within = float(((values - means[codes]) ** 2).sum() / (total - groups))
    size = (total - float((counts**2).sum()) / total) / (groups - 1)
    return within + max(0.0, (between - within) / size)


def _over_patients(values: np.ndarray, patients: Sequence[str], value: float, resampling: Resampling) -> dict[str, Any]:
    codes = np.unique(np.asarray(patients), return_inverse=True)[1]

    def statistic(cases: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.asarray((cases @ values) / cases.sum(axis=1))

    return bootstrap(statistic, Sample(codes, 1), resampling, value=value).as_dict()
