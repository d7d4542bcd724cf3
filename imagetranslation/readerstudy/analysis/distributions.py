"""How the answers to one question are distributed: the stacked figure, medians by reader, comments as they stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..questions import Question, steps
from .answers import Grid
from .blocks import Block, Figure, More, Table, Text, number
from .figures import Bar, Box, boxes, stacked
from .plan import Work
from .svg import named_colours, scale_colours

ALL = "All readers"
CANNOT = "Cannot assess"
_CANNOT_COLOUR = "#6e6e6e"
_MOST_COMMENTS = 500

# Names of the categories, and which one each value belongs to.
Scale = tuple[list[str], list[str], Callable[[np.ndarray], np.ndarray]]


def describe(work: Work, question: Question) -> list[Block]:
    """What was answered, before anything is tested."""
    if question.type == "text":
        return _comments(work, question)
    if question.type == "multi_choice" and not question.images_are_options:
        return _options(work, question)
    grid = work.answers.of(question)
    if not np.isfinite(grid.values).any():
        return [Text(f"Nobody answered \u201c{question.text}\u201d with anything that can be counted.", "note")]
    made: list[Block] = []
    if question.type == "number":
        made.append(_spread(work, grid))
    else:
        made.append(_distribution(work, grid))
    if question.type in ("likert", "vas", "number", "ranking", "place", "roi"):
        made.append(_medians(work, grid))
    elif question.type == "yes_no":
        made.append(_shares(work, grid))
    if question.show_if is not None:
        made.append(Text(_conditional(work, grid), "note"))
    return made


def _conditional(work: Work, grid: Grid) -> str:
    condition = grid.question.show_if
    asked = len(work.answers.asked(grid.question))
    of = len({(row["reader"], row["token"], row["slot"]) for row in work.answers.scored})
    depends = condition.question if condition else ""
    return (
        f"Asked only after certain answers to \u201c{depends}\u201d: {asked} of {of} times. Arms are compared here "
        "among the images where it was asked, which need not be the same for all arms and readers."
    )


def _scale(work: Work, grid: Grid) -> Scale:
    question = grid.question
    if question.type == "likert":
        made = steps(question)
        names = [f"{step} {anchor}" for step, anchor in zip(made, question.anchors)]
        return names, scale_colours(len(made)), lambda v: v - made[0]
    if question.type == "yes_no":
        return ["No", "Yes"], scale_colours(2), lambda v: v
    if question.type == "vas":
        names = [f"{low}\u2013{low + 20}" for low in range(0, 100, 20)]
        return names, scale_colours(5), lambda v: np.minimum(v // 20, 4)
    if question.type == "ranking":
        ranks = int(np.nanmax(grid.values))
        return [f"Rank {n + 1}" for n in range(ranks)], scale_colours(ranks)[::-1], lambda v: v - 1
    if question.images_are_options:
        return ["Not chosen", "Chosen"], scale_colours(2), lambda v: v
    if question.type in ("place", "roi"):
        return ["1 mark", "2 marks", "3 or more"], scale_colours(3), lambda v: np.clip(v - 1, 0, 2)
    texts = [option.text for option in question.options]
    return texts, named_colours(len(texts)), lambda v: v


def _distribution(work: Work, grid: Grid) -> Figure:
    question = grid.question
    names, colours, place = _scale(work, grid)
    names, colours = list(names), list(colours)
    cannot = _cannot(work, question) if question.cannot_assess else {}
    if question.cannot_assess:
        names.append(CANNOT)
        colours.append(_CANNOT_COLOUR)
    bars = []
    for group, columns in [(ALL, list(range(len(grid.readers)))), *((r, [n]) for n, r in enumerate(grid.readers))]:
        for arm in grid.arms:
            own = grid.of_arm(arm).values[:, columns]
            values = place(own[np.isfinite(own)]).astype(int)
            counts = [int(np.sum(values == n)) for n in range(len(names) - bool(question.cannot_assess))]
            if question.cannot_assess:
                counts.append(sum(cannot.get((grid.readers[c], arm), 0) for c in columns))
            bars.append(Bar(group, work.arm(arm), counts))
            for name, count in zip(names, counts):
                work.records.add(
                    "distributions", question=question.id, reader="" if group == ALL else group, arm=arm, category=name,
                    count=count, n=sum(counts),
                )  # fmt: skip
    caption = (
        f"Distribution of the answers to \u201c{question.text}\u201d by arm, for all readers together and for each of "
        f"them. {_ends(question)}First readings only, hidden repeats left out; n, number of answers."
    )
    return Figure(f"distribution_{question.id}", stacked(question.text, names, colours, bars), caption)


def _ends(question: Question) -> str:
    if question.type != "vas":
        return ""
    ends = f" (0 {question.ends[0]}, 100 {question.ends[1]})" if any(question.ends) else ""
    return f"Visual analogue scale 0\u2013100{ends} in five equal parts. "


def _cannot(work: Work, question: Question) -> dict[tuple[str, str], int]:
    counted: dict[tuple[str, str], int] = {}
    for row in work.answers.asked(question):
        if row["cannot_assess"]:
            shown = sorted(part.split("=", 1)[1] for part in str(row["arms"]).split(";") if "=" in part)
            arm = row["arm"] or " with ".join(shown)
            counted[row["reader"], arm] = counted.get((row["reader"], arm), 0) + 1
    return counted


def _spread(work: Work, grid: Grid) -> Figure:
    question = grid.question
    made = []
    for group, columns in [(ALL, list(range(len(grid.readers)))), *((r, [n]) for n, r in enumerate(grid.readers))]:
        for colour, arm in enumerate(grid.arms):
            own = grid.of_arm(arm).values[:, columns]
            made.append(Box(group, work.arm(arm), own[np.isfinite(own)], colour))
    axis = question.unit or "Answer"
    caption = (
        f"Answers to \u201c{question.text}\u201d by arm: median, quartiles, whiskers to the most distant answer within "
        "1.5 quartile distances, dots beyond."
    )
    return Figure(f"distribution_{question.id}", boxes(question.text, made, axis), caption)


def _medians(work: Work, grid: Grid) -> Table:
    digits = 0 if grid.question.type in ("likert", "ranking", "place", "roi") else 1

    def cell(values: np.ndarray, reader: str, arm: str) -> str:
        kept = values[np.isfinite(values)]
        if not len(kept):
            return "no answer"
        low, middle, high = np.quantile(kept, [0.25, 0.5, 0.75])
        work.records.add(
            "medians", question=grid.question.id, reader=reader, arm=arm, median=float(middle), q1=float(low),
            q3=float(high), mean=float(kept.mean()), n=len(kept),
        )  # fmt: skip
        return f"{_median(middle, digits)} ({_median(low, digits)}\u2013{_median(high, digits)}); {len(kept)}"

    rows = [[ALL, *(cell(grid.of_arm(arm).values, "", arm) for arm in grid.arms)]]
    for n, reader in enumerate(grid.readers):
        rows.append([reader, *(cell(grid.of_arm(arm).values[:, n], reader, arm) for arm in grid.arms)])
    title = f"Median (quartiles); n of \u201c{grid.question.text}\u201d"
    return Table(title, ["Reader", *(work.arm(arm) for arm in grid.arms)], rows, words=["Reader"])


def _median(value: float, digits: int) -> str:
    """Half steps keep their half."""
    return number(value, digits if float(value).is_integer() or digits else 1)


def _shares(work: Work, grid: Grid) -> Table:
    def cell(values: np.ndarray) -> str:
        kept = values[np.isfinite(values)]
        return f"{int(kept.sum())} of {len(kept)} ({100 * kept.mean():.0f}%)" if len(kept) else "no answer"

    rows = [[ALL, *(cell(grid.of_arm(arm).values) for arm in grid.arms)]]
    rows += [[r, *(cell(grid.of_arm(arm).values[:, n]) for arm in grid.arms)] for n, r in enumerate(grid.readers)]
    title = f"Share of \u201cyes\u201d to \u201c{grid.question.text}\u201d"
    return Table(title, ["Reader", *(work.arm(arm) for arm in grid.arms)], rows, words=["Reader"])


def _options(work: Work, question: Question) -> list[Block]:
    grids = [(option, work.answers.option(question, option.id)) for option in question.options]
    arms = grids[0][1].arms
    if not arms:
        return [Text(f"\u201c{question.text}\u201d was not asked in any case that was handed in.", "note")]
    rows = []
    for option, grid in grids:
        cells = []
        for arm in arms:
            kept = grid.of_arm(arm).values
            kept = kept[np.isfinite(kept)]
            work.records.add(
                "distributions", question=question.id, reader="", arm=arm, category=option.id, count=int(kept.sum()),
                n=len(kept),
            )  # fmt: skip
            cells.append(f"{int(kept.sum())} of {len(kept)} ({100 * kept.mean():.0f}%)" if len(kept) else "none")
        rows.append([option.text, *cells])
    title = f"How often each was named in answer to \u201c{question.text}\u201d"
    note = "Several may be named at once. All readers together."
    if question.show_if is not None:
        note += f" {_conditional(work, grids[0][1])}"
    return [Table(title, ["Named", *(work.arm(arm) for arm in arms)], rows, note, words=["Named"])]


def _comments(work: Work, question: Question) -> list[Block]:
    asked = [row for row in work.answers.asked(question) if str(row["value"]).strip()]
    if not asked:
        return [Text(f"Nobody wrote anything to \u201c{question.text}\u201d.", "note")]
    rows: Sequence[Sequence[str]] = [
        [row["reader"], row["case"], work.arm(row["arm"] or " with ".join(sorted(_shown(row)))), str(row["value"])]
        for row in asked[:_MOST_COMMENTS]
    ]
    note = (
        "" if len(asked) <= _MOST_COMMENTS else f"The first {_MOST_COMMENTS} of {len(asked)}; all are in answers.csv."
    )
    columns = ["Reader", "Case", "Arm", "Comment"]
    table = Table(f"Comments to \u201c{question.text}\u201d", columns, rows, note, words=columns)
    return [More(f"{len(asked)} comments", [table])]


def _shown(row: Mapping[str, Any]) -> list[str]:
    return [part.split("=", 1)[1] for part in str(row["arms"]).split(";") if "=" in part]
