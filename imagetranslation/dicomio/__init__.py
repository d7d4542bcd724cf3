"""DICOM in and out of a Volume.

`reading` makes a Volume of a file or folder. It opens files with `opening`, decodes them with `pixels` and places them
with `geometry`; what ultrasound and planar nuclear images need besides is in `views`. `writing` makes a derived series
of a synthetic Volume: its study from `source`, its marks from `marking` and `overlay`, the rest from `modules`.
"""

from .opening import SeriesInfo, is_dicom
from .reading import list_series, read_dicom
from .writing import write_dicom_series

__all__ = ["SeriesInfo", "is_dicom", "list_series", "read_dicom", "write_dicom_series"]
