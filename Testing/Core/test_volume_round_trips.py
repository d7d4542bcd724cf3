"""Every grid and every number type survives being written and read in every format."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagetranslation.volume import Volume, corner_points, read_volume, write_volume

SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")
TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    """(3, 3) rotation about x, then y, then z."""
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        a, b = (n for n in range(3) if n != axis)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        result = turn @ result
    return result


@st.composite
def grids(draw: st.DrawFn) -> Volume:
    """Oblique, anisotropic, non-square, mirrored and single-voxel grids within a scanner's bore."""
    shape = draw(st.tuples(*[st.integers(1, 7)] * 3))
    spacing = draw(st.tuples(*[st.floats(0.05, 9.0)] * 3))
    origin = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    direction = rotation(draw(st.tuples(*[st.floats(-np.pi, np.pi)] * 3)))
    direction = direction[:, draw(st.permutations(range(3)))] * draw(st.tuples(*[st.sampled_from((-1, 1))] * 3))
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    return Volume(array, spacing, origin, tuple(float(v) for v in direction.ravel()))


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(volume=grids())
def test_any_grid_survives_a_round_trip(suffix, volume, tmp_path):
    back = read_volume(write_volume(volume, tmp_path / f"x{suffix}"))
    np.testing.assert_array_equal(back.array, volume.array)
    error = np.abs(corner_points(back) - corner_points(volume)).max()
    # NIfTI-1 stores 32 bit floats: half a unit in the last place of each term of a coordinate, up to 700 mm.
    allowed = 1e-5 if not suffix.startswith(".nii") else 6 * np.finfo(np.float32).eps * 700
    assert error <= allowed
    assert back.spacing == pytest.approx(volume.spacing, rel=1e-6)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_grid_near_the_scanners_centre_survives_to_a_hundred_thousandth_of_a_millimetre(suffix, tmp_path):
    direction = tuple(rotation((0.3, -0.2, 0.1)).ravel())
    volume = Volume(np.zeros((41, 59, 44), np.uint8), (0.4, 0.41, 0.6), (-9.3, -12.1, 4.7), direction)
    back = read_volume(write_volume(volume, tmp_path / f"x{suffix}"))
    assert np.abs(corner_points(back) - corner_points(volume)).max() <= 1e-5


def test_a_nifti_grid_read_and_written_again_does_not_creep(tmp_path):
    direction = tuple(rotation((0.3, -0.2, 0.1)).ravel())
    first = write_volume(Volume(np.zeros((30, 20, 10), np.uint8), (0.7, 0.9, 3.3), (301.7, -411.3, 97.1), direction),
                         tmp_path / "0.nii.gz")  # fmt: skip
    start = volume = read_volume(first)
    for n in range(1, 6):
        volume = read_volume(write_volume(volume, tmp_path / f"{n}.nii.gz"))
    assert np.abs(corner_points(volume) - corner_points(start)).max() <= 1e-4


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", TYPES)
def test_every_number_type_survives_with_its_extremes(kind, suffix, tmp_path):
    limits = np.iinfo(kind) if np.dtype(kind).kind in "ui" else np.finfo(kind)
    array = np.array([limits.min, limits.max, 0, 1], dtype=kind).reshape(1, 2, 2)
    back = read_volume(write_volume(Volume(array), tmp_path / f"x{suffix}"))
    assert back.array.dtype == np.dtype(kind)
    np.testing.assert_array_equal(back.array, array)


@pytest.mark.parametrize(("kind", "stored"), [("bool", "uint8"), ("float16", "float32"), (">i2", "int16")])
def test_types_the_formats_lack_become_the_next_larger(kind, stored, tmp_path):
    array = np.array([0, 1, 1, 0], dtype=kind).reshape(1, 2, 2)
    back = read_volume(write_volume(Volume(array), tmp_path / "x.nrrd"))
    assert back.array.dtype == np.dtype(stored)
    np.testing.assert_array_equal(back.array, array.astype(stored))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nan_and_infinity_survive_for_the_check_that_refuses_them(suffix, tmp_path):
    array = np.array([np.nan, np.inf, -np.inf, 1], np.float32).reshape(1, 2, 2)
    np.testing.assert_array_equal(read_volume(write_volume(Volume(array), tmp_path / f"x{suffix}")).array, array)


def test_an_array_that_is_a_view_is_written_in_its_own_order(tmp_path):
    array = np.arange(60, dtype=np.int32).reshape(3, 4, 5).transpose(2, 1, 0)[::-1]
    np.testing.assert_array_equal(read_volume(write_volume(Volume(array), tmp_path / "x.mha")).array, array)
