"""Finding the images a study names, and the files under neutral names that readers get.

No path may leave the study's folder unless the study says so (`outside_folders`), through links neither.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import InputError
from ..volume import Volume, read_volume, write_volume
from .definition import Case, Study
from .readingset import STUDY_READING, SUFFIX

# Byte range of `descrip` in a NIfTI-1 header (nifti1.h).
DESCRIPTION = slice(148, 228)


def resolve(study: Study, folder: Path, path: str) -> Path:
    """The file a study means by `path`, relative to the study's folder; InputError where it lies outside of what the
    study allows or does not exist."""
    root = folder.resolve()
    try:
        file = (root / path).resolve()
        allowed = [root, *((root / outside).resolve() for outside in study.outside_folders)]
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{path[:200]} is no path that can be followed: {error}.") from None
    if any(one == one.parent for one in allowed[1:]):
        raise InputError("outside_folders names a whole disk; name the folders that hold the images.")
    if not any(one == file or one in file.parents for one in allowed):
        raise InputError(
            f"{path} leads out of the study's folder to {file}; name its folder in outside_folders if that is meant."
        )
    if not file.exists():
        raise InputError(f"{path}, which {study.id} names, does not exist in {root}.")
    return file


def check_images(study: Study, folder: Path) -> None:
    """InputError naming the first image of a case that is not there."""
    for case in (*study.cases, *study.training):
        for what, path in _named(case):
            try:
                resolve(study, folder, path)
            except InputError as error:
                raise InputError(f"Case {case.id}, {what}: {error}") from None


def load_case(study: Study, folder: Path, case: Case) -> tuple[Volume | None, dict[str, Volume]]:
    """(source or None, arm to volume), modalities set from the study where the files do not say."""
    from dataclasses import replace

    def read(path: str, modality: str) -> Volume:
        volume = read_volume(resolve(study, folder, path))
        return volume if volume.modality or not modality else replace(volume, modality=modality)

    try:
        source = read(case.source, study.source_modality) if case.source else None
        arms = {arm.id: read(case.images[arm.id], study.target_modality) for arm in study.arms}
    except InputError as error:
        raise InputError(f"Case {case.id}: {error}") from None
    for arm in study.arms:
        if arm.kind == "real" and arms[arm.id].synthetic:
            raise InputError(f"Case {case.id}: {case.images[arm.id]} is a synthetic image, but {arm.id} is a real arm.")
    return source, arms


def write_neutral(volumes: Mapping[str, Volume], folder: Path) -> None:
    """Write volumes under their names, uncompressed, so that sizes tell nothing, with the neutral text as the only
    words of the header; in the order of the names, so that the order on the disk tells nothing either."""
    text = STUDY_READING.encode("ascii").ljust(DESCRIPTION.stop - DESCRIPTION.start, b"\0")
    for name in sorted(volumes):
        file = folder / (name + SUFFIX)
        write_volume(volumes[name], file)
        with open(file, "r+b") as stream:
            stream.seek(DESCRIPTION.start)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())


def _named(case: Case) -> Iterable[tuple[str, str]]:
    if case.source:
        yield "source", case.source
    yield from case.images.items()
