"""DICOM out: a synthetic volume as a derived series in its source's study, marked in header and picture.

The series is written into a folder beside the target, read back and compared, and renamed: it lands whole or not at
all. Patient and study come from `source`, the marks from `marking` and `overlay`, MR and NM attributes from `modules`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..appearance import default_window
from ..errors import InputError, RunFailed
from ..files import atomic_folder, make_folder
from ..formats import SHEAR_TOLERANCE
from ..provenance import MARK, Provenance
from ..volume import Volume
from . import modules
from .marking import mark_as_synthetic, moment, synthesizing_equipment
from .opening import quiet_pydicom, text_of
from .overlay import add_overlay, burned, mark_bitmap
from .quantisation import Stored, decimal_string, to_16_bit
from .source import REQUIRED, Source, acquisition_equipment, carry_over, open_source, source_image

# Above the source's series number, so that the synthetic series is listed after all that were acquired.
SERIES_NUMBER_STEP = 1000
References = list[list[tuple[Any, "int | None"]]]


def write_dicom_series(
    synthetic: Volume,
    folder: str | Path,
    *,
    source: str | Path | Sequence[Any] | None = None,
    series: str | None = None,
    burn_in: bool = False,
) -> list[Path]:
    """Write a synthetic MR or NM volume as a DICOM series into a new (or empty) folder; returns its files by slice.

    source: file or folder of the DICOM series it was made from (series: which one of a folder), or that series' pydicom
    datasets (headers suffice). When not given it is the one that `synthetic.attributes` names; where the source was no
    DICOM image, a study of its own with empty patient fields is written. burn_in: put the mark into the pixels instead
    of an overlay plane. Voxels read back are those written to half the rescale slope, exactly if they are whole and fit
    16 bits; the grid is the same, with slices in the order of a right-handed frame.

    Raises InputError (not synthetic, another modality, NaN, a source it wasn't made from, a folder in use), RunFailed.
    """
    record = check_writable(synthetic)
    target = _free_folder(Path(folder))
    found = open_source(source, synthetic, series)
    references: References = [] if found is None else found.references(synthetic)
    if np.linalg.det(np.asarray(synthetic.direction, dtype=float).reshape(3, 3)) < 0:
        synthetic, references = _right_handed(synthetic), references[::-1]
    bitmap, box = mark_bitmap(record, *synthetic.array.shape[1:])
    shown = burned(synthetic.array, bitmap, box) if burn_in else synthetic.array
    stored = to_16_bit(shown, through_zero=record.modality == "NM")
    with quiet_pydicom():
        common = _common(synthetic, record, found, stored, burn_in)
        objects = _objects(common, synthetic, record, found, references, stored.array)
        make_folder(target.parent)
        with atomic_folder(target) as stage:
            names = _save(objects, stage, None if burn_in else bitmap)
            _compare(stage, synthetic, record, stored)
    return [Path(folder) / name for name in names]


def check_writable(synthetic: Volume) -> Provenance:
    """The record of a synthetic image that can become a DICOM series; InputError with one sentence for any other."""
    record = synthetic.provenance
    if record is None:
        raise InputError(f"{synthetic.name} is not a synthetic image; only what a model made is written as DICOM here.")
    if record.quantity is not None:
        raise InputError(f"{synthetic.name} is a map of {record.quantity.get('name')}, not an image; export the image.")
    if record.modality not in modules.MADE_UP:
        kind = "an unknown modality" if record.modality in ("", "image") else record.modality
        raise InputError(f"{synthetic.name} imitates {kind}; only MR and NM become DICOM.")
    if synthetic.array.size == 0 or not np.isfinite(synthetic.array).all():
        raise InputError(f"{synthetic.name} has no voxels, or some that are not numbers, which DICOM cannot hold.")
    axes = np.asarray(synthetic.direction, dtype=float).reshape(3, 3)
    if np.abs(axes.T @ axes - np.eye(3)).max() > SHEAR_TOLERANCE:
        raise InputError(f"{synthetic.name} has axes that are not perpendicular, which no DICOM series can hold.")
    if max(synthetic.array.shape[1:]) > 65535:
        raise InputError(f"{synthetic.name} has slices of more than 65535 rows or columns, which DICOM cannot hold.")
    return record


def _free_folder(folder: Path) -> Path:
    """The folder's full path; InputError where something is in it, which is never overwritten."""
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; a DICOM series gets a folder of its own. Name a new one.")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; a DICOM series gets a folder of its own. Name a new one.")
    return folder.resolve()


def _right_handed(volume: Volume) -> Volume:
    """The same voxels at the same places with the slices in reverse order."""
    direction = np.asarray(volume.direction, dtype=float).reshape(3, 3).copy()
    x, y, z = np.asarray(volume.origin) + (len(volume.array) - 1) * volume.spacing[2] * direction[:, 2]
    direction[:, 2] *= -1
    return replace(
        volume,
        array=volume.array[::-1],
        origin=(float(x), float(y), float(z)),
        direction=tuple(float(v) for v in direction.ravel()),
        field_of_view=None,
    )


def _common(volume: Volume, record: Provenance, source: Source | None, stored: Stored, burn_in: bool) -> Any:
    """Everything the objects of the series share."""
    import pydicom
    from pydicom.uid import generate_uid

    dataset: Any = pydicom.Dataset()
    sentences = [modules.MADE_UP[record.modality], *_patient_and_study(dataset, source, record)]
    sentences += _frame_of_reference(dataset, source, record)
    if record.modality == "MR" and modules.assumed_spacing(volume, source):
        sentences.append("The source states no pixel spacing: the 1 mm given here is an assumption.")
    if not stored.identity:
        sentences.append(f"Values are kept in steps of {decimal_string(stored.slope)} (Rescale Slope).")
    mark_as_synthetic(dataset, record, sentences)
    charset = dataset.get("SpecificCharacterSet")
    makers = [*(acquisition_equipment(source) if source else []), synthesizing_equipment(record, charset)]
    dataset.ContributingEquipmentSequence = makers
    dataset.SeriesInstanceUID = generate_uid()
    number = text_of(source.first, "SeriesNumber") if source else ""
    dataset.SeriesNumber = SERIES_NUMBER_STEP + (int(number) if re.fullmatch("[0-9]{1,8}", number) else 0)
    made = moment(record, text_of(dataset, "TimezoneOffsetFromUTC"))
    for name in ("InstanceCreation", "Series", "Content"):
        setattr(dataset, f"{name}Date", made.strftime("%Y%m%d"))
        setattr(dataset, f"{name}Time", made.strftime("%H%M%S"))
    if (told := _burned_in(source, burn_in)) is not None:
        dataset.BurnedInAnnotation = told
    modules.rescaling(dataset, stored, record.modality == "NM")
    modules.window(dataset, *default_window(volume))
    if record.modality == "MR":
        modules.mr_series(dataset, volume, source)
    return dataset


def _patient_and_study(dataset: Any, source: Source | None, record: Provenance) -> list[str]:
    """Fill in patient and study; returns sentences on what is missing there."""
    from pydicom.uid import generate_uid

    if source is None:
        dataset.SpecificCharacterSet = "ISO_IR 192"
        for keyword in (*REQUIRED, "Laterality"):
            setattr(dataset, keyword, None)
        made = moment(record, "+0000")
        dataset.TimezoneOffsetFromUTC = "+0000"
        dataset.StudyDate, dataset.StudyTime = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
        dataset.StudyInstanceUID = generate_uid()
        return ["The source was no DICOM image: patient is unknown, and the study is the synthetic image's own."]
    sentences = carry_over(source, dataset)
    if not source.proven:
        sentences.append(
            "That these are the source images was said by the person who exported; nothing in them proves it."
        )
    if not text_of(dataset, "StudyInstanceUID"):
        dataset.StudyInstanceUID = generate_uid()
        sentences.append("The source names no study: this one is the synthetic image's own.")
    return sentences


def _frame_of_reference(dataset: Any, source: Source | None, record: Provenance) -> list[str]:
    """The source's frame of reference where the slices have a true place in it, else a new one."""
    from pydicom.uid import generate_uid

    uid = source.frame_of_reference() if source is not None else ""
    placed = source is not None and (source.positioned or record.modality == "NM")
    dataset.FrameOfReferenceUID = uid if uid and placed else generate_uid()
    told = text_of(source.first, "PositionReferenceIndicator") if source is not None and uid and placed else ""
    dataset.PositionReferenceIndicator = told[:64] or None
    if source is None or source.positioned or record.modality == "NM":
        return []
    return ["The source has no position in the patient: these positions are in a frame of reference of their own."]


def _burned_in(source: Source | None, burn_in: bool) -> str | None:
    """Whether the pixels carry writing; None where that isn't known (an ultrasound frame often does)."""
    told = "" if source is None else text_of(source.first, "BurnedInAnnotation").upper()
    if burn_in or told == "YES":
        return "YES"
    unsaid = source is not None and not told and text_of(source.first, "Modality") == "US" and not source.positioned
    return None if unsaid else "NO"


def _objects(
    common: Any, volume: Volume, record: Provenance, source: Source | None, references: References, stored: np.ndarray
) -> Iterator[Any]:
    """The datasets of the series in slice order, without overlay, each made when it is asked for."""
    if record.modality == "NM":
        dataset = _instance(common, [r for of_slice in references for r in of_slice], source)
        modules.nm_image(dataset, volume, source, references)
        modules.pixels(dataset, stored)
        yield dataset
        return
    for k, plane in enumerate(stored):
        dataset = _instance(common, references[k] if references else [], source)
        modules.mr_slice(dataset, volume, k)
        modules.pixels(dataset, plane)
        yield dataset


def _instance(common: Any, references: list[tuple[Any, int | None]], source: Source | None) -> Any:
    import pydicom
    from pydicom.uid import generate_uid

    dataset: Any = pydicom.Dataset()
    dataset.update(common)
    dataset.SOPInstanceUID = generate_uid()
    preserved = source is not None and source.positioned
    items = [
        source_image(ds, frame, preserved)
        for ds, frame in references
        if text_of(ds, "SOPClassUID") and text_of(ds, "SOPInstanceUID")
    ]
    if items:
        dataset.SourceImageSequence = items
    return dataset


def _save(objects: Iterator[Any], stage: Path, bitmap: np.ndarray | None) -> list[str]:
    """Write the objects into `stage`, each with the overlay if there is one; returns the file names."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    names = []
    for number, dataset in enumerate(objects, 1):
        names.append(f"{number:04d}.dcm")
        if bitmap is not None:
            add_overlay(dataset, bitmap, MARK)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        # Encoded first: pydicom wraps what the disk says into an error of its own.
        encoded = io.BytesIO()
        dataset.save_as(encoded, enforce_file_format=True)
        (stage / names[-1]).write_bytes(encoded.getvalue())
    return names


def _compare(stage: Path, volume: Volume, record: Provenance, stored: Stored) -> None:
    """RunFailed unless the staged series reads back as these voxels on this grid with this provenance."""
    from .reading import read_dicom

    try:
        back = read_dicom(stage)
    except InputError as error:
        raise RunFailed(
            f"The DICOM series did not read back after writing; nothing was left behind. {error}"
        ) from error
    same = back.array.shape == stored.array.shape and all(
        np.allclose(plane, stored.values(k), rtol=1e-6, atol=1e-6 * stored.slope) for k, plane in enumerate(back.array)
    )
    if (
        not same
        or not volume.same_grid(back)
        or back.provenance is None
        or back.provenance.to_dict() != record.to_dict()
    ):
        raise RunFailed("The DICOM series read back differently after writing; nothing was left behind.")
