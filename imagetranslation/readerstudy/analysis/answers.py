"""The unblinded answers of a study as arrays, images by readers, one for each question; what is missing is NaN.

Only answers of trials that were handed in count, without training cases; hidden repeats are kept apart. Where the
rows come from is `exports`' matter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from ..definition import Study
from ..questions import Question, steps

# Kinds of answers whose values are numbers with an order.
SCORES = ("likert", "vas", "number", "yes_no")


@dataclass(frozen=True)
class Image:
    """One thing that was judged. arm: its arm, or "a with b" where a question was asked of several images at once.
    context: the arms shown together, where one arm is shown in several combinations; otherwise ""."""

    case: str
    patient: str
    arm: str
    context: str = ""


@dataclass(frozen=True)
class Grid:
    """Values of one question, (images, readers), NaN where there is none.

    likert: the step. vas, number: the number. yes_no: 1, 0. choice: place among the options; with images as options
    1 for the arm that was chosen and 0 for the others. ranking: the rank, 1 is best. place, roi: number of marks.
    """

    question: Question
    values: np.ndarray
    images: tuple[Image, ...]
    readers: tuple[str, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """In order of appearance."""
        return tuple(dict.fromkeys(image.arm for image in self.images))

    @property
    def patients(self) -> np.ndarray:
        """(images,) patient of each image as 0 ... p - 1."""
        names = [image.patient for image in self.images]
        return np.unique(np.array(names, dtype=str), return_inverse=True)[1].reshape(-1)

    def of_arm(self, *arms: str) -> Grid:
        """The images of some arms."""
        return self.rows([image.arm in arms for image in self.images])

    def rows(self, keep: Sequence[bool] | np.ndarray) -> Grid:
        """The images where `keep` is true."""
        kept = np.asarray(keep, dtype=bool)
        return Grid(
            self.question, self.values[kept], tuple(i for i, k in zip(self.images, kept) if k), self.readers
        )  # fmt: skip

    def paired(self, first: str, second: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """Two arrays (cases, readers) with the answers to both arms of a case by one reader, NaN where either is
        missing, and the patient of each case. An arm seen in several combinations counts with its mean."""
        cases = {image.case: image.patient for image in self.images if image.arm in (first, second)}
        made = [np.full((len(cases), len(self.readers)), np.nan) for _ in range(2)]
        for place, case in enumerate(cases):
            for arm, table in zip((first, second), made):
                own = self.values[[n for n, i in enumerate(self.images) if i.case == case and i.arm == arm]]
                table[place] = mean_of(own)
        gone = np.isnan(made[0]) | np.isnan(made[1])
        for table in made:
            table[gone] = np.nan
        return made[0], made[1], tuple(cases.values())


def mean_of(values: np.ndarray) -> np.ndarray:
    """Means over rows (rows, columns) without NaN; NaN where a column holds nothing."""
    present = np.isfinite(values)
    count = present.sum(axis=0)
    total = np.where(present, values, 0).sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(values.shape[1:], np.nan), where=count > 0))


@dataclass(frozen=True)
class Answers:
    """rows: the tidy table of `exports.answer_rows`, all of it. scored: those that are analysed. repeats: those of
    hidden repeats. readers: who handed in anything, in the study's order."""

    study: Study
    rows: Sequence[Mapping[str, Any]]
    scored: Sequence[Mapping[str, Any]] = field(repr=False)
    repeats: Sequence[Mapping[str, Any]] = field(repr=False)
    readers: tuple[str, ...]

    def of(self, question: Question) -> Grid:
        """First readings of a question."""
        return _grid(self.study, question, self.scored, self.readers)

    def repeats_of(self, question: Question) -> Grid:
        """Hidden repeats of a question, images as in `of`."""
        return _grid(self.study, question, self.repeats, self.readers)

    def option(self, question: Question, option: str) -> Grid:
        """Whether one option of a multiple choice was ticked, 1 or 0."""
        return _grid(self.study, question, self.scored, self.readers, option)

    def asked(self, question: Question) -> list[Mapping[str, Any]]:
        """The scored rows of a question."""
        return [row for row in self.scored if row["question"] == question.id]


def collect(study: Study, rows: Sequence[Mapping[str, Any]]) -> Answers:
    """The answers in the rows of `exports.answer_rows`, made with study and key."""
    done = [row for row in rows if row["done"] and not row["training"]]
    scored = [row for row in done if row["repeat_of"] == ""]
    repeats = [row for row in done if row["repeat_of"] != ""]
    present = {row["reader"] for row in scored}
    return Answers(study, rows, scored, repeats, tuple(r for r in study.readers if r in present))


def is_answered(row: Mapping[str, Any]) -> bool:
    """Whether a row holds an answer of any kind, "cannot assess" included."""
    return bool(row["label"]) or bool(row["cannot_assess"])


def _grid(
    study: Study, question: Question, rows: Sequence[Mapping[str, Any]], readers: tuple[str, ...], option: str = ""
) -> Grid:
    cells: dict[Image, dict[str, float]] = {}
    for row in rows:
        if row["question"] != question.id:
            continue
        for image, value in _values(study, question, row, option):
            cells.setdefault(image, {})[row["reader"]] = value
    order = {arm.id: n for n, arm in enumerate(study.arms)}
    place = {case.id: n for n, case in enumerate(study.cases)}
    images = sorted(cells, key=lambda i: (order.get(i.arm, len(order)), i.arm, i.context, place.get(i.case, 0)))
    values = np.full((len(images), len(readers)), np.nan)
    for n, image in enumerate(images):
        for m, reader in enumerate(readers):
            values[n, m] = cells[image].get(reader, math.nan)
    return Grid(question, values, tuple(images), readers)


def _values(study: Study, question: Question, row: Mapping[str, Any], option: str) -> list[tuple[Image, float]]:
    """What a row says of which images; an unanswered one says NaN, so that the image is known all the same."""
    shown = [part.split("=", 1)[1] for part in str(row["arms"]).split(";") if "=" in part]
    several = len(study.treatments) > 1 and len(shown) > 1
    context = " with ".join(sorted(shown)) if several else ""

    def image(arm: str) -> Image:
        return Image(row["case"], row["patient"], arm, context)

    if question.images_are_options:
        named = str(row["value_arm"]).split("|") if row["value_arm"] else []
        if question.type == "ranking":
            sound = sorted(named) == sorted(shown)
            return [(image(arm), float(named.index(arm) + 1) if sound else math.nan) for arm in shown]
        return [(image(arm), float(arm in named) if named else math.nan) for arm in shown]
    about = row["arm"] or " with ".join(sorted(shown))
    return [(image(about) if row["arm"] else Image(row["case"], row["patient"], about), _number(question, row, option))]


def _number(question: Question, row: Mapping[str, Any], option: str) -> float:
    """The value as a number; NaN for no answer, "cannot assess" and what is no answer to this question."""
    value = row["value"]
    if not is_answered(row) or row["cannot_assess"]:
        return math.nan
    if question.type in ("choice", "multi_choice"):
        known = [one.id for one in question.options]
        chosen = [] if value == "" else str(value).split("|")
        if not set(chosen) <= set(known):
            return math.nan
        return float(option in chosen) if question.type == "multi_choice" else float(known.index(chosen[0]))
    if question.type in ("place", "roi"):
        return _marks(value)
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float)):
        return math.nan
    allowed: dict[str, Optional[Sequence[float]]] = {"yes_no": (0, 1), "likert": steps(question)}
    known_values = allowed.get(question.type)
    fits = value in known_values if known_values is not None else math.isfinite(value)
    return float(value) if fits and (question.type != "vas" or 0 <= value <= 100) else math.nan


def _marks(value: Any) -> float:
    try:
        made = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return math.nan
    return float(len(made)) if isinstance(made, list) else math.nan
