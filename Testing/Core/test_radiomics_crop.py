"""Cropping first changes no bit of what PyRadiomics makes of the whole image, in any of its configurations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from imagetranslation.radiomics import crop, laplacian
from imagetranslation.radiomics.resample import to_sitk
from imagetranslation.radiomics.roi import Roi, from_labelmap
from imagetranslation.radiomics.settings import Settings, from_parameters
from imagetranslation.volume import Volume

pytest.importorskip("radiomics")
from imagetranslation.radiomics.pyradiomics_engine import PyRadiomicsEngine, stock

SHAPE = (23, 34, 41)
TILTED = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
# Regions in the middle, at a corner, along an edge at the far end, and as large as the image.
BOXES = {
    "middle": ((9, 15), (12, 20), (18, 27)), "corner": ((0, 6), (0, 7), (0, 9)),
    "far edge": ((8, 13), (26, 34), (35, 41)), "everything": ((0, 23), (0, 34), (0, 41)),
}  # fmt: skip
EVERY_FILTER = {
    "Original": {}, "Wavelet": {}, "LoG": {"sigma": [1.5, 3.0]}, "Square": {}, "SquareRoot": {}, "Logarithm": {},
    "Exponential": {}, "Gradient": {}, "LBP2D": {"binWidth": 1},
}  # fmt: skip
FIRST = {"firstorder": None}
CONFIGURATIONS = {
    "as they come": {"setting": {}},
    "every filter": {"imageType": EVERY_FILTER, "featureClass": {"firstorder": None, "gldm": ["DependenceEntropy"]}},
    "deep wavelets": {
        "imageType": {"Wavelet": {"level": 2, "start_level": 1, "wavelet": "db3"}}, "featureClass": FIRST,
    },
    "flat": {
        "setting": {"force2D": True, "force2Ddimension": 1},
        "imageType": {"Original": {}, "Wavelet": {"wavelet": "haar"}, "LBP2D": {"lbp2DRadius": 2.5}, "Gradient": {}},
        "featureClass": {"firstorder": None, "glcm": ["Contrast"], "glrlm": None},
    },
    "resampled": {
        "setting": {"resampledPixelSpacing": [1.1, 0, 1.7]},
        "imageType": {"Original": {}, "LoG": {"sigma": [2.0]}, "Wavelet": {}}, "featureClass": {**FIRST, "shape": None},
    },
    "resampled linearly": {
        "setting": {"resampledPixelSpacing": [2, 2, 2], "interpolator": "sitkLinear", "padDistance": 2},
    },
    "normalised": {
        "setting": {"normalize": True, "normalizeScale": 100, "removeOutliers": 2, "binWidth": 5},
        "imageType": {"Original": {}, "Gradient": {"gradientUseSpacing": False}},
    },
    "cut before": {"setting": {"preCrop": True, "padDistance": 3}, "imageType": EVERY_FILTER, "featureClass": FIRST},
    "narrowed": {
        "setting": {"resegmentRange": [-1, 1.5], "resegmentMode": "sigma", "resegmentShape": True},
        "imageType": {"Original": {}, "Wavelet": {}},
        "featureClass": {"shape": None, "firstorder": None, "glszm": None},
    },
    "weighted": {"setting": {"weightingNorm": "euclidean", "distances": [1, 2], "symmetricalGLCM": False,
                             "gldm_a": 1, "voxelArrayShift": 50}},
}  # fmt: skip


def an_image(kind: type = np.int16, shape: tuple[int, int, int] = SHAPE) -> Volume:
    array = np.random.default_rng(1).normal(300, 150, shape).clip(0).astype(kind)
    return Volume(array, (0.9, 1.3, 2.0), (-40.0, 12.5, 300.25), TILTED, "image")


def a_region(image: Volume, box: tuple[tuple[int, int], ...]) -> Roi:
    """A ragged region that touches all sides of the box."""
    labels = np.zeros(image.array.shape, np.uint8)
    inside = labels[tuple(slice(*bounds) for bounds in box)]
    inside[:] = np.random.default_rng(2).random(inside.shape) < 0.7
    inside[0, 0, 0] = inside[-1, -1, -1] = 1
    (roi,) = from_labelmap(Volume(labels, image.spacing, image.origin, image.direction, "mask"))
    return roi


def differing(image: Volume, rois: list[Roi], settings: Settings) -> list[str]:
    """Features that are missing, extra or different in any bit from stock PyRadiomics on the whole image."""
    wrong = []
    for roi, result in zip(rois, PyRadiomicsEngine().extract(image, rois, settings)):
        assert result.refused == ""
        expected = {key: float(v) for key, v in stock(image, roi, settings).items() if "diagnostics" not in key}
        assert list(result.values) == list(expected)
        assert len(expected) > 10
        both = {key: (result.values[key], value) for key, value in expected.items()}
        wrong += [key for key, (a, b) in both.items() if a != b and not (math.isnan(a) and math.isnan(b))]
    return wrong


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_cropped_extraction_equals_the_whole_one_to_the_bit(name):
    image = an_image()
    settings = from_parameters(CONFIGURATIONS[name])
    for place in ("middle", "corner"):
        assert differing(image, [a_region(image, BOXES[place])], settings) == [], place


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "place", "kind"),
    list(itertools.product(CONFIGURATIONS, BOXES, (np.int32, np.float32, np.float64))),
)
def test_a_cropped_extraction_equals_the_whole_one_everywhere_and_for_every_type(name, place, kind):
    image = an_image(kind)
    assert differing(image, [a_region(image, BOXES[place])], from_parameters(CONFIGURATIONS[name])) == []


def test_regions_that_share_their_filtered_images_keep_every_bit():
    """Crops of these together are larger than the image, so that the filters see it whole, once."""
    image = an_image()
    settings = from_parameters({"imageType": {"Wavelet": {}, "Gradient": {}}, "featureClass": FIRST})
    assert differing(image, [a_region(image, box) for box in BOXES.values()], settings) == []


@pytest.mark.parametrize("sigma", [0.9, 2.0, 6.0])
def test_the_laplacian_of_a_region_is_itks_of_the_whole_image(sigma):
    sitk = pytest.importorskip("SimpleITK")
    image = to_sitk(an_image())
    rois = [a_region(an_image(), BOXES[place]) for place in ("middle", "corner", "far edge")]
    assert laplacian.applicable(image, rois, sigma)
    whole = sitk.LaplacianRecursiveGaussianImageFilter()
    whole.SetNormalizeAcrossScale(True)
    whole.SetSigma(sigma)
    expected = sitk.GetArrayFromImage(whole.Execute(image))
    for roi, found in zip(rois, laplacian.laplacian(image, rois, sigma)):
        assert np.array_equal(found, expected[roi.slices])


def test_eight_bit_intensities_make_the_grey_levels_of_wider_ones():
    """Stock PyRadiomics lets the topmost bin edge wrap round with NumPy 2, and finds one grey level."""
    image = an_image()
    narrow = image.with_array((image.array // 3).clip(0, 255).astype(np.uint8))
    assert narrow.array.max() > 205
    settings = from_parameters({"setting": {"binWidth": 25}})
    roi = a_region(image, BOXES["middle"])
    (ours,) = PyRadiomicsEngine().extract(narrow, [roi], settings)
    (wide,) = PyRadiomicsEngine().extract(narrow.with_array(narrow.array.astype(np.int32)), [roi], settings)
    assert ours.values == wide.values
    assert ours.grey_levels > 8
    assert any("32 bits" in sentence for sentence in ours.warnings)
    assert differing(narrow, [roi], Settings()) == []


def test_our_own_settings_are_stock_pyradiomics_with_32_bins():
    image = an_image()
    roi = a_region(image, BOXES["middle"])
    assert differing(image, [roi], Settings()) == []
    assert differing(image, [roi], Settings(bin_number=None, bin_width=20.0, spacing=(1.5, 1.5, 1.5))) == []


@pytest.mark.parametrize("size", [20, 21])
def test_the_part_kept_for_a_wavelet_is_even_and_holds_what_the_filter_reaches(size):
    period = size + size % 2
    for first, length, margin in itertools.product(range(size), range(1, 6), (1, 2, 3, 6)):
        end = min(first + length, size)
        (part, _, _) = crop.periodic(((first, end), (0, 1), (0, 1)), (margin, 0, 0), (size, 1, 1))
        kept = part.indices
        assert len(kept) % 2 == 0
        assert list(kept[part.inside]) == list(range(first, end))
        # The neighbours within the margin, walking round the kept part, are those walking round the image.
        where = range(part.inside.start - margin, part.inside.stop + margin)
        wanted = [index % period for index in range(first - margin, end + margin)]
        assert [kept[index % len(kept)] for index in where] == [0 if index == size else index for index in wanted]
