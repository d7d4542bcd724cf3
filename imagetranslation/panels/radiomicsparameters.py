"""What a person chose in the Radiomics panel; saved with the scene, in the module's parameter node.

Paths of programs are not part of it: a scene from elsewhere must not name what this computer runs.
"""

from typing import Any, Union

import slicer
from slicer.parameterNodeWrapper import parameterNodeWrapper

PREFIX = "Radiomics."


@parameterNodeWrapper
class RadiomicsChoices:
    """source, synthetic, reference: the images. region, part: segmentation or label map, and the segment's id or the
    label. tissue: over which intensities are normalised. features: name of a set. settings, cohort: files, or "".
    recompute: whether a region that changed is compared again.
    """

    source: slicer.vtkMRMLScalarVolumeNode
    synthetic: slicer.vtkMRMLScalarVolumeNode
    reference: slicer.vtkMRMLScalarVolumeNode
    region: Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode, None]
    tissue: Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode, None]
    part: str = ""
    features: str = "pyradiomics"
    settings: str = ""
    cohort: str = ""
    recompute: bool = True


def choices_of(parameterNode: Any) -> Any:
    """The choices in a module's parameter node."""
    wrapped: Any = RadiomicsChoices
    return wrapped(parameterNode, prefix=PREFIX)
