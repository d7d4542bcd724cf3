"""Regions of interest from every kind of file: the right voxels, or a refusal with one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from imagetranslation.errors import InputError
from imagetranslation.radiomics.roi import check_intensities, check_usable, from_labelmap
from imagetranslation.radiomics.segmentations import read_rois
from imagetranslation.radiomics.settings import Settings
from imagetranslation.volume import Volume, read_volume, write_volume

TILTED = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture
def image() -> Volume:
    array = np.random.default_rng(0).normal(100, 20, (12, 20, 30)).astype(np.float32)
    return Volume(array, (0.7, 0.9, 3.0), (-12.0, 40.5, 7.25), TILTED, "scan")


def drawn(image: Volume, kind: type = np.uint8) -> Volume:
    """Two regions: label 1 of 5 x 6 x 7 voxels from (2, 3, 4), and label 3 of 2 x 4 x 5 from (8, 10, 20)."""
    labels = np.zeros(image.array.shape, kind)
    labels[2:7, 3:9, 4:11] = 1
    labels[8:10, 10:14, 20:25] = 3
    return replace(image, array=labels, name="mask")


def saved(volume: Volume, path: Path) -> Path:
    return write_volume(volume, path)


def refusal(path: Path, image: Volume, *args, **options) -> str:
    with pytest.raises(InputError) as caught:
        read_rois(path, image, *args, **options)
    sentence = str(caught.value)
    assert len(sentence) < 400
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_a_labelmap_of_whole_numbers_gives_its_regions_whatever_its_type(image, tmp_path, kind):
    path = saved(drawn(image, kind), tmp_path / "mask.nrrd")
    first, third = read_rois(path, image, "all")
    assert (first.label, first.box, first.voxels) == (1, ((2, 7), (3, 9), (4, 11)), 210)
    assert (third.label, third.box, third.voxels) == (3, ((8, 10), (10, 14), (20, 25)), 40)
    assert first.volume_mm3 == pytest.approx(210 * 0.7 * 0.9 * 3.0)
    (chosen,) = read_rois(path, image, 3)
    assert chosen.sha256 == third.sha256 != first.sha256


def test_the_hash_is_that_of_the_voxels_in_their_place_not_of_the_file(image, tmp_path):
    (one,) = read_rois(saved(drawn(image), tmp_path / "a.nrrd"), image, 1)
    (other,) = read_rois(saved(drawn(image, np.float64), tmp_path / "b.mha"), image, 1)
    assert one.sha256 == other.sha256
    shifted = replace(drawn(image), array=np.roll(drawn(image).array, 1, axis=2))
    (moved,) = from_labelmap(shifted, [1])
    assert moved.sha256 != one.sha256
    assert np.array_equal(moved.mask, one.mask)


def test_the_centre_of_mass_is_in_patient_millimetres(image):
    roi = from_labelmap(drawn(image))[0]
    whole = sitk.GetImageFromArray(roi.full())
    whole.SetSpacing(image.spacing)
    whole.SetOrigin(image.origin)
    whole.SetDirection(image.direction)
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(whole)
    assert roi.centre_of_mass() == pytest.approx(statistics.GetCentroid(1))


def test_several_regions_ask_for_a_choice_and_a_missing_label_is_named(image, tmp_path):
    path = saved(drawn(image), tmp_path / "mask.nrrd")
    assert "2 regions" in refusal(path, image)
    assert "no label 2; it holds 1, 3" in refusal(path, image, 2)
    assert "whole numbers" in refusal(path, image, "tumour")
    assert [roi.label for roi in read_rois(path, image, default=1)] == [1]


def test_fractions_nan_and_emptiness_are_refused(image, tmp_path):
    labels = drawn(image, np.float32)
    labels.array[0, 0, 0] = 0.4
    assert "probability map" in refusal(saved(labels, tmp_path / "fractions.nrrd"), image)
    labels.array[0, 0, 0] = np.nan
    assert "NaN" in refusal(saved(labels, tmp_path / "nan.nrrd"), image)
    empty = replace(image, array=np.zeros(image.array.shape, np.uint8), name="mask")
    assert "empty" in refusal(saved(empty, tmp_path / "empty.nrrd"), image)
    negative = replace(image, array=np.full(image.array.shape, -1, np.int16), name="mask")
    assert "empty" in refusal(saved(negative, tmp_path / "negative.nrrd"), image)


def test_another_grid_is_refused_and_the_sentence_says_what_differs(image, tmp_path):
    labels = drawn(image)
    cases = {
        "30 x 20 x 11": replace(labels, array=labels.array[:-1], spacing=(0.7, 0.9, 3.3)),
        "0.7 x 0.9 x 3.6 mm": replace(labels, spacing=(0.7, 0.9, 3.6)),
        "1.5 mm apart": replace(labels, origin=(-12.0, 40.5, 8.75)),
        "different directions": replace(labels, direction=(1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)),
    }
    for number, (said, mask) in enumerate(cases.items()):
        assert said in refusal(saved(mask, tmp_path / f"{number}.nrrd"), image, 1)


def test_headers_that_agree_within_a_twentieth_of_a_voxel_are_one_grid(image, tmp_path):
    near = replace(drawn(image), origin=tuple(n + 0.003 for n in image.origin))
    assert read_rois(saved(near, tmp_path / "near.nii.gz"), image, 1)[0].voxels == 210


def test_a_mask_on_another_grid_is_resampled_where_the_settings_ask(image, tmp_path):
    labels = drawn(image)
    finer = replace(labels, array=np.repeat(labels.array, 2, axis=2), spacing=(0.35, 0.9, 3.0))
    (roi,) = read_rois(saved(finer, tmp_path / "finer.nrrd"), image, 1, resample=True)
    assert roi.grid.shape == image.array.shape
    assert abs(roi.voxels - 210) <= 30
    assert any("resampled" in note for note in roi.notes)


def test_a_crop_of_the_grid_in_another_axis_order_goes_where_its_voxels_coincide(image, tmp_path):
    whole = read_rois(saved(drawn(image), tmp_path / "whole.nrrd"), image, 1)[0]
    labels = sitk.GetImageFromArray(drawn(image).array)
    labels.SetSpacing(image.spacing)
    labels.SetOrigin(image.origin)
    labels.SetDirection(image.direction)
    cropped = sitk.Flip(sitk.PermuteAxes(labels[2:18, 1:15, 1:9], [2, 0, 1]), [True, False, True])
    sitk.WriteImage(cropped, str(tmp_path / "cropped.nrrd"))
    (roi,) = read_rois(tmp_path / "cropped.nrrd", image, 1)
    assert roi.sha256 == whole.sha256
    assert any("coincide" in note for note in roi.notes)


def test_a_region_that_reaches_outside_the_image_is_refused(image, tmp_path):
    smaller = replace(image, array=image.array[:, :, 6:], origin=_origin_of(image, 6))
    assert "reaches outside" in refusal(saved(drawn(image), tmp_path / "mask.nrrd"), smaller, 1)
    assert read_rois(tmp_path / "mask.nrrd", smaller, 3)[0].box == ((8, 10), (10, 14), (14, 19))


def _origin_of(image: Volume, i: int) -> tuple[float, float, float]:
    axis = np.reshape(image.direction, (3, 3))[:, 0]
    x, y, z = (float(n) for n in np.array(image.origin) + axis * image.spacing[0] * i)
    return x, y, z


def seg_nrrd(path: Path, image: Volume, layers: list[np.ndarray], segments: list[tuple[str, int, int]]) -> Path:
    """A segmentation as Slicer writes it: segments are (name, label value, layer)."""
    stack = sitk.GetImageFromArray(np.stack(layers, axis=-1) if len(layers) > 1 else layers[0], len(layers) > 1)
    stack.SetSpacing(image.spacing)
    stack.SetOrigin(image.origin)
    stack.SetDirection(image.direction)
    for number, (name, label, layer) in enumerate(segments):
        for key, value in (("ID", f"Segment_{number}"), ("Name", name), ("LabelValue", label), ("Layer", layer)):
            stack.SetMetaData(f"Segment{number}_{key}", str(value))
    sitk.WriteImage(stack, str(path))
    return path


def test_segments_are_chosen_by_name_or_number_also_where_they_overlap_in_layers(image, tmp_path):
    labels = drawn(image).array
    overlapping = np.zeros_like(labels)
    overlapping[3:6, 3:9, 4:9] = 1
    segments = [("Tumour", 1, 0), ("Node", 3, 0), ("Rim", 1, 1)]
    path = seg_nrrd(tmp_path / "s.seg.nrrd", image, [labels, overlapping], segments)
    assert [(roi.name, roi.voxels) for roi in read_rois(path, image, "all")] == [
        ("Tumour", 210), ("Node", 40), ("Rim", 90),
    ]  # fmt: skip
    assert read_rois(path, image, "Rim")[0].voxels == 90
    assert read_rois(path, image, "3")[0].name == "Node"
    assert "several segments called '1'" in refusal(path, image, "1")
    assert "Tumour (1), Node (3), Rim (1)" in refusal(path, image)
    assert "no segment called 'Liver'" in refusal(path, image, "Liver")


def test_one_segment_needs_no_choice_and_an_empty_one_is_refused(image, tmp_path):
    labels = (drawn(image).array == 1).astype(np.uint8)
    path = seg_nrrd(tmp_path / "one.seg.nrrd", image, [labels], [("Gland", 1, 0)])
    assert [(roi.name, roi.voxels) for roi in read_rois(path, image)] == [("Gland", 210)]
    empty = seg_nrrd(tmp_path / "empty.seg.nrrd", image, [labels], [("Gland", 2, 0)])
    assert "Segment Gland of empty.seg.nrrd is empty" in refusal(empty, image)
    odd = seg_nrrd(tmp_path / "odd.seg.nrrd", image, [labels], [("Gland", -1, 0)])
    assert "is damaged" in refusal(odd, image)


def test_a_four_dimensional_mask_asks_which_volume(prostate_pairs):
    image = read_volume(prostate_pairs / "mr" / "case00.nii.gz")
    path = prostate_pairs / "mr_labels" / "case00.nii.gz"
    if sitk.ReadImage(str(path)).GetDimension() == 4:
        assert "component" in refusal(path, image)
    (roi,) = read_rois(path, image, component=0 if sitk.ReadImage(str(path)).GetDimension() == 4 else None)
    assert roi.voxels > 1000


def test_the_lesion_with_the_wrong_spacing_in_its_header_is_refused(data_dir):
    folder = data_dir / "prostatex" / "common_grid"
    image = read_volume(folder / "ProstateX-0000_t2w.nii.gz")
    assert "x 3.6 mm, the image's" in refusal(folder / "ProstateX-0000_lesion.nii.gz", image, default=1)


def test_a_lesion_saved_with_flipped_rows_is_put_back_on_its_image(data_dir):
    folder = data_dir / "prostatex"
    image, labels = (read_volume(folder / f"ProstateX-0000_{name}") for name in ("t2w.mha", "lesion.nii.gz"))
    (roi,) = read_rois(folder / "ProstateX-0000_lesion.nii.gz", image)
    assert np.array_equal(roi.full(), (labels.array > 0)[:, ::-1])
    assert any("coincide" in note for note in roi.notes)


def test_a_dicom_segmentation_lands_on_its_series(data_dir, tmp_path):
    highdicom = pytest.importorskip("highdicom")
    import pydicom
    from pydicom.sr.codedict import codes

    folder = data_dir / "prostatex" / "dicom_adc"
    slices = [pydicom.dcmread(path) for path in folder.glob("*.dcm")]
    slices.sort(key=lambda item: item.ImagePositionPatient[2])
    masks = np.zeros((2, len(slices), slices[0].Rows, slices[0].Columns), np.uint8)
    masks[0, 5:10, 40:60, 50:75] = 1
    masks[1, 8:12, 45:50, 30:70] = 1
    described = [
        highdicom.seg.SegmentDescription(number, name, codes.SCT.Tissue, codes.SCT.Tissue, "MANUAL")
        for number, name in enumerate(("Lesion", "Vessel"), 1)
    ]
    made = highdicom.seg.Segmentation(
        slices, np.moveaxis(masks, 0, -1), "BINARY", described, highdicom.UID(), 9, highdicom.UID(), 1, "m", "m", "1",
        "1",
    )  # fmt: skip
    made.save_as(tmp_path / "seg.dcm")
    image = read_volume(folder)
    for name, mask in zip(("Lesion", "Vessel"), masks):
        (roi,) = read_rois(tmp_path / "seg.dcm", image, name)
        assert np.array_equal(roi.full(), mask)
    assert "no segment called 'Bone'" in refusal(tmp_path / "seg.dcm", image, "Bone")
    broken = (tmp_path / "seg.dcm").read_bytes()[:-20000]
    (tmp_path / "broken.dcm").write_bytes(broken)
    assert "broken.dcm" in refusal(tmp_path / "broken.dcm", image, "Lesion")


def test_too_few_voxels_and_nan_in_the_region_are_refused_with_the_number(image):
    roi = from_labelmap(drawn(image))[1]
    with pytest.raises(InputError, match=r"has 40 voxels; at least 64 are needed"):
        check_usable(roi, Settings())
    check_usable(roi, Settings(minimum_voxels=40))
    image.array[9, 11, 21] = np.nan
    with pytest.raises(InputError, match="NaN or infinite in 1 voxels"):
        check_intensities(roi, image)


def test_a_scan_given_as_mask_is_refused_in_a_sentence(image, tmp_path):
    assert "probability map" in refusal(saved(image, tmp_path / "scan.nrrd"), image)
    counts = replace(image, array=(image.array * 1000).astype(np.int32), name="counts")
    assert "different values" in refusal(saved(counts, tmp_path / "counts.nrrd"), image)
    (tmp_path / "picture.nrrd").write_bytes(b"\x89PNG")
    assert "picture.nrrd" in refusal(tmp_path / "picture.nrrd", image)
