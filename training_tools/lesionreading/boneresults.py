"""What the rows of all views of a bone-scan reading say together: by disease group, of the floor, of the detector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from imagetranslation.readerstudy.statistics.bootstrap import Resampling

from . import scores
from .froc import curves, without_curve
from .task import FOUND, MISSED
from .views import BY_TABLE, IMAGES, RULE, Rows

GROUPS = ("inflammatory arthritis", "osteomyelitis", "CRPS", "cellulitis", "recent bone injury")
ALL = "all groups"


def results(
    made: Sequence[Rows], sizes: Sequence[float], contrasts: Sequence[float], resampling: Resampling, truth: str
) -> dict[str, Any]:
    """What all rows together say: by reader, of the floor, of the detector, of the ratios.

    truth: BY_RULE or BY_TABLE; with a table the rule on the real image is a ceiling of its own.
    """
    lesions = [row for rows in made for row in rows.lesions]
    images = [row for rows in made for row in rows.images]
    readers = list(dict.fromkeys(str(row["reader"]) for row in images))
    found = {
        reader: _of_reader([r for r in lesions if r["reader"] == reader], [r for r in images if r["reader"] == reader],
                           sizes, contrasts, resampling)
        for reader in readers
    }  # fmt: skip
    floor_images = [{**r, "false_positives": r["false_positives_source"]} for r in images if r["reader"] == readers[0]]
    floor = _of_reader([row for rows in made for row in rows.floor], floor_images, sizes, contrasts, resampling)
    mine = [row for row in lesions if row["reader"] == readers[0]]
    measured = [r for r in mine if not r["refused"] and r["ratio_synthetic"] != "" and r["ratio_real"] != ""]
    uptake = _grouped(measured, lambda own: scores.agreement(
        [r["ratio_synthetic"] for r in own], [r["ratio_real"] for r in own], [r["patient"] for r in own], resampling
    ))  # fmt: skip
    told = {"readers": found, "floor": floor}
    if truth == BY_TABLE:
        real = [{**r, "false_positives": r["false_positives_real"]} for r in images if r["reader"] == readers[0]]
        ceiling = [row for rows in made for row in rows.ceiling]
        told["ceiling"] = _of_reader(ceiling, real, sizes, contrasts, resampling)
    return {**told, "froc": _curves(made, mine, resampling, truth), "uptake_ratio": uptake}


def _of_reader(
    lesions: Sequence[Mapping[str, Any]],
    images: Sequence[Mapping[str, Any]],
    sizes: Sequence[float],
    contrasts: Sequence[float],
    resampling: Resampling,
) -> dict[str, Any]:
    def sensitivity(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return scores.sensitivity(rows, resampling)

    def false(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        known = [row for row in rows if row["false_positives"] != ""]  # not of images that a reader did not read
        told = scores.mean([r["false_positives"] for r in known], [r["patient"] for r in known], resampling)
        return {**told, "total": int(sum(r["false_positives"] for r in known))}

    hyperaemic = [row for row in lesions if row["hyperaemic"]]
    usable = [row for row in lesions if row["outcome"]]
    measured = [row for row in usable if row["ratio_real"] != ""]
    return {
        "outcomes": dict(Counter(row["outcome"] for row in usable)),
        "sensitivity_hyperaemic": _grouped(hyperaemic, sensitivity), "sensitivity": _grouped(lesions, sensitivity),
        "specificity": _grouped(lesions, lambda rows: scores.specificity(rows, resampling)),
        "false_positives_per_image": _grouped(images, false),
        "by_size": scores.by(usable, lambda r: scores.band(r["size_mm"], sizes, "mm"), scores.bands(sizes, "mm"),
                             sensitivity),
        "by_contrast": scores.by(measured, lambda r: scores.band(r["ratio_real"], contrasts), scores.bands(contrasts),
                                 sensitivity),
    }  # fmt: skip


def _grouped(
    rows: Sequence[Mapping[str, Any]], measure: Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]
) -> list[dict[str, Any]]:
    """`measure` of every disease group, the study's five first, and of all together."""
    order = [group for group in GROUPS if any(row["group"] == group for row in rows)] or list(GROUPS)
    return [*scores.by(rows, lambda row: str(row["group"]), order, measure), {"of": ALL, **measure(rows)}]


def _curves(
    made: Sequence[Rows], lesions: Sequence[Mapping[str, Any]], resampling: Resampling, truth: str
) -> dict[str, Any]:
    """FROC of the detector in each of IMAGES, of the real one with a table alone; refused without increased lesions."""
    raised = [row for row in lesions if row["increased"] == 1 and row["outcome"] in (FOUND, MISSED)]
    marks = [row for rows in made for row in rows.marks if row["reader"] == RULE]
    patients = [str(rows.images[0]["patient"]) for rows in made]
    if not raised:
        return {"refused": "no lesion is increased in truth"}
    if truth == BY_TABLE:
        return curves(IMAGES, marks, raised, patients, resampling)
    told = curves([image for image in IMAGES if image != "real"], marks, raised, patients, resampling)
    return {**told, "real": without_curve("real", marks, raised, resampling)}
