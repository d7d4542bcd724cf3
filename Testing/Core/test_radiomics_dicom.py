"""Report and segmentation of a real lesion: valid, and the very numbers, the very mask, the very images read back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pydicom
import pytest

from imagetranslation.dicomio import read_dicom, write_dicom_series
from imagetranslation.dicomio.marking import provenance_of
from imagetranslation.inference import voxels_sha256
from imagetranslation.radiomics.dicomreport import Meaning, availability, finding_called
from imagetranslation.radiomics.dicomreport.codes import feature_code, method_code
from imagetranslation.radiomics.dicomreport.groups import KINDS, MEASURED_ON
from imagetranslation.radiomics.segmentations import read_rois
from imagetranslation.volume import read_volume

from .dicom_checker import UNKNOWN_TO_IT, flaws
from .reported_regions import compared, reported, write_dicom
from .synthetic_objects import made_from

pytest.importorskip("radiomics")
highdicom = pytest.importorskip("highdicom")

KINDS_BY_NAME = {kind.value: role for role, kind in KINDS.items()}


class Reported:
    """The lesion of a real ADC series, compared and written."""

    def __init__(self, data: Any, folder: Any) -> None:
        scan = read_volume(data / "prostatex" / "dicom_adc")
        synthetic = made_from(scan)
        record = replace(synthetic.provenance, source_sha256=voxels_sha256(scan))
        self.images = {"source": scan, "synthetic": replace(synthetic, provenance=record),
                       "reference": replace(scan, attributes={}, name="target, not DICOM")}  # fmt: skip
        (self.roi,) = read_rois(data / "prostatex" / "ProstateX-0000_lesion.nii.gz", scan, resample=True)
        self.found = compared(self.images, self.roi)
        meaning = Meaning(*finding_called("neoplasm"), "SEMIAUTOMATIC", "threshold brush", reader="Müller, Jürgen")
        self.written = write_dicom(self.found, self.images, self.roi, folder, meaning=meaning)
        self.report = highdicom.sr.srread(self.written.report)
        self.segmentation = pydicom.dcmread(self.written.segmentation)

    def groups(self) -> dict[str, Any]:
        """Measurement groups by what they were measured on."""
        found = {}
        for group in self.report.content.get_volumetric_roi_measurement_groups():
            (kind,) = group.get_qualitative_evaluations(name=MEASURED_ON.concept())
            found[KINDS_BY_NAME[kind.value.value]] = group
        return found


@pytest.fixture(scope="module")
def lesion(data_dir, tmp_path_factory):
    return Reported(data_dir, tmp_path_factory.mktemp("reported") / "dicom")


def key_of(measurement: Any) -> tuple[Any, ...]:
    method = measurement.method
    return measurement.name.value, measurement.name.scheme_designator, None if method is None else method.value


def key_of_row(row: Any) -> tuple[Any, ...]:
    code, method = feature_code(row), method_code(row)
    return code.value, code.scheme, None if method is None else method.value


def said_in(group: Any) -> str:
    return " ".join(str(item.TextValue) for item in group[0].ContentSequence if item.ValueType == "TEXT")


def images_in(group: Any) -> set[str]:
    """SOP instance UIDs of the images that a group says it measured."""
    items = [item for item in group[0].ContentSequence if item.ValueType == "IMAGE"]
    return {str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
            for item in items if item.ConceptNameCodeSequence[0].CodeValue == "121112"}  # fmt: skip


def test_both_objects_are_valid(lesion):
    assert flaws(lesion.written.report, "ComprehensiveSR") == [UNKNOWN_TO_IT]
    assert flaws(lesion.written.segmentation, "Segmentation") == []
    assert [flaws(file, "MRImage") for file in lesion.written.series] == [[UNKNOWN_TO_IT]] * 19


def test_the_very_numbers_read_back(lesion):
    groups = lesion.groups()
    assert list(groups) == ["source", "synthetic", "reference", "difference"]
    for role, group in groups.items():
        told = {key_of(each): each.value for each in group.get_measurements()}
        rows = [row for row in lesion.found.rows if role == "source" or row.family != "Morphology"]
        values = {key_of_row(row): row.difference if role == "difference" else row.values[role] for row in rows}
        assert len(values) == len(rows) == (107 if role == "source" else 93)
        assert told == values
    derivations = {each.derivation.meaning for each in groups["difference"].get_measurements()}
    assert derivations == {"Synthetic minus reference"}


def test_the_very_mask_reads_back(lesion):
    (back,) = read_rois(lesion.written.segmentation, lesion.images["source"])
    assert (back.full() == lesion.roi.full()).all()
    assert back.sha256 == lesion.roi.sha256
    assert back.name == lesion.roi.name


def test_another_reader_finds_the_mask_by_the_sources_images(lesion):
    first, end = lesion.roi.box[0]
    uids = lesion.images["source"].attributes["SOPInstanceUIDs"][first:end]
    pixels = highdicom.seg.segread(lesion.written.segmentation).get_pixels_by_source_instance(uids, [1])
    assert (pixels[..., 0] == lesion.roi.full()[first:end]).all()


def test_images_of_source_and_synthetic_are_referred_to_really(lesion):
    first, end = lesion.roi.box[0]
    groups = lesion.groups()
    synthetic = [pydicom.dcmread(file) for file in lesion.written.series]
    source_uids = lesion.images["source"].attributes["SOPInstanceUIDs"]
    assert images_in(groups["source"]) == set(source_uids[first:end])
    measured = [each for each in synthetic if str(each.SOPInstanceUID) in images_in(groups["synthetic"])]
    made_from_uids = {str(each.SourceImageSequence[0].ReferencedSOPInstanceUID) for each in measured}
    assert made_from_uids == set(source_uids[first:end])
    assert images_in(groups["reference"]) == set()
    assert images_in(groups["difference"]) == images_in(groups["synthetic"])
    segmented = {item.ReferencedSOPInstanceUID
                 for frame in lesion.segmentation.PerFrameFunctionalGroupsSequence
                 for item in frame.DerivationImageSequence[0].SourceImageSequence}  # fmt: skip
    assert segmented == set(source_uids[first:end])
    classes = {item.ReferencedSOPInstanceUID: item.ReferencedSOPClassUID
               for series in lesion.report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
               for item in series.ReferencedSOPSequence}  # fmt: skip
    assert classes.keys() == {
        *source_uids,
        *(each.SOPInstanceUID for each in synthetic),
        lesion.segmentation.SOPInstanceUID,
    }
    assert classes[lesion.segmentation.SOPInstanceUID] == lesion.segmentation.SOPClassUID


def test_the_synthetic_images_values_say_that_they_are_of_no_patient(lesion):
    groups = lesion.groups()
    assert "SYNTHETIC image that a model made" in said_in(groups["synthetic"])
    assert "no measurement of the patient" in said_in(groups["synthetic"])
    assert lesion.found.images["synthetic"]["mark"] in said_in(groups["synthetic"])
    assert "no measurement of the patient" in said_in(groups["difference"])
    assert "SYNTHETIC" not in said_in(groups["source"])
    assert "target, not DICOM is no DICOM image" in said_in(groups["reference"])
    assert provenance_of(lesion.report) == lesion.images["synthetic"].provenance
    assert "SYNTHETIC" in lesion.report.SeriesDescription
    assert provenance_of(lesion.segmentation) is None


def test_engine_version_and_settings_name_the_algorithm(lesion):
    result = lesion.found.results["synthetic"]
    told = {}
    for item in lesion.groups()["synthetic"][0].ContentSequence:
        if item.ValueType == "TEXT":
            told.setdefault(item.ConceptNameCodeSequence[0].CodeMeaning, []).append(str(item.TextValue))
    assert told["Algorithm Name"] == ["pyradiomics"]
    assert told["Algorithm Version"] == [result.engine_version]
    assert f"settings SHA-256 = {result.settings['sha256']}" in told["Algorithm Parameters"]
    assert "bin_number = 32" in told["Algorithm Parameters"]


def test_patient_study_and_times_are_the_sources(lesion):
    source = pydicom.dcmread(lesion.images["source"].attributes["files"][0], stop_before_pixels=True)
    for made in (lesion.report, lesion.segmentation):
        for keyword in ("PatientName", "PatientID", "PatientSex", "StudyInstanceUID", "StudyDate", "AccessionNumber",
                        "SpecificCharacterSet"):  # fmt: skip
            assert made[keyword].value == source[keyword].value, keyword
        assert made.ContentDate == made.SeriesDate
        assert made.SeriesInstanceUID != source.SeriesInstanceUID
        assert made.SeriesNumber > source.SeriesNumber
    assert lesion.segmentation.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert lesion.report.SeriesNumber != lesion.segmentation.SeriesNumber


def test_the_region_has_one_tracking_uid_its_codes_and_its_reader(lesion):
    (segment,) = lesion.segmentation.SegmentSequence
    uids = {str(group.tracking_uid) for group in lesion.groups().values()}
    assert uids == {str(segment.TrackingUID)}
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Neoplasm"
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert (segment.SegmentAlgorithmType, segment.SegmentAlgorithmName) == ("SEMIAUTOMATIC", "threshold brush")
    assert {group.finding_type.meaning for group in lesion.groups().values()} == {"Neoplasm"}
    assert lesion.segmentation.ContentCreatorName == "Müller^Jürgen"
    (person,) = [item for item in lesion.report.ContentSequence if item.ValueType == "PNAME"]
    assert person.PersonName == "Müller^Jürgen"


def test_a_reader_that_goes_by_the_templates_order_finds_its_way(lesion):
    """As dcmqi reads: what names the region, the finding, the segment and its images, before the first number."""
    root = pydicom.dcmread(lesion.written.report)
    assert root.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    (measurements,) = [item for item in root.ContentSequence if item.ValueType == "CONTAINER"]
    assert measurements.ConceptNameCodeSequence[0].CodeValue == "126010"
    for group in measurements.ContentSequence:
        assert group.ContentTemplateSequence[0].TemplateIdentifier == "1411"
        names = [item.ConceptNameCodeSequence[0].CodeMeaning for item in group.ContentSequence]
        kinds = [item.ValueType for item in group.ContentSequence]
        assert names[:2] == ["Tracking Identifier", "Tracking Unique Identifier"]
        assert names.index("Finding") < kinds.index("NUM")
        assert names.count("Referenced Segment") == 1
        assert "Source Image for Segmentation" in [name.replace("image", "Image") for name in names]
        segment = group.ContentSequence[names.index("Referenced Segment")].ReferencedSOPSequence[0]
        assert segment.ReferencedSOPInstanceUID == lesion.segmentation.SOPInstanceUID
        assert segment.ReferencedSegmentNumber == 1


def test_a_series_written_before_is_referred_to_and_not_written_again(lesion, tmp_path):
    write_dicom_series(lesion.images["synthetic"], tmp_path / "series")
    synthetic = read_dicom(tmp_path / "series")
    images = {"source": lesion.images["source"], "synthetic": synthetic}
    assert not availability(images).series
    written = reported(images, lesion.roi, tmp_path / "dicom")
    assert written.series == ()
    assert sorted(file.name for file in (tmp_path / "dicom").iterdir()) == ["report.dcm", "segmentation.dcm"]
    assert written.sentences == ()
    report = highdicom.sr.srread(written.report)
    second = report.content.get_volumetric_roi_measurement_groups()[1]
    assert images_in(second) == set(np.array(synthetic.attributes["SOPInstanceUIDs"])[slice(*lesion.roi.box[0])])
