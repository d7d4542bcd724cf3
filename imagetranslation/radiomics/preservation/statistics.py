"""Rank and agreement of every feature of a joined table, with intervals and corrected p-values, all at once.

Rank: Spearman's rho; p from t with n - 2 df, its interval that of Bonett and Wright (Psychometrika 2000, 65:23-28).
Agreement: ICC(A,1) and ICC(C,1) with the F intervals of McGraw and Wong (Psychol Methods 1996, 1:30-46), Lin's
concordance correlation (Biometrics 1989, 45:255-268), Bland and Altman's bias and limits (Lancet 1986, i:307-310).
All of these intervals take every row for independent. Where a patient has several regions, they and the p-value are
replaced by those of the bootstrap and the jackknife over patients. The bootstrap is given in either case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...readerstudy.statistics.bootstrap import MIN_PATIENTS
from ...readerstudy.statistics.icc import MeanSquares, coefficient, f_ends
from . import resampling
from .definitions import Thresholds

# Values that differ by less than this part of their size are equal up to rounding.
EQUAL = 1e-10
LEAST_ROWS = 3
ANALYTIC = "analytic (rho: Bonett-Wright; ICC: F, McGraw-Wong; bias and limits: t)"
CLUSTERED = "bootstrap over patients (BCa), because some patients have several regions"
TOO_FEW = f"none: fewer than {MIN_PATIENTS} patients, and some have several regions"
_RANK = ("rho",)
_AGREEMENT = ("icc_a_1", "icc_c_1", "ccc", "bias", "limit_low", "limit_high")


@dataclass(frozen=True)
class Found:
    """What one table says. columns: name to (features,) array, NaN where undefined. intervals: how they were made.

    reasons: (features,) why a feature is undefined, or "".
    """

    columns: dict[str, np.ndarray]
    reasons: list[str]
    intervals: str


def describe(
    reference: np.ndarray, other: np.ndarray, patients: np.ndarray, thresholds: Thresholds, agreement: bool = True
) -> Found:
    """Every statistic of values (rows, features), NaN where missing; patients (rows,) may be names.

    agreement: whether the two are measured in the same unit; without it there is rank only. A feature uses the rows
    that have both of its values.
    """
    present = np.isfinite(reference) & np.isfinite(other)
    count = reference.shape[1]
    whole: dict[str, np.ndarray] = {}
    reasons = [""] * count
    clustered = len(np.unique(patients)) < len(patients)
    # Features that miss the same rows are worked on together.
    patterns, which = np.unique(present, axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        rows, columns = patterns[:, number], np.flatnonzero(which.reshape(-1) == number)
        x, y = reference[np.ix_(rows, columns)], other[np.ix_(rows, columns)]
        why = [_undefined(x[:, place], y[:, place]) for place in range(len(columns))]
        for place, reason in zip(columns, why):
            reasons[place] = reason
        defined = np.array([not reason for reason in why], dtype=bool)
        _into(whole, count, columns, _simple(x, y, patients[rows]))
        if defined.any():
            made = _complete(x[:, defined], y[:, defined], patients[rows], thresholds, agreement, clustered)
            _into(whole, count, columns[defined], made)
    whole["q"] = benjamini_hochberg(whole.get("p", np.full(count, np.nan)))
    return Found(whole, reasons, _how(patients, clustered))


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Benjamini and Hochberg's q (J R Stat Soc B 1995, 57:289-300) over the p-values that are numbers."""
    from scipy.stats import false_discovery_control

    q = np.full(p.shape, np.nan)
    if (given := np.isfinite(p)).any():
        q[given] = false_discovery_control(p[given])
    return q


def _how(patients: np.ndarray, clustered: bool) -> str:
    if not clustered:
        return ANALYTIC
    return CLUSTERED if len(np.unique(patients)) >= MIN_PATIENTS else TOO_FEW


def _into(whole: dict[str, np.ndarray], count: int, columns: np.ndarray, made: dict[str, np.ndarray]) -> None:
    for name, values in made.items():
        whole.setdefault(name, np.full(count, np.nan))[columns] = values


def _undefined(x: np.ndarray, y: np.ndarray) -> str:
    if len(x) < LEAST_ROWS:
        return f"{len(x)} pairs of values; at least {LEAST_ROWS} are needed"
    for values, name in ((x, "reference"), (y, "other")):
        if np.ptp(values) <= EQUAL * np.abs(values).max():
            return f"constant in the {name} images"
    return ""


def _simple(x: np.ndarray, y: np.ndarray, patients: np.ndarray) -> dict[str, np.ndarray]:
    """Counts, and the spread of the reference over the cohort."""
    features = x.shape[1]
    if not len(x):
        return {"n": np.zeros(features), "patients": np.zeros(features)}
    low, high = x.min(axis=0), x.max(axis=0)
    outside = ((y < low - EQUAL * np.abs(low)) | (y > high + EQUAL * np.abs(high))).sum(axis=0)
    return {
        "n": np.full(features, float(len(x))),
        "patients": np.full(features, float(len(np.unique(patients)))),
        "out_of_range": outside.astype(float),
        "reference_mean": x.mean(axis=0),
        "reference_sd": x.std(axis=0, ddof=1) if len(x) > 1 else np.full(features, np.nan),
        "reference_min": low,
        "reference_max": high,
        "other_mean": y.mean(axis=0),
    }  # fmt: skip


def _complete(
    x: np.ndarray, y: np.ndarray, names: np.ndarray, thresholds: Thresholds, agreement: bool, clustered: bool
) -> dict[str, np.ndarray]:
    patients = np.unique(names, return_inverse=True)[1].reshape(-1)
    both = np.concatenate([x, y])
    centre, scale = both.mean(axis=0), both.std(axis=0)
    first, second = (x - centre) / scale, (y - centre) / scale
    ones = np.ones((1, len(x)))
    made = {"rho": resampling.rank_correlation(first, second, ones)[0]}
    if agreement:
        made.update({name: values[0] for name, values in _moments(first, second, ones).items()})
    enough = int(patients.max()) + 1 >= MIN_PATIENTS
    jackknife: dict[str, np.ndarray] = {}
    if enough:
        jackknife = _bootstrap(first, second, patients, thresholds, made)
    _ends(made, first, second, thresholds, clustered, enough)
    made["p"] = _p(made["rho"], len(x)) if not clustered else _clustered_p(made["rho"], jackknife.get("rho"))
    made["p"] = np.maximum(made["p"], _smallest_p(int(patients.max()) + 1))
    for name in list(made):
        if name.startswith(("bias", "limit")):
            made[name] = made[name] * scale
    return made


def _moments(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every statistic that is made of means and products, (draws, features); differences are y - x."""
    number = weights.sum(axis=1, keepdims=True)
    mean_x, mean_y = weights @ x / number, weights @ y / number
    var_x = weights @ (x * x) / number - mean_x**2
    var_y = weights @ (y * y) / number - mean_y**2
    both = weights @ (x * y) / number - mean_x * mean_y
    apart = mean_y - mean_x
    with np.errstate(divide="ignore", invalid="ignore"):
        ccc = 2 * both / (var_x + var_y + apart**2)
        unbiased = number / (number - 1)
        spread = np.sqrt(np.maximum(unbiased * (var_x + var_y - 2 * both), 0))
        squares = _squares(var_x, var_y, both, apart, number)
        single = {form: coefficient(form, squares) for form in ("icc_a_1", "icc_c_1")}
    return {**single, "ccc": ccc, "bias": apart,
            "limit_low": apart - 1.96 * spread, "limit_high": apart + 1.96 * spread}  # fmt: skip


def _squares(
    var_x: np.ndarray, var_y: np.ndarray, both: np.ndarray, apart: np.ndarray, number: np.ndarray
) -> MeanSquares:
    """Two-way mean squares of two raters, from population moments and the number of cases."""
    unbiased = number / (number - 1)
    variance, covariance = unbiased * (var_x + var_y) / 2, unbiased * both
    return MeanSquares(variance + covariance, number * apart**2 / 2, variance - covariance, number, 2)


def _bootstrap(
    x: np.ndarray, y: np.ndarray, patients: np.ndarray, thresholds: Thresholds, made: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Adds `<name>_boot_low` and `_boot_high` to `made`; returns the statistics without each patient."""
    weights = resampling.draws(patients, thresholds.draws, thresholds.seed)
    others = resampling.without_each(patients)
    names = [name for name in (*_RANK, *_AGREEMENT) if name in made]

    def each(w: np.ndarray) -> dict[str, np.ndarray]:
        found = {"rho": resampling.rank_correlation(x, y, w)}
        if "ccc" in made:
            parts = [_moments(x, y, w[part]) for part in resampling.blocks(len(w), 8 * x.shape[1])]
            found.update({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
        return found

    drawn, left_out = each(weights), each(others)
    for name in names:
        low, high = resampling.bca(drawn[name], made[name], left_out[name], thresholds.level)
        made[f"{name}_boot_low"], made[f"{name}_boot_high"] = low, high
    return left_out


def _ends(
    made: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray, thresholds: Thresholds, clustered: bool, enough: bool
) -> None:
    """Adds `<name>_low` and `_high`: analytic where rows are independent, else the bootstrap's; Lin's always."""
    names = [name for name in (*_RANK, *_AGREEMENT) if name in made]
    analytic = {} if clustered else _analytic(made, x, y, thresholds.level)
    for name in names:
        nothing = np.full(x.shape[1], np.nan)
        low, high = analytic.get(name) or (
            made.get(f"{name}_boot_low", nothing),
            made.get(f"{name}_boot_high", nothing),
        )
        made[f"{name}_low"], made[f"{name}_high"] = low, high


def _analytic(
    made: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray, level: float
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    from scipy.stats import norm, t

    n, z = len(x), float(norm.ppf((1 + level) / 2))
    found = {}
    if n > 3:
        with np.errstate(divide="ignore"):
            middle = np.arctanh(np.clip(made["rho"], -1, 1))
        half = z * np.sqrt((1 + made["rho"] ** 2 / 2) / (n - 3))
        found["rho"] = np.tanh(middle - half), np.tanh(middle + half)
    if "ccc" not in made:
        return found
    ones = np.ones((1, n))
    var_x, var_y = x.var(axis=0), y.var(axis=0)
    apart = y.mean(axis=0) - x.mean(axis=0)
    both = (ones @ (x * y))[0] / n - x.mean(axis=0) * y.mean(axis=0)
    squares = _squares(var_x, var_y, both, apart, np.full(x.shape[1], float(n)))
    exact = squares.error <= EQUAL * squares.rows
    for form in ("icc_a_1", "icc_c_1"):
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = f_ends(form, squares, level)
        # Without a residual there is nothing to be unsure of: both ends are the value itself.
        found[form] = np.where(exact, made[form], low), np.where(exact, made[form], high)
    spread = np.sqrt((var_x + var_y - 2 * both).clip(0) * n / (n - 1))
    quantile = float(t.ppf((1 + level) / 2, n - 1))
    half = quantile * spread / np.sqrt(n)
    found["bias"] = made["bias"] - half, made["bias"] + half
    for name in ("limit_low", "limit_high"):
        found[name] = made[name] - np.sqrt(3) * half, made[name] + np.sqrt(3) * half
    return found


def _p(rho: np.ndarray, n: int) -> np.ndarray:
    """Two-sided, from t with n - 2 degrees of freedom."""
    from scipy.stats import t

    with np.errstate(divide="ignore"):
        statistic = rho * np.sqrt((n - 2) / ((1 - rho) * (1 + rho)))
    return np.asarray(2 * t.sf(np.abs(statistic), n - 2))


def _clustered_p(rho: np.ndarray, left_out: np.ndarray | None) -> np.ndarray:
    """Two-sided, from Fisher's z and its jackknife error over patients, t with p - 1 df; NaN for too few patients."""
    from scipy.stats import t

    if left_out is None:
        return np.full(rho.shape, np.nan)
    patients = len(left_out)
    limit = 1 - 1e-12
    values = np.arctanh(np.clip(left_out, -limit, limit))
    deviation = values - values.mean(axis=0)
    error = np.sqrt((patients - 1) / patients * (deviation**2).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.abs(np.arctanh(np.clip(rho, -limit, limit))) / error
    return np.asarray(2 * t.sf(statistic, patients - 1))


def _smallest_p(patients: int) -> float:
    """No two-sided p of a rank correlation can be smaller: 2 of all the orders that so many patients can have."""
    import math

    return min(1.0, 2 / math.factorial(min(patients, 170)))
