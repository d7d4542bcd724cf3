"""A computed stand-in for a second scan: an image with noise like its own added, moved by a part of a voxel.

After Zwanenburg et al. (Sci Rep 2019, 9:614), of whose perturbations these two leave the region as it is drawn. The
same seed and image give the same bits, in whatever order images come.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...volume import Volume
from ..cache import image_hash
from ..roi import Roi

# Fewer 2 x 2 squares than this inside the region, and the noise is estimated over the whole image.
_LEAST = 64
# SD of a normal distribution per median absolute deviation.
_NORMAL = 1.4826


@dataclass(frozen=True)
class Perturbation:
    """noise: SD of what is added, in SDs of the image's own noise. shift: the largest move along each axis, in voxels
    of the finest spacing. Both are our choice.
    """

    noise: float = 1.0
    shift: float = 0.5
    seed: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)

    def sentence(self) -> str:
        """What it does, for the report."""
        return (
            f"Gaussian noise of {self.noise:g} times the image's own (estimated inside the region by the median "
            f"absolute deviation of diagonal Haar details, Donoho and Johnstone 1994), and a shift by up to "
            f"{self.shift:g} of the finest spacing along each axis, drawn evenly, by cubic splines; seed {self.seed}."
        )


def perturbed(image: Volume, roi: Roi, perturbation: Perturbation) -> Volume:
    """The image perturbed, float64 on the same grid. roi: where its noise is estimated."""
    from scipy import ndimage

    generator = np.random.default_rng([perturbation.seed, int(image_hash(image)[:12], 16)])
    array = image.array.astype(np.float64)
    finest = min(image.spacing)
    steps = [
        generator.uniform(-1, 1) * perturbation.shift * finest / spacing if size >= 4 else 0.0
        for spacing, size in zip(image.spacing[::-1], array.shape)
    ]
    spread = perturbation.noise * noise_of(array, roi)
    moved = ndimage.shift(array, steps, order=3, mode="nearest") + generator.normal(0, 1, array.shape) * spread
    note = (
        f"Perturbed: noise of SD {spread:.4g} added, moved by {', '.join(f'{s:.3f}' for s in steps)} voxels (k, j, i)."
    )
    return image.with_array(moved, notes=(*image.notes, note))


def noise_of(array: np.ndarray, roi: Roi) -> float:
    """SD of the noise from diagonal Haar details within slices, inside the region where it is large enough."""

    def details(values: np.ndarray) -> np.ndarray:
        return np.asarray((values[:, 1:, 1:] - values[:, :-1, 1:] - values[:, 1:, :-1] + values[:, :-1, :-1]) / 2)

    mask = roi.mask
    inside = mask[:, 1:, 1:] & mask[:, :-1, 1:] & mask[:, 1:, :-1] & mask[:, :-1, :-1]
    found = details(array[roi.slices])[inside] if inside.sum() >= _LEAST else details(array).ravel()
    if not found.size:
        return 0.0
    return float(_NORMAL * np.median(np.abs(found - np.median(found))))
