"""The window planner: everything covered, nothing cut twice without need, weights that blend."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetranslation import windows
from imagetranslation.windows import gaussian_weights, plan


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


@pytest.mark.parametrize("patch", [(8,), (1, 16, 16), (5, 6, 7)])
def test_gaussian_weights_peak_at_the_centre_and_never_vanish(patch: tuple[int, ...]) -> None:
    weights = gaussian_weights(patch)
    assert weights.shape == patch
    assert weights.dtype == np.float32
    assert weights.max() == 1
    assert weights.min() >= 1e-3
    assert weights[tuple((n - 1) // 2 for n in patch)] == 1


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 40, 9), (20, 64, 65), (3, 200, 17)])
@pytest.mark.parametrize("patch", [(16, 16), (1, 1), (4, 16, 33)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.9])
def test_windows_are_counted_as_they_are_planned(shape, patch, overlap):
    made = windows.plan(shape, patch, overlap)
    assert windows.count(shape, patch, overlap) == len(made.windows)
    assert windows.padded_shape(shape, patch) == made.padded_shape
