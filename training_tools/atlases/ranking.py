"""Which patients did worst, by any measure of an evaluation, and how many of the others did better.

A patient's number is the mean over its cases. Where it stands is the share of the other tested patients that did
better, ties counting half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imagetranslation.errors import InputError

from ..evaluating.measures import MEASURES


@dataclass(frozen=True)
class Ranking:
    """values: measure to patient. places: measure to per cent of the other patients that did better than a patient.

    order: patients, worst first by `by`. cases: of each patient, its worst first.
    """

    by: str
    measures: tuple[str, ...]
    values: Mapping[str, Mapping[str, float]]
    places: Mapping[str, Mapping[str, float]]
    order: tuple[str, ...]
    cases: Mapping[str, Sequence[str]]

    def by_patient(self, measure: str) -> dict[str, float]:
        """A measure of every patient that has it."""
        return dict(self.values.get(measure, {}))

    def worse_than(self, patient: str, measure: str) -> float | None:
        """Per cent of the other patients that did better; None where the patient has no value or is alone."""
        return self.places[measure].get(patient)

    def worst_cases(self, count: int) -> list[str]:
        """The worst case of each of the `count` worst patients."""
        return [self.cases[patient][0] for patient in self.order[:count]]

    def told(self, patient: str) -> dict[str, Any]:
        """A patient's numbers and where they stand, for JSON."""
        return {
            "cases": list(self.cases[patient]),
            "scores": {name: self.values[name].get(patient) for name in self.measures},
            "worse_than_percent": {name: self.worse_than(patient, name) for name in self.measures},
        }


def rank(scores: Mapping[str, Mapping[str, float]], patients: Mapping[str, str], by: str) -> Ranking:
    """Rank the patients of a method's scores (case to measure). Patients without the measure come last."""
    measures = tuple(name for name in MEASURES if any(name in case for case in scores.values()))
    if by not in measures:
        raise InputError(f"No tested case has the measure {by!r}; there are {', '.join(measures)}.")
    own: dict[str, list[str]] = {}
    for case in sorted(scores):
        own.setdefault(patients[case], []).append(case)
    values: dict[str, dict[str, float]] = {}
    for name in measures:
        for patient, cases in own.items():
            found = [scores[case][name] for case in cases if name in scores[case]]
            if found:
                values.setdefault(name, {})[patient] = sum(found) / len(found)

    def worst_first(value: float | None) -> tuple[bool, float]:
        return value is None, 0.0 if value is None else -badness(by, value)

    order = sorted(own, key=lambda patient: (*worst_first(values[by].get(patient)), patient))
    ordered = {
        patient: sorted(found, key=lambda case: (*worst_first(scores[case].get(by)), case))
        for patient, found in own.items()
    }
    places = {name: _places(name, found) for name, found in values.items()}
    return Ranking(by, measures, values, places, tuple(order), ordered)


def _places(measure: str, values: Mapping[str, float]) -> dict[str, float]:
    """Per cent of the other patients that did better, ties counting half; none for a patient alone."""
    if len(values) < 2:
        return {}
    bad = np.array([badness(measure, value) for value in values.values()])
    ordered = np.sort(bad)
    better, as_good = np.searchsorted(ordered, bad), np.searchsorted(ordered, bad, side="right")
    shares = 100 * (better + 0.5 * (as_good - better - 1)) / (len(bad) - 1)
    return {patient: round(float(share), 1) for patient, share in zip(values, shares)}


def badness(measure: str, value: float) -> float:
    """Larger is worse."""
    return -value if MEASURES[measure].better == "higher" else value
