"""Arms compared on one question: paired tests on patients, mean differences with intervals, the cumulative-link model.

The unit of a test is the patient: differences within reader and case are averaged over each patient's cases and
readers first. The formulas are in `statistics.comparisons`, `bootstrap` and `ordinal`.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ..statistics.bootstrap import Sample, Statistic, bootstrap, value_of
from ..statistics.comparisons import TestResult, friedman, per_patient, wilcoxon
from ..statistics.estimates import Estimate, Interval, Undefined, refusal
from ..statistics.ordinal import SOURCE as MODEL_SOURCE
from ..statistics.ordinal import Coefficient, OrdinalFit, answer_model, wald
from .answers import SCORES, Grid, mean_of
from .blocks import Block, Figure, Table, Text, interval_text, number, p_text, reasons
from .figures import Point, forest
from .plan import Task, Work

NEEDS_SCORES = "its answers are no scores, so a difference of them means nothing"
_METHOD = "mean of second less first over all readers and cases with an answer to both"


def arms_of(task: Task, grid: Grid) -> tuple[str, ...]:
    """The arms that are compared, in the study's order."""
    return tuple(arm for arm in grid.arms if not task.arms or arm in task.arms)


def tests(work: Work, task: Task) -> list[TestResult]:
    """Every test of a comparison of arms; what cannot be had is in the list, refused, so that Holm counts it."""
    grid = work.answers.of(task.question)
    arms = arms_of(task, grid)
    if task.question.type not in (*SCORES, "ranking"):
        return [refused_test(task.question.id, NEEDS_SCORES)]
    if len(arms) < 2:
        return [refused_test(task.question.id, "there is one arm only, and a comparison needs two")]
    made = []
    if len(arms) > 2:
        made.append(_all_arms(work, task, grid, arms))
    for first, second in combinations(arms, 2):
        one, other, patients = grid.paired(first, second)
        label = f"{task.question.id}: {work.arm(second)} \u2212 {work.arm(first)}"
        try:
            names = np.array(patients, dtype=str)
            made.append(wilcoxon(patient_means(other, names), patient_means(one, names), label))
        except Undefined as reason:
            made.append(refused_test(label, str(reason)))
    return made


def refused_test(label: str, reason: str, method: str = "Wilcoxon signed rank") -> TestResult:
    """A test of the family that cannot be had; it counts in the family all the same."""
    return TestResult(label, "", None, None, 1.0, {}, method, "", refused=reason)


def _all_arms(work: Work, task: Task, grid: Grid, arms: tuple[str, ...]) -> TestResult:
    label = f"{task.question.id}: all {len(arms)} arms alike"
    cases = {image.case: image.patient for image in grid.images}
    table = np.full((len(cases), len(arms)), np.nan)
    for place, case in enumerate(cases):
        # Only readers who answered for every arm of the case, so that arms are not compared across readers.
        rows = [grid.values[[n for n, i in enumerate(grid.images) if (i.case, i.arm) == (case, arm)]] for arm in arms]
        if all(len(row) for row in rows):
            means = np.stack([mean_of(row) for row in rows])
            complete = np.isfinite(means).all(axis=0)
            if complete.any():
                table[place] = means[:, complete].mean(axis=1)
    try:
        return friedman(per_patient(table, np.array(list(cases.values()), dtype=str)), label)
    except Undefined as reason:
        return refused_test(label, str(reason), "Friedman")


def patient_means(values: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Values (cases, readers) averaged within readers, then over them -> (patients,), NaN where there is none."""
    if not len(values):
        return np.zeros(0)
    return mean_of(per_patient(values, patients).T)


def mean_difference(work: Work, grid: Grid, first: str, second: str) -> Estimate:
    """Mean of second less first with two intervals: for these readers, and for readers like them."""
    one, other, patients = grid.paired(first, second)
    gap = other - one
    kept = np.isfinite(gap).any(axis=1)
    readers = np.isfinite(gap).any(axis=0)
    gap = gap[kept][:, readers]
    label = f"{work.arm(second)} \u2212 {work.arm(first)}"
    codes = np.unique(np.array(patients, dtype=str)[kept], return_inverse=True)[1].reshape(-1)
    sample = Sample(codes, int(readers.sum()))
    n = {"patients": sample.size, "readers": sample.readers, "answers": int(np.isfinite(gap).sum())}
    if not gap.size:
        why = "no reader answered for both arms of one case, so there are no pairs"
        return refusal("mean_difference", label, n, _METHOD, "", why)
    statistic = weighted_mean(gap)
    value = value_of(statistic, sample, "there are no pairs")
    intervals = tuple(bootstrap(statistic, sample, s, value=value) for s in (work.settings, work.general))
    return Estimate("mean_difference", label, value, n, _METHOD, "", intervals)


def weighted_mean(values: np.ndarray) -> Statistic:
    """Mean of values (rows, readers) without NaN, as a function of the weights of rows and readers."""
    present = np.isfinite(values).astype(float)
    filled = np.where(present > 0, values, 0.0)

    def statistic(cases: np.ndarray, readers: np.ndarray) -> np.ndarray:
        total = ((cases @ filled) * readers).sum(axis=1)
        return np.asarray(total / ((cases @ present) * readers).sum(axis=1))

    return statistic


def blocks(work: Work, task: Task, tested: list[TestResult]) -> list[Block]:
    """Table and figure of a comparison, its tests after Holm's correction, the margin, and the model."""
    made: list[Block] = []
    grid = work.answers.of(task.question)
    arms = arms_of(task, grid)
    if task.question.type in SCORES and len(arms) > 1:
        found = [mean_difference(work, grid, a, b) for a, b in combinations(arms, 2)]
        for one in found:
            work.records.estimate(one, task.role, task.question.id, "all readers")
        made += _difference_blocks(work, task, grid, arms, found)
    if task.question.type in ("likert", "yes_no") and len(arms) > 1:
        made += _model(work, task, grid.of_arm(*arms))
    return made


def _difference_blocks(work: Work, task: Task, grid: Grid, arms: tuple[str, ...], found: list[Estimate]) -> list[Block]:
    level = f"{100 * work.settings.level:g}%"
    intervals = [f"{level} interval, these readers", f"{level} interval, readers in general"]
    columns = ["Difference of means", "Mean", *intervals, "Patients", "Readers", "Pairs"]
    rows = []
    for one in found:
        ends = [interval_text(one.intervals[n]) if len(one.intervals) > n else "refused" for n in (0, 1)]
        value = "refused" if one.value is None else number(one.value)
        rows.append([one.label, value, *ends, *(str(one.n[name]) for name in ("patients", "readers", "answers"))])
    note = (
        "Differences within reader and case, averaged. Intervals: bootstrap over patients with all their images (bias-"
        "corrected and accelerated), and over patients and readers (percentile)."
    )
    made: list[Block] = [Table(f"Differences in \u201c{task.question.text}\u201d", columns, rows, note, columns[:1])]
    made += [Text(reason, "refused") for reason in reasons(found)]
    if task.margin is not None:
        made += [Text(_margin(one, task.margin, level)) for one in found if one.value is not None]
    if task.hypothesis:
        made.append(_by_reader(work, task, grid, arms, found))
    return made


def _margin(one: Estimate, margin: float, level: str) -> str:
    interval: Interval = one.intervals[0]
    if interval.low is None or interval.high is None:
        return f"{one.label}: the margin of {margin:g} cannot be judged without an interval."
    if -margin < interval.low and interval.high < margin:
        said = f"lies within \u00b1{margin:g}: equivalent by this margin"
    elif interval.low > -margin:
        said = f"lies above \u2212{margin:g}: not inferior by this margin"
    else:
        said = f"reaches beyond \u2212{margin:g}: neither equivalence nor non-inferiority is shown"
    return f"{one.label}: the {level} interval for these readers {said}."


def _by_reader(work: Work, task: Task, grid: Grid, arms: tuple[str, ...], found: list[Estimate]) -> Figure:
    points = []
    alone_here = len(found) == 1
    for colour, ((first, second), one) in enumerate(zip(combinations(arms, 2), found)):
        ends = one.intervals[0] if one.intervals else Interval("")
        points.append(Point("All readers" if alone_here else one.label, one.value, ends.low, ends.high, colour, True))
        for place, reader in enumerate(grid.readers):
            own = Grid(grid.question, grid.values[:, [place]], grid.images, (reader,))
            alone = mean_difference(work, own, first, second)
            work.records.estimate(alone, task.role, task.question.id, f"reader {reader}")
            ends = alone.intervals[0] if alone.intervals else Interval("")
            points.append(Point(reader, alone.value, ends.low, ends.high, colour))
    title = f"Differences by reader: {task.question.text}"
    caption = (
        f"Mean differences in \u201c{task.question.text}\u201d for all readers together and for each reader, with "
        f"{100 * work.settings.level:g}% bootstrap intervals over patients. Dashed line: no difference."
    )
    axis = f"{found[0].label} (points of the scale)" if alone_here else "Difference of means (points of the scale)"
    return Figure(f"differences_{task.role}_{task.question.id}", forest(title, points, axis, 0.0), caption)


def _model(work: Work, task: Task, grid: Grid) -> list[Block]:
    """Readers as fixed effects, patients as random ones; where that cannot be had, what can be said of arms without."""
    title = f"Cumulative-link model of \u201c{task.question.text}\u201d"
    said: list[Block] = []
    for what, part in _models(grid):
        try:
            return [*said, *_model_table(work, task, grid, part, f"{title}{what}")]
        except Undefined as reason:
            said.append(Text(f"{title}{what} refused: {reason}.", "refused"))
    return [*said, *(Text(_directions(work, grid, a, b)) for a, b in combinations(arms_of(task, grid), 2))]


def _models(grid: Grid) -> list[tuple[str, tuple[np.ndarray, list[str]]]]:
    """What to try, one after the other: words for the title, which answers (cases, readers), and whose effect each is.

    A reader who gives one category throughout has an infinite effect, which takes the whole model with it, and says
    nothing about arms; without such readers the effect of arms can be had all the same.
    """
    given = np.isfinite(grid.values)
    names = list(grid.readers)
    flat = [len(np.unique(grid.values[given[:, n], n])) == 1 for n in range(len(names))]
    made = [("", (given, names))]
    if any(flat) and not all(flat):
        those = ", ".join(name for name, one in zip(names, flat) if one)
        made.append((f" without {those} (one answer throughout)", (given & ~np.array(flat), names)))
    shown = np.array([given[[image.arm == arm for image in grid.images]].any(axis=0) for arm in grid.arms])
    # Only where everybody saw every arm: otherwise a difference of readers would pass for one of arms.
    if len(names) > 1 and (shown.all(axis=0) | ~given.any(axis=0)).all():
        made.append((", readers taken as alike", (given, ["all readers"] * len(names))))
    return made


def _directions(work: Work, grid: Grid, first: str, second: str) -> str:
    """How often the second arm got the higher answer within reader and case: counts need no model."""
    one, other, _ = grid.paired(first, second)
    gaps = (other - one)[np.isfinite(other - one)]
    higher, equal = int((gaps > 0).sum()), int((gaps == 0).sum())
    return (
        f"Without a model: of {len(gaps)} pairs of answers by one reader to one case, {work.arm(second)} got the "
        f"higher one in {higher}, the same in {equal} and the lower one in {len(gaps) - higher - equal}, compared with "
        f"{work.arm(first)}."
    )


def _model_table(work: Work, task: Task, grid: Grid, part: tuple[np.ndarray, list[str]], title: str) -> list[Block]:
    """The table of one model; Undefined where it cannot be had."""
    arms = arms_of(task, grid)
    used, effects = part
    rows, columns = np.nonzero(used)
    codes = grid.values[rows, columns].astype(int)
    labels = [grid.images[n].arm for n in rows]
    patients = [grid.images[n].patient for n in rows]
    readers = [effects[n] for n in columns]
    found = answer_model(codes, labels, readers, patients, reference=arms[0], level=work.settings.level)
    value, degrees, of_patients, p = wald(found, "arm ")
    _record_model(work, task, found)
    level = f"{100 * work.settings.level:g}%"
    lines = [_model_row(work, one) for one in found.coefficients]
    sigma = "0" if found.sigma is None else number(found.sigma)
    low, high = found.sigma_interval or (None, None)
    ends = "" if low is None or high is None else f"{number(low)} to {number(high)}"
    if len(set(readers)) > 1:
        others = sum(one.estimate for one in found.coefficients if one.name.startswith("reader "))
        rest = f"Reader {max(readers)} (minus the sum of the others)"
        lines.append([rest, number(float(np.exp(-others))), number(-others), "", "", ""])
    lines.append(["Standard deviation of patients (log odds)", "", sigma, "", ends, ""])
    note = (
        f"{found.n['answers']} answers of {found.n.get('groups', 0)} patients; {found.method}. Reference: "
        f"{work.arm(arms[0])}; {_reader_note(readers)}. An odds ratio above 1 means higher answers. All arms "
        f"alike: F {number(value)} on {degrees} and {of_patients} df, p {p_text(p)} (continuous, no smallest "
        f"attainable p; not part of Holm's family). It speaks of these readers and of patients like these"
        f"{_image_note(readers)}. "
        f"{MODEL_SOURCE}."
    )
    if found.notes:
        note += f" Note: {'; '.join(found.notes)}."
    header = ["Effect", "Odds ratio", "Log odds", "SE", f"{level} interval (log odds)", "p"]
    return [Table(title, header, lines, note, header[:1])]


def _image_note(readers: list[str]) -> str:
    """How the model takes it that several readers judge one image, whose answers then belong together."""
    if len(set(readers)) < 2:
        return ""
    return (
        "; single images have no effect of their own, but standard errors are taken over patients, so that an image "
        "which all readers like less counts once"
    )


def _reader_note(readers: list[str]) -> str:
    if len(set(readers)) > 1:
        return "readers against the mean reader"
    return "no effect of readers, whose differences make the effect of arms look smaller than it is"


def _model_row(work: Work, one: Coefficient) -> list[str]:
    kind, name = one.name.split(" ", 1)
    shown = f"Arm: {work.arm(name)}" if kind == "arm" else f"Reader {name}"
    ends = f"{number(one.low)} to {number(one.high)}"
    return [shown, number(one.odds_ratio), number(one.estimate), number(one.standard_error), ends, p_text(one.p)]


def _record_model(work: Work, task: Task, found: OrdinalFit) -> None:
    for one in found.coefficients:
        work.records.add(
            "models", role=task.role, question=task.question.id, effect=one.name, log_odds=one.estimate,
            standard_error=one.standard_error, low=one.low, high=one.high, level=found.level, z=one.z, p=one.p,
            odds_ratio=one.odds_ratio, n_answers=found.n["answers"], n_patients=found.n.get("groups"),
            method=found.method, source=MODEL_SOURCE,
        )  # fmt: skip
