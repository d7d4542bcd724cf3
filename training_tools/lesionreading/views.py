"""One view's lesions, marks and image as rows: what the rule, the table or a reader calls increased, what that makes.

The decision about a known place rests on its uptake ratio; the detector's marks are looked for without knowing it. Both
are made for the synthetic image, the blood pool read as if it were the delayed image (the floor), and the real one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from .calls import REAL, SYNTHETIC, Calls
from .detector import Mark, marks, score_at, score_near
from .page import Failure
from .pictures import strip
from .planar import Region, View
from .task import CLEAR, FOUND, INVENTED, MISSED
from .uptake import ratio, reference_of

RULE = "rule"  # what stands in the column reader where no person read
BY_RULE, BY_TABLE = "rule", "table"
IMAGES = ("synthetic", "source", "real")
Found = Mapping[str, list[tuple[Mark, dict[str, Any]]]]  # marks of each of IMAGES with their rows
PANELS = ("blood pool", "delayed, real", "SYNTHETIC")


@dataclass(frozen=True)
class Rows:
    """Of one view. floor, ceiling: the lesions with the blood pool, or the real image, in the synthetic one's
    place."""

    lesions: list[dict[str, Any]]
    floor: list[dict[str, Any]]
    ceiling: list[dict[str, Any]]
    images: list[dict[str, Any]]
    marks: list[dict[str, Any]]
    failures: list[Failure]
    unreadable: bool


@dataclass(frozen=True)
class Place:
    """A region with what was measured of it. ratios: by image. truth: whether it is increased, None where unknown."""

    region: Region
    row: float
    column: float
    size_mm: float
    reference: str
    ratios: Mapping[str, float]
    truth: Optional[bool]
    refused: str
    known: Mapping[str, str]
    distance: np.ndarray


def rows_of(view: View, known: Mapping[tuple[str, int], Mapping[str, str]], truth: str, calls: Optional[Calls]) -> Rows:
    """All rows of a view. known: what a table says of lesions. truth: BY_RULE or BY_TABLE."""
    places = [_place(view, region, known.get((view.case.name, region.label), {}), truth) for region in view.regions]
    # Where readers marked places of their own, those are the false positives, and the detector's are none.
    found = {image: _marks(view, image, places, truth, counted=not (calls and calls.marked)) for image in IMAGES}
    lesions, floor, ceiling, images, failures = [], [], [], [], []
    listed = [pair for image in IMAGES for pair in found[image]]
    for reader in calls.readers if calls else (RULE,):
        for place in places:
            row = _lesion(view, place, reader, calls, found)
            lesions.append(row)
            if reader == (calls.readers[0] if calls else RULE):
                floor.append(_read_as(view, place, row, "source"))
                ceiling.append(_read_as(view, place, row, "real"))
            if row["outcome"] in (MISSED, INVENTED):
                failures.append(_failed(view, place, row))
        own = _of_reader(view, places, reader, calls) if calls and calls.marked else None
        listed += own or []
        images.append(_image(view, places, reader, calls, found, own))
    failures += [_invented(view, mark, row["reader"]) for mark, row in listed if row["invented"]]
    return Rows(lesions, floor, ceiling, images, [row for _, row in listed], failures, bool(view.unreadable))


def _place(view: View, region: Region, known: Mapping[str, str], truth: str) -> Place:
    from scipy import ndimage

    rule, spacing = view.rule, view.spacing
    reference = reference_of(region.mask, view.lesions, view.real, view.sides, spacing, rule)
    images = {"synthetic": view.synthetic, "source": view.source, "real": view.real}
    ratios = {
        name: float("nan") if reference is None else ratio(image, view.smooth[name], region.mask, reference, rule)
        for name, image in images.items()
    }
    refused, increased = "", None
    if reference is None:
        refused = "there is nothing to compare it with: no other side that is free, no surroundings"
    elif not np.isfinite(ratios["real"]):
        refused = "what it is compared with holds no counts in the real image"
    if truth == BY_RULE and not refused:
        increased = bool(ratios["real"] >= rule.increased)
    elif truth == BY_TABLE:
        said = known.get("increased", "")
        increased = said == "1" if said else None
        refused = refused if said else "the table of lesions does not say whether it is increased"
    rows, columns = np.nonzero(region.mask)
    labels, _ = ndimage.label(region.mask)
    largest = int(np.bincount(labels.ravel())[1:].max())
    size = 2 * float(np.sqrt(largest * spacing[0] * spacing[1] / np.pi))
    distance = ndimage.distance_transform_edt(~region.mask, sampling=spacing)
    words = "" if reference is None else reference.words
    return Place(region, float(rows.mean()), float(columns.mean()), size, words, ratios, increased, refused, known,
                 np.asarray(distance))  # fmt: skip


def _marks(
    view: View, image: str, places: Sequence[Place], truth: str, counted: bool
) -> list[tuple[Mark, dict[str, Any]]]:
    """The candidates of an image with their rows; false where nothing increased lies there in truth.

    The real image's own marks are false only by a table: by the rule what it shows is the truth, and none could be.
    counted: whether false marks are the false positives, or those of readers are.
    """
    if image == "synthetic" and view.unreadable:
        return []
    found = []
    for mark in marks(view.smooth[image], view.sides, view.spacing, view.rule):
        near = _met(view, places, mark)
        real, false = mark.score, None
        if image != "real":
            real = score_near(view.smooth["real"], mark, view.sides, view.spacing, view.rule)
            false = not (near and near[0].truth) and real < view.rule.increased
        elif truth == BY_TABLE:
            false = all(place.truth is False for place in near)
        row = _mark_row(view, mark, image, RULE, near, real)
        marked = mark.score >= view.rule.mark_from
        invented = counted and marked and bool(false) and image == "synthetic"
        found.append((mark, {**row, "marked": int(marked), "false": _flag(false), "invented": int(invented)}))
    return found


def _of_reader(
    view: View, places: Sequence[Place], reader: str, calls: Calls
) -> Optional[list[tuple[Mark, dict[str, Any]]]]:
    """The reader's own marks in the synthetic image; None where they did not read the case.

    False where nothing is increased, nor marked in the real image by them. The scores are the detector's at the place.
    """
    if not calls.read_by(reader, view.case.name):
        return None
    others = [np.array(point) * view.spacing for point in calls.places(reader, REAL, view)]
    found = []
    for row, column in calls.places(reader, SYNTHETIC, view):
        mark = Mark(row, column, *score_at(view.smooth["synthetic"], row, column, view.sides, view.spacing, view.rule))
        near = _met(view, places, mark)
        here = np.array([row, column]) * view.spacing
        false = not (near and near[0].truth)
        false = false and all(np.linalg.norm(here - other) > view.rule.match_mm for other in others)
        real = score_near(view.smooth["real"], mark, view.sides, view.spacing, view.rule)
        told = _mark_row(view, mark, "synthetic", reader, near, real)
        found.append((mark, {**told, "marked": 1, "false": int(false), "invented": int(false)}))
    return found


def _met(view: View, places: Sequence[Place], mark: Mark) -> list[Place]:
    """The places that a mark may mean: an increased one before another that is nearer."""
    near = [place for place in places if place.distance[mark.row, mark.column] <= view.rule.match_mm]
    return sorted(near, key=lambda place: (not place.truth, float(place.distance[mark.row, mark.column])))


def _mark_row(
    view: View, mark: Mark, image: str, reader: str, near: Sequence[Place], real: float
) -> dict[str, Any]:  # fmt: skip
    return {
        "case": view.case.name, "patient": view.case.patient, "group": view.case.group, "image": image,
        "reader": reader, "row": mark.row, "column": mark.column, "score": round(mark.score, 4),
        "against": mark.against, "lesion": near[0].region.label if near else "", "real_score": round(real, 4),
    }  # fmt: skip


def _lesion(
    view: View,
    place: Place,
    reader: str,
    calls: Optional[Calls],
    found: Found,
) -> dict[str, Any]:
    truth, refused, synthetic = place.truth, place.refused, None
    if calls is None:
        value = place.ratios["synthetic"]
        synthetic = bool(np.isfinite(value) and value >= view.rule.increased)
    else:
        synthetic = calls.call(reader, SYNTHETIC, view, place.region)
        if calls.with_real:
            truth, refused = calls.call(reader, REAL, view, place.region), ""
        if synthetic is None or truth is None:
            refused = refused or f"{reader} has no call for it"
    outcome = "" if refused or truth is None else _outcome(truth, bool(synthetic))
    note = f"nothing can be read: {view.unreadable}" if view.unreadable else ""
    if not note and not refused and not np.isfinite(place.ratios["synthetic"]):
        note = "what it is compared with holds no counts in the synthetic image: read as not increased"
    hyperaemic, source = _hyperaemic(view, place)
    scores = [row["score"] for _, row in found["synthetic"] if row["lesion"] == place.region.label]
    return {
        "case": view.case.name, "patient": view.case.patient, "group": view.case.group, "view": view.case.view,
        "lesion": place.region.label, "origin": place.region.origin, "site": place.known.get("place", ""),
        "cause": place.known.get("cause", ""), "side": _side(view, place.column), "row": round(place.row, 2),
        "column": round(place.column, 2), "size_mm": round(place.size_mm, 2), "hyperaemic": int(hyperaemic),
        "hyperaemic_from": source, "compared_with": place.reference,
        **{f"ratio_{image}": _number(place.ratios[image]) for image in ("source", "real", "synthetic")},
        "mark_score": max(scores, default=0.0), "reader": reader, "increased": _flag(truth),
        "increased_synthetic": _flag(synthetic), "outcome": outcome, "refused": refused, "note": note,
    }  # fmt: skip


def _read_as(view: View, place: Place, row: Mapping[str, Any], image: str) -> dict[str, Any]:
    """The lesion with another image in the synthetic one's place, by the rule."""
    called = bool(place.ratios[image] >= view.rule.increased)
    outcome = "" if place.refused or place.truth is None else _outcome(place.truth, called)
    return {**row, "reader": RULE, "increased": _flag(place.truth), "outcome": outcome}


def _image(
    view: View,
    places: Sequence[Place],
    reader: str,
    calls: Optional[Calls],
    found: Found,
    own: Optional[Sequence[tuple[Mark, Mapping[str, Any]]]],
) -> dict[str, Any]:
    """own: the reader's marks, None where they did not read the case: their false positives there are not known."""

    def count(image: str, key: str) -> Any:
        told = [row[key] for _, row in found[image] if row["marked"]]
        return "" if "" in told else sum(told)

    false, by, unread = count("synthetic", "false"), "detector", ""
    if own is not None:
        false, by = sum(row["false"] for _, row in own), "reader"
    elif calls is not None and calls.marked:
        false, by, unread = "", "", f"{reader} did not read it."
    similarity = "" if view.sides is None else round(view.sides.similarity, 4)
    return {
        "case": view.case.name, "patient": view.case.patient, "group": view.case.group, "view": view.case.view,
        "reader": reader, "lesions": len(places), "increased": sum(place.truth is True for place in places),
        "false_positives": false, "false_positives_by": by, "marks": count("synthetic", "marked"),
        "false_positives_source": count("source", "false"), "false_positives_real": count("real", "false"),
        "marks_real": count("real", "marked"),
        "other_side": int(view.sides is not None), "similarity_of_sides": similarity,
        "model": " ".join(view.model).strip(), "weights_sha256": view.weights,
        "note": " ".join((*view.notes, view.unreadable, unread)).strip(),
    }  # fmt: skip


def _hyperaemic(view: View, place: Place) -> tuple[bool, str]:
    """Whether the blood pool is raised there, and who says so: a table, a region, or the rule."""
    if said := place.known.get("hyperaemic", ""):
        return said == "1", "table"
    if place.region.hyperaemic is not None:
        return place.region.hyperaemic, "region"
    return bool(place.ratios["source"] >= view.rule.hyperaemic), "rule"


def _outcome(truth: bool, synthetic: bool) -> str:
    return (FOUND if synthetic else MISSED) if truth else (INVENTED if synthetic else CLEAR)


def _side(view: View, column: float) -> str:
    """The patient's side: in an anterior view the patient's left is at the image's right."""
    if view.case.view not in ("anterior", "posterior"):
        return ""
    middle = (view.real.shape[1] - 1) / 2 if view.sides is None else view.sides.total / 2
    return "left" if (column > middle) == (view.case.view == "anterior") else "right"


def _failed(view: View, place: Place, row: Mapping[str, Any]) -> Failure:
    kind = "missed" if row["outcome"] == MISSED else "invented"
    where = row["site"] or f"lesion {row['lesion']}"
    text = f"{where}, {row['size_mm']:.0f} mm: ratio {_said(row['ratio_real'])} real, "
    text += f"{_said(row['ratio_synthetic'])} synthetic"
    weight = place.ratios["real"] if kind == "missed" else place.ratios["synthetic"]
    rows, columns = np.nonzero(place.region.mask)
    radius = max(place.size_mm / 2, 0.5 * view.spacing[0] * float(np.ptp(rows)),
                 0.5 * view.spacing[1] * float(np.ptp(columns)))  # fmt: skip
    picture = _picture(view, (place.row, place.column), radius, kind)
    return Failure(
        kind, view.case.name, view.case.group, str(row["reader"]), text, float(np.nan_to_num(weight)), picture
    )


def _invented(view: View, mark: Mark, reader: str) -> Failure:
    who = "detector" if reader == RULE else "marked"
    text = f"{who}, row {mark.row}, column {mark.column}: ratio {mark.score:.2f} in the synthetic image"
    picture = _picture(view, (float(mark.row), float(mark.column)), view.rule.match_mm, "invented")
    return Failure("invented", view.case.name, view.case.group, reader, text, mark.score, picture)


def _picture(view: View, place: tuple[float, float], radius: float, kind: str) -> str:
    return strip((view.source, view.real, view.synthetic), PANELS, view.spacing, place, radius, kind)


def _number(value: float) -> Any:
    return round(value, 4) if np.isfinite(value) else ""


def _said(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else "none"


def _flag(value: Optional[bool]) -> Any:
    return "" if value is None else int(value)
