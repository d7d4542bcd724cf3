"""Pictures made of two images: checkerboard and difference map, as volume nodes on the synthetic image's grid.

They hold synthetic voxels, so they are marked like the synthetic image itself. What the numbers mean is defined in
`imagetranslation.appearance`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from .. import appearance
from ..errors import InputError
from ..formats import to_grey
from ..provenance import MARK
from ..slices import array_axis
from ..volume import Volume, index_to_lps
from .colours import colour_table, show_legend
from .display import set_window, window_of
from .provenance import mark, provenance_of
from .uncertainty import is_map
from .volumes import set_array, volume_from_node

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode

COLOURS = "ImageTranslation difference"
LEGEND_TITLE = "difference, %"


def checkerboard_node(
    source: vtkMRMLScalarVolumeNode,
    synthetic: vtkMRMLScalarVolumeNode,
    squares: int,
    plane: str,
    node: vtkMRMLScalarVolumeNode | None = None,
) -> vtkMRMLScalarVolumeNode:
    """A volume of squares taken in turn from source and synthetic image, each in its own grey window (uint8).

    squares: along the longest side. plane: "axial", "sagittal" or "coronal". node: an earlier one to fill again.
    """
    below, above = _shown(source), _shown(synthetic)
    if below.array.shape != above.array.shape:
        raise InputError("A checkerboard needs the two images on one grid.")
    longest = max(n * s for n, s in zip(reversed(above.array.shape), above.spacing))
    board = appearance.checkerboard(above, longest / squares, array_axis(above, plane))
    grey = np.where(board, _windowed(above), _windowed(below))
    node = _fill(node, synthetic, (255 * grey).astype(np.uint8), f"{MARK} checkerboard")
    set_window(node, 0, 255)
    node.GetDisplayNode().SetInterpolate(False)
    return node


def difference_node(
    synthetic: vtkMRMLScalarVolumeNode,
    reference: vtkMRMLScalarVolumeNode,
    node: vtkMRMLScalarVolumeNode | None = None,
) -> vtkMRMLScalarVolumeNode:
    """Synthetic minus reference in per cent of each one's window, with colours and a legend; 0 outside the reference.

    The reference is resampled linearly to the synthetic image's grid, transforms applied. InputError where the two
    modalities cannot be compared.
    """
    if is_map(reference):
        raise InputError(f"{reference.GetName()} is an uncertainty map; choose the real image as reference.")
    imitation, real = _shown(synthetic), _shown(reference)
    moved, inside = _on_grid_of(real, imitation)
    if why := appearance.why_no_difference(imitation, moved):
        raise InputError(why)
    difference = np.where(inside, appearance.difference_percent(imitation, moved), 0).astype(np.float32)
    node = _fill(node, synthetic, difference, f"{MARK} difference from {reference.GetName()}")
    set_window(node, -appearance.DIFFERENCE_LIMIT, appearance.DIFFERENCE_LIMIT)
    percent = np.linspace(-appearance.DIFFERENCE_LIMIT, appearance.DIFFERENCE_LIMIT, 255)
    table = colour_table(node.GetScene(), COLOURS, appearance.difference_colours(percent))
    node.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    show_legend(node, LEGEND_TITLE)
    return node


def remove(node: vtkMRMLScalarVolumeNode) -> None:
    """Take a picture out of its scene together with its display nodes, which the legend would keep there otherwise."""
    scene = node.GetScene()
    if scene is None:
        return
    displays = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    scene.RemoveNode(node)
    for display in displays:
        if display is not None and display.GetScene() is not None:
            scene.RemoveNode(display)


def _shown(node: vtkMRMLScalarVolumeNode) -> Volume:
    """The node's voxels where the views show them, with the window they are shown in."""
    image = node.GetImageData()
    if image is not None and image.GetNumberOfScalarComponents() in (3, 4):
        volume = _grey(node)
    else:
        volume = volume_from_node(node)
    window = window_of(node)
    if window is None or not window[1] > window[0]:
        return volume
    return replace(volume, attributes={**volume.attributes, "window": window})


def _grey(node: vtkMRMLScalarVolumeNode) -> Volume:
    """A colour volume as grey, in the place of its node."""
    image = node.GetImageData()
    i, j, k = image.GetDimensions()
    values = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k, j, i, -1)
    grey = slicer.vtkMRMLScalarVolumeNode()
    grey.CopyOrientation(node)
    set_array(grey, to_grey(values))
    return replace(volume_from_node(grey), name=node.GetName() or "volume")


def _windowed(volume: Volume) -> np.ndarray:
    return appearance.windowed(volume.array, appearance.default_window(volume))


def _on_grid_of(volume: Volume, grid: Volume) -> tuple[Volume, np.ndarray]:
    """The volume resampled to the other's grid, and bool (k, j, i) where it has data."""
    to_index = np.linalg.inv(index_to_lps(volume)) @ index_to_lps(grid)
    array = _reslice(volume.array.astype(np.float32), to_index, grid.array.shape, linear=True)
    ones = np.ones(volume.array.shape, np.float32)
    inside = _reslice(ones, to_index, grid.array.shape, linear=False) > 0
    window = appearance.default_window(volume)
    moved = grid.with_array(
        array, name=volume.name, modality=volume.modality, provenance=None,
        attributes={**volume.attributes, "window": window},
    )  # fmt: skip
    return moved, inside


def _reslice(array: np.ndarray, to_index: np.ndarray, shape: tuple[int, ...], linear: bool) -> np.ndarray:
    """float32 of `shape` (k, j, i): the array read at to_index (4, 4) of each output index, 0 outside."""
    image = vtk.vtkImageData()
    image.SetDimensions(*reversed(array.shape))
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=True))
    matrix = vtk.vtkMatrix4x4()
    for row, column in np.ndindex(4, 4):
        matrix.SetElement(row, column, float(to_index[row, column]))
    transform = vtk.vtkTransform()
    transform.SetMatrix(matrix)
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(image)
    reslice.SetResliceTransform(transform)
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputExtent(0, shape[2] - 1, 0, shape[1] - 1, 0, shape[0] - 1)
    reslice.SetBackgroundLevel(0)
    reslice.BorderOn()
    if linear:
        reslice.SetInterpolationModeToLinear()
    else:
        reslice.SetInterpolationModeToNearestNeighbor()
    reslice.Update()
    return numpy_support.vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars()).reshape(shape).copy()


def _fill(
    node: vtkMRMLScalarVolumeNode | None, like: vtkMRMLScalarVolumeNode, array: np.ndarray, name: str
) -> vtkMRMLScalarVolumeNode:
    scene = like.GetScene()
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", scene.GenerateUniqueName(name))
    node.CopyOrientation(like)
    node.SetAndObserveTransformNodeID(like.GetTransformNodeID())
    # A view of two images, made anew whenever it is wanted: it is not saved with the scene.
    node.SaveWithSceneOff()
    node.SetHideFromEditors(True)
    set_array(node, array)
    record = provenance_of(like)
    if record is not None:
        mark(node, record)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node
