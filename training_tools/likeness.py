"""How alike two images are, whatever was done to a copy: cropped, shifted, resampled, padded, saved with loss.

A signature is an image on coarse cells, less what is common to all images of its kind; two are compared at every shift
between them. All pairs of 790 volumes took 11 s of one core, of 790 single slices 7 s; the copies of `leaks`'s figures
were the first of their partners among them throughout. Which images must not be alike, and from what correlation on,
is `leaks`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

# Cells along each axis of the typical image, of the frame a signature is kept in, and shifts that are tried either way.
# A volume's, and a single slice's. Our choice, as all numbers here: those that told copies from other patients best.
CELLS, FRAME, REACH = 24, 28, 8
PLANAR_CELLS, PLANAR_FRAME, PLANAR_REACH = 96, 112, 16
LEAST_VOXELS = 1.5  # of a typical voxel, along a cell: below it a cell holds nothing but interpolation
FINE = 1.2  # cells: SD of the neighbourhood whose mean and contrast are taken out
BACKGROUND = 0.03  # of the image's span: so near the value of its border is background
LEAST_BORDER = 0.4  # of the border that must be background, or there is none
LEAST_OVERLAP = 0.4  # of either signature's energy that a shift must leave in common
PARTNERS = 16  # of each image, by their spectra, that are compared at all shifts
KEPT = 200  # images whose spectra are kept while pairs are compared: 0.6 MB each
SPECTRUM, PLANAR_SPECTRUM = 8, 40  # frequencies along each axis that the partners are chosen by


@dataclass(frozen=True)
class Signature:
    """fine: float32 (k, j, i) of cells, 0 outside `mask`, of length 1 (0 for a constant image).

    mask: float32, 1 where something was recorded. whole: the same of the image brought to one size, whatever its header
    says of its spacing, as a vector.
    """

    fine: np.ndarray
    mask: np.ndarray
    whole: np.ndarray

    @property
    def planar(self) -> bool:
        """Whether the image is a single slice."""
        return self.fine.shape[0] == 1


def cell_size(shapes: Sequence[Sequence[int]], spacings: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Mm along k, j, i of a cell for images of these shapes and spacings (mm, k j i), all volumes or all planar."""
    planar = shapes[0][0] == 1
    extents = np.median(np.multiply(shapes, spacings), axis=0)
    least = LEAST_VOXELS * np.median(np.asarray(spacings, float), axis=0)
    found = np.maximum(extents / (PLANAR_CELLS if planar else CELLS), least)
    return (1.0 if planar else float(found[0]), float(found[1]), float(found[2]))


def signature(array: np.ndarray, spacing: Sequence[float], cell: Sequence[float]) -> Signature:
    """The signature of an image (k, j, i); spacing, cell: mm along k, j, i."""
    planar = array.shape[0] == 1
    frame = (1, PLANAR_FRAME, PLANAR_FRAME) if planar else (FRAME,) * 3
    cells = PLANAR_CELLS if planar else CELLS
    steps = [1.0 if n == 1 else c / s for n, c, s in zip(array.shape, cell, spacing)]
    factors = [max(1, min(n, int(step / 2))) for n, step in zip(array.shape, steps)]
    small = _averaged(np.nan_to_num(array.astype(np.float32), posinf=0.0, neginf=0.0), factors)
    recorded = _recorded(small)
    box = _box(recorded)
    centre = [(first + last) / 2 for first, last in box]
    fine, mask = _sampled(small, recorded, centre, [step / f for step, f in zip(steps, factors)], frame)
    sizes = [1.0 if n == 1 else max(n / cells, 1e-3) for n in small.shape]
    middle = [(n - 1) / 2 for n in small.shape]
    whole, _ = _sampled(small, recorded, middle, sizes, frame)
    return Signature(fine, mask, whole.ravel())


def _averaged(array: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """Means of blocks of so many voxels; what is left over at the far ends is cut off."""
    for axis, factor in enumerate(factors):
        if factor > 1:
            count = array.shape[axis] // factor
            kept = np.take(array, range(count * factor), axis)
            array = kept.reshape(*array.shape[:axis], count, factor, *array.shape[axis + 1 :]).mean(axis=axis + 1)
    return array


def _recorded(array: np.ndarray) -> np.ndarray:
    """Where an image differs from the typical value of its border, holes along rows and columns filled; bool.

    Everywhere, where the border is not mostly of one value. A few changed voxels or grey levels change nothing.
    """
    from scipy import ndimage

    everywhere = np.ones(array.shape, bool)
    border = np.concatenate(
        [np.take(array, end, axis).ravel() for axis, n in enumerate(array.shape) if n > 1 for end in (0, -1)]
        or [array.ravel()]
    )
    low, high = np.percentile(array, [0.5, 99.5])
    background, near = float(np.median(border)), BACKGROUND * float(high - low)
    if np.mean(np.abs(border - background) <= near) < LEAST_BORDER:
        return everywhere
    found = (np.abs(array - background) > near).astype(np.float32)
    found = ndimage.uniform_filter(found, [1 if n == 1 else 3 for n in array.shape]) > 0.5
    filled = _between(found, 1) & _between(found, 2)
    return filled if filled.any() else everywhere


def _between(mask: np.ndarray, axis: int) -> np.ndarray:
    ahead = np.logical_or.accumulate(mask, axis=axis)
    behind = np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis=axis), axis)
    return np.asarray(ahead & behind)


def _box(mask: np.ndarray) -> list[tuple[float, float]]:
    """First and last place along each axis, one in 500 voxels left out at either end."""
    found = []
    for axis in range(mask.ndim):
        share = np.cumsum(mask.sum(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        ends = np.searchsorted(share / share[-1], (0.002, 0.998))
        found.append((float(ends[0]), float(ends[1])))
    return found


def _sampled(
    array: np.ndarray, recorded: np.ndarray, centre: Sequence[float], steps: Sequence[float], frame: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """`Signature.fine` and `.mask`; steps: voxels of `array` along a cell; centre: the place of the frame's middle."""
    from scipy import ndimage

    width = [0.0 if n == 1 else step / 2 for n, step in zip(array.shape, steps)]
    inside = recorded.astype(np.float32)
    share = ndimage.gaussian_filter(inside, width, mode="constant")
    smooth = ndimage.gaussian_filter(array * inside, width, mode="constant") / np.maximum(share, 1e-3)
    places = [c + (np.arange(n) - (n - 1) / 2) * step for c, n, step in zip(centre, frame, steps)]
    grid = np.meshgrid(*[np.clip(p, 0, n - 1) for p, n in zip(places, array.shape)], indexing="ij")
    cells = ndimage.map_coordinates(smooth, grid, order=1, mode="nearest")
    there = [(p >= 0) & (p <= n - 1) for p, n in zip(places, array.shape)]
    known = ndimage.map_coordinates(inside, grid, order=1, mode="nearest") > 0.5
    mask = (known & there[0][:, None, None] & there[1][None, :, None] & there[2][None, None]).astype(np.float32)
    return _fine(cells, mask), mask


def _fine(cells: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Less the neighbourhood's mean and over its contrast, so that no strong edge that all share outweighs the rest."""
    from scipy import ndimage

    near = [0.0 if n == 1 else FINE for n in cells.shape]
    count = np.maximum(ndimage.gaussian_filter(mask, near, mode="constant"), 1e-3)
    fine = (cells - ndimage.gaussian_filter(cells * mask, near, mode="constant") / count) * mask
    contrast = np.sqrt(np.maximum(ndimage.gaussian_filter(fine**2, near, mode="constant") / count, 0))
    usual = float(np.sqrt((fine**2).sum() / max(1.0, mask.sum())))
    fine = fine / np.maximum(contrast, max(usual / 4, 1e-12))  # where nothing is, noise shall stay small
    length = float(np.linalg.norm(fine))
    scale = float(np.abs(cells).max())
    return np.asarray(fine / length if usual > 1e-5 * scale else np.zeros_like(fine), np.float32)


class Spectra:
    """What a signature's comparison at all shifts needs; made once for many comparisons."""

    def __init__(self, one: Signature) -> None:
        from scipy import fft

        reach = PLANAR_REACH if one.planar else REACH
        self.reach = [0 if n == 1 else reach for n in one.fine.shape]
        self.shape = tuple(n + r for n, r in zip(one.fine.shape, self.reach))
        self.parts: tuple[Any, ...] = tuple(fft.rfftn(part, self.shape) for part in (one.fine, one.fine**2, one.mask))


def correlation(first: Spectra, second: Spectra) -> float:
    """The largest normalised cross-correlation over all shifts, over the cells that both images have, at most 1.

    -1 where no shift leaves enough in common. By the masked correlation of Padfield (IEEE Trans Image Process 2012),
    whose local means are 0 here; between shifts by a parabola along each axis.
    """
    from scipy import fft

    (a, a2, am), (b, b2, bm) = first.parts, second.parts
    common, own, other = (
        fft.irfftn(x * np.conj(y), first.shape) for x, y in ((a, b), (a2, bm), (am, b2))
    )  # fmt: skip
    enough = (own > LEAST_OVERLAP) & (other > LEAST_OVERLAP)
    found = np.where(enough, common / np.sqrt(np.maximum(own * other, 1e-6)), -1.0)
    near = np.ix_(*[np.r_[-r : r + 1] % n for r, n in zip(first.reach, first.shape)])
    tried = found[near]
    best = np.unravel_index(int(tried.argmax()), tried.shape)
    return min(1.0, float(tried[best]) + _above(tried, best)) if tried[best] > -1 else -1.0


def _above(values: np.ndarray, best: Sequence[Any]) -> float:
    """How far the peak between shifts stands above the largest value."""
    more = 0.0
    for axis, n in enumerate(values.shape):
        if 0 < best[axis] < n - 1:
            line = [float(values[(*best[:axis], best[axis] + step, *best[axis + 1 :])]) for step in (-1, 0, 1)]
            bend = line[0] - 2 * line[1] + line[2]
            if min(line) > -1 and bend < 0:
                more += (line[0] - line[2]) ** 2 / (-8 * bend)
    return more


def closest(found: Sequence[Signature], sides: Sequence[str]) -> tuple[int, int, float] | None:
    """The two most alike images on different sides and their correlation; None where there is no such pair.

    found: all volumes or all planar. Each image is held against the others at one shift and one size, and against the
    `PARTNERS` whose spectra are most like its own at all shifts.
    """
    apart = np.not_equal.outer(np.asarray(sides), np.asarray(sides))
    if not apart.any():
        return None
    whole = np.stack([one.whole for one in found])
    alike = np.where(apart, whole @ whole.T, -1.0)
    first, second = np.unravel_index(int(alike.argmax()), alike.shape)
    best = (int(first), int(second), min(1.0, float(alike[first, second])))

    @lru_cache(KEPT)
    def spectra(number: int) -> Spectra:
        return Spectra(found[number])

    for row, columns in _partners(found, apart):
        for column in columns:
            value = correlation(spectra(row), spectra(column))
            if value > best[2]:
                best = (row, column, value)
    return best


def _partners(found: Sequence[Signature], apart: np.ndarray) -> Iterator[tuple[int, list[int]]]:
    """For each image those after it to be compared with: each pair once."""
    spectra = np.stack([_magnitudes(one) for one in found])
    spectra = (spectra - spectra.mean(axis=0)) / (spectra.std(axis=0) + 1e-6)
    spectra /= np.maximum(np.linalg.norm(spectra, axis=1, keepdims=True), 1e-6)
    like = np.where(apart, spectra @ spectra.T, -np.inf)
    chosen = np.zeros(apart.shape, bool)
    best = np.argsort(-like, axis=1)[:, :PARTNERS]
    np.put_along_axis(chosen, best, True, axis=1)
    chosen = (chosen | chosen.T) & apart
    for row in range(len(found)):
        yield row, [int(column) for column in np.flatnonzero(chosen[row]) if column > row]


def _magnitudes(one: Signature) -> np.ndarray:
    """Root of the lowest frequencies' magnitudes, which a shift does not change; a vector."""
    from scipy import fft

    most = PLANAR_SPECTRUM if one.planar else SPECTRUM
    magnitudes = np.sqrt(np.abs(fft.rfftn(one.fine)))
    for axis, n in enumerate(one.fine.shape):
        places = np.arange(magnitudes.shape[axis]) if axis == one.fine.ndim - 1 else np.abs(fft.fftfreq(n, 1 / n))
        magnitudes = np.take(magnitudes, np.flatnonzero(places < most), axis)
    return np.asarray(magnitudes.ravel(), np.float32)
