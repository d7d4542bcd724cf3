"""A small line plot as a pixmap: each curve scaled to its own maximum, so that shapes can be compared. Imports `qt`."""

from __future__ import annotations

from typing import Any

import numpy as np
import qt

COLOURS = ("#6FA8DC", "#FFC208", "#93C47D")
GROUND, INK = "#17202B", "#E6EBF2"
LEFT, RIGHT, TOP, BOTTOM = 12, 12, 40, 34


def draw(curves: dict[str, tuple[np.ndarray, np.ndarray]], axis: str, width: int, height: int) -> Any:
    """A QPixmap of the curves, label -> (x, y); NaN leaves gaps. axis: what x is."""
    pixmap = qt.QPixmap(width, height)
    pixmap.fill(qt.QColor(GROUND))
    painter = qt.QPainter(pixmap)
    furthest = max(float(x[-1]) for x, _ in curves.values()) or 1.0
    bottom = height - BOTTOM
    painter.setPen(qt.QPen(qt.QColor(INK)))
    painter.drawLine(LEFT, bottom, width - RIGHT, bottom)
    painter.drawText(LEFT, height - 10, f"0 - {furthest:.0f} {axis}")
    for number, (label, (x, y)) in enumerate(curves.items()):
        colour = qt.QColor(COLOURS[number % len(COLOURS)])
        painter.setPen(qt.QPen(colour))
        peak = float(np.nanmax(y)) if np.isfinite(y).any() else 0.0
        painter.drawText(LEFT + number * (width // 2), 20, f"{label}: 0 - {peak:.4g}")
        across = LEFT + x / furthest * (width - LEFT - RIGHT)
        up = bottom - np.clip(y / peak if peak > 0 else 0 * y, 0, 1) * (bottom - TOP)
        for n in range(len(x) - 1):
            if np.isfinite(up[n : n + 2]).all():
                painter.drawLine(int(across[n]), int(up[n]), int(across[n + 1]), int(up[n + 1]))
    painter.end()
    return pixmap
