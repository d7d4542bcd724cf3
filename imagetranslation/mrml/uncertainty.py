"""The uncertainty map of a synthetic image in a MRML scene: found from its image, shown in its colours with a legend.

What the map says about itself is `imagetranslation.deviationmaps`' matter, its colours `appearance`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import vtk
from vtk.util import numpy_support

from .. import appearance, deviationmaps
from .colours import colour_table, show_legend
from .display import set_window
from .provenance import PREFIX, provenance_of

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode

# A node reference, so that image and map stay together when a scene is saved and loaded.
ROLE = PREFIX + "Uncertainty"
COLOURS = "ImageTranslation uncertainty"
# Slicer's legend writes its title as large as its labels can be: wide labels keep the title inside the view.
LABELS = "%6.3g"


def attach(image: vtkMRMLScalarVolumeNode, deviation: vtkMRMLScalarVolumeNode) -> None:
    """Make `deviation` the map of the synthetic `image`; both in one scene."""
    image.SetNodeReferenceID(ROLE, deviation.GetID())


def detach(image: vtkMRMLScalarVolumeNode) -> None:
    """The image has no map any more, because it is made anew; the map stays in the scene."""
    image.RemoveNodeReferenceIDs(ROLE)


def map_node_of(image: vtkMRMLScalarVolumeNode | None) -> vtkMRMLScalarVolumeNode | None:
    """The map that belongs to a synthetic image, or None.

    One that was loaded from a file of its own is found by its record (same scan, model and run) and attached.
    """
    if image is None:
        return None
    known = image.GetNodeReference(ROLE)
    if known is not None or provenance_of(image) is None or image.GetScene() is None:
        return known
    scene = image.GetScene()
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode")
        if is_map(node) and _belongs(node, image):
            attach(image, node)
            return node
    return None


def _belongs(deviation: vtkMRMLScalarVolumeNode, image: vtkMRMLScalarVolumeNode) -> bool:
    own, other = provenance_of(deviation), provenance_of(image)
    if own is None or other is None or not own.source_sha256 or not own.created:
        return False
    same_run = (own.source_sha256, own.weights_sha256, own.created) == (
        other.source_sha256, other.weights_sha256, other.created,
    )  # fmt: skip
    return same_run and other.quantity is None and _same_grid(deviation, image)


def legend_sentence_of(deviation: vtkMRMLScalarVolumeNode) -> str:
    """What the map's colours mean, for people."""
    return deviationmaps.sentence(provenance_of(deviation))


def is_map(node: vtkMRMLScalarVolumeNode | None) -> bool:
    """Whether the node holds a map about a synthetic image, and no image."""
    record = provenance_of(node)
    return record is not None and record.quantity is not None


def show_as_map(deviation: vtkMRMLScalarVolumeNode, image: vtkMRMLScalarVolumeNode) -> None:
    """Give the map its colours, where it has not got them, and a legend; call it when the views are there.

    A window that a person has set stays. Raises InputError where the node does not say that it is the map of this
    image.
    """
    record = provenance_of(deviation)
    names = (deviation.GetName() or "volume", image.GetName() or "volume")
    deviationmaps.require_map(names[0], record, names[1], provenance_of(image), _same_grid(deviation, image))
    display = deviation.GetDisplayNode()
    table = display.GetColorNode() if display is not None else None
    if table is None or table.GetName() != COLOURS:
        colour(deviation)
    show_legend(deviation, deviationmaps.title(record), LABELS)


def colour(deviation: vtkMRMLScalarVolumeNode) -> None:
    """Give a map its colours, from 0 to a round number above nearly all of it."""
    values = numpy_support.vtk_to_numpy(deviation.GetImageData().GetPointData().GetScalars())
    limit = appearance.uncertainty_limit(values)
    set_window(deviation, 0.0, limit)
    display = deviation.GetDisplayNode()
    colours = appearance.uncertainty_colours(np.linspace(0, 1, 256))[:, :3]
    display.SetAndObserveColorNodeID(colour_table(deviation.GetScene(), COLOURS, colours, saved=True).GetID())
    # A slice view takes no transparency from a colour table; the threshold leaves low values out.
    display.SetThreshold(appearance.UNCERTAINTY_FLOOR * limit, float(np.finfo(np.float32).max))
    display.SetApplyThreshold(True)


def _same_grid(one: vtkMRMLScalarVolumeNode, other: vtkMRMLScalarVolumeNode) -> bool:
    """Whether two nodes have the same voxels in the same places, parent transforms left out."""
    if one.GetImageData() is None or other.GetImageData() is None:
        return False
    matrices = []
    for node in (one, other):
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        matrices.append([matrix.GetElement(row, column) for row in range(3) for column in range(4)])
    same_size = one.GetImageData().GetDimensions() == other.GetImageData().GetDimensions()
    return same_size and bool(np.allclose(matrices[0], matrices[1], atol=1e-6))
