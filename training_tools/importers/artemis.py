"""The 3-D ultrasound of an Eigen Artemis biopsy system (TCIA Prostate-MRI-US-Biopsy), which DICOM alone cannot place.

Such a file is an ultrasound multi-frame object whose frames are the slices of a cube of voxels, without positions. By
the manufacturer's own description, as the reader of SlicerHeart (DicomUltrasoundPlugin) quotes it, the cube is
isotropic, its size of voxel stands in PixelAspectRatio (thousandths of a mm) or a private element (1129,xx16), and its
centre is the origin. That reader turns the axes (x from rows, y from frames, z from columns, the last two reversed in
LPS), and the collection's STL surfaces of the ultrasound lie in that frame, LPS. Only Slicer's corner of the first
voxel differs from ours, by half a voxel, where it takes the span of the cube for that between voxel centres.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from imagetranslation.dicomio.opening import number_of, open_dataset, text_of
from imagetranslation.errors import InputError
from imagetranslation.volume import Volume, read_volume

MANUFACTURER = "Eigen"
_GROUP, _VOXEL_SIZE, _CREATORS = 0x1129, 0x16, ("Eigen, Inc", "Eigen Artemis")
# Columns are where i (columns), j (rows) and k (frames) grow in LPS, row-major.
DIRECTION = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0, -1.0, 0.0, 0.0)


def is_artemis(dataset: Any) -> bool:
    """Whether a header is that of such a volume."""
    return (
        text_of(dataset, "Modality") == "US"
        and text_of(dataset, "Manufacturer").startswith(MANUFACTURER)
        and number_of(dataset, "NumberOfFrames", 1) > 1
        and not dataset.get("PerFrameFunctionalGroupsSequence")
    )


def read_artemis(path: Path) -> Volume:
    """The volume, placed in LPS millimetres; InputError where the file does not tell the size of a voxel."""
    header = open_dataset(path, pixels=False)
    spacing = _spacing(header, path)
    volume = read_volume(path, frames_as_slices=spacing[2])
    half = [(n - 1) / 2 * step for n, step in zip(volume.array.shape[::-1], spacing)]
    origin = (-half[1], half[2], half[0])
    note = "Placed by the Artemis system's convention: the centre of its cube of voxels is the origin."
    return replace(volume, spacing=spacing, origin=origin, direction=DIRECTION, modality="US", notes=(note,))


def _spacing(header: Any, path: Path) -> tuple[float, float, float]:
    """(i, j, k) in mm."""
    try:
        if header.get("PixelSpacing") and (depth := header.get("SpacingBetweenSlices") or header.get("SliceThickness")):
            rows, columns = (float(v) for v in header.PixelSpacing)
            found = (columns, rows, float(depth))
        else:
            size = _private(header) or float((header.get("PixelAspectRatio") or [0])[0]) / 1000
            found = (size, size, size)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path.name} is damaged: the size of its voxels is no number.") from error
    if not all(0.01 <= step <= 5 for step in found):
        raise InputError(
            f"{path.name} does not tell the size of its voxels (PixelAspectRatio and the manufacturer's private "
            "elements are missing); load the series again without taking private elements away."
        )
    return found


def _private(header: Any) -> float:
    for creator in _CREATORS:
        try:
            block = header.private_block(_GROUP, creator)
        except KeyError:
            continue
        if _VOXEL_SIZE in block:
            value = block[_VOXEL_SIZE].value
            return float(value[0] if isinstance(value, (list, tuple)) or hasattr(value, "append") else value)
    return 0.0
