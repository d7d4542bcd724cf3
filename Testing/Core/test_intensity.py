"""Intensity normalisation: bounds, clipping, the way back, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetranslation import intensity
from imagetranslation.errors import InputError, ModelRefused

SPECS = [
    {"name": "percentile", "lower": 1, "upper": 99},
    {"name": "minmax"},
    {"name": "from-zero", "percentile": 90, "factor": 2},
    {"name": "zscore", "width": 2.5},
    {"name": "fixed", "lower": 10, "upper": 90},
]


@pytest.fixture
def a_ramp() -> np.ndarray:
    """0 to 100 in 101 steps, shaped as one slice."""
    return np.arange(101, dtype=np.float32).reshape(1, 1, 101)


def test_percentiles_become_minus_one_and_one_and_the_rest_is_clipped(a_ramp: np.ndarray) -> None:
    scaled, state = intensity.normalise(a_ramp, None, {"name": "percentile", "lower": 10, "upper": 90})
    assert state == {"lower": pytest.approx(10), "upper": pytest.approx(90)}
    assert scaled[0, 0, 10] == pytest.approx(-1)
    assert scaled[0, 0, 50] == pytest.approx(0, abs=1e-6)
    assert scaled[0, 0, 90] == pytest.approx(1)
    assert scaled.min() == -1
    assert scaled.max() == 1


def test_bounds_come_from_inside_the_mask_and_the_outside_becomes_minus_one(a_ramp: np.ndarray) -> None:
    mask = a_ramp < 50
    scaled, state = intensity.normalise(a_ramp, mask, {"name": "minmax"})
    assert state == {"lower": 0, "upper": 49}
    assert (scaled[~mask] == -1).all()


def test_a_z_score_does_not_change_with_gain_and_offset(a_ramp: np.ndarray) -> None:
    spec = {"name": "zscore", "width": 2}
    plain, _ = intensity.normalise(a_ramp, None, spec)
    other, _ = intensity.normalise(7 * a_ramp - 300, None, spec)
    np.testing.assert_allclose(plain, other, atol=1e-6)
    assert plain.std() == pytest.approx(0.5, abs=1e-3)


def test_from_zero_keeps_ratios_and_does_not_change_with_the_level_of_counts(a_ramp: np.ndarray) -> None:
    spec = {"name": "from-zero", "percentile": 50, "factor": 4}
    plain, state = intensity.normalise(a_ramp, None, spec)
    assert state == {"lower": 0, "upper": pytest.approx(200)}
    np.testing.assert_allclose((plain + 1) / 2, a_ramp / 200, atol=1e-6)
    np.testing.assert_allclose(intensity.normalise(30 * a_ramp, None, spec)[0], plain, atol=1e-6)


def test_from_zero_of_an_image_that_is_empty_for_the_most_part_takes_its_greatest_intensity() -> None:
    array = np.zeros((1, 10, 10))
    array[0, 0, :3] = 7
    _, state = intensity.normalise(array, None, {"name": "from-zero", "percentile": 95, "factor": 4})
    assert state == {"lower": 0, "upper": 7}
    with pytest.raises(InputError, match="constant"):
        intensity.normalise(np.zeros((1, 4, 4)), None, {"name": "from-zero"})


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec["name"])
def test_a_normalisation_survives_its_json_form(spec: dict) -> None:
    again = intensity.from_dict(intensity.from_dict(spec).to_dict())
    assert again == intensity.from_dict(spec)
    assert again.to_dict()["name"] == spec["name"]


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["uint8", "int16", "uint16", "int32", "float32", "float64"]),
    spec=st.sampled_from(SPECS[:4]),
    seed=st.integers(0, 1000),
)
def test_any_real_type_gives_float32_within_minus_one_and_one(kind: str, spec: dict, seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 200, (3, 4, 5)).astype(kind)
    scaled, _ = intensity.normalise(array, None, spec)
    assert scaled.dtype == np.float32
    assert scaled.min() >= -1
    assert scaled.max() <= 1


def test_large_integers_keep_their_differences() -> None:
    array = (np.arange(8, dtype=np.int64) + 2**40).reshape(2, 2, 2)
    scaled, _ = intensity.normalise(array, None, {"name": "minmax"})
    assert len(np.unique(scaled)) == 8


def test_the_output_range_is_reached_at_both_ends_and_never_left() -> None:
    made = intensity.denormalise(np.array([-3, -1, 0, 1, 3], np.float32), {"value_range": [0, 255]})
    np.testing.assert_allclose(made, [0, 0, 127.5, 255, 255])
    assert made.dtype == np.float32


def test_constant_empty_and_non_finite_images_are_refused_with_a_sentence(a_ramp: np.ndarray) -> None:
    spec = {"name": "percentile", "lower": 1, "upper": 99}
    with pytest.raises(InputError, match="constant"):
        intensity.normalise(np.full((2, 2, 2), 5.0), None, spec)
    with pytest.raises(InputError, match="field of view is empty"):
        intensity.normalise(a_ramp, np.zeros(a_ramp.shape, bool), spec)
    broken = a_ramp.copy()
    broken[0, 0, 3] = np.nan
    with pytest.raises(InputError, match="NaN or infinite"):
        intensity.normalise(broken, None, spec)


def test_a_nan_outside_the_mask_does_no_harm(a_ramp: np.ndarray) -> None:
    broken = a_ramp.copy()
    broken[0, 0, 100] = np.nan
    scaled, _ = intensity.normalise(broken, np.isfinite(broken), {"name": "minmax"})
    assert np.isfinite(scaled).all()


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"name": "sorcery"}, "Unknown intensity normalisation"),
        ({"name": "minmax", "extra": 1}, "does not take"),
        ({"name": "percentile", "lower": 90, "upper": 10}, "must rise"),
        ({"name": "fixed", "lower": 2, "upper": 2}, "must rise"),
        ({"name": "fixed", "lower": -1e308, "upper": 1e308}, "Fixed bounds must lie within"),
        ({"name": "fixed", "lower": 0, "upper": 5e-324}, "Fixed bounds must lie within"),
        ({"name": "fixed", "lower": 0, "upper": 10**400}, "Fixed bounds must lie within"),
        ({"name": "fixed", "lower": 0, "upper": float("inf")}, "Fixed bounds must lie within"),
        ({"name": "from-zero", "percentile": 101}, "from zero needs a percentile"),
        ({"name": "from-zero", "factor": 0}, "from zero needs a percentile"),
        ({"name": "zscore", "width": 0}, "must be positive"),
        ({"name": "zscore", "width": 1e308}, "at most 1e6"),
    ],
)
def test_a_package_with_an_impossible_normalisation_is_refused(spec: dict, word: str) -> None:
    with pytest.raises(ModelRefused, match=word):
        intensity.from_dict(spec)


def test_an_output_range_that_falls_is_refused() -> None:
    with pytest.raises(ModelRefused, match="must rise"):
        intensity.denormalise(np.zeros(3, np.float32), {"value_range": [1, 0]})


@pytest.mark.parametrize("spec", SPECS[:4], ids=lambda spec: spec["name"])
@pytest.mark.parametrize("reach", [1.7e308, 1e-310])
def test_intensities_that_cannot_be_calculated_with_are_refused_without_a_warning(spec, reach, recwarn) -> None:
    array = reach * np.linspace(-1, 1, 64).reshape(4, 4, 4)
    with pytest.raises(InputError, match=r"too far or too little|constant"):
        intensity.normalise(array, None, spec)
    assert not recwarn.list


def test_one_wild_voxel_among_sound_ones_is_clipped(recwarn) -> None:
    array = np.linspace(0, 100, 1000).reshape(10, 10, 10)
    array[0, 0, 0] = 1e308
    scaled, _ = intensity.normalise(array, None, SPECS[0])
    assert np.isfinite(scaled).all()
    assert scaled[0, 0, 0] == 1
    assert not recwarn.list
