"""Objects of several frames and of colour: enhanced, ultrasound, nuclear; what is a volume and what is not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from imagetranslation.errors import InputError
from imagetranslation.volume import index_to_lps, read_volume
from Testing.Core.dicom_objects import (
    ENHANCED_MR,
    ENHANCED_US,
    NM,
    US,
    US_CINE,
    axial,
    frame_groups,
    image,
    item,
    region,
    save,
    shared_groups,
)  # fmt: skip


def ramp(frames: int, kind: str = "uint16") -> np.ndarray:
    """Frames of 4 x 3, frame n filled with 10 n."""
    return np.repeat(np.arange(frames, dtype=kind) * 10, 12).reshape(frames, 4, 3)


def enhanced(
    heights: tuple[float, ...], sop_class: str = ENHANCED_MR, modality: str = "MR", volume: bool = False, **more
):
    """An enhanced object with a frame at each height."""
    return image(
        ramp(len(heights)),
        sop_class,
        modality,
        PerFrameFunctionalGroupsSequence=frame_groups(axial(*heights), volume, **more),
        SharedFunctionalGroupsSequence=shared_groups(volume=volume),
    )


def test_frames_of_an_enhanced_object_are_sorted_by_position(tmp_path):
    volume = read_volume(save(enhanced((4.0, 0.0, 2.0)), tmp_path / "x.dcm"))
    np.testing.assert_array_equal(volume.array[:, 0, 0], [10, 20, 0])
    assert volume.spacing == (0.5, 0.8, 2.0)
    assert volume.origin == (-10.0, -20.0, 0.0)
    assert volume.attributes["FrameNumbers"] == [2, 3, 1]


def test_each_frame_is_rescaled_by_its_own_functional_group(tmp_path):
    rescale = [item(RescaleSlope=s, RescaleIntercept=i) for s, i in ((1, 0), (2, 5), (0.5, 0))]
    volume = read_volume(save(enhanced((0, 2, 4), PixelValueTransformationSequence=rescale), tmp_path / "x.dcm"))
    np.testing.assert_allclose(volume.array[:, 0, 0], [0, 25, 10])


def test_a_missing_frame_of_an_enhanced_object_is_noticed(tmp_path):
    with pytest.raises(InputError, match="1 missing slice"):
        read_volume(save(enhanced((0, 2, 4, 8)), tmp_path / "x.dcm"))


def test_an_enhanced_object_of_two_times_needs_a_component(tmp_path):
    content = [item(TemporalPositionIndex=t) for t in (2, 2, 1, 1)]
    path = save(enhanced((0, 2, 0, 2), FrameContentSequence=content), tmp_path / "x.dcm")
    with pytest.raises(InputError, match="2 images at every slice position"):
        read_volume(path)
    np.testing.assert_array_equal(read_volume(path, component=0).array[:, 0, 0], [20, 30])


def test_fewer_descriptions_than_frames_are_refused(tmp_path):
    dataset = enhanced((0, 2, 4))
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:2]
    with pytest.raises(InputError, match="3 frames, but not as many descriptions"):
        read_volume(save(dataset, tmp_path / "x.dcm"))


def test_an_enhanced_ultrasound_volume_is_a_volume_in_the_probes_frame(tmp_path):
    volume = read_volume(save(enhanced((0, 1, 2), ENHANCED_US, "US", volume=True), tmp_path / "x.dcm"))
    assert volume.array.shape == (3, 4, 3)
    assert volume.spacing == (0.5, 0.8, 1.0)
    assert volume.modality == "US"
    assert any("probe's frame of reference" in note for note in volume.notes)


@pytest.fixture
def cine(tmp_path):
    """An ultrasound clip of six frames."""
    return save(image(ramp(6, "uint8"), US_CINE, "US", FrameTime=33, PixelSpacing=[0.2, 0.3]), tmp_path / "cine.dcm")


def test_a_cine_is_refused_as_a_volume(cine):
    with pytest.raises(InputError, match=r"6 frames without 3-D geometry.*frames_as_slices="):
        read_volume(cine)


def test_frames_as_slices_make_a_volume_and_are_recorded(cine):
    volume = read_volume(cine, frames_as_slices=1.5)
    np.testing.assert_array_equal(volume.array[:, 0, 0], [0, 10, 20, 30, 40, 50])
    assert volume.spacing == (0.3, 0.2, 1.5)
    assert volume.attributes["frames_as_slices_mm"] == 1.5
    assert any("slices 1.5 mm apart, as asked" in note for note in volume.notes)


def test_one_frame_of_a_cine_can_be_chosen(cine):
    volume = read_volume(cine, component=4)
    assert volume.array.shape == (1, 4, 3)
    assert volume.array.max() == 40
    with pytest.raises(InputError, match="component=0 to component=5"):
        read_volume(cine, component=6)


@pytest.mark.parametrize("spacing", [0, -1, float("nan"), float("inf")])
def test_an_impossible_frame_spacing_is_refused(spacing, cine):
    with pytest.raises(InputError, match="positive number of mm"):
        read_volume(cine, frames_as_slices=spacing)


def test_frames_that_have_positions_keep_them(tmp_path):
    volume = read_volume(save(enhanced((0, 2, 4)), tmp_path / "x.dcm"), frames_as_slices=9)
    assert volume.spacing[2] == 2.0
    assert "frames_as_slices_mm" not in volume.attributes
    assert any("was not used" in note for note in volume.notes)


def still(regions, **tags):
    """An ultrasound still of 20 x 30 pixels with these regions."""
    return image(np.arange(600, dtype=np.uint8).reshape(20, 30), US, "US", SequenceOfUltrasoundRegions=regions, **tags)


def test_only_the_tissue_region_is_the_field_of_view(tmp_path):
    volume = read_volume(save(still([region((5, 2, 24, 17))]), tmp_path / "x.dcm"))
    assert volume.field_of_view is not None
    assert volume.field_of_view.shape == (1, 20, 30)
    inside = np.zeros((20, 30), bool)
    inside[2:18, 5:25] = True
    np.testing.assert_array_equal(volume.field_of_view[0], inside)
    assert volume.spacing[:2] == pytest.approx((0.2, 0.1))  # 0.02 and 0.01 cm


def test_graphs_and_spectra_beside_the_tissue_are_left_out(tmp_path):
    regions = [region((0, 0, 9, 9), form=3, kind=3), region((10, 0, 29, 19))]
    volume = read_volume(save(still(regions), tmp_path / "x.dcm"))
    assert volume.field_of_view is not None
    assert volume.field_of_view.sum() == 400
    assert not volume.field_of_view[0, :, :10].any()


def test_two_tissue_regions_of_one_scale_are_both_in_the_field_of_view(tmp_path):
    volume = read_volume(save(still([region((0, 0, 9, 19)), region((15, 0, 29, 19))]), tmp_path / "x.dcm"))
    assert volume.field_of_view is not None
    assert volume.field_of_view.sum() == 500


def test_of_regions_of_different_scale_the_largest_is_used(tmp_path):
    regions = [region((0, 0, 9, 19), delta=0.05), region((15, 0, 29, 19), delta=0.02)]
    volume = read_volume(save(still(regions), tmp_path / "x.dcm"))
    assert volume.field_of_view is not None
    assert volume.field_of_view.sum() == 300
    assert volume.spacing[0] == pytest.approx(0.2)
    assert any("different scale" in note for note in volume.notes)


def test_a_region_without_centimetres_gives_no_spacing(tmp_path):
    volume = read_volume(save(still([region((0, 0, 29, 19), units=4)]), tmp_path / "x.dcm"))
    assert volume.spacing[:2] == (1.0, 1.0)
    assert any("pixel spacing is not in the file" in note for note in volume.notes)


@pytest.mark.parametrize(
    ("regions", "words"),
    [([region((0, 0, 29, 19), form=2)], "no 2-D tissue image"), ([region((40, 40, 60, 60))], "outside the image")],
)
def test_a_picture_without_a_tissue_region_is_refused(regions, words, tmp_path):
    with pytest.raises(InputError, match=words):
        read_volume(save(still(regions), tmp_path / "x.dcm"))


def test_the_region_holds_for_every_frame_of_a_cine(tmp_path):
    frames = np.zeros((3, 20, 30), np.uint8)
    path = save(image(frames, US_CINE, "US", SequenceOfUltrasoundRegions=[region((5, 2, 24, 17))]), tmp_path / "x.dcm")
    volume = read_volume(path, frames_as_slices=1)
    assert volume.field_of_view is not None
    assert volume.field_of_view.shape == (3, 20, 30)
    assert (volume.field_of_view.sum(axis=(1, 2)) == 320).all()


PRIMARIES = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]]] * 4, np.uint8)
GREYS = [76, 150, 29, 128]


def test_an_rgb_frame_is_turned_to_grey(tmp_path):
    path = save(image(PRIMARIES, US, "US", PhotometricInterpretation="RGB"), tmp_path / "x.dcm")
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array[0, 0], GREYS)
    assert any("turned to grey" in note for note in volume.notes)


def test_planes_stored_one_after_the_other_are_the_same_picture(tmp_path):
    dataset = image(PRIMARIES, US, "US", PhotometricInterpretation="RGB")
    dataset.PlanarConfiguration = 1
    dataset.PixelData = PRIMARIES.transpose(2, 0, 1).tobytes()
    np.testing.assert_array_equal(read_volume(save(dataset, tmp_path / "x.dcm")).array[0, 0], GREYS)


def test_the_luma_of_a_ybr_frame_is_its_grey(tmp_path):
    ybr = np.asarray(Image.fromarray(PRIMARIES).convert("YCbCr"))
    volume = read_volume(save(image(ybr, US, "US", PhotometricInterpretation="YBR_FULL"), tmp_path / "x.dcm"))
    np.testing.assert_allclose(volume.array[0, 0].astype(int), GREYS, atol=1)


def test_a_palette_frame_is_turned_to_grey(tmp_path):
    dataset = image(np.array([[0, 1], [2, 1]], np.uint8), US, "US", PhotometricInterpretation="PALETTE COLOR")
    for colour, values in (("Red", (255, 0, 0)), ("Green", (0, 255, 0)), ("Blue", (0, 0, 255))):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [3, 0, 16])
        table = np.array([v * 257 for v in values], "<u2").tobytes()
        setattr(dataset, f"{colour}PaletteColorLookupTableData", table)
    volume = read_volume(save(dataset, tmp_path / "x.dcm"))
    np.testing.assert_array_equal(volume.array[0], [[76, 150], [29, 150]])


def compressed(array: np.ndarray, form: str, syntax: str, path, **tags):
    """A colour frame compressed by Pillow."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, form, **({"quality": 95} if form == "JPEG" else {"irreversible": False}))
    dataset = image(array, US, "US", PhotometricInterpretation="RGB")
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    dataset.update(item(**tags))
    return save(dataset, path, syntax)


def test_jpeg_and_jpeg_2000_colour_frames_are_grey_ramps(tmp_path):
    picture = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[np.newaxis, :, np.newaxis], 3, axis=2).repeat(64, axis=0)
    jpeg = compressed(picture, "JPEG", JPEGBaseline8Bit, tmp_path / "a.dcm", PhotometricInterpretation="YBR_FULL_422")
    np.testing.assert_allclose(read_volume(jpeg).array[0].astype(int), picture[..., 0], atol=3)
    j2k = compressed(picture, "JPEG2000", JPEG2000Lossless, tmp_path / "b.dcm")
    np.testing.assert_array_equal(read_volume(j2k).array[0], picture[..., 0])


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("SC_rgb_dcmtk_+eb+cy+np.dcm", None),
        ("JPEG-lossy.dcm", None),  # 12 bit extended JPEG, which only GDCM decodes here
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("examples_ybr_color.dcm", None),
    ],
)
def test_compressed_samples_of_pydicom_decode(name, plain, tmp_path):
    import pydicom

    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"this pydicom does not carry {name}")
    dataset = pydicom.dcmread(path)
    dataset.Modality = "MR" if dataset.Modality == "OT" else dataset.Modality
    volume = read_volume(save(dataset, tmp_path / "x.dcm", dataset.file_meta.TransferSyntaxUID), component=0)
    assert volume.array.shape == (1, dataset.Rows, dataset.Columns)
    assert volume.array.min() < volume.array.max()
    if plain:
        np.testing.assert_array_equal(volume.array, read_volume(get_testdata_file(plain)).array)


def test_a_truncated_run_length_frame_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 4000, (64, 64)).astype(np.uint16)
    dataset = image(noise)
    dataset.file_meta = save(dataset, tmp_path / "x.dcm") and dataset.file_meta
    dataset.compress(RLELossless)
    path = save(dataset, tmp_path / "x.dcm", RLELossless)
    np.testing.assert_array_equal(read_volume(path).array[0], noise)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"damaged|truncated"):
        read_volume(path)


def test_overlays_hidden_in_the_upper_bits_are_cleared(tmp_path):
    values = np.array([[1, 4095], [2, 3]], np.uint16)
    dataset = image(values | np.array([[0x1000, 0], [0x1000, 0]], np.uint16), BitsStored=12, HighBit=11)
    dataset.add_new(0x60000010, "US", 2)
    dataset.add_new(0x60000102, "US", 12)
    np.testing.assert_array_equal(read_volume(save(dataset, tmp_path / "x.dcm")).array[0], values)


def nuclear(count: int, **tags):
    """A nuclear object of `count` frames."""
    return image(ramp(count), NM, "NM", PixelSpacing=[2.4, 2.2], **tags)


def view(meaning: str):
    """A detector looking from one side."""
    return item(ViewCodeSequence=[item(CodeValue="R-10206", CodingSchemeDesignator="SNM3", CodeMeaning=meaning)])


@pytest.fixture
def whole_body(tmp_path):
    """A whole-body bone scan: anterior and posterior."""
    detectors = [view("Anterior"), view("Posterior")]
    dataset = nuclear(2, ImageType=["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"], DetectorVector=[1, 2],
                      DetectorInformationSequence=detectors)  # fmt: skip
    return save(dataset, tmp_path / "bone.dcm")


def test_planar_views_are_not_slices_and_are_listed(whole_body):
    with pytest.raises(InputError, match=r"2 planar views, not slices.*0 \(anterior\), 1 \(posterior\)"):
        read_volume(whole_body)


@pytest.mark.parametrize("component", [1, "1", "posterior", "Post"])
def test_a_planar_view_is_chosen_by_number_or_name(component, whole_body):
    volume = read_volume(whole_body, component=component)
    assert volume.array.shape == (1, 4, 3)
    assert volume.array.max() == 10
    assert volume.spacing[:2] == (2.2, 2.4)
    assert volume.modality == "NM"
    assert any("view 1 (posterior)" in note for note in volume.notes)


@pytest.mark.parametrize("component", [2, "lateral", ""])
def test_a_planar_view_that_is_not_there_is_refused(component, whole_body):
    with pytest.raises(InputError, match=r"bone\.dcm"):
        read_volume(whole_body, component=component)


def test_views_in_two_energy_windows_have_different_names(tmp_path):
    dataset = nuclear(4, DetectorVector=[1, 2, 1, 2], EnergyWindowVector=[1, 1, 2, 2],
                      DetectorInformationSequence=[view("Anterior"), view("Posterior")])  # fmt: skip
    path = save(dataset, tmp_path / "x.dcm")
    assert read_volume(path, component="posterior window 2").array.max() == 30
    with pytest.raises(InputError, match="no single view called posterior"):
        read_volume(path, component="posterior")


def test_planar_frames_without_view_names_are_chosen_by_number(tmp_path):
    path = save(nuclear(3), tmp_path / "x.dcm")
    with pytest.raises(InputError, match=r"0 \(frame 0\), 1 \(frame 1\), 2 \(frame 2\)"):
        read_volume(path)
    assert read_volume(path, component="frame 2").array.max() == 20


@pytest.mark.parametrize(("step", "order"), [(4.0, [20, 0, 10]), (-4.0, [10, 0, 20])])
def test_a_reconstructed_nuclear_tomogram_is_a_volume(step, order, tmp_path):
    detector = item(ImagePositionPatient=[1.0, 2.0, 3.0], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    dataset = nuclear(3, ImageType=["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"], SliceVector=[2, 3, 1],
                      SpacingBetweenSlices=step, DetectorInformationSequence=[detector])  # fmt: skip
    volume = read_volume(save(dataset, tmp_path / "x.dcm"))
    np.testing.assert_array_equal(volume.array[:, 0, 0], order)
    assert volume.spacing == (2.2, 2.4, 4.0)
    first = 0 if step > 0 else 2
    np.testing.assert_allclose((index_to_lps(volume) @ (0, 0, first, 1))[:3], [1.0, 2.0, 3.0])


def test_a_parametric_map_keeps_its_decimal_values(data_dir):
    volume = read_volume(data_dir / "odd_dicom/parametric_map_float.dcm")
    assert volume.array.dtype == np.float32
    assert volume.origin == pytest.approx((-158.135803, -179.035797, -75.699997))
