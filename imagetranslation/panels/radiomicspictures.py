"""The pictures of a comparison of features as pixmaps: histograms, Bland-Altman, radar. Imports `qt`.

What is drawn where is `radiomics.comparisonplots`' matter. Every picture carries the synthetic image's mark.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import qt

from ..radiomics import comparisonplots as plots
from ..radiomics.comparisonview import number_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..radiomics.comparison import Comparison, Row

GROUND, INK, FAINT, MARK_GROUND = "#FFFFFF", "#1A1A1A", "#B8BEC6", "#FFC208"
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 46, 40
BAND = 20
_DASHES = {":": "DotLine", "-": "SolidLine", "--": "DashLine"}
DOT = 3


def histogram(found: Comparison, width: int, height: int) -> Any:
    """The region's intensities in each image, overlaid."""
    curves = plots.histogram_curves(found)
    canvas = _Canvas(found, width, height)
    highest = max(float(y.max()) for y in curves.y.values())
    canvas.scale((float(curves.x[0]), float(curves.x[-1])), (0.0, highest * 1.05 or 1.0))
    canvas.axes(curves.axis, "voxels of the region (%)")
    for role, y in curves.y.items():
        canvas.line(curves.x, y, *plots.LINES[role])
    canvas.legend(list(curves.y))
    return canvas.done()


def bland_altman(found: Comparison, rows: Sequence[Row], width: int, height: int) -> tuple[Any, str]:
    """(pixmap, the sentence on its scale); the sentence says so where there is nothing to draw."""
    made = plots.bland_altman(found, rows)
    canvas = _Canvas(found, width, height)
    if not len(made.x):
        return canvas.done(), "None of these features has a size and a difference that could be drawn."
    far = max([abs(value) for value in (*made.y, made.low, made.high) if math.isfinite(value)]) or 1.0
    low, high = math.floor(math.log10(made.x.min())), math.ceil(math.log10(made.x.max()) + 1e-9)
    canvas.scale((low, max(high, low + 1)), (-1.1 * far, 1.1 * far))
    canvas.axes(made.x_label, made.y_label, powers=True)
    for level, style, name in ((0.0, "SolidLine", ""), (made.bias, "DashLine", "bias"), (made.low, "DotLine", ""),
                               (made.high, "DotLine", "")):  # fmt: skip
        canvas.level(level, FAINT if not name and level == 0 else INK, style)
    canvas.dots(np.log10(made.x), made.y, plots.LINES["synthetic"][0])
    left_out = f" Left out: {len(made.left_out)}." if made.left_out else ""
    return canvas.done(), f"Bias {number_text(made.bias)}, {_limits(made)}. {made.scale}{left_out}"


def _limits(made: plots.BlandAltman) -> str:
    if not math.isfinite(made.low):
        return f"no limits below {plots.LEAST_FOR_LIMITS} features"
    return f"limits {number_text(made.low)} to {number_text(made.high)}"


def radar(found: Comparison, rows: Sequence[Row], width: int, height: int) -> tuple[Any, str]:
    """As `bland_altman`."""
    canvas = _Canvas(found, width, height)
    try:
        made = plots.radar(found, rows)
    except ValueError as error:
        return canvas.done(), f"Nothing to draw: {error}."
    canvas.web(made)
    beyond = sum(int(clipped.sum()) for clipped in made.clipped.values())
    more = f" {beyond} values lie beyond edge or centre." if beyond else ""
    return canvas.done(), made.scale + more


class _Canvas:
    """A white pixmap with the mark on top, and a place to draw in."""

    def __init__(self, found: Comparison, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._pixmap = qt.QPixmap(width, height)
        self._pixmap.fill(qt.QColor(GROUND))
        self._painter = qt.QPainter(self._pixmap)
        self._painter.setRenderHint(qt.QPainter.Antialiasing)
        mark = found.images["synthetic"]["mark"] or f"{found.images['synthetic']['name']} stands as synthetic"
        self._painter.fillRect(0, 0, width, BAND, qt.QColor(MARK_GROUND))
        self._pen(INK)
        self._text(8, 14, mark, width - 16)

    def done(self) -> Any:
        self._painter.end()
        return self._pixmap

    def scale(self, across: tuple[float, float], up: tuple[float, float]) -> None:
        self._across, self._up = across, up

    def axes(self, x_label: str, y_label: str, powers: bool = False) -> None:
        """Both axes with the ends of their ranges; powers: x is a power of ten."""
        self._pen(INK)
        self._painter.drawLine(LEFT, self._height - BOTTOM, self._width - RIGHT, self._height - BOTTOM)
        self._painter.drawLine(LEFT, TOP, LEFT, self._height - BOTTOM)
        ends = [f"1e{value:g}" if powers else number_text(value, 3) for value in self._across]
        below = self._height - BOTTOM + 15
        self._text(LEFT, below, ends[0], 80)
        self._text(self._width - RIGHT - self._wide(ends[1]), below, ends[1], 80)
        self._text(LEFT, self._height - 8, x_label, self._width - LEFT - RIGHT)
        self._text(2, TOP - 8, y_label, self._width - 4)
        self._text(2, TOP + 10, number_text(self._up[1], 2), LEFT - 4)
        self._text(2, self._height - BOTTOM, number_text(self._up[0], 2), LEFT - 4)

    def line(self, x: np.ndarray, y: np.ndarray, colour: str, dash: str) -> None:
        path = qt.QPainterPath()
        places = list(zip(self._x(x), self._y(y)))
        path.moveTo(*places[0])
        for place in places[1:]:
            path.lineTo(*place)
        self._pen(colour, _DASHES[dash], 2)
        self._painter.drawPath(path)

    def level(self, value: float, colour: str, style: str) -> None:
        if math.isfinite(value):
            self._pen(colour, style)
            height = int(self._y(np.array([value]))[0])
            self._painter.drawLine(LEFT, height, self._width - RIGHT, height)

    def dots(self, x: np.ndarray, y: np.ndarray, colour: str) -> None:
        self._pen(colour)
        self._painter.setBrush(qt.QBrush(qt.QColor(colour)))
        for place in zip(self._x(x), self._y(y)):
            self._painter.drawEllipse(int(place[0]) - DOT, int(place[1]) - DOT, 2 * DOT, 2 * DOT)
        self._painter.setBrush(qt.QBrush())

    def legend(self, roles: Sequence[str]) -> None:
        for number, role in enumerate(roles):
            colour, dash = plots.LINES[role]
            height, left = TOP + 8 + 16 * number, self._width - 120
            self._pen(colour, _DASHES[dash], 2)
            self._painter.drawLine(left, height - 4, left + 26, height - 4)
            self._pen(INK)
            self._text(left + 32, height, role, 86)

    def web(self, made: plots.Radar) -> None:
        """A radar at the left, with numbers on its axes and their names at the right."""
        radius = min((self._height - BAND) / 2 - 22, self._width / 4)
        middle = (radius + 24, BAND + (self._height - BAND) / 2)
        count = len(made.names)
        axes = np.arange(count)
        for ring, style in ((1.0, "DashLine"), (2.0, "SolidLine")):
            self._polygon(plots.radar_point(axes, count, np.full(count, ring)), middle, radius, FAINT, style, 1)
        for number, (right, up) in enumerate(plots.radar_point(axes, count, np.full(count, 2.0))):
            self._pen(FAINT)
            self._painter.drawLine(*map(int, middle), int(middle[0] + radius * right), int(middle[1] - radius * up))
            self._pen(INK)
            place = (int(middle[0] + (radius + 11) * right) - 6, int(middle[1] - (radius + 11) * up) + 5)
            self._text(*place, str(number + 1), 24)
            left = int(2 * radius + 56)
            self._text(left, BAND + 20 + 16 * number, f"{number + 1} {made.names[number]}", self._width - left - 4)
        for role, points in made.points.items():
            colour, dash = plots.LINES[role]
            self._polygon(points, middle, radius, colour, _DASHES[dash], 2)

    def _polygon(
        self, points: np.ndarray, middle: tuple[float, float], radius: float, colour: str, style: str, wide: int
    ) -> None:
        path = qt.QPainterPath()
        places = [(middle[0] + radius * float(right), middle[1] - radius * float(up)) for right, up in points]
        path.moveTo(*places[-1])
        for place in places:
            path.lineTo(*place)
        self._pen(colour, style, wide)
        self._painter.drawPath(path)

    def _x(self, values: np.ndarray) -> list[float]:
        low, high = self._across
        return [float(v) for v in LEFT + (values - low) / (high - low) * (self._width - LEFT - RIGHT)]

    def _y(self, values: np.ndarray) -> list[float]:
        low, high = self._up
        room = self._height - TOP - BOTTOM
        return [float(v) for v in self._height - BOTTOM - (values - low) / (high - low) * room]

    def _pen(self, colour: str, style: str = "SolidLine", wide: int = 1) -> None:
        pen = qt.QPen(qt.QColor(colour))
        pen.setStyle(getattr(qt.Qt, style))
        pen.setWidth(wide)
        self._painter.setPen(pen)

    def _text(self, x: int, y: int, text: str, room: int) -> None:
        self._painter.drawText(x, y, self._painter.fontMetrics().elidedText(text, qt.Qt.ElideRight, room))

    def _wide(self, text: str) -> int:
        return int(self._painter.fontMetrics().boundingRect(text).width())
