"""From a volume's own grid to the grid a network was trained on, and back onto exactly the same voxels.

Two steps, both undone on the way back: the axes are permuted and flipped to the package's orientation (nearest axes;
no interpolation), then each axis is resampled linearly, with a widened kernel where it shrinks (no aliasing). Training
and inference use these same functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .volume import Volume, axis_codes

UNKNOWN = "unknown"
_AXES = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
_ARRAY_AXIS = {"k": 0, "j": 1, "i": 2}


@dataclass(frozen=True)
class Reorientation:
    """A permutation and flips of array axes: `forward` to the model's axes, `back` to the volume's.

    order: for each model array axis (slice, row, column), the volume's array axis (k, j, i). flips: whether each
    model array axis runs against the volume's.
    """

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def forward(self, array: np.ndarray) -> np.ndarray:
        """View of `array` (k, j, i) in the model's axes."""
        return _flip(np.transpose(array, self.order), self.flips)

    def back(self, array: np.ndarray) -> np.ndarray:
        """Inverse of `forward`."""
        return np.transpose(_flip(array, self.flips), np.argsort(self.order))


@dataclass(frozen=True)
class ModelGrid:
    """The model's grid for one volume.

    reorientation: axes. shape: voxels after reorientation (the volume's own, model order). model_shape: voxels the
    network sees. steps: size of one model voxel in volume voxels, per axis.
    """

    reorientation: Reorientation
    shape: tuple[int, ...]
    model_shape: tuple[int, ...]
    steps: tuple[float, ...]

    def forward(self, array: np.ndarray) -> np.ndarray:
        """float32 (slice, row, column) on the model's grid from (k, j, i) on the volume's."""
        moved = np.ascontiguousarray(self.reorientation.forward(array), dtype=np.float32)
        for axis, (size, step) in enumerate(zip(self.model_shape, self.steps)):
            moved = _resample(moved, axis, _centred(size, moved.shape[axis], step), step)
        return moved

    def back(self, array: np.ndarray) -> np.ndarray:
        """float32 (k, j, i) on the volume's exact grid from (slice, row, column) on the model's."""
        moved = np.asarray(array, dtype=np.float32)
        for axis, (size, step) in enumerate(zip(self.shape, self.steps)):
            moved = _resample(moved, axis, _centred(size, moved.shape[axis], 1 / step), 1 / step)
        return np.ascontiguousarray(self.reorientation.back(moved))


def model_grid(volume: Volume, inputs: dict[str, Any]) -> ModelGrid:
    """The grid on which a package's network sees `volume`.

    inputs: the `network_data_format.inputs.image` mapping of a model package (orientation, slice_axis, resampling,
    patch_size, spatial_dims).
    """
    reorientation = _reorientation(volume, inputs["orientation"], inputs["slice_axis"])
    shape = tuple(volume.array.shape[axis] for axis in reorientation.order)
    spacing = tuple(volume.spacing[::-1][axis] for axis in reorientation.order)
    mode = inputs["resampling"]["mode"]
    if mode == "fit":
        return _fit(reorientation, shape, tuple(inputs["patch_size"]))
    if mode == "spacing":
        wanted = tuple(inputs["resampling"]["spacing"])
        return _respace(reorientation, shape, spacing, wanted)
    return ModelGrid(reorientation, shape, shape, (1.0, 1.0, 1.0))


def _reorientation(volume: Volume, orientation: str, slice_axis: str) -> Reorientation:
    order, flips = [0, 1, 2], [False, False, False]
    if orientation != UNKNOWN:
        own = axis_codes(volume)
        for axis, code in enumerate(orientation):
            patient, sign = _AXES[code]
            match = next(n for n, letter in enumerate(own) if _AXES[letter][0] == patient)
            order[2 - axis] = 2 - match
            flips[2 - axis] = _AXES[own[match]][1] != sign
    first = _ARRAY_AXIS[slice_axis]
    moved = [first, *(axis for axis in range(3) if axis != first)]
    chosen, turned = [order[axis] for axis in moved], [flips[axis] for axis in moved]
    return Reorientation((chosen[0], chosen[1], chosen[2]), (turned[0], turned[1], turned[2]))


def _fit(reorientation: Reorientation, shape: tuple[int, ...], patch: tuple[int, ...]) -> ModelGrid:
    model_shape = (*shape[: 3 - len(patch)], *patch)
    steps = tuple(have / want for have, want in zip(shape, model_shape))
    return ModelGrid(reorientation, shape, model_shape, steps)


def _respace(
    reorientation: Reorientation, shape: tuple[int, ...], spacing: tuple[float, ...], wanted: tuple[float, ...]
) -> ModelGrid:
    steps = tuple(want / have for have, want in zip(spacing, wanted))
    model_shape = tuple(max(1, int(np.ceil(size / step - 1e-6))) for size, step in zip(shape, steps))
    return ModelGrid(reorientation, shape, model_shape, steps)


def _flip(array: np.ndarray, flips: tuple[bool, ...]) -> np.ndarray:
    return array[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]


def _centred(size: int, old_size: int, step: float) -> np.ndarray:
    """Positions, in old voxels, of `size` new voxels `step` apart whose middle is the old grid's middle."""
    return (np.arange(size) - (size - 1) / 2) * step + (old_size - 1) / 2


def _resample(array: np.ndarray, axis: int, positions: np.ndarray, step: float) -> np.ndarray:
    """Linear interpolation along one axis; the triangle kernel is widened to `step` voxels where that exceeds one."""
    if array.shape[axis] == len(positions) and np.allclose(positions, np.arange(len(positions)), atol=1e-9):
        return array
    weights = _weights(array.shape[axis], positions, max(1.0, step))
    return np.ascontiguousarray(np.moveaxis(np.tensordot(weights, array, axes=(1, axis)), 0, axis))


def _weights(size: int, positions: np.ndarray, width: float) -> np.ndarray:
    """(len(positions), size) float32 rows that sum to one; beyond the edge the edge value holds."""
    inside = np.clip(positions, 0, size - 1)
    distance = np.abs(inside[:, None] - np.arange(size)[None, :]) / width
    kernel = np.clip(1 - distance, 0, None)
    return (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
