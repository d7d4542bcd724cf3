"""Agreement between readers on one question, and of each reader with themselves in hidden repeats.

All coefficients come from `statistics.agreement`; which of them mean something for a kind of question is said here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...errors import InputError
from ..questions import Question, steps
from ..statistics.agreement import MIN_REPEATS, agreement, intra_reader
from ..statistics.bootstrap import Resampling
from ..statistics.estimates import Estimate, Interval
from ..statistics.ratings import Ratings, make_ratings
from .answers import Grid
from .blocks import Block, Figure, More, Table, Text, interval_text, number, reasons
from .figures import Point, forest
from .plan import Task, Work

# The coefficient that stands for a kind of scale where one is wanted: it uses every answer, also incomplete cases.
HEADLINE = {"names": "krippendorff_nominal", "order": "krippendorff_ordinal", "numbers": "icc_a_1"}
_SHOWN = {
    "names": ("percent_agreement", "cohen_unweighted", "fleiss", "krippendorff_nominal", "gwet_ac1"),
    "order": ("percent_agreement", "cohen_quadratic", "krippendorff_ordinal", "gwet_ac2_quadratic", "icc_a_1",
              "kendall_w"),
    "numbers": ("krippendorff_interval", "icc_a_1", "icc_c_1", "icc_a_k", "kendall_w"),
}  # fmt: skip
# For answers on a continuous scale exact agreement is no sensible question.
_CONTINUOUS = ("krippendorff_interval", "icc_1_1", "icc_a_1", "icc_c_1", "icc_1_k", "icc_a_k",
               "icc_c_k", "kendall_w")  # fmt: skip
# Resampling readers with so many different answers takes minutes; the ICC has the same claim at once.
_MANY_CATEGORIES = 200
_SLOW = f"it is not resampled over readers with more than {_MANY_CATEGORIES} different answers; see the ICC"


def scale_of(question: Question) -> str:
    """ "names", "order" or "numbers"."""
    if question.type in ("vas", "number"):
        return "numbers"
    return "order" if question.type == "likert" else "names"


def ratings_of(grid: Grid) -> Ratings | None:
    """The grid as ratings on the declared scale; None where nobody answered."""
    question = grid.question
    cells = [[None if np.isnan(v) else float(v) for v in row] for row in grid.values]
    declared: Sequence[float] | None = None
    if question.type == "likert":
        declared = steps(question)
    elif question.type == "yes_no":
        declared = (0, 1)
    elif question.type == "choice" and not question.images_are_options:
        declared = range(len(question.options))
    try:
        made = make_ratings(
            cells,
            categories=None if declared is None else [float(step) for step in declared],
            cases=[f"{image.case}, {image.arm}" for image in grid.images],
            raters=grid.readers,
            patients=[image.patient for image in grid.images],
        )
    except InputError:
        return None
    if question.type == "choice":
        return replace(made, scores=None, ordered=False, labels=tuple(option.id for option in question.options))
    return made


def blocks(work: Work, task: Task) -> list[Block]:
    """Coefficients for the arms together and for each, all of them folded away below, and hidden repeats."""
    grid = work.answers.of(task.question)
    if task.arms:
        grid = grid.of_arm(*task.arms)
    table = ratings_of(grid)
    if table is None:
        return [Text("Agreement refused: nobody answered.", "refused")]
    made = _between(work, task, grid, table)
    return [*made, *_within(work, task)]


def _between(work: Work, task: Task, grid: Grid, table: Ratings) -> list[Block]:
    scale = scale_of(task.question)
    wanted = _CONTINUOUS if scale == "numbers" else None
    everything = _both(table, work.settings, work.general, wanted)
    _record(work, task, everything, "all arms" if len(grid.arms) > 1 else grid.arms[0])
    level = f"{100 * work.settings.level:g}%"
    columns = ["Coefficient", "Value", f"{level} analytic", f"{level} bootstrap, these readers",
               f"{level} bootstrap, readers in general"]  # fmt: skip
    shown = [one for one in everything if one.key in _SHOWN[scale]]
    n = table.n
    title = f"Agreement between readers on \u201c{task.question.text}\u201d"
    note = f"{n['cases']} images of {n['patients']} patients, {n['raters']} readers, {n['ratings']} answers."
    if len(grid.arms) > 1:
        note += " All arms together; readers who agree that arms differ agree. Arms alone: see the figure."
    made: list[Block] = [Table(title, columns, [_row(one) for one in shown], note, columns[:1])]
    if fewer := [one for one in shown if one.n.get("cases", n["cases"]) < n["cases"]]:
        names = ", ".join(one.label for one in fewer)
        made.append(Text(f"{names}: from the {fewer[0].n['cases']} images that every reader rated.", "note"))
    made += [Text(reason, "refused") for reason in reasons(shown)]
    rest = [one for one in everything if one not in shown]
    if rest:
        more: list[Block] = [Table("The other coefficients", columns, [_row(one) for one in rest], words=columns[:1])]
        more += [Text(reason, "refused") for reason in reasons(rest)]
        made.append(More("All coefficients", more))
    if len(grid.arms) > 1:
        made.insert(0, _by_arm(work, task, grid, everything, HEADLINE[scale], wanted))
    return made


def _both(table: Ratings, fixed: Resampling, general: Resampling, wanted: Sequence[str] | None) -> list[Estimate]:
    """Every coefficient with three intervals: analytic, bootstrap over patients, bootstrap over readers too."""
    found = agreement(table, fixed, wanted)
    slow = [one.key for one in found if one.key.startswith("kripp") and len(table.labels) > _MANY_CATEGORIES]
    quick = [one.key for one in found if one.key not in slow]
    resampled = {one.key: one.intervals[-1:] for one in agreement(table, general, quick)}
    skipped = Interval("bootstrap over patients and readers", general.level, refused=_SLOW)
    return [replace(one, intervals=(*one.intervals, *resampled.get(one.key, (skipped,)))) for one in found]


def _by_arm(
    work: Work, task: Task, grid: Grid, everything: list[Estimate], key: str, wanted: Sequence[str] | None
) -> Figure:
    points = []
    together = next(one for one in everything if one.key == key)
    points.append(_point("All arms", together, 0, True))
    for colour, arm in enumerate(grid.arms, 1):
        table = ratings_of(grid.of_arm(arm))
        if table is None:
            continue
        found = agreement(table, work.settings, wanted)
        _record(work, task, found, arm)
        points.append(_point(work.arm(arm), next(one for one in found if one.key == key), colour))
    caption = (
        f"{together.label} of \u201c{task.question.text}\u201d, all arms together and each alone, with "
        f"{100 * work.settings.level:g}% bootstrap intervals over patients. 1 is perfect agreement, 0 that of chance."
    )
    title = f"Agreement: {task.question.text}"
    return Figure(f"agreement_{task.question.id}", forest(title, points, together.label, 0.0), caption)


def _point(label: str, one: Estimate, colour: int, strong: bool = False) -> Point:
    ends = _resampled(one)
    return Point(label, one.value, ends.low, ends.high, colour, strong)


def _resampled(one: Estimate) -> Interval:
    return one.intervals[1] if len(one.intervals) > 1 else Interval("", refused="refused")


def _row(one: Estimate) -> list[str]:
    ends = [*one.intervals, *[None] * 3][:3]
    value = "refused" if one.value is None else number(one.value)
    return [one.label, value, *("" if one.refused else interval_text(end) for end in ends)]


def _record(work: Work, task: Task, found: Sequence[Estimate], subset: str) -> None:
    for one in found:
        work.records.estimate(one, task.role, task.question.id, subset, "agreement between readers")


def _within(work: Work, task: Task) -> list[Block]:
    """Each reader's first reading against the hidden repeat of the same image."""
    first, again = work.answers.of(task.question), work.answers.repeats_of(task.question)
    scale = scale_of(task.question)
    keys = _SHOWN[scale][:4]
    wanted = _CONTINUOUS if scale == "numbers" else None
    rows: list[list[str]] = []
    labels: dict[str, str] = {}
    refused: dict[str, list[str]] = {}
    for column, reader in enumerate(again.readers):
        table = _read_twice(first, again, column)
        if table is None:
            rows.append([reader, "0", *["refused"] * len(keys)])
            continue
        found = {one.key: one for one in intra_reader(table, work.settings, wanted)}
        for one in found.values():
            work.records.estimate(one, task.role, task.question.id, f"reader {reader}", "agreement with oneself")
        labels.update({key: found[key].label for key in keys})
        rows.append([reader, str(len(table.cases)), *(_cell(found[key]) for key in keys)])
        for reason in dict.fromkeys(found[key].refused or _resampled(found[key]).refused for key in keys):
            if reason:
                refused.setdefault(reason, []).append(reader)
    if not labels:
        return [Text("Agreement of readers with themselves: no hidden repeat was read.", "note")]
    title = f"Agreement of readers with themselves on \u201c{task.question.text}\u201d (hidden repeats)"
    columns = ["Reader", "Repeats", *(labels[key] for key in keys)]
    note = (
        f"Value, below it its {100 * work.settings.level:g}% bootstrap interval over patients; refused below "
        f"{MIN_REPEATS} images that were read twice."
    )
    why = [Text(f"Refused for {', '.join(names)}: {reason}.", "refused") for reason, names in refused.items()]
    return [Table(title, columns, rows, note, words=["Reader"]), *why]


def _read_twice(first: Grid, again: Grid, column: int) -> Ratings | None:
    """One reader's images with an answer both times, as two raters; None where there is none."""
    place = {image: n for n, image in enumerate(first.images)}
    pairs = [
        (image, first.values[place[image], column], again.values[n, column])
        for n, image in enumerate(again.images)
        if image in place and np.isfinite([first.values[place[image], column], again.values[n, column]]).all()
    ]
    values = np.array([[a, b] for _, a, b in pairs]).reshape(-1, 2)
    grid = Grid(first.question, values, tuple(image for image, _, _ in pairs), ("first", "repeat"))
    return ratings_of(grid) if len(values) else None


def _cell(one: Estimate) -> str:
    if one.value is None:
        return "refused"
    ends = _resampled(one)
    return number(one.value) if ends.refused else f"{number(one.value)}\n{interval_text(ends)}"
