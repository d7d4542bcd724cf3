"""The window planner: everything covered, nothing cut twice without need, weights that blend."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetranslation import windows
from imagetranslation.windows import FLOOR, SIGMA, largest_plan, plan


@given(
    shape=st.tuples(*[st.integers(1, 60)] * 3),
    patch=st.tuples(*[st.integers(1, 32)] * 3),
    overlap=st.floats(0, 0.75),
)
@settings(max_examples=100, deadline=None)
def test_windows_cover_every_voxel_and_stay_inside(shape, patch, overlap) -> None:
    made = plan(shape, patch, overlap)
    covered = np.zeros(made.padded_shape, dtype=int)
    for window in made.windows:
        assert all(s.start >= 0 and s.stop <= n for s, n in zip(window, made.padded_shape))
        assert tuple(s.stop - s.start for s in window) == patch
        covered[window] += 1
    assert covered.min() >= 1
    assert all(p >= s for p, s in zip(made.padded_shape, shape))


@given(size=st.integers(1, 300), patch=st.integers(2, 64))
@settings(max_examples=100, deadline=None)
def test_no_more_windows_than_the_overlap_asks_for(size: int, patch: int) -> None:
    made = plan((1, size, patch), (patch, patch), 0.25)
    fewest = 1 if size <= patch else math.ceil((size - patch) / max(1.0, 0.75 * patch) - 1e-9) + 1
    assert len(made.windows) == fewest


def test_a_2d_model_gets_one_window_a_slice_when_the_slice_is_its_patch() -> None:
    assert len(plan((41, 64, 64), (64, 64), 0.5).windows) == 41


def test_windows_are_evenly_spread() -> None:
    starts = [w[1].start for w in plan((1, 100, 32), (32, 32), 0.25).windows]
    assert starts == [0, 23, 45, 68]


def test_windows_start_at_multiples_where_the_ends_allow_it() -> None:
    assert plan((128, 256, 256), (64, 128, 128), 0.25, 8).starts == ((0, 32, 64), (0, 64, 128), (0, 64, 128))
    assert plan((1, 104, 32), (32, 32), 0.25, 8).starts[1] == (0, 24, 48, 72)
    assert plan((1, 100, 32), (32, 32), 0.25, 8).starts[1] == (0, 23, 45, 68)


@given(
    shape=st.tuples(*[st.integers(1, 80)] * 3),
    patch=st.tuples(*[st.integers(1, 4)] * 3),
    overlap=st.floats(0, 0.75),
    most=st.integers(1, 1 << 18),
)
@settings(max_examples=200, deadline=None)
def test_larger_windows_cover_everything_within_the_memory(shape, patch, overlap, most) -> None:
    patch = tuple(8 * n for n in patch)
    made = largest_plan(shape, patch, overlap, 8, most)
    covered = np.zeros(made.padded_shape, dtype=int)
    for window in made.windows:
        assert all(s.stop <= n for s, n in zip(window, made.padded_shape))
        covered[window] += 1
    assert covered.min() >= 1
    assert len(made) == len(made.windows)
    if made.patch != patch:
        assert math.prod(made.patch) <= most
        assert all(size % 8 == 0 for size in made.patch)
        assert all(start % 8 == 0 for axis in made.starts for start in axis)
    work = len(made) * math.prod(made.patch)
    own = plan(shape, patch, overlap)
    assert work <= len(own) * math.prod(own.patch) or made.patch == patch


def test_what_fits_is_one_window() -> None:
    whole = largest_plan((100, 250, 256), (64, 128, 128), 0.25, 16, 1 << 23)
    assert (len(whole), whole.patch, whole.shape) == (1, (112, 256, 256), (100, 250, 256))
    flat = largest_plan((3, 250, 256), (64, 64), 0.25, 16, 1 << 23)
    assert (len(flat), flat.patch) == (3, (1, 256, 256))


def test_windows_larger_than_the_patch_share_as_many_voxels_as_those_of_the_patch_would() -> None:
    made = largest_plan((128, 256, 256), (64, 128, 128), 0.25, 8, 5 << 20)
    assert (made.patch, made.starts) == ((128, 256, 144), ((0,), (0,), (0, 112)))


@pytest.mark.parametrize("blending", ["gaussian", "constant"])
@pytest.mark.parametrize(
    ("shape", "patch"), [((7, 40, 9), (4, 16, 16)), ((5, 41, 30), (16, 8)), ((64, 1, 90), (16,) * 3)]
)
def test_weights_add_up_to_one_at_every_voxel(blending: str, shape: tuple, patch: tuple) -> None:
    made = plan(shape, patch, 0.3)
    total = np.zeros(made.padded_shape)
    for window in made.windows:
        weight = np.ones(made.patch)
        for axis, table in enumerate(made.weights(blending)):
            if table is not None:
                assert table[window[axis].start].dtype == np.float32
                weight *= table[window[axis].start].reshape([-1 if n == axis else 1 for n in range(3)])
        total[window] += weight
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_gaussian_weights_are_the_three_dimensional_gaussian_over_its_sum() -> None:
    made = plan((20, 30, 1), (12, 16, 1), 0.25)
    axes = [np.maximum(np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (SIGMA * n)) ** 2), FLOOR) for n in made.patch]
    blob = axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :]
    total = np.zeros(made.padded_shape)
    for window in made.windows:
        total[window] += blob
    tables = made.weights("gaussian")
    for window in made.windows:
        ours = tables[0][window[0].start][:, None, None] * tables[1][window[1].start][None, :, None]
        np.testing.assert_allclose(ours, blob / total[window], rtol=1e-5)


def test_windows_that_share_nothing_need_no_weights() -> None:
    assert plan((6, 64, 33), (32, 32), 0).weights("gaussian")[:2] == (None, None)


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 40, 9), (20, 64, 65), (3, 200, 17)])
@pytest.mark.parametrize("patch", [(16, 16), (1, 1), (4, 16, 33)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.9])
def test_windows_are_counted_as_they_are_planned(shape, patch, overlap):
    made = windows.plan(shape, patch, overlap)
    assert windows.count(shape, patch, overlap) == len(made.windows)
    assert windows.padded_shape(shape, patch) == made.padded_shape
