"""Structural similarity: SSIM in its usual definitions, masked by normalised convolution, and over several scales.

Definitions differ in window, covariance and edges, and so do their numbers; each is named and none is the default of
the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .differences import checked_pair, checked_range, inside
from .moments import Moments, Tile, local_means, local_moments

K1, K2 = 0.01, 0.03  # Wang et al. 2004
GAUSSIAN_SIGMA, GAUSSIAN_RADIUS = 1.5, 5  # Wang et al. 2004: an 11-voxel window
UNIFORM_WIDTH = 7  # SynthRAD2023
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli, Bovik 2003
# A window with less than this share of its weight inside the mask has no variance to speak of.
LEAST_WEIGHT = 1e-6
ENOUGH_FOR_32_BITS = 4.0


@dataclass(frozen=True)
class Window:
    """weights: along one axis, they sum to one. correction: what makes variances unbiased, or 1."""

    weights: np.ndarray
    correction: float


def ssim(
    a: np.ndarray,
    b: np.ndarray,
    *,
    data_range: float,
    mask: np.ndarray | None = None,
    window: str = "gaussian",
    edges: str = "symmetric",
) -> float:
    """Structural similarity (Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 2004): mean of the map inside the mask.

    window: "gaussian" (sigma 1.5, 11 voxels, population covariance, as in the paper) or "uniform-7" (7 voxels, sample
    covariance, as in SynthRAD2023). It spans every axis longer than one voxel. edges: "symmetric" (mirrored, the edge
    voxel repeated: scikit-image), "reflect" (mirrored without repeating it: TorchMetrics in 3-D) or "valid" (only
    windows wholly inside the images: MONAI). Raises ValueError where an image is smaller than the window.
    """
    if mask is not None:
        values = ssim_map(a, b, data_range=data_range, window=window, edges=edges)
        return float(inside(values, _cropped(mask, a, values)).mean())
    checked_pair(a[:0], b[:0], data_range, None)
    sums, count = [], 0
    for _, part in _parts(a, b, data_range, window, edges, _precision(a, b, data_range)):
        sums.append(float(part.sum(dtype=np.float64)))
        count += part.size
    return math.fsum(sums) / count


def ssim_map(
    a: np.ndarray, b: np.ndarray, *, data_range: float, window: str = "gaussian", edges: str = "symmetric"
) -> np.ndarray:
    """The SSIM at every voxel, float64, of the images' shape or, for "valid", smaller by the window; see `ssim`."""
    first, second = checked_pair(a, b, data_range, None)
    parts = list(_parts(first, second, data_range, window, edges))
    shape = [max(place[axis].stop for place, _ in parts) for axis in range(3)]
    result = np.empty(shape)
    for place, values in parts:
        result[place] = values
    return result.reshape(shape[3 - a.ndim :]) if a.ndim < 3 else result


def synthrad_ssim(
    a: np.ndarray, b: np.ndarray, *, value_range: tuple[float, float], mask: np.ndarray | None = None
) -> float:
    """SSIM as the SynthRAD2023 challenge takes it (Huijben et al., Medical Image Analysis 2024).

    Both images are clipped to `value_range` (lower, upper), set to lower outside the mask and shifted to start at 0;
    the uniform-7 map's outermost 3 voxels are left out and the rest averaged inside the mask.
    """
    lower, upper = checked_range(value_range)
    shown = np.ones(a.shape, bool) if mask is None else mask.astype(bool)
    first, second = (np.where(shown, np.clip(image, lower, upper), lower) - lower for image in (a, b))
    values = ssim_map(first, second, data_range=upper - lower, window="uniform-7", edges="valid")
    return float(inside(values, _cropped(shown, a, values)).mean())


def masked_ssim(
    a: np.ndarray, b: np.ndarray, *, data_range: float, mask: np.ndarray, window: str = "gaussian"
) -> float:
    """SSIM of what lies inside the mask and of nothing else, by normalised convolution (Knutsson & Westin 1993).

    Local means are weighted by window and mask together, so that a window that reaches over the mask's edge sees only
    the part inside; without that, equal surroundings raise the score and different ones lower it.
    """
    first, second = checked_pair(a, b, data_range, mask)
    inside(first, mask)
    volume_mask = _in_three(mask.astype(np.float64))
    kept = [np.where(volume_mask > 0, _in_three(image), 0.0) for image in (first, second)]
    shape, spread = kept[0].shape, _window(window, sum(size > 1 for size in kept[0].shape))
    weights = [spread.weights if size > 1 else np.ones(1) for size in shape]
    products = [volume_mask, *kept, kept[0] ** 2 + kept[1] ** 2, kept[0] * kept[1]]
    padded = [_padded(image, weights, "constant") for image in products]
    total, count = [], 0
    for place, sums in local_means(padded, weights):
        chosen = volume_mask[place] > 0
        mean_a, mean_b, squares, product = (
            part[chosen] / np.maximum(sums[0][chosen], LEAST_WEIGHT) for part in sums[1:]
        )
        values = _ssim_of(Moments(0.0, mean_a, mean_b, squares, product), data_range, 1.0)
        total.append(float(values.sum()))
        count += values.size
    return math.fsum(total) / count


def ms_ssim(
    a: np.ndarray,
    b: np.ndarray,
    *,
    data_range: float,
    weights: tuple[float, ...] = SCALE_WEIGHTS,
    window: str = "gaussian",
) -> float:
    """Multi-scale SSIM (Wang, Simoncelli, Bovik, Asilomar 2003), windows wholly inside the images.

    Contrast and structure at every scale, luminance at the last, each to the power of its weight; images are halved by
    averaging between scales. Raises ValueError where the images are too small for that many scales, or the mean
    contrast term at a scale is negative, which has no real power.
    """
    first, second = (_in_three(image) for image in checked_pair(a, b, data_range, None))
    product = 1.0
    for scale, weight in enumerate(weights):
        luminance, contrast = _terms(first, second, data_range, window)
        last = scale == len(weights) - 1
        value = float((luminance * contrast).mean() if last else contrast.mean())
        if value < 0:
            raise ValueError("MS-SSIM is not defined here: structure is inverted at one of the scales")
        product *= value**weight
        if not last:
            first, second = _halved(first), _halved(second)
    return product


def _parts(
    a: np.ndarray, b: np.ndarray, data_range: float, window: str, edges: str, dtype: type[np.floating] = np.float64
) -> Iterator[tuple[Tile, np.ndarray]]:
    """(place in the map, values) tile by tile."""
    first, second = _in_three(a), _in_three(b)
    spread = _window(window, sum(size > 1 for size in first.shape))
    weights = [spread.weights if size > 1 else np.ones(1) for size in first.shape]
    if edges != "valid":
        first, second = (_padded(image, weights, edges) for image in (first, second))
    for place, moments in local_moments(first, second, weights, dtype):
        yield place, _ssim_of(moments, data_range, spread.correction)


def _precision(a: np.ndarray, b: np.ndarray, data_range: float) -> type[np.floating]:
    """32 bits where their rounding stays far below the stabilising constants, which grow with the range."""
    span = max(a.max(), b.max()) - min(a.min(), b.min())
    return np.float32 if span <= ENOUGH_FOR_32_BITS * data_range else np.float64


def _ssim_of(moments: Moments, data_range: float, correction: float) -> np.ndarray:
    """SSIM from local moments; works in the moments' own memory."""
    luminance, structure, weight = _fractions(moments, data_range, correction)
    luminance[0] *= structure[0]
    luminance[1] *= structure[1]
    return np.asarray(np.divide(luminance[0], luminance[1], out=weight))


def _fractions(
    moments: Moments, data_range: float, correction: float
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """([numerator, denominator] of luminance, of contrast and structure, memory to use)."""
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    centre = moments.centre
    ab = moments.mean_a * moments.mean_b
    squares = moments.mean_a * moments.mean_a
    squares += moments.mean_b * moments.mean_b
    covariance, variances = moments.product, moments.squares
    covariance -= ab
    covariance *= 2 * correction
    covariance += c2
    variances -= squares
    variances *= correction
    variances += c2
    # Back from the common centre: (a + c)(b + c) = ab + c (a + b) + c².
    shift = np.add(moments.mean_a, moments.mean_b, out=moments.mean_a)
    shift *= 2 * centre
    shift += 2 * centre * centre
    ab *= 2
    ab += shift
    ab += c1
    squares += shift
    squares += c1
    return [ab, squares], [covariance, variances], moments.mean_b


def _terms(a: np.ndarray, b: np.ndarray, data_range: float, window: str) -> tuple[np.ndarray, np.ndarray]:
    """Luminance, and contrast times structure, at every window wholly inside, flat."""
    spread = _window(window, sum(size > 1 for size in a.shape))
    weights = [spread.weights if size > 1 else np.ones(1) for size in a.shape]
    luminance, contrast = [], []
    for _, moments in local_moments(a, b, weights):
        light, structure, _ = _fractions(moments, data_range, spread.correction)
        luminance.append((light[0] / light[1]).ravel())
        contrast.append((structure[0] / structure[1]).ravel())
    return np.concatenate(luminance), np.concatenate(contrast)


def _window(name: str, dimensions: int) -> Window:
    if name == "gaussian":
        offsets = np.arange(-GAUSSIAN_RADIUS, GAUSSIAN_RADIUS + 1)
        weights = np.exp(-0.5 * (offsets / GAUSSIAN_SIGMA) ** 2)
        return Window(weights / weights.sum(), 1.0)
    if name == "uniform-7":
        count = UNIFORM_WIDTH**dimensions
        return Window(np.full(UNIFORM_WIDTH, 1.0 / UNIFORM_WIDTH), count / max(1, count - 1))
    raise ValueError(f"unknown SSIM window {name!r}; there are 'gaussian' and 'uniform-7'")


def _in_three(image: np.ndarray) -> np.ndarray:
    """The image with leading axes of one voxel, so that there are three."""
    return image.reshape((1,) * (3 - image.ndim) + image.shape)


def _padded(image: np.ndarray, weights: list[np.ndarray], mode: str) -> np.ndarray:
    if mode not in ("symmetric", "reflect", "constant"):
        raise ValueError(f"unknown edges {mode!r}; there are 'symmetric', 'reflect' and 'valid'")
    return np.pad(image, [(len(w) // 2, len(w) // 2) for w in weights], mode=mode)  # type: ignore[call-overload]


def _cropped(mask: np.ndarray, image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mask without the margin that the map lacks."""
    margins = [(own - left) // 2 for own, left in zip(image.shape, values.shape)]
    return mask[tuple(slice(m, size - m) for m, size in zip(margins, image.shape))]


def _halved(image: np.ndarray) -> np.ndarray:
    """Averages of two voxels along every axis longer than one; an odd last voxel is left out."""
    for axis in (axis for axis, size in enumerate(image.shape) if size > 1):
        even = image.shape[axis] // 2 * 2
        kept = np.moveaxis(image, axis, 0)[:even]
        image = np.moveaxis((kept[0::2] + kept[1::2]) / 2, 0, axis)
    return np.ascontiguousarray(image)
