"""Where a translation may put something: a segmentation, a label map or a box, as a mask on the volume's own grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import vtk
from vtk.util import numpy_support

from ..errors import InputError
from ..mrml.volumes import volume_from_node
from ..volume import Volume
from .transfer import Slices, grid_shape

if TYPE_CHECKING:
    import slicer

NODE_CLASSES = ("vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode", "vtkMRMLMarkupsROINode")


def inside(mask: slicer.vtkMRMLNode, volume: slicer.vtkMRMLVolumeNode) -> Slices:
    """A function (first, last) -> bool (k, j, i) of the volume's slices; InputError for what can't be a mask."""
    if mask.IsA("vtkMRMLMarkupsROINode"):
        return _box(mask, volume)
    if mask.IsA("vtkMRMLLabelMapVolumeNode"):
        return _labels(mask, volume)
    if mask.IsA("vtkMRMLSegmentationNode"):
        return _segments(mask, volume)
    raise InputError(f"{mask.GetName()} cannot limit a translation; choose a segmentation, a label map or a box.")


def _labels(mask: slicer.vtkMRMLLabelMapVolumeNode, volume: slicer.vtkMRMLVolumeNode) -> Slices:
    shape = grid_shape(volume)
    if grid_shape(mask) != shape or not volume_from_node(mask).same_grid(_placed(volume)):
        raise InputError(f"{mask.GetName()} is not on the grid of {volume.GetName()}; import it as a segmentation.")
    values = numpy_support.vtk_to_numpy(mask.GetImageData().GetPointData().GetScalars()).reshape(shape)
    return lambda first, last: values[first:last] != 0


def _placed(volume: slicer.vtkMRMLVolumeNode) -> Volume:
    """The volume's place without its voxels, which may be colours."""
    shape = grid_shape(volume)
    matrix = _to_world(volume)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    lps = np.diag([-1.0, -1.0, 1.0])
    direction = tuple(float(v) for v in (lps @ matrix[:3, :3] / spacing).ravel())
    voxels = np.broadcast_to(np.uint8(0), shape)
    return Volume(voxels, _triple(spacing), _triple(lps @ matrix[:3, 3]), direction, volume.GetName() or "volume")


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _segments(mask: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLVolumeNode) -> Slices:
    import slicer

    names = list(mask.GetSegmentation().GetSegmentIDs())
    if not names:
        raise InputError(f"The segmentation {mask.GetName()} is empty; draw something or choose no mask.")
    union = np.zeros(grid_shape(volume), bool)
    for name in names:
        union |= slicer.util.arrayFromSegmentBinaryLabelmap(mask, name, volume) > 0
    return lambda first, last: union[first:last]


def _box(mask: slicer.vtkMRMLMarkupsROINode, volume: slicer.vtkMRMLVolumeNode) -> Slices:
    """Voxels whose centre lies in the box, turned boxes and transformed volumes included."""
    to_box = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(mask.GetObjectToWorldMatrix(), to_box)
    matrix = _numbers(to_box) @ _to_world(volume)
    half = np.asarray(mask.GetSize()) / 2
    _, rows, columns = grid_shape(volume)
    i, j = np.arange(columns), np.arange(rows)

    def slices(first: int, last: int) -> np.ndarray:
        k = np.arange(first, last)
        result = np.ones((len(k), rows, columns), bool)
        for axis in range(3):
            a, b, c, d = matrix[axis]
            place = a * i[None, None, :] + b * j[None, :, None] + c * k[:, None, None] + d
            result &= np.abs(place) <= half[axis]
        return result

    return slices


def _to_world(volume: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """(4, 4) from voxel index to world RAS; InputError under a transform that bends space."""
    own, parent = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(own)
    transform = volume.GetParentTransformNode()
    if transform is not None:
        if not transform.IsTransformToWorldLinear():
            raise InputError(f"{volume.GetName()} is under a transform that bends space; use no mask, or harden it.")
        transform.GetMatrixTransformToWorld(parent)
    return _numbers(parent) @ _numbers(own)


def _numbers(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
