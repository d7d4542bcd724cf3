"""Statistics read a few slices at a time are those of numpy on the whole array, to the last bit where they count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetranslation import voxelvalues
from imagetranslation.voxelvalues import VoxelValues

KINDS = ["bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", ">i2", ">f4", "<f8"]
FRACTIONS = np.array([0, 0.005, 0.1, 1 / 3, 0.5, 0.9, 0.995, 1])


@pytest.fixture(autouse=True)
def in_small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voxelvalues, "_BLOCK", 50)


def voxels(kind: str, shape: tuple[int, ...], seed: int, levels: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(-levels, levels, shape)
    return (
        drawn / 7 if np.dtype(kind).kind == "f" else np.abs(drawn) if np.dtype(kind).kind in "bu" else drawn
    ).astype(kind)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    seed=st.integers(0, 100),
    levels=st.sampled_from([1, 3, 100, 20_000]),
    masked=st.booleans(),
)
def test_quantiles_are_numpys_to_the_last_bit(kind, shape, seed, levels, masked) -> None:
    array = voxels(kind, shape, seed, levels)
    mask = np.random.default_rng(seed).random(shape) < 0.7 if masked else None
    if mask is not None and not mask.any():
        mask[0, 0, 0] = True
    inside = (array if mask is None else array[mask]).astype(np.float64).ravel()
    values = VoxelValues(array, mask)
    np.testing.assert_array_equal(values.quantiles(FRACTIONS), np.quantile(inside, FRACTIONS))
    assert values.count == inside.size
    assert values.extremes() == (inside.min(), inside.max())
    mean, sd = values.mean_and_sd()
    assert mean == pytest.approx(inside.mean(), rel=1e-12, abs=1e-12)
    assert sd == pytest.approx(inside.std(), rel=1e-9, abs=1e-9)


def test_values_that_share_their_leading_bits_are_told_apart() -> None:
    array = (1e6 + np.arange(1000) * 0.0625).astype(np.float32).reshape(10, 10, 10)
    assert VoxelValues(array).quantiles(np.array([0.5]))[0] == np.quantile(array.astype(float), 0.5)
    large = (2**62 + np.arange(1000)).reshape(10, 10, 10)
    assert VoxelValues(large).quantiles(np.array([0.0]))[0] == 2.0**62


def test_negative_zero_and_both_ends_of_a_type_keep_their_order() -> None:
    array = np.array([[[-3e38, -1.0, -0.0, 0.0, 1e-45, 1.0, 3e38]]], np.float32)
    np.testing.assert_array_equal(
        VoxelValues(array).quantiles(np.array([0, 1 / 6, 2 / 3, 1])), np.float32([-3e38, -1, 1e-45, 3e38])
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_seen_inside_the_mask_only(bad: float) -> None:
    array = np.ones((4, 5, 6), np.float32)
    array[3, 4, 5] = bad
    assert not VoxelValues(array).finite()
    assert VoxelValues(array, np.isfinite(array)).finite()
