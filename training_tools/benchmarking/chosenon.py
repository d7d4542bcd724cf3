"""Which networks' designs were chosen on patients that are compared here, so that they may not compete with others.

`configs/<task>/chosen_on.json` has groups of patients: the networks that were chosen on them, and hashes of their
images. A patient is known by the scanner files that `prepare` recorded, or by the voxels of the source, in whatever
file, type and order of axes. Images that were both saved again and resampled are not known again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.volume import read_volume

from .. import dataset
from . import entries

NAME = "chosen_on.json"


def chosen_on(task: str, data: Path, tested: Collection[str]) -> dict[str, int]:
    """Network to how many of the tested cases its design was chosen on; networks with none are left out."""
    path = entries.CONFIGS / task / NAME
    if not path.is_file():
        return {}
    choices: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    known = [(list(one["networks"]), set(one["files"]), set(one["voxels"])) for one in choices.values()]
    voxels_known = set().union(*(voxels for _, _, voxels in known))
    found = {name: 0 for names, _, _ in known for name in names}
    for record in dataset.manifest(data)["cases"]:
        if record["case"] not in tested:
            continue
        files = _recorded_files(record)
        # The voxels are read only where the files do not tell.
        told = any(files & mine for _, mine, _ in known)
        voxels = "" if told or not voxels_known else voxels_hash(_source(data, record["case"]))
        chosen = {name for names, mine, theirs in known if files & mine or voxels in theirs for name in names}
        found.update({name: found[name] + 1 for name in chosen})
    return {name: count for name, count in found.items() if count}


def voxels_hash(array: np.ndarray) -> str:
    """Hex SHA-256 of an image's sizes, smallest first, and of how often each value occurs: the same in any order of
    axes and in any type that holds the values.
    """
    values, counts = np.unique(array.astype(np.float64), return_counts=True)
    found = hashlib.sha256()
    for part, kind in ((sorted(array.shape), "<i8"), (values, "<f8"), (counts, "<i8")):
        found.update(np.asarray(part, dtype=kind).tobytes())
    return found.hexdigest()


def _recorded_files(record: dict[str, Any]) -> set[str]:
    """Hashes of the files that a case was prepared from, where its record tells them."""
    told = record.get("from")
    return {str(hashed) for hashed in told.values()} if isinstance(told, dict) else set()


def _source(data: Path, case: str) -> np.ndarray:
    return read_volume(dataset.case_files(data, case)["source"]).array
