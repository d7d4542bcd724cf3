"""MIRP (EUPL-1.2, optional) as an engine: the features of the IBSI reference manual, in a process of its own.

Image and region are resampled and cropped here, by the one preparation that all engines share; MIRP discretises and
computes. With a bin width the lowest grey level begins at a multiple of the width, so that two images share their bin
edges. The intensity-volume histogram takes whole intensities as they are and puts others into 1000 bins (MIRP's
default for images without definite units).
"""

from __future__ import annotations

import functools
import math
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..volume import Volume, write_volume
from .engine import Cancel, Feature, Progress, RoiResult
from .mirp_names import GAP, PAPER_FAMILIES, identity, in_set
from .mirp_process import MirpProcess
from .resample import Whole, cropped, resampled, to_sitk
from .roi import Roi, check_grid, check_intensities, check_usable, check_voxels
from .settings import INTERPOLATORS, Settings, without_parameters
from .texture import MOST_LEVELS

# The local intensity peak looks 6.2 mm around each voxel (IBSI); the rest is for MIRP's own crop.
MARGIN_MM = 12.0
_SHAPE_FAMILIES = ("morphology",)
_EVERY = ["2d_average", "2d_slice_merge", "2.5d_direction_merge", "2.5d_volume_merge", "3d_average", "3d_volume_merge"]
_IN_3D = ["3d_average", "3d_volume_merge"]


class MirpEngine:
    """See `engine.Engine`. feature_set: "paper186" (185 features and a named gap) or "ibsi" (all, every aggregation).

    python: an interpreter that has MIRP, "" for this one. Raises InputError with one sentence where MIRP is absent.
    """

    name = "mirp"

    def __init__(self, feature_set: str = "paper186", python: str = "") -> None:
        self.feature_set = feature_set
        self._python = python
        self._first = MirpProcess(python)
        self.version = self._first.version

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process is sent what to make, not MIRP's process; it starts one of its own for all it is sent."""
        return _of_this_process, (self.feature_set, self._python)

    def close(self) -> None:
        """End MIRP's process; the engine cannot be used afterwards."""
        self._first.close()

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
        if scheduler:
            raise InputError("MIRP works on this machine only: give a number of workers instead of a scheduler.")
        plain = without_parameters(settings, "MIRP")
        whole = Whole(to_sitk(image))
        count = max(1, min(workers, len(rois)))
        runners = [self._first, *(MirpProcess(self._python) for _ in range(count - 1))]
        done = 0

        def share(number: int) -> list[RoiResult]:
            nonlocal done
            made = []
            for roi in rois[number::count]:
                made.append(self._one(runners[number], image, whole, roi, settings, plain, shape, cancelled))
                done += 1
                if progress is not None:
                    progress(done, len(rois))
            return made

        try:
            with ThreadPoolExecutor(count) as pool:
                shares = list(pool.map(share, range(count)))
        finally:
            for runner in runners[1:]:
                runner.close()
        return [shares[index % count][index // count] for index in range(len(rois))]

    def _one(
        self, runner: MirpProcess, image: Volume, whole: Whole, roi: Roi, settings: Settings, plain: Settings,
        shape: bool, cancelled: Cancel | None,
    ) -> RoiResult:  # fmt: skip
        features: list[Feature] = []
        levels, refused, warnings = None, "", []
        try:
            check_grid(roi, image)
            check_usable(roi, settings)
            check_intensities(roi, image)
            seen, mask = _around(whole, roi, plain)
            inside = seen.array[mask.array > 0]
            if settings.parameters is None:
                check_voxels(roi.name, inside.size, settings, "after resampling")
            levels = grey_levels(inside, plain)
            features = self._ask(runner, seen, mask, _arguments(inside, plain, self.feature_set, shape), cancelled)
        except InputError as error:
            refused = str(error)
        if undefined := [feature.engine_name for feature in features if not math.isfinite(feature.value)]:
            warnings.append(
                f"Not defined for this region: {', '.join(undefined[:3])}" + (" ..." * (len(undefined) > 3))
            )
        missing = (GAP,) if self.feature_set == "paper186" else ()
        return RoiResult(
            self.name, self.version, self.feature_set, roi.to_dict(), {**settings.to_dict(), "sha256": settings.sha256},
            tuple(features), levels, missing, tuple(warnings), runner.where, refused,
        )  # fmt: skip

    def _ask(
        self, runner: MirpProcess, image: Volume, mask: Volume, arguments: dict[str, Any], cancelled: Cancel | None
    ) -> list[Feature]:
        with tempfile.TemporaryDirectory(prefix="imagetranslation-") as folder:
            paths = [str(write_volume(volume, Path(folder) / f"{volume.name}.nii.gz")) for volume in (image, mask)]
            values = runner.ask({"image": paths[0], "mask": paths[1], "arguments": arguments}, cancelled)
        return [
            _feature(column, value) for column, value in values.items()
            if identity(column) is not None and in_set(column, self.feature_set)
        ]  # fmt: skip


def _feature(column: str, value: float | None) -> Feature:
    found = identity(column)
    assert found is not None
    what, how = found
    number = math.nan if value is None else float(value)
    return Feature(what.name, what.code, what.family, column, number, what.unit, how, "original", what.note)


def _around(whole: Whole, roi: Roi, settings: Settings) -> tuple[Volume, Volume]:
    """Image and labelmap around the region, resampled where the settings ask; on axes of their own, since MIRP's
    features do not depend on the orientation.
    """
    from ..formats import quiet_sitk

    spacing = settings.spacing
    new = roi.grid.spacing if spacing is None else tuple(n or old for n, old in zip(spacing, roi.grid.spacing))
    margin = math.ceil(MARGIN_MM / min(new))
    if spacing is None:
        moved, mask = cropped(whole, roi, margin)
    else:
        moved, mask = resampled(whole, roi, list(spacing), INTERPOLATORS[settings.interpolator], margin)
    sitk = quiet_sitk()
    arrays = [sitk.GetArrayFromImage(part) for part in (moved, mask)]
    if not arrays[1].any():
        raise InputError(
            f"{roi.name} is gone after resampling, being smaller than a new voxel: choose a finer spacing."
        )
    if arrays[0].dtype.kind == "f":
        arrays[0] = arrays[0].astype(np.float32)
    size = tuple(moved.GetSpacing())
    return Volume(arrays[0], size, name="image"), Volume(arrays[1].astype(np.uint8), size, name="mask")


def grey_levels(inside: np.ndarray, settings: Settings) -> int:
    """Occupied grey levels of the intensities; InputError with one sentence where they are too few."""
    low, high = float(inside.min()), float(inside.max())
    if settings.bin_number is not None:
        how = f"{settings.bin_number} bins"
        scaled = (inside.astype(float) - low) / ((high - low) or 1.0)
        levels = np.minimum(np.floor(scaled * settings.bin_number), settings.bin_number - 1)
    elif settings.bin_width is not None:
        how = f"a bin width of {settings.bin_width:g}"
        if (high - low) / settings.bin_width > MOST_LEVELS:
            raise InputError(
                f"{how[0].upper()}{how[1:]} makes more than {MOST_LEVELS} grey levels; choose a larger one."
            )
        levels = np.floor(inside.astype(float) / settings.bin_width)
    else:
        how = "its own values as grey levels"
        levels = inside
        if (inside != np.rint(inside)).any() or low < 0:
            raise InputError(
                "Without a bin number or width the image must hold whole grey levels from 0 on; it does not."
            )
    count = int(np.unique(levels).size)
    # Grey levels that somebody chose before are theirs.
    needed = settings.minimum_grey_levels if settings.bin_number or settings.bin_width else 1
    if count < needed:
        raise InputError(
            f"With {how}, intensities from {low:.4g} to {high:.4g} in the region make {count} grey level"
            f"{'s' if count > 1 else ''}; at least {needed} are needed (the setting minimum_grey_levels)."
        )
    return count


def _arguments(inside: np.ndarray, settings: Settings, feature_set: str, shape: bool) -> dict[str, Any]:
    """MIRP's arguments."""
    every = feature_set == "ibsi"
    families = [*PAPER_FAMILIES, *(_SHAPE_FAMILIES if every and shape else ())]
    arguments: dict[str, Any] = {"base_feature_families": families}
    for matrix in ("glcm", "glrlm"):
        arguments[f"{matrix}_spatial_method"] = _EVERY if every else _IN_3D
    for matrix in ("glszm", "gldzm", "ngtdm", "ngldm"):
        arguments[f"{matrix}_spatial_method"] = ["2d", "2.5d", "3d"] if every else ["3d"]
    whole_numbers = bool((inside == np.rint(inside)).all())
    if settings.bin_number is not None:
        arguments.update(base_discretisation_method="fixed_bin_number", base_discretisation_n_bins=settings.bin_number)
        return arguments
    if whole_numbers:
        # MIRP leaves intensities as they are, in the histogram of volumes, only for an image it takes for CT.
        arguments["image_modality"] = "ct"
    if settings.bin_width is None:
        arguments["base_discretisation_method"] = "none"
        return arguments
    lowest = float(math.floor(float(inside.min()) / settings.bin_width) * settings.bin_width)
    arguments.update(
        base_discretisation_method="fixed_bin_size", base_discretisation_bin_width=float(settings.bin_width),
        resegmentation_intensity_range=[lowest, None],
    )  # fmt: skip
    return arguments


@functools.cache
def _of_this_process(feature_set: str, python: str) -> MirpEngine:
    """The one engine of these features in a process that is sent several; it ends with the process."""
    return MirpEngine(feature_set, python)
