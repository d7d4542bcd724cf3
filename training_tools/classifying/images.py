"""The table of images that classifiers are given instead of features, and how an image becomes an array for a network.

    patient,case,arm,fold,image,region,sha256,region_sha256

arm: source, synthetic or real target. fold: of a nested cross-fit's synthetic images, "<repeat>-<fold>", else "all" or
empty. region: a labelmap on the image's grid (non-zero counts), the same for all arms of a patient, or empty. sha256,
region_sha256: of the files, or empty. case: which of several images of a patient, or empty. Paths are taken from the
table's folder; `training_tools.crossfit` writes such a table.

An array is the image cut to the box of its region with a tenth of its size around it (the whole image without one),
averaged and resampled linearly to `GRID` (one slice: `PLANAR_GRID`), less its mean, divided by its standard deviation
and clipped to 5; so nothing is fitted on more than one image. Axes are the arrays' own (slice, row, column).
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.files import sha256_of
from imagetranslation.volume import Volume, read_volume

from .crossfit import ALL, CrossFit, require_hash
from .tables import require_columns

SOURCE, SYNTHETIC, REAL = "source", "synthetic", "real target"
ARMS = (SOURCE, SYNTHETIC, REAL)
GRID, PLANAR_GRID = (24, 24, 24), (64, 64)  # our choice: what a processor trains on in seconds
MARGIN = 0.1
CLIP = 5.0


@dataclass(frozen=True)
class Row:
    """One image of a patient. region, hashes and case: None and "" where the table does not say."""

    patient: str
    arm: str
    fold: str
    image: Path
    region: Path | None
    sha256: str
    region_sha256: str = ""
    case: str = ""


def read_images(path: Path) -> list[Row]:
    """The rows of a table of images; InputError names the first odd one, or a file that is not there."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream)
            header, read = list(table.fieldnames or ()), list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table: {error}.") from error
    if not read:
        raise InputError(f"{path.name} holds no row.")
    require_columns(path, header, ("patient", "arm", "image"))
    return [_row(row, path, number) for number, row in enumerate(read, start=2)]


def _row(row: Mapping[str, str | None], path: Path, number: int) -> Row:
    told = {key: (value or "").strip() for key, value in row.items() if isinstance(key, str) and value is not None}
    where = f"{path.name}, line {number}"
    if not told.get("patient") or not told.get("image"):
        raise InputError(f"{where}: patient or image is missing.")
    if told.get("arm") not in ARMS:
        raise InputError(f"{where}: the arm is {told.get('arm', '')[:40]!r}; one of {', '.join(ARMS)} was expected.")
    files = {key: path.parent / told[key] for key in ("image", "region") if told.get(key)}
    if absent := [file for file in files.values() if not file.exists()]:
        raise InputError(f"{where}: {absent[0]} is not there.")
    fold = told.get("fold") or ALL
    if told["arm"] != SYNTHETIC and fold != ALL:
        raise InputError(
            f"{where}: an image of the arm {told['arm']} is the same in every fold, but has the fold {fold[:40]!r}; "
            "leave the fold empty."
        )
    hashes = told.get("sha256", ""), told.get("region_sha256", "")
    return Row(told["patient"], told["arm"], fold, files["image"], files.get("region"), *hashes, told.get("case", ""))


def check(rows: Iterable[Row], record: CrossFit) -> None:
    """Hold the images against the table's hashes and the record of who made them.

    InputError for an image or a region that changed, a synthetic image that is none of its patient's recorded ones,
    that says another translator than the record, or a source or target that a model made.
    """
    for row in rows:
        if row.sha256:
            require_hash(row.image, row.sha256)
        if row.region is not None and row.region_sha256 and sha256_of(row.region) != row.region_sha256:
            raise InputError(
                f"The region {row.region} of {row.patient} has changed since the table of images was written; put the "
                "old one back, or start training_tools.crossfit again, which writes the table anew."
            )
        made = read_volume(row.image, mapped=True).provenance
        if row.arm != SYNTHETIC:
            if made is not None:
                raise InputError(f"{row.image} was made by {made.model}; it cannot be the {row.arm} of {row.patient}.")
            continue
        translator = record.images.get(row.fold, {}).get(row.patient)
        if translator is None:
            raise InputError(f"The record names no translator for the image of {row.patient} in fold {row.fold}.")
        if made is None or made.weights_sha256 != translator:
            said = "does not say who made it" if made is None else f"was made by {made.weights_sha256[:12]}"
            raise InputError(
                f"{row.image} {said}, but the record names the translator {translator[:12]}: it is of another run or "
                "another version of the model."
            )
        recorded = record.files.get(row.fold, {}).get(row.patient)
        if recorded:
            hashes = {hashed for name, hashed in recorded.items() if Path(name).name == row.image.name}
            if not hashes:
                raise InputError(f"{row.image} is none of the images that the record names for {row.patient}.")
            require_hash(row.image, hashes.pop())


def tensors(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Patient to float32 (1, *grid) of these rows, of one arm and fold; of several images of a patient the first by the
    name of its case, or of its file where no case is named."""
    return {row.patient: tensor(*read(row))[None] for row in _firsts(rows).values()}


def _firsts(rows: Iterable[Row]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in sorted(rows, key=lambda one: (one.patient, one.case, one.image.name)):
        found.setdefault(row.patient, row)
    return found


def several(rows: Iterable[Row]) -> tuple[str, ...]:
    """A sentence that names the patients of whom `tensors` leaves images out, if there are any."""
    counted = Counter((row.patient, row.arm, row.fold) for row in rows)
    if not (who := sorted({patient for (patient, _, _), count in counted.items() if count > 1})):
        return ()
    return (
        f"{len(who)} patients have several images of an arm; the network is given the first by name of each, and "
        f"classifiers of features the mean over all: {', '.join(who)}.",
    )


def read(row: Row) -> tuple[Volume, np.ndarray | None]:
    """An image and its region (bool, same shape) or None; InputError for a region on another grid or an empty one."""
    image = read_volume(row.image)
    if row.region is None:
        return image, None
    region = read_volume(row.region)
    if not region.same_grid(image):
        raise InputError(f"The region {row.region} is not on the grid of {row.image}.")
    mask = np.asarray(region.array) > 0
    if not mask.any():
        raise InputError(f"The region {row.region} of {row.patient} is empty.")
    return image, mask


def tensor(image: Volume, region: np.ndarray | None) -> np.ndarray:
    """float32 of `GRID` (`PLANAR_GRID` for one slice); see the head of this file."""
    from scipy import ndimage

    array = np.asarray(image.array, dtype=np.float32)
    if region is not None:
        array = array[_box(region)]
    if array.shape[0] == 1:
        array = array[0]
    grid = GRID if array.ndim == 3 else PLANAR_GRID
    ratios = [n / m for n, m in zip(array.shape, grid)]
    array = ndimage.uniform_filter(array, [max(1, round(ratio)) for ratio in ratios])
    array = ndimage.zoom(array, [1 / ratio for ratio in ratios], order=1, grid_mode=True, mode="nearest")
    spread = float(array.std())
    return np.clip((array - array.mean()) / spread, -CLIP, CLIP) if spread > 0 else np.zeros(grid, np.float32)


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """The box of a mask with `MARGIN` of its size around it."""
    found = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        first, last = int(there[0]), int(there[-1]) + 1
        around = round(MARGIN * (last - first)) if mask.shape[axis] > 1 else 0
        found.append(slice(max(0, first - around), min(mask.shape[axis], last + around)))
    return tuple(found)
