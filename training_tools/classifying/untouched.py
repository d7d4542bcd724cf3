"""One last test on patients whom nothing has seen: no translator, no choice of settings, no fold.

The models are fitted once on all other patients and tested once. Only here is DeLong's test allowed: within a
cross-validation the probabilities come from several models and are not independent, which its variance presumes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.statistics import roc
from imagetranslation.readerstudy.statistics.bootstrap import Resampling
from imagetranslation.readerstudy.statistics.comparisons import holm
from imagetranslation.readerstudy.statistics.estimates import Interval, Undefined

from .arms import CONTROL, SOURCE, PerFold, arms
from .crossfit import TEST, CrossFit
from .crossvalidation import Prediction, fit
from .models import find
from .scores import Scores, score
from .tables import Cohort

METHOD = "DeLong, DeLong and Clarke-Pearson, Biometrics 1988"


@dataclass(frozen=True)
class Last:
    """One arm and model on the test patients. interval: DeLong's, of the area.

    difference, low, high, p, holm_p: of its area less the source's; None for the source and the control, and where the
    test cannot be made (`refused`).
    """

    arm: str
    model: str
    prediction: Prediction
    scores: Scores
    interval: Interval
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    holm_p: float | None = None
    refused: str = ""


def require_untouched(record: CrossFit, cohort: Cohort, test: Sequence[str]) -> None:
    """InputError where a translator whose images are used has seen a test patient, or one label is missing there."""
    record.check(cohort.patients)
    if record.last not in record.images:
        raise InputError(
            "The record has no images for a last test; run training_tools.crossfit with the same --test-patients."
        )
    record.check_fold(record.last, test)
    truth = [int(cohort.labels[cohort.patients.index(patient)]) for patient in test]
    if min(truth.count(0), truth.count(1)) < 2:
        raise InputError(
            f"Of the {len(test)} test patients {truth.count(1)} are {cohort.positive}; DeLong's test needs two of each "
            "kind or more."
        )


def evaluate(
    cohort: Cohort,
    models: Sequence[str],
    test: Sequence[str],
    seed: int,
    *,
    per_fold: PerFold | None = None,
    resampling: Resampling | None = None,
    told: Callable[[str], None] = lambda sentence: None,
) -> list[Last]:
    """Every arm and model fitted on the cohort without `test` and tested there; not compared yet (`compared`).

    per_fold: of a nested cross-fit; its fold "test" is used.
    """
    tested = np.array([cohort.patients.index(patient) for patient in test])
    learnt = np.setdiff1d(np.arange(len(cohort.patients)), tested)
    found = []
    for name in models:
        for arm, (features, labels) in arms(cohort, seed, per_fold).items():
            seen, asked = features(TEST)
            fitted = fit(find(name), seen[learnt], labels[learnt], seed)
            probability = fitted.predict_proba(asked[tested])[:, 1]
            made = Prediction(0, 0, tested, probability, dict(getattr(fitted, "best_params_", {})))
            # The control learns from labels drawn anew; it is tested on the true ones like every other arm.
            told_scores = score([made], cohort.labels, resampling)
            found.append(Last(arm, name, made, told_scores, area_interval(probability, cohort.labels[tested])))
            told(f"{name}, {arm}: the test patients are done.")
    return found


def compared(found: Sequence[Last], truth: np.ndarray) -> list[Last]:
    """Each arm against the source arm of the same model by DeLong's paired test; Holm's correction over all of them.

    truth: (tested patients,) labels.
    """
    sources = {one.model: one.prediction.probability for one in found if one.arm == SOURCE}
    told = [one if one.arm in (SOURCE, CONTROL) else _against(one, sources[one.model], truth) for one in found]
    family = [place for place, one in enumerate(told) if one.arm not in (SOURCE, CONTROL)]
    # A test that could not be made still counts in the correction of the others.
    adjusted = holm([1.0 if (p := told[place].p) is None else p for place in family])
    for place, p in zip(family, adjusted):
        told[place] = replace(told[place], holm_p=None if told[place].p is None else p)
    return told


def _against(one: Last, source: np.ndarray, truth: np.ndarray) -> Last:
    own = one.prediction.probability
    try:
        test = roc.delong_test(np.stack([own, source]), truth)
    except Undefined as reason:
        areas = roc.areas(np.stack([own, source]), truth).auc
        return replace(one, difference=float(areas[0] - areas[1]), refused=str(reason))
    return replace(one, difference=test.difference, low=test.low, high=test.high, p=test.p)


def area_interval(probability: np.ndarray, truth: np.ndarray, level: float = 0.95) -> Interval:
    """DeLong's interval of one area, cut at 0 and 1."""
    from scipy.stats import norm

    ratings = probability[None]
    variance = float(roc.covariance(ratings, truth, "delong")[0, 0])
    if variance <= 0:
        return Interval(METHOD, level, refused="the area has no variance: the test patients are told apart perfectly")
    area, half = float(roc.areas(ratings, truth).auc[0]), float(norm.ppf(0.5 + level / 2)) * variance**0.5
    return Interval(METHOD, level, max(0.0, area - half), min(1.0, area + half))
