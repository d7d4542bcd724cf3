"""Windows, checkerboard and difference: what the eye is shown."""

from __future__ import annotations

import numpy as np
import pytest

from imagetranslation import appearance
from imagetranslation.volume import Volume


def a_volume(array, **changes) -> Volume:
    return Volume(np.asarray(array), **changes)


def test_the_default_window_ignores_a_black_background():
    array = np.zeros((10, 10, 10))
    array[4:6] = np.linspace(100, 200, 200).reshape(2, 10, 10)
    lower, upper = appearance.default_window(a_volume(array))
    assert lower == pytest.approx(100.5, abs=0.1)
    assert upper == pytest.approx(199.5, abs=0.1)


def test_the_default_window_of_an_image_without_background_is_its_percentiles():
    lower, upper = appearance.default_window(a_volume(np.linspace(0, 1000, 1001).reshape(7, 11, 13)))
    assert (lower, upper) == pytest.approx((5, 995))


def test_a_large_image_gets_the_window_of_a_small_one():
    small = np.random.default_rng(0).normal(100, 10, (20, 50, 50))
    large = np.random.default_rng(1).normal(100, 10, (100, 200, 250))
    assert appearance.default_window(a_volume(large)) == pytest.approx(
        appearance.default_window(a_volume(small)), abs=1
    )


def test_a_window_the_volume_brings_is_used():
    assert appearance.default_window(a_volume(np.zeros((2, 2, 2)), attributes={"window": [3, 9]})) == (3, 9)


@pytest.mark.parametrize("value", [0, 5, np.nan, np.inf])
def test_constant_or_empty_images_still_get_a_window(value):
    volume = a_volume(np.full((2, 2, 2), value, dtype=float))
    for lower, upper in (appearance.default_window(volume), appearance.full_range(volume)):
        assert np.isfinite([lower, upper]).all()
        assert upper > lower


def test_the_window_looks_only_inside_the_field_of_view():
    array = np.zeros((2, 10, 10))
    array[0] = np.arange(100).reshape(10, 10)
    array[1] = 5000
    inside = np.zeros(array.shape, bool)
    inside[0] = True
    assert appearance.default_window(a_volume(array, field_of_view=inside))[1] < 100


def test_windowed_values_run_from_0_to_1_and_nan_is_dark():
    values = np.array([-5, 0, 5, 10, 20, np.nan])
    assert appearance.windowed(values, (0, 10)) == pytest.approx([0, 0, 0.5, 1, 1, 0])


def test_fading_goes_from_the_one_below_to_the_one_above():
    below, above = np.zeros(3), np.ones(3)
    assert [appearance.faded(below, above, o)[0] for o in (0, 0.25, 1)] == [0, 0.25, 1]


def test_checkerboard_squares_alternate_have_their_size_in_millimetres_and_stand_still_along_the_axis():
    mask = appearance.checkerboard(a_volume(np.zeros((2, 8, 8)), spacing=(1.0, 0.5, 4.0)), square_mm=2, axis=0)
    assert mask.shape == (2, 8, 8)
    assert mask[0, 0].tolist() == [False, False, True, True] * 2
    assert mask[0, :, 0].tolist() == [False] * 4 + [True] * 4
    assert np.array_equal(mask[0], mask[1])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_checkerboard_squares_stand_still_however_far_one_leafs(axis):
    mask = appearance.checkerboard(a_volume(np.zeros((12, 12, 12))), square_mm=2, axis=axis)
    first = mask.take([0], axis=axis)
    assert np.array_equal(mask, np.broadcast_to(first, mask.shape))
    assert first.mean() == 0.5


def test_square_sizes_are_ordered_and_fit_the_volume():
    small, default, large = appearance.square_sizes(a_volume(np.zeros((10, 20, 30)), spacing=(2.0, 1.0, 1.0)))
    assert (small, default, large) == (2.5, 7.5, 30)


def test_a_difference_needs_one_grid_and_one_kind_of_image():
    mr = a_volume(np.zeros((2, 2, 2)), modality="MR")
    assert appearance.why_no_difference(mr, a_volume(np.ones((2, 2, 2)), modality="MR")) is None
    assert "different grids" in appearance.why_no_difference(mr, a_volume(np.zeros((2, 2, 3)), modality="MR"))
    assert "US and MR" in appearance.why_no_difference(mr, a_volume(np.zeros((2, 2, 2)), modality="US"))


def test_the_difference_is_synthetic_minus_other_in_per_cent_of_each_window():
    synthetic = a_volume([[[0.0, 5.0, 10.0]]], attributes={"window": (0, 10)})
    other = a_volume([[[0.0, 500.0, 250.0]]], attributes={"window": (0, 1000)})
    assert appearance.difference_percent(synthetic, other).ravel() == pytest.approx([0, 0, 75])
    with pytest.raises(ValueError, match="shapes differ"):
        appearance.difference_percent(synthetic, a_volume(np.zeros((1, 1, 2))))


def test_difference_colours_are_black_in_the_middle_and_saturate_at_the_limit():
    colours = appearance.difference_colours(np.array([-80.0, -50, 0, 25, 50]))
    assert colours[0].tolist() == colours[1].tolist() == list(appearance.LESS_RGB)
    assert colours[2].tolist() == [0, 0, 0]
    assert colours[4].tolist() == list(appearance.MORE_RGB)
    assert 0 < colours[3].max() < max(appearance.MORE_RGB)
