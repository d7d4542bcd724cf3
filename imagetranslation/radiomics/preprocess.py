"""What is done to an image before features: bias field, and intensities normalised over a stated tissue mask.

Two images that are compared get the same tissue mask, and it is never the region itself: that would remove the very
difference that features should show. Resampling and discretisation follow in the engines, by the same settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import InputError
from ..volume import Volume
from .roi import Grid, Roi, checked_labels, grid_difference
from .settings import Settings

# Fewer voxels of tissue than this say nothing of an image's intensities.
LEAST_TISSUE = 100
# N4 works on every n-th voxel; the field it finds is smooth.
N4_SHRINK = 4


def prepare(image: Volume, settings: Settings, tissue: Volume | None = None, rois: Sequence[Roi] = ()) -> Volume:
    """The image with bias field and intensities corrected as `settings` say, else as it is; float64 if changed.

    tissue: labelmap on the image's grid, true where there is tissue; needed for either. rois: the regions that will be
    looked at, which tissue must not be. Raises InputError with one sentence where tissue is missing or unusable.
    """
    if settings.parameters is not None or (settings.normalisation == "none" and not settings.bias_field_correction):
        return image
    if tissue is None:
        raise InputError(
            "Normalisation and bias-field correction are done over a tissue mask: give one with --tissue (a labelmap "
            "on the image's grid, the same for both images of a comparison)."
        )
    mask = checked_tissue(tissue, image, rois)
    array = image.array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{image.name} has NaN or infinite voxels; repair the image first.")
    notes = [f"Tissue: {tissue.name}, {int(mask.sum())} voxels."]
    if settings.bias_field_correction:
        array = _without_bias(image, array, mask)
        notes.append("The bias field was removed by N4 over the tissue.")
    if settings.normalisation == "z-score":
        mean, spread = float(array[mask].mean()), float(array[mask].std())
        if spread == 0:
            raise InputError(f"{image.name} is constant over {tissue.name}; it cannot be normalised.")
        array = (array - mean) / spread
        notes.append(f"Intensities are z-scores over the tissue (mean {mean:.6g}, SD {spread:.6g}).")
    return image.with_array(array, notes=(*image.notes, *notes))


def checked_tissue(tissue: Volume, image: Volume, rois: Sequence[Roi]) -> np.ndarray:
    """The tissue as bool (k, j, i); InputError with one sentence where it cannot serve."""
    if difference := grid_difference(Grid.of(tissue), Grid.of(image)):
        raise InputError(f"The tissue mask {tissue.name} is on another grid than {image.name}: {difference}.")
    mask = checked_labels(tissue) > 0
    if (count := int(mask.sum())) < LEAST_TISSUE:
        raise InputError(f"The tissue mask {tissue.name} has {count} voxels; at least {LEAST_TISSUE} are needed.")
    outside = mask.copy()
    for roi in rois:
        outside[roi.slices] &= ~roi.mask
    if not outside.any():
        raise InputError(
            f"The tissue mask {tissue.name} is the region itself; normalising over the region removes the difference "
            "that features should show. Give a mask of the body or organ around it."
        )
    return mask


def estimated_tissue(image: Volume) -> Volume:
    """A labelmap of what is brighter than Otsu's threshold inside the field of view, holes filled slice by slice.

    For the source of a comparison, to serve both images; InputError where the image is constant.
    """
    from scipy import ndimage

    from ..formats import quiet_sitk
    from ..volume import check_usable
    from .resample import to_sitk

    check_usable(image)
    sitk = quiet_sitk()
    bright = sitk.GetArrayFromImage(sitk.OtsuThreshold(to_sitk(image), 0, 1)) > 0
    if image.field_of_view is not None:
        bright &= image.field_of_view
    filled = np.stack([ndimage.binary_fill_holes(layer) for layer in bright]).astype(np.uint8)
    return replace(image, array=filled, name=f"{image.name} above Otsu's threshold", provenance=None, notes=())


def _without_bias(image: Volume, array: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """N4 (Tustison et al., IEEE Trans Med Imaging 2010) on a shrunken image; the field is applied to every voxel."""
    from ..formats import quiet_sitk
    from .resample import to_sitk

    sitk = quiet_sitk()
    # N4 takes logarithms: intensities are lifted above 0, and put back afterwards.
    lift = 1.0 - min(float(array.min()), 0.0)
    full = to_sitk(image, (array + lift).astype(np.float32))
    where = to_sitk(image, mask.astype(np.uint8))
    factors = [N4_SHRINK if size >= 8 * N4_SHRINK else 1 for size in full.GetSize()]
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    try:
        corrector.Execute(sitk.Shrink(full, factors), sitk.Shrink(where, factors))
        field = sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(full)).astype(np.float64)
    except RuntimeError as error:
        raise InputError(f"N4 finds no bias field in {image.name}: it needs a larger image or tissue mask.") from error
    corrected = (array + lift) / np.exp(field) - lift
    assert isinstance(corrected, np.ndarray)
    return corrected
