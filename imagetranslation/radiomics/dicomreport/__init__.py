"""A compared region as DICOM: a structured report (TID 1500) of its features and a segmentation (SEG) of its voxels.

`availability` says beforehand whether and what can be written, `write_dicom` writes. Which DICOM objects the images are
is found by `evidence`; codes and units stand in `codes`, regions without a place in the patient in `contours`, the two
objects in `segmentation` and `report`. The comparison itself is `radiomics.comparison`, a synthetic image's own series
`dicomio.writing`.
"""

from .codes import Code
from .meaning import ALGORITHM_TYPES, CATEGORIES, TYPES, Meaning, finding_called
from .writing import Availability, Written, availability, write_dicom

__all__ = [
    "ALGORITHM_TYPES", "CATEGORIES", "TYPES", "Availability", "Code", "Meaning", "Written", "availability",
    "finding_called", "write_dicom",
]  # fmt: skip
