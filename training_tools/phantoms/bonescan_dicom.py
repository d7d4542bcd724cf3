"""A simulated planar image as a nuclear medicine object (DICOM PS3.3 A.5), for tools that read only DICOM.

It says in patient, series, image comments and by Synthetic Data (0008,001C) that nobody was scanned. UIDs follow from
the case, so that the same case gives the same object. Reading is left to `imagetranslation.dicomio`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.dicomio.marking import SIMULATOR
from imagetranslation.dicomio.modules import NM_STORAGE, pixels
from imagetranslation.files import atomic_path

VIEW_CODES = {"anterior": ("399348003", "antero-posterior"), "posterior": ("399173006", "postero-anterior")}
COMMENT = "Simulated anatomy: no patient."


def write_planar(
    counts: np.ndarray,
    path: Path,
    *,
    case: str,
    patient: str,
    phase: str,
    view: str,
    spacing: float,
    whole_body: bool,
    minutes: float,
) -> Path:
    """Write counts (row, column) uint16 as one planar NM object; phase: "blood pool" or "delayed"; minutes: after
    injection. Raises RunFailed where the file cannot be written.
    """
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian

    data: Any = pydicom.Dataset()
    data.SOPClassUID, data.SOPInstanceUID = NM_STORAGE, _uid(case, phase)
    data.Modality, data.SyntheticData = "NM", "YES"
    data.ImageType = ["ORIGINAL", "PRIMARY", "WHOLE BODY" if whole_body else "STATIC", "EMISSION"]
    data.PatientName, data.PatientID = "SIMULATED^NOBODY", patient
    data.PatientBirthDate = data.PatientSex = ""
    data.StudyInstanceUID, data.SeriesInstanceUID = _uid(patient, "study"), _uid(case, phase, "series")
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = _uid(case, "frame"), ""
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = "20000101"
    clock = f"{8 + int(minutes) // 60:02d}{int(minutes) % 60:02d}00"
    data.StudyTime, data.SeriesTime, data.AcquisitionTime, data.ContentTime = "080000", clock, clock, clock
    data.StudyID, data.AccessionNumber, data.ReferringPhysicianName = "", "", ""
    data.StudyDescription, data.SeriesDescription = "SIMULATED bone scan", f"SIMULATED {phase} {view}"
    data.Laterality = ""  # conditional on a paired body part, which a planar view of both sides is not
    data.SeriesNumber, data.InstanceNumber = (1 if phase == "blood pool" else 2), 1
    data.Manufacturer, data.ImageComments = SIMULATOR, COMMENT
    data.PatientOrientationCodeSequence = [_code(pydicom, "102538003", "recumbent")]
    data.PatientOrientationCodeSequence[0].PatientOrientationModifierCodeSequence = [
        _code(pydicom, "40199007", "supine")
    ]
    data.PatientGantryRelationshipCodeSequence = [_code(pydicom, "102540008", "headfirst")]
    pixels(data, counts)
    data.PixelSpacing, data.NumberOfFrames = [f"{spacing:g}", f"{spacing:g}"], 1
    data.FrameIncrementPointer = [0x00540010, 0x00540020]
    data.EnergyWindowVector = data.DetectorVector = 1
    data.NumberOfEnergyWindows = data.NumberOfDetectors = 1
    data.CountsAccumulated, data.ActualFrameDuration = int(counts.sum()), 0
    if whole_body:
        data.ScanVelocity = data.ScanLength = None
    data.EnergyWindowInformationSequence = [_energy_window(pydicom)]
    data.RadiopharmaceuticalInformationSequence = [_tracer(pydicom)]
    detector: Any = pydicom.Dataset()
    detector.CollimatorType, detector.ViewCodeSequence = "PARA", [_code(pydicom, *VIEW_CODES[view])]
    detector.ImagePositionPatient = detector.ImageOrientationPatient = None
    data.DetectorInformationSequence = [detector]
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with atomic_path(path) as temporary:
        pydicom.dcmwrite(temporary, data, enforce_file_format=True)
    return path


def _uid(*parts: str) -> str:
    """A UID of the 2.25 form (PS3.5 B.2) from a hash of the names."""
    digest = hashlib.sha256("/".join(("bonescan", *parts)).encode()).hexdigest()
    return f"2.25.{int(digest[:31], 16)}"


def _code(pydicom: Any, value: str, meaning: str) -> Any:
    item = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _energy_window(pydicom: Any) -> Any:
    limits, window = pydicom.Dataset(), pydicom.Dataset()
    limits.EnergyWindowLowerLimit, limits.EnergyWindowUpperLimit = "126.45", "154.55"
    window.EnergyWindowName, window.EnergyWindowRangeSequence = "Tc99m", [limits]
    return window


def _tracer(pydicom: Any) -> Any:
    tracer = pydicom.Dataset()
    tracer.RadionuclideCodeSequence = [_code(pydicom, "72454007", "Technetium Tc^99m^")]
    tracer.Radiopharmaceutical = "Tc-99m HMDP (simulated)"
    return tracer
