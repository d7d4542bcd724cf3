"""Loading the panels' .ui files. Imports the application's `slicer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

# What a label is taken to have before it was shown.
LEAST_WIDTH = 320
FOLDER = Path(__file__).resolve().parent / "Resources" / "UI"


def load(name: str) -> tuple[Any, Any]:
    """(widget, its children by name) of one .ui file, its node selectors on the application's scene."""
    widget = slicer.util.loadUI(str(FOLDER / f"{name}.ui"))
    children = slicer.util.childWidgetVariables(widget)
    widget.setMRMLScene(slicer.mrmlScene)
    return widget, children


def say(label: Any, text: str, style: str = "") -> None:
    """Show a sentence or more in a wrapped label, or hide it."""
    label.text, label.styleSheet = text, style
    _fit(label)
    label.visible = bool(text)


def fit(widget: Any) -> None:
    """Let every wrapped label inside ask for all its lines. The application's module panel reckons with one line each:
    what they need beyond that is taken from the largest section, whose contents are then drawn over one another."""
    for label in widget.findChildren("QLabel"):
        if label.wordWrap:
            _fit(label)


def _fit(label: Any) -> None:
    # A minimum of its own would count in the height that it asks for.
    label.minimumHeight = 0
    label.minimumHeight = label.heightForWidth(max(int(label.width), LEAST_WIDTH)) if label.text else 0
    # Forms reckon with heights of earlier widths as well.
    policy = label.sizePolicy
    policy.setHeightForWidth(False)
    label.sizePolicy = policy


def fill(combo: Any, labels: list[str], chosen: int) -> None:
    """Replace a combo box's entries without telling those who listen to it."""
    blocked = combo.blockSignals(True)
    combo.clear()
    for label in labels:
        combo.addItem(label)
    combo.currentIndex = chosen
    combo.blockSignals(blocked)
