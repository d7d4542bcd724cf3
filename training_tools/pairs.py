"""Which source belongs to which target: listing the files of two folders and reading one pair.

Pairs are matched by file name (without its suffix), never by position in a listing, so that a missing file is an
error and not a shift of every pair after it. Other ways to keep pairs are in `importers`; registration is left to
`registration`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.volume import Volume, read_volume

from .importers.surfaces import inside, is_surface, read_surface

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
SIDES = ("source", "target")
# Folders of prepared images without a partner, so that none is taken for half a pair.
UNPAIRED = {side: f"unpaired_{side}" for side in (*SIDES, "valid")}
CASE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


@dataclass(frozen=True)
class PairFiles:
    """The files of one case; labels are None where a case has none on either side.

    An image is a file or a folder with one DICOM series; a label an image, or a closed STL surface in LPS. lesions:
    label images, or surfaces, which count from 1 in their order. lesions_on: the side whose grid, or frame, they are
    in. source_view, target_view: which planar view or volume of a file that holds several. patient: whose images they
    are, "" where only the case's name is known. facts: site, scanner, label and what else is known, as text.
    """

    case: str
    source: Path
    target: Path
    source_label: Path | None = None
    target_label: Path | None = None
    lesions: tuple[Path, ...] = ()
    lesions_on: str = "source"
    patient: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    source_view: int | str | None = None
    target_view: int | str | None = None

    def files(self) -> dict[str, Path]:
        """Every file or folder of the case, by what it is."""
        found = {part: getattr(self, part) for part in ("source", "target", "source_label", "target_label")}
        found.update({f"lesion {number}": path for number, path in enumerate(self.lesions, 1)})
        return {part: path for part, path in found.items() if path is not None}


@dataclass(frozen=True)
class Listing:
    """What an importer found. left_out: what it could not use (a patient, a case) and why, one sentence each."""

    pairs: list[PairFiles]
    left_out: dict[str, str] = field(default_factory=dict)


def list_pairs(
    source: Path,
    target: Path,
    source_labels: Path | None = None,
    target_labels: Path | None = None,
    lesions: Path | None = None,
    lesions_on: str = "source",
) -> list[PairFiles]:
    """Pairs of equally named files in two folders, sorted by name; labels and lesions are optional, case by case.

    Raises InputError when a folder is missing or empty, when a file has no partner, or when a case has a label on
    one side only.
    """
    sources, targets = volumes_in(source), volumes_in(target)
    lonely = sorted(set(sources) ^ set(targets))
    if lonely:
        raise InputError(
            f"{source} has {len(sources)} volumes and {target} has {len(targets)}; without a partner of the same "
            f"name: {', '.join(lonely[:5])}{' ...' if len(lonely) > 5 else ''}. Images that are no pairs go with "
            "--unpaired-source and --unpaired-target."
        )
    if (source_labels is None) != (target_labels is None):
        raise InputError("Give the labels of both sides (--source-labels and --target-labels) or of neither.")
    own = volumes_in(source_labels, (*SUFFIXES, ".stl", ".STL")) if source_labels else {}
    other = volumes_in(target_labels, (*SUFFIXES, ".stl", ".STL")) if target_labels else {}
    one_sided = sorted((set(own) ^ set(other)) & set(sources))
    if one_sided:
        raise InputError(f"These cases have a label on one side only: {', '.join(one_sided[:5])}.")
    marked = volumes_in(lesions, (*SUFFIXES, ".stl", ".STL")) if lesions else {}
    if strange := sorted(set(marked) - set(sources)):
        raise InputError(f"{lesions} marks lesions of {', '.join(strange[:5])}, which {source} does not hold.")
    return [
        PairFiles(
            case, sources[case], targets[case], own.get(case), other.get(case),
            (marked[case],) if case in marked else (), lesions_on,
        )
        for case in sorted(sources)
    ]  # fmt: skip


def check_pairs(pairs: Sequence[PairFiles]) -> None:
    """InputError where cases share a name, a name cannot be a file's, a file is missing or a label has no partner."""
    if not pairs:
        raise InputError("There is no pair to prepare.")
    if wrong := [pair.case for pair in pairs if not CASE_NAME.fullmatch(pair.case)]:
        raise InputError(
            f"The case name {wrong[0]!r} cannot be a file's name: use letters, digits, dot, dash and underscore."
        )
    # Case by case of a letter, since some file systems do not tell them apart.
    if twice := [name for name, count in Counter(pair.case.lower() for pair in pairs).items() if count > 1]:
        raise InputError(f"{len(twice)} case names are there twice, among them {twice[0]}; name every case once.")
    for pair in pairs:
        if pair.lesions_on not in SIDES:
            raise InputError(f"{pair.case}: lesions lie on the source or on the target, not on {pair.lesions_on!r}.")
        if (pair.source_label is None) != (pair.target_label is None):
            raise InputError(f"{pair.case} has a label on one side only; give both, or none.")
        for part, path in pair.files().items():
            if not path.exists():
                raise InputError(f"{pair.case}: its {part} {path} does not exist.")


def read_image(path: Path, view: int | str | None = None) -> Volume:
    """An image of a pair; a 3-D ultrasound of a biopsy system that DICOM alone cannot place is placed here too."""
    from imagetranslation.dicomio import is_dicom
    from imagetranslation.dicomio.opening import open_dataset

    from .importers.artemis import is_artemis, read_artemis

    file = path
    if path.is_dir():
        files = [entry for entry in sorted(path.iterdir()) if entry.is_file() and is_dicom(entry)]
        file = files[0] if len(files) == 1 else path
    dicom = file.is_file() and not file.name.endswith(SUFFIXES) and is_dicom(file)
    if dicom and is_artemis(open_dataset(file, pixels=False)):
        return read_artemis(file)
    return read_volume(path, component=view)


def read_label(path: Path, like: Volume) -> Volume:
    """The first component of a label file as a uint8 volume of 0 and 1 (true above one half), on the grid of `like`;
    or the voxels of `like` inside a closed surface.

    Raises InputError when it is empty or lies on another grid than its image.
    """
    if is_surface(path):
        return _mask(like, inside(read_surface(path), like, path.name), path)
    label = read_volume(path, component=0)
    mask = (np.nan_to_num(label.array.astype(np.float32)) > 0.5).astype(np.uint8)
    if not mask.any():
        raise InputError(f"The label {path} is empty: it marks no voxel, so it cannot guide a registration.")
    return _on_grid(Volume(mask, label.spacing, label.origin, label.direction, name=label.name), like, path)


def read_lesions(paths: Sequence[Path], like: Volume) -> Volume:
    """uint8 on the grid of `like`: 0 outside, in lesions their number (of a label image: its values; of the n-th
    surface, or of the n-th of several images: n).

    No lesion at all is a finding, not an error. Raises InputError for an image on another grid and for a number that
    is not whole, negative or above 255.
    """
    found = np.zeros(like.array.shape, np.uint8)
    for number, path in enumerate(paths, 1):
        if is_surface(path):
            found[inside(read_surface(path), like, path.name) > 0] = number
            continue
        label = _on_grid(read_volume(path, component=0), like, path)
        values = label.array
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 255 or (values != np.rint(values)).any():
            raise InputError(f"The lesions {path} are not numbered from 0 to 255; a label image was expected.")
        marked = values > 0
        found[marked] = number if len(paths) > 1 else values[marked].astype(np.uint8)
    return _mask(like, found, Path("lesion"))


def _mask(like: Volume, array: np.ndarray, path: Path) -> Volume:
    return Volume(array, like.spacing, like.origin, like.direction, name=path.stem)


def _on_grid(label: Volume, like: Volume, path: Path) -> Volume:
    if not label.same_grid(like, tolerance_mm=1e-2):
        raise InputError(f"The label {path} does not lie on the grid of its image {like.name}.")
    return label


def volumes_in(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> dict[str, Path]:
    """Files of these types in a folder by name; InputError where there is none, or one name twice."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        suffix = next((s for s in suffixes if path.name.endswith(s)), None)
        if suffix is None or path.name.startswith("."):
            continue
        case = path.name[: -len(suffix)]
        if case in found:
            raise InputError(f"{folder} holds the case {case} twice: {found[case].name} and {path.name}.")
        found[case] = path
    if not found:
        raise InputError(f"{folder} holds no volume ({', '.join(suffixes)}).")
    return found
