"""Which slices of a volume are axial, sagittal and coronal, how they are numbered, and the picture each one makes.

Shared by the static sheet and the browser viewer, so that both show the same slice the same way round. Grey values are
left to `appearance`; drawing in a MRML scene to the viewer.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from .volume import Volume, index_to_lps

PLANES = ("axial", "sagittal", "coronal")

# For each plane, in LPS: the direction in which slices are numbered, the one to the right of the screen and the one
# down the screen. Radiological convention: the patient's left is at the screen's right, front or head is up; in
# sagittal pictures the front is at the left. Numbering: towards the head, the left and the front.
_AXES = {
    "axial": ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
    "sagittal": ((1, 0, 0), (0, 1, 0), (0, 0, -1)),
    "coronal": ((0, -1, 0), (1, 0, 0), (0, 0, -1)),
}
_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))


@dataclass(frozen=True)
class Picture:
    """One slice as it is put on the screen.

    pixels: (row down, column right), the volume's own voxels. width_mm, height_mm: physical extent, voxel edges
    included. left, right, top, bottom: letter of the patient side there (R L A P I S).
    """

    pixels: np.ndarray
    width_mm: float
    height_mm: float
    left: str
    right: str
    top: str
    bottom: str


def array_axis(volume: Volume, plane: str) -> int:
    """The array axis (0 = k, 1 = j, 2 = i) whose slices are nearest to the plane; each plane gets another one."""
    patient_axis = {"axial": 2, "sagittal": 0, "coronal": 1}[plane]
    return 2 - _grid_axes(volume)[patient_axis]


def slice_count(volume: Volume, plane: str) -> int:
    """Number of slices of that plane."""
    return int(volume.array.shape[array_axis(volume, plane)])


def useful_planes(volume: Volume) -> tuple[str, ...]:
    """The planes whose pictures have more than one row and column; never empty."""
    useful = []
    for plane in PLANES:
        axis = array_axis(volume, plane)
        if all(size > 1 for other, size in enumerate(volume.array.shape) if other != axis):
            useful.append(plane)
    return tuple(useful) or (max(PLANES, key=lambda plane: _area(volume, plane)),)


def array_index(volume: Volume, plane: str, number: int) -> int:
    """Array index along `array_axis` of the slice `number`, counted from 0 in leafing order (see `_AXES`)."""
    axis = array_axis(volume, plane)
    size = volume.array.shape[axis]
    if not 0 <= number < size:
        raise IndexError(f"there are {size} {plane} slices; got number {number}")
    return number if _sign(volume, axis, _AXES[plane][0]) > 0 else size - 1 - number


def slice_centre(volume: Volume, plane: str, number: int) -> np.ndarray:
    """(3,) LPS millimetres of the middle of that slice."""
    axis = array_axis(volume, plane)
    index = [(size - 1) / 2 for size in volume.array.shape]
    index[axis] = array_index(volume, plane, number)
    return (index_to_lps(volume) @ [*reversed(index), 1.0])[:3]


def nearest_number(volume: Volume, plane: str, point: np.ndarray) -> int:
    """Leafing number of the slice nearest to the LPS point (3,), clipped to the volume."""
    axis = array_axis(volume, plane)
    index = (np.linalg.inv(index_to_lps(volume)) @ [*point, 1.0])[2 - axis]
    size = volume.array.shape[axis]
    nearest = int(np.clip(np.floor(index + 0.5), 0, size - 1))
    return nearest if _sign(volume, axis, _AXES[plane][0]) > 0 else size - 1 - nearest


def picture(volume: Volume, plane: str, number: int) -> Picture:
    """The slice as a picture in radiological convention, without interpolation."""
    axis = array_axis(volume, plane)
    pixels = np.take(volume.array, array_index(volume, plane, number), axis=axis)
    _, right, down = _AXES[plane]
    rest = [a for a in range(3) if a != axis]
    right_axis = _matching(volume, rest, right)
    down_axis = rest[0] if right_axis == rest[1] else rest[1]
    if right_axis == rest[0]:
        pixels = pixels.T
    if _sign(volume, right_axis, right) < 0:
        pixels = pixels[:, ::-1]
    if _sign(volume, down_axis, down) < 0:
        pixels = pixels[::-1]
    left_letter, right_letter = _side_letters(right)
    top_letter, bottom_letter = _side_letters(down)
    return Picture(
        pixels=pixels,
        width_mm=float(pixels.shape[1] * volume.spacing[2 - right_axis]),
        height_mm=float(pixels.shape[0] * volume.spacing[2 - down_axis]),
        left=left_letter,
        right=right_letter,
        top=top_letter,
        bottom=bottom_letter,
    )


def side_letters(plane: str) -> tuple[str, str, str, str]:
    """Patient sides at the left, right, top and bottom of that plane's picture."""
    _, right, down = _AXES[plane]
    return (*_side_letters(right), *_side_letters(down))


def _side_letters(direction: tuple[int, int, int]) -> tuple[str, str]:
    axis = next(a for a, part in enumerate(direction) if part)
    negative, positive = _LETTERS[axis]
    return (negative, positive) if direction[axis] > 0 else (positive, negative)


def _grid_axes(volume: Volume) -> tuple[int, int, int]:
    """For the patient axes L, P, S the grid axis (0 = i, 1 = j, 2 = k) that runs most along each, all different."""
    along = np.abs(np.asarray(volume.direction, dtype=float).reshape(3, 3))
    best = max(itertools.permutations(range(3)), key=lambda axes: sum(along[row, axes[row]] for row in range(3)))
    return best[0], best[1], best[2]


def _sign(volume: Volume, axis: int, towards: tuple[int, int, int]) -> float:
    direction = np.asarray(volume.direction, dtype=float).reshape(3, 3)[:, 2 - axis]
    return float(direction @ towards)


def _matching(volume: Volume, axes: list[int], towards: tuple[int, int, int]) -> int:
    patient_axis = next(a for a, part in enumerate(towards) if part)
    wanted = 2 - _grid_axes(volume)[patient_axis]
    return wanted if wanted in axes else axes[0]


def _area(volume: Volume, plane: str) -> int:
    axis = array_axis(volume, plane)
    return int(np.prod([size for other, size in enumerate(volume.array.shape) if other != axis]))
