"""One pair read, registered, put on its grid and judged; files of the result and many pairs are `prepared`'s and
`prepare`'s.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from imagetranslation.errors import InputError
from imagetranslation.fieldofview import field_of_view
from imagetranslation.similarity.information import nmi
from imagetranslation.volume import Volume, axis_codes, check_usable

from . import registration
from .pairs import PairFiles, read_image, read_label, read_lesions
from .registration import Registration, resample, to_sitk

BY = ("auto", "labels", "images")
# Beyond these a registration is suspect and a person has to look at it; our choice: the public pairs, which look right,
# have a Dice of at least 0.85, local volumes of 0.78 to 1.09 and 0.88 of the view covered.
LEAST_DICE = 0.7
WORSE_DICE = 0.005  # a pair that lay right loses as much by being resampled
LEAST_VALID = 0.5
VOLUME_RATIOS = (0.3, 3.0)
NMI_BINS = 32
LEAST_COMMON = 200  # voxels of both images that mutual information is measured on; fewer say nothing


@dataclass(frozen=True)
class Settings:
    """How pairs are aligned. method: see `registration`; by: "labels", "images", or "auto" for labels where a case has
    them and else its images (see `by_images`). spacing (mm along i, j, k), or size (voxels along i, j, k): of the grid
    all images of a case are put on, in place of the source's own; orientation: its axes as `volume.axis_codes`.
    """

    method: str = "scale"
    by: str = "auto"
    source_modality: str = "US"
    target_modality: str = "MR"
    spacing: tuple[float, ...] | None = None
    size: tuple[int, ...] | None = None
    orientation: str = ""

    def __post_init__(self) -> None:
        methods = {"labels": registration.LABEL_METHODS, "images": registration.IMAGE_METHODS}
        if self.by not in BY:
            raise InputError(f"Pairs are registered by {', '.join(BY)}; not by {self.by!r}.")
        if self.method not in methods.get(self.by, registration.LABEL_METHODS):
            known = ", ".join(methods.get(self.by, registration.LABEL_METHODS))
            raise InputError(f"There is no registration {self.method!r} by {self.by}; there are {known}.")
        if self.spacing is not None and self.size is not None:
            raise InputError("Give the spacing or the size of the common grid, not both.")
        if self.spacing is not None and not (len(self.spacing) == 3 and all(0.05 <= s <= 50 for s in self.spacing)):
            raise InputError("The spacing of the common grid is three numbers of 0.05 to 50 mm, along i, j and k.")
        if self.size is not None and not (len(self.size) == 3 and all(1 <= n <= 4096 for n in self.size)):
            raise InputError("The size of the common grid is three numbers of 1 to 4096 voxels, along i, j and k.")
        pairs = ("LR", "PA", "SI")
        if self.orientation and sorted(
            next((n for n, pair in enumerate(pairs) if letter in pair), 9) for letter in self.orientation
        ) != [0, 1, 2]:
            raise InputError(f"{self.orientation!r} is no orientation; one is LPS: where i, j and k grow.")

    def by_images(self) -> str | None:
        """The method for a case without labels: the one asked for where images have it, a shift in place of the default
        scale; None where there is none.
        """
        if self.by == "auto" and self.method == Settings.method:
            return "shift"
        return self.method if self.by != "labels" and self.method in registration.IMAGE_METHODS else None

    def record(self) -> dict[str, Any]:
        """For `cases.json`: what was asked for; what was left at its default is not named but for the first three."""
        stated = {
            "registration": self.method,
            "source_modality": self.source_modality,
            "target_modality": self.target_modality,
        }
        default = Settings()
        more = {k: v for k, v in asdict(self).items() if k not in ("method", *stated) and v != getattr(default, k)}
        return {**stated, **more}


@dataclass(frozen=True)
class Quality:
    """One row of the report; Dice is None without labels. dice_before: on the headers' geometry, nothing moved.

    nmi_before, nmi_after: normalised mutual information (32 bins) of the two images where both are seen before and
    after, None where that is almost nowhere. shift_mm: displacement of the source grid's centre. least_jacobian:
    smallest local volume ratio. valid_fraction: share of the source's field of view that the target's voxels cover.
    lesions: numbered lesions on the case's grid, None where no file marks any. suspect: why a person has to look, "".
    """

    case: str
    method: str
    dice_before: float | None
    dice_after: float | None
    shift_mm: float
    least_jacobian: float
    valid_fraction: float
    nmi_before: float | None = None
    nmi_after: float | None = None
    lesions: int | None = None
    suspect: str = ""


@dataclass(frozen=True)
class Prepared:
    """One case on one grid. valid: uint8, where the source was recorded and the target has voxels. lesion: uint8."""

    source: Volume
    target: Volume
    valid: Volume
    source_label: Volume | None
    target_label: Volume | None
    quality: Quality
    lesion: Volume | None = None


def prepare_pair(pair: PairFiles, settings: Settings) -> Prepared:
    """Read, register and resample one pair; see `Prepared`. InputError where it cannot be used."""
    source, target = read_image(pair.source, pair.source_view), read_image(pair.target, pair.target_view)
    for volume in (source, target):
        check_usable(volume)
    both = _Images(pair.case, source, target)
    fan = field_of_view(Volume(source.array, modality=settings.source_modality, field_of_view=source.field_of_view))
    labels = None
    if pair.source_label and pair.target_label:
        own, other = read_label(pair.source_label, source), read_label(pair.target_label, target)
        labels = both.image(own), both.image(other)
    found = _register(pair, settings, both, labels, fan)
    covered = _covered(both.moving, both.fixed, found.transform)
    valid = fan & both.array(covered)
    if not valid.any():
        raise InputError(
            f"{pair.case}: after registration {pair.target.name} does not overlap the field of view of its source."
        )
    grid = _common_grid(source, settings)
    unchanged = grid.same_grid(source)
    like = both.fixed if unchanged else both.image(grid)
    still = sitk.Transform(like.GetDimension(), sitk.sitkIdentity)

    def on_grid(image: sitk.Image, name: str, **changes: Any) -> Volume:
        return grid.with_array(both.array(image), name=name, field_of_view=None, **changes)

    def moved(image: sitk.Image, transform: sitk.Transform, modality: str) -> sitk.Image:
        found = resample(image if unchanged else _smoothed(image, like), like, transform)
        share = float(np.prod(like.GetSpacing()) / np.prod(image.GetSpacing()))
        # Counts belong to a pixel: a pixel of twice the area has twice as many.
        return found * share if modality == "NM" and not np.isclose(share, 1.0) else found

    lesion, drawn = _lesions(pair, source, target, both, like, found.transform)
    quality = _quality(pair, both, labels, found, (fan, valid), None if lesion is None else (both.array(lesion), drawn))
    return Prepared(
        source=source.with_array(source.array, modality=settings.source_modality)
        if unchanged
        else on_grid(
            moved(both.fixed, still, settings.source_modality), source.name, modality=settings.source_modality
        ),
        target=on_grid(
            moved(both.moving, found.transform, settings.target_modality),
            pair.target.name,
            modality=settings.target_modality,
        ),
        valid=on_grid(
            resample(both.image(source.with_array(valid.astype(np.uint8))), like, still, labels=True), "valid"
        ),
        source_label=on_grid(resample(labels[0], like, still, labels=True), "source label") if labels else None,
        target_label=on_grid(resample(labels[1], like, found.transform, labels=True), "target label")
        if labels
        else None,
        lesion=None if lesion is None else on_grid(lesion, "lesion"),
        quality=quality,
    )


def align_single(path: Path, side: str, settings: Settings) -> tuple[Volume, Volume]:
    """An image without a partner on the common grid, and where it was recorded (uint8, 0 in a target's padding)."""
    image = read_image(path)
    check_usable(image)
    modality = settings.source_modality if side == "source" else settings.target_modality
    seen = field_of_view(Volume(image.array, modality=modality, field_of_view=image.field_of_view))
    alone = _Images(path.name, image, image)
    still = sitk.Transform(alone.fixed.GetDimension(), sitk.sitkIdentity)
    if side == "target":
        seen &= alone.array(_covered(alone.fixed, alone.fixed, still)).astype(bool)
    if not seen.any():
        raise InputError(f"{path.name} is one value everywhere.")
    mask = alone.image(image.with_array(seen.astype(np.uint8)))
    grid = _common_grid(image, settings)
    if grid.same_grid(image):
        return image.with_array(image.array, modality=modality), grid.with_array(alone.array(mask), name="valid")
    like = alone.image(grid)
    share = float(np.prod(like.GetSpacing()) / np.prod(alone.fixed.GetSpacing()))
    moved = alone.array(resample(_smoothed(alone.fixed, like), like, still)) * (share if modality == "NM" else 1.0)
    inside = alone.array(resample(mask, like, still, labels=True))
    made = grid.with_array(moved.astype(np.float32), name=image.name, modality=modality, field_of_view=None)
    return made, grid.with_array(inside, name="valid")


class _Images:
    """The two images for SimpleITK, float32, of three axes or, where both are one slice, of two."""

    def __init__(self, case: str, source: Volume, target: Volume) -> None:
        self._case, self._plane = case, to_sitk(source)
        self.flat = source.array.shape[0] == 1
        if self.flat != (target.array.shape[0] == 1):
            one, many = ("source", "target") if self.flat else ("target", "source")
            raise InputError(f"{case}: its {one} is a single slice and its {many} is a volume; give two of a kind.")
        self.fixed, self.moving = (sitk.Cast(self.image(volume), sitk.sitkFloat32) for volume in (source, target))

    def image(self, volume: Volume) -> sitk.Image:
        """A volume on the grid of one of the two images."""
        found = to_sitk(volume)
        return registration.planar(found, self._plane, self._case) if self.flat else found

    def array(self, image: sitk.Image) -> np.ndarray:
        """(k, j, i) of an image that `image` or a resampling made."""
        found = sitk.GetArrayFromImage(image)
        return found[None] if self.flat else found


def _register(
    pair: PairFiles, settings: Settings, both: _Images, labels: tuple[sitk.Image, sitk.Image] | None, fan: np.ndarray
) -> Registration:
    if settings.by == "labels" and labels is None:
        raise InputError(f"{pair.case} has no labels to register by; leave it out, or register it by images.")
    try:
        if settings.method == "none":
            return registration.already_aligned(both.fixed.GetDimension())
        if labels is not None and settings.by != "images":
            return registration.register_labels(*labels, method=settings.method)
        seen = sitk.GetImageFromArray((fan[0] if both.flat else fan).astype(np.uint8))
        seen.CopyInformation(both.fixed)
        method = settings.by_images()
        if method is None:
            known = ", ".join(registration.IMAGE_METHODS)
            raise InputError(f"it has no labels, and images cannot be registered by {settings.method!r}; {known} can.")
        return registration.register_images(both.fixed, both.moving, seen, method)
    except InputError as error:
        raise InputError(f"{pair.case}: {error}") from error


def _covered(moving: sitk.Image, fixed: sitk.Image, transform: sitk.Transform) -> sitk.Image:
    """Where the target's grid has recorded voxels: inside its extent and outside its constant padding.

    Padding is whole slices, rows or columns of one value at the ends of an axis (case after case of the public pairs
    carries black end slices), which the registered image must not teach. A single axis of a planar image is no slice.
    """
    array = sitk.GetArrayViewFromImage(moving)
    kept = np.ones(array.shape, dtype=np.uint8)
    for axis in range(array.ndim if array.ndim == 3 else 0):
        flat = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
        constant = np.ptp(flat, axis=1) == 0
        first, last = int(np.argmin(constant)), len(constant) - int(np.argmin(constant[::-1]))
        ends = np.moveaxis(kept, axis, 0)
        ends[:first], ends[last:] = 0, 0
    image = sitk.GetImageFromArray(kept)
    image.CopyInformation(moving)
    return resample(image, fixed, transform, labels=True) > 0


def _lesions(
    pair: PairFiles, source: Volume, target: Volume, both: _Images, like: sitk.Image, transform: sitk.Transform
) -> tuple[sitk.Image | None, int]:
    """The lesions on the grid of the case, and how many there were on the grid they were drawn on."""
    if not pair.lesions:
        return None, 0
    drawn = read_lesions(pair.lesions, target if pair.lesions_on == "target" else source)
    still = sitk.Transform(like.GetDimension(), sitk.sitkIdentity)
    how = transform if pair.lesions_on == "target" else still
    return resample(both.image(drawn), like, how, labels=True), _numbers(drawn.array)


def _numbers(array: np.ndarray) -> int:
    """How many lesions have a voxel."""
    return len(np.unique(array[array > 0]))


def _common_grid(source: Volume, settings: Settings) -> Volume:
    """A volume without meaning on the grid that the case is put on: the source's, turned and respaced as asked."""
    flat = source.array.shape[0] == 1
    image = sitk.Image([int(n) for n in source.array.shape[::-1]], sitk.sitkUInt8)
    image.CopyInformation(to_sitk(source.with_array(np.zeros(source.array.shape, np.uint8))))
    if settings.orientation and axis_codes(source) != settings.orientation:
        if flat:
            raise InputError(f"{source.name} is a single slice; an orientation can be asked for of volumes only.")
        image = sitk.DICOMOrient(image, settings.orientation)
    old_size, old_spacing = np.array(image.GetSize()), np.array(image.GetSpacing())
    size, spacing = old_size.copy(), old_spacing.copy()
    axes = 2 if flat else 3
    if settings.spacing is not None:
        spacing[:axes] = settings.spacing[:axes]
        size[:axes] = np.maximum(1, np.rint(old_size * old_spacing / spacing)[:axes])
    elif settings.size is not None:
        size[:axes] = settings.size[:axes]
        spacing = old_size * old_spacing / size
    corner = [float(v) for v in ((old_size - 1) - (size - 1) * spacing / old_spacing) / 2]
    origin = image.TransformContinuousIndexToPhysicalPoint(corner)
    if (size == old_size).all() and np.allclose(spacing, old_spacing):
        origin, spacing = image.GetOrigin(), old_spacing
    shape = tuple(int(n) for n in size[::-1])
    steps: Any = tuple(float(v) for v in spacing)
    first: Any = tuple(float(v) for v in origin)
    return Volume(np.zeros(shape, np.uint8), steps, first, image.GetDirection(), name=source.name)


def _smoothed(image: sitk.Image, like: sitk.Image) -> sitk.Image:
    """Blurred along the axes on which `like` is coarser, so that what it cannot show is averaged and not skipped.

    The Gaussian's variance makes up the difference of two voxels' widths at half height. Axes are compared along
    `like`'s nearest ones.
    """
    side = image.GetDimension()
    own, other = (np.reshape(grid.GetDirection(), (side, side)) for grid in (image, like))
    nearest = np.abs(own.T @ other).argmax(axis=1)
    old, new = np.array(image.GetSpacing()), np.array(like.GetSpacing())[nearest]
    variance = np.maximum(new**2 - old**2, 0) / (8 * np.log(2))
    if not variance.any():
        return image
    return sitk.DiscreteGaussian(image, variance.tolist(), useImageSpacing=True)


def _quality(
    pair: PairFiles,
    both: _Images,
    labels: tuple[sitk.Image, sitk.Image] | None,
    found: Registration,
    seen: tuple[np.ndarray, np.ndarray],
    lesions: tuple[np.ndarray, int] | None,
) -> Quality:
    fan, valid = seen
    nmi_before, nmi_after = _information(both, found.transform, valid, fan)
    shift = _shift(both.fixed, found.transform)
    kept = None if lesions is None else _numbers(lesions[0])
    quality = Quality(
        case=pair.case,
        method=found.method,
        dice_before=_dice(labels, None),
        dice_after=_dice(labels, found.transform),
        shift_mm=shift,
        least_jacobian=round(found.least_jacobian, 4),
        valid_fraction=round(float(valid.sum() / fan.sum()), 4),
        nmi_before=nmi_before,
        nmi_after=nmi_after,
        lesions=kept,
    )
    lost = lesions[1] - (kept or 0) if lesions else 0
    reasons = [*suspicions(quality), *([f"{lost} of its lesions are off the grid"] if lost else [])]
    return Quality(**{**asdict(quality), "suspect": "; ".join(reasons)})


def suspicions(quality: Quality) -> list[str]:
    """What about a registration a person has to look at, in words; empty where nothing is."""
    found = []
    if quality.dice_after is not None and quality.dice_after < LEAST_DICE:
        found.append(f"Dice {quality.dice_after:.2f} is below {LEAST_DICE}")
    if quality.dice_after is not None and quality.dice_after < (quality.dice_before or 0.0) - WORSE_DICE:
        found.append(f"Dice was better before ({quality.dice_before:.3f} to {quality.dice_after:.3f})")
    if not VOLUME_RATIOS[0] <= quality.least_jacobian <= VOLUME_RATIOS[1]:
        found.append(f"volumes change to {quality.least_jacobian:.2f} of what they were")
    if quality.valid_fraction < LEAST_VALID:
        found.append(f"only {quality.valid_fraction:.0%} of the view is covered")
    by_images = quality.method.startswith("mutual information")
    if by_images and None not in (quality.nmi_before, quality.nmi_after) and quality.nmi_after < quality.nmi_before:  # type: ignore[operator]
        found.append("the images share less information than before")
    return found


def _information(
    both: _Images, transform: sitk.Transform, valid: np.ndarray, fan: np.ndarray
) -> tuple[float | None, float | None]:
    """Before and after, on the voxels where both images are seen in either case, so that the two compare."""
    still = sitk.Transform(both.fixed.GetDimension(), sitk.sitkIdentity)
    common = valid & fan & both.array(_covered(both.moving, both.fixed, still)).astype(bool)
    own = both.array(both.fixed)

    def measured(how: sitk.Transform, mask: np.ndarray) -> float | None:
        if mask.sum() < LEAST_COMMON:
            return None
        other = both.array(resample(both.moving, both.fixed, how))
        return round(nmi(own, other, data_range=float(np.ptp(own)) or 1.0, mask=mask, bins=NMI_BINS), 4)

    if common.sum() < LEAST_COMMON:
        return None, measured(transform, valid)
    return measured(still, common), measured(transform, common)


def _dice(labels: tuple[sitk.Image, sitk.Image] | None, transform: sitk.Transform | None) -> float | None:
    if labels is None:
        return None
    still = sitk.Transform(labels[0].GetDimension(), sitk.sitkIdentity)
    moved = resample(labels[1], labels[0], transform or still, labels=True)
    return round(registration.dice(sitk.GetArrayViewFromImage(labels[0]), sitk.GetArrayViewFromImage(moved)), 4)


def _shift(image: sitk.Image, transform: sitk.Transform) -> float:
    centre = np.asarray(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))
    return round(float(np.linalg.norm(np.asarray(transform.TransformPoint(centre.tolist())) - centre)), 3)
