"""Volumes into a MRML scene and out of it again, with exact geometry.

MRML places voxels in RAS millimetres; `imagetranslation.Volume` in LPS. The sign change happens here. Display is left
to `display`, the record of synthetic images to `provenance`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import vtk
from vtk.util import numpy_support

from ..errors import InputError
from ..provenance import display_name
from ..volume import Volume, index_to_lps
from .provenance import PREFIX, mark, provenance_of

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode, vtkMRMLScene, vtkMRMLVolumeNode

MODALITY = PREFIX + "Modality"
NOTES = PREFIX + "Notes"
FACTS = PREFIX + "Attributes"
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
# Directions further from perpendicular than this (cosine) are a shear, which no image format of ours can carry.
SHEAR = 1e-4
# Two grids closer than this are the same one: far below a voxel, far above the rounding of a transform chain.
SAME_GRID_MM = 1e-3


def add_volume(
    scene: vtkMRMLScene, volume: Volume, *, beside: vtkMRMLVolumeNode | None = None, display: bool = True
) -> vtkMRMLScalarVolumeNode:
    """Add the volume to the scene and return its node; a synthetic one is marked and named as such.

    beside: the node the volume was made from. The new node takes that node's grid bit for bit and its parent
    transform, so that moving the one moves the other; `volume` must be on its grid (as `volume_from_node` gave it),
    otherwise InputError. display: also create the display node (grey, automatic window).
    Voxel types VTK lacks become the next wider one (bool -> uint8, float16 -> float32). `field_of_view` is not stored.
    """
    array = _storable(volume.array)
    if beside is not None:
        _require_grid_of(beside, volume)
    name = display_name(volume.provenance) if volume.provenance is not None else volume.name
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", scene.GenerateUniqueName(name))
    if beside is None:
        place(node, volume)
    else:
        _place_beside(node, beside)
    set_array(node, array)
    _describe(node, volume)
    if display:
        node.CreateDefaultDisplayNodes()
    return node


def set_array(node: vtkMRMLVolumeNode, array: np.ndarray) -> None:
    """Replace a node's voxels by a copy of `array` (k, j, i); its geometry stays."""
    voxels = np.ascontiguousarray(_storable(array))
    image = vtk.vtkImageData()
    image.SetDimensions(*(int(n) for n in reversed(voxels.shape)))
    scalars = numpy_support.numpy_to_vtk(voxels.ravel(), deep=True)
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    node.SetAndObserveImageData(image)


def volume_from_node(node: vtkMRMLVolumeNode, *, world: bool = True) -> Volume:
    """The node's voxels (a copy) and where they lie.

    world: with the parent transforms applied, which is what the views show; a warp or a shear is refused with
    InputError. False gives the node's own grid whatever its parents. The round trip
    `volume_from_node(add_volume(scene, v))` returns the same array, spacing, origin, direction, modality, notes and
    provenance. InputError for an empty, colour or vector node.
    """
    array = _array_of(node)
    matrix = _index_to_ras(node, world)
    columns = LPS_TO_RAS @ matrix[:3, :3]
    spacing, direction = _spacing_and_direction(columns, node, world)
    return Volume(
        array=array,
        spacing=spacing,
        origin=_triple(LPS_TO_RAS @ matrix[:3, 3]),
        direction=tuple(float(n) for n in direction.ravel()),
        name=node.GetName() or "volume",
        modality=node.GetAttribute(MODALITY) or "",
        notes=tuple(str(note) for note in _stored(node, NOTES, [])),
        attributes=dict(_stored(node, FACTS, {})),
        provenance=provenance_of(node),
    )


def place(node: vtkMRMLVolumeNode, volume: Volume) -> None:
    """Give a node the volume's grid."""
    directions = LPS_TO_RAS @ np.asarray(volume.direction, dtype=float).reshape(3, 3)
    node.SetSpacing(*(float(s) for s in volume.spacing))
    node.SetOrigin(*(LPS_TO_RAS @ np.asarray(volume.origin, dtype=float)))
    node.SetIJKToRASDirections(*directions.ravel())


def _place_beside(node: vtkMRMLVolumeNode, beside: vtkMRMLVolumeNode) -> None:
    # Part by part: setting the whole matrix would derive the spacing by a square root and change its last bits.
    node.SetSpacing(*beside.GetSpacing())
    node.SetOrigin(*beside.GetOrigin())
    node.SetIJKToRASDirectionMatrix(_directions(beside))
    node.SetAndObserveTransformNodeID(beside.GetTransformNodeID())


def _require_grid_of(beside: vtkMRMLVolumeNode, volume: Volume) -> None:
    """InputError unless the volume lies on the node's own grid or on the grid its parent transform gives it."""
    shape = tuple(reversed(beside.GetImageData().GetDimensions())) if beside.GetImageData() else ()
    grids = [_index_to_ras(beside, world=False)]
    parent = beside.GetParentTransformNode()
    if parent is not None and parent.IsTransformToWorldLinear():
        grids.append(_index_to_ras(beside, world=True))
    given = np.diag([-1.0, -1.0, 1.0, 1.0]) @ index_to_lps(volume)
    if shape != volume.array.shape or not any(_same_places(given, grid, shape) for grid in grids):
        raise InputError(
            f"The image for {beside.GetName()} is not on that volume's grid; nothing was added to the scene."
        )


def _directions(node: vtkMRMLVolumeNode) -> vtk.vtkMatrix4x4:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASDirectionMatrix(matrix)
    return matrix


def _same_places(one: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether the corner voxels of the grid `shape` (k, j, i) fall on the same places under both matrices."""
    far = [n - 1 for n in reversed(shape)]
    corners = np.array([[*(f * b for f, b in zip(far, bits)), 1.0] for bits in np.ndindex(2, 2, 2)])
    return bool(np.abs(corners @ (one - other).T).max() <= SAME_GRID_MM)


def _describe(node: vtkMRMLVolumeNode, volume: Volume) -> None:
    if volume.modality:
        node.SetAttribute(MODALITY, volume.modality)
    if volume.notes:
        node.SetAttribute(NOTES, json.dumps(list(volume.notes)))
    facts = {key: value for key, value in volume.attributes.items() if _plain(value)}
    if facts:
        node.SetAttribute(FACTS, json.dumps(facts))
    if volume.provenance is not None:
        mark(node, volume.provenance)


def _plain(value: object) -> bool:
    """Whether JSON gives the value back unchanged; anything else stays out of the node."""
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError):
        return False


def _stored(node: vtkMRMLVolumeNode, key: str, otherwise: Any) -> Any:
    """The JSON attribute of that key; `otherwise` where it is absent or of another type."""
    try:
        value = json.loads(node.GetAttribute(key) or "null")
    except ValueError:
        return otherwise
    return value if isinstance(value, type(otherwise)) else otherwise


def _storable(array: np.ndarray) -> np.ndarray:
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise InputError(f"Voxels of type {array.dtype} cannot be shown; expected real numbers of at most 64 bits.")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _array_of(node: vtkMRMLVolumeNode) -> np.ndarray:
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise InputError(f"The volume {node.GetName()} holds no voxels; load or choose another one.")
    components = image.GetNumberOfScalarComponents()
    if components != 1:
        raise InputError(
            f"The volume {node.GetName()} has {components} values a voxel; convert it to one (grey) value first."
        )
    shape = tuple(reversed(image.GetDimensions()))
    return numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape).copy()


def _index_to_ras(node: vtkMRMLVolumeNode, world: bool) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    parent = node.GetParentTransformNode()
    if world and parent is not None:
        if not parent.IsTransformToWorldLinear():
            raise InputError(
                f"The volume {node.GetName()} is under a transform that bends space ({parent.GetName()}); "
                "harden the transform in the Transforms module first."
            )
        to_world = vtk.vtkMatrix4x4()
        parent.GetMatrixTransformToWorld(to_world)
        vtk.vtkMatrix4x4.Multiply4x4(to_world, matrix, matrix)
    return _numbers(matrix)


def _numbers(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def _spacing_and_direction(
    columns: np.ndarray, node: vtkMRMLVolumeNode, world: bool
) -> tuple[tuple[float, float, float], np.ndarray]:
    """Spacing (i, j, k) and unit direction columns; read from the node itself where no transform intervenes."""
    if not world or node.GetParentTransformNode() is None:
        direction = LPS_TO_RAS @ _numbers(_directions(node))[:3, :3]
        return _triple(node.GetSpacing()), direction
    spacing = np.linalg.norm(columns, axis=0)
    direction = columns / np.where(spacing > 0, spacing, 1)
    if np.abs(direction.T @ direction - np.eye(3)).max() > SHEAR:
        raise InputError(
            f"The transform over {node.GetName()} shears or flattens it; use a rigid or scaling transform, or resample."
        )
    return _triple(spacing), direction


def _triple(values: Any) -> tuple[float, float, float]:
    a, b, c = (float(v) for v in values)
    return a, b, c
