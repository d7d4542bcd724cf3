"""One prostate's lesions, marks and image as rows: seen or not in the real image, seen or not in the synthetic one.

The decision about a known lesion rests on its contrast to noise; the detector's marks are looked for without knowing
it. Both are made for the synthetic image, for the ultrasound read as if it were T2 (the floor), and for the real image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from .cases import NO_GROUP
from .page import Failure
from .pictures import strip
from .prostate_measures import Contrast, Region, around, contrast, dice, regions
from .prostate_view import IMAGES, View
from .task import CLEAR, FOUND, INVENTED, MISSED

BY_RULE, BY_TABLE = "rule", "table"
TRUTH = "mr_visible"  # the column of a table of lesions: whether a lesion shows on the real image
PANELS = ("ultrasound", "T2, real", "SYNTHETIC")
RULE = "rule"


@dataclass(frozen=True)
class Rows:
    """Of one case. floor: the lesions with the ultrasound in the synthetic image's place."""

    lesions: list[dict[str, Any]]
    floor: list[dict[str, Any]]
    image: dict[str, Any]
    marks: list[dict[str, Any]]
    failures: list[Failure]


@dataclass(frozen=True)
class Lesion:
    """What was measured of a lesion. measured: by image; truth: seen in the real image, None where unknown."""

    number: int
    mask: np.ndarray
    centre: tuple[float, ...]
    volume_ml: float
    zone: str
    group: str
    measured: Mapping[str, Contrast]
    truth: Optional[bool]
    refused: str


def rows_of(view: View, known: Mapping[tuple[str, int], Mapping[str, str]], group: str, truth: str) -> Rows:
    """All rows of a case. known: what a table says of lesions; group: its column; truth: BY_RULE or BY_TABLE."""
    numbers = [int(number) for number in np.unique(view.lesions[view.lesions > 0])]
    lesions = [_lesion(view, n, known.get((view.case.name, n), {}), group, truth) for n in numbers]
    found = {image: regions(view, image) for image in IMAGES}
    best = {image: [_best(lesion.mask, found[image]) for lesion in lesions] for image in IMAGES}
    made, floor = [], []
    for place, lesion in enumerate(lesions):
        shares = {image: best[image][place] for image in IMAGES}
        made.append(_row(view, lesion, "synthetic", shares))
        floor.append(_row(view, lesion, "source", shares))
    marks, invented = [], []
    for image in IMAGES:
        for region in found[image]:
            row = _mark(view, lesions, image, region, truth)
            marks.append(row)
            if row["invented"]:
                invented.append(region)
    failures = [_missed_or_raised(view, lesion, row) for lesion, row in zip(lesions, made)
                if row["outcome"] in (MISSED, INVENTED)]  # fmt: skip
    failures += [_invented(view, region) for region in invented]
    return Rows(made, floor, _image(view, lesions, marks), marks, failures)


def _lesion(view: View, number: int, known: Mapping[str, str], group: str, truth: str) -> Lesion:
    mask = view.lesions == number
    inside = mask & view.gland
    centre = tuple(float(at) for at in np.argwhere(mask).mean(axis=0))
    volume = int(mask.sum()) * view.voxel_ml
    refused, seen = "", None
    if inside.any():
        beside = around(inside, view, view.lesions > 0)
        measured = {name: contrast(image, inside, beside, view.spread[name]) for name, image in view.images.items()}
        if not np.isfinite(measured["real"].cnr):
            refused = "too little of its zone surrounds it to compare it with"
    else:
        measured = {name: Contrast(float("nan"), float("nan")) for name in IMAGES}
        refused = "it lies outside the gland that both images show"
    if truth == BY_RULE and not refused:
        seen = bool(measured["real"].cnr <= -view.rule.seen_cnr)
    elif truth == BY_TABLE:
        said = known.get(TRUTH, "")
        seen = said == "1" if said in ("0", "1") else None
        refused = refused or ("" if seen is not None else f"the table of lesions does not say {TRUTH} (1 or 0)")
    zone = view.zone_of(inside) if inside.any() else ""
    return Lesion(number, mask, centre, volume, zone, known.get(group) or NO_GROUP, measured, seen, refused)


def _best(mask: np.ndarray, found: Sequence[Region]) -> float:
    """Dice of a lesion and the dark region that fits it best."""
    return max((dice(mask, region.mask) for region in found), default=0.0)


def _row(view: View, lesion: Lesion, read: str, shares: Mapping[str, float]) -> dict[str, Any]:
    """A lesion's row with the image `read` in the synthetic image's place."""
    value = lesion.measured[read].cnr
    seen = bool(np.isfinite(value) and value <= -view.rule.seen_cnr)
    outcome = ""
    if not lesion.refused and lesion.truth is not None:
        outcome = (FOUND if seen else MISSED) if lesion.truth else (INVENTED if seen else CLEAR)
    note = f"nothing can be read: {view.unreadable}" if view.unreadable and read == "synthetic" else ""
    k, j, i = lesion.centre
    numbers = {
        f"{name}_{image}": _number(getattr(lesion.measured[image], name))
        for name in ("contrast", "cnr") for image in IMAGES
    }  # fmt: skip
    return {
        "case": view.case.name, "patient": view.case.patient, "group": lesion.group, "lesion": lesion.number,
        "zone": lesion.zone, "slice": round(k, 2), "row": round(j, 2), "column": round(i, 2),
        "volume_ml": round(lesion.volume_ml, 4), "diameter_mm": round(_diameter(lesion.volume_ml), 2), **numbers,
        **{f"dice_{image}": round(shares[image], 4) for image in IMAGES},
        "seen": "" if lesion.truth is None else int(lesion.truth), "seen_synthetic": int(seen),
        "outcome": outcome, "refused": lesion.refused, "note": note,
    }  # fmt: skip


def _mark(view: View, lesions: Sequence[Lesion], image: str, region: Region, truth: str) -> dict[str, Any]:
    """A region's row. The real image's own are false only by a table: by the rule what it shows is the truth."""
    rule = view.rule
    shares = [(dice(lesion.mask, region.mask), lesion) for lesion in lesions]
    # A seen lesion takes the region before another that fits better.
    met = [pair for pair in shares if pair[0] >= rule.least_dice]
    met.sort(key=lambda pair: (not pair[1].truth, -pair[0]))
    lesion = met[0][1] if met else None
    real, false = region.score, None
    if image != "real":
        beside = around(region.mask, view, np.zeros_like(region.mask))
        real = -contrast(view.images["real"], region.mask, beside, view.spread["real"]).cnr
        false = not (lesion is not None and lesion.truth) and not real >= rule.seen_cnr
    elif truth == BY_TABLE:
        false = all(other.truth is False for _, other in met)
    marked = region.score >= rule.mark_cnr
    k, j, i = region.centre
    return {
        "case": view.case.name, "patient": view.case.patient, "image": image, "slice": k, "row": j, "column": i,
        "volume_ml": region.volume_ml, "score": round(region.score, 4), "real_score": _number(real),
        "lesion": "" if lesion is None else lesion.number, "marked": int(marked),
        "false": "" if false is None else int(false), "invented": int(bool(false) and marked and image == "synthetic"),
    }  # fmt: skip


def _image(view: View, lesions: Sequence[Lesion], marks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    def count(image: str, key: str) -> int:
        return sum(row[key] for row in marks if row["image"] == image and row["marked"])

    return {
        "case": view.case.name, "patient": view.case.patient, "lesions": len(lesions),
        "seen": sum(lesion.truth is True for lesion in lesions), "false_positives": count("synthetic", "false"),
        "false_positives_source": count("source", "false"), "marks": count("synthetic", "marked"),
        "marks_real": count("real", "marked"), "gland_ml": round(int(view.gland.sum()) * view.voxel_ml, 2),
        "model": " ".join(view.model).strip(), "weights_sha256": view.weights, "note": view.unreadable,
    }  # fmt: skip


def _missed_or_raised(view: View, lesion: Lesion, row: Mapping[str, Any]) -> Failure:
    kind = "missed" if row["outcome"] == MISSED else "invented"
    real, made = lesion.measured["real"].cnr, lesion.measured["synthetic"].cnr
    text = f"lesion {lesion.number}, {row['diameter_mm']:.0f} mm, {lesion.zone}: CNR {_said(real)} real, "
    text += f"{_said(made)} synthetic"
    picture = _picture(view, lesion.centre, _diameter(lesion.volume_ml) / 2, kind)
    weight = -real if kind == "missed" else -made
    return Failure(kind, view.case.name, lesion.group, RULE, text, float(np.nan_to_num(weight)), picture)


def _invented(view: View, region: Region) -> Failure:
    text = f"detector, {region.volume_ml:.2f} mL in slice {region.centre[0]}: CNR {-region.score:.2f} synthetic"
    picture = _picture(view, region.centre, _diameter(region.volume_ml) / 2, "invented")
    return Failure("invented", view.case.name, NO_GROUP, RULE, text, region.score, picture)


def _picture(view: View, centre: Sequence[float], radius_mm: float, kind: str) -> str:
    """The slice through a place, each image in the window of its gland."""
    k = round(centre[0])
    images = [view.images[name] for name in ("source", "real", "synthetic")]
    windows = []
    for image in images:
        low, high = (float(v) for v in np.percentile(image[view.gland], (0.5, 99.5)))
        windows.append((low - 0.2 * (high - low), high + 0.2 * (high - low)))
    spacing = view.spacing[1:]
    return strip([image[k] for image in images], PANELS, spacing, (centre[1], centre[2]), max(radius_mm, 3.0), kind,
                 inverted=False, windows=windows)  # fmt: skip


def _diameter(volume_ml: float) -> float:
    """mm, of the ball with that volume."""
    return float(2 * (volume_ml * 750 / np.pi) ** (1 / 3))


def _number(value: float) -> Any:
    return round(value, 4) if np.isfinite(value) else ""


def _said(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "none"
