"""Colour tables of our own and the legends that explain them in the views. Which colours is `appearance`'s matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer

if TYPE_CHECKING:
    from slicer import vtkMRMLColorTableNode, vtkMRMLScalarVolumeNode, vtkMRMLScene


def colour_table(scene: vtkMRMLScene, name: str, colours: np.ndarray, *, saved: bool = False) -> vtkMRMLColorTableNode:
    """The scene's colour table of that name, made from uint8 (n, RGB) where it is not there yet or lost its colours.

    saved: whether it is saved with the scene, as the table of a volume that is saved must be: Slicer draws nothing
    right of a volume whose table is missing.
    """
    found = scene.GetFirstNodeByName(name)
    if found is not None and found.IsA("vtkMRMLColorTableNode"):
        # A scene file holds the name and the size of a table, the colours lie in a file of their own.
        if not _has(found, colours):
            _fill(found, colours)
        return found
    node = slicer.vtkMRMLColorTableNode()
    node.SetTypeToUser()
    node.SetName(name)
    _fill(node, colours)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(saved)
    return scene.AddNode(node)


def _fill(node: vtkMRMLColorTableNode, colours: np.ndarray) -> None:
    modified = node.StartModify()
    node.SetNumberOfColors(len(colours))
    for index, (red, green, blue) in enumerate(colours / 255):
        node.SetColor(index, str(index), red, green, blue, 1.0)
    node.EndModify(modified)


def _has(node: vtkMRMLColorTableNode, colours: np.ndarray) -> bool:
    """Whether the table's ends are these colours; entries are written to three digits, so nearly."""
    if node.GetNumberOfColors() != len(colours):
        return False
    for index in (0, len(colours) - 1):
        colour = [0.0] * 4
        if not node.GetColor(index, colour) or not np.allclose(colour[:3], colours[index] / 255, atol=0.01):
            return False
    return True


def show_legend(node: vtkMRMLScalarVolumeNode, title: str, label_format: str = "%.0f") -> None:
    """A colour legend in every view that shows the node."""
    scene = node.GetScene()
    for index in range(node.GetNumberOfDisplayNodes()):
        if node.GetNthDisplayNode(index).IsA("vtkMRMLColorLegendDisplayNode"):
            return
    # Made here and not by its class's name, which only the application registers with a scene.
    legend = scene.AddNode(slicer.vtkMRMLColorLegendDisplayNode())
    legend.SetTitleText(title)
    legend.GetTitleTextProperty().SetFontSize(12)
    legend.SetLabelFormat(label_format)
    legend.SetNumberOfLabels(5)
    legend.SetAndObserveColorNodeID(node.GetDisplayNode().GetColorNodeID())
    legend.SetAndObservePrimaryDisplayNode(node.GetDisplayNode())
    legend.SaveWithSceneOff()
    node.AddAndObserveDisplayNodeID(legend.GetID())


def redraw_legends(scene: vtkMRMLScene) -> None:
    """Let the views look again which legends they show: they do not when layers are changed by a program.

    A view knows only legends that were made while it existed; so make a legend when its view is there.
    """
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        if node.IsA("vtkMRMLColorLegendDisplayNode"):
            node.Modified()
