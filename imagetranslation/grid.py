"""From a volume's own grid to the grid a network was trained on, and back onto exactly the same voxels.

Two steps, both undone on the way back: the axes are permuted and flipped to the package's orientation (nearest axes;
no interpolation), then each axis is resampled linearly, with a widened kernel where it shrinks (no aliasing). Training
and inference use these same functions. Both ways work on a few slices at a time, so that neither holds a second volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .volume import Volume, axis_codes

UNKNOWN = "unknown"
_AXES = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
_ARRAY_AXIS = {"k": 0, "j": 1, "i": 2}
Place = tuple[slice, ...]
Prepare = Callable[[np.ndarray, Place], np.ndarray]
# Voxels worked on at once, and new voxels of an axis made at once: small enough for a processor's cache, and for
# memory not to depend on the volume.
_CHUNK, _BAND = 1 << 20, 64


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

    @property
    def resampled(self) -> bool:
        """Whether the model's grid has other voxels than the volume, not only other axes."""
        return not all(map(_unchanged, self.shape, self.model_shape, self.steps))

    def forward(self, array: np.ndarray) -> np.ndarray:
        """float32 (slice, row, column) on the model's grid from (k, j, i) on the volume's."""
        return self.read(array, tuple(slice(0, size) for size in self.model_shape))

    def read(self, array: np.ndarray, window: Place, prepare: Prepare | None = None) -> np.ndarray:
        """`forward(array)[window]`, made from those voxels alone that it needs, a few slices at a time.

        prepare: what is done to voxels before they are resampled: (block of `array` in the model's axes, its place in
        the whole in those axes) to float32 in memory of its own.
        """
        moved = self.reorientation.forward(array)
        maps = [self._axis(axis, part.start, part.stop) for axis, part in enumerate(window)]
        rows, columns = (slice(low, high) for low, high, _ in maps[1:])
        first, last, weights = maps[0]
        sizes = tuple(part.stop - part.start for part in window[1:])
        made = np.empty((last - first, *sizes), np.float32)
        for start, stop in _chunks(first, last, (rows.stop - rows.start) * (columns.stop - columns.start)):
            place = (slice(start, stop), rows, columns)
            block = moved[place]
            block = block.astype(np.float32) if prepare is None else prepare(block, place)
            made[start - first : stop - first] = _apply(_apply(block, 1, maps[1][2]), 2, maps[2][2])
        return _apply(made, 0, weights)

    def back(self, array: np.ndarray) -> np.ndarray:
        """float32 (k, j, i) on the volume's exact grid from (slice, row, column) on the model's."""
        result = np.empty([self.shape[axis] for axis in np.argsort(self.reorientation.order)], np.float32)
        self.back_into(result, np.asarray(array, dtype=np.float32))
        return result

    def back_into(self, target: np.ndarray, array: np.ndarray) -> None:
        """`back(array)` put into `target`, float32 (k, j, i), a few slices at a time."""
        moved = self.reorientation.forward(target)
        for start, stop in _chunks(0, self.shape[0], self.shape[1] * self.shape[2]):
            low, high, weights = _rows(self.model_shape[0], self.shape[0], 1 / self.steps[0], start, stop)
            block = _apply(array[low:high], 0, weights)
            for axis in (1, 2):
                size, step = self.shape[axis], 1 / self.steps[axis]
                block = _apply(block, axis, _rows(self.model_shape[axis], size, step, 0, size)[2])
            moved[start:stop] = block

    def reach(self, window: Place) -> Place:
        """Where in the volume, in the model's axes, a window of the model's grid has any influence."""
        found = []
        for part, size, step, new in zip(window, self.shape, self.steps, self.model_shape):
            centres = _centred(new, size, step)
            # As far as the kernel of the way back is wide; and to the end where the edge value is repeated.
            low, high = centres[part.start] - max(1.0, step), centres[part.stop - 1] + max(1.0, step)
            first = 0 if part.start == 0 else max(0, int(np.floor(low)))
            found.append(slice(first, size if part.stop == new else min(size, int(np.ceil(high)) + 1)))
        return tuple(found)

    def _axis(self, axis: int, start: int, stop: int) -> tuple[int, int, np.ndarray | None]:
        return _rows(self.shape[axis], self.model_shape[axis], self.steps[axis], start, stop)


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
    # One slice has no spacing to speak of (a planar image): it stays one.
    steps = tuple(want / have if size > 1 else 1.0 for size, have, want in zip(shape, spacing, wanted))
    model_shape = tuple(max(1, int(np.ceil(size / step - 1e-6))) for size, step in zip(shape, steps))
    return ModelGrid(reorientation, shape, model_shape, steps)


def _flip(array: np.ndarray, flips: tuple[bool, ...]) -> np.ndarray:
    return array[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]


def _centred(size: int, old_size: int, step: float) -> np.ndarray:
    """Positions, in old voxels, of `size` new voxels `step` apart whose middle is the old grid's middle."""
    return (np.arange(size) - (size - 1) / 2) * step + (old_size - 1) / 2


def _rows(old: int, new: int, step: float, start: int, stop: int) -> tuple[int, int, np.ndarray | None]:
    """What the new voxels from `start` to `stop` of an axis are made of: old voxels from the first to the second
    number, times weights (stop - start, second - first); None where they are these voxels themselves.

    Linear interpolation; the triangle kernel is widened to `step` voxels where that exceeds one.
    """
    if _unchanged(old, new, step):
        return start, stop, None
    positions, width = np.clip(_centred(new, old, step)[start:stop], 0, old - 1), max(1.0, step)
    low, high = max(0, int(np.ceil(positions[0] - width))), min(old, int(np.floor(positions[-1] + width)) + 1)
    return low, high, _weights(np.arange(low, high), positions, width)


def _unchanged(old: int, new: int, step: float) -> bool:
    """Whether the new voxels of an axis are the old ones, to a billionth of a voxel."""
    return old == new and abs(step - 1) * (old - 1) / 2 <= 1e-9


def _weights(old: np.ndarray, positions: np.ndarray, width: float) -> np.ndarray:
    """(len(positions), len(old)) float32 rows that sum to one; `positions` beyond the edge were put on it."""
    kernel = np.clip(1 - np.abs(positions[:, None] - old[None, :]) / width, 0, None)
    return (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)


def _apply(array: np.ndarray, axis: int, weights: np.ndarray | None) -> np.ndarray:
    """Weighted sums of (slice, row, column) along one axis; the array itself where there are no weights.

    Only the band of `weights` that is not zero is multiplied: a block of new voxels at a time with its old ones.
    """
    if weights is None:
        return array
    shape = list(array.shape)
    shape[axis] = len(weights)
    made = np.empty(shape, np.float32)
    for start in range(0, len(weights), _BAND):
        rows = weights[start : start + _BAND]
        used = np.flatnonzero(rows.any(axis=0))
        first, last = int(used[0]), int(used[-1]) + 1
        rows = np.ascontiguousarray(rows[:, first:last])
        if axis == 0:
            part = rows @ array[first:last].reshape(last - first, -1)
            made[start : start + _BAND] = part.reshape(len(rows), *shape[1:])
        elif axis == 1:
            np.matmul(rows, array[:, first:last], out=made[:, start : start + _BAND])
        else:
            np.matmul(array[:, :, first:last], rows.T, out=made[:, :, start : start + _BAND])
    return made


def _chunks(first: int, last: int, plane: int) -> Iterator[tuple[int, int]]:
    """Ranges of slices of about `_CHUNK` voxels from `first` to `last`."""
    size = max(1, _CHUNK // max(1, plane))
    for start in range(first, last, size):
        yield start, min(start + size, last)
