"""Free-response curves: lesions found against false marks an image, at every threshold, with intervals by patients.

Chakraborty, Observer Performance Methods for Diagnostic Imaging, 2017. A lesion counts once, by its highest mark; a
threshold above all scores finds nothing, and lesions that were never marked are never found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imagetranslation.readerstudy.statistics.bootstrap import Resampling, Sample, Statistic, bootstrap
from imagetranslation.readerstudy.statistics.estimates import Interval

from .scores import sensitivity
from .task import FOUND, MISSED

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # false marks an image, as in LUNA16 (Setio, Med Image Anal 2017)
MOST_THRESHOLDS = 400
OWN_TRUTH = (
    "what counts in truth is told by the real image itself, so that hardly a mark of it could be false; give a table "
    "of all lesions as the truth (--truth table)"
)


@dataclass(frozen=True)
class Scored:
    """What a detector made of a set of images; patients are names, one a row.

    lesions: each lesion's highest score, 0 where it was never marked. false: scores of the false marks. images: the
    patient of every image, marked or not.
    """

    lesions: np.ndarray
    lesion_patients: Sequence[str]
    false: np.ndarray
    false_patients: Sequence[str]
    images: Sequence[str]


@dataclass(frozen=True)
class Curve:
    """points: (false marks an image, share of lesions found, threshold) from none on. at: for each of RATES the share
    found at no more false marks than that, with its interval. mean: over RATES, with its interval."""

    points: tuple[tuple[float, float, float], ...]
    at: tuple[tuple[float, float, Interval], ...]
    mean: tuple[float, Interval]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "points": [
                {"false_positives_per_image": f, "sensitivity": s, "threshold": t if math.isfinite(t) else None}
                for f, s, t in self.points
            ],
            "at": [{"false_positives_per_image": f, "sensitivity": s, "interval": i.as_dict()} for f, s, i in self.at],
            "mean": {"sensitivity": self.mean[0], "interval": self.mean[1].as_dict()},
        }


def froc(scored: Scored, resampling: Resampling) -> Curve:
    """The curve of one detector; ValueError without an image or a lesion."""
    if not len(scored.images) or not len(scored.lesions):
        raise ValueError("an FROC curve needs an image and a lesion")
    scores = np.unique(np.concatenate([scored.lesions[scored.lesions > 0], scored.false]))[::-1]
    if len(scores) > MOST_THRESHOLDS:
        kept = scores[np.linspace(0, len(scores) - 1, MOST_THRESHOLDS).round().astype(int)]
        scores = np.unique(np.concatenate([kept, _lowest_allowed(scored, scores)]))[::-1]
    thresholds = np.concatenate([[np.inf], scores])
    sample, rates = _prepared(scored, thresholds)
    false, found = (values[0] for values in rates(sample.ones()[0]))
    points = tuple((float(f), float(s), float(t)) for f, s, t in zip(false, found, thresholds) if np.isfinite(t))

    def at(wanted: Sequence[float]) -> Statistic:
        def statistic(cases: np.ndarray, _: np.ndarray) -> np.ndarray:
            false, found = rates(cases)
            # Found rises with the threshold's fall, so the last that is allowed is the best.
            reached = [np.where(false <= rate + 1e-12, found, 0).max(axis=1) for rate in wanted]
            return np.asarray(np.mean(reached, axis=0))

        return statistic

    def told(wanted: Sequence[float]) -> tuple[float, Interval]:
        value = float(at(wanted)(*sample.ones())[0])
        return value, bootstrap(at(wanted), sample, resampling, width=len(thresholds), value=value)

    return Curve(((0.0, 0.0, float("inf")), *points), tuple((rate, *told([rate])) for rate in RATES), told(RATES))


def curves(
    images: Sequence[str],
    marks: Sequence[Mapping[str, Any]],
    lesions: Sequence[Mapping[str, Any]],
    patients: Sequence[str],
    resampling: Resampling,
) -> dict[str, Any]:
    """Each image's curve, for JSON. marks: rows of all images' marks; lesions: rows of those there are to find.

    patients: of every case, marked or not. A mark's row names its image, case, lesion, score, patient, and whether it
    is false; a lesion's its case, lesion and patient.
    """
    found = {}
    for image in images:
        own = [mark for mark in marks if mark["image"] == image]
        best: dict[tuple[str, Any], float] = {}
        for mark in own:
            key = mark["case"], mark["lesion"]
            best[key] = max(best.get(key, 0.0), mark["score"])
        false = [mark for mark in own if mark["false"]]
        scored = Scored(
            lesions=np.array([best.get((row["case"], row["lesion"]), 0.0) for row in lesions]),
            lesion_patients=[str(row["patient"]) for row in lesions],
            false=np.array([mark["score"] for mark in false]),
            false_patients=[str(mark["patient"]) for mark in false],
            images=patients,
        )
        found[image] = froc(scored, resampling).as_dict()
    return found


def without_curve(
    image: str, marks: Sequence[Mapping[str, Any]], lesions: Sequence[Mapping[str, Any]], resampling: Resampling
) -> dict[str, Any]:
    """Of an image that is itself the truth, for JSON: the share of lesions that bear a mark, and why there is no curve.

    Whatever such an image shows counts, so hardly a mark of it can be false, and its curve would flatter the detector.
    """
    hit = {(mark["case"], mark["lesion"]) for mark in marks if mark["image"] == image and mark["marked"]}
    rows = [{**row, "outcome": FOUND if (row["case"], row["lesion"]) in hit else MISSED} for row in lesions]
    return {"no_curve": OWN_TRUTH, **sensitivity(rows, resampling)}


def in_words(told: Mapping[str, Any]) -> str:
    """What `without_curve` says, for a page."""
    return f"Marked: {told['k']} of {told['n']} lesions ({told['value']:.0%}). No curve: {told['no_curve']}."


def _lowest_allowed(scored: Scored, scores: np.ndarray) -> np.ndarray:
    """Of all scores (falling), the lowest that leaves no more false marks an image than each of RATES."""
    false = np.sort(scored.false)
    above = len(false) - np.searchsorted(false, scores, side="left")
    allowed = [scores[above <= rate * len(scored.images) + 1e-9] for rate in RATES]
    return np.array([own[-1] for own in allowed if len(own)])


def _prepared(scored: Scored, thresholds: np.ndarray) -> tuple[Sample, Any]:
    """What is resampled, and a function of row weights (draws, rows) to false marks an image and share found."""
    names = {name: n for n, name in enumerate(sorted(set(scored.images)))}
    owners = [*scored.images, *scored.lesion_patients, *scored.false_patients]
    sample = Sample(np.array([names[owner] for owner in owners]), 1)
    images, lesions = len(scored.images), len(scored.lesions)
    by_lesion, by_false = np.argsort(-scored.lesions, kind="stable"), np.argsort(-scored.false, kind="stable")
    # How many of the sorted scores reach each threshold.
    reach_lesion = np.searchsorted(-scored.lesions[by_lesion], -thresholds, side="right")
    reach_false = np.searchsorted(-scored.false[by_false], -thresholds, side="right")

    def rates(cases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        of_images = cases[:, :images].sum(axis=1, keepdims=True)
        of_lesions = cases[:, images : images + lesions][:, by_lesion]
        of_false = cases[:, images + lesions :][:, by_false]
        with np.errstate(divide="ignore", invalid="ignore"):
            false = _up_to(of_false, reach_false) / of_images
            found = _up_to(of_lesions, reach_lesion) / of_lesions.sum(axis=1, keepdims=True)
        return false, found

    return sample, rates


def _up_to(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums of the first `counts` columns of weights (draws, rows) -> (draws, counts)."""
    sums = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights, axis=1)], axis=1)
    return np.asarray(sums[:, counts])
