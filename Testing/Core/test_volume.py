"""The Volume itself: what its axes are called, and whether it can be used at all."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.volume import Volume, axis_codes, check_usable, corner_points, index_to_lps


def turned(*columns: tuple[float, float, float]) -> tuple[float, ...]:
    """A direction from its three columns."""
    return tuple(np.column_stack(columns).ravel())


@pytest.fixture
def ramp() -> Volume:
    """24 different values on an anisotropic grid away from the origin."""
    return Volume(np.arange(24, dtype=np.float32).reshape(2, 3, 4), (0.5, 2.0, 7.0), (10.0, -20.0, 30.0))


def test_identity_axes_are_called_lps(ramp):
    assert axis_codes(ramp) == "LPS"


@pytest.mark.parametrize(
    ("direction", "codes"),
    [
        (turned((-1, 0, 0), (0, -1, 0), (0, 0, 1)), "RAS"),
        (turned((0, 1, 0), (0, 0, -1), (-1, 0, 0)), "PIR"),
        (turned((0, 0, 1), (1, 0, 0), (0, 1, 0)), "SLP"),
        (turned((0.9, 0.43, 0), (-0.43, 0.9, 0), (0, 0, -1)), "LPI"),
    ],
)
def test_axes_are_named_by_the_direction_their_index_grows_in(direction, codes):
    assert axis_codes(Volume(np.zeros((1, 1, 1)), direction=direction)) == codes


def test_an_oblique_grid_uses_each_anatomical_axis_once():
    half = np.sqrt(0.5)
    direction = turned((half, half, 0), (half, -half, 0), (0, 0, -1))
    assert sorted(c for c in axis_codes(Volume(np.zeros((1, 1, 1)), direction=direction)).translate(
        str.maketrans("RAI", "LPS"))) == ["L", "P", "S"]  # fmt: skip


def test_index_to_lps_places_the_last_voxel_at_a_corner(ramp):
    last = index_to_lps(ramp) @ (3, 2, 1, 1)
    np.testing.assert_allclose(last[:3], (11.5, -16.0, 37.0))
    assert (np.abs(corner_points(ramp) - last[:3]).max(axis=1) < 1e-9).sum() == 1


def test_grids_that_differ_by_a_hundredth_of_a_millimetre_are_not_the_same(ramp):
    moved = Volume(ramp.array, ramp.spacing, (10.01, -20.0, 30.0))
    assert ramp.same_grid(ramp)
    assert not ramp.same_grid(moved)


def test_a_usable_image_passes(ramp):
    check_usable(ramp)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_refused_with_its_place(ramp, value):
    array = ramp.array.copy()
    array[1, 2, 3] = value
    with pytest.raises(InputError, match=r"1 voxel that is NaN or infinite.*slice 1, row 2, column 3"):
        check_usable(ramp.with_array(array))


def test_several_bad_values_are_counted(ramp):
    array = ramp.array.copy()
    array[0, :, 1] = np.nan
    with pytest.raises(InputError, match="3 voxels that are NaN"):
        check_usable(ramp.with_array(array))


@pytest.mark.parametrize("kind", ["uint8", "int64", "float64"])
def test_a_constant_image_is_refused(kind):
    with pytest.raises(InputError, match="constant: every voxel is 7"):
        check_usable(Volume(np.full((2, 2, 2), 7, kind)))


def test_an_image_without_voxels_is_refused():
    with pytest.raises(InputError, match="has no voxels"):
        check_usable(Volume(np.zeros((0, 2, 2))))


def test_importing_the_volume_brings_in_no_imaging_library(repository):
    code = (
        "import sys, imagetranslation.volume, imagetranslation.dicomio, imagetranslation.formats\n"
        "print([m for m in ('SimpleITK', 'pydicom', 'torch', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
