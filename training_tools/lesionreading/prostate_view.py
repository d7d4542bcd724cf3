"""One patient's prostate as it is read: ultrasound, real and synthetic T2 image on one grid, gland, zones, lesions.

Arrays are (slice k, row j, column i). Whatever cannot be used is an InputError with the case's name in front; the
caller lists it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Optional

import numpy as np

from imagetranslation.errors import ImageTranslationError, InputError
from imagetranslation.volume import Volume, read_volume

from .cases import Case
from .prostate_rule import Rule
from .synthetics import Maker, model_of, weights_of

LEAST_GLAND = 200  # voxels, below which neither zone nor lesion means anything: our choice
IMAGES = ("synthetic", "source", "real")
WHOLE, INNER, PERIPHERAL = "gland", "inner gland", "peripheral zone"


@dataclass(frozen=True)
class View:
    """A case in memory. images: float32 by name of IMAGES. gland: bool, the label where both images have voxels.

    zones: name to bool, disjoint, together the gland. lesions: uint8, numbered. unreadable: why nothing can be read in
    the synthetic image, or "". model: (id, version) it bears; weights: their SHA-256, or "". grid: the real image, for
    its geometry.
    """

    case: Case
    grid: Volume
    images: dict[str, np.ndarray]
    gland: np.ndarray
    zones: dict[str, np.ndarray]
    lesions: np.ndarray
    unreadable: str
    model: tuple[str, str]
    weights: str
    rule: Rule

    @property
    def spacing(self) -> tuple[float, float, float]:
        """mm along k, j, i."""
        i, j, k = self.grid.spacing
        return k, j, i

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.spacing)) / 1000

    @cached_property
    def deep(self) -> np.ndarray:
        """Bool: the gland without its margin."""
        from scipy import ndimage

        found, box = np.zeros(self.gland.shape, bool), bounds(self.gland, (1, 1, 1))
        found[box] = ndimage.distance_transform_edt(self.gland[box], self.spacing) > self.rule.margin_mm
        return found

    @cached_property
    def spread(self) -> dict[str, float]:
        """Standard deviation of the gland without lesions in each image."""
        plain = self.gland & (self.lesions == 0)
        return {name: float(image[plain].std(dtype=np.float64)) for name, image in self.images.items()}

    def zone_of(self, mask: np.ndarray) -> str:
        """The zone that most of a mask lies in."""
        return max(self.zones, key=lambda name: int((self.zones[name] & mask).sum()))


def bounds(mask: np.ndarray, reach: Sequence[int] = (0, 0, 0)) -> tuple[slice, ...]:
    """The box of a mask, `reach` voxels wider along each axis as far as the grid goes; the mask must not be empty."""
    found = []
    for axis, wider in enumerate(reach):
        places = np.flatnonzero(mask.any(axis=tuple(n for n in range(mask.ndim) if n != axis)))
        found.append(slice(max(int(places[0]) - wider, 0), int(places[-1]) + wider + 1))
    return tuple(found)


def load(case: Case, maker: Maker, data: Path, zones: Optional[Path], peripheral: int, rule: Rule) -> View:
    """Read a case of a prepared folder. zones: folder of label images on the source's grid, peripheral: the label.

    InputError with the case's name.
    """
    try:
        return _load(case, maker, data, zones, peripheral, rule)
    except ImageTranslationError as error:
        raise InputError(f"{case.name}: {error}") from error


def _load(case: Case, maker: Maker, data: Path, zones: Optional[Path], peripheral: int, rule: Rule) -> View:
    target, source, made = read_volume(case.target), read_volume(case.source), maker(case)
    for name, volume in (("ultrasound", source), ("synthetic image", made)):
        if not volume.same_grid(target, tolerance_mm=0.05 * min(target.spacing)):
            raise InputError(f"the {name} is not on the grid of the real image.")
    gland = _gland(data, case.name, target)
    images = {
        name: volume.array.astype(np.float32)
        for name, volume in (("synthetic", made), ("source", source), ("real", target))
    }
    if why := _nothing(images["real"], gland):
        raise InputError(f"the real image {why}.")
    unreadable = _nothing(images["synthetic"], gland)
    if unreadable:
        images["synthetic"] = np.zeros_like(images["real"])
    if _nothing(images["source"], gland):
        images["source"] = np.zeros_like(images["real"])
    marked = _lesions(case, target)
    found = _zones(gland, zones, peripheral, case.name, target)
    said = f"the synthetic image {unreadable}" if unreadable else ""
    return View(case, target, images, gland, found, marked, said, model_of(made), weights_of(made), rule)


def _nothing(image: np.ndarray, gland: np.ndarray) -> str:
    """Why nothing can be read in the gland of an image, as the end of a sentence, or ""."""
    values = image[gland]
    if not np.isfinite(values).all():
        return "holds NaN or infinite values in the gland"
    return "is constant in the gland" if float(np.ptp(values)) == 0 else ""


def _gland(data: Path, case: str, grid: Volume) -> np.ndarray:
    """The gland as it lies on the real image, else as on the ultrasound, where both images have voxels."""
    path = next((path for part in ("target_label", "source_label")
                 if (path := data / part / f"{case}.nrrd").is_file()), None)  # fmt: skip
    if path is None:
        raise InputError("it has no label of the gland; prepare the data with --source-labels and --target-labels.")
    gland = _label(path, grid) > 0
    if (data / "valid" / f"{case}.nrrd").is_file():
        gland &= _label(data / "valid" / f"{case}.nrrd", grid) > 0
    if gland.sum() < LEAST_GLAND:
        raise InputError(f"the gland has {int(gland.sum())} voxels where both images were recorded; too few to read.")
    return np.asarray(gland)


def _zones(
    gland: np.ndarray, folder: Optional[Path], peripheral: int, case: str, grid: Volume
) -> dict[str, np.ndarray]:
    if folder is None:
        return {WHOLE: gland}
    path = folder / f"{case}.nrrd"
    if not path.is_file():
        raise InputError(f"{folder} holds no zones of it ({path.name}).")
    outer = gland & (_label(path, grid) == peripheral)
    if not outer.any():
        raise InputError(
            f"its zones have no voxel with the label {peripheral} in the gland; name it with --peripheral."
        )
    return {PERIPHERAL: outer, INNER: gland & ~outer}


def _lesions(case: Case, grid: Volume) -> np.ndarray:
    """uint8 numbers; of several files the second's follow the first's."""
    found = np.zeros(grid.array.shape, np.uint8)
    for path in case.lesion:
        label = _label(path, grid)
        if label.max(initial=0) + found.max() > 255 or label.min(initial=0) < 0 or (label != np.rint(label)).any():
            raise InputError(f"its lesions {path.name} are not numbered from 0 to 255.")
        found = np.where(label > 0, label + found.max(), found).astype(np.uint8)
    return found


def _label(path: Path, grid: Volume) -> np.ndarray:
    label = read_volume(path)
    if not label.same_grid(grid, tolerance_mm=0.05 * min(grid.spacing)):
        raise InputError(f"{path.parent.name}/{path.name} is not on the grid of the real image.")
    return label.array
