"""PyRadiomics' filtered images ("image types"), each made of as little of the image as leaves every bit as it is.

original: the region's box. gradient: one voxel more. wavelet: the reach of its filter, see `crop`. LBP2D: the region's
slices, whole, because it rounds absolute positions. LoG: a recursive filter without a finite reach, cut axis by axis by
`laplacian` where that is less work. All others see the whole image, once for all its regions: square, square root,
logarithm and exponential scale by the image's maximum; LBP3D interpolates with coefficients of the whole image. The
filters themselves are PyRadiomics'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from . import crop, laplacian
from .resample import Whole
from .roi import Roi

# Filtered images of one image type: its name in results, and the voxels of each region's box.
Filtered = tuple[str, list[np.ndarray]]


def filtered(whole: Whole, rois: Sequence[Roi], kind: str, arguments: dict[str, Any]) -> Iterator[Filtered]:
    """The images of one type, in PyRadiomics' order, cropped to each region.

    kind: PyRadiomics' name of the image type. arguments: all settings that hold for it. Every region lies on the
    image's grid. Yields nothing where PyRadiomics makes none (it logs why).
    """
    if kind == "Original":
        yield "original", [whole.array[roi.slices].copy() for roi in rois]
        return
    if kind == "LoG":
        for sigma in arguments.get("sigma", []):
            yield from _laplacian(whole, rois, {**arguments, "sigma": [sigma]})
        return
    parts = [_parts(roi, kind, arguments, whole.array.shape) for roi in rois]
    known = [part for part in parts if part is not None]
    if len(known) < len(rois) or sum(crop.voxels(part) for part in known) >= whole.array.size:
        yield from _of_whole(whole, rois, kind, arguments)
        return
    each = [_of_part(whole, part, kind, arguments) for part in known]
    for same in zip(*each):
        yield same[0][0], [array for _, array in same]


def _laplacian(whole: Whole, rois: Sequence[Roi], arguments: dict[str, Any]) -> Iterator[Filtered]:
    (sigma,) = arguments["sigma"]
    if laplacian.applicable(whole.image, rois, sigma):
        yield f"log-sigma-{str(sigma).replace('.', '-')}-mm-3D", laplacian.laplacian(whole.image, rois, sigma)
    else:
        yield from _of_whole(whole, rois, "LoG", arguments)


def _parts(
    roi: Roi, kind: str, arguments: dict[str, Any], shape: tuple[int, ...]
) -> tuple[crop.Part, crop.Part, crop.Part] | None:
    """What the filter must see for one region; None for all of the image."""
    if kind == "Gradient":
        return crop.with_margin(roi.box, (1, 1, 1), shape)
    if kind == "LBP2D":
        slices = arguments.get("force2Ddimension", 0)
        return crop.with_margin(roi.box, [0 if axis == slices else max(shape) for axis in range(3)], shape)
    if kind == "Wavelet":
        import pywt

        reach = pywt.Wavelet(arguments.get("wavelet", "coif1")).dec_len
        margin = reach * (arguments.get("level", 1) + arguments.get("start_level", 0))
        still = arguments.get("force2Ddimension", 0) if arguments.get("force2D", False) else None
        return crop.periodic(roi.box, [0 if axis == still else margin for axis in range(3)], shape)
    return None


def _of_part(
    whole: Whole, parts: tuple[crop.Part, crop.Part, crop.Part], kind: str, arguments: dict[str, Any]
) -> Iterator[tuple[str, np.ndarray]]:
    from ..formats import quiet_sitk

    sitk = quiet_sitk()
    part = sitk.GetImageFromArray(crop.take(whole.array, parts))
    part.SetSpacing(whole.image.GetSpacing())
    part.SetDirection(whole.image.GetDirection())
    for image, name, _ in _filter(kind)(part, None, **arguments):
        # A copy, since the view's memory goes with the filtered image.
        yield name, sitk.GetArrayViewFromImage(image)[crop.inside(parts)].copy()


def _of_whole(whole: Whole, rois: Sequence[Roi], kind: str, arguments: dict[str, Any]) -> Iterator[Filtered]:
    from ..formats import quiet_sitk

    sitk = quiet_sitk()
    if kind == "LBP3D":
        yield from _per_region(whole, rois, kind, arguments)
        return
    for image, name, _ in _filter(kind)(whole.image, None, **arguments):
        view = sitk.GetArrayViewFromImage(image)
        yield name, [view[roi.slices].copy() for roi in rois]


def _per_region(whole: Whole, rois: Sequence[Roi], kind: str, arguments: dict[str, Any]) -> Iterator[Filtered]:
    """A filter that only fills one region at a time."""
    from ..formats import quiet_sitk

    sitk = quiet_sitk()
    each = []
    for roi in rois:
        mask = sitk.GetImageFromArray(roi.full())
        mask.CopyInformation(whole.image)
        images = _filter(kind)(whole.image, mask, **{**arguments, "label": 1})
        each.append([(name, sitk.GetArrayFromImage(image)[roi.slices]) for image, name, _ in images])
    for same in zip(*each):
        yield same[0][0], [np.ascontiguousarray(array) for _, array in same]


def _filter(kind: str) -> Any:
    from radiomics import imageoperations

    return getattr(imageoperations, f"get{kind}Image")
