"""Where a synthetic DICOM series comes from: its source's patient and study, found, checked, carried over unharmed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import config
from pydicom.dataelem import DataElement

from imagetranslation.dicomio import read_dicom, write_dicom_series
from imagetranslation.errors import InputError
from imagetranslation.volume import Volume, read_volume, write_volume

from .dicom_objects import US, axial, image, item, save, stack
from .synthetic_objects import a_3d_ultrasound, datasets, made_from


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """The folder of a series of four axial slices."""
    stack(tmp_path / "scan", axial(0, 3, 6, 9), StudyDescription="pelvis", SeriesNumber=4, InstitutionName="clinic")
    return tmp_path / "scan"


def a_slice(folder: Path, **tags: Any) -> Path:
    """A folder with one slice and these tags, valid or not; None removes one, a pair (VR, value) is put in as it is."""
    dataset = image(
        np.arange(120, dtype=np.int16).reshape(12, 10),
        ImagePositionPatient=[1, 2, 3],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        PixelSpacing=[1, 1],
    )
    with config.disable_value_validation():
        for keyword, value in tags.items():
            if value is None:
                del dataset[keyword]
            elif isinstance(value, tuple):
                dataset.add(DataElement(keyword, *value))
            else:
                setattr(dataset, keyword, value)
        save(dataset, folder / "slice.dcm")
    return folder


def derived_from(folder: Path, out: Path) -> Any:
    """The first object of the synthetic series made from the scan in `folder`."""
    return datasets(write_dicom_series(made_from(read_volume(folder)), out))[0]


def test_the_source_is_the_scan_the_volume_was_read_from(series, tmp_path):
    scan = read_volume(series)
    objects = datasets(write_dicom_series(made_from(scan), tmp_path / "out"))
    assert [ds.SourceImageSequence[0].ReferencedSOPInstanceUID for ds in objects] == scan.attributes["SOPInstanceUIDs"]
    assert "ReferencedFrameNumber" not in objects[0].SourceImageSequence[0]
    assert objects[0].StudyInstanceUID == scan.attributes["StudyInstanceUID"]
    assert objects[0].FrameOfReferenceUID == scan.attributes["FrameOfReferenceUID"]
    assert objects[0].PatientID == "phantom"
    assert objects[0].StudyDescription == "pelvis"
    assert objects[0].SeriesNumber == 1004
    assert objects[0].SeriesInstanceUID != scan.attributes["SeriesInstanceUID"]


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_a_file_finds_its_slices_in_the_source_by_their_place(suffix, series, tmp_path):
    scan = read_volume(series)
    write_volume(made_from(scan), tmp_path / f"mr{suffix}")
    synthetic = read_volume(tmp_path / f"mr{suffix}")
    objects = datasets(write_dicom_series(synthetic, tmp_path / "out", source=series))
    assert [ds.SourceImageSequence[0].ReferencedSOPInstanceUID for ds in objects] == scan.attributes["SOPInstanceUIDs"]
    assert read_dicom(tmp_path / "out").same_grid(scan)
    assert "said by the person who exported" in objects[0].DerivationDescription


def test_slices_are_found_whatever_way_the_array_is_turned(series, tmp_path):
    """Other converters flip rows and slices; the same physical slices must be named."""
    scan = read_volume(series)
    last = np.add(scan.origin, (0, 3 * scan.spacing[1], 9))
    turned = made_from(
        Volume(np.zeros((4, 4, 3)), scan.spacing, tuple(last), (1.0, 0, 0, 0, -1.0, 0, 0, 0, -1.0), "turned"),
        whole=True,
    )
    objects = datasets(write_dicom_series(turned, tmp_path / "out", source=series))
    uids = [ds.SourceImageSequence[0].ReferencedSOPInstanceUID for ds in objects]
    assert uids == scan.attributes["SOPInstanceUIDs"][::-1]
    np.testing.assert_array_equal(read_dicom(tmp_path / "out").array, turned.array)


def test_datasets_serve_as_source_too(series, tmp_path):
    scan = read_volume(series)
    headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in sorted(series.iterdir(), reverse=True)]
    objects = datasets(write_dicom_series(made_from(scan), tmp_path / "out", source=headers))
    assert [ds.SourceImageSequence[0].ReferencedSOPInstanceUID for ds in objects] == scan.attributes["SOPInstanceUIDs"]


def test_one_series_of_a_folder_of_several_can_be_named(series, tmp_path):
    stack(series / "other", axial(50, 53), series="1.2.3.5")
    write_volume(made_from(read_volume(series, series="1.2.3.4")), tmp_path / "mr.nrrd")
    synthetic = read_volume(tmp_path / "mr.nrrd")
    with pytest.raises(InputError, match="holds 2 image series"):
        write_dicom_series(synthetic, tmp_path / "out", source=series)
    assert write_dicom_series(synthetic, tmp_path / "out", source=series, series="1.2.3.4")


@pytest.mark.parametrize(
    "grid",
    [
        Volume(np.zeros((4, 4, 3)), (0.5, 0.8, 3.0), (-10, -20, 1.6)),  # between the slices
        Volume(np.zeros((4, 4, 3)), (0.5, 0.8, 3.0), (-12, -20, 0)),  # beside them
        Volume(np.zeros((5, 4, 3)), (0.5, 0.8, 3.0), (-10, -20, 0)),  # one slice more
        Volume(np.zeros((4, 6, 5)), (0.5, 0.8, 3.0), (-10.5, -20.8, 0)),  # larger around the same middle
        Volume(np.zeros((4, 4, 3)), (0.5, 0.8, 3.0), (-10, -20, 0), (1.0, 0, 0, 0, 0, -1.0, 0, 1.0, 0)),  # coronal
    ],
)
def test_a_source_it_was_not_made_from_is_refused(grid, series, tmp_path):
    """The wrong source would put the image into the wrong patient's study."""
    with pytest.raises(InputError, match="was not made from this DICOM series"):
        write_dicom_series(made_from(grid), tmp_path / "out", source=series)
    assert not (tmp_path / "out").exists()


def test_a_volume_that_remembers_its_images_takes_no_others(series, tmp_path):
    """Another patient's ultrasound may have exactly the same grid."""
    stack(tmp_path / "other", axial(0, 3, 6, 9), series="1.2.3.5", PatientID="somebody else")
    with pytest.raises(InputError, match="remembers images of another one"):
        write_dicom_series(made_from(read_volume(series)), tmp_path / "out", source=tmp_path / "other")


def test_a_flat_source_of_another_size_or_count_is_refused(tmp_path):
    save(image(np.zeros((20, 30), np.uint8), US, "US"), tmp_path / "us" / "us.dcm")
    for shape, words in (((1, 20, 31), "another size"), ((2, 20, 30), "2 slices, the series 1 images")):
        with pytest.raises(InputError, match=words):
            write_dicom_series(made_from(Volume(np.zeros(shape))), tmp_path / "out", source=tmp_path / "us")


def test_images_of_two_patients_or_studies_are_no_source(series, tmp_path):
    headers = [pydicom.dcmread(file) for file in series.iterdir()]
    headers[1].PatientID = "somebody else"
    with pytest.raises(InputError, match="different patients"):
        write_dicom_series(made_from(read_volume(series)), tmp_path / "out", source=headers)
    headers[1].StudyInstanceUID = "1.2.77"
    with pytest.raises(InputError, match="different studies"):
        write_dicom_series(made_from(read_volume(series)), tmp_path / "out", source=headers)


@pytest.mark.parametrize("source", ["missing", "empty", []])
def test_a_source_that_is_not_there_is_one_sentence(source, series, tmp_path):
    (tmp_path / "empty").mkdir()
    where = tmp_path / source if isinstance(source, str) else source
    with pytest.raises(InputError, match=r"does not exist|empty folder|holds no DICOM image"):
        write_dicom_series(made_from(read_volume(series)), tmp_path / "out", source=where)


def test_a_source_that_went_away_is_asked_for(series, tmp_path):
    synthetic = made_from(read_volume(series))
    shutil.move(series, tmp_path / "moved")
    with pytest.raises(InputError, match=r"is gone: .*say where"):
        write_dicom_series(synthetic, tmp_path / "out")
    assert write_dicom_series(synthetic, tmp_path / "out", source=tmp_path / "moved")


def test_a_flat_ultrasound_gets_a_frame_of_reference_of_its_own(tmp_path):
    """A position in the source's frame of reference would be invented."""
    folder = tmp_path / "us"
    save(image(np.arange(120, dtype=np.uint8).reshape(12, 10), US, "US", PixelSpacing=[0.2, 0.2]), folder / "us.dcm")
    dataset = derived_from(folder, tmp_path / "out")
    assert dataset.FrameOfReferenceUID != "1.2.3.9"
    assert "frame of reference of their own" in dataset.DerivationDescription
    assert dataset.SourceImageSequence[0].SpatialLocationsPreserved == "NO"
    assert dataset["SliceThickness"].is_empty
    assert "BurnedInAnnotation" not in dataset  # ultrasound frames often carry writing, and this one doesn't say


@pytest.mark.parametrize("modality", ["MR", "NM"])
def test_a_pixel_size_that_nobody_knows_is_empty_or_called_an_assumption(modality, tmp_path):
    save(image(np.arange(120, dtype=np.uint8).reshape(12, 10), US, "US"), tmp_path / "us" / "us.dcm")
    synthetic = made_from(read_volume(tmp_path / "us"), modality)
    [dataset] = datasets(write_dicom_series(synthetic, tmp_path / "out"))
    assert dataset["PixelSpacing"].is_empty is (modality == "NM")
    assert ("1 mm given here is an assumption" in dataset.DerivationDescription) is (modality == "MR")
    assert read_dicom(tmp_path / "out").same_grid(synthetic)


def test_a_3d_ultrasound_lends_the_frame_of_reference_its_positions_are_in(tmp_path):
    path = a_3d_ultrasound(tmp_path / "us" / "us.dcm")
    assert derived_from(path, tmp_path / "out").FrameOfReferenceUID == "1.2.3.9"
    dataset = pydicom.dcmread(path)
    dataset.VolumeFrameOfReferenceUID = "1.2.3.10"
    dataset.save_as(path)
    assert derived_from(path, tmp_path / "other").FrameOfReferenceUID == "1.2.3.10"


def test_a_source_without_frame_of_reference_gets_one_for_the_whole_series(tmp_path):
    stack(tmp_path / "scan", axial(0, 3), FrameOfReferenceUID="")
    objects = datasets(write_dicom_series(made_from(read_volume(tmp_path / "scan")), tmp_path / "out"))
    assert len({ds.FrameOfReferenceUID for ds in objects}) == 1
    assert objects[0].FrameOfReferenceUID


def test_a_source_without_study_leads_to_a_study_of_its_own(tmp_path):
    dataset = derived_from(a_slice(tmp_path / "scan", StudyInstanceUID=None), tmp_path / "out")
    assert dataset.StudyInstanceUID.is_valid
    assert "The source names no study" in dataset.DerivationDescription
    assert dataset.PatientID == "phantom"


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ],
)
def test_names_keep_their_bytes_and_character_set(character_set, name, tmp_path):
    folder = a_slice(tmp_path / "scan", SpecificCharacterSet=character_set, PatientName=name)
    dataset = derived_from(folder, tmp_path / "out")
    source = datasets([folder / "slice.dcm"])[0]
    assert dataset.SpecificCharacterSet == source.SpecificCharacterSet
    assert str(dataset.PatientName) == name
    raw = source.PatientName.original_string
    assert raw in (tmp_path / "out" / "0001.dcm").read_bytes()
    assert dataset.SeriesDescription in ("SYNTHETIC MR of Prüfung 17", "SYNTHETIC MR of Prufung 17")


@pytest.mark.parametrize("character_set", [None, ["", "ISO 2022 IR 87"], "ISO_IR 999"])
def test_what_we_add_is_ascii_where_no_wider_set_is_declared(character_set, tmp_path):
    tags = {} if character_set is None else {"SpecificCharacterSet": character_set}
    dataset = derived_from(a_slice(tmp_path / "scan", **tags), tmp_path / "out")
    assert dataset.SeriesDescription == "SYNTHETIC MR of Prufung 17"
    assert read_dicom(tmp_path / "out").provenance.source == "Prüfung 17"


def test_too_long_texts_are_cut_and_identifiers_are_not(tmp_path):
    folder = a_slice(
        tmp_path / "scan", PatientID="X" * 200, StudyDescription="d" * 500, StudyID="s" * 99, Manufacturer="m" * 99
    )
    dataset = derived_from(folder, tmp_path / "out")
    assert dataset.PatientID == "X" * 200
    assert dataset.StudyDescription == "d" * 64
    assert dataset.StudyID == "s" * 16
    assert dataset.ContributingEquipmentSequence[0].Manufacturer == "m" * 64


def test_values_that_break_the_standard_are_left_out_and_named(tmp_path):
    folder = a_slice(
        tmp_path / "scan", StudyDate=("DA", "2004-08-26"), StudyTime=("TM", "noon"), PatientAge=("AS", "forty"),
        PatientSex="something far too long", StudyDescription="a\x00b\\c",
    )  # fmt: skip
    dataset = derived_from(folder, tmp_path / "out")
    assert dataset["StudyDate"].is_empty
    assert dataset["StudyTime"].is_empty
    assert dataset["PatientSex"].is_empty
    assert "PatientAge" not in dataset
    assert dataset.StudyDescription == "a b c"
    assert "left out: PatientSex, StudyDate, StudyTime, PatientAge." in dataset.DerivationDescription


@pytest.mark.parametrize(
    "tags",
    [
        {"PatientID": None},
        {"PatientID": ["a", "b"]},
        {"SeriesNumber": "99999999999"},
        {"TimezoneOffsetFromUTC": "nonsense"},
        {"StudyInstanceUID": "1.2.03.abc"},
        {"SpecificCharacterSet": "ISO_IR 999", "PatientName": "Andre"},
        {"PatientName": "Andr\xe9"},
        {"ProcedureCodeSequence": [item(CodeValue="1", CodingSchemeDesignator="99X", CodeMeaning="\xe9")]},
    ],
)
def test_a_strange_source_does_not_stop_the_export(tags, tmp_path):
    folder = a_slice(tmp_path / "scan", **tags)
    dataset = derived_from(folder, tmp_path / "out")
    source = datasets([folder / "slice.dcm"])[0]
    assert dataset.StudyInstanceUID == source.StudyInstanceUID
    assert dataset.get("PatientName", "") == source.get("PatientName", "")


def test_a_source_without_identity_is_not_referred_to(tmp_path):
    folder = a_slice(tmp_path / "scan")
    source = datasets([folder / "slice.dcm"])[0]
    del source.SOPClassUID
    [dataset] = datasets(write_dicom_series(made_from(read_volume(folder)), tmp_path / "out", source=[source]))
    assert "SourceImageSequence" not in dataset
    assert dataset.StudyInstanceUID == "1.2.3"


def test_nothing_of_the_acquisition_and_nothing_private_is_carried_over(tmp_path):
    folder = a_slice(
        tmp_path / "scan", EchoTime=90, MagneticFieldStrength=3, ProtocolName="t2", WindowCenter=5, WindowWidth=9,
        ReasonForStudy="pain", Manufacturer="Scanner Works", OtherPatientIDsSequence=[item(PatientID="other")],
        LossyImageCompression="01", BurnedInAnnotation="YES",
    )  # fmt: skip
    path = folder / "slice.dcm"
    source = datasets([path])[0]
    source.private_block(0x0029, "SECRET", create=True).add_new(0x10, "LO", "hidden")
    source.OtherPatientIDsSequence[0].private_block(0x0029, "SECRET", create=True).add_new(0x10, "LO", "hidden")
    source.save_as(path)
    dataset = derived_from(folder, tmp_path / "out")
    assert dataset["EchoTime"].is_empty
    assert not any(keyword in dataset for keyword in ("MagneticFieldStrength", "ProtocolName", "ReasonForStudy"))
    assert b"hidden" not in (tmp_path / "out" / "0001.dcm").read_bytes()
    assert dataset.OtherPatientIDsSequence[0].PatientID == "other"
    assert dataset.LossyImageCompression == "01"
    assert dataset.BurnedInAnnotation == "YES"
    assert dataset.Manufacturer == "SlicerImageTranslation"
    acquisition = dataset.ContributingEquipmentSequence[0]
    assert acquisition.Manufacturer == "Scanner Works"
    assert acquisition.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Acquisition Equipment"


def test_a_gzipped_source_is_read_too(data_dir, tmp_path):
    scan = read_volume(data_dir / "odd_dicom" / "zipMR.gz")
    dataset = datasets(write_dicom_series(made_from(scan), tmp_path / "out"))[0]
    assert dataset.StudyInstanceUID == scan.attributes["StudyInstanceUID"]
