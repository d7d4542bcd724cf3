"""A folder of DICOM slices becomes one volume in the right order, or is refused with what is wrong with it."""

from __future__ import annotations

import gzip
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, generate_uid

from imagetranslation.dicomio import list_series, read_dicom
from imagetranslation.errors import InputError
from imagetranslation.volume import index_to_lps, read_volume
from Testing.Core.dicom_objects import AXIAL, CT, axial, image, item, save, stack


def test_slices_are_sorted_by_position_whatever_their_numbers_and_names(tmp_path):
    stack(tmp_path, axial(0.0, 7.5, 2.5, 5.0))
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array[:, 0, 0], [0, 20, 30, 10])
    assert volume.origin == (-10.0, -20.0, 0.0)
    assert volume.spacing == (0.5, 0.8, 2.5)  # columns, then rows: DICOM states them the other way round
    assert volume.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert volume.modality == "MR"
    assert volume.notes == ()


def test_an_oblique_series_lands_where_its_slices_say(tmp_path):
    row, column = np.array([0.8, 0.6, 0.0]), np.array([0.0, 0.0, -1.0])
    normal = np.cross(row, column)
    positions = [np.array([5.0, 6.0, 7.0]) + 3.3 * n * normal for n in range(5)]
    stack(tmp_path, positions[::-1], [*row, *column])
    volume = read_volume(tmp_path)
    for n, position in enumerate(positions):
        np.testing.assert_allclose((index_to_lps(volume) @ (0, 0, n, 1))[:3], position, atol=1e-6)
    far = positions[2] + 2 * 0.5 * row + 3 * 0.8 * column
    np.testing.assert_allclose((index_to_lps(volume) @ (2, 3, 2, 1))[:3], far, atol=1e-6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(range(5)),
    angle=st.floats(-3, 3),
    gap=st.floats(0.3, 9),
    start=st.tuples(*[st.floats(-300, 300)] * 3),
)
def test_any_shuffled_oblique_stack_is_put_in_order(order, angle, gap, start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    row = np.array([np.cos(angle), np.sin(angle), 0.0])
    column = np.array([0.0, 0.0, 1.0])
    normal = np.cross(row, column)
    # DICOM decimal strings hold 16 characters, so positions are rounded before they are compared.
    positions = [np.round(np.array(start) + gap * n * normal, 6) for n in order]
    stack(folder, positions, np.round([*row, *column], 10))
    volume = read_volume(folder)
    np.testing.assert_array_equal(volume.array[:, 0, 0], [10 * order.index(n) for n in range(5)])
    for n in range(5):
        np.testing.assert_allclose((index_to_lps(volume) @ (0, 0, n, 1))[:3], positions[order.index(n)], atol=2e-5)


@pytest.mark.parametrize(
    ("heights", "sentence"),
    [
        ((0, 2, 4, 8, 10), r"1 missing slice: the gap between 4\.00 and 8\.00 mm .* is 4\.00 mm, elsewhere 2\.00 mm"),
        ((0, 2, 4, 10, 12, 14), "2 missing slices"),
        ((0, 2, 6), "1 missing slice"),
        ((0, 2, 4, 8, 10, 14, 16, 18), "2 missing slices"),
        ((0, 2, 4, 6, 9, 12), "mixed slice spacing"),
        ((0, 2, 4.2, 6.2), "mixed slice spacing"),
        ((0, 2, 2, 4), r"2 slices at the same position \(2\.00 mm"),
        ((0, 0, 2, 2, 4), "but 1 elsewhere"),
    ],
)
def test_a_gap_or_a_doubled_slice_is_refused_and_named(heights, sentence, tmp_path):
    stack(tmp_path, axial(*heights))
    with pytest.raises(InputError, match=sentence):
        read_volume(tmp_path)


def test_positions_rounded_to_a_hundredth_are_even_enough(tmp_path):
    stack(tmp_path, axial(*(round(n * 10 / 3, 2) for n in range(30))))
    assert read_volume(tmp_path).spacing[2] == pytest.approx(10 / 3, abs=1e-3)


def test_a_tilted_gantry_is_refused(tmp_path):
    stack(tmp_path, [(0.0, 0.5 * n, 3.0 * n) for n in range(6)])
    with pytest.raises(InputError, match=r"shifted sideways by up to 2\.50 mm"):
        read_volume(tmp_path)


def test_a_localizer_of_several_orientations_is_refused(tmp_path):
    stack(tmp_path / "a", axial(0, 2))
    stack(tmp_path / "b", [(0, 0, 0)], (0, 1, 0, 0, 0, -1))
    with pytest.raises(InputError, match="different orientations"):
        read_volume(tmp_path)


def test_slices_of_different_size_are_refused(tmp_path):
    stack(tmp_path, axial(0, 2))
    odd = image(np.zeros((5, 3), np.int16), ImagePositionPatient=[0, 0, 4], ImageOrientationPatient=list(AXIAL))
    save(odd, tmp_path / "odd.dcm")
    with pytest.raises(InputError, match="3x4 and 3x5"):
        read_volume(tmp_path)


def test_slices_of_different_pixel_spacing_are_refused(tmp_path):
    stack(tmp_path / "a", axial(0, 2))
    stack(tmp_path / "b", axial(4), spacing=(0.9, 0.5))
    with pytest.raises(InputError, match="different pixel spacing"):
        read_volume(tmp_path)


def test_several_echoes_at_every_position_need_a_component(tmp_path):
    stack(tmp_path / "a", axial(0, 2, 4), EchoTime=80.0)
    for n, dataset in enumerate(stack(tmp_path / "b", axial(0, 2, 4), EchoTime=20.0)):
        dataset.PixelData = np.full((4, 3), 500 + n, np.int16).tobytes()
        save(dataset, tmp_path / "b" / f"{999 - n}.dcm")
    with pytest.raises(InputError, match=r"2 images at every slice position.*component=0 to component=1"):
        read_volume(tmp_path)
    np.testing.assert_array_equal(read_volume(tmp_path, component=0).array[:, 0, 0], [500, 501, 502])
    second = read_volume(tmp_path, component="1")
    np.testing.assert_array_equal(second.array[:, 0, 0], [0, 10, 20])
    assert any("Image 1 of the 2" in note for note in second.notes)


def test_the_same_object_stored_twice_counts_once(tmp_path):
    datasets = stack(tmp_path, axial(0, 2, 4))
    save(datasets[1], tmp_path / "copy.dcm")
    assert read_volume(tmp_path).array.shape == (3, 4, 3)


@pytest.fixture
def two_series(tmp_path):
    """A T2 of three slices and an ADC of two, in one folder with a report."""
    stack(tmp_path / "x", axial(0, 2, 4), series="1.2.840.1.111", SeriesDescription="T2 axial", SeriesNumber=5)
    stack(tmp_path / "y", axial(0, 2), series="1.2.840.1.222", SeriesDescription="ADC", SeriesNumber=3)
    report = item(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", SOPInstanceUID=generate_uid(), Modality="SR")
    save(report, tmp_path / "report.dcm")
    return tmp_path


def test_several_series_are_listed(two_series):
    with pytest.raises(InputError, match=r"2 image series.*1: \S+222 'ADC' MR, 2 of 3x4; 2: \S+111 'T2 axial' MR, 3"):
        read_volume(two_series)
    adc, t2 = list_series(two_series)
    assert (adc.uid, adc.description, adc.modality, adc.instances, adc.size) == (
        "1.2.840.1.222",
        "ADC",
        "MR",
        2,
        (3, 4),
    )
    assert len(t2.files) == t2.instances == 3


@pytest.mark.parametrize("wanted", ["2", "1.2.840.1.111", "1.2.840.1.1", "0.1.111", 2])
def test_a_series_is_chosen_by_number_uid_or_its_unique_beginning_or_end(wanted, two_series):
    volume = read_volume(two_series, series=wanted)
    assert volume.name == "T2 axial"
    assert volume.array.shape == (3, 4, 3)
    assert any("1 other DICOM object" in note for note in volume.notes)


@pytest.mark.parametrize(("wanted", "count"), [("3", "no"), ("1.2.840", "2"), ("nonsense", "no"), ("", "no")])
def test_a_series_that_is_not_there_or_not_unique_is_refused_with_the_list(wanted, count, two_series):
    with pytest.raises(InputError, match=f"{count} image series called .*'T2 axial'"):
        read_volume(two_series, series=wanted)


def test_a_series_of_one_file_cannot_be_chosen(two_series):
    with pytest.raises(InputError, match="is one file"):
        read_volume(next((two_series / "x").iterdir()), series="1")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="is an empty folder"):
        read_volume(tmp_path)


def test_a_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no images here")
    with pytest.raises(InputError, match="holds no DICOM image"):
        read_volume(tmp_path)


def test_a_folder_of_other_images_says_so(data_dir):
    with pytest.raises(InputError, match="holds no DICOM image; give one of its 8 other image files"):
        read_volume(data_dir / "odd_nrrd")


def test_a_folder_of_reports_is_refused_by_what_they_are(two_series):
    for folder in ("x", "y"):
        for file in (two_series / folder).iterdir():
            file.unlink()
    with pytest.raises(InputError, match=r"no image series: report\.dcm is a structured report"):
        read_volume(two_series)


@pytest.mark.parametrize(
    ("sop_class", "modality", "words"),
    [
        ("1.2.840.10008.5.1.4.1.1.481.2", "RTDOSE", "RT Dose grid"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "SEG", "segmentation"),
        ("1.2.840.10008.1.3.10", "", "DICOMDIR"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "PR", "Presentation State"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "DOC", "Encapsulated PDF"),
        ("1.2.840.10008.5.1.4.1.1.7", "OT", "secondary capture"),
        ("1.2.840.10008.5.1.4.1.1.7.2", "OT", "secondary capture"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "ECG", "ECG"),
    ],
)
def test_objects_that_are_no_scans_are_refused_by_name(sop_class, modality, words, tmp_path):
    dataset = image(np.zeros((4, 3), np.uint8), sop_class, modality)
    if "capture" not in words and words not in ("RT Dose grid", "segmentation"):
        for keyword in ("Rows", "Columns", "PixelData"):
            del dataset[keyword]
    with pytest.raises(InputError, match=words):
        read_volume(save(dataset, tmp_path / "object.dcm"))


def test_a_damaged_file_in_the_folder_is_named(tmp_path):
    stack(tmp_path, axial(0, 2, 4))
    (tmp_path / "bad.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 40)
    with pytest.raises(InputError, match=r"1 damaged DICOM file \(first: bad\.dcm\)"):
        read_volume(tmp_path)


def test_a_truncated_slice_refuses_the_series(tmp_path):
    stack(tmp_path, axial(0, 2, 4))
    victim = tmp_path / "998.dcm"
    victim.write_bytes(victim.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"998\.dcm has truncated"):
        read_volume(tmp_path)


def test_zipped_big_endian_implicit_and_bare_slices_are_one_series(tmp_path):
    datasets = stack(tmp_path, axial(0, 2, 4, 6))
    (tmp_path / "999.dcm.gz").write_bytes(gzip.compress((tmp_path / "999.dcm").read_bytes()))
    (tmp_path / "999.dcm").unlink()
    save(datasets[1], tmp_path / "998.dcm", ImplicitVRLittleEndian)
    swapped = datasets[2]
    swapped.PixelData = np.frombuffer(swapped.PixelData, np.int16).byteswap().tobytes()
    swapped.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    swapped.save_as(tmp_path / "997.dcm", enforce_file_format=True, little_endian=False, implicit_vr=False)
    save(datasets[3], tmp_path / "996.dcm", ImplicitVRLittleEndian)
    content = (tmp_path / "996.dcm").read_bytes()
    (tmp_path / "996.dcm").write_bytes(content[content.index(b"\x08\x00\x16\x00") :])
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array[:, 0, 0], [0, 10, 20, 30])
    assert volume.array.dtype == np.dtype("int16")


def test_attributes_carry_what_a_derived_object_needs_in_slice_order(tmp_path):
    datasets = stack(
        tmp_path, axial(4, 0, 2), SeriesDescription="T2", WindowCenter=[40, 80], WindowWidth=[400, 100], series="1.2.9"
    )
    attributes = read_volume(tmp_path).attributes
    assert attributes["SOPInstanceUIDs"] == [datasets[n].SOPInstanceUID for n in (1, 2, 0)]
    assert attributes["StudyInstanceUID"] == "1.2.3"
    assert attributes["SeriesInstanceUID"] == "1.2.9"
    assert attributes["FrameOfReferenceUID"] == "1.2.3.9"
    assert attributes["SeriesDescription"] == "T2"
    assert (attributes["WindowCenter"], attributes["WindowWidth"]) == (40.0, 400.0)
    assert [f[-7:] for f in attributes["files"]] == ["998.dcm", "997.dcm", "999.dcm"]
    assert attributes["path"] == str(tmp_path)


def test_whole_rescaling_gives_whole_numbers(tmp_path):
    stack(tmp_path, axial(0, 2), sop_class=CT, modality="CT", RescaleSlope=2, RescaleIntercept=-1024)
    volume = read_volume(tmp_path)
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array[:, 0, 0], [-1024, -1004])


def test_each_slice_is_rescaled_by_its_own_slope(tmp_path):
    for n, slope in enumerate((0.5, 0.25)):
        stack(tmp_path / str(n), axial(2 * n), RescaleSlope=slope, RescaleIntercept=1, InstanceNumber=n)
    for n, slope in enumerate((0.5, 0.25)):
        dataset = image(np.full((4, 3), 100, np.int16), RescaleSlope=slope, RescaleIntercept=1, PixelSpacing=[1, 1])
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 2 * n], list(AXIAL)
        save(dataset, tmp_path / str(n) / "999.dcm")
    np.testing.assert_allclose(read_volume(tmp_path).array[:, 0, 0], [51.0, 26.0])


def test_a_modality_lookup_table_is_applied(tmp_path):
    table = item(LUTDescriptor=[4, 0, 16], ModalityLUTType="US", LUTData=[100, 300, 900, 2700])
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "US"
    dataset = image(np.array([[0, 1], [2, 3]], np.uint8), CT, "CT", ModalityLUTSequence=[table])
    np.testing.assert_array_equal(read_volume(save(dataset, tmp_path / "x.dcm")).array[0], [[100, 300], [900, 2700]])


@pytest.mark.parametrize(("kind", "expected"), [("uint8", [255, 245, 0]), ("int16", [-1, -11, -256])])
def test_monochrome1_is_inverted_with_a_note(kind, expected, tmp_path):
    dataset = image(np.array([[0, 10, 255]], kind), PhotometricInterpretation="MONOCHROME1")
    volume = read_volume(save(dataset, tmp_path / "x.dcm"))
    np.testing.assert_array_equal(volume.array[0, 0], expected)
    assert any("inverted" in note for note in volume.notes)


def test_a_slice_without_spacing_or_position_says_what_is_assumed(tmp_path):
    volume = read_volume(save(image(np.eye(4, dtype=np.uint8)), tmp_path / "bare.dcm"))
    assert volume.spacing == (1.0, 1.0, 1.0)
    assert volume.name == "bare"
    assert any("pixel spacing is not in the file; 1 mm is assumed" in note for note in volume.notes)
    assert any("no position" in note for note in volume.notes)


def test_a_single_slice_is_as_thick_as_it_says(tmp_path):
    stack(tmp_path, axial(12), SliceThickness=3.5)
    volume = read_volume(next(tmp_path.iterdir()))
    assert volume.spacing == (0.5, 0.8, 3.5)
    assert volume.origin == (-10.0, -20.0, 12.0)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"ImagePositionPatient": [0, 0]}, "ImagePositionPatient"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "impossible slice orientation"),
        ({"ImageOrientationPatient": [0] * 6}, "impossible slice orientation"),
        ({"RescaleSlope": 0}, "rescale slope is 0"),
        ({"NumberOfFrames": 0}, "claims 0 frames"),
        ({"NumberOfFrames": 7}, "damaged"),
    ],
)
def test_impossible_values_are_refused(tags, words, tmp_path):
    dataset = image(np.eye(4, dtype=np.uint8), ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=list(AXIAL))
    dataset.update(item(**tags))
    with pytest.raises(InputError, match=words):
        read_dicom(save(dataset, tmp_path / "x.dcm"), component=0 if tags.get("NumberOfFrames") == 7 else None)


def test_an_object_larger_than_the_memory_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    psutil = pytest.importorskip("psutil")
    path = save(image(np.zeros((64, 64), np.uint16)), tmp_path / "x.dcm")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 5000})())
    with pytest.raises(InputError, match=r"only 5\.0 kB of memory is free"):
        read_volume(path)


def test_synthetic_data_is_marked_with_what_the_object_tells(tmp_path):
    maker = item(
        Manufacturer="imagetranslation", ManufacturerModelName="us2mri-pix2pix-small", SoftwareVersions="1.0.0"
    )
    stack(
        tmp_path, axial(0, 2), SyntheticData="YES", SeriesDescription="SYNTHETIC MR of case17",
        ContributingEquipmentSequence=[maker], DerivationDescription="translated from ultrasound",
    )  # fmt: skip
    volume = read_volume(tmp_path)
    assert volume.provenance is not None
    assert volume.provenance.model == "us2mri-pix2pix-small"
    assert volume.provenance.version == "1.0.0"
    assert volume.provenance.modality == "MR"
    assert volume.provenance.notes == ("translated from ultrasound",)


@pytest.mark.parametrize("value", ["NO", ""])
def test_data_that_is_not_synthetic_is_not_marked(value, tmp_path):
    stack(tmp_path, axial(0, 2), SyntheticData=value)
    assert read_volume(tmp_path).provenance is None


def test_identifiers_that_break_the_standard_are_read_without_a_word(data_dir, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_volume(data_dir / "odd_metaimage/dicom_intercept")
        list_series(data_dir / "odd_metaimage/dicom_intercept")
    assert capfd.readouterr() == ("", "")
