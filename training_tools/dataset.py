"""Prepared cases in memory, on the network's grid, by the very functions inference uses.

A case's normalisation constants (percentiles, or mean and SD, inside its own field of view) come from that case alone,
so nothing here is fitted on more than one patient.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imagetranslation import intensity
from imagetranslation.errors import InputError
from imagetranslation.fieldofview import field_of_view
from imagetranslation.grid import model_grid
from imagetranslation.volume import Volume, read_volume

from .config import Config


@dataclass(frozen=True)
class Case:
    """One prepared patient. source: as read. seen: the source's field of view. valid: seen and covered by the target.

    reference: the registered target in the output's value range, float32 (k, j, i), background outside `valid`.
    slices: float32 tensor (slice, 3, row, column) on the network's grid: source and target in [-1, 1], weight in
    [0, 1] (1 where `valid`).
    """

    name: str
    source: Volume
    seen: np.ndarray
    valid: np.ndarray
    reference: np.ndarray
    slices: torch.Tensor


def case_names(folder: Path) -> list[str]:
    """Names of the cases in a folder that `prepare` wrote, sorted; InputError when it isn't one."""
    return sorted(record["case"] for record in manifest(folder)["cases"])


def manifest(folder: Path) -> dict[str, Any]:
    """`cases.json` of a prepared folder."""
    try:
        return dict(json.loads((folder / "cases.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} holds no prepared pairs (cases.json); run training_tools.prepare first.") from error


def load_cases(folder: Path, config: Config, names: list[str] | None = None) -> list[Case]:
    """The named cases (all by default), in the order given; InputError for an unknown name."""
    known = case_names(folder)
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise InputError(f"{folder} has no case called {', '.join(unknown)}.")
    return [load_case(folder, config, name) for name in (known if names is None else names)]


def load_case(folder: Path, config: Config, name: str) -> Case:
    """Read and normalise one case; see `Case`."""
    source = read_volume(folder / "source" / f"{name}.nrrd")
    target = read_volume(folder / "target" / f"{name}.nrrd").array
    seen = field_of_view(source, config.source.field_of_view)
    valid = (read_volume(folder / "valid" / f"{name}.nrrd").array > 0) & seen
    grid = model_grid(source, config.inputs())
    image, _ = intensity.normalise(source.array, seen, config.source.normalisation)
    wanted, _ = intensity.normalise(target, valid, config.target.normalisation)
    parts = [grid.forward(image), grid.forward(wanted), grid.forward(valid.astype(np.float32))]
    reference = intensity.denormalise(wanted, config.outputs())
    return Case(name, source, seen, valid, reference, torch.from_numpy(np.stack(parts, axis=1)))
