"""The leak check: that nothing of a test patient reaches training, by name, by image or by a fitted number.

Every later tool runs it on its split, or on the folds, validated and held-out cases that it draws itself. Patients on
two sides are refused by `splits` as it reads the file; here are images of one patient under two names (the same file, a
copy saved again, a follow-up so like the first that it cannot be told from it), and things fitted on cases outside
training (an encoder, a scaler, a mean image).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.volume import read_volume

from .dataset import BOTH, case_files, sides
from .likeness import Signature, cell_size, closest, signature
from .splits import Split, subjects

# Correlation (`likeness`) above which images of two patients count as one, of volumes and of single slices. Our choice,
# from what was measured: other patients of the public prostate pairs have 0.71 at most (ultrasound) and 0.68 (MR),
# simulated ones 0.67 and 0.62. Their copies with a changed first voxel, 1 grey value more or less or noise of 3 % of
# the span have 0.96 and more; resampled, shifted by 3 voxels or cropped by 3 0.84 and more; cropped by 5 0.80 (a public
# ultrasound is then 43 % of itself). Of simulated bone scans other patients have up to 0.48 in the blood pool, 0.80 in
# the delayed image and 0.87 in whole bodies, and the copies 0.72 to 1.00, 0.85 to 1.00 and 0.80 to 1.00: a copy of a
# noisy blood pool with other noise may pass, unless its delayed image is a copy, too.
NEAR_DUPLICATE, NEAR_DUPLICATE_PLANAR = 0.77, 0.88
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

    The split's setting `alike` is the correlation from which on images count as one (by default `NEAR_DUPLICATE`, of
    single slices `NEAR_DUPLICATE_PLANAR`): data in which different patients look more alike, such as simulated ones,
    need a higher one. Equal voxels are refused whatever it is.
    """
    most: Closest | None = None
    side = {case: name for name, cases in split.sides().items() for case in cases}
    has = sides(data)
    for part in PARTS:
        cases = [case for case in sorted(side) if has.get(case, BOTH) in (BOTH, part)]
        if not cases:
            continue
        found = _compared(data, part, cases, side)
        for planar, pair in found.items():
            usual = NEAR_DUPLICATE_PLANAR if planar else NEAR_DUPLICATE
            if pair.correlation > float(split.settings.get("alike") or usual):
                raise InputError(
                    f"The {part} images of {pair.first} ({side[pair.first]}) and {pair.second} ({side[pair.second]}) "
                    f"are nearly the same (correlation {pair.correlation:.3f}): if they are one patient's, name the "
                    "patient in the data and draw the split again; if they are two patients, raise --alike where it "
                    "is drawn."
                )
        most = max([*found.values(), *([most] if most else [])], key=lambda pair: pair.correlation, default=None)
    patients = {subject.patient for subject in split.subjects.values()}
    return Report(len(side), len(patients), None if most is None else dict(vars(most)))


def check_sides(data: Path, found: Mapping[str, Iterable[str]], alike: float | None = None) -> None:
    """`check` of sides that no file of `splits` holds: drawn folds, held-out or validated cases, by their name.

    InputError for a patient with cases on two sides, too. One side alone has nothing to be checked against.
    """
    parts = {name: tuple(cases) for name, cases in found.items() if cases}
    known = subjects(data)
    if unknown := sorted({case for cases in parts.values() for case in cases} - set(known)):
        raise InputError(f"{data} has no case called {unknown[0]}.")
    of: dict[str, str] = {}
    for name, cases in parts.items():
        for case in cases:
            if of.setdefault(known[case].patient, name) != name:
                raise InputError(
                    f"{known[case].patient} has cases on two sides ({of[known[case].patient]} and {name}); put all of "
                    "them on one."
                )
    if len(parts) > 1:
        named = {case: known[case] for cases in parts.values() for case in cases}
        check(data, Split((), parts, named, {}, {"alike": alike}))


def seen_by(metadata: Mapping[str, Any], what: str) -> set[str]:
    """The cases that shaped a package's weights: trained on, chosen by (validation), or seen by its loss's encoder.

    metadata: its `model.json`; what: it, for the InputError where its loss has an encoder of unknown origin.
    """
    training = metadata["training"]
    objective = training.get("config", {}).get("objective", {})
    encoder = training.get("encoder", {})
    if "encoder" in objective and "cases" not in encoder:
        raise InputError(
            f"{what} was trained against an encoder of features and does not say on which cases that was trained; "
            "export it again from its run."
        )
    return {
        str(case) for case in (*training.get("cases", ()), *training.get("validated", ()), *encoder.get("cases", ()))
    }


def require_within(what: str, fitted_on: Iterable[str], train: Sequence[str]) -> None:
    """Raise InputError where something was fitted on cases that are not trained on."""
    if outside := sorted(set(fitted_on) - set(train)):
        raise InputError(
            f"{what} was fitted on {len(outside)} cases that are not in the training set, among them {outside[0]}: "
            "fit it again on the training cases alone."
        )


def _compared(data: Path, part: str, cases: Sequence[str], side: Mapping[str, str]) -> dict[bool, Closest]:
    """The most alike images of different sides, of the volumes (False) and of the single slices (True).

    InputError where two sides share an image, voxel by voxel.
    """
    paths = {case: case_files(data, case)[part] for case in cases}
    heads = {case: _head(path) for case, path in paths.items()}
    cells = {
        planar: cell_size(*zip(*(head for head in heads.values() if (head[0][0] == 1) is planar)))
        for planar in {shape[0] == 1 for shape, _ in heads.values()}
    }
    signatures: dict[bool, dict[str, Signature]] = {planar: {} for planar in cells}
    digests: dict[str, str] = {}
    for case, path in paths.items():
        image = read_volume(path)
        first = digests.setdefault(hashlib.sha256(np.ascontiguousarray(image.array)).hexdigest(), case)
        if side[first] != side[case]:
            raise InputError(
                f"The {part} images of {first} ({side[first]}) and {case} ({side[case]}) are the same, voxel by "
                "voxel: remove one, or name the patient of both in the data and draw the split again."
            )
        planar = image.array.shape[0] == 1
        signatures[planar][case] = signature(image.array, image.spacing[::-1], cells[planar])
    found = {}
    for planar, those in signatures.items():
        names = list(those)
        pair = closest(list(those.values()), [side[name] for name in names])
        if pair is not None:
            found[planar] = Closest(part, names[pair[0]], names[pair[1]], round(pair[2], 4))
    return found


def _head(path: Path) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Shape and spacing (mm) of a prepared image, both k, j, i, from the head of its file."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path} cannot be read; run training_tools.prepare again.") from error
    return tuple(reversed(reader.GetSize())), tuple(reversed(reader.GetSpacing()))
