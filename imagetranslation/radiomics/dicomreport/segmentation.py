"""The region as a DICOM segmentation (SEG, PS3.3 A.51): one binary segment on the grid of the source's slices.

highdicom builds it on a plain stand-in for each slice, with our grid's geometry and nothing else; what refers to the
stand-ins is then replaced by the true objects and frames. So odd sources, multi-frame objects and 3-D ultrasound are
all one case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from ... import __version__
from ...dicomio.marking import MANUFACTURER, encodable, line
from ...dicomio.modules import MR_STORAGE
from ...dicomio.opening import text_of
from ...dicomio.quantisation import decimal_string
from ...dicomio.source import acquisition_equipment
from ..roi import Roi
from .evidence import Evidence, Reference, patient_and_study, series_number
from .meaning import Meaning

SERIES_STEP = 2000
SEGMENT_NUMBER = 1
# What highdicom asks of every image it is given; the true values are put in afterwards (`adopt`).
EMPTY = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
         "StudyTime", "ReferringPhysicianName")  # fmt: skip


@dataclass(frozen=True)
class Tracking:
    """What names the region in both objects. identifier: for people; uid: for machines."""

    identifier: str
    uid: str


def make_segmentation(evidence: Evidence, roi: Roi, meaning: Meaning, tracking: Tracking, made: datetime) -> Any:
    """The pydicom dataset of the segmentation. made: when, in the study's time zone."""
    import highdicom
    import pydicom
    from pydicom.uid import generate_uid

    base = evidence.base
    common: Any = pydicom.Dataset()
    patient_and_study(evidence, common)
    first, end = roi.box[0]
    mask = np.zeros((end - first, *roi.grid.shape[1:]), bool)
    mask[(slice(None), *roi.slices[1:])] = roi.mask
    standing = {str(generate_uid()): base.references([k]) for k in range(first, end)}
    frame_of_reference = base.source.frame_of_reference() or str(generate_uid())
    stand_ins = [_stand_in(roi, k, uid, evidence, frame_of_reference) for k, uid in zip(range(first, end), standing)]
    fit = _fitting(common)
    dataset = highdicom.seg.Segmentation(
        source_images=stand_ins, pixel_array=mask, segmentation_type="BINARY",
        segment_descriptions=[_description(roi, meaning, tracking, fit)],
        series_instance_uid=str(generate_uid()), series_number=series_number(evidence, SERIES_STEP),
        sop_instance_uid=str(generate_uid()), instance_number=1, manufacturer=MANUFACTURER,
        manufacturer_model_name="imagetranslation", software_versions=__version__, device_serial_number=__version__,
        content_label="REGION", content_description=line(fit(f"Region {roi.name}")),
        content_creator_name=person(fit(meaning.reader)), omit_empty_frames=False,
        pixel_measures=_measures(roi),
    )  # fmt: skip
    _put_true_objects(dataset, standing, preserved=base.aligned(_on_grid(roi)))
    adopt(dataset, common, made, acquisition_equipment(base.source))
    dataset.SeriesDescription = line(fit(f"Segmentation of {roi.name}"))
    return dataset


def adopt(dataset: Any, common: Any, made: datetime, makers: list[Any]) -> None:
    """Give an object that highdicom made its patient and study, its dates, and who else had a part in it."""
    dataset.pop("SpecificCharacterSet", None)
    dataset.update(common)
    for name in ("InstanceCreation", "Series", "Content"):
        setattr(dataset, f"{name}Date", made.strftime("%Y%m%d"))
        setattr(dataset, f"{name}Time", made.strftime("%H%M%S"))
    own = [item for item in dataset.get("ContributingEquipmentSequence") or [] if _is_library(item)]
    dataset.ContributingEquipmentSequence = [*makers, *own]


def _is_library(item: Any) -> bool:
    return "highdicom" in text_of(item, "ManufacturerModelName").lower()


def _fitting(common: Any) -> Any:
    charset = common.get("SpecificCharacterSet")
    return lambda text: encodable(text, charset)


def _stand_in(roi: Roi, k: int, uid: str, evidence: Evidence, frame_of_reference: str) -> Any:
    """A slice of the grid as the plainest of MR images."""
    import pydicom

    image: Any = pydicom.Dataset()
    image.SOPClassUID, image.SOPInstanceUID, image.Modality = MR_STORAGE, uid, "MR"
    image.StudyInstanceUID = evidence.study
    image.SeriesInstanceUID = text_of(evidence.base.first, "SeriesInstanceUID")
    image.FrameOfReferenceUID = frame_of_reference
    image.PositionReferenceIndicator = text_of(evidence.base.first, "PositionReferenceIndicator")[:64] or None
    for keyword in EMPTY:
        setattr(image, keyword, None)
    image.Rows, image.Columns = roi.grid.shape[1:]
    direction = np.reshape(roi.grid.direction, (3, 3))
    position = np.array(roi.grid.origin) + k * roi.grid.spacing[2] * direction[:, 2]
    image.PixelSpacing = [decimal_string(each) for each in roi.grid.spacing[1::-1]]
    image.SliceThickness = decimal_string(roi.grid.spacing[2])
    image.ImagePositionPatient = [decimal_string(float(each)) for each in position]
    image.ImageOrientationPatient = [decimal_string(float(each)) for each in (*direction[:, 0], *direction[:, 1])]
    return image


def _measures(roi: Roi) -> Any:
    import highdicom

    i, j, k = roi.grid.spacing
    return highdicom.PixelMeasuresSequence(pixel_spacing=(j, i), slice_thickness=k, spacing_between_slices=k)


def _description(roi: Roi, meaning: Meaning, tracking: Tracking, fit: Any) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    algorithm = None
    if meaning.algorithm_type != "MANUAL":
        algorithm = highdicom.AlgorithmIdentificationSequence(
            name=line(fit(meaning.algorithm_name)), family=codes.DCM.ImageProcessing,
            version=line(fit(meaning.algorithm_version)) or "not stated",
        )  # fmt: skip
    return highdicom.seg.SegmentDescription(
        segment_number=SEGMENT_NUMBER, segment_label=line(fit(roi.name)) or "Region",
        segmented_property_category=meaning.category.concept(), segmented_property_type=meaning.kind.concept(),
        algorithm_type=meaning.algorithm_type, algorithm_identification=algorithm,
        tracking_uid=tracking.uid, tracking_id=line(fit(tracking.identifier)),
    )  # fmt: skip


def person(name: str) -> str | None:
    """A name as DICOM takes one: family first where a comma says so, no character that parts components by chance."""
    parts = [re.sub(r"[\^=\\]", " ", part).strip() for part in name.split(",", 1)]
    return line("^".join(filter(None, parts))) or None


def _on_grid(roi: Roi) -> Any:
    from ...volume import Volume

    return Volume(np.zeros((1, 1, 1)), roi.grid.spacing, roi.grid.origin, roi.grid.direction)


def _put_true_objects(dataset: Any, standing: Mapping[str, list[Reference]], preserved: bool) -> None:
    """Replace every item that refers to a stand-in by items that refer to what it stands for."""
    for element in dataset:
        if element.VR != "SQ":
            continue
        items = list(element.value)
        named = [text_of(item, "ReferencedSOPInstanceUID") for item in items]
        if not any(uid in standing for uid in named):
            for item in items:
                _put_true_objects(item, standing, preserved)
            continue
        bare = element.keyword == "ReferencedInstanceSequence"
        element.value = _true_items(items, [ref for uid in named for ref in standing[uid]], bare, preserved)


def _true_items(items: list[Any], references: list[Reference], bare: bool, preserved: bool) -> list[Any]:
    """One item an object. bare: without frames, as a list of instances is."""
    import copy

    frames: dict[str, set[int]] = {}
    for reference in references:
        frames.setdefault(reference.uid, set()).update(reference.frames)
    classes = {reference.uid: reference.sop_class for reference in references}
    made = []
    for uid, numbers in frames.items():
        item = copy.deepcopy(items[0])
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = classes[uid], uid
        item.pop("ReferencedFrameNumber", None)
        if numbers and not bare:
            item.ReferencedFrameNumber = sorted(numbers) if len(numbers) > 1 else min(numbers)
        if "SpatialLocationsPreserved" in item and not preserved:
            item.SpatialLocationsPreserved = "REORIENTED_ONLY"
        made.append(item)
    return made
