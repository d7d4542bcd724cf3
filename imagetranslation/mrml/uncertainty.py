"""The uncertainty map of a synthetic image in a MRML scene: found from its image, shown in its colours with a legend.

What the map says about itself is `imagetranslation.deviationmaps`' matter, its colours `appearance`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import appearance, deviationmaps
from .colours import colour_table, show_legend
from .display import set_window
from .provenance import PREFIX
from .volumes import volume_from_node

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode

# A node reference, so that image and map stay together when a scene is saved and loaded.
ROLE = PREFIX + "Uncertainty"
COLOURS = "ImageTranslation uncertainty"


def attach(image: vtkMRMLScalarVolumeNode, deviation: vtkMRMLScalarVolumeNode) -> None:
    """Make `deviation` the map of the synthetic `image`; both in one scene."""
    image.SetNodeReferenceID(ROLE, deviation.GetID())


def map_node_of(image: vtkMRMLScalarVolumeNode | None) -> vtkMRMLScalarVolumeNode | None:
    """The map that belongs to a synthetic image, or None."""
    return None if image is None else image.GetNodeReference(ROLE)


def show_as_map(deviation: vtkMRMLScalarVolumeNode, image: vtkMRMLScalarVolumeNode) -> None:
    """Give the map its colours, from 0 to a round number above nearly all of it, and a legend.

    Raises InputError where the node does not say that it is the map of this image.
    """
    volume = deviationmaps.map_of(volume_from_node(deviation), volume_from_node(image))
    limit = appearance.uncertainty_limit(volume.array)
    set_window(deviation, 0.0, limit)
    display = deviation.GetDisplayNode()
    colours = appearance.uncertainty_colours(np.linspace(0, 1, 256))[:, :3]
    display.SetAndObserveColorNodeID(colour_table(deviation.GetScene(), COLOURS, colours).GetID())
    # A slice view takes no transparency from a colour table; the threshold leaves low values out.
    display.SetThreshold(appearance.UNCERTAINTY_FLOOR * limit, float(np.finfo(np.float32).max))
    display.SetApplyThreshold(True)
    show_legend(deviation, deviationmaps.legend_title(volume), "%.0f" if limit >= 10 else "%.2g")
