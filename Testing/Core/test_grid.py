"""The model's grid: axes found by header, nothing lost on the way back, straight lines kept straight."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetranslation.grid import model_grid
from imagetranslation.volume import Volume, axis_codes

from .reorienting import all_axis_orders


def inputs(orientation="unknown", slice_axis="k", mode="none", patch=(8, 8), spacing=None):
    return {
        "orientation": orientation,
        "slice_axis": slice_axis,
        "resampling": {"mode": mode, "spacing": spacing},
        "patch_size": list(patch),
    }


@pytest.fixture
def a_volume() -> Volume:
    array = np.random.default_rng(1).random((4, 5, 6)).astype(np.float32)
    return Volume(array, spacing=(0.5, 0.7, 2.0), origin=(10.0, -20.0, 30.0))


def test_all_48_axis_orders_reach_the_model_alike(a_volume: Volume) -> None:
    wanted = model_grid(a_volume, inputs("LPS")).forward(a_volume.array)
    orders = list(all_axis_orders(a_volume))
    assert len({axis_codes(v) for v in orders}) == 48
    for turned in orders:
        np.testing.assert_array_equal(model_grid(turned, inputs("LPS")).forward(turned.array), wanted)


@pytest.mark.parametrize("orientation", ["unknown", "LPS", "RAS", "PIR", "SAL"])
@pytest.mark.parametrize("slice_axis", ["k", "j", "i"])
def test_reorienting_is_undone_exactly(a_volume: Volume, orientation: str, slice_axis: str) -> None:
    grid = model_grid(a_volume, inputs(orientation, slice_axis))
    np.testing.assert_array_equal(grid.back(grid.forward(a_volume.array)), a_volume.array)


def test_the_slice_axis_comes_first(a_volume: Volume) -> None:
    assert model_grid(a_volume, inputs(slice_axis="k")).model_shape == (4, 5, 6)
    assert model_grid(a_volume, inputs(slice_axis="j")).model_shape == (5, 4, 6)
    assert model_grid(a_volume, inputs(slice_axis="i")).model_shape == (6, 4, 5)


def test_an_orientation_names_the_direction_in_which_each_index_grows(a_volume: Volume) -> None:
    """RAS against an LPS volume: i and j are turned, k is not."""
    seen = model_grid(a_volume, inputs("RAS")).forward(a_volume.array)
    np.testing.assert_array_equal(seen, a_volume.array[:, ::-1, ::-1])


@given(
    shape=st.tuples(*[st.integers(1, 20)] * 3),
    patch=st.tuples(*[st.integers(1, 40)] * 2),
    slice_axis=st.sampled_from("kji"),
)
@settings(max_examples=60, deadline=None)
def test_fitting_gives_the_patch_and_comes_back_to_the_shape(shape, patch, slice_axis) -> None:
    volume = Volume(np.random.default_rng(0).random(shape))
    grid = model_grid(volume, inputs(slice_axis=slice_axis, mode="fit", patch=patch))
    seen = grid.forward(volume.array)
    assert seen.shape[1:] == patch
    assert seen.dtype == np.float32
    assert grid.back(seen).shape == shape


@given(size=st.integers(2, 64), patch=st.integers(2, 64), value=st.floats(-1000, 1000))
@settings(max_examples=60, deadline=None)
def test_a_constant_stays_constant(size: int, patch: int, value: float) -> None:
    volume = Volume(np.full((2, size, size), value))
    grid = model_grid(volume, inputs(mode="fit", patch=(patch, patch)))
    np.testing.assert_allclose(grid.back(grid.forward(volume.array)), value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "patch"), [(16, 32), (32, 16), (59, 64), (512, 64), (7, 64)])
def test_a_ramp_stays_in_its_place(size: int, patch: int) -> None:
    """Positions are voxel centres of a common extent: inside, a ramp stays put to a tenth of a voxel."""
    ramp = np.broadcast_to((np.arange(size) + 0.5) / size, (1, size, size)).copy()
    grid = model_grid(Volume(ramp), inputs(mode="fit", patch=(patch, patch)))
    seen = grid.forward(ramp)[0, patch // 2]
    wanted = (np.arange(patch) + 0.5) / patch
    inner = slice(patch // 8 + 1, -(patch // 8) - 1)
    np.testing.assert_allclose(seen[inner], wanted[inner], atol=0.1 / size)
    back = grid.back(grid.forward(ramp))[0, size // 2]
    margin = max(2, size // 8 + size // patch)
    if size > 2 * margin:
        np.testing.assert_allclose(back[margin:-margin], ramp[0, 0, margin:-margin], atol=0.1 / size)


def test_shrinking_passes_over_no_voxel() -> None:
    """A single bright voxel anywhere is seen after shrinking fourfold; plain interpolation would miss every second."""
    for column in range(32):
        array = np.zeros((1, 4, 32), np.float32)
        array[..., column] = 1
        assert model_grid(Volume(array), inputs(mode="fit", patch=(4, 8))).forward(array).max() > 0.03, column


def test_shrinking_averages_instead_of_picking() -> None:
    """A checkerboard shrunk fourfold is grey: no aliasing."""
    board = np.indices((1, 64, 64)).sum(axis=0) % 2
    seen = model_grid(Volume(board.astype(float)), inputs(mode="fit", patch=(16, 16))).forward(board)
    np.testing.assert_allclose(seen[0, 2:-2, 2:-2], 0.5, atol=0.02)


def test_spacing_mode_gives_the_wanted_voxel_size(a_volume: Volume) -> None:
    fine = replace(a_volume, array=np.zeros((10, 20, 30)), spacing=(1.0, 1.0, 2.0))
    grid = model_grid(fine, inputs(mode="spacing", spacing=[2.0, 2.0, 0.5]))
    assert grid.model_shape == (10, 10, 60)
    assert grid.steps == (1.0, 2.0, 0.5)


def test_a_planar_image_stays_one_slice_whatever_its_thickness() -> None:
    planar = Volume(np.zeros((1, 20, 30)), spacing=(1.2, 1.2, 7.0))
    grid = model_grid(planar, inputs(mode="spacing", spacing=[1.0, 2.4, 2.4]))
    assert grid.model_shape == (1, 10, 15)
    assert grid.back(grid.forward(planar.array)).shape == planar.array.shape


def test_spacing_follows_the_axes_when_they_are_turned(a_volume: Volume) -> None:
    for turned in itertools.islice(all_axis_orders(a_volume), 0, 48, 7):
        grid = model_grid(turned, inputs("LPS", mode="spacing", spacing=[2.0, 0.7, 0.25]))
        assert grid.model_shape == (4, 5, 12)


RESAMPLINGS = [
    {"mode": "fit", "patch": (8, 10)},
    {"mode": "fit", "patch": (30, 44)},
    {"mode": "spacing", "spacing": [0.5, 1.3, 4.0]},
    {"mode": "none"},
]


@pytest.mark.parametrize("settings", RESAMPLINGS)
@pytest.mark.parametrize("orientation", ["LPS", "RSA"])
def test_a_window_is_made_of_what_it_needs_and_equals_that_part_of_the_whole(settings, orientation) -> None:
    volume = Volume(np.random.default_rng(1).random((13, 21, 17), np.float32), spacing=(0.8, 1.0, 3.0))
    made = model_grid(volume, inputs(orientation, **settings))
    whole = made.forward(volume.array)
    for seed in range(12):
        ends = [
            np.sort(np.random.default_rng((seed, n)).choice(size + 1, 2, replace=False))
            for n, size in enumerate(whole.shape)
        ]
        window = tuple(slice(int(a), int(b)) for a, b in ends)
        np.testing.assert_allclose(made.read(volume.array, window), whole[window], atol=1e-6)


@pytest.mark.parametrize("settings", RESAMPLINGS)
@pytest.mark.parametrize("orientation", ["LPS", "RSA"])
def test_the_reach_of_a_window_is_all_that_it_changes_in_the_volume(settings, orientation) -> None:
    volume = Volume(np.zeros((13, 21, 17), np.float32), spacing=(0.8, 1.0, 3.0))
    made = model_grid(volume, inputs(orientation, **settings))
    for seed in range(12):
        ends = [
            np.sort(np.random.default_rng((seed, n)).choice(size + 1, 2, replace=False))
            for n, size in enumerate(made.model_shape)
        ]
        window = tuple(slice(int(a), int(b)) for a, b in ends)
        produced = np.zeros(made.model_shape, np.float32)
        produced[window] = 1
        changed = made.reorientation.forward(made.back(produced)) != 0
        reached = np.zeros(changed.shape, bool)
        reached[made.reach(window)] = True
        assert changed.any()
        assert not (changed & ~reached).any()
