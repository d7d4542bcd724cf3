"""One volume stored in every axis order: the same physical image 48 times, headers adjusted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from imagetranslation.volume import Volume, index_to_lps


def all_axis_orders(volume: Volume) -> Iterator[Volume]:
    """Every permutation and flip of the axes, with geometry such that each voxel keeps its place in the patient."""
    for order in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            yield _turned(volume, order, flips)


def _turned(volume: Volume, order: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """order: for each new array axis the old one (0 = k, 1 = j, 2 = i). flips: of the new array axes."""
    array = np.transpose(volume.array, order)
    array = array[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
    matrix = index_to_lps(volume)
    columns, start = [], np.array([0.0, 0.0, 0.0, 1.0])
    for old, flip in zip(order, flips):
        axis = 2 - old
        columns.append(matrix[:3, axis] * (-1 if flip else 1))
        if flip:
            start[axis] = volume.array.shape[old] - 1
    columns = columns[::-1]
    spacing = [float(np.linalg.norm(c)) for c in columns]
    direction = np.stack([c / s for c, s in zip(columns, spacing)], axis=1)
    return replace(
        volume,
        array=np.ascontiguousarray(array),
        spacing=(spacing[0], spacing[1], spacing[2]),
        origin=tuple(float(x) for x in (matrix @ start)[:3]),
        direction=tuple(float(x) for x in direction.ravel()),
    )
