"""The plots of a lesion reading as SVG: free-response curves, and differences of ratios against their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagetranslation.readerstudy.analysis.svg import ARM_COLOURS, DASHES, FAINT, GRID, INK, Canvas, shortened

WIDTH, HEIGHT = 760.0, 340.0
LEFT, TOP, ACROSS, DOWN = 60.0, 10.0, 440.0, 280.0  # the axes' rectangle
MOST_RATE = 8.0


@dataclass(frozen=True)
class Axes:
    """A rectangle of a canvas with round ticks. x, y: the ticks, the outer ones are the ends."""

    canvas: Canvas
    x: Sequence[float]
    y: Sequence[float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a value is drawn."""
        across = (x - self.x[0]) / (self.x[-1] - self.x[0])
        down = (y - self.y[0]) / (self.y[-1] - self.y[0])
        return LEFT + ACROSS * across, TOP + DOWN * (1 - down)

    def draw(self, x: str, y: str) -> None:
        """Grid, numbers and names of both axes."""
        for tick in self.x:
            place = self.at(tick, self.y[0])
            self.canvas.line([place, self.at(tick, self.y[-1])], GRID)
            self.canvas.text(place[0], place[1] + 16, _figure(tick), "middle", 11, FAINT)
        for tick in self.y:
            place = self.at(self.x[0], tick)
            self.canvas.line([place, self.at(self.x[-1], tick)], GRID)
            self.canvas.text(place[0] - 8, place[1] + 4, _figure(tick), "end", 11, FAINT)
        self.canvas.text(LEFT + ACROSS / 2, TOP + DOWN + 36, x, "middle")
        self.canvas.text(16, TOP + DOWN / 2, y, "middle", upwards=True)


def froc_plot(curves: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Share of lesions found against false marks an image; curves: `Curve.as_dict` by key, names: words for keys.

    What has no points (`froc.without_curve`) is not drawn.
    """
    canvas = Canvas(WIDTH, HEIGHT, "Free-response curves")
    axes = Axes(canvas, range(int(MOST_RATE) + 1), [0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.draw("False positives an image", "Lesions found")
    for place, (key, curve) in enumerate(curves.items()):
        if "points" not in curve:
            continue
        colour, dash = ARM_COLOURS[place], DASHES[place]
        points = _steps([(p["false_positives_per_image"], p["sensitivity"]) for p in curve["points"]])
        canvas.line([axes.at(*point) for point in points], colour, 2.2, dash)
        y = TOP + 14 + 22 * place
        canvas.line([(LEFT + ACROSS + 20, y), (LEFT + ACROSS + 54, y)], colour, 2.2, dash)
        canvas.text(LEFT + ACROSS + 62, y + 4, shortened(names[key]))
    return canvas.svg()


def agreement_plot(lesions: Sequence[Mapping[str, Any]]) -> str:
    """Synthetic less real ratio against their mean, a mark a lesion, by group; nothing where no lesion has both."""
    usable = [row for row in lesions if row["ratio_synthetic"] != "" and row["ratio_real"] != ""]
    if not usable:
        return ""
    means = [(row["ratio_synthetic"] + row["ratio_real"]) / 2 for row in usable]
    gaps = [row["ratio_synthetic"] - row["ratio_real"] for row in usable]
    canvas = Canvas(WIDTH, HEIGHT, "Differences of uptake ratios")
    axes = Axes(canvas, _ticks(0.0, max(means)), _ticks(min(0.0, *gaps), max(0.0, *gaps)))
    axes.draw("Mean of both uptake ratios", "Synthetic less real")
    canvas.line([axes.at(axes.x[0], 0), axes.at(axes.x[-1], 0)], INK)
    groups = list(dict.fromkeys(str(row["group"]) for row in usable))
    for row, mean, gap in zip(usable, means, gaps):
        place = groups.index(str(row["group"]))
        canvas.mark(*axes.at(mean, gap), place, ARM_COLOURS[place % len(ARM_COLOURS)], 3)
    for place, group in enumerate(groups):
        y = TOP + 14 + 22 * place
        canvas.mark(LEFT + ACROSS + 28, y, place, ARM_COLOURS[place % len(ARM_COLOURS)], 4)
        canvas.text(LEFT + ACROSS + 42, y + 4, shortened(group, 30))
    return canvas.svg()


def _steps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The corners of a curve that stays until the next point, up to MOST_RATE."""
    made = [points[0]]
    for rate, found in points[1:]:
        if rate > MOST_RATE:
            break
        made += [(rate, made[-1][1]), (rate, found)]
    return [*made, (MOST_RATE, made[-1][1])]


def _ticks(low: float, high: float) -> list[float]:
    """Up to nine round numbers that hold the range."""
    spread = max(high - low, 1e-6)
    step = next(s for p in range(-7, 7) for s in (10.0**p, 2 * 10.0**p, 5 * 10.0**p) if spread / s <= 7)
    first, last = int(low // step), int(-(-high // step))
    return [round(n * step, 10) for n in range(first, max(last, first + 1) + 1)]


def _figure(value: float) -> str:
    return f"{value:g}".replace("-", "\u2212")
