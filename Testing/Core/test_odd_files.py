"""Every odd, legal or broken file of the public collections either loads with known voxels or is refused by name.

Shapes are (k, j, i). Sums of all voxels were computed from the raw bytes without SimpleITK; DICOM facts from the stored
values pydicom shows. A text in place of a shape is a fragment of the refusal.
"""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.volume import read_volume

BALL = ((30, 30, 30), 3682296)
TEXT = "is not an image this program reads"
HEADERLESS = "holds voxels without a header"
CAPTURE = "is a secondary capture"
PAIR = "half of an Analyze or NIfTI pair"
CINE = "frames without 3-D geometry"

FILES: dict[str, tuple[tuple[int, int, int], float | None] | str] = {
    "odd_nrrd/BallBinary30x30x30.nhdr": BALL,
    "odd_nrrd/BallBinary30x30x30.nii.gz": BALL,
    "odd_nrrd/BallBinary30x30x30.nrrd": BALL,
    "odd_nrrd/BallBinary30x30x30.raw": HEADERLESS,
    "odd_nrrd/BallBinary30x30x30_bz2.nrrd": BALL,
    "odd_nrrd/BallBinary30x30x30_gz.nrrd": BALL,
    # Its header hides the 352 bytes before the voxels; SimpleITK alone reads them as voxels.
    "odd_nrrd/BallBinary30x30x30_nifti.nhdr": "more voxel data than",
    "odd_nrrd/LICENSE": TEXT,
    "odd_nrrd/test1d_ascii.nrrd": "has one dimension",
    "odd_nrrd/test2d_ascii.nrrd": ((1, 9, 3), 378),
    "odd_nifti/0.dcm": ((1, 256, 256), None),
    "odd_nifti/1.dcm": ((1, 256, 256), None),
    "odd_nifti/COPYING": TEXT,
    "odd_nifti/analyze.hdr": PAIR,
    "odd_nifti/anatomical.nii": ((25, 41, 33), 284166082),
    "odd_nifti/csa_slice_norm.dcm": "no pixel data",
    "odd_nifti/example4d+orig.BRIK.gz": TEXT,
    "odd_nifti/example4d+orig.HEAD": TEXT,
    "odd_nifti/example4d.nii.gz": "holds 2 volumes",
    "odd_nifti/functional.nii": "holds 20 volumes",
    "odd_nifti/nifti1.hdr": PAIR,
    "odd_nifti/philips_mprage.dcm.gz": ((176, 256, 256), 0),
    "odd_nifti/scaled+tlrc.BRIK": TEXT,
    "odd_nifti/scaled+tlrc.HEAD": TEXT,
    "odd_nifti/siemens_dwi_0.dcm.gz": ((1, 896, 896), 0),
    "odd_nifti/siemens_dwi_1000.dcm.gz": ((1, 896, 896), 0),
    "odd_nifti/someones_anatomy.nii.gz": ((56, 67, 57), 9834293.11),
    "odd_nifti/someones_epi.nii.gz": ((33, 61, 53), 4873536.85),
    "odd_nifti/standard.nii.gz": ((7, 5, 4), 7650),
    "odd_metaimage/1x2int16.mha": ((1, 2, 1), 0),
    "odd_metaimage/LICENSE": TEXT,
    "odd_metaimage/NOTICE": TEXT,
    "odd_metaimage/dicom_intercept/1.dcm": ((1, 2, 3), 0),
    "odd_metaimage/dicom_intercept/2.dcm": ((1, 2, 3), 0.06),
    "odd_metaimage/image10x10x10.mha": ((10, 10, 10), 514.3966),
    "odd_metaimage/image10x10x10.mhd": ((10, 10, 10), 514.3966),
    "odd_metaimage/image10x10x10.zraw": HEADERLESS,
    "odd_metaimage/image10x11x12.nii": ((12, 11, 10), 870540),
    "odd_metaimage/image10x11x12.nii.gz": ((12, 11, 10), 870540),
    "odd_metaimage/image10x11x12x13.mha": "holds 13 volumes",
    "odd_metaimage/image10x11x12x13.mhd": "holds 13 volumes",
    "odd_metaimage/image10x11x12x13.zraw": HEADERLESS,
    "odd_metaimage/image128x256RGB.mhd": ((1, 256, 128), 0),
    "odd_metaimage/image128x256RGB.zraw": HEADERLESS,
    "odd_metaimage/image128x256x3RGB.mhd": ((3, 256, 128), 0),
    "odd_metaimage/image128x256x3RGB.zraw": HEADERLESS,
    "odd_metaimage/image128x256x4RGB.mhd": ((4, 256, 128), 0),
    "odd_metaimage/image128x256x4RGB.zraw": HEADERLESS,
    "odd_metaimage/image16bit.mha": ((64, 128, 256), 0),
    "odd_metaimage/image3x4.mhd": ((1, 4, 3), 0),
    "odd_metaimage/image3x4.zraw": HEADERLESS,
    "odd_metaimage/image5x6x7.mhd": ((7, 6, 5), 15),
    "odd_metaimage/image5x6x7.zraw": HEADERLESS,
    "odd_metaimage/mask.mha": ((1, 1024, 1024), 62141),
    "odd_metaimage/mhd_window/image3x4-len-1.mhd": ((1, 4, 3), 0),
    "odd_metaimage/mhd_window/image3x4-len-2.mhd": ((1, 4, 3), 0),
    "odd_metaimage/mhd_window/image3x4.mhd": ((1, 4, 3), 0),
    "odd_metaimage/mhd_window/image3x4.zraw": HEADERLESS,
    "odd_dicom/CT_small.dcm": ((1, 128, 128), None),
    "odd_dicom/ExplVR_BigEnd.dcm": ((1, 60, 80), None),
    "odd_dicom/ExplVR_LitEndNoMeta.dcm": "is an RT Ion Plan",
    "odd_dicom/JPEG2000.dcm": ((1, 1024, 256), None),
    "odd_dicom/JPGLosslessP14SV1_1s_1f_8b.dcm": ((1, 768, 1024), None),
    "odd_dicom/LICENSE_pydicom": TEXT,
    "odd_dicom/LICENSE_pydicom-data": TEXT,
    "odd_dicom/MR-SIEMENS-DICOM-WithOverlays.dcm": ((1, 484, 484), None),
    "odd_dicom/MR_small.dcm": ((1, 64, 64), None),
    "odd_dicom/MR_small_RLE.dcm": ((1, 64, 64), None),
    "odd_dicom/MR_small_bigendian.dcm": ((1, 64, 64), None),
    "odd_dicom/MR_small_implicit.dcm": ((1, 64, 64), None),
    "odd_dicom/MR_small_jp2klossless.dcm": ((1, 64, 64), None),
    "odd_dicom/MR_truncated.dcm": "truncated or damaged pixel data",
    "odd_dicom/OBXXXX1A_2frame.dcm": CINE,
    "odd_dicom/README.txt": TEXT,
    "odd_dicom/SC_rgb_rle_2frame.dcm": CAPTURE,
    "odd_dicom/SC_rgb_small_odd.dcm": CAPTURE,
    "odd_dicom/US1_UNCR.dcm": ((1, 480, 640), None),
    "odd_dicom/color-px.dcm": ((1, 120, 256), None),
    "odd_dicom/emri_small.dcm": CINE,
    "odd_dicom/emri_small_RLE.dcm": CINE,
    "odd_dicom/examples_palette.dcm": ((1, 350, 800), None),
    "odd_dicom/liver.dcm": "is a segmentation",
    "odd_dicom/liver_1frame.dcm": "is a segmentation",
    # A stray byte stands before its first tag, so nothing in it can be found.
    "odd_dicom/no_meta.dcm": TEXT,
    "odd_dicom/parametric_map_float.dcm": ((1, 128, 128), None),
    "odd_dicom/reportsi.dcm": "is a structured report",
    "odd_dicom/rtdose.dcm": "is an RT Dose grid",
    "odd_dicom/rtplan.dcm": "is an RT Plan",
    "odd_dicom/rtstruct.dcm": "is an RT Structure Set",
    "odd_dicom/test-SR.dcm": "is a structured report",
    "odd_dicom/vlut_04.dcm": CAPTURE,
    "odd_dicom/zipMR.gz": ((1, 64, 64), None),
    "ultrasound_frames/LICENSE": TEXT,
    "ultrasound_frames/femur_input.png": "is a PNG picture",
    "ultrasound_frames/neck_input.png": "is a PNG picture",
    "bone_scan/nm_whole_body.dcm": ((1, 1024, 256), None),
    "prostatex/ProstateX-0000_adc.mha": ((19, 128, 84), 99526141),
    "prostatex/ProstateX-0000_cor.mha": ((15, 320, 320), 371063989),
    "prostatex/ProstateX-0000_hbv.mha": ((19, 128, 84), 1611857),
    "prostatex/ProstateX-0000_lesion.nii.gz": ((19, 384, 384), 512),
    "prostatex/ProstateX-0000_sag.mha": ((19, 320, 320), 562898199),
    "prostatex/ProstateX-0000_t2w.mha": ((19, 384, 384), 621204627),
    "prostatex/common_grid/ProstateX-0000_adc.nii.gz": ((20, 160, 160), 500017940),
    "prostatex/common_grid/ProstateX-0000_hbv.nii.gz": ((20, 160, 160), 4887341),
    "prostatex/common_grid/ProstateX-0000_lesion.nii.gz": ((20, 160, 160), 512),
    "prostatex/common_grid/ProstateX-0000_t2w.nii.gz": ((20, 160, 160), 114559045),
    "sarcoma_ct_pet_mr/STS_003/CT_image.nii.gz": ((51, 158, 154), -270207471),
    "sarcoma_ct_pet_mr/STS_003/CT_mask.nii.gz": ((51, 158, 154), 25693),
    "sarcoma_ct_pet_mr/STS_003/MR_T1_image.nii.gz": ((47, 138, 121), 362958960),
    "sarcoma_ct_pet_mr/STS_003/MR_T1_mask.nii.gz": ((47, 138, 121), 25693),
    "sarcoma_ct_pet_mr/STS_003/PET_image.nii.gz": ((51, 30, 29), 27702.4677),
    "sarcoma_ct_pet_mr/STS_003/PET_mask.nii.gz": ((51, 30, 29), 817),
    "sarcoma_ct_pet_mr/STS_008/CT_image.nii.gz": ((51, 137, 141), -401221999),
    "sarcoma_ct_pet_mr/STS_008/CT_mask.nii.gz": ((51, 137, 141), 8862),
    "sarcoma_ct_pet_mr/STS_008/MR_T1_image.nii.gz": ((28, 79, 77), 83264712),
    "sarcoma_ct_pet_mr/STS_008/MR_T1_mask.nii.gz": ((28, 79, 77), 8862),
    "sarcoma_ct_pet_mr/STS_008/PET_image.nii.gz": ((51, 29, 30), 14602.3694),
    "sarcoma_ct_pet_mr/STS_008/PET_mask.nii.gz": ((51, 29, 30), 388),
    "sarcoma_ct_pet_mr/STS_012/CT_image.nii.gz": ((53, 155, 159), -241922727),
    "sarcoma_ct_pet_mr/STS_012/CT_mask.nii.gz": ((53, 155, 159), 25263),
    "sarcoma_ct_pet_mr/STS_012/MR_T1_image.nii.gz": ((53, 98, 109), 250543741),
    "sarcoma_ct_pet_mr/STS_012/MR_T1_mask.nii.gz": ((53, 98, 109), 25263),
    "sarcoma_ct_pet_mr/STS_012/PET_image.nii.gz": ((53, 29, 30), 28032.5163),
    "sarcoma_ct_pet_mr/STS_012/PET_mask.nii.gz": ((53, 29, 30), 807),
    "sarcoma_ct_pet_mr/STS_042/CT_image.nii.gz": ((49, 162, 134), -535057372),
    "sarcoma_ct_pet_mr/STS_042/CT_mask.nii.gz": ((49, 162, 134), 11175),
    "sarcoma_ct_pet_mr/STS_042/MR_T1_image.nii.gz": ((42, 97, 54), 98735136),
    "sarcoma_ct_pet_mr/STS_042/MR_T1_mask.nii.gz": ((42, 97, 54), 11175),
    "sarcoma_ct_pet_mr/STS_042/PET_image.nii.gz": ((49, 30, 26), 8970.93828),
    "sarcoma_ct_pet_mr/STS_042/PET_mask.nii.gz": ((49, 30, 26), 356),
}
FOLDERS = ("odd_dicom", "odd_nrrd", "odd_nifti", "odd_metaimage", "ultrasound_frames", "bone_scan", "prostatex",
           "sarcoma_ct_pet_mr")  # fmt: skip
ELSEWHERE = ("prostatex/dicom_adc/", "prostatex/LICENSE", "sarcoma_ct_pet_mr/LICENSE.md", "sarcoma_ct_pet_mr/README.md")

# The smallest and largest value, as pydicom shows the stored values (after the CT's rescale of slope 1, -1024).
EXTREMES = {
    "odd_dicom/CT_small.dcm": (128 - 1024, 2191 - 1024),
    "odd_dicom/JPEG2000.dcm": (-30, 245),
    "odd_dicom/MR-SIEMENS-DICOM-WithOverlays.dcm": (0, 1123),
    "odd_dicom/MR_small.dcm": (127, 2145),
    "odd_dicom/MR_small_RLE.dcm": (127, 2145),
    "odd_dicom/MR_small_bigendian.dcm": (127, 2145),
    "odd_dicom/MR_small_implicit.dcm": (127, 2145),
    "odd_dicom/MR_small_jp2klossless.dcm": (127, 2145),
    "odd_dicom/zipMR.gz": (127, 2145),
    "odd_dicom/parametric_map_float.dcm": (0.0, 0.9415791630744934),
    "odd_nifti/0.dcm": (0, 4095),
}


@pytest.mark.parametrize("name", FILES)
def test_each_file_loads_with_known_voxels_or_is_refused_with_a_sentence(name, data_dir, capfd):
    expected = FILES[name]
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected) as refusal:
            read_volume(data_dir / name)
        assert Path(name).name in str(refusal.value)
        assert str(refusal.value).endswith(".")
    else:
        shape, total = expected
        volume = read_volume(data_dir / name)
        assert volume.array.shape == shape
        if total is not None:
            assert float(volume.array.sum(dtype=np.float64)) == pytest.approx(total, rel=1e-6)
    assert capfd.readouterr().out == ""


def test_no_file_of_the_collections_is_left_out_of_the_table(data_dir):
    found = {str(p.relative_to(data_dir)) for folder in FOLDERS for p in (data_dir / folder).rglob("*") if p.is_file()}
    assert {name for name in found if not name.startswith(ELSEWHERE)} == set(FILES)


@pytest.mark.parametrize("name", EXTREMES)
def test_values_of_odd_dicom_files_are_those_stored(name, data_dir):
    array = read_volume(data_dir / name).array
    assert (array.min(), array.max()) == pytest.approx(EXTREMES[name])


@pytest.mark.parametrize("twin", ["RLE", "bigendian", "implicit", "jp2klossless"])
def test_one_slice_in_five_transfer_syntaxes_is_the_same_volume(twin, data_dir):
    plain = read_volume(data_dir / "odd_dicom/MR_small.dcm")
    other = read_volume(data_dir / f"odd_dicom/MR_small_{twin}.dcm")
    np.testing.assert_array_equal(other.array, plain.array)
    assert other.array.dtype.isnative
    assert other.same_grid(plain)


def test_a_lossless_jpeg_bone_scan_is_the_picture_its_lossy_twin_shows(data_dir):
    lossless = read_volume(data_dir / "bone_scan/nm_whole_body.dcm")
    lossy = read_volume(data_dir / "odd_dicom/JPEG2000.dcm")
    assert np.corrcoef(lossless.array.ravel(), lossy.array.ravel())[0, 1] > 0.9
    assert lossless.modality == "NM"
    assert lossless.spacing[:2] == (2.26, 2.26)


@pytest.mark.parametrize(("component", "first"), [(0, 3100.7617), ("19", 3100.7617)])
def test_a_component_of_a_four_dimensional_file_is_one_scaled_volume(component, first, data_dir):
    volume = read_volume(data_dir / "odd_nifti/functional.nii", component=component)
    assert volume.array.shape == (3, 21, 17)
    # slope 0.0754 and intercept 3100.76 of the header: values are steps of the slope from the intercept
    steps = (volume.array.astype(float) - first) / 0.07540696859359741
    np.testing.assert_allclose(steps, np.rint(steps), atol=0.02)
    assert any("fourth dimension" in note for note in volume.notes)


def test_both_components_of_a_four_dimensional_file_add_up_to_the_file(data_dir):
    path = data_dir / "odd_nifti/example4d.nii.gz"
    assert sum(int(read_volume(path, component=n).array.sum(dtype=np.int64)) for n in (0, 1)) == 101985356
    with pytest.raises(InputError, match="component=0 to component=1"):
        read_volume(path, component=2)


def test_a_folder_of_many_series_is_refused_with_a_list_and_read_by_number(data_dir):
    with pytest.raises(InputError, match=r"11 image series.*Transesophageal"):
        read_volume(data_dir / "odd_dicom")
    chosen = read_volume(data_dir / "odd_dicom", series="9")
    assert chosen.name == "Transesophageal Echocardiogram"


def test_a_series_that_mixes_sizes_is_refused(data_dir):
    with pytest.raises(InputError, match="256x256 and 896x896"):
        read_volume(data_dir / "odd_nifti", series="2")


def test_slices_with_different_intercepts_are_each_rescaled_by_their_own(data_dir):
    volume = read_volume(data_dir / "odd_metaimage/dicom_intercept")
    assert volume.array.shape == (2, 2, 3)
    np.testing.assert_allclose(volume.array[:, 0, 0], [0.0, 0.01], rtol=1e-6)
    assert volume.spacing == pytest.approx((0.43, 0.43, 0.5))


def test_a_real_dicom_series_lies_where_its_metaimage_conversion_lies(data_dir):
    series = read_volume(data_dir / "prostatex/dicom_adc")
    converted = read_volume(data_dir / "prostatex/ProstateX-0000_adc.mha")
    np.testing.assert_array_equal(series.array, converted.array)
    assert series.same_grid(converted, 1e-3)


FUZZED = (
    "odd_nrrd/BallBinary30x30x30_gz.nrrd", "odd_nrrd/BallBinary30x30x30_bz2.nrrd", "odd_nrrd/test2d_ascii.nrrd",
    "odd_nifti/standard.nii.gz", "odd_metaimage/image10x11x12.nii", "odd_metaimage/image10x10x10.mha",
    "odd_dicom/MR_small.dcm", "odd_dicom/MR_small_RLE.dcm", "odd_dicom/MR_small_jp2klossless.dcm",
    "odd_dicom/emri_small_RLE.dcm", "odd_dicom/color-px.dcm", "odd_dicom/parametric_map_float.dcm",
    "odd_dicom/zipMR.gz", "odd_nifti/csa_slice_norm.dcm",
    "odd_dicom/JPGLosslessP14SV1_1s_1f_8b.dcm", "odd_dicom/rtplan.dcm",
)  # fmt: skip


@pytest.mark.parametrize("name", FUZZED)
def test_a_truncated_file_is_refused_and_flipped_bytes_never_raise_anything_else(name, data_dir, tmp_path, capfd):
    original = (data_dir / name).read_bytes()
    generator = random.Random(name)
    damaged = tmp_path / Path(name).name
    for attempt in range(24):
        content = bytearray(original)
        if attempt % 3 == 0:
            content = content[: generator.randrange(len(content))]
        for _ in range(attempt % 3 * 4):
            # Half of the damage goes into the header, where it does most harm.
            content[generator.randrange(min(len(content), 1000) if attempt % 2 else len(content))] ^= (
                1 << generator.randrange(8)
            )
        damaged.write_bytes(bytes(content))
        with contextlib.suppress(InputError):
            assert read_volume(damaged, component=0 if "emri" in name else None).array.ndim == 3
    assert capfd.readouterr().out == ""


WHOLE = [name for name in FUZZED if isinstance(FILES[name], tuple) and "test2d_ascii" not in name]


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("kept", [0.15, 0.5, 0.9])
def test_no_image_cut_short_is_read_as_if_whole(name, kept, data_dir, tmp_path):
    original = (data_dir / name).read_bytes()
    cut = tmp_path / Path(name).name
    cut.write_bytes(original[: int(kept * len(original))])
    with pytest.raises(InputError):
        read_volume(cut)
