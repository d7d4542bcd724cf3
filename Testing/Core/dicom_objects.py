"""DICOM objects made on the spot for the tests: small, whole, and as strange as a test asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

MR, CT, US, US_CINE = (f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("4", "2", "6.1", "3.1"))
ENHANCED_MR, ENHANCED_US, NM = (f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("4.1", "6.2", "20"))
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def item(**tags: Any) -> Dataset:
    """A dataset (or item of a sequence) with these tags; lists of items become sequences."""
    dataset = Dataset()
    for keyword, value in tags.items():
        is_items = isinstance(value, list) and value and isinstance(value[0], Dataset)
        setattr(dataset, keyword, Items(value) if is_items else value)
    return dataset


def image(
    array: np.ndarray, sop_class: str = MR, modality: str = "MR", series: str = "1.2.3.4", **tags: Any
) -> Dataset:
    """An object holding `array`: (rows, columns), (frames, rows, columns), either with a last axis of 3 for colour."""
    colour = array.shape[-1] == 3 and tags.get("PhotometricInterpretation") in ("RGB", "YBR_FULL")
    plane = array.ndim - colour
    dataset = item(
        SOPClassUID=sop_class,
        SOPInstanceUID=generate_uid(),
        StudyInstanceUID="1.2.3",
        SeriesInstanceUID=series,
        FrameOfReferenceUID="1.2.3.9",
        Modality=modality,
        PatientID="phantom",
        Rows=array.shape[plane - 2],
        Columns=array.shape[plane - 1],
        SamplesPerPixel=3 if colour else 1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=8 * array.itemsize,
        BitsStored=8 * array.itemsize,
        HighBit=8 * array.itemsize - 1,
        PixelRepresentation=int(array.dtype.kind == "i"),
    )
    if colour:
        dataset.PlanarConfiguration = 0
    if plane == 3:
        dataset.NumberOfFrames = array.shape[0]
    dataset.PixelData = array.tobytes()
    dataset["PixelData"].VR = "OB" if array.itemsize == 1 else "OW"
    dataset.update(item(**tags))
    return dataset


def save(dataset: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write with preamble and meta header."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def stack(
    folder: Path,
    positions: Iterable[Sequence[float]],
    orientation: Sequence[float] = AXIAL,
    spacing: tuple[float, float] | None = (0.8, 0.5),
    **tags: Any,
) -> list[Dataset]:
    """A series of one 4 x 3 slice a position (mm), slice n filled with 10 n, files named against the slice order."""
    datasets = []
    for n, position in enumerate(positions):
        dataset = image(np.full((4, 3), 10 * n, np.int16), **{"InstanceNumber": 100 - n, **tags})
        dataset.ImagePositionPatient = [float(v) for v in position]
        dataset.ImageOrientationPatient = list(orientation)
        if spacing is not None:
            dataset.PixelSpacing = list(spacing)
        save(dataset, folder / f"{999 - n}.dcm")
        datasets.append(dataset)
    return datasets


def axial(*heights: float) -> list[tuple[float, float, float]]:
    """Positions above each other."""
    return [(-10.0, -20.0, height) for height in heights]


def frame_groups(positions: Sequence[Sequence[float]], volume: bool = False, **groups: Any) -> list[Dataset]:
    """Per-frame functional groups with a position each; other groups as keyword=list of items, one a frame."""
    keyword = "PlanePositionVolumeSequence" if volume else "PlanePositionSequence"
    tag = "ImagePositionVolume" if volume else "ImagePositionPatient"
    return [
        item(**{keyword: [item(**{tag: list(p)})]}, **{name: [items[n]] for name, items in groups.items()})
        for n, p in enumerate(positions)
    ]


def shared_groups(orientation: Sequence[float] = AXIAL, volume: bool = False, **groups: Any) -> list[Dataset]:
    """The functional groups all frames share: orientation and pixel measures."""
    keyword = "PlaneOrientationVolumeSequence" if volume else "PlaneOrientationSequence"
    tag = "ImageOrientationVolume" if volume else "ImageOrientationPatient"
    measures = item(PixelSpacing=[0.8, 0.5], SliceThickness=2.0)
    return [item(**{keyword: [item(**{tag: list(orientation)})], "PixelMeasuresSequence": [measures]}, **groups)]


def region(
    box: tuple[int, int, int, int], delta: float = 0.02, units: int = 3, form: int = 1, kind: int = 1
) -> Dataset:
    """An ultrasound region: (left, top, right, bottom) inclusive, delta in cm where units is 3."""
    return item(
        RegionSpatialFormat=form,
        RegionDataType=kind,
        RegionFlags=0,
        RegionLocationMinX0=box[0],
        RegionLocationMinY0=box[1],
        RegionLocationMaxX1=box[2],
        RegionLocationMaxY1=box[3],
        PhysicalUnitsXDirection=units,
        PhysicalUnitsYDirection=units,
        PhysicalDeltaX=delta,
        PhysicalDeltaY=delta / 2,
    )
