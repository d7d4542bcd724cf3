"""A little SVG: shapes and texts as strings, every text escaped. What is drawn is left to `figures`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
INK, FAINT, GRID = "#1a1a1a", "#5c5c5c", "#d9d9d9"
# Okabe and Ito's colours, told apart by all common kinds of colour vision; marks and dashes differ as well.
ARM_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4", "4 4")
_NEUTRAL = (224, 224, 224)
_LOW, _HIGH = (179, 88, 6), (84, 39, 136)  # ends of ColorBrewer's PuOr, safe for colour-blind readers


class Canvas:
    """Collects elements; sizes in CSS pixels, y downwards."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height = width, height
        self._title = title
        self._made: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, fill: str, hint: str = "", edge: str = "") -> None:
        """A rectangle; hint: text shown under the mouse."""
        inner = f"<title>{escape(hint)}</title>" if hint else ""
        line = f' stroke="{edge}" stroke-width="1"' if edge else ""
        self._made.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" fill="{fill}"{line}>'
            f"{inner}</rect>"
        )

    def line(
        self,
        points: Sequence[tuple[float, float]],
        colour: str = INK,
        width: float = 1,
        dash: str = "",
        opacity: float = 1,
    ) -> None:
        """A line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        more = (f' stroke-dasharray="{dash}"' if dash else "") + (f' opacity="{opacity:g}"' if opacity < 1 else "")
        self._made.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{more}/>')

    def mark(self, x: float, y: float, kind: int, colour: str, size: float = 4) -> None:
        """A circle, square, triangle or diamond, by turns."""
        if kind % 4 == 0:
            self._made.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:g}" fill="{colour}"/>')
            return
        shapes: dict[int, list[tuple[float, float]]] = {
            1: [(-1, -1), (1, -1), (1, 1), (-1, 1)],
            2: [(0, -1.2), (1.1, 0.9), (-1.1, 0.9)],
            3: [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
        }
        path = " ".join(f"{x + size * 0.9 * dx:.1f},{y + size * 0.9 * dy:.1f}" for dx, dy in shapes[kind % 4])
        self._made.append(f'<polygon points="{path}" fill="{colour}"/>')

    def text(
        self,
        x: float,
        y: float,
        text: str,
        anchor: str = "start",
        size: float = 12,
        colour: str = INK,
        bold: bool = False,
        upwards: bool = False,
    ) -> None:
        """A line of text whose baseline is at y, or at x where it is written upwards."""
        more = ' font-weight="600"' if bold else ""
        more += f' transform="rotate(-90 {x:.1f} {y:.1f})"' if upwards else ""
        self._made.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}" fill="{colour}"{more}>'
            f"{escape(text)}</text>"
        )

    def svg(self) -> str:
        """The element; without width and height, so that a page may scale it."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:.0f} {self.height:.0f}" role="img" '
            f'font-family="{FONT}" style="max-width:{self.width:.0f}px;width:100%">'
            f"<title>{escape(self._title)}</title>{''.join(self._made)}</svg>"
        )


def scale_colours(steps: int) -> list[str]:
    """Colours of an ordered scale from low (orange) over neutral grey to high (violet)."""
    made = []
    for step in range(steps):
        place = 0.0 if steps == 1 else 2 * step / (steps - 1) - 1
        end = _HIGH if place > 0 else _LOW
        mixed = [round(n + (e - n) * abs(place)) for n, e in zip(_NEUTRAL, end)]
        made.append("#" + "".join(f"{part:02x}" for part in mixed))
    return made


def named_colours(count: int) -> list[str]:
    """Colours of categories without an order: the arms' ones, then greys."""
    greys = [f"#{shade:02x}{shade:02x}{shade:02x}" for shade in (150, 190, 110, 220, 80)]
    return [(*ARM_COLOURS, *greys)[n % (len(ARM_COLOURS) + len(greys))] for n in range(count)]


def ink_on(colour: str) -> str:
    """Black or white, whichever is read better on a colour (relative luminance, WCAG 2.1)."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#ffffff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000000"


def text_width(text: str, size: float = 12) -> float:
    """About how wide a text is; Helvetica's letters are half their height on average."""
    return len(text) * size * 0.54


def shortened(text: str, limit: int = 42) -> str:
    """A label that fits."""
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"
