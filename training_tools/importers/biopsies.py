"""What the spreadsheets of Prostate-MRI-US-Biopsy say of a case: scores of its targets, and what its cores showed.

Column names are the collection's. A core counts for the target that most of its length lies in; its position in the MR
is -1000 where it is not known. The grade groups are ISUP's (Epstein et al., Am J Surg Pathol 2016).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imagetranslation.errors import InputError

from .surfaces import enclosed, read_surface
from .tables import read_table

PATIENT = ("Patient ID", "Patient Number")
MR, US = ("seriesInstanceUID_MR", "Series Instance UID (MRI)"), ("seriesInstanceUID_US", "Series Instance UID (US)")
SCORE = "UCLA Score (Similar to PIRADS v2)"
NUMBER = ("Target No.", "Target Number", "ROI No.", "Target")
PRIMARY, SECONDARY = "Primary Gleason", "Secondary Gleason"
COPIED = {"PSA (ng/mL)": "psa_ng_ml", "Prostate Volume (CC)": "prostate_ml"}
UNKNOWN_PLACE = -999.0
SIGNIFICANT = 2  # grade group from which on a cancer counts as clinically significant


@dataclass
class Sheets:
    """partners: MR series named beside each ultrasound series. targets, cores: rows of the two sheets."""

    partners: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    targets: list[dict[str, str]] = field(default_factory=list)
    cores: list[dict[str, str]] = field(default_factory=list)


def read_sheets(root: Path) -> Sheets:
    """All spreadsheets below a folder that have the collection's columns; others are not looked at."""
    found = Sheets()
    for path in sorted([*root.rglob("*.xlsx"), *root.rglob("*.csv")]):
        if path.name == "metadata.csv" or path.name.startswith(("~", ".")):
            continue
        rows = read_table(path)
        columns = set(rows[0]) if rows else set()
        if PRIMARY in columns:
            found.cores += rows
        elif SCORE in columns:
            found.targets += rows
        for row in rows:
            if (scan := _first(row, MR)) and (sweep := _first(row, US)):
                found.partners[sweep].add(scan)
    return found


def facts_of(sheets: Sheets, patient: str, sweep: str, scan: str, surfaces: dict[int, Path]) -> dict[str, str]:
    """Facts of a case. target<n>_ucla, target<n>_grade_group: of each target (0: no cancer in its cores); ucla_score,
    grade_group: the highest; label: 1 with a cancer of grade group 2 or more, 0 with biopsies without; PSA, volume.
    """
    facts: dict[str, str] = {}
    scores: dict[str, str] = {}
    for row in sheets.targets:
        if _of_case(row, patient, sweep, scan) and row.get(SCORE):
            scores[_first(row, NUMBER) or str(len(scores) + 1)] = row[SCORE]
    for number, score in scores.items():
        facts[f"target{number.lower().removeprefix('target').strip()}_ucla"] = score
    if whole := [int(score) for score in scores.values() if score.isdecimal()]:
        facts["ucla_score"] = str(max(whole))
    cores = [row for row in sheets.cores if _of_case(row, patient, sweep, scan)]
    if cores:
        worst = max(grade_group(row) for row in cores)
        facts.update({"cores": str(len(cores)), "grade_group": str(worst), "label": str(int(worst >= SIGNIFICANT))})
        facts.update({name: cores[0][column] for column, name in COPIED.items() if cores[0].get(column)})
        for target, grade in _by_target(cores, surfaces).items():
            facts[f"target{target}_grade_group"] = str(grade)
    return facts


def grade_group(row: dict[str, str]) -> int:
    """ISUP grade group 1 to 5 of a core, 0 where no cancer was found (no Gleason patterns). InputError for others."""
    first, second = row.get(PRIMARY, ""), row.get(SECONDARY, "")
    try:
        patterns = int(float(first or 0)), int(float(second or 0))
    except ValueError as error:
        raise InputError(f"The biopsy sheet has a Gleason pattern that is no number: {first!r}, {second!r}.") from error
    total = sum(patterns)
    if not all(patterns):
        return 0
    if total <= 6:
        return 1
    if total == 7:
        return 2 if patterns[0] == 3 else 3
    return 4 if total == 8 else 5


def _by_target(cores: list[dict[str, str]], surfaces: dict[int, Path]) -> dict[int, int]:
    triangles = {number: read_surface(path) for number, path in sorted(surfaces.items())}
    found: dict[int, int] = {}
    for row in cores:
        ends = [_place(row, end) for end in ("Tip", "Base")]
        if not triangles or ends[0] is None or ends[1] is None:
            continue
        points = ends[0] + np.linspace(0, 1, 40)[:, None] * (ends[1] - ends[0])
        held = {number: int(enclosed(points, surface).sum()) for number, surface in triangles.items()}
        best = max(held, key=lambda number: held[number])
        if held[best]:
            found[best] = max(found.get(best, 0), grade_group(row))
    return found


def _place(row: dict[str, str], end: str) -> np.ndarray | None:
    """Where a core begins or ends in the MR (LPS mm), or None where that is not known."""
    try:
        place = np.array([float(row.get(f"Bx {end} {axis} (MRI Coord)") or -1000) for axis in "XYZ"])
    except ValueError:
        return None
    return place if np.isfinite(place).all() and (place > UNKNOWN_PLACE).all() else None


def _of_case(row: dict[str, str], patient: str, sweep: str, scan: str) -> bool:
    own, other = _first(row, US), _first(row, MR)
    if own or other:
        return (not own or own == sweep) and (not other or other == scan)
    return _first(row, PATIENT) == patient


def _first(row: dict[str, str], names: tuple[str, ...]) -> str:
    return next((row[name] for name in names if row.get(name)), "")
