"""A synthetic volume as a DICOM series: the voxels, grid and provenance come back, and everybody can see what it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom.uid import ImplicitVRLittleEndian

from imagetranslation.appearance import default_window
from imagetranslation.dicomio import read_dicom, write_dicom_series
from imagetranslation.dicomio.overlay import mark_bitmap
from imagetranslation.dicomio.quantisation import decimal_string, to_16_bit
from imagetranslation.errors import InputError, RunFailed
from imagetranslation.inference import translate
from imagetranslation.volume import Volume, read_volume, write_volume

from ..packages import make_package
from .dicom_objects import MR, NM
from .synthetic_objects import OBLIQUE, a_3d_ultrasound, a_record, a_whole_body_scan, datasets, made_from

SLANTED = (0.8, -0.48, 0.36, 0.6, 0.64, -0.48, 0.0, 0.6, 0.8)


@pytest.fixture
def ultrasound(tmp_path: Path) -> Volume:
    """An oblique 3-D ultrasound of 5 x 12 x 10 voxels."""
    return read_volume(a_3d_ultrasound(tmp_path / "us" / "us.dcm"))


@pytest.fixture
def scan_of_no_dicom() -> Volume:
    """An oblique volume such as an NRRD file gives."""
    return Volume(np.zeros((4, 60, 70), np.int16), (0.5, 0.7, 1.5), (3.0, -4.0, 5.5), SLANTED, "case17")


@pytest.mark.parametrize("burn_in", [False, True])
def test_whole_numbers_grid_and_provenance_come_back_exactly(ultrasound, tmp_path, burn_in):
    synthetic = made_from(ultrasound, whole=True)
    files = write_dicom_series(synthetic, tmp_path / "out", burn_in=burn_in)
    back = read_dicom(tmp_path / "out")
    assert [file.name for file in files] == [f"000{n}.dcm" for n in range(1, 6)]
    assert back.provenance == synthetic.provenance
    assert back.same_grid(synthetic, 1e-9)
    assert np.array_equal(back.array, synthetic.array) is not burn_in
    assert all("RescaleSlope" not in dataset for dataset in datasets(files))


def test_other_numbers_come_back_to_half_a_step(ultrasound, tmp_path):
    synthetic = made_from(ultrasound)
    files = write_dicom_series(synthetic, tmp_path / "out")
    slope = float(datasets(files)[0].RescaleSlope)
    assert slope == pytest.approx(synthetic.array.max() / 65535, rel=1e-6)
    assert np.abs(read_dicom(tmp_path / "out").array - synthetic.array).max() <= 0.51 * slope


@pytest.mark.parametrize("shape", [(1, 60, 70), (4, 60, 70), (3, 1, 1), (2, 1, 9)])
@pytest.mark.parametrize("modality", ["MR", "NM"])
def test_any_shape_of_a_volume_that_was_no_dicom_comes_back(scan_of_no_dicom, modality, shape, tmp_path):
    scan = replace(scan_of_no_dicom, array=np.zeros(shape))
    synthetic = made_from(scan, modality, whole=True)
    write_dicom_series(synthetic, tmp_path / "out")
    back = read_dicom(tmp_path / "out")
    np.testing.assert_array_equal(back.array, synthetic.array)
    assert back.same_grid(synthetic, 1e-6)
    assert back.provenance == synthetic.provenance
    assert back.modality == modality


def test_a_left_handed_grid_comes_back_with_its_slices_in_reverse(scan_of_no_dicom, tmp_path):
    mirrored = np.array(SLANTED).reshape(3, 3) * [1, 1, -1]
    synthetic = made_from(replace(scan_of_no_dicom, direction=tuple(mirrored.ravel())), whole=True)
    write_dicom_series(synthetic, tmp_path / "out")
    back = read_dicom(tmp_path / "out")
    np.testing.assert_array_equal(back.array, synthetic.array[::-1])
    last = np.array(synthetic.origin) + 3 * synthetic.spacing[2] * mirrored[:, 2]
    assert back.origin == pytest.approx(tuple(last))


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (2, 3, 2), elements=st.floats(-1e9, 1e9, width=32, allow_subnormal=False)),
    st.booleans(),
)
def test_sixteen_bits_keep_values_to_half_a_step_and_zero_exactly(values, through_zero):
    stored = to_16_bit(values, through_zero)
    assert stored.array.dtype.itemsize == 2
    assert float(decimal_string(stored.slope)) == stored.slope
    back = np.stack([stored.values(k) for k in range(2)])
    assert np.abs(back - values).max() <= 0.5001 * stored.slope + 1e-6 * np.abs(values.astype(float)).max()
    if through_zero or values.min() <= 0 <= values.max():
        assert (back[values == 0] == 0).all()
    if through_zero:
        assert stored.intercept == 0


@pytest.mark.parametrize(("low", "high"), [(0, 65535), (-32768, 32767), (-1000, 3000), (70000, 130000), (5, 5)])
def test_whole_numbers_within_a_span_of_sixteen_bits_are_exact(low, high):
    values = np.array([[[low, high, (low + high) // 2]]], np.float64)
    np.testing.assert_array_equal(to_16_bit(values).values(0), values[0])


def test_counts_stay_proportional_where_they_do_not_fit(scan_of_no_dicom, tmp_path):
    counts = np.full(scan_of_no_dicom.array.shape, 90000.0, np.float32)[:1]
    counts[0, 0, 0] = 45000
    synthetic = replace(made_from(scan_of_no_dicom, "NM"), array=counts)
    [dataset] = datasets(write_dicom_series(synthetic, tmp_path / "out"))
    assert float(dataset.RescaleIntercept) == 0
    assert dataset.pixel_array[1, 1] / dataset.pixel_array[0, 0] == pytest.approx(2, rel=1e-4)
    [mapping] = dataset.RealWorldValueMappingSequence
    assert mapping.RealWorldValueSlope == float(dataset.RescaleSlope)
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "{counts}"


def test_the_series_says_what_it_is_and_invents_nothing(ultrasound, tmp_path):
    objects = datasets(write_dicom_series(made_from(ultrasound), tmp_path / "out"))
    assert len({ds.SOPInstanceUID for ds in objects}) == 5
    assert len({ds.SeriesInstanceUID for ds in objects}) == 1
    for number, dataset in enumerate(objects, 1):
        assert dataset.SOPClassUID == MR
        assert list(dataset.ImageType) == ["DERIVED", "SECONDARY", "OTHER"]
        assert dataset[0x0008, 0x001C].value == "YES"
        assert dataset.SeriesDescription.startswith("SYNTHETIC")
        assert (dataset.ScanningSequence, dataset.SequenceVariant) == ("RM", "NONE")
        assert "Scanning Sequence RM and Sequence Variant NONE stand for values" in dataset.DerivationDescription
        for keyword in ("EchoTime", "RepetitionTime", "EchoTrainLength", "MRAcquisitionType", "ScanOptions"):
            assert dataset[keyword].is_empty
        assert not any(word in dataset for word in ("MagneticFieldStrength", "FlipAngle", "SequenceName"))
        assert dataset.DerivationCodeSequence[0].CodeMeaning == "Artificial Intelligence"
        assert dataset.InstanceNumber == number
        assert dataset.BurnedInAnnotation == "NO"


def test_the_contributing_equipment_names_model_version_and_weights(ultrasound, tmp_path):
    dataset = datasets(write_dicom_series(made_from(ultrasound), tmp_path / "out"))[0]
    model = dataset.ContributingEquipmentSequence[-1]
    assert model.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Synthesizing Equipment"
    assert model.ManufacturerModelName == "us2mri-pix2pix-small"
    assert list(model.SoftwareVersions) == ["1.0.0", "imagetranslation 0.1.0"]
    assert "weights SHA-256 " + "ab" * 32 in model.ContributionDescription
    assert model.ContributionDateTime == "20260102030405+0000"


def test_every_slice_names_the_image_it_was_made_from(ultrasound, tmp_path):
    objects = datasets(write_dicom_series(made_from(ultrasound), tmp_path / "out"))
    source = datasets([tmp_path / "us" / "us.dcm"])[0]
    for number, dataset in enumerate(objects, 1):
        [reference] = dataset.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == source.SOPClassUID
        assert reference.ReferencedFrameNumber == number
        assert reference.SpatialLocationsPreserved == "YES"


def test_a_planar_view_stays_a_view_of_a_whole_body_scan(tmp_path):
    scan = read_volume(a_whole_body_scan(tmp_path / "nm.dcm"), component="posterior")
    [dataset] = datasets(write_dicom_series(made_from(scan, "NM", whole=True), tmp_path / "out"))
    assert dataset.SOPClassUID == NM
    assert list(dataset.ImageType) == ["DERIVED", "PRIMARY", "WHOLE BODY", "EMISSION"]
    assert dataset.NumberOfFrames == 1
    assert dataset.SourceImageSequence[0].ReferencedFrameNumber == 2
    assert dataset.DetectorInformationSequence[0].ViewCodeSequence[0].CodeMeaning == "Posterior"
    assert dataset["CountsAccumulated"].is_empty
    assert dataset.ActualFrameDuration == 0
    assert "Actual Frame Duration 0" in dataset.DerivationDescription
    assert "RescaleSlope" not in dataset


def test_a_spot_view_is_static_and_slices_are_a_tomogram(scan_of_no_dicom, tmp_path):
    view = replace(scan_of_no_dicom, array=scan_of_no_dicom.array[:1])
    [planar] = datasets(write_dicom_series(made_from(view, "NM"), tmp_path / "planar"))
    [stack] = datasets(write_dicom_series(made_from(scan_of_no_dicom, "NM"), tmp_path / "stack"))
    assert list(planar.ImageType) == ["DERIVED", "PRIMARY", "STATIC", "EMISSION"]
    assert list(stack.ImageType) == ["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"]
    assert stack.NumberOfFrames == 4


def test_the_mark_is_an_overlay_and_the_pixels_are_untouched(ultrasound, tmp_path):
    synthetic = made_from(ultrasound, whole=True)
    for k, dataset in enumerate(datasets(write_dicom_series(synthetic, tmp_path / "out"))):
        letters = dataset.overlay_array(0x6000)
        np.testing.assert_array_equal(letters, mark_bitmap(synthetic.provenance, 12, 10)[0])
        assert letters.any()
        assert dataset[0x6000, 0x1500].value == "SYNTHETIC"
        np.testing.assert_array_equal(dataset.pixel_array, synthetic.array[k])


def test_the_mark_covers_every_frame_of_a_tomogram(scan_of_no_dicom, tmp_path):
    [dataset] = datasets(write_dicom_series(made_from(scan_of_no_dicom, "NM"), tmp_path / "out"))
    letters = dataset.overlay_array(0x6000)
    assert letters.shape == (4, 60, 70)
    assert all((frame == letters[0]).all() and frame.any() for frame in letters)


def test_the_mark_in_the_pixels_stands_out_and_is_declared(scan_of_no_dicom, tmp_path):
    synthetic = made_from(scan_of_no_dicom, whole=True)
    objects = datasets(write_dicom_series(synthetic, tmp_path / "out", burn_in=True))
    letters, (rows, columns) = mark_bitmap(synthetic.provenance, 60, 70)
    for k, dataset in enumerate(objects):
        assert dataset.BurnedInAnnotation == "YES"
        assert (0x6000, 0x3000) not in dataset
        pixels = dataset.pixel_array
        assert (pixels[letters] == synthetic.array.max()).all()
        assert (pixels[rows, columns][~letters[rows, columns]] == synthetic.array.min()).all()
        outside = np.ones((60, 70), bool)
        outside[rows, columns] = False
        np.testing.assert_array_equal(pixels[outside], synthetic.array[k][outside])


@pytest.mark.parametrize("size", [(1, 1), (4, 3), (12, 20), (20, 20), (59, 44), (64, 64), (512, 512), (1024, 256)])
def test_the_mark_fits_every_image_and_is_read_as_synthetic_where_letters_fit(size):
    letters, (rows, columns) = mark_bitmap(a_record(), *size)
    assert letters.shape == size
    assert letters.any()
    assert rows.stop <= size[0]
    assert columns.stop <= size[1]
    if min(size) >= 40:
        assert letters.sum() >= 150  # the nine letters of the word


def test_the_window_is_the_one_the_viewers_start_with(ultrasound, tmp_path):
    synthetic = made_from(ultrasound)
    dataset = datasets(write_dicom_series(synthetic, tmp_path / "out"))[0]
    lower, upper = default_window(synthetic)
    assert float(dataset.WindowCenter) == pytest.approx((lower + upper) / 2)
    assert float(dataset.WindowWidth) == pytest.approx(upper - lower)
    assert dataset.VOILUTFunction == "LINEAR_EXACT"


def test_without_a_dicom_source_patient_and_study_are_empty_and_it_says_so(scan_of_no_dicom, tmp_path):
    dataset = datasets(write_dicom_series(made_from(scan_of_no_dicom), tmp_path / "out"))[0]
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        assert dataset[keyword].is_empty
    assert "The source was no DICOM image: patient is unknown" in dataset.DerivationDescription
    assert "SourceImageSequence" not in dataset
    assert dataset.SeriesDescription == "SYNTHETIC MR of Prüfung 17"
    assert dataset.StudyInstanceUID
    assert dataset.FrameOfReferenceUID


def test_without_our_private_element_the_rest_of_the_provenance_survives(ultrasound, tmp_path):
    files = write_dicom_series(made_from(ultrasound), tmp_path / "out")
    for file, dataset in zip(files, datasets(files)):
        dataset.remove_private_tags()
        dataset.save_as(file)
    record = read_dicom(tmp_path / "out").provenance
    assert record is not None
    assert replace(record, notes=()) == replace(a_record(), notes=(), source="Prufung 17")
    assert "not for diagnosis" in record.notes[0]


def test_an_archive_that_forgets_value_representations_keeps_the_provenance(ultrasound, tmp_path):
    [file, *_] = write_dicom_series(made_from(ultrasound), tmp_path / "out")
    dataset = datasets([file])[0]
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(file, implicit_vr=True, little_endian=True)
    assert read_dicom(file).provenance == a_record()


def test_a_damaged_private_element_still_marks_the_image(ultrasound, tmp_path):
    [*_, file] = write_dicom_series(made_from(ultrasound), tmp_path / "out")
    dataset = datasets([file])[0]
    dataset.private_block(0x0099, "IMAGETRANSLATION")[0x01].value = '{"model": '
    dataset.save_as(file)
    record = read_dicom(file).provenance
    assert record is not None
    assert record.model == "us2mri-pix2pix-small"


def test_a_synthetic_series_is_refused_as_input_unless_forced(ultrasound, tmp_path):
    package = make_package(tmp_path / "package")
    synthetic = translate(ultrasound, package, device="cpu")
    write_dicom_series(synthetic, tmp_path / "out")
    back = read_dicom(tmp_path / "out")
    assert back.provenance == synthetic.provenance
    with pytest.raises(InputError, match="itself made by a model"):
        translate(back, package, device="cpu")
    assert translate(back, package, device="cpu", allow_synthetic=True).synthetic


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"provenance": None}, "not a synthetic image"),
        ({"provenance": replace(a_record("MR"), quantity={"name": "standard deviation"})}, "not an image"),
        ({"provenance": a_record("CT")}, "only MR and NM"),
        ({"provenance": a_record("image")}, "imitates an unknown modality"),
        ({"array": np.full((4, 60, 70), np.nan)}, "not numbers"),
        ({"direction": (1.0, 0.3, 0, 0, 1, 0, 0, 0, 1)}, "not perpendicular"),
    ],
)
def test_what_cannot_be_written_is_refused_with_a_sentence(scan_of_no_dicom, change, words, tmp_path):
    with pytest.raises(InputError, match=words):
        write_dicom_series(replace(made_from(scan_of_no_dicom), **change), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_never_touched(scan_of_no_dicom, tmp_path):
    first = write_dicom_series(made_from(scan_of_no_dicom), tmp_path / "out")
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    with pytest.raises(InputError, match="not empty"):
        write_dicom_series(made_from(scan_of_no_dicom), tmp_path / "out")
    with pytest.raises(InputError, match="is a file"):
        write_dicom_series(made_from(scan_of_no_dicom), first[0])
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before


def test_an_empty_folder_and_missing_parents_are_fine(scan_of_no_dicom, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "a" / "b" / "c"):
        assert all(file.is_file() for file in write_dicom_series(made_from(scan_of_no_dicom), folder))


# Writes a series with files limited to so many bytes, and prints the sentence of the refusal.
LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from imagetranslation.dicomio import write_dicom_series
from imagetranslation.errors import RunFailed
from imagetranslation.volume import Volume
from Testing.Core.synthetic_objects import made_from
synthetic = made_from(Volume(np.zeros((3, 60, 70))))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    write_dicom_series(synthetic, sys.argv[1])
except RunFailed as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a Unix matter")
@pytest.mark.parametrize("limit", [0, 5000, 9000])
def test_a_full_disk_leaves_nothing_behind(limit, repository, tmp_path):
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "out"), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=repository)
    assert "The disk is full" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the super-user may write anywhere")
def test_a_folder_without_permission_is_one_sentence(scan_of_no_dicom, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunFailed, match="no permission"):
        write_dicom_series(made_from(scan_of_no_dicom), tmp_path / "out")


def test_a_series_that_reads_back_differently_does_not_land(scan_of_no_dicom, tmp_path, monkeypatch):
    from imagetranslation.dicomio import reading

    real = reading.read_dicom
    monkeypatch.setattr(reading, "read_dicom", lambda path: replace(real(path), origin=(0.0, 0.0, 9.0)))
    with pytest.raises(RunFailed, match="read back differently"):
        write_dicom_series(made_from(scan_of_no_dicom), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_times_are_told_in_the_time_zone_of_the_study(tmp_path):
    from imagetranslation.dicomio.marking import moment

    record = a_record()
    assert moment(record, "-0430").strftime("%Y%m%d %H%M") == "20260101 2234"
    assert moment(record, "nonsense") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert moment(replace(record, created="yesterday"), "+0000").year >= 2026


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "imagetranslation", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_takes_a_file_and_its_source(ultrasound, tmp_path):
    write_volume(translate(ultrasound, make_package(tmp_path / "package"), device="cpu"), tmp_path / "mr.nrrd")
    done = run(
        "dicom", tmp_path / "mr.nrrd", "-o", tmp_path / "out", "--source", tmp_path / "us", "--burn-in", "--json"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "said by the person" not in told["derivation"]  # the voxels' SHA-256 proves the source
    objects = datasets([Path(file) for file in told["files"]])
    assert [ds.SourceImageSequence[0].ReferencedFrameNumber for ds in objects] == [1, 2, 3, 4, 5]
    assert {ds.BurnedInAnnotation for ds in objects} == {"YES"}
    assert {ds.StudyInstanceUID for ds in objects} == {"1.2.3"}


def test_the_command_refuses_a_scan_in_one_sentence(ultrasound, tmp_path):
    write_volume(ultrasound, tmp_path / "us.nrrd")
    done = run("dicom", tmp_path / "us.nrrd", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr == "Error: us is not a synthetic image; only what a model made is written as DICOM here.\n"


def test_oblique_positions_are_those_of_the_source(ultrasound, tmp_path):
    source = datasets([tmp_path / "us" / "us.dcm"])[0]
    for k, dataset in enumerate(datasets(write_dicom_series(made_from(ultrasound), tmp_path / "out"))):
        plane = source.PerFrameFunctionalGroupsSequence[k].PlanePositionVolumeSequence[0]
        assert list(dataset.ImagePositionPatient) == pytest.approx(list(plane.ImagePositionVolume), abs=1e-9)
        assert list(dataset.ImageOrientationPatient) == pytest.approx(OBLIQUE, abs=1e-9)
        assert list(dataset.PixelSpacing) == [0.8, 0.5]
        assert dataset.SpacingBetweenSlices == 2
