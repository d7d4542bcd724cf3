"""The leak check: that nothing of a test patient reaches training, by name, by image or by a fitted number.

Every later tool runs it on its split. Patients on two sides are refused by `splits` as it reads the file; here are
images of one patient under two names (the same file, a copy saved again, a follow-up so like the first that it cannot
be told from it), and things fitted on cases outside training (an encoder, a scaler, a mean image).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.volume import read_volume

from .dataset import BOTH, case_files, sides
from .splits import Split

SIDE, PLANAR_SIDE = 24, 96  # voxels along each axis of the signature of a volume, of a single slice
# Correlation of two signatures above which images count as one. Our choice: between different patients of the public
# prostate pairs it is 0.73 at most; a copy with noise, another brightness or another file type has 0.97 and more, one
# that was cropped by three voxels 0.85 to 0.92.
NEAR_DUPLICATE = 0.85
PARTS = ("source", "target")


@dataclass(frozen=True)
class Closest:
    """The two cases of different patients whose images are most alike; `correlation` of their signatures."""

    part: str
    first: str
    second: str
    correlation: float


@dataclass(frozen=True)
class Report:
    """What was looked at. closest: the most alike pair of images across sides, or None where there is no pair."""

    cases: int
    patients: int
    closest: dict[str, Any] | None


def check(data: Path, split: Split) -> Report:
    """Raise InputError where two sides of the split share an image, or two images that are nearly the same.

    The split's setting `alike` is the correlation from which on images count as one (`NEAR_DUPLICATE` by default): data
    in which different patients look more alike, such as simulated ones, need a higher one. Equal voxels are refused
    whatever it is.
    """
    threshold = float(split.settings.get("alike") or NEAR_DUPLICATE)
    most: Closest | None = None
    side = {case: name for name, cases in split.sides().items() for case in cases}
    has = sides(data)
    for part in PARTS:
        cases = [case for case in sorted(side) if has.get(case, BOTH) in (BOTH, part)]
        if not cases:
            continue
        arrays = ((case, read_volume(case_files(data, case)[part]).array) for case in cases)
        vectors, digests = [], {}
        for case, array in arrays:
            vectors.append(_signature(array))
            first = digests.setdefault(hashlib.sha256(np.ascontiguousarray(array)).hexdigest(), case)
            if side[first] != side[case]:
                raise InputError(
                    f"The {part} images of {first} ({side[first]}) and {case} ({side[case]}) are the same, voxel by "
                    "voxel: remove one, or name the patient of both in the data and draw the split again."
                )
        found = _closest(np.stack(vectors), cases, side, part)
        if found is not None and found.correlation > threshold:
            raise InputError(
                f"The {part} images of {found.first} ({side[found.first]}) and {found.second} ({side[found.second]}) "
                f"are nearly the same (correlation {found.correlation:.3f}): if they are one patient's, name the "
                "patient in the data and draw the split again; if they are two patients, raise --alike there."
            )
        if found is not None and (most is None or found.correlation > most.correlation):
            most = found
    patients = {subject.patient for subject in split.subjects.values()}
    return Report(len(side), len(patients), None if most is None else dict(vars(most)))


def require_within(what: str, fitted_on: Iterable[str], train: Sequence[str]) -> None:
    """Raise InputError where something was fitted on cases that are not trained on."""
    if outside := sorted(set(fitted_on) - set(train)):
        raise InputError(
            f"{what} was fitted on {len(outside)} cases that are not in the training set, among them {outside[0]}: "
            "fit it again on the training cases alone."
        )


def signature(data: Path, case: str, part: str) -> np.ndarray:
    """float32 vector of length 1 that tells an image from others of its kind.

    The image inside the box of its recorded voxels, averaged to 24 x 24 x 24 (1 x 96 x 96 for one slice), less a
    blurred copy of itself (what all prostates or skeletons share) and scaled to length 1: intensity changes, noise,
    another file format and a cropped margin leave it nearly as it was. A constant image gives zeros.
    """
    return _signature(read_volume(case_files(data, case)[part]).array)


def _signature(array: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    array = array.astype(np.float32)
    array = np.nan_to_num(array[_recorded(array)])
    shape = (1, PLANAR_SIDE, PLANAR_SIDE) if array.shape[0] == 1 else (SIDE,) * 3
    ratios = [n / m for n, m in zip(array.shape, shape)]
    small = ndimage.uniform_filter(array, [max(1, round(ratio)) for ratio in ratios])
    small = ndimage.zoom(small, [1 / ratio for ratio in ratios], order=1, grid_mode=True, mode="nearest")
    fine = small - ndimage.gaussian_filter(small, 2.0)
    vector = np.zeros(SIDE**3, np.float32)
    vector[: fine.size] = fine.ravel()
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector


def _recorded(array: np.ndarray) -> tuple[slice, ...]:
    """The box of the voxels that differ from the corner's value, which is background where there is any."""
    mask = array != array.flat[0]
    if not mask.any():
        return tuple(slice(None) for _ in array.shape)
    found = []
    for axis in range(array.ndim):
        there = np.flatnonzero(mask.any(axis=tuple(other for other in range(array.ndim) if other != axis)))
        found.append(slice(int(there[0]), int(there[-1]) + 1))
    return tuple(found)


def _closest(vectors: np.ndarray, cases: Sequence[str], side: dict[str, str], part: str) -> Closest | None:
    """The most alike pair on different sides, a block of rows at a time so that 1,500 cases fit in memory."""
    sides = np.array([side[case] for case in cases])
    best: Closest | None = None
    for start in range(0, len(cases), 256):
        found = vectors[start : start + 256] @ vectors.T
        found[sides[start : start + 256, None] == sides[None]] = -1.0
        row, column = np.unravel_index(int(found.argmax()), found.shape)
        value = float(found[row, column])
        if value > -1.0 and (best is None or value > best.correlation):
            best = Closest(part, cases[start + int(row)], cases[int(column)], round(value, 4))
    return best
