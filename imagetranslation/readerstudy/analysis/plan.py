"""Which analyses a study gets: the primary endpoint, the secondary hypotheses, and all else as exploratory.

The first two stand in study.json and were frozen by the first answer. What suits a question otherwise is decided here
by its type alone, never by its answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from ..definition import Hypothesis, Study
from ..questions import Question
from ..statistics.bootstrap import Resampling
from .answers import SCORES, Answers
from .blocks import EXPLORATORY, PRIMARY, SECONDARY, Records

DIFFERENCE, AGREEMENT, DETECTION = "difference", "agreement", "detection"
PREFERENCE, MRMC, DISTRIBUTION = "preference", "mrmc", "distribution"
ORIGINS = {"real", "synthetic"}


@dataclass(frozen=True, eq=False)
class Task:
    """One analysis of one question. arms: those compared, all where empty. hypothesis: "" where exploratory."""

    role: str
    analysis: str
    question: Question
    arms: tuple[str, ...] = ()
    hypothesis: str = ""
    margin: Optional[float] = None


@dataclass(frozen=True)
class Work:
    """What every analysis is handed: the answers, settings of the intervals, and where its records go.

    settings: readers fixed. general: readers resampled too, for claims about readers in general.
    """

    answers: Answers
    settings: Resampling
    records: Records = field(default_factory=Records)

    @property
    def study(self) -> Study:
        """The study's definition."""
        return self.answers.study

    @property
    def general(self) -> Resampling:
        """The same settings with readers resampled."""
        return Resampling(self.settings.draws, self.settings.seed, self.settings.level, "random")

    def arm(self, name: str) -> str:
        """What a report calls an arm, or several shown together ("a with b")."""
        labels = {arm.id: arm.label or arm.id for arm in self.study.arms}
        if len(set(labels.values())) < len(labels):
            labels = {arm.id: arm.id for arm in self.study.arms}
        return " with ".join(labels.get(part, part) for part in name.split(" with "))


def asks_origin(question: Question) -> bool:
    """Whether a question asks if an image is real or synthetic: a choice between options of exactly these ids."""
    return question.type == "choice" and {option.id for option in question.options} == ORIGINS


def tasks(study: Study) -> list[Task]:
    """All analyses: the primary, the secondary ones in the order of study.json, then exploratory ones by question."""
    asked = {question.id: question for question in study.questions}

    def declared(role: str, one: Hypothesis) -> Task:
        return Task(role, one.analysis, asked[one.question], one.arms, one.hypothesis, one.margin)

    made = [declared(PRIMARY, study.primary), *(declared(SECONDARY, one) for one in study.hypotheses)]
    taken = {(task.question.id, task.analysis) for task in made}
    # Choosing among the images of a trial is one analysis, whatever it is called.
    taken |= {(task.question.id, PREFERENCE) for task in made if task.question.images_are_options}
    for question in study.questions:
        made += [Task(EXPLORATORY, a, question) for a in _suiting(study, question) if (question.id, a) not in taken]
    return made


def _suiting(study: Study, question: Question) -> list[str]:
    several = len(study.arms) > 1
    if question.images_are_options:
        return [PREFERENCE]
    if asks_origin(question):
        return [DETECTION, AGREEMENT]
    if question.type in SCORES:
        return [*([DIFFERENCE] if several else []), AGREEMENT]
    return [AGREEMENT] if question.type == "choice" else []
