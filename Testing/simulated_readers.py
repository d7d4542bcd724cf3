"""Simulated readers: a seeded program that reads a study through the Session API, with planted effects.

NOT PHYSICIANS. Every answer carries {"simulated": true} in its view state, and a report on such answers says so.
It looks into the key, which no reader can: what it plants is what an analysis must find again.

    python -m Testing.simulated_readers STUDY --seed 1
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np

from imagetranslation.readerstudy.definition import Study, load_study
from imagetranslation.readerstudy.key import Key, load_key
from imagetranslation.readerstudy.questions import CANNOT_ASSESS, Item
from imagetranslation.readerstudy.schedule import PlannedTrial
from imagetranslation.readerstudy.session import Session, open_session
from imagetranslation.readerstudy.store import Store
from Testing.studies import FakeClock

SIMULATED = {"simulated": True}
# Cumulative log odds of a five-step answer at the middle of a scale.
THRESHOLDS = (-2.2, -0.8, 0.6, 2.0)


@dataclass(frozen=True)
class Planted:
    """What is hidden in the answers.

    bias: log odds by which synthetic images get higher answers to `biased` than real ones (cumulative-link model),
    with standard deviations of readers and patients. agreement: chance-corrected agreement of answers to `agreed`
    (Fleiss' kappa, which is also nominal alpha): every reader gives the image's own category with probability
    sqrt(agreement) and any category at random otherwise. consistency: probability that a repeat gets the first answer
    again, and any category otherwise. d_prime: of the equal-variance signal detection model of `origin`. areas: of the
    ROC curve of each arm, for `suspicion` (unit variances, shared by readers by the share `common`). lesions: case to
    the place (LPS mm of the shown image) that is marked, within half a millimetre along columns and rows. dropout:
    reader to number of trials handed in before leaving for good.
    """

    bias: float = -1.2
    reader_sd: float = 0.5
    patient_sd: float = 0.8
    agreement: float = 0.5
    consistency: float = 0.8
    d_prime: float = 1.0
    areas: Mapping[str, float] = field(default_factory=dict)
    common: float = 0.5
    cannot_assess: float = 0.0
    lesions: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    dropout: Mapping[str, int] = field(default_factory=dict)
    biased: str = "realism"
    agreed: str = "interpretability"
    origin: str = "origin"
    suspicion: str = "suspicion"


class Crowd:
    """Everything that is drawn once for a study: patients' and readers' effects, images' own categories."""

    def __init__(self, study: Study, key: Key, planted: Planted, seed: int) -> None:
        self.study, self.key, self.planted = study, key, planted
        self._seed = seed
        self._generator = np.random.default_rng(seed)
        draw = self._generator.normal
        self.readers = {reader: draw(0, planted.reader_sd) for reader in study.readers}
        people = sorted({case.patient for case in (*study.cases, *study.training)})
        self.patients = {patient: draw(0, planted.patient_sd) for patient in people}
        images = [(case.id, arm.id) for case in (*study.cases, *study.training) for arm in study.arms]
        self.own = {image: int(self._generator.integers(0, 1 << 30)) for image in images}
        self.shared = {image: draw() for image in images}
        self.synthetic = {arm.id for arm in study.arms if arm.kind == "synthetic"}

    def of(self, reader: str) -> Reader:
        """One of them, with random numbers of their own."""
        return Reader(self, reader, np.random.default_rng([self._seed, self.study.readers.index(reader)]))


class Reader:
    """Answers the form of one trial after another."""

    def __init__(self, crowd: Crowd, name: str, generator: np.random.Generator) -> None:
        self.crowd, self.name, self.draw = crowd, name, generator
        self._said: dict[tuple[str, str, str], Any] = {}
        self._sure = 50.0

    def answer(self, item: Item, trial: PlannedTrial, truth: Optional[int]) -> Any:
        """The answer to one item of a trial."""
        arm = trial.slots.get(item.slot, trial.arms[0])
        planted, question = self.crowd.planted, item.question
        if question.id == planted.origin:
            return self._origin(arm)
        if question.id == f"{planted.origin}_confidence":
            return round(self._sure, 1)
        if question.id == planted.suspicion:
            return self._suspicion(trial.case, arm, truth)
        if question.cannot_assess and self.draw.random() < planted.cannot_assess:
            return dict(CANNOT_ASSESS)
        if question.id == planted.agreed:
            return self._agreed(item, trial, arm)
        if question.type == "likert":
            biased = planted.bias if question.id == planted.biased and arm in self.crowd.synthetic else 0.0
            level = biased + self.crowd.readers[self.name] + self.crowd.patients[trial.patient]
            step = int(np.searchsorted(THRESHOLDS, level + self.draw.logistic()))
            return question.first + min(step, len(question.anchors) - 1)
        if question.type == "place" and planted.lesions:
            return self._lesion(trial.case, item.slot or "A")
        return self._other(item, arm)

    def _agreed(self, item: Item, trial: PlannedTrial, arm: str) -> int:
        question, count = item.question, len(item.question.anchors)
        key = (question.id, trial.case, arm)
        any_step = int(self.draw.integers(0, count))
        if trial.repeat_of is not None and key in self._said:
            return question.first + (
                self._said[key] if self.draw.random() < self.crowd.planted.consistency else any_step
            )
        hit = self.draw.random() < math.sqrt(self.crowd.planted.agreement)
        self._said[key] = self.crowd.own[trial.case, arm] % count if hit else any_step
        return question.first + int(self._said[key])

    def _origin(self, arm: str) -> str:
        seen = self.draw.normal() + (self.crowd.planted.d_prime / 2) * (1 if arm in self.crowd.synthetic else -1)
        self._sure = min(100.0, 40 * abs(seen))
        return "synthetic" if seen > 0 else "real"

    def _suspicion(self, case: str, arm: str, truth: Optional[int]) -> float:
        """A rating 0 to 100 whose area is the planted one: a monotone image of a normal score."""
        common = self.crowd.planted.common
        score = math.sqrt(common) * self.crowd.shared[case, arm] + math.sqrt(1 - common) * self.draw.normal()
        if truth:
            score += math.sqrt(2) * _quantile(self.crowd.planted.areas[arm])
        return round(100 * _share((score - 0.6) / 1.3), 2)

    def _other(self, item: Item, arm: str) -> Any:
        question = item.question
        if question.type == "yes_no":
            return bool(self.draw.random() < (0.5 if arm in self.crowd.synthetic else 0.2))
        if question.type == "choice":
            return str(self.draw.choice([option.id for option in item.options]))
        if question.type == "multi_choice":
            return [option.id for option in item.options if self.draw.random() < 0.3] or [item.options[0].id]
        if question.type == "ranking":
            return [str(one) for one in self.draw.permutation([option.id for option in item.options])]
        if question.type in ("place", "roi"):
            return self._marks(question.type, item.slot or "A")
        if question.type in ("vas", "number"):
            low = 0.0 if question.minimum is None else question.minimum
            high = 100.0 if question.maximum is None else question.maximum
            return round(low + (high - low) * float(self.draw.beta(3, 2)), 1)
        return "Written by a simulated reader." if question.type == "text" and self.draw.random() < 0.05 else None

    def _lesion(self, case: str, slot: str) -> list[dict[str, Any]]:
        """A mark on the lesion, or anywhere in the middle slice where there is none."""
        places = self.crowd.planted.lesions
        x, y, z = places[case] if case in places else (*self.draw.uniform(-9, 9, 2), 0.0)
        point = [round(float(x + self.draw.uniform(-0.5, 0.5)), 1), round(float(y + self.draw.uniform(-0.5, 0.5)), 1)]
        return [{"image": slot, "point": [*point, z]}]

    def _marks(self, kind: str, slot: str) -> list[dict[str, Any]]:
        points = [[round(float(x), 1) for x in self.draw.uniform(0, 5, 3)] for _ in range(3)]
        if kind == "roi":
            return [{"image": slot, "points": points}]
        return [{"image": slot, "point": point} for point in points[: int(self.draw.integers(1, 4))]]


def read_study(folder: Path, planted: Planted, seed: int, store: Optional[Store] = None) -> Crowd:
    """Let all readers of a study read all sessions, up to where the plan lets them leave; returns what was drawn."""
    study, key = load_study(folder), load_key(folder)
    crowd = Crowd(study, key, planted, seed)
    for reader in study.readers:
        read_alone(folder, crowd, reader, store)
    return crowd


def read_alone(folder: Path, crowd: Crowd, name: str, store: Optional[Store] = None) -> int:
    """One reader through all sessions; returns the number of trials handed in."""
    reader, clock = crowd.of(name), FakeClock()
    leaves = crowd.planted.dropout.get(name, 1 << 30)
    done = 0
    for _ in range(crowd.study.sessions):
        with open_session(folder, name, store=store, clock=clock) as session:
            while session.trial is not None and done < leaves:
                _one_trial(session, reader, crowd, clock)
                done += 1
        clock.pass_time(86400 * (crowd.study.washout_days + 1))
    return done


def _one_trial(session: Session, reader: Reader, crowd: Crowd, clock: FakeClock) -> None:
    assert session.trial is not None
    planned = crowd.key.trials[session.trial.token][1]
    truth = crowd.study.case(planned.case).truth
    clock.pass_time(float(np.exp(reader.draw.normal(2.6, 0.4))))
    asked: set[str] = set()
    while left := [item for item in session.form if item.key not in asked]:
        asked.add(left[0].key)
        value = reader.answer(left[0], planned, truth)
        clock.pass_time(float(reader.draw.uniform(1, 4)))
        if value is not None:
            session.answer(left[0].key, value, SIMULATED)
    if reader.draw.random() < 0.03:
        clock.pass_time(300)  # went for a coffee: idle beyond the study's limit
    session.next()


def _share(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _quantile(share: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(share))


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dropout", action="append", default=[], metavar="READER=TRIALS")
    given = parser.parse_args()
    leaves = {name: int(count) for name, _, count in (one.partition("=") for one in given.dropout)}
    arms = [arm.id for arm in load_study(given.study).arms]
    areas = {arm: 0.9 - 0.08 * n for n, arm in enumerate(arms)}
    read_study(given.study, Planted(dropout=leaves, areas=areas, cannot_assess=0.02), given.seed)
    print(f"Simulated readers have read {given.study}: these answers are no physicians'.")


if __name__ == "__main__":
    _main()
