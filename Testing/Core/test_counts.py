"""Count ratios and profiles give the numbers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from imagetranslation.counts import mirrored, profile, ratio
from imagetranslation.errors import InputError
from imagetranslation.volume import Volume

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture
def an_image():
    """One view with 40 counts a pixel in a lesion of 4 pixels and 10 everywhere else."""
    array = np.full((1, 8, 10), 10, np.uint16)
    array[0, 2:4, 1:3] = 40
    return array


def _box(shape, rows, columns):
    mask = np.zeros(shape, bool)
    mask[0, rows, columns] = True
    return mask


def test_the_ratio_and_its_poisson_error_are_those_worked_out_by_hand(an_image):
    lesion = _box(an_image.shape, slice(2, 4), slice(1, 3))
    other = _box(an_image.shape, slice(2, 4), slice(7, 9))
    found = ratio(an_image, lesion, other, counted=True)
    assert (found.lesion, found.other, found.value) == (40, 10, 4)
    assert found.error == pytest.approx(4 * np.sqrt(1 / 160 + 1 / 40))
    assert (found.lesion_pixels, found.other_pixels) == (4, 4)


def test_the_ratio_does_not_depend_on_the_scale(an_image):
    lesion = _box(an_image.shape, slice(2, 4), slice(1, 3))
    other = _box(an_image.shape, slice(5, 7), slice(1, 9))
    scaled = ratio(an_image * np.float32(0.37), lesion, other, counted=False)
    assert scaled.value == pytest.approx(ratio(an_image, lesion, other, counted=True).value)
    assert scaled.error is None


@pytest.mark.parametrize(
    ("rows", "columns", "word"), [(slice(0, 0), slice(0, 0), "no pixel"), (slice(2, 4), slice(2, 5), "overlap")]
)
def test_regions_that_make_no_sense_are_refused(an_image, rows, columns, word):
    lesion = _box(an_image.shape, slice(2, 4), slice(1, 3))
    with pytest.raises(InputError, match=word):
        ratio(an_image, lesion, _box(an_image.shape, rows, columns), counted=True)


def test_an_empty_comparison_is_refused():
    array = np.zeros((1, 4, 4))
    with pytest.raises(InputError, match="no counts"):
        ratio(
            array,
            _box(array.shape, slice(0, 1), slice(0, 1)),
            _box(array.shape, slice(3, 4), slice(3, 4)),
            counted=True,
        )


def test_the_mirror_image_is_on_the_patients_other_side():
    mask = _box((1, 8, 10), slice(2, 4), slice(1, 3))
    columns_left_right = Volume(np.zeros((1, 8, 10)))
    assert np.array_equal(mirrored(columns_left_right, mask), _box((1, 8, 10), slice(2, 4), slice(7, 9)))
    rows_left_right = Volume(np.zeros((1, 8, 10)), direction=(0, 1, 0, 1, 0, 0, 0, 0, 1))
    assert np.array_equal(mirrored(rows_left_right, mask), _box((1, 8, 10), slice(4, 6), slice(1, 3)))


def test_a_profile_over_a_ramp_is_the_ramp_also_when_oblique():
    ramp = np.broadcast_to(np.arange(10.0), (1, 8, 10)).copy()
    volume = Volume(ramp, (2.0, 3.0, 5.0), (7.0, -8.0, 9.0), OBLIQUE)
    start = np.array([7.0, -8.0, 9.0]) + 3.0 * 3 * np.array([-0.6, 0.8, 0])
    end = start + 9 * 2.0 * np.array([0.8, 0.6, 0])
    distance, values = profile(volume, tuple(start), tuple(end), 19)
    assert distance[-1] == pytest.approx(18)
    assert np.allclose(values, np.linspace(0, 9, 19))


def test_a_profile_leaves_gaps_outside_the_image():
    volume = Volume(np.ones((2, 4, 4)))
    _, values = profile(volume, (-5, 0, 0), (8, 0, 0), 14)
    assert np.isnan(values[0])
    assert np.isnan(values[-1])
    assert np.nansum(values) == pytest.approx(np.isfinite(values).sum())
