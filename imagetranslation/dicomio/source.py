"""The DICOM series a synthetic image was made from: checked to be that one, and its patient and study carried over.

Which of the source's attributes say who and which study, and stay true of a derived image, is listed here; what says
how the source was acquired is not carried over.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..volume import Volume
from .geometry import Frame, frames_of
from .marking import code, plain
from .opening import damage_means, open_dataset, quiet_pydicom, text_of

# Never altered, however strange: an archive files the object by them.
_IDENTITY = ("SpecificCharacterSet", "PatientName", "PatientID", "StudyInstanceUID", "AccessionNumber")
# Type 2 in the Patient and General Study modules: empty where the source has no (valid) value.
REQUIRED = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
             "ReferringPhysicianName", "StudyID", "AccessionNumber")  # fmt: skip
_CARRIED = (
    *_IDENTITY, *REQUIRED,
    "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "PatientBirthTime", "OtherPatientIDsSequence",
    "EthnicGroup", "PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription",
    "PatientBreedCodeSequence", "BreedRegistrationSequence", "ResponsiblePerson", "ResponsiblePersonRole",
    "ResponsibleOrganization", "PatientIdentityRemoved", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence", "QualityControlSubject", "LongitudinalTemporalInformationModified",
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID",
    "ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription", "StudyDescription", "ProcedureCodeSequence", "IssuerOfAccessionNumberSequence",
    "PhysiciansOfRecord", "PatientAge", "PatientSize", "PatientWeight", "TimezoneOffsetFromUTC", "BodyPartExamined",
    "Laterality", "PatientPosition", "AcquisitionDate", "AcquisitionTime", "LossyImageCompression",
    "LossyImageCompressionRatio", "LossyImageCompressionMethod",
)  # fmt: skip
_EQUIPMENT = ("Manufacturer", "InstitutionName", "StationName", "ManufacturerModelName", "DeviceSerialNumber",
              "SoftwareVersions")  # fmt: skip
_TEXT_LIMITS = {"LO": 64, "SH": 16, "ST": 1024, "LT": 10240}
# Body parts that have no side, for which an empty Laterality would claim that the side is unknown.
_UNPAIRED = {"PROSTATE", "PELVIS", "ABDOMEN", "CHEST", "HEAD", "NECK", "BRAIN", "HEART", "LIVER", "BLADDER", "SPINE",
             "CSPINE", "TSPINE", "LSPINE", "UTERUS", "PANCREAS", "WHOLEBODY"}  # fmt: skip
_SAME_DIRECTION = 0.999


@dataclass(frozen=True)
class Source:
    """datasets: headers of the source's objects, at least one. frames: all their frames, in no particular order.
    proven: whether UIDs or voxels prove that the synthetic image was made from it; its place alone does not, since
    ultrasound machines put every patient's volume at the same one.
    """

    datasets: list[Any]
    frames: list[Frame]
    proven: bool

    @property
    def first(self) -> Any:
        """The object that patient and study are taken from."""
        return self.datasets[0]

    @property
    def positioned(self) -> bool:
        """Whether every frame has a place in the source's frame of reference."""
        return all(frame.position is not None and frame.orientation is not None for frame in self.frames)

    def frame_of_reference(self) -> str:
        """UID of the coordinate system that the frames lie in, "" where they lie in none.

        Positions of a 3-D ultrasound object are in the volume's own frame of reference where that has a UID.
        """
        own = (
            text_of(self.first, "VolumeFrameOfReferenceUID") if self.first.get("SharedFunctionalGroupsSequence") else ""
        )
        return own or text_of(self.first, "FrameOfReferenceUID")

    def references(self, volume: Volume) -> list[list[tuple[Any, int | None]]]:
        """For each slice of `volume` the (object, frame number or None) it was made from.

        Raises InputError where the slices do not lie where the source's do, or differ in number or size.
        """
        named = self._named(volume)
        if named is not None:
            return named
        return self._by_place(volume) if self.positioned else self._by_order(volume)

    def _reference(self, frame: Frame) -> tuple[Any, int | None]:
        dataset = self.datasets[frame.file]
        return dataset, frame.index + 1 if dataset.get("NumberOfFrames") not in (None, "", 1) else None

    def _named(self, volume: Volume) -> list[list[tuple[Any, int | None]]] | None:
        """The frames that `volume` itself remembers, None if it remembers none; InputError where they are others."""
        uids, numbers = (volume.attributes.get(name) or [] for name in ("SOPInstanceUIDs", "FrameNumbers"))
        frames = {(text_of(self.datasets[f.file], "SOPInstanceUID"), f.index + 1): f for f in self.frames}
        wanted = list(zip(uids, numbers))
        if len(wanted) != len(volume.array) or not all(uids):
            return None
        if not all(key in frames for key in wanted):
            raise InputError(f"{volume.name} was not made from this DICOM series: it remembers images of another one.")
        return [[self._reference(frames[key])] for key in wanted]

    def _by_place(self, volume: Volume) -> list[list[tuple[Any, int | None]]]:
        direction = np.asarray(volume.direction, dtype=float).reshape(3, 3)
        rows, columns = volume.array.shape[1:]
        size = np.array([columns * volume.spacing[0], rows * volume.spacing[1]])
        steps = np.array([(columns - 1) / 2 * volume.spacing[0], (rows - 1) / 2 * volume.spacing[1]])
        middle = np.asarray(volume.origin) + direction[:, :2] @ steps
        centres, normals, sizes = (np.array(v) for v in zip(*(self._plane(frame) for frame in self.frames)))
        alike = (np.abs(normals @ direction[:, 2]) > _SAME_DIRECTION) & (
            np.abs(np.sort(sizes, axis=1) - np.sort(size)).max(axis=1) <= max(volume.spacing[:2])
        )
        found = []
        for k in range(len(volume.array)):
            centre = middle + k * volume.spacing[2] * direction[:, 2]
            distance = np.where(alike, np.linalg.norm(centres - centre, axis=1), np.inf)
            near = np.flatnonzero(distance <= 0.5 * min(volume.spacing))
            if len(near) == 0:
                raise InputError(
                    f"{volume.name} was not made from this DICOM series: no image of it lies at slice {k}."
                )
            found.append([self._reference(self.frames[n]) for n in near])
        return found

    def _plane(self, frame: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Centre (mm LPS), normal and (width, height) in mm of a frame."""
        dataset = self.datasets[frame.file]
        assert frame.position is not None  # only asked of positioned sources
        assert frame.orientation is not None
        spacing = np.array(frame.spacing or (1.0, 1.0))
        count = np.array([int(dataset.Columns), int(dataset.Rows)])
        row, column = frame.orientation[:3], frame.orientation[3:]
        half = (count - 1) / 2 * spacing
        return frame.position + row * half[0] + column * half[1], np.cross(row, column), count * spacing

    def _by_order(self, volume: Volume) -> list[list[tuple[Any, int | None]]]:
        sizes = {(int(ds.Rows), int(ds.Columns)) for ds in self.datasets}
        if sizes != {volume.array.shape[1:]}:
            raise InputError(f"{volume.name} was not made from this DICOM series: its images are of another size.")
        frames = sorted(self.frames, key=lambda frame: frame.order)
        if len(frames) == len(volume.array):
            return [[self._reference(frame)] for frame in frames]
        if len(volume.array) > 1:
            raise InputError(
                f"{volume.name} was not made from this DICOM series: it has {len(volume.array)} slices, "
                f"the series {len(frames)} images."
            )
        return [[(dataset, None) for dataset in self.datasets]]


def open_source(source: str | Path | Sequence[Any] | None, volume: Volume, series: str | None = None) -> Source | None:
    """The source named by a path, by its datasets, or by what `volume` remembers; None where it was no DICOM.

    Raises InputError where the files are gone, damaged, or of several studies or patients.
    """
    from .reading import files_of

    if source is None and volume.attributes.get("format") != "DICOM":
        return None
    with damage_means("The source series is damaged DICOM that cannot be understood; copy it again."), quiet_pydicom():
        if source is None:
            files = [Path(name) for name in dict.fromkeys(volume.attributes["files"])]
            if gone := [file for file in files if not file.is_file()]:
                raise InputError(f"The source of {volume.name} is gone: {gone[0]}; say where its DICOM series is now.")
            datasets = [open_dataset(file, pixels=False) for file in files]
        elif isinstance(source, (str, Path)):
            if not Path(source).exists():
                raise InputError(f"{source} does not exist; name the file or folder of the source's DICOM series.")
            datasets = [open_dataset(file, pixels=False) for file in files_of(Path(source), series)[0]]
        else:
            datasets = list(source)
        if not datasets:
            raise InputError("The source holds no DICOM image.")
        for keyword, what in (("StudyInstanceUID", "studies"), ("PatientID", "patients")):
            if len({text_of(dataset, keyword) for dataset in datasets}) > 1:
                raise InputError(f"The source images are of different {what}; give those of one series.")
        frames = [f for n, ds in enumerate(datasets) for f in frames_of(ds, n, text_of(ds, "SOPInstanceUID"))]
    return Source(datasets, frames, _proven(source, volume, series))


def _proven(source: Any, volume: Volume, series: str | None) -> bool:
    from ..inference import voxels_sha256
    from .reading import read_dicom

    if source is None or all(volume.attributes.get("SOPInstanceUIDs") or [""]):
        return True  # the volume's own files, or images that `references` insists on
    if volume.provenance is None or not isinstance(source, (str, Path)):
        return False
    try:
        return voxels_sha256(read_dicom(source, series=series)) == volume.provenance.source_sha256
    except InputError:  # of several views or frames, one was chosen: which one is not known here
        return False


def carry_over(source: Source, dataset: Any) -> list[str]:
    """Copy patient, study and what stays true of a derived image; returns sentences on what had to be left out.

    Identifying values are copied as they are, texts cut to their length, other values that break the standard left out.
    """
    left_out = []
    with quiet_pydicom():
        for keyword in dict.fromkeys(_CARRIED):
            sound = _sound(source.first[keyword]) if keyword in source.first else None
            if sound is not None:
                dataset[keyword] = sound
                continue
            if keyword in source.first:
                left_out.append(keyword)
            if keyword in REQUIRED:
                setattr(dataset, keyword, None)
        for keyword in [k for k in dataset.dir() if dataset[k].VR == "SQ"]:
            for item in dataset[keyword].value:
                item.remove_private_tags()
        if "Laterality" not in dataset and text_of(dataset, "BodyPartExamined").upper() not in _UNPAIRED:
            dataset.Laterality = None
    return [f"Invalid in the source and left out: {', '.join(left_out)}."] if left_out else []


def acquisition_equipment(source: Source) -> list[Any]:
    """An item of the Contributing Equipment Sequence for the machine that made the source; none if it isn't named."""
    import pydicom

    if not text_of(source.first, "Manufacturer"):
        return []
    item: Any = pydicom.Dataset()
    with quiet_pydicom():
        for keyword in _EQUIPMENT:
            if text_of(source.first, keyword) and (sound := _sound(source.first[keyword])) is not None:
                item[keyword] = sound
    item.PurposeOfReferenceCodeSequence = [code("109101", "Acquisition Equipment")]
    return [item]


def source_image(dataset: Any, frame: int | None, preserved: bool) -> Any:
    """An item of the Source Image Sequence. preserved: whether the derived slice lies where this image does."""
    import pydicom

    item: Any = pydicom.Dataset()
    item.ReferencedSOPClassUID = text_of(dataset, "SOPClassUID")
    item.ReferencedSOPInstanceUID = text_of(dataset, "SOPInstanceUID")
    if frame is not None:
        item.ReferencedFrameNumber = frame
    item.SpatialLocationsPreserved = "YES" if preserved else "NO"
    item.PurposeOfReferenceCodeSequence = [code("121322", "Source image for image processing operation")]
    return item


def _sound(element: Any) -> Any:
    """A copy of a source's element as it may be written, None where its value breaks the standard beyond repair."""
    from pydicom import config
    from pydicom.datadict import dictionary_VM
    from pydicom.dataelem import DataElement
    from pydicom.valuerep import validate_value

    if element.keyword in _IDENTITY or element.VR == "SQ":
        return copy.deepcopy(element)
    values = list(element.value) if element.VM > 1 else [element.value]
    if element.VR in _TEXT_LIMITS:
        texts = [plain(str(value or "")) for value in values]
        if dictionary_VM(element.tag) == "1":
            texts = [" ".join(texts)]
        cut = [text[: _TEXT_LIMITS[element.VR]].strip() for text in texts]
        return DataElement(element.tag, element.VR, cut[0] if len(cut) == 1 else cut)
    try:
        for value in values:
            validate_value(element.VR, value if value is None else str(value), config.RAISE)
    except ValueError:
        return None
    return copy.deepcopy(element)
