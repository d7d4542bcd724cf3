"""The attributes that make an object an MR or an NM image: what is true of a synthetic one; empty what has no value.

MR Image: DICOM PS3.3 A.4, C.8.3.1. NM Image: A.5, C.8.4. No acquisition took place, so nothing here describes one:
where the standard insists on a value (Type 1) it gets the one that claims least, and `MADE_UP` says which those are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..volume import IDENTITY, Volume
from .marking import code
from .opening import text_of
from .quantisation import Stored, decimal_string
from .source import Source

MR_STORAGE, NM_STORAGE = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.20"
_ENERGY_WINDOW_VECTOR, _DETECTOR_VECTOR, _SLICE_VECTOR = 0x00540010, 0x00540020, 0x00540080

MADE_UP = {
    "MR": "Not acquired by any MR scanner: Scanning Sequence RM and Sequence Variant NONE stand for values that do not "
    "exist, and echo time, repetition time and the like are empty for the same reason.",
    "NM": "Not acquired by any camera: Actual Frame Duration 0 stands for a value that does not exist, and counts "
    "accumulated, energy windows and the like are empty for the same reason.",
}


def pixels(dataset: Any, stored: np.ndarray) -> None:
    """Image pixel attributes of `stored`: (rows, columns) or (frames, rows, columns), 16 bits."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OW"


def rescaling(dataset: Any, stored: Stored, nuclear: bool) -> None:
    """How stored numbers become values, where they are not the values.

    Slope and intercept are what viewers read; neither of the two IODs has them, so that the mapping is given as the
    real world value mapping of the General Image module (PS3.3 C.7.6.1) too.
    """
    import pydicom

    if stored.identity:
        return
    dataset.RescaleSlope, dataset.RescaleIntercept = decimal_string(stored.slope), decimal_string(stored.intercept)
    dataset.RescaleType = "US"  # "unspecified", not ultrasound
    mapping: Any = pydicom.Dataset()
    kind = "SS" if stored.array.dtype.kind == "i" else "US"
    mapping.add_new("RealWorldValueFirstValueMapped", kind, int(stored.array.min()))
    mapping.add_new("RealWorldValueLastValueMapped", kind, int(stored.array.max()))
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = stored.slope, stored.intercept
    mapping.LUTExplanation, mapping.LUTLabel = "Synthetic image values", "SYNTHETIC"
    units = ("{counts}", "counts") if nuclear else ("1", "no units")
    mapping.MeasurementUnitsCodeSequence = [code(*units, "UCUM")]
    dataset.RealWorldValueMappingSequence = [mapping]


def window(dataset: Any, lower: float, upper: float) -> None:
    """A window in units of the rescaled values."""
    dataset.WindowCenter, dataset.WindowWidth = decimal_string((lower + upper) / 2), decimal_string(upper - lower)
    dataset.VOILUTFunction = "LINEAR_EXACT"


def mr_series(dataset: Any, volume: Volume, source: Source | None) -> None:
    """What all slices of a synthetic MR series have in common."""
    dataset.SOPClassUID, dataset.Modality = MR_STORAGE, "MR"
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    dataset.ScanningSequence, dataset.SequenceVariant = "RM", "NONE"
    for keyword in ("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength"):
        setattr(dataset, keyword, None)
    if "PatientPosition" not in dataset:
        dataset.PatientPosition = None
    direction = np.asarray(volume.direction, dtype=float).reshape(3, 3)
    dataset.PixelSpacing = _decimals(volume.spacing[1::-1])
    dataset.ImageOrientationPatient = _decimals([*direction[:, 0], *direction[:, 1]])
    gap = abs(volume.spacing[2])
    if len(volume.array) > 1 or not assumed_thickness(volume, source):
        dataset.SpacingBetweenSlices = decimal_string(gap)
        dataset.SliceThickness = _stated_thickness(source) or decimal_string(gap)
    else:
        dataset.SliceThickness = None


def mr_slice(dataset: Any, volume: Volume, k: int) -> None:
    """Where slice k lies."""
    direction = np.asarray(volume.direction, dtype=float).reshape(3, 3)
    position = np.asarray(volume.origin) + k * volume.spacing[2] * direction[:, 2]
    dataset.InstanceNumber = k + 1
    dataset.ImagePositionPatient = _decimals(position)
    dataset.SliceLocation = decimal_string(float(position @ direction[:, 2]))


def nm_image(
    dataset: Any, volume: Volume, source: Source | None, references: list[list[tuple[Any, int | None]]]
) -> None:
    """A synthetic NM object: one planar view, or a tomogram where there are several slices."""
    import pydicom

    count = len(volume.array)
    kind = "RECON TOMO" if count > 1 else _planar_kind(source)
    dataset.SOPClassUID, dataset.Modality = NM_STORAGE, "NM"
    dataset.ImageType = ["DERIVED", "PRIMARY", kind, "EMISSION"]
    dataset.InstanceNumber, dataset.NumberOfFrames = 1, count
    dataset.PixelSpacing = None if assumed_spacing(volume, source) else _decimals(volume.spacing[1::-1])
    dataset.pop("PatientPosition", None)  # the codes take its place in this IOD
    for keyword in ("PatientOrientationCodeSequence", "PatientGantryRelationshipCodeSequence"):
        setattr(dataset, keyword, _codes(source, keyword))
    dataset.EnergyWindowInformationSequence, dataset.RadiopharmaceuticalInformationSequence = [], []
    dataset.NumberOfEnergyWindows = dataset.NumberOfDetectors = 1
    dataset.CountsAccumulated = None
    detector: Any = pydicom.Dataset()
    detector.CollimatorType = None
    detector.ImagePositionPatient = detector.ImageOrientationPatient = None
    dataset.DetectorInformationSequence = [detector]
    if count > 1:
        _tomogram(dataset, detector, volume)
    else:
        _planar(dataset, detector, kind, volume, source, references)


def without_place(volume: Volume) -> bool:
    """Whether a nuclear image of one slice is a projection, which has no place in the patient; a grid that claims one
    anyway (a file with a header) keeps it."""
    return not any(volume.origin) and np.allclose(volume.direction, IDENTITY, atol=1e-12)


def assumed_thickness(volume: Volume, source: Source | None) -> bool:
    """Whether the extent of a single slice is not known but was taken to be 1 mm."""
    return source is not None and len(volume.array) == 1 and volume.spacing[2] == 1.0 and not _stated_thickness(source)


def assumed_spacing(volume: Volume, source: Source | None) -> bool:
    """Whether the size of a pixel is not known but was taken to be 1 mm."""
    return source is not None and volume.spacing[:2] == (1.0, 1.0) and all(f.spacing is None for f in source.frames)


def _planar(dataset: Any, detector: Any, kind: str, volume: Volume, source: Source | None, references: Any) -> None:
    dataset.FrameIncrementPointer = [_ENERGY_WINDOW_VECTOR, _DETECTOR_VECTOR]
    dataset.EnergyWindowVector = dataset.DetectorVector = 1
    dataset.ActualFrameDuration = 0
    if kind == "WHOLE BODY":
        dataset.ScanVelocity = dataset.ScanLength = None
    if source is not None and (view := _view(*references[0][0])):
        detector.ViewCodeSequence = view
    if not without_place(volume):
        direction = np.asarray(volume.direction, dtype=float).reshape(3, 3)
        dataset.ImagePositionPatient = _decimals(volume.origin)
        dataset.ImageOrientationPatient = _decimals([*direction[:, 0], *direction[:, 1]])
    if volume.spacing[2] != 1.0:
        dataset.SliceThickness = decimal_string(abs(volume.spacing[2]))


def _tomogram(dataset: Any, detector: Any, volume: Volume) -> None:
    direction = np.asarray(volume.direction, dtype=float).reshape(3, 3)
    count = len(volume.array)
    dataset.FrameIncrementPointer = _SLICE_VECTOR
    dataset.SliceVector, dataset.NumberOfSlices = list(range(1, count + 1)), count
    dataset.RotationInformationSequence, dataset.NumberOfRotations = [], 1
    dataset.SpacingBetweenSlices = dataset.SliceThickness = decimal_string(abs(volume.spacing[2]))
    dataset.ReconstructionDiameter = dataset.ConvolutionKernel = None
    detector.ImagePositionPatient = _decimals(volume.origin)
    detector.ImageOrientationPatient = _decimals([*direction[:, 0], *direction[:, 1]])


def _planar_kind(source: Source | None) -> str:
    kinds = [] if source is None else [str(v).upper().strip() for v in source.first.get("ImageType") or []]
    return "WHOLE BODY" if "WHOLE BODY" in kinds else "STATIC"


def _view(dataset: Any, frame: int | None) -> list[Any]:
    """The view (anterior, posterior, ...) of a frame of an NM object, as code items; [] where it has none."""
    detectors = dataset.get("DetectorInformationSequence") or []
    vector = dataset.get("DetectorVector")
    numbers = list(vector) if hasattr(vector, "__iter__") else [vector or 1]
    number = int(numbers[(frame or 1) - 1]) if len(numbers) >= (frame or 1) else 1
    if not 1 <= number <= len(detectors):
        return []
    return [item for view in detectors[number - 1].get("ViewCodeSequence") or [] if (item := _code_copy(view))]


def _codes(source: Source | None, keyword: str) -> list[Any]:
    items = [] if source is None else source.first.get(keyword) or []
    return [copied for item in items if (copied := _code_copy(item))]


def _code_copy(item: Any) -> Any:
    """A code item with its modifiers; None where the code is incomplete."""
    parts = [text_of(item, k) for k in ("CodeValue", "CodeMeaning", "CodingSchemeDesignator")]
    if not all(parts):
        return None
    copied = code(*parts)
    for keyword in ("ViewModifierCodeSequence", "PatientOrientationModifierCodeSequence"):
        if keyword in item:
            setattr(copied, keyword, [m for modifier in item[keyword].value if (m := _code_copy(modifier))])
    return copied


def _stated_thickness(source: Source | None) -> str:
    """The slice thickness that the source itself states, as it writes it; "" if none."""
    if source is None:
        return ""
    text = text_of(source.first, "SliceThickness")
    try:
        return text if float(text or 0) > 0 and len(text) <= 16 else ""
    except ValueError:
        return ""


def _decimals(values: Any) -> list[str]:
    return [decimal_string(float(v)) for v in values]
