"""The three pictures of a comparison as SVG text for the page: histograms, Bland-Altman, radar.

Points, scales and colours are `radiomics.comparisonplots`'; here are axes, ticks and lines. Every picture is one
element without script or address, shown as an image.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from html import escape

import numpy as np

from ..radiomics.comparison import Comparison, Row
from ..radiomics.comparisonplots import LINES, bland_altman, histogram_curves, radar, radar_point
from ..radiomics.comparisonview import number_text

HISTOGRAM, BLAND_ALTMAN, RADAR = "histogram", "bland-altman", "radar"
PICTURES = (HISTOGRAM, BLAND_ALTMAN, RADAR)
WIDTH, HEIGHT = 380, 262
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 28, 44
INK, FAINT, RULE = "#c9d3e0", "#8b98ab", "#263040"
# Matplotlib's dash names in SVG's terms.
DASHES = {"-": "", ":": "2 3.5", "--": "7 4"}
# The colours of the files are for paper; on the page's dark ground these are as bright as each other.
ON_DARK = {"source": "#5cc8ff", "synthetic": "#ffc107", "reference": "#7be0a0"}


def data_address(svg: str) -> str:
    """The picture as the address of an image, in which nothing can run."""
    return "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()


def picture(found: Comparison, kind: str, rows: Sequence[Row]) -> tuple[str, str]:
    """(SVG, sentence under it) of one of PICTURES, of `rows` where it is of features.

    SVG is "" where there are too few features; the sentence then says so.
    """
    if kind == HISTOGRAM:
        return _histogram(found)
    if kind == RADAR:
        try:
            return _radar(found, rows)
        except ValueError as error:
            return "", f"{str(error)[0].upper()}{str(error)[1:]}."
    return _bland_altman(found, rows)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from low to high, roughly `about` of them."""
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return [low] if math.isfinite(low) else []
    raw = (high - low) / about
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _histogram(found: Comparison) -> tuple[str, str]:
    curves = histogram_curves(found)
    top = 1.06 * max(float(y.max()) for y in curves.y.values())
    axes = _Axes(float(curves.x[0]), float(curves.x[-1]), 0.0, top)
    parts = [axes.grid(), axes.titles(curves.axis, "% of the region's voxels")]
    for role, y in curves.y.items():
        points = axes.points(curves.x, y)
        parts.append(f'<polygon points="{points}" fill="{ON_DARK[role]}" fill-opacity="0.10"/>')
        parts.append(_line(points, role))
    return _svg("Histograms of the region", [*parts, _legend(list(curves.y))]), ""


def _bland_altman(found: Comparison, rows: Sequence[Row]) -> tuple[str, str]:
    plot = bland_altman(found, rows)
    if not len(plot.x):
        return "", "None of the features shown can be placed here: shape is the same in all images."
    logs = np.log10(plot.x)
    ends = [float(plot.y.min()), float(plot.y.max()), 0.0, *(v for v in (plot.low, plot.high) if math.isfinite(v))]
    room = 0.08 * (max(ends) - min(ends)) or 1.0
    axes = _Axes(math.floor(logs.min()), max(math.ceil(logs.max()), math.floor(logs.min()) + 1),
                 min(ends) - room, max(ends) + room)  # fmt: skip
    parts = [axes.grid(powers=True), axes.titles(plot.x_label, plot.y_label), axes.level(0.0, FAINT, "")]
    named = (("bias", plot.bias, "5 0"), ("+1.96 SD", plot.high, "5 4"), ("\N{MINUS SIGN}1.96 SD", plot.low, "5 4"))
    for words, value, dash in named:
        if math.isfinite(value):
            parts.append(axes.level(value, ON_DARK["synthetic"], dash, f"{words} {number_text(value, 3)}"))
    for x, y, name in zip(logs, plot.y, plot.names):
        at_x, at_y = axes.place(float(x), float(y))
        told = f"<title>{escape(name)}: {number_text(float(y))}</title>"
        parts.append(
            f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="3.2" fill="{ON_DARK["source"]}" fill-opacity="0.75">'
            f"{told}</circle>"
        )
    return _svg("Bland-Altman of the features", parts), _with_left_out(plot.scale, plot.left_out)


def _radar(found: Comparison, rows: Sequence[Row]) -> tuple[str, str]:
    plot = radar(found, rows)
    count, centre, size = len(plot.keys), (WIDTH / 2, HEIGHT / 2 + 10), 88.0

    def at(points: np.ndarray) -> str:
        return " ".join(f"{centre[0] + size * x:.1f},{centre[1] - size * y:.1f}" for x, y in points)

    axis = np.arange(count)
    parts = []
    for ring in (0.5, 1.0, 1.5, 2.0):
        middle = ring == 1.0
        parts.append(
            f'<polygon points="{at(radar_point(axis, count, np.full(count, ring)))}" fill="none" '
            f'stroke="{FAINT if middle else RULE}" stroke-width="{1.2 if middle else 1}"/>'
        )
    for n, name in enumerate(plot.names):
        ((x, y),) = radar_point(np.array([n]), count, np.array([2.0]))
        parts.append(
            f'<line x1="{centre[0]}" y1="{centre[1]}" x2="{centre[0] + size * x:.1f}" y2="{centre[1] - size * y:.1f}" '
            f'stroke="{RULE}"/>'
        )
        anchor = "middle" if abs(x) < 0.15 else "start" if x > 0 else "end"
        parts.append(_words(centre[0] + 1.08 * size * x, centre[1] - 1.1 * size * y + 4, _short(name), anchor, 10.5))
    for role, points in plot.points.items():
        parts.append(f'<polygon points="{at(points)}" fill="{ON_DARK[role]}" fill-opacity="0.08"/>')
        parts.append(_line(at([*points, points[0]]), role))  # type: ignore[arg-type]
        for (x, y), clipped in zip(points, plot.clipped[role]):
            fill = "#11161e" if clipped else ON_DARK[role]
            parts.append(
                f'<circle cx="{centre[0] + size * x:.1f}" cy="{centre[1] - size * y:.1f}" r="2.8" fill="{fill}" '
                f'stroke="{ON_DARK[role]}"/>'
            )
    clipped = any(bool(each.any()) for each in plot.clipped.values())
    scale = plot.scale + (" Hollow points lie beyond." if clipped else "")
    return _svg("Radar of features", [*parts, _legend(list(plot.points))]), _with_left_out(scale, plot.left_out)


class _Axes:
    """A rectangle with a scale on its lower and its left side."""

    def __init__(self, left: float, right: float, low: float, high: float) -> None:
        self._x, self._y = (left, right if right > left else left + 1), (low, high if high > low else low + 1)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point falls in the picture."""
        across = (x - self._x[0]) / (self._x[1] - self._x[0])
        up = (y - self._y[0]) / (self._y[1] - self._y[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def points(self, x: np.ndarray, y: np.ndarray) -> str:
        """The points of a line, as SVG takes them."""
        return " ".join("{:.1f},{:.1f}".format(*self.place(float(a), float(b))) for a, b in zip(x, y))

    def grid(self, *, powers: bool = False) -> str:
        """Rules and numbers; powers: x is the logarithm of what is written."""
        parts = []
        for value in ticks(*self._y):
            _, y = self.place(self._x[0], value)
            parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{RULE}"/>')
            parts.append(_words(LEFT - 7, y + 4, _plain(value), "end", 11))
        across = ticks(*self._x, 6)
        if powers:
            between = self._x[1] - self._x[0]
            across = [float(n) for n in range(int(self._x[0]), int(self._x[1]) + 1, max(1, round(between / 6)))]
        for value in across:
            x, y = self.place(value, self._y[0])
            parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x:.1f}" y2="{y + 4:.1f}" stroke="{FAINT}"/>')
            parts.append(_words(x, y + 17, _power(value) if powers else _plain(value), "middle", 11, plain=not powers))
        _, bottom = self.place(self._x[0], self._y[0])
        parts.append(f'<line x1="{LEFT}" y1="{bottom}" x2="{WIDTH - RIGHT}" y2="{bottom}" stroke="{FAINT}"/>')
        return "".join(parts)

    def titles(self, across: str, up: str) -> str:
        """The words on both sides."""
        middle = (TOP + HEIGHT - BOTTOM) / 2
        turned = f'<g transform="translate(13 {middle}) rotate(-90)">{_words(0, 0, up, "middle", 11.5, FAINT)}</g>'
        return _words((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, across, "middle", 11.5, FAINT) + turned

    def level(self, value: float, colour: str, dash: str, words: str = "") -> str:
        """A line across, and what it is."""
        _, y = self.place(self._x[0], value)
        line = (
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{colour}" '
            f'stroke-dasharray="{dash}" stroke-opacity="0.8"/>'
        )
        return line + (_words(WIDTH - RIGHT - 4, y - 5, words, "end", 10.5, colour) if words else "")


def _line(points: object, role: str) -> str:
    dash = DASHES[LINES[role][1]]
    return (
        f'<polyline points="{points}" fill="none" stroke="{ON_DARK[role]}" stroke-width="1.8" '
        f'stroke-dasharray="{dash}" stroke-linejoin="round"/>'
    )


def _legend(shown: Sequence[str]) -> str:
    parts, x = [], LEFT
    for role in shown:
        parts.append(
            f'<g transform="translate({x} 14)">{_line("0,0 24,0", role)}{_words(30, 4, role, "start", 12)}</g>'
        )
        x += 46 + 7 * len(role) + 14
    return "".join(parts)


def _words(x: float, y: float, words: str, anchor: str, size: float, colour: str = INK, *, plain: bool = True) -> str:
    shown = escape(words) if plain else words
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{shown}</text>'


def _plain(value: float) -> str:
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


def _power(exponent: float) -> str:
    """A power of ten, with its exponent raised."""
    if exponent in (0.0, 1.0, 2.0):
        return f"{10**exponent:g}"
    return f'10<tspan dy="-5" font-size="8.5">{_plain(exponent)}</tspan>'


def _short(name: str, most: int = 19) -> str:
    return name if len(name) <= most else name[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _with_left_out(scale: str, left_out: Sequence[str]) -> str:
    if not left_out:
        return scale
    return f"{scale} Left out: {len(left_out)} without a place here, such as {left_out[0]}."


def _svg(words: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="Roboto, Helvetica, Arial, sans-serif"><title>{escape(words)}</title>{"".join(parts)}</svg>'
    )
