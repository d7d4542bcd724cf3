"""Registering a target (MR) to a source (ultrasound) with SimpleITK, deterministically (one thread, all voxels).

With gland labels the two glands' signed distance maps are matched: centroids first, then a scale along each axis or,
on request, a rotation, an affine or a coarse B-spline transform. Without labels mutual information (Mattes) of the
images, inside the source's field of view, drives a shift, or on request more. Transforms map points of the source into
the target, ready for resampling. Images have three axes or, for planar pairs, two (`planar`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from imagetranslation.errors import InputError
from imagetranslation.volume import Volume

METHODS = ("none", "centroid", "shift", "rigid", "scale", "affine", "bspline")
LABEL_METHODS = ("none", "centroid", "rigid", "scale", "affine", "bspline")
IMAGE_METHODS = ("none", "shift", "rigid", "affine", "bspline")
SHRINK = 2  # optimise on every second voxel: the distance maps are smooth, and it is eight times faster
LEAST_SHRUNK = 8  # an axis of fewer voxels is not thinned out
MESH = 3  # B-spline cells along each axis of the source's grid
LEAST_JACOBIAN = 0.2
WORSE_THAN_LABELS = (
    "Mutual information aligns ultrasound with MR poorly: on the 18 public prostate pairs the glands overlap by a mean "
    "Dice of 0.54 after a shift, 0.48 after a rigid, 0.39 after an affine and after a B-spline transform, against 0.90 "
    "with gland labels. Look at every row of the sheet."
)


@dataclass(frozen=True)
class Registration:
    """transform: source point -> target point. method: what was done. least_jacobian: smallest local volume ratio."""

    transform: sitk.Transform
    method: str
    least_jacobian: float


def to_sitk(volume: Volume) -> sitk.Image:
    """The volume as a SimpleITK image of the same geometry."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array))
    image.SetSpacing(volume.spacing)
    image.SetOrigin(volume.origin)
    image.SetDirection(volume.direction)
    return image


def planar(image: sitk.Image, plane: sitk.Image, name: str) -> sitk.Image:
    """The one slice of `image` as an image of two axes, in millimetres within the plane of the one slice of `plane`.

    Raises InputError where the two planes are not parallel, so that no movement within them can bring them together.
    """
    axes = np.reshape(plane.GetDirection(), (3, 3))
    own = axes.T @ np.reshape(image.GetDirection(), (3, 3))
    if abs(own[2, 2]) < 0.99:
        raise InputError(f"{name}: the planes of source and target are not parallel, so they cannot be registered.")
    flat = image[:, :, 0]
    flat.SetOrigin((axes.T @ np.asarray(image.GetOrigin()))[:2].tolist())
    flat.SetDirection(own[:2, :2].ravel().tolist())
    return flat


def already_aligned(dimension: int) -> Registration:
    """Nothing is moved: the headers' geometry is trusted."""
    return Registration(sitk.Transform(dimension, sitk.sitkIdentity), "already registered", 1.0)


def register_labels(source: sitk.Image, target: sitk.Image, method: str = "scale") -> Registration:
    """Register by two binary labels (uint8, not empty).

    The labels' signed distance maps are compared, clamped to one equivalent gland radius so that the gland's rim
    decides. method: "none" moves nothing; "centroid" shifts centroids together; "rigid" goes on to a shift and a
    rotation; "scale" (default) to a shift and one scale along each axis; "affine" to all parameters; "bspline" adds a
    coarse B-spline to that, and is given up for the affine result where it would squeeze tissue below 0.2 of its
    volume. The default has no rotation or shear because the outline of a nearly round gland doesn't determine them:
    freed, they follow its irregularities and turn everything outside it (30 degrees in one public case), for one
    hundredth of Dice. Mean Dice of the 18 public pairs: 0.86 rigid, 0.89 scale.
    """
    if method not in LABEL_METHODS:
        raise InputError(f"Labels cannot be registered by {method!r}; there are {', '.join(LABEL_METHODS)}.")
    dimension = source.GetDimension()
    if method == "none":
        return already_aligned(dimension)
    centre, radius = _centroid(source)
    shift = np.asarray(_centroid(target)[0]) - centre
    if method == "centroid":
        return Registration(sitk.TranslationTransform(dimension, shift.tolist()), "gland labels: centroid", 1.0)
    (fixed, own), (moving, other) = _distances(source, radius), _distances(target, radius)
    moving.SetOrigin((np.asarray(moving.GetOrigin()) + other - own).tolist())
    with _in_words():
        if method == "rigid":
            turned = _rigid(centre, shift)
            _descend(fixed, moving, turned)
            return Registration(turned, "gland labels: rigid", 1.0)
        affine = sitk.AffineTransform(dimension)
        affine.SetCenter(centre.tolist())
        affine.SetTranslation(shift.tolist())
        _descend(fixed, moving, affine, (*np.eye(dimension).ravel().tolist(), *[1.0] * dimension))
        if method == "scale":
            return Registration(affine, "gland labels: scale", _volume_ratio(affine))
        _descend(fixed, moving, affine)
        if method == "affine":
            return Registration(affine, "gland labels: affine", _volume_ratio(affine))
        return _bend(fixed, moving, source, affine, "gland labels")


def register_images(source: sitk.Image, target: sitk.Image, seen: sitk.Image, method: str = "shift") -> Registration:
    """Register by mutual information of the images themselves (float32) inside the source's field of view (uint8).

    method: "none", "shift" (from the centres of the two grids), "rigid", "affine" or "bspline", each from the one
    before it; a B-spline that squeezes tissue below 0.2 of its volume is given up. On the public ultrasound and MR
    pairs every step after the shift loses: see `WORSE_THAN_LABELS`. It is a fallback there; images of one kind, such as
    two phases of a bone scan, are what it is for.
    """
    if method not in IMAGE_METHODS:
        raise InputError(f"Images cannot be registered by {method!r}; there are {', '.join(IMAGE_METHODS)}.")
    dimension = source.GetDimension()
    if method == "none":
        return already_aligned(dimension)
    euler = sitk.Euler3DTransform() if dimension == 3 else sitk.Euler2DTransform()
    centred = sitk.CenteredTransformInitializer(source, target, euler, sitk.CenteredTransformInitializerFilter.GEOMETRY)
    shift = sitk.TranslationTransform(dimension, type(euler)(centred).GetTranslation())
    with _in_words():
        _inform(source, target, seen, shift)
        if method == "shift":
            return Registration(shift, "mutual information: shift", 1.0)
        centre = np.asarray(source.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in source.GetSize()]))
        turned = _rigid(centre, np.asarray(shift.GetOffset()))
        _inform(source, target, seen, turned)
        if method == "rigid":
            return Registration(turned, "mutual information: rigid", 1.0)
        affine = sitk.AffineTransform(dimension)
        affine.SetCenter(turned.GetCenter())
        affine.SetMatrix(turned.GetMatrix())
        affine.SetTranslation(turned.GetTranslation())
        _inform(source, target, seen, affine)
        if method == "affine":
            return Registration(affine, "mutual information: affine", _volume_ratio(affine))
        return _bend(source, target, source, affine, "mutual information", seen)


def resample(image: sitk.Image, like: sitk.Image, transform: sitk.Transform, *, labels: bool = False) -> sitk.Image:
    """`image` on the grid of `like`, linearly (nearest voxel for labels); 0 where `image` has no voxel."""
    interpolator = sitk.sitkNearestNeighbor if labels else sitk.sitkLinear
    return sitk.Resample(image, like, transform, interpolator, 0.0)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap of two masks, 2|A and B| / (|A| + |B|); 0 when both are empty."""
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2.0 * int(np.count_nonzero((a > 0) & (b > 0))) / total if total else 0.0


def least_jacobian(transform: sitk.Transform, like: sitk.Image) -> float:
    """Smallest Jacobian determinant of the transform over the grid of `like` (below 0 it folds)."""
    field = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, like.GetSize(), like.GetOrigin(), like.GetSpacing(), like.GetDirection()
    )
    return float(sitk.GetArrayViewFromImage(sitk.DisplacementFieldJacobianDeterminant(field)).min())


@contextmanager
def _in_words() -> Iterator[None]:
    """ITK's exceptions are pages of C++; what a person needs of them is their last line."""
    try:
        yield
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[-1].split("): ")[-1].rstrip(".") if lines else "no reason given"
        raise InputError(f"The registration did not work out ({reason}): do the two images overlap at all?") from error


def _volume_ratio(affine: Any) -> float:
    side = affine.GetDimension()
    return float(np.linalg.det(np.reshape(affine.GetMatrix(), (side, side))))


def _centroid(label: sitk.Image) -> tuple[np.ndarray, float]:
    """Centroid (mm) and radius of the sphere, or disc, of equal volume (mm)."""
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(label)
    return np.asarray(shape.GetCentroid(1)), float(shape.GetEquivalentSphericalRadius(1))


def _distances(label: sitk.Image, limit: float) -> tuple[sitk.Image, np.ndarray]:
    """The thinned-out distance map, and how far (mm) its values come from where its header says.

    Thinning takes every second voxel and places it between two. Alike in both images that moves nothing, but of voxels
    of two sizes the glands would come to lie apart by half the difference, and along an axis with an odd number of
    voxels in one image and an even one in the other by half a voxel.
    """
    signed = sitk.SignedMaurerDistanceMap(label, squaredDistance=False, useImageSpacing=True)
    factors = [SHRINK if size >= LEAST_SHRUNK else 1 for size in label.GetSize()]
    thin = sitk.Shrink(sitk.Clamp(signed, sitk.sitkFloat32, -limit, limit), factors)
    taken = label.TransformIndexToPhysicalPoint(label.TransformPhysicalPointToIndex(thin.GetOrigin()))
    return thin, np.asarray(taken) - np.asarray(thin.GetOrigin())


def _rigid(centre: np.ndarray, shift: np.ndarray) -> Any:
    """No rotation yet, about `centre`."""
    turned = sitk.Euler3DTransform() if len(centre) == 3 else sitk.Euler2DTransform()
    turned.SetCenter(centre.tolist())
    turned.SetTranslation(shift.tolist())
    return turned


def _method(transform: sitk.Transform) -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums in a fixed order: the same result each time
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(transform, inPlace=True)
    return method


def _descend(
    fixed: sitk.Image, moving: sitk.Image, transform: sitk.Transform, free: tuple[float, ...] | None = None
) -> None:
    """Least squares by gradient descent; free: 1 for each parameter that may move, 0 for one that may not."""
    method = _method(transform)
    if free is not None:
        method.SetOptimizerWeights(free)
    method.SetMetricAsMeanSquares()
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 100, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.Execute(fixed, moving)


def _inform(source: sitk.Image, target: sitk.Image, seen: sitk.Image, transform: sitk.Transform) -> None:
    method = _method(transform)
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricFixedMask(seen)
    method.SetOptimizerAsRegularStepGradientDescent(0.5, 1e-3, 60, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.Execute(source, target)


def _bend(
    fixed: sitk.Image,
    moving: sitk.Image,
    domain: sitk.Image,
    affine: sitk.Transform,
    by: str,
    seen: sitk.Image | None = None,
) -> Registration:
    """A B-spline after the affine transform: by least squares, or with `seen` by mutual information."""
    spline = sitk.BSplineTransformInitializer(domain, [MESH] * domain.GetDimension())
    method = _method(spline)
    if seen is None:
        method.SetMetricAsMeanSquares()
    else:
        method.SetMetricAsMattesMutualInformation(32)
        method.SetMetricFixedMask(seen)
    method.SetMovingInitialTransform(affine)
    method.SetOptimizerAsLBFGSB(numberOfIterations=20)
    method.Execute(fixed, moving)
    bent = sitk.CompositeTransform([affine, spline])
    least = least_jacobian(bent, domain)
    if least < LEAST_JACOBIAN:
        return Registration(affine, f"{by}: affine (B-spline folded)", _volume_ratio(affine))
    return Registration(bent, f"{by}: B-spline", least)
