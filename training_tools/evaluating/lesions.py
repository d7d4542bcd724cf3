"""What a translation does to the lesions it should show: contrast, contrast to noise, structure around them.

A global score hardly sees a lesion of a few millimetres; these look at nothing else. Each connected lesion counts
alike. Whether a lesion would be called is left to the lesion reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from imagetranslation.similarity import ssim_map

AROUND_MM = 5.0
LEAST_VOXELS = 3  # of a lesion and of what surrounds it, below which a contrast means nothing: our choice


@dataclass(frozen=True)
class Place:
    """One lesion and the recorded tissue within `AROUND_MM` of it that is no lesion; boolean (k, j, i)."""

    inside: np.ndarray
    around: np.ndarray


def places(lesion: np.ndarray, valid: np.ndarray, spacing: Sequence[float]) -> Iterator[Place]:
    """The connected lesions (faces, edges and corners count) with their surroundings; too small ones are left out.

    spacing: mm along k, j, i.
    """
    from scipy import ndimage

    marked = lesion & valid
    labels, count = ndimage.label(marked, structure=np.ones((3,) * lesion.ndim))
    for number in range(1, count + 1):
        inside = labels == number
        near = ndimage.distance_transform_edt(~inside, sampling=spacing) <= AROUND_MM
        around = near & valid & ~marked
        if inside.sum() >= LEAST_VOXELS and around.sum() >= LEAST_VOXELS:
            yield Place(inside, around)


def contrast(image: np.ndarray, place: Place) -> float:
    """Mean inside the lesion less the mean around it, in the image's unit."""
    return float(image[place.inside].mean(dtype=np.float64) - image[place.around].mean(dtype=np.float64))


def contrast_to_noise(image: np.ndarray, place: Place) -> float:
    """Contrast over the standard deviation around the lesion; NaN where that is 0."""
    noise = float(image[place.around].std(dtype=np.float64))
    return contrast(image, place) / noise if noise > 0 else float("nan")


def lesion_measures(
    image: np.ndarray,
    reference: np.ndarray,
    lesion: np.ndarray,
    valid: np.ndarray,
    spacing: Sequence[float],
    data_range: float,
) -> dict[str, float]:
    """lesion_contrast_error, lesion_cnr_error (means over lesions) and lesion_ssim; empty where no lesion is usable.

    All arrays (k, j, i) on one grid; spacing: mm along k, j, i.
    """
    found = list(places(lesion, valid, spacing))
    if not found:
        return {}
    errors = [abs(contrast(image, place) - contrast(reference, place)) for place in found]
    ratios = [abs(contrast_to_noise(image, place) - contrast_to_noise(reference, place)) for place in found]
    near = np.any([place.inside | place.around for place in found], axis=0)
    values = ssim_map(image.astype(np.float64), reference.astype(np.float64), data_range=data_range)
    return {
        "lesion_contrast_error": float(np.mean(errors)),
        "lesion_cnr_error": float(np.mean(ratios)),
        "lesion_ssim": float(values[near].mean()),
    }
