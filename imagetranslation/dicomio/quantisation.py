"""Real voxel values as the 16-bit numbers that classic DICOM images hold, with the slope and intercept back.

Whole numbers that fit stay what they are. Zero stays exactly zero wherever that costs little precision, so that
background remains background and ratios survive a viewer that ignores the slope.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Stored:
    """array: (k, j, i), uint16 or int16. slope, intercept: value = stored * slope + intercept, each exactly the decimal
    of at most 16 characters that the file holds."""

    array: np.ndarray
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def identity(self) -> bool:
        """Whether the stored numbers are the values."""
        return (self.slope, self.intercept) == (1.0, 0.0)

    def values(self, k: int) -> np.ndarray:
        """(rows, columns) float64: what a reader gets of slice k."""
        return self.array[k].astype(np.float64) * self.slope + self.intercept


def to_16_bit(array: np.ndarray, through_zero: bool = False) -> Stored:
    """Finite values (k, j, i) as 16-bit numbers; the error is at most half the slope, and none where they are whole and
    fit.

    through_zero: never use an intercept (counts, whose ratios mean something).
    """
    low, high = float(array.min()), float(array.max())
    if all(np.array_equal(plane, np.rint(plane)) for plane in array):
        for kind in (np.uint16, np.int16):
            if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
                return Stored(array.astype(kind))
        if high - low <= 65535 and not through_zero:
            return _quantised(array, np.uint16, 1.0, low)
    if not through_zero and high - low < 0.5 * max(abs(low), abs(high)):
        return _quantised(array, np.uint16, _decimal((high - low) / 65535), _decimal(low))
    if low >= 0:
        return _quantised(array, np.uint16, _decimal(high / 65535), 0.0)
    return _quantised(array, np.int16, _decimal(max(-low / 32768, high / 32767)), 0.0)


def _quantised(array: np.ndarray, kind: type[np.integer], slope: float, intercept: float) -> Stored:
    """Nearest steps, slice by slice, so that a large volume is never held in 64 bits."""
    slope = slope or 1.0  # one value only, or none that differs by more than the smallest number there is
    limits = np.iinfo(kind)
    stored = np.empty(array.shape, kind)
    for k, plane in enumerate(array):
        stored[k] = np.clip(np.rint((plane.astype(np.float64) - intercept) / slope), limits.min, limits.max)
    return Stored(stored, slope, intercept)


def decimal_string(value: float) -> str:
    """The most precise DICOM decimal string (at most 16 characters) of a number."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value))


def _decimal(value: float) -> float:
    return float(decimal_string(value))
