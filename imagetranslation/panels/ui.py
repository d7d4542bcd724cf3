"""Loading the panels' .ui files. Imports the application's `slicer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

FOLDER = Path(__file__).resolve().parent / "Resources" / "UI"


def load(name: str) -> tuple[Any, Any]:
    """(widget, its children by name) of one .ui file, its node selectors on the application's scene."""
    widget = slicer.util.loadUI(str(FOLDER / f"{name}.ui"))
    children = slicer.util.childWidgetVariables(widget)
    widget.setMRMLScene(slicer.mrmlScene)
    return widget, children


def fill(combo: Any, labels: list[str], chosen: int) -> None:
    """Replace a combo box's entries without telling those who listen to it."""
    blocked = combo.blockSignals(True)
    combo.clear()
    for label in labels:
        combo.addItem(label)
    combo.currentIndex = chosen
    combo.blockSignals(blocked)
