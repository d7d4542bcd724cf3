"""Registering a target (MR) to a source (ultrasound) with SimpleITK, deterministically (one thread, all voxels).

With gland labels the two glands' signed distance maps are matched: centroids first, then a scale along each axis or,
on request, an affine and a coarse B-spline transform. Without labels mutual information (Mattes) of the images, inside
the source's field of view, drives a shift. Transforms map points of the source into the target, ready for resampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from imagetranslation.errors import InputError
from imagetranslation.volume import Volume

METHODS = ("centroid", "scale", "affine", "bspline")
SHRINK = 2  # optimise on every second voxel: the distance maps are smooth, and it is eight times faster
MESH = (3, 3, 3)  # B-spline cells over the source's grid
LEAST_JACOBIAN = 0.2
SCALES_AND_SHIFT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0)


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


def register_labels(source: sitk.Image, target: sitk.Image, method: str = "scale") -> Registration:
    """Register by two binary labels (uint8, not empty).

    The labels' signed distance maps are compared, clamped to one equivalent gland radius so that the gland's rim
    decides. method: "centroid" shifts centroids together; "scale" (default) goes on to a shift and one scale along
    each axis; "affine" to all twelve parameters; "bspline" adds a coarse B-spline, and is given up for the affine
    result where it would squeeze tissue below 0.2 of its volume. The default has no rotation or shear because the
    outline of a nearly round gland doesn't determine them: freed, they follow its irregularities and turn everything
    outside it (30 degrees in one public case), for one hundredth of Dice.
    """
    if method not in METHODS:
        raise InputError(f"Unknown registration {method!r}; there are {', '.join(METHODS)}.")
    centre, radius = _centroid(source)
    shift = np.asarray(_centroid(target)[0]) - centre
    if method == "centroid":
        return Registration(sitk.TranslationTransform(3, shift.tolist()), "gland labels: centroid", 1.0)
    fixed, moving = _distances(source, radius), _distances(target, radius)
    affine = sitk.AffineTransform(3)
    affine.SetCenter(centre.tolist())
    affine.SetTranslation(shift.tolist())
    _descend(fixed, moving, affine, SCALES_AND_SHIFT)
    if method == "scale":
        return Registration(affine, "gland labels: scale", _volume_ratio(affine))
    _descend(fixed, moving, affine)
    if method == "affine":
        return Registration(affine, "gland labels: affine", _volume_ratio(affine))
    bent = _bend(fixed, moving, source, affine)
    least = least_jacobian(bent, source)
    if least < LEAST_JACOBIAN:
        return Registration(affine, "gland labels: affine (B-spline folded)", _volume_ratio(affine))
    return Registration(bent, "gland labels: B-spline", least)


def register_images(source: sitk.Image, target: sitk.Image, seen: sitk.Image) -> Registration:
    """Register by mutual information of the images themselves (float32) inside the source's field of view (uint8).

    Only a shift, from the centres of the two grids: on the public pairs freeing a rotation as well took the mean gland
    Dice from 0.62 to 0.45, and an unmasked affine to 0.32. It is a fallback; labels do far better.
    """
    centred = sitk.CenteredTransformInitializer(
        source, target, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    shift = sitk.TranslationTransform(3, sitk.Euler3DTransform(centred).GetTranslation())
    method = _method(shift)
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricFixedMask(seen)
    method.SetOptimizerAsRegularStepGradientDescent(0.5, 1e-3, 60, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.Execute(source, target)
    return Registration(shift, "mutual information: shift", 1.0)


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


def _volume_ratio(affine: sitk.Transform) -> float:
    return float(np.linalg.det(np.reshape(affine.GetMatrix(), (3, 3))))


def _centroid(label: sitk.Image) -> tuple[np.ndarray, float]:
    """Centroid (mm) and radius of the sphere of equal volume (mm)."""
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(label)
    return np.asarray(shape.GetCentroid(1)), float(shape.GetEquivalentSphericalRadius(1))


def _distances(label: sitk.Image, limit: float) -> sitk.Image:
    signed = sitk.SignedMaurerDistanceMap(label, squaredDistance=False, useImageSpacing=True)
    return sitk.Shrink(sitk.Clamp(signed, sitk.sitkFloat32, -limit, limit), [SHRINK] * 3)


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


def _bend(fixed: sitk.Image, moving: sitk.Image, domain: sitk.Image, affine: sitk.Transform) -> sitk.Transform:
    spline = sitk.BSplineTransformInitializer(domain, MESH)
    method = _method(spline)
    method.SetMetricAsMeanSquares()
    method.SetMovingInitialTransform(affine)
    method.SetOptimizerAsLBFGSB(numberOfIterations=20)
    method.Execute(fixed, moving)
    return sitk.CompositeTransform([affine, spline])
