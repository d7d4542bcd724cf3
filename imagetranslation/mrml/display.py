"""Grey windows of volume nodes, and slice views that move together.

Which window is right for an image is `imagetranslation.appearance`'s matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import slicer

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode, vtkMRMLScene, vtkMRMLSliceCompositeNode


def set_window(node: vtkMRMLScalarVolumeNode, lower: float, upper: float) -> None:
    """Show values at or below `lower` black and at or above `upper` white; a display node is made where absent."""
    if not upper > lower:
        raise ValueError(f"the upper end {upper} of a window must lie above the lower end {lower}")
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(lower, upper)


def window_of(node: vtkMRMLScalarVolumeNode) -> tuple[float, float] | None:
    """(lower, upper) as shown, or None for a node without a display node."""
    display = node.GetDisplayNode()
    return None if display is None else (display.GetWindowLevelMin(), display.GetWindowLevelMax())


def link(composites: Iterable[vtkMRMLSliceCompositeNode]) -> None:
    """Let the slice views of these composite nodes leaf, zoom and pan together, while the mouse still moves."""
    for composite in composites:
        composite.SetLinkedControl(True)
        composite.SetHotLinkedControl(True)


def drag_changes_window(scene: vtkMRMLScene) -> None:
    """Make dragging with the left button in a slice view change the window, as radiology viewers do."""
    node = scene.GetFirstNodeByClass("vtkMRMLInteractionNode")
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLInteractionNode")
    node.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.AdjustWindowLevel)
