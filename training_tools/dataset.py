"""Prepared cases in memory, normalised by the very functions inference uses; on the network's grid: `training.cache`.

A case's normalisation constants (percentiles, or mean and SD, inside its own field of view) come from that case alone,
so nothing here is fitted on more than one patient.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation import intensity
from imagetranslation.errors import InputError
from imagetranslation.fieldofview import field_of_view
from imagetranslation.volume import Volume, read_volume

from .config import Config
from .pairs import CASE_NAME, SIDES, UNPAIRED

BOTH = "both"


@dataclass(frozen=True)
class Case:
    """One prepared patient, every array (k, j, i) on the source's grid.

    source: as read. seen: the source's field of view. valid: seen and covered by the target. reference: the registered
    target in the output's value range, float32, background outside `valid`. normalised, wanted: source and target in
    [-1, 1], as the network is to see them. lesion: where a lesion is known (bool), or None where none is marked. side:
    `BOTH`, or the one side that an unpaired case has an image of; the other's arrays are background then. organ: the
    source's label (bool), where the configuration asks for it and there is one.
    """

    name: str
    source: Volume
    seen: np.ndarray
    valid: np.ndarray
    reference: np.ndarray
    normalised: np.ndarray
    wanted: np.ndarray
    lesion: np.ndarray | None = None
    side: str = BOTH
    organ: np.ndarray | None = None


def case_names(folder: Path) -> list[str]:
    """Names of the cases in a folder that `prepare` wrote, sorted; InputError when it isn't one."""
    return sorted(record["case"] for record in manifest(folder)["cases"])


def patients(folder: Path) -> dict[str, str]:
    """The patient of each case of a prepared folder: the case's own name where the data name none."""
    return {record["case"]: str(record.get("patient") or record["case"]) for record in manifest(folder)["cases"]}


def sides(folder: Path) -> dict[str, str]:
    """The sides that each case of a prepared folder has an image of: `BOTH`, or "source" or "target" alone."""
    return {record["case"]: str(record.get("side", BOTH)) for record in manifest(folder)["cases"]}


def simulated(folder: Path) -> tuple[str, ...]:
    """The cases of a prepared folder that a simulator made: those that preparation marked, or all where the settings
    alone say it, as the simulators' own do."""
    found = manifest(folder)
    if marked := sorted(record["case"] for record in found["cases"] if record.get("simulated")):
        return tuple(marked)
    settings = found.get("settings") or {}
    return tuple(case_names(folder)) if settings.get("simulated") or settings.get("simulator") else ()


def of_simulator(files: Sequence[Path]) -> bool:
    """Whether any of the files lies in a folder that a simulator wrote (`training_tools.phantoms`), or inside one."""
    return any(_is_simulators(folder) for path in files for folder in list(path.parents)[:4])


def _is_simulators(folder: Path) -> bool:
    if (folder / "simulation.json").is_file():
        return True
    try:
        told = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or another program's file of that name
        return False
    return isinstance(told, dict) and "simulator" in told


def all_simulated(folder: Path) -> bool:
    """Whether no case of a prepared folder is a patient's."""
    return len(simulated(folder)) == len(case_names(folder)) > 0


def simulated_in_part(folder: Path) -> str:
    """A sentence where some cases of a prepared folder are simulated and others are not; else ""."""
    made, count = simulated(folder), len(case_names(folder))
    if len(made) in (0, count):
        return ""
    return (
        f"{len(made)} of {count} cases come from a simulator and are no patients, among them {made[0]}; a result about "
        "patients needs them left out."
    )


def require_pairs(folder: Path, what: str) -> None:
    """InputError where some of a prepared folder's cases have no partner; what: that needs pairs only."""
    if alone := [case for case, side in sides(folder).items() if side != BOTH]:
        raise InputError(
            f"{what} needs pairs, but {len(alone)} cases of {folder} have an image of one side only, among them "
            f"{alone[0]}; prepare the pairs in a folder of their own."
        )


def manifest(folder: Path) -> dict[str, Any]:
    """`cases.json` of a prepared folder; InputError where it is none, is damaged or names a case twice."""
    path = folder / "cases.json"
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder} holds no prepared pairs (cases.json); run training_tools.prepare first.") from error
    cases = found.get("cases")
    if not isinstance(cases, list) or not all(
        isinstance(record, dict) and CASE_NAME.fullmatch(str(record.get("case"))) for record in cases
    ):
        raise InputError(f"{path} is damaged: it names no cases; run training_tools.prepare again.")
    names = [record["case"] for record in cases]
    if twice := sorted({name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()):
        raise InputError(f"{path} names {twice[0]} twice; run training_tools.prepare again.")
    return found


def load_cases(folder: Path, config: Config, names: list[str] | None = None) -> list[Case]:
    """The named cases (all by default), in the order given; InputError for an unknown name."""
    return list(LazyCases(folder, config, case_names(folder) if names is None else names))


class LazyCases(Sequence[Case]):
    """The named cases, each read when it is asked for and not kept: 800 patients need the memory of one.

    unpaired: whether they may be unpaired. InputError for an unknown name.
    """

    def __init__(self, folder: Path, config: Config, names: Sequence[str], *, unpaired: bool = False) -> None:
        if unknown := sorted(set(names) - set(case_names(folder))):
            raise InputError(f"{folder} has no case called {', '.join(unknown)}.")
        self._folder, self._config, self.names = folder, config, tuple(names)
        self._unpaired = unpaired

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return LazyCases(self._folder, self._config, self.names[place], unpaired=self._unpaired)
        read = load_any if self._unpaired else load_case
        return read(self._folder, self._config, self.names[place])

    def shapes(self) -> list[tuple[int, ...]]:
        """(k, j, i) of the cases, from the heads of their files."""
        import SimpleITK as sitk

        reader = sitk.ImageFileReader()
        found = []
        for name in self.names:
            path = case_files(self._folder, name)["source"]
            reader.SetFileName(str(path))
            try:
                reader.ReadImageInformation()
            except RuntimeError as error:
                raise InputError(f"{path} cannot be read; run training_tools.prepare again.") from error
            found.append(tuple(reversed(reader.GetSize())))
        return found


def names_of(cases: Sequence[Case]) -> list[str]:
    """Names of cases, which are not read for it."""
    return list(cases.names) if isinstance(cases, LazyCases) else [case.name for case in cases]


def shapes_of(cases: Sequence[Case]) -> list[tuple[int, ...]]:
    """(k, j, i) of cases, whose voxels are not read for it."""
    return cases.shapes() if isinstance(cases, LazyCases) else [case.reference.shape for case in cases]


def case_files(folder: Path, name: str) -> dict[str, Path]:
    """The image files of a case by their part: source, target, valid and, where there is one, lesion.

    An unpaired case has one of source and target.
    """
    for side in SIDES:
        if (path := folder / UNPAIRED[side] / f"{name}.nrrd").is_file():
            valid = folder / UNPAIRED["valid"] / f"{name}.nrrd"
            if not valid.is_file():
                raise InputError(f"{valid} is missing; run training_tools.prepare again.")
            return {side: path, "valid": valid}
    parts = {part: folder / part / f"{name}.nrrd" for part in ("source", "target", "valid", "lesion")}
    if not parts["lesion"].exists():
        del parts["lesion"]
    if missing := [str(path) for path in parts.values() if not path.is_file()]:
        raise InputError(f"{missing[0]} is missing; run training_tools.prepare again.")
    return parts


def organ_file(folder: Path, name: str) -> Path | None:
    """The file of a case's organ label on the source's grid, or None where it was prepared without one."""
    path = folder / "source_label" / f"{name}.nrrd"
    return path if path.is_file() else None


def load_any(folder: Path, config: Config, name: str) -> Case:
    """Read and normalise a case, which may be unpaired; see `Case`."""
    files = case_files(folder, name)
    if {*SIDES} <= {*files}:
        return load_case(folder, config, name)
    side = next(side for side in SIDES if side in files)
    image = read_volume(files[side])
    seen = read_volume(files["valid"]).array > 0
    if seen.shape != image.array.shape:
        raise InputError(f"{name}: its mask is on another grid; run training_tools.prepare again.")
    if side == SIDES[0]:
        seen &= field_of_view(image, config.source.field_of_view)
    side_settings = config.source if side == SIDES[0] else config.target
    shown, _ = intensity.normalise(image.array, seen, side_settings.normalisation)
    nothing = np.full(shown.shape, -1.0, np.float32)
    normalised, wanted = (shown, nothing) if side == SIDES[0] else (nothing, shown)
    return Case(
        name, image, seen, seen, intensity.denormalise(wanted, config.outputs()), normalised, wanted, None, side
    )


def load_case(folder: Path, config: Config, name: str) -> Case:
    """Read and normalise one case; see `Case`. InputError for an unpaired one."""
    files = case_files(folder, name)
    if missing := [side for side in SIDES if side not in files]:
        raise InputError(f"{name} is unpaired: it has no {missing[0]}, so nothing can be scored or fitted on it.")
    source = read_volume(files["source"])
    target = read_volume(files["target"]).array
    seen = field_of_view(source, config.source.field_of_view)
    valid = (read_volume(files["valid"]).array > 0) & seen
    lesion = read_volume(files["lesion"]).array > 0 if "lesion" in files else None
    label = organ_file(folder, name) if config.sampling.region == "organ" else None
    organ = read_volume(label).array > 0 if label else None
    for part, array in (("target", target), ("valid", valid), ("lesion", lesion), ("source_label", organ)):
        if array is not None and array.shape != source.array.shape:
            raise InputError(f"{name}: {part} and source are on different grids; run training_tools.prepare again.")
    if not valid.any():
        raise InputError(
            f"{name}: no voxel of its field of view is covered by the target, so nothing can be learnt or scored; look "
            "at its registration, or leave it out."
        )
    image, _ = intensity.normalise(source.array, seen, config.source.normalisation)
    wanted, _ = intensity.normalise(target, valid, config.target.normalisation)
    reference = intensity.denormalise(wanted, config.outputs())
    return Case(name, source, seen, valid, reference, image, wanted, lesion, organ=organ)
