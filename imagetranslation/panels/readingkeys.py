"""The keys of a reading: digits answer, arrows choose the question or move on a line, Enter goes on. Imports `qt`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import qt

if TYPE_CHECKING:
    from .readingpanel import ReadingPanel

ARROWS = {"Down": (1, 0), "Up": (-1, 0), "Right": (0, 1), "Left": (0, -1)}


def shortcuts(panel: ReadingPanel) -> list[Any]:
    """A QShortcut for each key, which calls the panel's `onDigit`, `onArrow` or `onEnter`."""
    wanted: list[tuple[str, Any]] = [(str(digit), functools.partial(panel.onDigit, str(digit))) for digit in range(10)]
    wanted += [("Return", panel.onEnter), ("Enter", panel.onEnter)]
    wanted += [(key, functools.partial(panel.onArrow, *way)) for key, way in ARROWS.items()]
    made = []
    for key, receiver in wanted:
        shortcut = qt.QShortcut(qt.QKeySequence(key), panel.widget)
        shortcut.connect("activated()", receiver)
        made.append(shortcut)
    return made
