"""dciodvfy (Debian's dicom3tools) finds nothing wrong with what we write, but for an attribute younger than itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from imagetranslation.dicomio import read_dicom, write_dicom_series
from imagetranslation.volume import Volume, read_volume

from . import dicom_checker
from .dicom_checker import UNKNOWN_TO_IT
from .dicom_objects import axial, stack
from .synthetic_objects import a_3d_ultrasound, a_whole_body_scan, datasets, made_from


def flaws(file: Path) -> list[str]:
    """The errors that dciodvfy finds in an image."""
    return dicom_checker.flaws(file, "MRImage", "NMImage")


def real(*parts: str, **how: Any) -> Callable[[Path, Path], Volume]:
    """A real scan."""
    return lambda data, _: read_volume(data.joinpath(*parts), **how)


SOURCES: dict[str, tuple[str, Callable[[Path, Path], Volume]]] = {
    "MR from a diffusion series": ("MR", real("prostatex", "dicom_adc")),
    "MR from an ultrasound still": ("MR", real("odd_dicom", "US1_UNCR.dcm")),
    "MR from a CT slice": ("MR", real("odd_dicom", "CT_small.dcm")),
    "NM from a CT slice": ("NM", real("odd_dicom", "CT_small.dcm")),
    "MR from a big endian MR": ("MR", real("odd_dicom", "MR_small_bigendian.dcm")),
    "MR from a frame of an enhanced MR": ("MR", real("odd_dicom", "emri_small.dcm", component=2)),
    "MR from a gzipped MR": ("MR", real("odd_dicom", "zipMR.gz")),
    "NM from a bone scan kept as secondary capture": ("NM", real("bone_scan", "nm_whole_body.dcm")),
    "MR from a 3-D ultrasound": ("MR", lambda _, made: read_volume(a_3d_ultrasound(made / "us.dcm"))),
    "NM from a whole-body scan": ("NM", lambda _, made: read_volume(a_whole_body_scan(made / "nm.dcm"), component=0)),
    "MR from no DICOM": ("MR", lambda *_: Volume(np.zeros((3, 59, 44)), (0.4, 0.5, 0.6), (1, 2, 3))),
    "NM view from no DICOM": ("NM", lambda *_: Volume(np.zeros((1, 128, 64)), (2.2, 2.2, 1), (1, 2, 3))),
    "NM view at the origin from no DICOM": ("NM", lambda *_: Volume(np.zeros((1, 128, 64)))),
    "NM tomogram from no DICOM": ("NM", lambda *_: Volume(np.zeros((4, 20, 30)), (2, 2, 4), (1, 2, 3))),
}


@pytest.mark.parametrize("whole", [True, False], ids=["whole numbers", "decimals"])
@pytest.mark.parametrize("source", SOURCES)
def test_every_kind_of_series_is_valid_and_comes_back(source, whole, request, tmp_path):
    modality, make = SOURCES[source]
    data = request.getfixturevalue("data_dir") if "no DICOM" not in source else tmp_path
    synthetic = made_from(make(data, tmp_path), modality, whole=whole)
    files = write_dicom_series(synthetic, tmp_path / "out")
    assert {file.name: flaws(file) for file in files} == {file.name: [UNKNOWN_TO_IT] for file in files}
    back = read_dicom(tmp_path / "out")
    assert back.same_grid(synthetic)
    assert back.provenance == synthetic.provenance
    step = 0 if whole else float(datasets(files)[0].RescaleSlope)
    assert np.abs(back.array.astype(float) - synthetic.array).max() <= 0.51 * step  # half, and float32's own rounding


@pytest.mark.parametrize("modality", ["MR", "NM"])
def test_a_mark_in_the_pixels_is_valid_too(modality, tmp_path):
    scan = Volume(np.zeros((1, 64, 64)), (2, 2, 3), (1, 2, 3))
    [file] = write_dicom_series(made_from(scan, modality), tmp_path / "out", burn_in=True)
    assert flaws(file) == [UNKNOWN_TO_IT]


def test_values_beyond_sixteen_bits_are_valid_too(tmp_path):
    scan = Volume(np.zeros((1, 64, 64)), (2, 2, 3), (1, 2, 3))
    far = made_from(scan, "NM").array * 1e6 - 5e7
    [file] = write_dicom_series(made_from(scan, "NM").with_array(far), tmp_path / "out")
    assert datasets([file])[0].PixelRepresentation == 1
    assert flaws(file) == [UNKNOWN_TO_IT]


def test_values_that_broke_the_standard_in_the_source_do_not_in_the_series(tmp_path):
    stack(
        tmp_path / "scan",
        axial(0, 3),
        StudyDescription="d" * 63 + "é" * 9,
        StudyID="s" * 16,
        SpecificCharacterSet="ISO_IR 100",
        PatientName="Müller^Jürgen",
        StudyInstanceUID="",
        PatientID="",
    )
    for file in write_dicom_series(made_from(read_volume(tmp_path / "scan")), tmp_path / "out"):
        assert flaws(file) == [UNKNOWN_TO_IT]


def test_the_checker_sees_what_is_missing(tmp_path):
    """The tests above would be worthless if dciodvfy passed anything."""
    [file] = write_dicom_series(made_from(Volume(np.zeros((1, 9, 9)))), tmp_path / "out")
    [dataset] = datasets([file])
    del dataset.ScanningSequence
    dataset.save_as(file)
    assert any("ScanningSequence" in flaw for flaw in flaws(file))


@pytest.mark.parametrize("whole", [True, False], ids=["whole numbers", "decimals"])
@pytest.mark.parametrize("modality", ["MR", "NM"])
def test_another_reader_sees_the_same_voxels_and_grid(modality, whole, tmp_path):
    """ITK's GDCM, which Slicer reads with: rescaled values, an oblique stack of slices and a tomogram alike."""
    slanted = (0.8, -0.48, 0.36, 0.6, 0.64, -0.48, 0.0, 0.6, 0.8)
    scan = Volume(np.zeros((4, 60, 70)), (0.5, 0.7, 1.5), (3.0, -4.0, 5.5), slanted)
    synthetic = made_from(scan, modality, whole)
    files = [str(file) for file in write_dicom_series(synthetic, tmp_path / "out")]
    seen = sitk.ReadImage(files if len(files) > 1 else files[0])
    step = 0 if whole else synthetic.array.max() / 65535
    assert np.abs(sitk.GetArrayFromImage(seen) - synthetic.array).max() <= 0.51 * step
    assert seen.GetSpacing() == pytest.approx(scan.spacing)
    assert seen.GetOrigin() == pytest.approx(scan.origin)
    assert seen.GetDirection() == pytest.approx(slanted)
