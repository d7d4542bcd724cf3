"""One view as it is read: blood pool, real and synthetic delayed image on one planar grid, and its regions.

Arrays are (row, column). Whatever cannot be used is an InputError with the case's name in front; the caller lists it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Optional

import numpy as np

from imagetranslation.errors import ImageTranslationError, InputError
from imagetranslation.volume import Volume, read_volume

from .cases import Case
from .detector import marks, region_of
from .otherside import OtherSide, other_side
from .rules import Rule
from .synthetics import Maker, model_of, weights_of
from .uptake import smoothed

SAME = 0.99995  # cosine from which two images are one but for a gain (1% is left): our choice
NEGATIVE = 0.01  # share of the counts that may lie below zero, as interpolation leaves them: our choice
ALIKE = "the blood pool itself", "the real delayed image itself"
GIVEN, AUTOMATIC, HYPERAEMIA = "region", "detector, delayed image", "hyperaemia"
POOL = "detector, blood pool"


@dataclass(frozen=True)
class Region:
    """A place that is read. label: of the file, or a number from 1 on. mask: bool (row, column). origin: who drew it.

    hyperaemic: whether a region of hyperaemia lies on it, None where there are no such regions.
    """

    label: int
    mask: np.ndarray
    origin: str
    hyperaemic: Optional[bool] = None


@dataclass(frozen=True)
class View:
    """A case in memory. source, real, synthetic: counts (row, column), float32. spacing: mm along rows and columns.

    sides: None where the view has no other side. unreadable: why nothing can be read in the synthetic image, or "".
    model: (id, version) it bears. weights: their SHA-256, or "". volume: the real image, for its geometry.
    """

    case: Case
    volume: Volume
    source: np.ndarray
    real: np.ndarray
    synthetic: np.ndarray
    sides: Optional[OtherSide]
    regions: tuple[Region, ...]
    notes: tuple[str, ...]
    unreadable: str
    model: tuple[str, str]
    weights: str
    rule: Rule

    @property
    def spacing(self) -> tuple[float, float]:
        """mm along rows and columns."""
        return self.volume.spacing[1], self.volume.spacing[0]

    @cached_property
    def smooth(self) -> dict[str, np.ndarray]:
        """source, real and synthetic image, smoothed."""
        images = {"source": self.source, "real": self.real, "synthetic": self.synthetic}
        return {name: smoothed(image, self.spacing, self.rule.smooth_mm) for name, image in images.items()}

    @cached_property
    def lesions(self) -> np.ndarray:
        """All regions together, bool (row, column)."""
        return np.any([np.zeros(self.real.shape, bool), *(region.mask for region in self.regions)], axis=0)


def load(case: Case, maker: Maker, rule: Rule, automatic: bool = False) -> View:
    """Read a case. automatic: look for lesions even where regions are given. InputError, with the case's name."""
    try:
        return _load(case, maker, rule, automatic)
    except ImageTranslationError as error:
        raise InputError(f"{case.name}: {error}") from error


def _load(case: Case, maker: Maker, rule: Rule, automatic: bool) -> View:
    target, source, made = read_volume(case.target), read_volume(case.source), maker(case)
    if target.array.shape[0] != 1:
        raise InputError(f"the delayed image has {target.array.shape[0]} slices; give one planar view a case.")
    for name, volume in (("blood pool", source), ("synthetic image", made)):
        if not volume.same_grid(target, tolerance_mm=0.05 * min(target.spacing)):
            raise InputError(f"the {name} is not on the grid of the real delayed image.")
    real, pool = (_counts(volume, name) for volume, name in ((target, "real delayed image"), (source, "blood pool")))
    try:
        synthetic, unreadable = _counts(made, "synthetic image"), ""
    except InputError as error:
        synthetic, unreadable = np.zeros(real.shape, np.float32), str(error)
    spacing = target.spacing[1], target.spacing[0]
    notes = [] if unreadable else _alike(synthetic, real, pool)
    sides = other_side(real, spacing) if case.mirrored and case.view in ("", "anterior", "posterior") else None
    bare = View(case, target, pool, real, synthetic, sides, (), (), unreadable, model_of(made), weights_of(made), rule)
    found, said = ([], []) if automatic else _given(case, target)
    if automatic or not (case.lesion or case.hyperaemia):
        found = _looked_for(bare)
    return replace(bare, regions=tuple(found), notes=(*notes, *said))


def _counts(volume: Volume, name: str) -> np.ndarray:
    """The only slice, negative remains of interpolation cut; InputError where a ratio of counts would mean nothing."""
    image = np.asarray(volume.array[0], dtype=np.float32)
    if not np.isfinite(image).all():
        raise InputError(f"the {name} holds NaN or infinite values.")
    if float(np.ptp(image)) == 0:
        raise InputError(f"the {name} is constant (value {float(image.flat[0]):g}).")
    below, above = -float(image[image < 0].sum()), float(image[image > 0].sum())
    if below > NEGATIVE * above:
        raise InputError(f"the {name} holds negative values; an uptake ratio needs counts, zero where nothing decays.")
    return np.maximum(image, 0)


def _alike(synthetic: np.ndarray, real: np.ndarray, pool: np.ndarray) -> list[str]:
    said = []
    for other, name in zip((pool, real), ALIKE):
        cosine = float((synthetic * other).sum(dtype=np.float64))
        cosine /= float(np.linalg.norm(synthetic.astype(np.float64)) * np.linalg.norm(other.astype(np.float64)))
        if cosine >= SAME:
            said.append(f"the synthetic image is {name}, but for a gain.")
    return said


def _given(case: Case, image: Volume) -> tuple[list[Region], list[str]]:
    """Regions of the files: lesions, and hyperaemia that no lesion lies on. Sentences on what is empty."""
    notes: list[str] = []
    lesions = _masks(case.lesion, image, "lesion", notes)
    hyperaemia = _masks(case.hyperaemia, image, "hyperaemia", notes)
    told = bool(case.hyperaemia)
    found = [
        Region(label, mask, GIVEN, any((mask & other).any() for other in hyperaemia.values()) if told else None)
        for label, mask in lesions.items()
    ]
    free = max(lesions, default=0) + 1
    for mask in hyperaemia.values():
        if not any((mask & lesion).any() for lesion in lesions.values()):
            found.append(Region(free, mask, HYPERAEMIA, True))
            free += 1
    return found, notes


def _masks(paths: tuple[Path, ...], image: Volume, what: str, notes: list[str]) -> dict[int, np.ndarray]:
    """Label to mask; labels of further files follow those of the first."""
    from imagetranslation.radiomics.segmentations import ALL, read_rois

    found: dict[int, np.ndarray] = {}
    for path in paths:
        first = max(found, default=0)
        try:
            rois = read_rois(path, image, ALL)
        except InputError:
            if not _empty(path):
                raise
            notes.append(f"its {what} file is empty: read as a view without any.")
            continue
        for roi in rois:
            found[roi.label + first] = roi.full()[0] > 0
    return found


def _empty(path: Path) -> bool:
    """Whether a file of regions that was refused is an image without one marked voxel."""
    try:
        return not read_volume(path).array.any()
    except ImageTranslationError:
        return False


def _looked_for(view: View) -> list[Region]:
    """Lesions of the detector: its marks in the real delayed image, then marks in the blood pool that meet none."""
    found: list[Region] = []
    taken = np.zeros(view.real.shape, bool)
    for image, origin in (("real", AUTOMATIC), ("source", POOL)):
        for mark in marks(view.smooth[image], view.sides, view.spacing, view.rule):
            mask = region_of(view.smooth[image], mark, view.spacing, view.rule)
            if mark.score >= view.rule.mark_from and not (mask & taken).any():
                found.append(Region(len(found) + 1, mask, origin))
                taken |= mask
    return found
