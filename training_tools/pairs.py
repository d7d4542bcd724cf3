"""Which source belongs to which target: listing the files of two folders and reading one pair.

Pairs are matched by file name (without its suffix), never by position in a listing, so that a missing file is an
error and not a shift of every pair after it. Registration is left to `registration`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.volume import Volume, read_volume

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")


@dataclass(frozen=True)
class PairFiles:
    """The files of one case; labels are None where a case has none on either side."""

    case: str
    source: Path
    target: Path
    source_label: Path | None = None
    target_label: Path | None = None


def list_pairs(
    source: Path, target: Path, source_labels: Path | None = None, target_labels: Path | None = None
) -> list[PairFiles]:
    """Pairs of equally named files in two folders, sorted by name; labels are optional, case by case.

    Raises InputError when a folder is missing or empty, when a file has no partner, or when a case has a label on
    one side only.
    """
    sources, targets = _volumes(source), _volumes(target)
    lonely = sorted(set(sources) ^ set(targets))
    if lonely:
        raise InputError(
            f"{source} has {len(sources)} volumes and {target} has {len(targets)}; without a partner of the same "
            f"name: {', '.join(lonely[:5])}{' ...' if len(lonely) > 5 else ''}."
        )
    if (source_labels is None) != (target_labels is None):
        raise InputError("Give the labels of both sides (--source-labels and --target-labels) or of neither.")
    own = _volumes(source_labels) if source_labels else {}
    other = _volumes(target_labels) if target_labels else {}
    one_sided = sorted((set(own) ^ set(other)) & set(sources))
    if one_sided:
        raise InputError(f"These cases have a label on one side only: {', '.join(one_sided[:5])}.")
    return [PairFiles(case, sources[case], targets[case], own.get(case), other.get(case)) for case in sorted(sources)]


def read_label(path: Path, like: Volume) -> Volume:
    """The first component of a label file as a uint8 volume of 0 and 1 (true above one half), on the grid of `like`.

    Raises InputError when it is empty or lies on another grid than its image.
    """
    label = read_volume(path, component=0)
    mask = (np.nan_to_num(label.array.astype(np.float32)) > 0.5).astype(np.uint8)
    if not mask.any():
        raise InputError(f"The label {path} is empty: it marks no voxel, so it cannot guide a registration.")
    binary = Volume(mask, label.spacing, label.origin, label.direction, name=label.name)
    if not binary.same_grid(like, tolerance_mm=1e-2):
        raise InputError(f"The label {path} does not lie on the grid of its image {like.name}.")
    return binary


def _volumes(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        suffix = next((s for s in SUFFIXES if path.name.endswith(s)), None)
        if suffix is None or path.name.startswith("."):
            continue
        case = path.name[: -len(suffix)]
        if case in found:
            raise InputError(f"{folder} holds the case {case} twice: {found[case].name} and {path.name}.")
        found[case] = path
    if not found:
        raise InputError(f"{folder} holds no volume ({', '.join(SUFFIXES)}).")
    return found
