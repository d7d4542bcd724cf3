"""Which part of an image a filter must see so that its values in a region stay the same to the bit.

A filter with a short reach (gradient, wavelet) needs the region's box and its reach. A stationary wavelet is periodic
over the padded image and needs an even length: near a border the part kept is the region's end of the axis and as much
of the other end, so that the transform meets the same samples in the same order. Filters without a reach, or with an
image-wide quantity, are left to `filters`, which runs them on the whole image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .roi import Box


@dataclass(frozen=True)
class Part:
    """What is kept of one axis: indices into the image, and where the region lies among them."""

    indices: np.ndarray
    inside: slice


def with_margin(box: Box, margins: Sequence[int], shape: Sequence[int]) -> tuple[Part, Part, Part]:
    """The box and a margin along k, j, i, clipped to the image."""
    k, j, i = (_clipped(*bounds, margin, size) for bounds, margin, size in zip(box, margins, shape))
    return k, j, i


def _clipped(first: int, end: int, margin: int, size: int) -> Part:
    low, high = max(first - margin, 0), min(end + margin, size)
    return Part(np.arange(low, high), slice(first - low, end - low))


def periodic(box: Box, margins: Sequence[int], shape: Sequence[int]) -> tuple[Part, Part, Part]:
    """For a transform of even period: an axis of odd length counts as one longer, ending with its first sample.

    Axes with margin 0 are not transformed and are cut to the box.
    """
    k, j, i = (
        _periodic(*bounds, margin, size) if margin else _clipped(*bounds, 0, size)
        for bounds, margin, size in zip(box, margins, shape)
    )
    return k, j, i


def _periodic(first: int, end: int, margin: int, size: int) -> Part:
    period = size + size % 2
    low, high = first - margin, end + margin
    if high - low + 1 >= period:
        return Part(_wrapped(np.arange(period), size), slice(first, end))
    if low >= 0 and high <= period:
        # One more sample where the length is odd; a side that has one exists, since the period is longer.
        if (high - low) % 2:
            low, high = (low, high + 1) if high < period else (low - 1, high)
        return Part(_wrapped(np.arange(low, high), size), slice(first - low, end - low))
    head, tail = (high, period + low) if low < 0 else (high - period, low)
    head += (head + period - tail) % 2
    offset = 0 if first < head else head - tail
    indices = np.concatenate([np.arange(head), np.arange(tail, period)])
    return Part(_wrapped(indices, size), slice(first + offset, end + offset))


def _wrapped(indices: np.ndarray, size: int) -> np.ndarray:
    return np.where(indices == size, 0, indices)


def take(array: np.ndarray, parts: Sequence[Part]) -> np.ndarray:
    """The kept part of (k, j, i), contiguous."""
    for axis, part in enumerate(parts):
        array = np.take(array, part.indices, axis=axis)
    return np.ascontiguousarray(array)


def voxels(parts: Sequence[Part]) -> int:
    """How many voxels are kept."""
    return int(np.prod([len(part.indices) for part in parts]))


def inside(parts: Sequence[Part]) -> tuple[slice, ...]:
    """Where the region lies in what `take` gives."""
    return tuple(part.inside for part in parts)
