"""The images of a trial as one block of bytes for the page: numbers and pixels, no name that tells anything.

Which image it is, and that it was not touched since the reading set was made, is `readerstudy.readingset`'s matter;
drawing is the page's.
"""

from __future__ import annotations

import json
import struct
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...readerstudy.readingset import SOURCE, ReadingSet, Trial, reading_images
from ...slices import array_axis, picture, slice_count, useful_planes
from ...volume import Volume, index_to_lps

_CACHE_BYTES = 384 << 20
# Patient side at the negative and positive end of each LPS axis.
_SIDES = (("R", "L"), ("A", "P"), ("I", "S"))


def pane_label(reading: ReadingSet, trial: Trial, slot: str) -> str:
    """What stands over a picture: the source's own label, "Image" where there is one, otherwise "Image A", ..."""
    if slot == SOURCE:
        return reading.source_label or "Source"
    return "Image" if len(trial.slots) == 1 else f"Image {slot}"


def plane_of(volume: Volume, layout: str) -> str:
    """The plane of `slices` a layout asks for, "" for the slices as they were acquired.

    An image that is one voxel thick across the plane asked for is shown in one in which there is something to see.
    """
    useful = useful_planes(volume)
    wanted = layout.lower()
    return "" if wanted == "acquired" else wanted if wanted in useful else useful[0]


def planes_of(volume: Volume, layout: str) -> tuple[str, ...]:
    """The planes a reader may choose from, the study's own first: those that cut the volume in another direction and
    have something to show."""
    first = plane_of(volume, layout)
    cut = array_axis(volume, first) if first else 0
    return (first, *(plane for plane in useful_planes(volume) if array_axis(volume, plane) != cut))


@dataclass(frozen=True)
class Turn:
    """How a plane's slices lie in a volume's array. sizes: columns, rows, slices. corner: voxel index (i, j, k) at the
    first column, row and slice. steps: (3, 3), whose columns are the steps in (i, j, k) to the next column, row and
    slice; zero along an axis of one voxel."""

    sizes: tuple[int, int, int]
    corner: np.ndarray
    steps: np.ndarray


def turn(volume: Volume, plane: str) -> Turn:
    """See `Turn`. Found by turning the indices of a volume of two voxels an axis as `slices.picture` turns voxels."""
    shape = np.array(volume.array.shape)
    small = tuple(int(n) for n in np.minimum(shape, 2))
    grids = [Volume(grid, volume.spacing, volume.origin, volume.direction) for grid in reversed(np.indices(small))]
    turned = [_slices(grid, plane) for grid in grids]
    size = np.array(turned[0].shape)
    corner = np.array([axis[0, 0, 0] for axis in turned])
    steps = np.zeros((3, 3), dtype=int)
    for n, axis in enumerate((2, 1, 0)):
        there = [0, 0, 0]
        there[axis] = min(1, size[axis] - 1)
        steps[:, n] = [one[tuple(there)] for one in turned] - corner
    last = shape[::-1] - 1
    long = np.array([last[np.abs(column).argmax()] + 1 if column.any() else 1 for column in steps.T])
    return Turn((int(long[0]), int(long[1]), int(long[2])), np.where(corner > 0, last, 0), steps)


def _slices(volume: Volume, plane: str) -> np.ndarray:
    """(slice, row down, column right) of the volume's voxels in that plane, in leafing order."""
    if not plane:
        return volume.array
    return np.stack([picture(volume, plane, n).pixels for n in range(slice_count(volume, plane))])


def to_lps(volume: Volume, plane: str) -> np.ndarray:
    """(3, 4) matrix from (column, row, slice, 1) in that plane to LPS millimetres."""
    turned = turn(volume, plane)
    columns = [column.astype(float) for column in turned.steps.T]
    missing = [n for n, column in enumerate(columns) if not column.any()]
    free = [e for e in np.eye(3) if not any(np.abs(column @ e) for column in columns)]
    for n, direction in zip(missing, free):  # an axis of one voxel
        columns[n] = direction
    index = np.eye(4)
    index[:3, :4] = np.column_stack([*columns, turned.corner])
    return np.asarray((index_to_lps(volume) @ index)[:3])


def block(reading: ReadingSet, trial: Trial) -> bytes:
    """Every image of a trial: length of the header (uint32, little endian), header (JSON), voxels.

    The header lists the panes in the order they are shown: slot, label, number of voxels, planes. A plane says where
    among the voxels its first one lies (offset), how far it is to the next column, row and slice (strides) and how many
    there are of each, the matrix `to_lps`, the letters of the patient sides. Voxels follow pane by pane in the order of
    the volume's array, all low bytes and then all high bytes.
    Nothing is compressed, because a synthetic image compresses to another length than a real one: the length follows
    from the grid alone, which all images of a case share.
    Raises InputError naming the case by its number where an image is gone or was changed.
    """
    panes: list[dict[str, Any]] = []
    voxels: list[bytes] = []
    for slot, volume in reading_images(reading, trial).items():
        values = np.clip(volume.array, 0, 65535).astype("<u2")
        planes = [_plane(volume, plane) for plane in planes_of(volume, reading.layout)]
        label = pane_label(reading, trial, slot)
        panes.append({"slot": slot, "label": label, "voxels": values.size, "planes": planes})
        voxels += [(values & 255).astype(np.uint8).tobytes(), (values >> 8).astype(np.uint8).tobytes()]
    header = json.dumps({"panes": panes}).encode("utf-8")
    return b"".join([struct.pack("<I", len(header)), header, *voxels])


def _plane(volume: Volume, plane: str) -> dict[str, Any]:
    turned, matrix = turn(volume, plane), to_lps(volume, plane)
    strides = np.cumprod([1, *volume.array.shape[:0:-1]])
    columns, rows, slices = turned.sizes
    return {
        "name": plane or "acquired",
        "columns": columns,
        "rows": rows,
        "slices": slices,
        "offset": int(turned.corner @ strides),
        "strides": [int(step) for step in turned.steps.T @ strides],
        "to_lps": [[round(float(v), 6) for v in row] for row in matrix],
        "sides": [*_side_letters(matrix[:, 0]), *_side_letters(matrix[:, 1])],
    }


class Pictures:
    """Blocks of trials, the last ones used kept in memory. Thread-safe."""

    def __init__(self, reading: ReadingSet, most_bytes: int = _CACHE_BYTES) -> None:
        self._reading = reading
        self._most = most_bytes
        self._kept: OrderedDict[tuple[tuple[str, str], ...], bytes] = OrderedDict()
        self._guard = threading.Lock()

    def block(self, trial: Trial) -> bytes:
        """See `block`."""
        name = tuple(sorted(trial.images.items()))
        with self._guard:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        made = block(self._reading, trial)
        with self._guard:
            self._kept[name] = made
            while sum(map(len, self._kept.values())) > self._most and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return made


def _side_letters(direction: np.ndarray) -> tuple[str, str]:
    """Patient sides at the beginning and at the end of a direction (3,) in LPS."""
    axis = int(np.abs(direction).argmax())
    negative, positive = _SIDES[axis]
    return (negative, positive) if direction[axis] > 0 else (positive, negative)
