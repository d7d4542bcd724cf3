"""Which windows cover a volume, and how overlapping results are blended.

A model has one patch size; a package may allow larger windows, up to the whole slice or volume. The plan says which
windows there are and with what weights their results are added, not how they are computed: that is `sliding`'s affair,
and how large a window the memory allows is `activations`'.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Window = tuple[slice, ...]
# Width of the Gaussian, as a fraction of the window, and its least value along one axis.
SIGMA, FLOOR = 0.125, 1e-3


@dataclass(frozen=True)
class Plan:
    """starts: first index of the windows along each axis; every combination is a window. patch: their shape.

    shape: what is to be covered. padded_shape: what is covered, `shape` grown where a window reaches beyond it.
    """

    starts: tuple[tuple[int, ...], ...]
    patch: tuple[int, ...]
    shape: tuple[int, ...]
    padded_shape: tuple[int, ...]

    def __len__(self) -> int:
        return math.prod(len(axis) for axis in self.starts)

    @property
    def windows(self) -> tuple[Window, ...]:
        """All windows, as slices into the padded volume; along an axis where the patch is one voxel, neighbours
        follow one another."""
        return tuple(tuple(slice(a, a + n) for a, n in zip(corner, self.patch)) for corner in self._corners())

    def weights(self, blending: str) -> tuple[dict[int, np.ndarray] | None, ...]:
        """For each axis the float32 weights of a window by its first index; None where no two windows share a voxel.

        The product over the axes is a window's weight, and at each voxel these sum to one over the windows: a
        Gaussian in three dimensions is a product of three, and so is the sum over a regular grid of them. blending:
        "gaussian" (1 at the centre of a window, `SIGMA` of it wide, `FLOOR` at the least) or "constant".
        """
        axes = zip(self.starts, self.patch, self.padded_shape)
        return tuple(
            None if len(starts) * n == size else _axis_weights(starts, n, size, blending) for starts, n, size in axes
        )

    def _corners(self) -> Iterator[tuple[int, ...]]:
        # The slices of a 2D model vary fastest, so that a batch of them is one block of the volume.
        order = sorted(range(len(self.patch)), key=lambda axis: self.patch[axis] == 1)
        back = np.argsort(order)
        for corner in itertools.product(*(self.starts[axis] for axis in order)):
            yield tuple(corner[axis] for axis in back)


def plan(shape: tuple[int, ...], patch: tuple[int, ...], overlap: float = 0.25, multiple: int = 1) -> Plan:
    """Fewest windows of `patch` that cover `shape` with at least `overlap` (0 to <1) of a patch shared, evenly spread.

    shape: (slice, row, column). patch: two sizes for a 2D model (one slice a window) or three for a 3D one. An axis
    shorter than the patch is padded to it. multiple: a network that halves its image some times repeats itself every
    so many voxels; where the ends allow it, windows start at multiples of it and agree with one another better.
    """
    full, padded = _sizes(shape, patch)
    starts = (_starts(size, want, _count(size, want, overlap), multiple) for size, want in zip(padded, full))
    return Plan(tuple(starts), full, tuple(shape), padded)


def largest_plan(
    shape: tuple[int, ...], patch: tuple[int, ...], overlap: float, multiple: int, most_voxels: int
) -> Plan:
    """The plan with the least work whose windows are as large as `most_voxels` allows: one for all, if it can be.

    For networks that may run on any size that is a multiple of `multiple`; the volume is padded to one. Where it takes
    several windows, they share as many voxels as windows of `patch` would, start at multiples of `multiple` and are no
    smaller than `patch`; `plan` where that is less work, or even windows of the patch size exceed `most_voxels`.
    Arguments as in `plan`.
    """
    own = plan(shape, patch, overlap, multiple)
    full = _sizes(shape, patch)[0]
    padded = tuple(n if want == 1 else _up(n, multiple) for n, want in zip(shape, full))
    choices = [_choices(size, want, overlap, multiple) for size, want in zip(padded, full)]
    fitting = [c for c in itertools.product(*choices) if math.prod(size for _, size in c) <= most_voxels]
    best = min(fitting, key=lambda c: (_work(c), math.prod(n for n, _ in c), c), default=None)
    if best is None or len(own) * math.prod(own.patch) < _work(best):
        return own
    starts = (_starts(size, want, number, multiple) for size, (number, want) in zip(padded, best))
    return Plan(tuple(starts), tuple(size for _, size in best), tuple(shape), padded)


def count(shape: tuple[int, ...], patch: tuple[int, ...], overlap: float = 0.25) -> int:
    """How many windows `plan` would make, without making them."""
    full, padded = _sizes(shape, patch)
    return math.prod(_count(size, want, overlap) for size, want in zip(padded, full))


def padded_shape(shape: tuple[int, ...], patch: tuple[int, ...]) -> tuple[int, ...]:
    """`shape`, grown to `patch` where it is smaller."""
    return _sizes(shape, patch)[1]


def _sizes(shape: tuple[int, ...], patch: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The patch with as many axes as `shape`, and the padded shape."""
    full = (1,) * (len(shape) - len(patch)) + tuple(patch)
    return full, tuple(max(size, want) for size, want in zip(shape, full))


def _count(size: int, patch: int, overlap: float) -> int:
    stride = max(1.0, patch * (1 - overlap)) if patch > 1 else 1.0
    return math.ceil((size - patch) / stride - 1e-9) + 1


def _starts(size: int, patch: int, number: int, multiple: int) -> tuple[int, ...]:
    if number == 1:
        return (0,)
    last = size - patch
    if multiple > 1 and last % multiple == 0 and patch % multiple == 0:
        # Rounded down, neighbours are never further apart than the patch is long.
        return tuple(n * last // ((number - 1) * multiple) * multiple for n in range(number))
    return tuple(round(n * last / (number - 1)) for n in range(number))


def _choices(size: int, patch: int, overlap: float, multiple: int) -> list[tuple[int, int]]:
    """(how many windows, how long) along one axis: one of the whole `size`, then ever more and shorter ones."""
    if patch == 1:
        return [(size, 1)]
    shared, found = math.ceil(overlap * patch), [(1, size)]
    for number in range(2, _count(max(size, patch), patch, overlap) + 1):
        length = _up(math.ceil((size + (number - 1) * shared) / number), multiple)
        if patch <= length < found[-1][1]:
            found.append((number, length))
    return found


def _work(choice: tuple[tuple[int, int], ...]) -> int:
    """Voxels in all windows together."""
    return math.prod(number * size for number, size in choice)


def _axis_weights(starts: tuple[int, ...], patch: int, size: int, blending: str) -> dict[int, np.ndarray]:
    shape = np.ones(patch)
    if blending == "gaussian":
        offset = np.arange(patch) - (patch - 1) / 2
        shape = np.maximum(np.exp(-0.5 * (offset / (SIGMA * patch)) ** 2), FLOOR)
    total = np.zeros(size)
    for start in starts:
        total[start : start + patch] += shape
    return {start: (shape / total[start : start + patch]).astype(np.float32) for start in starts}


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
