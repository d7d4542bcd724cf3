"""Signal detection: can readers tell synthetic from real? Accuracy, d', criterion and area under the ROC curve.

"Signal" is a synthetic image; a hit is a synthetic image called synthetic. Values for several readers are means of the
readers' own values, never of pooled answers, since every reader has a criterion of their own. Where patients have
several images, they are resampled together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .bootstrap import Resampling, Sample, Statistic, bootstrap, linearised, value_of
from .estimates import Estimate, Interval, Undefined, refusal
from .proportions import proportion_interval

MEASURES = {
    "accuracy": "Accuracy",
    "hit_rate": "Synthetic images called synthetic",
    "correct_rejections": "Real images called real",
    "d_prime": "d'",
    "criterion": "Criterion c",
    "auc": "Area under the ROC curve, from confidence",
}
SOURCES = {
    "accuracy": "share of correct answers",
    "hit_rate": "share of correct answers",
    "correct_rejections": "share of correct answers",
    "d_prime": "Green and Swets 1966; log-linear correction: Hautus, Behav Res Methods 1995, 27:46-51",
    "criterion": "Macmillan and Creelman 2005; log-linear correction: Hautus, Behav Res Methods 1995, 27:46-51",
    "auc": "Hanley and McNeil, Radiology 1982, 143:29-36",
}
METHODS = {
    "d_prime": "z(hit rate) - z(false alarm rate), 0.5 added to each count and 1 to each number of images",
    "criterion": "-(z(hit rate) + z(false alarm rate)) / 2, counts corrected as for d'; above 0: inclined to say real",
    "auc": "confidence signed by the answer, ties counting one half",
}


PerReader = Callable[[np.ndarray], np.ndarray]  # case weights (B, n) -> (B, readers)


@dataclass(frozen=True)
class Detections:
    """Answers to "real or synthetic?".

    synthetic: (cases,) booleans, the truth. said: (cases, readers), 1 synthetic, 0 real, -1 not answered. confidence:
    (cases, readers), 0 or more, NaN where not given, or None where not asked. patients: (cases,) as 0..p-1.
    """

    synthetic: np.ndarray
    said: np.ndarray
    confidence: np.ndarray | None
    readers: tuple[str, ...]
    patients: np.ndarray

    def of_reader(self, reader: int) -> Detections:
        """One reader's answers, without the cases they did not answer."""
        kept = self.said[:, reader] >= 0
        confidence = None if self.confidence is None else self.confidence[kept][:, [reader]]
        patients = np.unique(self.patients[kept], return_inverse=True)[1]
        return Detections(
            self.synthetic[kept], self.said[kept][:, [reader]], confidence, (self.readers[reader],), patients
        )

    @property
    def sample(self) -> Sample:
        """What the bootstrap resamples."""
        return Sample(self.patients, len(self.readers))

    @property
    def n(self) -> dict[str, int]:
        """Answers, images of both kinds, patients and readers."""
        kind = {"synthetic": int(self.synthetic.sum()), "real": int((~self.synthetic).sum())}
        people = {"patients": self.sample.size, "readers": len(self.readers)}
        return {"answers": int((self.said >= 0).sum()), **kind, **people}


def detection(answers: Detections, settings: Resampling | None = None) -> list[Estimate]:
    """Every measure for each reader (label "measure, reader R"), then for the mean of the readers."""
    chosen = settings or Resampling()
    alone = Resampling(chosen.draws, chosen.seed, chosen.level)
    found = []
    for place, name in enumerate(answers.readers):
        own = answers.of_reader(place)
        found += [_estimate(key, own, alone, f"reader {name}") for key in MEASURES]
    if len(answers.readers) > 1:
        found += [_estimate(key, answers, chosen, "mean of the readers") for key in MEASURES]
    return found


def measure(key: str, answers: Detections) -> Statistic:
    """One of MEASURES as a function of case and reader weights: the weighted mean over readers."""
    per_reader = _areas(answers) if key == "auc" else _rates(key, answers)

    def statistic(cases: np.ndarray, readers: np.ndarray) -> np.ndarray:
        values = per_reader(cases)
        weights = np.broadcast_to(readers, values.shape)
        return np.asarray((np.where(weights > 0, values, 0) * weights).sum(axis=1) / weights.sum(axis=1))

    return statistic


def _rates(key: str, answers: Detections) -> PerReader:
    from scipy.special import ndtri

    synthetic = answers.synthetic[:, None]
    right = answers.said == synthetic.astype(int)
    answered = answers.said >= 0
    columns = [right & synthetic, answered & synthetic, right & ~synthetic, answered & ~synthetic]
    hit, signal, rejected, noise = (column.astype(float) for column in columns)

    def values(cases: np.ndarray) -> np.ndarray:
        hits, signals, rejections, noises = (cases @ column for column in (hit, signal, rejected, noise))
        if key == "accuracy":
            return np.asarray((hits + rejections) / (signals + noises))
        if key == "hit_rate":
            return np.asarray(hits / signals)
        if key == "correct_rejections":
            return np.asarray(rejections / noises)
        seen = (signals > 0) & (noises > 0)
        z_hit = ndtri((hits + 0.5) / (signals + 1))
        z_false = ndtri((noises - rejections + 0.5) / (noises + 1))
        value = z_hit - z_false if key == "d_prime" else -(z_hit + z_false) / 2
        return np.asarray(np.where(seen, value, np.nan))

    return values


def _areas(answers: Detections) -> PerReader:
    if answers.confidence is None:
        raise Undefined("no confidence was asked for")
    score = np.where(answers.said == 1, answers.confidence, -answers.confidence)
    usable = (answers.said >= 0) & np.isfinite(answers.confidence)
    kernels = []
    for reader in range(len(answers.readers)):
        rows = [np.flatnonzero(usable[:, reader] & kind) for kind in (answers.synthetic, ~answers.synthetic)]
        gap = np.subtract.outer(score[rows[0], reader], score[rows[1], reader])
        kernels.append((rows[0], rows[1], (np.sign(gap) + 1) / 2))

    def values(cases: np.ndarray) -> np.ndarray:
        found = np.full((len(cases), len(kernels)), np.nan)
        for reader, (one, other, kernel) in enumerate(kernels):
            above, below = cases[:, one], cases[:, other]
            total = above.sum(axis=1) * below.sum(axis=1)
            wins = ((above @ kernel) * below).sum(axis=1)
            found[:, reader] = np.divide(wins, total, out=np.full(len(cases), np.nan), where=total > 0)
        return found

    return values


def _estimate(key: str, answers: Detections, settings: Resampling, who: str) -> Estimate:
    label, n = f"{MEASURES[key]}, {who}", answers.n
    method = METHODS.get(key, "counted")
    try:
        if n["answers"] == 0:
            raise Undefined("nothing was answered")
        statistic = measure(key, answers)
        missing = "synthetic and real images with a confidence" if key == "auc" else "synthetic and real images"
        value = value_of(statistic, answers.sample, f"there are not {missing} for every reader")
    except Undefined as reason:
        return refusal(key, label, n, method, SOURCES[key], str(reason))
    resampled = bootstrap(statistic, answers.sample, settings, value=value)
    analytic = _analytic(key, answers, settings, statistic, value)
    return Estimate(key, label, value, n, method, SOURCES[key], (analytic, resampled))


def _analytic(key: str, answers: Detections, settings: Resampling, statistic: Statistic, value: float) -> Interval:
    if settings.readers == "random":
        return Interval("linearised standard error", settings.level, refused="it holds for these readers only")
    share = key in ("accuracy", "hit_rate", "correct_rejections")
    clustered = answers.sample.size < len(answers.synthetic)
    if not share or clustered or len(answers.readers) > 1:
        ceiling = 1.0 if share or key == "auc" else np.inf
        return linearised(statistic, answers.sample, settings.level, value, ceiling)
    kind = {"hit_rate": answers.synthetic, "correct_rejections": ~answers.synthetic}.get(key)
    rows = np.ones(len(answers.synthetic), dtype=bool) if kind is None else kind
    right = answers.said[rows, 0] == answers.synthetic[rows]
    return proportion_interval(int(right.sum()), int(rows.sum()), settings.level)
