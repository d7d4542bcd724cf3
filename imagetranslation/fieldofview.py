"""Where the scanner recorded something: the ultrasound fan, or everywhere.

What a reader knows for certain (SequenceOfUltrasoundRegions in DICOM) arrives as `Volume.field_of_view`; the outline
of a fan in an image without such a record is found here. Filling the outside of a result is left to `inference`.
"""

from __future__ import annotations

import numpy as np

from .errors import InputError
from .volume import Volume

KINDS = ("auto", "ultrasound-fan", "whole")

# Voxels this close to the background, as a fraction of the span from background to the brightest voxel, are still
# background: interpolation and lossy compression leave a few grey levels outside the fan.
TOLERANCE = 0.005
# A background is one value that fills at least this share of the volume's faces; below it there is no outside.
LEAST_BORDER_SHARE = 0.05


def field_of_view(volume: Volume, kind: str = "auto") -> np.ndarray:
    """Bool array (k, j, i), true where the scanner recorded something.

    kind: "ultrasound-fan" finds the fan, "whole" is everywhere, "auto" the first for modality US and the second for
    any other. `volume.field_of_view`, where given, is ANDed with either. Raises InputError when nothing is left.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of field of view {kind!r}; there are {', '.join(KINDS)}")
    fan = kind == "ultrasound-fan" or (kind == "auto" and volume.modality == "US")
    inside = ultrasound_fan(volume.array) if fan else np.ones(volume.array.shape, dtype=bool)
    if volume.field_of_view is not None:
        inside &= volume.field_of_view.astype(bool)
    if not inside.any():
        raise InputError(f"{volume.name} has an empty field of view: the image is background everywhere.")
    return inside


def ultrasound_fan(array: np.ndarray) -> np.ndarray:
    """The fan of an ultrasound volume (k, j, i) of one constant background; our own heuristic, in three steps.

    1. Background is the commonest value on the volume's faces, if it fills 5 % of them; otherwise all is fan.
    2. Echoes are the largest connected component of what differs from it by more than 0.5 % of the span.
    3. In each slice the fan is what lies between echoes both along its row and along its column: shadows and cysts
       within are filled, while the concave face of the transducer stays outside, as a convex hull would not leave it.
    An all-background volume has an empty fan. Where the fan's rim is black (no echo), it is lost: the mask is what
    the image shows, not the scanner's sector.
    """
    background = _background(array)
    if background is None:
        return np.ones(array.shape, dtype=bool)
    distance = np.abs(np.nan_to_num(array.astype(np.float64)) - background)
    echoes = distance > TOLERANCE * distance.max()
    return _between(_largest_component(echoes)) if echoes.any() else echoes


def _background(array: np.ndarray) -> float | None:
    faces = [np.take(array, end, axis) for axis, size in enumerate(array.shape) if size > 1 for end in (0, -1)]
    border = np.concatenate([face.ravel() for face in faces]) if faces else array.ravel()
    values, counts = np.unique(border, return_counts=True)
    commonest = int(counts.argmax())
    return float(values[commonest]) if counts[commonest] >= LEAST_BORDER_SHARE * border.size else None


def _largest_component(mask: np.ndarray) -> np.ndarray:
    import SimpleITK as sitk

    parts = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)))
    return sitk.GetArrayFromImage(sitk.RelabelComponent(parts)) == 1


def _between(echoes: np.ndarray) -> np.ndarray:
    """True between the first and last echo along axis j and along axis i of each slice."""

    def span(axis: int) -> np.ndarray:
        before = np.logical_or.accumulate(echoes, axis=axis)
        after = np.flip(np.logical_or.accumulate(np.flip(echoes, axis), axis=axis), axis)
        return before & after

    return echoes | (span(1) & span(2))
