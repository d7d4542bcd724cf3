"""Headers whose geometry or scaling is damaged, in other units or not the patient's: refused, or said in a note."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.volume import read_volume
from Testing.Core.test_volume_reading import META, NO_TURN, STRAIGHT, nifti

NAN = float("nan")
NOT_A_TURN = [(NAN, 0.0, 0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, NAN, 0.0, 0.0), (3.0, 4.0, 5.0, 0.0, 0.0, 0.0)]


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("quaternion", NOT_A_TURN)
def test_a_nifti_whose_only_transform_is_no_rotation_is_refused(quaternion, tmp_path):
    content = nifti(np.zeros((2, 3, 4), np.int16), (1, quaternion), (0, STRAIGHT))
    with pytest.raises(InputError, match="its qform cannot place it in the patient"):
        read_volume(written(tmp_path / "x.nii", content))


@pytest.mark.parametrize("quaternion", NOT_A_TURN)
def test_a_nifti_with_a_damaged_qform_and_a_sound_sform_says_which_was_used(quaternion, tmp_path):
    content = nifti(np.zeros((2, 3, 4), np.int16), (1, quaternion), (1, STRAIGHT))
    volume = read_volume(written(tmp_path / "x.nii", content))
    assert volume.notes == ("The NIfTI qform is damaged; the sform was used.",)
    assert volume.direction == (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)


def test_a_nifti_with_a_damaged_sform_is_refused(tmp_path):
    for qform in ((0, NO_TURN), (1, NO_TURN)):
        content = nifti(np.zeros((2, 3, 4), np.int16), qform, (1, (NAN,) * 12))
        with pytest.raises(InputError, match=r"x\.nii"):
            read_volume(written(tmp_path / "x.nii", content))


def test_a_quaternion_rounded_a_little_above_one_is_a_rotation(tmp_path):
    content = nifti(np.zeros((2, 3, 4), np.int16), (1, (0.0, 0.0, 1.0000005, 0.0, 0.0, 0.0)), (0, STRAIGHT))
    assert read_volume(written(tmp_path / "x.nii", content)).notes == ()


def test_a_nifti_whose_sform_and_voxel_sizes_disagree_says_so(tmp_path):
    twice = tuple(2 * v for v in STRAIGHT)
    volume = read_volume(written(tmp_path / "x.nii", nifti(np.zeros((2, 3, 4), np.int16), (0, NO_TURN), (1, twice))))
    assert volume.notes == ("The NIfTI sform and voxel sizes disagree by up to 3.0 mm; the voxel sizes were used.",)


@pytest.mark.parametrize("size", [0.0, NAN])
def test_a_nifti_without_voxel_sizes_says_that_they_are_assumed(size, tmp_path):
    content = bytearray(nifti(np.zeros((2, 3, 4), np.int16), (1, NO_TURN), (0, STRAIGHT)))
    struct.pack_into("<3f", content, 80, size, 1.0, 1.0)
    volume = read_volume(written(tmp_path / "x.nii", bytes(content)))
    assert volume.spacing == (1.0, 1.0, 1.0)
    assert any("no voxel spacing" in note for note in volume.notes)


@pytest.mark.parametrize(("datatype", "kind"), [(4, np.int16), (2, np.uint8), (768, np.uint32), (16, np.float32)])
@pytest.mark.parametrize(("slope", "factor", "offset"), [(0.0, 1, 0), (NAN, 1, 0), (1.0, 1, 5), (2.0, 2, 5)])
def test_a_nifti_slope_of_zero_means_that_the_intercept_is_ignored(datatype, kind, slope, factor, offset, tmp_path):
    values = np.arange(24, dtype=kind).reshape(2, 3, 4)
    content = bytearray(nifti(values, (1, NO_TURN), (0, STRAIGHT), datatype))
    struct.pack_into("<2f", content, 112, slope, 5.0)
    array = read_volume(written(tmp_path / "x.nii", bytes(content))).array
    np.testing.assert_array_equal(array, values * factor + offset)
    assert offset or array.dtype == kind


def test_a_nifti_scaled_with_an_intercept_that_is_no_number_is_refused(tmp_path):
    content = bytearray(nifti(np.zeros((2, 3, 4), np.int16), (1, NO_TURN), (0, STRAIGHT)))
    struct.pack_into("<2f", content, 112, 2.0, NAN)
    with pytest.raises(InputError, match="scaled with intercept nan"):
        read_volume(written(tmp_path / "x.nii", bytes(content)))


@pytest.mark.parametrize(("units", "accepted"), [("mm", True), ("?", True), ("um", False), ("cm", False)])
def test_a_metaimage_in_other_units_than_millimetres_is_refused(units, accepted, tmp_path):
    text = META.format(size="2 2 2", more=f"DistanceUnits = {units}\nElementDataFile = LOCAL\n")
    path = written(tmp_path / "x.mha", text.encode() + np.arange(8, dtype="<i2").tobytes())
    if accepted:
        assert read_volume(path).spacing == (1.0, 1.0, 1.0)
    else:
        with pytest.raises(InputError, match=f"in '{units}'; expected mm"):
            read_volume(path)


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ("space: scanner-xyz", "gives its axes in 'scanner-xyz', not in the patient"),
        ("space: 3D-right-handed", "gives its axes in '3D-right-handed', not in the patient"),
        ("space dimension: 3", "names no patient space"),
        ("space: LPS", None),
        ("space: left-anterior-superior", None),
        ("space: RAS", None),
    ],
)
def test_an_nrrd_that_is_not_placed_in_the_patient_says_what_is_assumed(space, sentence, tmp_path):
    text = f"NRRD0004\ntype: uchar\ndimension: 3\n{space}\nsizes: 2 2 2\nencoding: raw\n"
    text += "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (1,2,3)\n\n"
    volume = read_volume(written(tmp_path / "x.nrrd", text.encode() + bytes(range(8))))
    told = [f"The NRRD header {sentence}; left-posterior-superior is assumed."] if sentence else []
    assert list(volume.notes) == told
    signs = {"space: RAS": (-1, -1, 1), "space: left-anterior-superior": (1, -1, 1)}.get(space, (1, 1, 1))
    assert volume.origin == tuple(s * v for s, v in zip(signs, (1.0, 2.0, 3.0)))
