"""The arms of a classification study: which images are learnt from and which are tested, and how they differ.

A synthetic image is a function of its source: whatever an arm gains by it is no new information about the patient, but
what the translator learnt from other patients' pairs. The real target is the ceiling, permuted labels are the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.statistics.bootstrap import Resampling
from imagetranslation.readerstudy.statistics.comparisons import holm
from imagetranslation.readerstudy.statistics.estimates import Interval

from .crossfit import NESTED, CrossFit
from .crossvalidation import Features, Folds, Prediction, fixed, predict
from .images import REAL, SOURCE, SYNTHETIC
from .models import Model, find
from .scores import Scores, corrected_test, interval, mean_of, score
from .tables import Cohort

BOTH = "source + synthetic"
TO_REAL, TO_SYNTHETIC = "learnt on synthetic, tested on real", "learnt on real, tested on synthetic"
CONTROL = "permuted labels (control)"
PERMUTATIONS = 3  # of the control within the folds: one alone says little, and each costs as much as another arm
# Synthetic features of each outer fold, "<repeat>-<fold>", where translators are nested; rows as the cohort's patients.
# A test of patients kept to the last has the fold "test".
PerFold = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Result:
    """One arm with one model.

    Of the control: draws: the area with each draw of labels; expected: (low, high) where 95% of draws lie if nothing
    can be learnt. Its scores are means over draws, without an interval; its predictions are the first draw's.
    """

    arm: str
    model: str
    predictions: tuple[Prediction, ...]
    scores: Scores
    features: int
    draws: tuple[float, ...] = ()
    expected: tuple[float, float] | None = None


@dataclass(frozen=True)
class Difference:
    """An arm less the source's, in mean area within folds. p: Nadeau and Bengio's, or None and why (`refused`)."""

    arm: str
    model: str
    value: float
    interval: Interval
    p: float | None
    holm_p: float | None
    refused: str


def run(
    cohort: Cohort,
    models: Sequence[str],
    folds: Folds,
    crossfit: CrossFit,
    *,
    per_fold: PerFold | None = None,
    resampling: Resampling | None = None,
    told: Callable[[str], None] = lambda sentence: None,
) -> list[Result]:
    """Every arm that the cohort has images for, with every model, on the same folds. InputError where images leak.

    told: called with a sentence after every fold.
    """
    check(cohort, folds, crossfit, per_fold)
    results = []
    for name in models:
        model = find(name)
        for arm, (features, labels) in arms(cohort, folds.seed, per_fold).items():

            def after(repeat: int, fold: int, arm: str = arm, name: str = name) -> None:
                told(f"{name}, {arm}: fold {repeat}-{fold} is done.")

            learnt = partial(_learnt, model, features, cohort.labels, after)
            if arm == CONTROL:
                results.append(_control(name, learnt, cohort.labels, folds, resampling, features))
                continue
            made = learnt(labels, folds)
            results.append(Result(arm, name, made, score(made, labels, resampling), _width(features, made)))
    return results


def _learnt(
    model: Model, features: Features, by: np.ndarray, told: Callable[[int, int], None], own: np.ndarray, folds: Folds
) -> tuple[Prediction, ...]:
    """Predictions of what was learnt with the labels `own`, in folds that are stratified by `by`."""
    return tuple(predict(model, features, own, folds, divided_by=by, told=told))


def _width(features: Features, made: Sequence[Prediction]) -> int:
    """How many features the first fold learnt from."""
    return int(features(f"{made[0].repeat}-{made[0].fold}")[0].shape[1])


def drawn_anew(labels: np.ndarray, folds: Folds, number: int) -> list[tuple[np.ndarray, Folds]]:
    """For every repeat its folds alone, and labels permuted among the tested patients of each, so that no fold has
    fewer of a kind than the arms that the control is held against. number: which draw."""
    divided = list(folds.divide(labels))
    found = []
    for repeat in dict.fromkeys(repeat for repeat, _, _, _ in divided):
        random, drawn = np.random.default_rng([folds.seed, number, repeat]), labels.copy()
        own = [(fold, tested) for other, fold, _, tested in divided if other == repeat]
        for _, tested in own:
            drawn[tested] = random.permutation(labels[tested])
        given = tuple((repeat, fold, tuple(int(n) for n in tested)) for fold, tested in own)
        found.append((drawn, Folds(len(own), 1, folds.seed, given)))
    return found


def by_chance(made: Sequence[Prediction], labels: np.ndarray) -> tuple[float, float]:
    """Where 95% of mean areas within folds lie if nothing of the labels can be learnt (low, high).

    By twice the variance of the Mann-Whitney statistic without ties (Mann and Whitney, Ann Math Stat 1947): folds learn
    from each other's patients, and what chance lets a linear model carry from one fold to another it carries back, so
    every pair of folds counts twice. Repeats test the same patients and are not counted as more of them.
    """
    parts = [labels[p.tested] for p in made if p.repeat == made[0].repeat]
    counts = [(int(part.sum()), int((1 - part).sum())) for part in parts if 0 < part.sum() < len(part)]
    variance = 2 * sum((one + other + 1) / (12 * one * other) for one, other in counts) / max(1, len(counts)) ** 2
    deviation = variance**0.5
    return max(0.0, 0.5 - 1.96 * deviation), min(1.0, 0.5 + 1.96 * deviation)


def _control(
    model: str,
    learnt: Callable[[np.ndarray, Folds], tuple[Prediction, ...]],
    labels: np.ndarray,
    folds: Folds,
    resampling: Resampling | None,
    features: Features,
) -> Result:
    """learnt: predictions with these labels in these folds."""
    made = [
        [(own, learnt(own, divided)) for own, divided in drawn_anew(labels, folds, number)]
        for number in range(PERMUTATIONS)
    ]
    scored = [[score(predictions, own, resampling) for own, predictions in draw] for draw in made]
    found = [one for draw in scored for one in draw]
    predictions = tuple(one for _, repeat in made[0] for one in repeat)
    draws = tuple(float(np.mean([one.auc for one in draw])) for draw in scored)
    low, high = by_chance(made[0][0][1], made[0][0][0])
    told = (
        f"{len(draws)} draws of labels from {min(draws):.3f} to {max(draws):.3f}; where nothing can be learnt, "
        f"about 95% of draws lie from {low:.3f} to {high:.3f}"
    )
    blank = Interval("none of the control", found[0].interval.level, refused=told)
    return Result(CONTROL, model, predictions, mean_of(found, blank), _width(features, predictions), draws, (low, high))


def arms(cohort: Cohort, seed: int, per_fold: PerFold | None = None) -> dict[str, tuple[Features, np.ndarray]]:
    """Name of each arm to its features and labels."""
    labels, own = cohort.labels, cohort.arms
    synthetic = _nested(per_fold) if per_fold is not None else fixed(own[SYNTHETIC])

    def both(fold: str) -> tuple[np.ndarray, np.ndarray]:
        table = np.concatenate([own[SOURCE], synthetic(fold)[0]], axis=1)
        return table, table

    found: dict[str, tuple[Features, np.ndarray]] = {
        SOURCE: (fixed(own[SOURCE]), labels),
        SYNTHETIC: (synthetic, labels),
        BOTH: (both, labels),
    }
    if REAL in own:
        places = common(cohort)

        def to_real(fold: str) -> tuple[np.ndarray, np.ndarray]:
            return synthetic(fold)[0][:, places[0]], own[REAL][:, places[1]]

        def to_synthetic(fold: str) -> tuple[np.ndarray, np.ndarray]:
            return to_real(fold)[::-1]

        found.update(
            {REAL: (fixed(own[REAL]), labels), TO_REAL: (to_real, labels), TO_SYNTHETIC: (to_synthetic, labels)}
        )
    found[CONTROL] = (both, np.random.default_rng(seed).permutation(labels))
    return found


def common(cohort: Cohort) -> tuple[list[int], list[int]]:
    """Columns of the synthetic and of the real table that hold the same features. InputError where there is none."""
    real = {name: column for column, name in enumerate(cohort.names[REAL])}
    pairs = [(column, real[name]) for column, name in enumerate(cohort.names[SYNTHETIC]) if name in real]
    if not pairs:
        raise InputError("Synthetic and real images have no feature in common; extract the same set from both.")
    return [column for column, _ in pairs], [column for _, column in pairs]


def differences(
    results: Sequence[Result], labels: np.ndarray, folds: Folds, resampling: Resampling | None = None
) -> list[Difference]:
    """Every arm with the cohort's own labels against the source arm of the same model; Holm's correction over all."""
    made: list[Difference] = []
    for result in results:
        if result.arm in (SOURCE, CONTROL):
            continue
        base = next(r for r in results if r.arm == SOURCE and r.model == result.model)
        test = corrected_test(result.scores, base.scores, labels, folds)
        p, refused = (None, test) if isinstance(test, str) else (test.p, "")
        between = interval([result.predictions, base.predictions], labels, resampling)
        made.append(
            Difference(result.arm, result.model, result.scores.auc - base.scores.auc, between, p, None, refused)
        )
    # A test that could not be made still counts in the correction of the others.
    adjusted = holm([1.0 if d.p is None else d.p for d in made])
    return [
        Difference(d.arm, d.model, d.value, d.interval, d.p, None if d.p is None else p, d.refused)
        for d, p in zip(made, adjusted)
    ]


def _nested(per_fold: PerFold) -> Features:
    return lambda fold: (per_fold[fold], per_fold[fold])


def check(cohort: Cohort, folds: Folds, crossfit: CrossFit, per_fold: PerFold | None) -> None:
    """InputError where a translator saw whom it must not have seen, or a fold has no images."""
    crossfit.check(cohort.patients)
    if (crossfit.kind == NESTED) != (per_fold is not None):
        raise InputError(
            "A nested record needs a table of synthetic features for each fold, and a simple one just one."
        )
    if per_fold is None:
        return
    for repeat, fold, _, tested in folds.divide(cohort.labels):
        name = f"{repeat}-{fold}"
        if name not in per_fold or name not in crossfit.images:
            raise InputError(f"There are no synthetic images for the fold {name}.")
        crossfit.check_fold(name, [cohort.patients[n] for n in tested])
