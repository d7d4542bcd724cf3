"""Can readers tell synthetic from real? Accuracy, d', criterion, ROC area by reader and on average, and a test.

The formulas are in `statistics.detection`. Confidence is taken from the question that is called like the one on the
origin with "_confidence" behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..statistics.comparisons import TestResult, per_patient, wilcoxon
from ..statistics.detection import MEASURES, Detections, detection
from ..statistics.estimates import Estimate, Interval, Undefined
from .answers import Grid, mean_of
from .blocks import Block, Figure, Table, Text, interval_text, number, reasons
from .differences import refused_test
from .figures import Curve, Point, forest, mean_curve, roc, roc_points
from .plan import Task, Work, asks_origin
from .preferences import tests as choice_tests

NOT_ASKED = 'it must be a choice between options with the ids "real" and "synthetic"'
_LABEL = "{}: accuracy above chance (0.5)"


def found_in(work: Work, task: Task) -> Detections | str:
    """The answers as `Detections`, or why there are none."""
    if not asks_origin(task.question):
        return NOT_ASKED
    grid = work.answers.of(task.question)
    grid = grid.of_arm(*task.arms) if task.arms else grid
    kinds = {arm.id: arm.kind for arm in work.study.arms}
    grid = grid.rows([image.arm in kinds for image in grid.images])
    if not np.isfinite(grid.values).any():
        return "nobody answered about one image at a time"
    place = [option.id for option in task.question.options].index("synthetic")
    said = np.where(np.isnan(grid.values), -1, (grid.values == place).astype(int)).astype(int)
    synthetic = np.array([kinds[image.arm] == "synthetic" for image in grid.images])
    return Detections(synthetic, said, _confidence(work, task, grid), grid.readers, grid.patients)


def _confidence(work: Work, task: Task, grid: Grid) -> np.ndarray | None:
    name = f"{task.question.id}_confidence"
    asked = next((q for q in work.study.questions if q.id == name and q.type in ("vas", "likert", "number")), None)
    if asked is None:
        return None
    sure = work.answers.of(asked)
    place = {image: n for n, image in enumerate(sure.images)}
    made = np.full(grid.values.shape, np.nan)
    for row, image in enumerate(grid.images):
        if image in place:
            made[row] = sure.values[place[image]]
    return made


def tests(work: Work, task: Task) -> list[TestResult]:
    """Each patient's share of correct answers against one half."""
    if task.question.images_are_options:
        return choice_tests(work, task)
    label = _LABEL.format(task.question.id)
    found = found_in(work, task)
    if isinstance(found, str):
        return [refused_test(label, found)]
    if found.synthetic.all() or not found.synthetic.any():
        return [refused_test(label, "there are images of one kind only")]
    right = np.where(found.said < 0, np.nan, found.said == found.synthetic[:, None].astype(int))
    kinds = []
    for kind in (found.synthetic, ~found.synthetic):
        own = per_patient(np.where(kind[:, None], right, np.nan), found.patients)
        kinds.append(mean_of(own.T))
    # Both kinds weigh alike, so that answering "synthetic" throughout is one half right.
    share = (kinds[0] + kinds[1]) / 2
    try:
        return [wilcoxon(share, np.full(len(share), 0.5), label)]
    except Undefined as reason:
        return [refused_test(label, str(reason))]


def blocks(work: Work, task: Task) -> list[Block]:
    """Table of all measures by reader, accuracies as a figure, ROC curves where confidence was asked for."""
    found = found_in(work, task)
    if isinstance(found, str):
        return [Text(f"Detection of synthetic images refused: {found}.", "refused")]
    estimates = _both(found, work)
    for one in estimates:
        work.records.estimate(one, task.role, task.question.id, one.label.rpartition(", ")[2], "real or synthetic")
    made: list[Block] = [_accuracies(work, task, estimates), _table(work, task, found, estimates)]
    asked = [one for one in estimates if found.confidence is not None or one.key != "auc"]
    if found.confidence is None:
        made.append(Text(f"No ROC area: there is no question {task.question.id}_confidence.", "refused"))
    made += [Text(reason, "refused") for reason in reasons(asked, slice(1, None))]
    if found.confidence is not None and 0 < found.synthetic.sum() < len(found.synthetic):
        made.append(_curves(task, found))
    return made


def _both(found: Detections, work: Work) -> list[Estimate]:
    """Every measure; those of the mean reader with a third interval, for readers in general."""
    fixed, general = detection(found, work.settings), detection(found, work.general)
    return [
        replace(one, intervals=(*one.intervals, *other.intervals[1:])) if "mean of" in one.label else one
        for one, other in zip(fixed, general)
    ]


def _of(estimates: Sequence[Estimate], key: str, who: str) -> Estimate | None:
    return next((one for one in estimates if one.key == key and one.label.endswith(f", {who}")), None)


def _who(found: Detections) -> list[tuple[str, str]]:
    mean = [("Mean of the readers", "mean of the readers")] if len(found.readers) > 1 else []
    return [*mean, *((reader, f"reader {reader}") for reader in found.readers)]


def _accuracies(work: Work, task: Task, estimates: Sequence[Estimate]) -> Figure:
    points = []
    people = dict.fromkeys(one.label.partition(", ")[2] for one in estimates if one.key == "accuracy")
    ordered = sorted(people, key=lambda who: who != "mean of the readers")
    for who in ordered:
        one = _of(estimates, "accuracy", who)
        ends = one.intervals[-1] if one is not None and one.intervals else Interval("")
        if one is not None and len(one.intervals) > 1:
            ends = one.intervals[1]
        strong = who == "mean of the readers"
        label = "Mean of the readers" if strong else who.removeprefix("reader ")
        points.append(Point(label, one.value if one else None, ends.low, ends.high, 0 if strong else 1, strong))
    caption = (
        f"Share of correct answers to \u201c{task.question.text}\u201d with {100 * work.settings.level:g}% bootstrap "
        "intervals over patients. Dashed line: guessing."
    )
    title = f"Accuracy: {task.question.text}"
    return Figure(f"detection_{task.question.id}", forest(title, points, "Accuracy", 0.5), caption)


def _table(work: Work, task: Task, found: Detections, estimates: Sequence[Estimate]) -> Table:
    keys = [key for key in MEASURES if key != "auc" or found.confidence is not None]
    names = {
        "accuracy": "Accuracy",
        "hit_rate": "Synthetic called synthetic",
        "correct_rejections": "Real called real",
        "d_prime": "d\u2032",
        "criterion": "Criterion c",
        "auc": "ROC area",
    }
    rows = []
    for label, who in _who(found):
        cells = [_cell(_of(estimates, key, who), 1) for key in keys]
        rows.append([label, str(_answered(found, label)), *cells])
        if who == "mean of the readers":
            rows.append(
                ["Interval for readers in general", "", *(_cell(_of(estimates, key, who), 2, True) for key in keys)]
            )
    n = found.n
    note = (
        f"Value, below it its {100 * work.settings.level:g}% bootstrap interval over patients. {n['answers']} answers "
        f"about {n['synthetic']} synthetic and {n['real']} real images of {n['patients']} patients. d\u2032 and c with "
        "the log-linear correction; c above 0: inclined to say real. In the mean every reader weighs alike, also one "
        "with few answers."
    )
    title = f"Telling synthetic from real: \u201c{task.question.text}\u201d"
    return Table(title, ["Reader", "Answers", *(names[key] for key in keys)], rows, note, words=["Reader"])


def _answered(found: Detections, reader: str) -> int:
    """Answers of a reader, or of all where none is called so."""
    mine = found.said[:, found.readers.index(reader)] if reader in found.readers else found.said
    return int((mine >= 0).sum())


def _cell(one: Estimate | None, which: int, ends_only: bool = False) -> str:
    if one is None or one.value is None:
        return "refused"
    ends = one.intervals[which] if len(one.intervals) > which else None
    text = interval_text(ends)
    if ends_only:
        return text or "refused"
    return f"{number(one.value)}\n{text}" if text else number(one.value)


def _curves(task: Task, found: Detections) -> Figure:
    assert found.confidence is not None
    score = np.where(found.said == 1, found.confidence, -found.confidence)
    usable = (found.said >= 0) & np.isfinite(found.confidence)
    made = []
    for reader in range(len(found.readers)):
        rows = usable[:, reader]
        if found.synthetic[rows].any() and not found.synthetic[rows].all():
            made.append(roc_points(score[rows, reader], found.synthetic[rows]))
    curves = [Curve(f, t, 0) for f, t in made]
    if len(made) > 1:
        curves.append(mean_curve(made, 0))
    caption = (
        f"Empirical ROC curves of \u201c{task.question.text}\u201d from the readers' confidence; positive means "
        "synthetic. Thin: each reader; thick: mean of the readers; dotted: guessing."
    )
    return Figure(f"roc_{task.question.id}", roc(f"ROC: {task.question.text}", curves, ["Synthetic or real"]), caption)
