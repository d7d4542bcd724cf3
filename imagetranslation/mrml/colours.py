"""Colour tables of our own and the legends that explain them in the views. Which colours is `appearance`'s matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer

if TYPE_CHECKING:
    from slicer import vtkMRMLColorTableNode, vtkMRMLScalarVolumeNode, vtkMRMLScene


def colour_table(scene: vtkMRMLScene, name: str, colours: np.ndarray) -> vtkMRMLColorTableNode:
    """The scene's colour table of that name, made from uint8 (n, RGB) where it is not there yet; never saved."""
    found = scene.GetFirstNodeByName(name)
    if found is not None and found.IsA("vtkMRMLColorTableNode"):
        return found
    node = slicer.vtkMRMLColorTableNode()
    node.SetTypeToUser()
    node.SetName(name)
    node.SetNumberOfColors(len(colours))
    for index, (red, green, blue) in enumerate(colours / 255):
        node.SetColor(index, str(index), red, green, blue, 1.0)
    node.SetHideFromEditors(True)
    node.SaveWithSceneOff()
    return scene.AddNode(node)


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
