"""Compared regions on simulated DICOM series, for the tests of reports and segmentations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.radiomics.comparison import Comparison, compare
from imagetranslation.radiomics.dicomreport import Written, write_dicom
from imagetranslation.radiomics.pyradiomics_engine import PyRadiomicsEngine
from imagetranslation.radiomics.roi import Roi, from_labelmap
from imagetranslation.radiomics.settings import Settings
from imagetranslation.volume import Volume

from .dicom_objects import AXIAL, image, save

SHAPE = (6, 16, 12)


def noise(shape: tuple[int, ...] = SHAPE, dtype: Any = np.int16) -> np.ndarray:
    """Voxels with many grey levels."""
    return np.random.default_rng(3).integers(50, 800, shape).astype(dtype)


def a_series(folder: Path, orientation: Sequence[float] = AXIAL, count: int = SHAPE[0], **tags: Any) -> Path:
    """An MR series of `count` slices 3 mm apart along the normal of `orientation`; a tag of None is left out."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    for k, plane in enumerate(noise((count, *SHAPE[1:]))):
        given = {"InstanceNumber": k + 1, "SeriesNumber": 4, "PixelSpacing": [0.8, 0.5], "SliceThickness": 3, **tags}
        made = image(plane, **{keyword: value for keyword, value in given.items() if value is not None})
        for keyword in [keyword for keyword, value in tags.items() if value is None and keyword in made]:
            del made[keyword]
        made.ImagePositionPatient = [float(v) for v in (10, -20, 5) + 3.0 * k * np.cross(row, column)]
        made.ImageOrientationPatient = list(orientation)
        save(made, folder / f"{k:03d}.dcm")
    return folder


def drawn(volume: Volume, *boxes: tuple[slice, slice, slice]) -> Roi:
    """A region of boxes (k, j, i)."""
    labels = np.zeros(volume.array.shape, np.uint8)
    for box in boxes:
        labels[box] = 1
    (roi,) = from_labelmap(replace(volume, array=labels, name="Lésion 1", provenance=None), names={1: "Lésion 1"})
    return roi


def ragged(volume: Volume, keep: float = 0.7) -> Roi:
    """A region with holes, parts and an empty slice between two."""
    labels = (np.random.default_rng(5).random(volume.array.shape) < keep).astype(np.uint8)
    if len(labels) > 3:
        labels[2] = 0
    (roi,) = from_labelmap(replace(volume, array=labels, name="ragged", provenance=None))
    return roi


def compared(images: Mapping[str, Volume], roi: Roi) -> Comparison:
    """The comparison by PyRadiomics."""
    return compare(images, roi, replace(Settings(), minimum_voxels=16), PyRadiomicsEngine())


def few(found: Comparison) -> Comparison:
    """With every tenth feature."""
    return replace(found, rows=found.rows[8::10])


def reported(images: Mapping[str, Volume], roi: Roi, folder: Path, **options: Any) -> Written:
    """The DICOM objects of a comparison, with every tenth feature to be quick."""
    return write_dicom(few(compared(images, roi)), images, roi, folder, **options)
