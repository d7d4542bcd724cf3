"""What probabilities are worth: discrimination within folds, decisions, calibration; and whether two arms differ.

Areas are taken within each fold and averaged: probabilities of different folds come from different models and are not
comparable as ranks (Forman and Scholz, SIGKDD Explor 2010).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from imagetranslation.readerstudy.statistics.bootstrap import Resampling, Sample, bootstrap
from imagetranslation.readerstudy.statistics.comparisons import CorrectedT, nadeau_bengio
from imagetranslation.readerstudy.statistics.estimates import Interval, Undefined

from .crossvalidation import Folds, Prediction

SPECIFICITY = 0.9  # at which sensitivity is told


@dataclass(frozen=True)
class Scores:
    """Of one arm and model. auc: mean of the areas within folds, auc_of_folds. interval: over patients.

    accuracy and balanced_accuracy at a probability of one half; sensitivity at `SPECIFICITY` (mean over folds);
    calibration_slope and _intercept: of a logistic regression of the label on the probabilities' logit (1 and 0 are
    ideal; NaN where it has no solution).
    """

    auc: float
    auc_of_folds: tuple[float, ...]
    interval: Interval
    accuracy: float
    balanced_accuracy: float
    sensitivity: float
    brier: float
    calibration_slope: float
    calibration_intercept: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON; undefined numbers are null."""
        told = {key: value for key, value in asdict(self).items() if key != "interval"}
        told = {key: _or_null(value) for key, value in told.items()}
        areas = [_or_null(area) for area in self.auc_of_folds]
        return {**told, "auc_of_folds": areas, "interval": self.interval.as_dict()}


def _or_null(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def score(made: Sequence[Prediction], labels: np.ndarray, resampling: Resampling | None = None) -> Scores:
    """All numbers of one arm."""
    areas = tuple(area(p.probability, labels[p.tested]) for p in made)
    probability, truth = np.concatenate([p.probability for p in made]), np.concatenate([labels[p.tested] for p in made])
    decided = (probability >= 0.5).astype(int)
    rates = [float((decided[truth == kind] == kind).mean()) for kind in (0, 1)]
    slope, intercept = calibration(probability, truth)
    return Scores(
        _mean(areas), areas, interval([made], labels, resampling), float((decided == truth).mean()),
        float(np.mean(rates)), _mean([sensitivity(p.probability, labels[p.tested]) for p in made]),
        float(np.mean((probability - truth) ** 2)), slope, intercept,
    )  # fmt: skip


def mean_of(found: Sequence[Scores], between: Interval) -> Scores:
    """Means of several, with the areas of all their folds, and this interval."""
    single = [key for key in asdict(found[0]) if key not in ("auc_of_folds", "interval")]
    means = {key: _mean([float(getattr(one, key)) for one in found]) for key in single}
    areas = tuple(area for one in found for area in one.auc_of_folds)
    return Scores(auc_of_folds=areas, interval=between, **means)


def area(probability: np.ndarray, truth: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Area under the empirical ROC curve, a tie counting one half; NaN where a class has no weight."""
    weight = np.ones(len(truth)) if weight is None else weight
    above, below = probability[truth == 1], probability[truth == 0]
    pairs = (above[:, None] > below[None]) + 0.5 * (above[:, None] == below[None])
    weights = weight[truth == 1][:, None] * weight[truth == 0][None]
    total = float(weights.sum())
    return float((pairs * weights).sum() / total) if total > 0 else math.nan


def sensitivity(probability: np.ndarray, truth: np.ndarray, specificity: float = SPECIFICITY) -> float:
    """Share of positive patients above the lowest threshold that at least this share of negative ones do not exceed.

    With fewer than ten negative patients a specificity of 0.9 can only be kept as 1. NaN where one of the two kinds is
    missing.
    """
    if not 0 < truth.sum() < len(truth):
        return math.nan
    negative = np.sort(probability[truth == 0])
    below = math.ceil(specificity * len(negative) - 1e-9)  # 0.9 of 10 is 9, whatever the last bit says
    return float((probability[truth == 1] > negative[below - 1]).mean())


def calibration(probability: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the label on logit(p) (Cox, Biometrika 1958), by Newton's method; NaN if separable."""
    logit = np.log(np.clip(probability, 1e-6, 1 - 1e-6) / (1 - np.clip(probability, 1e-6, 1 - 1e-6)))
    design, weights = np.column_stack([np.ones_like(logit), logit]), np.zeros(2)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        information = design.T @ (design * (p * (1 - p))[:, None])
        if np.linalg.cond(information) > 1e12:
            return math.nan, math.nan
        step = np.linalg.solve(information, design.T @ (truth - p))
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            return float(weights[1]), float(weights[0])
    return math.nan, math.nan


def interval(
    arms: Sequence[Sequence[Prediction]], labels: np.ndarray, resampling: Resampling | None = None
) -> Interval:
    """Bootstrap over patients of one arm's mean area within folds, or of the difference first - second of two.

    Models are not fitted again: the interval tells how the result depends on who was tested.
    """

    def difference(weights: np.ndarray, _: np.ndarray) -> np.ndarray:
        means = [_weighted(made, labels, weights) for made in arms]
        return means[0] if len(means) == 1 else means[0] - means[1]

    return bootstrap(difference, Sample(np.arange(len(labels)), 1), resampling or Resampling())


def _weighted(made: Sequence[Prediction], labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(draws,) mean over folds of `area` with each row of weights (draws, patients); folds that lack a class left out.

    NaN where no fold is left.
    """
    total, folds = np.zeros(len(weights)), np.zeros(len(weights))
    for p in made:
        truth, weight = labels[p.tested], weights[:, p.tested]
        above, below = p.probability[truth == 1], p.probability[truth == 0]
        pairs = (above[:, None] > below[None]) + 0.5 * (above[:, None] == below[None])
        one, other = weight[:, truth == 1], weight[:, truth == 0]
        each = one.sum(axis=1) * other.sum(axis=1)
        there = each > 0
        total[there] += ((one @ pairs) * other).sum(axis=1)[there] / each[there]
        folds += there
    return np.divide(total, folds, out=np.full(len(weights), math.nan), where=folds > 0)


def _mean(values: Sequence[float]) -> float:
    """Of those that are defined: a draw, or a control's labels, may leave a fold without one of the classes."""
    told = [value for value in values if math.isfinite(value)]
    return float(np.mean(told)) if told else math.nan


def corrected_test(first: Scores, second: Scores, labels: np.ndarray, folds: Folds) -> CorrectedT | str:
    """Nadeau and Bengio's test of the folds' differences, or the reason why there is none."""
    tested = len(labels) / folds.count
    gaps = np.array(first.auc_of_folds) - np.array(second.auc_of_folds)
    try:
        return nadeau_bengio(gaps, round(len(labels) - tested), round(tested))
    except Undefined as reason:
        return str(reason)
