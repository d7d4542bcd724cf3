"""Regions drawn in a scene: what a segmentation or label map is made of, one part of it as a label map, its changes.

A region keeps the grid it was drawn on; whether that grid is an image's is `radiomics.segmentations`' matter. Only a
segmentation without a label map (contours, a surface) is turned into voxels here, on the image's grid, by Slicer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import vtk
from vtk.util import numpy_support

from ..errors import InputError
from .volumes import set_array

if TYPE_CHECKING:
    import slicer

BINARY = "Binary labelmap"
# A label map with more values than this is an image.
MOST_LABELS = 4096


def parts(node: Any) -> list[tuple[str, str]]:
    """(id, name) of the segments of a segmentation, or of the labels of a label map by ascending value."""
    if node is None:
        return []
    if node.IsA("vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        return [(name, segmentation.GetSegment(name).GetName() or name) for name in segmentation.GetSegmentIDs()]
    return [(str(label), _label_name(node, label)) for label in _labels(node)]


def part_name(node: Any, part: str) -> str:
    """The name of a part, as it is called in tables: that of the segment, or of the label map with its label."""
    if node.IsA("vtkMRMLSegmentationNode"):
        segment = node.GetSegmentation().GetSegment(part)
        return str(segment.GetName() or part) if segment is not None else part
    return f"{node.GetName()} {_label_name(node, int(part))}"


def labelmap_of(node: Any, part: str, image: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLLabelMapVolumeNode:
    """One part (or all of them, where `part` is empty) as a node of no scene, 1 inside and 0 outside.

    Its grid is the region's own, placed in the image's own frame, parent transforms of both left out. Raises
    InputError with one sentence for an empty region, a part that is gone, a transform that bends space.
    """
    wanted = [part] if part else [name for name, _ in parts(node)]
    if not wanted:
        raise InputError(f"{node.GetName()} is empty: nothing is drawn in it yet.")
    if not node.IsA("vtkMRMLSegmentationNode"):
        return _from_labels(node, wanted, image)
    missing = [name for name in wanted if node.GetSegmentation().GetSegment(name) is None]
    if missing:
        raise InputError(f"{node.GetName()} has no segment {missing[0]} any more; choose another one.")
    binary = node.GetSegmentation().GetSourceRepresentationName() == BINARY
    if binary and len(wanted) == 1:
        return _from_segment(node, wanted[0], image)
    return _on_image(node, wanted, image)


def new_region(source: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    """A segmentation on the grid of `source`, beside it, with one empty segment to draw in."""
    scene = source.GetScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(f"{source.GetName()} region"))
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(source)
    node.SetAndObserveTransformNodeID(source.GetTransformNodeID())
    node.GetSegmentation().AddEmptySegment("", "Region")
    return node


def follow(node: Any, changed: Callable[..., None]) -> Callable[[], None]:
    """Call `changed()` whenever what is drawn in the node changes; returns what ends that."""
    import slicer

    if node.IsA("vtkMRMLSegmentationNode"):
        kinds = slicer.vtkSegmentation
        subject = node.GetSegmentation()
        events = [kinds.SourceRepresentationModified, kinds.SegmentAdded, kinds.SegmentRemoved, kinds.SegmentModified]
    else:
        subject, events = node, [slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent]
    tags = [subject.AddObserver(event, lambda *_: changed()) for event in events]

    def end() -> None:
        for tag in tags:
            subject.RemoveObserver(tag)

    return end


def _labels(node: Any) -> list[int]:
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetNumberOfScalarComponents() != 1:
        return []
    values = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    low, high = image.GetScalarRange()
    if values.dtype.kind in "iu" and low >= 0 and high < 1 << 16:
        return [int(value) for value in np.flatnonzero(np.bincount(values)) if value > 0]
    present = np.unique(values)
    whole = present[(present > 0) & (present == np.floor(present))]
    return [int(value) for value in whole] if len(whole) <= MOST_LABELS else []


def _label_name(node: Any, label: int) -> str:
    display = node.GetDisplayNode()
    colours = display.GetColorNode() if display is not None else None
    name = colours.GetColorName(label) if colours is not None and label < colours.GetNumberOfColors() else ""
    return f"{name} ({label})" if name and name != str(label) else f"label {label}"


def _from_labels(node: Any, wanted: list[str], image: Any) -> Any:
    if node.GetImageData() is None:
        raise InputError(f"{node.GetName()} holds no voxels; choose another region.")
    values = numpy_support.vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())
    inside = np.isin(values, [int(label) for label in wanted])
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    shape = tuple(reversed(node.GetImageData().GetDimensions()))
    return _carrier(node, inside.reshape(shape), _in_frame_of(image, node, matrix))


def _from_segment(node: Any, part: str, image: Any) -> Any:
    segment = node.GetSegmentation().GetSegment(part)
    labelmap = segment.GetRepresentation(BINARY)
    if labelmap is None or labelmap.GetNumberOfPoints() == 0:
        raise InputError(f"{segment.GetName()} is empty: nothing is drawn in it yet.")
    values = numpy_support.vtk_to_numpy(labelmap.GetPointData().GetScalars())
    inside = (values == segment.GetLabelValue()).reshape(tuple(reversed(labelmap.GetDimensions())))
    matrix, first = vtk.vtkMatrix4x4(), labelmap.GetExtent()
    labelmap.GetImageToWorldMatrix(matrix)
    # Voxels are counted from the grid's origin; the label map covers a part of it.
    corner = matrix.MultiplyPoint((first[0], first[2], first[4], 1.0))
    for row in range(3):
        matrix.SetElement(row, 3, corner[row])
    return _carrier(node, inside, _in_frame_of(image, node, matrix), segment.GetName())


def _on_image(node: Any, wanted: list[str], image: Any) -> Any:
    """Voxels of the image that Slicer finds in the segments; also the union of several, which may have grids apart."""
    import slicer

    union = None
    for part in wanted:
        found = slicer.util.arrayFromSegmentBinaryLabelmap(node, part, image) > 0
        union = found if union is None else union | found
    matrix = vtk.vtkMatrix4x4()
    image.GetIJKToRASMatrix(matrix)
    return _carrier(node, union, matrix)


def _carrier(node: Any, inside: Any, matrix: vtk.vtkMatrix4x4, name: str = "") -> Any:
    import slicer

    if not inside.any():
        raise InputError(f"{name or node.GetName()} is empty: nothing is drawn in it yet.")
    carrier = slicer.vtkMRMLLabelMapVolumeNode()
    carrier.SetName(name or node.GetName())
    carrier.SetIJKToRASMatrix(matrix)
    set_array(carrier, inside)
    return carrier


def _in_frame_of(image: Any, node: Any, matrix: vtk.vtkMatrix4x4) -> vtk.vtkMatrix4x4:
    """`matrix`, from indices to the node's own RAS, as one to the image's own RAS."""
    if node.GetTransformNodeID() == image.GetTransformNodeID():
        return matrix
    for each in (node, image):
        parent = each.GetParentTransformNode()
        if parent is not None and not parent.IsTransformToWorldLinear():
            raise InputError(f"{each.GetName()} is under a transform that bends space; harden the transform first.")
    between, result = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    _between(node.GetParentTransformNode(), image.GetParentTransformNode(), between)
    vtk.vtkMatrix4x4.Multiply4x4(between, matrix, result)
    return result


def _between(source: Any, target: Any, matrix: vtk.vtkMatrix4x4) -> None:
    import slicer

    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(source, target, matrix)
