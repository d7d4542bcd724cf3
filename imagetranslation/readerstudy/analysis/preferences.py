"""Forced choices and rankings of the images of one trial: how often an arm was chosen, mean ranks, and their tests."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ..statistics.bootstrap import Sample, bootstrap, value_of
from ..statistics.comparisons import TestResult, wilcoxon
from ..statistics.estimates import Estimate, Undefined, refusal
from .answers import Grid
from .blocks import Block, Table, Text, interval_text, number, reasons
from .differences import patient_means, refused_test, weighted_mean
from .differences import tests as difference_tests
from .plan import Task, Work

NO_PREFERENCE = "its options are not the images of the trial"
_METHOD = "share of all choices between the two arms"


def tests(work: Work, task: Task) -> list[TestResult]:
    """Rankings: as differences of ranks. Choices: each patient's share of choices of an arm against one half."""
    question = task.question
    if not question.images_are_options:
        return [refused_test(question.id, NO_PREFERENCE)]
    if question.type == "ranking":
        return difference_tests(work, task)
    made = []
    for first, second in _pairs(work, task):
        label = f"{question.id}: {work.arm(second)} chosen over {work.arm(first)}"
        grid = _between(work.answers.of(question), first, second)
        names = np.array([image.patient for image in grid.images], dtype=str)
        share = patient_means(grid.values, names)
        try:
            made.append(wilcoxon(share, np.full(len(share), 0.5), label))
        except Undefined as reason:
            made.append(refused_test(label, str(reason)))
    return made or [refused_test(question.id, "no two arms were shown together")]


def _pairs(work: Work, task: Task) -> list[tuple[str, str]]:
    order = [arm.id for arm in work.study.arms if not task.arms or arm.id in task.arms]
    shown = {frozenset(arms) for arms in work.study.treatments}
    return [pair for pair in combinations(order, 2) if any(set(pair) <= arms for arms in shown)]


def _between(grid: Grid, first: str, second: str) -> Grid:
    """Rows of `second` where it stood beside `first`: 1 chosen, 0 not, NaN where neither of the two was chosen."""
    context = " with ".join(sorted((first, second)))
    rows = [i.arm == second and i.context in ("", context) for i in grid.images]
    own = grid.rows(rows)
    place = {(i.case, i.context): n for n, i in enumerate(grid.images) if i.arm == first}
    other = np.array([grid.values[place[i.case, i.context]] for i in own.images]).reshape(own.values.shape)
    values = np.where(own.values + other == 1, own.values, np.nan)
    return Grid(grid.question, values, own.images, grid.readers)


def blocks(work: Work, task: Task) -> list[Block]:
    """How often each arm was chosen over each other, or the mean ranks."""
    question = task.question
    if not question.images_are_options:
        return [Text(f"Preference refused: {NO_PREFERENCE}.", "refused")]
    grid = work.answers.of(question)
    if not grid.arms:
        return [Text("Preference refused: nobody answered.", "refused")]
    if question.type == "ranking":
        found = [_mean(work, grid.of_arm(arm), work.arm(arm), "mean_rank", "mean rank, 1 is best") for arm in grid.arms]
        title, what = f"Mean ranks of \u201c{question.text}\u201d", "Mean rank"
    else:
        found = []
        for first, second in _pairs(work, task):
            label = f"{work.arm(second)} over {work.arm(first)}"
            found.append(_mean(work, _between(grid, first, second), label, "preference", _METHOD))
        title, what = f"Choices in \u201c{question.text}\u201d", "Share"
    for one in found:
        work.records.estimate(one, task.role, question.id, "all readers")
    level = f"{100 * work.settings.level:g}%"
    columns = ["Arm" if question.type == "ranking" else "Chosen", what, f"{level} interval, these readers",
               f"{level} interval, readers in general", "Patients", "Answers"]  # fmt: skip
    rows = [
        [one.label, "refused" if one.value is None else number(one.value),
         *(interval_text(one.intervals[n]) if len(one.intervals) > n else "refused" for n in (0, 1)),
         str(one.n["patients"]), str(one.n["answers"])]
        for one in found
    ]  # fmt: skip
    note = "Bootstrap over patients with all their images, and over readers too. Without preference a share is 0.50."
    return [Table(title, columns, rows, note, columns[:1]), *(Text(r, "refused") for r in reasons(found))]


def _mean(work: Work, grid: Grid, label: str, key: str, method: str) -> Estimate:
    kept = np.isfinite(grid.values).any(axis=1)
    readers = np.isfinite(grid.values).any(axis=0)
    values = grid.values[kept][:, readers]
    patients = np.unique(grid.patients[kept], return_inverse=True)[1].reshape(-1)
    sample = Sample(patients, int(readers.sum()))
    n = {"patients": sample.size, "readers": sample.readers, "answers": int(np.isfinite(values).sum())}
    if not values.size:
        return refusal(key, label, n, method, "", "nobody answered")
    statistic = weighted_mean(values)
    value = value_of(statistic, sample, "nobody answered")
    ends = tuple(bootstrap(statistic, sample, s, value=value) for s in (work.settings, work.general))
    return Estimate(key, label, value, n, method, "", ends)
