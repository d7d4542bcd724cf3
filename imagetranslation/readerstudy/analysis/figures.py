"""The figures of a report: stacked distributions, estimates with intervals, ROC curves, box plots. All as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .blocks import number as in_figures
from .svg import (
    ARM_COLOURS,
    DASHES,
    FAINT,
    GRID,
    INK,
    Canvas,
    ink_on,
    shortened,
    text_width,
)  # fmt: skip

WIDTH = 760.0
_ROW, _GAP = 19.0, 9.0


@dataclass(frozen=True)
class Bar:
    """One stacked bar: counts of each category. group: bars of one group stand together under its name."""

    group: str
    label: str
    counts: Sequence[int]


def stacked(title: str, categories: Sequence[str], colours: Sequence[str], bars: Sequence[Bar]) -> str:
    """Shares of answers as stacked bars of 100%, with the share in each part and n at the end."""
    groups = list(dict.fromkeys(bar.group for bar in bars))
    wide = max(text_width(shortened(group)) for group in groups) + 14
    left = wide + max(text_width(shortened(bar.label)) for bar in bars) + 14
    left, right = float(min(left, WIDTH * 0.5)), 62.0
    span = WIDTH - left - right
    legend = _legend_rows(categories, WIDTH)
    top = 12 + 20 * len(legend) + 6
    height = top + _ROW * len(bars) + _GAP * (len(groups) - 1) + 30
    canvas = Canvas(WIDTH, height, title)
    _legend(canvas, legend, categories, colours)
    y = float(top)
    for number, group in enumerate(groups):
        own = [bar for bar in bars if bar.group == group]
        canvas.text(0, y + 13, shortened(group), bold=number == 0)
        for bar in own:
            canvas.text(left - 8, y + 13, shortened(bar.label), "end", colour=FAINT if number else INK)
            _stack(canvas, bar, categories, colours, left, y, span)
            y += _ROW
        y += _GAP
    y += 4 - _GAP
    for share in (0, 25, 50, 75, 100):
        x = left + span * share / 100
        canvas.line([(x, y), (x, y + 4)], FAINT)
        canvas.text(x, y + 16, f"{share}%", "middle", 11, FAINT)
    return canvas.svg()


def _stack(
    canvas: Canvas, bar: Bar, categories: Sequence[str], colours: Sequence[str], left: float, y: float, span: float
) -> None:
    total = sum(bar.counts)
    x = left
    for name, colour, count in zip(categories, colours, bar.counts):
        if not count:
            continue
        width = span * count / total
        share = f"{100 * count / total:.0f}%"
        canvas.rect(x, y, width, _ROW - 4, colour, f"{bar.group}, {bar.label}: {name}: {count} of {total}", "#ffffff")
        if width > text_width(share, 11) + 4:
            canvas.text(x + width / 2, y + 11.5, share, "middle", 11, ink_on(colour))
        x += width
    canvas.text(left + span + 8, y + 12, f"n = {total}" if total else "none", size=11, colour=FAINT)


def _legend_rows(names: Sequence[str], width: float) -> list[list[int]]:
    rows: list[list[int]] = [[]]
    used = 0.0
    for place, name in enumerate(names):
        need = 18 + text_width(shortened(name), 11.5) + 14
        if rows[-1] and used + need > width:
            rows.append([])
            used = 0.0
        rows[-1].append(place)
        used += need
    return rows


def _legend(canvas: Canvas, rows: list[list[int]], names: Sequence[str], colours: Sequence[str]) -> None:
    for number, row in enumerate(rows):
        x = 0.0
        for place in row:
            name = shortened(names[place])
            canvas.rect(x, 4 + 20 * number, 12, 12, colours[place], edge="#808080")
            canvas.text(x + 17, 14 + 20 * number, name, size=11.5)
            x += 18 + text_width(name, 11.5) + 14


@dataclass(frozen=True)
class Point:
    """One line of a forest plot. low, high: None where the interval is refused; value None: nothing is drawn."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    colour: int = 0
    strong: bool = False


def forest(title: str, points: Sequence[Point], axis: str, reference: float | None = None) -> str:
    """Values with their intervals one below another, with the numbers at the right."""
    told = [n for p in points for n in (p.value, p.low, p.high) if n is not None]
    ticks = (
        _ticks(min([*told, *([] if reference is None else [reference])]), max(told, default=1.0)) if told else [0, 1]
    )
    left = min(max(text_width(shortened(p.label, 52)) for p in points) + 16, WIDTH * 0.5)
    right = 150.0
    span = WIDTH - left - right
    height = 14 + 22.0 * len(points) + 44
    canvas = Canvas(WIDTH, height, title)

    def at(value: float) -> float:
        return left + span * (value - ticks[0]) / (ticks[-1] - ticks[0])

    bottom = 14 + 22.0 * len(points)
    for tick in ticks:
        canvas.line([(at(tick), 8), (at(tick), bottom)], GRID)
        canvas.text(at(tick), bottom + 16, f"{tick:g}".replace("-", "\u2212"), "middle", 11, FAINT)
    if reference is not None and ticks[0] <= reference <= ticks[-1]:
        canvas.line([(at(reference), 8), (at(reference), bottom)], INK, 1, "4 3")
    canvas.text(left + span / 2, bottom + 34, axis, "middle", 12)
    for number, point in enumerate(points):
        y = 14 + 22.0 * number + 7
        canvas.text(left - 10, y + 4, shortened(point.label, 52), "end", bold=point.strong)
        if point.value is None:
            canvas.text(left + span + 10, y + 4, "refused", size=11, colour=FAINT)
            continue
        colour = ARM_COLOURS[point.colour % len(ARM_COLOURS)]
        numbers = in_figures(point.value)
        if point.low is not None and point.high is not None:
            canvas.line([(at(point.low), y), (at(point.high), y)], colour, 2.4 if point.strong else 1.6)
            numbers += f" ({in_figures(point.low)} to {in_figures(point.high)})"
        else:
            numbers += " (interval refused)"
        canvas.mark(at(point.value), y, point.colour, colour, 5 if point.strong else 4)
        canvas.text(left + span + 10, y + 4, numbers, size=11, bold=point.strong)
    return canvas.svg()


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers that hold the range."""
    spread = max(high - low, 1e-9)
    raw = spread / 5
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 10) for n in range(first, max(last, first + 1) + 1)]


@dataclass(frozen=True)
class Curve:
    """Empirical ROC curve of one reading. colour: which test; strong: drawn boldly."""

    false: Sequence[float]
    true: Sequence[float]
    colour: int
    strong: bool = False


def roc_points(scores: np.ndarray, truth: np.ndarray) -> tuple[list[float], list[float]]:
    """False and true positive rates at every threshold, from (0, 0) to (1, 1)."""
    thresholds = np.unique(scores)[::-1]
    positive, negative = scores[truth], scores[~truth]
    false = [0.0, *(float(np.mean(negative >= t)) for t in thresholds)]
    true = [0.0, *(float(np.mean(positive >= t)) for t in thresholds)]
    return false, true


def mean_curve(curves: Sequence[tuple[Sequence[float], Sequence[float]]], colour: int) -> Curve:
    """Readers' curves averaged in the direction of the true positive rate."""
    grid = np.linspace(0, 1, 101)
    lifted = [np.interp(grid, f, t) for f, t in curves]
    return Curve([0.0, *grid], [0.0, *np.mean(lifted, axis=0)], colour, True)


def roc(title: str, curves: Sequence[Curve], names: Sequence[str]) -> str:
    """ROC curves on a unit square, the names of the tests beside it."""
    size, left, top = 330.0, 60.0, 12.0
    canvas = Canvas(WIDTH, size + top + 50, title)
    canvas.rect(left, top, size, size, "#ffffff", edge="#808080")

    def at(false: float, true: float) -> tuple[float, float]:
        return left + size * false, top + size * (1 - true)

    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        x, y = at(tick, tick)
        canvas.text(x, top + size + 16, f"{tick:g}", "middle", 11, FAINT)
        canvas.text(left - 8, y + 4, f"{tick:g}", "end", 11, FAINT)
    canvas.line([at(0, 0), at(1, 1)], "#808080", 1, "3 3")
    for curve in curves:
        colour = ARM_COLOURS[curve.colour % len(ARM_COLOURS)]
        points = [at(f, t) for f, t in zip(curve.false, curve.true)]
        dash = DASHES[curve.colour % len(DASHES)] if curve.strong else ""
        canvas.line(points, colour, 3 if curve.strong else 1, dash, 1 if curve.strong else 0.35)
    canvas.text(left + size / 2, top + size + 38, "False positive rate (1 \u2212 specificity)", "middle")
    canvas.text(16, top + size / 2, "True positive rate (sensitivity)", "middle", upwards=True)
    for place, name in enumerate(names):
        y = top + 14 + 22 * place
        colour = ARM_COLOURS[place % len(ARM_COLOURS)]
        canvas.line([(left + size + 24, y), (left + size + 58, y)], colour, 3, DASHES[place % len(DASHES)])
        canvas.text(left + size + 66, y + 4, shortened(name))
    return canvas.svg()


@dataclass(frozen=True)
class Box:
    """Values behind one box plot. colour: which arm."""

    group: str
    label: str
    values: np.ndarray
    colour: int = 0


def boxes(title: str, made: Sequence[Box], axis: str) -> str:
    """Horizontal box plots: median, quartiles, whiskers to the most distant value within 1.5 quartile distances, and
    every value outside as a dot."""
    kept = [box for box in made if len(box.values)]
    groups = list(dict.fromkeys(box.group for box in kept))
    top_value = max(float(np.max(box.values)) for box in kept)
    ticks = _ticks(0.0, max(top_value, 1e-6))
    wide = max(text_width(shortened(group)) for group in groups) + 14
    left = min(wide + max(text_width(shortened(box.label)) for box in kept) + 14, WIDTH * 0.5)
    span = WIDTH - left - 62
    height = 10 + 20.0 * len(kept) + _GAP * (len(groups) - 1) + 46
    canvas = Canvas(WIDTH, height, title)
    bottom = height - 46

    def at(value: float) -> float:
        return left + span * value / ticks[-1]

    for tick in ticks:
        canvas.line([(at(tick), 6), (at(tick), bottom)], GRID)
        canvas.text(at(tick), bottom + 16, f"{tick:g}", "middle", 11, FAINT)
    canvas.text(left + span / 2, bottom + 34, axis, "middle")
    y = 10.0
    for number, group in enumerate(groups):
        canvas.text(0, y + 13, shortened(group), bold=number == 0)
        for box in (b for b in kept if b.group == group):
            _box(canvas, box, at, left, y)
            canvas.text(left + span + 8, y + 13, f"n = {len(box.values)}", size=11, colour=FAINT)
            y += 20
        y += _GAP
    return canvas.svg()


def _box(canvas: Canvas, box: Box, place: Callable[[float], float], left: float, y: float) -> None:
    q1, median, q3 = (float(v) for v in np.quantile(box.values, [0.25, 0.5, 0.75]))
    reach = 1.5 * (q3 - q1)
    inside = box.values[(box.values >= q1 - reach) & (box.values <= q3 + reach)]
    colour = ARM_COLOURS[box.colour % len(ARM_COLOURS)]
    canvas.text(left - 8, y + 13, shortened(box.label), "end", colour=FAINT)
    canvas.line([(place(float(inside.min())), y + 9), (place(float(inside.max())), y + 9)], colour, 1.4)
    canvas.rect(place(q1), y + 3, place(q3) - place(q1), 12, "#ffffff", f"median {median:.1f}", colour)
    canvas.line([(place(median), y + 3), (place(median), y + 15)], colour, 3)
    for value in box.values[(box.values < q1 - reach) | (box.values > q3 + reach)]:
        canvas.mark(place(float(value)), y + 9, box.colour, colour, 2)
