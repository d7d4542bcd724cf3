"""PyRadiomics as an engine: the values of PyRadiomics 3.0.1 to the bit, without its passes over the whole image.

Stock PyRadiomics reads, casts, hashes and searches the whole image and mask for every region, which is most of its time
for regions much smaller than the image. Here the region's box is known before, what depends on the whole image
(normalisation, spline coefficients, filters without a finite reach) is computed once for all regions, and PyRadiomics'
own feature classes and matrices see only the box. The steps and their order are those of its documentation
("Customizing the Extraction"): normalise, resample or pre-crop, check, resegment, shape, filter, features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import ImageTranslationError, InputError
from ..volume import Volume
from . import parallel
from .engine import Cancel, Feature, Progress, RoiResult
from .filters import filtered
from .parameters import FEATURE_CLASSES
from .pyradiomics_names import aggregation, identity
from .resample import Whole, cropped, mask_to_sitk, region_of, resampled, to_sitk
from .roi import Roi, check_grid, check_intensities, check_usable, check_voxels
from .settings import Settings
from .texture import Classes, Outcome, Task, compute, recorded

ABSENT = (
    "PyRadiomics is not installed here. In Slicer install the extension Radiomics; elsewhere, with Python 3.11 and "
    "gcc, run sh Resources/Setup/pyradiomics.sh .venv/bin/python in the source checkout. It cannot be built for Python "
    "3.12 or newer; there, use --features paper186, which MIRP makes."
)


@dataclass
class _Prepared:
    """One region and the image it is seen in. shape_mask: for morphology, cropped to the region's box."""

    whole: Whole
    region: Roi
    shape_mask: np.ndarray
    warnings: list[str] = field(default_factory=list)


class PyRadiomicsEngine:
    """See `engine.Engine`. Raises InputError with one sentence where PyRadiomics is not installed."""

    name = "pyradiomics"
    feature_set = "pyradiomics"

    def __init__(self) -> None:
        try:
            import radiomics
        except ImportError as error:
            raise InputError(ABSENT) from error
        self.version = str(radiomics.__version__).removeprefix("v")

    def extract(
        self,
        image: Volume,
        rois: Sequence[Roi],
        settings: Settings,
        *,
        shape: bool = True,
        workers: int = 1,
        scheduler: str = "",
        progress: Progress | None = None,
        cancelled: Cancel | None = None,
    ) -> list[RoiResult]:
        """Features of the image under each region; see `engine.Engine.extract`."""
        given = settings.pyradiomics()
        _check_feature_names(given)
        general = settings.general()
        whole = self._whole(image, general)
        prepared: list[_Prepared | str] = []
        for roi in rois:
            try:
                prepared.append(_prepare(whole, image, roi, settings, general))
            except InputError as error:
                prepared.append(str(error))
        tasks, owners = self._tasks(whole, prepared, given, general, settings, shape)
        outcomes = parallel.run(compute, tasks, workers, scheduler=scheduler, progress=progress, cancelled=cancelled)
        per_roi: list[list[tuple[Task, Outcome]]] = [[] for _ in rois]
        for owner, task, outcome in zip(owners, tasks, outcomes):
            per_roi[owner].append((task, outcome))
        return [self._result(roi, settings, state, made) for roi, state, made in zip(rois, prepared, per_roi)]

    def _whole(self, image: Volume, general: dict[str, Any]) -> Whole:
        whole = Whole(to_sitk(image))
        if not general["normalize"]:
            return whole
        from radiomics import imageoperations

        # Mean and standard deviation are those of the whole image, so this comes before any crop.
        return Whole(imageoperations.normalizeImage(whole.image, **general))

    def _tasks(
        self,
        whole: Whole,
        prepared: Sequence[_Prepared | str],
        given: dict[str, Any],
        general: dict[str, Any],
        settings: Settings,
        shape: bool,
    ) -> tuple[list[Task], list[int]]:
        """All work, ordered by image type, and the region each piece belongs to."""
        classes = _classes(given)
        tasks: list[Task] = []
        owners: list[int] = []
        usable = [(number, state) for number, state in enumerate(prepared) if isinstance(state, _Prepared)]
        for number, state in usable if shape else ():
            if task := _shape_task(state, classes, general):
                tasks.append(task)
                owners.append(number)
        grey: Classes = tuple(entry for entry in classes if not entry[0].startswith("shape"))
        if not grey:
            return tasks, owners
        # Regions of an image that was not resampled share its filtered images.
        groups = [[entry for entry in usable if entry[1].whole is whole]]
        groups += [[entry] for entry in usable if entry[1].whole is not whole]
        for group in filter(None, groups):
            for kind, own in (given.get("imageType") or {"Original": {}}).items():
                arguments = {**general, **(own or {})}
                levels = settings.levels_needed(arguments) if kind == "Original" else 0
                with recorded() as logged:
                    made = filtered(group[0][1].whole, [state.region for _, state in group], kind, arguments)
                    for image_type, arrays in made:
                        for (number, state), array in zip(group, arrays):
                            spacing = state.region.grid.spacing
                            tasks.append(Task(array, state.region.mask, spacing, image_type, grey, arguments, levels))
                            owners.append(number)
                for _, state in group:
                    state.warnings += list(dict.fromkeys(logged))
        return tasks, owners

    def _result(
        self, roi: Roi, settings: Settings, state: _Prepared | str, made: list[tuple[Task, Outcome]]
    ) -> RoiResult:
        refused = state if isinstance(state, str) else next((o.refused for _, o in made if o.refused), "")
        levels = next((o.levels for task, o in made if task.image_type == "original" and o.levels is not None), None)
        warnings = [] if isinstance(state, str) else [*state.warnings]
        warnings += [sentence for _, outcome in made for sentence in outcome.logged]
        features: list[Feature] = []
        if not refused:
            features = [_feature(task, *value) for task, outcome in made for value in outcome.values]
            warnings += _doubts(levels, features)
        return RoiResult(
            self.name, self.version, self.feature_set, roi.to_dict(), {**settings.to_dict(), "sha256": settings.sha256},
            tuple(features), levels, (), tuple(dict.fromkeys(warnings)), "this process", refused,
        )  # fmt: skip


def _feature(task: Task, feature_class: str, feature: str, value: float) -> Feature:
    what = identity(feature_class, feature)
    return Feature(
        what.name, what.code, what.family, f"{task.image_type}_{feature_class}_{feature}", value, what.unit,
        aggregation(feature_class), task.image_type, what.note,
    )  # fmt: skip


def _doubts(levels: int | None, features: Sequence[Feature]) -> list[str]:
    from .settings import MINIMUM_GREY_LEVELS

    sentences = []
    if levels is not None and levels < MINIMUM_GREY_LEVELS:
        sentences.append(f"There are only {levels} grey levels in the region: its texture says little.")
    if undefined := [feature.engine_name for feature in features if not np.isfinite(feature.value)]:
        more = f" and {len(undefined) - 3} more" if len(undefined) > 3 else ""
        sentences.append(f"Not defined for this region: {', '.join(undefined[:3])}{more}.")
    return sentences


def _check_feature_names(given: dict[str, Any]) -> None:
    import radiomics

    known = radiomics.getFeatureClasses()
    for name, features in (given.get("featureClass") or {}).items():
        if unknown := [feature for feature in features or () if feature not in known[name].getFeatureNames()]:
            raise InputError(f"PyRadiomics has no feature {unknown[0]!r} in its class {name}.")


def _classes(given: dict[str, Any]) -> Classes:
    """The classes asked for, in their order; all where a file names none, in PyRadiomics' order."""
    asked = given.get("featureClass") or dict.fromkeys(sorted(FEATURE_CLASSES))
    return tuple((name, tuple(features) if features else None) for name, features in asked.items())


def _shape_task(state: _Prepared, classes: Classes, general: dict[str, Any]) -> Task | None:
    """Morphology of one region, or None where it is not asked for."""
    wanted: Classes = tuple(entry for entry in classes if entry[0] == "shape")
    flat = tuple(entry for entry in classes if entry[0] == "shape2D")
    if flat and general["force2D"]:
        axis = general["force2Ddimension"]
        # PyRadiomics looks at one axis counted from i to decide, and at the one counted from k to measure.
        if state.shape_mask.shape[::-1][axis] > 1 and state.shape_mask.shape[axis] == 1:
            wanted += flat
        else:
            state.warnings.append("shape2D was left out: it is for regions of one slice (force2Ddimension).")
    if not wanted:
        return None
    mask, spacing = state.shape_mask, state.region.grid.spacing
    return Task(np.zeros(mask.shape, np.uint8), mask, spacing, "original", wanted, general)


def _prepare(whole: Whole, image: Volume, roi: Roi, settings: Settings, general: dict[str, Any]) -> _Prepared:
    """The image as the region's features see it; InputError with one sentence where it cannot be used."""
    check_grid(roi, image)
    check_usable(roi, settings)
    check_intensities(roi, image)
    spacing, interpolator = general["resampledPixelSpacing"], general["interpolator"]
    seen, region = whole, roi
    if (interpolator is not None and spacing is not None) or general["preCrop"]:
        if interpolator is not None and spacing is not None:
            moved, mask = resampled(whole, roi, spacing, interpolator, general["padDistance"])
        else:
            moved, mask = cropped(whole, roi, general["padDistance"])
        seen = Whole(moved)
        region = _region(moved, mask, roi)
        if settings.parameters is None:
            check_voxels(roi.name, region.voxels, settings, "after resampling")
    _check_extent(region, general)
    state = _Prepared(seen, region, region.mask)
    if general["resegmentRange"] is not None:
        _resegment(state, general)
    return state


def _region(image: Any, mask: Any, roi: Roi) -> Roi:
    from ..formats import quiet_sitk

    region = region_of(image, quiet_sitk().GetArrayViewFromImage(mask) == 1, roi)
    if region is None:
        raise InputError(
            f"{roi.name} is gone after resampling, being smaller than a new voxel: choose a finer spacing."
        )
    return region


def _check_extent(region: Roi, general: dict[str, Any]) -> None:
    """PyRadiomics' own checks (`minimumROIDimensions`, `minimumROISize`), as sentences."""
    axes = sum(size > 1 for size in region.mask.shape)
    if axes == 0:
        raise InputError(f"{region.name} is a single voxel; features need more.")
    if axes < general["minimumROIDimensions"]:
        raise InputError(
            f"{region.name} extends along {axes} of the axes; at least {general['minimumROIDimensions']} are needed "
            "(minimumROIDimensions)."
        )
    smallest = general["minimumROISize"]
    if smallest is not None and region.voxels <= smallest:
        raise InputError(f"{region.name} has {region.voxels} voxels; more than {smallest} are needed (minimumROISize).")


def _resegment(state: _Prepared, general: dict[str, Any]) -> None:
    """Narrow the region to a range of intensities, by PyRadiomics' own function on the region's box."""
    import SimpleITK as sitk
    from radiomics import imageoperations

    region = state.region
    inside = sitk.GetImageFromArray(np.ascontiguousarray(state.whole.array[region.slices]))
    mask = sitk.GetImageFromArray(region.mask.astype(np.uint32))
    try:
        with recorded():
            narrowed = imageoperations.resegmentMask(inside, mask, **{**general, "label": 1})
    except ValueError as error:
        raise InputError(f"{region.name}: {str(error).rstrip('.')}.") from error
    kept = sitk.GetArrayFromImage(narrowed) == 1
    within = region_of(inside, kept, region)
    assert within is not None
    start = tuple(a + b for a, b in zip(region.start, within.start))
    state.region = replace(region, mask=within.mask, start=(start[0], start[1], start[2]))
    _check_extent(state.region, general)
    # PyRadiomics crops morphology to the narrowed box, also where it takes the region as drawn.
    state.shape_mask = within.mask if general.get("resegmentShape", False) else region.mask[within.slices]


def stock(image: Volume, roi: Roi, settings: Settings) -> dict[str, Any]:
    """The same extraction by PyRadiomics' own extractor on the whole image, for tests and comparisons."""
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    with recorded():
        extractor = RadiomicsFeatureExtractor(settings.pyradiomics())
        return dict(extractor.execute(to_sitk(image), mask_to_sitk(roi), label=1))


__all__ = ["ABSENT", "ImageTranslationError", "PyRadiomicsEngine", "stock"]
