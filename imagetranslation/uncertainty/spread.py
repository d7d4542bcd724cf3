"""Mean and standard deviation over images that come one after another, in the memory of two of them."""

from __future__ import annotations

import numpy as np


class Spread:
    """Running mean and sum of squared differences per voxel (Welford 1962, Note on a method for calculating corrected
    sums of squares), float32. Images must have one shape (k, j, i); slices are worked on one at a time.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0
        self._mean = np.zeros(shape, np.float32)
        self._squares = np.zeros(shape, np.float32)

    def add(self, image: np.ndarray) -> None:
        """Take one image into account."""
        if image.shape != self._mean.shape:
            raise ValueError(f"an image of shape {image.shape} among others of {self._mean.shape}")
        self.count += 1
        for values, mean, squares in zip(image, self._mean, self._squares):
            before = values - mean
            mean += before / np.float32(self.count)
            squares += before * (values - mean)

    def deviation(self) -> np.ndarray:
        """Standard deviation with n - 1 in the denominator, float32 (k, j, i); the sums are used up by it."""
        if self.count < 2:
            raise ValueError("one image has no spread")
        result = self._squares
        result /= np.float32(self.count - 1)
        np.sqrt(np.maximum(result, 0, out=result), out=result)
        self.count = 0
        self._mean = self._squares = np.zeros((0, 0, 0), np.float32)
        return result
