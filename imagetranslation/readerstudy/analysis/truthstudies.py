"""Studies with truth: areas under ROC curves of every reader and arm, Obuchowski and Rockette's comparison, the next
study's size. The formulas are in `statistics.mrmc`, `roc` and `power`.

The method needs every reader to have rated every case in every arm. Where something is missing, readers and cases are
left out until the rest is complete, always the one that misses the larger share of its ratings, cases first.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ..statistics.bootstrap import MIN_READERS
from ..statistics.comparisons import TestResult
from ..statistics.estimates import Undefined
from ..statistics.mrmc import DESIGNS, SOURCE, Analysis, Comparison, analyse
from ..statistics.power import SOURCE as POWER_SOURCE
from ..statistics.power import table as power_table
from .blocks import Block, Figure, Table, Text, number, p_text
from .differences import refused_test
from .figures import Curve, Point, forest, mean_curve, roc, roc_points
from .plan import Task, Work

COVARIANCES = {"jackknife": "jackknife", "delong": "DeLong"}
USUAL_EFFECT = 0.05
_METHOD = "Obuchowski-Rockette F test, random readers and cases, jackknife covariances"


@dataclass(frozen=True)
class Crossed:
    """A fully crossed part of a study: ratings (arms, readers, cases), truth (cases,), and who was left out."""

    ratings: np.ndarray
    truth: np.ndarray
    arms: tuple[str, ...]
    readers: tuple[str, ...]
    cases: tuple[str, ...]
    patients: int
    without_readers: tuple[str, ...]
    without_cases: tuple[str, ...]


def crossed(work: Work, task: Task) -> Crossed | str:
    """The complete part of the ratings, or why there is none."""
    study = work.study
    grid = work.answers.of(task.question)
    arms = tuple(arm.id for arm in study.arms if arm.id in grid.arms and (not task.arms or arm.id in task.arms))
    cases = [case for case in study.cases if case.truth is not None]
    if not arms or not cases:
        return "no case with known truth was rated for one arm at a time"
    place = {case.id: n for n, case in enumerate(cases)}
    ratings = np.full((len(arms), len(grid.readers), len(cases)), np.nan)
    for image, values in zip(grid.images, grid.values):
        if image.arm in arms and image.case in place:
            ratings[arms.index(image.arm), :, place[image.case]] = values
    readers, kept = _complete(ratings)
    if not len(readers) or not len(kept):
        return "no reader rated any case in every arm"
    truth = np.array([bool(case.truth) for case in cases])
    return Crossed(
        ratings[:, readers][:, :, kept],
        truth[kept],
        arms,
        tuple(grid.readers[n] for n in readers),
        tuple(cases[n].id for n in kept),
        len({cases[n].patient for n in kept}),
        tuple(r for n, r in enumerate(grid.readers) if n not in readers),
        tuple(case.id for n, case in enumerate(cases) if n not in kept),
    )


def _complete(ratings: np.ndarray) -> tuple[list[int], list[int]]:
    """Readers and cases that are left when gaps are taken out; larger shares of missing ratings go first."""
    readers, cases = list(range(ratings.shape[1])), list(range(ratings.shape[2]))
    gone = np.isnan(ratings)
    while readers and cases:
        left = gone[:, readers][:, :, cases]
        if not left.any():
            break
        of_readers, of_cases = left.mean(axis=(0, 2)), left.mean(axis=(0, 1))
        if of_cases.max() >= of_readers.max():
            cases.pop(int(of_cases.argmax()))
        else:
            readers.pop(int(of_readers.argmax()))
    return readers, cases


def tests(work: Work, task: Task) -> list[TestResult]:
    """The global test of all arms, readers and cases random."""
    label = f"{task.question.id}: areas of all arms alike"
    made = crossed(work, task)
    if isinstance(made, str):
        return [refused_test(label, made, _METHOD)]
    try:
        found = _analysed(work, made, "jackknife")
    except Undefined as reason:
        return [refused_test(label, str(reason), _METHOD)]
    design = found.designs[0]
    if design.refused:
        return [refused_test(label, design.refused, _METHOD)]
    n = {"readers": len(found.readers), "cases": found.positives + found.negatives, "arms": len(found.tests)}
    effect = {"difference": design.differences[0].estimate} if len(design.differences) == 1 else {}
    # A continuous distribution: p has no smallest attainable value.
    return [TestResult(label, design.statistic, design.value, design.p, 0.0, n, _METHOD, SOURCE, effect)]


def _analysed(work: Work, made: Crossed, method: str) -> Analysis:
    # Later arms less earlier ones, as everywhere in the report, so the arms are handed over in reverse.
    arms = tuple(work.arm(arm) for arm in reversed(made.arms))
    return analyse(made.ratings[::-1], made.truth, arms, made.readers, method, work.settings.level)


def blocks(work: Work, task: Task) -> list[Block]:
    """Areas, curves, the comparison with both covariances, and the plan of the next study."""
    made = crossed(work, task)
    if isinstance(made, str):
        return [Text(f"Multi-reader multi-case analysis refused: {made}.", "refused")]
    try:
        found = {method: _analysed(work, made, method) for method in COVARIANCES}
    except Undefined as reason:
        return [Text(f"Multi-reader multi-case analysis refused: {reason}.", "refused")]
    for method, one in found.items():
        _record(work, task, one, method)
    first = found["jackknife"]
    said: list[Block] = [Text(_who(made), "note" if not (made.without_readers or made.without_cases) else "")]
    said += [_curves(work, task, made), _areas(first), _gaps(first, found["delong"]), _designs(work, task, found)]
    said += _of_readers(found["delong"])
    said += [Text(f"{d.key} ({COVARIANCES[m]} covariances) refused: {d.refused}.", "refused")
             for m, one in found.items() for d in one.designs if d.refused]  # fmt: skip
    said.append(_plan(work, task, first))
    return said


def _who(made: Crossed) -> str:
    positives = int(made.truth.sum())
    text = (
        f"Fully crossed: {len(made.readers)} readers, {len(made.arms)} arms, {len(made.cases)} cases ({positives} with "
        f"the finding, {len(made.cases) - positives} without)."
    )
    if made.without_readers:
        text += f" Left out because they did not rate every case in every arm: {', '.join(made.without_readers)}."
    if made.without_cases:
        text += f" Cases left out because a rating is missing: {', '.join(made.without_cases)}."
    if made.patients < len(made.cases):
        text += (
            f" The {len(made.cases)} cases come from {made.patients} patients, and the method takes cases as "
            "independent: its intervals are too narrow."
        )
    return text


def _curves(work: Work, task: Task, made: Crossed) -> Figure:
    curves: list[Curve] = []
    for colour in range(len(made.arms)):
        own = [roc_points(made.ratings[colour, reader], made.truth) for reader in range(len(made.readers))]
        curves += [Curve(f, t, colour) for f, t in own]
        curves.append(mean_curve(own, colour))
    caption = (
        f"Empirical ROC curves of \u201c{task.question.text}\u201d. Thin: each reader; thick: mean of the readers in "
        "the direction of sensitivity; dotted: guessing."
    )
    names = [work.arm(arm) for arm in made.arms]
    return Figure(f"roc_{task.question.id}", roc(f"ROC: {task.question.text}", curves, names), caption)


def _areas(found: Analysis) -> Table:
    shown = range(len(found.tests))[::-1]
    rows = [
        [reader, *(f"{number(float(found.auc[i, j]), 3)} ({number(float(found.standard_errors[i, j]), 3)})"
                   for i in shown)]
        for j, reader in enumerate(found.readers)
    ]  # fmt: skip
    rows.insert(0, ["Mean of the readers", *(number(float(found.auc[i].mean()), 3) for i in shown)])
    columns = ["Reader", *found.tests[::-1]]
    return Table("Areas under the ROC curves (standard error)", columns, rows, "Jackknife standard errors.", ["Reader"])


def _gaps(found: Analysis, delong: Analysis) -> Figure:
    points = []
    for design in found.designs:
        for gap in design.differences:
            label = f"{design.key}: {gap.first} \u2212 {gap.second}"
            points.append(Point(label, gap.estimate, gap.low, gap.high, 0, design.key == "RRRC"))
    for reader, own in delong.of_readers:
        if isinstance(own, Comparison):
            name = reader if len(found.tests) == 2 else f"{reader}: {own.first} \u2212 {own.second}"
            points.append(Point(name, own.estimate, own.low, own.high, 1))
    designs = "; ".join(f"{key}, {text}" for key, text in DESIGNS.items())
    caption = (
        f"Differences of areas with {100 * found.level:g}% intervals, jackknife covariances. {designs}. Below: each "
        "reader (DeLong). Dashed line: no difference."
    )
    if not points:
        points = [Point("No difference can be had", None, None, None)]
    return Figure("mrmc_differences", forest("Differences of areas", points, "Difference of areas", 0.0), caption)


def _designs(work: Work, task: Task, found: dict[str, Analysis]) -> Table:
    rows = []
    for method, one in found.items():
        name = COVARIANCES[method]
        for design in one.designs:
            if design.refused:
                rows.append([f"{design.key}, {name}", "refused", "", "", "", "", ""])
                continue
            degrees = f"{design.df1:g}" if design.df2 is None else f"{design.df1:g}, {number(design.df2, 1)}"
            gaps = design.differences or (None,)
            for place, gap in enumerate(gaps):
                head = [f"{design.key}, {name}", f"{design.statistic} {number(design.value)} ({degrees} df)",
                        p_text(design.p)] if not place else ["", "", ""]  # fmt: skip
                tail = ["", "", "", ""] if gap is None else _gap_cells(gap)
                rows.append([*head, *tail])
    level = f"{100 * work.settings.level:g}%"
    columns = ["Design, covariances", "All arms alike", "p", "Difference", "Estimate", f"{level} interval",
               "p of the difference"]  # fmt: skip
    names = "; ".join(f"{key}: {text}" for key, text in DESIGNS.items())
    note = (
        f"{names}. Degrees of freedom after Hillis. p-values have no smallest attainable value (continuous "
        f"distributions); those of differences and of single readers are not corrected for their number. {SOURCE}."
    )
    title = f"Multi-reader multi-case analysis of \u201c{task.question.text}\u201d"
    return Table(title, columns, rows, note, [columns[0], columns[3]])


def _of_readers(delong: Analysis) -> list[Block]:
    """DeLong's test of the arms for each reader alone."""
    rows, why = [], []
    for reader, own in delong.of_readers:
        if isinstance(own, str):
            rows.append([reader, "", "refused", "", ""])
            why.append(Text(f"DeLong's test of reader {reader} refused: {own}.", "refused"))
        else:
            rows.append([reader, *_gap_cells(own)])
    if not rows:
        return []
    columns = ["Reader", "Difference", "Estimate", f"{100 * delong.level:g}% interval", "p"]
    note = (
        "For these readers one by one, cases random; p-values are not corrected for the number of readers (normal "
        "distribution, no smallest attainable p). DeLong, DeLong and Clarke-Pearson, Biometrics 1988, 44:837-845."
    )
    return [Table("DeLong's test for each reader", columns, rows, note, columns[:2]), *why]


def _gap_cells(gap: Comparison) -> list[str]:
    ends = f"{number(gap.low, 3)} to {number(gap.high, 3)}"
    return [f"{gap.first} \u2212 {gap.second}", number(gap.estimate, 3), ends, p_text(gap.p)]


def _plan(work: Work, task: Task, found: Analysis) -> Block:
    effect = task.margin or USUAL_EFFECT
    if found.components is None:
        return Text(
            f"Next study: it cannot be planned from fewer than {MIN_READERS} readers or from one arm.", "refused"
        )
    try:
        made = power_table(found.components, found.positives + found.negatives, effect, alpha=work.study.alpha)
    except Undefined as reason:
        return Text(f"Next study refused: {reason}.", "refused")
    cases, readers = sorted({row.cases for row in made}), sorted({row.readers for row in made})
    powers = {(row.readers, row.cases): row.power for row in made}
    for row in made:
        work.records.add("next_study", question=task.question.id, **asdict(row), source=POWER_SOURCE)
    rows = [[str(r), *(number(powers[r, c]) for c in cases)] for r in readers]
    origin = "the margin in study.json" if task.margin else "our choice; a margin in study.json replaces it"
    note = (
        f"Readers and cases random, alpha {work.study.alpha:g}, the same share of cases with the finding as here, "
        f"variance components of this study (jackknife). The difference is {origin}. {POWER_SOURCE}."
    )
    title = f"The next study: power to find a difference of {effect:g} between two arms"
    return Table(title, ["Readers", *(f"{count} cases" for count in cases)], rows, note, ["Readers"])


def _record(work: Work, task: Task, found: Analysis, method: str) -> None:
    common = {"role": task.role, "question": task.question.id, "covariance": method}
    told = found.as_dict()
    for row in told["areas"]:
        work.records.add("mrmc_areas", **common, arm=row["test"], reader=row["reader"], auc=row["auc"], se=row["se"])
    for design in found.designs:
        for gap in design.differences:
            work.records.add("mrmc", **common, design=design.key, **asdict(gap), global_p=design.p, level=found.level)
        if design.refused:
            work.records.add("mrmc", **common, design=design.key, refused=design.refused)
    for reader, own in found.of_readers:
        more = {"refused": own} if isinstance(own, str) else asdict(own)
        work.records.add("mrmc", **common, design=f"reader {reader}", level=found.level, **more)
