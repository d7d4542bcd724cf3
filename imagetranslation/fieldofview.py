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
    inside = limited_view(volume, kind)
    return np.ones(volume.array.shape, dtype=bool) if inside is None else inside.copy()


def limited_view(volume: Volume, kind: str = "auto") -> np.ndarray | None:
    """`field_of_view`, or None where it is everywhere: a mask the size of a volume that says nothing isn't made."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind of field of view {kind!r}; there are {', '.join(KINDS)}")
    fan = kind == "ultrasound-fan" or (kind == "auto" and volume.modality == "US")
    inside = ultrasound_fan(volume.array) if fan else None
    if volume.field_of_view is not None:
        recorded = volume.field_of_view.astype(bool, copy=False)
        inside = recorded if inside is None else np.logical_and(inside, recorded, out=inside)
    if inside is not None and not inside.any():
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
    furthest = max(float(_distance(plane, background).max()) for plane in array)
    echoes = np.empty(array.shape, dtype=bool)
    for plane, found in zip(array, echoes):
        np.greater(_distance(plane, background), TOLERANCE * furthest, out=found)
    return _between(_largest_component(echoes)) if echoes.any() else echoes


def _distance(plane: np.ndarray, background: float) -> np.ndarray:
    """float64 distance of one slice's voxels from the background."""
    return np.asarray(np.abs(np.nan_to_num(plane.astype(np.float64)) - background))


def _background(array: np.ndarray) -> float | None:
    faces = [np.take(array, end, axis) for axis, size in enumerate(array.shape) if size > 1 for end in (0, -1)]
    border = np.concatenate([face.ravel() for face in faces]) if faces else array.ravel()
    values, counts = np.unique(border, return_counts=True)
    commonest = int(counts.argmax())
    return float(values[commonest]) if counts[commonest] >= LEAST_BORDER_SHARE * border.size else None


def _largest_component(mask: np.ndarray) -> np.ndarray:
    """The same array, true in the largest connected component only."""
    import SimpleITK as sitk

    parts = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.view(np.uint8)))
    labels = sitk.GetArrayViewFromImage(parts)
    sizes = np.zeros(int(max(plane.max() for plane in labels)) + 1, np.int64)
    for plane in labels:
        sizes += np.bincount(plane.ravel(), minlength=len(sizes))
    sizes[0] = 0
    largest = sizes.argmax()
    for plane, inside in zip(labels, mask):
        np.equal(plane, largest, out=inside)
    return mask


def _between(echoes: np.ndarray) -> np.ndarray:
    """The same array, true also between the first and last echo along axis j and along axis i of each slice."""

    def span(plane: np.ndarray, axis: int) -> np.ndarray:
        before = np.logical_or.accumulate(plane, axis=axis)
        after = np.flip(np.logical_or.accumulate(np.flip(plane, axis), axis=axis), axis)
        return np.asarray(before & after)

    for plane in echoes:
        plane |= span(plane, 0) & span(plane, 1)
    return echoes
