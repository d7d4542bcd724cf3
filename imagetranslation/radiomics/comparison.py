"""One region in a source, its synthetic image and, where there is one, the real target: features and histograms.

One labelmap and one tissue mask serve all images, on one grid; shape is taken once. The faces (command, Slicer panel,
browser) show what `compare` returns; a cohort of regions is left to `radiomics.preservation`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import InputError
from ..files import atomic_folder, write_text
from ..provenance import corner_text
from ..volume import Volume
from .cache import Cache, image_hash
from .engine import Cancel, Engine, RoiResult
from .extraction import extract
from .preprocess import prepare
from .preservation.longtable import read_long_table
from .roi import Roi, check_grid
from .settings import Settings

ROLES = ("source", "synthetic", "reference")
COLUMNS = (
    "feature", "name", "ibsi", "family", "aggregation", "image_type", "unit", "source", "synthetic", "reference",
    "difference", "percent_of_cohort_sd", "flag", "engine", "engine_version", "settings_sha256", "roi_sha256",
)  # fmt: skip
# Our choice: a difference of more than one standard deviation of the cohort is flagged.
FLAGGED_PERCENT = 100.0
BINS = 64
# Spans of intensities (5th to 95th percentile) that differ by more than this are called different scales: our choice.
SCALES_APART = 8.0
LEAST_PATIENTS = 5


@dataclass(frozen=True)
class CohortFeature:
    """How a feature spreads over the real images of a cohort; sd over patients' means.

    engine, settings_sha256: what made it, "" where the file does not say.
    """

    sd: float
    low: float
    high: float
    engine: str = ""
    settings_sha256: str = ""


@dataclass(frozen=True)
class Row:
    """One feature; NaN where an image has none. difference: synthetic minus `against`. percent: of the cohort's SD, NaN
    without a cohort. flag: sentence or "". cohort_sd: of this feature over the cohort's real targets, or NaN.
    """

    key: str
    name: str
    ibsi: str
    family: str
    aggregation: str
    image_type: str
    unit: str
    values: Mapping[str, float]
    difference: float
    percent: float
    flag: str
    cohort_sd: float = math.nan


@dataclass(frozen=True)
class Histogram:
    """Share of the region's voxels in each of `BINS` bins; edges has one more, in the unit of the prepared image."""

    edges: np.ndarray
    shares: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Comparison:
    """All of it. against: "reference", or "source" where there is no real target. results: role to engine's result."""

    roi: dict[str, Any]
    against: str
    rows: tuple[Row, ...]
    histogram: Histogram
    results: Mapping[str, RoiResult]
    images: Mapping[str, dict[str, Any]]
    notes: tuple[str, ...]


def read_cohort(path: str | Path) -> dict[str, CohortFeature]:
    """Spread of each feature over the real targets of a preservation report's features.csv; sources where none are.

    Raises InputError where there are fewer than LEAST_PATIENTS patients.
    """
    table = read_long_table(path)
    sides = (("synthetic-target", "b"), ("source-reference", "b"), ("test-retest", "a"))
    cases = next((table.side(*side) for side in sides if table.side(*side)), {})
    patients = {patient for patient, _ in cases}
    if len(patients) < LEAST_PATIENTS:
        raise InputError(
            f"{Path(path).name} has real target images of {len(patients)} patients; a cohort's SD needs at least "
            f"{LEAST_PATIENTS}."
        )
    found = {}
    for key in table.features:
        by_patient: dict[str, list[float]] = {}
        for (patient, _), values in cases.items():
            if math.isfinite(value := values.get(key, math.nan)):
                by_patient.setdefault(patient, []).append(value)
        everything = [value for values in by_patient.values() for value in values]
        if len(by_patient) >= LEAST_PATIENTS:
            means = [float(np.mean(values)) for values in by_patient.values()]
            found[key] = CohortFeature(
                float(np.std(means, ddof=1)), min(everything), max(everything), *table.made_by.get(key, ())
            )
    return found


def check_cohort(cohort: Mapping[str, CohortFeature], engine: Engine, settings: Settings) -> None:
    """InputError with one sentence where a cohort's values were made otherwise than those to be held against them."""
    engines = {each.engine for each in cohort.values()} - {""}
    if engines and engine.name not in engines:
        raise InputError(
            f"The cohort's features were made by {', '.join(sorted(engines))}, these are made by {engine.name}: "
            "their values do not compare. Take that engine, or a cohort file made by this one."
        )
    if any(each.settings_sha256 not in ("", settings.sha256) for each in cohort.values()):
        raise InputError(
            "The cohort's features were made with other settings (grey levels, spacing or normalisation), so that "
            "their spread says nothing of these values. Take the cohort's settings, or a cohort file made with these."
        )


def compare(
    images: Mapping[str, Volume],
    roi: Roi,
    settings: Settings,
    engine: Engine,
    *,
    tissue: Volume | None = None,
    cohort: Mapping[str, CohortFeature] | None = None,
    cache: Cache | None = None,
    cancelled: Cancel | None = None,
) -> Comparison:
    """Features of one region in each image.

    images: "source", "synthetic" and maybe "reference", all on one grid with the region. tissue: the one mask over
    which all of them are normalised. cohort: see `read_cohort`. Raises InputError with one sentence, Cancelled.
    """
    roles = [role for role in ROLES if role in images]
    for role in roles:
        check_grid(roi, images[role])
    check_cohort(cohort or {}, engine, settings)
    results = {}
    for role in roles:
        (result,) = extract(
            images[role], [roi], settings, engine, tissue=tissue, shape=role == roles[0], cache=cache,
            cancelled=cancelled,
        )  # fmt: skip
        if result.refused:
            raise InputError(f"{images[role].name} ({role}): {result.refused}")
        results[role] = result
    against = "reference" if "reference" in images else "source"
    prepared = {role: prepare(images[role], settings, tissue, [roi]) for role in roles}
    values = {role: prepared[role].array[roi.slices][roi.mask].astype(np.float64) for role in roles}
    about = {role: _about(images[role]) for role in roles}
    return Comparison(
        roi.to_dict(), against, _rows(results, against, cohort or {}), histogram(values), results, about,
        (*_notes(images, against, cohort), *_scale_notes(values, about, against, settings)),
    )  # fmt: skip


def _about(image: Volume) -> dict[str, Any]:
    mark = "" if image.provenance is None else corner_text(image.provenance)
    return {
        "name": image.name, "path": str(image.attributes.get("path", "")), "modality": image.modality,
        "sha256": image_hash(image), "synthetic": image.synthetic, "mark": mark,
    }  # fmt: skip


def _notes(images: Mapping[str, Volume], against: str, cohort: Mapping[str, CohortFeature] | None) -> tuple[str, ...]:
    notes = []
    if not images["synthetic"].synthetic:
        notes.append(f"{images['synthetic'].name} does not say that it is synthetic; it was taken to be.")
    notes += [f"{images[role].name} stands as {role}, but is marked synthetic."
              for role in ("source", "reference") if role in images and images[role].synthetic]  # fmt: skip
    if against == "source":
        notes.append(
            "Without a real target the difference is synthetic minus source: two modalities measure different "
            "quantities, so it shows a change and no error."
        )
    if cohort is not None:
        notes.append("Percent: difference in SDs of the cohort's real targets, times 100.")
    return tuple(notes)


def _scale_notes(
    values: Mapping[str, np.ndarray], about: Mapping[str, dict[str, Any]], against: str, settings: Settings
) -> list[str]:
    """What the numbers can't mean: one image twice, or intensities on scales that have nothing in common."""
    notes = []
    if about["synthetic"]["sha256"] == about[against]["sha256"]:
        notes.append(f"The synthetic image and the {against} are the same image: every difference is 0 by itself.")
    first, second = (np.quantile(values[role], (0.05, 0.95)) for role in (against, "synthetic"))
    spans = sorted(max(float(ends[1] - ends[0]), 1e-30) for ends in (first, second))
    plain = settings.normalisation == "none" and settings.parameters is None
    if plain and against == "reference" and spans[1] > SCALES_APART * spans[0]:
        notes.append(
            f"In this region the reference spans {first[0]:.4g} to {first[1]:.4g} and the synthetic image "
            f"{second[0]:.4g} to {second[1]:.4g}: they seem to be on different scales, and without normalisation "
            "differences of features with a unit of intensity mean nothing."
        )
    return notes


def _rows(results: Mapping[str, RoiResult], against: str, cohort: Mapping[str, CohortFeature]) -> tuple[Row, ...]:
    made = []
    values = {role: result.values for role, result in results.items()}
    for feature in next(iter(results.values())).features:
        key = feature.engine_name
        mine = {role: found.get(key, math.nan) for role, found in values.items()}
        if feature.family == "Morphology" and key not in values["synthetic"]:
            mine = dict.fromkeys(mine, feature.value)
        difference = mine["synthetic"] - mine[against]
        spread = cohort.get(key)
        sd = spread.sd if spread and spread.sd > 0 else math.nan
        percent = 100 * difference / sd
        about = (feature.name, feature.ibsi, feature.family, feature.aggregation, feature.image_type, feature.unit)
        made.append(Row(key, *about, mine, difference, percent, _flag(mine, percent, spread), sd))
    return tuple(made)


def _flag(values: Mapping[str, float], percent: float, spread: CohortFeature | None) -> str:
    if undefined := [role for role, value in values.items() if not math.isfinite(value)]:
        return f"not defined in the {' and '.join(undefined)} image"
    if spread is not None and not spread.low <= values["synthetic"] <= spread.high:
        return "synthetic value outside the cohort's range"
    if abs(percent) > FLAGGED_PERCENT:
        return "differs by more than the cohort's SD"
    return ""


def histogram(values: Mapping[str, np.ndarray]) -> Histogram:
    """Shares of voxels over edges common to all images, from the lowest to the highest of their intensities."""
    low = min(float(each.min()) for each in values.values())
    high = max(float(each.max()) for each in values.values())
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    return Histogram(edges, {role: np.histogram(each, edges)[0] / len(each) for role, each in values.items()})


def as_dict(found: Comparison) -> dict[str, Any]:
    """Everything for JSON, with all settings and versions."""
    first = next(iter(found.results.values()))
    return {
        "imagetranslation": __version__, "engine": first.engine, "engine_version": first.engine_version,
        "feature_set": first.feature_set, "isolation": first.isolation, "settings": first.settings, "roi": found.roi,
        "images": dict(found.images), "difference": f"synthetic minus {found.against}", "notes": list(found.notes),
        "missing": list(first.missing),
        "warnings": {role: list(result.warnings) for role, result in found.results.items()},
        "histogram": {"edges": found.histogram.edges.tolist(),
                      "shares": {role: each.tolist() for role, each in found.histogram.shares.items()}},
        "features": [plain_row(found, row) for row in found.rows],
    }  # fmt: skip


def plain_row(found: Comparison, row: Row) -> dict[str, Any]:
    """A row by `COLUMNS`, None where a number is not defined."""
    first = next(iter(found.results.values()))
    numbers = {**{role: row.values.get(role, math.nan) for role in ROLES},
               "difference": row.difference, "percent_of_cohort_sd": row.percent}  # fmt: skip
    return {
        "feature": row.key, "name": row.name, "ibsi": row.ibsi, "family": row.family, "aggregation": row.aggregation,
        "image_type": row.image_type, "unit": row.unit,
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "flag": row.flag, "engine": first.engine, "engine_version": first.engine_version,
        "settings_sha256": first.settings["sha256"], "roi_sha256": found.roi["sha256"],
    }  # fmt: skip


def write_comparison(found: Comparison, folder: Path) -> Path:
    """comparison.csv, comparison.json and comparison.html in a new folder, which is returned."""
    from .comparisonpage import page
    from .comparisonview import csv_text

    with atomic_folder(folder) as temporary:
        write_text(temporary / "comparison.csv", csv_text(found, found.rows))
        write_text(temporary / "comparison.json", json.dumps(as_dict(found), indent=1, allow_nan=False) + "\n")
        write_text(temporary / "comparison.html", page(found))
    return folder
