"""Which DICOM objects the images of a comparison are: found, checked to belong together, and their patient and study.

An image is DICOM where it was read from it; a synthetic image that only remembers its source's objects is none yet, and
its own series is left to `dicomio.writing`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...dicomio.marking import provenance_of
from ...dicomio.opening import quiet_pydicom, text_of
from ...dicomio.source import Source, carry_over, open_source
from ...dicomio.writing import check_writable
from ...errors import InputError
from ...volume import Volume

# What says how the source was acquired or stored and is no part of a report or a segmentation.
_OF_THE_IMAGE = ("BodyPartExamined", "Laterality", "PatientPosition", "AcquisitionDate", "AcquisitionTime",
                 "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")  # fmt: skip
_SAME_DIRECTION = 1e-3


@dataclass(frozen=True)
class Reference:
    """One image: its object, and which frames of it (from 1) where it has several."""

    sop_class: str
    uid: str
    frames: tuple[int, ...] = ()


@dataclass(frozen=True)
class Backing:
    """The DICOM objects that an image's slices are. slices: for each slice (object, frame number or None)."""

    source: Source
    slices: tuple[tuple[tuple[Any, int | None], ...], ...]

    @property
    def first(self) -> Any:
        """The object that patient and study are taken from."""
        return self.source.first

    def references(self, slices: Iterable[int]) -> list[Reference]:
        """The images at these slices, each object once."""
        frames: dict[str, set[int]] = {}
        classes = {}
        for k in slices:
            for dataset, frame in self.slices[k]:
                uid = text_of(dataset, "SOPInstanceUID")
                classes[uid] = text_of(dataset, "SOPClassUID")
                frames.setdefault(uid, set()).update([] if frame is None else [frame])
        return [Reference(classes[uid], uid, tuple(sorted(found))) for uid, found in frames.items()]

    def objects(self) -> dict[str, Any]:
        """The objects that the image was read from, by SOP instance UID."""
        return {text_of(dataset, "SOPInstanceUID"): dataset for of_slice in self.slices for dataset, _ in of_slice}

    def aligned(self, volume: Volume) -> bool:
        """Whether rows and columns of the objects run as those of `volume`."""
        direction = np.asarray(volume.direction, dtype=float).reshape(3, 3)
        wanted = np.concatenate([direction[:, 0], direction[:, 1]])
        told = [frame.orientation for frame in self.source.frames if frame.orientation is not None]
        return all(np.abs(orientation - wanted).max() < _SAME_DIRECTION for orientation in told)


@dataclass(frozen=True)
class Evidence:
    """backings: by role, of the images that are DICOM. to_write: whether the synthetic image has no series yet and can
    get one. linked: whether the synthetic image's objects or memory name the source's. sentences: what a person should
    know. new_study: UID for where none of the objects names a study.
    """

    backings: Mapping[str, Backing]
    to_write: bool
    linked: bool
    sentences: tuple[str, ...]
    new_study: str

    @property
    def base(self) -> Backing:
        """The objects that the region lies on: the source's, or the synthetic image's where the source is no DICOM."""
        return self.backings.get("source") or self.backings["synthetic"]

    @property
    def study(self) -> str:
        """The study of the base; where it names none, the one its synthetic series got."""
        told = (text_of(backing.first, "StudyInstanceUID") for backing in (self.base, *self.backings.values()))
        return next(filter(None, told), "") or self.new_study

    def with_series(self, backing: Backing) -> Evidence:
        """The same with the synthetic image's series."""
        found = replace(self, backings={**self.backings, "synthetic": backing}, to_write=False)
        _check_one_patient(found.backings)
        return found


def gather(images: Mapping[str, Volume], source: Any = None, series: str | None = None) -> Evidence:
    """The objects of each image. source, series: of the source image, where it does not remember them itself.

    Raises InputError with one sentence where nothing is or can become DICOM, files are gone, or images do not belong
    together.
    """
    from pydicom.uid import generate_uid

    backings: dict[str, Backing] = {}
    sentences: list[str] = []
    if (found := _backing(images["source"], source, series)) is not None:
        backings["source"] = found
    synthetic = images["synthetic"]
    own = None if _remembers(synthetic, backings.get("source")) else _backing(synthetic)
    if own is not None and synthetic.synthetic and not any(provenance_of(each) for each in own.source.datasets):
        # Made here and not yet written: the objects it remembers are its source's.
        backings.setdefault("source", own)
        own = None
    if own is not None:
        backings["synthetic"] = own
    elif (reason := _why_no_series(synthetic)) and not backings:
        raise InputError(f"Neither {images['source'].name} nor {synthetic.name} is DICOM. {reason}")
    elif reason:
        sentences.append(f"The synthetic image has no DICOM series that the report could refer to. {reason}")
    if "reference" in images:
        sentences += _add_reference(backings, images["reference"])
    if "source" not in backings:
        sentences.append("The source was no DICOM image: patient and study are those of the synthetic series.")
    elif not backings["source"].source.proven:
        sentences.append("That these are the source images was said by the person who exported; nothing proves it.")
    _check_one_patient(backings)
    linked = own is None and "source" in backings and _remembers(synthetic, backings["source"])
    linked = linked or _made_from(backings, synthetic.name)
    to_write = own is None and not _why_no_series(synthetic)
    return Evidence(backings, to_write, linked, tuple(sentences), str(generate_uid()))


def series_backing(folder: Path, synthetic: Volume) -> Backing:
    """The synthetic image's slices in the series that was just written for it."""
    bare = replace(synthetic, attributes={})
    found = open_source(folder, bare)
    assert found is not None  # a path was given
    return _checked(found, bare)


def patient_and_study(evidence: Evidence, dataset: Any) -> list[str]:
    """Copy patient and study of the base into `dataset`; returns sentences on what had to be left out."""
    sentences = carry_over(evidence.base.source, dataset)
    for keyword in _OF_THE_IMAGE:
        dataset.pop(keyword, None)
    dataset.StudyInstanceUID = evidence.study
    return sentences


def series_number(evidence: Evidence, step: int) -> int:
    """The base's series number and `step`, so that what was made stands behind what was acquired."""
    told = text_of(evidence.base.first, "SeriesNumber")
    return step + (int(told) if re.fullmatch("[0-9]{1,8}", told) else 0)


def _backing(volume: Volume, source: Any = None, series: str | None = None) -> Backing | None:
    found = open_source(source, volume, series)
    return None if found is None else _checked(found, volume)


def _checked(found: Source, volume: Volume) -> Backing:
    """InputError where the objects cannot be referred to."""
    with quiet_pydicom():
        for dataset in found.datasets:
            for keyword, what in (
                ("SOPInstanceUID", "object"), ("SOPClassUID", "kind of object"), ("SeriesInstanceUID", "series"),
            ):  # fmt: skip
                if not text_of(dataset, keyword):
                    raise InputError(
                        f"{volume.name} is DICOM that names no {what} ({keyword}), so that no report can refer to it; "
                        "send it through an archive or a tool that repairs it first."
                    )
        return Backing(found, tuple(tuple(of_slice) for of_slice in found.references(volume)))


def _remembers(synthetic: Volume, source: Backing | None) -> bool:
    """Whether the objects that a synthetic image remembers are its source's: it was made here and not yet written."""
    uids = {uid for uid in synthetic.attributes.get("SOPInstanceUIDs") or [] if uid}
    return source is not None and bool(uids) and uids <= source.objects().keys()


def _why_no_series(synthetic: Volume) -> str:
    try:
        check_writable(synthetic)
    except InputError as error:
        return str(error)
    return ""


def _add_reference(backings: dict[str, Backing], reference: Volume) -> list[str]:
    """Add the real target's objects; a report can do without, and then says so."""
    try:
        found = _backing(reference)
    except InputError as error:
        return [f"The report does not refer to the real target's images. {error}"]
    if found is None:
        return [f"The real target {reference.name} is no DICOM image; its values stand in the report without images."]
    backings["reference"] = found
    return []


def _check_one_patient(backings: Mapping[str, Backing]) -> None:
    """InputError where two images name different patients."""
    for keyword in ("PatientID", "PatientName"):
        named = {role: text_of(backing.first, keyword) for role, backing in backings.items()}
        told = {role: name for role, name in named.items() if name}
        if len(set(told.values())) > 1:
            (one, _), (other, _) = next((a, b) for a in told.items() for b in told.items() if a[1] != b[1])
            raise InputError(
                f"The {one} and the {other} are of different patients by their DICOM headers; a report is of one."
            )
        if len(told) == len(named):
            return


def _made_from(backings: Mapping[str, Backing], name: str) -> bool:
    """Whether the synthetic series names the source's images as its own; InputError where it names others."""
    if not {"source", "synthetic"} <= backings.keys():
        return False
    told = [item for each in backings["synthetic"].source.datasets for item in each.get("SourceImageSequence") or []]
    made_from = {(text_of(item, "ReferencedSOPInstanceUID"), text_of(item, "ReferencedFrameNumber")) for item in told}
    slices = backings["source"].slices
    pairs = {(text_of(dataset, "SOPInstanceUID"), frame) for of_slice in slices for dataset, frame in of_slice}
    related = any(
        uid == of and (not number or frame is None or number == str(frame))
        for uid, number in made_from
        for of, frame in pairs
    )
    if made_from and not related:
        raise InputError(f"{name} says that it was made from other images than the source given; choose that source.")
    return related
