"""Prepared cases on the network's grid, kept on disk and mapped into memory: 800 patients need no RAM.

A case's file is named by a hash of its image files and of the preprocessing, so that changed data or settings make a
new one; what is in it is checked against its own hash when a run opens it, and made again where it was damaged. Arrays
are made by the very functions inference uses (`dataset.load_case`); which voxels a sample takes is `sampling`'s.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imagetranslation.errors import InputError
from imagetranslation.files import atomic_path, make_folder, sha256_of, write_text
from imagetranslation.grid import model_grid

from ..config import Config
from ..dataset import BOTH, Case, case_files, case_names, load_any, organ_file, patients

FORMAT = 1
# So many voxels of the mask and of lesions are remembered, evenly spread over them, to centre samples on.
MOST_POINTS = 1024
SOURCE, TARGET, WEIGHT, REGION = range(4)


@dataclass(frozen=True)
class Stored:
    """One case on the network's grid.

    arrays: float32 (3 or 4, slice, row, column), mapped from disk and read-only: source and target in [-1, 1], weight
    in [0, 1] (1 where both were recorded) and the mask of the region that the configuration's sampling names, where it
    is known: of lesions or of the organ. foreground, lesion: int (n, 3),
    places of voxels with weight 1 and of voxels in a lesion, evenly spread over them; n may be 0. side: as `Case.side`;
    an unpaired case's weight is its own image's. patient: whose it is, see `owner`.
    """

    name: str
    arrays: np.ndarray
    foreground: np.ndarray
    lesion: np.ndarray
    side: str = BOTH
    patient: str = ""

    @property
    def owner(self) -> str:
        """The patient; the case itself where the data name none."""
        return self.patient or self.name

    @property
    def shape(self) -> tuple[int, ...]:
        """(slice, row, column)."""
        return self.arrays.shape[1:]


def fingerprints(data: Path, names: Sequence[str], region: str = "lesion") -> dict[str, str]:
    """For each case a hash of the bytes of its image files; InputError for a case the data don't have.

    region: `sampling.region`; "organ" adds the organ's label.
    """
    if unknown := sorted(set(names) - set(case_names(data))):
        raise InputError(f"{data} has no case called {', '.join(unknown)}.")
    found = {}
    for name in names:
        files = {part: sha256_of(path) for part, path in case_files(data, name).items()}
        if region == "organ" and (label := organ_file(data, name)) is not None:
            files["organ"] = sha256_of(label)
        found[name] = _digest(files)
    return found


def open_cases(
    data: Path, config: Config, prints: dict[str, str], folder: Path | None = None, *, build: bool = True
) -> list[Stored]:
    """The cases of `fingerprints`, in its order, made where they are not in the cache yet.

    folder: of the cache; `cache` in the prepared data by default. build: false in a process that shares the cache with
    another one which has just checked it.
    """
    place = data / "cache" if folder is None else folder
    inputs = {key: value for key, value in config.inputs().items() if key != "num_channels"}
    settings = {"inputs": inputs, "target": config.target.normalisation, "format": FORMAT}
    if config.sampling.region != "lesion":
        settings["region"] = config.sampling.region
    made, owners = [], patients(data)
    for name, print_ in prints.items():
        path = place / f"{_digest({'case': print_, **settings})[:32]}.npy"
        if build and not _whole(path):
            _store(path, load_any(data, config, name), config)
        made.append(replace(_open(path, name), patient=owners.get(name, name)))
    return made


def _open(path: Path, name: str) -> Stored:
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    points = [np.array(facts[part], dtype=np.int64).reshape(-1, 3) for part in ("foreground", "lesion")]
    return Stored(name, np.load(path, mmap_mode="r", allow_pickle=False), *points, side=str(facts.get("side", BOTH)))


def _whole(path: Path) -> bool:
    """Whether the file is there and as it was written; a line on stderr where it was damaged."""
    if not path.exists() or not path.with_suffix(".json").exists():
        return False
    try:
        facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        whole = facts["sha256"] == _sha256(facts) and facts["array"] == sha256_of(path)
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        print(f"{path} is damaged; it is made again.", file=sys.stderr)
    return whole


def _store(path: Path, case: Case, config: Config) -> None:
    arrays = on_grid(case, config)
    make_folder(path.parent)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, arrays, allow_pickle=False)
    lesions = len(arrays) > REGION and config.sampling.region == "lesion"
    lesion = arrays[REGION] > 0.5 if lesions else np.zeros(arrays.shape[1:], bool)
    facts: dict[str, Any] = {
        "case": case.name,
        "array": sha256_of(path),
        "foreground": _points(arrays[WEIGHT] > 0.99),
        "lesion": _points(lesion),
    }
    if case.side != BOTH:
        facts["side"] = case.side
    write_text(path.with_suffix(".json"), json.dumps({**facts, "sha256": _sha256(facts)}) + "\n")


def on_grid(case: Case, config: Config) -> np.ndarray:
    """float32 (3 or 4, slice, row, column): a case as `Stored.arrays` holds it."""
    grid = model_grid(case.source, config.inputs())
    parts = [case.normalised, case.wanted, case.valid.astype(np.float32)]
    region = case.organ if config.sampling.region == "organ" else case.lesion
    if region is not None:
        parts.append(region.astype(np.float32))
    return np.stack([grid.forward(part) for part in parts])


def mean_volume(cases: Sequence[Stored]) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean of the targets, float32 (slice, row, column), and the summed weights; one case at a time."""
    _require_one_shape(cases)
    total, weight = (np.zeros(cases[0].shape, np.float32) for _ in range(2))
    for case in cases:
        total += case.arrays[TARGET] * case.arrays[WEIGHT]
        weight += case.arrays[WEIGHT]
    return total / np.maximum(weight, 1e-6), weight


def anatomies(cases: Sequence[Stored]) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Target, weight and organ of each case, float32 (slice, row, column); see `require_organs`.

    InputError where their shapes differ.
    """
    require_organs(cases)
    _require_one_shape(cases)
    for case in cases:
        target, weight, organ = (torch.from_numpy(np.array(case.arrays[part])) for part in (TARGET, WEIGHT, REGION))
        yield target, weight, organ.clamp(0, 1)


def require_organs(cases: Sequence[Stored]) -> None:
    """InputError for a case to train on whose organ is not labelled."""
    if lacking := [case.name for case in cases if len(case.arrays) <= REGION or not case.arrays[REGION].any()]:
        raise InputError(
            f"{len(lacking)} of {len(cases)} cases have no label of the organ on their source, which sampling.region "
            f"asks for, among them {lacking[0]}; prepare the pairs with their labels, or leave these cases out."
        )


def _require_one_shape(cases: Sequence[Stored]) -> None:
    if len({case.shape for case in cases}) != 1:
        raise InputError("A network that sees whole volumes needs resampling mode 'fit', so that all have one shape.")


def _points(mask: np.ndarray) -> list[list[int]]:
    found = np.flatnonzero(mask)
    chosen = found[np.linspace(0, len(found) - 1, min(len(found), MOST_POINTS)).astype(int)] if len(found) else found
    return np.stack(np.unravel_index(chosen, mask.shape), axis=1).tolist()


def _sha256(facts: dict[str, Any]) -> str:
    return _digest({key: value for key, value in facts.items() if key != "sha256"})


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
