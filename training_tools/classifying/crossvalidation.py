"""Nested, stratified cross-validation over patients: a probability for every patient from a model that never saw it.

Outer folds test, inner folds choose settings. Arms are run on the very same folds, so that their differences are
paired. One row is one patient (`tables` has averaged), hence no patient can be on two sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from imagetranslation.errors import InputError

from .models import Model

INNER_FOLDS = 3


@dataclass(frozen=True)
class Folds:
    """How patients are divided: outer folds, repeats with other divisions, seed.

    given: instead of a division by seed (repeat, fold, tested patients' places) of every fold, as a cross-fit had them.
    """

    count: int = 5
    repeats: int = 1
    seed: int = 0
    given: tuple[tuple[int, int, tuple[int, ...]], ...] = ()

    def divide(self, labels: np.ndarray) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
        """(repeat, fold, training patients, tested patients); stratified by label. InputError for too few patients."""
        from sklearn.model_selection import StratifiedKFold

        if self.given:
            yield from self._as_given(labels)
            return
        least = int(min(labels.sum(), (1 - labels).sum()))
        if least < self.count:
            raise InputError(
                f"{self.count} folds need {self.count} patients of each class; the smaller class has {least}."
            )
        for repeat in range(self.repeats):
            division = StratifiedKFold(self.count, shuffle=True, random_state=self.seed + 1000 * repeat)
            for fold, (train, tested) in enumerate(division.split(labels, labels)):
                yield repeat, fold, train, tested

    def _as_given(self, labels: np.ndarray) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
        for repeat in {repeat for repeat, _, _ in self.given}:
            named = sorted(n for own, _, tested in self.given if own == repeat for n in tested)
            if named != list(range(len(labels))):
                raise InputError(f"The folds of repeat {repeat} do not test every patient exactly once.")
        for repeat, fold, places in self.given:
            tested = np.array(places)
            train = np.setdiff1d(np.arange(len(labels)), tested)
            for side, what in ((train, "learns from"), (tested, "tests")):
                if len(set(labels[side])) < 2:
                    raise InputError(
                        f"Fold {repeat}-{fold} {what} patients of one label only; give --labels to "
                        "training_tools.crossfit, so that its folds are stratified, or take fewer folds."
                    )
            yield repeat, fold, train, tested


@dataclass(frozen=True)
class Prediction:
    """One fold of one repeat: tested patients (indices), their probability of the positive label.

    chosen: settings that were searched, empty where none were.
    """

    repeat: int
    fold: int
    tested: np.ndarray
    probability: np.ndarray
    chosen: dict[str, Any]


# Features (patients, features) that a fold trains on and those it tests on, by the fold's name, "<repeat>-<fold>".
Features = Callable[[str], tuple[np.ndarray, np.ndarray]]


def predict(
    model: Model,
    features: Features,
    labels: np.ndarray,
    folds: Folds,
    *,
    divided_by: np.ndarray | None = None,
    told: Callable[[int, int], None] = lambda repeat, fold: None,
) -> list[Prediction]:
    """Probabilities for every patient in every repeat.

    features: for a fold the table to train on and the table to test on (rows: all patients, in the same order); they
    differ where one kind of image is trained on and another tested, or where images of a fold come from translators of
    their own. divided_by: labels that the folds are stratified by, where these are others (a control's). told: called
    after every fold.
    """
    made = []
    for repeat, fold, train, tested in folds.divide(labels if divided_by is None else divided_by):
        learnt, seen = features(f"{repeat}-{fold}")
        fitted = fit(model, learnt[train], labels[train], folds.seed + 1000 * repeat + fold)
        probability = fitted.predict_proba(seen[tested])[:, 1]
        made.append(Prediction(repeat, fold, tested, probability, dict(getattr(fitted, "best_params_", {}))))
        told(repeat, fold)
    return made


def fit(model: Model, features: np.ndarray, labels: np.ndarray, seed: int) -> Any:
    """The model with its settings chosen inside these patients alone, by the area under the ROC curve.

    Every inner fold needs both labels: where a label has fewer patients than `INNER_FOLDS` there are as many inner
    folds as patients of it, and with a single one nothing is chosen. A model that searches nothing (the network, which
    stops early inside these patients) is fitted as it is.
    """
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    count = min(INNER_FOLDS, int(labels.sum()), int((1 - labels).sum()))
    if not model.searched or count < 2:
        return model.build(seed).fit(features, labels)
    inner = StratifiedKFold(count, shuffle=True, random_state=seed)
    grid = {name: list(values) for name, values in model.searched.items()}
    # An area that cannot be had must not pass as the lowest one.
    search = GridSearchCV(model.build(seed), grid, scoring="roc_auc", cv=inner, error_score="raise")
    return search.fit(features, labels)


def fixed(table: np.ndarray, tested: np.ndarray | None = None) -> Features:
    """Features that are the same in every fold; `tested` where another table is tested on."""
    return lambda fold: (table, table if tested is None else tested)
