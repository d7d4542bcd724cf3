"""Reports and segmentations on every kind of source: multi-frame, oblique, planar, none, hostile."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from imagetranslation.dicomio import read_dicom, write_dicom_series
from imagetranslation.errors import Cancelled, InputError
from imagetranslation.radiomics.dicomreport import Meaning, availability
from imagetranslation.radiomics.dicomreport.writing import write_dicom
from imagetranslation.radiomics.roi import Roi
from imagetranslation.radiomics.segmentations import read_rois
from imagetranslation.volume import Volume, read_volume, write_volume

from .dicom_checker import UNKNOWN_TO_IT, flaws
from .dicom_objects import ENHANCED_MR, NM, US, frame_groups, image, item, save, shared_groups
from .reported_regions import SHAPE, a_series, compared, drawn, few, noise, ragged, reported
from .synthetic_objects import OBLIQUE, made_from

pytest.importorskip("radiomics")
highdicom = pytest.importorskip("highdicom")

WHOLE = (slice(1, 5), slice(3, 12), slice(2, 9))
ONE_SLICE = (slice(2, 3), slice(2, 14), slice(1, 11))


def pair(scan: Volume, modality: str = "MR") -> dict[str, Volume]:
    return {"source": scan, "synthetic": made_from(scan, modality)}


def enhanced_mr(folder: Path) -> Path:
    positions = [[1.0, 2.0, 3.0 + 2 * n] for n in range(SHAPE[0])]
    tags = {
        "PerFrameFunctionalGroupsSequence": frame_groups(positions),
        "SharedFunctionalGroupsSequence": shared_groups(),
    }
    return save(image(noise(), ENHANCED_MR, **tags), folder / "enhanced.dcm")


def ultrasound_volume(folder: Path) -> Path:
    normal = np.cross(OBLIQUE[:3], OBLIQUE[3:])
    positions = [[float(v) for v in np.array([5.0, -7.0, 30.0]) + 2.0 * n * normal] for n in range(SHAPE[0])]
    tags = {"PerFrameFunctionalGroupsSequence": frame_groups(positions, volume=True),
            "SharedFunctionalGroupsSequence": shared_groups(OBLIQUE, volume=True)}  # fmt: skip
    return save(image(noise(), "1.2.840.10008.5.1.4.1.1.6.2", "US", **tags), folder / "us.dcm")


def tomogram(folder: Path) -> Path:
    detector = item(ImagePositionPatient=[4.0, 5.0, 6.0], ImageOrientationPatient=list(OBLIQUE))
    tags = {"ImageType": ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"], "DetectorInformationSequence": [detector],
            "SliceVector": list(range(1, SHAPE[0] + 1)), "SpacingBetweenSlices": 3, "PixelSpacing": [2, 2]}  # fmt: skip
    return save(image(noise(dtype=np.uint16), NM, "NM", **tags), folder / "tomo.dcm")


def planar(folder: Path, views: int = 2) -> Path:
    counts = np.random.default_rng(2).poisson(300, (views, 64, 32)).astype(np.uint16)
    named = [item(ViewCodeSequence=[item(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning)])
             for value, meaning in (("255549009", "Anterior"), ("255551008", "Posterior"))]  # fmt: skip
    tags = {"ImageType": ["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"], "PixelSpacing": [2.4, 2.4],
            "EnergyWindowVector": [1] * views, "DetectorVector": list(range(1, views + 1)),
            "DetectorInformationSequence": named[:views]}  # fmt: skip
    return save(image(counts, NM, "NM", **tags), folder / "planar.dcm")


PLACED = {
    "a series": (a_series, {}),
    "an oblique series": (lambda folder: a_series(folder, OBLIQUE), {}),
    "a single slice": (lambda folder: a_series(folder, count=1), {}),
    "an enhanced MR": (enhanced_mr, {}),
    "one frame of an enhanced MR": (lambda folder: enhanced_mr(folder), {}),
    "an oblique 3-D ultrasound": (ultrasound_volume, {}),
    "an oblique tomogram": (tomogram, {}),
}


@pytest.mark.parametrize("region", ["boxes", "one slice", "ragged"])
@pytest.mark.parametrize("source", PLACED)
def test_a_placed_source_gets_a_segmentation_that_reads_back_exactly(source, region, tmp_path):
    make, how = PLACED[source]
    scan = read_volume(make(tmp_path / "scan"), **how)
    boxes = [WHOLE] if len(scan.array) > 1 else [(slice(0, 1), *WHOLE[1:])]
    one = boxes if len(scan.array) == 1 else [ONE_SLICE]
    roi = {"boxes": drawn(scan, *boxes), "one slice": drawn(scan, *one), "ragged": ragged(scan)}[region]
    written = reported(pair(scan), roi, tmp_path / "dicom")
    assert flaws(written.segmentation, "Segmentation") == []
    assert flaws(written.report, "ComprehensiveSR") == [UNKNOWN_TO_IT]
    (back,) = read_rois(written.segmentation, scan)
    assert back.sha256 == roi.sha256
    dataset = pydicom.dcmread(written.segmentation)
    source_uids = set(scan.attributes["SOPInstanceUIDs"])
    first, end = roi.box[0]
    frames = [
        frame.DerivationImageSequence[0].SourceImageSequence for frame in dataset.PerFrameFunctionalGroupsSequence
    ]
    assert [len(items) for items in frames] == [1] * (end - first)
    told = {(str(items[0].ReferencedSOPInstanceUID), items[0].get("ReferencedFrameNumber")) for items in frames}
    assert {uid for uid, _ in told} <= source_uids
    if len(source_uids) == 1 and len(scan.array) > 1:
        assert {number for _, number in told} == set(range(first + 1, end + 1))
    assert {str(items[0].ReferencedSOPClassUID) for items in frames} == {scan.attributes["SOPClassUID"]}
    assert {items[0].SpatialLocationsPreserved for items in frames} == {"YES"}
    assert dataset.FrameOfReferenceUID == "1.2.3.9"


def said_in(report: Path) -> str:
    """Every text of a report."""
    return " ".join(str(e.value) for e in pydicom.dcmread(report).iterall() if e.keyword == "TextValue")


def points_of(report: Path, group: int = 0) -> list[Any]:
    """The outlines of a measurement group: (points, SOP instance UID, frame number or None)."""
    container = pydicom.dcmread(report).ContentSequence[-1].ContentSequence[group]
    found = []
    for content in container.ContentSequence:
        if content.ValueType == "SCOORD":
            of = content.ContentSequence[0].ReferencedSOPSequence[0]
            points = np.array(content.GraphicData).reshape(-1, 2)
            found.append((points, str(of.ReferencedSOPInstanceUID), of.get("ReferencedFrameNumber")))
    return found


def filled(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre a line of upright and level pieces encloses by the even-odd rule; pixel (0, 0) is 0..1."""
    crossings = np.zeros((shape[0], shape[1] + 1), np.uint8)
    corners = points.astype(int).tolist()
    for (x0, y0), (x1, y1) in zip(corners, corners[1:]):
        assert (x0 == x1) != (y0 == y1)
        if x0 == x1:
            crossings[min(y0, y1) : max(y0, y1), x0] ^= 1
    assert (points == points.astype(int)).all()
    return np.bitwise_xor.accumulate(crossings, axis=1)[:, :-1].astype(bool)


def two_parts_and_a_hole(scan: Volume) -> Roi:
    roi = drawn(scan, (slice(0, 1), slice(5, 20), slice(4, 20)), (slice(0, 1), slice(30, 40), slice(20, 31)))
    mask = roi.mask.copy()
    mask[0, 3:7, 4:8] = False
    return replace(roi, mask=mask)


def test_a_planar_view_gets_outlines_on_its_own_frame_and_no_segmentation(tmp_path):
    scan = read_volume(planar(tmp_path), component=1)
    roi, images = two_parts_and_a_hole(scan), pair(scan, "NM")
    offered = availability(images)
    assert (offered.report, offered.segmentation, offered.series) == (True, False, True)
    assert "no position in the patient" in offered.sentence
    written = reported(images, roi, tmp_path / "dicom")
    assert written.segmentation is None
    assert any("no segmentation object" in sentence for sentence in written.sentences)
    assert flaws(written.report, "ComprehensiveSR") == [UNKNOWN_TO_IT]
    [(points, uid, frame)] = points_of(written.report)
    assert (filled(points, scan.array.shape[1:]) == roi.full()[0]).all()
    assert (uid, frame) == (scan.attributes["SOPInstanceUIDs"][0], 2)
    [(again, uid, frame)] = points_of(written.report, 1)
    assert (again == points).all()
    synthetic = pydicom.dcmread(written.series[0])
    assert (uid, frame) == (synthetic.SOPInstanceUID, None)
    assert synthetic.SourceImageSequence[0].ReferencedFrameNumber == 2
    assert "2 separate parts and 1 hole" in said_in(written.report)
    (group,) = highdicom.sr.srread(written.report).content.get_planar_roi_measurement_groups()[:1]
    assert group.roi.graphic_type.value == "POLYLINE"
    assert {each.unit.value for each in group.get_measurements() if each.name.value == "SALO"} == {"{counts}"}


def test_frames_without_places_get_an_outline_each(tmp_path):
    save(image(noise(), "1.2.840.10008.5.1.4.1.1.3.1", "US", PixelSpacing=[0.5, 0.5]), tmp_path / "cine.dcm")
    scan = read_volume(tmp_path / "cine.dcm", frames_as_slices=2.0)
    roi = ragged(scan)
    written = reported(pair(scan), roi, tmp_path / "dicom")
    assert written.segmentation is None
    outlines = points_of(written.report)
    assert [frame for *_, frame in outlines] == [k + 1 for k in range(SHAPE[0]) if roi.full()[k].any()]
    for points, _, frame in outlines:
        assert (filled(points, SHAPE[1:]) == roi.full()[frame - 1]).all()
    assert flaws(written.report, "ComprehensiveSR") == [UNKNOWN_TO_IT]


def test_an_outline_of_more_points_than_an_explicit_length_can_count_is_written(tmp_path):
    counts = np.random.default_rng(2).poisson(300, (64, 64)).astype(np.uint16)
    save(image(counts, NM, "NM", PixelSpacing=[2, 2]), tmp_path / "nm.dcm")
    scan = read_volume(tmp_path / "nm.dcm")
    every_other = drawn(scan, *(np.s_[0:1, row : row + 1, row % 2 :: 2] for row in range(64)))
    written = reported(pair(scan, "NM"), every_other, tmp_path / "dicom")
    [(points, *_)] = points_of(written.report)
    assert len(points) > 8192
    assert (filled(points, (64, 64)) == every_other.full()[0]).all()
    assert flaws(written.report, "ComprehensiveSR") == [UNKNOWN_TO_IT]


def test_a_source_that_is_no_dicom_is_reported_through_the_synthetic_series(tmp_path):
    scan = Volume(noise(), (0.5, 0.7, 3.0), (1.0, 2.0, 3.0), name="knee.nrrd", modality="US")
    roi, images = drawn(scan, WHOLE), pair(scan)
    assert availability(images).segmentation
    written = reported(images, roi, tmp_path / "dicom")
    assert any("The source was no DICOM image" in sentence for sentence in written.sentences)
    (back,) = read_rois(written.segmentation, scan)
    assert back.sha256 == roi.sha256
    series = {str(pydicom.dcmread(file).SOPInstanceUID) for file in written.series}
    report = pydicom.dcmread(written.report)
    assert report.StudyInstanceUID == pydicom.dcmread(written.series[0]).StudyInstanceUID
    assert report.PatientName == ""
    assert "knee.nrrd is no DICOM image" in said_in(written.report)
    segmentation = pydicom.dcmread(written.segmentation)
    assert {
        str(i.ReferencedSOPInstanceUID) for i in segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    } < series


def test_where_neither_image_is_or_can_become_dicom_a_sentence_says_so(tmp_path):
    scan = Volume(noise(), name="knee.nrrd", modality="US")
    images = {"source": scan, "synthetic": replace(made_from(scan), provenance=None)}
    offered = availability(images)
    assert (offered.report, offered.segmentation) == (False, False)
    assert offered.sentence.startswith("Neither knee.nrrd nor SYNTHETIC")
    with pytest.raises(InputError, match=r"Neither knee\.nrrd nor"):
        reported(images, drawn(scan, WHOLE), tmp_path / "dicom")
    assert list(tmp_path.iterdir()) == []


def test_a_synthetic_image_that_cannot_become_dicom_leaves_a_report_that_says_so(tmp_path):
    scan = read_volume(a_series(tmp_path / "scan"))
    images = {
        "source": scan,
        "synthetic": Volume(noise().astype(float), scan.spacing, scan.origin, scan.direction, "ct"),
    }
    written = reported(images, drawn(scan, WHOLE), tmp_path / "dicom")
    assert written.series == ()
    assert any("no DICOM series that the report could refer to" in sentence for sentence in written.sentences)
    assert "ct is no DICOM image; SHA-256 of its voxels" in said_in(written.report)


def test_a_source_read_from_a_copy_is_found_where_the_person_says(tmp_path):
    scan = read_volume(a_series(tmp_path / "scan", OBLIQUE))
    copied = read_volume(write_volume(scan, tmp_path / "scan.nrrd"))
    assert "SOPInstanceUIDs" not in copied.attributes
    images = {"source": copied, "synthetic": replace(made_from(copied), attributes={})}
    written = reported(images, drawn(copied, WHOLE), tmp_path / "dicom", source=tmp_path / "scan")
    assert any("said by the person" in sentence or "said so" in sentence for sentence in written.sentences)
    segmentation = pydicom.dcmread(written.segmentation)
    told = {
        str(i.ReferencedSOPInstanceUID) for i in segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert told == set(scan.attributes["SOPInstanceUIDs"][1:5])
    with pytest.raises(InputError, match="was not made from this DICOM series"):
        reported(images, drawn(copied, WHOLE), tmp_path / "other", source=a_series(tmp_path / "else", count=3))


HOSTILE: dict[str, dict[str, Any]] = {
    "no frame of reference": {"FrameOfReferenceUID": None},
    "no study": {"StudyInstanceUID": ""},
    "no patient": {"PatientID": None},
    "a damaged birth date": {"PatientBirthDate": "yesterday", "StudyDate": "20261399", "PatientSex": "X"},
    "a cyrillic name": {"SpecificCharacterSet": "ISO_IR 144", "PatientName": "Иванов^Иван"},
    "a japanese name": {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"},
    "a utf-8 name": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Jürgen", "PatientID": "ü-1"},
    "an unknown character set": {"SpecificCharacterSet": "ISO_IR 999", "PatientName": "A^B"},
    "texts too long": {"StudyDescription": "d" * 90, "SeriesDescription": "s" * 90, "AccessionNumber": "a" * 30},
    "an unknown kind of image": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6", "Modality": "US"},
    "no series number": {"SeriesNumber": None},
    "a time zone": {"TimezoneOffsetFromUTC": "+0930"},
}


# Who the patient is stays as the source says it, however it breaks the standard: archives file by it.
THE_SOURCES_OWN = {
    "a damaged birth date": ["value <X> for value 1 of attribute <Patient's Sex>"],
    "texts too long": ["Accession Number", "invalid data values for Value Representations"],
    "an unknown character set": ["Specific Character Set"],
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_source_is_reported_soundly(how, tmp_path):
    scan = read_volume(a_series(tmp_path / "scan", **HOSTILE[how]))
    roi = drawn(scan, WHOLE)
    written = reported(pair(scan), roi, tmp_path / "dicom", meaning=Meaning(reader="Ångström, Ånders"))
    (back,) = read_rois(written.segmentation, scan)
    assert back.sha256 == roi.sha256
    for file, kind in ((written.segmentation, "Segmentation"), (written.report, "ComprehensiveSR")):
        found = [flaw for flaw in flaws(file, kind) if flaw != UNKNOWN_TO_IT]
        assert [flaw for flaw in found if not any(word in flaw for word in THE_SOURCES_OWN.get(how, ()))] == []
    source = pydicom.dcmread(scan.attributes["files"][0])
    for made in (pydicom.dcmread(written.report), pydicom.dcmread(written.segmentation)):
        assert str(made.PatientName) == str(source.get("PatientName") or "")
        assert made.PatientID == (source.get("PatientID") or "")
        assert made.StudyInstanceUID == (source.StudyInstanceUID or pydicom.dcmread(written.series[0]).StudyInstanceUID)
    if how == "no frame of reference":
        assert any("no frame of reference" in sentence for sentence in written.sentences)
    highdicom.sr.srread(written.report).content.get_volumetric_roi_measurement_groups()


def test_objects_that_nothing_can_refer_to_are_refused(tmp_path):
    scan = read_volume(a_series(tmp_path / "scan", SeriesInstanceUID=None))
    assert "names no series (SeriesInstanceUID)" in availability(pair(scan)).sentence


def test_images_of_two_patients_are_refused(tmp_path):
    scan = read_volume(a_series(tmp_path / "scan"))
    other = read_volume(a_series(tmp_path / "other", PatientID="somebody else"))
    images = {**pair(scan), "reference": other}
    assert "of different patients" in availability(images).sentence
    with pytest.raises(InputError, match="of different patients"):
        reported(images, drawn(scan, WHOLE), tmp_path / "dicom")


def test_a_synthetic_series_made_from_another_scan_is_refused(tmp_path):
    scan, other = (read_volume(a_series(tmp_path / name)) for name in ("scan", "other"))
    write_dicom_series(made_from(other), tmp_path / "series")
    images = {"source": scan, "synthetic": read_dicom(tmp_path / "series")}
    with pytest.raises(InputError, match="made from other images than the source"):
        reported(images, drawn(scan, WHOLE), tmp_path / "dicom")


def test_what_changed_since_it_was_compared_is_refused(tmp_path):
    scan = read_volume(a_series(tmp_path / "scan"))
    images, roi = pair(scan), drawn(scan, WHOLE)
    found = few(compared(images, roi))
    with pytest.raises(InputError, match="has changed since it was compared"):
        write_dicom(found, images, drawn(scan, ONE_SLICE), tmp_path / "dicom")
    brighter = {**images, "synthetic": images["synthetic"].with_array(images["synthetic"].array + 1)}
    with pytest.raises(InputError, match="has changed since it was compared"):
        write_dicom(found, brighter, roi, tmp_path / "dicom")


def test_a_feature_that_is_not_defined_is_named_and_has_no_value(tmp_path):
    scan = read_volume(a_series(tmp_path / "scan"))
    images, roi = pair(scan), drawn(scan, WHOLE)
    found = few(compared(images, roi))
    odd = replace(found.rows[3], values={**found.rows[3].values, "synthetic": math.nan}, difference=math.nan)
    written = write_dicom(replace(found, rows=(odd,)), images, roi, tmp_path / "dicom")
    groups = highdicom.sr.srread(written.report).content.get_volumetric_roi_measurement_groups()
    assert [[each.value for each in group.get_measurements()] for group in groups] == [[odd.values["source"]], [], []]
    assert said_in(written.report).count(f"Not defined here, and so without a value: {odd.name} ({odd.key})") == 2
    assert flaws(written.report, "ComprehensiveSR") == [UNKNOWN_TO_IT]


def test_intensities_of_two_modalities_are_not_subtracted(tmp_path):
    scan = replace(read_volume(a_series(tmp_path / "scan")), modality="US")
    images, roi = pair(scan), drawn(scan, WHOLE)
    found = compared(images, roi)
    found = replace(found, rows=tuple(row for row in found.rows if row.ibsi in ("Q4LE", "KE2A")))
    written = write_dicom(found, images, roi, tmp_path / "dicom")
    difference = highdicom.sr.srread(written.report).content.get_volumetric_roi_measurement_groups()[-1]
    assert [each.name.value for each in difference.get_measurements()] == ["KE2A"]
    assert "Differences of features in units of intensity are left out" in said_in(written.report)


def test_a_folder_in_use_is_left_alone_and_a_cancel_leaves_nothing(tmp_path):
    scan = read_volume(a_series(tmp_path / "scan"))
    images, roi = pair(scan), drawn(scan, WHOLE)
    found = few(compared(images, roi))
    with pytest.raises(InputError, match="is in use"):
        write_dicom(found, images, roi, tmp_path / "scan")
    for calls in (1, 2, 3):
        asked = itertools.count(1)
        with pytest.raises(Cancelled):
            write_dicom(found, images, roi, tmp_path / "dicom", cancelled=lambda: next(asked) == calls)  # noqa: B023
        assert [entry.name for entry in tmp_path.iterdir()] == ["scan"]


LIMITED = """
import resource, sys
from pathlib import Path
from imagetranslation.errors import RunFailed
from imagetranslation.radiomics.dicomreport import write_dicom
from imagetranslation.volume import read_volume
from Testing.Core.reported_regions import compared, drawn, few
from Testing.Core.synthetic_objects import made_from
scan = read_volume(sys.argv[1])
images = {"source": scan, "synthetic": made_from(scan)}
roi = drawn(scan, (slice(1, 5), slice(3, 12), slice(2, 9)))
found = few(compared(images, roi))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    write_dicom(found, images, roi, sys.argv[2])
except RunFailed as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a Unix matter")
@pytest.mark.parametrize("limit", [100, 4500, 20000])
def test_a_full_disk_leaves_nothing_behind(limit, repository, tmp_path):
    a_series(tmp_path / "scan")
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "scan"), str(tmp_path / "dicom"), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=repository)
    assert "The disk is full" in done.stdout
    assert str(tmp_path / "dicom") in done.stdout
    assert [entry.name for entry in tmp_path.iterdir()] == ["scan"]


def test_an_unplaced_ultrasound_still_is_outlined_too(tmp_path):
    save(image(noise()[0], US, "US", PixelSpacing=[0.5, 0.5]), tmp_path / "still.dcm")
    scan = read_volume(tmp_path / "still.dcm")
    roi = drawn(scan, (slice(0, 1), *WHOLE[1:]))
    written = reported(pair(scan), roi, tmp_path / "dicom")
    [(points, *_)] = points_of(written.report)
    assert (filled(points, SHAPE[1:]) == roi.full()[0]).all()
    assert written.segmentation is None
