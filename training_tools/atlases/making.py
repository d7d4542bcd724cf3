"""The atlas put together: every tested case looked at once, pictures of the worst, relations over all patients."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..config import Config
from ..dataset import Case, LazyCases
from . import images, lesions, pictures, relations
from .evaluations import Evaluated
from .ranking import Ranking, rank

MOST_VOXELS = 6_000  # of a case that enter the relation of uncertainty and error, drawn evenly; 1,464 patients fit


@dataclass
class Entry:
    """One tested case. tiles: its pictures where it is shown; place: their slice, None of a planar image.

    doubt: mean of its map in tissue, or None.
    """

    case: str
    patient: str
    doubt: float | None
    likeness: Mapping[str, Any] | None
    reasons: tuple[str, ...]
    tiles: list[pictures.Tile] = field(default_factory=list)
    place: int | None = None


@dataclass
class Atlas:
    """Everything the page shows."""

    evaluated: Evaluated
    ranking: Ranking
    entries: list[Entry]
    within: relations.Within | None
    doubt: relations.Between
    likeness: relations.Between
    reading: lesions.LesionReading | None
    lesion_strips: list[tuple[lesions.Failure, str]]
    settings: Mapping[str, Any]

    def missing(self) -> dict[str, list[str]]:
        """Why maps or likeness are missing, and of which cases."""
        found: dict[str, list[str]] = {}
        for entry in self.entries:
            for reason in entry.reasons:
                found.setdefault(reason, []).append(entry.case)
        return found


def make(
    evaluated: Evaluated,
    *,
    reading: lesions.LesionReading | None = None,
    by: str = "mae",
    shown: int = 20,
    uncertainty: str = "auto",
    samples: int = 0,
    maps: Path | None = None,
    device: str = "auto",
    told: Callable[[str], None] = lambda sentence: None,
) -> Atlas:
    """Look at every tested case, one in memory at a time. shown: patients that get pictures, the worst by `by`."""
    ranking = rank(evaluated.scores, evaluated.patients, by)
    pictured = set(ranking.worst_cases(shown))
    close = lesions.drawn(reading, [*evaluated.scores])
    entries: list[Entry] = []
    voxels: dict[str, list[relations.Voxels]] = {}
    drawn: dict[lesions.Failure, str] = {}
    total = len(evaluated.scores)
    for part in evaluated.parts:
        made_by = images.source(part, uncertainty=uncertainty, samples=samples, maps=maps, device=device)
        for case in LazyCases(evaluated.data, part.config, part.tested):
            found = made_by(case)
            images.require_same_error(found.image, case, part.config, evaluated.scores[case.name].get("mae"))
            patient = evaluated.patients[case.name]
            entry = _entry(case, patient, found)
            entries.append(entry)
            if found.deviation is not None:
                voxels.setdefault(patient, []).append(_voxels(case, patient, found, part.config))
            if case.name in pictured:
                place = pictures.worst_slice(case, found.image)
                entry.place = place if len(found.image) > 1 else None
                entry.tiles = pictures.tiles(case, part.config, found.image, found.deviation, place)
            for failure in close.get(case.name, ()):
                if failure.centre is not None:
                    strip = pictures.lesion_strip(case, part.config, found.image, failure.centre, failure.what)
                    drawn[failure] = strip
            told(f"Looked at {case.name} ({len(entries)} of {total}).")
    error = ranking.by_patient("mae")
    doubt = _mean_by_patient(entries, lambda entry: entry.doubt)
    unlike = _mean_by_patient(entries, lambda entry: None if entry.likeness is None else entry.likeness["ratio"])
    return Atlas(
        evaluated, ranking, entries, relations.within([_joined(parts) for parts in voxels.values()]),
        relations.between("uncertainty", "mean uncertainty", doubt, error),
        relations.between("likeness", "distance from the training scans", unlike, error),
        reading, [(one, drawn[one]) for one in (reading.failures if reading else ()) if one in drawn],
        {
            "by": by, "shown": shown, "uncertainty": uncertainty if maps is None else "from files",
            "samples": samples, "maps": None if maps is None else str(maps), "most_voxels_a_case": MOST_VOXELS,
        },
    )  # fmt: skip


def _entry(case: Case, patient: str, found: images.Shown) -> Entry:
    doubt = None
    if found.deviation is not None:
        doubt = float(found.deviation[images.tissue(case)].mean(dtype=np.float64))
    return Entry(case.name, patient, doubt, found.likeness, found.reasons)


def _voxels(case: Case, patient: str, found: images.Shown, config: Config) -> relations.Voxels:
    """At most `MOST_VOXELS` of the tissue, the same for the same case."""
    assert found.deviation is not None
    inside = images.tissue(case)
    deviation, error = found.deviation[inside], images.errors(found.image, case, config, inside)
    if len(error) > MOST_VOXELS:
        kept = np.random.default_rng([*case.name.encode()]).choice(len(error), MOST_VOXELS, replace=False)
        deviation, error = deviation[kept], error[kept]
    return relations.Voxels(patient, deviation, error, found.calibrated)


def _joined(parts: Sequence[relations.Voxels]) -> relations.Voxels:
    """The cases of one patient as one."""
    return relations.Voxels(
        parts[0].patient, np.concatenate([one.deviation for one in parts]),
        np.concatenate([one.error for one in parts]), all(one.calibrated for one in parts),
    )  # fmt: skip


def _mean_by_patient(entries: Sequence[Entry], number: Callable[[Entry], float | None]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for entry in entries:
        value = number(entry)
        if value is not None and math.isfinite(value):
            values.setdefault(entry.patient, []).append(value)
    return {patient: sum(found) / len(found) for patient, found in values.items()}
