"""Slices: the right plane, the right way round, in one order, for every way a grid can lie in the patient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from imagetranslation import slices
from imagetranslation.volume import Volume, index_to_lps

SIDES = {"R": (0, -1), "L": (0, 1), "A": (1, -1), "P": (1, 1), "I": (2, -1), "S": (2, 1)}


def grids():
    """All 48 ways of laying a 3 x 4 x 5 grid along the patient's axes."""
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            direction = np.zeros((3, 3))
            for column, (row, sign) in enumerate(zip(order, signs)):
                direction[row, column] = sign
            yield Volume(np.zeros((3, 4, 5)), (1.0, 2.0, 3.0), (7.0, -8.0, 9.0), tuple(direction.ravel()))


def painted(volume: Volume) -> Volume:
    """The same grid, each voxel holding 1000 L + 100 P + S of its own place (millimetres)."""
    k, j, i = np.indices(volume.array.shape)
    places = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ index_to_lps(volume).T
    return volume.with_array(places[..., 0] * 10000 + places[..., 1] * 100 + places[..., 2])


@pytest.mark.parametrize("plane", slices.PLANES)
def test_a_picture_runs_towards_the_sides_its_letters_name_on_every_grid(plane):
    weights = np.array([10000, 100, 1])
    for volume in map(painted, grids()):
        shown = slices.picture(volume, plane, 0)
        steps = {
            shown.right: shown.pixels[0, -1] - shown.pixels[0, 0],
            shown.bottom: shown.pixels[-1, 0] - shown.pixels[0, 0],
        }
        sizes = {shown.right: shown.width_mm, shown.bottom: shown.height_mm}
        counts = {shown.right: shown.pixels.shape[1], shown.bottom: shown.pixels.shape[0]}
        for letter, step in steps.items():
            axis, sign = SIDES[letter]
            length = sizes[letter] * (counts[letter] - 1) / counts[letter]
            assert step == pytest.approx(sign * weights[axis] * length)


@pytest.mark.parametrize(
    ("plane", "letters", "numbered_towards"),
    [("axial", "RLAP", "S"), ("sagittal", "APSI", "L"), ("coronal", "RLSI", "A")],
)
def test_pictures_follow_the_radiological_convention(plane, letters, numbered_towards):
    axis, sign = SIDES[numbered_towards]
    for volume in grids():
        shown = slices.picture(volume, plane, 0)
        assert shown.left + shown.right + shown.top + shown.bottom == letters == "".join(slices.side_letters(plane))
        step = slices.slice_centre(volume, plane, 1) - slices.slice_centre(volume, plane, 0)
        assert step[axis] * sign > 0


@pytest.mark.parametrize("plane", slices.PLANES)
def test_the_number_of_a_slice_is_found_again_from_its_centre(plane):
    for volume in grids():
        for number in range(slices.slice_count(volume, plane)):
            assert slices.nearest_number(volume, plane, slices.slice_centre(volume, plane, number)) == number


def test_a_point_outside_gives_the_first_or_last_slice():
    volume = Volume(np.zeros((3, 4, 5)))
    assert slices.nearest_number(volume, "axial", np.array([0, 0, -50.0])) == 0
    assert slices.nearest_number(volume, "axial", np.array([0, 0, 50.0])) == 2


def test_each_plane_has_its_own_axis_even_when_the_grid_is_turned_by_half_a_right_angle():
    c = np.sqrt(0.5)
    volume = Volume(np.zeros((3, 4, 5)), direction=(c, -c, 0, c, c, 0, 0, 0, 1))
    assert sorted(slices.array_axis(volume, plane) for plane in slices.PLANES) == [0, 1, 2]


def test_a_number_beyond_the_last_slice_is_an_error():
    with pytest.raises(IndexError, match="there are 3 axial slices"):
        slices.array_index(Volume(np.zeros((3, 4, 5))), "axial", 3)


@pytest.mark.parametrize(
    ("shape", "useful"),
    [
        ((4, 5, 6), ("axial", "sagittal", "coronal")),
        ((1, 5, 6), ("axial",)),
        ((4, 5, 1), ("sagittal",)),
        ((1, 1, 6), ("axial",)),
    ],
)
def test_only_planes_that_make_a_picture_are_useful(shape, useful):
    assert slices.useful_planes(Volume(np.zeros(shape))) == useful
