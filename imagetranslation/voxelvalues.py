"""Exact statistics of the voxels inside a mask, read a few slices at a time: no copy of the volume is ever made.

Order statistics come from counting: numbers of 8 and 16 bits are counted once; wider ones by their upper 16 bits
first, then, only where a wanted rank fell, by the next 16 (radix selection, Knuth, TAOCP 3, 5.2.5). What the numbers
mean is left to `intensity` and `checks`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

_DIGIT = 16
_BINS = 1 << _DIGIT
# Voxels looked at together: few enough for a processor's cache.
_BLOCK = 1 << 17


class VoxelValues:
    """The values of `array` (k, j, i; any real type, any byte order) where `mask` is true, or everywhere."""

    def __init__(self, array: np.ndarray, mask: np.ndarray | None = None) -> None:
        array = np.asarray(array)
        self._array = array if array.ndim else array.reshape(1)
        self._mask = mask if mask is None or mask.ndim else mask.reshape(1)
        kind = array.dtype.newbyteorder("=")
        # What numpy cannot count as it is: bool as bytes, extended precision as doubles.
        self._kind = np.dtype({"b": np.uint8}.get(kind.kind, np.float64 if kind.itemsize > 8 else kind))
        self.count = array.size if mask is None else int(np.count_nonzero(mask))

    def finite(self) -> bool:
        """Whether there is neither NaN nor infinity among them."""
        if self._kind.kind != "f":
            return True
        return all(bool(np.isfinite(block).all()) for block in self.blocks())

    def extremes(self) -> tuple[float, float]:
        """Smallest and largest."""
        ends = [(block.min(), block.max()) for block in self.blocks() if block.size]
        return float(min(low for low, _ in ends)), float(max(high for _, high in ends))

    def mean_and_sd(self) -> tuple[float, float]:
        """Mean and population standard deviation, in 64 bits."""
        mean = sum(float(block.sum(dtype=np.float64)) for block in self.blocks()) / self.count
        square = sum(float(np.square(block.astype(np.float64) - mean).sum()) for block in self.blocks())
        return mean, float(np.sqrt(square / self.count))

    def quantiles(self, fractions: np.ndarray) -> np.ndarray:
        """float64 quantiles for `fractions` in [0, 1], between two ranks as numpy's default does (linear)."""
        places = np.asarray(fractions, np.float64) * (self.count - 1)
        below = np.floor(places).astype(np.int64)
        above = np.minimum(below + 1, self.count - 1)
        ranks = np.unique(np.concatenate([below, above]))
        found = dict(zip(ranks.tolist(), self._at_ranks(ranks).tolist()))
        low, high = (np.array([found[rank] for rank in which.tolist()]) for which in (below, above))
        part, span = places - below, high - low
        return np.where(part >= 0.5, high - span * (1 - part), low + span * part)

    def blocks(self) -> Iterator[np.ndarray]:
        """The values, some at a time, as one-dimensional arrays in this machine's byte order."""
        size = max(1, _BLOCK * len(self._array) // max(1, self._array.size))
        for start in range(0, len(self._array), size):
            part = self._array[start : start + size]
            part = part.ravel() if self._mask is None else part[self._mask[start : start + size]]
            yield part.astype(self._kind, copy=False)

    def _at_ranks(self, ranks: np.ndarray) -> np.ndarray:
        """float64 values at 0-based `ranks` of the sorted values."""
        width = 8 * self._kind.itemsize
        keys = np.zeros(len(ranks), np.uint64)
        left = ranks.copy()
        for shift in range(max(0, width - _DIGIT), -1, -_DIGIT):
            for prefix, counts in self._counted(shift, np.unique(keys)).items():
                ours = keys == prefix
                ends = np.cumsum(counts)
                digits = np.searchsorted(ends, left[ours], side="right")
                left[ours] -= ends[digits] - counts[digits]
                keys[ours] = (np.uint64(prefix) << np.uint64(_DIGIT)) + digits.astype(np.uint64)
        return _from_keys(keys, self._kind)

    def _counted(self, shift: int, prefixes: np.ndarray) -> dict[int, np.ndarray]:
        """How often each digit above `shift` occurs, among the values whose bits above it are one of `prefixes`."""
        if shift + _DIGIT >= 8 * self._kind.itemsize:
            return {0: self._leading}
        found = {int(prefix): np.zeros(_BINS, np.int64) for prefix in prefixes}
        for block in self.blocks():
            keys = _to_keys(block)
            above = keys >> keys.dtype.type(shift + _DIGIT)
            digits = (keys >> keys.dtype.type(shift)) & keys.dtype.type(_BINS - 1)
            for prefix, counts in found.items():
                counts += np.bincount(digits[above == prefix], minlength=_BINS)
        return found

    @functools.cached_property
    def _leading(self) -> np.ndarray:
        shift = max(0, 8 * self._kind.itemsize - _DIGIT)
        counts = np.zeros(_BINS, np.int64)
        for block in self.blocks():
            keys = _to_keys(block)
            counts += np.bincount(keys >> keys.dtype.type(shift), minlength=_BINS)
        return counts


def _to_keys(values: np.ndarray) -> np.ndarray:
    """Unsigned integers of the same width that sort as the values do."""
    unsigned = np.dtype(f"u{values.dtype.itemsize}").type
    bits = np.ascontiguousarray(values).view(unsigned)
    sign = unsigned(1 << (8 * values.dtype.itemsize - 1))
    if values.dtype.kind == "u":
        return bits
    return bits ^ sign if values.dtype.kind == "i" else np.where(bits & sign, ~bits, bits | sign)


def _from_keys(keys: np.ndarray, kind: np.dtype) -> np.ndarray:
    unsigned = np.dtype(f"u{kind.itemsize}").type
    bits, sign = keys.astype(unsigned), unsigned(1 << (8 * kind.itemsize - 1))
    if kind.kind == "i":
        bits = bits ^ sign
    elif kind.kind == "f":
        bits = np.where(bits & sign, bits ^ sign, ~bits)
    return bits.view(kind).astype(np.float64)
