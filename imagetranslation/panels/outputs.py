"""Putting a finished translation into the scene: a new node or an old one's place, on the source's grid and marked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import slicer
import vtk

from ..mrml.display import set_window
from ..mrml.provenance import PREFIX, mark, provenance_of
from ..mrml.uncertainty import attach, colour, detach
from ..mrml.volumes import MODALITY, NOTES, set_array
from ..provenance import MARK, Provenance, display_name

if TYPE_CHECKING:
    import numpy as np

    from .translation import Request

GREY = "vtkMRMLColorTableNodeGrey"
INVERTED_GREY = "vtkMRMLColorTableNodeInvertedGrey"
# The SOP Instance UIDs of the scan, where it was loaded from DICOM: the way to its files when the result is exported.
SOURCE_INSTANCES = PREFIX + "SourceInstanceUIDs"
_SLICERS_INSTANCES = "DICOM.instanceUIDs"


def put_result(request: Request, array: np.ndarray, record: Provenance) -> slicer.vtkMRMLScalarVolumeNode:
    """The node that holds the synthetic image: array is (k, j, i) on the grid of `request.source`.

    The node takes the source's spacing, origin, directions and parent transform bit for bit, and its place in the
    subject hierarchy. A name that does not say SYNTHETIC, or that was given for another scan, is replaced; one that a
    person gave stays. `request.output` may be a node of no scene, as
    the items of a sequence are made; it gets no display.
    """
    source = request.source
    scene = source.GetScene()
    node = request.output if request.output is not None else scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    detach(node)
    modified = node.StartModify()
    _place(node, source)
    if node.GetScene() is not None:
        # Before the voxels: otherwise Slicer searches all of them for a window, only to have it replaced.
        show_as(node, request.window, request.inverted)
    set_array(node, array)
    _name(node, scene, record)
    node.SetAttribute(MODALITY, record.modality)
    node.SetAttribute(NOTES, json.dumps(list(record.notes)))
    mark(node, record)
    node.SetAttribute(SOURCE_INSTANCES, source.GetAttribute(_SLICERS_INSTANCES))
    node.EndModify(modified)
    if node.GetScene() is not None:
        _file_beside(node, source)
    return node


def put_map(
    request: Request,
    image: slicer.vtkMRMLScalarVolumeNode,
    array: np.ndarray,
    record: Provenance,
    earlier: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The node of the uncertainty map that belongs to the synthetic `image`; None where that lies in no scene.

    earlier: the map of what `image` held before, to be replaced with it.
    """
    scene = image.GetScene()
    if scene is None:
        return None
    node = earlier if earlier is not None else scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    modified = node.StartModify()
    _name(node, scene, record)
    _place(node, request.source)
    show_as(node, (0.0, 1.0), False)
    set_array(node, array)
    node.SetAttribute(NOTES, json.dumps(list(record.notes)))
    mark(node, record)
    node.EndModify(modified)
    attach(image, node)
    colour(node)
    _file_beside(node, request.source)
    return node


def _name(node: slicer.vtkMRMLScalarVolumeNode, scene: slicer.vtkMRMLScene, record: Provenance) -> None:
    name, earlier = node.GetName() or "", provenance_of(node)
    of_another = earlier is not None and name.startswith(display_name(earlier)) and earlier.source != record.source
    if of_another or not name.startswith(MARK):
        node.SetName(scene.GenerateUniqueName(display_name(record)))


def _place(node: slicer.vtkMRMLScalarVolumeNode, source: slicer.vtkMRMLScalarVolumeNode) -> None:
    """The source's spacing, origin, directions and parent transform, bit for bit."""
    directions = vtk.vtkMatrix4x4()
    source.GetIJKToRASDirectionMatrix(directions)
    node.SetSpacing(*source.GetSpacing())
    node.SetOrigin(*source.GetOrigin())
    node.SetIJKToRASDirectionMatrix(directions)
    node.SetAndObserveTransformNodeID(source.GetTransformNodeID())


def show_as(node: slicer.vtkMRMLScalarVolumeNode, window: tuple[float, float] | None, inverted: bool) -> None:
    """Grey window of a node and whether large values are dark; None leaves Slicer's automatic window."""
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    if window is not None:
        set_window(node, *window)
    if inverted and node.GetScene().GetNodeByID(INVERTED_GREY) is not None:
        node.GetDisplayNode().SetAndObserveColorNodeID(INVERTED_GREY)


def show_inverted(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show large values dark, unless a person has chosen colours of their own."""
    display = node.GetDisplayNode()
    if display is not None and display.GetColorNodeID() == GREY and node.GetScene().GetNodeByID(INVERTED_GREY):
        display.SetAndObserveColorNodeID(INVERTED_GREY)


def _file_beside(node: slicer.vtkMRMLNode, source: slicer.vtkMRMLNode) -> None:
    """Give the node the source's parent (patient, study) in the subject hierarchy, where there is one."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(source.GetScene())
    if hierarchy is None:
        return
    own, other = hierarchy.GetItemByDataNode(node), hierarchy.GetItemByDataNode(source)
    if own and other:
        hierarchy.SetItemParent(own, hierarchy.GetItemParent(other))
